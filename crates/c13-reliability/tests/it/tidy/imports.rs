//! Imports go down the rows only: ground, shared, patterns, composition, edges.

use super::{Source, Violation};

/// The row of each folder or file right under the library's `src`. A new one gets its row here.
const ROWS: &[(&str, u8)] = &[
    ("time", 0),
    ("sync", 0),
    ("counted", 0),
    ("setters", 0),
    ("gate", 1),
    ("keyed", 1),
    ("single_flight", 1),
    ("window", 1),
    ("budget", 1),
    ("current", 1),
    ("error", 1),
    ("snapshot", 1),
    ("verdict", 1),
    ("patterns", 2),
    ("policy", 3),
    ("microservices", 3),
    ("observability", 3),
    ("distributed", 3),
    ("realtime", 3),
    ("prelude", 4),
];

/// The row of edges: files and folders, anywhere below the first, that hold one outside crate each.
const EDGE: u8 = 4;
const EDGES: &[&str] = &[
    "layer", "axum", "hyper", "otel", "postgres", "redis", "reqwest", "sqlx", "tonic",
];

/// Who may import a neighbour of its own row, and why.
const NEIGHBOURS: &[(&str, &str, &str)] = &[
    (
        "time",
        "sync",
        "the executor draws its seeded order from a random source",
    ),
    (
        "counted",
        "sync",
        "the snapshots that it declares read the tallies there",
    ),
    ("keyed", "error", "its settings are refused as those of a pattern are"),
    ("keyed", "snapshot", "a set reports the sums of what its parts report"),
    ("budget", "error", "its settings are refused as those of a pattern are"),
    (
        "snapshot",
        "error",
        "a name that is taken is refused in the same words everywhere",
    ),
    (
        "microservices",
        "policy",
        "the check of a breaker follows the policy that has it through reloads",
    ),
    (
        "observability",
        "microservices",
        "the catalogue names every metric there is",
    ),
    ("observability", "realtime", "as above"),
    ("observability", "distributed", "as above"),
    ("observability", "policy", "as above"),
    (
        "policy",
        "distributed",
        "a limit of a file may be one that all processes share",
    ),
    ("budget", "window", "it counts the calls of the last seconds"),
    (
        "verdict",
        "error",
        "a refused call says whether another attempt may be let in",
    ),
    (
        "verdict",
        "gate",
        "a call behind a gate is as retryable as what became of it",
    ),
];

/// What has the files of a pattern without being one.
const SHAPED_LIKE_A_PATTERN: &[&str] = &["budget"];

/// The files inside a pattern, from the bottom up. A file may import those left of it. `layer` is an edge.
const INSIDE: &[&str] = &["config", "snapshot", "state", "handle"];

/// Where a module stands: its row, and the unit inside which it may import freely.
#[derive(Debug, PartialEq)]
struct Place {
    row: u8,
    edge: bool,
    unit: String,
}

impl Place {
    /// The place of a module counted from the crate's root, or `None` if its first part has no row.
    fn of(module: &[String]) -> Option<Self> {
        let first = module.first()?;
        let (_, row) = ROWS.iter().find(|(name, _)| name == first)?;
        let unit = if first == "patterns" && module.len() > 1 {
            module[..2].join("/")
        } else {
            first.clone()
        };
        Some(Self {
            row: *row,
            edge: module.iter().skip(1).any(|part| EDGES.contains(&part.as_str())),
            unit,
        })
    }
}

/// The module that a path inside `src` is, or `None` for `lib.rs`, the table of contents.
fn module(path: &str) -> Option<Vec<String>> {
    let path = path.strip_suffix(".rs")?;
    let module: Vec<_> = path
        .strip_suffix("/mod")
        .unwrap_or(path)
        .split('/')
        .map(str::to_owned)
        .collect();
    (module != ["lib"]).then_some(module)
}

pub(super) fn imports_go_down(source: &Source) -> Vec<Violation> {
    let Some(module) = source.in_library().and_then(module) else {
        return Vec::new();
    };
    let Some(from) = Place::of(&module) else {
        return vec![source.violation(
            0,
            format!("`{}` has no row: add it to the table in tidy/imports.rs", module[0]),
        )];
    };
    let mut found = Vec::new();
    for import in source.paths_from(&["crate", "super", "self"]) {
        let Some(target) = source.resolve(&import) else {
            continue;
        };
        // What `lib.rs` re-exports has no place of its own; `patterns/mod.rs` and its like name their children.
        let Some(to) = Place::of(&target) else { continue };
        let contents = source.file_name() == "mod.rs" && to.unit.starts_with(&from.unit);
        let (here, there) = (module.join("::"), target.join("::"));
        let rule = if from.unit == to.unit {
            if from.edge || !to.edge || contents {
                continue;
            }
            format!("`{here}` imports the edge above it, `{there}`")
        } else {
            let row = if from.edge { EDGE } else { from.row };
            let to_row = if to.edge { EDGE } else { to.row };
            let excused = NEIGHBOURS
                .iter()
                .any(|(user, used, _)| *user == from.unit && *used == to.unit);
            if to_row < row || contents || excused && !to.edge {
                continue;
            }
            let relation = if to_row == row {
                "a neighbour in its row"
            } else {
                "a row above it"
            };
            format!("`{here}` (row {row}) imports {relation}, `{there}` (row {to_row})")
        };
        found.push(source.violation(import.offset, rule));
    }
    found
}

pub(super) fn a_pattern_is_layered(source: &Source) -> Vec<Violation> {
    let Some(module) = source.in_library().and_then(module) else {
        return Vec::new();
    };
    let depth = match module[0].as_str() {
        "patterns" => 2,
        first if SHAPED_LIKE_A_PATTERN.contains(&first) => 1,
        _ => return Vec::new(),
    };
    let rank = |parts: &[String]| {
        parts
            .iter()
            .rev()
            .find_map(|part| INSIDE.iter().position(|name| name == part))
    };
    let Some(own) = module.get(depth..).and_then(rank) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for import in source.paths_from(&["crate", "super", "self"]) {
        let inside = |target: &Vec<String>| target.len() > depth && target[..depth] == module[..depth];
        let Some(target) = source.resolve(&import).filter(inside) else {
            continue;
        };
        let (here, there) = (INSIDE[own], target[depth..].join("::"));
        match rank(&target[depth..]) {
            Some(other) if other > own => {
                let order = INSIDE.join(" ← ");
                found.push(source.violation(
                    import.offset,
                    format!("`{here}` imports `{there}`; the order is {order}"),
                ));
            }
            // What a `mod.rs` re-exports may come from anywhere above.
            None if here != "handle" && is_item(&target[depth]) && !target.starts_with(&module) => {
                let advice = format!("`{here}` takes `{there}` from a `mod.rs`: name the file that defines it");
                found.push(source.violation(import.offset, advice));
            }
            _ => {}
        }
    }
    found
}

/// Whether a name is an item's rather than a module's.
fn is_item(name: &str) -> bool {
    name.starts_with(|c: char| c.is_uppercase() || c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::bites;

    fn bitten(file: &str, text: &str) -> usize {
        bites(imports_go_down, &format!("crates/c13-reliability/src/{file}"), text).len()
    }

    fn layered(file: &str, text: &str) -> usize {
        bites(
            a_pattern_is_layered,
            &format!("crates/c13-reliability/src/patterns/retry/{file}"),
            text,
        )
        .len()
    }

    #[test]
    fn a_pattern_never_imports_another() {
        assert_eq!(
            bitten("patterns/retry/handle.rs", "use crate::patterns::timeout::Timeout;"),
            1
        );
        assert_eq!(
            bitten("patterns/retry/handle.rs", "use super::super::timeout::Timeout;"),
            1
        );
        assert_eq!(
            bitten(
                "patterns/retry/handle.rs",
                "fn f(x: crate::patterns::timeout::Timeout) {}"
            ),
            1
        );
        assert_eq!(
            bitten(
                "patterns/retry/handle.rs",
                "use crate::{gate, patterns::{self, timeout}};"
            ),
            2
        );
        assert_eq!(
            bitten(
                "patterns/retry/handle.rs",
                "use crate::patterns::retry::state::State; use super::config;"
            ),
            0
        );
        assert_eq!(
            bitten(
                "patterns/retry/handle.rs",
                "#[cfg(test)] mod tests { use crate::patterns::timeout; }"
            ),
            0
        );
        assert_eq!(
            bitten("patterns/retry/handle.rs", "//! As [`crate::patterns::timeout`] does."),
            0
        );
        assert_eq!(
            bitten(
                "patterns/mod.rs",
                "pub use self::retry::Retry; pub use crate::patterns::timeout::Timeout;"
            ),
            0
        );
    }

    #[test]
    fn imports_never_go_up_or_sideways() {
        for (file, up) in [
            ("time/clock.rs", "gate::Gate"),
            ("sync/random.rs", "time::Clock"),
            ("window/count.rs", "patterns::retry::Retry"),
            ("gate/run.rs", "window::CountWindow"),
            ("error.rs", "gate::Outcome"),
            ("patterns/retry/state.rs", "policy::Policy"),
            ("policy/handle.rs", "realtime::scheduler::Scheduler"),
            ("policy/handle.rs", "gate::layer::GateLayer"),
            ("policy/mod.rs", "realtime::scheduler::Scheduler"),
            ("gate/run.rs", "gate::layer::GateLayer"),
            ("patterns/retry/layer.rs", "gate::layer::GateLayer"),
            ("budget/handle.rs", "gate::Outcome"),
            ("distributed/lock/handle.rs", "distributed::lock::redis::Connection"),
        ] {
            assert_eq!(bitten(file, &format!("use crate::{up};")), 1, "{file} using {up}");
        }
        for (file, down) in [
            ("time/executor.rs", "sync::Random"),
            ("window/rolling.rs", "time::Tick"),
            ("budget/state.rs", "window::RollingWindow"),
            ("patterns/retry/handle.rs", "gate::Gate"),
            ("policy/handle.rs", "patterns::retry::Retry"),
            ("gate/layer.rs", "gate::Gate"),
            ("gate/mod.rs", "gate::layer::GateLayer"),
            ("patterns/retry/layer.rs", "patterns::retry::Retry"),
            (
                "microservices/health/axum.rs",
                "patterns::circuit_breaker::CircuitState",
            ),
            ("patterns/retry/handle.rs", "Rejected"),
            ("lib.rs", "policy::Policy"),
        ] {
            assert_eq!(bitten(file, &format!("use crate::{down};")), 0, "{file} using {down}");
        }
    }

    #[test]
    fn a_folder_without_a_row_is_refused() {
        assert_eq!(bitten("helpers/mod.rs", ""), 1);
        assert_eq!(bitten("helpers.rs", ""), 1);
        assert!(bites(imports_go_down, "crates/c13/src/helpers.rs", "use crate::patterns::x;").is_empty());
    }

    #[test]
    fn inside_a_pattern_imports_go_from_layer_to_config() {
        assert_eq!(layered("config.rs", "use super::state::State;"), 1);
        assert_eq!(layered("state.rs", "use crate::patterns::retry::handle::Retry;"), 1);
        assert_eq!(layered("snapshot.rs", "use super::state::State;"), 1);
        assert_eq!(layered("budget/config.rs", "use super::state::State;"), 1);
        assert_eq!(layered("state.rs", "use super::Retry;"), 1);
        assert_eq!(layered("config.rs", "use super::*;"), 1);
        assert_eq!(bitten("patterns/retry/handle.rs", "use super::layer::RetryLayer;"), 1);
        assert_eq!(
            layered(
                "state.rs",
                "use super::config::Config; use super::snapshot::Snapshot; use crate::time::Tick;"
            ),
            0
        );
        assert_eq!(layered("handle.rs", "use super::state::State; use super::Thing;"), 0);
        assert_eq!(layered("layer.rs", "use super::handle::Retry;"), 0);
        assert_eq!(layered("tests.rs", "use super::*;"), 0);
        assert_eq!(layered("state.rs", "mod word { use super::Own; }"), 0);
        let budget = "crates/c13-reliability/src/budget/state.rs";
        assert_eq!(
            bites(
                a_pattern_is_layered,
                budget,
                "use super::handle::Budget;\nuse super::Budget;"
            ),
            [1, 2]
        );
        let policy = "crates/c13-reliability/src/policy/config.rs";
        assert!(bites(a_pattern_is_layered, policy, "use super::handle::Policy;").is_empty());
    }
}
