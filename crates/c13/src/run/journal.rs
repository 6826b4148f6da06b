//! A circuit breaker that outlives its process: a journal of the last runs, which are replayed to the library's own breaker
//! in virtual time. Pure but for that.

use std::fmt::Write as _;
use std::time::Duration;

use c13_reliability::ConfigError;
use c13_reliability::patterns::circuit_breaker::{CircuitBreaker, CircuitBreakerConfig, OwnedPermit};
use c13_reliability::sync::Random;
use c13_reliability::time::{Env, Tick, VirtualTime};

/// The runs that were admitted last, from the oldest, in microseconds of the calendar's clock.
///
/// As text, a run a line: its number, its start, its end or `-`, and its result: `ok`, `failed`, or `-`. If its
/// process holds a lease, the end of that follows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Journal {
    runs: Vec<JournalRun>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct JournalRun {
    number: u64,
    start: u64,
    /// When it ended and whether well; `None` while it runs.
    end: Option<(u64, bool)>,
    /// Until when it is taken to run, if it has not ended: its process renews that as long as it lives.
    lease: Option<u64>,
}

/// How long a run is taken to run after its process was last heard of.
pub(crate) const LEASE: Duration = Duration::from_secs(15);

/// The runs that are remembered: more than the windows of the profiles look at.
const MOST_RUNS: usize = 128;

/// The breaker's answer to a run that wants to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CircuitAnswer {
    /// It may, under this number.
    Admitted(u64),
    /// The circuit is open, for so long where that is known.
    Open(Option<Duration>),
}

impl Journal {
    /// Reads a journal; `None` where it is damaged.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let run = |line: &str| {
            let mut words = line.split(' ');
            let (number, start) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            let end = match (words.next()?, words.next()?) {
                ("-", "-") => None,
                (end, "ok") => Some((end.parse().ok()?, true)),
                (end, "failed") => Some((end.parse().ok()?, false)),
                _ => return None,
            };
            let lease = words.next().map(str::parse).transpose().ok()?;
            let makes_sense = match end {
                None => true,
                Some((end, _)) => end >= start && lease.is_none(),
            };
            // After the last number there is no next one.
            (makes_sense && number < u64::MAX && words.next().is_none()).then_some(JournalRun {
                number,
                start,
                end,
                lease,
            })
        };
        let runs: Vec<JournalRun> = text.lines().map(run).collect::<Option<_>>()?;
        (runs.len() <= MOST_RUNS).then_some(Self { runs })
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for JournalRun {
            number,
            start,
            end,
            lease,
        } in &self.runs
        {
            // Writing to a string cannot fail.
            let _ = match (end, lease) {
                (None, None) => writeln!(text, "{number} {start} - -"),
                (None, Some(lease)) => writeln!(text, "{number} {start} - - {lease}"),
                (Some((end, ok)), _) => writeln!(text, "{number} {start} {end} {}", if *ok { "ok" } else { "failed" }),
            };
        }
        text
    }

    /// Asks for another run of `key` at `now`, and records it if it may begin.
    pub(crate) fn admit(
        &mut self,
        key: &str,
        config: CircuitBreakerConfig,
        now: u64,
    ) -> Result<CircuitAnswer, ConfigError> {
        self.rebase(now);
        let replayed = Replay::of(&self.runs, key, config, now)?;
        match replayed.breaker.try_acquire_owned() {
            Ok(permit) => {
                drop(permit);
                let number = self.runs.iter().map(|run| run.number).max().map_or(1, |last| last + 1);
                let run = JournalRun {
                    number,
                    start: now,
                    end: None,
                    lease: None,
                };
                self.runs.push(run);
                let over = self.runs.len().saturating_sub(MOST_RUNS);
                self.runs.drain(..over);
                Ok(CircuitAnswer::Admitted(number))
            }
            Err(refused) => Ok(CircuitAnswer::Open(refused.retry_after)),
        }
    }

    /// Records the result of a run; `None` removes the run, because its end says nothing about the circuit.
    pub(crate) fn record(&mut self, number: u64, now: u64, ok: Option<bool>) {
        self.rebase(now);
        match ok {
            None => self.forget(number),
            Some(ok) => {
                if let Some(run) = self.runs.iter_mut().find(|run| run.number == number) {
                    (run.end, run.lease) = (Some((now.max(run.start), ok)), None);
                }
            }
        }
    }

    /// The runs that have not ended.
    pub(crate) fn running(&self) -> Vec<u64> {
        let running = self.runs.iter().filter(|run| run.end.is_none());
        running.map(|run| run.number).collect()
    }

    /// Forgets a run whose process has died: that says nothing about what it called.
    pub(crate) fn forget(&mut self, number: u64) {
        self.runs.retain(|run| run.number != number);
    }

    /// Gives a run that has not ended a lease from now on.
    pub(crate) fn keep(&mut self, number: u64, now: u64) {
        self.rebase(now);
        let running = |run: &&mut JournalRun| run.number == number && run.end.is_none();
        if let Some(run) = self.runs.iter_mut().find(running) {
            run.lease = Some(now.saturating_add(LEASE.as_micros() as u64));
        }
    }

    /// Moves all runs back so far that none is in the future: a calendar that was ahead, by an hour or by a year, is taken
    /// for one that was right when the last of them was written down. So an open circuit stays open for its time from now,
    /// and no longer.
    fn rebase(&mut self, now: u64) {
        let times = self.runs.iter().map(|run| run.end.map_or(run.start, |(end, _)| end));
        let ahead = times.max().unwrap_or(0).saturating_sub(now);
        if ahead > 0 {
            for run in &mut self.runs {
                run.start = run.start.saturating_sub(ahead);
                run.end = run.end.map(|(end, ok)| (end.saturating_sub(ahead), ok));
                run.lease = run.lease.map(|lease| lease.saturating_sub(ahead));
            }
        }
        // A process that has not renewed its lease is dead; no lease is longer than its whole time from now.
        self.runs.retain(|run| run.lease.is_none_or(|lease| lease > now));
        let longest = now.saturating_add(LEASE.as_micros() as u64);
        for run in &mut self.runs {
            run.lease = run.lease.map(|lease| lease.min(longest));
        }
    }
}

/// A breaker that has been through all runs.
struct Replay {
    breaker: CircuitBreaker,
    /// The permits of runs that have not ended. Dropped, they would be taken for abandoned.
    _running: Vec<(u64, OwnedPermit)>,
}

impl Replay {
    fn of(runs: &[JournalRun], key: &str, config: CircuitBreakerConfig, now: u64) -> Result<Self, ConfigError> {
        let time = VirtualTime::new();
        // The same jitter in every process, so that all agree when an open circuit may be tried.
        let breaker = CircuitBreaker::with_config(config, Env::new(time.clock()).random(Random::stream(0, key)))?;
        let origin = runs.iter().map(|run| run.start).min().unwrap_or(now);
        let at = |micros: u64| Tick::from_nanos(micros.saturating_sub(origin).saturating_add(1).saturating_mul(1_000));
        let starts = runs.iter().map(|run| (run.start, run.number, None));
        let ends = runs
            .iter()
            .filter_map(|run| run.end.map(|(end, ok)| (end, run.number, Some(ok))));
        let mut events: Vec<(u64, u64, Option<bool>)> = starts.chain(ends).collect();
        // A run starts before it ends, also where the clock has not moved in between.
        events.sort_by_key(|(time, number, ok)| (*time, *number, ok.is_some()));
        let mut running: Vec<(u64, OwnedPermit)> = Vec::new();
        for (micros, number, ok) in events {
            time.advance_to(at(micros));
            match ok {
                None => running.extend(breaker.try_acquire_owned().ok().map(|permit| (number, permit))),
                Some(ok) => {
                    let Some(place) = running.iter().position(|(of, _)| *of == number) else {
                        continue;
                    };
                    let (_, permit) = running.swap_remove(place);
                    if ok { permit.success() } else { permit.failure() }
                }
            }
        }
        time.advance_to(at(now));
        Ok(Self {
            breaker,
            _running: running,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;
    const NOW: u64 = 1_700_000_000 * SECOND;

    fn config() -> CircuitBreakerConfig {
        CircuitBreakerConfig::new()
            .consecutive_failures(3)
            .success_threshold(2)
            .half_open_calls(1)
            .open_for(Duration::from_secs(30))
    }

    /// Asks through the text, as processes do.
    fn admit(journal: &mut Journal, now: u64) -> CircuitAnswer {
        *journal = Journal::read(&journal.text()).expect("it is whole");
        journal.admit("key", config(), now).expect("the settings are right")
    }

    fn run(journal: &mut Journal, now: u64, ok: bool) {
        match admit(journal, now) {
            CircuitAnswer::Admitted(number) => journal.record(number, now + SECOND / 10, Some(ok)),
            open => panic!("{open:?}"),
        }
    }

    fn tripped() -> Journal {
        let mut journal = Journal::default();
        (0..3).for_each(|second| run(&mut journal, NOW + second * SECOND, false));
        journal
    }

    #[test]
    fn failures_of_several_processes_open_the_circuit_for_its_time() {
        let mut journal = tripped();
        let open = NOW + 2 * SECOND + SECOND / 10;
        match admit(&mut journal, open + SECOND) {
            CircuitAnswer::Open(Some(left)) => assert_eq!(left, Duration::from_secs(29)),
            other => panic!("{other:?}"),
        }
        assert!(matches!(
            admit(&mut journal, open + 30 * SECOND),
            CircuitAnswer::Admitted(_)
        ));
    }

    #[test]
    fn a_half_open_circuit_lets_one_probe_run_at_a_time() {
        let mut journal = tripped();
        let later = NOW + 60 * SECOND;
        let CircuitAnswer::Admitted(probe) = admit(&mut journal, later) else {
            panic!("its time is up");
        };
        assert!(
            matches!(admit(&mut journal, later + SECOND), CircuitAnswer::Open(_)),
            "a probe runs"
        );
        journal.record(probe, later + SECOND, Some(true));
        run(&mut journal, later + 2 * SECOND, true);
        // Closed: one failure is none, and several run at a time.
        run(&mut journal, later + 3 * SECOND, false);
        assert!(matches!(
            admit(&mut journal, later + 4 * SECOND),
            CircuitAnswer::Admitted(_)
        ));
        assert!(matches!(
            admit(&mut journal, later + 4 * SECOND),
            CircuitAnswer::Admitted(_)
        ));
    }

    #[test]
    fn a_probe_whose_process_has_died_lets_the_next_one_probe() {
        let later = NOW + 60 * SECOND;
        let lease = LEASE.as_micros() as u64;
        let probing = || {
            let mut journal = tripped();
            let CircuitAnswer::Admitted(probe) = admit(&mut journal, later) else {
                panic!("its time is up");
            };
            (journal, probe)
        };
        // Its lease is renewed once and then no more.
        let (mut journal, probe) = probing();
        journal.keep(probe, later);
        assert!(matches!(admit(&mut journal, later + lease - 1), CircuitAnswer::Open(_)));
        journal.keep(probe, later + lease - 1);
        assert!(matches!(
            admit(&mut journal, later + 2 * lease - 2),
            CircuitAnswer::Open(_)
        ));
        let CircuitAnswer::Admitted(next) = admit(&mut journal, later + 2 * lease - 1) else {
            panic!("nobody probes any more");
        };
        assert_eq!(journal.running(), [next]);
        // It is seen to be dead.
        let (mut journal, probe) = probing();
        assert_eq!(journal.running(), [probe]);
        journal.forget(probe);
        assert!(matches!(
            admit(&mut journal, later + SECOND),
            CircuitAnswer::Admitted(_)
        ));
        // A lease from a clock that was a year ahead is taken for the longest there is.
        let (mut journal, probe) = probing();
        journal.keep(probe, later + 365 * 86_400 * SECOND);
        assert!(matches!(admit(&mut journal, later + SECOND), CircuitAnswer::Open(_)));
        assert!(matches!(
            admit(&mut journal, later + SECOND + lease),
            CircuitAnswer::Admitted(_)
        ));
    }

    #[test]
    fn a_run_that_says_nothing_leaves_no_trace() {
        let mut journal = Journal::default();
        let CircuitAnswer::Admitted(number) = admit(&mut journal, NOW) else {
            panic!("a new circuit is closed");
        };
        journal.record(number, NOW + SECOND, None);
        assert_eq!(journal, Journal::default());
    }

    #[test]
    fn a_calendar_that_is_set_back_reopens_nothing_and_blocks_nobody_for_longer() {
        let mut journal = tripped();
        match admit(&mut journal, NOW - 3_600 * SECOND) {
            CircuitAnswer::Open(Some(left)) => assert_eq!(left, Duration::from_secs(30)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_circuit_that_opened_when_the_clock_was_ahead_is_open_for_its_time_and_no_longer() {
        for ahead in [SECOND, 3_600 * SECOND, 365 * 86_400 * SECOND, u64::MAX / 2] {
            let mut journal = Journal::default();
            (0..3).for_each(|second| run(&mut journal, NOW + ahead + second * SECOND, false));
            let left = |journal: &mut Journal, now: u64| match admit(journal, now) {
                CircuitAnswer::Open(left) => left,
                CircuitAnswer::Admitted(_) => None,
            };
            assert_eq!(left(&mut journal, NOW), Some(Duration::from_secs(30)), "{ahead}");
            // Being asked does not begin its time anew.
            assert_eq!(
                left(&mut journal, NOW + 29 * SECOND),
                Some(Duration::from_secs(1)),
                "{ahead}"
            );
            assert_eq!(left(&mut journal, NOW + 30 * SECOND), None, "{ahead}");
        }
    }

    #[test]
    fn a_run_that_began_when_the_clock_was_ahead_ends_after_its_start() {
        let mut journal = Journal::default();
        let CircuitAnswer::Admitted(number) = admit(&mut journal, NOW + 3_600 * SECOND) else {
            panic!("a new circuit is closed");
        };
        journal.record(number, NOW, Some(false));
        assert_eq!(Journal::read(&journal.text()), Some(journal.clone()));
        assert!(journal.runs[0].end.is_some_and(|(end, _)| end == NOW));
    }

    #[test]
    fn a_journal_is_bounded_and_survives_what_it_cannot_read() {
        let mut journal = Journal::default();
        (0..200).for_each(|second| run(&mut journal, NOW + second * SECOND, true));
        assert_eq!(journal.runs.len(), MOST_RUNS);
        let whole = journal.text();
        assert_eq!(Journal::read(&whole), Some(journal));
        assert_eq!(Journal::read(""), Some(Journal::default()));
        for damaged in [
            "nonsense\n",
            "1 2\n",
            "3 4 5 maybe\n",
            "6 7 - -\n3 4 5\n",
            "8 9 7 ok\n",
            "6 7 - - x\n",
            "6 7 8 ok 9\n",
            "6 7 - - 8 9\n",
            &whole.repeat(2),
        ] {
            assert_eq!(Journal::read(damaged), None, "{damaged}");
        }
    }
}
