//! Single flight: of all that want the same key, one loads and the others wait for it.

use super::polled::{self, Polled};
use crate::sync::foreign;
use crate::sync::primitive::{Mutex, MutexGuard};
use crate::time::Tick;
use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

/// The loads that are under way, by key, in a few parts so that keys seldom wait for each other.
pub(super) struct Flights<K, V> {
    parts: Box<[Mutex<Part<K, V>>]>,
    hasher: RandomState,
    /// How long a load blocks its key.
    lease: Duration,
}

struct Part<K, V> {
    known: HashMap<K, Arc<Flight<V>>>,
    /// How many flights have begun here.
    begun: u64,
}

const PARTS: usize = 16;

/// One load and those who wait for it.
///
/// Who joins does so under the lock of the part, as does who leaves, so a flight that is known has members and one
/// without members is not known.
///
/// A flight that is overdue is replaced by another for the same key. It may still bring a value, which is then kept unless
/// one of a flight that began later was kept before.
struct Flight<V> {
    /// Flights of one part are numbered as they begin.
    number: u64,
    /// The number of the flight that this one replaces, directly or not; its own if there was none.
    origin: u64,
    state: Mutex<State<V>>,
}

struct State<V> {
    members: usize,
    /// Since when a member is loading.
    led: Option<Tick>,
    /// The last flight replaced by this one whose value was kept.
    kept: Option<u64>,
    landed: Option<Landing<V>>,
    waiting: VecDeque<(u64, Waker)>,
    next: u64,
}

/// How a load ended.
pub(super) enum Landing<V> {
    /// The value, or that there is none.
    Found(Option<V>),
    /// The error, shared by all.
    Failed(Arc<dyn Any + Send + Sync>),
    /// The words of the panic.
    Panicked(Arc<str>),
}

impl<V: Clone> Clone for Landing<V> {
    fn clone(&self) -> Self {
        match self {
            Self::Found(value) => Self::Found(value.clone()),
            Self::Failed(error) => Self::Failed(error.clone()),
            Self::Panicked(words) => Self::Panicked(words.clone()),
        }
    }
}

impl<K: Hash + Eq + Clone, V> Flights<K, V> {
    pub(super) fn new(lease: Duration) -> Self {
        Self {
            parts: (0..PARTS).map(|_| Mutex::new(Part::new())).collect(),
            hasher: RandomState::new(),
            lease,
        }
    }

    fn part(&self, key: &K) -> MutexGuard<'_, Part<K, V>> {
        let part = self.hasher.hash_one(key) as usize % PARTS;
        self.parts[part].lock()
    }

    /// How many keys are being loaded.
    pub(super) fn len(&self) -> usize {
        self.parts.iter().map(|part| part.lock().known.len()).sum()
    }

    /// Joins the flight for `key`, or begins one unless `check` knows better. `check` is called where no flight is known, or
    /// one that is overdue, so what the last one left behind is there to be seen.
    ///
    /// # Errors
    ///
    /// What `check` knows.
    pub(super) fn join<T>(
        self: &Arc<Self>,
        key: &K,
        now: Tick,
        check: impl FnOnce() -> Option<T>,
    ) -> Result<Ticket<K, V>, T> {
        let mut part = self.part(key);
        let flight = match part.known.get(key) {
            Some(flight) if !flight.is_overdue(now, self.lease) => flight.clone(),
            _ => match check() {
                Some(known) => return Err(known),
                None => part.begin(key),
            },
        };
        flight.state.lock().members += 1;
        Ok(self.ticket(key, flight))
    }

    /// Begins a flight and leads it, unless one is under way that is not overdue, or `check` says no.
    pub(super) fn lead(self: &Arc<Self>, key: &K, now: Tick, check: impl FnOnce() -> bool) -> Option<Ticket<K, V>> {
        let mut part = self.part(key);
        let blocked = |flight: &Arc<Flight<V>>| !flight.is_overdue(now, self.lease);
        if part.known.get(key).is_some_and(blocked) || !check() {
            return None;
        }
        let flight = part.begin(key);
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

    /// Forgets the flight for `key`, if there is one: what it brings is not kept, and who comes from now on begins anew.
    /// Those who wait for it are still served by it.
    pub(super) fn detach(&self, key: &K) {
        let forgotten = self.part(key).known.remove(key);
        drop(forgotten);
    }

    /// Forgets all flights.
    pub(super) fn detach_all(&self) {
        for part in &self.parts {
            let forgotten = std::mem::take(&mut part.lock().known);
            drop(forgotten);
        }
    }
}

impl<K: Hash + Eq + Clone, V> Part<K, V> {
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
            state: Mutex::new(State {
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

    /// Ends `flight`: whether what it brought may be kept. `is_value` says that it brought a value.
    fn end(&mut self, key: &K, flight: &Arc<Flight<V>>, is_value: bool) -> bool {
        let Some(known) = self.known.get(key) else {
            return false;
        };
        if Arc::ptr_eq(known, flight) {
            self.known.remove(key);
            return true;
        }
        if known.origin != flight.origin {
            // Something was removed or inserted since.
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
    /// Whether it has been led for so long that it blocks its key no more.
    fn is_overdue(&self, now: Tick, lease: Duration) -> bool {
        let state = self.state.lock();
        // `Tick::MAX` is never reached: it stands for no end.
        state
            .led
            .is_some_and(|since| since + lease < Tick::MAX && since + lease <= now)
    }
}

/// What a member is to do.
pub(super) enum Turn<V> {
    /// Load.
    Lead,
    /// Take what was loaded.
    Landed(Landing<V>),
    /// Wait to be woken, or until then: the load is overdue from then on.
    Wait(Tick),
    /// Give up: the load that it would wait for is what polls it.
    Recursive,
}

/// A member of a flight.
///
/// # Cancel safety
///
/// Dropping it leaves the flight. If it was to load, another member does; without another the flight is over.
#[must_use = "a ticket that is dropped leaves the flight"]
pub(super) struct Ticket<K: Hash + Eq + Clone, V> {
    flights: Arc<Flights<K, V>>,
    key: K,
    flight: Arc<Flight<V>>,
    leads: bool,
    place: Option<u64>,
}

impl<K: Hash + Eq + Clone, V: Clone> Ticket<K, V> {
    /// What to do. The task of `cx` is woken when there is something.
    pub(super) fn poll(&mut self, cx: &Context<'_>, now: Tick) -> Turn<V> {
        let mut state = self.flight.state.lock();
        if let Some(landing) = &state.landed {
            return Turn::Landed(landing.clone());
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

    /// Notes that the load is polled by this thread until what it returns is dropped.
    pub(super) fn polled(&self) -> Polled {
        Polled::new(self.address())
    }

    /// What tells the flight from all others that there are now.
    fn address(&self) -> usize {
        Arc::as_ptr(&self.flight).addr()
    }

    /// Ends the flight and serves all members. `keep` is called, before anybody can begin another, if the flight is still
    /// known, or was replaced for being overdue and brings a newer value than any flight since.
    pub(super) fn land(&mut self, landing: Landing<V>, keep: impl FnOnce()) {
        {
            let mut part = self.flights.part(&self.key);
            if part.end(&self.key, &self.flight, matches!(landing, Landing::Found(_))) {
                keep();
            }
        }
        let waiting = {
            let mut state = self.flight.state.lock();
            state.landed = Some(landing);
            std::mem::take(&mut state.waiting)
        };
        for (_, waker) in waiting {
            foreign::wake(waker);
        }
    }
}

impl<V> State<V> {
    /// Where a waiter stands. Complexity: O(log waiters).
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
        let mut part = self.flights.part(&self.key);
        let mut state = self.flight.state.lock();
        state.members -= 1;
        let own = state.remove(self.place);
        if self.leads {
            state.led = None;
        }
        // Whoever was woken to load and left instead passes it on.
        let next = if state.led.is_some() || state.landed.is_some() {
            None
        } else {
            state.waiting.front().map(|(_, waker)| waker.clone())
        };
        let last = state.members == 0;
        drop(state);
        let known = part
            .known
            .get(&self.key)
            .is_some_and(|known| Arc::ptr_eq(known, &self.flight));
        let over = if last && known {
            part.known.remove(&self.key)
        } else {
            None
        };
        drop(part);
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
