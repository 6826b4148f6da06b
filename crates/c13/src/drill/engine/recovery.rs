//! Judges when goodput was back after a fault, against a run of the same arrivals without faults, with a margin for chance.
//!
//! Goodput of the two runs is compared in windows that start at each second. A window is *down* if the run lost more than 1 % of
//! the goodput of the other run, by five standard deviations; it is *up* if it lost no more than that by two. Between the two
//! nothing changes (hysteresis). The standard deviation is that of two binomial shares, widened where the run without faults
//! itself varies more than a binomial share does, as it does where calls are lost in bursts. A window lasts at least 10 s, and
//! longer where 10 s have too few calls. All the time up to the next fault is one more window: it finds the small loss that lasts.

use std::ops::Range;
use std::time::Duration;

use super::measure::SecondCounts;

/// The shortest window, in seconds.
const SHORTEST: usize = 10;
/// As many calls as a window has if there is time.
pub(crate) const WINDOW_CALLS: f64 = 1_000.0;
/// The share of the goodput without faults whose loss does not matter.
const MARGIN: f64 = 0.01;
/// From this many standard deviations on a window is down.
const DOWN: f64 = 5.0;
/// Up to this many it is up.
const UP: f64 = 2.0;
/// Fewer calls than these say nothing: a loss of ten points would not show.
pub(crate) const LEAST_CALLS: u64 = 300;
/// The median of the square of a standard normal variable.
const MEDIAN_SQUARE: f64 = 0.454_936;

/// When goodput was back after a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recovery {
    /// It was never down.
    NotDown,
    /// It was down, and back for good so long after the fault's end.
    After(Duration),
    /// It was down until the drill ended.
    Never,
    /// It was down until the next fault began, so long after this one's end.
    NotBeforeNext(Duration),
    /// It cannot be judged, for this reason.
    NotJudged(&'static str),
}

/// The reason for which too few calls are not judged.
pub(crate) const TOO_FEW: &str = "too few calls";
/// The reason for which a fault is not judged that another one follows within less than a window.
pub(crate) const NEXT_TOO_SOON: &str = "the next fault came too soon";
/// The reason for which nothing is judged where no call is in time.
const NO_GOODPUT: &str = "no goodput without faults either";

/// Goodput of a run beside that of the run without faults, by the second.
pub(crate) struct Comparison {
    /// The counts of all seconds before each.
    sums: Vec<[Sum; 2]>,
}

/// The run, and the one without faults.
const RUN: usize = 0;
const CONTROL: usize = 1;

#[derive(Clone, Copy, Default)]
struct Sum {
    calls: u64,
    good: u64,
}

impl Sum {
    /// The share of good calls, and its variance. Both are of one good and one lost call more, so that no variance is zero.
    fn share(self) -> (f64, f64) {
        let (calls, good) = (self.calls as f64, self.good as f64);
        let smooth = (good + 1.0) / (calls + 2.0);
        (good / calls, smooth * (1.0 - smooth) / calls)
    }
}

impl Comparison {
    pub(crate) fn new(run: &[SecondCounts], control: &[SecondCounts]) -> Self {
        let seconds = run.len().max(control.len());
        let mut sums = Vec::with_capacity(seconds + 1);
        let mut so_far = [Sum::default(); 2];
        sums.push(so_far);
        for second in 0..seconds {
            for (sum, counts) in so_far.iter_mut().zip([run, control]) {
                let counts = counts.get(second).copied().unwrap_or_default();
                sum.calls += u64::from(counts.requests);
                sum.good += u64::from(counts.good);
            }
            sums.push(so_far);
        }
        Self { sums }
    }

    /// The counts of both runs in some seconds.
    fn within(&self, seconds: &Range<usize>) -> [Sum; 2] {
        let last = self.sums.len() - 1;
        let (from, to) = (self.sums[seconds.start.min(last)], self.sums[seconds.end.min(last)]);
        [RUN, CONTROL].map(|of| Sum {
            calls: to[of].calls.saturating_sub(from[of].calls),
            good: to[of].good.saturating_sub(from[of].good),
        })
    }

    /// Judges the fault that lasts `during`; the next one begins at `until`, or `until` is the end of the drill and `is_last` set.
    pub(crate) fn judge(&self, during: Range<Duration>, until: Duration, is_last: bool) -> Recovery {
        let start = during.start.as_secs() as usize;
        let end = during.end.as_secs_f64().ceil() as usize;
        // What is left of the last second counts; the first second of the next fault does not.
        let until_second = if is_last {
            until.as_secs_f64().ceil()
        } else {
            until.as_secs_f64().floor()
        } as usize;
        if until_second < end + SHORTEST {
            return Recovery::NotJudged(NEXT_TOO_SOON);
        }
        let [run, control] = self.within(&(start..until_second));
        if control.calls > 0 && control.good == 0 {
            return Recovery::NotJudged(NO_GOODPUT);
        }
        let window = self.window(start..until_second).min(until_second - end);
        let spread = self.dispersion();
        let loss = |seconds: Range<usize>| self.loss(&seconds, spread);
        let was_down = loss(start..end) > DOWN || (start..end).any(|from| loss(from..from + window) > DOWN);
        // The first second of the time that it has been up, while it is.
        let mut up_since = (!was_down).then_some(end);
        for from in end..=until_second - window {
            let worst = loss(from..from + window).max(loss(from..until_second));
            up_since = match up_since {
                Some(_) if worst > DOWN => None,
                None if worst <= UP => Some(from),
                same => same,
            };
        }
        let [after, _] = self.within(&(up_since.unwrap_or(end)..until_second));
        match up_since {
            Some(second) if second == end && !was_down => match run.calls < LEAST_CALLS {
                true => Recovery::NotJudged(TOO_FEW),
                false => Recovery::NotDown,
            },
            _ if after.calls < LEAST_CALLS => Recovery::NotJudged(TOO_FEW),
            Some(second) if second == end => Recovery::After(Duration::ZERO),
            Some(second) => Recovery::After(Duration::from_secs(second as u64).saturating_sub(during.end)),
            None if is_last => Recovery::Never,
            None => Recovery::NotBeforeNext(until - during.end),
        }
    }

    /// How many seconds a window has, so that it has enough calls at the mean rate of these seconds.
    fn window(&self, seconds: Range<usize>) -> usize {
        let [run, _] = self.within(&seconds);
        let rate = run.calls as f64 / seconds.len().max(1) as f64;
        let wanted = if rate > 0.0 { (WINDOW_CALLS / rate).ceil() } else { 0.0 };
        (wanted as usize).max(SHORTEST)
    }

    /// How far goodput in some seconds is below that without faults, beyond the margin, in standard deviations. Without calls
    /// there is no loss.
    fn loss(&self, seconds: &Range<usize>, dispersion: f64) -> f64 {
        let [run, control] = self.within(seconds);
        if run.calls == 0 || control.calls == 0 {
            return 0.0;
        }
        let ((run, of_run), (control, of_control)) = (run.share(), control.share());
        let deviation = (dispersion * (of_run + of_control)).sqrt();
        ((1.0 - MARGIN) * control - run) / deviation
    }

    /// How many times the variance of a binomial share the run without faults has from one window to the next, at least 1. By
    /// the median, so that a step of the load or a single burst does not count, and less what chance may have added to it.
    fn dispersion(&self) -> f64 {
        let shares: Vec<(f64, f64)> = (0..self.sums.len() / SHORTEST)
            .map(|index| self.within(&(index * SHORTEST..(index + 1) * SHORTEST))[CONTROL])
            .filter(|sum| sum.calls > 0)
            .map(Sum::share)
            .collect();
        let mut squares: Vec<f64> = shares
            .windows(2)
            .map(|pair| (pair[0].0 - pair[1].0).powi(2) / (pair[0].1 + pair[1].1))
            .collect();
        squares.sort_by(f64::total_cmp);
        let chance = 1.0 - 2.0 / (squares.len().max(1) as f64).sqrt();
        squares
            .get(squares.len() / 2)
            .map_or(1.0, |median| (chance * median / MEDIAN_SQUARE).max(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use c13_reliability::sync::Random;

    /// Seconds with so many calls each, of which so many were good.
    fn run(calls: u32, good: &[u32]) -> Vec<SecondCounts> {
        let second = |good: &u32| SecondCounts {
            requests: calls,
            good: *good,
            through: 0,
        };
        good.iter().map(second).collect()
    }

    /// Judges a fault against a run in which every call is good.
    fn judge(good: &[u32], during: Range<u64>) -> Recovery {
        let comparison = Comparison::new(&run(100, good), &run(100, &vec![100; good.len()]));
        let seconds = Duration::from_secs;
        comparison.judge(
            seconds(during.start)..seconds(during.end),
            seconds(good.len() as u64),
            true,
        )
    }

    fn after(seconds: u64) -> Recovery {
        Recovery::After(Duration::from_secs(seconds))
    }

    #[test]
    fn a_run_that_comes_back_has_recovered_where_ten_good_seconds_begin() {
        let mut good = vec![100; 60];
        good[20..33].fill(0);
        assert_eq!(judge(&good, 20..30), after(3));
        good[33] = 95;
        assert_eq!(judge(&good, 20..30), after(3), "95 and nine times 100 are 99.5 of 100");
    }

    #[test]
    fn a_run_that_falls_again_has_recovered_only_after_that() {
        let mut good = vec![100; 80];
        good[20..30].fill(0);
        good[50] = 0;
        assert_eq!(judge(&good, 20..30), after(21));
    }

    #[test]
    fn a_run_that_stays_down_has_never_recovered() {
        let mut good = vec![100; 60];
        good[20..].fill(90);
        assert_eq!(judge(&good, 20..30), Recovery::Never);
    }

    #[test]
    fn a_run_that_was_never_down_is_said_not_to_have_been() {
        assert_eq!(judge(&[100; 60], 20..30), Recovery::NotDown);
    }

    #[test]
    fn a_run_that_was_down_in_the_fault_alone_has_recovered_at_once() {
        let mut good = vec![100; 60];
        good[20..30].fill(0);
        assert_eq!(judge(&good, 20..30), after(0));
    }

    #[test]
    fn too_short_an_end_proves_no_recovery() {
        assert_eq!(judge(&[100; 39], 20..30), Recovery::NotJudged(NEXT_TOO_SOON));
        assert_eq!(judge(&[100; 40], 20..30), Recovery::NotDown);
    }

    #[test]
    fn too_few_calls_prove_nothing() {
        let few = |good: &[u32]| {
            let comparison = Comparison::new(&run(2, good), &run(2, &vec![2; good.len()]));
            comparison.judge(
                Duration::from_secs(20)..Duration::from_secs(30),
                Duration::from_secs(60),
                true,
            )
        };
        assert_eq!(few(&[2; 60]), Recovery::NotJudged(TOO_FEW));
        let mut good = vec![2; 60];
        good[20..].fill(0);
        assert_eq!(few(&good), Recovery::NotJudged(TOO_FEW));
    }

    #[test]
    fn without_goodput_in_either_run_nothing_is_judged() {
        let comparison = Comparison::new(&run(100, &[0; 60]), &run(100, &[0; 60]));
        let verdict = comparison.judge(
            Duration::from_secs(20)..Duration::from_secs(30),
            Duration::from_secs(60),
            true,
        );
        assert_eq!(verdict, Recovery::NotJudged(NO_GOODPUT));
    }

    #[test]
    fn a_fault_that_ends_within_a_second_and_the_end_of_the_load_are_no_loss() {
        let good = vec![100; 60];
        let comparison = Comparison::new(&run(100, &good), &run(100, &good));
        let millis = Duration::from_millis;
        assert_eq!(
            comparison.judge(millis(20_000)..millis(30_500), millis(60_000), true),
            Recovery::NotDown
        );
        let mut silent = run(100, &good);
        silent[25..].fill(SecondCounts::default());
        let comparison = Comparison::new(&silent, &silent);
        assert_eq!(
            comparison.judge(millis(20_000)..millis(30_000), millis(60_000), true),
            Recovery::NotDown
        );
    }

    #[test]
    fn a_run_that_is_down_until_the_next_fault_has_not_recovered_before_it() {
        let mut good = vec![100; 60];
        good[20..].fill(0);
        let comparison = Comparison::new(&run(100, &good), &run(100, &[100; 60]));
        let seconds = Duration::from_secs;
        assert_eq!(
            comparison.judge(seconds(20)..seconds(30), seconds(55), false),
            Recovery::NotBeforeNext(seconds(25))
        );
    }

    /// Seconds with so many calls each, of which each is good with this probability.
    fn drawn(random: &Random, calls: u32, good: impl Fn(usize) -> f64, seconds: usize) -> Vec<SecondCounts> {
        let second = |second| SecondCounts {
            requests: calls,
            good: (0..calls).map(|_| u32::from(random.unit() < good(second))).sum(),
            through: 0,
        };
        (0..seconds).map(second).collect()
    }

    /// Of 200 runs of 7 minutes with a fault in the second, how many are said to have recovered late or never.
    fn late_or_never(rate: u32, without: f64, after_fault: f64) -> usize {
        let (fault, end) = (60..90, 420);
        let is_late = |seed: u64| {
            let random = Random::new(seed);
            let share = |second: usize| match second {
                second if second < fault.start => without,
                second if second < fault.end => without * 0.5,
                _ => after_fault,
            };
            let run = drawn(&random, rate, share, end);
            let control = drawn(&random, rate, |_| without, end);
            let seconds = |second: usize| Duration::from_secs(second as u64);
            let verdict =
                Comparison::new(&run, &control).judge(seconds(fault.start)..seconds(fault.end), seconds(end), true);
            match verdict {
                Recovery::Never => true,
                Recovery::After(time) => time > Duration::from_secs(10),
                other => panic!("seed {seed}: {other:?}"),
            }
        };
        (0..200).filter(|seed| is_late(*seed)).count()
    }

    #[test]
    fn chance_is_taken_for_a_loss_in_at_most_one_seed_of_a_hundred() {
        for (rate, without) in [(20, 0.99), (20, 0.6), (50, 0.9), (100, 0.99)] {
            let late = late_or_never(rate, without, without);
            assert!(late <= 2, "{late} of 200 at {rate}/s and {without}");
        }
    }

    #[test]
    fn a_lasting_loss_of_five_points_is_found_in_99_seeds_of_a_hundred() {
        for (rate, without) in [(20, 1.0), (20, 0.99), (50, 0.95), (100, 0.9)] {
            let late = late_or_never(rate, without, without - 0.05);
            assert!(late >= 198, "{late} of 200 at {rate}/s and {without}");
        }
    }
}
