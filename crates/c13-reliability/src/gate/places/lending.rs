//! Places that are lent to threads, so that threads which come and go at once do not fight over the word.
//!
//! Lending begins by itself when two threads have met at the word and most places are free, and ends when a call finds no
//! place. While places are lent, who goes out lays the place on a stripe of the thread's own, and who comes in takes one from
//! there first. A place on a stripe is taken as far as the word is concerned. So the calls that run are those taken less
//! those that lie free, and as each of them holds one place and places only move, never more run than may, whatever the
//! interleaving.
//!
//! No place stays on a stripe where nobody looks for it. Places lie there only as long as they are lent, nobody is in line and
//! no more are taken than there are. Whoever ends lending or gets in line takes back all that lie free afterwards; whoever
//! lays a place on a stripe looks again afterwards, and takes one back if it may not lie there. Either one of them sees the
//! other, as all four steps stand in one order (`SeqCst`). What lies there when the limit is lowered goes back to the word
//! with whoever takes it to come in, or when a call finds no place.
//!
//! No call is refused for a place that lies free. Who finds none while places are lent ends that, under a lock, and asks the
//! word under that lock. Who asks the word while none are lent looks whether that has changed meanwhile. In both cases places
//! lie on stripes only if somebody is in the middle of going out, who is as good as inside. Right after the limit was lowered
//! or somebody got in line, a place can also be in the hands of somebody who is coming in, and gives it back.

use super::shared::Places;
use super::word::{ONE, Word};
use crate::sync::primitive::{AtomicU64, Mutex, MutexGuard, Ordering, load_in_order};
use crate::sync::{StripedPool, Stripes};

/// So many lie free on a stripe, and a few more where threads share one. Under loom few, so that models get there.
pub(super) const MOST_FREE: u32 = if cfg!(c13_loom) { 1 } else { 8 };

/// What is lent, and since when.
pub(super) struct Lending {
    /// Whether places may be lent at all.
    allowed: bool,
    /// An [`Era`].
    era: AtomicU64,
    /// The places that lie free.
    free: StripedPool,
    /// Held by who begins or ends lending, or counts what lies free.
    switch: Mutex<()>,
}

/// Whether places are lent (bits 0 and 1), and how often that has begun, so that who looks twice knows whether anything has
/// changed in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Era(u64);

impl Era {
    const PHASE: u64 = 3;
    const LENDING: u64 = 1;

    /// Whether no places are lent, and none of them is on its way back.
    #[inline]
    pub(super) fn is_idle(self) -> bool {
        self.0 & Self::PHASE == 0
    }

    #[inline]
    fn is_lending(self) -> bool {
        self.0 & Self::PHASE == Self::LENDING
    }
}

impl Lending {
    /// How many words of a stripe it takes.
    pub(super) const WORDS: usize = StripedPool::WORDS;

    pub(super) fn on(stripes: &Stripes) -> Self {
        Self {
            allowed: false,
            era: AtomicU64::new(0),
            free: StripedPool::on(stripes),
            switch: Mutex::new(()),
        }
    }

    #[inline]
    pub(super) fn era(&self) -> Era {
        // Acquire: a thread that sees that lending has ended sees the places in the word.
        Era(self.era.load(Ordering::Acquire))
    }

    /// How many places lie free on stripes. Complexity: O(stripes), which are 65 at most.
    pub(super) fn free(&self) -> u32 {
        // There are no more than places, which fit.
        self.free.total() as u32
    }

    /// Takes back everything that lies free: how many places.
    pub(super) fn take_back(&self) -> u64 {
        // In order with all other steps, so that who has laid a place on a stripe and will not look again shows the stripes.
        if load_in_order(&self.era) == 0 {
            return 0;
        }
        self.free.take_all()
    }
}

impl Places {
    /// The same places, to be lent to threads where that pays.
    pub(crate) fn lendable(mut self) -> Self {
        self.lending.allowed = true;
        self
    }

    /// Two threads have met at the word, which one of them saw as `word`: lends places from now on, if there are far more
    /// than threads can have at hand.
    #[cold]
    pub(super) fn meet(&self, word: Word) {
        // Those two at least, even if one of them has not been counted yet.
        let most_free = MOST_FREE.saturating_mul(StripedPool::owners().max(2));
        if self.lending.allowed && self.lending.era().is_idle() && word.has_to_spare(most_free) {
            self.begin_lending();
        }
    }

    /// Whether places are lent, so that tests can tell.
    #[cfg(all(test, not(c13_loom)))]
    pub(super) fn is_lending(&self) -> bool {
        self.lending.era().is_lending()
    }

    /// Lends places from now on.
    pub(super) fn begin_lending(&self) {
        // Whoever holds it has just changed it, or is done in a moment: the next two that meet begin.
        let Some(_switch) = self.lending.switch.try_lock() else {
            return;
        };
        if self.lending.era().is_idle() {
            // Release: as where lending ends.
            self.lending.era.fetch_add(1, Ordering::Release);
        }
    }

    /// Lets nobody else begin or end lending.
    pub(super) fn lock_switch(&self) -> MutexGuard<'_, ()> {
        self.lending.switch.lock()
    }

    /// Lends no more places from now on: whether anybody is in line for those that are given back by that.
    pub(super) fn end_lending(&self, _switch: &MutexGuard<'_, ()>) -> bool {
        if !self.lending.era().is_lending() {
            return false;
        }
        // SeqCst: who lays a place on a stripe after the stripes were swept sees this. See the head of this file.
        self.lending.era.fetch_add(1, Ordering::SeqCst);
        // AcqRel: as in `return_place`.
        let before = self.word.fetch_sub(self.lending.take_back() * ONE, Ordering::AcqRel);
        // Release: who sees that it has ended sees the places in the word.
        self.lending.era.fetch_add(2, Ordering::Release);
        Word::from_bits(before).is_waited_for()
    }

    /// Takes a place where there was none in the word for who looked once, in `era`, or places were lent. Apart, so that
    /// the way of those who are lent nothing and meet nobody stays short.
    #[inline(never)]
    pub(super) fn enter_in_full(&self, era: Era) -> bool {
        if era.is_idle() {
            let word = self.word();
            if word.admit().is_some() {
                self.meet(word);
            }
            // What was lent meanwhile is not in the word.
            if self.enter_by_word() {
                return true;
            }
            if self.lending.era() == era {
                return false;
            }
        }
        self.enter_lent(StripedPool::own())
    }

    /// As [`leave_lent`](Self::leave_lent) on this thread's stripe; apart, as above.
    #[inline(never)]
    pub(super) fn leave_own(&self) {
        self.leave_lent(StripedPool::own());
    }

    /// Takes a place from this thread's stripe, from the word, or from any other stripe, in this order.
    #[inline]
    pub(super) fn enter_lent(&self, stripe: usize) -> bool {
        if self.lending.free.take(stripe) {
            if self.word().may_lend() {
                return true;
            }
            self.return_place();
        }
        self.enter_by_word() || self.enter_at_last()
    }

    /// Takes a place if there is one anywhere, and ends lending for that.
    #[inline(never)]
    fn enter_at_last(&self) -> bool {
        let switch = self.lock_switch();
        let waited_for = self.end_lending(&switch);
        let entered = self.step(Word::admit);
        drop(switch);
        // Who came in saw nobody in line any more.
        if waited_for && !entered {
            self.serve_line();
        }
        entered
    }

    /// Gives a place back to this thread's stripe, if it may lie there, else to the word.
    #[inline]
    pub(super) fn leave_lent(&self, stripe: usize) {
        let free = &self.lending.free;
        if free.at_hand(stripe) >= MOST_FREE.into() {
            self.return_place();
            return;
        }
        free.put(stripe);
        let lending = Era(load_in_order(&self.lending.era)).is_lending();
        if !(lending && Word::from_bits(load_in_order(&self.word)).may_lend()) {
            self.take_back_one(stripe);
        }
    }

    /// Gives a place on a stripe back to the word, unless somebody else has.
    #[cold]
    fn take_back_one(&self, stripe: usize) {
        if self.lending.free.take(stripe) {
            self.return_place();
        }
    }
}
