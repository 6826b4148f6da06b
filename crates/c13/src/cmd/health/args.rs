//! The arguments of `c13 health`, and its help.

use std::time::Duration;

use c13_reliability::microservices::health::ProbeUrl;
use c13_reliability::policy::document::parse_duration;
use clap::Args;

use crate::status::{self, Verb};

/// Ask a service whether it is healthy, for the health checks of containers
///
/// Asks an HTTP address once, or again and again until it is healthy. Needs no curl in the image.
#[derive(Debug, Args)]
#[command(after_long_help = status::help(EXAMPLES, Verb::Health))]
pub(crate) struct HealthArgs {
    /// The address, such as `http://127.0.0.1:8080/ready`; without TLS
    #[arg(value_name = "URL")]
    pub(crate) url: ProbeUrl,

    /// Ask again until it is healthy, for at most this long, such as `30s`
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) wait: Option<Duration>,

    /// How long one answer may take
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "1s")]
    pub(crate) timeout: Duration,
}

const EXAMPLES: &str = "\
Examples:
  HEALTHCHECK CMD [\"c13\", \"health\", \"http://127.0.0.1:8080/ready\"]
  c13 health http://127.0.0.1:8080/startup --wait 30s && run-the-tests";
