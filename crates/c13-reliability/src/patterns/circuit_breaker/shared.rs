//! The state that handles of one breaker share: the machine behind its lock, and the atomics in front of it.

use super::config::{CircuitBreakerConfig, Window};
use super::events::Outbox;
use super::rules::{BUCKETS, Moment, Reading, TIMED};
use super::snapshot::{CircuitMetrics, CircuitState, Snapshot};
use super::state::{Counted, Ended, Forced, Machine};
use super::word::Word;
use crate::error::{Layer, Rejected};
use crate::gate::{Cause, Outcome};
use crate::sync::primitive::{AtomicU64, Mutex, MutexGuard, OnceLock, Ordering};
use crate::sync::{Count as _, Random, StripedRolling, Stripes, Tally, counts};
use crate::time::{Clock, Tick, nanos};
use std::time::Duration;

/// One breaker.
///
/// A call through a closed and healthy circuit reads one word and adds to one striped counter: no lock, and no clock unless a
/// rule needs it. Everything else goes to the machine, under the lock, which then publishes its state to the atomics again.
/// User code never runs under the lock.
#[derive(Debug)]
pub(super) struct Shared {
    front: Front,
    /// The successes in the windows over time, one for each window that the rules need.
    rolling: [OnceLock<StripedRolling>; TIMED],
    machine: Mutex<Machine>,
    clock: Clock,
    random: Random,
    outbox: Outbox,
}

/// What every call reads without the lock, on a cache line of its own: it changes only when the machine does.
#[derive(Debug)]
#[repr(align(64))]
struct Front {
    word: AtomicU64,
    /// The tick until which every call is refused.
    refuses_until: AtomicU64,
    /// From how many nanoseconds on a call is slow.
    slow_nanos: AtomicU64,
    counts: Tally<CircuitCount>,
}

counts! {
    /// What a breaker counts. A success that belongs into the windows is counted by its generation modulo 4, so that one which
    /// is late by a transition or two is not taken for a success of a later generation.
    enum CircuitCount {
        Success0,
        Success1,
        Success2,
        Success3,
        SuccessForLife,
        Failure,
        Ignored,
        Abandoned,
        Rejected,
    }
}

use CircuitCount::{
    Abandoned, Failure, Ignored, Rejected as Refused, Success0, Success1, Success2, Success3, SuccessForLife,
};

const SUCCESSES: [CircuitCount; 4] = [Success0, Success1, Success2, Success3];

/// The ticket of an admitted call.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ticket {
    word: Word,
    /// When it was admitted, if calls are timed.
    started: Tick,
}

impl Ticket {
    /// Whether its call is a probe of a circuit that was half-open.
    pub(crate) fn is_probe(self) -> bool {
        self.word.state() == CircuitState::HalfOpen
    }
}

/// A refusal in one word: for how many nanoseconds, if that is known.
///
/// It becomes a whole [`Rejected`] only where the caller needs one. A `Rejected` that is passed on would be read in larger
/// pieces than it was just written in, which stalls the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal(u64);

impl Refusal {
    const UNKNOWN: Self = Self(u64::MAX);

    /// The refusal of a circuit in `state` at `now` that refuses every call until `until`.
    #[inline]
    fn of(state: CircuitState, until: Tick, now: Tick) -> Self {
        match state {
            CircuitState::Open => Self(until.as_nanos().saturating_sub(now.as_nanos())),
            _ => Self::UNKNOWN,
        }
    }
}

impl From<Refusal> for Rejected {
    #[inline]
    fn from(refusal: Refusal) -> Self {
        let wait = (refusal != Refusal::UNKNOWN).then(|| Duration::from_nanos(refusal.0));
        Self::new(Layer::CircuitBreaker, wait)
    }
}

/// The start of a call that was admitted while calls were not timed.
const UNTIMED: Tick = Tick::MAX;

impl Shared {
    /// How many words of a stripe a circuit with these settings takes at most.
    pub(super) fn words(config: &CircuitBreakerConfig) -> usize {
        let is_timed = |window: Window| matches!(window, Window::Time(_));
        let timed = [
            config.failures_rule().is_some_and(|rule| rule.share.is_some()),
            config.failure_rate_rule().is_some_and(|rule| is_timed(rule.window)),
            config.slow_rule().is_some_and(|rule| is_timed(rule.window)),
        ];
        CircuitCount::ALL.len() + timed.into_iter().filter(|timed| *timed).count() * StripedRolling::WORDS
    }

    /// A circuit that starts in `state`. The settings must have been checked.
    pub(super) fn new(
        config: CircuitBreakerConfig,
        clock: Clock,
        random: Random,
        name: Option<&str>,
        state: CircuitState,
        stripes: &Stripes,
    ) -> Self {
        let machine = Machine::new(config, state, clock.now());
        let counts = Tally::on(stripes);
        let rolling = std::array::from_fn(|at| {
            let window = machine
                .timed()
                .get(at)
                .map(|bucket| StripedRolling::on(stripes, nanos(*bucket)));
            window.map_or_else(OnceLock::new, OnceLock::from)
        });
        let shared = Self {
            front: Front {
                word: AtomicU64::new(0),
                refuses_until: AtomicU64::new(0),
                slow_nanos: AtomicU64::new(u64::MAX),
                counts,
            },
            rolling,
            machine: Mutex::new(machine),
            clock,
            random,
            outbox: Outbox::new(name),
        };
        shared.show(&shared.machine.lock());
        shared
    }

    fn word(&self) -> Word {
        // Acquire: a thread that sees a word also sees what was published with it.
        Word(self.front.word.load(Ordering::Acquire))
    }

    pub(super) fn state(&self) -> CircuitState {
        self.word().state()
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(super) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    pub(super) fn draw(&self) -> f64 {
        self.random.unit()
    }

    /// Admits a call or refuses it; reads the clock only if it needs the time and was not given it.
    ///
    /// The slow path is out of line, here and in `record`, so that the fast path is a few instructions in the caller's own
    /// code, with the ticket in registers.
    #[inline]
    pub(super) fn admit(&self, now: Option<Tick>) -> Result<Ticket, Refusal> {
        let word = self.word();
        if word.admits_untimed() {
            let started = UNTIMED;
            return Ok(Ticket { word, started });
        }
        self.admit_in_full(word, now)
    }

    #[inline(never)]
    fn admit_in_full(&self, word: Word, now: Option<Tick>) -> Result<Ticket, Refusal> {
        let now = now.unwrap_or_else(|| self.clock.now());
        if word.admits() {
            return Ok(Ticket { word, started: now });
        }
        // Relaxed: the load of the word before it makes sure that this is at least as new as the word.
        let until = Tick::from_nanos(self.front.refuses_until.load(Ordering::Relaxed));
        if now < until {
            return Err(self.refuse(Refusal::of(word.state(), until, now)));
        }
        self.ask_machine(now)
    }

    /// Counts a refusal.
    #[inline]
    fn refuse(&self, refusal: Refusal) -> Refusal {
        self.front.counts.add_one(Refused);
        refusal
    }

    /// Whether every call is refused now.
    pub(super) fn refuses(&self) -> bool {
        // Relaxed: as in `admit_in_full`.
        !self.word().admits() && self.clock.now().as_nanos() < self.front.refuses_until.load(Ordering::Relaxed)
    }

    /// Refuses a call without asking the machine, after [`refuses`](Self::refuses) has said so.
    pub(super) fn refuse_unasked(&self) -> Rejected {
        let state = self.word().state();
        // Relaxed: as in `admit_in_full`.
        let until = Tick::from_nanos(self.front.refuses_until.load(Ordering::Relaxed));
        self.refuse(Refusal::of(state, until, self.clock.now())).into()
    }

    #[cold]
    fn ask_machine(&self, now: Tick) -> Result<Ticket, Refusal> {
        let at = self.moment(now);
        let mut machine = self.machine.lock();
        let admitted = machine.admit(at);
        self.show(&machine);
        let word = machine.word();
        self.deliver(machine);
        match admitted {
            Ok(()) => Ok(Ticket {
                word,
                started: if word.measured() { now } else { UNTIMED },
            }),
            Err(retry_after) => {
                let refusal = retry_after.map_or(Refusal::UNKNOWN, |wait| Refusal(nanos(wait)));
                Err(self.refuse(refusal))
            }
        }
    }

    /// Records the result of a call, and the cause, which is asked for only if the call may have failed.
    #[inline]
    pub(super) fn record(&self, ticket: Ticket, outcome: Outcome, cause: impl FnOnce() -> Cause) {
        let word = ticket.word;
        if outcome != Outcome::Success || !word.plain_untimed() || word != self.word() {
            self.record_in_full(ticket, outcome, cause());
        } else if word.timed() == 0 {
            self.front.counts.add_and_read(success(word.generation()), 1);
        } else {
            self.count_in_windows(word);
        }
    }

    #[inline(never)]
    fn record_in_full(&self, ticket: Ticket, outcome: Outcome, cause: Cause) {
        let word = self.word();
        let unchanged = ticket.word == word;
        let end = (word.measured() && ticket.started != UNTIMED).then(|| self.clock.now());
        // Relaxed: published before the word that says that calls are timed.
        let slow = end.is_some_and(|end| nanos(end - ticket.started) >= self.front.slow_nanos.load(Ordering::Relaxed));
        let cause = match (outcome, end) {
            (Outcome::Success, Some(end)) => Cause::Slow(end - ticket.started),
            _ => cause,
        };
        match outcome {
            Outcome::Success if unchanged && word.plain() && !slow => {
                self.count_in_windows(word);
                return;
            }
            // A result that says nothing about the dependency only frees the permit of a probe.
            Outcome::Ignored if unchanged && word.admits() => {
                self.front.counts.add_one(Ignored);
                return;
            }
            _ => {}
        }
        let count = match outcome {
            Outcome::Success => None,
            Outcome::Failure { .. } => Some(Failure),
            Outcome::Ignored => Some(Ignored),
            Outcome::Abandoned => Some(Abandoned),
        };
        let ended = Ended { outcome, slow, cause };
        let (counted, word) = self.record_in_machine(ticket, ended, end.unwrap_or_else(|| self.clock.now()));
        match (count, counted) {
            (Some(count), _) => self.front.counts.add_one(count),
            (None, Counted::ForLife) => self.front.counts.add_one(SuccessForLife),
            (None, Counted::InWindows) => self.count_in_windows(word),
        }
    }

    /// Records a result in the machine; returns how to count a success, and the word at that moment.
    #[cold]
    fn record_in_machine(&self, ticket: Ticket, ended: Ended, now: Tick) -> (Counted, Word) {
        let at = self.moment(now);
        let mut machine = self.machine.lock();
        let reading = self.read(&machine, at.coarse);
        let counted = machine.record(ticket.word.generation(), ended, at, &reading);
        self.show(&machine);
        let word = machine.word();
        self.deliver(machine);
        (counted, word)
    }

    /// Counts a success in the windows of the rules.
    #[inline(never)]
    fn count_in_windows(&self, word: Word) {
        let (stripe, _) = self.front.counts.add_and_read(success(word.generation()), 1);
        if word.timed() > 0 {
            let coarse = self.clock.coarse();
            for window in self.rolling[..word.timed()].iter().filter_map(OnceLock::get) {
                window.count_at(stripe, word.generation(), coarse.as_nanos());
            }
        }
    }

    /// The time and the random sample of an event; taken before the lock.
    fn moment(&self, now: Tick) -> Moment {
        Moment {
            now,
            coarse: self.clock.coarse(),
            draw: self.random.unit(),
        }
    }

    /// Reads the successes that were counted outside the machine. Under the lock, so that no reading shows less than the one
    /// before it.
    fn read(&self, machine: &Machine, coarse: Tick) -> Reading {
        let mut rolling = [[0; BUCKETS]; TIMED];
        for (counts, window) in rolling.iter_mut().zip(&self.rolling[..machine.timed().len()]) {
            if let Some(window) = window.get() {
                *counts = window.counts(machine.word().generation(), coarse.as_nanos());
            }
        }
        Reading {
            successes: SUCCESSES.map(|count| self.front.counts.sum(count)),
            rolling,
        }
    }

    /// Publishes what callers read without the lock; called under it.
    fn show(&self, machine: &Machine) {
        for (window, bucket) in self.rolling.iter().zip(machine.timed()) {
            window.get_or_init(|| {
                let stripes = self.front.counts.stripes_alike(StripedRolling::WORDS);
                StripedRolling::on(&stripes, nanos(*bucket))
            });
        }
        let slow = machine.config().slow_call.map_or(u64::MAX, nanos);
        let refuses_until = machine.refuses_until().as_nanos();
        // Relaxed: published by the word below; only the thread that holds the lock writes these three.
        self.front.slow_nanos.store(slow, Ordering::Relaxed);
        self.front.refuses_until.store(refuses_until, Ordering::Relaxed);
        let word = machine.word();
        // Relaxed: as above. An unchanged word is not written, so that during a run of failures the cache line stays with
        // its readers.
        if word.0 != self.front.word.load(Ordering::Relaxed) {
            // Release: publishes the two above to threads that see this word.
            self.front.word.store(word.0, Ordering::Release);
        }
    }

    /// Releases the lock and delivers the events.
    fn deliver(&self, mut machine: MutexGuard<'_, Machine>) {
        let news = machine.take_news();
        if news.is_empty() {
            return;
        }
        self.outbox.put(news);
        drop(machine);
        self.outbox.deliver();
    }

    pub(super) fn force(&self, to: Forced) {
        let at = self.moment(self.clock.now());
        let mut machine = self.machine.lock();
        let reading = self.read(&machine, at.coarse);
        machine.force(to, at, &reading);
        self.show(&machine);
        self.deliver(machine);
    }

    /// Changes the settings, which must have been checked.
    pub(super) fn change(&self, config: CircuitBreakerConfig) {
        let at = self.moment(self.clock.now());
        let mut machine = self.machine.lock();
        let reading = self.read(&machine, at.coarse);
        machine.change(config, at, &reading);
        for (window, bucket) in self.rolling.iter().zip(machine.timed()) {
            if let Some(window) = window.get() {
                window.restart(nanos(*bucket));
            }
        }
        self.show(&machine);
        self.deliver(machine);
    }

    pub(super) fn config(&self) -> CircuitBreakerConfig {
        *self.machine.lock().config()
    }

    /// Makes an open circuit half-open before its time, because a health probe has found the dependency well.
    pub(super) fn recovered(&self) {
        let at = self.moment(self.clock.now());
        let mut machine = self.machine.lock();
        machine.recovered(at);
        self.show(&machine);
        self.deliver(machine);
    }

    /// Whether a health probe could make it half-open now.
    pub(super) fn is_probed(&self) -> bool {
        self.machine.lock().is_probed()
    }

    pub(super) fn metrics(&self) -> CircuitMetrics {
        let state_transitions = self.machine.lock().transitions();
        let [
            success_count,
            failure_count,
            ignored_count,
            abandoned_count,
            rejection_count,
        ] = [
            SUCCESSES.map(|count| self.front.counts.sum(count)).iter().sum::<u64>()
                + self.front.counts.sum(SuccessForLife),
            self.front.counts.sum(Failure),
            self.front.counts.sum(Ignored),
            self.front.counts.sum(Abandoned),
            self.front.counts.sum(Refused),
        ];
        CircuitMetrics {
            total_requests: success_count + failure_count + ignored_count + abandoned_count + rejection_count,
            success_count,
            failure_count,
            ignored_count,
            abandoned_count,
            rejection_count,
            state_transitions,
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let metrics = self.metrics();
        let (now, coarse) = (self.clock.now(), self.clock.coarse());
        let mut machine = self.machine.lock();
        let reading = self.read(&machine, coarse);
        machine.snapshot(now, coarse, &reading, metrics)
    }
}

/// The counter of a success that belongs into the windows.
#[inline]
fn success(generation: u64) -> CircuitCount {
    match generation % 4 {
        0 => Success0,
        1 => Success1,
        2 => Success2,
        _ => Success3,
    }
}
