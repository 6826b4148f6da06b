//! Keeps a service's calls succeeding while the things it depends on fail.
//!
//! | module | what it holds |
//! |---|---|
//! | [`time`] | [`Tick`](time::Tick), the one [`Clock`](time::Clock), sleeping and time limits; with `test-util` the virtual clock and executor |
//! | [`sync`] | the log-linear histogram, a seedable source of random numbers |
//! | [`window`] | the last N calls and the last T of time, both O(1) and truly sliding |
//! | [`budget`] | how many extra attempts all calls together may make; shared by retry and hedge |
//! | [`verdict`] | what a result means: its outcome to gates, and whether it is worth another attempt |
//! | [`patterns`] | the patterns themselves, one module each |
//! | [`policy`] | patterns put together; with `toml` the files that policies and drills are read from |
//! | [`realtime`] | periodic tasks with absolute deadlines; a supervisor that starts failed tasks again |
//! | [`distributed`] | what many processes share: locks with fencing tokens, rate limits |
//! | [`gate`] | admit, run, record: what breaker, limiter and bulkhead have in common |
//! | [`snapshot`] | what the parts report of themselves, and the registry that all readers read |
//! | [`microservices`] | what a service shows of itself: health, readiness, draining |
//! | [`observability`] | metrics as Prometheus text and over OpenTelemetry |
//! | [`error`] | what every part shares: a refused setting, a refused call |

#![cfg_attr(not(test), warn(clippy::print_stderr, clippy::print_stdout))]

pub mod budget;
pub mod distributed;
pub mod error;
pub mod gate;
mod keyed;
pub mod microservices;
pub mod observability;
pub mod patterns;
pub mod policy;
pub mod realtime;
mod setters;
mod single_flight;
pub mod snapshot;
pub mod sync;
pub mod time;
pub mod verdict;
pub mod window;

/// What mangles the inputs of the fuzz targets that call private readers; it names this crate as the other tests do.
#[cfg(all(test, not(c13_loom)))]
#[path = "../tests/it/fuzz/mutate.rs"]
mod mutate;
#[cfg(all(test, not(c13_loom)))]
extern crate self as c13_reliability;

pub use error::{ConfigError, Layer, Rejected};

/// The snippets of the README and the guide, run as documentation tests.
#[cfg(all(doctest, feature = "toml", feature = "tokio"))]
mod snippets {
    #[doc = include_str!("../../../README.md")]
    struct Readme;
    #[doc = include_str!("../../../docs/policies.md")]
    struct Policies;
}
