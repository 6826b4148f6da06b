//! When ticks are due, which task runs next, and the outcome of a run: decisions as values.

use super::config::{MissedTicks, TaskConfig};
use crate::time::Tick;
use std::cmp::Reverse;
use std::time::Duration;

/// One tick of a periodic task, as the task sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Beat {
    /// Its number, from 0. It is due at the start plus the number of periods, exactly.
    pub number: u64,
    /// When it was due, by the scheduler's clock.
    pub due: Tick,
    /// How long after that it began.
    pub lateness: Duration,
    /// How many ticks before it were skipped since the task last ran.
    pub missed: u64,
}

/// The outcome of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Finish {
    pub(super) run_time: Duration,
    /// By how much it missed its deadline, if it did.
    pub(super) over_deadline: Option<Duration>,
}

/// Ticks that are skipped: the number of the first, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) first: u64,
    pub(super) count: u64,
}

/// The ticks of one task.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timetable {
    config: TaskConfig,
    start: Tick,
    next: u64,
    missed: u64,
}

impl Timetable {
    pub(super) fn new(config: TaskConfig, start: Tick) -> Self {
        Self {
            config,
            start: start + config.phase,
            next: 0,
            missed: 0,
        }
    }

    /// When tick `number` is due: computed from the start each time, so that nothing adds up.
    fn due(&self, number: u64) -> Tick {
        let period = self.config.period.as_nanos() as u64;
        Tick::from_nanos(self.start.as_nanos().saturating_add(number.saturating_mul(period)))
    }

    pub(super) fn next_due(&self) -> Tick {
        self.due(self.next)
    }

    /// The number of the latest tick that is due at `now`; only asked once one is.
    fn latest(&self, now: Tick) -> u64 {
        ((now - self.start).as_nanos() / self.config.period.as_nanos()) as u64
    }

    /// Takes the next tick, which must be due, and decides which ticks are skipped for it.
    pub(super) fn begin(&mut self, now: Tick) -> (Beat, Option<Gap>) {
        let latest = self.latest(now).max(self.next);
        let gap = match self.config.missed {
            // The next tick runs late, those that came due since are skipped.
            MissedTicks::Skip | MissedTicks::Report => Gap {
                first: self.next + 1,
                count: latest - self.next,
            },
            // The oldest are skipped, as far as there are too many.
            MissedTicks::CatchUp { at_most } => Gap {
                first: self.next,
                count: (latest - self.next).saturating_sub(u64::from(at_most)),
            },
        };
        let skip = !matches!(self.config.missed, MissedTicks::CatchUp { .. });
        let number = if skip { self.next } else { self.next + gap.count };
        let before = if skip { 0 } else { gap.count };
        let due = self.due(number);
        let beat = Beat {
            number,
            due,
            lateness: now - due,
            missed: self.missed + before,
        };
        self.next = if skip { latest + 1 } else { number + 1 };
        self.missed = if skip { gap.count } else { 0 };
        (beat, (gap.count > 0).then_some(gap))
    }

    /// The outcome of a run of `beat` that took from `started` to `ended`.
    pub(super) fn finish(&self, beat: &Beat, started: Tick, ended: Tick) -> Finish {
        let deadline = beat.due + self.config.deadline.unwrap_or(self.config.period);
        Finish {
            run_time: ended - started,
            over_deadline: (ended > deadline).then(|| ended - deadline),
        }
    }
}

/// The tasks of one scheduler. Complexity of each question: O(tasks).
#[derive(Debug)]
pub(super) struct Agenda {
    tasks: Vec<Timetable>,
}

impl Agenda {
    pub(super) fn new(configs: impl Iterator<Item = TaskConfig>, start: Tick) -> Self {
        Self {
            tasks: configs.map(|config| Timetable::new(config, start)).collect(),
        }
    }

    /// When the next tick of any task is due.
    pub(super) fn next_due(&self) -> Option<Tick> {
        self.tasks.iter().map(Timetable::next_due).min()
    }

    /// The task to run at `now`: of those with a tick due, the one of the greatest priority; among equals the one that
    /// was due first, and then the one that was added first.
    pub(super) fn pick(&self, now: Tick) -> Option<usize> {
        let due = self.tasks.iter().enumerate().filter(|(_, task)| task.next_due() <= now);
        due.min_by_key(|(index, task)| (Reverse(task.config.priority), task.next_due(), *index))
            .map(|(index, _)| index)
    }

    pub(super) fn task(&mut self, index: usize) -> &mut Timetable {
        &mut self.tasks[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Random;

    const MS: Duration = Duration::from_millis(1);

    fn at(ms: u64) -> Tick {
        Tick::from_nanos(ms * 1_000_000)
    }

    fn table(missed: MissedTicks) -> Timetable {
        Timetable::new(TaskConfig::every(2 * MS).missed(missed), at(0))
    }

    /// The number, the lateness in ms and the missed of the beat that begins at `now`, and the gap that goes with it.
    fn begin(table: &mut Timetable, now: Tick) -> (u64, u128, u64, Option<(u64, u64)>) {
        let (beat, gap) = table.begin(now);
        let gap = gap.map(|gap| (gap.first, gap.count));
        (beat.number, beat.lateness.as_millis(), beat.missed, gap)
    }

    #[test]
    fn tick_n_is_due_at_the_start_plus_n_periods_exactly_however_late_the_ticks_before_were() {
        let random = Random::new(1);
        let period = Duration::from_nanos(2_000_003);
        for missed in [
            MissedTicks::Skip,
            MissedTicks::CatchUp { at_most: 5 },
            MissedTicks::Report,
        ] {
            let start = Tick::from_nanos(12_345);
            let mut table = Timetable::new(TaskConfig::every(period).missed(missed), start);
            for _ in 0..100_000 {
                let late = Duration::from_nanos(random.below(7_000_000));
                let (beat, _) = table.begin(table.next_due() + late);
                assert_eq!(beat.due.as_nanos(), 12_345 + beat.number * 2_000_003);
            }
            let number = table.next;
            assert_eq!(table.next_due().as_nanos(), 12_345 + number * 2_000_003);
        }
    }

    #[test]
    fn skipped_ticks_are_left_out_and_counted() {
        let mut table = table(MissedTicks::Skip);
        assert_eq!(begin(&mut table, at(0)), (0, 0, 0, None));
        assert_eq!(begin(&mut table, at(9)), (1, 7, 0, Some((2, 3))));
        assert_eq!(table.next_due(), at(10));
        assert_eq!(begin(&mut table, at(10)), (5, 0, 3, None));
        assert_eq!(begin(&mut table, at(12)), (6, 0, 0, None));
    }

    #[test]
    fn ticks_are_caught_up_with_at_once_and_within_the_bound() {
        let mut table = table(MissedTicks::CatchUp { at_most: 2 });
        assert_eq!(begin(&mut table, at(0)), (0, 0, 0, None));
        // Ticks 1 to 6 are due; two may wait behind the one that runs.
        assert_eq!(begin(&mut table, at(12)), (4, 4, 3, Some((1, 3))));
        assert_eq!(begin(&mut table, at(12)), (5, 2, 0, None));
        assert_eq!(begin(&mut table, at(12)), (6, 0, 0, None));
        assert_eq!(table.next_due(), at(14));
    }

    #[test]
    fn every_tick_is_either_run_or_counted_as_missed() {
        let random = Random::new(9);
        for missed in [MissedTicks::Skip, MissedTicks::CatchUp { at_most: 3 }] {
            let mut table = table(missed);
            let (mut run, mut left_out, mut told) = (0, 0, 0);
            for _ in 0..10_000 {
                let late = Duration::from_micros(random.below(9_000));
                let (beat, gap) = table.begin(table.next_due() + late);
                run += 1;
                left_out += gap.map_or(0, |gap| gap.count);
                told += beat.missed;
            }
            assert_eq!(run + left_out, table.next);
            assert!(
                told <= left_out && left_out - told <= 5,
                "the last gap may still be untold"
            );
        }
    }

    #[test]
    fn a_run_that_ends_after_its_deadline_says_by_how_much() {
        let config = TaskConfig::every(2 * MS).deadline(MS);
        let mut table = Timetable::new(config, at(0));
        let (beat, _) = table.begin(at(0));
        let finish = |ended| table.finish(&beat, at(0), ended);
        assert_eq!(finish(at(1)).over_deadline, None);
        assert_eq!(finish(at(3)).over_deadline, Some(2 * MS));
        assert_eq!(finish(at(3)).run_time, 3 * MS);
    }

    #[test]
    fn the_most_important_task_runs_first_then_the_one_due_first() {
        let configs = [
            TaskConfig::every(10 * MS),
            TaskConfig::every(4 * MS).priority(1),
            TaskConfig::every(6 * MS),
            TaskConfig::every(2 * MS).phase(MS).priority(1),
        ];
        let mut agenda = Agenda::new(configs.into_iter(), at(0));
        let mut order = Vec::new();
        for ms in 0..=6 {
            while let Some(index) = agenda.pick(at(ms)) {
                agenda.task(index).begin(at(ms));
                order.push((ms, index));
            }
        }
        let expected = [(0, 1), (0, 0), (0, 2), (1, 3), (3, 3), (4, 1), (5, 3), (6, 2)];
        assert_eq!(order, expected);
        assert_eq!(agenda.next_due(), Some(at(7)));
        // Late by much: of equal importance, the one that was due first.
        assert_eq!(agenda.pick(at(50)), Some(3));
        assert_eq!(Agenda::new([].into_iter(), at(0)).next_due(), None);
    }

    #[test]
    fn the_end_of_time_is_no_panic() {
        let mut table = Timetable::new(TaskConfig::every(Duration::from_nanos(u64::MAX)), at(1));
        table.begin(at(1));
        assert_eq!(table.next_due(), Tick::MAX);
    }
}
