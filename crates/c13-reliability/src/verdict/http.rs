//! What HTTP statuses mean, and the header with which a server says when to try again.

use super::{Meaning, Verdict};
use crate::gate::Outcome;
use crate::time::http_date;
#[cfg(feature = "http")]
use ::http::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};
use std::time::Duration;

impl Meaning {
    /// What a response with this HTTP status means. `hint` is how long the response says to wait, see
    /// [`Verdict::retry_after`]. It is for the next attempt alone: a server that sheds one request in a hundred asks each of
    /// them to come back later, and the circuit stays closed for the others.
    #[must_use]
    pub const fn of_http_status(status: u16, hint: Option<Duration>) -> Self {
        match hint {
            Some(wait) => of_status(status).after(wait),
            None => of_status(status),
        }
    }
}

#[cfg(feature = "http")]
impl Meaning {
    /// What a response with this HTTP status and these headers means; how long it says to wait is in its `Retry-After`.
    #[must_use]
    pub fn of_http_response(status: u16, headers: &HeaderMap) -> Self {
        let text = |name: HeaderName| headers.get(name)?.to_str().ok();
        let hint = text(RETRY_AFTER).and_then(|after| Verdict::retry_after(after, text(DATE)));
        Self::of_http_status(status, hint)
    }
}

/// The table of statuses.
const fn of_status(status: u16) -> Meaning {
    match status {
        // Request timeout, too early, too many requests: the server says that it has not begun.
        408 | 425 | 429 => Meaning::REFUSED,
        // What the server cannot do at all.
        501 | 505 => Meaning::DEFECT,
        // Those without a meaning of their own included: proxies have dozens, such as 520 or 529.
        500..=599 => Meaning::FAILURE,
        600.. => Meaning::DEFECT,
        _ => Meaning::ANSWER,
    }
}

impl Outcome {
    /// What a response with this HTTP status says about the dependency: 408, 425, 429 and all from 500 on are failures, all
    /// others are answers.
    #[must_use]
    pub const fn of_http_status(status: u16) -> Self {
        of_status(status).outcome
    }
}

impl Verdict {
    /// Whether a call that was answered with this HTTP status is worth another attempt: 408, 425, 429, and those from 500 to
    /// 599 are, but for 501 and 505, by which the server says that it cannot do it.
    ///
    /// `hint` is how long the response says to wait, see [`retry_after`](Verdict::retry_after). That the request may
    /// safely be made twice is for the caller to know.
    #[must_use]
    pub const fn of_http_status(status: u16, hint: Option<Duration>) -> Self {
        Meaning::of_http_status(status, hint).verdict
    }

    /// How long the header `Retry-After` says to wait: a number of seconds, or a date in any of the three forms of HTTP,
    /// which is compared with the response's own header `Date` (RFC 9110, 10.2.3 and 5.6.7). Nothing where it says
    /// neither, or a date without the other. Zero, or a date that has passed, is no reason to hurry: a hint is a floor under
    /// the back-off.
    ///
    /// ```
    /// use c13_reliability::patterns::retry::Verdict;
    /// use std::time::Duration;
    ///
    /// assert_eq!(Verdict::retry_after("120", None), Some(Duration::from_secs(120)));
    /// let (then, now) = ("Fri, 31 Dec 1999 23:59:59 GMT", "Fri, 31 Dec 1999 23:59:29 GMT");
    /// assert_eq!(Verdict::retry_after(then, Some(now)), Some(Duration::from_secs(30)));
    /// ```
    #[must_use]
    pub fn retry_after(header: &str, date: Option<&str>) -> Option<Duration> {
        let header = header.trim();
        if !header.is_empty() && header.bytes().all(|byte| byte.is_ascii_digit()) {
            // More digits than a number holds are a very long wait, which is ignored.
            return Some(Duration::from_secs(header.parse().unwrap_or(u64::MAX)));
        }
        let now = http_date::parse(date?, None)?;
        let then = http_date::parse(header, Some(now))?;
        Some(then.duration_since(now).unwrap_or(Duration::ZERO))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_may_pass_is_worth_another_attempt() {
        let second = Duration::from_secs(1);
        for status in [408, 425, 429, 500, 502, 503, 504, 507, 520, 529, 599] {
            assert_eq!(Verdict::of_http_status(status, None), Verdict::Retry, "{status}");
            assert_eq!(
                Verdict::of_http_status(status, Some(second)),
                Verdict::RetryAfter(second)
            );
        }
        for status in [200, 301, 400, 401, 403, 404, 409, 422, 501, 505] {
            assert_eq!(
                Verdict::of_http_status(status, Some(second)),
                Verdict::Final,
                "{status}"
            );
        }
    }

    #[test]
    fn a_status_says_whether_the_server_failed() {
        for status in [408, 425, 429, 500, 501, 502, 503, 504, 505, 511, 599] {
            assert_eq!(Outcome::of_http_status(status), Outcome::FAILURE, "{status}");
        }
        for status in [
            100, 200, 204, 301, 304, 400, 401, 403, 404, 405, 409, 410, 412, 413, 422, 451,
        ] {
            assert_eq!(Outcome::of_http_status(status), Outcome::Success, "{status}");
        }
        let second = Some(Duration::from_secs(1));
        assert_eq!(Meaning::of_http_status(503, second).outcome, Outcome::FAILURE);
    }

    #[test]
    fn a_date_is_counted_from_the_responses_own() {
        let now = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        let wait = |then| Verdict::retry_after(then, now).map(|wait| wait.as_secs());
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:38 GMT"), Some(1));
        assert_eq!(wait("Mon, 07 Nov 1994 08:49:37 GMT"), Some(86_400));
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0), "it has passed");
        assert_eq!(Verdict::retry_after("Sun, 06 Nov 1994 08:49:38 GMT", None), None);
        assert_eq!(wait("99999999999999999999999"), Some(u64::MAX));
        for text in [
            "",
            "soon",
            "-5",
            "1.5",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 25:49:37 GMT",
            "Sun, 32 Nov 1994 08:49:37 GMT",
            "Sun, 06 Foo 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
        ] {
            assert_eq!(wait(text), None, "{text:?}");
        }
    }
}
