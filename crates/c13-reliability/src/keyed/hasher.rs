//! The hash of keys: fast, with seeds that nobody outside knows.

use foldhash::SharedSeed;
use foldhash::quality::{FoldHasher, SeedableRandomState};
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

/// The random seeds of a set's hash: two sets hash the same key differently.
///
/// foldhash is no cryptographic hash, but without the seeds nobody can choose keys that collide. Its own seeds come from the
/// clock and from addresses; these come from the system's randomness, because strangers choose keys.
#[derive(Clone, Debug)]
pub(crate) struct Seeds(SeedableRandomState);

impl Seeds {
    /// Seeds from the system's randomness.
    pub(crate) fn from_entropy() -> Self {
        static SHARED: LazyLock<SharedSeed> = LazyLock::new(|| SharedSeed::from_u64(RandomState::new().hash_one(1)));
        Self(SeedableRandomState::with_seed(RandomState::new().hash_one(2), &SHARED))
    }

    #[cfg(all(test, not(c13_loom)))]
    pub(crate) fn fixed(seed: u64) -> Self {
        Self(SeedableRandomState::with_seed(seed, SharedSeed::global_fixed()))
    }
}

impl BuildHasher for Seeds {
    type Hasher = FoldHasher<'static>;

    #[inline]
    fn build_hasher(&self) -> FoldHasher<'static> {
        self.0.build_hasher()
    }
}

#[cfg(all(test, not(c13_loom)))]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::hash::Hash;
    use std::net::{IpAddr, Ipv6Addr};

    /// Whether hashes of `keys` fill 256 shards, and 256 slots by their lower bits, about evenly.
    fn are_spread<K: Hash>(keys: impl Iterator<Item = K>) {
        let seeds = Seeds::fixed(0x1234_5678_9ABC_DEF0);
        let hashes: Vec<_> = keys.map(|key| seeds.hash_one(key)).collect();
        let distinct: HashSet<_> = hashes.iter().collect();
        assert_eq!(distinct.len(), hashes.len());
        for shift in [56, 40, 24, 0] {
            let mut counts = [0_u32; 256];
            hashes
                .iter()
                .for_each(|hash| counts[(hash >> shift) as usize & 255] += 1);
            let expected = hashes.len() as f64 / 256.0;
            let chi_square: f64 = counts
                .iter()
                .map(|count| (f64::from(*count) - expected).powi(2) / expected)
                .sum();
            // 255 degrees of freedom: above 400 once in a hundred million.
            assert!(chi_square < 400.0, "shift {shift}: {chi_square}");
        }
    }

    #[test]
    fn keys_that_differ_little_are_spread_evenly() {
        are_spread(0..100_000_u64);
        are_spread((0..100_000_u64).map(|key| key << 40));
        are_spread((0..100_000_u64).map(|key| format!("user:{key}")));
        are_spread((0..100_000_u128).map(|key| IpAddr::V6(Ipv6Addr::from(key << 64))));
        are_spread((0..300_u16).flat_map(|a| (0..300_u16).map(move |b| (a, b))));
    }

    #[test]
    fn parts_of_a_key_do_not_run_into_each_other() {
        let seeds = Seeds::fixed(1);
        assert_ne!(seeds.hash_one(("ab", "c")), seeds.hash_one(("a", "bc")));
        assert_ne!(
            seeds.hash_one([0_u8; 3].as_slice()),
            seeds.hash_one([0_u8; 4].as_slice())
        );
        assert_ne!(seeds.hash_one((1_u64, 2_u64)), seeds.hash_one((2_u64, 1_u64)));
        assert_ne!(seeds.hash_one(1), Seeds::from_entropy().hash_one(1));
    }
}
