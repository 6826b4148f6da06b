//! Runs a soak: callers that choose a part at random, a file that changes, and readings of what the process uses.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use c13_reliability::sync::Random;
use c13_reliability::time::Clock;
use tokio::runtime::{Builder, Handle};

use super::background::Background;
use super::dependency::{FaultyDependency, OnPurpose};
use super::part::{Ground, SoakPart};
use super::parts::{
    Adaptive, Breaker, Exclusion, Fallbacks, Hedges, Limits, Permits, Reads, Reloaded, Retries, limiters,
};
use super::process;
use super::report::{Before, PartReport, SoakReport, leaks};
use super::tally::CallerTally;

/// How many callers there are at once.
const CALLERS: u32 = 64;
/// One call in so many is dropped before it is done.
const DROPPED: u64 = 8;
/// The longest that a caller waits before it drops its call.
const IMPATIENCE: Duration = Duration::from_millis(3);
/// How often the policy's file is written anew.
const RELOAD: Duration = Duration::from_millis(250);
/// How long background tasks get to end once the load has: so many looks, so that they get their turn even after a pause
/// of the machine.
const LOOKS: u32 = 100;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Runs every part under load for `length`, and audits it; shows the share that is done. `None` if `stop` was set
/// meanwhile.
///
/// # Errors
///
/// The system refuses a runtime, a file, or `/proc`.
pub(crate) fn run(
    length: Duration,
    seed: u64,
    stop: &AtomicBool,
    show: &dyn Fn(f64),
) -> io::Result<Option<SoakReport>> {
    hush_panics_on_purpose();
    let folder = std::env::temp_dir().join(format!("c13-soak-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(soak(length, seed, &folder, stop, show));
    let _left_behind = std::fs::remove_dir_all(&folder);
    report
}

/// A part, and what its callers see.
type Tallied = (Arc<dyn SoakPart>, Arc<CallerTally>);

async fn soak(
    length: Duration,
    seed: u64,
    folder: &Path,
    stop: &AtomicBool,
    show: &dyn Fn(f64),
) -> io::Result<Option<SoakReport>> {
    let clock = Clock::system();
    let ground = Ground {
        clock: clock.clone(),
        dependency: Arc::new(FaultyDependency::new(clock.clone(), seed)),
        random: Arc::new(Random::stream(seed, "parts")),
    };
    let reloaded = Arc::new(Reloaded::new(&ground, folder)?);
    let mut parts: Vec<Arc<dyn SoakPart>> = vec![
        Arc::new(Breaker::new(&ground)),
        Arc::new(Permits::scarce(&ground)),
        Arc::new(Permits::enough(&ground, CALLERS)),
        Arc::new(Adaptive::new(&ground)),
        Arc::new(Retries::new(&ground)),
        Arc::new(Limits::new(&ground)),
        Arc::new(Hedges::new(&ground)),
        Arc::new(Fallbacks::new(&ground)),
        Arc::new(Reads::new(&ground)),
        reloaded.clone(),
        Arc::new(Exclusion::new(&ground)),
    ];
    parts.extend(limiters(&ground));
    let parts: Arc<[Tallied]> = parts.into_iter().map(|part| (part, Arc::default())).collect();

    let before = at_rest()?;
    let background = Background::start(&clock, seed);
    let over = Arc::new(AtomicBool::new(false));
    let mut running: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let random = Random::stream(seed, &format!("caller {caller}"));
            tokio::spawn(calls(parts.clone(), clock.clone(), random, over.clone()))
        })
        .collect();
    running.push(tokio::spawn(reloads(reloaded, clock.clone(), over.clone())));

    let start = clock.now();
    let mut held = Vec::new();
    let stopped = loop {
        let elapsed = clock.now().since(start);
        // Relaxed: only says that it is time to stop.
        let stopped = stop.load(Ordering::Relaxed);
        if elapsed >= length || stopped {
            break stopped;
        }
        held.push(process::read()?);
        show(elapsed.as_secs_f64() / length.as_secs_f64());
        clock.sleep(Duration::from_secs(1).min(length - elapsed)).await;
    };
    let seconds = clock.now().since(start).as_secs_f64();
    // Relaxed: as above.
    over.store(true, Ordering::Relaxed);
    for task in running {
        task.await.map_err(io::Error::other)?;
    }
    let background = background.stop().await;
    if stopped {
        return Ok(None);
    }
    let after = rest(&clock, before).await?;
    let audit = |(part, tally): &Tallied| PartReport {
        name: part.name(),
        seen: tally.counts(),
        faults: part.audit(&tally.counts()),
    };
    Ok(Some(SoakReport {
        schema: 1,
        seed,
        seconds,
        parts: parts.iter().map(audit).chain(background).collect(),
        leaks: leaks(&held, before, after),
        held,
    }))
}

/// One caller: makes a call, waits for it or drops it, and makes the next.
async fn calls(parts: Arc<[Tallied]>, clock: Clock, random: Random, over: Arc<AtomicBool>) {
    // Relaxed: only says that it is time to stop.
    while !over.load(Ordering::Relaxed) {
        let (part, tally) = &parts[random.below(parts.len() as u64) as usize];
        let (part, tally) = (part.clone(), tally.clone());
        let call = tokio::spawn(async move {
            let entry = tally.enter();
            let seen = part.call().await;
            entry.close(seen);
        });
        if random.below(DROPPED) == 0 {
            clock.sleep(IMPATIENCE.mul_f64(random.unit())).await;
            call.abort();
        }
        // Whether it was done, dropped or panicked is in the tally.
        let _ended = call.await;
    }
}

async fn reloads(part: Arc<Reloaded>, clock: Clock, over: Arc<AtomicBool>) {
    // Relaxed: only says that it is time to stop.
    while !over.load(Ordering::Relaxed) {
        clock.sleep(RELOAD).await;
        part.reload();
    }
}

/// What the process uses when nothing runs.
fn at_rest() -> io::Result<Before> {
    Ok(Before {
        files: process::read()?.files,
        tasks: Handle::current().metrics().num_alive_tasks(),
    })
}

/// Waits until background tasks have ended, and reads what is still in use.
async fn rest(clock: &Clock, before: Before) -> io::Result<Before> {
    for _ in 1..LOOKS {
        let now = at_rest()?;
        if now.files <= before.files && now.tasks <= before.tasks {
            return Ok(now);
        }
        clock.sleep(BETWEEN_LOOKS).await;
    }
    at_rest()
}

/// Panics on purpose are part of the load; all others are shown as ever.
fn hush_panics_on_purpose() {
    let show = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !panic.payload().is::<OnPurpose>() {
            show(panic);
        }
    }));
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_short_soak_finds_nothing_wrong() {
        let stop = AtomicBool::new(false);
        let report = run(Duration::from_secs(2), 7, &stop, &|_| {}).expect("the system plays along");
        let report = report.expect("nobody stops it");
        // Memory and files are the whole process's, and other tests use some meanwhile.
        let leaks: Vec<_> = report.leaks.iter().filter(|leak| leak.starts_with("tasks")).collect();
        let faults: Vec<_> = report.parts.iter().flat_map(|part| &part.faults).collect();
        assert!(leaks.is_empty() && faults.is_empty(), "{leaks:?} {faults:?}");
        assert!(report.parts.iter().all(|part| part.seen.calls() > 0), "{report:?}");
    }
}
