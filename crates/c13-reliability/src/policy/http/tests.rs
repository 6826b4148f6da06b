//! Bodies that hold permits, in virtual time.

use super::{BodyLimits, PermitBody};
use crate::gate::Outcome;
use crate::patterns::bulkhead::BulkheadConfig;
use crate::patterns::circuit_breaker::{CircuitBreakerConfig, CircuitState};
use crate::patterns::retry::Verdict;
use crate::policy::{Policy, PolicyConfig};
use crate::time::{Clock, Executor, Sleep};
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// What a body does next.
#[derive(Clone, Copy, Debug)]
enum Step {
    Data,
    Wait(u32),
    Trailers(&'static str),
    BreaksOff,
    Panics,
}

use Step::{BreaksOff, Data, Panics, Trailers, Wait};

/// A body that does what its script says. Its length is known if it holds nothing but data.
struct Scripted {
    steps: VecDeque<Step>,
    clock: Clock,
    waits: Option<Pin<Box<Sleep>>>,
}

impl Body for Scripted {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            if let Some(sleep) = &mut self.waits {
                ready!(sleep.as_mut().poll(cx));
                self.waits = None;
            }
            return Poll::Ready(match self.steps.pop_front() {
                None => None,
                Some(Data) => Some(Ok(Frame::data(Bytes::from_static(b"data")))),
                Some(Wait(seconds)) => {
                    self.waits = Some(Box::pin(self.clock.sleep(SECOND * seconds)));
                    continue;
                }
                Some(Trailers(status)) => {
                    let mut trailers = HeaderMap::new();
                    trailers.insert("grpc-status", status.parse().expect("it is a number"));
                    Some(Ok(Frame::trailers(trailers)))
                }
                Some(BreaksOff) => Some(Err(io::ErrorKind::ConnectionReset.into())),
                Some(Panics) => panic!("the body's own"),
            });
        }
    }

    fn is_end_stream(&self) -> bool {
        self.steps.is_empty() && self.waits.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

struct Scene {
    executor: Executor,
    policy: Policy,
}

impl Scene {
    fn new() -> Self {
        let executor = Executor::new();
        let breaker = CircuitBreakerConfig::new().consecutive_failures(1).success_threshold(1);
        let config = PolicyConfig::NONE
            .bulkhead(BulkheadConfig::new(1))
            .circuit_breaker(breaker.open_for(10 * SECOND));
        let policy = Policy::with_config(config, executor.clock()).expect("the settings make sense");
        Self { executor, policy }
    }

    /// The body of a response of the policy's dependency.
    fn body(&self, steps: &[Step], limits: BodyLimits) -> Pin<Box<PermitBody<Scripted>>> {
        let clock = self.executor.clock();
        let respond = || async {
            Ok::<_, io::Error>(Scripted {
                steps: steps.iter().copied().collect(),
                clock: clock.clone(),
                waits: None,
            })
        };
        let call = self.policy.call_held(respond, Outcome::of, Verdict::of);
        let (body, permit) = self.executor.block_on(call).expect("the response is good");
        let classify = |trailers: Option<&HeaderMap>| match trailers.map(|trailers| trailers.get("grpc-status")) {
            None => Outcome::Success,
            Some(Some(status)) if status == "0" => Outcome::Success,
            Some(_) => Outcome::FAILURE,
        };
        Box::pin(PermitBody::classified(body, permit, limits, clock.clone(), classify))
    }

    /// How many permits are held, and the breaker's counts: successes, failures, abandoned calls.
    fn state(&self) -> (u32, [u64; 3]) {
        let held = self.policy.bulkhead().map(|bulkhead| bulkhead.in_flight());
        let counts = self.policy.circuit_breaker().expect("it has one").metrics();
        let counts = [counts.success_count, counts.failure_count, counts.abandoned_count];
        (held.expect("it has one"), counts)
    }
}

/// Reads frames until the end or an error; how many there were, and the error's text.
async fn read(body: &mut Pin<Box<PermitBody<Scripted>>>, most: usize) -> (usize, Option<String>) {
    for count in 0..most {
        match poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            Some(Ok(_)) => {}
            Some(Err(error)) => return (count, Some(error.to_string())),
            None => return (count, None),
        }
    }
    (most, None)
}

#[test]
fn permits_and_outcome_end_with_the_body() {
    const ALL: usize = usize::MAX;
    let idle = BodyLimits {
        idle: Some(5 * SECOND),
        ..BodyLimits::NONE
    };
    let total = BodyLimits {
        total: Some(10 * SECOND),
        ..BodyLimits::NONE
    };
    let success = (0, [1, 0, 0]);
    let failure = (0, [0, 1, 0]);
    let held = (1, [0, 0, 0]);
    // The script, the limits, how many frames are read: how many there are and the error, and the state then.
    type Case = (
        &'static [Step],
        BodyLimits,
        usize,
        (usize, Option<&'static str>),
        (u32, [u64; 3]),
    );
    let cases: &[Case] = &[
        (&[], BodyLimits::NONE, 0, (0, None), success),
        (&[Data], BodyLimits::NONE, 0, (0, None), held),
        (&[Data], BodyLimits::NONE, 1, (1, None), success),
        (&[Data, Data], BodyLimits::NONE, 1, (1, None), held),
        (&[Data, Data], BodyLimits::NONE, ALL, (2, None), success),
        (&[Data, Wait(60), Data], BodyLimits::NONE, ALL, (2, None), success),
        (
            &[Data, BreaksOff],
            BodyLimits::NONE,
            ALL,
            (1, Some("connection reset")),
            failure,
        ),
        (&[Data, Trailers("0")], BodyLimits::NONE, ALL, (2, None), success),
        (&[Data, Trailers("14")], BodyLimits::NONE, ALL, (2, None), failure),
        (&[Wait(4), Data, Wait(4), Data, Wait(4)], idle, ALL, (2, None), success),
        (
            &[Wait(4), Data, Wait(6), Data],
            idle,
            ALL,
            (1, Some("no part of the body arrived within 5s")),
            failure,
        ),
        (&[Wait(4), Data, Wait(4), Data], total, ALL, (2, None), success),
        (
            &[Wait(4), Data, Wait(4), Data, Wait(4), Data],
            total,
            ALL,
            (2, Some("the body did not end within 10s")),
            failure,
        ),
    ];
    for (steps, limits, most, read_so_far, state) in cases {
        let scene = Scene::new();
        let mut body = scene.body(steps, *limits);
        let told = scene.executor.block_on(read(&mut body, *most));
        let what = format!("{steps:?} within {limits:?}: {told:?}");
        assert_eq!(told.0, read_so_far.0, "{what}");
        assert_eq!(told.1.as_deref(), read_so_far.1, "{what}");
        assert_eq!(scene.state(), *state, "{what}");
        if told.1.is_some() {
            assert_eq!(scene.executor.block_on(read(&mut body, ALL)), (0, None), "{what}");
        }
        drop(body);
        let ended = if *state == held { success } else { *state };
        assert_eq!(scene.state(), ended, "dropped: {what}");
    }
}

#[test]
fn a_body_dropped_while_it_is_waited_for_is_abandoned_and_otherwise_a_success() {
    for (seconds, state) in [(0, [1, 0, 0]), (1, [0, 0, 1])] {
        let scene = Scene::new();
        let mut body = scene.body(&[Data, Wait(60), Data], BodyLimits::NONE);
        scene.executor.block_on(async {
            let clock = scene.executor.clock();
            assert_eq!(read(&mut body, 1).await, (1, None));
            if seconds > 0 {
                assert!(clock.timeout(SECOND * seconds, read(&mut body, 1)).await.is_err());
            }
        });
        assert_eq!(scene.state().0, 1);
        drop(body);
        assert_eq!(scene.state(), (0, state), "waited for {seconds} s");
    }
}

#[test]
fn a_reader_that_is_slow_runs_into_no_limit() {
    let scene = Scene::new();
    let limits = BodyLimits {
        idle: Some(SECOND),
        total: None,
    };
    let mut body = scene.body(&[Data, Data], limits);
    for _ in 0..2 {
        scene.executor.run_for(60 * SECOND);
        assert_eq!(scene.executor.block_on(read(&mut body, 1)), (1, None));
    }
    assert_eq!(scene.state(), (0, [1, 0, 0]));
}

#[test]
fn a_body_that_panics_is_a_failure() {
    let scene = Scene::new();
    let mut body = scene.body(&[Data, Panics], BodyLimits::NONE);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        scene.executor.block_on(read(&mut body, 2));
    }));
    assert!(caught.is_err());
    drop(body);
    assert_eq!(scene.state(), (0, [0, 1, 0]));
}

#[test]
fn a_probe_whose_body_is_long_closes_the_circuit_and_holds_its_permit_on() {
    let scene = Scene::new();
    let breaker = scene.policy.circuit_breaker().expect("it has one");
    let mut broken = scene.body(&[BreaksOff], BodyLimits::NONE);
    scene.executor.block_on(read(&mut broken, 1));
    assert_eq!(breaker.current_state(), CircuitState::Open);
    scene.executor.run_for(10 * SECOND);
    let mut events = scene.body(&[Wait(30), Data, Wait(30), BreaksOff], BodyLimits::NONE);
    let clock = scene.executor.clock();
    scene.executor.block_on(async {
        let mut reading = pin!(read(&mut events, 9));
        assert!(clock.timeout(SECOND / 2, &mut reading).await.is_err());
        assert_eq!(breaker.current_state(), CircuitState::HalfOpen);
        assert!(clock.timeout(SECOND, &mut reading).await.is_err());
        assert_eq!((breaker.current_state(), scene.state().0), (CircuitState::Closed, 1));
        assert_eq!(reading.await.0, 1);
    });
    assert_eq!((breaker.current_state(), scene.state().0), (CircuitState::Closed, 0));
}
