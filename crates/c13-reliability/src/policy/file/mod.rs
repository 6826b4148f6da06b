//! Policies as they stand in TOML: every setting by its name, checked with all the others, every error with its line.
//!
//! The tables of all keys are at the end; [`key_tables`] writes them, and [`schema`] the same for editors.
//!
//! `false` in place of a table, of a timeout or of a rule of the breaker, switches it off.
//!
//! A service's file names its policies: `[policy.NAME]`, each with `extends = "…"` (a profile or another policy) if it is to
//! start from one, and `[defaults]` under all of them. [`PolicyFiles`] reads it with its layers: code, `[defaults]`, what a
//! policy extends, the policy itself; in each of these, a second file over the first, environment variables over files, and
//! `--set` over all. Only code and files name policies; variables and `--set` change what these say.
//!
//! Limits of requests by key are `[limit.NAME]`, with the same layers but without `[defaults]` and `extends`.
//!
//! A part of `[defaults]` that can stand by itself is in every policy that does not switch it off. One that cannot, because
//! it lacks the key without which there is no such part (`max_retries` of `retry`, `rate` of `rate_limit`, `max_concurrent`
//! of `bulkhead`, `delay` of `hedge`, any of its rules of `circuit_breaker`), gives its values to the policies that have the
//! part, by themselves or by what they extend, and switches nothing on.
//!
//! ```
//! use c13_reliability::policy::Profile;
//! use c13_reliability::policy::document::{Document, Source};
//! use c13_reliability::policy::file::{profile_document, read_policy};
//! use std::time::Duration;
//!
//! let critical = profile_document(Profile::Critical);
//! let own = Document::parse(Source::new("service.toml", "timeout = { total = \"3s\", attempt = \"500ms\" }"));
//! let config = read_policy("policy.payments", &[critical.root(), own.root()])?;
//! assert_eq!(config.total_timeout, Some(Duration::from_secs(3)));
//! assert_eq!(config.circuit_breaker, Profile::Critical.config().circuit_breaker);
//! # Ok::<_, c13_reliability::policy::document::Diagnostics>(())
//! ```
//!
#![doc = include_str!("../../../../../docs/keys.md")]

mod chain;
mod faults;
mod findings;
mod idle;
mod limit_tables;
mod names;
mod overlay;
mod read;
mod row;
mod rows;
mod schema;
mod set;
mod setting;
mod settings;
#[cfg(all(test, not(c13_loom)))]
mod tests;
mod text;

pub use read::read_policy;
pub use rows::{keys, limit_keys, switches};
pub use schema::{key_tables, schema};
pub use set::{Change, ENVIRONMENT_PREFIX, PolicyFiles, PolicySet};
pub use setting::{NamedLimit, NamedPolicy, NamedSettings, Place, Setting, is_in_file, origin_text};
pub use text::{Leaf, leaves, policy_text, profile_document};

/// A service's file to start from.
pub const STARTER: &str = include_str!("starter.toml");
