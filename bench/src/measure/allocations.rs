//! Allocations and bytes, of a call and of an instance: an allocator that counts while it is told to.

use crate::case::{Case, Runner};
use serde::{Deserialize, Serialize};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const WARM_UP: u64 = 2_000;
const CALLS: u64 = 10_000;

static COUNTING: AtomicBool = AtomicBool::new(false);
static COUNT: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);
static FREED: AtomicU64 = AtomicU64::new(0);
static FREED_BYTES: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Counting;

impl Counting {
    fn note(bytes: usize) {
        // Relaxed: cases are counted with one thread, which also turns counting on and off.
        if COUNTING.load(Ordering::Relaxed) {
            // Relaxed: as above.
            COUNT.fetch_add(1, Ordering::Relaxed);
            // Relaxed: as above.
            BYTES.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    fn note_freed(bytes: usize) {
        // Relaxed: as above.
        if COUNTING.load(Ordering::Relaxed) {
            // Relaxed: as above.
            FREED.fetch_add(1, Ordering::Relaxed);
            // Relaxed: as above.
            FREED_BYTES.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }
}

// SAFETY: everything is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::note(layout.size());
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        Self::note_freed(layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::note(size);
        Self::note_freed(layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// What a call allocates, on average.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Allocations {
    /// Allocations a call.
    pub(crate) count: f64,
    /// Bytes a call.
    pub(crate) bytes: f64,
}

/// Counts what `case` allocates.
pub(crate) fn measure(case: &Case) -> Allocations {
    let mut runner = case.runner();
    runner.batch(WARM_UP);
    let (count, bytes) = counting(|| runner.batch(CALLS)).allocated;
    Allocations {
        count: count as f64 / CALLS as f64,
        bytes: bytes as f64 / CALLS as f64,
    }
}

/// How much memory an instance holds.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Held {
    /// The handle and everything behind it, after one thread has made a thousand calls.
    pub(crate) bytes: usize,
    /// How many pieces of the heap lie behind the handle.
    pub(crate) allocations: usize,
    /// How many bytes more once a second thread has made as many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) second_thread: Option<usize>,
}

/// So many calls are made before an instance is looked at.
const USE: u64 = 1_000;

/// The mean of so many instances is taken, because threads count in chunks that instances share; of fewer if they are large.
const INSTANCES: usize = 64;
const LARGE: usize = 1 << 24;

/// Counts what the instance of `case` holds.
pub(crate) fn held(case: &Case) -> Held {
    let one = instances(case, 1);
    // What only the first instance of all makes, such as a clock's origin, is not counted.
    let count = (LARGE / one.1.max(1)).clamp(1, INSTANCES);
    let (allocations, bytes) = instances(case, count);
    Held {
        bytes: bytes / count,
        // The runner's own box holds the handle, and stands for its bytes.
        allocations: (allocations / count).saturating_sub(1),
        second_thread: (case.threads > 1).then(|| second_thread(case, count)),
    }
}

/// The pieces and bytes that `count` instances hold, after one thread has used each.
fn instances(case: &Case, count: usize) -> (usize, usize) {
    let mut runners = Vec::with_capacity(count);
    let make = || {
        for _ in 0..count {
            runners.push(case.runner());
        }
        runners.iter_mut().for_each(|runner| runner.batch(USE));
    };
    let held = counting(make).held();
    keep(runners);
    held
}

/// Leaves instances where they are, so that the next ones do not count in memory that these have allocated.
fn keep(runners: Vec<Box<dyn Runner>>) {
    std::mem::forget(runners);
}

/// How many bytes more an instance of `case` holds once a second thread has used it, on average.
fn second_thread(case: &Case, count: usize) -> usize {
    let (mut firsts, mut seconds) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let mut runners = case.runners(2);
        seconds.extend(runners.pop());
        firsts.extend(runners.pop());
    }
    firsts.iter_mut().for_each(|runner| runner.batch(USE));
    let mut own = case.runner();
    let measure = || {
        // What is the thread's, such as its slot, is not the instance's.
        own.batch(1);
        counting(|| seconds.iter_mut().for_each(|runner| runner.batch(USE)))
            .held()
            .1
            / count
    };
    let more = std::thread::scope(|scope| scope.spawn(measure).join().expect("calls do not panic"));
    [firsts, seconds].into_iter().for_each(keep);
    more
}

/// What the allocator counted: pieces and bytes.
struct Counted {
    allocated: (u64, u64),
    freed: (u64, u64),
}

impl Counted {
    fn held(&self) -> (usize, usize) {
        let left = |allocated: u64, freed| allocated.saturating_sub(freed) as usize;
        (
            left(self.allocated.0, self.freed.0),
            left(self.allocated.1, self.freed.1),
        )
    }
}

/// Counts while `work` runs, on this thread, with no other one at work.
fn counting(work: impl FnOnce()) -> Counted {
    // Relaxed: all on one thread.
    let read = |counts: [&AtomicU64; 4]| counts.map(|count| count.load(Ordering::Relaxed));
    let all = [&COUNT, &BYTES, &FREED, &FREED_BYTES];
    let before = read(all);
    // Relaxed: as above.
    COUNTING.store(true, Ordering::Relaxed);
    work();
    // Relaxed: as above.
    COUNTING.store(false, Ordering::Relaxed);
    let after = read(all);
    let [count, bytes, freed, freed_bytes] = std::array::from_fn(|at| after[at] - before[at]);
    Counted {
        allocated: (count, bytes),
        freed: (freed, freed_bytes),
    }
}
