//! How many processors there are, and the one that a thread stays on.

use std::num::NonZero;
use std::sync::OnceLock;

/// How many processors there are. Asked once, before any thread is pinned: a pinned thread sees one.
pub(crate) fn count() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| std::thread::available_parallelism().map_or(1, NonZero::get))
}

/// Keeps this thread on one processor, where the system allows it.
pub(crate) fn pin(processor: usize) {
    #[cfg(target_os = "linux")]
    {
        let count = count();
        let mut set = rustix::thread::CpuSet::new();
        set.set(processor % count);
        // A machine that refuses gives noisier figures, not wrong ones.
        let _refused = rustix::thread::sched_setaffinity(None, &set);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = processor;
}
