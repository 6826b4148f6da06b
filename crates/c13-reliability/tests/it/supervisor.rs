//! The supervisor from outside: tasks in virtual time, tasks and threads on tokio.

use c13_reliability::realtime::supervisor::{
    ChildConfig, ChildResult, ChildState, Exit, Restart, Strategy, Supervisor, SupervisorConfig, SupervisorHandle,
};
use c13_reliability::realtime::{StopSignal, StopSource};
use c13_reliability::snapshot::{Registry, Value};
use c13_reliability::time::{Clock, Env, Executor, Tick};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

type Log = Arc<Mutex<Vec<String>>>;

fn note(log: &Log, what: String) {
    log.lock().expect("no test panics under this lock").push(what);
}

fn read(log: &Log) -> Vec<String> {
    std::mem::take(&mut *log.lock().expect("no test panics under this lock"))
}

/// A child that notes its starts and stops, and fails at the given second, counted from its first start.
fn child(
    log: &Log,
    clock: &Clock,
    name: &'static str,
    fails_at: Option<u64>,
) -> impl FnMut(StopSignal) -> Child + Send + use<> {
    let (log, clock) = (log.clone(), clock.clone());
    let mut fails_at = fails_at.map(|second| Tick::ZERO + Duration::from_secs(second));
    move |signal| {
        note(&log, format!("start {name}"));
        let (log, clock, fails) = (log.clone(), clock.clone(), fails_at.take());
        Box::pin(async move {
            if let Some(at) = fails {
                clock.sleep_until(at).await;
                return Err(format!("{name} broke").into());
            }
            signal.stopped().await;
            note(&log, format!("stop {name}"));
            Ok(())
        })
    }
}

type Child = std::pin::Pin<Box<dyn Future<Output = ChildResult> + Send>>;

/// What metrics say of a child: its restarts, and whether it runs.
fn reported(handle: &SupervisorHandle, child: &str) -> Vec<Value> {
    let registry = Registry::new();
    registry.register("supervisor", handle).expect("the name is free");
    let wanted = ("child", child.to_owned());
    let mut readings = registry.snapshots().remove(0).readings;
    readings.retain(|reading| reading.labels.contains(&wanted));
    readings.into_iter().map(|reading| reading.value).collect()
}

/// Three children of which the middle one fails after a second: what happens then.
fn middle_one_fails(strategy: Strategy) -> Vec<String> {
    let (executor, log) = (Executor::new(), Log::default());
    let clock = executor.clock();
    let config = SupervisorConfig::new().strategy(strategy);
    let mut supervisor = Supervisor::with_config(config, clock.clone()).expect("the settings make sense");
    supervisor
        .task("a", ChildConfig::new(), child(&log, &clock, "a", None))
        .task("b", ChildConfig::new(), child(&log, &clock, "b", Some(1)))
        .task("c", ChildConfig::new(), child(&log, &clock, "c", None));
    let (handle, run) = supervisor.start();
    let run = executor.spawn(run);
    executor.run_for(SECOND / 2);
    assert_eq!(read(&log), ["start a", "start b", "start c"]);
    executor.run_for(SECOND / 2);
    let happened = read(&log);
    let b = &handle.snapshot().children[1];
    let since = Tick::ZERO + SECOND;
    assert_eq!(
        (b.state, b.restarts),
        (ChildState::Running { since }, 1),
        "restarted at that very instant"
    );
    assert_eq!(reported(&handle, "b"), [Value::Count(1), Value::Level(1.0)]);
    let last = b.last_exit.as_ref().expect("it failed");
    assert_eq!((last.exit, &*last.message, last.at), (Exit::Failed, "b broke", since));

    handle.shut_down();
    executor.block_on(run).expect("it was asked to");
    assert_eq!(read(&log), ["stop c", "stop b", "stop a"], "last started first");
    assert!(
        handle
            .snapshot()
            .children
            .iter()
            .all(|child| child.state == ChildState::Stopped)
    );
    assert_eq!((executor.tasks(), executor.time().waiting()), (0, 0));
    happened
}

#[test]
fn each_strategy_restarts_those_it_is_named_for() {
    assert_eq!(middle_one_fails(Strategy::OneForOne), ["start b"]);
    assert_eq!(middle_one_fails(Strategy::RestForOne), ["stop c", "start b", "start c"]);
    let all = ["stop c", "stop a", "start a", "start b", "start c"];
    assert_eq!(middle_one_fails(Strategy::OneForAll), all);
}

#[test]
fn a_child_that_panics_at_every_start_is_given_up_after_the_cap() {
    let executor = Executor::new();
    let clock = executor.clock();
    let config = SupervisorConfig::new().intensity(4, 10 * SECOND).jitter(0.0);
    let mut supervisor = Supervisor::with_config(config, clock.clone()).unwrap();
    let starts = Arc::new(Mutex::new(Vec::new()));
    let seen = starts.clone();
    supervisor
        .task("good", ChildConfig::new(), |signal| async move {
            signal.stopped().await;
            Ok(())
        })
        .task("bad", ChildConfig::new(), move |_| {
            seen.lock().unwrap().push(clock.now().as_nanos() / 1_000_000);
            async { std::panic::resume_unwind(Box::new("no luck")) }
        });
    let (handle, run) = supervisor.start();
    let error = executor.block_on(run).unwrap_err();
    assert_eq!(*starts.lock().unwrap(), [0, 0, 100, 300, 700]);
    assert_eq!(
        error.to_string(),
        "too many restarts within 10s; the last to fail was \"bad\": no luck"
    );
    let snapshot = handle.snapshot();
    assert_eq!(snapshot.children[0].state, ChildState::Stopped);
    assert_eq!(snapshot.children[1].state, ChildState::Ended(Exit::Panicked));
    assert_eq!(executor.time().waiting(), 0);
}

#[test]
fn a_supervisor_that_gives_up_is_restarted_by_its_own() {
    let executor = Executor::new();
    let (inner_clock, outer_clock) = (executor.clock(), executor.clock());
    let mut outer = Supervisor::with_config(SupervisorConfig::new().intensity(1, SECOND), outer_clock).unwrap();
    outer.task("inner", ChildConfig::new(), move |signal| {
        let config = SupervisorConfig::new().intensity(0, SECOND);
        let mut inner = Supervisor::with_config(config, inner_clock.clone()).expect("the settings make sense");
        inner.task("leaf", ChildConfig::new(), |_| async { Err("broken".into()) });
        let (handle, run) = inner.start();
        async move {
            let asked = async {
                signal.stopped().await;
                handle.shut_down();
            };
            let mut run = std::pin::pin!(run);
            let mut asked = std::pin::pin!(asked);
            std::future::poll_fn(|cx| {
                let _ = asked.as_mut().poll(cx);
                run.as_mut().poll(cx).map_err(Into::into)
            })
            .await
        }
    });
    let (handle, run) = outer.start();
    let error = executor.block_on(run).unwrap_err();
    assert_eq!(
        (error.child.as_str(), handle.snapshot().children[0].restarts),
        ("inner", 1)
    );
    assert!(
        error.message.ends_with("the last to fail was \"leaf\": broken"),
        "{error}"
    );
}

#[test]
fn a_shutdown_gives_up_who_does_not_listen_and_takes_no_longer_than_the_limits() {
    let executor = Executor::new();
    let mut supervisor = Supervisor::with_config(SupervisorConfig::new(), executor.clock()).unwrap();
    let dropped = Arc::new(());
    for limit in [100, 0, 250] {
        let held = dropped.clone();
        supervisor.task("deaf", ChildConfig::new().stop_within(limit * MS), move |_| {
            let held = held.clone();
            async move {
                std::future::pending::<()>().await;
                drop(held);
                Ok(())
            }
        });
    }
    let (handle, run) = supervisor.start();
    let run = executor.spawn(run);
    executor.run_for(SECOND);
    assert_eq!(Arc::strong_count(&dropped), 7);
    handle.shut_down();
    handle.shut_down();
    executor.block_on(run).unwrap();
    assert_eq!(executor.clock().now(), Tick::ZERO + SECOND + 350 * MS);
    assert!(
        handle
            .snapshot()
            .children
            .iter()
            .all(|child| child.state == ChildState::Abandoned)
    );
    assert_eq!((Arc::strong_count(&dropped), executor.time().waiting()), (1, 0));
}

#[test]
fn a_supervisor_dropped_at_any_moment_drops_its_children() {
    for ms in 0..400 {
        let executor = Executor::new();
        let clock = executor.clock();
        let env = Env::new(clock.clone()).seed(1);
        let mut supervisor = Supervisor::with_config(SupervisorConfig::new(), env).unwrap();
        let alive = Arc::new(());
        let held = alive.clone();
        supervisor.task("child", ChildConfig::new(), move |_| {
            let (clock, held) = (clock.clone(), held.clone());
            async move {
                clock.sleep(10 * MS).await;
                drop(held);
                Err("again".into())
            }
        });
        let (handle, run) = supervisor.start();
        let clock = executor.clock();
        executor.block_on(async move {
            clock.timeout(ms * MS, run).await.expect_err("it runs for ever");
        });
        assert_eq!(
            (Arc::strong_count(&alive), executor.time().waiting()),
            (1, 0),
            "after {ms} ms"
        );
        drop(handle);
    }
}

#[test]
fn a_child_that_is_always_ready_does_not_keep_the_others_from_running() {
    let executor = Executor::new();
    let mut supervisor = Supervisor::with_config(SupervisorConfig::new(), executor.clock()).unwrap();
    let once = ChildConfig::new().restart(Restart::Never);
    supervisor.task("busy", once, |signal: StopSignal| async move {
        while !signal.is_stopped() {
            let mut yielded = false;
            std::future::poll_fn(|cx| {
                cx.waker().wake_by_ref();
                if std::mem::replace(&mut yielded, true) {
                    std::task::Poll::Ready(())
                } else {
                    std::task::Poll::Pending
                }
            })
            .await;
        }
        Ok(())
    });
    let stop = StopSource::new();
    let last = stop.clone();
    supervisor.task("last", once, move |_| {
        let last = last.clone();
        async move {
            last.stop();
            Ok(())
        }
    });
    let (handle, run) = supervisor.start();
    let run = executor.spawn(run);
    executor.block_on(stop.signal().stopped());
    handle.shut_down();
    executor.block_on(run).unwrap();
}

#[cfg(feature = "tokio")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panicking_child_runs_again_within_a_millisecond() {
    const RESTARTS: usize = 1000;
    let config = SupervisorConfig::new()
        .intensity(u32::MAX, SECOND)
        .backoff(Duration::ZERO, Duration::ZERO);
    let clock = Clock::system();
    let mut supervisor = Supervisor::new(config);
    let (gaps, died) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(None::<Tick>)));
    let seen = gaps.clone();
    supervisor.task("panics", ChildConfig::new().restart(Restart::OnFailure), move |_| {
        let (seen, died, clock) = (seen.clone(), died.clone(), clock.clone());
        async move {
            // Taken while the child runs again, on its own task.
            if let Some(before) = died.lock().unwrap().take() {
                seen.lock().unwrap().push(clock.now() - before);
            }
            if seen.lock().unwrap().len() == RESTARTS {
                return Ok(());
            }
            *died.lock().unwrap() = Some(clock.now());
            std::panic::resume_unwind(Box::new("again"))
        }
    });
    supervisor.start().1.await.unwrap();
    let mut gaps = gaps.lock().unwrap();
    gaps.sort_unstable();
    let (median, longest) = (gaps[RESTARTS / 2], gaps[RESTARTS - 1]);
    println!("restart after a panic: median {median:?}, longest {longest:?}");
    assert!(median < MS, "median {median:?}, longest {longest:?}");
}

#[cfg(feature = "tokio")]
#[tokio::test]
async fn threads_are_restarted_stopped_and_when_deaf_left_to_themselves() {
    let mut supervisor = Supervisor::new(SupervisorConfig::new());
    let starts = Arc::new(AtomicUsize::new(0));
    let (counted, released) = (starts.clone(), StopSource::new());
    let signal = released.signal();
    supervisor
        .thread("deaf", ChildConfig::new().stop_within(20 * MS), move |_| {
            signal.wait();
            Ok(())
        })
        .thread("fails once", ChildConfig::new(), move |signal| {
            if counted.fetch_add(1, Ordering::Relaxed) == 0 {
                std::panic::resume_unwind(Box::new("first"));
            }
            signal.wait();
            Ok(())
        });
    let (handle, run) = supervisor.start();
    let run = tokio::spawn(run);
    let clock = Clock::system();
    while !matches!(handle.snapshot().children[1].state, ChildState::Running { .. })
        || starts.load(Ordering::Relaxed) < 2
    {
        clock.sleep(MS).await;
    }
    handle.shut_down();
    clock
        .timeout(10 * SECOND, run)
        .await
        .expect("a shutdown never hangs")
        .unwrap()
        .unwrap();
    let snapshot = handle.snapshot();
    assert_eq!(snapshot.children[0].state, ChildState::Abandoned);
    assert_eq!(
        (snapshot.children[1].state, snapshot.children[1].restarts),
        (ChildState::Stopped, 1)
    );
    assert_eq!(
        snapshot.children[1].last_exit.as_ref().map(|last| last.exit),
        Some(Exit::Panicked)
    );
    released.stop();
}
