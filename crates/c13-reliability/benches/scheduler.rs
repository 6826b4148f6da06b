//! How late a 2 ms tick is: our modes, tokio's interval, and `cyclictest` where it is installed, one after the other.
//!
//! `cargo bench -p c13-reliability --bench scheduler -- [SECONDS [HOGS]] [ROW...]`, 5 and 0 and all rows unless told: HOGS
//! threads keep as many processors busy meanwhile; rows are chosen by a part of their name. Run it as root to see what
//! privileges buy. Every row checks that nothing drifts: the last tick is due at start + its number of periods, exactly.

use c13_reliability::realtime::scheduler::{Beat, Scheduler, TaskConfig, ThreadConfig, ThreadScheduler};
use c13_reliability::sync::HistogramSnapshot;
use c13_reliability::time::Clock;
use std::hint::black_box;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

const INTERVAL: &str = "tokio::time::interval";
const PERIOD: Duration = Duration::from_millis(2);

fn main() {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let seconds = numbers.first().copied().unwrap_or(5);
    let hogs = numbers.get(1).copied().unwrap_or(0);
    let chosen: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-') && arg.parse::<u64>().is_err())
        .collect();
    let wanted = |name: &str| chosen.is_empty() || chosen.iter().any(|part| name.contains(part));
    let stop = Arc::new(AtomicBool::new(false));
    let busy: Vec<_> = (0..hogs).map(|_| thread::spawn(hog(stop.clone()))).collect();
    println!(
        "2 ms tick for {seconds} s, {hogs} busy threads; lateness in µs, processor time of the ticking thread in %"
    );
    println!(
        "{:<44} {:>8} {:>8} {:>8} {:>9} {:>6}",
        "", "P50", "P99", "P99.9", "max", "cpu"
    );

    let micros = Duration::from_micros;
    let fifo = ThreadConfig::new().fifo(80).lock_memory(true);
    let awake = fifo.shallow_sleep(true);
    for (name, config) in [
        ("thread, inexact timers", ThreadConfig::new().exact_timers(false)),
        ("thread", ThreadConfig::new()),
        ("thread, spin 60 µs", ThreadConfig::new().spin(micros(60))),
        ("thread, shallow sleep", ThreadConfig::new().shallow_sleep(true)),
        ("thread, FIFO 80", fifo),
        ("thread, FIFO 80, spin 60 µs", fifo.spin(micros(60))),
        ("thread, FIFO 80, shallow sleep", awake),
        ("thread, FIFO 80, shallow sleep, spin 40 µs", awake.spin(micros(40))),
        ("thread, sharpest", ThreadConfig::sharpest()),
    ] {
        if wanted(name) {
            on_thread(name, config, seconds);
        }
    }
    for (name, clock) in [
        ("tokio, our scheduler, precise", Clock::precise()),
        ("tokio, our scheduler, tokio's timer", Clock::system()),
    ] {
        if wanted(name) {
            on_tokio(name, clock, seconds);
        }
    }
    if wanted(INTERVAL) {
        interval(seconds);
    }
    for (name, policy) in [
        ("cyclictest, FIFO 80", "-p80"),
        ("cyclictest, ordinary", "--policy=other"),
    ] {
        if wanted(name) {
            cyclictest(seconds, name, policy);
        }
    }

    stop.store(true, Ordering::Relaxed);
    for busy in busy {
        black_box(busy.join().expect("a hog does not panic"));
    }
}

fn hog(stop: Arc<AtomicBool>) -> impl FnOnce() -> u64 {
    move || {
        let mut x = 1_u64;
        while !stop.load(Ordering::Relaxed) {
            for _ in 0..1000 {
                x = black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
            }
        }
        x
    }
}

fn on_thread(name: &str, config: ThreadConfig, seconds: u64) {
    let ticks = Arc::new(Mutex::new(Ticks::new()));
    let seen = ticks.clone();
    let mut scheduler = ThreadScheduler::new("tick", config.insist(true));
    let task = move |beat: &Beat| seen.lock().expect("no panic").see(beat);
    scheduler
        .add("tick", TaskConfig::every(PERIOD), task)
        .expect("the settings make sense");
    match scheduler.start() {
        Ok(running) => {
            thread::park_timeout(Duration::from_secs(seconds));
            running.stop().expect("no task panics");
            ticks.lock().expect("no panic").print(name);
        }
        Err(refused) => println!("{name:<44} {refused}"),
    }
}

fn on_tokio(name: &str, clock: Clock, seconds: u64) {
    let ticks = Arc::new(Mutex::new(Ticks::new()));
    let seen = ticks.clone();
    let mut scheduler = Scheduler::new().with_env(clock);
    let task = move |beat: Beat| {
        seen.lock().expect("no panic").see(&beat);
        async {}
    };
    scheduler
        .add("tick", TaskConfig::every(PERIOD), task)
        .expect("the settings make sense");
    let (_, run) = scheduler.start();
    let limit = Clock::system().timeout(Duration::from_secs(seconds), run);
    runtime().block_on(limit).expect_err("it runs until the limit");
    ticks.lock().expect("no panic").print(name);
}

fn interval(seconds: u64) {
    let mut ticks = Ticks::new();
    let clock = Clock::system();
    runtime().block_on(async {
        #[expect(clippy::disallowed_methods, reason = "it is what the scheduler is compared with")]
        let mut interval = tokio::time::interval(PERIOD);
        interval.tick().await;
        let start = clock.now();
        ticks.begin();
        for number in 1..=seconds * 500 {
            interval.tick().await;
            ticks
                .lateness
                .record((clock.now() - (start + PERIOD * number as u32)).as_nanos() as u64);
        }
    });
    ticks.print(INTERVAL);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime can be made")
}

fn cyclictest(seconds: u64, name: &str, policy: &str) {
    let loops = format!("-l{}", seconds * 500);
    let run = Command::new("cyclictest")
        .args(["-m", "-t1", "-i2000", "-q", "-h20000", &loops, policy])
        .output();
    let Ok(output) = run else {
        return println!("{name:<44} not installed (Debian: rt-tests)");
    };
    let mut lateness = HistogramSnapshot::<8>::new();
    for line in String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        let mut fields = line.split_whitespace().map_while(|field| field.parse::<u64>().ok());
        if let (Some(us), Some(count)) = (fields.next(), fields.next()) {
            (0..count).for_each(|_| lateness.record(us * 1000));
        }
    }
    row(name, &lateness, "");
}

/// What a run of ticks showed.
struct Ticks {
    lateness: HistogramSnapshot<8>,
    first: Option<Beat>,
    began: Option<(u64, u64)>,
    ended: Option<(u64, u64)>,
}

impl Ticks {
    fn new() -> Self {
        Self {
            lateness: HistogramSnapshot::new(),
            first: None,
            began: None,
            ended: None,
        }
    }

    fn begin(&mut self) {
        self.began = self.began.or_else(times);
    }

    fn see(&mut self, beat: &Beat) {
        self.begin();
        let first = *self.first.get_or_insert(*beat);
        let should = first.due + PERIOD * (beat.number - first.number) as u32;
        assert_eq!(beat.due, should, "tick {} drifted", beat.number);
        self.lateness.record(beat.lateness.as_nanos() as u64);
        if beat.number.is_multiple_of(50) {
            self.ended = times();
        }
    }

    fn print(&self, name: &str) {
        let share = self.began.zip(self.ended.or_else(times)).map(|(began, ended)| {
            let (ran, passed) = (ended.0 - began.0, ended.1.saturating_sub(began.1).max(1));
            format!("{:.1}", ran as f64 * 100.0 / passed as f64)
        });
        row(name, &self.lateness, &share.unwrap_or_default());
    }
}

/// How long this thread has run, and the time, in nanoseconds.
fn times() -> Option<(u64, u64)> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let ran = text.split_whitespace().next()?.parse().ok()?;
    Some((ran, Clock::system().now().as_nanos()))
}

fn row(name: &str, lateness: &HistogramSnapshot<8>, share: &str) {
    let us = |nanos: Option<u64>| nanos.unwrap_or_default() as f64 / 1e3;
    println!(
        "{name:<44} {:>8.2} {:>8.2} {:>8.2} {:>9.1} {share:>6}",
        us(lateness.quantile(0.5)),
        us(lateness.quantile(0.99)),
        us(lateness.quantile(0.999)),
        us(Some(lateness.max())),
    );
}
