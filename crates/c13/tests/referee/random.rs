//! Random numbers from a seed that a failure prints, and how many rounds they are for.

use std::time::{Duration, SystemTime};

/// Sebastiano Vigna's SplitMix64.
pub(crate) struct Random(u64);

impl Random {
    /// From `C13_REFEREE_SEED`, or a new one each time: a kill's moment is never repeated exactly anyway.
    pub(crate) fn seeded() -> (Self, u64) {
        let seed = std::env::var("C13_REFEREE_SEED")
            .ok()
            .map(|seed| seed.parse().expect("the seed is a number"));
        let seed = seed.unwrap_or_else(new_seed);
        (Self(seed), seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

#[expect(clippy::disallowed_methods, reason = "a seed is no time")]
fn new_seed() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or(Duration::ZERO).as_micros() as u64
}

/// How many, from the environment, or this moderate number.
pub(crate) fn rounds(variable: &str, moderate: u32) -> u32 {
    let text = std::env::var(variable);
    text.map_or(moderate, |text| {
        text.parse().unwrap_or_else(|_| panic!("{variable}={text}"))
    })
}
