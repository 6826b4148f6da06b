//! Mangled scenarios: none makes the reader panic, or takes more time than its length allows.

#[allow(
    clippy::duplicate_mod,
    reason = "tests of two parts of the program, and no module of its own for both"
)]
#[path = "../../../c13-reliability/tests/it/fuzz/mutate.rs"]
mod mutate;

use c13_reliability::policy::document::Source;

use super::scenario::Scenario;
use mutate::{Corpus, fuzz};

const SERVICE: &str = "[policy.payments]\nextends = \"critical\"\n";

#[test]
fn no_scenario_takes_more_time_than_its_length_allows() {
    let corpus = Corpus {
        texts: vec![
            Scenario::BUILT_IN.into(),
            "name = \"a\"\nduration = \"10m\"\nload = { shape = [{ at = \"0s\", rps = 5 }, { at = \"1m\", rps = 500.0 }], \
             arrivals = \"constant\", deadline = \"2s\" }\n[dependency]\nname = \"b\"\nlatency.uniform = { min = \"1ms\", \
             max = \"9ms\" }\nconcurrency = 4\n[[fault]]\nat = \"2m\"\nfor = \"1m\"\nkind = \"outage\"\nmode = \
             \"blackhole\"\n[[variant]]\nname = \"c\"\npolicy = \"service.toml#payments\"\nset.retry.max_retries = 1\n[slo]\n\
             goodput = \">= 95%\"\np99 = \"<= 800ms\"\n"
                .into(),
        ],
        words: &[
            "duration = ", "deadline = ", "rps = ", "repeat = ", "concurrency = ", "capacity = ", "factor = ", "[[fault]]\n",
            "[[variant]]\n", "latency = { lognormal = { p50 = ", "policy = \"service.toml#payments\"\n", "<= ", "set = ",
        ],
        longest: 1 << 15,
    };
    let files = |_: &str| Ok(Source::new("service.toml", SERVICE));
    fuzz("scenarios", &corpus, |input| {
        let Ok(source) = Source::from_bytes("drill.toml", input.to_vec()) else {
            return;
        };
        if let Err(errors) = Scenario::read(source, &files) {
            assert!(errors.to_string().len() <= 256 << 10);
        }
    });
}
