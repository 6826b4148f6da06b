//! What the end of an HTTP request means: what its status or its error means, and whether the request may be made again.

use crate::verdict::{Meaning, Verdict};
use http::{HeaderMap, Method};

/// The header by which a server recognises a request that it has had already.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// How a request ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ended<'a> {
    /// With a response of this status and with these headers: it has reached the server.
    Answered(u16, &'a HeaderMap),
    /// Without a response. The client's error means this.
    Failed(Meaning),
}

/// Whether a request may be made again although it may have had its effect: its method is idempotent, or it has a key.
pub(super) fn may_be_repeated(method: &Method, headers: &HeaderMap) -> bool {
    let key = headers.get(IDEMPOTENCY_KEY);
    method.is_idempotent() || key.is_some_and(|key| !key.is_empty())
}

/// What the end of a request means. One that may not be repeated is made again only if it was not sent.
pub(super) fn meaning(ended: Ended<'_>, may_be_repeated: bool) -> Meaning {
    let (mut meaning, may_be_sent_again) = match ended {
        Ended::Answered(status, headers) => (Meaning::of_http_response(status, headers), may_be_repeated),
        Ended::Failed(meaning) => (meaning, may_be_repeated || meaning.had_no_effect),
    };
    if !may_be_sent_again {
        meaning.verdict = Verdict::Final;
    }
    meaning
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::Outcome;
    use http::HeaderValue;
    use std::time::Duration;

    const NONE: &str = "";

    /// The headers of one response or request.
    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if value != NONE {
            headers.insert(name, value.parse().expect("it is a header's value"));
        }
        headers.insert("date", HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"));
        headers
    }

    #[test]
    fn every_end_of_a_request_has_one_meaning() {
        use Outcome::{Ignored, Success};
        const FAILURE: Outcome = Outcome::FAILURE;
        const MAY_PASS: &[u16] = &[408, 425, 429, 500, 502, 503, 504, 507, 520, 529, 599];
        let after = |seconds| Verdict::RetryAfter(Duration::from_secs(seconds));
        // The statuses, by the header `Retry-After`: the outcome, and the verdict if the request may be repeated. One that may not
        // is not made again.
        let answered: &[(&[u16], &str, Outcome, Verdict)] = &[
            (
                &[200, 204, 206, 301, 304, 400, 401, 403, 404, 409, 412, 422, 451],
                "7",
                Success,
                Verdict::Final,
            ),
            (MAY_PASS, NONE, FAILURE, Verdict::Retry),
            (MAY_PASS, "7", FAILURE, after(7)),
            (&[501, 505], "7", FAILURE, Verdict::Final),
            (&[429, 503], "0", FAILURE, after(0)),
            (&[429, 503], "soon", FAILURE, Verdict::Retry),
            (&[429, 503], "Sun, 06 Nov 1994 08:49:47 GMT", FAILURE, after(10)),
            (&[429, 503], "Sunday, 06-Nov-94 08:49:47 GMT", FAILURE, after(10)),
            (&[429, 503], "Sun Nov  6 08:49:47 1994", FAILURE, after(10)),
            (&[429, 503], "Sun, 06 Nov 1994 08:00:00 GMT", FAILURE, after(0)),
        ];
        for (statuses, retry_after, outcome, verdict) in answered {
            let headers = headers("retry-after", retry_after);
            for status in *statuses {
                let ended = Ended::Answered(*status, &headers);
                let what = format!("{status} with {retry_after:?}");
                let meaning_if = |may_be_repeated| {
                    let meaning = meaning(ended, may_be_repeated);
                    (meaning.outcome, meaning.verdict)
                };
                assert_eq!(meaning_if(true), (*outcome, *verdict), "{what}");
                assert_eq!(meaning_if(false), (*outcome, Verdict::Final), "{what}");
            }
        }
        for (error, outcome, repeated, not_repeated) in [
            (Meaning::REFUSED, FAILURE, Verdict::Retry, Verdict::Retry),
            (Meaning::FAILURE, FAILURE, Verdict::Retry, Verdict::Final),
            (Meaning::DEFECT, FAILURE, Verdict::Final, Verdict::Final),
            (Meaning::NOT_ADMITTED, Ignored, Verdict::Retry, Verdict::Retry),
            (Meaning::NOT_SENT, Ignored, Verdict::Final, Verdict::Final),
        ] {
            for (may_be_repeated, verdict) in [(true, repeated), (false, not_repeated)] {
                let meaning = meaning(Ended::Failed(error), may_be_repeated);
                assert_eq!((meaning.outcome, meaning.verdict), (outcome, verdict), "{error:?}");
            }
        }
    }

    #[test]
    fn a_request_may_be_repeated_by_its_method_or_its_key() {
        for (methods, key, repeated) in [
            (&["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"][..], NONE, true),
            (&["POST", "PATCH", "CONNECT", "PROPFIND"], NONE, false),
            (&["POST", "PATCH", "CONNECT", "PROPFIND"], "order-7", true),
        ] {
            for method in methods {
                let method: Method = method.parse().expect("it is a method");
                let headers = headers(IDEMPOTENCY_KEY, key);
                assert_eq!(may_be_repeated(&method, &headers), repeated, "{method} {key:?}");
            }
        }
        let mut empty = HeaderMap::new();
        empty.insert(IDEMPOTENCY_KEY, HeaderValue::from_static(""));
        assert!(!may_be_repeated(&Method::POST, &empty));
    }
}
