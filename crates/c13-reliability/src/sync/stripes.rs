//! A few words of memory for each thread: what striped counters, windows, stocks and pools are made of.
//!
//! Threads that write to one cache line wait for each other. So what is written in every call is kept once per thread, in a
//! **stripe**, and readers add the stripes up. A stripe is allocated when its thread first writes to it: an instance that one
//! thread uses has one stripe, and each further thread adds one.
//!
//! The first stripe, the **home stripe**, lies beside its bookkeeping and belongs to the first thread that writes. So the
//! common case, an instance that is used by one thread, finds its words with one comparison. Other threads look theirs up in
//! two small tables by the number of their thread slot. From the 65th thread on, threads share one stripe.
//!
//! Several users may share one set of stripes, each with some words of its own in every stripe: the parts of a policy do, so
//! that a call counts in one or two cache lines, however many parts it goes through.

use super::primitive::{AtomicU64, OnceLock, Ordering, fence};
use super::thread_slot::{OWNED, SHARED};
use std::fmt;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Weak};

/// A set of stripes, all of the same length. Clones are the same set.
#[derive(Clone)]
pub(crate) struct Stripes(Arc<Block<[AtomicU64]>>);

/// The home stripe, what stands beside it, and the way to all other stripes.
struct Block<W: ?Sized> {
    front: Front,
    /// The words of the home stripe, on cache lines of their own.
    home: W,
}

/// What every thread reads, and what changes only when a thread writes to these stripes for the first time. On a cache
/// line of its own.
#[repr(align(64))]
struct Front {
    /// The slot of the thread that the home stripe belongs to, [`NOBODY`] at first.
    owner: AtomicU64,
    /// How many words of each stripe have been given to a user. Of std in loom models too, which do not depend on it.
    given: AtomicU32,
    /// Whether all threads share the home stripe.
    is_compact: bool,
    /// The stripes of the first few slots, except the one that has the home stripe.
    near: [OnceLock<Row>; NEAR],
    /// All others; most processes never need them.
    far: OnceLock<Box<Far>>,
}

// Not `u64::MAX`, which is how a thread is numbered that has no slot yet.
const NOBODY: u64 = u64::MAX - 1;

#[derive(Default)]
struct Far {
    rows: [OnceLock<Row>; OWNED / ROW - NEAR],
    shared: OnceLock<Stripe>,
}

/// The stripes of some slots that follow each other.
type Row = Box<[OnceLock<Stripe>; ROW]>;

const ROW: usize = 4;
/// How many rows are reached without the allocation of [`Far`].
const NEAR: usize = 2;

type Stripe = Box<Aligned<[AtomicU64]>>;

/// On pairs of cache lines, because processors fetch them in pairs.
#[repr(align(128))]
struct Aligned<W: ?Sized>(W);

/// The words of one user in the stripe that a thread writes to.
pub(crate) enum Own<'a> {
    /// No other thread writes to them.
    Alone(&'a [AtomicU64]),
    /// Other threads write to them too: the stripe is that of the slot [`SHARED`].
    Shared(&'a [AtomicU64]),
}

impl Stripes {
    /// Stripes of at least this many words, 64 at most, one for each thread that writes.
    pub(crate) fn new(words: usize) -> Self {
        Self(block(words, false))
    }

    /// One stripe of at least this many words, which all threads share: small, but every write is a locked instruction.
    pub(crate) fn compact(words: usize) -> Self {
        Self(block(words, true))
    }

    /// The next `count` words of each stripe, 64 at most. If too few are left, they are words of another set, which is
    /// compact if this one is.
    pub(crate) fn words(&self, count: usize) -> Words {
        let front = &self.0.front;
        let room = |given: u32| (given as usize + count <= self.0.home.len()).then_some(given + count as u32);
        // Relaxed: the result alone says which words they are.
        let first = front.given.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room);
        match first {
            Ok(first) => Words {
                block: self.0.clone(),
                first,
                count: count as u32,
            },
            Err(_) => self.0.alike(count).words(count),
        }
    }
}

/// The words of one user in every stripe of a set. Clones are the same words.
#[derive(Clone)]
pub(crate) struct Words {
    block: Arc<Block<[AtomicU64]>>,
    first: u32,
    count: u32,
}

impl Words {
    /// The word at `index` in the home stripe, if that stripe belongs to the thread with this slot.
    #[inline]
    pub(crate) fn at_home(&self, slot: usize, index: usize) -> Option<&AtomicU64> {
        if self.block.is_home_of(slot) {
            self.block.home.get(self.first as usize + index)
        } else {
            None
        }
    }

    /// The first `N` words in the home stripe, if that stripe belongs to the thread with this slot.
    #[inline]
    pub(crate) fn first_at_home<const N: usize>(&self, slot: usize) -> Option<&[AtomicU64; N]> {
        if self.block.is_home_of(slot) {
            self.block.home.get(self.first as usize..)?.first_chunk()
        } else {
            None
        }
    }

    /// The words in the stripe of the thread with this slot, which is allocated if there is none yet.
    pub(crate) fn own(&self, slot: usize) -> Own<'_> {
        if self.block.front.is_compact {
            Own::Shared(self.of(&self.block.home))
        } else if slot < OWNED {
            Own::Alone(self.of(self.block.owned(slot)))
        } else {
            Own::Shared(self.of(self.block.shared()))
        }
    }

    /// The words in each stripe that a thread has written to, with the slot of its thread; [`SHARED`] for a stripe that threads
    /// share. A stripe that a thread begins to use meanwhile may be missed. Complexity: O(stripes), 65 at most.
    pub(crate) fn each(&self) -> impl Iterator<Item = (usize, &[AtomicU64])> {
        self.block.each().map(|(slot, words)| (slot, self.of(words)))
    }

    /// Another set of stripes of at least this many words, compact if this one is.
    pub(crate) fn alike(&self, words: usize) -> Stripes {
        self.block.alike(words)
    }

    /// Whether these are the same words of the same stripes.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.block, &other.block) && self.first == other.first
    }

    /// A weak reference to the same words.
    pub(crate) fn downgrade(&self) -> WeakWords {
        WeakWords {
            block: Arc::downgrade(&self.block),
            first: self.first,
            count: self.count,
        }
    }

    #[inline]
    fn of<'a>(&self, stripe: &'a [AtomicU64]) -> &'a [AtomicU64] {
        let first = self.first as usize;
        &stripe[first..first + self.count as usize]
    }
}

/// Words that do not keep their stripes alive.
pub(crate) struct WeakWords {
    block: Weak<Block<[AtomicU64]>>,
    first: u32,
    count: u32,
}

impl WeakWords {
    /// The words, if somebody still holds their stripes.
    pub(crate) fn upgrade(&self) -> Option<Words> {
        Some(Words {
            block: self.block.upgrade()?,
            first: self.first,
            count: self.count,
        })
    }
}

impl Block<[AtomicU64]> {
    fn alike(&self, words: usize) -> Stripes {
        if self.front.is_compact {
            Stripes::compact(words)
        } else {
            Stripes::new(words)
        }
    }

    #[inline]
    fn is_home_of(&self, slot: usize) -> bool {
        // In loom models most threads have no slot of their own; this spares them a load.
        let has_slot = !cfg!(c13_loom) || slot < OWNED;
        has_slot && self.owner() == slot as u64
    }

    #[inline]
    fn owner(&self) -> u64 {
        // Relaxed: a thread that finds its own slot here stored it itself, or has its slot from the thread that did, and so
        // what that thread wrote as well: by the release and acquire of the slot's pool.
        self.front.owner.load(Ordering::Relaxed)
    }

    /// The stripe of the thread with this slot, below [`OWNED`].
    fn owned(&self, slot: usize) -> &[AtomicU64] {
        let owner = self.owner();
        if owner == slot as u64 || owner == NOBODY && self.claim(slot) {
            return &self.home;
        }
        let row = match self.front.near.get(slot / ROW) {
            Some(row) => row,
            None => &self.far().rows[slot / ROW - NEAR],
        };
        self.made(&row.get_or_init(Box::default)[slot % ROW])
    }

    /// Makes the home stripe that of the thread with this slot, unless another thread was faster.
    #[cold]
    fn claim(&self, slot: usize) -> bool {
        let owner = &self.front.owner;
        // Relaxed: the words are all zero, and nobody has written to them.
        let claimed = owner.compare_exchange(NOBODY, slot as u64, Ordering::Relaxed, Ordering::Relaxed);
        // SeqCst: as in `make`.
        fence(Ordering::SeqCst);
        claimed.is_ok()
    }

    /// The stripe of all threads without a slot of their own.
    #[cold]
    fn shared(&self) -> &[AtomicU64] {
        self.made(&self.far().shared)
    }

    fn far(&self) -> &Far {
        self.front.far.get_or_init(Box::default)
    }

    fn made<'a>(&self, place: &'a OnceLock<Stripe>) -> &'a [AtomicU64] {
        match place.get() {
            Some(stripe) => &stripe.0,
            None => self.make(place),
        }
    }

    #[cold]
    fn make<'a>(&self, place: &'a OnceLock<Stripe>) -> &'a [AtomicU64] {
        let stripe = place.get_or_init(|| stripe(self.home.len()));
        // SeqCst: a thread that looks through all stripes after such a fence of its own either finds this one, or passed its
        // fence before what this thread does next. `StripedPool` needs that.
        fence(Ordering::SeqCst);
        &stripe.0
    }

    fn each(&self) -> impl Iterator<Item = (usize, &[AtomicU64])> {
        // Loaded once, because a home stripe that has no owner may get one at any time.
        let home = match self.owner() {
            _ if self.front.is_compact => Some((SHARED, &self.home)),
            NOBODY => None,
            owner => Some((owner as usize, &self.home)),
        };
        let far = self.front.far.get();
        let rows = self.front.near.iter().chain(far.into_iter().flat_map(|far| &far.rows));
        let owned = (0..).step_by(ROW).zip(rows).flat_map(|(first, row)| {
            let stripes = row.get().into_iter().flat_map(|row| row.iter());
            (first..).zip(stripes)
        });
        let shared = far.map(|far| (SHARED, &far.shared));
        let others = owned
            .chain(shared)
            .filter_map(|(slot, stripe)| Some((slot, &stripe.get()?.0)));
        home.into_iter().chain(others)
    }
}

/// Stripes have one of these lengths, in words: one to four pairs of cache lines.
const SIZES: [usize; 4] = [16, 32, 48, 64];

/// A set of stripes of at least `words` words, or of the longest.
fn block(words: usize, is_compact: bool) -> Arc<Block<[AtomicU64]>> {
    fn sized<const N: usize>(is_compact: bool) -> Arc<Block<[AtomicU64; N]>> {
        Arc::new(Block {
            front: Front {
                owner: AtomicU64::new(NOBODY),
                given: AtomicU32::new(0),
                is_compact,
                near: Default::default(),
                far: OnceLock::new(),
            },
            home: zeros(),
        })
    }
    match SIZES.iter().position(|size| words <= *size) {
        Some(0) => sized::<{ SIZES[0] }>(is_compact),
        Some(1) => sized::<{ SIZES[1] }>(is_compact),
        Some(2) => sized::<{ SIZES[2] }>(is_compact),
        // There is none longer. A user for whom too few words are left gets a set of its own: see `Stripes::words`.
        _ => sized::<{ SIZES[3] }>(is_compact),
    }
}

/// One more stripe, as long as the home stripe.
fn stripe(words: usize) -> Stripe {
    match words {
        16 => Box::new(Aligned(zeros::<16>())),
        32 => Box::new(Aligned(zeros::<32>())),
        48 => Box::new(Aligned(zeros::<48>())),
        _ => Box::new(Aligned(zeros::<64>())),
    }
}

fn zeros<const N: usize>() -> [AtomicU64; N] {
    std::array::from_fn(|_| AtomicU64::new(0))
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
