//! How a case is measured.

pub(crate) mod allocations;
pub(crate) mod instructions;
pub(crate) mod quiet;
pub(crate) mod time;
