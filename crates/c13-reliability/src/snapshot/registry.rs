//! The registry: the parts that report, each by a unique name, as long as it lives.

use super::family::{Family, families};
use super::metric::Reading;
use crate::error::NameTaken;
use crate::sync::Sweep;
use crate::sync::primitive::Mutex;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

/// A part that can be registered.
pub trait Observed {
    /// The source that reads this part from now on. It must not keep the part alive: hold a [`std::sync::Weak`], and return
    /// `None` once the part is gone.
    fn source(&self) -> Source;
}

/// Reads one part as long as it lives.
#[derive(Clone)]
pub struct Source(Arc<dyn Fn() -> Option<Vec<Reading>> + Send + Sync>);

impl Source {
    /// A source that reads with `read`; `None` means that the part is gone. Every reader calls it, so it must be quick and
    /// must not wait.
    #[must_use]
    pub fn new(read: impl Fn() -> Option<Vec<Reading>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// A source that reads `part` with `read` until the last other owner drops it.
    #[must_use]
    pub fn of<T: Send + Sync + 'static>(
        part: &Arc<T>,
        read: impl Fn(Arc<T>) -> Vec<Reading> + Send + Sync + 'static,
    ) -> Self {
        let part = Arc::downgrade(part);
        Self::new(move || part.upgrade().map(&read))
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").finish_non_exhaustive()
    }
}

/// The parts that report, each under a unique name. Clones share one registry.
#[derive(Clone, Default)]
pub struct Registry {
    sources: Arc<Mutex<Sources>>,
}

#[derive(Default)]
struct Sources {
    by_name: BTreeMap<String, Source>,
    /// When parts that are gone are looked for, though nobody reads.
    sweep: Sweep,
}

impl Sources {
    fn list(&self) -> Vec<(String, Source)> {
        let sources = self.by_name.iter();
        sources.map(|(name, source)| (name.clone(), source.clone())).collect()
    }

    /// Forgets sources, unless another one has the name by now.
    fn forget(&mut self, gone: Vec<(String, Source)>) {
        for (name, source) in gone {
            if self
                .by_name
                .get(&name)
                .is_some_and(|now| Arc::ptr_eq(&now.0, &source.0))
            {
                self.by_name.remove(&name);
            }
        }
        self.sweep.done(self.by_name.len());
    }
}

/// The readings of one part at one moment.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The name under which the part is registered.
    pub name: String,
    /// Its readings.
    pub readings: Vec<Reading>,
}

impl Registry {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The registry of the process, for applications that need only one.
    #[must_use]
    pub fn global() -> &'static Self {
        static GLOBAL: OnceLock<Registry> = OnceLock::new();
        GLOBAL.get_or_init(Self::new)
    }

    /// Registers `part` under `name`, until it is dropped.
    ///
    /// Complexity: O(log parts) on average; now and then parts that are gone are looked for, so that at most twice as many
    /// names are kept as parts live, and 64 more.
    ///
    /// # Errors
    ///
    /// If a part that still lives has this name.
    pub fn register(&self, name: impl Into<String>, part: &impl Observed) -> Result<(), NameTaken> {
        let (name, source) = (name.into(), part.source());
        self.forget_gone();
        let holder = self.sources.lock().by_name.get(&name).cloned();
        // Read outside the lock, because a source is the user's code.
        if let Some(holder) = &holder
            && !is_gone(holder)
        {
            return Err(NameTaken::new(name));
        }
        let mut sources = self.sources.lock();
        let unchanged = match (sources.by_name.get(&name), &holder) {
            (None, _) => true,
            (Some(now), Some(gone)) => Arc::ptr_eq(&now.0, &gone.0),
            (Some(_), None) => false,
        };
        if !unchanged {
            return Err(NameTaken::new(name));
        }
        sources.by_name.insert(name, source);
        Ok(())
    }

    /// Forgets the parts that are gone, if there are many names.
    fn forget_gone(&self) {
        let sources = {
            let mut sources = self.sources.lock();
            let count = sources.by_name.len();
            if !sources.sweep.is_due(count) {
                return;
            }
            // No other thread looks meanwhile.
            sources.sweep.done(count);
            sources.list()
        };
        // Read outside the lock, because a source is the user's code.
        let gone = sources.into_iter().filter(|(_, source)| is_gone(source)).collect();
        self.sources.lock().forget(gone);
    }

    /// The present readings of each part that lives, in the order of names. Parts that are gone are forgotten. A part whose
    /// source panics is left out this time.
    ///
    /// Complexity: O(parts); the registry is not locked while parts are read.
    #[must_use]
    pub fn snapshots(&self) -> Vec<Snapshot> {
        let sources = self.sources.lock().list();
        let mut snapshots = Vec::with_capacity(sources.len());
        let mut gone = Vec::new();
        for (name, source) in sources {
            match read(&source) {
                Some(Some(readings)) => snapshots.push(Snapshot { name, readings }),
                Some(None) => gone.push((name, source)),
                None => {}
            }
        }
        if !gone.is_empty() {
            self.sources.lock().forget(gone);
        }
        snapshots
    }

    /// The present readings of all parts that live, by metric, with at most [`MAX_NAMES`](super::MAX_NAMES) names a metric.
    #[must_use]
    pub fn families(&self) -> Vec<Family> {
        families(self.snapshots())
    }
}

/// Reads a source; `None` if it panicked.
fn read(source: &Source) -> Option<Option<Vec<Reading>>> {
    catch_unwind(AssertUnwindSafe(|| (source.0)())).ok()
}

/// A source that panics may work again later, so it is not gone.
fn is_gone(source: &Source) -> bool {
    matches!(read(source), Some(None))
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.sources.lock().by_name.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Labels, MAX_NAMES, Metric, OTHER, Value};
    use super::*;
    use std::sync::Weak;
    use std::sync::atomic::{AtomicU64, Ordering};

    static CALLS: Metric = Metric::counter("reliability.test.calls", "{call}", "Calls");
    static LEVEL: Metric = Metric::gauge("reliability.test.level", "", "A level");

    /// Counts; above a million it panics when it is read.
    struct Part(Arc<AtomicU64>);

    impl Part {
        fn new(count: u64) -> Self {
            Self(Arc::new(AtomicU64::new(count)))
        }
    }

    impl Observed for Part {
        fn source(&self) -> Source {
            let weak: Weak<AtomicU64> = Arc::downgrade(&self.0);
            Source::new(move || {
                let count = weak.upgrade()?.load(Ordering::SeqCst);
                assert!(count < 1_000_000, "a part that panics");
                Some(vec![
                    Reading::count(&CALLS, count).label("result", "success"),
                    Reading::level(&LEVEL, 1.0),
                ])
            })
        }
    }

    #[test]
    fn a_part_is_read_while_it_lives_and_its_name_is_free_afterwards() {
        let registry = Registry::new();
        let part = Part::new(3);
        registry.register("a", &part).unwrap();
        part.0.store(4, Ordering::SeqCst);
        assert_eq!(registry.snapshots()[0].readings[0].value, Value::Count(4));
        let refused = registry.register("a", &Part::new(0)).unwrap_err();
        assert_eq!(refused.to_string(), "the name `a` is taken");
        drop(part);
        let next = Part::new(9);
        registry.register("a", &next).unwrap();
        assert_eq!(registry.snapshots()[0].readings[0].value, Value::Count(9));
        drop(next);
        assert_eq!(registry.snapshots(), []);
        assert!(registry.sources.lock().by_name.is_empty(), "what is gone is forgotten");
    }

    #[test]
    fn parts_that_nobody_reads_are_forgotten_once_they_are_gone() {
        let registry = Registry::new();
        let kept = Part::new(7);
        registry.register("kept", &kept).unwrap();
        let mut most = 0;
        for n in 0..10_000 {
            registry.register(format!("request-{n}"), &Part::new(n)).unwrap();
            most = most.max(registry.sources.lock().by_name.len());
        }
        assert!(most <= 66, "{most} names of one part");
        let snapshots = registry.snapshots();
        assert_eq!(snapshots.len(), 1);
        assert_eq!(snapshots[0].name, "kept");
    }

    #[test]
    fn a_part_that_panics_is_left_out_and_stops_no_other() {
        let registry = Registry::new();
        let (broken, sound) = (Part::new(2_000_000), Part::new(5));
        registry.register("broken", &broken).unwrap();
        registry.register("sound", &sound).unwrap();
        let names = |registry: &Registry| -> Vec<String> {
            registry.snapshots().into_iter().map(|snapshot| snapshot.name).collect()
        };
        assert_eq!(names(&registry), ["sound"]);
        assert!(registry.register("broken", &sound).is_err(), "it lives");
        broken.0.store(1, Ordering::SeqCst);
        assert_eq!(names(&registry), ["broken", "sound"]);
    }

    #[test]
    fn ten_thousand_parts_stay_within_the_bound_and_no_count_is_lost() {
        let registry = Registry::new();
        let parts: Vec<Part> = (0..10_000).map(Part::new).collect();
        for (n, part) in parts.iter().enumerate() {
            registry.register(format!("key-{n:05}"), part).unwrap();
        }
        let families = registry.families();
        assert_eq!(families.len(), 2);
        let calls = &families[0];
        assert_eq!((calls.metric.name, calls.series.len()), (CALLS.name, MAX_NAMES + 1));
        let sum: u64 = calls
            .series
            .iter()
            .map(|series| match series.value {
                Value::Count(count) => count,
                _ => panic!("a counter: {series:?}"),
            })
            .sum();
        assert_eq!(sum, (0..10_000).sum::<u64>());
        let other = calls.series.last().unwrap();
        let labels: Labels = vec![("result", "success".to_owned())];
        assert_eq!((other.name.as_str(), &other.labels), (OTHER, &labels));
        assert_eq!(
            families[1].series.len(),
            MAX_NAMES,
            "levels of many parts do not add up"
        );
    }
}
