//! The templates and the style sheet, embedded.

use std::sync::LazyLock;

use serde::Serialize;
use tera::{Context, Tera};

use super::{ReportError, pages};

/// The one style sheet.
pub(crate) const STYLE: &str = include_str!("../../report-templates/style.css");

const LAYOUT: (&str, &str) = ("layout.html", include_str!("../../report-templates/layout.html"));
const PARTS: (&str, &str) = ("parts.html", include_str!("../../report-templates/parts.html"));

static ENGINE: LazyLock<Result<Tera, String>> = LazyLock::new(|| {
    let mut tera = Tera::new();
    // Stated, although it is the default: everything from a record is escaped.
    tera.autoescape_on([".html"]);
    let pages = pages::PAGES.iter().map(|page| page.template);
    tera.add_raw_templates([LAYOUT, PARTS].into_iter().chain(pages::SECTIONS).chain(pages))
        .map_err(|error| error.to_string())?;
    Ok(tera)
});

/// `context` through the template called `template`; `page` names the result in an error.
pub(crate) fn render<T: Serialize>(template: &str, page: &str, context: &T) -> Result<String, ReportError> {
    let failed =
        |source: tera::Error| ReportError::Template { page: page.to_owned(), source: Box::new(source) };
    let engine = ENGINE.as_ref().map_err(|message| failed(tera::Error::message(message)))?;
    let context = Context::from_serialize(context).map_err(failed)?;
    engine.render(template, &context).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_parses() {
        assert_eq!(ENGINE.as_ref().err(), None);
    }
}
