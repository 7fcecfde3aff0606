//! Layer 5: the comparison site, made from records alone.
//!
//! [`write_site`] is a function of its records: the same records give the same bytes. It reads neither clock nor
//! environment, and the output directory appears whole or not at all.
//!
//! | file | what |
//! |---|---|
//! | `site` | indexes over a record: cases, cells, classes, best values |
//! | `pages/` | one file a page: what it shows, as a serialisable struct |
//! | `plot/` | drawings: coordinates to SVG, no HTML |
//! | `look` | the colour, marker and dash of each allocator |
//! | `best` | which figure the star marks |
//! | `compare` | ratios between allocators |
//! | `heat` | the steps of the heat scale |
//! | `numbers` | digits and alignment in tables |
//! | `percentiles` | latency percentiles from buckets, and which of them say something |
//! | `slug` | file names from ids |
//! | `templates` | the embedded templates and style sheet |
//! | `downloads` | the record, CSV and Markdown beside the pages |
//! | `output` | the directory that appears whole |

mod best;
mod compare;
mod downloads;
mod heat;
mod look;
mod numbers;
mod output;
mod pages;
mod percentiles;
mod plot;
mod site;
mod slug;
mod templates;

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::results::record::Record;

/// What [`write_site`] wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The page to open first.
    pub index: PathBuf,
    /// HTML pages.
    pub pages: usize,
    /// Files in all.
    pub files: usize,
    /// Their size together, bytes.
    pub bytes: u64,
}

/// Why there is no site.
#[derive(Debug, Error)]
pub enum ReportError {
    /// No record was given: name one.
    #[error("there is no record to show")]
    NoRecord,
    /// The output path holds something that is not a site of ours. Choose another path, or move it away.
    #[error("{} exists and is not a site written by allocmark: choose another directory", path.display())]
    Occupied {
        /// The output path.
        path: PathBuf,
    },
    /// A file or directory could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A template does not fit the page it is for: a defect of this program.
    #[error("cannot render {page}: {source}")]
    Template {
        /// The page's file name.
        page: String,
        /// What the template engine said.
        source: Box<tera::Error>,
    },
    /// A plot could not be drawn: a defect of this program.
    #[error("cannot draw {plot}: {detail}")]
    Plot {
        /// Which plot.
        plot: &'static str,
        /// What the drawing library said.
        detail: String,
    },
}

/// Writes the site for `records` to the directory `out`; the first record is the one shown.
///
/// `out` may be absent, empty, or a site that this function wrote before, which is then replaced.
///
/// # Errors
///
/// See [`ReportError`]. After an error `out` is what it was before.
pub fn write_site(records: &[Record], out: &Path) -> Result<Summary, ReportError> {
    let record = records.first().ok_or(ReportError::NoRecord)?;
    let files = render(record)?;
    output::write(&files, out)?;
    Ok(Summary {
        index: out.join("index.html"),
        pages: files.iter().filter(|file| file.path.ends_with(".html")).count(),
        files: files.len(),
        bytes: files.iter().map(|file| file.content.len() as u64).sum(),
    })
}

/// A file of the site before it is written.
pub(crate) struct File {
    /// Relative to the site, `/` between parts, each part a slug.
    pub(crate) path: String,
    pub(crate) content: String,
}

fn render(record: &Record) -> Result<Vec<File>, ReportError> {
    let site = site::Site::new(record);
    let mut files = downloads::files(&site);
    files.push(File { path: "style.css".to_owned(), content: templates::STYLE.to_owned() });
    files.extend(pages::render(&site)?);
    Ok(files)
}
