//! The backend inside the process: locks without a server, and the model that the other backends are tested against.

use super::backend::{Answer, Attempted, Backend, Claim, Mode, Released, Status, Watch};
use super::holder::Holder;
use crate::distributed::fence::Fence;
use crate::error::ConfigError;
use crate::sync::primitive::Mutex;
use crate::time::{Clock, Tick};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;

/// Keeps locks in this process.
///
/// Clones keep the same locks. Leases lapse as they do elsewhere, so that code which holds a lock without renewing it
/// shows here already. Complexity: O(holders + tombstones of the lock) a request; memory for the locks in use only.
#[derive(Clone)]
pub struct MemoryBackend {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    locks: Mutex<HashMap<String, Record>>,
}

impl MemoryBackend {
    /// No locks yet, by the clock since boot.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Clock::since_boot())
    }

    /// No locks yet, by this clock.
    #[must_use]
    pub fn with_clock(clock: Clock) -> Self {
        Self {
            shared: Arc::new(Shared {
                clock,
                locks: Mutex::default(),
            }),
        }
    }

    /// Decides about all of the claim's records at once, at one time.
    fn with_records<T>(&self, claim: &Claim, decide: impl FnOnce(&mut [&mut Record], Tick) -> T) -> T {
        let mut locks = self.shared.locks.lock();
        let now = self.shared.clock.now();
        let mut taken: Vec<(&String, Record)> = claim
            .names
            .iter()
            .map(|name| (name, locks.remove(name).unwrap_or_default()))
            .collect();
        for (_, record) in &mut taken {
            record.lapse(now);
        }
        let mut records: Vec<&mut Record> = taken.iter_mut().map(|(_, record)| record).collect();
        let decision = decide(&mut records, now);
        for (name, record) in taken {
            if !record.is_idle(now) {
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
            .field("locks", &self.shared.locks.lock().len())
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

/// Wakes that a waiter may be behind before it looks by itself.
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

    fn is_idle(&self, now: Tick) -> bool {
        self.exclusive.is_none()
            && self.shared.is_empty()
            && self.queue.is_empty()
            && self.buried.is_empty()
            && self.wakes.receiver_count() == 0
            && self.fence.number() < micros(now)
    }

    fn is_held_by(&self, owner: &str) -> bool {
        self.exclusive.as_ref().is_some_and(|(held, _)| **held == *owner) || self.shared.contains_key(owner)
    }

    /// Whether nothing but time stands between `claim` and this lock.
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

    /// Tells the first in the queue, or whoever waits, that it is worth a look.
    fn wake(&self) {
        let first = self.queue.front().map_or_else(|| "".into(), |(first, _)| first.clone());
        // An error means that nobody listens.
        drop(self.wakes.send(first));
    }
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
                return Attempted::Buried;
            }
            let until = now + claim.lasts();
            let held = records.iter().all(|record| record.is_held_by(&claim.owner));
            let highest = records.iter().map(|record| record.fence).max();
            let highest = highest.unwrap_or(Fence::from_number(0));
            if held || records.iter().all(|record| record.is_free_for(claim)) {
                let floor = micros(now).max(claim.floor.number());
                let fence = if held { highest } else { highest.next(floor) };
                for record in records {
                    record.grant(claim, until, fence);
                }
                return Attempted::Granted { fence };
            }
            if let Some(alive) = claim.queue {
                for record in records.iter_mut() {
                    record.enqueue(&claim.owner, now + alive);
                }
            }
            let lapses = records.iter().filter_map(|record| record.lapses_at()).max();
            Attempted::Held {
                lapses_in: lapses.map(|at| at - now),
                unsettled: false,
            }
        });
        Box::pin(ready(Ok(attempted)))
    }

    fn renew<'a>(&'a self, claim: &'a Claim) -> Answer<'a, bool> {
        let renewed = self.with_records(claim, |records, now| {
            if !records.iter().all(|record| record.is_held_by(&claim.owner)) {
                return false;
            }
            let until = now + claim.lasts();
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
                    record.buried.insert(claim.owner.clone(), now + claim.tombstone);
                }
                if record.is_held_by(&claim.owner) && !bury && !claim.keep.is_zero() {
                    record.exclusive = Some((claim.owner.clone(), now + claim.keep));
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
                return None;
            }
            let highest = records.iter().map(|record| record.fence).max()?.max(floor);
            let fence = highest.next(micros(now));
            for record in records {
                record.fence = fence;
            }
            Some(fence)
        });
        Box::pin(ready(Ok(raised)))
    }

    fn watch<'a>(&'a self, claim: &'a Claim) -> Answer<'a, Watch> {
        // One name is enough: whoever waits for several looks again by itself.
        let mut locks = self.shared.locks.lock();
        let record = locks.entry(claim.names[0].clone()).or_default();
        let watch = Watch::new(record.wakes.subscribe(), Box::new(()));
        Box::pin(ready(Ok(watch)))
    }

    fn status<'a>(&'a self, name: &'a str) -> Answer<'a, Status> {
        let mut locks = self.shared.locks.lock();
        let now = self.shared.clock.now();
        let status = locks.get_mut(name).map_or_else(Status::default, |record| {
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
