//! What one dependency had to do in a run.

use super::dependency::WorkTime;
use std::ops::Range;
use std::time::Duration;

/// The attempts that reached a dependency, and its work.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traffic {
    /// Attempts by the tenth of a second in which they arrived.
    pub(super) offered: Vec<u32>,
    pub(super) worked: WorkTime,
}

/// How many tenths a second has.
const TENTHS: usize = 10;

impl Traffic {
    /// All attempts that reached it.
    pub(crate) fn attempts(&self) -> u64 {
        self.offered.iter().map(|tenth| u64::from(*tenth)).sum()
    }

    /// The attempts that reached it in some tenths of seconds.
    pub(super) fn attempts_within(&self, tenths: &Range<usize>) -> u64 {
        let all = self.offered.len();
        self.offered[tenths.start.min(all)..tenths.end.min(all)]
            .iter()
            .map(|tenth| u64::from(*tenth))
            .sum()
    }

    /// The most attempts that reached it in any second of a drill, and at that rate in any tenth of one.
    pub(crate) fn peaks(&self, duration: Duration) -> (f64, f64) {
        let seconds = duration.as_secs().max(1) as usize;
        let within = &self.offered[..self.offered.len().min(seconds * TENTHS)];
        let second = within.chunks(TENTHS).map(|tenths| tenths.iter().sum::<u32>()).max();
        let tenth = within.iter().copied().max();
        (
            f64::from(second.unwrap_or(0)),
            f64::from(tenth.unwrap_or(0)) * TENTHS as f64,
        )
    }
}

/// The share of the work of these dependencies whose caller had left before it was done; `None` if they did no work.
pub(crate) fn wasted(all: &[Traffic]) -> Option<f64> {
    let done: Duration = all.iter().map(|traffic| traffic.worked.done).sum();
    let wasted: Duration = all.iter().map(|traffic| traffic.worked.wasted).sum();
    (!done.is_zero()).then(|| wasted.as_secs_f64() / done.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_are_of_the_fullest_second_and_the_fullest_tenth_of_one() {
        let mut offered = vec![1; 30];
        offered[12] = 40;
        offered.extend([1_000; 10]);
        let traffic = Traffic {
            offered,
            ..Traffic::default()
        };
        assert_eq!(
            traffic.peaks(Duration::from_secs(3)),
            (49.0, 400.0),
            "what comes after the end of the load does not count"
        );
    }
}
