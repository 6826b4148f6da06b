//! All keys with one kind of quota, in shards that each have a lock.

use super::super::cold_path::cold_path;
use super::super::error::RateLimitError;
use super::quota::KeyQuota;
use super::snapshot::QuotaStatus;
use crate::keyed::{Entry, Seeds, Shard, Shards, Table, Tag};
use crate::sync::length_of;
use crate::sync::primitive::{AtomicU64, MutexGuard, Ordering};
use crate::time::Tick;
use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::time::Duration;

/// How many slots a new key sweeps for idle keys: if there is room for it, and if there is none.
const SWEPT: usize = 8;
const SEARCHED: usize = 64;

pub(super) struct Keys<K, R: KeyQuota> {
    shards: Shards<Kept<K, R>>,
    /// The longest new key that is kept, in bytes.
    longest_key: AtomicU64,
    /// How many requests had a longer key.
    too_long: AtomicU64,
}

/// The keys of one shard.
pub(super) struct Kept<K, R: KeyQuota> {
    table: Table<K, R::State>,
    quota: R,
    /// The quotas of single keys.
    own: HashMap<K, R, Seeds>,
    room: usize,
    /// How many bytes the keys hold, those with a quota of their own twice.
    key_bytes: usize,
    evicted: u64,
    untracked: u64,
}

/// What was counted in all parts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    pub(super) keys: u64,
    pub(super) bytes: u64,
    pub(super) evicted: u64,
    pub(super) untracked: u64,
}

/// The decision about a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Decision {
    /// The key's quota decided.
    Decided(Result<(), RateLimitError>),
    /// The key is new and there is no room for it: the first of the keys that were looked at will be idle after this time.
    Full(Duration),
    /// The key is new, and longer than keys may be.
    TooLong {
        /// How long it is.
        length: usize,
        /// How long it may be.
        longest: usize,
    },
}

/// The outcome of the fast path.
pub(super) enum Found<'a, K, R: KeyQuota> {
    /// What was asked for is taken.
    Taken,
    /// The key is there, but the fast path could not decide.
    Known(Known<'a, K, R>),
    /// There is no such key in its shard; this would be its tag.
    Nothing(&'a Shard<Kept<K, R>>, Tag),
}

/// A key that was found; the lock is held.
pub(super) struct Known<'a, K, R: KeyQuota> {
    kept: MutexGuard<'a, Kept<K, R>>,
    at: usize,
}

impl<K: Hash + Eq, R: KeyQuota> Known<'_, K, R> {
    /// Decides about `n` at `now`, and releases the lock.
    #[inline(never)]
    pub(super) fn decide(mut self, now: Tick, n: u64) -> Decision {
        if self.kept.quota.is_outlived(now) {
            self.kept.renew(now);
        }
        self.kept.decide(self.at, now, n, false).0
    }
}

impl<K, R: KeyQuota> Keys<K, R>
where
    K: Hash + Eq,
{
    pub(super) fn new(quota: &R, max_keys: usize, longest_key: usize, seeds: Seeds) -> Self {
        let shards = Shards::new(max_keys, seeds.clone(), |room| Kept {
            table: Table::new(),
            quota: quota.clone(),
            own: HashMap::with_hasher(seeds.clone()),
            room,
            key_bytes: 0,
            evicted: 0,
            untracked: 0,
        });
        Self {
            shards,
            longest_key: AtomicU64::new(longest_key as u64),
            too_long: AtomicU64::new(0),
        }
    }

    /// The fast path: takes `n` from `key` at `now`, or returns what is left to do.
    #[inline]
    pub(super) fn take_fast<Q>(&self, key: &Q, now: Tick, n: u64) -> Found<'_, K, R>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let (shard, tag) = self.shards.locate(key);
        let mut guard = shard.lock();
        let kept = &mut *guard;
        match kept.table.find(tag, |other| other.borrow() == key) {
            None => Found::Nothing(shard, tag),
            Some(at) => {
                let entry = kept.table.entry(at);
                if entry.is_flagged() || !kept.quota.take_fast(&mut entry.state, now, n) {
                    cold_path();
                    return Found::Known(Known { kept: guard, at });
                }
                Found::Taken
            }
        }
    }

    /// Decides about `n` for `key` at `now`; with the status of the key afterwards, if `status` asks for it.
    pub(super) fn decide<Q>(&self, key: &Q, now: Tick, n: u64, status: bool) -> (Decision, Option<QuotaStatus>)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let (shard, tag) = self.shards.locate(key);
        {
            let mut kept = lock(shard, now);
            if let Some(at) = kept.table.find(tag, |other| other.borrow() == key) {
                return kept.decide(at, now, n, status);
            }
        }
        if let Err(refused) = self.check_length(key) {
            self.count_too_long();
            return (refused, None);
        }
        // The owned key is made outside the lock, and dropped outside it.
        decide_new(shard, tag, key.to_owned(), now, n, status)
    }

    /// Whether a key may be kept, by its length.
    pub(super) fn check_length<Q: Hash + ?Sized>(&self, key: &Q) -> Result<(), Decision> {
        let length = length_of(key);
        // Relaxed: a setting by itself.
        let longest = self.longest_key.load(Ordering::Relaxed) as usize;
        if length <= longest {
            return Ok(());
        }
        Err(Decision::TooLong { length, longest })
    }

    #[cold]
    pub(super) fn count_too_long(&self) {
        // Relaxed: a count orders nothing.
        self.too_long.fetch_add(1, Ordering::Relaxed);
    }

    /// What is missing for `n` for `key` at `now`, and the status of the key. Takes nothing, and keeps nothing of a new key.
    pub(super) fn look<Q>(&self, key: &Q, now: Tick, n: u64) -> (Result<(), RateLimitError>, QuotaStatus)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let (shard, tag) = self.shards.locate(key);
        let mut kept = lock(shard, now);
        let kept = &mut *kept;
        let quota = kept.own.get(key).unwrap_or(&kept.quota);
        let fresh;
        let state = match kept.table.find(tag, |other| other.borrow() == key) {
            Some(at) => &kept.table.entry(at).state,
            None => {
                fresh = quota.fresh(now);
                if let Err(Decision::TooLong { length, longest }) = self.check_length(key) {
                    let error = RateLimitError::KeyTooLong { length, longest };
                    return (Err(error), quota.status(&fresh, now));
                }
                &fresh
            }
        };
        let capacity = quota.capacity();
        let short = quota.shortfall(state, now, n.min(capacity));
        let result = if n > capacity {
            Err(RateLimitError::ExceedsCapacity { requested: n, capacity })
        } else if n == 0 || short.wait.is_zero() {
            Ok(())
        } else {
            Err(short.refuse(n))
        };
        (result, quota.status(state, now))
    }

    /// Gives `n` back to `key`.
    pub(super) fn refund<Q>(&self, key: &Q, now: Tick, n: u64)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let (shard, tag) = self.shards.locate(key);
        let kept = &mut *lock(shard, now);
        if let Some(at) = kept.table.find(tag, |other| other.borrow() == key) {
            let quota = kept.own.get(key).unwrap_or(&kept.quota);
            quota.give_back(&mut kept.table.entry(at).state, n);
        }
    }

    /// Forgets `key`, whether it is limited or not. A quota of its own stays.
    pub(super) fn forget<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let (shard, tag) = self.shards.locate(key);
        let mut kept = shard.lock();
        let removed = kept
            .table
            .find(tag, |other| other.borrow() == key)
            .and_then(|at| kept.table.remove(at));
        if removed.is_some() {
            kept.key_bytes -= length_of(key);
        }
        drop(kept);
        removed.is_some()
    }

    /// Gives `key` a quota of its own, if there is room for one more. What the key has used stays used.
    pub(super) fn set_own(&self, key: K, now: Tick, quota: R) -> bool {
        let (shard, tag) = self.shards.locate(&key);
        let kept = &mut *lock(shard, now);
        if kept.own.len() >= kept.room && !kept.own.contains_key(&key) {
            return false;
        }
        if let Some(at) = kept.table.find(tag, |other| *other == key) {
            let old = kept.own.get(&key).unwrap_or(&kept.quota);
            let entry = kept.table.entry(at);
            entry.state = quota.carry_over(old, &entry.state, now);
            entry.set_flag(true);
        }
        let length = length_of(&key);
        if kept.own.insert(key, quota).is_none() {
            kept.key_bytes += length;
        }
        true
    }

    /// Takes the quota of its own off `key`.
    pub(super) fn clear_own<Q>(&self, key: &Q, now: Tick)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let (shard, tag) = self.shards.locate(key);
        let kept = &mut *lock(shard, now);
        let Some(old) = kept.own.remove(key) else { return };
        kept.key_bytes -= length_of(key);
        if let Some(at) = kept.table.find(tag, |other| other.borrow() == key) {
            let entry = kept.table.entry(at);
            entry.state = kept.quota.carry_over(&old, &entry.state, now);
            entry.set_flag(false);
        }
    }

    /// Applies another quota from `now` on to all keys without one of their own. Complexity: O(keys).
    pub(super) fn change(&self, now: Tick, quota: &R, max_keys: usize, longest_key: usize) {
        // Relaxed: a setting by itself.
        self.longest_key.store(longest_key as u64, Ordering::Relaxed);
        for shard in self.shards.iter() {
            let kept = &mut *lock(shard, now);
            kept.replace_quota(quota.clone(), now);
            kept.room = self.shards.room(max_keys);
        }
    }

    /// The keys that were refused most since they were last idle, the first most. Complexity: O(keys).
    pub(super) fn top_refused(&self, count: usize) -> Vec<(K, u64)>
    where
        K: Clone,
    {
        let mut counts: Vec<u32> = Vec::new();
        for shard in self.shards.iter() {
            let kept = shard.lock();
            counts.extend(
                kept.table
                    .entries()
                    .map(|entry| entry.number)
                    .filter(|refused| *refused > 0),
            );
        }
        if count == 0 || counts.is_empty() {
            return Vec::new();
        }
        let last = counts.len().saturating_sub(count);
        let least = *counts.select_nth_unstable(last).1;
        // Of those that were refused as often as the last of the list, only as many are copied as it has room for.
        let mut ties = count - counts.iter().filter(|refused| **refused > least).count().min(count);
        let mut top: Vec<(K, u64)> = Vec::new();
        for shard in self.shards.iter() {
            let kept = shard.lock();
            for entry in kept.table.entries().filter(|entry| entry.number >= least) {
                if entry.number == least {
                    if ties == 0 {
                        continue;
                    }
                    ties -= 1;
                }
                top.push((entry.key.clone(), entry.number.into()));
            }
        }
        top.sort_by_key(|(_, refused)| std::cmp::Reverse(*refused));
        top.truncate(count);
        top
    }

    /// Complexity: O(parts), and O(keys) where states hold something on the heap.
    pub(super) fn sums(&self) -> Sums {
        let none = Sums {
            // Relaxed: a count orders nothing.
            untracked: self.too_long.load(Ordering::Relaxed),
            ..Sums::default()
        };
        self.shards.iter().fold(none, |sums, shard| {
            let kept = shard.lock();
            Sums {
                keys: sums.keys + kept.table.len() as u64,
                bytes: sums.bytes + kept.bytes() as u64,
                evicted: sums.evicted + kept.evicted,
                untracked: sums.untracked + kept.untracked,
            }
        })
    }

    /// Forgets all keys that are idle at `now`, frees what memory it can, and returns how many keys there were.
    pub(super) fn evict_idle(&self, now: Tick) -> usize {
        let mut sum = 0;
        for shard in self.shards.iter() {
            // Dropped when the lock is.
            let mut evicted = Vec::new();
            {
                let kept = &mut *lock(shard, now);
                let (quota, own) = (&kept.quota, &kept.own);
                let is_idle = |entry: &Entry<K, R::State>| busy_for(entry, quota, own, now).is_zero();
                kept.table.sweep_all(is_idle, |entry| evicted.push(entry));
                kept.evicted += evicted.len() as u64;
                kept.key_bytes -= evicted.iter().map(|entry| length_of(&entry.key)).sum::<usize>();
            }
            sum += evicted.len();
        }
        sum
    }
}

/// Takes a shard's lock, and renews a quota that is too old to count on.
fn lock<K: Hash + Eq, R: KeyQuota>(shard: &Shard<Kept<K, R>>, now: Tick) -> MutexGuard<'_, Kept<K, R>> {
    let mut kept = shard.lock();
    if kept.quota.is_outlived(now) {
        kept.renew(now);
    }
    kept
}

/// Decides about a key that was not found a moment ago.
#[inline(never)]
pub(super) fn decide_new<K: Hash + Eq, R: KeyQuota>(
    shard: &Shard<Kept<K, R>>,
    tag: Tag,
    key: K,
    now: Tick,
    n: u64,
    status: bool,
) -> (Decision, Option<QuotaStatus>) {
    // Dropped after the lock, as the key is if it is not kept.
    let mut evicted = Evicted([const { None }; SWEPT]);
    let mut kept = lock(shard, now);
    let kept = &mut *kept;
    if let Some(at) = kept.table.find(tag, |other| *other == key) {
        return kept.decide(at, now, n, status);
    }
    let quota = kept.own.get(&key);
    let fresh = quota.unwrap_or(&kept.quota).fresh(now);
    let is_own = quota.is_some();
    if let Err(idle_after) = kept.make_room(now, &mut evicted) {
        kept.untracked += 1;
        let status = status.then(|| kept.quota.status(&fresh, now));
        return (Decision::Full(idle_after), status);
    }
    kept.key_bytes += length_of(&key);
    let at = kept.table.insert(tag, key, fresh);
    kept.table.entry(at).set_flag(is_own);
    kept.decide(at, now, n, status)
}

/// What a sweep removed, on the stack.
struct Evicted<K, S>([Option<Entry<K, S>>; SWEPT]);

impl<K, S> Evicted<K, S> {
    fn has_room(&self) -> bool {
        self.0[SWEPT - 1].is_none()
    }

    fn push(&mut self, entry: Entry<K, S>) {
        if let Some(place) = self.0.iter_mut().find(|place| place.is_none()) {
            *place = Some(entry);
        }
    }
}

impl<K, R: KeyQuota> Kept<K, R>
where
    K: Hash + Eq,
{
    fn decide(&mut self, at: usize, now: Tick, n: u64, status: bool) -> (Decision, Option<QuotaStatus>) {
        let entry = self.table.entry(at);
        let quota = if entry.is_flagged() {
            self.own.get(&entry.key).unwrap_or(&self.quota)
        } else {
            &self.quota
        };
        let result = quota.decide(&mut entry.state, now, n);
        if result.is_err() {
            entry.number = entry.number.saturating_add(1);
        }
        let status = status.then(|| quota.status(&entry.state, now));
        (Decision::Decided(result), status)
    }

    /// Makes room for one more key, or returns after how long an idle key may be found.
    fn make_room(&mut self, now: Tick, evicted: &mut Evicted<K, R::State>) -> Result<(), Duration> {
        let (quota, own) = (&self.quota, &self.own);
        let mut idle_after = Duration::MAX;
        let mut looked_at = 0;
        while looked_at < SWEPT || self.table.len() >= self.room && looked_at < SEARCHED.max(SWEPT) {
            if !evicted.has_room() {
                break;
            }
            looked_at += 1;
            let evicts = |entry: &Entry<K, R::State>| {
                let busy_for = busy_for(entry, quota, own, now);
                idle_after = idle_after.min(busy_for);
                busy_for.is_zero()
            };
            let before = self.table.len();
            let key_bytes = &mut self.key_bytes;
            self.table.sweep(1, evicts, |entry| {
                *key_bytes -= length_of(&entry.key);
                evicted.push(entry);
            });
            self.evicted += (before - self.table.len()) as u64;
        }
        if self.table.len() < self.room {
            Ok(())
        } else {
            Err(idle_after)
        }
    }

    /// How many bytes all of it takes.
    fn bytes(&self) -> usize {
        let states: usize = match R::HAS_HEAP {
            true => self.table.entries().map(|entry| R::heap(&entry.state)).sum(),
            false => 0,
        };
        let own = self.own.capacity() * size_of::<(K, R)>();
        self.table.bytes() + self.key_bytes + states + own
    }

    fn renew(&mut self, now: Tick) {
        // First the quotas of single keys, whose entries have the flag.
        for (key, quota) in &mut self.own {
            let renewed = quota.renewed(now);
            for entry in self
                .table
                .entries_mut()
                .filter(|entry| entry.is_flagged() && entry.key == *key)
            {
                entry.state = renewed.carry_over(quota, &entry.state, now);
            }
            *quota = renewed;
        }
        self.replace_quota(self.quota.renewed(now), now);
    }

    fn replace_quota(&mut self, quota: R, now: Tick) {
        let old = std::mem::replace(&mut self.quota, quota);
        for entry in self.table.entries_mut().filter(|entry| !entry.is_flagged()) {
            entry.state = self.quota.carry_over(&old, &entry.state, now);
        }
    }
}

/// How long until an entry is idle.
fn busy_for<K: Hash + Eq, R: KeyQuota>(
    entry: &Entry<K, R::State>,
    quota: &R,
    own: &HashMap<K, R, Seeds>,
    now: Tick,
) -> Duration {
    let quota = if entry.is_flagged() {
        own.get(&entry.key).unwrap_or(quota)
    } else {
        quota
    };
    quota.busy_for(&entry.state, now)
}

impl<K, R: KeyQuota> fmt::Debug for Keys<K, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("shards", &self.shards.iter().len())
            .finish_non_exhaustive()
    }
}
