//! How long a key is: what it may hold on the heap.

use std::hash::{Hash, Hasher};

/// How many bytes a key holds in texts and lists, by what its `Hash` reads. Numbers and the like hold none. O(1) for a text.
#[inline]
pub(crate) fn length_of<Q: Hash + ?Sized>(key: &Q) -> usize {
    let mut length = Length(0);
    key.hash(&mut length);
    length.0
}

/// Counts bytes instead of hashing them.
struct Length(usize);

impl Hasher for Length {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }

    #[inline]
    fn write_u8(&mut self, _: u8) {}

    #[inline]
    fn write_u16(&mut self, _: u16) {}

    #[inline]
    fn write_u32(&mut self, _: u32) {}

    #[inline]
    fn write_u64(&mut self, _: u64) {}

    #[inline]
    fn write_u128(&mut self, _: u128) {}

    #[inline]
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_lists_have_their_length_and_numbers_have_none() {
        assert_eq!(length_of("four"), 4);
        assert_eq!(length_of(&"ä".repeat(1_000)), 2_000);
        assert_eq!(length_of(&vec![7_u8; 300]), 300);
        assert_eq!(length_of(&("tenant", 7_u64, Some("user".to_owned()))), 10);
        assert_eq!(
            length_of(&7_u64) + length_of(&7_i32) + length_of(&true) + length_of(&'x'),
            0
        );
    }
}
