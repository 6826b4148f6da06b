//! What well-known errors and status codes say about another attempt.

use crate::time::http_date;
use crate::verdict::{Retryable, Verdict};
use std::io;
use std::time::Duration;

impl Verdict {
    /// Whether a call that was answered with this HTTP status is worth another attempt: 408, 425, 429, 500, 502, 503 and
    /// 504 are.
    ///
    /// `hint` is how long the response says to wait, see [`retry_after`](Verdict::retry_after). That the request may
    /// safely be made twice is for the caller to know.
    #[must_use]
    pub const fn of_http_status(status: u16, hint: Option<Duration>) -> Self {
        match (status, hint) {
            (408 | 425 | 429 | 500 | 502 | 503 | 504, Some(wait)) => Self::RetryAfter(wait),
            (408 | 425 | 429 | 500 | 502 | 503 | 504, None) => Self::Retry,
            _ => Self::Final,
        }
    }

    /// Whether a call that ended with this gRPC status code is worth another attempt: 8 (resource exhausted), 10 (aborted)
    /// and 14 (unavailable) are.
    ///
    /// `hint` is what the trailer `grpc-retry-pushback-ms` says, see [`pushback`](Verdict::pushback).
    #[must_use]
    pub fn of_grpc_code(code: i32, hint: Option<Self>) -> Self {
        match code {
            8 | 10 | 14 => hint.unwrap_or(Self::Retry),
            _ => Self::Final,
        }
    }

    /// What the trailer `grpc-retry-pushback-ms` says: to wait that many milliseconds, or, where that is negative or no
    /// number, not to try again (gRPC proposal A6).
    #[must_use]
    pub fn pushback(trailer: &str) -> Self {
        match trailer.trim().parse::<u64>() {
            Ok(millis) => Self::RetryAfter(Duration::from_millis(millis)),
            Err(_) => Self::Final,
        }
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

impl Retryable for io::Error {
    /// Worth another attempt: errors that a peer or the network causes, such as a refused or a reset connection. Not: what will be
    /// the same next time, such as a file that is not there.
    fn verdict(&self) -> Verdict {
        use io::ErrorKind::{
            AddrInUse, BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted,
            NetworkDown, NetworkUnreachable, NotConnected, ResourceBusy, TimedOut, UnexpectedEof, WouldBlock,
        };
        match self.kind() {
            AddrInUse | BrokenPipe | ConnectionAborted | ConnectionRefused | ConnectionReset | HostUnreachable
            | Interrupted | NetworkDown | NetworkUnreachable | NotConnected | ResourceBusy | TimedOut
            | UnexpectedEof | WouldBlock => Verdict::Retry,
            _ => Verdict::Final,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_may_pass_is_worth_another_attempt() {
        let second = Duration::from_secs(1);
        for status in [408, 425, 429, 500, 502, 503, 504] {
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

    // RT-54, gRPC's way.
    #[test]
    fn a_server_that_pushes_back_is_obeyed() {
        let wait = Verdict::RetryAfter(Duration::from_millis(250));
        assert_eq!(Verdict::pushback(" 250 "), wait);
        for stop in ["-1", "", "soon", "1.5"] {
            assert_eq!(Verdict::pushback(stop), Verdict::Final, "{stop:?}");
        }
        assert_eq!(Verdict::of_grpc_code(14, Some(wait)), wait);
        assert_eq!(Verdict::of_grpc_code(14, None), Verdict::Retry);
        assert_eq!(Verdict::of_grpc_code(14, Some(Verdict::Final)), Verdict::Final);
        assert_eq!(Verdict::of_grpc_code(5, Some(wait)), Verdict::Final);
    }

    #[test]
    fn an_error_of_the_network_is_worth_another_attempt_and_one_of_the_caller_is_not() {
        let verdict = |kind: io::ErrorKind| io::Error::from(kind).verdict();
        assert_eq!(verdict(io::ErrorKind::ConnectionReset), Verdict::Retry);
        assert_eq!(verdict(io::ErrorKind::NotFound), Verdict::Final);
        let boxed: Box<io::Error> = Box::new(io::ErrorKind::TimedOut.into());
        assert_eq!(Verdict::by_error(&Err::<(), _>(&*boxed)), Verdict::Retry);
        assert_eq!(Verdict::by_error(&Err::<(), _>(boxed)), Verdict::Retry);
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
