//! The memory of stripes: what each thread writes to lies together, apart from what other threads write to.
//!
//! An instance is given a **run** of words: the same chunk and the same position in it for every thread slot. Each slot has a
//! **directory** of chunks of its own. So a thread finds its words with two loads, whatever the number of threads, nothing
//! that one thread writes shares a cache line with what another writes, and an instance takes only the words that it uses. It is
//! the layout of per-CPU data in operating systems, by threads instead of processors.
//!
//! A chunk is allocated when the thread of its slot first writes to one of its runs. Chunks stay allocated: the run of an
//! instance that is gone is given to another.

use super::primitive::{AtomicU64, Mutex, OnceLock, Ordering, fence};
use super::thread_slot::{SHARED, Slot};

/// No run is longer, in words.
pub(super) const LONGEST: usize = 64;

/// How many words a chunk has: 4 KiB. In models, which have many arenas, as few as the longest run needs.
const CHUNK_LEN: usize = if cfg!(c13_loom) { LONGEST } else { 512 };

/// How many chunks a slot has at most: together 261,632 words, which is enough for 4,000 policies of five or 16,000 breakers.
const USED_CHUNKS: usize = NO_CHUNK as usize;

/// A chunk that no slot ever has.
pub(super) const NO_CHUNK: u32 = if cfg!(c13_loom) { 1 } else { 511 };

const CHUNKS: usize = NO_CHUNK as usize + 1;

/// Words that only one thread writes to, on cache lines of their own. On pairs of them, because processors fetch them in pairs.
#[repr(align(128))]
pub(super) struct Chunk([AtomicU64; CHUNK_LEN]);

impl Chunk {
    /// The word at this index, below [`CHUNK_LEN`].
    #[inline]
    pub(super) fn at(&self, index: usize) -> &AtomicU64 {
        // The remainder is the index itself, and spares a comparison.
        &self.0[index % CHUNK_LEN]
    }

    #[inline]
    pub(super) fn from(&self, first: usize) -> &[AtomicU64] {
        &self.0[first % CHUNK_LEN..]
    }
}

/// The chunks of one thread slot.
pub(crate) struct Directory {
    number: usize,
    chunks: [OnceLock<Box<Chunk>>; CHUNKS],
}

impl Directory {
    #[cfg(not(c13_loom))]
    pub(super) const fn new(number: usize) -> Self {
        Self {
            number,
            chunks: [const { OnceLock::new() }; CHUNKS],
        }
    }

    #[cfg(c13_loom)]
    fn new(number: usize) -> Self {
        Self {
            number,
            chunks: std::array::from_fn(|_| OnceLock::new()),
        }
    }

    /// The number of its slot.
    #[inline]
    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// The chunk of this number, if the slot has it.
    #[inline]
    pub(super) fn chunk(&self, chunk: u32) -> Option<&Chunk> {
        // The remainder is the number itself, and spares a comparison.
        self.chunks[chunk as usize % CHUNKS].get().map(|chunk| &**chunk)
    }

    /// The same, which is allocated if there is none yet.
    pub(super) fn chunk_or_new(&self, chunk: u32) -> &Chunk {
        match self.chunk(chunk) {
            Some(chunk) => chunk,
            None => self.make(chunk),
        }
    }

    #[cold]
    fn make(&self, chunk: u32) -> &Chunk {
        let zeros = || Box::new(Chunk(std::array::from_fn(|_| AtomicU64::new(0))));
        let made = self.chunks[chunk as usize].get_or_init(zeros);
        // SeqCst: a thread that looks through all slots after such a fence of its own either finds this chunk, or passed its
        // fence before what this thread does next. `StripedPool` needs that.
        fence(Ordering::SeqCst);
        made
    }
}

/// Where a run lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    chunk: u32,
    first: u32,
}

/// Which words are given to whom.
struct Runs {
    /// The first word that was never given to anybody.
    next: Position,
    /// Runs that were given back, by their length.
    free: [Vec<Position>; LONGEST / UNIT],
}

/// The length of a run is a multiple of this: a cache line.
const UNIT: usize = 8;

impl Runs {
    const fn new() -> Self {
        Self {
            next: Position { chunk: 0, first: 0 },
            free: [const { Vec::new() }; LONGEST / UNIT],
        }
    }

    /// A run of so many units, unless all chunks are full.
    fn take(&mut self, units: usize) -> Option<Position> {
        if let Some(position) = self.free[units - 1].pop() {
            return Some(position);
        }
        let left = (CHUNK_LEN - self.next.first as usize) / UNIT;
        if left < units {
            if self.next.chunk as usize + 1 == USED_CHUNKS {
                return None;
            }
            if left > 0 {
                self.free[left - 1].push(self.next);
            }
            self.next.chunk += 1;
            self.next.first = 0;
        }
        let position = self.next;
        self.next.first += (units * UNIT) as u32;
        Some(position)
    }

    fn give_back(&mut self, units: usize, position: Position) {
        self.free[units - 1].push(position);
    }
}

/// The directories of all slots, and which of their words are given away.
pub(super) struct Arena {
    directories: Directories,
    runs: Mutex<Runs>,
}

#[cfg(not(c13_loom))]
mod global {
    use super::{Arena, Directory, Mutex, OnceLock, Runs, SHARED};

    /// By the number of the slot. Made when a thread first has the slot.
    pub(super) type Directories = [OnceLock<Box<Directory>>; SHARED + 1];

    /// There is one arena.
    pub(in super::super) type ArenaRef = &'static Arena;

    static ARENA: Arena = Arena {
        directories: [const { OnceLock::new() }; SHARED + 1],
        runs: Mutex::new(Runs::new()),
    };

    pub(in super::super) fn arena() -> ArenaRef {
        &ARENA
    }

    impl Arena {
        /// The directory of the slot with this number.
        pub(in super::super) fn directory(&'static self, number: usize) -> &'static Directory {
            self.directories[number].get_or_init(|| Box::new(Directory::new(number)))
        }

        pub(super) fn directories(&self) -> impl Iterator<Item = &Directory> {
            self.directories
                .iter()
                .filter_map(|directory| Some(&**directory.get()?))
        }
    }
}

/// In models every set of stripes has an arena of its own, with few slots.
#[cfg(c13_loom)]
mod global {
    use super::{Arena, Directory, Mutex, Runs, SHARED};
    use std::sync::Arc;

    const OWNED: usize = 3;

    pub(super) type Directories = [Directory; OWNED + 1];

    pub(in super::super) type ArenaRef = Arc<Arena>;

    pub(in super::super) fn arena() -> ArenaRef {
        let number = |index| if index == OWNED { SHARED } else { index };
        Arc::new(Arena {
            directories: std::array::from_fn(|index| Directory::new(number(index))),
            runs: Mutex::new(Runs::new()),
        })
    }

    impl Arena {
        pub(in super::super) fn directory(&self, number: usize) -> &Directory {
            &self.directories[number.min(OWNED)]
        }

        pub(super) fn directories(&self) -> impl Iterator<Item = &Directory> {
            self.directories.iter()
        }
    }
}

use global::Directories;
pub(super) use global::{ArenaRef, arena};

/// Words for every thread slot. They are all zero at first; dropping it gives them back.
pub(super) struct Run {
    arena: ArenaRef,
    position: Position,
    units: usize,
}

impl Run {
    /// At least this many words, up to [`LONGEST`]; `None` if there are no more.
    pub(super) fn take(words: usize) -> Option<Self> {
        let (arena, units) = (arena(), words.clamp(1, LONGEST).div_ceil(UNIT));
        let position = arena.runs.lock().take(units)?;
        Some(Self { arena, position, units })
    }

    /// How many words it has.
    pub(super) fn len(&self) -> usize {
        self.units * UNIT
    }

    /// The chunk that it lies in, and its first word there.
    pub(super) fn position(&self) -> (u32, u32) {
        (self.position.chunk, self.position.first)
    }

    /// The directory of a slot.
    pub(super) fn directory(&self, slot: Slot) -> &Directory {
        self.arena.directory(slot.number())
    }

    /// Its chunk for each slot whose thread has written to that chunk, with the number of the slot.
    pub(super) fn chunks(&self) -> impl Iterator<Item = (usize, &Chunk)> {
        let chunk = self.position.chunk;
        self.arena
            .directories()
            .filter_map(move |directory| Some((directory.number, directory.chunk(chunk)?)))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let first = self.position.first as usize;
        for (_, chunk) in self.chunks() {
            for word in &chunk.from(first)[..self.len()] {
                // Relaxed: nobody else has these words now. The threads that wrote to them gave up their handles before this,
                // and the next instance gets them under the lock below.
                word.store(0, Ordering::Relaxed);
            }
        }
        self.arena.runs.lock().give_back(self.units, self.position);
    }
}

#[cfg(all(test, not(c13_loom)))]
mod tests {
    use super::*;
    use crate::sync::Random;
    use std::collections::HashSet;

    #[test]
    fn runs_never_overlap_and_are_given_again_until_all_words_are_taken() {
        let (mut runs, random, mut held) = (Runs::new(), Random::new(17), Vec::new());
        let mut taken = HashSet::new();
        let cells = |position: Position, units: usize| {
            let first = position.chunk as usize * CHUNK_LEN + position.first as usize;
            (first / UNIT..).take(units)
        };
        let mut refused = 0;
        while refused < 100 {
            let units = 1 + random.below(8) as usize;
            match runs.take(units) {
                Some(position) => {
                    assert!(position.chunk < NO_CHUNK && position.first as usize + units * UNIT <= CHUNK_LEN);
                    assert!(cells(position, units).all(|cell| taken.insert(cell)), "{position:?}");
                    held.push((position, units));
                }
                None => refused += 1,
            }
            if random.below(3) == 0 && !held.is_empty() {
                let (position, units) = held.swap_remove(random.below(held.len() as u64) as usize);
                assert!(cells(position, units).all(|cell| taken.remove(&cell)));
                runs.give_back(units, position);
            }
        }
        let all = NO_CHUNK as usize * CHUNK_LEN / UNIT;
        assert!(taken.len() > all * 3 / 4, "{} of {all} are in use", taken.len());
    }

    #[test]
    fn a_run_that_is_given_again_is_zero_for_every_slot() {
        let slots = [0, 5, SHARED].map(Slot::numbered);
        let word = |run: &Run, slot: Slot| {
            let (chunk, first) = run.position();
            slot.directory()
                .chunk_or_new(chunk)
                .at(first as usize + 3)
                .load(Ordering::Relaxed)
        };
        // No other test has runs of this length.
        for _ in 0..3 {
            let run = Run::take(LONGEST).expect("there is room");
            for slot in slots {
                assert_eq!(word(&run, slot), 0);
                let (chunk, first) = run.position();
                slot.directory()
                    .chunk_or_new(chunk)
                    .at(first as usize + 3)
                    .store(7, Ordering::Relaxed);
            }
        }
    }
}
