//! Mangled `Accept` headers.

use super::{weight, weight_or_pattern};
use crate::mutate::{Corpus, fuzz};

#[test]
fn no_accept_header_makes_its_reader_panic_or_gives_a_weight_above_one() {
    let texts = [
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.25,*/*;q=0.1",
        "a/b;x=\"y,z;q=1\\\"\";q=0.1 , A/*; Q=0.007",
    ];
    let corpus = Corpus {
        texts: texts.map(|text| text.as_bytes().to_vec()).to_vec(),
        words: &[
            "a/b", "a/*", "*/*", ",", ";", "=", ";q=", "q=0.", "1.000", "\"", "\\", "\t",
        ],
        longest: 1 << 14,
    };
    fuzz("Accept", &corpus, |input| {
        let accept = &*String::from_utf8_lossy(input);
        let weights = [weight(accept, "a/b"), weight_or_pattern(accept, "a/b")];
        assert!(weights.iter().all(|weight| *weight <= 1_000), "{weights:?}");
        assert!(
            weights[0] <= weights[1] || weights[0] == 0,
            "the name counts before a pattern: {weights:?}"
        );
        if !accept.contains('"') {
            let wanted = format!("{accept},A/b");
            assert_eq!([weight(&wanted, "a/b"), weight_or_pattern(&wanted, "a/b")], [1_000; 2]);
        }
    });
}
