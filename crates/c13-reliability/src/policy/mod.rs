//! Policies: the patterns put together under one name.

#[cfg(feature = "toml")]
pub mod document;
