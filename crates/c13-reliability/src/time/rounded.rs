//! Durations as people read them.

use std::fmt;
use std::time::Duration;

/// A duration in three digits and the largest unit that fits: `1.5 s`, `750 ms`, `16.7 min`.
///
/// It is for messages. What a program reads again needs the exact value.
///
/// ```
/// use c13_reliability::time::Rounded;
/// use std::time::Duration;
///
/// assert_eq!(Rounded(Duration::from_nanos(749_999_583)).to_string(), "750 ms");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rounded(pub Duration);

/// The units, each with its nanoseconds. A unit is used below 1,000 of it.
const UNITS: [(&str, f64); 6] = [
    ("ns", 1.0),
    ("µs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("min", 60e9),
    ("h", 3600e9),
];

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos() as f64;
        let in_unit = |(unit, length): (&'static str, f64)| (three_digits(nanos / length), unit);
        let fitting = UNITS.map(in_unit).into_iter().find(|(count, _)| *count < 1000.0);
        let (count, unit) = fitting.unwrap_or_else(|| in_unit(UNITS[UNITS.len() - 1]));
        write!(f, "{count} {unit}")
    }
}

/// The nearest number with three digits, or the nearest whole number if that has more.
fn three_digits(number: f64) -> f64 {
    let scale = match number {
        ..10.0 => 100.0,
        ..100.0 => 10.0,
        _ => 1.0,
    };
    (number * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_shown_in_three_digits_and_the_largest_unit_that_fits() {
        for (nanos, shown) in [
            (0, "0 ns"),
            (7, "7 ns"),
            (999, "999 ns"),
            (1_000, "1 µs"),
            (1_234, "1.23 µs"),
            (999_499, "999 µs"),
            (999_600, "1 ms"),
            (400_000_000, "400 ms"),
            (999_999_999, "1 s"),
            (1_499_500_000, "1.5 s"),
            (29_999_999_999, "30 s"),
            (90_000_000_000, "90 s"),
            (1_000_000_000_000, "16.7 min"),
            (86_400_000_000_000, "24 h"),
        ] {
            assert_eq!(Rounded(Duration::from_nanos(nanos)).to_string(), shown);
        }
        assert_eq!(Rounded(Duration::from_secs(36_000_000)).to_string(), "10000 h");
    }
}
