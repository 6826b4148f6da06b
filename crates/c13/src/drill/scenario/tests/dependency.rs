//! What is read of the dependency, and what is refused.

use super::*;

#[test]
fn a_latency_names_a_distribution() {
    refused(
        &[("{ lognormal = { p50 = \"40ms\", p99 = \"250ms\" } }", "{}")],
        r#"
        error: `dependency.latency` names no distribution
          --> drill.toml:10:11
           |
        10 | latency = {}
           |           ^^
           |
           = help: write, for example, `{ lognormal = { p50 = "40ms", p99 = "250ms" } }`
        "#,
    );
}

#[test]
fn a_latency_has_one_distribution() {
    refused(
        &[(
            "{ lognormal = { p50 = \"40ms\", p99 = \"250ms\" } }",
            "{ constant = \"1ms\", uniform = { min = \"1ms\", max = \"2ms\" } }",
        )],
        r#"
        error: `dependency.latency` has one distribution
          --> drill.toml:10:31
           |
        10 | latency = { constant = "1ms", uniform = { min = "1ms", max = "2ms" } }
           |             --------          ^^^^^^^ the second
           |             |
           |             the first
           |
           = help: remove one of the two
        "#,
    );
}

#[test]
fn a_latency_is_a_table() {
    refused(
        &[("{ lognormal = { p50 = \"40ms\", p99 = \"250ms\" } }", "\"40ms\"")],
        r#"
        error: `dependency.latency` must be a table
          --> drill.toml:10:11
           |
        10 | latency = "40ms"
           |           ^^^^^^ this is text
        "#,
    );
}

#[test]
fn percentiles_are_in_order() {
    refused(
        &[("p99 = \"250ms\"", "p99 = \"25ms\"")],
        r#"
        error: `dependency.latency.lognormal.p99` must not be shorter than `p50`
          --> drill.toml:10:47
           |
        10 | latency = { lognormal = { p50 = "40ms", p99 = "25ms" } }
           |                                 ------        ^^^^^^
           |                                 |
           |                                 `p50` is set here
        "#,
    );
}

#[test]
fn what_happens_in_a_queue_needs_one() {
    refused(
        &[("queue = { capacity = 1000 }\n", "abandon = true\n")],
        r#"
        error: `dependency.abandon` needs a queue: without one, no call ever waits
          --> drill.toml:12:11
           |
        12 | abandon = true
           |           ^^^^
           |
           = help: add `queue = { capacity = 1000 }`, or remove this

        error: `dependency.overload` needs a queue: without one, no call ever waits
          --> drill.toml:13:12
           |
        13 | overload = { kind = "linear", factor = 1.5 }
           |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
           |
           = help: add `queue = { capacity = 1000 }`, or remove this
        "#,
    );
}

#[test]
fn overload_never_makes_calls_faster() {
    refused(
        &[
            ("factor = 1.5", "factor = 0.5"),
            ("kind = \"linear\"", "kind = \"quadratic\""),
        ],
        r#"
        error: `dependency.overload.kind` must be "linear"
          --> drill.toml:13:21
           |
        13 | overload = { kind = "quadratic", factor = 0.5 }
           |                     ^^^^^^^^^^^

        error: `dependency.overload.factor` must be 1 or more
          --> drill.toml:13:43
           |
        13 | overload = { kind = "quadratic", factor = 0.5 }
           |                                           ^^^
        "#,
    );
}
