//! The words for instances, refusals, slowness and faults: what is read of each, and what is refused.

use super::dependency::{Balance, Refuse};
use super::fault::{Effect, Fault};
use super::*;
use crate::drill::fake::no_files;

/// A scenario with these lines in its dependency, and this text after it.
fn read(dependency: &str, rest: &str) -> Result<Scenario, String> {
    let latency = match dependency.contains("latency") {
        true => "",
        false => "latency = { constant = \"10ms\" }\n",
    };
    let text = format!(
        "name = \"it\"\nduration = \"10m\"\nload = {{ rps = 100, deadline = \"1s\" }}\n\n[dependency]\nname = \"it\"\n\
         {latency}concurrency = 10\nqueue = {{ capacity = 20 }}\n{dependency}\n\n{rest}\n"
    );
    Scenario::read(Source::new("drill.toml", text), &no_files).map_err(|errors| errors.to_string())
}

fn accepted(dependency: &str, rest: &str) -> Scenario {
    read(dependency, rest).unwrap_or_else(|errors| panic!("{dependency}\n{rest}\n{errors}"))
}

fn fault(keys: &str) -> String {
    format!("[[fault]]\nat = \"1m\"\nfor = \"10s\"\n{keys}")
}

#[test]
fn what_a_dependency_says_is_what_is_read() {
    let plain = accepted("", "").dependencies.remove(0);
    assert_eq!((plain.instances.get(), plain.balance), (1, Balance::RoundRobin));
    assert_eq!(
        (plain.refuse, plain.health, plain.slow),
        (Refuse::FREE, None, Vec::new())
    );
    for (name, balance) in [
        ("round_robin", Balance::RoundRobin),
        ("least_connections", Balance::LeastConnections),
        ("p2c", Balance::PowerOfTwo),
    ] {
        let read = accepted(&format!("instances = 4\nbalance = \"{name}\""), "")
            .dependencies
            .remove(0);
        assert_eq!((read.instances.get(), read.balance), (4, balance));
    }
    let health = accepted("instances = 4\nhealth = { every = \"5s\", panic = \"50%\" }", "")
        .dependencies
        .remove(0)
        .health;
    let health = health.expect("it was read");
    assert_eq!((health.every, health.panic.value()), (Duration::from_secs(5), 0.5));
    let refuse = accepted("refuse = { takes = \"2ms\", costs = \"20%\" }", "")
        .dependencies
        .remove(0)
        .refuse;
    assert_eq!((refuse.takes, refuse.costs), (Duration::from_millis(2), 0.2));
    let slow = accepted("slow = { in_flight = [[12, 1.0], [40, 3.0]] }", "")
        .dependencies
        .remove(0)
        .slow;
    assert_eq!(slow, [(12.0, 1.0), (40.0, 3.0)]);
    let mix = "latency = { mix = [{ share = \"99%\", constant = \"1ms\" }, { share = \"1%\", exponential = { mean = \"2s\" } }] }";
    let parts = vec![
        (0.99, Latency::Constant(0.001)),
        (0.01, Latency::Exponential { mean: 2.0 }),
    ];
    assert_eq!(accepted(mix, "").dependencies.remove(0).latency, Latency::Mix(parts));
}

#[test]
fn each_kind_of_fault_has_its_words() {
    for (keys, words) in [
        (
            "kind = \"error_rate\"\nrate = \"25%\"\nfinal = \"10%\"\ntakes = \"1ms\"",
            "25% errors",
        ),
        ("kind = \"latency\"\nfactor = 6", "latency ×6"),
        (
            "kind = \"latency\"\nadd = \"300ms\"\nshare = \"5%\"",
            "latency +300ms for 5% of the calls",
        ),
        (
            "kind = \"latency\"\nfactor = 2\nadd = \"1s\"\ninstances = 1",
            "latency ×2 +1s, 1 of 4 instances",
        ),
        (
            "kind = \"outage\"\nmode = \"refuse\"\nretry_after = \"1s\"",
            "outage: refuses",
        ),
        (
            "kind = \"outage\"\nmode = \"blackhole\"\ninstances = \"50%\"",
            "outage: no answers, 2 of 4 instances",
        ),
        ("kind = \"capacity\"\nshare = 0.5", "50% of the servers left"),
        ("kind = \"crash\"\nwarm_up = { cold = 3.0, takes = \"1m\" }", "crash"),
        ("kind = \"restart\"\nrolling = true", "rolling restart"),
        ("kind = \"hang\"", "hang"),
    ] {
        let faults = accepted("instances = 4", &fault(keys)).faults;
        assert_eq!(faults[0].words, words);
    }
}

#[test]
fn a_fault_is_repeated_as_often_as_asked_or_as_there_is_room_for() {
    let starts = |keys: &str| -> Vec<u64> {
        let faults = accepted("instances = 4", &fault(&format!("kind = \"hang\"\n{keys}"))).faults;
        assert!(
            faults
                .iter()
                .all(|fault| fault.table == 0 && fault.length.as_secs() == 10)
        );
        faults.iter().map(|fault| fault.at.as_secs()).collect()
    };
    assert_eq!(starts("every = \"3m\"\ntimes = 2"), [60, 240]);
    assert_eq!(starts("every = \"3m\""), [60, 240, 420]);
    // The last one may end 10 s before the drill, at 9m 50s.
    assert_eq!(starts("every = \"4m 20s\""), [60, 320, 580]);
}

#[test]
fn a_rolling_restart_takes_each_instance_in_turn() {
    let faults = accepted("instances = 3", &fault("kind = \"restart\"\nrolling = true")).faults;
    let turns = |fault: &Fault| (fault.at.as_secs(), fault.on.clone());
    let turns: Vec<_> = faults.iter().map(turns).collect();
    assert_eq!(turns, [(60, Some(0..1)), (70, Some(1..2)), (80, Some(2..3))]);
}

#[test]
fn faults_of_one_kind_may_be_on_different_instances_at_one_time() {
    let rolling = fault("kind = \"restart\"\nrolling = true");
    let slow = fault("kind = \"latency\"\nfactor = 2");
    let faults = accepted("instances = 3", &format!("{rolling}\n{slow}")).faults;
    assert_eq!(faults.len(), 4);
    assert!(matches!(faults[1].effect, Effect::Slowdown { .. }) || faults[0].kind == "latency");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let of = |keys: &str| fault(keys);
    for (dependency, rest, message, help) in [
        (
            "balance = \"p2c\"",
            String::new(),
            "`dependency.balance` needs several instances",
            "add `instances = 4`",
        ),
        (
            "health = { every = \"1s\" }",
            String::new(),
            "`dependency.health` needs several instances",
            "",
        ),
        (
            "instances = 2\nhealth = { every = \"0s\" }",
            String::new(),
            "must be longer than zero",
            "",
        ),
        (
            "instances = 1001",
            String::new(),
            "must be a whole number from 1 to 1000",
            "",
        ),
        (
            "refuse = {}",
            String::new(),
            "`dependency.refuse` sets nothing",
            "takes = \"2ms\"",
        ),
        ("slow = {}", String::new(), "`dependency.slow.in_flight` is missing", ""),
        (
            "slow = { in_flight = [] }",
            String::new(),
            "must have points with more calls in each",
            "",
        ),
        (
            "slow = { in_flight = [[5, 1.0], [5, 2.0]] }",
            String::new(),
            "must have points with more calls in each",
            "",
        ),
        (
            "slow = { in_flight = [[5]] }",
            String::new(),
            "is a number of calls and a factor",
            "write, for example, `[40, 3.0]`",
        ),
        (
            "slow = { in_flight = [[5, 0.5]] }",
            String::new(),
            "must be 1 or more",
            "",
        ),
        (
            "latency = { mix = [{ share = \"50%\", constant = \"1ms\" }] }",
            String::new(),
            "must add up to 100%",
            "",
        ),
        (
            "latency = { mix = [{ share = \"100%\" }] }",
            String::new(),
            "names no distribution",
            "share = \"1%\"",
        ),
        (
            "latency = { mix = [{ share = \"100%\", mix = [] }] }",
            String::new(),
            "has no mix in it",
            "write its parts into the outer list",
        ),
        (
            "",
            of("kind = \"hang\"\ninstances = 1"),
            "must be at least one of several instances",
            "`dependency.instances` says",
        ),
        (
            "instances = 4",
            of("kind = \"hang\"\ninstances = 5"),
            "must be a whole number from 1 to 4",
            "",
        ),
        (
            "instances = 4",
            of("kind = \"hang\"\ninstances = \"1%\""),
            "must be at least one of several instances",
            "",
        ),
        (
            "",
            of("kind = \"hang\"\ntimes = 2"),
            "`fault.times` needs `every`",
            "add `every = \"5m\"`",
        ),
        (
            "",
            of("kind = \"hang\"\nevery = \"10s\""),
            "`fault.every` must be longer than the fault",
            "",
        ),
        (
            "",
            of("kind = \"hang\"\nevery = \"5m\"\ntimes = 3"),
            "the last repetition would end after the drill",
            "",
        ),
        ("", of("kind = \"latency\""), "`fault.factor` is missing", ""),
        (
            "",
            of("kind = \"latency\"\nadd = \"0s\""),
            "`fault.add` must be longer than zero",
            "",
        ),
        (
            "",
            of("kind = \"latency\"\nfactor = 2\nshare = 0"),
            "`fault.share` must be above zero",
            "",
        ),
        (
            "",
            of("kind = \"outage\"\nmode = \"blackhole\"\nretry_after = \"1s\""),
            "`fault.retry_after` needs an answer to stand in",
            "",
        ),
        (
            "",
            of("kind = \"restart\"\nrolling = true"),
            "`fault.rolling` needs several instances",
            "",
        ),
        (
            "",
            of("kind = \"crash\"\nwarm_up = { cold = 0.5, takes = \"1s\" }"),
            "must be 1 or more",
            "",
        ),
        (
            "",
            of("kind = \"hang\"\nshare = 0.5"),
            "`fault.share` belongs to faults of kind \"latency\" or \"outage\" or \"capacity\"",
            "",
        ),
    ] {
        let errors = read(dependency, &rest).expect_err(message);
        assert!(errors.contains(message) && errors.contains(help), "{message}\n{errors}");
        assert_eq!(errors.matches("error: ").count(), 1, "{message}\n{errors}");
    }
}

#[test]
fn a_drill_has_so_many_faults_with_all_their_repetitions() {
    let many = "[[fault]]\nat = \"10s\"\nfor = \"1ms\"\nevery = \"2ms\"\nkind = \"hang\"\n";
    let errors = read("", many).expect_err("it is repeated too often");
    assert!(errors.contains("a drill has at most 1000 faults"), "{errors}");
}

#[test]
fn a_shared_limit_needs_a_limit() {
    let variant = |policy: &str| format!("[[variant]]\nname = \"a\"\nshared = {{ rate_limit = \"2ms\" }}\n{policy}\n");
    let limited = accepted("", &variant("policy = { rate_limit = { rate = \"50/s\" } }"));
    assert_eq!(limited.variants[1].shared_limit, Some(Duration::from_millis(2)));
    let errors = read("", &variant("policy = { timeout = { total = \"1s\" } }")).expect_err("there is no limit");
    assert!(
        errors.contains("`variant.shared.rate_limit` needs a rate limit to share"),
        "{errors}"
    );
}
