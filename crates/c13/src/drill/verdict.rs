//! Whether something holds in so many runs that it is no chance: met, missed, or not decided by the runs that there are.

/// The share of all seeds in which an objective must hold.
const WANTED: f64 = 0.95;
/// A result that is less probable than this is not put down to chance.
const CHANCE: f64 = 0.05;
/// More seeds than these are not asked for.
const MOST_MORE: usize = 1_000;

/// What the runs say of an objective.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It holds in 95 % of the runs or more.
    Met,
    /// It holds in fewer of them, and in fewer of all seeds, but for chance.
    Missed,
    /// It holds in fewer of them, which may be chance. So many more seeds may decide it.
    Undecided { more: usize },
}

impl Verdict {
    /// The verdict of runs of which so many met the objective. One run decides by itself.
    pub(crate) fn of_runs(met: usize, runs: usize) -> Self {
        let misses = runs - met;
        if met as f64 >= WANTED * runs as f64 {
            return Self::Met;
        }
        if at_most(met, runs) <= CHANCE + f64::EPSILON {
            return Self::Missed;
        }
        // With so many runs and no other miss, it is met.
        let enough = (misses as f64 / (1.0 - WANTED) - 1e-9).ceil() as usize;
        let more = enough.saturating_sub(runs).clamp(1, MOST_MORE);
        Self::Undecided { more }
    }

    /// Its name in JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "missed",
            Self::Undecided { .. } => "undecided",
        }
    }

    /// How many more seeds may decide it.
    pub(crate) fn more_seeds(self) -> Option<usize> {
        match self {
            Self::Undecided { more } => Some(more),
            _ => None,
        }
    }

    /// The verdict of both together.
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Missed, _) | (_, Self::Missed) => Self::Missed,
            (Self::Undecided { more: one }, Self::Undecided { more: two }) => Self::Undecided { more: one.max(two) },
            (Self::Met, other) => other,
            (one, Self::Met) => one,
        }
    }
}

/// The value that 95 % of the runs reach, of values that are sorted from best to worst; of fewer than 20 runs, the worst.
pub(crate) fn reached<T: Copy>(from_best: &[T]) -> Option<T> {
    let wanted = (WANTED * from_best.len() as f64 - 1e-9).ceil() as usize;
    from_best.get(wanted.max(1) - 1).copied()
}

/// How probable it is that an objective which holds in 95 % of all seeds holds in no more than so many of these runs.
fn at_most(met: usize, runs: usize) -> f64 {
    let misses = runs - met;
    // The probability of so many misses, from none up to one below those that there are.
    let mut term = libm::pow(WANTED, runs as f64);
    let mut fewer = 0.0;
    for count in 0..misses {
        fewer += term;
        term *= (runs - count) as f64 / (count + 1) as f64 * (1.0 - WANTED) / WANTED;
    }
    1.0 - fewer
}

/// The quantile of Student's t distribution for a two-sided interval of 95 %, with so many values.
pub(crate) fn t_of(values: usize) -> f64 {
    const T: [f64; 30] = [
        12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11, 2.10,
        2.09, 2.09, 2.08, 2.07, 2.07, 2.06, 2.06, 2.06, 2.05, 2.05, 2.05, 2.04,
    ];
    match values {
        0 | 1 => 0.0,
        more => T.get(more - 2).copied().unwrap_or(1.96),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_misses_among_few_runs_may_be_chance() {
        for (met, runs, expected) in [
            (1, 1, Verdict::Met),
            (0, 1, Verdict::Missed),
            (5, 5, Verdict::Met),
            // One miss of five has a probability of 23 % by chance, two of five one of 2 %.
            (4, 5, Verdict::Undecided { more: 15 }),
            (3, 5, Verdict::Missed),
            (19, 20, Verdict::Met),
            (18, 20, Verdict::Undecided { more: 20 }),
            (16, 20, Verdict::Missed),
            (95, 100, Verdict::Met),
            (91, 100, Verdict::Undecided { more: 80 }),
            (89, 100, Verdict::Missed),
        ] {
            assert_eq!(Verdict::of_runs(met, runs), expected, "{met} of {runs}");
        }
    }

    #[test]
    fn the_tail_is_that_of_the_binomial_distribution() {
        for (met, runs, probability) in [(2, 3, 0.142_625), (1, 2, 0.0975), (0, 1, 0.05), (3, 3, 1.0)] {
            assert!((at_most(met, runs) - probability).abs() < 1e-9, "{met} of {runs}");
        }
    }

    #[test]
    fn the_value_that_is_judged_leaves_out_one_run_of_twenty() {
        let values: Vec<usize> = (0..20).collect();
        assert_eq!(reached(&values), Some(18));
        assert_eq!(reached(&values[..19]), Some(18));
        assert_eq!(reached(&values[..1]), Some(0));
        assert_eq!(reached::<u8>(&[]), None);
    }

    #[test]
    fn of_several_verdicts_the_worst_counts() {
        let undecided = |more| Verdict::Undecided { more };
        for (one, two, both) in [
            (Verdict::Met, Verdict::Met, Verdict::Met),
            (Verdict::Met, undecided(3), undecided(3)),
            (undecided(9), undecided(3), undecided(9)),
            (undecided(9), Verdict::Missed, Verdict::Missed),
        ] {
            assert_eq!((one.and(two), two.and(one)), (both, both));
        }
    }
}
