//! When faults may be, and what each kind needs.

use super::*;

#[test]
fn the_time_before_the_first_fault_is_measured() {
    refused(
        &[("at = \"2m\"", "at = \"5s\"")],
        r#"
        error: a fault must not start in the first 10s
          --> drill.toml:16:6
           |
        16 | at = "5s"
           |      ^^^^
           |
           = help: recovery is measured by how well calls do before the first fault
        "#,
    );
}

#[test]
fn a_fault_ends_within_the_drill() {
    refused(
        &[("for = \"1m\"", "for = \"10m\"")],
        r#"
        error: the fault ends after the drill
          --> drill.toml:17:7
           |
         2 | duration = "10m"
           |            ----- the drill ends here
        ...
        17 | for = "10m"
           |       ^^^^^ the fault ends at 12m
           |
           = help: let the drill last 12m 10s or longer, or the fault end earlier
        "#,
    );
}

#[test]
fn a_drill_goes_on_long_enough_to_see_a_recovery() {
    refused(
        &[("for = \"1m\"", "for = \"7m 55s\"")],
        r#"
        error: the drill must go on for 10s after the last fault, to see a recovery
          --> drill.toml:17:7
           |
         2 | duration = "10m"
           |            ----- the drill ends here
        ...
        17 | for = "7m 55s"
           |       ^^^^^^^^ the fault ends at 9m 55s
           |
           = help: let the drill last 10m 5s or longer, or the fault end earlier
        "#,
    );
}

#[test]
fn a_fault_has_a_kind() {
    refused(
        &[("kind = \"latency\"", "kind = \"latncy\"")],
        r#"
        error: `fault.kind` must be "error_rate", "latency", "outage", "capacity", "crash", "restart" or "hang"
          --> drill.toml:18:8
           |
        18 | kind = "latncy"
           |        ^^^^^^^^
           |
           = help: did you mean "latency"?
        "#,
    );
}

#[test]
fn a_fault_has_the_keys_of_its_kind() {
    refused(
        &[("kind = \"latency\"", "kind = \"outage\"")],
        r#"
        error: `fault.mode` is missing
          --> drill.toml:15:1
           |
        15 | [[fault]]
           | ^^^^^^^^^ `mode` belongs in this table
           |
           = help: add it, for example `mode = "refuse"`

        error: `fault.factor` belongs to faults of kind "latency"
          --> drill.toml:19:10
           |
        18 | kind = "outage"
           |        -------- this is another kind
        19 | factor = 8.0
           |          ^^^
        "#,
    );
}

#[test]
fn an_outage_has_a_mode() {
    refused(
        &[(
            "kind = \"latency\"\nfactor = 8.0",
            "kind = \"outage\"\nmode = \"black-hole\"",
        )],
        r#"
        error: `fault.mode` must be "refuse" or "blackhole"
          --> drill.toml:19:8
           |
        19 | mode = "black-hole"
           |        ^^^^^^^^^^^^
           |
           = help: did you mean "blackhole"?
        "#,
    );
}

#[test]
fn a_loss_of_capacity_leaves_a_server() {
    refused(
        &[(
            "kind = \"latency\"\nfactor = 8.0",
            "kind = \"capacity\"\nshare = \"0.1%\"",
        )],
        r#"
        error: `fault.share` must leave at least one server
          --> drill.toml:19:9
           |
        19 | share = "0.1%"
           |         ^^^^^^
           |
           = help: for none at all write `kind = "outage"` and `mode = "blackhole"`
        "#,
    );
}

#[test]
fn a_loss_of_capacity_loses_something() {
    refused(
        &[("kind = \"latency\"\nfactor = 8.0", "kind = \"capacity\"\nshare = 1.0")],
        r#"
        error: `fault.share` must be below 1: it is what is left of the servers
          --> drill.toml:19:9
           |
        19 | share = 1.0
           |         ^^^
        "#,
    );
}

#[test]
fn a_ramp_is_no_longer_than_its_fault() {
    refused(
        &[("factor = 8.0", "factor = 1\nramp = \"2m\"")],
        r#"
        error: `fault.factor` must be above 1
          --> drill.toml:19:10
           |
        19 | factor = 1
           |          ^

        error: `fault.ramp` must not be longer than the fault
          --> drill.toml:20:8
           |
        17 | for = "1m"
           |       ---- the fault lasts 1m
        ...
        20 | ramp = "2m"
           |        ^^^^
        "#,
    );
}

#[test]
fn faults_of_one_kind_do_not_overlap() {
    refused(
        &[(
            "factor = 8.0",
            "factor = 8.0\n[[fault]]\nat = \"2m 30s\"\nfor = \"5s\"\nkind = \"latency\"\nfactor = 2\n",
        )],
        r#"
        error: two faults of kind "latency" overlap
          --> drill.toml:20:1
           |
        15 | [[fault]]
           | --------- the other
        ...
        20 | [[fault]]
           | ^^^^^^^^^ starts before the other is over
        "#,
    );
}
