//! Mangled records of the last holder of a lock, with its fence.

use super::{Fence, Grant};
use crate::mutate::{Corpus, fuzz};

#[test]
fn no_record_of_a_holder_makes_its_reader_panic_and_what_is_read_reads_back() {
    let corpus = Corpus {
        texts: vec![
            b"1700000000000000 host-1-4711-a1b2c3 exclusive 0 5f3c9a 1700000000000000 host 4711 backup.sh\n".to_vec(),
            b"9007199254740991 x shared 18446744073709551615 - 1 -\n".to_vec(),
        ],
        words: &[
            " ",
            "\n",
            "exclusive",
            "shared",
            "4294967296",
            "9007199254740992",
            "\u{a0}",
            "\u{1b}[2J",
        ],
        longest: 1 << 14,
    };
    fuzz("records of holders", &corpus, |input| {
        let Some(grant) = std::str::from_utf8(input).ok().and_then(Grant::parse) else {
            return;
        };
        match grant.fence.next(0) {
            Some(next) => assert!(next > grant.fence, "{next}"),
            None => assert_eq!(grant.fence, Fence::MAX),
        }
        assert!(!grant.owner.is_empty() && !grant.owner.contains(char::is_whitespace));
        let back = Grant::parse(&grant.text()).expect("it was written by this program");
        assert_eq!(
            (back.fence, &back.owner, back.is_exclusive),
            (grant.fence, &grant.owner, grant.is_exclusive)
        );
    });
}
