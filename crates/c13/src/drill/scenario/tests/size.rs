//! How small and how large a drill may be.

use super::*;

#[test]
fn a_load_sends_enough_to_be_measured() {
    refused(
        &[("rps = 500\n", "rps = 0.0001\n")],
        r#"
        error: the load sends some 0 requests, and a drill takes at least 1000
         --> drill.toml:4:1
          |
        2 | duration = "10m"
          |            ----- the drill lasts this long
        ...
        4 | [load]
          | ^^^^^^
          |
          = help: raise its `rps`, or let the drill last longer: of fewer requests, the slowest hundredth says nothing
        "#,
    );
}

#[test]
fn a_load_sends_no_more_than_can_be_simulated() {
    refused(
        &[("rps = 500\n", "rps = 50000000\n")],
        r#"
        error: the load sends some 3.0e10 requests, and a drill takes at most 1e9
         --> drill.toml:4:1
          |
        2 | duration = "10m"
          |            ----- the drill lasts this long
        ...
        4 | [load]
          | ^^^^^^
          |
          = help: lower its `rps`, or shorten the drill
        "#,
    );
}

#[test]
fn a_drill_and_a_caller_s_patience_are_no_longer_than_is_kept() {
    refused(
        &[
            ("duration = \"10m\"", "duration = \"213503d\""),
            ("rps = 500\n", "rps = 0.0001\n"),
        ],
        r#"
        error: `duration` must be at most 7d
         --> drill.toml:2:12
          |
        2 | duration = "213503d"
          |            ^^^^^^^^^
        "#,
    );
    refused(
        &[("deadline = \"2s\"", "deadline = \"213503d\"")],
        r#"
        error: `load.deadline` must be at most 1d
         --> drill.toml:6:12
          |
        6 | deadline = "213503d"
          |            ^^^^^^^^^
        "#,
    );
}

#[test]
fn a_drill_keeps_no_more_calls_at_once_than_fit_into_memory() {
    let hole = (
        "kind = \"latency\"\nfactor = 8.0",
        "kind = \"outage\"\nmode = \"blackhole\"",
    );
    let retries = "timeout = { total = false, attempt = false }\nretry = { max_retries = 1000000, budget = false }";
    let patient = "timeout = { total = \"20h\" }\nretry = false";
    for (edits, words) in [
        (
            &[
                ("concurrency = 64", "concurrency = 4000000000"),
                ("rps = 500", "rps = 5000"),
            ][..],
            "the dependency may hold some 9.0e6 calls at once, and a drill keeps at most 2e6",
        ),
        (
            &[
                ("capacity = 1000 ", "capacity = 100000000 "),
                ("rps = 500", "rps = 1000000"),
            ],
            "the dependency may hold some 1.0e8 calls at once",
        ),
        (
            &[
                hole,
                ("rps = 500", "rps = 50000"),
                ("deadline = \"2s\"", "patience = \"forever\"\ndeadline = \"2s\""),
            ],
            "some 3.0e6 requests are never answered, and a drill keeps at most 2e6",
        ),
        (
            &[
                ("deadline = \"2s\"", "deadline = \"1d\""),
                (
                    "timeout = { total = \"3s\", attempt = \"500ms\" }\nretry = { max_retries = 2 }",
                    patient,
                ),
                ("rps = 500", "rps = 5000"),
            ],
            "some 3.0e6 callers may wait at once, each for 20h, and a drill keeps at most 2e6",
        ),
        (
            &[(
                "timeout = { total = \"3s\", attempt = \"500ms\" }\nretry = { max_retries = 2 }",
                retries,
            )],
            "a variant may make some",
        ),
    ] {
        let text = edits.iter().fold(VALID.to_owned(), |text, (old, new)| {
            assert!(text.contains(old), "{old}");
            text.replace(old, new)
        });
        let error = read(&text).expect_err(words);
        assert!(error.contains(words), "{words}\n{error}");
    }
    // As large as drills are.
    for edits in [
        &[("capacity = 1000 ", "capacity = 100000000 ")][..],
        &[("concurrency = 64", "concurrency = 100000")],
        &[("deadline = \"2s\"", "deadline = \"1d\"")],
        &[("duration = \"10m\"", "duration = \"7d\"")],
        &[hole],
    ] {
        let text = edits
            .iter()
            .fold(VALID.to_owned(), |text, (old, new)| text.replace(old, new));
        assert!(read(&text).is_ok(), "{:?}", read(&text));
    }
}

#[test]
fn a_drill_has_so_many_faults_and_variants_and_reads_no_more() {
    let faults: String = (0..200)
        .map(|at| {
            format!(
                "[[fault]]\nat = \"{}s\"\nfor = \"1s\"\nkind = \"latency\"\nfactor = 2.0\n",
                10 + at
            )
        })
        .collect();
    let text = VALID.replace(
        "[[fault]]\nat = \"2m\"\nfor = \"1m\"\nkind = \"latency\"\nfactor = 8.0\n",
        &faults,
    );
    let error = read(&text).expect_err("too many faults");
    assert!(error.contains("error: a drill has at most 100 faults"), "{error}");
    assert_eq!(error.matches("error: ").count(), 1, "{error}");

    let asked = std::cell::Cell::new(0);
    let files = |_: &str| {
        asked.set(asked.get() + 1);
        Err("there is none".to_owned())
    };
    let variants: String = (0..2_000)
        .map(|at| format!("[[variant]]\nname = \"v{at}\"\npolicy = \"service.toml#a\"\n"))
        .collect();
    let source = Source::new("drill.toml", VALID.to_owned() + &variants);
    let errors = Scenario::read(source, &files)
        .expect_err("too many variants")
        .to_string();
    assert!(errors.contains("error: a drill has at most 16 variants"), "{errors}");
    assert_eq!(asked.get(), 15, "files are read for no more variants than are allowed");
}
