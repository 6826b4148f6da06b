//! A table of keys with a bound on its size, as a plain value: open addressing, entries in place.
//!
//! A lookup compares a byte of the key's hash with those of eight slots at once, all of them in one word, and so seldom
//! has to walk or to look at other keys.
//!
//! Algorithm: linear probing from the start of a group, with the group's marks apart as in Swiss tables.

use std::num::NonZeroU32;

/// What is kept for a key.
#[derive(Clone, Debug)]
pub(crate) struct Entry<K, S> {
    tag: Tag,
    /// A number for the owner of the table to use. Where keys and states are words, it lies in what would be padding.
    pub(crate) number: u32,
    pub(crate) key: K,
    pub(crate) state: S,
}

/// 30 bits of a key's hash, and a flag for the owner of the table. Never zero, so that an empty slot takes no room of its
/// own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag(NonZeroU32);

const HASH_BITS: u32 = 30;
const FLAG: u32 = 1 << 30;

impl Tag {
    /// The tag for a hash; its upper bits are left for other uses.
    #[inline]
    pub(crate) const fn new(hash: u64) -> Self {
        let bits = hash as u32 & ((1 << HASH_BITS) - 1);
        match NonZeroU32::new(bits | 1 << 31) {
            Some(tag) => Self(tag),
            // The highest bit is set.
            None => unreachable!(),
        }
    }

    #[inline]
    const fn hash(self) -> u32 {
        self.0.get() & ((1 << HASH_BITS) - 1)
    }

    /// The lowest seven bits of the hash, below a bit that an empty slot lacks. A lookup compares it first. Where a
    /// walk begins depends on the highest bits, so that the keys of a group seldom have the same mark.
    #[inline]
    const fn mark(self) -> u8 {
        self.0.get() as u8 | 1 << 7
    }
}

impl<K, S> Entry<K, S> {
    /// The flag that the owner of the table has set, or not.
    #[inline]
    pub(crate) const fn is_flagged(&self) -> bool {
        self.tag.0.get() & FLAG != 0
    }

    pub(crate) fn set_flag(&mut self, flag: bool) {
        let plain = Tag::new(self.tag.hash().into());
        self.tag = if flag { Tag(plain.0 | FLAG) } else { plain };
    }
}

/// Keys and their entries. An entry is in its group or on a short walk from there; a removal closes the gap it leaves.
#[derive(Debug)]
pub(crate) struct Table<K, S> {
    slots: Vec<Option<Entry<K, S>>>,
    /// A byte of each slot's tag, zero where it is empty; a word holds those of a group.
    marks: Vec<u64>,
    len: usize,
    /// Where the next sweep begins.
    hand: usize,
}

/// So many slots are looked at together; a walk begins at the first of them.
const GROUP: usize = 8;
/// A byte of one for each slot of a group.
const EACH: u64 = u64::from_le_bytes([1; GROUP]);
/// The size of the first allocation, and the size below which it does not shrink.
const SMALLEST: usize = 16;

impl<K, S> Table<K, S> {
    pub(crate) const fn new() -> Self {
        Self {
            slots: Vec::new(),
            marks: Vec::new(),
            len: 0,
            hand: 0,
        }
    }

    /// How many keys it holds.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// How many bytes its entries take.
    pub(crate) const fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Option<Entry<K, S>>>() + self.marks.capacity() * size_of::<u64>()
    }

    /// The slot of the key for which `is_key` holds.
    #[inline]
    pub(crate) fn find(&self, tag: Tag, is_key: impl Fn(&K) -> bool) -> Option<usize> {
        let group = scaled(tag, self.marks.len());
        let marks = *self.marks.get(group)?;
        // Which of its group's slots a key has is a matter of chance: a branch for each would often be guessed wrong.
        let at = group * GROUP + first_of(marks, tag.mark());
        match self.slots.get(at) {
            Some(Some(entry)) if is_key(&entry.key) => Some(at),
            _ => self.walk(tag, is_key),
        }
    }

    /// As [`find`](Self::find), wherever the key is.
    #[inline(never)]
    fn walk(&self, tag: Tag, is_key: impl Fn(&K) -> bool) -> Option<usize> {
        let mut at = self.home(tag);
        while let Some(entry) = &self.slots[at] {
            if entry.tag.hash() == tag.hash() && is_key(&entry.key) {
                return Some(at);
            }
            at = self.next(at);
        }
        None
    }

    /// The entry at a slot that [`find`](Self::find) or [`insert`](Self::insert) has returned.
    #[inline]
    pub(crate) fn entry(&mut self, at: usize) -> &mut Entry<K, S> {
        self.slots[at]
            .as_mut()
            .expect("the slot was named just now and nothing was removed since")
    }

    /// Adds a key that is not there.
    pub(crate) fn insert(&mut self, tag: Tag, key: K, state: S) -> usize {
        // Never more than seven tenths full, or walks become long; half of the slots are used after growing.
        if 10 * (self.len + 1) > 7 * self.slots.len() {
            let wanted = self.slots.len() + 2 * self.slots.len() / 5;
            self.rebuild(wanted.max(SMALLEST));
        }
        self.len += 1;
        self.put(Entry {
            tag,
            number: 0,
            key,
            state,
        })
    }

    /// Removes the entry at a slot, and closes the gap.
    pub(crate) fn remove(&mut self, mut gap: usize) -> Option<Entry<K, S>> {
        let removed = self.empty(gap)?;
        self.len -= 1;
        let mut at = gap;
        loop {
            at = self.next(at);
            let Some(entry) = &self.slots[at] else { break };
            // It may move into the gap unless its walk begins behind the gap: a lookup would not pass the gap then.
            let home = self.home(entry.tag);
            let stays = if gap < at {
                gap < home && home <= at
            } else {
                gap < home || home <= at
            };
            if !stays && let Some(entry) = self.empty(at) {
                self.fill(gap, entry);
                gap = at;
            }
        }
        Some(removed)
    }

    /// Looks at up to `count` slots, on from where the last sweep ended, and gives every entry that `is_idle` to
    /// `removed`. When a whole round is over and little is left, the table becomes smaller.
    pub(crate) fn sweep(
        &mut self,
        count: usize,
        mut is_idle: impl FnMut(&Entry<K, S>) -> bool,
        mut removed: impl FnMut(Entry<K, S>),
    ) {
        for _ in 0..count.min(self.slots.len()) {
            if self.hand >= self.slots.len() {
                self.hand = 0;
                self.shrink();
            }
            // What a removal moves into the gap is looked at next.
            if self
                .slots
                .get(self.hand)
                .is_some_and(|slot| slot.as_ref().is_some_and(&mut is_idle))
            {
                self.remove(self.hand).into_iter().for_each(&mut removed);
            } else {
                self.hand += 1;
            }
        }
    }

    /// The next entry, on from where the last sweep or look ended; `None` if there is none.
    pub(crate) fn next_entry(&mut self) -> Option<usize> {
        for _ in 0..self.slots.len() {
            let at = self.hand;
            self.hand = if at + 1 < self.slots.len() { at + 1 } else { 0 };
            if self.slots.get(at).is_some_and(Option::is_some) {
                return Some(at);
            }
        }
        None
    }

    /// Gives every entry that `is_idle` to `removed`, and as much memory back as can be spared.
    pub(crate) fn sweep_all(
        &mut self,
        mut is_idle: impl FnMut(&Entry<K, S>) -> bool,
        mut removed: impl FnMut(Entry<K, S>),
    ) {
        // A removal moves entries back, but none across an empty slot. So a round that begins behind one passes no entry over.
        let Some(start) = self.slots.iter().position(Option::is_none) else {
            return;
        };
        let mut at = self.next(start);
        while at != start {
            if self.slots[at].as_ref().is_some_and(&mut is_idle) {
                self.remove(at).into_iter().for_each(&mut removed);
            } else {
                at = self.next(at);
            }
        }
        self.shrink();
    }

    /// All entries, in no order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry<K, S>> {
        self.slots.iter().flatten()
    }

    /// All entries, in no order.
    pub(crate) fn entries_mut(&mut self) -> impl Iterator<Item = &mut Entry<K, S>> {
        self.slots.iter_mut().flatten()
    }

    fn shrink(&mut self) {
        let wanted = (2 * self.len).max(SMALLEST);
        if self.len == 0 {
            (self.slots, self.marks) = (Vec::new(), Vec::new());
            self.hand = 0;
        } else if 2 * wanted <= self.slots.len() {
            self.rebuild(wanted);
        }
    }

    /// Makes room for at least `size` entries.
    fn rebuild(&mut self, size: usize) {
        let size = size.next_multiple_of(GROUP);
        self.marks = vec![0; size / GROUP];
        let old = std::mem::replace(&mut self.slots, std::iter::repeat_with(|| None).take(size).collect());
        self.hand = 0;
        for entry in old.into_iter().flatten() {
            self.put(entry);
        }
    }

    /// Puts an entry into the first free slot from its own on.
    fn put(&mut self, entry: Entry<K, S>) -> usize {
        let mut at = self.home(entry.tag);
        while self.slots[at].is_some() {
            at = self.next(at);
        }
        self.fill(at, entry);
        at
    }

    fn fill(&mut self, at: usize, entry: Entry<K, S>) {
        self.marks[at / GROUP] |= u64::from(entry.tag.mark()) << (at % GROUP * 8);
        self.slots[at] = Some(entry);
    }

    fn empty(&mut self, at: usize) -> Option<Entry<K, S>> {
        self.marks[at / GROUP] &= !(0xFF << (at % GROUP * 8));
        self.slots[at].take()
    }

    /// Where a walk for `tag` begins.
    #[inline]
    fn home(&self, tag: Tag) -> usize {
        scaled(tag, self.marks.len()) * GROUP
    }

    #[inline]
    fn next(&self, at: usize) -> usize {
        if at + 1 == self.slots.len() { 0 } else { at + 1 }
    }
}

/// Which of so many groups a tag's walk begins at.
#[inline]
const fn scaled(tag: Tag, groups: usize) -> usize {
    ((tag.hash() as u64 * groups as u64) >> HASH_BITS) as usize
}

/// The first slot of a group that has this mark; [`GROUP`] if none has it.
#[inline]
const fn first_of(marks: u64, mark: u8) -> usize {
    let differ = marks ^ (EACH * mark as u64);
    // The highest bit of every byte that is zero, and maybe of some above the first of them.
    let same = differ.wrapping_sub(EACH) & !differ & (EACH << 7);
    same.trailing_zeros() as usize / 8
}

#[cfg(all(test, not(c13_loom)))]
mod tests {
    use super::*;
    use crate::sync::Random;
    use std::collections::HashMap;

    /// Tags that fall together often.
    fn tag(key: u64) -> Tag {
        Tag::new((key % 37).wrapping_mul(0x0123_4567_89AB))
    }

    fn find(table: &Table<u64, u64>, key: u64) -> Option<usize> {
        table.find(tag(key), |other| *other == key)
    }

    #[test]
    fn it_agrees_with_a_map_over_random_operations() {
        for seed in 0..200 {
            let random = Random::new(seed);
            let (mut table, mut map) = (Table::new(), HashMap::new());
            let keys = 1 + random.below(150);
            for step in 0..600 {
                let key = random.below(keys);
                let case = format!("seed {seed}, step {step}, key {key}");
                match random.below(8) {
                    0..=3 => match find(&table, key) {
                        Some(at) => {
                            assert_eq!(Some(&table.entry(at).state), map.get(&key), "{case}");
                            table.entry(at).state = step;
                            map.insert(key, step);
                        }
                        None => {
                            assert_eq!(map.insert(key, step), None, "{case}");
                            let at = table.insert(tag(key), key, step);
                            assert_eq!((table.entry(at).key, table.entry(at).number), (key, 0), "{case}");
                        }
                    },
                    4 | 5 => {
                        let removed = find(&table, key).and_then(|at| table.remove(at));
                        assert_eq!(removed.map(|entry| entry.state), map.remove(&key), "{case}");
                    }
                    6 => {
                        let is_idle = |entry: &Entry<u64, u64>| entry.state + 100 < step;
                        table.sweep(random.below(20) as usize, is_idle, |entry| {
                            assert_eq!(map.remove(&entry.key), Some(entry.state), "{case}");
                        });
                    }
                    _ => {
                        let is_idle = |entry: &Entry<u64, u64>| entry.state + 50 < step;
                        table.sweep_all(is_idle, |entry| {
                            assert_eq!(map.remove(&entry.key), Some(entry.state), "{case}");
                        });
                        assert!(
                            map.values().all(|state| state + 50 >= step),
                            "{case}: an idle entry is left"
                        );
                    }
                }
                assert_eq!(table.len(), map.len(), "{case}");
                assert_eq!(table.entries().count(), map.len(), "{case}");
                for (key, state) in &map {
                    let at = find(&table, *key);
                    assert_eq!(
                        at.map(|at| table.entry(at).state),
                        Some(*state),
                        "{case}: {key} is lost"
                    );
                }
            }
        }
    }

    #[test]
    fn memory_goes_with_the_keys_and_comes_back_when_they_are_gone() {
        let mut table = Table::new();
        for key in 0..10_000_u64 {
            table.insert(Tag::new(key.wrapping_mul(0x9E37_79B9)), key, key);
        }
        assert!(table.bytes() <= 10_000 * 25 * 2, "{} bytes", table.bytes());
        // Bit by bit, as it happens while new keys come.
        for _ in 0..5_000 {
            table.sweep(8, |entry| entry.key % 100 != 0, drop);
        }
        assert_eq!(table.len(), 100);
        assert!(table.bytes() <= 100 * 25 * 4, "{} bytes", table.bytes());
        table.sweep_all(|_| true, drop);
        assert_eq!((table.len(), table.bytes()), (0, 0));
    }

    #[test]
    fn an_entry_of_small_parts_wastes_no_room() {
        assert_eq!(size_of::<Option<Entry<u64, u64>>>(), 24);
    }

    #[test]
    fn a_flag_is_kept_beside_the_hash() {
        let mut table = Table::new();
        let at = table.insert(tag(5), 5_u64, 0_u64);
        for flag in [true, true, false, true] {
            table.entry(at).set_flag(flag);
            assert_eq!(table.entry(at).is_flagged(), flag);
            assert_eq!(find(&table, 5), Some(at));
        }
    }

    #[test]
    fn the_first_slot_with_a_mark_is_found_among_any_others() {
        let random = Random::new(7);
        for round in 0..20_000 {
            // Few marks, so that many are the same, and those that differ by one bit are beside each other.
            let marks: [u8; GROUP] = std::array::from_fn(|_| [0, 0x80, 0x81, 0xFF][random.below(4) as usize]);
            for mark in [0x80, 0x81, 0xFE, 0xFF] {
                let first = marks.iter().position(|other| *other == mark).unwrap_or(GROUP);
                assert_eq!(
                    first_of(u64::from_le_bytes(marks), mark),
                    first,
                    "round {round}: {mark:x} in {marks:x?}"
                );
            }
        }
    }
}
