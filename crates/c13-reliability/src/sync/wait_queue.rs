//! A queue of waiters, first come first served, for whatever its owner has to give.

use super::foreign;
use super::primitive::Mutex;
use super::wait_line::Line;
pub(crate) use super::wait_line::{Kind, Turn};
use std::fmt;
use std::ops::Deref;
use std::task::{Context, Waker};

/// Those who wait for something that the queue's [`Owner`] gives out.
///
/// Nobody overtakes: only the waiter at the front is ever served, whatever the others ask for. The owner keeps what it
/// gives out in a word of its own and a flag beside it in the same word, which tells newcomers to queue and those who
/// give something back to call [`settle`](WaitQueue::settle). As both are one word, no wake-up is ever lost between
/// them.
pub(crate) struct WaitQueue {
    line: Mutex<Line<Waker>>,
}

/// What has waiters: a limiter, a bulkhead.
///
/// All of it is called under the queue's lock, so it must neither wait nor call the queue.
pub(crate) trait Owner: Sized {
    /// Whether a waiter that becomes the front is woken, because it has a timer to set. Where somebody holds a place
    /// without polling it, that is the first who does poll.
    const WAKES_FRONT: bool;

    /// Its queue.
    fn queue(&self) -> &WaitQueue;

    /// Takes `n` for the waiter at the front and says so, or changes nothing.
    fn grant(&self, n: u64) -> bool;

    /// The same for a waiter of [`Kind::Reserved`], as of the time when `n` was there for it.
    fn grant_reserved(&self, n: u64) -> bool {
        self.grant(n)
    }

    /// Takes back `n` that was granted to a waiter who went away without it, or did not come for it.
    fn give_back(&self, n: u64);

    /// What time it is, in nanoseconds, where a grant that its waiter does not take keeps something from everybody else:
    /// it is then taken back after [`GRANT_LEASE`]. `None` where what is granted is spent anyway, and more comes with time.
    fn dates_grants(&self) -> Option<u64> {
        None
    }

    /// Notes, in the word that `grant` decides by, whether anybody waits. Newcomers must then queue, and whoever gives
    /// something back must settle the queue.
    fn set_waiting(&self, waiting: bool);
}

/// How long a grant is kept for a waiter that is not polled, in nanoseconds: 1 s, far longer than a task takes from being
/// woken to being polled. Then it goes to the next one, as soon as the queue is looked at: by a newcomer, by a waiter whose
/// time has come, or where something is given back. The waiter itself becomes the first in line when it is polled.
pub(crate) const GRANT_LEASE: u64 = 1_000_000_000;

/// What stands before a newcomer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ahead {
    /// How many wait.
    pub(crate) waiting: usize,
    /// How much they wait for together.
    pub(crate) weight: u128,
}

impl WaitQueue {
    /// An empty queue.
    pub(crate) fn new() -> Self {
        Self {
            line: Mutex::new(Line::new()),
        }
    }

    /// How many wait, and for how much together.
    pub(crate) fn ahead(&self) -> Ahead {
        let line = self.line.lock();
        Ahead {
            waiting: line.waiting(),
            weight: line.weight(),
        }
    }

    /// What the first waiter waits for.
    pub(crate) fn front(&self) -> Option<u64> {
        self.line.lock().front().map(|(n, _)| n)
    }

    /// Serves waiters from the front as far as `owner` has something to give.
    ///
    /// To be called when something was given back while somebody waits. Complexity: O(1) a waiter served.
    pub(crate) fn settle<O: Owner>(&self, owner: &O) {
        let mut woken = Woken::default();
        let mut line = self.line.lock();
        serve(&mut line, owner, false, &mut woken);
        drop(line);
        woken.wake();
    }

    /// As [`settle`](Self::settle), and wakes the front even if it is not served: what it counted on has changed.
    pub(crate) fn settle_anew<O: Owner>(&self, owner: &O) {
        let mut woken = Woken::default();
        let mut line = self.line.lock();
        serve(&mut line, owner, true, &mut woken);
        drop(line);
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

/// Serves from the front while the owner grants. `moved` says that the front is another one than before, or has to look
/// anew.
fn serve<O: Owner>(line: &mut Line<Waker>, owner: &O, mut moved: bool, woken: &mut Woken) {
    if line.has_granted() {
        take_back(line, owner);
    }
    while let Some((n, kind)) = line.front() {
        let granted = match kind {
            Kind::Present => owner.grant(n),
            Kind::Reserved => owner.grant_reserved(n),
        };
        if !granted {
            if moved && O::WAKES_FRONT {
                woken.push(line.take_front_waker());
            }
            return;
        }
        woken.push(line.grant_front(owner.dates_grants().unwrap_or(u64::MAX)));
        moved = true;
    }
    if moved {
        owner.set_waiting(false);
    }
}

/// Takes back what was granted so long ago that its waiters cannot be expected to come for it.
fn take_back<O: Owner>(line: &mut Line<Waker>, owner: &O) {
    let until = owner.dates_grants().and_then(|now| now.checked_sub(GRANT_LEASE));
    while let Some(n) = until.and_then(|until| line.set_aside(until)) {
        owner.give_back(n);
    }
}

/// Wakers taken under the lock, to be woken after it. One costs no allocation.
#[derive(Default)]
struct Woken {
    first: Option<Waker>,
    rest: Vec<Waker>,
}

impl Woken {
    fn push(&mut self, waker: Option<Waker>) {
        if self.first.is_none() {
            self.first = waker;
        } else {
            self.rest.extend(waker);
        }
    }

    fn wake(self) {
        self.first.into_iter().chain(self.rest).for_each(foreign::wake);
    }
}

/// A place in the queue of the owner that `P` points to.
///
/// # Cancel safety
///
/// Dropping it gives the place up at once: what was granted and never taken goes back to the owner, and whoever can be
/// served now is.
#[must_use = "a place that is dropped is given up"]
pub(crate) struct Place<P>
where
    P: Deref,
    P::Target: Owner,
{
    owner: P,
    /// `None` once the grant is taken.
    slot: Option<usize>,
}

impl<P, O> Place<P>
where
    P: Deref<Target = O>,
    O: Owner,
{
    /// Joins the queue for `n`, behind all others, if `admit` agrees to what stands ahead: that is where the queue's
    /// bound belongs. Those who can be served now are served first, so a place may be granted from the start.
    ///
    /// # Errors
    ///
    /// Why `admit` does not agree; nothing has changed then.
    pub(crate) fn join<E>(owner: P, n: u64, kind: Kind, admit: impl FnOnce(Ahead) -> Result<(), E>) -> Result<Self, E> {
        let mut woken = Woken::default();
        let joined = {
            let mut line = owner.queue().line.lock();
            serve(&mut line, &*owner, false, &mut woken);
            let ahead = Ahead {
                waiting: line.waiting(),
                weight: line.weight(),
            };
            admit(ahead).map(|()| {
                let slot = line.join(n, kind);
                if ahead.waiting == 0 {
                    // What is given back before this is seen by the grant after it; what comes later settles.
                    owner.set_waiting(true);
                    serve(&mut line, &*owner, false, &mut woken);
                }
                slot
            })
        };
        woken.wake();
        joined.map(|slot| Self {
            owner,
            slot: Some(slot),
        })
    }

    /// Where it stands. Unless it is served, the task of `cx` is woken when it is, and, if the owner says so, when it
    /// becomes the front or has to look anew.
    ///
    /// A grant that was not taken in time is gone, see [`GRANT_LEASE`]; the place is then before all others.
    ///
    /// [`Turn::Granted`] takes the grant: from then on it is the caller's to give back.
    ///
    /// # Panics
    ///
    /// If the grant was taken before.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Turn {
        let slot = self.slot.expect("a place is not polled after its grant was taken");
        let waker = cx.waker().clone();
        let mut line = self.owner.queue().line.lock();
        let mut woken = Woken::default();
        if line.rejoin(slot) {
            if line.waiting() == 1 {
                self.owner.set_waiting(true);
            }
            serve(&mut line, &*self.owner, false, &mut woken);
        }
        let turn = line.turn(slot);
        let old = if turn == Turn::Granted {
            line.leave(slot);
            self.slot = None;
            None
        } else {
            line.register(slot, waker)
        };
        drop(line);
        drop(old);
        woken.wake();
        turn
    }

    /// What stands before it, or `None` if it is served. Complexity: O(waiters before it).
    pub(crate) fn ahead(&self) -> Option<Ahead> {
        let slot = self.slot?;
        let line = self.owner.queue().line.lock();
        if line.turn(slot) == Turn::Granted {
            return None;
        }
        let (waiting, weight) = line.ahead_of(slot);
        Some(Ahead { waiting, weight })
    }

    /// Serves the queue again, for the waiter at the front whose time has come.
    pub(crate) fn settle(&self) {
        self.owner.queue().settle(&*self.owner);
    }

    /// Whose queue it is.
    pub(crate) fn owner(&self) -> &P {
        &self.owner
    }
}

impl<P> Drop for Place<P>
where
    P: Deref,
    P::Target: Owner,
{
    fn drop(&mut self) {
        let Some(slot) = self.slot else { return };
        let owner = &*self.owner;
        let mut woken = Woken::default();
        let mut line = owner.queue().line.lock();
        let (turn, n, waker) = line.leave(slot);
        match turn {
            Turn::Granted => {
                owner.give_back(n);
                serve(&mut line, owner, true, &mut woken);
            }
            Turn::Front => serve(&mut line, owner, true, &mut woken),
            Turn::Behind => {}
        }
        drop(line);
        drop(waker);
        woken.wake();
    }
}

impl<P> fmt::Debug for Place<P>
where
    P: Deref,
    P::Target: Owner,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place")
            .field("slot", &self.slot)
            .finish_non_exhaustive()
    }
}

/// The smallest owner there is, for the tests and the loom models.
#[cfg(test)]
pub(super) mod semaphore {
    use super::{Ahead, Kind, Owner, Place, WaitQueue};
    use crate::sync::primitive::{AtomicU64, Ordering};
    use std::ops::Deref;

    const WAITING: u64 = 1 << 63;

    /// Permits in the lower bits, whether anybody waits in the highest.
    pub(in crate::sync) struct Semaphore {
        word: AtomicU64,
        now: AtomicU64,
        queue: WaitQueue,
    }

    impl Semaphore {
        pub(in crate::sync) fn new(permits: u64) -> Self {
            Self {
                word: AtomicU64::new(permits),
                now: AtomicU64::new(0),
                queue: WaitQueue::new(),
            }
        }

        pub(in crate::sync) fn try_acquire(&self, n: u64) -> bool {
            // Acquire: pairs with `release`. Relaxed on failure: only a guess.
            self.word
                .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |word| {
                    (word & WAITING == 0).then(|| word.checked_sub(n)).flatten()
                })
                .is_ok()
        }

        pub(in crate::sync) fn acquire<P: Deref<Target = Self>>(
            this: P,
            n: u64,
            limit: usize,
        ) -> Result<Place<P>, Ahead> {
            Place::join(this, n, Kind::Present, |ahead| {
                if ahead.waiting < limit { Ok(()) } else { Err(ahead) }
            })
        }

        pub(in crate::sync) fn release(&self, n: u64) {
            // AcqRel: what was done under the permits is seen by their next holder.
            if self.word.fetch_add(n, Ordering::AcqRel) & WAITING != 0 {
                self.queue.settle(self);
            }
        }

        pub(in crate::sync) fn available(&self) -> u64 {
            // Acquire: pairs with `release`.
            self.word.load(Ordering::Acquire) & !WAITING
        }

        /// Lets time pass; loom's models let none.
        #[cfg(not(c13_loom))]
        pub(in crate::sync) fn pass(&self, nanos: u64) {
            // Relaxed: the tests that let time pass have one thread.
            self.now.fetch_add(nanos, Ordering::Relaxed);
        }

        pub(in crate::sync) fn is_waited_for(&self) -> bool {
            // Acquire: pairs with `set_waiting`.
            self.word.load(Ordering::Acquire) & WAITING != 0
        }
    }

    impl Owner for Semaphore {
        const WAKES_FRONT: bool = false;

        fn queue(&self) -> &WaitQueue {
            &self.queue
        }

        fn grant(&self, n: u64) -> bool {
            // Acquire: pairs with `release`. Relaxed on failure: only a guess.
            self.word
                .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |word| {
                    (word & !WAITING >= n).then(|| word - n)
                })
                .is_ok()
        }

        fn give_back(&self, n: u64) {
            // AcqRel: as in `release`.
            self.word.fetch_add(n, Ordering::AcqRel);
        }

        fn dates_grants(&self) -> Option<u64> {
            // Relaxed: as in `pass`.
            Some(self.now.load(Ordering::Relaxed))
        }

        fn set_waiting(&self, waiting: bool) {
            if waiting {
                // AcqRel: what was released before is seen by the `grant` that follows.
                self.word.fetch_or(WAITING, Ordering::AcqRel);
            } else {
                // AcqRel: as above.
                self.word.fetch_and(!WAITING, Ordering::AcqRel);
            }
        }
    }
}

#[cfg(all(test, not(c13_loom)))]
mod tests {
    use super::semaphore::Semaphore;
    use super::*;
    use crate::sync::Random;
    use std::collections::VecDeque;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::task::Wake;

    /// A task that counts how often it was woken.
    #[derive(Default)]
    struct Task(AtomicU64);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Task {
        fn woken(&self) -> u64 {
            self.0.load(Ordering::Relaxed)
        }
    }

    /// A place, the task that polls it, and what it asked for.
    struct Waiter {
        place: Place<Arc<Semaphore>>,
        task: Arc<Task>,
        n: u64,
    }

    impl Waiter {
        fn new(semaphore: &Arc<Semaphore>, n: u64) -> Self {
            Self {
                place: Semaphore::acquire(semaphore.clone(), n, usize::MAX).expect("no such queue is ever full"),
                task: Arc::default(),
                n,
            }
        }

        fn poll(&mut self) -> Turn {
            self.place.poll(&Context::from_waker(&self.task.clone().into()))
        }
    }

    fn waiters<const N: usize>(semaphore: &Arc<Semaphore>, weights: [u64; N]) -> [Waiter; N] {
        weights.map(|n| {
            let mut waiter = Waiter::new(semaphore, n);
            assert_ne!(waiter.poll(), Turn::Granted);
            waiter
        })
    }

    #[test]
    fn the_first_to_come_is_the_first_to_be_served_and_nobody_else_is_woken() {
        let semaphore = Arc::new(Semaphore::new(0));
        let mut all = waiters(&semaphore, [1, 1, 1]);
        assert_eq!(
            all.each_mut().map(Waiter::poll),
            [Turn::Front, Turn::Behind, Turn::Behind]
        );
        for served in 0..3 {
            semaphore.release(1);
            let woken: Vec<_> = all.iter().map(|waiter| waiter.task.woken()).collect();
            let expected: Vec<_> = (0..3).map(|at| u64::from(at <= served)).collect();
            assert_eq!(woken, expected);
            assert_eq!(all[served].poll(), Turn::Granted);
        }
        assert!(!semaphore.is_waited_for() && semaphore.available() == 0);
    }

    #[test]
    fn a_light_request_does_not_overtake_a_heavy_one() {
        let semaphore = Arc::new(Semaphore::new(2));
        let [mut heavy, mut light] = waiters(&semaphore, [3, 1]);
        assert_eq!((heavy.poll(), light.poll()), (Turn::Front, Turn::Behind));
        assert!(!semaphore.try_acquire(1), "a newcomer does not overtake either");
        semaphore.release(1);
        assert_eq!((heavy.poll(), light.poll()), (Turn::Granted, Turn::Front));
    }

    #[test]
    fn a_grant_that_is_not_taken_in_time_goes_to_the_next_and_its_waiter_to_the_front() {
        let semaphore = Arc::new(Semaphore::new(0));
        let [mut first, mut second, mut third] = waiters(&semaphore, [2, 1, 2]);
        semaphore.release(2);
        semaphore.pass(GRANT_LEASE - 1);
        semaphore.queue().settle(&*semaphore);
        assert_eq!([second.poll(), third.poll()], [Turn::Front, Turn::Behind]);
        semaphore.pass(1);
        semaphore.queue().settle(&*semaphore);
        assert_eq!([second.poll(), third.poll()], [Turn::Granted, Turn::Front]);
        assert_eq!([first.poll(), third.poll()], [Turn::Front, Turn::Behind]);
        assert_eq!((first.task.woken(), semaphore.available()), (1, 1));
        semaphore.release(1);
        assert_eq!([first.poll(), third.poll()], [Turn::Granted, Turn::Front]);
        drop(third);
        assert!(!semaphore.is_waited_for() && semaphore.available() == 0);
    }

    #[test]
    fn a_waiter_that_was_set_aside_asks_again_in_an_empty_queue_or_leaves_nothing() {
        for asks in [true, false] {
            let semaphore = Arc::new(Semaphore::new(0));
            let [mut waiter] = waiters(&semaphore, [1]);
            semaphore.release(1);
            semaphore.pass(GRANT_LEASE);
            semaphore.queue().settle(&*semaphore);
            assert!(semaphore.available() == 1 && !semaphore.is_waited_for());
            assert!(semaphore.try_acquire(1));
            if asks {
                assert_eq!(waiter.poll(), Turn::Front);
                assert!(semaphore.is_waited_for(), "newcomers queue behind it");
                semaphore.release(1);
                assert_eq!(waiter.poll(), Turn::Granted);
            } else {
                drop(waiter);
                semaphore.release(1);
                assert_eq!(semaphore.available(), 1);
            }
            assert!(!semaphore.is_waited_for());
        }
    }

    #[test]
    fn one_release_serves_all_it_suffices_for() {
        let semaphore = Arc::new(Semaphore::new(0));
        let mut all = waiters(&semaphore, [2, 1, 2, 1]);
        semaphore.release(4);
        let turns = all.each_mut().map(Waiter::poll);
        assert_eq!(turns, [Turn::Granted, Turn::Granted, Turn::Front, Turn::Behind]);
        assert_eq!(all.each_ref().map(|waiter| waiter.task.woken()), [1, 1, 0, 0]);
        assert_eq!(semaphore.available(), 1);
    }

    #[test]
    fn a_heavy_waiter_that_leaves_the_front_lets_the_next_in_at_once() {
        let semaphore = Arc::new(Semaphore::new(2));
        let [heavy, mut light, mut last] = waiters(&semaphore, [3, 1, 2]);
        drop(heavy);
        assert_eq!((light.task.woken(), last.task.woken()), (1, 0));
        assert_eq!((light.poll(), last.poll()), (Turn::Granted, Turn::Front));
        assert_eq!(semaphore.available(), 1);
    }

    #[test]
    fn a_waiter_that_leaves_the_middle_wakes_nobody() {
        let semaphore = Arc::new(Semaphore::new(0));
        let [mut first, middle, mut last] = waiters(&semaphore, [1, 1, 1]);
        drop(middle);
        assert_eq!((first.task.woken(), last.task.woken()), (0, 0));
        semaphore.release(2);
        assert_eq!((first.poll(), last.poll()), (Turn::Granted, Turn::Granted));
    }

    #[test]
    fn a_grant_that_nobody_took_goes_to_the_next() {
        let semaphore = Arc::new(Semaphore::new(0));
        let [first, mut second] = waiters(&semaphore, [1, 1]);
        semaphore.release(1);
        drop(first);
        assert_eq!(second.task.woken(), 1);
        assert_eq!(second.poll(), Turn::Granted);
        semaphore.release(1);
        assert_eq!(semaphore.available(), 1);
    }

    #[test]
    fn the_last_to_leave_opens_the_way_for_newcomers() {
        let semaphore = Arc::new(Semaphore::new(1));
        let [waiter] = waiters(&semaphore, [2]);
        assert!(!semaphore.try_acquire(1));
        drop(waiter);
        assert!(semaphore.try_acquire(1));
    }

    #[test]
    fn a_full_queue_takes_nobody_and_a_place_given_up_is_free_at_once() {
        let semaphore = Arc::new(Semaphore::new(0));
        let [first, _second] = waiters(&semaphore, [1, 5]);
        let full = Semaphore::acquire(semaphore.clone(), 1, 2).unwrap_err();
        assert_eq!(full, Ahead { waiting: 2, weight: 6 });
        drop(first);
        assert!(Semaphore::acquire(semaphore, 1, 2).is_ok());
    }

    #[test]
    fn a_place_is_granted_from_the_start_where_nobody_waits_and_there_is_enough() {
        let semaphore = Arc::new(Semaphore::new(1));
        let mut waiter = Waiter::new(&semaphore, 1);
        assert_eq!(waiter.poll(), Turn::Granted);
        assert!(!semaphore.is_waited_for());
    }

    #[test]
    fn permits_are_never_lost_or_made_over_random_histories() {
        const PERMITS: u64 = 7;
        for seed in 0..300 {
            let random = Random::new(seed);
            let semaphore = Arc::new(Semaphore::new(PERMITS));
            let mut queued: VecDeque<Waiter> = VecDeque::new();
            let mut held = Vec::new();
            for step in 0..300 {
                match random.below(6) {
                    0..=2 => queued.push_back(Waiter::new(&semaphore, 1 + random.below(PERMITS))),
                    3 if !held.is_empty() => {
                        semaphore.release(held.swap_remove(random.below(held.len() as u64) as usize));
                    }
                    4 if !queued.is_empty() => {
                        queued.remove(random.below(queued.len() as u64) as usize);
                    }
                    _ => {
                        let n = 1 + random.below(PERMITS);
                        if semaphore.try_acquire(n) {
                            held.push(n);
                        }
                    }
                }
                // Whoever is served stands before all who are not.
                while let Some(front) = queued.front_mut() {
                    if front.poll() != Turn::Granted {
                        break;
                    }
                    held.push(front.n);
                    queued.pop_front();
                }
                for waiter in queued.iter_mut().skip(1) {
                    assert_eq!(waiter.poll(), Turn::Behind, "seed {seed}, step {step}");
                }
                let available = semaphore.available();
                assert_eq!(
                    held.iter().sum::<u64>() + available,
                    PERMITS,
                    "seed {seed}, step {step}"
                );
                assert_eq!(
                    semaphore.is_waited_for(),
                    !queued.is_empty(),
                    "seed {seed}, step {step}"
                );
                if let Some(front) = queued.front() {
                    assert!(
                        front.n > available,
                        "seed {seed}, step {step}: the front could be served"
                    );
                }
            }
            drop(queued);
            held.drain(..).for_each(|n| semaphore.release(n));
            assert_eq!(semaphore.available(), PERMITS, "seed {seed}");
        }
    }
}
