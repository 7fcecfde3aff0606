//! The data behind the pages, to take away.

use serde::Serialize;

use super::{Frame, Link, Page, allocator_link, count, workload_link};
use crate::report::site::Site;
use crate::report::{File, ReportError, downloads, templates};

const NAME: &str = "data.html";

pub(crate) const PAGE: Page =
    Page { template: ("pages/data.html", include_str!("../../../report-templates/pages/data.html")), render };

#[derive(Serialize)]
struct Data {
    frame: Frame,
    files: Vec<Download>,
    measured: String,
    absent: String,
    failed: String,
    allocators: Vec<Link>,
    workloads: Vec<Link>,
}

#[derive(Serialize)]
struct Download {
    href: String,
    what: &'static str,
}

fn render(site: &Site<'_>) -> Result<Vec<File>, ReportError> {
    let record = site.record;
    let page = Data {
        frame: Frame::new(site, "", "data", "Data"),
        files: downloads::LIST
            .iter()
            .map(|row| Download { href: row.path.to_owned(), what: row.what })
            .collect(),
        measured: count(record.cells.len(), "measured cell"),
        absent: count(record.absent.len(), "absent cell"),
        failed: count(record.failed.len(), "failed cell"),
        allocators: (0..site.allocators.len()).map(|index| allocator_link(site, "", index)).collect(),
        workloads: (0..site.workloads.len()).map(|index| workload_link(site, "", index)).collect(),
    };
    let content = templates::render(PAGE.template.0, NAME, &page)?;
    Ok(vec![File { path: NAME.to_owned(), content }])
}
