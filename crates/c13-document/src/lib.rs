//! TOML files read by name and place: every error in one go, each with its line, its rule and a way out.
//!
//! A deserialiser stops at the first error and forgets where a value stood. An engineer who mends a policy during an
//! incident wants the whole list at once, with the lines to change. So a [`Document`] keeps the place of every key and value, and
//! is read by asking for what should be there:
//!
//! ```
//! use c13_document::{Document, Source};
//! use std::{num::NonZeroU32, time::Duration};
//!
//! let text = "deadline = \"2s\"\nconcurrency = 0\n\n[queue]\ncapcity = 10\n";
//! let document = Document::parse(Source::new("service.toml", text));
//! let root = document.root();
//! let deadline: Option<Duration> = root.required("deadline");
//! let concurrency: Option<NonZeroU32> = root.required("concurrency");
//! let capacity: Option<u32> = root.required_table("queue").and_then(|queue| queue.required("capacity"));
//!
//! let settings = document.finish(deadline.zip(concurrency).zip(capacity));
//! assert_eq!(settings.unwrap_err().to_string(), r#"
//! error: `concurrency` must be a whole number from 1 to 4294967295
//!  --> service.toml:2:15
//!   |
//! 2 | concurrency = 0
//!   |               ^ too small
//!
//! error: unknown key `queue.capcity`
//!  --> service.toml:5:1
//!   |
//! 5 | capcity = 10
//!   | ^^^^^^^ not a key of `queue`
//!   |
//!   = help: did you mean `capacity`?
//! "#.trim_start());
//! ```
//!
//! What to know:
//!
//! - Nothing fails early. A reader that finds a value missing or wrong notes it and answers `None`, and the caller reads
//!   on. [`Document::finish`] gives the value only if nothing was noted.
//! - Asking makes a key known. A key that was not asked for is reported by `finish` as unknown, with the nearest name that
//!   was asked for; no key is ever silently ignored.
//! - One mistake makes one error: a key that is missing because it is misspelt is reported as misspelt, and nothing is
//!   reported twice.
//! - Syntax errors do not hide the rest: what can still be read is read and checked, but a value on a broken line
//!   counts as neither wrong nor missing.
//! - Reading is bounded. Of very many errors the first 200 are kept and the others counted; a text with over a thousand
//!   syntax errors is read no further, nor is one below a key of over 128 bytes or a table over 16 deep.
//!   [`Diagnostics::has_stopped`] says so.
//! - Quantities carry their unit: durations are `"1.5s"` or `"2m 30s"`, ratios `0.5` or `"50%"`, rates `"100/s"`
//!   (see [`parse_duration`], [`Ratio`], [`Rate`]). All are exact.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::print_stderr, clippy::print_stdout))]

mod diagnostic;
mod duration;
mod layers;
mod node;
mod quantity;
mod read;
mod refused;
mod render;
mod scan;
mod source;
mod suggest;
mod syntax;
mod table;
#[cfg(test)]
mod tests;
mod trace;
mod value;

pub use diagnostic::{Diagnostic, Diagnostics, Label, Noted};
pub use duration::{duration_text, parse_duration};
pub use quantity::{QuantityError, Rate, Ratio};
pub use read::{FromValue, ValueError, whole};
pub use source::{Position, Source, Span};
pub use suggest::nearest;
pub use table::{Document, Table};
pub use trace::Said;
pub use value::{Shape, Value};
