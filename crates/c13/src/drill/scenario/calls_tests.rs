//! Several dependencies: what is read of them, and what is refused.

use super::*;
use crate::drill::fake::no_files;

fn read(load: &str, rest: &str) -> Result<Scenario, String> {
    let text = format!("name = \"it\"\nduration = \"10m\"\nload = {{ rps = 100, deadline = \"1s\"{load} }}\n{rest}\n");
    Scenario::read(Source::new("drill.toml", text), &no_files).map_err(|errors| errors.to_string())
}

/// Two dependencies; the first has these keys as well.
fn two(first: &str) -> String {
    let one = |name: &str, more: &str| {
        format!("[[dependency]]\nname = \"{name}\"\nlatency = {{ constant = \"10ms\" }}\nconcurrency = 10\n{more}\n")
    };
    one("shop", first) + &one("stock", "")
}

#[test]
fn calls_are_read_in_steps() {
    let steps = ", calls = [\"shop\", [\"stock\", { to = \"shop\", optional = true, times = 3 }]]";
    let scenario = read(steps, &two("")).unwrap_or_else(|errors| panic!("{errors}"));
    let again = Call {
        to: 0,
        optional: true,
        times: 3,
    };
    assert_eq!(scenario.load.calls, [vec![Call::to(0)], vec![Call::to(1), again]]);
    assert_eq!(scenario.calls_for_a_request(), [4.0, 1.0]);
    assert_eq!(scenario.length_of_a_request(|_| 0.01), 0.04);
}

#[test]
fn a_service_takes_its_own_time_and_that_of_its_calls() {
    let of_service = "calls = [{ to = \"stock\", times = 2 }]\nprofile = \"critical\"";
    let scenario = read(", calls = [\"shop\"]", &two(of_service)).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(scenario.dependencies[0].protection.is_some());
    assert_eq!(scenario.calls_for_a_request(), [1.0, 2.0]);
    assert_eq!(scenario.length_of_a_request(|_| 0.01), 0.03);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let both = ", calls = [\"shop\", \"stock\"]";
    let fault = |keys: &str| format!("[[fault]]\nat = \"1m\"\nfor = \"10s\"\n{keys}");
    let mut wrong = String::new();
    for (load, rest, place, message) in [
        (
            "",
            two(""),
            "3:8",
            "`load` does not say which dependencies a request calls",
        ),
        (
            ", calls = [\"shop\", \"stick\"]",
            two(""),
            "3:55",
            "there is no dependency called \"stick\"",
        ),
        (
            ", calls = []",
            two(""),
            "3:46",
            "`load.calls` must have at least one call",
        ),
        (", calls = [[]]", two(""), "3:47", "a step must have at least one call"),
        (
            ", calls = [{ to = \"shop\", times = 101 }, \"stock\"]",
            two(""),
            "3:70",
            "`load.calls.times` must be a whole number from 1 to 100",
        ),
        (
            ", calls = [{ to = \"shop\", times = 100 }, \"stock\"]",
            two(""),
            "3:46",
            "`load.calls` makes 101 calls, and at most 100 are made",
        ),
        (", calls = [\"shop\"]", two(""), "10:8", "nothing calls \"stock\""),
        (
            both,
            two("calls = [\"shop\"]"),
            "8:10",
            "a dependency calls only those that stand below it",
        ),
        (
            both,
            two("profile = \"critical\""),
            "4:1",
            "a policy of a dependency is for the calls that it makes",
        ),
        (
            both,
            two("calls = [\"stock\"]\nprofile = \"criticel\""),
            "9:11",
            "`dependency.profile` must be",
        ),
        (
            ", calls = [\"shop\"]",
            two("").replace("stock", "shop"),
            "10:8",
            "two dependencies have the name \"shop\"",
        ),
        (
            both,
            two("") + &fault("kind = \"hang\""),
            "14:1",
            "`fault` does not say which dependency it is on",
        ),
        (
            both,
            two("") + &fault("kind = \"hang\"\non = \"stok\""),
            "18:6",
            "there is no dependency called \"stok\"",
        ),
        (
            both,
            two("") + "[[variant]]\nname = \"a\"\n[variant.on.stok]\nprofile = \"critical\"",
            "16:13",
            "there is no dependency called \"stok\"",
        ),
        (
            both,
            two("") + "[[variant]]\nname = \"a\"\non = {}",
            "16:6",
            "`variant.on` names no dependency",
        ),
        (
            both,
            two("") + "[[variant]]\nname = \"a\"\n[variant.on.stock]",
            "16:1",
            "a table of `variant.on` has a `profile`, a `policy`, or both",
        ),
        (
            both,
            two("") + &fault("on = \"shop\"\nkind = \"error_rate\"\nrate = 0.5\nkeys = \"0%\""),
            "20:8",
            "`fault.keys` must be above zero",
        ),
        (
            both,
            two("") + &fault("on = \"shop\"\nkind = \"crash\"\nkeys = \"5%\""),
            "19:8",
            "`fault.keys` belongs to faults of kind \"error_rate\" or \"latency\" or \"outage\"",
        ),
        (
            both,
            two("")
                + &fault("on = \"shop\"\nkind = \"error_rate\"\nrate = 0.5\npasses = { steps = 3, takes = \"11s\" }"),
            "20:31",
            "`fault.passes.takes` must fit into the fault, after its ramp",
        ),
    ] {
        let errors = read(load, &rest).expect_err(message);
        let found = errors.contains(&format!("error: {message}")) && errors.contains(&format!("drill.toml:{place}\n"));
        if !found || errors.matches("error: ").count() != 1 {
            wrong.push_str(&format!("{place} {message}\n{errors}\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn faults_of_one_kind_may_be_on_different_dependencies_at_one_time() {
    let fault = |on: &str| format!("[[fault]]\nat = \"1m\"\nfor = \"10s\"\non = \"{on}\"\nkind = \"hang\"\n");
    let both = ", calls = [\"shop\", \"stock\"]";
    let scenario =
        read(both, &(two("") + &fault("shop") + &fault("stock"))).unwrap_or_else(|errors| panic!("{errors}"));
    let words: Vec<&str> = scenario.faults.iter().map(|fault| &*fault.words).collect();
    assert_eq!(words, ["shop: hang", "stock: hang"]);
    let errors = read(both, &(two("") + &fault("shop") + &fault("shop"))).expect_err("they overlap");
    assert!(errors.contains("two faults of kind \"hang\" overlap"), "{errors}");
}
