//! What is read of the load, and what is refused.

use super::*;

#[test]
fn a_load_says_how_many_requests_arrive() {
    refused(
        &[("rps = 500\n", "")],
        r#"
        error: `load` says nothing of how many requests arrive
         --> drill.toml:4:1
          |
        4 | [load]
          | ^^^^^^
          |
          = help: add `rps = 500`, or `shape = [{ at = "0s", rps = 500 }, …]`
        "#,
    );
}

#[test]
fn a_load_is_either_constant_or_a_curve() {
    refused(
        &[("rps = 500\n", "rps = 500\nshape = [{ at = \"0s\", rps = 1 }]\n")],
        r#"
        error: `load` has either `rps` or `shape`, not both
         --> drill.toml:6:9
          |
        5 | rps = 500
          |       --- a constant load
        6 | shape = [{ at = "0s", rps = 1 }]
          |         ^^^^^^^^^^^^^^^^^^^^^^^^ a curve
          |
          = help: remove one of the two
        "#,
    );
}

#[test]
fn a_curve_starts_at_zero_and_goes_on_in_time() {
    refused(
        &[(
            "rps = 500\n",
            "shape = [{ at = \"1s\", rps = -1 }, { at = \"0s\", rps = 1, x = 1 }, { at = 2, rps = 1 }]\n",
        )],
        r#"
        error: `load.shape.at` must be "0s" in the first point
         --> drill.toml:5:17
          |
        5 | shape = [{ at = "1s", rps = -1 }, { at = "0s", rps = 1, x = 1 }, { at = 2, rps = 1 }]
          |                 ^^^^

        error: `load.shape.rps` must not be below zero
         --> drill.toml:5:29
          |
        5 | shape = [{ at = "1s", rps = -1 }, { at = "0s", rps = 1, x = 1 }, { at = 2, rps = 1 }]
          |                             ^^

        error: `load.shape.at` must not be earlier than that of the point before
         --> drill.toml:5:42
          |
        5 | shape = [{ at = "1s", rps = -1 }, { at = "0s", rps = 1, x = 1 }, { at = 2, rps = 1 }]
          |                 ---- the point before    ^^^^

        error: unknown key `load.shape.x`
         --> drill.toml:5:57
          |
        5 | shape = [{ at = "1s", rps = -1 }, { at = "0s", rps = 1, x = 1 }, { at = 2, rps = 1 }]
          |                                                         ^ not a key of `load.shape`
          |
          = help: the keys here are at, rps

        error: `load.shape.at` must be a duration in quotes
         --> drill.toml:5:73
          |
        5 | shape = [{ at = "1s", rps = -1 }, { at = "0s", rps = 1, x = 1 }, { at = 2, rps = 1 }]
          |                                                                         ^ this number has no unit
          |
          = help: write "2s" for seconds or "2ms" for milliseconds
        "#,
    );
}

#[test]
fn two_points_at_one_time_are_a_step_and_three_are_not() {
    let step = "shape = [{ at = \"0s\", rps = 10 }, { at = \"1m\", rps = 10 }, { at = \"1m\", rps = 50 }]\n";
    let load = accepted(&[("rps = 500\n", step)]).load;
    assert_eq!(load.expected_requests(Duration::from_secs(120)), 600.0 + 3_000.0);
    refused(
        &[(
            "rps = 500\n",
            "shape = [{ at = \"0s\", rps = 1 }, { at = \"0s\", rps = 2 }, { at = \"0s\", rps = 3 }]\n",
        )],
        r#"
        error: `load.shape` has more than two points at one time
         --> drill.toml:5:65
          |
        5 | shape = [{ at = "0s", rps = 1 }, { at = "0s", rps = 2 }, { at = "0s", rps = 3 }]
          |                                                                 ^^^^ the third
          |
          = help: two are a step from one load to another
        "#,
    );
}

#[test]
fn a_curve_has_a_point() {
    refused(
        &[("rps = 500\n", "shape = []\n")],
        r#"
        error: `load.shape` must have at least one point
         --> drill.toml:5:9
          |
        5 | shape = []
          |         ^^
        "#,
    );
}

#[test]
fn every_wrong_value_of_a_load_is_reported() {
    refused(
        &[
            ("rps = 500\n", "rps = 0\narrivals = \"poison\"\n"),
            ("deadline = \"2s\"", "deadline = \"0s\"\ninstances = 0"),
        ],
        r#"
        error: `load.rps` must be above zero
         --> drill.toml:5:7
          |
        5 | rps = 0
          |       ^

        error: `load.arrivals` must be "poisson" or "constant"
         --> drill.toml:6:12
          |
        6 | arrivals = "poison"
          |            ^^^^^^^^
          |
          = help: did you mean "poisson"?

        error: `load.deadline` must be longer than zero
         --> drill.toml:7:12
          |
        7 | deadline = "0s"
          |            ^^^^

        error: `load.instances` must be a whole number from 1 to 10000
         --> drill.toml:8:13
          |
        8 | instances = 0
          |             ^ too small
        "#,
    );
}
