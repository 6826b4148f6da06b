//! Mangled files of shared limits.

use super::super::config::Limit;
use super::super::state::{Rate, take_all};
use super::parse;
use crate::mutate::{Corpus, fuzz};

#[test]
fn no_file_of_a_limit_makes_it_panic_or_gives_more_than_a_burst_or_waits_longer_than_for_one() {
    let corpus = Corpus {
        texts: vec![
            b"1700000000000000.000\n".to_vec(),
            b"1.7e15".to_vec(),
            b"-0.0\n".to_vec(),
        ],
        words: &["e", "e308", "-", ".", "\n", "infinity", "0x", "1700000000000000"],
        longest: 1 << 14,
    };
    let limit = Limit::new("key", 10.0, 5);
    let now = 1.7e15;
    fuzz("files of limits", &corpus, |input| {
        let Some(cell) = std::str::from_utf8(input).ok().and_then(parse) else {
            return;
        };
        for (want, least) in [(1, 1), (5, 1), (9, 5)] {
            let mut cells = [(Rate::of(&limit), cell)];
            let decision = take_all(&mut cells, now, want, least);
            assert!(decision.granted <= want.min(limit.burst), "{decision:?}");
            // All of the burst is back half a second later.
            let wait = decision.retry_after.unwrap_or_default().as_micros();
            assert!(wait <= 500_001, "{decision:?}");
            let after = cells[0].1;
            assert!(after.full_at() <= now + 500_001.0, "{after:?}");
            let written = format!("{:.3}\n", after.full_at());
            let back = parse(&written).map(super::Cell::full_at);
            assert!(
                back.is_some_and(|back| (back - after.full_at()).abs() <= 0.5),
                "{written}"
            );
        }
    });
}
