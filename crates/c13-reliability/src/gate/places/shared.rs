//! Places to hold: the word, the queue, and what can be changed while calls run.

use super::admission::{Admission, NoPlace};
use super::lending::Lending;
use super::place::Place;
use super::word::{ONE, WAITING, Word};
use crate::gate::cut_short;
use crate::sync::primitive::{AtomicU64, Ordering};
use crate::sync::wait_queue::{Owner, WaitQueue};
use crate::sync::{CacheLine, Count as _, Histogram, HistogramSnapshot, Stripes, Tally, counts};
use crate::time::{Clock, Deadline, Tick, nanos};
use std::ops::Deref;
use std::time::Duration;

/// There are never more places: 2³¹ − 1.
pub(crate) const MAX_PLACES: u32 = (1 << 31) - 1;

/// So many calls at a time, and so many in line, first come first served.
pub(crate) struct Places {
    pub(super) word: CacheLine,
    pub(super) lending: Lending,
    queue: WaitQueue,
    max_queue: AtomicU64,
    /// In nanoseconds; `u64::MAX` is no limit.
    max_wait: AtomicU64,
    clock: Clock,
    counts: Tally<PlaceCount>,
    /// How long those in line waited who got in, in nanoseconds.
    waited: Histogram,
}

counts! {
    /// What is counted of calls that ask for a permit.
    enum PlaceCount {
        Entered,
        Rejected,
        WaitElapsed,
        LeftLine,
    }
}

/// What was counted.
#[derive(Debug)]
pub(crate) struct Counts {
    pub(crate) in_flight: u32,
    pub(crate) queued: usize,
    pub(crate) limit: u32,
    pub(crate) entered: u64,
    pub(crate) rejected: u64,
    pub(crate) wait_elapsed: u64,
    pub(crate) left_line: u64,
    pub(crate) waited: HistogramSnapshot,
}

impl Places {
    /// `limit` places, up to [`MAX_PLACES`], and room for `max_queue` in line for `max_wait` each.
    pub(crate) fn new(limit: u32, max_queue: u32, max_wait: Duration, clock: Clock) -> Self {
        Self::on(&Stripes::new(Self::WORDS), limit, max_queue, max_wait, clock)
    }

    /// How many words of a stripe they take.
    pub(crate) const WORDS: usize = PlaceCount::ALL.len() + Lending::WORDS;

    /// The same on stripes that others use too.
    pub(crate) fn on(stripes: &Stripes, limit: u32, max_queue: u32, max_wait: Duration, clock: Clock) -> Self {
        Self {
            word: CacheLine::new(Word::new(limit).bits()),
            lending: Lending::on(stripes),
            queue: WaitQueue::new(),
            max_queue: AtomicU64::new(max_queue.into()),
            max_wait: AtomicU64::new(nanos(max_wait)),
            clock,
            counts: Tally::on(stripes),
            waited: Histogram::new(),
        }
    }

    /// Takes a place at once, if there is one and nobody is in line.
    #[inline]
    pub(crate) fn try_enter(&self) -> Result<Place<&Self>, NoPlace> {
        Self::enter(self).ok_or_else(|| self.full())
    }

    /// As [`try_enter`](Self::try_enter), for whatever points to the places, and counts no refusal.
    #[inline]
    pub(crate) fn enter<P: Deref<Target = Self>>(this: P) -> Option<Place<P>> {
        let era = this.lending.era();
        let entered = era.is_idle() && this.enter_unless_met() || this.enter_in_full(era);
        entered.then(|| {
            this.counts.add_one(PlaceCount::Entered);
            Place::new(this)
        })
    }

    /// Takes a place beyond the limit, for those who are guaranteed one.
    pub(crate) fn enter_beyond(&self) -> Place<&Self> {
        // AcqRel: as in `return_place`.
        self.word.fetch_add(ONE, Ordering::AcqRel);
        self.counts.add_one(PlaceCount::Entered);
        Place::new(self)
    }

    /// Takes a place, and waits in line for it as long as the settings and the caller's deadline say.
    pub(crate) fn admission<P: Deref<Target = Self> + Clone>(this: P) -> Admission<P> {
        Admission::new(this)
    }

    /// Lets `limit` calls run at a time from now on. Up lets those in line in at once.
    pub(crate) fn resize(&self, limit: u32) {
        self.step(|word| Some(word.resize(limit)));
        if self.word().is_waited_for() {
            self.queue.settle(self);
        }
    }

    /// Lets `max_queue` newcomers wait in line for `max_wait`.
    pub(crate) fn set_queue(&self, max_queue: u32, max_wait: Duration) {
        // Relaxed: each is a setting of its own, read by whoever comes next.
        self.max_queue.store(max_queue.into(), Ordering::Relaxed);
        self.max_wait.store(nanos(max_wait), Ordering::Relaxed);
    }

    /// How many calls run.
    ///
    /// Where places are lent, it is exact as long as none changes hands and no line forms meanwhile.
    pub(crate) fn in_flight(&self) -> u32 {
        // Held, so that what is lent does not go back to the word while it is counted.
        let _switch = (!self.lending.era().is_idle()).then(|| self.lock_switch());
        self.word().taken().saturating_sub(self.lending.free())
    }

    /// How many calls may run at a time.
    pub(crate) fn limit(&self) -> u32 {
        self.word().limit()
    }

    /// How many more calls could come in now; none while anybody is in line.
    pub(crate) fn available(&self) -> u32 {
        if self.word().is_waited_for() {
            0
        } else {
            self.limit().saturating_sub(self.in_flight())
        }
    }

    /// How many newcomers may wait in line.
    pub(crate) fn max_queue(&self) -> u32 {
        // Relaxed: as in `set_queue`. It was stored from as small a number.
        self.max_queue.load(Ordering::Relaxed) as u32
    }

    /// How long they may; nothing where there is no limit.
    pub(crate) fn max_wait(&self) -> Option<Duration> {
        // Relaxed: as in `set_queue`.
        let nanos = self.max_wait.load(Ordering::Relaxed);
        (nanos < u64::MAX).then(|| Duration::from_nanos(nanos))
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts {
            in_flight: self.in_flight(),
            queued: self.queue.ahead().waiting,
            limit: self.limit(),
            entered: self.counts.sum(PlaceCount::Entered),
            rejected: self.counts.sum(PlaceCount::Rejected),
            wait_elapsed: self.counts.sum(PlaceCount::WaitElapsed),
            left_line: self.counts.sum(PlaceCount::LeftLine),
            waited: self.waited.snapshot(),
        }
    }

    /// Gives a place back, and lets the first in line have it.
    #[inline]
    pub(crate) fn leave(&self) {
        if self.lending.era().is_idle() {
            self.return_place();
        } else {
            self.leave_own();
        }
    }

    /// Gives a place back to the word, and lets the first in line have it.
    #[inline]
    pub(super) fn return_place(&self) {
        // AcqRel: what was done in a place is seen by who has it next.
        let before = Word::from_bits(self.word.fetch_sub(ONE, Ordering::AcqRel));
        if before.is_waited_for() {
            self.serve_line();
        }
    }

    /// Lets those in line in, as far as there is room. Apart, so that the way of those whom nobody waits for stays short.
    #[inline(never)]
    pub(super) fn serve_line(&self) {
        self.queue.settle(self);
    }

    /// Counts a refusal, and says so. Takes back, for the next call, a place that somebody was given in line and did not come
    /// for.
    #[cold]
    pub(crate) fn full(&self) -> NoPlace {
        if self.max_queue() > 0 {
            self.queue.settle(self);
        }
        self.refused()
    }

    /// Counts a refusal, and says so.
    #[cold]
    pub(super) fn refused(&self) -> NoPlace {
        self.counts.add_one(PlaceCount::Rejected);
        NoPlace::Full { limit: self.limit() }
    }

    /// Counts a wait that was too long, and says so.
    pub(super) fn wait_elapsed(&self, since: Tick) -> NoPlace {
        self.counts.add_one(PlaceCount::WaitElapsed);
        NoPlace::WaitElapsed {
            waited: self.clock.now() - since,
        }
    }

    /// Refuses and counts a call whose deadline has passed: nobody waits for what it would do.
    #[inline]
    pub(crate) fn late(&self) -> Option<NoPlace> {
        if !Deadline::is_over(&self.clock) {
            return None;
        }
        self.count_late();
        Some(NoPlace::DeadlinePassed)
    }

    #[cold]
    #[inline(never)]
    fn count_late(&self) {
        cut_short::report();
        self.counts.add_one(PlaceCount::WaitElapsed);
    }

    /// Counts a call that was dropped while it was in line.
    pub(super) fn left_line(&self) {
        self.counts.add_one(PlaceCount::LeftLine);
    }

    /// Counts and measures a wait that ended with a place.
    pub(super) fn got_in(&self, since: Tick) {
        self.counts.add_one(PlaceCount::Entered);
        self.waited.record(nanos(self.clock.now() - since));
    }

    /// Takes a place from the word, if there is one and nobody else changes the word meanwhile.
    #[inline]
    fn enter_unless_met(&self) -> bool {
        let word = self.word();
        word.admit().is_some_and(|next| {
            // AcqRel: as in `return_place`. Relaxed on failure: nothing is done with it.
            self.word
                .compare_exchange(word.bits(), next.bits(), Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        })
    }

    /// Takes a place from the word. What is looked at after a refusal is not older than the word that refused.
    #[inline]
    pub(super) fn enter_by_word(&self) -> bool {
        self.step(Word::admit)
    }

    #[inline]
    pub(super) fn word(&self) -> Word {
        // Acquire: who reads that calls have ended also sees what they did.
        Word::from_bits(self.word.load(Ordering::Acquire))
    }

    pub(super) fn step(&self, mut next: impl FnMut(Word) -> Option<Word>) -> bool {
        let next = |bits| next(Word::from_bits(bits)).map(Word::bits);
        // AcqRel: as in `return_place`. Acquire on failure: as promised above.
        self.word
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, next)
            .is_ok()
    }
}

impl Owner for Places {
    const WAKES_FRONT: bool = false;

    fn queue(&self) -> &WaitQueue {
        &self.queue
    }

    fn grant(&self, _one: u64) -> bool {
        self.step(Word::grant)
    }

    fn give_back(&self, n: u64) {
        // AcqRel: as in `return_place`. The queue serves the next by itself.
        self.word.fetch_sub(n * ONE, Ordering::AcqRel);
    }

    fn dates_grants(&self) -> Option<u64> {
        Some(self.clock.now().as_nanos())
    }

    fn set_waiting(&self, waiting: bool) {
        if waiting {
            // SeqCst: a place given back before this is seen by the `grant` that follows, one on a stripe by the look
            // there, and who lays one there later sees this. See `lending.rs`.
            self.word.fetch_or(WAITING, Ordering::SeqCst);
            let lent = self.lending.take_back();
            if lent > 0 {
                self.give_back(lent);
            }
        } else {
            // AcqRel: as in `return_place`.
            self.word.fetch_and(!WAITING, Ordering::AcqRel);
        }
    }
}
