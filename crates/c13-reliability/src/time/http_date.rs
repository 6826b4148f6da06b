//! Dates of HTTP in their three forms (RFC 9110, 5.6.7); the crate `httpdate` reads them, but for the century of a year that
//! has two digits only.

use std::time::{Duration, SystemTime};

const WEEKDAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

/// Fifty years of the Gregorian calendar, whose mean year is so many seconds long.
const FIFTY_YEARS: Duration = Duration::from_secs(50 * 31_556_952);

/// Reads a date. A year of two digits is the one that is at most fifty years after `now`, where that is known.
pub(crate) fn parse(text: &str, now: Option<SystemTime>) -> Option<SystemTime> {
    let text = text.trim();
    match now {
        Some(now) if text.contains('-') => Rfc850::parse(text)?.latest_before(now),
        _ => httpdate::parse_http_date(text).ok(),
    }
}

/// A date like `Sunday, 06-Nov-94 08:49:37 GMT`.
struct Rfc850<'a> {
    weekday: &'a str,
    day: &'a str,
    month: &'a str,
    /// Without its century.
    year: u64,
    time: &'a str,
}

impl<'a> Rfc850<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (weekday, rest) = text.split_once(", ")?;
        let (date, time) = rest.split_once(' ')?;
        let mut parts = date.split('-');
        let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
        let has_two_digits = year.len() == 2 && year.bytes().all(|byte| byte.is_ascii_digit());
        if !has_two_digits || parts.next().is_some() || !WEEKDAYS.contains(&weekday) {
            return None;
        }
        Some(Self {
            weekday: weekday.get(..3)?,
            day,
            month,
            year: year.parse().ok()?,
            time,
        })
    }

    /// The latest such date that is at most fifty years after `now`.
    fn latest_before(&self, now: SystemTime) -> Option<SystemTime> {
        let this_year: u64 = httpdate::fmt_http_date(now).get(12..16)?.parse().ok()?;
        let latest = this_year + 50;
        let year = latest - (latest - self.year) % 100;
        match self.of_year(year) {
            Some(date) if year < latest || date <= now + FIFTY_YEARS => Some(date),
            _ if year == latest => self.of_year(year - 100),
            _ => None,
        }
    }

    fn of_year(&self, year: u64) -> Option<SystemTime> {
        let Self {
            weekday,
            day,
            month,
            time,
            ..
        } = self;
        httpdate::parse_http_date(&format!("{weekday}, {day} {month} {year} {time}")).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(date: Option<SystemTime>) -> Option<u64> {
        date.map(|date| {
            date.duration_since(SystemTime::UNIX_EPOCH)
                .expect("it is later")
                .as_secs()
        })
    }

    #[test]
    fn the_three_forms_say_the_same() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            " Sunday, 06-Nov-94 08:49:37 GMT ",
        ] {
            let alone = parse(text, None);
            assert_eq!(seconds(alone), Some(784_111_777), "{text:?}");
            assert_eq!(parse(text, alone), alone, "{text:?}");
        }
    }

    #[test]
    fn a_year_of_two_digits_is_at_most_fifty_years_ahead() {
        let now = parse("Mon, 30 Nov 2026 12:00:00 GMT", None);
        for (text, full) in [
            ("Monday, 30-Nov-26 12:00:30 GMT", Some("Mon, 30 Nov 2026 12:00:30 GMT")),
            (
                "Wednesday, 01-Jan-70 00:00:00 GMT",
                Some("Wed, 01 Jan 2070 00:00:00 GMT"),
            ),
            ("Sunday, 29-Nov-76 12:00:00 GMT", Some("Sun, 29 Nov 2076 12:00:00 GMT")),
            ("Friday, 31-Dec-76 12:00:00 GMT", Some("Fri, 31 Dec 1976 12:00:00 GMT")),
            (
                "Saturday, 01-Jan-77 00:00:00 GMT",
                Some("Sat, 01 Jan 1977 00:00:00 GMT"),
            ),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some("Sun, 06 Nov 1994 08:49:37 GMT")),
            ("Friday, 01-Jan-00 00:00:00 GMT", None),
            (
                "Saturday, 01-Jan-00 00:00:00 GMT",
                Some("Sat, 01 Jan 2000 00:00:00 GMT"),
            ),
            // The weekday is that of 2026 and must be right.
            ("Tuesday, 30-Nov-26 12:00:30 GMT", None),
            ("Mon, 30-Nov-26 12:00:30 GMT", None),
            ("Monday, 30-Nov-2026 12:00:30 GMT", None),
            ("Monday, 30-Nov-+6 12:00:30 GMT", None),
            ("Monday, 30-11-26 12:00:30 GMT", None),
            ("Monday, 30-Nov-26 12:00 GMT", None),
            ("Monday, 30-Nov-26", None),
            ("-", None),
        ] {
            let expected = full.map(|full| parse(full, None).expect("the full date is one"));
            assert_eq!(parse(text, now), expected, "{text:?}");
        }
    }
}
