//! What the hardware and the standard library allow: nothing built on them is faster.

use super::drive::{drive, keep, succeed};
use crate::case::Cases;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

pub(crate) fn add(cases: &mut Cases) {
    cases.other("floor/empty loop", || (), |(), _| || keep(1_u64));
    cases.other(
        "floor/call through a future",
        || (),
        |(), _| {
            || {
                keep(drive(succeed(1)));
            }
        },
    );
    cases.other("floor/time-stamp counter", quanta::Clock::new, |clock, _| {
        let clock = clock.clone();
        move || keep(clock.raw())
    });
    cases.other("floor/Instant::now", || (), |(), _| || keep(Instant::now()));
    #[cfg(target_os = "linux")]
    cases.other(
        "floor/coarse monotonic clock",
        || (),
        |(), _| || keep(rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse)),
    );
    word(cases, "floor/atomic load", |word| word.load(Ordering::Acquire));
    word(cases, "floor/atomic fetch_add", |word| {
        word.fetch_add(1, Ordering::Relaxed)
    });
    word(cases, "floor/atomic compare-and-swap loop", |word| {
        let mut seen = word.load(Ordering::Relaxed);
        while let Err(now) = word.compare_exchange_weak(seen, seen + 1, Ordering::AcqRel, Ordering::Relaxed) {
            seen = now;
        }
        seen
    });
    cases.other(
        "floor/uncontended or contended Mutex",
        || Arc::new(Mutex::new(0_u64)),
        |mutex, _| {
            let mutex = mutex.clone();
            move || *mutex.lock().expect("no panic") += 1
        },
    );
}

fn word(cases: &mut Cases, name: &str, access: impl Fn(&AtomicU64) -> u64 + Copy + Send + 'static) {
    cases.other(
        name,
        || Arc::new(AtomicU64::new(0)),
        move |word, _| {
            let word = word.clone();
            move || keep(access(&word))
        },
    );
}
