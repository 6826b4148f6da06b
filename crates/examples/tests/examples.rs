//! Every example runs, and says what it is there to say.

use std::process::Command;

/// Runs an example; its assertions are its own, the words are what a reader is to see.
#[track_caller]
fn runs(program: &str, words: &[&str]) {
    let output = Command::new(program)
        .env_remove("DATABASE_URL")
        .output()
        .unwrap_or_else(|error| panic!("{program} does not start: {error}"));
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{out}{err}");
    for word in words {
        assert!(out.contains(word), "it does not say {word:?}:\n{out}{err}");
    }
}

#[test]
fn plain_functions_go_through_a_policy() {
    runs(
        env!("CARGO_BIN_EXE_plain"),
        &["the second gave 1", "circuit open (", "with a fallback: 7"],
    );
}

#[test]
fn a_tower_service_goes_through_a_policy() {
    runs(env!("CARGO_BIN_EXE_tower_layer"), &["HELLO, after 3 attempts"]);
}

#[test]
fn an_http_client_goes_through_a_policy() {
    runs(
        env!("CARGO_BIN_EXE_reqwest_client"),
        &[
            "a GET was answered: attempt 3, ",
            "a POST is not repeated: 503",
            "a POST with a key is: attempt 2, ",
            "layered: 200 OK",
            "circuit open (",
        ],
    );
}

#[test]
fn grpc_goes_through_policies_on_both_sides() {
    runs(
        env!("CARGO_BIN_EXE_tonic_echo"),
        &[
            "ms are left",
            "a slow answer",
            "ResourceExhausted",
            "four more answers",
            "a stream: 2 messages, and then Some(Unavailable)",
            "failed in their trailers the circuit is open",
            "and the next is refused",
        ],
    );
}

#[test]
fn queries_go_through_a_policy() {
    runs(
        env!("CARGO_BIN_EXE_sqlx_pool"),
        &["the database is down", "circuit open ("],
    );
}

#[test]
fn a_service_with_three_dependencies_runs_under_one_file() {
    runs(
        env!("CARGO_BIN_EXE_service"),
        &[
            "asked 2 times",
            "a caller with 150 ms: 504",
            "left alone: 503",
            "429",
            "still Some(Open)",
        ],
    );
}
