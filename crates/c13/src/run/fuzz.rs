//! Mangled state files: none makes the program panic, and what is read of one reads back.

#[allow(
    clippy::duplicate_mod,
    reason = "tests of two parts of the program, and no module of its own for both"
)]
#[path = "../../../c13-reliability/tests/it/fuzz/mutate.rs"]
mod mutate;

use c13_reliability::patterns::circuit_breaker::CircuitBreakerConfig;

use super::journal::{CircuitAnswer, Journal};
use mutate::{Corpus, fuzz};

#[test]
fn no_state_file_makes_the_program_panic_and_what_is_read_reads_back() {
    let corpus = Corpus {
        texts: vec![
            b"1 1000 2000 ok\n2 3000 4000 failed\n3 5000 - -\n".to_vec(),
            b"1 1 1 failed\n2 2 2 failed\n3 3 3 failed\n4 4 4 failed\n5 5 5 failed\n".to_vec(),
        ],
        words: &[" ", "\n", "- -", "4 7000 - - 8000\n", " ok", " failed", "1 1 1 ok\n"],
        longest: 1 << 14,
    };
    fuzz("journals", &corpus, |input| {
        let mut journal = Journal::read(&String::from_utf8_lossy(input)).unwrap_or_default();
        assert_eq!(Journal::read(&journal.text()).as_ref(), Some(&journal));
        let now = 1_700_000_000_000_000;
        if let Ok(CircuitAnswer::Admitted(number)) = journal.admit("key", CircuitBreakerConfig::default(), now) {
            journal.record(number, now + 1, Some(true));
        }
        assert_eq!(Journal::read(&journal.text()).as_ref(), Some(&journal));
    });
}
