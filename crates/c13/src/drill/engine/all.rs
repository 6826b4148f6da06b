//! All runs of a scenario: every variant under every seed, spread over the machine's processors.

use super::measure::Measured;
use super::one::rehearse;
use super::series;
use crate::drill::figures::Figures;
use crate::drill::report::{DrillReport, VariantReport};
use crate::drill::scenario::{Scenario, Variant};
use crate::drill::traffic_figure::{Run, TrafficValues};
use crate::drill::watch::{Interrupted, Partial, Unfinished, Watch};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

/// A report of a thread that works on runs of variants.
enum ThreadReport {
    /// The share of a run's time that has passed, from 0 to 1.
    Progress(usize, f64),
    /// A run is done.
    Done(usize, VariantReport),
    /// A run was stopped.
    Stopped(usize, Partial),
}

/// Rehearses `scenario` once with each seed.
///
/// A variant under a seed shares nothing with the others, so the result is the same whatever the number of processors.
///
/// # Errors
///
/// The drill was stopped; what it had found by then comes with the error.
pub(crate) fn run(scenario: &Scenario, seeds: &[u64], watch: &Watch<'_>) -> Result<Vec<DrillReport>, Interrupted> {
    let work = Work {
        scenario,
        seeds,
        next: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
    };
    let (tell, news) = mpsc::channel();
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let mut stopped = Vec::new();
    let mut results: Vec<Option<VariantReport>> = Vec::new();
    results.resize_with(work.len(), || None);
    std::thread::scope(|scope| {
        for _ in 0..processors.min(work.len()) {
            let (tell, work) = (tell.clone(), &work);
            scope.spawn(move || work.take_part(&tell));
        }
        drop(tell);
        let mut shares = vec![0.0; work.len()];
        let mut share = 0.0;
        // Ends when the last thread has ended and dropped its sender.
        for news in news {
            let (index, now) = match news {
                ThreadReport::Progress(index, now) => (index, now),
                ThreadReport::Done(index, report) => {
                    results[index] = Some(report);
                    (index, 1.0)
                }
                ThreadReport::Stopped(index, had) => {
                    stopped.push((index, had));
                    continue;
                }
            };
            share += (now - std::mem::replace(&mut shares[index], now)) / shares.len() as f64;
            if watch.report(share).is_err() {
                // Relaxed: a flag that is seen a moment later stops a moment later.
                work.stop.store(true, Ordering::Relaxed);
            }
        }
    });
    let is_whole = results.iter().all(Option::is_some);
    let mut results = results.into_iter();
    let runs: Vec<DrillReport> = seeds
        .iter()
        .map(|&seed| DrillReport {
            seed,
            variants: results.by_ref().take(scenario.variants.len()).flatten().collect(),
        })
        .collect();
    if is_whole {
        return Ok(runs);
    }
    stopped.sort_by_key(|(index, _)| *index);
    let unfinished = stopped.into_iter().map(|(index, had)| Unfinished {
        variant: work.run(index).0.name.clone(),
        seed: work.run(index).1,
        had,
    });
    Err(Interrupted {
        unfinished: unfinished.collect(),
        ..Interrupted::with(runs, scenario.variants.len())
    })
}

/// The runs to be made: every variant under the first seed, then every variant under the next.
struct Work<'a> {
    scenario: &'a Scenario,
    seeds: &'a [u64],
    next: AtomicUsize,
    stop: AtomicBool,
}

impl Work<'_> {
    fn len(&self) -> usize {
        self.seeds.len() * self.scenario.variants.len()
    }

    /// The variant and the seed of a run.
    fn run(&self, index: usize) -> (&Variant, u64) {
        let variants = &self.scenario.variants;
        (&variants[index % variants.len()], self.seeds[index / variants.len()])
    }

    /// Makes one run after the other until none is left, or until the drill is stopped.
    fn take_part(&self, tell: &mpsc::Sender<ThreadReport>) {
        loop {
            // Relaxed: the counter only has to give each run to one thread.
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            if index >= self.len() || !self.make(index, tell) {
                return;
            }
        }
    }

    /// Makes one run; whether another one is wanted.
    fn make(&self, index: usize, tell: &mpsc::Sender<ThreadReport>) -> bool {
        let (variant, seed) = self.run(index);
        let goes_on = |share: f64| {
            // Relaxed: as where it is set. Where the receiver is gone, no result is wanted.
            tell.send(ThreadReport::Progress(index, share)).is_ok() && !self.stop.load(Ordering::Relaxed)
        };
        match rehearse(self.scenario, variant, seed, &goes_on) {
            Ok(measured) => {
                let report = report(self.scenario, variant, &measured);
                tell.send(ThreadReport::Done(index, report)).is_ok()
            }
            Err(partial) => {
                // Where the receiver is gone, nobody asks.
                let _ = tell.send(ThreadReport::Stopped(index, partial));
                false
            }
        }
    }
}

fn report(scenario: &Scenario, variant: &Variant, measured: &Measured) -> VariantReport {
    let run = Run {
        requests: measured.calls.requests() as f64,
        duration: scenario.duration,
    };
    VariantReport {
        name: variant.name.clone(),
        figures: Figures::read(measured),
        phases: measured.phases.iter().map(Figures::of_phase).collect(),
        incidents: measured.incidents.clone(),
        traffic: measured
            .traffic
            .iter()
            .map(|traffic| TrafficValues::read(traffic, &run))
            .collect(),
        series: series::read(scenario.duration, measured),
    }
}
