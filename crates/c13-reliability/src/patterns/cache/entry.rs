//! An entry, and the forms in which the map keeps it: as small as the settings of its cache allow.
//!
//! A hit waits for an entry to come from memory, so every byte beside the value costs time.

use super::state::Stamps;
use crate::sync::primitive::{AtomicU64, Ordering};
use crate::time::Tick;
use std::sync::Arc;
use std::time::Duration;

/// An entry, whole. A read clones it, so its value is cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Entry<V> {
    /// `None` for a negative entry: there is nothing under the key.
    pub(super) value: Option<V>,
    pub(super) stamps: Stamps,
    aside: Option<Arc<Aside>>,
}

/// The parts that not every entry has, kept apart so that entries without them stay small. All clones share it.
#[derive(Debug)]
struct Aside {
    weight: u64,
    used: Option<LastUse>,
}

/// An entry without its value.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    pub(super) stamps: Stamps,
    /// Whether it is a negative entry: there is nothing under the key.
    pub(super) absent: bool,
    pub(super) weight: u64,
    /// When it was last read, if that matters.
    pub(super) used: Option<&'a LastUse>,
}

impl View<'_> {
    /// Whether it is fresh whatever the time is.
    #[inline]
    pub(super) fn lasts(&self) -> bool {
        self.stamps == Stamps::FOREVER && self.used.is_none()
    }
}

impl<V> Entry<V> {
    /// An entry of this weight, at least 1, because the map never evicts an entry of weight 0. `used` if it matters when it
    /// was last read.
    pub(super) fn new(value: Option<V>, stamps: Stamps, weight: u64, used: Option<LastUse>) -> Self {
        let weight = weight.max(1);
        let aside = (weight > 1 || used.is_some()).then(|| Arc::new(Aside { weight, used }));
        Self { value, stamps, aside }
    }
}

/// The form in which the map keeps an entry. Every form can hold every entry; one that it is not made for lies behind a
/// pointer.
pub(super) trait Form: Clone {
    type Value;

    fn of(entry: Entry<Self::Value>) -> Self;
    fn entry(self) -> Entry<Self::Value>;

    /// The value, if it is fresh `now` and a read need not know more; the entry otherwise. It reads the clock only if time
    /// matters.
    fn fresh(self, now: impl FnOnce() -> Tick) -> Result<Self::Value, Entry<Self::Value>>;

    fn view(&self) -> View<'_>;
}

/// The whole entry: for caches whose entries have a weight, a last use, or two times of their own.
impl<V: Clone> Form for Entry<V> {
    type Value = V;

    #[inline]
    fn of(entry: Self) -> Self {
        entry
    }

    #[inline]
    fn entry(self) -> Self {
        self
    }

    #[inline]
    fn fresh(self, now: impl FnOnce() -> Tick) -> Result<V, Self> {
        let view = self.view();
        let plain = view.used.is_none() && (view.lasts() || view.stamps.is_fresh(now()));
        match self {
            Self { value: Some(value), .. } if plain => Ok(value),
            entry => Err(entry),
        }
    }

    #[inline]
    fn view(&self) -> View<'_> {
        let aside = self.aside.as_ref();
        View {
            stamps: self.stamps,
            absent: self.value.is_none(),
            weight: aside.map_or(1, |aside| aside.weight),
            used: aside.and_then(|aside| aside.used.as_ref()),
        }
    }
}

/// The value alone: for caches in which nothing is timed.
#[derive(Clone, Debug)]
pub(super) struct Bare<V>(pub(super) Slot<V>);

impl<V: Clone> Form for Bare<V> {
    type Value = V;

    fn of(entry: Entry<V>) -> Self {
        Self(Slot::of(entry, |stamps| stamps == Stamps::FOREVER))
    }

    #[inline]
    fn entry(self) -> Entry<V> {
        self.0.entry(Stamps::FOREVER)
    }

    #[inline]
    fn fresh(self, _: impl FnOnce() -> Tick) -> Result<V, Entry<V>> {
        match self.0 {
            Slot::Value(value) => Ok(value),
            Slot::Whole(entry) => Err(whole(entry)),
        }
    }

    #[inline]
    fn view(&self) -> View<'_> {
        self.0.view(Stamps::FOREVER)
    }
}

/// The value and until when it is fresh: for caches with a time to live and no other.
#[derive(Clone, Debug)]
pub(super) struct Dated<V> {
    slot: Slot<V>,
    fresh_until: Tick,
}

impl<V: Clone> Form for Dated<V> {
    type Value = V;

    fn of(entry: Entry<V>) -> Self {
        let fresh_until = entry.stamps.fresh_until();
        Self {
            slot: Slot::of(entry, |stamps| stamps == Stamps::until(fresh_until)),
            fresh_until,
        }
    }

    #[inline]
    fn entry(self) -> Entry<V> {
        self.slot.entry(Stamps::until(self.fresh_until))
    }

    #[inline]
    fn fresh(self, now: impl FnOnce() -> Tick) -> Result<V, Entry<V>> {
        match self.slot {
            Slot::Value(value) if now() < self.fresh_until => Ok(value),
            slot => Err(slot.entry(Stamps::until(self.fresh_until))),
        }
    }

    #[inline]
    fn view(&self) -> View<'_> {
        self.slot.view(Stamps::until(self.fresh_until))
    }
}

/// A value, or a pointer to a whole entry. If the type of the value leaves a bit pattern unused, as `Bytes` and `Arc` do, it
/// takes no more room than the value.
#[derive(Clone, Debug)]
pub(super) enum Slot<V> {
    Value(V),
    Whole(Arc<Entry<V>>),
}

impl<V: Clone> Slot<V> {
    /// The value alone, if there is one and the entry has nothing else but stamps that the form keeps elsewhere.
    fn of(entry: Entry<V>, told: impl FnOnce(Stamps) -> bool) -> Self {
        match entry {
            Entry {
                value: Some(value),
                stamps,
                aside: None,
            } if told(stamps) => Self::Value(value),
            entry => Self::Whole(Arc::new(entry)),
        }
    }

    #[inline]
    fn entry(self, stamps: Stamps) -> Entry<V> {
        match self {
            Self::Value(value) => Entry {
                value: Some(value),
                stamps,
                aside: None,
            },
            Self::Whole(entry) => whole(entry),
        }
    }

    #[inline]
    fn view(&self, stamps: Stamps) -> View<'_> {
        match self {
            Self::Value(_) => View {
                stamps,
                absent: false,
                weight: 1,
                used: None,
            },
            Self::Whole(entry) => entry.view(),
        }
    }
}

/// An entry behind a pointer. Not inlined, to keep the fast path of a plain hit short.
#[inline(never)]
pub(super) fn whole<V: Clone>(entry: Arc<Entry<V>>) -> Entry<V> {
    Arc::unwrap_or_clone(entry)
}

/// When an entry was last read, and for how long it may go unread.
#[derive(Debug)]
pub(super) struct LastUse {
    at: AtomicU64,
    limit: Duration,
}

impl LastUse {
    pub(super) fn new(now: Tick, limit: Duration) -> Self {
        Self {
            at: AtomicU64::new(now.as_nanos()),
            limit,
        }
    }

    /// Whether the last read was too long ago.
    pub(super) fn is_left(&self, now: Tick) -> bool {
        // Relaxed: the time publishes nothing but itself.
        now - Tick::from_nanos(self.at.load(Ordering::Relaxed)) >= self.limit
    }

    /// Records a read, unless the last one was too long ago. Returns whether it was recorded.
    pub(super) fn touch(&self, now: Tick) -> bool {
        // Relaxed: the time publishes nothing but itself.
        let last = Tick::from_nanos(self.at.load(Ordering::Relaxed));
        if now - last >= self.limit {
            return false;
        }
        // The coarse clock stands still for milliseconds, and a write would contend for the cache line with other readers.
        if now > last {
            // Relaxed: as above. The maximum, because a delayed read must not undo a later one.
            self.at.fetch_max(now.as_nanos(), Ordering::Relaxed);
        }
        true
    }
}

#[cfg(all(test, not(c13_loom)))]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Tick {
        Tick::from_nanos(nanos)
    }

    fn comes_out_as_it_went_in<F: Form<Value = u8>>(entry: &Entry<u8>) {
        let form = F::of(entry.clone());
        let (before, seen) = (entry.view(), form.view());
        assert_eq!(format!("{before:?}"), format!("{seen:?}"));
        let after = form.entry();
        assert_eq!(after.value, entry.value);
        assert_eq!(format!("{before:?}"), format!("{:?}", after.view()));
    }

    #[test]
    fn an_entry_comes_out_of_every_form_as_it_went_in() {
        let until = Stamps::until(at(7));
        let paused = until.paused(&super::super::CacheConfig::new(), at(9));
        for value in [Some(1), None] {
            for stamps in [Stamps::FOREVER, until, paused] {
                for weight in [1, 5] {
                    for used in [None, Some(Duration::from_nanos(3))] {
                        let used = used.map(|limit| LastUse::new(at(4), limit));
                        let entry = Entry::new(value, stamps, weight, used);
                        comes_out_as_it_went_in::<Entry<u8>>(&entry);
                        comes_out_as_it_went_in::<Bare<u8>>(&entry);
                        comes_out_as_it_went_in::<Dated<u8>>(&entry);
                    }
                }
            }
        }
    }

    #[test]
    fn a_form_takes_no_more_room_than_what_it_is_made_for() {
        type Value = bytes::Bytes;
        assert_eq!(size_of::<Bare<Value>>(), size_of::<Value>());
        assert_eq!(size_of::<Dated<Value>>(), size_of::<Value>() + 8);
        let entry = |stamps| Entry::new(Some(1_u8), stamps, 1, None);
        let forever = Bare::of(entry(Stamps::FOREVER));
        assert!(matches!(forever.0, Slot::Value(1)));
        assert!(matches!(Dated::of(entry(Stamps::until(at(7)))).slot, Slot::Value(1)));
        assert!(matches!(Bare::of(entry(Stamps::until(at(7)))).0, Slot::Whole(_)));
    }
}
