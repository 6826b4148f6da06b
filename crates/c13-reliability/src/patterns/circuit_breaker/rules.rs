//! The rules that open a circuit, and their windows. They are evaluated when a call fails or was slow.

use super::config::{CircuitBreakerConfig, FailuresWithin, Window};
use super::opening::Opening;
use super::snapshot::TransitionReason;
use crate::time::Tick;
use crate::window::{CountWindow, RollingWindow};
use std::collections::VecDeque;
use std::time::Duration;

/// How many buckets a window over time has.
pub(super) const BUCKETS: usize = 10;
/// How many windows over time can be needed at once: one for each rule that has one.
pub(super) const TIMED: usize = 3;

/// A reading of the counters outside the machine: the successes that were no input of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reading {
    /// All successes ever counted, by the generation they were counted in, modulo 4.
    pub(super) successes: [u64; 4],
    /// Those of the current generation in each window over time, by bucket, the current one first.
    pub(super) rolling: [[u64; BUCKETS]; TIMED],
}

/// The time of an event, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) now: Tick,
    /// The time by the coarse clock, which windows over time go by. Never compared with `now`.
    pub(super) coarse: Tick,
    /// A random number in `[0, 1)`.
    pub(super) draw: f64,
}

/// A call that failed or was slow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) failed: bool,
    pub(super) slow: bool,
}

impl Call {
    /// Whether it can trip this rule: only a failure trips the rules for failures, and only a slow call the rule for slow
    /// calls.
    fn can_trip(self, rule: TransitionReason) -> bool {
        if rule == TransitionReason::SlowCalls {
            self.slow
        } else {
            self.failed
        }
    }
}

/// The rules by which a circuit opens. The first one that is met is the reason.
const RULES: [TransitionReason; 4] = [
    TransitionReason::ConsecutiveFailures,
    TransitionReason::FailuresWithin,
    TransitionReason::FailureRate,
    TransitionReason::SlowCalls,
];

/// The rules that a breaker in `MetricsOnly` has reported as met, in the order of [`RULES`].
#[derive(Debug, Default)]
pub(super) struct Reported([bool; RULES.len()]);

/// The windows of all rules that are set.
#[derive(Debug)]
pub(super) struct Rules {
    /// Failures since the last success.
    run: u64,
    /// How many of the successes outside are in the windows over calls already.
    seen: u64,
    /// Those of rules that are set; in a box, because most breakers have none.
    windows: Option<Box<Windows>>,
}

#[derive(Debug)]
struct Windows {
    within: Option<Within>,
    failures: Option<Rated>,
    slow: Option<Rated>,
    outside: Outside,
}

/// The windows over time that are kept outside: the bucket length of each. Rules with the same length share one.
#[derive(Debug, Default)]
struct Outside {
    buckets: [Duration; TIMED],
    count: usize,
}

impl Outside {
    /// The number of the window whose buckets are this long, which is added if there is none yet.
    fn window(&mut self, bucket: Duration) -> usize {
        let known = self.buckets[..self.count].iter().position(|other| *other == bucket);
        known.unwrap_or_else(|| {
            self.buckets[self.count] = bucket;
            self.count += 1;
            self.count - 1
        })
    }
}

impl Rules {
    pub(super) fn new(config: &CircuitBreakerConfig) -> Self {
        let mut outside = Outside::default();
        let within = config.failures_rule().map(|rule| Within::new(&rule, &mut outside));
        let failures = config
            .failure_rate_rule()
            .map(|rule| Rated::new(rule.window, &mut outside));
        let slow = config.slow_rule().map(|rule| Rated::new(rule.window, &mut outside));
        let windows = (within.is_some() || failures.is_some() || slow.is_some()).then(|| {
            Box::new(Windows {
                within,
                failures,
                slow,
                outside,
            })
        });
        Self {
            run: 0,
            seen: 0,
            windows,
        }
    }

    /// The bucket length of each window over time whose successes are counted outside.
    pub(super) fn timed(&self) -> &[Duration] {
        self.windows
            .as_ref()
            .map_or(&[], |windows| &windows.outside.buckets[..windows.outside.count])
    }

    /// Whether the next success would end a run of failures that a rule counts.
    pub(super) fn in_a_run(&self) -> bool {
        self.run > 0
    }

    pub(super) fn end_run(&mut self) {
        self.run = 0;
    }

    /// Applies other settings, and keeps what it remembers as far as the new windows reach.
    pub(super) fn change(
        &mut self,
        config: &CircuitBreakerConfig,
        at: Moment,
        successes: u64,
        rolling: &[[u64; BUCKETS]; TIMED],
    ) {
        self.catch_up(successes);
        let mut old = std::mem::replace(self, Self::new(config));
        self.run = old.run;
        let (Some(windows), Some(old)) = (&mut self.windows, &mut old.windows) else {
            return;
        };
        if let (Some(new), Some(old)) = (&mut windows.within, &mut old.within) {
            new.inherit(old, at.coarse, rolling);
        }
        for (new, old) in [
            (&mut windows.failures, &mut old.failures),
            (&mut windows.slow, &mut old.slow),
        ] {
            if let (Some(new), Some(old)) = (new, old) {
                new.inherit(old, at.coarse, rolling);
            }
        }
    }

    /// Sets how many of the successes that were counted outside the windows over calls have taken in.
    pub(super) fn seen(&mut self, successes: u64) {
        self.seen = successes;
    }

    /// Forgets everything; `seen` is the present value of the counter outside.
    pub(super) fn clear(&mut self, seen: u64) {
        self.run = 0;
        self.seen = seen;
        let Some(windows) = &mut self.windows else {
            return;
        };
        if let Some(within) = &mut windows.within {
            within.clear();
        }
        windows.rated().for_each(Rated::clear);
    }

    /// Takes in the successes that were counted outside since the last call of this.
    fn catch_up(&mut self, successes: u64) {
        let more = successes.wrapping_sub(self.seen);
        self.seen = successes;
        let Some(windows) = self.windows.as_mut().filter(|_| more > 0) else {
            return;
        };
        if let Some(within) = &mut windows.within {
            within.recent.record_successes(more);
        }
        for rated in windows.rated() {
            if let Rated::Calls(window) = rated {
                window.record_successes(more);
            }
        }
    }

    /// Takes in a call that failed or was slow, and returns the rule that it meets, if any, with its numbers.
    ///
    /// `successes` and `rolling` are the successes that were counted outside: all of them, and those in the windows over time.
    pub(super) fn record(
        &mut self,
        config: &CircuitBreakerConfig,
        call: Call,
        at: Moment,
        successes: u64,
        rolling: &[[u64; BUCKETS]; TIMED],
    ) -> Option<Opening> {
        self.catch_up(successes);
        self.take_in(call, at);
        let is_tripped = |rule: &TransitionReason| call.can_trip(*rule) && self.is_met(*rule, config, at, rolling);
        let rule = RULES.into_iter().find(is_tripped)?;
        Some(self.opening(rule, config, at, rolling))
    }

    /// The numbers of a rule that is met.
    fn opening(
        &mut self,
        rule: TransitionReason,
        config: &CircuitBreakerConfig,
        at: Moment,
        rolling: &[[u64; BUCKETS]; TIMED],
    ) -> Opening {
        let (failures, slow) = self.windows.as_mut().map_or((None, None), |windows| {
            let share = |rated: &mut Rated| rated.share(at.coarse, rolling);
            (windows.failures.as_mut().map(share), windows.slow.as_mut().map(share))
        });
        let rated = |share: Option<Share>, window: Option<Window>| {
            let share = share.unwrap_or_default();
            Opening::counted(rule, share.marked, Some(share.calls), window)
        };
        match rule {
            TransitionReason::FailuresWithin => {
                let within = self.windows.as_mut().and_then(|windows| windows.within.as_mut());
                let counted = within.map(|within| within.counted(at.coarse, rolling));
                let (failures, calls) = counted.unwrap_or_default();
                let window = config.failures_rule().map(|rule| Window::Time(rule.window));
                Opening::counted(rule, failures, calls, window)
            }
            TransitionReason::FailureRate => rated(failures, config.failure_rate_rule().map(|rule| rule.window)),
            TransitionReason::SlowCalls => rated(slow, config.slow_rule().map(|rule| rule.window)),
            _ => Opening::counted(rule, self.run, None, None),
        }
    }

    /// As [`record`](Self::record), for a breaker in `MetricsOnly`: returns the rules that are newly met. A rule that was
    /// `reported` is not returned again until it has not been met for a moment.
    pub(super) fn watch(
        &mut self,
        config: &CircuitBreakerConfig,
        call: Call,
        at: Moment,
        reading: (u64, &[[u64; BUCKETS]; TIMED]),
        reported: &mut Reported,
    ) -> Vec<TransitionReason> {
        let (successes, rolling) = reading;
        self.catch_up(successes);
        // The successes and the time since the last call may have ended what was reported.
        for (rule, reported) in RULES.into_iter().zip(&mut reported.0) {
            *reported = *reported && self.is_met(rule, config, at, rolling);
        }
        self.take_in(call, at);
        let mut met = Vec::new();
        for (rule, reported) in RULES.into_iter().zip(&mut reported.0) {
            let is_met = self.is_met(rule, config, at, rolling);
            if is_met && !*reported && call.can_trip(rule) {
                met.push(rule);
                *reported = true;
            }
            *reported = *reported && is_met;
        }
        met
    }

    fn take_in(&mut self, call: Call, at: Moment) {
        self.run = if call.failed { self.run.saturating_add(1) } else { 0 };
        let Some(windows) = &mut self.windows else {
            return;
        };
        if let Some(within) = &mut windows.within {
            within.record(call.failed, at);
        }
        if let Some(failures) = &mut windows.failures {
            failures.record(call.failed, at.coarse);
        }
        if let Some(slow) = &mut windows.slow {
            slow.record(call.slow, at.coarse);
        }
    }

    /// Whether a rule is set and met.
    fn is_met(
        &mut self,
        rule: TransitionReason,
        config: &CircuitBreakerConfig,
        at: Moment,
        rolling: &[[u64; BUCKETS]; TIMED],
    ) -> bool {
        if rule == TransitionReason::ConsecutiveFailures {
            return config.consecutive_failures.is_some_and(|failures| self.run >= failures);
        }
        let Some(windows) = &mut self.windows else {
            return false;
        };
        match rule {
            TransitionReason::FailuresWithin => match (&config.failures_rule(), &mut windows.within) {
                (Some(rule), Some(within)) => within.is_met(rule, at, rolling),
                _ => false,
            },
            TransitionReason::FailureRate => match (&config.failure_rate_rule(), &mut windows.failures) {
                (Some(rule), Some(failures)) => {
                    let share = failures.share(at.coarse, rolling);
                    share.reaches(rule.rate, rule.min_calls)
                }
                _ => false,
            },
            TransitionReason::SlowCalls => match (&config.slow_rule(), &mut windows.slow) {
                (Some(rule), Some(slow)) => slow.share(at.coarse, rolling).reaches(rule.rate, rule.min_calls),
                _ => false,
            },
            _ => false,
        }
    }

    /// What the windows hold: failures and calls of the failure window, slow and calls of the slow window.
    pub(super) fn shares(
        &mut self,
        coarse: Tick,
        successes: u64,
        rolling: &[[u64; BUCKETS]; TIMED],
    ) -> (Option<Share>, Option<Share>) {
        self.catch_up(successes);
        let share = |rated: Option<&mut Rated>| rated.map(|rated| rated.share(coarse, rolling));
        self.windows.as_mut().map_or((None, None), |windows| {
            (share(windows.failures.as_mut()), share(windows.slow.as_mut()))
        })
    }
}

impl Windows {
    fn rated(&mut self) -> impl Iterator<Item = &mut Rated> {
        [&mut self.failures, &mut self.slow].into_iter().flatten()
    }
}

/// A number of calls among a number of calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) marked: u64,
    pub(super) calls: u64,
}

impl Share {
    /// The rate, if there are as many calls. It divides, because the quotient is the number that was written as the setting.
    pub(super) fn rate(self, min_calls: u64) -> Option<f64> {
        (self.calls >= min_calls.max(1)).then(|| self.marked as f64 / self.calls as f64)
    }

    fn reaches(self, rate: f64, min_calls: u64) -> bool {
        self.rate(min_calls).is_some_and(|reached| reached >= rate)
    }
}

/// A window for a rate. It holds calls that failed or were slow; a window over calls holds all others too.
#[derive(Debug)]
enum Rated {
    Calls(CountWindow),
    Time(Timed),
}

impl Rated {
    fn new(window: Window, outside: &mut Outside) -> Self {
        match window {
            Window::Calls(calls) => Self::Calls(CountWindow::new(calls as usize)),
            Window::Time(length) => Self::Time(Timed::new(length, outside)),
        }
    }

    fn record(&mut self, marked: bool, coarse: Tick) {
        match self {
            Self::Calls(window) => window.record(marked),
            Self::Time(window) => window.record(marked, coarse),
        }
    }

    fn share(&mut self, coarse: Tick, rolling: &[[u64; BUCKETS]; TIMED]) -> Share {
        match self {
            Self::Calls(window) => Share {
                marked: window.failures() as u64,
                calls: window.len() as u64,
            },
            Self::Time(window) => window.share(coarse, rolling),
        }
    }

    /// Takes over what an older window of the same kind holds.
    fn inherit(&mut self, old: &mut Self, coarse: Tick, rolling: &[[u64; BUCKETS]; TIMED]) {
        match (self, old) {
            (Self::Calls(new), Self::Calls(old)) => *new = old.resized(new.capacity()),
            (Self::Time(new), Self::Time(old)) => new.inherit(old, coarse, rolling),
            _ => {}
        }
    }

    fn clear(&mut self) {
        match self {
            Self::Calls(window) => window.clear(),
            Self::Time(window) => window.here = None,
        }
    }
}

/// A window over time. It holds the inputs of the machine; plain successes are counted outside.
#[derive(Debug)]
struct Timed {
    length: Duration,
    /// Marked calls, and others that were told of. Allocated with the first: a healthy dependency has none.
    here: Option<Box<Told>>,
    /// Which of the windows outside.
    outside: usize,
}

type Told = RollingWindow<2, BUCKETS>;

impl Timed {
    fn new(length: Duration, outside: &mut Outside) -> Self {
        let bucket = Told::new(length).bucket_length();
        Self {
            length,
            here: None,
            outside: outside.window(bucket),
        }
    }

    fn here(&mut self) -> &mut Told {
        self.here.get_or_insert_with(|| Box::new(Told::new(self.length)))
    }

    fn record(&mut self, marked: bool, coarse: Tick) {
        self.here().add(coarse, usize::from(!marked), 1);
    }

    /// Takes over what an older window holds, here and outside; from then on all of it is held here.
    fn inherit(&mut self, old: &mut Self, coarse: Tick, rolling: &[[u64; BUCKETS]; TIMED]) {
        let mut buckets: Vec<_> = old.here().buckets(coarse).collect();
        for ((_, counts), successes) in buckets.iter_mut().rev().zip(&rolling[old.outside]) {
            counts[1] += successes;
        }
        for (beginning, [marked, others]) in buckets {
            self.here().add(beginning, 0, marked);
            self.here().add(beginning, 1, others);
        }
    }

    fn share(&mut self, coarse: Tick, rolling: &[[u64; BUCKETS]; TIMED]) -> Share {
        let [marked, others] = self.here.as_mut().map_or([0; 2], |here| here.totals(coarse));
        Share {
            marked,
            calls: marked + others + rolling[self.outside].iter().sum::<u64>(),
        }
    }
}

/// The number of failures within a time, exact: it keeps the times of the last failures. For the share it also keeps the last
/// 20 calls and the number of calls in that time.
#[derive(Debug)]
struct Within {
    times: VecDeque<Tick>,
    failures: usize,
    recent: Recent,
    calls: Option<Timed>,
}

/// There is room for so many times of failures from the first failure on.
const TIMES_AT_FIRST: usize = 64;

impl Within {
    fn new(rule: &FailuresWithin, outside: &mut Outside) -> Self {
        let failures = rule.failures as usize;
        Self {
            // Allocated with the first failure: many a breaker never sees one.
            times: VecDeque::new(),
            failures,
            recent: Recent::default(),
            calls: rule.share.map(|_| Timed::new(rule.window, outside)),
        }
    }

    fn record(&mut self, failed: bool, at: Moment) {
        self.recent.record(failed);
        if let Some(calls) = &mut self.calls {
            calls.record(failed, at.coarse);
        }
        if !failed {
            return;
        }
        if self.times.len() == self.failures {
            self.times.pop_front();
        }
        if self.times.capacity() == 0 {
            self.times.reserve(self.failures.min(TIMES_AT_FIRST));
        }
        // Two threads may record their failures in another order than they read the clock.
        let latest = self.times.back().copied().unwrap_or_default();
        self.times.push_back(at.now.max(latest));
    }

    fn is_met(&mut self, rule: &FailuresWithin, at: Moment, rolling: &[[u64; BUCKETS]; TIMED]) -> bool {
        let Some(oldest) = self.times.front() else {
            return false;
        };
        if self.times.len() < self.failures || at.now - *oldest >= rule.window {
            return false;
        }
        match (rule.share, &mut self.calls) {
            (Some(share), Some(calls)) => {
                // At least the failures just counted are within the window, even if a bucket has dropped one.
                let calls = calls.share(at.coarse, rolling).calls.max(rule.failures);
                self.recent.of_last(calls).reaches(share, 1)
            }
            _ => true,
        }
    }

    /// How many failures lie in the window, and among how many calls, where the rule counts those.
    fn counted(&mut self, coarse: Tick, rolling: &[[u64; BUCKETS]; TIMED]) -> (u64, Option<u64>) {
        // All of them are within the window when the rule is met; it keeps no more times than it asks for.
        let failures = self.times.len() as u64;
        let share = self.calls.as_mut().map(|calls| calls.share(coarse, rolling));
        let most = share.map_or(failures, |share| share.marked.max(failures));
        (most, share.map(|share| share.calls.max(most)))
    }

    /// Takes over what an older window holds.
    fn inherit(&mut self, old: &mut Self, coarse: Tick, rolling: &[[u64; BUCKETS]; TIMED]) {
        let skipped = old.times.len().saturating_sub(self.failures);
        self.times.extend(old.times.iter().skip(skipped));
        self.recent = old.recent;
        if let (Some(new), Some(old)) = (&mut self.calls, &mut old.calls) {
            new.inherit(old, coarse, rolling);
        }
    }

    fn clear(&mut self) {
        self.times.clear();
        self.recent = Recent::default();
        if let Some(calls) = &mut self.calls {
            calls.here = None;
        }
    }
}

/// Which of the last 20 calls failed, the newest in the lowest bit.
#[derive(Clone, Copy, Debug, Default)]
struct Recent {
    bits: u32,
    len: u32,
}

impl Recent {
    fn record(&mut self, failed: bool) {
        self.bits = (self.bits << 1 | u32::from(failed)) & mask(FailuresWithin::SHARE_CALLS);
        self.len = (self.len + 1).min(FailuresWithin::SHARE_CALLS);
    }

    fn record_successes(&mut self, n: u64) {
        let n = n.min(u64::from(FailuresWithin::SHARE_CALLS)) as u32;
        self.bits = (self.bits << n) & mask(FailuresWithin::SHARE_CALLS);
        self.len = (self.len + n).min(FailuresWithin::SHARE_CALLS);
    }

    /// How many of the last `calls` failed, or of all it holds.
    fn of_last(self, calls: u64) -> Share {
        let calls = calls.min(u64::from(self.len)) as u32;
        Share {
            marked: u64::from((self.bits & mask(calls)).count_ones()),
            calls: u64::from(calls),
        }
    }
}

fn mask(bits: u32) -> u32 {
    (1 << bits) - 1
}
