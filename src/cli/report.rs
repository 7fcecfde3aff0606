//! `allocmark report`: the comparison site from records.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::bail;

use super::{Exit, print, say};
use crate::report;
use crate::results::record::Record;
use crate::results::store;

/// Write the comparison site from records
///
/// The site is a directory of plain HTML files, readable without a server and without the net. It is made from the
/// records alone: the same records give the same site, on any machine and at any time. The first record is the one shown.
///
/// Without a RECORD the newest one under results/ is taken; a directory stands for the newest record in it. A directory
/// at --out that is not a site of ours is left alone.
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "Example:\n  allocmark report results/20260102T030405Z-abcdef0-quick.json.gz --out site --open"
)]
pub(super) struct Flags {
    /// Records (.json or .json.gz), or directories with records [default: the newest under results/]
    #[arg(value_name = "RECORD")]
    records: Vec<PathBuf>,
    /// Where to put the site
    #[arg(long, value_name = "DIR", default_value = "site")]
    out: PathBuf,
    /// Show it in the browser afterwards
    #[arg(long)]
    open: bool,
}

/// Writes the site and prints the path of its first page.
pub(super) fn run(flags: &Flags) -> anyhow::Result<Exit> {
    let named = match flags.records.as_slice() {
        [] => vec![store::newest(Path::new(store::DIRECTORY))?],
        named => named.to_vec(),
    };
    let index = write(&named, &flags.out)?;
    if flags.open {
        open(&index);
    }
    Ok(Exit::Fine)
}

/// Writes the site of the records at `paths` to `out`, prints the path of its first page and gives it back.
pub(super) fn write(paths: &[PathBuf], out: &Path) -> anyhow::Result<PathBuf> {
    let records = read(paths)?;
    let summary = report::write_site(&records, out)?;
    say(format_args!(
        "{} pages, {} files, {} KiB",
        summary.pages,
        summary.files,
        summary.bytes.div_ceil(1024)
    ));
    print(summary.index.display())?;
    Ok(summary.index)
}

/// The records at `paths`, each of them with something to show.
fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<Record>> {
    let mut records = Vec::with_capacity(paths.len());
    let mut seen: HashMap<String, PathBuf> = HashMap::new();
    for path in paths {
        let path = if path.is_dir() { store::newest(path)? } else { path.clone() };
        let record = store::read(&path)?;
        if record.cells.is_empty() {
            bail!("{}, cells: empty; expected at least one measured cell to report on", path.display());
        }
        if let Some(first) = seen.insert(record.id.clone(), path.clone()) {
            bail!(
                "{}, id: the same record as {}; expected each record once",
                path.display(),
                first.display()
            );
        }
        records.push(record);
    }
    Ok(records)
}

/// Asks the desktop to show `page`. The site is there either way, so a refusal is only said.
fn open(page: &Path) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    if let Err(error) = Command::new(program).arg(page).spawn() {
        say(format_args!("{program}: {error}; open {} by hand", page.display()));
    }
}
