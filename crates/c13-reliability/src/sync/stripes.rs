//! A few words of memory for each thread: what striped counters, windows, stocks and pools are made of.
//!
//! Threads that write to one cache line wait for each other. So what is written in every call is kept once per thread, in a
//! **stripe**, and readers add the stripes up. Where stripes lie is said in `arena`. From the 65th thread on, threads share one
//! stripe.
//!
//! Several users may share one set of stripes, each with some words of its own in every stripe: the parts of a policy do, so
//! that a call counts in one or two cache lines, however many parts it goes through.

use super::arena::{Chunk, LONGEST, NO_CHUNK, Run};
use super::primitive::{AtomicU64, Ordering};
use super::thread_slot::{SHARED, Slot};
use std::fmt;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Weak};

/// A set of stripes, all of the same length. Clones are the same set.
#[derive(Clone)]
pub(crate) struct Stripes(Arc<Set>);

struct Set {
    memory: Memory,
    /// How many words of each stripe have been given to a user. Of std in loom models too, which do not depend on it.
    given: AtomicU32,
}

enum Memory {
    /// A stripe for each thread.
    Striped(Run),
    /// One stripe, which all threads share.
    Compact(Box<[AtomicU64]>),
}

/// The words of one user in the stripe that a thread writes to.
pub(crate) enum Own<'a> {
    /// No other thread writes to them.
    Alone(&'a [AtomicU64]),
    /// Other threads write to them too.
    Shared(&'a [AtomicU64]),
}

impl Stripes {
    /// Stripes of at least this many words, 64 at most, one for each thread that writes. Where the process has thousands of
    /// instances already, they are [compact](Self::compact).
    pub(crate) fn new(words: usize) -> Self {
        match Run::take(words) {
            Some(run) => Self::of(Memory::Striped(run)),
            None => Self::compact(words),
        }
    }

    /// One stripe of this many words, which all threads share: small, but every write is a locked instruction.
    pub(crate) fn compact(words: usize) -> Self {
        Self::of(Memory::Compact((0..words).map(|_| AtomicU64::new(0)).collect()))
    }

    fn of(memory: Memory) -> Self {
        Self(Arc::new(Set {
            memory,
            given: AtomicU32::new(0),
        }))
    }

    /// The next `count` words of each stripe. If too few are left, they are words of another set, which is compact if this one
    /// is.
    pub(crate) fn words(&self, count: usize) -> Words {
        let room = |given: u32| (given as usize + count <= self.0.len()).then_some(given + count as u32);
        // Relaxed: the result alone says which words they are.
        match self.0.given.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room) {
            Ok(offset) => Words::new(self.0.clone(), offset, count as u32),
            Err(_) => self.0.alike(count).words(count),
        }
    }
}

impl Set {
    fn len(&self) -> usize {
        match &self.memory {
            Memory::Striped(run) => run.len(),
            Memory::Compact(words) => words.len(),
        }
    }

    fn alike(&self, words: usize) -> Stripes {
        match self.memory {
            Memory::Striped(_) if words <= LONGEST => Stripes::new(words),
            _ => Stripes::compact(words),
        }
    }
}

/// The words of one user in every stripe of a set. Clones are the same words.
#[derive(Clone)]
pub(crate) struct Words {
    set: Arc<Set>,
    /// The chunk of the arena that they lie in; [`NO_CHUNK`] if they do not.
    chunk: u32,
    first: u32,
    count: u32,
}

impl Words {
    fn new(set: Arc<Set>, offset: u32, count: u32) -> Self {
        let (chunk, first) = match &set.memory {
            Memory::Striped(run) => run.position(),
            Memory::Compact(_) => (NO_CHUNK, 0),
        };
        Self {
            set,
            chunk,
            first: first + offset,
            count,
        }
    }

    /// The word at `index` in the stripe of this slot, if there is one.
    #[inline]
    pub(crate) fn at(&self, slot: Slot, index: usize) -> Option<&AtomicU64> {
        Some(self.chunk_of(slot)?.at(self.first as usize + index))
    }

    /// The first `N` words in the stripe of this slot, if there is one.
    #[inline]
    pub(crate) fn first<const N: usize>(&self, slot: Slot) -> Option<&[AtomicU64; N]> {
        self.chunk_of(slot)?.from(self.first as usize).first_chunk()
    }

    #[inline]
    fn chunk_of(&self, slot: Slot) -> Option<&Chunk> {
        #[cfg(not(c13_loom))]
        let directory = slot.directory();
        #[cfg(c13_loom)]
        let directory = match &self.set.memory {
            Memory::Striped(run) if slot.number() <= SHARED => run.directory(slot),
            _ => return None,
        };
        directory.chunk(self.chunk)
    }

    /// The words in the stripe of this slot, which is allocated if there is none yet.
    #[inline]
    pub(crate) fn own(&self, slot: Slot) -> Own<'_> {
        match self.chunk_of(slot) {
            Some(chunk) if !slot.is_shared() => Own::Alone(self.of(chunk.from(self.first as usize))),
            _ => self.own_or_new(slot),
        }
    }

    #[cold]
    fn own_or_new(&self, slot: Slot) -> Own<'_> {
        match &self.set.memory {
            Memory::Compact(words) => Own::Shared(self.of(&words[self.first as usize..])),
            Memory::Striped(run) => {
                let chunk = run.directory(slot).chunk_or_new(self.chunk);
                let words = self.of(chunk.from(self.first as usize));
                if slot.is_shared() {
                    Own::Shared(words)
                } else {
                    Own::Alone(words)
                }
            }
        }
    }

    /// The words in each stripe, with the number of its slot; [`SHARED`] for a stripe that threads share. A stripe that a
    /// thread begins to use meanwhile may be missed. Complexity: O(stripes), 65 at most.
    pub(crate) fn each(&self) -> impl Iterator<Item = (usize, &[AtomicU64])> {
        let first = self.first as usize;
        let (striped, compact) = match &self.set.memory {
            Memory::Striped(run) => (Some(run.chunks()), None),
            Memory::Compact(words) => (None, Some((SHARED, self.of(&words[first..])))),
        };
        let striped = striped.into_iter().flatten();
        let stripes = striped.map(move |(number, chunk)| (number, self.of(chunk.from(first))));
        stripes.chain(compact)
    }

    /// Another set of stripes of at least this many words, compact if this one is.
    pub(crate) fn alike(&self, words: usize) -> Stripes {
        self.set.alike(words)
    }

    /// Whether these are the same words of the same stripes.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.set, &other.set) && self.first == other.first
    }

    /// A weak reference to the same words.
    pub(crate) fn downgrade(&self) -> WeakWords {
        WeakWords {
            set: Arc::downgrade(&self.set),
            chunk: self.chunk,
            first: self.first,
            count: self.count,
        }
    }

    /// As many of `words` as there are of these.
    #[inline]
    fn of<'a>(&self, words: &'a [AtomicU64]) -> &'a [AtomicU64] {
        &words[..self.count as usize]
    }
}

/// Words that do not keep their stripes alive.
pub(crate) struct WeakWords {
    set: Weak<Set>,
    chunk: u32,
    first: u32,
    count: u32,
}

impl WeakWords {
    /// The words, if somebody still holds their stripes.
    pub(crate) fn upgrade(&self) -> Option<Words> {
        Some(Words {
            set: self.set.upgrade()?,
            chunk: self.chunk,
            first: self.first,
            count: self.count,
        })
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = |index: usize| {
            // Relaxed: a sum for people to read.
            let values = self.each().map(|(_, words)| words[index].load(Ordering::Relaxed));
            values.fold(0, u64::wrapping_add)
        };
        f.debug_list().entries((0..self.count as usize).map(sum)).finish()
    }
}
