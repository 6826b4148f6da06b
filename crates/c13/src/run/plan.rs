//! The command and the conditions that it runs under, read from the command line and a policy, and checked. Pure.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use c13_reliability::distributed::lock::LockConfig;
use c13_reliability::patterns::circuit_breaker::CircuitBreakerConfig;
use c13_reliability::patterns::retry::{Jitter, RetryConfig, RetryStrategy};
use c13_reliability::policy::PolicyConfig;
use c13_reliability::policy::document::{Rate, parse_duration};

use super::key::Key;
use crate::cmd::run::RunArgs;

/// A checked command line of `c13 run`.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) command: Vec<OsString>,
    pub(crate) lock: Option<LockPlan>,
    pub(crate) limit: Option<LimitPlan>,
    pub(crate) permits: Option<PermitsPlan>,
    pub(crate) breaker: Option<BreakerPlan>,
    pub(crate) retry: Option<RetryConfig>,
    /// With which statuses to run again; all but 0 where it is empty.
    pub(crate) retry_on: Vec<u8>,
    /// Whether a piped standard input is kept for further runs.
    pub(crate) replay_stdin: bool,
    /// The time limit of all runs together, pauses included.
    pub(crate) total: Option<Duration>,
    /// The time limit of each run.
    pub(crate) timeout: Option<Duration>,
    pub(crate) kill_after: Duration,
    /// How long to wait for everything together, where the command line says so.
    pub(crate) asked_wait: Option<Duration>,
    /// How long to wait for the lock.
    pub(crate) wait: Duration,
    /// The exit status when another process holds the lock.
    pub(crate) conflict: u8,
    pub(crate) redis: Option<String>,
}

#[derive(Debug)]
pub(crate) struct LockPlan {
    pub(crate) key: Key,
    pub(crate) config: LockConfig,
}

#[derive(Debug, PartialEq)]
pub(crate) struct LimitPlan {
    pub(crate) key: Key,
    pub(crate) rate: f64,
    pub(crate) burst: u64,
    pub(crate) wait: Duration,
    /// Whether each run counts; else all runs of one command line count once, as a policy's calls do.
    pub(crate) per_run: bool,
}

/// How many may run at a time, of all that run under a policy.
#[derive(Debug, PartialEq)]
pub(crate) struct PermitsPlan {
    /// The policy's name.
    pub(crate) key: Key,
    pub(crate) permits: NonZeroU32,
    pub(crate) wait: Duration,
    pub(crate) config: LockConfig,
}

#[derive(Debug, PartialEq)]
pub(crate) struct BreakerPlan {
    pub(crate) key: Key,
    pub(crate) config: CircuitBreakerConfig,
}

/// How long Redis may be unable to answer, or the files unusable, where the command line does not say how long to wait.
const OUTAGE: Duration = Duration::from_secs(10);
/// The longest pause between two runs.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// How long a probe of a half-open circuit may take when runs have no time limit.
const LONGEST_PROBE: Duration = Duration::from_secs(3600);

impl Plan {
    /// Checks the command line; `redis` is the URL of the Redis, `policy` the one that is named, with its name.
    pub(crate) fn of(
        args: RunArgs,
        redis: Option<String>,
        policy: Option<(Key, PolicyConfig)>,
    ) -> Result<Self, String> {
        let (name, policy) = policy.map_or((None, PolicyConfig::NONE), |(name, policy)| (Some(name), policy));
        let name = name.as_ref();
        let kill_after = duration("kill-after", &args.kill_after)?;
        let mut lock_config = LockConfig::new(duration("ttl", &args.ttl)?);
        lock_config.validate().map_err(|error| format!("--ttl: {error}"))?;
        let asked_wait = match (args.nonblock, &args.wait) {
            (true, _) => Some(Duration::ZERO),
            (false, text) => text.as_deref().map(|text| duration("wait", text)).transpose()?,
        };
        if asked_wait.is_none() {
            lock_config = lock_config.backend_wait(OUTAGE);
        }
        let timeout = args
            .timeout
            .as_deref()
            .map(|text| duration("timeout", text))
            .transpose()?;
        let timeout = timeout.or(policy.attempt_timeout);
        let permits = name.zip(policy.bulkhead).and_then(|(name, bulkhead)| {
            Some(PermitsPlan {
                key: name.clone(),
                permits: NonZeroU32::new(bulkhead.max_concurrent)?,
                wait: asked_wait.unwrap_or(bulkhead.max_wait),
                config: lock_config,
            })
        });
        let min_hold = args.min_hold.as_deref().map(|text| duration("min-hold", text));
        let held = lock_config.min_hold(min_hold.transpose()?.unwrap_or_default());
        held.validate().map_err(|error| format!("--min-hold: {error}"))?;
        Ok(Self {
            lock: args.lock.as_ref().map(|key| LockPlan {
                key: key.clone(),
                config: held,
            }),
            limit: limit(&args, name, &policy, asked_wait)?,
            permits,
            breaker: breaker(&args, name, &policy, timeout, kill_after)?,
            retry: retry(&args, &policy)?,
            retry_on: args.retry_on,
            replay_stdin: args.replay_stdin,
            total: policy.total_timeout,
            timeout,
            kill_after,
            asked_wait,
            wait: asked_wait.unwrap_or(Duration::MAX),
            conflict: args.conflict_exit_code,
            redis,
            command: args.command,
        })
    }

    /// How long what keeps locks and limits may be unable to answer; `None` for as long as is waited.
    pub(crate) fn outage(&self) -> Option<Duration> {
        self.asked_wait.is_none().then_some(OUTAGE)
    }

    /// What the command is called, without its path and arguments.
    pub(crate) fn program(&self) -> String {
        let name = self.command.first().and_then(|first| Path::new(first).file_name());
        name.map_or_else(|| "?".to_owned(), |name| name.to_string_lossy().into_owned())
    }

    /// Whether a command that ended with `status` is worth another run.
    pub(crate) fn is_retryable(&self, status: u8) -> bool {
        if self.retry_on.is_empty() {
            status != 0
        } else {
            self.retry_on.contains(&status)
        }
    }
}

fn duration(name: &str, text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| format!("--{name}: {error}"))
}

/// `--limit`, or the policy's.
fn limit(
    args: &RunArgs,
    name: Option<&Key>,
    policy: &PolicyConfig,
    wait: Option<Duration>,
) -> Result<Option<LimitPlan>, String> {
    if let (Some(text), Some(limit_key)) = (&args.limit, &args.limit_key) {
        let rate: Rate = text.parse().map_err(|error| format!("--limit: {error}"))?;
        let count = text.split('/').next().and_then(|count| count.trim().parse().ok());
        return Ok(Some(LimitPlan {
            key: limit_key.clone(),
            rate: rate.per_second(),
            burst: count.unwrap_or(1),
            wait: wait.unwrap_or(Duration::MAX),
            per_run: true,
        }));
    }
    if args.limit_key.is_some() && policy.rate_limit.is_none() {
        return Err("--limit-key: there is no --limit, and no policy with a rate limit".to_owned());
    }
    let key = args.limit_key.as_ref().or(name);
    Ok(key.zip(policy.rate_limit).map(|(key, limit)| LimitPlan {
        key: key.clone(),
        rate: limit.rate,
        burst: limit.burst,
        wait: wait.unwrap_or(limit.max_wait),
        per_run: false,
    }))
}

/// `--breaker` by its defaults, or the policy's; each by the rules of the other's where both are given.
fn breaker(
    args: &RunArgs,
    name: Option<&Key>,
    policy: &PolicyConfig,
    timeout: Option<Duration>,
    kill_after: Duration,
) -> Result<Option<BreakerPlan>, String> {
    let key = args
        .breaker
        .as_ref()
        .or(name.filter(|_| policy.circuit_breaker.is_some()));
    let Some(key) = key else { return Ok(None) };
    let mut config = policy.circuit_breaker.unwrap_or_default();
    // A probe may take as long as a run; it is not overdue before.
    let longest = timeout.map_or(LONGEST_PROBE, |timeout| timeout.saturating_add(kill_after));
    config.half_open_timeout = Some(config.probe_timeout().max(longest));
    if args.breaker.is_some() && policy.circuit_breaker.is_none() {
        // One probe at a time: what is probed is a whole command.
        config = config.half_open_calls(1);
    }
    config.validate().map_err(|error| format!("--breaker: {error}"))?;
    Ok(Some(BreakerPlan {
        key: key.clone(),
        config,
    }))
}

/// `--retry` and `--backoff`, over the policy's.
fn retry(args: &RunArgs, policy: &PolicyConfig) -> Result<Option<RetryConfig>, String> {
    let mut config = match (policy.retry, args.retry) {
        (None, None) if args.backoff.is_some() => {
            return Err("--backoff: there is no --retry, and no policy with one".to_owned());
        }
        (None, None) => return Ok(None),
        (Some(config), _) => config,
        (None, Some(retries)) => RetryConfig::new(retries, doubling(Duration::from_secs(1)))
            .jitter(Jitter::None)
            .without_budget(),
    };
    if let Some(retries) = args.retry {
        config.max_retries = retries;
    }
    if let Some(text) = &args.backoff {
        config.strategy = doubling(duration("backoff", text)?);
        config.jitter = Jitter::None;
    }
    config.validate().map_err(|error| format!("--retry: {error}"))?;
    Ok(Some(config))
}

fn doubling(first: Duration) -> RetryStrategy {
    RetryStrategy::ExponentialBackoff {
        initial: first,
        max: first.max(LONGEST_PAUSE),
        multiplier: 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::line::{Command, CommandLine};
    use c13_reliability::policy::Profile;
    use clap::Parser;

    fn key(text: &str) -> Key {
        text.parse().expect("it is right")
    }

    fn plan_under(policy: Option<(Key, PolicyConfig)>, arguments: &[&str]) -> Result<Plan, String> {
        let line = ["c13", "run"].iter().chain(arguments).chain(&["--", "true"]);
        match CommandLine::try_parse_from(line)
            .map_err(|error| error.to_string())?
            .command
        {
            Command::Run(args) => Plan::of(*args, None, policy),
            other => panic!("{other:?}"),
        }
    }

    fn plan(arguments: &[&str]) -> Result<Plan, String> {
        plan_under(None, arguments)
    }

    #[test]
    fn retries_are_counted_after_the_first_run_and_wait_twice_as_long_each_time() {
        let plan = plan(&["--retry", "2", "--backoff", "100ms"]).expect("it is right");
        let retry = plan.retry.expect("it retries");
        assert_eq!(retry.max_retries, 2);
        assert_eq!(
            [0, 1, u32::MAX].map(|retries| retry.strategy.backoff_duration(retries)),
            [Duration::from_millis(100), Duration::from_millis(200), LONGEST_PAUSE]
        );
    }

    #[test]
    fn only_the_statuses_that_are_named_are_tried_again() {
        let plan = plan(&["--retry", "2", "--retry-on", "75,3"]).expect("it is right");
        assert!(plan.is_retryable(75) && plan.is_retryable(3) && !plan.is_retryable(1));
    }

    #[test]
    fn a_policy_gives_what_the_command_line_leaves_open() {
        let policy = || Some((key("mail"), Profile::Critical.config()));
        let plan = plan_under(policy(), &[]).expect("it is right");
        let limit = plan.limit.as_ref().expect("it has a limit");
        assert_eq!((&limit.key, limit.rate, limit.per_run), (&key("mail"), 1000.0, false));
        assert_eq!(
            (plan.total, plan.timeout),
            (Some(Duration::from_secs(30)), Some(Duration::from_secs(7)))
        );
        assert_eq!(plan.retry.map(|retry| retry.max_retries), Some(3));
        assert_eq!(plan.breaker.expect("it has a breaker").key, key("mail"));
        let over = [
            "--timeout",
            "1s",
            "--retry",
            "1",
            "--limit",
            "1/s",
            "--limit-key",
            "x",
            "--breaker",
            "y",
        ];
        let plan = plan_under(policy(), &over).expect("it is right");
        assert_eq!(plan.timeout, Some(Duration::from_secs(1)));
        assert_eq!(plan.retry.map(|retry| retry.max_retries), Some(1));
        assert_eq!(plan.limit.map(|limit| limit.key), Some(key("x")));
        assert_eq!(plan.breaker.map(|breaker| breaker.key), Some(key("y")));
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for (arguments, word) in [
            (&["--lock", "k", "--ttl", "1ms"][..], "--ttl"),
            (&["--timeout", "soon"], "--timeout"),
            (&["--limit", "ten", "--limit-key", "k"], "--limit"),
            (&["--limit", "10/m"], "--limit-key"),
            (&["--wait", "1s", "--nonblock"], "--nonblock"),
            (&["--limit-key", "k"], "--limit"),
            (&["--backoff", "1s"], "--retry"),
            (&["--min-hold", "1s"], "--lock"),
            (&["--lock", "k", "--min-hold", "25h"], "--min-hold"),
        ] {
            let error = plan(arguments).expect_err("it is wrong");
            assert!(error.contains(word), "{arguments:?}: {error}");
        }
    }
}
