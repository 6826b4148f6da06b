//! A limit of requests by key, in this process or shared, and several of them at once.

use super::config::LimitConfig;
use super::key::RequestKey;
use crate::error::ConfigError;
use crate::patterns::rate_limiter::{
    KeyedRateLimiter, KeyedSnapshot, KeylessEvents, QuotaStatus, RateLimitError, WithoutKey,
};
use crate::snapshot::{Observed, Reading, Source};
use crate::sync::Current;
use crate::sync::primitive::{AtomicU64, Ordering};
use crate::time::{Clock, Env, Rounded};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::sharing::{LimitSharing, Shared, acquire_shared};

/// A limit of requests by key: by client address, by a header, or of all requests together; in this process, or shared by
/// all. Clones share it.
///
/// A limit of a [registry](crate::policy::PolicyRegistry) follows its file: a change of its settings keeps what each key has
/// used, but a limit that becomes shared, or whose shared rate changes, starts anew in this process.
#[derive(Clone)]
pub struct RequestLimit {
    state: Arc<LimitState>,
}

struct LimitState {
    name: String,
    running: Current<Running>,
    clock: Clock,
    keyless: AtomicU64,
    events: KeylessEvents,
    sharing: Option<LimitSharing>,
}

/// The settings, and what limits by them.
struct Running {
    config: LimitConfig,
    limiter: Limiter,
}

enum Limiter {
    Local(KeyedRateLimiter<RequestKey>),
    Shared(Shared),
}

/// Why a request was refused: the limit that refused it; of several, the one that lets it pass last.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitRefused {
    /// The name of the limit.
    pub limit: String,
    /// What kind of refusal it is.
    pub reason: LimitReason,
    /// When the limit would let the request pass, if it knows.
    pub retry_after: Option<Duration>,
    /// The quota of the request's key, where it is known in this process.
    pub status: Option<QuotaStatus>,
}

/// What kind of refusal it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitReason {
    /// The key's quota is used up, or a new key finds no room.
    Exceeded,
    /// The key is longer than keys may be.
    KeyTooLong,
    /// The request has no key, and must have one.
    NoKey,
    /// The backend of a shared limit does not answer, and the setting is to refuse.
    Unavailable,
}

impl fmt::Display for LimitRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.reason {
            LimitReason::Exceeded => "its quota is used up",
            LimitReason::KeyTooLong => "its key is too long",
            LimitReason::NoKey => "it has no key",
            LimitReason::Unavailable => "the limit's backend does not answer",
        };
        write!(f, "the limit {} refuses the request: {why}", self.limit)?;
        match self.retry_after {
            Some(wait) => write!(f, ", retry in {}", Rounded(wait)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for LimitRefused {}

/// A limit that let a request pass, and what it took for it.
pub(crate) struct Passed<'l> {
    pub(crate) limit: &'l RequestLimit,
    /// The quota of the key, where it is known in this process.
    pub(crate) status: Option<QuotaStatus>,
}

impl RequestLimit {
    /// A limit in this process, on the system's clock.
    ///
    /// # Errors
    ///
    /// The first setting that makes no sense. A shared limit needs a backend: see
    /// [`PolicyRegistry::share_limits`](crate::policy::PolicyRegistry::share_limits).
    pub fn new(name: &str, config: LimitConfig) -> Result<Self, ConfigError> {
        Self::with_config(config, Env::default().name(name))
    }

    /// The same by the clock of `env`, under its name.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_config(config: LimitConfig, env: impl Into<Env>) -> Result<Self, ConfigError> {
        Self::sharing(config, None, env)
    }

    /// A limit that is shared by this backend, if its settings say so.
    pub(crate) fn sharing(
        config: LimitConfig,
        sharing: Option<LimitSharing>,
        env: impl Into<Env>,
    ) -> Result<Self, ConfigError> {
        let Env { clock, name, .. } = env.into();
        let name = name.unwrap_or_default();
        let running = Running::new(config, &name, &clock, sharing.as_ref())?;
        Ok(Self {
            state: Arc::new(LimitState {
                name,
                running: Current::new(running),
                clock,
                keyless: AtomicU64::new(0),
                events: KeylessEvents::new(),
                sharing,
            }),
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.state.name
    }

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> LimitConfig {
        self.state.running.load().config
    }

    /// How many requests had no key.
    #[must_use]
    pub fn keyless(&self) -> u64 {
        // Relaxed: a count.
        self.state.keyless.load(Ordering::Relaxed)
    }

    /// Changes the settings.
    ///
    /// # Errors
    ///
    /// The first setting that makes no sense; nothing has changed then.
    pub fn reconfigure(&self, config: LimitConfig) -> Result<(), ConfigError> {
        self.state.running.change(|running| {
            if let Limiter::Local(limiter) = &running.limiter
                && !config.shared
            {
                config.validate()?;
                limiter.reconfigure(config.local())?;
                let limiter = Limiter::Local(limiter.clone());
                return Ok(Running { config, limiter });
            }
            Running::new(config, &self.state.name, &self.state.clock, self.state.sharing.as_ref())
        })
    }

    /// The key of a request for which `found` was found; `None` if it passes without a limit.
    fn key(&self, found: Option<RequestKey>) -> Result<Option<RequestKey>, LimitRefused> {
        if found.is_some() {
            return Ok(found);
        }
        let choice = self.config().without_key;
        // Relaxed: a count.
        self.state.keyless.fetch_add(1, Ordering::Relaxed);
        self.state
            .events
            .send(&self.state.clock, self.name(), self.keyless(), choice);
        match choice {
            WithoutKey::Share => Ok(Some(RequestKey::None)),
            WithoutKey::Allow => Ok(None),
            WithoutKey::Refuse => Err(LimitRefused {
                limit: self.state.name.clone(),
                reason: LimitReason::NoKey,
                retry_after: None,
                status: None,
            }),
        }
    }

    /// The limiter, if it is in this process alone.
    fn local(&self) -> Option<KeyedRateLimiter<RequestKey>> {
        match &self.state.running.load().limiter {
            Limiter::Local(limiter) => Some(limiter.clone()),
            Limiter::Shared(_) => None,
        }
    }

    fn shared(&self) -> Option<Shared> {
        match &self.state.running.load().limiter {
            Limiter::Local(_) => None,
            Limiter::Shared(limiter) => Some(limiter.clone()),
        }
    }

    fn refused(&self, error: RateLimitError, status: QuotaStatus) -> LimitRefused {
        LimitRefused {
            limit: self.state.name.clone(),
            reason: match error {
                RateLimitError::KeyTooLong { .. } => LimitReason::KeyTooLong,
                _ => LimitReason::Exceeded,
            },
            retry_after: error.retry_after(),
            status: Some(status),
        }
    }

    fn readings(state: &LimitState) -> Vec<Reading> {
        // Relaxed: a count.
        let keyless = state.keyless.load(Ordering::Relaxed);
        match &state.running.load().limiter {
            Limiter::Local(limiter) => {
                let snapshot = limiter.snapshot();
                KeyedSnapshot { keyless, ..snapshot }.readings()
            }
            Limiter::Shared(limiter) => {
                let mut readings = limiter.readings();
                readings.push(Reading::count(&KeyedSnapshot::KEYLESS, keyless));
                readings
            }
        }
    }
}

impl Running {
    fn new(
        config: LimitConfig,
        name: &str,
        clock: &Clock,
        #[cfg(feature = "tokio")] sharing: Option<&LimitSharing>,
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        let limiter = match config.shared {
            true => Limiter::Shared(Shared::new(&config, name, sharing, clock)?),
            false => Limiter::Local(KeyedRateLimiter::with_config(config.local(), clock.clone())?),
        };
        Ok(Self { config, limiter })
    }
}

/// Takes a request's part of each limit, or of none: `limits` are the limits with the keys that were found for them.
///
/// Of several limits in this process that refuse, the one is named that lets the request pass last. Shared limits are asked
/// after those; what one of them has given, when another one refuses, is kept for the next request of the same key for a
/// short time.
///
/// # Cancel safety
///
/// Dropping it while a shared limit is asked leaves what was taken used.
pub(crate) async fn acquire_all(
    limits: Vec<(&RequestLimit, Option<RequestKey>)>,
) -> Result<Vec<Passed<'_>>, LimitRefused> {
    let mut local = Vec::new();
    let mut shared = Vec::new();
    for (limit, found) in limits {
        let Some(key) = limit.key(found)? else { continue };
        if let Some(limiter) = limit.local() {
            local.push((limit, limiter, key));
            continue;
        }
        if let Some(limiter) = limit.shared() {
            shared.push((limit, limiter, key));
        }
    }
    let mut passed = acquire_local(&local)?;
    if let Err(refused) = acquire_shared(&shared, &mut passed).await {
        for (_, limiter, key) in &local {
            limiter.refund(key, 1);
        }
        return Err(refused);
    }
    Ok(passed)
}

type LocalLimit<'l> = (&'l RequestLimit, KeyedRateLimiter<RequestKey>, RequestKey);

fn acquire_local<'l>(limits: &[LocalLimit<'l>]) -> Result<Vec<Passed<'l>>, LimitRefused> {
    let wait = |error: &RateLimitError| error.retry_after().unwrap_or(Duration::MAX);
    let refusing = limits.iter().filter_map(|limit| {
        let (_, limiter, key) = limit;
        Some((wait(&limiter.peek(key, 1).err()?), limit))
    });
    // The tightest is asked first, so that it counts the refusal, and no other limit has to give anything back.
    let tightest = refusing.max_by_key(|(wait, _)| *wait).map(|(_, limit)| limit);
    let others = limits
        .iter()
        .filter(|limit| tightest.is_none_or(|tightest| !std::ptr::eq(*limit, tightest)));
    let mut passed = Vec::new();
    let mut taken = Vec::new();
    for limit in tightest.into_iter().chain(others) {
        let (named, limiter, key) = limit;
        let (result, status) = limiter.decide(key, 1);
        if let Err(error) = result {
            taken
                .iter()
                .for_each(|(_, limiter, key): &&LocalLimit<'_>| limiter.refund(key, 1));
            return Err(named.refused(error, status));
        }
        taken.push(limit);
        passed.push(Passed {
            limit: named,
            status: Some(status),
        });
    }
    Ok(passed)
}

impl Observed for RequestLimit {
    fn source(&self) -> Source {
        Source::of(&self.state, |state| Self::readings(&state))
    }
}

impl fmt::Debug for RequestLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestLimit")
            .field("name", &self.state.name)
            .field("config", &self.config())
            .finish_non_exhaustive()
    }
}
