//! Which paths a policy has a place for, by the schema of its file, and the nearest to one that it has none for.

use c13_reliability::policy::document::nearest;
use c13_reliability::policy::file::SCHEMA;
use serde_json::Value as Json;

/// The keys of a policy and of its tables.
pub(super) struct Known {
    schema: Json,
}

impl Known {
    pub(super) fn new() -> Self {
        let schema = serde_json::from_str(SCHEMA).unwrap_or_default();
        Self { schema }
    }

    /// Whether a policy has a place for a path of keys joined by points.
    pub(super) fn has(&self, path: &str) -> bool {
        self.at(path).is_some()
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
            let names: Vec<&str> = self.below(&known).map(|(name, _)| name).collect();
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

    /// Everything that may stand at a path.
    fn at(&self, path: &str) -> Option<Vec<&Json>> {
        let policy = vec![&self.schema["$defs"]["policy"]];
        if path.is_empty() {
            return Some(policy);
        }
        path.split('.').try_fold(policy, |schemas, key| {
            let found = schemas.into_iter().flat_map(|schema| self.properties(schema));
            let found: Vec<&Json> = found
                .filter(|(name, _)| *name == key)
                .map(|(_, schema)| schema)
                .collect();
            Some(found).filter(|found| !found.is_empty())
        })
    }

    /// The keys below a path.
    fn below(&self, path: &str) -> impl Iterator<Item = (&str, &Json)> {
        let schemas = self.at(path).into_iter().flatten();
        schemas.flat_map(|schema| self.properties(schema))
    }

    fn properties<'s>(&'s self, schema: &'s Json) -> Vec<(&'s str, &'s Json)> {
        if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
            return self.properties(&self.schema["$defs"][name]);
        }
        if let Some(kinds) = schema["anyOf"].as_array() {
            return kinds.iter().flat_map(|kind| self.properties(kind)).collect();
        }
        let properties = schema["properties"].as_object().into_iter().flatten();
        properties.map(|(name, schema)| (name.as_str(), schema)).collect()
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
