//! What is to be run and under which conditions, read from the command line and checked. Pure.

use std::ffi::OsString;
use std::time::Duration;

use c13_reliability::distributed::lock::LockConfig;
use c13_reliability::policy::document::{Rate, parse_duration};

use crate::args::RunArgs;

/// A checked command line of `c13 run`.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) command: Vec<OsString>,
    pub(crate) lock: Option<LockPlan>,
    pub(crate) limit: Option<LimitPlan>,
    pub(crate) retries: u32,
    pub(crate) backoff: Duration,
    /// With which statuses to run again; all but 0 where it is empty.
    pub(crate) retry_on: Vec<u8>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) kill_after: Duration,
    pub(crate) wait: Duration,
    /// The status for "somebody else has the lock".
    pub(crate) conflict: u8,
    pub(crate) redis: Option<String>,
}

#[derive(Debug)]
pub(crate) struct LockPlan {
    pub(crate) key: String,
    pub(crate) config: LockConfig,
}

#[derive(Debug)]
pub(crate) struct LimitPlan {
    pub(crate) key: String,
    pub(crate) rate: f64,
    pub(crate) burst: u64,
}

impl Plan {
    /// Checks the command line; `redis_url` is that of the environment.
    pub(crate) fn of(args: RunArgs, redis_url: Option<String>) -> Result<Self, String> {
        let duration = |name: &str, text: &str| parse_duration(text).map_err(|error| format!("--{name}: {error}"));
        let kill_after = duration("kill-after", &args.kill_after)?;
        let lock = match args.lock {
            None => None,
            Some(key) => {
                let config = LockConfig::new(duration("ttl", &args.ttl)?);
                config.validate().map_err(|error| format!("--ttl: {error}"))?;
                Some(LockPlan { key, config })
            }
        };
        let limit = match (args.limit, args.limit_key) {
            (Some(text), Some(key)) => {
                let rate: Rate = text.parse().map_err(|error| format!("--limit: {error}"))?;
                let burst = text
                    .split('/')
                    .next()
                    .and_then(|count| count.trim().parse().ok())
                    .unwrap_or(1);
                let rate = rate.per_second();
                Some(LimitPlan { key, rate, burst })
            }
            _ => None,
        };
        let wait = match (args.nonblock, &args.wait) {
            (true, _) => Duration::ZERO,
            (false, Some(text)) => duration("wait", text)?,
            (false, None) => Duration::MAX,
        };
        Ok(Self {
            command: args.command,
            lock,
            limit,
            retries: args.retry,
            backoff: duration("backoff", &args.backoff)?,
            retry_on: args.retry_on,
            timeout: args.timeout.map(|text| duration("timeout", &text)).transpose()?,
            kill_after,
            wait,
            conflict: args.conflict_exit_code,
            redis: args.redis.or(redis_url),
        })
    }

    /// Whether a command that ended with `status` is run again after `runs` runs.
    pub(crate) fn runs_again(&self, status: u8, runs: u32) -> bool {
        let wanted = if self.retry_on.is_empty() {
            status != 0
        } else {
            self.retry_on.contains(&status)
        };
        wanted && runs <= self.retries
    }

    /// How long to wait before run number `runs + 1`: the first wait, doubled each time, at most an hour.
    pub(crate) fn pause(&self, runs: u32) -> Duration {
        let doubled = 1_u32.checked_shl(runs.saturating_sub(1).min(20)).unwrap_or(u32::MAX);
        self.backoff.saturating_mul(doubled).min(Duration::from_secs(3600))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Command, CommandLine};
    use clap::Parser;

    fn plan(arguments: &[&str]) -> Result<Plan, String> {
        let line = ["c13", "run"].iter().chain(arguments).chain(&["--", "true"]);
        match CommandLine::try_parse_from(line)
            .map_err(|error| error.to_string())?
            .command
        {
            Command::Run(args) => Plan::of(args, None),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn retries_are_counted_after_the_first_run_and_wait_twice_as_long_each_time() {
        let plan = plan(&["--retry", "2", "--backoff", "100ms"]).expect("it is right");
        assert!(plan.runs_again(1, 1) && plan.runs_again(1, 2) && !plan.runs_again(1, 3));
        assert!(!plan.runs_again(0, 1));
        assert_eq!(
            [plan.pause(1), plan.pause(2)],
            [Duration::from_millis(100), Duration::from_millis(200)]
        );
        assert!(plan.pause(u32::MAX) <= Duration::from_secs(3600));
    }

    #[test]
    fn only_the_statuses_that_are_named_are_tried_again() {
        let plan = plan(&["--retry", "2", "--retry-on", "75,3"]).expect("it is right");
        assert!(plan.runs_again(75, 1) && plan.runs_again(3, 1) && !plan.runs_again(1, 1));
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for (arguments, word) in [
            (&["--lock", "k", "--ttl", "1ms"][..], "--ttl"),
            (&["--timeout", "soon"], "--timeout"),
            (&["--limit", "ten", "--limit-key", "k"], "--limit"),
            (&["--limit", "10/m"], "--limit-key"),
            (&["--wait", "1s", "--nonblock"], "--nonblock"),
        ] {
            let error = plan(arguments).expect_err("it is wrong");
            assert!(error.contains(word), "{arguments:?}: {error}");
        }
    }
}
