//! Policies as they stand in TOML: every setting by its name, checked with all the others, every error with its line.
//!
//! | table | keys |
//! |---|---|
//! | `timeout` | `total`, `attempt` |
//! | `rate_limit` | `rate`, `per` (`call`, `attempt`), `burst` (one second's rate unless set), `max_wait`, `max_waiters`, `start_empty`, `paced`, `shadow`, `warm_up` (`period`, `cold_factor`) |
//! | `bulkhead` | `max_concurrent`, `max_queue`, `max_wait` |
//! | `adaptive` (in place of `bulkhead`) | `strategy` (`gradient` with `buffer`, `vegas` with `alpha` and `beta`, `aimd` with `backoff`), `initial_limit`, `min_limit`, `max_limit`, `window`, `min_calls`, `timeout`, `drop_ratio`, `baseline_age`, `max_queue`, `max_wait` |
//! | `retry` | `max_retries` (the first call not counted), `backoff`, `budget`, `total_limit`, `max_hint` |
//! | `retry.backoff` | `strategy` (`exponential`, `linear`, `fixed`, `fibonacci`), `base`, `multiplier`, `increment`, `max`, `jitter` (`full`, `equal`, `decorrelated`, `none`) |
//! | `retry.budget` | `ratio`, `min_per_second`, `window` |
//! | `hedge` | `delay` (`"50ms"`; `{ quantile = "95%", min_calls = 100, window = "30s" }` of what is measured; `false`: only a failure starts one), `max_extra` (one unless set), `budget` (where there is no retry with one) |
//! | `circuit_breaker` | the rules `consecutive_failures`, `failures` (with `failure_share`), `failure_rate`, `slow_call` (with `slow_rate`), of which the first to be met opens it; `window` (`"30s"` or `{ calls = 100 }`) and `min_calls` for all of them, `failures_window`, `slow_window` and `slow_min_calls` for one; `success_threshold`, `half_open_calls`, `half_open_timeout`, `open_for`, `open_for_max`, `open_for_multiplier`, `jitter`, `abandoned` (`ignored`, `failure`), `recovery` |
//! | `circuit_breaker.recovery` | `shares`, `stage_length`, `failure_rate`, `min_calls` |
//!
//! `false` in place of a table, of a timeout or of a rule of the breaker, switches it off.
//!
//! A service's file names its policies: `[policy.NAME]`, each with `extends = "…"` (a profile or another policy) if it is to
//! start from one, and `[defaults]` under all of them. [`PolicyFiles`] reads it with its layers: code, `[defaults]`, what a
//! policy extends, the policy itself; in each of these, a second file over the first, environment variables over files, and
//! `--set` over all. Only code and files name policies; variables and `--set` change what these say.
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

mod adaptive;
mod breaker;
mod chain;
mod faults;
mod fit;
mod hedge;
mod idle;
mod overlay;
mod read;
mod retry;
mod set;
mod setting;
#[cfg(all(test, not(c13_loom)))]
mod tests;
mod text;

pub use read::read_policy;
pub use set::{Change, ENVIRONMENT_PREFIX, PolicyFiles, PolicySet};
pub use setting::{NamedPolicy, Place, Setting, is_in_file, origin_text, switches};
pub use text::{Leaf, leaves, policy_text, profile_document};

/// The JSON schema of a service's file, for editors.
pub const SCHEMA: &str = include_str!("schema.json");

/// A service's file to start from.
pub const STARTER: &str = include_str!("starter.toml");
