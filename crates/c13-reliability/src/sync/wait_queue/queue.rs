//! The queue, its owner, and granting what waiters asked for.

use super::list::{Kind, WaiterList};
use crate::sync::foreign;
use crate::sync::primitive::Mutex;
use std::fmt;
use std::task::Waker;

/// The waiters for what the queue's [`Owner`] gives out. See the [module](super) for how they are served.
pub(crate) struct WaitQueue {
    pub(super) list: Mutex<WaiterList<Waker>>,
}

/// What has a queue: a limiter, a bulkhead.
///
/// Its methods are called under the queue's lock, so they must neither wait nor call the queue.
pub(crate) trait Owner: Sized {
    /// Whether a waiter that comes to the front is woken, because it has a timer to set. Waiters that are not polled, such as
    /// reservations, are passed over for that.
    const WAKES_FRONT: bool;

    /// Its queue.
    fn queue(&self) -> &WaitQueue;

    /// Takes `n` for the waiter at the front and returns true, or changes nothing.
    fn grant(&self, n: u64) -> bool;

    /// The same for a waiter of [`Kind::Reserved`], as of the time when `n` was there for it.
    fn grant_reserved(&self, n: u64) -> bool {
        self.grant(n)
    }

    /// Takes back `n` that was granted to a waiter which was dropped, or did not take it in time.
    fn give_back(&self, n: u64);

    /// The current time in nanoseconds, if grants that are not taken must be taken back after [`GRANT_LEASE`]: a permit
    /// that its waiter does not take is kept from everybody else. `None` if they need not be: tokens come back with
    /// time.
    fn dates_grants(&self) -> Option<u64> {
        None
    }

    /// Sets or clears the flag, in the word that `grant` decides by, that there are waiters. While it is set, newcomers must
    /// join the queue, and whoever gives something back must settle it.
    fn set_waiting(&self, waiting: bool);
}

/// How long a grant is kept for a waiter that is not polled, in nanoseconds: 1 s, far longer than a task takes from being
/// woken to being polled. Then it goes to the next waiter, as soon as the queue is used again: by a newcomer, by a waiter whose
/// timer has fired, or where something is given back. The waiter itself comes to the front of the queue when it is polled.
pub(crate) const GRANT_LEASE: u64 = 1_000_000_000;

/// The waiters ahead of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ahead {
    /// How many they are.
    pub(crate) waiting: usize,
    /// How much they asked for together.
    pub(crate) weight: u128,
}

impl WaitQueue {
    /// An empty queue.
    pub(crate) fn new() -> Self {
        Self {
            list: Mutex::new(WaiterList::new()),
        }
    }

    /// How many waiters there are, and how much they asked for together.
    pub(crate) fn ahead(&self) -> Ahead {
        let list = self.list.lock();
        Ahead {
            waiting: list.waiting(),
            weight: list.weight(),
        }
    }

    /// What the waiter at the front asked for.
    pub(crate) fn front(&self) -> Option<u64> {
        self.list.lock().front().map(|(n, _)| n)
    }

    /// Grants waiters what they asked for, from the front, as long as `owner` has enough.
    ///
    /// To be called when something was given back while there are waiters. Complexity: O(1) a waiter served.
    pub(crate) fn settle<O: Owner>(&self, owner: &O) {
        let mut woken = Woken::default();
        let mut list = self.list.lock();
        serve(&mut list, owner, false, &mut woken);
        drop(list);
        woken.wake();
    }

    /// As [`settle`](Self::settle), and wakes the front even if it is not served: its timer is out of date.
    pub(crate) fn settle_anew<O: Owner>(&self, owner: &O) {
        let mut woken = Woken::default();
        let mut list = self.list.lock();
        serve(&mut list, owner, true, &mut woken);
        drop(list);
        woken.wake();
    }
}

impl fmt::Debug for WaitQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ahead = self.ahead();
        f.debug_struct("WaitQueue")
            .field("waiting", &ahead.waiting)
            .field("weight", &ahead.weight)
            .finish()
    }
}

/// Grants from the front, as long as the owner has enough. `moved` says that the waiter at the front has changed, or
/// that its timer is out of date.
pub(super) fn serve<O: Owner>(list: &mut WaiterList<Waker>, owner: &O, mut moved: bool, woken: &mut Woken) {
    if list.has_granted() {
        take_back(list, owner);
    }
    while let Some((n, kind)) = list.front() {
        let granted = match kind {
            Kind::Present => owner.grant(n),
            Kind::Reserved => owner.grant_reserved(n),
        };
        if !granted {
            if moved && O::WAKES_FRONT {
                woken.push(list.take_front_waker());
            }
            return;
        }
        woken.push(list.grant_front(owner.dates_grants().unwrap_or(u64::MAX)));
        moved = true;
    }
    // No waiter is left, so callers are on the fast path again.
    if moved {
        owner.set_waiting(false);
    }
}

/// Takes back the grants that were not taken within their lease.
fn take_back<O: Owner>(list: &mut WaiterList<Waker>, owner: &O) {
    let until = owner.dates_grants().and_then(|now| now.checked_sub(GRANT_LEASE));
    while let Some(n) = until.and_then(|until| list.set_aside(until)) {
        owner.give_back(n);
    }
}

/// Wakers that were collected under the lock, to be woken after it. A single one costs no allocation.
#[derive(Default)]
pub(super) struct Woken {
    first: Option<Waker>,
    rest: Vec<Waker>,
}

impl Woken {
    pub(super) fn push(&mut self, waker: Option<Waker>) {
        if self.first.is_none() {
            self.first = waker;
        } else {
            self.rest.extend(waker);
        }
    }

    pub(super) fn wake(self) {
        self.first.into_iter().chain(self.rest).for_each(foreign::wake);
    }
}
