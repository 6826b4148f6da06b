//! The settings of a policy, a row each, in the order in which they are reported.

mod breaker;
mod limits;
mod repeats;
mod table;

pub(super) use table::{PARTS, rows};
pub use table::{keys, switches};
