//! The hash of keys: fast, with seeds that nobody outside knows.

use std::hash::{BuildHasher, Hasher, RandomState};

/// The random seeds of a set's hash: two sets hash the same key differently.
///
/// Each word is folded in by one 64 by 64 bit multiplication whose halves are added without carry. That is no cryptographic
/// hash, but without the seeds nobody can choose keys that collide.
#[derive(Clone, Debug)]
pub(crate) struct Seeds {
    first: u64,
    last: u64,
}

impl Seeds {
    /// Seeds from the system's randomness.
    pub(crate) fn from_entropy() -> Self {
        let random = RandomState::new();
        Self {
            first: random.hash_one(1),
            // Odd, so that the last multiplication loses nothing.
            last: random.hash_one(2) | 1,
        }
    }

    #[cfg(all(test, not(c13_loom)))]
    pub(crate) const fn fixed(first: u64, last: u64) -> Self {
        Self { first, last: last | 1 }
    }
}

impl BuildHasher for Seeds {
    type Hasher = Folding;

    #[inline]
    fn build_hasher(&self) -> Folding {
        Folding {
            state: self.first,
            last: self.last,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Folding {
    state: u64,
    last: u64,
}

/// Odd, and as irregular as digits of a fraction are: those of the square root of 2.
const FACTOR: u64 = 0x6A09_E667_F3BC_C909;

#[inline]
const fn fold(a: u64, b: u64) -> u64 {
    let product = (a as u128) * (b as u128);
    (product as u64) ^ (product >> 64) as u64
}

impl Folding {
    #[inline]
    fn word(&mut self, word: u64) {
        // The rotation makes the order of the words count.
        self.state = fold(self.state.rotate_left(23) ^ word, FACTOR);
    }
}

impl Hasher for Folding {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        // The length tells a zero byte from none.
        self.word(u64::from_le_bytes(last));
        self.word(bytes.len() as u64);
    }

    #[inline]
    fn write_u8(&mut self, value: u8) {
        self.word(value.into());
    }

    #[inline]
    fn write_u16(&mut self, value: u16) {
        self.word(value.into());
    }

    #[inline]
    fn write_u32(&mut self, value: u32) {
        self.word(value.into());
    }

    #[inline]
    fn write_u64(&mut self, value: u64) {
        self.word(value);
    }

    #[inline]
    fn write_u128(&mut self, value: u128) {
        self.word(value as u64);
        self.word((value >> 64) as u64);
    }

    #[inline]
    fn write_usize(&mut self, value: usize) {
        self.word(value as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        fold(self.state, self.last)
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
        let seeds = Seeds::fixed(0x1234_5678_9ABC_DEF0, 0x0FED_CBA9_8765_4321);
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
        let seeds = Seeds::fixed(1, 2);
        assert_ne!(seeds.hash_one(("ab", "c")), seeds.hash_one(("a", "bc")));
        assert_ne!(
            seeds.hash_one([0_u8; 3].as_slice()),
            seeds.hash_one([0_u8; 4].as_slice())
        );
        assert_ne!(seeds.hash_one((1_u64, 2_u64)), seeds.hash_one((2_u64, 1_u64)));
        assert_ne!(seeds.hash_one(1), Seeds::from_entropy().hash_one(1));
    }
}
