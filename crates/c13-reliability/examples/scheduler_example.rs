//! A sensor loop: every 2 ms one pass of about 100 µs, on a thread of its own.
//!
//! `cargo run --release --example scheduler_example`. It asks for everything that sharpens a tick and says what the
//! system refused and what to grant.

use c13_reliability::realtime::scheduler::{
    MissedTicks, SchedulerEvent, TaskConfig, TaskSnapshot, ThreadConfig, ThreadScheduler,
};
use c13_reliability::time::Clock;
use std::hint::black_box;
use std::time::Duration;

const RUN_FOR: Duration = Duration::from_secs(2);
const PASS: Duration = Duration::from_micros(100);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let clock = Clock::system();
    let rounds = rounds_within(&clock, PASS);

    let mut scheduler = ThreadScheduler::new("sensors", ThreadConfig::sharpest());
    scheduler.on_event(|event| match event {
        SchedulerEvent::DeadlineMissed { task, beat, over } => {
            println!("{task}: tick {} was done {over:?} after its deadline", beat.number);
        }
        SchedulerEvent::Missed { task, first, count } => println!("{task}: {count} ticks left out from {first} on"),
        SchedulerEvent::Stuck { task, running_for } => println!("{task}: has been running for {running_for:?}"),
        _ => {}
    });

    let sensor = TaskConfig::every(Duration::from_millis(2))
        .deadline(Duration::from_millis(1))
        .missed(MissedTicks::Report)
        .stuck_after(Duration::from_millis(50))
        .priority(1);
    let mut estimate = 0.0;
    scheduler.add("sensor", sensor, move |beat| {
        estimate = pass(estimate, beat.number, rounds);
    })?;
    scheduler.add("log", TaskConfig::every(Duration::from_millis(500)), |beat| {
        println!("half second {} is over", beat.number);
    })?;

    let running = scheduler.start()?;
    for refusal in running.refusals() {
        println!("goes on without: {refusal}");
    }
    let start = clock.now();
    while clock.now() - start < RUN_FOR && !running.is_finished() {
        std::thread::park_timeout(RUN_FOR / 20);
    }
    for task in &running.stop()?.tasks {
        print(task);
    }
    Ok(())
}

/// One pass: filters some samples into an estimate.
fn pass(estimate: f64, tick: u64, rounds: u32) -> f64 {
    (0..rounds).fold(estimate, |estimate, sample| {
        let reading = f64::from(sample % 97) + (tick % 11) as f64;
        black_box(estimate + 0.01 * (reading - estimate))
    })
}

/// How many samples a pass of this length handles on this machine.
fn rounds_within(clock: &Clock, length: Duration) -> u32 {
    const TRY: u32 = 1_000_000;
    let start = clock.now();
    black_box(pass(0.0, 0, TRY));
    (f64::from(TRY) * length.as_secs_f64() / (clock.now() - start).as_secs_f64()) as u32
}

fn print(task: &TaskSnapshot) {
    let us = |nanos: Option<u64>| nanos.unwrap_or_default() as f64 / 1e3;
    println!(
        "{}: {} runs, {} missed, {} too late; lateness P50 {:.1} P99 {:.1} P99.9 {:.1} max {:.1} µs; run time P50 {:.1} max {:.1} µs",
        task.name,
        task.runs,
        task.missed,
        task.deadlines_missed,
        us(task.lateness.quantile(0.5)),
        us(task.lateness.quantile(0.99)),
        us(task.lateness.quantile(0.999)),
        us(Some(task.lateness.max())),
        us(task.run_time.quantile(0.5)),
        us(Some(task.run_time.max())),
    );
}
