//! A small seedable source of random numbers, for jitter and choice, never for secrets.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// Random numbers from SplitMix64 over a shared counter: many threads may draw from one source, and one seed gives one
/// sequence.
///
/// For jitter, probes and simulated load; not for anything secret.
/// Algorithm: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
#[derive(Debug)]
pub struct Random {
    state: AtomicU64,
}

/// The odd constant that SplitMix64 steps by: 2⁶⁴ divided by the golden ratio.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

impl Random {
    /// The sequence that belongs to `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self {
            state: AtomicU64::new(seed),
        }
    }

    /// A sequence that nobody can foresee from another run, seeded from the system's randomness.
    #[must_use]
    pub fn from_entropy() -> Self {
        Self::new(RandomState::new().hash_one(STEP))
    }

    /// The next number, evenly spread over the whole range.
    #[must_use]
    pub fn next_u64(&self) -> u64 {
        // Relaxed: each draw only has to be another number; it orders nothing.
        mix(self.state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP))
    }

    /// The next number in `[0, 1)`, in steps of 2⁻⁵³.
    #[must_use]
    pub fn unit(&self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// The next number below `bound`, and 0 if the bound is 0. Its bias is below `bound / 2⁶⁴`.
    #[must_use]
    pub fn below(&self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A source of its own for the part called `name`: adding one part does not shift the numbers of the others.
    #[must_use]
    pub fn stream(seed: u64, name: &str) -> Self {
        // FNV-1a, which is the same on every machine and in every release.
        let hash = name.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
        });
        Self::new(mix(seed ^ mix(hash)))
    }
}

fn mix(state: u64) -> u64 {
    let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_draws_the_published_sequence() {
        // The first outputs for seed 1234567, as other implementations of SplitMix64 print them.
        let random = Random::new(1_234_567);
        let drawn: Vec<u64> = (0..5).map(|_| random.next_u64()).collect();
        assert_eq!(
            drawn,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423,
                4_593_380_528_125_082_431,
                16_408_922_859_458_223_821
            ]
        );
    }

    #[test]
    fn a_bounded_draw_stays_below_its_bound_and_reaches_everything() {
        let random = Random::new(42);
        let mut seen = [0_u32; 10];
        for _ in 0..10_000 {
            seen[random.below(10) as usize] += 1;
        }
        assert!(seen.iter().all(|count| (800..1_200).contains(count)), "{seen:?}");
        assert_eq!(random.below(0), 0);
    }

    #[test]
    fn a_unit_draw_is_spread_over_zero_to_one() {
        let random = Random::new(42);
        let draws: Vec<f64> = (0..10_000).map(|_| random.unit()).collect();
        assert!(draws.iter().all(|x| (0.0..1.0).contains(x)));
        let mean = draws.iter().sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
    }

    #[test]
    fn named_streams_of_one_seed_differ_and_repeat() {
        assert_eq!(
            Random::stream(1, "load").next_u64(),
            Random::stream(1, "load").next_u64()
        );
        assert_ne!(
            Random::stream(1, "load").next_u64(),
            Random::stream(1, "faults").next_u64()
        );
        assert_ne!(
            Random::stream(1, "load").next_u64(),
            Random::stream(2, "load").next_u64()
        );
    }
}
