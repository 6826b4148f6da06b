//! Which paths a policy has a place for, and the nearest to one that it has none for.

use c13_reliability::policy::document::nearest;
use c13_reliability::policy::file::{keys, limit_keys};

/// The keys of a policy and of its tables, or of a limit.
pub(super) struct Known {
    /// Their paths, sorted.
    paths: Vec<String>,
}

impl Known {
    /// The keys of a policy.
    pub(super) fn of_policies() -> Self {
        Self::of(keys().chain(["extends".to_owned()]))
    }

    /// The keys of a limit.
    pub(super) fn of_limits() -> Self {
        Self::of(limit_keys())
    }

    fn of(paths: impl Iterator<Item = String>) -> Self {
        let mut paths: Vec<String> = paths.collect();
        paths.sort_unstable();
        Self { paths }
    }

    /// Whether a policy has a place for a path of keys joined by points.
    pub(super) fn has(&self, path: &str) -> bool {
        path.is_empty() || self.paths.iter().any(|known| known == path)
    }

    /// What to write in place of a path that a policy has no place for.
    pub(super) fn way_out(&self, path: &str) -> String {
        let keys: Vec<&str> = path.split('.').collect();
        let mut known = String::new();
        for (at, key) in keys.iter().enumerate() {
            let here = join(&known, key);
            if self.has(&here) {
                known = here;
                continue;
            }
            let names: Vec<&str> = self.below(&known).collect();
            if names.is_empty() {
                return format!("\"{known}\" has nothing below it");
            }
            return match nearest(key, names.iter().copied()) {
                Some(name) => {
                    let meant = join(&known, name);
                    let whole = keys[at + 1..].iter().fold(meant.clone(), |path, key| join(&path, key));
                    let meant = if self.has(&whole) { whole } else { meant };
                    format!("did you mean \"{meant}\"?")
                }
                None => some_of(&names),
            };
        }
        String::new()
    }

    /// The keys right below a path.
    fn below<'k>(&'k self, path: &str) -> impl Iterator<Item = &'k str> {
        let within = if path.is_empty() {
            String::new()
        } else {
            format!("{path}.")
        };
        let below = self.paths.iter().filter_map(move |known| known.strip_prefix(&within));
        below.filter(|rest| !rest.contains('.'))
    }
}

/// So many names are listed where none is near.
const MOST_NAMES: usize = 8;

/// The first of these names, and how many more there are.
pub(super) fn some_of(names: &[&str]) -> String {
    let listed = names[..names.len().min(MOST_NAMES)].join(", ");
    match names.len().saturating_sub(MOST_NAMES) {
        0 => format!("there are {listed}"),
        more => format!("there are {listed} and {more} more"),
    }
}

fn join(path: &str, key: &str) -> String {
    match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    }
}
