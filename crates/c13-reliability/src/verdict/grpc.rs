//! What gRPC status codes mean, and the trailer with which a server says when to try again.

use super::{Meaning, Verdict};
use crate::gate::Outcome;
use std::time::Duration;

impl Meaning {
    /// What this gRPC status code means.
    ///
    /// `pushback` is what the trailer `grpc-retry-pushback-ms` says, see [`Verdict::pushback`]. It takes the place of the
    /// verdict where that is to try again.
    #[must_use]
    pub fn of_grpc_code(code: i32, pushback: Option<Verdict>) -> Self {
        let mut meaning = of_code(code);
        if meaning.verdict == Verdict::Retry {
            meaning.verdict = pushback.unwrap_or(Verdict::Retry);
        }
        meaning
    }
}

/// The table of codes.
const fn of_code(code: i32) -> Meaning {
    match code {
        // Cancelled: by the caller.
        1 => Meaning::new(Outcome::Ignored, Verdict::Final, false),
        // OK, and what the server says of the request: invalid argument, not found, already exists, permission denied, failed
        // precondition, out of range, unimplemented, unauthenticated.
        0 | 3 | 5 | 6 | 7 | 9 | 11 | 12 | 16 => Meaning::ANSWER,
        // Aborted: a conflict with a concurrent call.
        10 => Meaning::CONFLICT,
        // Resource exhausted, unavailable. Neither says that the call was not begun: a response that is too large is resource
        // exhausted as well.
        8 | 14 => Meaning::FAILURE,
        // Unknown, deadline exceeded, internal, data loss, and codes that there are not.
        _ => Meaning::DEFECT,
    }
}

impl Outcome {
    /// What a call that ended with this gRPC status code says about the dependency. Failures are 2 (unknown), 4 (deadline
    /// exceeded), 8 (resource exhausted), 13 (internal), 14 (unavailable) and 15 (data loss); 1 (cancelled) is ignored; all
    /// others are answers.
    #[must_use]
    pub fn of_grpc_code(code: i32) -> Self {
        of_code(code).outcome
    }
}

impl Verdict {
    /// Whether a call that ended with this gRPC status code is worth another attempt: 8 (resource exhausted), 10 (aborted)
    /// and 14 (unavailable) are.
    ///
    /// `hint` is what the trailer `grpc-retry-pushback-ms` says, see [`pushback`](Verdict::pushback).
    #[must_use]
    pub fn of_grpc_code(code: i32, hint: Option<Self>) -> Self {
        Meaning::of_grpc_code(code, hint).verdict
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
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_code_says_whether_the_server_failed() {
        use Outcome::{Ignored, Success};
        use Verdict::{Final, Retry};
        let of_codes = [
            (Success, Final),
            (Ignored, Final),
            (Outcome::FAILURE, Final),
            (Success, Final),
            (Outcome::FAILURE, Final),
            (Success, Final),
            (Success, Final),
            (Success, Final),
            (Outcome::FAILURE, Retry),
            (Success, Final),
            (Success, Retry),
            (Success, Final),
            (Success, Final),
            (Outcome::FAILURE, Final),
            (Outcome::FAILURE, Retry),
            (Outcome::FAILURE, Final),
            (Success, Final),
            (Outcome::FAILURE, Final),
        ];
        for (code, of_code) in (0..).zip(of_codes) {
            let both = (Outcome::of_grpc_code(code), Verdict::of_grpc_code(code, None));
            assert_eq!(both, of_code, "code {code}");
        }
    }
}
