//! Pure files decide; time, settings and the event come in as values, and what happened goes out.

use super::source::words;
use super::{Source, Violation};

/// Pure wherever they are in the library, by file name.
const PURE_NAMES: &[&str] = &["config.rs", "state.rs"];

/// Pure besides those: a folder (with its slash) or one file each, below the library's `src`.
const PURE_PATHS: &[&str] = &[
    "error.rs",
    "patterns/circuit_breaker/circuit_config.rs",
    "patterns/circuit_breaker/rules.rs",
    "patterns/circuit_breaker/word.rs",
    "patterns/rate_limiter/sliding_window/approximate.rs",
    "patterns/rate_limiter/sliding_window/exact.rs",
    "patterns/rate_limiter/token_bucket/gcra.rs",
    "patterns/rate_limiter/token_bucket/warm_up.rs",
    "patterns/retry/jitter.rs",
    "patterns/retry/strategy.rs",
    "policy/http/rules.rs",
    "time/tick.rs",
    "verdict.rs",
    "window/",
];

/// Words that have no place in a pure file, by what they stand for.
const IMPURE: &[(&str, &[&str])] = &[
    (
        "a clock",
        &[
            "Clock",
            "Instant",
            "SystemTime",
            "UNIX_EPOCH",
            "VirtualTime",
            "quanta",
            "rustix",
        ],
    ),
    (
        "waiting",
        &[
            "Executor",
            "Future",
            "IntoFuture",
            "Poll",
            "Sleep",
            "Timeout",
            "Waker",
            "async",
            "await",
            "tokio",
        ],
    ),
    (
        "a lock",
        &["Condvar", "LazyLock", "Mutex", "OnceLock", "RwLock", "thread_local"],
    ),
    ("an atomic", &["atomic", "loom"]),
    ("a log", &["tracing"]),
    ("a metric", &["opentelemetry"]),
    ("a random number", &["Random", "rand"]),
    (
        "the outside world",
        &[
            "env", "eprint", "eprintln", "fs", "io", "net", "print", "println", "process", "thread",
        ],
    ),
];

fn is_pure(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    PURE_NAMES.contains(&name)
        || PURE_PATHS
            .iter()
            .any(|pure| path == *pure || pure.ends_with('/') && path.starts_with(pure))
}

pub(super) fn pure_files_are_pure(source: &Source) -> Vec<Violation> {
    if !source.in_library().is_some_and(is_pure) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (offset, word) in words(&source.live) {
        // A field or a variable may bear such a name; only paths and macros reach the thing itself.
        let lower_case = word.starts_with(|c: char| c.is_lowercase()) && !["async", "await"].contains(&word);
        let rest = &source.live[offset + word.len()..];
        let before = &source.live[..offset];
        let named_only = lower_case && !rest.starts_with("::") && !rest.starts_with('!') && !before.ends_with("::");
        let what = IMPURE
            .iter()
            .find(|(_, words)| words.contains(&word))
            .map(|(what, _)| *what);
        let what = what.or_else(|| word.starts_with("Atomic").then_some("an atomic"));
        if let Some(what) = what.filter(|_| !named_only) {
            found.push(source.violation(
                offset,
                format!("a pure file holds no {word}: {what} belongs in the handle"),
            ));
        }
    }
    for import in source.paths_from(&["crate", "super"]) {
        let Some(target) = source.resolve(&import) else {
            continue;
        };
        if target[0] == "sync" || target.iter().any(|part| part == "handle" || part == "layer") {
            let rule = format!("a pure file imports nothing that is not, as `{}`", target.join("::"));
            found.push(source.violation(import.offset, rule));
        }
    }
    found
}

/// A file in the list that was renamed would be pure no longer, without a word.
pub(super) fn every_pure_file_exists(tree: &[Source]) -> Vec<Violation> {
    let mut found = Vec::new();
    for pure in PURE_PATHS {
        let path = format!("crates/c13-reliability/src/{pure}");
        let folder = &path[..=path.trim_end_matches('/').rfind('/').unwrap_or(0)];
        let has = |start: &str| tree.iter().any(|source| source.path.starts_with(start));
        if has(folder) && !has(&path) {
            let rule = "the list of pure files in tidy/purity.rs names it, and it is gone".to_owned();
            found.push(Violation { path, line: 1, rule });
        }
    }
    found
}

/// Settings, anywhere, are plain values: they can be written in a constant, compared and printed.
pub(super) fn settings_are_plain(source: &Source) -> Vec<Violation> {
    let is_settings = source.in_library().is_some_and(|path| path.ends_with("/config.rs"));
    words(&source.live)
        .filter(|(_, word)| is_settings && ["Arc", "Fn", "FnMut", "FnOnce", "Rc", "dyn"].contains(word))
        .map(|(offset, word)| source.violation(offset, format!("settings are plain values, without {word}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::bites;

    fn bitten(file: &str, text: &str) -> usize {
        bites(pure_files_are_pure, &format!("crates/c13-reliability/src/{file}"), text).len()
    }

    #[test]
    fn a_pure_file_knows_no_clock_lock_atomic_future_log_or_random_number() {
        for text in [
            "fn admit(&mut self, clock: &Clock) {}",
            "fn f() { Instant::now(); }",
            "struct State { inner: Mutex<u8> }",
            "struct State { word: AtomicU64 }",
            "use std::sync::atomic;",
            "async fn admit() {}",
            "fn f() -> impl Future {}",
            "fn f() { tracing::info!(); }",
            "use tracing;\nfn f() { tracing::event!(x) }",
            "fn f(random: &Random) {}",
            "fn f() { rand::random(); }",
            "fn f() { println!(); }",
            "use std::thread;",
            "use crate::sync::Tally;",
            "use crate::patterns::retry::handle::RetryExecutor;",
        ] {
            for file in [
                "patterns/retry/state.rs",
                "patterns/retry/budget/state.rs",
                "window/count.rs",
                "policy/config.rs",
            ] {
                assert_eq!(bitten(file, text), 1, "{file}: {text}");
            }
            assert_eq!(bitten("patterns/retry/handle.rs", text), 0, "{text}");
        }
    }

    #[test]
    fn a_pure_file_may_name_ticks_orders_and_fields() {
        for text in [
            "use crate::time::Tick;\nuse std::cmp::Ordering;",
            "fn admit(&mut self, now: Tick, random: u64) -> Ordering { Ordering::Less }",
            "// the Clock is read by the handle",
            "fn f(x: &X) { x.process; let thread = 1; }",
            "#[cfg(test)] mod tests { use crate::sync::Random; }",
        ] {
            assert_eq!(bitten("patterns/retry/state.rs", text), 0, "{text}");
        }
    }

    #[test]
    fn a_pure_file_that_is_gone_is_found() {
        let tree = |files: &[&str]| -> Vec<Source> {
            let path = |file: &&str| Source::new(&format!("crates/c13-reliability/src/{file}"), "");
            files.iter().map(path).collect()
        };
        let whole = ["error.rs", "lib.rs", "time/tick.rs", "verdict.rs", "window/count.rs"];
        assert!(every_pure_file_exists(&tree(&whole)).is_empty());
        let found = every_pure_file_exists(&tree(&[
            "lib.rs",
            "patterns/rate_limiter/sliding_window/exact.rs",
            "time/clock.rs",
        ]));
        let gone: Vec<_> = found
            .iter()
            .filter_map(|violation| violation.path.split("/src/").nth(1))
            .collect();
        assert_eq!(
            gone,
            [
                "error.rs",
                "patterns/rate_limiter/sliding_window/approximate.rs",
                "time/tick.rs",
                "verdict.rs",
                "window/"
            ]
        );
    }

    #[test]
    fn settings_hold_no_closure_and_no_shared_pointer() {
        let config = "crates/c13-reliability/src/patterns/retry/config.rs";
        assert_eq!(
            bites(settings_are_plain, config, "struct C { f: Box<dyn Fn(u8)> }"),
            [1, 1]
        );
        assert_eq!(bites(settings_are_plain, config, "\nstruct C { f: Arc<str> }"), [2]);
        assert!(bites(settings_are_plain, config, "struct C { f: fn(u8) -> u8 }").is_empty());
        assert!(
            bites(
                settings_are_plain,
                "crates/c13-reliability/src/patterns/retry/handle.rs",
                "Arc"
            )
            .is_empty()
        );
    }
}
