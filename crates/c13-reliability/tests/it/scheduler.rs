//! The scheduler from outside: futures in virtual time, and a thread in real time.

use c13_reliability::realtime::scheduler::{
    MissedTicks, Scheduler, SchedulerEvent, StartError, TaskConfig, ThreadConfig, ThreadScheduler,
};
use c13_reliability::snapshot::{Reading, Registry, Value};
use c13_reliability::time::{Clock, Executor, Tick};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

type Log = Arc<Mutex<Vec<String>>>;

fn note<T>(list: &Mutex<Vec<T>>, value: T) {
    list.lock().expect("no test panics under this lock").push(value);
}

/// Runs one 2 ms task for `ms` milliseconds whose run number n takes what `work` says, and gives the numbers with the
/// times in ms at which they began, the events, and the counts of runs, missed ticks and missed deadlines.
fn run_one(config: TaskConfig, ms: u64, work: fn(u64) -> Duration) -> (Vec<(u64, u64)>, Vec<String>, [u64; 3]) {
    let executor = Executor::new();
    let clock = executor.clock();
    let (begun, events) = (Arc::new(Mutex::new(Vec::new())), Log::default());
    let mut scheduler = Scheduler::new().with_env(clock.clone());
    let (seen, heard) = (begun.clone(), events.clone());
    scheduler.on_event(move |event| note(&heard, format!("{event:?}")));
    let make = move |beat: c13_reliability::realtime::scheduler::Beat| {
        note(&seen, (beat.number, clock.now().as_nanos() / 1_000_000));
        let clock = clock.clone();
        async move { clock.sleep(work(beat.number)).await }
    };
    scheduler.add("task", config, make).expect("the settings make sense");
    let (handle, run) = scheduler.start();
    let run = executor.spawn(run);
    executor.run_for(ms as u32 * MS);
    handle.stop();
    executor.block_on(run);
    let task = &handle.snapshot().tasks[0];
    let counts = [task.runs, task.missed, task.deadlines_missed];
    let result = (
        begun.lock().expect("no test panics under this lock").clone(),
        events.lock().expect("no test panics under this lock").clone(),
        counts,
    );
    assert_eq!(executor.time().waiting(), 0, "no timer is left behind");
    result
}

#[test]
fn a_minute_of_ticks_drifts_by_nothing() {
    let config = TaskConfig::every(Duration::from_micros(500));
    let (begun, _, counts) = run_one(config, 60_000, |_| Duration::from_micros(77));
    assert_eq!(counts, [120_001, 0, 0]);
    assert_eq!(begun.last(), Some(&(120_000, 60_000)));
}

#[test]
fn a_long_run_skips_ticks_or_catches_up_within_the_bound() {
    let long_first = |number| if number == 1 { 11 * MS } else { Duration::ZERO };
    let config = TaskConfig::every(2 * MS);

    let (begun, events, counts) = run_one(config, 20, long_first);
    assert_eq!(begun[..5], [(0, 0), (1, 2), (2, 13), (7, 14), (8, 16)]);
    assert_eq!(
        counts,
        [7, 4, 2],
        "the run itself and the one that waited for it were too late"
    );
    assert!(
        events.iter().all(|event| event.starts_with("DeadlineMissed")),
        "{events:?}"
    );

    let catch_up = config.missed(MissedTicks::CatchUp { at_most: 2 });
    let (begun, _, counts) = run_one(catch_up, 20, long_first);
    assert_eq!(begun[..6], [(0, 0), (1, 2), (4, 13), (5, 13), (6, 13), (7, 14)]);
    assert_eq!(counts[..2], [9, 2]);

    let report = config.missed(MissedTicks::Report);
    let (_, events, _) = run_one(report, 20, long_first);
    assert!(
        events.contains(&"Missed { task: \"task\", first: 3, count: 4 }".to_owned()),
        "{events:?}"
    );
}

#[test]
fn a_run_that_does_not_end_is_told_once_while_it_runs() {
    let config = TaskConfig::every(2 * MS).stuck_after(5 * MS);
    let (_, events, _) = run_one(config, 100, |number| if number == 3 { 50 * MS } else { MS });
    let stuck: Vec<_> = events.iter().filter(|event| event.starts_with("Stuck")).collect();
    assert_eq!(stuck, ["Stuck { task: \"task\", running_for: 5ms }"]);
}

#[test]
fn of_tasks_that_are_due_together_the_most_important_runs_first_and_each_is_reported_by_its_name() {
    let executor = Executor::new();
    let mut scheduler = Scheduler::new().with_env(executor.clock());
    let order = Log::default();
    for (name, priority) in [("log", 0), ("control", 9), ("filter", 5)] {
        let (order, clock) = (order.clone(), executor.clock());
        let task = move |_| {
            let (order, clock) = (order.clone(), clock.clone());
            async move {
                note(&order, name.to_owned());
                clock.sleep(MS / 2).await;
            }
        };
        let config = TaskConfig::every(2 * MS).priority(priority);
        scheduler.add(name, config, task).unwrap();
    }
    let (handle, run) = scheduler.start();
    let registry = Registry::new();
    registry.register("loop", &handle).unwrap();
    let run = executor.spawn(run);
    executor.run_for(11 * MS / 4);
    handle.stop();
    executor.block_on(run);
    let order = order.lock().unwrap().clone();
    assert_eq!(order[..5], ["control", "filter", "log", "control", "filter"]);
    let readings = registry.snapshots().remove(0).readings;
    let runs = |task: &str| {
        let wanted = ("task", task.to_owned());
        let of = |reading: &&Reading| {
            reading.metric.name == "reliability.scheduler.runs" && reading.labels.contains(&wanted)
        };
        readings.iter().find(of).map(|reading| reading.value.clone())
    };
    assert_eq!(runs("control"), Some(Value::Count(2)));
    assert_eq!(runs("log"), Some(Value::Count(1)));
}

#[test]
fn a_stop_lets_the_run_in_progress_end_and_starts_no_other() {
    let executor = Executor::new();
    let clock = executor.clock();
    let ended = Arc::new(AtomicU64::new(0));
    let mut scheduler = Scheduler::new().with_env(clock.clone());
    let counted = ended.clone();
    let task = move |_| {
        let (clock, ended) = (clock.clone(), counted.clone());
        async move {
            clock.sleep(10 * MS).await;
            ended.fetch_add(1, Ordering::Relaxed);
        }
    };
    scheduler.add("long", TaskConfig::every(2 * MS), task).unwrap();
    let (handle, run) = scheduler.start();
    let run = executor.spawn(run);
    executor.run_for(5 * MS);
    handle.stop();
    executor.block_on(run);
    assert_eq!(
        (ended.load(Ordering::Relaxed), executor.clock().now()),
        (1, Tick::ZERO + 10 * MS)
    );
}

#[test]
fn a_scheduler_dropped_at_any_moment_leaves_no_timer_behind() {
    for us in (0..12_000).step_by(250) {
        let executor = Executor::new();
        let clock = executor.clock();
        let mut scheduler = Scheduler::new().with_env(clock.clone());
        let task = move |_| {
            let clock = clock.clone();
            async move { clock.sleep(MS).await }
        };
        scheduler
            .add("task", TaskConfig::every(2 * MS).stuck_after(9 * MS), task)
            .unwrap();
        let limit = Duration::from_micros(us);
        let (handle, run) = scheduler.start();
        let clock = executor.clock();
        executor.block_on(async move { clock.timeout(limit, run).await.unwrap_err() });
        assert_eq!(executor.time().waiting(), 0, "dropped after {us} µs");
        assert!(handle.snapshot().tasks[0].runs <= 1 + us / 2000);
    }
}

#[test]
fn a_thread_keeps_its_ticks_and_stops_when_asked() {
    let mut scheduler = ThreadScheduler::new("test", ThreadConfig::new());
    let (numbers, clock) = (Arc::new(Mutex::new(Vec::new())), Clock::system());
    let seen = numbers.clone();
    scheduler
        .add("fast", TaskConfig::every(Duration::from_micros(500)), move |beat| {
            seen.lock().unwrap().push((beat.number, beat.due));
        })
        .unwrap();
    let slow = TaskConfig::every(Duration::from_secs(3600)).priority(1);
    scheduler.add("slow", slow, |_| ()).unwrap();
    let begin = clock.now();
    let running = scheduler.start().unwrap();
    assert!(running.refusals().is_empty(), "{:?}", running.refusals());
    while running.snapshot().tasks[0].runs < 50 {
        std::thread::yield_now();
    }
    let report = running.stop().unwrap();
    let took = clock.now() - begin;
    let numbers = numbers.lock().unwrap();
    let start = numbers[0].1;
    for (number, due) in numbers.iter() {
        assert_eq!(*due - start, *number as u32 * Duration::from_micros(500));
    }
    let fast = &report.tasks[0];
    assert_eq!((fast.runs, report.tasks[1].runs), (numbers.len() as u64, 1));
    assert_eq!((fast.lateness.count(), fast.run_time.count()), (fast.runs, fast.runs));
    let ticks = fast.runs + fast.missed;
    assert!(
        u128::from(ticks) <= took.as_nanos() / 500_000 + 2,
        "{ticks} ticks in {took:?}"
    );
}

#[test]
fn a_task_that_blocks_its_thread_is_seen_by_the_watchdog_and_a_panic_ends_the_thread() {
    let mut scheduler = ThreadScheduler::new("test", ThreadConfig::new());
    let told = Arc::new(AtomicBool::new(false));
    let (heard, seen) = (told.clone(), told);
    scheduler.on_event(move |event| {
        if let SchedulerEvent::Stuck { task, running_for } = event {
            assert!(*task == "stuck" && *running_for > 2 * MS);
            heard.store(true, Ordering::Release);
        }
    });
    let config = TaskConfig::default().stuck_after(2 * MS);
    let block = move |_: &_| {
        while !seen.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        panic!("had enough");
    };
    scheduler.add("stuck", config, block).unwrap();
    let panicked = scheduler.start().unwrap().join().unwrap_err();
    assert_eq!(panicked.to_string(), "a periodic task panicked: had enough");
}

#[test]
fn a_listener_that_panics_ends_neither_the_watchdog_nor_the_thread() {
    let mut scheduler = ThreadScheduler::new("test", ThreadConfig::new());
    let told = Arc::new(AtomicU64::new(0));
    let (heard, seen) = (told.clone(), told);
    scheduler.on_event(move |event| {
        if matches!(event, SchedulerEvent::Stuck { .. }) {
            heard.fetch_add(1, Ordering::Release);
        }
        panic!("a listener of somebody else's");
    });
    let config = TaskConfig::default().stuck_after(2 * MS);
    let mut runs = 0;
    let block = move |_: &_| {
        runs += 1;
        while seen.load(Ordering::Acquire) < runs {
            std::thread::yield_now();
        }
        assert!(runs < 3, "had enough");
    };
    scheduler.add("stuck", config, block).unwrap();
    let panicked = scheduler.start().unwrap().join().unwrap_err();
    assert_eq!(panicked.message, "had enough");
}

#[test]
fn settings_that_make_no_sense_are_refused_and_so_is_what_is_insisted_on() {
    let error = ThreadScheduler::try_new("test", ThreadConfig::new().fifo(0)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "scheduler thread: `fifo` is 0, but it must be from 1 to 99"
    );
    let mut scheduler = Scheduler::new();
    let error = scheduler
        .add("task", TaskConfig::every(MS / 100), |_| async {})
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "periodic task: `period` is 10µs, but it must be at least 100 µs"
    );

    let scheduler = ThreadScheduler::new("test", ThreadConfig::new().cpu(1023).insist(true));
    let error = scheduler.start().unwrap_err();
    assert!(
        matches!(&error, StartError::Refused(refusals) if refusals.len() == 1),
        "{error}"
    );
    assert!(
        error.to_string().starts_with("running on processor 1023 was refused"),
        "{error}"
    );
}

#[test]
fn what_is_refused_is_said_and_the_thread_runs_all_the_same() {
    let running = ThreadScheduler::new("test", ThreadConfig::sharpest().cpu(1023))
        .start()
        .unwrap();
    let refusals: Vec<_> = running.refusals().iter().map(ToString::to_string).collect();
    assert!(
        refusals
            .iter()
            .any(|text| text.contains("choose a processor that exists")),
        "{refusals:?}"
    );
    running.stop().unwrap();
}
