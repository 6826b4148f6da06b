//! The dependency alone: when calls that are sent at given instants end, and how.

use super::calls::Calls;
use super::dependency::Servers;
use super::job::CallError::{self, Failed, Lasting, Lost, Overloaded, Refused};
use super::job::Key;
use crate::drill::fake::no_files;
use crate::drill::scenario::Scenario;
use c13_reliability::policy::document::Source;
use c13_reliability::time::{Executor, Tick};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// A scenario with this dependency and these faults; only they are used.
fn scenario(dependency: &str, faults: &str) -> Scenario {
    let text = format!(
        "name = \"it\"\nduration = \"60s\"\nload = {{ rps = 100, deadline = \"1s\" }}\n\
         dependency = {{ name = \"it\", {dependency} }}\nfault = [{faults}]\n"
    );
    Scenario::read(Source::new("test.toml", text), &no_files).unwrap_or_else(|errors| panic!("{errors}"))
}

/// A call: when it is sent and when its caller leaves, in milliseconds.
#[derive(Clone, Copy)]
struct Sent {
    at: u64,
    leaves: u64,
}

fn sent(at: u64) -> Sent {
    Sent { at, leaves: 59_000 }
}

/// When each call ended, in milliseconds, and how; `None` for a call whose caller had no answer by the time it left.
fn ends(scenario: &Scenario, calls: &[Sent]) -> Vec<Option<(u64, Result<(), CallError>)>> {
    let executor = Executor::new();
    let clock = executor.clock();
    let servers = Servers::new(scenario, 0, Calls::none(&clock), &clock, &executor.spawner(), 7);
    let ends = Rc::new(RefCell::new(vec![None; calls.len()]));
    for (number, call) in calls.iter().copied().enumerate() {
        let (servers, clock, ends) = (servers.clone(), clock.clone(), ends.clone());
        executor.spawn(async move {
            let at = |ms| Tick::ZERO + Duration::from_millis(ms);
            clock.sleep_until(at(call.at)).await;
            let reply = servers.call(Key::default());
            if let Ok(result) = clock.timeout(at(call.leaves) - clock.now(), reply).await {
                let now = (clock.now() - Tick::ZERO).as_millis() as u64;
                ends.borrow_mut()[number] = Some((now, result));
            }
        });
    }
    executor.run_until(Tick::ZERO + Duration::from_secs(60));
    drop(executor);
    Rc::try_unwrap(ends).expect("all calls are over").into_inner()
}

const ONE: &str = r#"latency = { constant = "100ms" }, concurrency = 1, queue = { capacity = 2 }"#;
const REFUSED: CallError = Refused { retry_after: None };

#[test]
fn calls_end_when_they_should() {
    let ok = |ms| Some((ms, Ok(())));
    let fails = |ms, error| Some((ms, Err(error)));
    for (what, dependency, faults, calls, expected) in [
        (
            "one server, two queued, the rest refused",
            ONE.to_owned(),
            "",
            vec![sent(10_000), sent(10_010), sent(10_020), sent(10_030)],
            vec![ok(10_100), ok(10_200), ok(10_300), fails(10_030, Overloaded)],
        ),
        (
            "a refusal takes time",
            format!("{ONE}, refuse = {{ takes = \"7ms\" }}"),
            "",
            vec![sent(10_000), sent(10_010), sent(10_020), sent(10_030)],
            vec![ok(10_100), ok(10_200), ok(10_300), fails(10_037, Overloaded)],
        ),
        (
            "a refusal costs a server a fifth of a call, before the queue",
            format!("{ONE}, refuse = {{ costs = \"20%\" }}"),
            "",
            vec![sent(10_000), sent(10_010), sent(10_020), sent(10_030)],
            vec![ok(10_100), ok(10_220), ok(10_320), fails(10_030, Overloaded)],
        ),
        (
            "with abandon, a caller who leaves makes room",
            format!("{ONE}, abandon = true"),
            "",
            vec![
                sent(10_000),
                Sent {
                    at: 10_010,
                    leaves: 10_025,
                },
                sent(10_020),
                sent(10_030),
            ],
            vec![ok(10_100), None, ok(10_200), ok(10_300)],
        ),
        (
            "without, it is served all the same",
            ONE.to_owned(),
            "",
            vec![
                sent(10_000),
                Sent {
                    at: 10_010,
                    leaves: 10_025,
                },
                sent(10_020),
                sent(10_110),
            ],
            vec![ok(10_100), None, ok(10_300), ok(10_400)],
        ),
        (
            "an outage lets go on what it has",
            ONE.to_owned(),
            r#"{ at = "10050ms", for = "100ms", kind = "outage", mode = "refuse", retry_after = "3s" }"#,
            vec![sent(10_000), sent(10_010), sent(10_060)],
            vec![
                ok(10_100),
                ok(10_200),
                fails(
                    10_060,
                    Refused {
                        retry_after: Some(Duration::from_secs(3)),
                    },
                ),
            ],
        ),
        (
            "a crash loses what it has",
            ONE.to_owned(),
            r#"{ at = "10050ms", for = "100ms", kind = "crash" }"#,
            vec![sent(10_000), sent(10_010), sent(10_060), sent(10_160)],
            vec![
                fails(10_050, Lost),
                fails(10_050, Lost),
                fails(10_060, REFUSED),
                ok(10_260),
            ],
        ),
        (
            "an instance that is back is cold at first",
            ONE.to_owned(),
            r#"{ at = "10050ms", for = "100ms", kind = "crash", warm_up = { cold = 3.0, takes = "1s" } }"#,
            vec![sent(10_150), sent(11_150)],
            vec![ok(10_450), ok(11_250)],
        ),
        (
            "what hangs goes on afterwards",
            ONE.to_owned(),
            r#"{ at = "10050ms", for = "450ms", kind = "hang" }"#,
            vec![sent(10_000), sent(10_060), sent(10_070), sent(10_080)],
            vec![ok(10_500), ok(10_600), ok(10_700), fails(10_080, Overloaded)],
        ),
        (
            "servers that return serve the queue before a call that arrives just then",
            r#"latency = { constant = "100ms" }, concurrency = 2, queue = { capacity = 9 }"#.to_owned(),
            r#"{ at = "10s", for = "50ms", kind = "capacity", share = "50%" }"#,
            vec![sent(10_000), sent(10_010), sent(10_050)],
            vec![ok(10_100), ok(10_150), ok(10_200)],
        ),
        (
            "calls in flight slow a call that is begun",
            r#"latency = { constant = "100ms" }, concurrency = 9, slow = { in_flight = [[1, 1.0], [3, 2.0]] }"#
                .to_owned(),
            "",
            vec![sent(10_000), sent(10_010), sent(10_020), sent(10_030)],
            vec![ok(10_100), ok(10_160), ok(10_220), ok(10_230)],
        ),
        (
            "latency is added, growing with a ramp",
            r#"latency = { constant = "100ms" }, concurrency = 9"#.to_owned(),
            r#"{ at = "10s", for = "1s", kind = "latency", add = "300ms", ramp = "500ms" }"#,
            vec![sent(9_999), sent(10_250), sent(10_600), sent(11_000)],
            vec![ok(10_099), ok(10_500), ok(11_000), ok(11_100)],
        ),
        (
            "errors may be quick and last",
            ONE.to_owned(),
            r#"{ at = "10s", for = "1s", kind = "error_rate", rate = "100%", final = "100%", takes = "5ms" },
               { at = "20s", for = "1s", kind = "error_rate", rate = "100%" }"#,
            vec![sent(10_000), sent(20_000)],
            vec![fails(10_005, Lasting), fails(20_100, Failed)],
        ),
        (
            "round robin meets the instance that is dead every other time",
            format!("{ONE}, instances = 2"),
            r#"{ at = "10s", for = "1s", kind = "crash", instances = 1 }"#,
            vec![sent(10_000), sent(10_010), sent(10_020), sent(10_030)],
            vec![fails(10_000, REFUSED), ok(10_110), fails(10_020, REFUSED), ok(10_210)],
        ),
        (
            "checks of health leave it out",
            format!("{ONE}, instances = 2, health = {{ every = \"1s\" }}"),
            r#"{ at = "10s", for = "2s", kind = "crash", instances = 1 }"#,
            vec![sent(10_000), sent(10_010), sent(12_000), sent(12_010)],
            vec![ok(10_100), ok(10_200), ok(12_100), ok(12_110)],
        ),
        (
            "a rolling restart takes one instance after the other out of the balance",
            format!("{ONE}, instances = 2"),
            r#"{ at = "10s", for = "1s", kind = "restart", rolling = true }"#,
            vec![sent(10_000), sent(10_010), sent(11_000), sent(11_010)],
            vec![ok(10_100), ok(10_200), ok(11_100), ok(11_200)],
        ),
    ] {
        assert_eq!(ends(&scenario(&dependency, faults), &calls), expected, "{what}");
    }
}

#[test]
fn a_fault_for_a_share_of_the_calls_is_for_that_share() {
    let dependency = r#"latency = { constant = "100ms" }, concurrency = 1000"#;
    let faults = r#"{ at = "10s", for = "40s", kind = "outage", mode = "refuse", share = "10%" },
                    { at = "10s", for = "40s", kind = "latency", factor = 2.0, share = "20%" }"#;
    let calls: Vec<Sent> = (0..10_000).map(|call| sent(10_000 + 3 * call)).collect();
    let ends = ends(&scenario(dependency, faults), &calls);
    let count = |what: &dyn Fn(u64, Result<(), CallError>) -> bool| {
        let ended = ends.iter().zip(&calls);
        ended
            .filter(|(end, call)| end.is_some_and(|(at, result)| what(at - call.at, result)))
            .count()
    };
    // Five standard deviations of binomial distributions.
    let refused = count(&|_, result| result == Err(REFUSED));
    assert!(refused.abs_diff(1_000) < 150, "{refused}");
    let slow = count(&|took, _| took == 200);
    assert!(slow.abs_diff(1_800) < 192, "{slow}");
    assert_eq!(
        count(&|took, result| took == 100 && result == Ok(())),
        10_000 - refused - slow
    );
}
