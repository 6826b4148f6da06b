//! The backend on one Redis: each request is one script, and carrying one out twice is the same as once.

use crate::distributed::fence::Fence;
use crate::distributed::lock::backend::{Answer, Attempted, Backend, Claim, Mode, Released, Status, Watch};
use crate::distributed::lock::error::{BackendError, BackendErrorKind};
use crate::distributed::lock::holder::Holder;
use crate::distributed::redis::{Keys, NO_EVICTION, Redis, Script, Subscriptions};
use crate::error::ConfigError;
use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind};
use std::time::Duration;

/// Keeps locks on one Redis: a server, the master that Sentinels name, or a cluster.
///
/// An acknowledged lock survives what the Redis survives. Replication is asynchronous: a failover can lose it, and the
/// lock is then granted a second time, with a greater fence. [`with_replicas`](Self::with_replicas) waits for replicas
/// first. For locks the eviction policy must be `noeviction`: each new connection asks for it and warns
/// ([`Redis::evicts`]), and [`check_eviction`](Self::check_eviction) insists.
///
/// Traffic: a request an acquisition, release or renewal, that is three a lease for a held lock; a waiter costs one
/// subscription and a look a second.
#[derive(Clone, Debug)]
pub struct RedisBackend {
    redis: Redis,
    subscriptions: Subscriptions,
    durable: Option<Durable>,
    /// For how many whole seconds the server must be up before it grants locks.
    up_for: u64,
}

/// A grant counts once so many replicas have it.
#[derive(Clone, Debug)]
struct Durable {
    /// A connection of its own: it serves no other request while it waits.
    redis: Redis,
    replicas: u32,
    within: Duration,
}

static ACQUIRE: Script = Script::new(include_str!("scripts/acquire.lua"));
static RENEW: Script = Script::new(include_str!("scripts/renew.lua"));
static RELEASE: Script = Script::new(include_str!("scripts/release.lua"));
static RAISE_FENCE: Script = Script::new(include_str!("scripts/raise_fence.lua"));
static STATUS: Script = Script::new(include_str!("scripts/status.lua"));

impl RedisBackend {
    /// Keeps locks on this Redis.
    #[must_use]
    pub fn new(redis: Redis) -> Self {
        Self {
            subscriptions: Subscriptions::new(redis.clone()),
            redis,
            durable: None,
            up_for: 0,
        }
    }

    /// Counts a grant only once `replicas` replicas have it, waiting for them at most for `within`; a grant that has too
    /// few by then is taken back. Makes a lock survive the loss of the master as far as its successor is one of them.
    #[must_use]
    pub fn with_replicas(mut self, replicas: u32, within: Duration) -> Self {
        self.durable = Some(Durable {
            redis: self.redis.another_connection(),
            replicas,
            within,
        });
        self
    }

    /// Acquires no lock on a server that has been up for less than `longest_lease`, the longest lease that is used there: a
    /// restart may have made it forget its grants, and it must not grant a lock again before they have lapsed.
    ///
    /// For the servers of a [`Quorum`](crate::distributed::lock::Quorum), where the others make up for one that is not
    /// asked. Without it one restart can give two holders a majority each, and only their fences distinguish them.
    #[must_use]
    pub fn after_restarts_wait(mut self, longest_lease: Duration) -> Self {
        // Redis counts whole seconds, rounded down.
        self.up_for = longest_lease.as_nanos().div_ceil(1_000_000_000) as u64;
        self
    }

    /// Checks that this Redis never evicts keys, which would lose locks; asks it for its `maxmemory_policy`.
    ///
    /// # Errors
    ///
    /// The policy is another one than `noeviction`, with its name; or the server cannot be asked.
    ///
    /// # Cancel safety
    ///
    /// It changes nothing.
    pub async fn check_eviction(&self) -> Result<(), BackendError> {
        let asked = self.redis.eviction_policy().await;
        match asked.map_err(|error| self.redis.failure(error))?.as_deref() {
            Some(NO_EVICTION) => Ok(()),
            policy => Err(BackendError::new(
                BackendErrorKind::Refused,
                format!(
                    "maxmemory_policy is {}, but must be noeviction: evicting a key is losing a lock",
                    policy.unwrap_or("unknown")
                ),
            )),
        }
    }

    /// How many channels this backend listens to at the moment.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.subscriptions.channels()
    }

    pub(super) async fn acquire_raw(&self, claim: &Claim) -> RedisResult<Attempted> {
        let keys = keys(claim.names.iter())?;
        let mut arguments = terms(claim);
        let queue = claim.queue.map_or(0, millis);
        arguments.extend([slots(claim).to_string(), queue.to_string(), claim.floor.to_string()]);
        arguments.extend([self.up_for.to_string(), claim.holder.to_string()]);
        let (status, fence, lapses): (i64, String, i64) = match &self.durable {
            None => ACQUIRE.run(&self.redis, &keys, &arguments).await?,
            Some(durable) => {
                let within = millis(durable.within);
                let (reply, have): ((i64, String, i64), u32) = ACQUIRE
                    .run_and_wait(&durable.redis, &keys, &arguments, durable.replicas, within)
                    .await?;
                if reply.0 == 1 && have < durable.replicas {
                    let message = format!("{have} of {} replicas have the grant", durable.replicas);
                    // As if it was not answered: the grant is there, and must be taken back.
                    return Err(std::io::Error::new(std::io::ErrorKind::TimedOut, message).into());
                }
                reply
            }
        };
        Ok(match status {
            1 => Attempted::Granted {
                fence: Fence::from_number(number(&fence)?),
            },
            -1 => Attempted::Buried,
            -2 => {
                let what = "the server has been up for less than a lease";
                return Err((ErrorKind::Server(ServerErrorKind::TryAgain), what).into());
            }
            -3 => return Err(no_fence_left()),
            _ => Attempted::Held {
                lapses_in: u64::try_from(lapses).ok().map(Duration::from_millis),
                unsettled: false,
            },
        })
    }

    pub(super) async fn renew_raw(&self, claim: &Claim) -> RedisResult<bool> {
        let mut arguments = terms(claim);
        arguments.push(slots(claim).to_string());
        let renewed: i64 = RENEW.run(&self.redis, &keys(claim.names.iter())?, &arguments).await?;
        Ok(renewed == 1)
    }

    pub(super) async fn release_raw(&self, claim: &Claim, bury: bool) -> RedisResult<Released> {
        let mut arguments = terms(claim);
        let whole = |time: Duration| if time.is_zero() { 0 } else { millis(time) };
        let (tombstone, keep) = if bury {
            (claim.tombstone, Duration::ZERO)
        } else {
            (Duration::ZERO, claim.keep)
        };
        arguments.extend([
            whole(tombstone).to_string(),
            whole(keep).to_string(),
            claim.holder.to_string(),
        ]);
        let found: i64 = RELEASE.run(&self.redis, &keys(claim.names.iter())?, &arguments).await?;
        Ok(match found {
            1 => Released::Released,
            0 => Released::NotHeld,
            _ => Released::HeldByOther,
        })
    }

    async fn raise_fence_raw(&self, claim: &Claim, floor: Fence) -> RedisResult<Option<Fence>> {
        let mut arguments = terms(claim);
        arguments.extend([slots(claim).to_string(), floor.to_string()]);
        let fence: Option<String> = RAISE_FENCE
            .run(&self.redis, &keys(claim.names.iter())?, &arguments)
            .await?;
        let Some(fence) = fence else { return Ok(None) };
        match number(&fence)? {
            0 => Err(no_fence_left()),
            fence => Ok(Some(Fence::from_number(fence))),
        }
    }

    async fn status_raw(&self, name: &str) -> RedisResult<Status> {
        let keys = keys([name])?;
        // As bytes: other clients may have written anything there.
        type Reply = (Vec<Vec<u8>>, i64, String, usize, Vec<(Vec<u8>, f64)>);
        let (owners, lapses, fence, queued, described): Reply = STATUS.run(&self.redis, &keys, &[]).await?;
        let owners: Vec<String> = owners
            .iter()
            .map(|owner| String::from_utf8_lossy(owner).into_owned())
            .collect();
        let holders = described.iter().filter_map(|(text, micros)| {
            let text = String::from_utf8_lossy(text);
            let (owner, text) = text.strip_prefix('@')?.split_once(' ')?;
            let since = Duration::from_micros(*micros as u64);
            let is_owner = owners.iter().any(|known| known == owner);
            is_owner.then(|| Holder::parse(owner, text, Some(since))).flatten()
        });
        let holders = holders.collect();
        let fence = Fence::from_number(number(&fence)?);
        Ok(Status {
            owners,
            lapses_in: u64::try_from(lapses).ok().map(Duration::from_millis),
            fence: (fence.number() > 0).then_some(fence),
            queued,
            holders,
        })
    }
}

fn no_fence_left() -> RedisError {
    std::io::Error::new(std::io::ErrorKind::InvalidData, BackendError::no_fence_left()).into()
}

/// The four keys of each name.
fn keys(names: impl IntoIterator<Item = impl AsRef<str>>) -> RedisResult<Vec<String>> {
    let mut keys = Vec::new();
    for name in names {
        let name = name.as_ref();
        let beside = Keys::beside("lock", name)
            .map_err(|error| RedisError::from((ErrorKind::InvalidClientConfig, "key", error.to_string())))?;
        let record = beside.record().to_owned();
        keys.extend([name.to_owned(), record, beside.named("shared"), beside.named("queue")]);
    }
    Ok(keys)
}

fn terms(claim: &Claim) -> Vec<String> {
    let (lease, record) = (millis(claim.lasts()), millis(claim.record));
    vec![claim.owner.to_string(), lease.to_string(), record.to_string()]
}

fn slots(claim: &Claim) -> i64 {
    match claim.mode {
        Mode::Exclusive => -1,
        Mode::Shared { slots } => slots.map_or(0, |slots| i64::from(slots.get())),
    }
}

/// Whole milliseconds, at least one.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1)
}

fn number(text: &str) -> RedisResult<u64> {
    text.parse()
        .map_err(|_| RedisError::from((ErrorKind::UnexpectedReturnType, "a fence", text.to_owned())))
}

impl Backend for RedisBackend {
    fn check_name(&self, name: &str) -> Result<(), ConfigError> {
        Keys::beside("lock", name).map(drop)
    }

    fn has_queue(&self) -> bool {
        true
    }

    fn poll_interval(&self) -> Option<Duration> {
        None
    }

    fn acquire<'a>(&'a self, claim: &'a Claim) -> Answer<'a, Attempted> {
        Box::pin(async move { self.acquire_raw(claim).await.map_err(|error| self.redis.failure(error)) })
    }

    fn renew<'a>(&'a self, claim: &'a Claim) -> Answer<'a, bool> {
        Box::pin(async move { self.renew_raw(claim).await.map_err(|error| self.redis.failure(error)) })
    }

    fn release<'a>(&'a self, claim: &'a Claim, bury: bool) -> Answer<'a, Released> {
        Box::pin(async move {
            self.release_raw(claim, bury)
                .await
                .map_err(|error| self.redis.failure(error))
        })
    }

    fn raise_fence<'a>(&'a self, claim: &'a Claim, floor: Fence) -> Answer<'a, Option<Fence>> {
        Box::pin(async move {
            self.raise_fence_raw(claim, floor)
                .await
                .map_err(|error| self.redis.failure(error))
        })
    }

    fn watch<'a>(&'a self, claim: &'a Claim) -> Answer<'a, Watch> {
        Box::pin(async move {
            let refuse = |error: ConfigError| BackendError::new(BackendErrorKind::Refused, error.to_string());
            let keys = Keys::beside("lock", &claim.names[0]).map_err(refuse)?;
            if !self.redis.has_messages() {
                let message = "this connection has no messages";
                return Err(BackendError::new(BackendErrorKind::Refused, message));
            }
            let listened = self.subscriptions.listen(keys.record()).await;
            let (wakes, listening) = listened.map_err(|error| self.redis.failure(error))?;
            Ok(Watch::new(wakes, Box::new(listening)))
        })
    }

    fn status<'a>(&'a self, name: &'a str) -> Answer<'a, Status> {
        Box::pin(async move { self.status_raw(name).await.map_err(|error| self.redis.failure(error)) })
    }
}
