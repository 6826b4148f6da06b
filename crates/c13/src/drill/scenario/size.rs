//! Bounds on the size of a drill, because simulated calls take time and the calls that wait take memory.

use std::time::Duration;

use c13_reliability::policy::PolicyConfig;
use c13_reliability::policy::document::{Table, duration_text};

use super::{Dependency, Effect, Fault, Load, OutageMode, Patience, Variant};

/// The calls of each second are counted by themselves.
pub(super) const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// A call is kept until its caller gives up.
pub(super) const LONGEST_DEADLINE: Duration = Duration::from_secs(86_400);

/// Each client has a policy of its own, of some kilobytes, in each variant.
pub(super) const MOST_CLIENTS: u32 = 10_000;

/// A balancer looks at each of them, and so does each change of the dependency.
pub(super) const MOST_INSTANCES: u32 = 1_000;

/// More dependencies than these are a picture of a whole company.
pub(super) const MOST_DEPENDENCIES: usize = 20;

/// More steps than these are a straight line.
pub(super) const MOST_STEPS: u64 = 100;

/// More tables of faults than these are no incident any more.
pub(super) const MOST_FAULTS: usize = 100;

/// With repetitions and instances in turn, there may be more. Each change of the dependency looks at all of them.
pub(super) const MOST_FAULTS_OF_ALL: usize = 1_000;

/// Fewer requests than these say nothing of the slowest hundredth of them.
const LEAST_REQUESTS: f64 = 1_000.0;

/// More requests than these are not simulated: at some millions a second it would take minutes for each variant.
const MOST_REQUESTS: f64 = 1e9;

/// More attempts than these are not simulated either.
const MOST_ATTEMPTS: f64 = 1e10;

/// More calls than these are not kept at one time: each takes about a kilobyte.
const MOST_AT_ONCE: f64 = 2e6;

/// Refuses a drill of too few requests or too many, and one that would keep too many calls at a time.
pub(super) fn check(
    root: &Table<'_>,
    duration: Duration,
    load: &Load,
    dependencies: Option<&[Dependency]>,
    faults: Option<&[Fault]>,
    variants: Option<&[Variant]>,
) {
    let dependencies = dependencies.unwrap_or_default();
    let variants = variants.unwrap_or_default();
    let expected = load.expected_requests(duration);
    if expected < LEAST_REQUESTS {
        let message =
            format!("the load sends some {expected:.0} requests, and a drill takes at least {LEAST_REQUESTS}");
        let error = root
            .error("load", message)
            .also(root.value_span("duration"), "the drill lasts this long");
        return root.report(error.help(
            "raise its `rps`, or let the drill last longer: of fewer requests, the slowest hundredth says nothing",
        ));
    }
    if expected > MOST_REQUESTS {
        let message =
            format!("the load sends some {expected:.1e} requests, and a drill takes at most {MOST_REQUESTS:.0e}");
        let error = root
            .error("load", message)
            .also(root.value_span("duration"), "the drill lasts this long");
        return root.report(error.help("lower its `rps`, or shorten the drill"));
    }
    let attempts_at = |dependency| {
        let of_variant = |variant| most_attempts_at(load, dependencies, variant)[dependency];
        variants.iter().map(of_variant).fold(1.0, f64::max)
    };
    let attempts: f64 = match dependencies.len() {
        0 => 1.0,
        all => (0..all).map(attempts_at).sum(),
    };
    if expected * attempts > MOST_ATTEMPTS {
        let message = format!(
            "a variant may make some {:.1e} attempts, and a drill takes at most {MOST_ATTEMPTS:.0e}",
            expected * attempts
        );
        let error = root.error("load", message).label(format!(
            "each of some {expected:.1e} requests may be tried {attempts:.0} times"
        ));
        return root.report(error.help("lower its `rps`, or `max_retries` and `max_extra` of the variant's policy"));
    }
    check_unanswered(root, duration, load, faults.unwrap_or_default());
    for (index, dependency) in dependencies.iter().enumerate() {
        check_places(root, expected * attempts_at(index), dependency);
    }
    let callers =
        (0..dependencies.len()).flat_map(|to| variants.iter().filter_map(move |variant| variant.protection(to)));
    let patience = callers.map(|caller| caller.policy.total_timeout.unwrap_or(Duration::MAX).min(load.deadline));
    check_patience(root, load, expected, patience.max());
}

/// Attempts that a policy makes for one call, at the most.
fn most_attempts(config: &PolicyConfig) -> f64 {
    let retries = config.retry.map_or(0.0, |retry| f64::from(retry.max_retries));
    let hedges = config.hedge.map_or(0.0, |hedge| f64::from(hedge.max_extra));
    (1.0 + retries) * (1.0 + hedges)
}

/// Attempts at each dependency for one request, at the most: those of the callers, and those of each service for each attempt
/// at the service.
fn most_attempts_at(load: &Load, dependencies: &[Dependency], variant: &Variant) -> Vec<f64> {
    super::calls_for_a_request(&load.calls, dependencies, |service, to| {
        let protection = match service {
            None => variant.protection(to),
            Some(service) => variant.protection_of_service(&dependencies[service], to),
        };
        protection.map_or(1.0, |protection| most_attempts(&protection.policy))
    })
}

/// Requests that meet a black hole are kept until their callers give up, or until the drill ends where they never do.
fn check_unanswered(root: &Table<'_>, duration: Duration, load: &Load, faults: &[Fault]) {
    let requests = |from: Duration, to: Duration| load.expected_requests(to) - load.expected_requests(from);
    let patience = match load.patience {
        Patience::Deadline => load.deadline,
        Patience::Forever => Duration::MAX,
    };
    let unanswered: f64 = faults
        .iter()
        .filter(|fault| matches!(fault.effect, Effect::Outage(outage) if outage.mode == OutageMode::Blackhole))
        .map(|fault| {
            requests(
                fault.at.min(duration),
                (fault.at + fault.length.min(patience)).min(duration),
            ) * fault.keys.value()
        })
        .sum();
    if unanswered > MOST_AT_ONCE {
        let error = too_many(
            root,
            "fault",
            &format!("some {unanswered:.1e} requests are never answered"),
        );
        root.report(error.help("lower the load, or let the outage last less long"));
    }
}

/// Requests that the dependency has are kept until it has worked on them.
fn check_places(root: &Table<'_>, attempts: f64, dependency: &Dependency) {
    let queue = dependency.queue.map_or(0.0, |queue| f64::from(queue.capacity.get()));
    let places = f64::from(dependency.instances.get()) * (f64::from(dependency.concurrency.get()) + queue);
    let held = places.min(attempts);
    if held > MOST_AT_ONCE {
        let error = too_many(
            root,
            "dependency",
            &format!("the dependency may hold some {held:.1e} calls at once"),
        );
        root.report(error.help("lower its `concurrency` or the `capacity` of its queue, or lower the load"));
    }
}

/// Calls under a policy are kept until they are over, or their callers give up.
fn check_patience(root: &Table<'_>, load: &Load, expected: f64, patience: Option<Duration>) {
    let Some(patience) = patience else { return };
    let fastest = load.shape.iter().map(|point| point.rps).fold(0.0, f64::max);
    let waiting = (fastest * patience.as_secs_f64()).min(expected);
    if waiting > MOST_AT_ONCE {
        let what = format!(
            "some {waiting:.1e} callers may wait at once, each for {}",
            duration_text(patience)
        );
        let error = too_many(root, "load", &what);
        root.report(error.help("lower its `rps` or its `deadline`"));
    }
}

fn too_many(root: &Table<'_>, key: &'static str, what: &str) -> c13_reliability::policy::document::Diagnostic {
    root.error(key, format!("{what}, and a drill keeps at most {MOST_AT_ONCE:.0e}"))
}
