//! A backend over several independent ones: a lock is acquired when a majority grants it (the Redlock algorithm, with fences).

use super::backend::{Answer, Attempted, Backend, Claim, Released, Status, Watch};
use super::error::{BackendError, BackendErrorKind};
use super::holder::Holder;
use crate::distributed::fence::Fence;
use crate::error::{ConfigError, ConfigValue};
use crate::sync::Random;
use crate::sync::primitive::Mutex;
use crate::time::{Clock, Env};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Keeps locks on several independent servers; a majority decides, so a minority may be down.
///
/// All are asked at once, each for at most 50 ms (a twentieth of the lease, if that is less). A grant takes two rounds: the
/// second raises the fences of the majority above all that the first has seen, so that any later majority holds a server
/// that knows a fence as great. Grants of a minority are released at once. A server that was away is asked again at
/// each renewal, once a majority has confirmed that the lock is still held; a lost lock is never acquired anew.
///
/// A server that restarts without its data must grant nothing for the length of a lease, or it may vote twice, and then only
/// the fence distinguishes the two holders: `RedisBackend::after_restarts_wait` sees to that. There is no queue: fair locks are refused.
///
/// Algorithm: Redlock, as described in the Redis documentation; the fence round is ours.
#[derive(Clone)]
pub struct Quorum {
    shared: Arc<Servers>,
}

struct Servers {
    nodes: Vec<Arc<dyn Backend>>,
    clock: Clock,
    random: Random,
    /// The fences of the locks that are held, which a server that comes back must know.
    fences: Mutex<HashMap<Arc<str>, Fence>>,
    /// The error of each server's last request, if it failed.
    failing: Mutex<Vec<Option<BackendError>>>,
}

/// The longest that one server is waited for.
const NODE_LIMIT: Duration = Duration::from_millis(50);
/// The longest wait of callers that split a vote, before they try again.
const SPLIT_WAIT: Duration = Duration::from_millis(40);

impl Quorum {
    /// A majority of these servers, which know nothing of each other.
    ///
    /// # Errors
    ///
    /// Fewer than three, or an even number of them: one server more would then have to be up, and nothing would be gained.
    pub fn try_new(nodes: Vec<Arc<dyn Backend>>) -> Result<Self, ConfigError> {
        if nodes.len() < 3 || nodes.len().is_multiple_of(2) {
            let value = ConfigValue::Count(nodes.len() as u64);
            return Err(ConfigError::new(
                "quorum",
                "nodes",
                value,
                "must be an odd number, at least 3",
            ));
        }
        Ok(Self::assemble(nodes, Env::default()))
    }

    /// The same servers by the clock and the random numbers of `env`; it holds nothing yet.
    #[must_use]
    pub fn with_env(self, env: impl Into<Env>) -> Self {
        Self::assemble(self.shared.nodes.clone(), env.into())
    }

    fn assemble(nodes: Vec<Arc<dyn Backend>>, env: Env) -> Self {
        let Env { clock, random, .. } = env;
        Self {
            shared: Arc::new(Servers {
                failing: Mutex::new(vec![None; nodes.len()]),
                nodes,
                clock,
                random,
                fences: Mutex::default(),
            }),
        }
    }

    /// The error of each server's last request; `None` where it was answered. A majority goes on without the servers that fail.
    /// A server that begins to fail is an event of the target `c13::lock`.
    #[must_use]
    pub fn failing(&self) -> Vec<Option<BackendError>> {
        self.shared.failing.lock().clone()
    }

    fn note<T>(&self, answers: &[Result<T, BackendError>]) {
        let mut failing = self.shared.failing.lock();
        for (server, (kept, answer)) in failing.iter_mut().zip(answers).enumerate() {
            #[cfg(feature = "tracing")]
            if let (None, Err(cause)) = (&kept, answer) {
                tracing::warn!(target: "c13::lock", server, %cause, "a server of a quorum cannot be asked");
            }
            #[cfg(not(feature = "tracing"))]
            let _ = server;
            *kept = answer.as_ref().err().cloned();
        }
    }

    /// The error of a request that too few servers answered. It is a permanent one only if those that refuse leave no majority.
    fn too_few<T>(&self, answers: &[Result<T, BackendError>]) -> BackendError {
        let errors: Vec<&BackendError> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
        let of = |kind| errors.iter().filter(|error| error.kind == kind).count();
        let kind = if of(BackendErrorKind::Refused) > self.shared.nodes.len() - self.majority() {
            BackendErrorKind::Refused
        } else if of(BackendErrorKind::Unanswered) > 0 {
            BackendErrorKind::Unanswered
        } else {
            BackendErrorKind::Unable
        };
        let mut causes: Vec<&str> = errors.iter().map(|error| &*error.message).collect();
        causes.sort_unstable();
        causes.dedup();
        let (few, all) = (errors.len(), answers.len());
        BackendError::new(
            kind,
            format!("{few} of {all} servers cannot be asked: {}", causes.join("; ")),
        )
    }

    fn majority(&self) -> usize {
        self.shared.nodes.len() / 2 + 1
    }

    /// How many servers confirm that the lock of this name is `owner`'s.
    ///
    /// # Cancel safety
    ///
    /// It changes nothing.
    pub async fn votes(&self, name: &str, owner: &str) -> usize {
        let (name, owner) = (Arc::<str>::from(name), owner.to_owned());
        let answers = self
            .ask_all(NODE_LIMIT, move |node| {
                let name = name.clone();
                Box::pin(async move { node.status(&name).await })
            })
            .await;
        let has =
            |answer: &&Result<Status, BackendError>| matches!(answer, Ok(status) if status.owners.contains(&owner));
        answers.iter().filter(has).count()
    }

    /// Asks all servers at once; answers are in their order.
    async fn ask_all<T: Send + 'static>(
        &self,
        limit: Duration,
        ask: impl Fn(Arc<dyn Backend>) -> Answer<'static, T>,
    ) -> Vec<Result<T, BackendError>> {
        let mut asked = JoinSet::new();
        for (n, node) in self.shared.nodes.iter().enumerate() {
            let (request, clock) = (ask(node.clone()), self.shared.clock.clone());
            asked.spawn(async move {
                let answer = clock.timeout(limit, request).await;
                (n, answer.unwrap_or_else(|_| Err(BackendError::unanswered(limit))))
            });
        }
        let mut answers: Vec<_> = self
            .shared
            .nodes
            .iter()
            .map(|_| Err(BackendError::unanswered(limit)))
            .collect();
        while let Some(joined) = asked.join_next().await {
            if let Ok((n, answer)) = joined {
                answers[n] = answer;
            }
        }
        self.note(&answers);
        answers
    }

    async fn acquire_all(&self, claim: &Claim) -> Result<Attempted, BackendError> {
        let limit = limit(claim);
        let shared = Arc::new(claim.clone());
        let asking = shared.clone();
        let answers = self
            .ask_all(limit, move |node| {
                let claim = asking.clone();
                Box::pin(async move { node.acquire(&claim).await })
            })
            .await;
        let (mut granted, mut lapses, mut unsettled) = (Vec::new(), Vec::new(), false);
        for answer in &answers {
            match answer {
                Ok(Attempted::Granted { fence }) => granted.push(*fence),
                Ok(Attempted::Held {
                    lapses_in,
                    unsettled: part,
                }) => {
                    lapses.push(*lapses_in);
                    unsettled |= part;
                }
                Ok(Attempted::Buried) => return Ok(Attempted::Buried),
                Err(error) => unsettled |= error.kind == BackendErrorKind::Unanswered,
            }
        }
        if granted.len() >= self.majority() {
            let highest = granted.iter().copied().max().unwrap_or(Fence::from_number(0));
            match self.raise_all(claim, highest).await {
                Ok(Some(fence)) => {
                    self.shared.fences.lock().insert(claim.owner.clone(), fence);
                    return Ok(Attempted::Granted { fence });
                }
                Ok(None) => {}
                Err(error) => {
                    drop(self.release_all(claim, false).await);
                    return Err(error);
                }
            }
        }
        if granted.len() + lapses.len() < self.majority() {
            if !granted.is_empty() || unsettled {
                // Grants of a minority, also those still under way, must not stay.
                drop(self.release_all(claim, unsettled).await);
            }
            return Err(self.too_few(&answers));
        }
        self.release_all(claim, false).await?;
        // If another caller has a majority, it holds the lock for a while. If the vote was split, no caller does, and each tries
        // again soon, after a random time.
        let split = Duration::from_nanos(self.shared.random.below(SPLIT_WAIT.as_nanos() as u64));
        let lapses_in = if lapses.len() >= self.majority() {
            lapses.into_iter().flatten().min()
        } else {
            Some(split)
        };
        Ok(Attempted::Held { lapses_in, unsettled })
    }

    async fn raise_all(&self, claim: &Claim, floor: Fence) -> Result<Option<Fence>, BackendError> {
        let asking = Arc::new(claim.clone());
        let answers = self
            .ask_all(limit(claim), move |node| {
                let claim = asking.clone();
                Box::pin(async move { node.raise_fence(&claim, floor).await })
            })
            .await;
        let refused = self.too_few(&answers);
        if refused.kind == BackendErrorKind::Refused {
            return Err(refused);
        }
        let mut raised: Vec<Fence> = answers.into_iter().filter_map(|answer| answer.ok().flatten()).collect();
        raised.sort_unstable_by(|a, b| b.cmp(a));
        // The greatest fence that a majority has reached: any later majority has a server that knows it.
        Ok(raised.get(self.majority() - 1).copied())
    }

    async fn renew_all(&self, claim: &Claim) -> Result<bool, BackendError> {
        let asking = Arc::new(claim.clone());
        let answers = self
            .ask_all(limit(claim), move |node| {
                let claim = asking.clone();
                Box::pin(async move { node.renew(&claim).await })
            })
            .await;
        let confirmed = answers.iter().filter(|answer| matches!(answer, Ok(true))).count();
        let refused = answers.iter().filter(|answer| matches!(answer, Ok(false))).count();
        if confirmed >= self.majority() {
            self.heal(claim, &answers);
            return Ok(true);
        }
        if refused > self.shared.nodes.len() - self.majority() {
            return Ok(false);
        }
        Err(self.too_few(&answers))
    }

    /// Acquires the lock again on servers that have forgotten it. Only after a majority has confirmed it, and none of these
    /// votes counts before a later renewal has confirmed it.
    fn heal(&self, claim: &Claim, answers: &[Result<bool, BackendError>]) {
        let Some(fence) = self.shared.fences.lock().get(&claim.owner).copied() else {
            return;
        };
        for (node, answer) in self.shared.nodes.iter().zip(answers) {
            if *answer == Ok(false) {
                let (node, mut claim) = (node.clone(), claim.clone());
                let (quorum, limit) = (self.clone(), limit(&claim));
                // Without a greater fence the other servers are enough.
                let Some(floor) = fence.next(0) else { continue };
                claim.floor = floor;
                tokio::spawn(async move {
                    let asked = quorum.shared.clock.timeout(limit, node.acquire(&claim)).await;
                    let held = quorum.shared.fences.lock().contains_key(&claim.owner);
                    if !held || !matches!(asked, Ok(Ok(_))) {
                        // Released meanwhile, or unanswered: a grant that may still come must not stay.
                        drop(quorum.shared.clock.timeout(limit, node.release(&claim, !held)).await);
                    }
                });
            }
        }
    }

    async fn release_all(&self, claim: &Claim, bury: bool) -> Result<Released, BackendError> {
        self.shared.fences.lock().remove(&claim.owner);
        let asking = Arc::new(claim.clone());
        let answers = self
            .ask_all(limit(claim), move |node| {
                let claim = asking.clone();
                Box::pin(async move { node.release(&claim, bury).await })
            })
            .await;
        let answered: Vec<Released> = answers
            .iter()
            .filter_map(|answer| answer.as_ref().ok().copied())
            .collect();
        for (node, answer) in self.shared.nodes.iter().zip(&answers) {
            if answer.is_err() {
                self.release_later(node.clone(), claim.clone());
            }
        }
        if answered.len() < self.majority() {
            return Err(self.too_few(&answers));
        }
        Ok(if answered.contains(&Released::Released) {
            Released::Released
        } else if answered.contains(&Released::HeldByOther) {
            Released::HeldByOther
        } else {
            Released::NotHeld
        })
    }

    /// Goes on releasing at a server that did not answer, and buries the attempt there: a request of it may be under way.
    fn release_later(&self, node: Arc<dyn Backend>, claim: Claim) {
        let clock = self.shared.clock.clone();
        let until = clock.now() + claim.lease;
        tokio::spawn(async move {
            while clock.now() < until {
                let limit = claim.lease / 6;
                if matches!(clock.timeout(limit, node.release(&claim, true)).await, Ok(Ok(_))) {
                    return;
                }
                clock.sleep(limit).await;
            }
        });
    }

    async fn status_all(&self, name: &str) -> Result<Status, BackendError> {
        let name = Arc::<str>::from(name);
        let answers = self
            .ask_all(NODE_LIMIT, move |node| {
                let name = name.clone();
                Box::pin(async move { node.status(&name).await })
            })
            .await;
        let known: Vec<&Status> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
        if known.len() < self.majority() {
            return Err(self.too_few(&answers));
        }
        let owners: HashSet<&String> = known.iter().flat_map(|status| &status.owners).collect();
        let has_majority =
            |owner: &&&String| known.iter().filter(|status| status.owners.contains(owner)).count() >= self.majority();
        Ok(Status {
            owners: owners
                .iter()
                .filter(has_majority)
                .map(|owner| (*owner).clone())
                .collect(),
            lapses_in: known.iter().filter_map(|status| status.lapses_in).min(),
            fence: known.iter().filter_map(|status| status.fence).max(),
            queued: 0,
            holders: known
                .iter()
                .flat_map(|status| &status.holders)
                .fold(Vec::new(), |mut holders, holder| {
                    if !holders.iter().any(|known: &Holder| known.owner == holder.owner) {
                        holders.push(holder.clone());
                    }
                    holders
                }),
        })
    }
}

fn limit(claim: &Claim) -> Duration {
    NODE_LIMIT.min(claim.lease / 20)
}

impl Backend for Quorum {
    fn check_name(&self, name: &str) -> Result<(), ConfigError> {
        self.shared.nodes.iter().try_for_each(|node| node.check_name(name))
    }

    fn has_queue(&self) -> bool {
        false
    }

    fn poll_interval(&self) -> Option<Duration> {
        None
    }

    fn acquire<'a>(&'a self, claim: &'a Claim) -> Answer<'a, Attempted> {
        Box::pin(self.acquire_all(claim))
    }

    fn renew<'a>(&'a self, claim: &'a Claim) -> Answer<'a, bool> {
        Box::pin(self.renew_all(claim))
    }

    fn release<'a>(&'a self, claim: &'a Claim, bury: bool) -> Answer<'a, Released> {
        Box::pin(self.release_all(claim, bury))
    }

    fn release_unattended(&self, claim: &Claim) {
        self.shared.fences.lock().remove(&claim.owner);
        self.shared.nodes.iter().for_each(|node| node.release_unattended(claim));
    }

    fn raise_fence<'a>(&'a self, claim: &'a Claim, floor: Fence) -> Answer<'a, Option<Fence>> {
        Box::pin(self.raise_all(claim, floor))
    }

    fn watch<'a>(&'a self, claim: &'a Claim) -> Answer<'a, Watch> {
        Box::pin(async move {
            let mut result = Err(BackendError::unanswered(NODE_LIMIT));
            for node in &self.shared.nodes {
                // Each release goes to every server, so one that can be listened to is enough.
                match self.shared.clock.timeout(NODE_LIMIT, node.watch(claim)).await {
                    Ok(Ok(watch)) => return Ok(watch),
                    Ok(Err(error)) => result = Err(error),
                    Err(_) => {}
                }
            }
            result
        })
    }

    fn status<'a>(&'a self, name: &'a str) -> Answer<'a, Status> {
        Box::pin(self.status_all(name))
    }
}

impl fmt::Debug for Quorum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quorum")
            .field("nodes", &self.shared.nodes)
            .finish_non_exhaustive()
    }
}
