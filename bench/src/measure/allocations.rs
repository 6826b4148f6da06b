//! Allocations and bytes a call: an allocator that counts while it is told to.

use crate::case::Case;
use serde::{Deserialize, Serialize};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const WARM_UP: u64 = 2_000;
const CALLS: u64 = 10_000;

static COUNTING: AtomicBool = AtomicBool::new(false);
static COUNT: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

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
}

// SAFETY: everything is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::note(layout.size());
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::note(size);
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
    // Relaxed: all on one thread.
    let read = || (COUNT.load(Ordering::Relaxed), BYTES.load(Ordering::Relaxed));
    let before = read();
    // Relaxed: as above.
    COUNTING.store(true, Ordering::Relaxed);
    runner.batch(CALLS);
    // Relaxed: as above.
    COUNTING.store(false, Ordering::Relaxed);
    let after = read();
    Allocations {
        count: (after.0 - before.0) as f64 / CALLS as f64,
        bytes: (after.1 - before.1) as f64 / CALLS as f64,
    }
}
