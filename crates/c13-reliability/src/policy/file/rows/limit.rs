//! The settings of a limit of requests by key.

use super::super::row::{Access, Datum, Field, Kind, Row, at, names};
use crate::patterns::rate_limiter::{ProxyHeader, RateLimiterConfig, WhenFull, WithoutKey};
use crate::policy::LimitConfig;

#[rustfmt::skip] // two lines a setting: its path and kind, then what it is and where
pub(in super::super) static LIMIT: &[Row<LimitConfig>] = &[
    Row::limit("rate", Kind::Rate,
        "So many requests over any long time, for each key.", Access {
        get: |config| Some(Datum::Rate(config.rate)),
        set: |config, datum| {
            if let Datum::Rate(rate) = datum {
                config.rate = rate;
            }
            Some(())
        },
    }).needed("\"100/s\""),
    Row::limit("burst", Kind::Whole(1, super::limits::LARGEST_BURST),
        "So many at once; one second of the rate unless set.", at!(; burst)).equal(|config| Some(Datum::Whole(RateLimiterConfig::one_second(config.rate)))),
    Row::limit("key", Kind::Key,
        "By what requests are told apart: their client, a header, or not at all.", at!(; key)),
    Row::limit("proxies", Kind::Networks,
        "The proxies whose word about the client counts: addresses and networks.", at!(; proxies)),
    Row::limit("proxy_header", Kind::Word(|| names(ProxyHeader::NAMES)),
        "The header in which they name the client.", at!(; proxy_header)),
    Row::limit("without_key", Kind::Word(|| names(WithoutKey::NAMES)),
        "What becomes of requests without a key; without a client's address they are refused unless set, without a header they share one quota.", at!(; without_key)).equal(|config| config.key.without_key().datum()),
    Row::limit("max_keys", Kind::Whole(1, 1 << 24),
        "So many keys are kept in this process at most.", at!(; max_keys)),
    Row::limit("when_full", Kind::Word(|| names(WhenFull::NAMES)),
        "What becomes of new keys when there is no room.", at!(; when_full)),
    Row::limit("shared", Kind::Flag,
        "All processes share the limit, by the backend that the program names.", at!(; shared)),
];

/// The key of every setting of a limit.
pub fn limit_keys() -> impl Iterator<Item = String> {
    LIMIT.iter().map(|row| row.path.to_owned())
}
