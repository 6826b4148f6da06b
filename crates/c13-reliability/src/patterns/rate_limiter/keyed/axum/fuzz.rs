//! Mangled names of policies and keys in headers, and quotas of any size, in the fields that tell them.

use super::*;
use crate::mutate::{Corpus, fuzz};

/// Whether a field is `"name";a=1;b=2`, with integers as RFC 9651 bounds them: of at most fifteen digits.
fn is_field(value: &str, name: &str, [first, second]: [&str; 2]) -> bool {
    let is_integer =
        |digits: &str| (1..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let parameters = value.strip_prefix(&format!("\"{name}\";{first}="));
    let numbers = parameters.and_then(|rest| rest.split_once(&format!(";{second}=")));
    numbers.is_some_and(|(one, other)| is_integer(one) && is_integer(other))
}

#[test]
fn no_policy_s_name_or_quota_breaks_the_fields_and_no_header_gives_a_key_that_is_unfit() {
    let corpus = Corpus {
        texts: vec![
            b"per user 100 60 7 30".to_vec(),
            b"default 18014398509481984 3155760000 18014398509481984 18446744073709551615".to_vec(),
            b"ann@example.com".to_vec(),
        ],
        words: &["\"", "\\", ";q=", "\r\n", "\u{7f}", " ", "\t", "18446744073709551615 "],
        longest: 1 << 12,
    };
    let limiter = KeyedRateLimiter::<String>::new(super::super::super::RateLimiterConfig::new(1.0, 1), 10);
    let user = HeaderName::from_static("x-user");
    let key = header_key::<()>(user.clone());
    fuzz("RateLimit fields", &corpus, |input| {
        let name = &*String::from_utf8_lossy(input);
        let mut numbers = name.split(' ').filter_map(|word| word.parse::<u64>().ok());
        let mut number = || numbers.next().unwrap_or(1);
        let status = QuotaStatus {
            limit: number(),
            window: Duration::new(number(), 999_999_999),
            remaining: number(),
            reset_after: Duration::new(number(), 1),
        };
        if let Ok(layer) = KeyedRateLimitLayer::new(limiter.clone(), |_: &Request<Body>| None::<String>).policy(name) {
            let mut headers = HeaderMap::new();
            add_quota_fields(&mut headers, &layer.policy, &status);
            for (field, parameters) in [(RATE_LIMIT_POLICY, ["q", "w"]), (RATE_LIMIT, ["r", "t"])] {
                let value = headers[field].to_str().expect("visible ASCII");
                assert!(is_field(value, name, parameters), "{value}");
            }
        }
        let Ok(value) = HeaderValue::from_bytes(input) else {
            return;
        };
        let mut request = Request::new(());
        request.headers_mut().insert(user.clone(), value);
        if let Some(key) = key(&request) {
            assert!((1..=LONGEST_HEADER_KEY).contains(&key.len()) && key.as_bytes() == input);
            request
                .headers_mut()
                .append(user.clone(), HeaderValue::from_static("bob"));
            assert_eq!(header_key(user.clone())(&request), None, "two users");
        }
    });
}
