//! The time that is left, written into a header and read from one, so that a deadline reaches the next process.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// The header of gRPC over HTTP/2: digits and a unit, such as `250m` for 250 ms.
pub const GRPC_TIMEOUT: &str = "grpc-timeout";

/// The header for plain HTTP, which has none of its own: milliseconds, such as `250`.
pub const HTTP_TIMEOUT: &str = "x-request-timeout-ms";

/// Writes the time that is left as the value of [`GRPC_TIMEOUT`].
///
/// The value is never more than what is left: it is rounded down, to the finest unit in which it has 8 digits at most,
/// which is the most that the protocol allows.
///
/// ```
/// use c13_reliability::patterns::timeout::{grpc_timeout, parse_grpc_timeout};
/// use std::time::Duration;
///
/// let left = Duration::from_millis(250);
/// assert_eq!(grpc_timeout(left), "250000u");
/// assert_eq!(parse_grpc_timeout("250m"), Ok(left));
/// ```
#[must_use]
pub fn grpc_timeout(left: Duration) -> String {
    const MOST: u128 = 99_999_999;
    for (unit, nanos) in UNITS {
        let count = left.as_nanos() / nanos;
        if count <= MOST {
            return format!("{count}{unit}");
        }
    }
    format!("{MOST}H")
}

/// The units of gRPC, finest first, and their lengths in nanoseconds.
const UNITS: [(char, u128); 6] = [
    ('n', 1),
    ('u', 1_000),
    ('m', 1_000_000),
    ('S', 1_000_000_000),
    ('M', 60_000_000_000),
    ('H', 3_600_000_000_000),
];

/// Reads the value of [`GRPC_TIMEOUT`].
///
/// # Errors
///
/// If it is not 1 to 8 digits and a unit out of `H`, `M`, `S`, `m`, `u` and `n`.
pub fn parse_grpc_timeout(value: &str) -> Result<Duration, TimeoutHeaderError> {
    let error = TimeoutHeaderError {
        rule: "must be 1 to 8 digits and one of H, M, S, m, u, n",
    };
    let mut chars = value.chars();
    let unit = chars.next_back().ok_or(error)?;
    let (_, nanos) = UNITS.iter().find(|(name, _)| *name == unit).ok_or(error)?;
    let count: u64 = digits(chars.as_str(), 8).ok_or(error)?;
    // 8 digits of hours are 11,415 years, 20 digits of nanoseconds; a duration holds them, one number of 64 bits does not.
    let nanos = u128::from(count) * nanos;
    let seconds = u64::try_from(nanos / 1_000_000_000).map_err(|_| error)?;
    Ok(Duration::new(seconds, (nanos % 1_000_000_000) as u32))
}

/// Writes the time that is left as the value of [`HTTP_TIMEOUT`]: whole milliseconds, rounded down.
///
/// Less than a millisecond is written as 0, which tells the next process not to begin.
#[must_use]
pub fn http_timeout(left: Duration) -> String {
    left.as_millis().min(MOST_MILLIS).to_string()
}

/// 15 digits, 31,709 years.
const MOST_MILLIS: u128 = 999_999_999_999_999;

/// Reads the value of [`HTTP_TIMEOUT`].
///
/// # Errors
///
/// If it is not 1 to 15 digits.
pub fn parse_http_timeout(value: &str) -> Result<Duration, TimeoutHeaderError> {
    let millis = digits(value.trim(), 15).ok_or(TimeoutHeaderError {
        rule: "must be 1 to 15 digits, in milliseconds",
    })?;
    Ok(Duration::from_millis(millis))
}

fn digits(text: &str, most: usize) -> Option<u64> {
    let fits = (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| text.parse().ok()).flatten()
}

/// A header that says no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimeoutHeaderError {
    /// The rule it breaks, as the end of the sentence "the header …".
    pub rule: &'static str,
}

impl fmt::Display for TimeoutHeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the header {}", self.rule)
    }
}

impl Error for TimeoutHeaderError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Random;

    #[test]
    fn what_is_written_is_read_and_never_more_than_what_was_left() {
        let random = Random::new(9);
        for draw in 0..20_000 {
            let nanos = random.next_u64() >> random.below(64);
            // Up to 5,000 years, which both can say.
            let left = Duration::from_nanos(nanos).saturating_mul(if draw % 7 == 0 { 10 } else { 1 });
            let grpc = grpc_timeout(left);
            assert!(grpc.len() <= 9, "{grpc}");
            let read = parse_grpc_timeout(&grpc).expect("it was written by the rules");
            assert!(read <= left, "{read:?} of {left:?}");
            // The next unit is taken at 8 digits, and none is more than 1000 times the one before.
            assert!(
                left - read <= left / 99_999 + Duration::from_nanos(1),
                "{read:?} of {left:?}"
            );
            let read = parse_http_timeout(&http_timeout(left)).expect("it was written by the rules");
            assert!(
                read <= left && left - read < Duration::from_millis(1),
                "{read:?} of {left:?}"
            );
        }
    }

    #[test]
    fn the_ends_of_time_can_be_written() {
        assert_eq!(grpc_timeout(Duration::ZERO), "0n");
        assert_eq!(grpc_timeout(Duration::MAX), "99999999H");
        assert_eq!(grpc_timeout(Duration::from_nanos(99_999_999)), "99999999n");
        assert_eq!(grpc_timeout(Duration::from_nanos(100_000_000)), "100000u");
        assert_eq!(http_timeout(Duration::from_micros(999)), "0");
        assert_eq!(http_timeout(Duration::MAX).len(), 15);
    }

    #[test]
    fn units_are_distinguished_by_their_case() {
        let read = |value| parse_grpc_timeout(value).map(|left| left.as_secs_f64());
        assert_eq!(read("2M"), Ok(120.0));
        assert_eq!(read("2m"), Ok(0.002));
        assert_eq!(read("1H"), Ok(3_600.0));
        assert_eq!(read("5S"), Ok(5.0));
    }

    #[test]
    fn what_says_no_time_is_refused_with_the_rule() {
        for value in [
            "",
            "m",
            "1",
            "1s",
            "-1m",
            "+1m",
            "1.5S",
            "123456789m",
            " 1m",
            "1m ",
            "1µ",
        ] {
            assert!(parse_grpc_timeout(value).is_err(), "{value:?}");
        }
        for value in ["", "-1", "1.5", "1s", "1234567890123456"] {
            assert!(parse_http_timeout(value).is_err(), "{value:?}");
        }
        let error = parse_grpc_timeout("soon").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the header must be 1 to 8 digits and one of H, M, S, m, u, n"
        );
    }
}
