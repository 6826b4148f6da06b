//! The arguments of `c13 soak`, and its help.

use std::time::Duration;

use c13_reliability::policy::document::parse_duration;
use clap::Args;

use crate::status::{self, Verb};

/// Put every pattern under load, faults, cancellation and reload in real time, then check that every count adds up
///
/// Callers go through breaker, limiters, bulkhead, adaptive limit, retry, timeout, hedge, fallback, cache, a policy whose
/// file changes, and a lock, to a dependency that fails, hangs and panics by turns; one call in eight is dropped midway. In the
/// end every count must add up, no task and no open file may be left, and memory must be flat after the warm-up.
#[derive(Debug, Args)]
#[command(after_long_help = status::help(EXAMPLES, Verb::Soak))]
pub(crate) struct SoakArgs {
    /// How long, such as `90s` or `2h`; at least 10s, at most 7d
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration, default_value = "10m")]
    pub(crate) length: Duration,

    /// Where the random numbers start
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) seed: u64,

    /// Print one JSON object in place of the table
    #[arg(long)]
    pub(crate) json: bool,
}

const EXAMPLES: &str = "\
Examples:
  c13 soak                     ten minutes
  c13 soak --for 60s --json    as a test of a machine or an image";
