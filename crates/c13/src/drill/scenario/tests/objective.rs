//! What is read of objectives, and what is refused.

use super::*;

#[test]
fn objectives_judge_somebody() {
    refused(
        &[("profile = \"critical\"", "profile = \"critical\"\nbaseline = true")],
        r#"
        error: the objectives judge no variant: all are baselines
          --> drill.toml:30:1
           |
        30 | [slo]
           | ^^^^^
           |
           = help: add a [[variant]] without `baseline = true`
        "#,
    );
}

#[test]
fn an_objective_points_the_right_way() {
    refused(
        &[("\">= 99.0%\"", "\"<= 99.0%\""), ("\"<= 60s\"", "\"< 60s\"")],
        r#"
        error: `slo.availability` must be a floor in quotes, such as ">= 99.0%"
          --> drill.toml:30:17
           |
        30 | availability = "<= 99.0%"
           |                 ^^ this is a ceiling, but more is better
           |
           = help: write ">= 99.0%"

        error: `slo.recovery` must be a ceiling in quotes, such as "<= 60s"
          --> drill.toml:31:13
           |
        31 | recovery = "< 60s"
           |             ^ write it as >= or <=
           |
           = help: write "<= 60s"
        "#,
    );
}

#[test]
fn an_objective_has_a_limit_of_its_kind() {
    refused(
        &[
            ("\">= 99.0%\"", "\"99.0%\""),
            (
                "\"<= 60s\"",
                "\"<= 60\"\np99 = \"<= 0s\"\namplification = \"<= x\"\ngoodput = \">= 101%\"\np98 = 3",
            ),
        ],
        r#"
        error: `slo.availability` must be a floor in quotes, such as ">= 99.0%"
          --> drill.toml:30:16
           |
        30 | availability = "99.0%"
           |                ^^^^^^^ this says neither >= nor <=
           |
           = help: write ">= 99.0%"

        error: `slo.recovery` must be a ceiling in quotes, such as "<= 60s"
          --> drill.toml:31:16
           |
        31 | recovery = "<= 60"
           |                ^^ a duration needs a unit

        error: `slo.p99` must be a ceiling in quotes, such as "<= 800ms"
          --> drill.toml:32:11
           |
        32 | p99 = "<= 0s"
           |           ^^ a limit of zero cannot be met

        error: `slo.amplification` must be a ceiling in quotes, such as "<= 1.3"
          --> drill.toml:33:21
           |
        33 | amplification = "<= x"
           |                     ^ a number above zero belongs here

        error: `slo.goodput` must be a floor in quotes, such as ">= 95%"
          --> drill.toml:34:15
           |
        34 | goodput = ">= 101%"
           |               ^^^^ a ratio is from 0 to 1, or from "0%" to "100%"

        error: unknown key `slo.p98`
          --> drill.toml:35:1
           |
        35 | p98 = 3
           | ^^^ not a key of `slo`
           |
           = help: did you mean `p99`?
        "#,
    );
}

#[test]
fn a_missed_objective_shows_within_the_drill() {
    refused(
        &[("\"<= 60s\"", "\"<= 8m\"")],
        r#"
        error: the drill ends before this objective can be missed
          --> drill.toml:31:12
           |
         2 | duration = "10m"
           |            ----- the drill ends here
        ...
        31 | recovery = "<= 8m"
           |            ^^^^^^^ counted from 3m, when the last fault is over
           |
           = help: recovery shows in a window of 10s: let the drill last 11m 10s or longer
        "#,
    );
}

#[test]
fn no_objectives_are_no_table_of_them() {
    refused(
        &[("availability = \">= 99.0%\"\nrecovery = \"<= 60s\"\n", "")],
        r#"
        error: `slo` has no objective
          --> drill.toml:29:1
           |
        29 | [slo]
           | ^^^^^
           |
           = help: write, for example, `availability = ">= 99.0%"`
        "#,
    );
}

#[test]
fn recovery_needs_a_fault() {
    refused(
        &[(
            "\n[[fault]]\nat = \"2m\"\nfor = \"1m\"\nkind = \"latency\"\nfactor = 8.0\n",
            "",
        )],
        r#"
        error: `slo.recovery` needs a fault to recover from
          --> drill.toml:25:12
           |
        25 | recovery = "<= 60s"
           |            ^^^^^^^^
           |
           = help: add a [[fault]], or remove this objective
        "#,
    );
}
