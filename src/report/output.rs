//! The directory that appears whole or not at all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{File, ReportError};

/// Stands in every site, so that a later run knows that it may replace the directory.
const MARKER: &str = ".allocmark-site";

const MARKER_TEXT: &str =
    "Written by `allocmark report`, which may replace this directory as long as this file is in it.\n";

/// Writes `files` to a new directory beside `out`, then puts it in `out`'s place.
pub(crate) fn write(files: &[File], out: &Path) -> Result<(), ReportError> {
    let old = check(out)?;
    let parent = match out.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(failed("create", parent))?;
    // In the same directory as `out`, so that the renames below stay on one file system.
    let staging = tempfile::Builder::new()
        .prefix(".allocmark-")
        .tempdir_in(parent)
        .map_err(failed("create a directory in", parent))?;
    let fresh = staging.path().join("site");
    fs::create_dir(&fresh).map_err(failed("create", &fresh))?;
    for file in files {
        write_file(&fresh.join(&file.path), &file.content)?;
    }
    write_file(&fresh.join(MARKER), MARKER_TEXT)?;
    if !old {
        return fs::rename(&fresh, out).map_err(failed("create", out));
    }
    let aside = staging.path().join("old");
    fs::rename(out, &aside).map_err(failed("move away the old", out))?;
    if let Err(source) = fs::rename(&fresh, out) {
        // Best effort: the error below is the one that matters.
        let _ = fs::rename(&aside, out);
        return Err(failed("create", out)(source));
    }
    Ok(())
}

/// Whether there is something at `out` to replace; an error if it is not ours to replace.
fn check(out: &Path) -> Result<bool, ReportError> {
    let occupied = || ReportError::Occupied { path: out.to_owned() };
    match fs::symlink_metadata(out) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(failed("look at", out)(source)),
        Ok(found) if !found.is_dir() => return Err(occupied()),
        Ok(_) => {}
    }
    if out.join(MARKER).is_file() {
        return Ok(true);
    }
    let mut entries = fs::read_dir(out).map_err(failed("read", out))?;
    if entries.next().is_some() { Err(occupied()) } else { Ok(true) }
}

fn write_file(path: &Path, content: &str) -> Result<(), ReportError> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed("create", parent))?;
    }
    fs::write(path, content).map_err(failed("write", path))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ReportError + use<> {
    let path: PathBuf = path.to_owned();
    move |source| ReportError::Io { action, path, source }
}
