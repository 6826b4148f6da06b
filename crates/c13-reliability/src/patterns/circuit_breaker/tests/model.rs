//! The breaker against a naive model: a log of all calls, recounted at every step.

use super::*;
use crate::gate::{Outcome, Permit as _};
use crate::time::{Env, Tick};

/// A call that ended while the circuit was closed or only watching.
#[derive(Clone, Copy)]
struct Logged {
    at: Tick,
    failed: bool,
    slow: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Closed,
    Open { until: Tick },
    HalfOpen,
    ForcedOpen,
    ForcedClosed,
    MetricsOnly,
}

/// What the breaker should do, the slow and simple way.
struct Model {
    config: CircuitBreakerConfig,
    phase: Phase,
    /// Which phase it is, counted from the start: permits remember theirs.
    era: u64,
    log: Vec<Logged>,
    running: u64,
    successes: u64,
    waiting_since: Option<Tick>,
    trips: u32,
    transitions: u64,
    ends: [u64; 5],
}

const SUCCESS: usize = 0;
const FAILURE: usize = 1;
const IGNORED: usize = 2;
const ABANDONED: usize = 3;
const REJECTED: usize = 4;

impl Model {
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.era += 1;
        self.transitions += 1;
        self.log.clear();
        (self.running, self.successes, self.waiting_since) = (0, 0, None);
    }

    fn trip(&mut self, at: Tick) {
        let grown = self.config.open_for * 2_u32.pow(self.trips.min(20));
        let time = grown.min(self.config.open_for_max.unwrap_or(self.config.open_for));
        self.open(at, time);
    }

    fn open(&mut self, at: Tick, time: Duration) {
        self.trips += 1;
        self.enter(Phase::Open { until: at + time });
    }

    fn settle(&mut self, now: Tick) {
        if let (Phase::HalfOpen, Some(since)) = (self.phase, self.waiting_since) {
            let deadline = since + self.config.probe_timeout();
            if now >= deadline {
                self.trip(deadline);
            }
        }
    }

    fn admit(&mut self, now: Tick) -> Result<u64, Option<Duration>> {
        self.settle(now);
        if let Phase::Open { until } = self.phase
            && now >= until
        {
            self.enter(Phase::HalfOpen);
        }
        let refused = match self.phase {
            Phase::Closed | Phase::ForcedClosed | Phase::MetricsOnly => return Ok(self.era),
            Phase::HalfOpen => {
                let most = self.config.probes();
                let needed = most.max(self.config.success_threshold);
                if self.running < most && self.running + self.successes < needed {
                    self.running += 1;
                    self.waiting_since = self.waiting_since.or(Some(now));
                    return Ok(self.era);
                }
                None
            }
            Phase::Open { until } => Some(until - now),
            Phase::ForcedOpen => None,
        };
        self.ends[REJECTED] += 1;
        Err(refused)
    }

    fn end(&mut self, era: u64, started: Tick, now: Tick, outcome: Outcome) {
        self.ends[match outcome {
            Outcome::Success => SUCCESS,
            Outcome::Failure { .. } => FAILURE,
            Outcome::Ignored => IGNORED,
            Outcome::Abandoned => ABANDONED,
        }] += 1;
        self.settle(now);
        if era != self.era {
            return;
        }
        let slow = self
            .config
            .slow_rule()
            .is_some_and(|rule| now - started >= rule.threshold);
        let outcome = match outcome {
            Outcome::Abandoned if self.config.abandoned == Abandoned::Failure => Outcome::FAILURE,
            other => other,
        };
        let (failed, open_for) = match outcome {
            Outcome::Failure { open_for } => (true, open_for),
            _ => (false, None),
        };
        match self.phase {
            Phase::Closed | Phase::MetricsOnly if failed || outcome == Outcome::Success => {
                self.log.push(Logged { at: now, failed, slow });
                if self.phase == Phase::Closed {
                    if let Some(time) = open_for {
                        self.open(now, time);
                    } else if self.is_met(now, failed, slow) {
                        self.trip(now);
                    }
                }
            }
            Phase::HalfOpen => {
                self.running -= 1;
                if let Some(time) = open_for {
                    self.open(now, time);
                    return;
                }
                if failed || (outcome == Outcome::Success && slow) {
                    self.trip(now);
                    return;
                }
                if outcome == Outcome::Success {
                    self.successes += 1;
                    if self.successes >= self.config.success_threshold {
                        self.enter(Phase::Closed);
                        self.trips = 0;
                        return;
                    }
                }
                if outcome != Outcome::Abandoned {
                    self.waiting_since = Some(now);
                }
                if self.running == 0 {
                    self.waiting_since = None;
                }
            }
            _ => {}
        }
    }

    /// The calls of a window: the last so many, or those in the current tenth of the time and the nine before it.
    fn in_window(&self, window: Window, now: Tick) -> Vec<Logged> {
        match window {
            Window::Calls(calls) => {
                let skip = self.log.len().saturating_sub(calls as usize);
                self.log[skip..].to_vec()
            }
            Window::Time(length) => {
                let bucket = (length.as_nanos() as u64).div_ceil(10);
                let oldest = (now.as_nanos() / bucket + 1).saturating_sub(10) * bucket;
                let in_it = |call: &&Logged| call.at.as_nanos() >= oldest;
                self.log.iter().filter(in_it).copied().collect()
            }
        }
    }

    fn is_met(&self, now: Tick, failed: bool, slow: bool) -> bool {
        let share = |calls: &[Logged], marked: fn(&Logged) -> bool| {
            calls.iter().filter(|call| marked(call)).count() as f64 / calls.len() as f64
        };
        let run = self.log.iter().rev().take_while(|call| call.failed).count() as u64;
        let consecutive = self.config.consecutive_failures.is_some_and(|most| run >= most);
        let within = self.config.failures_rule().is_some_and(|rule| {
            let recent = |call: &&Logged| call.failed && now - call.at < rule.window;
            let enough = self.log.iter().filter(recent).count() as u64 >= rule.failures;
            enough
                && rule.share.is_none_or(|least| {
                    let calls = self.in_window(Window::Time(rule.window), now).len();
                    let calls = calls.max(rule.failures as usize).min(20).min(self.log.len());
                    share(&self.log[self.log.len() - calls..], |call| call.failed) >= least
                })
        });
        let rate = self.config.failure_rate_rule().is_some_and(|rule| {
            let calls = self.in_window(rule.window, now);
            calls.len() as u64 >= rule.min_calls && share(&calls, |call| call.failed) >= rule.rate
        });
        let slowness = self.config.slow_rule().is_some_and(|rule| {
            let calls = self.in_window(rule.window, now);
            calls.len() as u64 >= rule.min_calls && share(&calls, |call| call.slow) >= rule.rate
        });
        (failed && (consecutive || within || rate)) || (slow && slowness)
    }

    fn force(&mut self, phase: Phase, now: Tick) {
        self.settle(now);
        if self.phase != phase {
            self.enter(phase);
        } else if phase == Phase::Closed {
            self.era += 1;
            self.log.clear();
        } else {
            return;
        }
        self.trips = 0;
    }

    fn change(&mut self, config: CircuitBreakerConfig, now: Tick) {
        self.settle(now);
        self.config = config;
        self.successes = self.successes.min(config.success_threshold - 1);
    }
}

/// Settings drawn at random, of one set of windows, so that they may change into each other and keep what they hold.
fn settings(random: &Random, shape: u64) -> CircuitBreakerConfig {
    let window = |bits: u64| match bits % 3 {
        0 => Window::Calls(1 + (bits / 3 % 12) as u32),
        _ => Window::Time(secs(0.1) * (1 + (bits / 3 % 40) as u32)),
    };
    let share = || [0.1, 0.3, 0.5, 2.0 / 3.0, 1.0][random.below(5) as usize];
    let min_calls = |window| match window {
        Window::Calls(calls) => 1 + random.below(u64::from(calls)),
        Window::Time(_) => 1 + random.below(8),
    };
    let mut config = CircuitBreakerConfig::new()
        .success_threshold(1 + random.below(3))
        .open_for(secs(1.0))
        .half_open_timeout(secs(0.5) * (1 + random.below(4) as u32));
    if random.below(2) == 0 {
        config = config.half_open_calls(1 + random.below(4));
    }
    if random.below(2) == 0 {
        config = config.open_for_growth(2.0, secs(5.0));
    }
    if random.below(4) == 0 {
        config = config.abandoned(Abandoned::Failure);
    }
    if shape & 1 != 0 {
        config = config.consecutive_failures(1 + random.below(5));
    }
    if shape & 2 != 0 {
        let rule = FailuresWithin::new(1 + shape / 16 % 5, secs(0.1) * (1 + (shape / 128 % 40) as u32));
        config = config.failures_within(match shape / 64 % 2 {
            0 => rule,
            _ => rule.share(share()),
        });
    }
    if shape & 4 != 0 {
        let window = window(shape / 1024);
        config = config.failure_rate(FailureRate::new(share(), window, min_calls(window)));
    }
    if shape & 8 != 0 || shape & 15 == 0 {
        let window = window(shape / (1 << 20));
        config = config.slow_calls(SlowCalls::new(secs(0.2), share(), window, min_calls(window)));
    }
    config
}

fn state_of(phase: Phase) -> CircuitState {
    match phase {
        Phase::Closed => CircuitState::Closed,
        Phase::Open { .. } => CircuitState::Open,
        Phase::HalfOpen => CircuitState::HalfOpen,
        Phase::ForcedOpen => CircuitState::ForcedOpen,
        Phase::ForcedClosed => CircuitState::ForcedClosed,
        Phase::MetricsOnly => CircuitState::MetricsOnly,
    }
}

/// One sequence of random calls, ends, waits, forces and changes.
fn sequence(seed: u64) {
    let random = Random::new(seed);
    let shape = random.next_u64();
    let config = settings(&random, shape);
    let time = VirtualTime::new();
    let mut builder = CircuitBreaker::builder(config).env(Env::new(time.clock()).random(Random::new(seed)));
    if random.below(2) == 0 {
        builder = builder.compact();
    }
    let breaker = builder.build().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    let mut model = Model {
        config,
        phase: Phase::Closed,
        era: 0,
        log: Vec::new(),
        running: 0,
        successes: 0,
        waiting_since: None,
        trips: 0,
        transitions: 0,
        ends: [0; 5],
    };
    let mut running: Vec<(Permit<'_>, u64, Tick)> = Vec::new();
    let failing = random.below(8);
    for step in 0..80 {
        let now = time.now();
        let told = format!("seed {seed}, step {step}, {config:?}");
        match random.below(24) {
            0..9 => match (breaker.try_acquire(), model.admit(now)) {
                (Ok(permit), Ok(era)) => running.push((permit, era, now)),
                (Err(refused), Err(wait)) => assert_eq!(refused.retry_after, wait, "{told}"),
                (real, model) => panic!("{told}: {real:?}, but the model says {model:?}"),
            },
            9..18 if !running.is_empty() => {
                let (permit, era, started) = running.swap_remove(random.below(running.len() as u64) as usize);
                let outcome = match random.below(16) {
                    0 => Outcome::Ignored,
                    1 => Outcome::Abandoned,
                    2 if random.below(8) == 0 => Outcome::Failure {
                        open_for: Some(secs(0.7)),
                    },
                    draw if draw % 8 < failing => Outcome::FAILURE,
                    _ => Outcome::Success,
                };
                permit.record(outcome);
                model.end(era, started, now, outcome);
            }
            18..22 => time.advance(match random.below(8) {
                0 => secs(1.0),
                1 => secs(0.5),
                2 => Duration::from_nanos(1),
                _ => secs(0.05) * random.below(5) as u32,
            }),
            22 if random.below(4) == 0 => match random.below(5) {
                0 => {
                    breaker.force_open();
                    model.force(Phase::ForcedOpen, now);
                }
                1 => {
                    breaker.force_closed();
                    model.force(Phase::ForcedClosed, now);
                }
                2 => {
                    breaker.metrics_only();
                    model.force(Phase::MetricsOnly, now);
                }
                _ => {
                    breaker.reset();
                    model.force(Phase::Closed, now);
                }
            },
            23 if random.below(4) == 0 => {
                let config = settings(&random, shape);
                breaker
                    .reconfigure(config)
                    .unwrap_or_else(|error| panic!("{told}: {error}"));
                model.change(config, now);
            }
            _ => {}
        }
        let snapshot = breaker.snapshot();
        assert_eq!(snapshot.state, state_of(model.phase), "{told}");
        assert_eq!(snapshot.state, breaker.current_state(), "{told}");
        assert_eq!(
            (
                snapshot.probes_running,
                snapshot.probes_succeeded,
                snapshot.consecutive_trips
            ),
            (model.running, model.successes, model.trips),
            "{told}"
        );
        let counts = snapshot.metrics;
        assert_eq!(
            [
                counts.success_count,
                counts.failure_count,
                counts.ignored_count,
                counts.abandoned_count,
                counts.rejection_count
            ],
            model.ends,
            "{told}"
        );
        assert_eq!(counts.state_transitions, model.transitions, "{told}");
        if let (Phase::Closed | Phase::MetricsOnly, Some(rule)) = (model.phase, model.config.failure_rate_rule()) {
            let calls = model.in_window(rule.window, time.now());
            assert_eq!(snapshot.window_calls, Some(calls.len() as u64), "{told}");
            let failed = calls.iter().filter(|call| call.failed).count();
            let rate = (calls.len() as u64 >= rule.min_calls).then(|| failed as f64 / calls.len() as f64);
            assert_eq!(snapshot.failure_rate, rate, "{told}");
        }
    }
}

#[test]
fn it_agrees_with_the_model_over_twelve_thousand_random_sequences() {
    (0..12_000).for_each(sequence);
}
