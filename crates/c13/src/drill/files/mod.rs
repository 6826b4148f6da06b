//! Reports of a drill as files: a page, a picture, a comment for a pull request, test results for CI.
//!
//! | report | in |
//! |---|---|
//! | [`svg`] | the timeline as a picture |
//! | [`html`] | one page with everything, which needs nothing from elsewhere |
//! | [`markdown`] | a comment of a pull request |
//! | [`junit`] | each objective as a test |

mod escaped;
mod html;
mod junit;
mod markdown;
mod svg;
#[cfg(test)]
mod tests;

use escaped::escape;

use super::summary::Summary;

/// What a report knows besides the result.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Origin {
    /// The command line that makes the same drill again.
    pub(crate) command: String,
    /// The scenario's text.
    pub(crate) scenario: String,
}

/// How a report is written.
pub(crate) type Report = fn(&Summary, &Origin) -> String;

pub(crate) const HTML: Report = html::render;
pub(crate) const SVG: Report = |summary, _| svg::render(summary);
pub(crate) const MARKDOWN: Report = |summary, _| markdown::render(summary);
pub(crate) const JUNIT: Report = |summary, _| junit::render(summary);
