//! The settings of a policy and of a limit, a row each, in the order in which they are reported.

mod breaker;
mod limit;
mod limits;
mod repeats;
mod table;

pub(super) use limit::LIMIT;
pub use limit::limit_keys;
pub(super) use table::{PARTS, rows};
pub use table::{keys, switches};
