//! Record files: reading, finding, writing. `.json` and `.json.gz` are told apart by content, not by name.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use flate2::{Compression, GzBuilder};

use super::record::Record;
use super::wire::{self, RecordError};

/// The longest record in bytes, unpacked. 50 allocators in 500 cases with 20 metrics of 20 replicates each take about
/// 200 MB. A gzip file of a thousandth of that can be made to unpack to it and more, so the limit is on what comes out.
pub const LONGEST_BYTES: u64 = 256 << 20;

/// Where records lie, unless the user says otherwise.
pub const DIRECTORY: &str = "results";

/// Why a record could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file could not be read. Check the path and its permissions.
    #[error("{}: {source}; expected a record (.json or .json.gz)", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the file system or the decompressor said.
        source: io::Error,
    },
    /// The file begins like gzip but does not unpack. Copy it anew from where it came from.
    #[error("{}: begins like gzip but does not unpack ({source}); expected a record (.json or .json.gz)", path.display())]
    Gzip {
        /// The file.
        path: PathBuf,
        /// What the decompressor said.
        source: io::Error,
    },
    /// The file is longer than any record. It is not one.
    #[error("{}: longer than {} MiB unpacked; expected a record, which is shorter", path.display(), limit >> 20)]
    TooLong {
        /// The file.
        path: PathBuf,
        /// [`LONGEST_BYTES`].
        limit: u64,
    },
    /// The bytes are not text. The file is not a record.
    #[error("{}, byte {at}: not UTF-8; expected a record (.json or .json.gz)", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// Where, counted from 0 in the unpacked bytes.
        at: usize,
    },
    /// The text is not a record.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The directory could not be listed. Check the path and its permissions.
    #[error("{}: {source}; expected a directory with records", path.display())]
    List {
        /// The directory.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// There is no record in the directory. Make one with `allocmark run`, or name another directory.
    #[error("{}: no records in it; expected files that end in .json or .json.gz", path.display())]
    NoRecords {
        /// The directory.
        path: PathBuf,
    },
    /// A file of that name is there already, and records are never overwritten. Move it away or choose another name.
    #[error("{}: exists, and a record is never overwritten; expected a new name", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The record could not be written. Check the directory, its permissions and the space left.
    #[error("{}: cannot be written ({source}); expected a directory with room in it", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
}

/// Reads the record at `path`, packed or not.
///
/// # Errors
/// If there is no such file or it is not a record, in full, of the schema that this version reads.
pub fn read(path: &Path) -> Result<Record, StoreError> {
    let text = text(path, LONGEST_BYTES)?;
    Ok(wire::from_json(&text, path)?)
}

fn text(path: &Path, limit: u64) -> Result<String, StoreError> {
    let failed = |source| StoreError::Read { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_dir() {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    }
    let mut start = Vec::new();
    Read::by_ref(&mut file).take(2).read_to_end(&mut start).map_err(failed)?;
    let packed = start == [0x1f, 0x8b];
    let whole = start.as_slice().chain(file);
    // One byte more than allowed, to tell "just fits" from "longer".
    let mut bytes = Vec::new();
    if packed {
        let mut unpacked = MultiGzDecoder::new(whole).take(limit.saturating_add(1));
        unpacked
            .read_to_end(&mut bytes)
            .map_err(|source| StoreError::Gzip { path: path.to_owned(), source })?;
    } else {
        whole.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    }
    if bytes.len() as u64 > limit {
        return Err(StoreError::TooLong { path: path.to_owned(), limit });
    }
    String::from_utf8(bytes)
        .map_err(|error| StoreError::Text { path: path.to_owned(), at: error.utf8_error().valid_up_to() })
}

/// The record files in `directory`, by name and so, as ids begin with the time, by time: the newest is last.
/// Subdirectories and files of other names are passed over.
///
/// # Errors
/// If the directory cannot be read.
pub fn list(directory: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let failed = |source| StoreError::List { path: directory.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if id_in_name(&path).is_some() && path.is_file() {
            files.push(path);
        }
    }
    files.sort_by(|a, b| id_in_name(a).cmp(&id_in_name(b)).then_with(|| a.cmp(b)));
    Ok(files)
}

/// The newest record file in `directory`, by the id in its name.
///
/// # Errors
/// If the directory cannot be read or has no record.
pub fn newest(directory: &Path) -> Result<PathBuf, StoreError> {
    list(directory)?.pop().ok_or_else(|| StoreError::NoRecords { path: directory.to_owned() })
}

/// Writes `record` to `path`, packed if the name ends in `.gz`. The file appears whole or not at all, and one that is
/// there already stays as it is.
///
/// # Errors
/// If the file exists, cannot be written, or could not be read back: a record that contradicts itself is not written.
pub fn write(record: &Record, path: &Path) -> Result<(), StoreError> {
    let text = wire::to_json(record);
    wire::from_json(&text, path)?;
    let failed = |source| StoreError::Write { path: path.to_owned(), source };
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // In the same directory, because a rename between file systems would not be atomic.
    let mut file = tempfile::Builder::new()
        .prefix(".record-")
        .suffix(".partial")
        .tempfile_in(directory)
        .map_err(failed)?;
    if path.extension().is_some_and(|extension| extension == "gz") {
        // The header's time stays 0: the same record gives the same bytes.
        let mut packed = GzBuilder::new().write(&mut file, Compression::best());
        packed.write_all(text.as_bytes()).and_then(|()| packed.finish().map(drop)).map_err(failed)?;
    } else {
        file.write_all(text.as_bytes()).map_err(failed)?;
    }
    readable_as_others(file.as_file()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    file.persist_noclobber(path).map_err(|error| match error.error.kind() {
        io::ErrorKind::AlreadyExists => StoreError::Exists { path: path.to_owned() },
        _ => failed(error.error),
    })?;
    Ok(())
}

/// Temporary files are made for their owner alone; a record is as public as what is beside it.
#[cfg(unix)]
fn readable_as_others(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable_as_others(_: &File) -> io::Result<()> {
    Ok(())
}

/// Where `record` lies in `directory`: named by its id, packed.
pub fn path_in(directory: &Path, record: &Record) -> PathBuf {
    directory.join(format!("{}.json.gz", record.id))
}

fn id_in_name(path: &Path) -> Option<&str> {
    let name = path.file_name()?.to_str()?;
    let id = name.strip_suffix(".json.gz").or_else(|| name.strip_suffix(".json"))?;
    (!id.is_empty() && !id.starts_with('.')).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::import::import_tree;

    fn record() -> Record {
        let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/criterion-tree");
        import_tree(&tree).unwrap()
    }

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut packed = GzBuilder::new().write(Vec::new(), Compression::fast());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    }

    #[test]
    fn a_record_is_read_back_packed_or_not_whatever_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let record = record();
        for name in ["a.json", "a.json.gz"] {
            let path = directory.path().join(name);
            write(&record, &path).unwrap();
            let renamed = directory.path().join("x");
            fs::copy(&path, &renamed).unwrap();
            assert_eq!(read(&path).unwrap(), record);
            assert_eq!(read(&renamed).unwrap(), record);
        }
        let sizes =
            ["a.json", "a.json.gz"].map(|name| fs::metadata(directory.path().join(name)).unwrap().len());
        assert!(sizes[1] < sizes[0] / 2, "{sizes:?}");
    }

    #[test]
    fn the_same_record_gives_the_same_packed_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let record = record();
        let bytes = ["a.json.gz", "b.json.gz"].map(|name| {
            write(&record, &directory.path().join(name)).unwrap();
            fs::read(directory.path().join(name)).unwrap()
        });
        assert_eq!(bytes[0], bytes[1]);
    }

    #[test]
    fn a_record_is_never_overwritten_and_nothing_is_left_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        fs::write(&path, "precious").unwrap();
        let error = write(&record(), &path).unwrap_err();
        assert!(matches!(error, StoreError::Exists { .. }), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_record_that_could_not_be_read_back_is_not_written() {
        let directory = tempfile::tempdir().unwrap();
        let mut record = record();
        let twin = record.cells[0].clone();
        record.cells.push(twin);
        let error = write(&record, &directory.path().join("a.json")).unwrap_err();
        assert!(matches!(error, StoreError::Record(_)), "{error}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_that_is_not_there_is_named_when_writing() {
        let directory = tempfile::tempdir().unwrap();
        let error = write(&record(), &directory.path().join("no/such/a.json")).unwrap_err().to_string();
        assert!(error.contains("no/such/a.json: cannot be written"), "{error}");
    }

    #[test]
    fn what_unpacks_to_more_than_a_record_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bomb.json.gz");
        fs::write(&path, packed(&[b' '; 100_000])).unwrap();
        assert!(fs::metadata(&path).unwrap().len() < 1000);
        let error = text(&path, 99_999).unwrap_err();
        assert!(matches!(error, StoreError::TooLong { limit: 99_999, .. }), "{error}");
        assert_eq!(text(&path, 100_000).unwrap().len(), 100_000);
    }

    #[test]
    fn garbage_is_refused_by_its_kind() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        let whole = packed(b"{}");
        for garbage in [&b"\x1f\x8bgarbage"[..], &whole[..whole.len() - 4], &b"\x1f\x8b"[..]] {
            fs::write(&path, garbage).unwrap();
            let error = read(&path).unwrap_err();
            assert!(matches!(error, StoreError::Gzip { .. }), "{error}");
        }
        fs::write(&path, b"{\"schema\": \xff").unwrap();
        assert!(matches!(read(&path), Err(StoreError::Text { at: 11, .. })));
        assert!(read(directory.path()).unwrap_err().to_string().contains("is a directory"));
    }

    #[test]
    fn the_newest_record_is_the_one_with_the_last_id() {
        let directory = tempfile::tempdir().unwrap();
        for name in
            ["20260101T000000Z-b.json", "20260102T000000Z-a.json.gz", "20260101T000000Z-c.json", "README.md"]
        {
            fs::write(directory.path().join(name), "").unwrap();
        }
        fs::create_dir(directory.path().join("20270101T000000Z.json")).unwrap();
        assert!(newest(directory.path()).unwrap().ends_with("20260102T000000Z-a.json.gz"));
        assert_eq!(list(directory.path()).unwrap().len(), 3);
    }

    #[test]
    fn a_directory_without_records_is_an_error_that_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let error = newest(directory.path()).unwrap_err().to_string();
        assert!(error.contains("no records in it; expected files that end in .json"), "{error}");
        let error = newest(&directory.path().join("none")).unwrap_err().to_string();
        assert!(error.contains("expected a directory with records"), "{error}");
    }
}
