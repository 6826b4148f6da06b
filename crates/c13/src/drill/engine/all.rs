//! All variants of a scenario under one seed, spread over the machine's processors.

use super::measure::Measured;
use super::one::run_variant;
use crate::drill::figures::Figures;
use crate::drill::report::{DrillReport, VariantReport};
use crate::drill::scenario::{Scenario, Variant};
use crate::drill::watch::{Interrupted, Progress, Watch};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// How many points a picture of goodput over time has.
const POINTS: usize = 120;

/// A report of a thread that works on variants.
enum ThreadReport {
    /// The share of a variant's time that has passed, from 0 to 1.
    Progress(usize, f64),
    /// A variant is done.
    Done(usize, Box<Measured>),
}

/// Rehearses `scenario` once with `seed`.
///
/// Variants share nothing, so the result is the same whatever the number of processors.
///
/// # Errors
///
/// The run was stopped.
pub(crate) fn run(scenario: &Scenario, seed: u64, watch: &Watch<'_>) -> Result<DrillReport, Interrupted> {
    let variants = &scenario.variants;
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let (tell, news) = mpsc::channel();
    let threads = std::thread::available_parallelism()
        .map_or(1, NonZeroUsize::get)
        .min(variants.len());

    let mut results: Vec<Option<Box<Measured>>> = variants.iter().map(|_| None).collect();
    let mut shares = vec![0.0; variants.len()];
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (tell, next, stop) = (tell.clone(), &next, &stop);
            scope.spawn(move || work(scenario, seed, next, stop, &tell));
        }
        drop(tell);
        // Ends when the last thread has ended and dropped its sender.
        for news in news {
            let index = match news {
                ThreadReport::Progress(index, share) => {
                    shares[index] = share;
                    index
                }
                ThreadReport::Done(index, measured) => {
                    results[index] = Some(measured);
                    shares[index] = 1.0;
                    index
                }
            };
            let share = shares.iter().sum::<f64>() / shares.len() as f64;
            if watch
                .report(Progress {
                    variant: &variants[index].name,
                    share,
                })
                .is_err()
            {
                // Relaxed: a flag that is seen a moment later stops a moment later.
                stop.store(true, Ordering::Relaxed);
            }
        }
    });
    let reports = results.into_iter().zip(variants).map(|(measured, variant)| {
        measured
            .map(|measured| report(scenario, variant, &measured))
            .ok_or(Interrupted)
    });
    Ok(DrillReport {
        seed,
        variants: reports.collect::<Result<_, _>>()?,
    })
}

/// Works on one variant after the other until none is left, or until `stop` is set.
fn work(scenario: &Scenario, seed: u64, next: &AtomicUsize, stop: &AtomicBool, tell: &mpsc::Sender<ThreadReport>) {
    loop {
        // Relaxed: the counter only has to give each variant to one thread.
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(variant) = scenario.variants.get(index) else {
            return;
        };
        let goes_on = |share: f64| {
            // Relaxed: as where it is set. Where the receiver is gone, no result is wanted.
            tell.send(ThreadReport::Progress(index, share)).is_ok() && !stop.load(Ordering::Relaxed)
        };
        let told = run_variant(scenario, variant, seed, &goes_on)
            .is_some_and(|measured| tell.send(ThreadReport::Done(index, Box::new(measured))).is_ok());
        if !told {
            return;
        }
    }
}

fn report(scenario: &Scenario, variant: &Variant, measured: &Measured) -> VariantReport {
    VariantReport {
        name: variant.name.clone(),
        figures: Figures::read(measured),
        timeline: timeline(scenario.duration, measured),
    }
}

/// Goodput over time, in points of equal length.
fn timeline(duration: Duration, measured: &Measured) -> Vec<Option<f64>> {
    let seconds = duration.as_secs_f64().ceil() as usize;
    let points = POINTS.min(seconds.max(1));
    (0..points)
        .map(|point| measured.share(point * seconds / points..(point + 1) * seconds / points))
        .collect()
}
