//! What a process keeps of the keys of a shared limit: tokens that were leased, refusals, and how hot a key is.

use crate::distributed::rate_limiter::state::Batch;
use crate::keyed::{Entry, Seeds, Shards, Table, Tag};
use crate::time::Tick;
use std::time::Duration;

/// A key is hot from so many calls in one period and the one before.
const HOT: u32 = 4;
/// How many slots a new key sweeps for keys that are cold again: if there is room for it, and if there is none.
const SWEPT: usize = 8;
const SEARCHED: usize = 64;

/// The leases of a bounded number of keys. What is lost with a key that is forgotten are tokens that the backend has
/// counted already, so forgetting one never allows too much.
pub(super) struct Leases {
    shards: Shards<Part>,
    /// How long calls are counted together to tell whether a key is hot, in nanoseconds.
    period: u64,
}

struct Part {
    table: Table<Box<str>, Lease>,
    room: usize,
}

/// What is kept of one key. Times are nanoseconds of the coarse clock.
#[derive(Debug, Default)]
struct Lease {
    batch: Batch,
    /// Until when the backend has nothing.
    empty_until: u64,
    /// When the period began in which calls are counted.
    since: u64,
    /// Calls in this period, and in the one before.
    calls: u32,
    before: u32,
}

/// What the leases know of a key.
#[derive(Debug, PartialEq)]
pub(super) enum InMemory {
    /// The tokens are taken.
    Taken,
    /// The backend has none for so long.
    Empty(Duration),
    /// The backend has to be asked. The key was asked for so often lately that a lease is worth its while.
    Hot(u32),
    /// The backend has to be asked for this call alone.
    Cold,
}

impl Leases {
    pub(super) fn new(max_keys: usize, period: Duration) -> Self {
        let part = |room| Part {
            table: Table::new(),
            room,
        };
        Self {
            shards: Shards::new(max_keys, Seeds::from_entropy(), part),
            period: u64::try_from(period.as_nanos()).unwrap_or(u64::MAX).max(1),
        }
    }

    /// Takes `cost` tokens of `key` at `now`, and counts the call.
    pub(super) fn take(&self, key: &str, now: Tick, cost: u64) -> InMemory {
        let now = now.as_nanos();
        let (shard, tag) = self.shards.locate(key);
        let mut part = shard.lock();
        if let Some(at) = part.find(tag, key) {
            return part.table.entry(at).state.take(now, cost, self.period);
        }
        drop(part);
        // Made outside the lock.
        let key: Box<str> = key.into();
        let mut part = shard.lock();
        let at = match part.find(tag, &key) {
            Some(at) => at,
            None if part.make_room(now, self.period) => part.table.insert(tag, key, Lease::default()),
            None => return InMemory::Cold,
        };
        part.table.entry(at).state.take(now, cost, self.period)
    }

    /// Replaces the batch of `key`.
    pub(super) fn refill(&self, key: &str, tokens: u64, lapses: Tick) {
        let _known = self.with(key, |lease| {
            lease.batch = Batch::new(tokens, lapses.as_nanos() / 1_000_000);
        });
    }

    /// Adds tokens to the batch of `key`; where there is none, they lapse at `lapses`.
    pub(super) fn give_back(&self, key: &str, tokens: u64, now: Tick, lapses: Tick) {
        let _known = self.with(key, |lease| {
            let longer = lease.batch.give_back(now.as_nanos() / 1_000_000, tokens);
            lease.batch = longer.unwrap_or(Batch::new(tokens, lapses.as_nanos() / 1_000_000));
        });
    }

    /// Remembers that the backend has nothing for `key`.
    pub(super) fn remember_empty(&self, key: &str, until: Tick) {
        let _known = self.with(key, |lease| lease.empty_until = until.as_nanos());
    }

    /// For how long a refusal of `key` is remembered still.
    pub(super) fn empty_for(&self, key: &str, now: Tick) -> Option<Duration> {
        let until = self.with(key, |lease| lease.empty_until)?;
        let left = until.saturating_sub(now.as_nanos());
        (left > 0).then(|| Duration::from_nanos(left))
    }

    fn with<T>(&self, key: &str, change: impl FnOnce(&mut Lease) -> T) -> Option<T> {
        let (shard, tag) = self.shards.locate(key);
        let mut part = shard.lock();
        let at = part.find(tag, key)?;
        Some(change(&mut part.table.entry(at).state))
    }

    /// A number that is always the same for a key.
    pub(super) fn part_of(&self, key: &str) -> usize {
        self.shards.hash(key) as usize
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().table.len()).sum()
    }
}

impl Part {
    fn find(&self, tag: Tag, key: &str) -> Option<usize> {
        self.table.find(tag, |other| **other == *key)
    }

    /// Forgets keys that are cold again: whether there is room for one more.
    fn make_room(&mut self, now: u64, period: u64) -> bool {
        let is_idle = |entry: &Entry<Box<str>, Lease>| entry.state.is_idle(now, period);
        let is_full = self.table.len() >= self.room;
        self.table.sweep(if is_full { SEARCHED } else { SWEPT }, is_idle, drop);
        self.table.len() < self.room
    }
}

impl Lease {
    fn take(&mut self, now: u64, cost: u64, period: u64) -> InMemory {
        self.count(now, period);
        if let Some(left) = self.batch.take(now / 1_000_000, cost) {
            self.batch = left;
            return InMemory::Taken;
        }
        if now < self.empty_until {
            return InMemory::Empty(Duration::from_nanos(self.empty_until - now));
        }
        match self.calls.saturating_add(self.before) {
            lately if lately >= HOT => InMemory::Hot(lately),
            _ => InMemory::Cold,
        }
    }

    fn count(&mut self, now: u64, period: u64) {
        let passed = now.saturating_sub(self.since);
        if passed >= period {
            self.before = if passed < period.saturating_mul(2) {
                self.calls
            } else {
                0
            };
            (self.calls, self.since) = (0, now);
        }
        self.calls = self.calls.saturating_add(1);
    }

    /// Whether nothing is known of the key that a new call would not find out: its calls are long ago, its batch has
    /// lapsed, and its refusal is over.
    fn is_idle(&self, now: u64, period: u64) -> bool {
        now.saturating_sub(self.since) >= period.saturating_mul(2)
            && now >= self.empty_until
            && self.batch.take(now / 1_000_000, 1).is_none()
    }
}

#[cfg(all(test, not(c13_loom)))]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_millis(50);

    fn at(ms: u64) -> Tick {
        Tick::ZERO + Duration::from_millis(1_000 + ms)
    }

    #[test]
    fn a_key_is_hot_after_four_calls_within_two_periods_and_cold_after_a_pause() {
        let leases = Leases::new(100, PERIOD);
        let seen: Vec<InMemory> = [0, 20, 40, 60, 80, 200].map(|ms| leases.take("a", at(ms), 1)).into();
        let wanted = [
            InMemory::Cold,
            InMemory::Cold,
            InMemory::Cold,
            InMemory::Hot(4),
            InMemory::Hot(5),
            InMemory::Cold,
        ];
        assert_eq!(seen, wanted);
    }

    #[test]
    fn a_batch_and_a_refusal_end_at_their_times() {
        let leases = Leases::new(100, PERIOD);
        leases.take("a", at(0), 1);
        leases.refill("a", 2, at(100));
        assert_eq!(leases.take("a", at(99), 2), InMemory::Taken);
        leases.give_back("a", 2, at(99), at(500));
        assert_ne!(
            leases.take("a", at(100), 1),
            InMemory::Taken,
            "what is given back lapses with its batch"
        );
        leases.give_back("a", 2, at(100), at(150));
        assert_eq!(leases.take("a", at(149), 1), InMemory::Taken);
        assert_ne!(leases.take("a", at(150), 1), InMemory::Taken);
        leases.remember_empty("a", at(250));
        assert_eq!(leases.take("a", at(240), 1), InMemory::Empty(Duration::from_millis(10)));
        assert_eq!(leases.empty_for("a", at(240)), Some(Duration::from_millis(10)));
        assert_eq!(leases.empty_for("a", at(250)), None);
        assert!(matches!(leases.take("a", at(250), 1), InMemory::Hot(_)));
    }

    #[test]
    fn memory_is_bounded_and_a_key_without_room_is_cold() {
        let leases = Leases::new(1_000, PERIOD);
        for n in 0..100_000 {
            let now = at(n / 100);
            leases.take(&format!("key-{n}"), now, 1);
            assert!(n % 1_000 != 0 || leases.len() <= 1_000);
        }
        let full = Leases::new(1, PERIOD);
        full.take("a", at(0), 1);
        full.refill("a", 5, at(1_000));
        for _ in 0..10 {
            assert_eq!(full.take("b", at(900), 1), InMemory::Cold);
        }
        assert_eq!(
            full.take("a", at(900), 1),
            InMemory::Taken,
            "a live lease is not forgotten"
        );
        assert_eq!(full.len(), 1);
    }
}
