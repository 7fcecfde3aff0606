//! The pages. To add one: a file here with a serialisable struct and a `PAGE`, its template under
//! `report-templates/pages/`, and a row in [`PAGES`].

mod allocator;
mod cells;
mod data;
pub(crate) mod goals;
mod method;
mod overview;
mod ranks;
mod table;
mod workload;

use serde::Serialize;

use super::plot;
use super::site::{Shape, Site};
use super::{File, ReportError};

pub(crate) use table::Table;
pub(crate) use workload::{SECTIONS, latency, memory};

/// A kind of page.
pub(crate) struct Page {
    /// The template's name and text.
    pub(crate) template: (&'static str, &'static str),
    /// The files of this kind for a record.
    pub(crate) render: fn(&Site<'_>) -> Result<Vec<File>, ReportError>,
}

/// Every kind of page.
pub(crate) const PAGES: [Page; 5] =
    [overview::PAGE, workload::PAGE, allocator::PAGE, method::PAGE, data::PAGE];

/// Every page of the site.
pub(crate) fn render(site: &Site<'_>) -> Result<Vec<File>, ReportError> {
    let mut files = Vec::new();
    for page in &PAGES {
        files.extend((page.render)(site)?);
    }
    Ok(files)
}

/// More siblings than this would push the page itself off the screen: then there is only the way back.
const MOST_SIBLINGS: usize = 40;

/// What every page's frame needs.
#[derive(Serialize)]
struct Frame {
    /// From the page to the site's root: `` or `../`.
    root: &'static str,
    title: String,
    /// The section that is marked in the navigation.
    section: &'static str,
    record: String,
    /// Pages of the same kind.
    siblings: Vec<Link>,
}

/// A link, its name maybe from a record.
#[derive(Clone, Serialize)]
pub(crate) struct Link {
    href: String,
    pub(crate) name: String,
    /// An allocator's marker, ready to insert.
    swatch: Option<String>,
    /// Whether it leads to the page it stands on.
    here: bool,
}

impl Frame {
    fn new(site: &Site<'_>, root: &'static str, section: &'static str, title: &str) -> Self {
        Self { root, title: title.to_owned(), section, record: site.record.id.clone(), siblings: Vec::new() }
    }

    fn with_siblings(mut self, links: impl ExactSizeIterator<Item = Link>) -> Self {
        if links.len() <= MOST_SIBLINGS {
            self.siblings = links.collect();
        }
        self
    }
}

/// The way to an allocator's page.
fn allocator_link(site: &Site<'_>, root: &str, index: usize) -> Link {
    let subject = &site.allocators[index];
    Link {
        href: format!("{root}allocator/{}.html", subject.slug),
        name: subject.about.id.clone(),
        swatch: Some(plot::swatch(subject.look)),
        here: false,
    }
}

/// The way to a workload's page.
fn workload_link(site: &Site<'_>, root: &str, index: usize) -> Link {
    let shape = &site.workloads[index];
    Link {
        href: format!("{root}workload/{}.html", shape.slug),
        name: shape.about.id.clone(),
        swatch: None,
        here: false,
    }
}

/// The place of a case on its workload's page, from a page of the same depth.
fn case_href(shape: &Shape<'_>, number: usize) -> String {
    format!("../workload/{}.html#case-{}", shape.slug, number + 1)
}

/// `1 case`, `2 cases`.
fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", super::numbers::grouped(number as u64))
}

/// The ids of allocators that whoever measured also wrote, as a list in words.
fn ours(site: &Site<'_>) -> String {
    let ids: Vec<&str> =
        site.allocators.iter().filter(|it| it.about.ours).map(|it| it.about.id.as_str()).collect();
    in_words(&ids)
}

/// `a`, `a and b`, `a, b and c`.
fn in_words(ids: &[&str]) -> String {
    match ids.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}

/// The paragraphs of a text from a record, which are separated by blank lines.
fn paragraphs(text: &str) -> Vec<String> {
    text.split("\n\n").map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}
