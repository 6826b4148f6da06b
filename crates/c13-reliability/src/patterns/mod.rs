//! The local patterns, one folder each; none of them imports another.

pub mod retry;
pub mod timeout;
