//! The backend inside the process: locks without a server, and the model that the other backends are tested against.

use super::backend::{Answer, Attempted, Backend, Claim, Mode, Released, Status, Watch};
use super::error::BackendError;
use super::holder::Holder;
use crate::distributed::fence::Fence;
use crate::error::ConfigError;
use crate::sync::Sweep;
use crate::sync::primitive::Mutex;
use crate::time::{Clock, Env, Tick};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;

/// Keeps locks in this process.
///
/// Clones keep the same locks. Leases lapse as they do elsewhere, so that code which holds a lock without renewing it
/// shows here already. Complexity: O(holders + tombstones of the lock) a request, on average. Memory: at most twice the
/// locks that are held, waited for, or buried, and 64 more.
#[derive(Clone)]
pub struct MemoryBackend {
    shared: Arc<MemoryLocks>,
}

struct MemoryLocks {
    clock: Clock,
    kept: Mutex<Kept>,
}

struct Kept {
    locks: HashMap<String, Record>,
    sweep: Sweep,
    /// No smaller than any fence that was forgotten: the next fence of a name that is not known is greater.
    forgotten: Fence,
}

/// A fence from here on is never forgotten: it would leave too few for all other names. No clock comes here before the
/// year 2112.
const FAR_AHEAD: u64 = 1 << 52;

impl Kept {
    /// Forgets the locks that have neither holder nor waiter, if there are many.
    fn make_room(&mut self, now: Tick) {
        if !self.sweep.is_due(self.locks.len()) {
            return;
        }
        let forgotten = &mut self.forgotten;
        self.locks.retain(|_, record| {
            record.lapse(now);
            let goes = record.is_idle() && record.fence.number() < FAR_AHEAD;
            if goes {
                *forgotten = record.fence.max(*forgotten);
            }
            !goes
        });
        self.sweep.done(self.locks.len());
    }
}

impl MemoryBackend {
    /// No locks yet, by the clock since boot.
    #[must_use]
    pub fn new() -> Self {
        Self::on(Clock::since_boot())
    }

    /// A backend by the clock of `env`. It has no locks yet.
    #[must_use]
    pub fn with_env(self, env: impl Into<Env>) -> Self {
        Self::on(env.into().clock)
    }

    fn on(clock: Clock) -> Self {
        Self {
            shared: Arc::new(MemoryLocks {
                clock,
                kept: Mutex::new(Kept {
                    locks: HashMap::new(),
                    sweep: Sweep::new(),
                    forgotten: Fence::from_number(0),
                }),
            }),
        }
    }

    /// Decides about all of the claim's records at once, at one time.
    fn with_records<T>(&self, claim: &Claim, decide: impl FnOnce(&mut [&mut Record], Now) -> T) -> T {
        let kept = &mut *self.shared.kept.lock();
        let now = self.shared.clock.now();
        kept.make_room(now);
        let floor = micros(now).max(kept.forgotten.number() + 1);
        let locks = &mut kept.locks;
        let mut taken: Vec<(&String, Record)> = claim
            .names
            .iter()
            .map(|name| (name, locks.remove(name).unwrap_or_default()))
            .collect();
        for (_, record) in &mut taken {
            record.lapse(now);
        }
        let mut records: Vec<&mut Record> = taken.iter_mut().map(|(_, record)| record).collect();
        let decision = decide(&mut records, Now { tick: now, floor });
        for (name, record) in taken {
            // The clock gives the next fence, which is greater.
            if !(record.is_idle() && record.fence.number() < micros(now)) {
                locks.insert(name.clone(), record);
            }
        }
        decision
    }
}

impl Default for MemoryBackend {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBackend")
            .field("locks", &self.shared.kept.lock().locks.len())
            .finish()
    }
}

/// What is known of one name.
struct Record {
    exclusive: Option<(Arc<str>, Tick)>,
    /// How the holders describe themselves, by owner.
    holders: BTreeMap<Arc<str>, Arc<str>>,
    shared: BTreeMap<Arc<str>, Tick>,
    queue: VecDeque<(Arc<str>, Tick)>,
    buried: BTreeMap<Arc<str>, Tick>,
    fence: Fence,
    wakes: broadcast::Sender<Arc<str>>,
}

/// How many notifications a waiter may miss before it looks by itself.
const WAKES: usize = 16;

impl Default for Record {
    fn default() -> Self {
        Self {
            exclusive: None,
            holders: BTreeMap::new(),
            shared: BTreeMap::new(),
            queue: VecDeque::new(),
            buried: BTreeMap::new(),
            fence: Fence::from_number(0),
            wakes: broadcast::Sender::new(WAKES),
        }
    }
}

impl Record {
    /// Forgets what has lapsed by `now`.
    fn lapse(&mut self, now: Tick) {
        self.exclusive.take_if(|(_, until)| *until <= now);
        self.shared.retain(|_, until| *until > now);
        let (exclusive, shared) = (&self.exclusive, &self.shared);
        let is_held =
            |owner: &Arc<str>| exclusive.as_ref().is_some_and(|(held, _)| held == owner) || shared.contains_key(owner);
        self.holders.retain(|owner, _| is_held(owner));
        self.queue.retain(|(_, until)| *until > now);
        self.buried.retain(|_, until| *until > now);
    }

    /// Whether it has neither holder, waiter nor tombstone.
    fn is_idle(&self) -> bool {
        self.exclusive.is_none()
            && self.shared.is_empty()
            && self.queue.is_empty()
            && self.buried.is_empty()
            && self.wakes.receiver_count() == 0
    }

    fn is_held_by(&self, owner: &str) -> bool {
        self.exclusive.as_ref().is_some_and(|(held, _)| **held == *owner) || self.shared.contains_key(owner)
    }

    /// Whether `claim` can have this lock once leases or minimum times are over.
    fn is_free_for(&self, claim: &Claim) -> bool {
        let free = match claim.mode {
            Mode::Exclusive => self.exclusive.is_none() && self.shared.is_empty(),
            Mode::Shared { slots } => {
                self.exclusive.is_none() && slots.is_none_or(|slots| self.shared.len() < slots.get() as usize)
            }
        };
        free && self.queue.front().is_none_or(|(first, _)| *first == claim.owner)
    }

    fn lapses_at(&self) -> Option<Tick> {
        let exclusive = self.exclusive.iter().map(|(_, until)| *until);
        exclusive.chain(self.shared.values().copied()).min()
    }

    fn grant(&mut self, claim: &Claim, until: Tick, fence: Fence) {
        match claim.mode {
            Mode::Exclusive => self.exclusive = Some((claim.owner.clone(), until)),
            Mode::Shared { .. } => drop(self.shared.insert(claim.owner.clone(), until)),
        }
        self.holders.insert(claim.owner.clone(), claim.holder.clone());
        self.fence = fence;
        self.leave_queue(&claim.owner);
        if matches!(claim.mode, Mode::Shared { .. }) && !self.queue.is_empty() {
            self.wake();
        }
    }

    fn leave_queue(&mut self, owner: &str) -> bool {
        let waiting = self.queue.len();
        self.queue.retain(|(queued, _)| **queued != *owner);
        waiting != self.queue.len()
    }

    fn enqueue(&mut self, owner: &Arc<str>, until: Tick) {
        match self.queue.iter_mut().find(|(queued, _)| queued == owner) {
            Some((_, alive)) => *alive = until,
            None => self.queue.push_back((owner.clone(), until)),
        }
    }

    /// Notifies the first waiter in the queue, or all waiters where there is no queue, that the lock may be free.
    fn wake(&self) {
        let first = self.queue.front().map_or_else(|| "".into(), |(first, _)| first.clone());
        // An error means that there is no listener.
        drop(self.wakes.send(first));
    }
}

/// The time of a decision.
#[derive(Clone, Copy)]
struct Now {
    tick: Tick,
    /// The least fence that a grant may have now.
    floor: u64,
}

fn micros(now: Tick) -> u64 {
    now.as_nanos() / 1_000
}

impl Backend for MemoryBackend {
    fn check_name(&self, _name: &str) -> Result<(), ConfigError> {
        Ok(())
    }

    fn has_queue(&self) -> bool {
        true
    }

    fn poll_interval(&self) -> Option<Duration> {
        None
    }

    fn acquire<'a>(&'a self, claim: &'a Claim) -> Answer<'a, Attempted> {
        let attempted = self.with_records(claim, |records, now| {
            if records.iter().any(|record| record.buried.contains_key(&claim.owner)) {
                return Ok(Attempted::Buried);
            }
            let until = now.tick + claim.lasts();
            let held = records.iter().all(|record| record.is_held_by(&claim.owner));
            let highest = records.iter().map(|record| record.fence).max();
            let highest = highest.unwrap_or(Fence::from_number(0));
            if held || records.iter().all(|record| record.is_free_for(claim)) {
                let floor = now.floor.max(claim.floor.number());
                let fence = if held { Some(highest) } else { highest.next(floor) };
                let fence = fence.ok_or_else(BackendError::no_fence_left)?;
                for record in records {
                    record.grant(claim, until, fence);
                }
                return Ok(Attempted::Granted { fence });
            }
            if let Some(alive) = claim.queue {
                for record in records.iter_mut() {
                    record.enqueue(&claim.owner, now.tick + alive);
                }
            }
            let lapses = records.iter().filter_map(|record| record.lapses_at()).max();
            Ok(Attempted::Held {
                lapses_in: lapses.map(|at| at - now.tick),
                unsettled: false,
            })
        });
        Box::pin(ready(attempted))
    }

    fn renew<'a>(&'a self, claim: &'a Claim) -> Answer<'a, bool> {
        let renewed = self.with_records(claim, |records, now| {
            if !records.iter().all(|record| record.is_held_by(&claim.owner)) {
                return false;
            }
            let until = now.tick + claim.lasts();
            for record in records {
                if let Some((_, held)) = &mut record.exclusive {
                    *held = until;
                } else {
                    record.shared.insert(claim.owner.clone(), until);
                }
            }
            true
        });
        Box::pin(ready(Ok(renewed)))
    }

    fn release<'a>(&'a self, claim: &'a Claim, bury: bool) -> Answer<'a, Released> {
        let released = self.with_records(claim, |records, now| {
            let mut found = Released::NotHeld;
            for record in records {
                let first = record.queue.front().is_some_and(|(first, _)| *first == claim.owner);
                record.leave_queue(&claim.owner);
                if bury {
                    record.buried.insert(claim.owner.clone(), now.tick + claim.tombstone);
                }
                if record.is_held_by(&claim.owner) && !bury && !claim.keep.is_zero() {
                    record.exclusive = Some((claim.owner.clone(), now.tick + claim.keep));
                    found = Released::Released;
                } else if record.is_held_by(&claim.owner) {
                    record.exclusive.take_if(|(held, _)| *held == claim.owner);
                    record.shared.remove(&claim.owner);
                    record.wake();
                    found = Released::Released;
                } else {
                    if first {
                        record.wake();
                    }
                    if found == Released::NotHeld && record.lapses_at().is_some() {
                        found = Released::HeldByOther;
                    }
                }
            }
            found
        });
        Box::pin(ready(Ok(released)))
    }

    fn raise_fence<'a>(&'a self, claim: &'a Claim, floor: Fence) -> Answer<'a, Option<Fence>> {
        let raised = self.with_records(claim, |records, now| {
            if !records.iter().all(|record| record.is_held_by(&claim.owner)) {
                return Ok(None);
            }
            let highest = records.iter().map(|record| record.fence).fold(floor, Fence::max);
            let fence = highest.next(now.floor).ok_or_else(BackendError::no_fence_left)?;
            for record in records {
                record.fence = fence;
            }
            Ok(Some(fence))
        });
        Box::pin(ready(raised))
    }

    fn watch<'a>(&'a self, claim: &'a Claim) -> Answer<'a, Watch> {
        // One name is enough: a waiter for several names looks again by itself.
        let kept = &mut *self.shared.kept.lock();
        kept.make_room(self.shared.clock.now());
        let record = kept.locks.entry(claim.names[0].clone()).or_default();
        let watch = Watch::new(record.wakes.subscribe(), Box::new(()));
        Box::pin(ready(Ok(watch)))
    }

    fn status<'a>(&'a self, name: &'a str) -> Answer<'a, Status> {
        let mut kept = self.shared.kept.lock();
        let now = self.shared.clock.now();
        let status = kept.locks.get_mut(name).map_or_else(Status::default, |record| {
            record.lapse(now);
            let exclusive = record.exclusive.iter().map(|(owner, _)| owner);
            Status {
                owners: exclusive
                    .chain(record.shared.keys())
                    .map(|owner| owner.to_string())
                    .collect(),
                lapses_in: record.lapses_at().map(|at: Tick| -> Duration { at - now }),
                fence: (record.fence.number() > 0).then_some(record.fence),
                queued: record.queue.len(),
                holders: record
                    .holders
                    .iter()
                    .filter_map(|(owner, text)| Holder::parse(owner, text, None))
                    .collect(),
            }
        });
        Box::pin(ready(Ok(status)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::LockConfig;
    use super::*;
    use crate::time::Executor;
    use std::collections::HashMap;

    fn claim(name: &str, lease: Duration) -> Claim {
        Claim::new([name.to_owned()].into(), Mode::Exclusive, &LockConfig::new(lease))
    }

    fn known(backend: &MemoryBackend) -> usize {
        backend.shared.kept.lock().locks.len()
    }

    async fn fence(backend: &MemoryBackend, claim: &Claim) -> Fence {
        match backend.acquire(claim).await {
            Ok(Attempted::Granted { fence }) => fence,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn names_that_are_locked_once_leave_only_those_that_are_held() {
        let executor = Executor::new();
        let backend = MemoryBackend::new().with_env(executor.clock());
        executor.block_on(async {
            let held = claim("held", Duration::from_secs(24 * 3600));
            fence(&backend, &held).await;
            let mut most = 0;
            for n in 0..20_000 {
                // Its holder dies: the lease lapses after 100 ms, and one comes every millisecond, so that 100 are held.
                fence(&backend, &claim(&format!("name-{n}"), Duration::from_millis(100))).await;
                executor.clock().sleep(Duration::from_millis(1)).await;
                most = most.max(known(&backend));
            }
            assert!(most <= 300, "{most} names at once");
            assert_eq!(backend.status("held").await.unwrap().owners, [held.owner.to_string()]);
        });
    }

    #[test]
    fn names_that_are_watched_once_are_forgotten() {
        let executor = Executor::new();
        let backend = MemoryBackend::new().with_env(executor.clock());
        executor.block_on(async {
            let (mut most, listened) = (0, claim("listened", Duration::from_secs(1)));
            let mut watch = backend.watch(&listened).await.unwrap();
            for n in 0..20_000 {
                drop(
                    backend
                        .watch(&claim(&format!("name-{n}"), Duration::from_secs(1)))
                        .await
                        .unwrap(),
                );
                most = most.max(known(&backend));
            }
            assert!(most <= 128, "{most} names at once");
            // Those that still listen are counted.
            fence(&backend, &listened).await;
            backend.release(&listened, false).await.unwrap();
            watch.woken(&listened.owner).await;
        });
    }

    #[test]
    fn fences_of_forgotten_names_grow_on_even_if_the_clock_stands_still() {
        let executor = Executor::new();
        let backend = MemoryBackend::new().with_env(executor.clock());
        executor.block_on(async {
            let mut last: HashMap<String, Fence> = HashMap::new();
            let mut most = 0;
            for n in 0..20_000 {
                let name = format!("name-{}", n * 7 % 5_000);
                let mut claim = claim(&name, Duration::from_secs(1));
                if n == 1_000 {
                    claim.floor = Fence::from_number(1_000_000_000);
                }
                let fence = fence(&backend, &claim).await;
                backend.release(&claim, false).await.unwrap();
                let before = last.insert(name, fence);
                assert!(before.is_none_or(|before| before < fence), "{before:?}, then {fence}");
                most = most.max(known(&backend));
            }
            assert!(most <= 128, "{most} names at once");
        });
    }

    #[test]
    fn a_name_whose_fences_are_used_up_takes_none_from_the_others() {
        let executor = Executor::new();
        let backend = MemoryBackend::new().with_env(executor.clock());
        executor.block_on(async {
            let mut greedy = claim("greedy", Duration::from_secs(1));
            greedy.floor = Fence::MAX;
            assert_eq!(fence(&backend, &greedy).await, Fence::MAX);
            backend.release(&greedy, false).await.unwrap();
            for n in 0..1_000 {
                let claim = claim(&format!("name-{n}"), Duration::from_secs(1));
                assert!(fence(&backend, &claim).await < Fence::from_number(FAR_AHEAD));
                backend.release(&claim, false).await.unwrap();
            }
            let again = backend.acquire(&claim("greedy", Duration::from_secs(1))).await;
            assert_eq!(again, Err(BackendError::no_fence_left()));
        });
    }
}
