//! The flights of a set, by key: who leads, who waits, and what becomes of a flight that takes too long.

use super::polled::{self, Polled};
use crate::sync::foreign;
use crate::sync::primitive::{Mutex, MutexGuard};
use crate::time::{Clock, Sleep, Tick};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::{Future, poll_fn};
use std::hash::{BuildHasher, Hash, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// The work that is under way, by key. `V` is its result. The set has shards, so that keys seldom wait for each other.
pub(crate) struct Flights<K, V> {
    shards: Box<[Mutex<Shard<K, V>>]>,
    hasher: RandomState,
    /// For how long a flight blocks its key.
    lease: Duration,
}

struct Shard<K, V> {
    known: HashMap<K, Arc<Flight<V>>>,
    /// How many flights have begun in this shard.
    begun: u64,
}

/// One piece of work and its members: the leader, who does it, and those who wait for it.
///
/// Members join and leave under the lock of the shard, so a known flight has members, and one without members is not known.
///
/// A flight that is overdue is replaced by another for the same key. It may still land a result, which is kept unless one of
/// a later flight was kept before.
struct Flight<V> {
    /// Flights of one shard are numbered as they begin.
    number: u64,
    /// The number of the flight that this one replaces, directly or not; its own if there was none.
    origin: u64,
    state: Mutex<FlightState<V>>,
}

struct FlightState<V> {
    members: usize,
    /// Since when a member leads.
    led: Option<Tick>,
    /// The last flight replaced by this one whose result was kept.
    kept: Option<u64>,
    /// The result, once there is one.
    landed: Option<V>,
    /// The members that wait, in the order of their numbers, which they get when they begin to wait.
    waiting: VecDeque<(u64, Waker)>,
    /// The number of the next member that begins to wait.
    next: u64,
}

impl<K: Hash + Eq + Clone, V> Flights<K, V> {
    /// A set of so many shards, in which a flight blocks its key for `lease`; `Duration::MAX` is for ever.
    pub(crate) fn new(shards: usize, lease: Duration) -> Self {
        Self {
            shards: (0..shards).map(|_| Mutex::new(Shard::new())).collect(),
            hasher: RandomState::new(),
            lease,
        }
    }

    fn shard(&self, key: &K) -> MutexGuard<'_, Shard<K, V>> {
        let shard = self.hasher.hash_one(key) as usize % self.shards.len();
        self.shards[shard].lock()
    }

    /// How many keys have a flight.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().known.len()).sum()
    }

    /// Joins the flight for `key`, or begins one unless `check` has a result already. `check` is called if no flight is known,
    /// or one that is overdue; what the last flight has kept is visible to it.
    ///
    /// # Errors
    ///
    /// The result of `check`.
    pub(crate) fn join<T>(
        self: &Arc<Self>,
        key: &K,
        now: Tick,
        check: impl FnOnce() -> Option<T>,
    ) -> Result<Ticket<K, V>, T> {
        let mut shard = self.shard(key);
        let flight = match shard.known.get(key) {
            Some(flight) if !flight.is_overdue(now, self.lease) => flight.clone(),
            _ => match check() {
                Some(known) => return Err(known),
                None => shard.begin(key),
            },
        };
        flight.state.lock().members += 1;
        Ok(self.ticket(key, flight))
    }

    /// Begins a flight and leads it, unless one is under way that is not overdue, or `check` returns false.
    pub(crate) fn lead(self: &Arc<Self>, key: &K, now: Tick, check: impl FnOnce() -> bool) -> Option<Ticket<K, V>> {
        let mut shard = self.shard(key);
        let blocked = |flight: &Arc<Flight<V>>| !flight.is_overdue(now, self.lease);
        if shard.known.get(key).is_some_and(blocked) || !check() {
            return None;
        }
        let flight = shard.begin(key);
        {
            let mut state = flight.state.lock();
            state.members = 1;
            state.led = Some(now);
        }
        let mut ticket = self.ticket(key, flight);
        ticket.leads = true;
        Some(ticket)
    }

    fn ticket(self: &Arc<Self>, key: &K, flight: Arc<Flight<V>>) -> Ticket<K, V> {
        Ticket {
            flights: self.clone(),
            key: key.clone(),
            flight,
            leads: false,
            place: None,
        }
    }

    /// Forgets the flight for `key`, if there is one: its result is not kept, and callers from now on begin another. Its
    /// members still get its result.
    pub(crate) fn detach(&self, key: &K) {
        let forgotten = self.shard(key).known.remove(key);
        drop(forgotten);
    }

    /// Forgets all flights.
    pub(crate) fn detach_all(&self) {
        for shard in &self.shards {
            let forgotten = std::mem::take(&mut shard.lock().known);
            drop(forgotten);
        }
    }
}

impl<K: Hash + Eq + Clone, V> Shard<K, V> {
    fn new() -> Self {
        Self {
            known: HashMap::new(),
            begun: 0,
        }
    }

    /// Begins a flight for `key`, in place of the one that is known.
    fn begin(&mut self, key: &K) -> Arc<Flight<V>> {
        let number = self.begun;
        self.begun += 1;
        let (origin, kept) = self
            .known
            .get(key)
            .map_or((number, None), |old| (old.origin, old.state.lock().kept));
        let flight = Arc::new(Flight {
            number,
            origin,
            state: Mutex::new(FlightState {
                members: 0,
                led: None,
                kept,
                landed: None,
                waiting: VecDeque::new(),
                next: 0,
            }),
        });
        self.known.insert(key.clone(), flight.clone());
        flight
    }

    /// Ends `flight`: whether its result may be kept. The result of a flight that was replaced may be kept only if it
    /// is a value, and no later flight's was kept.
    fn end(&mut self, key: &K, flight: &Arc<Flight<V>>, is_value: bool) -> bool {
        let Some(known) = self.known.get(key) else {
            return false;
        };
        if Arc::ptr_eq(known, flight) {
            self.known.remove(key);
            return true;
        }
        if known.origin != flight.origin {
            // The flight was detached since: its result is out of date.
            return false;
        }
        let mut state = known.state.lock();
        let is_newest = is_value && state.kept.is_none_or(|kept| kept < flight.number);
        if is_newest {
            state.kept = Some(flight.number);
        }
        is_newest
    }
}

impl<V> Flight<V> {
    /// Whether it has been led for so long that it does not block its key any more.
    fn is_overdue(&self, now: Tick, lease: Duration) -> bool {
        let state = self.state.lock();
        // `Tick::MAX` is never reached: it stands for no end.
        state
            .led
            .is_some_and(|since| since + lease < Tick::MAX && since + lease <= now)
    }
}

/// What a member has to do.
pub(crate) enum Turn<V> {
    /// Do the work.
    Lead,
    /// Take the result.
    Landed(V),
    /// Wait to be woken, or until this tick, from which on the flight is overdue.
    Wait(Tick),
    /// Give up: the work that it would wait for is polling it. Only found if the leader [marks](Ticket::polled) its polls.
    Recursive,
}

/// A member of a flight.
///
/// # Cancel safety
///
/// Dropping it leaves the flight. If it was leading, another member leads; without another the flight is over.
#[must_use = "a ticket that is dropped leaves the flight"]
pub(crate) struct Ticket<K: Hash + Eq + Clone, V> {
    flights: Arc<Flights<K, V>>,
    key: K,
    flight: Arc<Flight<V>>,
    leads: bool,
    /// Its number among the members that wait, if it waits.
    place: Option<u64>,
}

impl<K: Hash + Eq + Clone, V: Clone> Ticket<K, V> {
    /// What to do now. The task of `cx` is woken when that changes.
    pub(crate) fn poll(&mut self, cx: &Context<'_>, now: Tick) -> Turn<V> {
        let mut state = self.flight.state.lock();
        if let Some(result) = &state.landed {
            return Turn::Landed(result.clone());
        }
        let Some(since) = state.led else {
            state.led = Some(now);
            self.leads = true;
            let place = self.place.take();
            let waker = state.remove(place);
            drop(state);
            drop(waker);
            return Turn::Lead;
        };
        if polled::is_polled(self.address()) {
            return Turn::Recursive;
        }
        match self.place {
            Some(place) => {
                if let Some(at) = state.place(place) {
                    state.waiting[at].1.clone_from(cx.waker());
                }
            }
            None => {
                let place = state.next;
                state.next += 1;
                state.waiting.push_back((place, cx.waker().clone()));
                self.place = Some(place);
            }
        }
        Turn::Wait(since + self.flights.lease)
    }

    /// Waits until this member has something to do. [`Turn::Wait`] means that the flight is overdue by now: join again.
    pub(crate) async fn turn(&mut self, clock: &Clock) -> Turn<V> {
        // On the heap, so that the future of a member that need not wait is no larger for it.
        let mut sleep: Option<Pin<Box<Sleep>>> = None;
        poll_fn(|cx| {
            let turn = self.poll(cx, clock.now());
            let Turn::Wait(until) = turn else {
                return Poll::Ready(turn);
            };
            if until == Tick::MAX {
                return Poll::Pending;
            }
            let sleep = sleep.get_or_insert_with(|| Box::pin(clock.sleep_until(until)));
            if sleep.deadline() != until {
                // Another member has begun to lead meanwhile.
                sleep.as_mut().reset(until);
            }
            sleep.as_mut().poll(cx).map(|()| turn)
        })
        .await
    }

    /// Marks the work as polled by this thread, until the returned mark is dropped.
    pub(crate) fn polled(&self) -> Polled {
        Polled::new(self.address())
    }

    /// The address of the flight, which no other flight has at the same time.
    fn address(&self) -> usize {
        Arc::as_ptr(&self.flight).addr()
    }

    /// Ends the flight and gives all members the result.
    ///
    /// `keep` is called, before another flight for the key can begin, if the flight is still known. It is also called
    /// if the flight was replaced because it was overdue, provided that the result is a value and no later flight's was
    /// kept.
    pub(crate) fn land(&mut self, result: V, is_value: bool, keep: impl FnOnce()) {
        {
            let mut shard = self.flights.shard(&self.key);
            if shard.end(&self.key, &self.flight, is_value) {
                keep();
            }
        }
        let waiting = {
            let mut state = self.flight.state.lock();
            state.landed = Some(result);
            std::mem::take(&mut state.waiting)
        };
        for (_, waker) in waiting {
            foreign::wake(waker);
        }
    }
}

impl<V> FlightState<V> {
    /// The index of the waiting member with this number. Complexity: O(log waiters).
    fn place(&self, place: u64) -> Option<usize> {
        self.waiting.binary_search_by_key(&place, |(number, _)| *number).ok()
    }

    fn remove(&mut self, place: Option<u64>) -> Option<Waker> {
        let at = self.place(place?)?;
        self.waiting.remove(at).map(|(_, waker)| waker)
    }
}

impl<K: Hash + Eq + Clone, V> Drop for Ticket<K, V> {
    fn drop(&mut self) {
        let mut shard = self.flights.shard(&self.key);
        let mut state = self.flight.state.lock();
        state.members -= 1;
        let own = state.remove(self.place);
        if self.leads {
            state.led = None;
        }
        // A member that was woken to lead and left instead passes it on.
        let next = if state.led.is_some() || state.landed.is_some() {
            None
        } else {
            state.waiting.front().map(|(_, waker)| waker.clone())
        };
        let last = state.members == 0;
        drop(state);
        let known = shard
            .known
            .get(&self.key)
            .is_some_and(|known| Arc::ptr_eq(known, &self.flight));
        let over = if last && known {
            shard.known.remove(&self.key)
        } else {
            None
        };
        drop(shard);
        drop((own, over));
        if let Some(waker) = next {
            waker.wake();
        }
    }
}

impl<K: Hash + Eq + Clone, V> fmt::Debug for Flights<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").field("loading", &self.len()).finish()
    }
}
