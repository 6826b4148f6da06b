//! Single flight: of all that want the same key, one loads and the others wait for it.

use crate::sync::foreign;
use crate::sync::primitive::{Mutex, MutexGuard};
use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// The loads that are under way, by key, in a few parts so that keys seldom wait for each other.
pub(super) struct Flights<K, V> {
    parts: Box<[Mutex<Part<K, V>>]>,
    hasher: RandomState,
}

type Part<K, V> = HashMap<K, Arc<Flight<V>>>;

const PARTS: usize = 16;

/// One load and those who wait for it.
///
/// Who joins does so under the lock of the part, as does who leaves, so a flight that is known has members and one
/// without members is not known.
struct Flight<V> {
    state: Mutex<State<V>>,
}

struct State<V> {
    members: usize,
    /// Whether a member is loading.
    led: bool,
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
    pub(super) fn new() -> Self {
        Self {
            parts: (0..PARTS).map(|_| Mutex::new(HashMap::new())).collect(),
            hasher: RandomState::new(),
        }
    }

    fn part(&self, key: &K) -> MutexGuard<'_, Part<K, V>> {
        let part = self.hasher.hash_one(key) as usize % PARTS;
        self.parts[part].lock()
    }

    /// How many keys are being loaded.
    pub(super) fn len(&self) -> usize {
        self.parts.iter().map(|part| part.lock().len()).sum()
    }

    /// Joins the flight for `key`, or begins one unless `check` knows better. `check` is called where no flight is known,
    /// so what the last one left behind is there to be seen.
    ///
    /// # Errors
    ///
    /// What `check` knows.
    pub(super) fn join<T>(self: &Arc<Self>, key: &K, check: impl FnOnce() -> Option<T>) -> Result<Ticket<K, V>, T> {
        let mut part = self.part(key);
        let flight = match part.get(key) {
            Some(flight) => flight.clone(),
            None => match check() {
                Some(known) => return Err(known),
                None => Flight::begin(&mut part, key),
            },
        };
        flight.state.lock().members += 1;
        Ok(self.ticket(key, flight))
    }

    /// Begins a flight and leads it, unless one is under way or `check` says no.
    pub(super) fn lead(self: &Arc<Self>, key: &K, check: impl FnOnce() -> bool) -> Option<Ticket<K, V>> {
        let mut part = self.part(key);
        if part.contains_key(key) || !check() {
            return None;
        }
        let flight = Flight::begin(&mut part, key);
        {
            let mut state = flight.state.lock();
            state.members = 1;
            state.led = true;
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
        let forgotten = self.part(key).remove(key);
        drop(forgotten);
    }

    /// Forgets all flights.
    pub(super) fn detach_all(&self) {
        for part in &self.parts {
            let forgotten = std::mem::take(&mut *part.lock());
            drop(forgotten);
        }
    }
}

impl<V> Flight<V> {
    fn begin<K: Hash + Eq + Clone>(part: &mut Part<K, V>, key: &K) -> Arc<Self> {
        let flight = Arc::new(Self {
            state: Mutex::new(State {
                members: 0,
                led: false,
                landed: None,
                waiting: VecDeque::new(),
                next: 0,
            }),
        });
        part.insert(key.clone(), flight.clone());
        flight
    }
}

/// What a member is to do.
pub(super) enum Turn<V> {
    /// Load.
    Lead,
    /// Take what was loaded.
    Landed(Landing<V>),
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
    pub(super) fn poll(&mut self, cx: &Context<'_>) -> Poll<Turn<V>> {
        let mut state = self.flight.state.lock();
        if let Some(landing) = &state.landed {
            return Poll::Ready(Turn::Landed(landing.clone()));
        }
        if !state.led {
            state.led = true;
            self.leads = true;
            let place = self.place.take();
            let waker = state.remove(place);
            drop(state);
            drop(waker);
            return Poll::Ready(Turn::Lead);
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
        Poll::Pending
    }

    /// Ends the flight and serves all members. `keep` is called if the flight is still known, before anybody can begin
    /// another.
    pub(super) fn land(&mut self, landing: Landing<V>, keep: impl FnOnce()) {
        {
            let mut part = self.flights.part(&self.key);
            if part
                .get(&self.key)
                .is_some_and(|known| Arc::ptr_eq(known, &self.flight))
            {
                part.remove(&self.key);
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
            state.led = false;
        }
        // Whoever was woken to load and left instead passes it on.
        let next = if state.led || state.landed.is_some() {
            None
        } else {
            state.waiting.front().map(|(_, waker)| waker.clone())
        };
        let last = state.members == 0;
        drop(state);
        let known = part
            .get(&self.key)
            .is_some_and(|known| Arc::ptr_eq(known, &self.flight));
        let over = if last && known { part.remove(&self.key) } else { None };
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
