//! Names of the service's own in a file, such as that of a health check.

use crate::policy::document::{Value, ValueError};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// How long a name may be, in bytes.
const LONGEST: usize = 64;

/// The rule of a name in the words of a schema.
pub(super) const PATTERN: &str = r#""type": "string", "pattern": "^[A-Za-z0-9 ._/:#-]{1,64}$""#;

/// How many different names a process may read, over all its reloads.
const MOST: usize = 10_000;

/// The names that were read. They are kept for good, so that settings stay plain values; [`MOST`] bounds them.
static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

/// Reads a name.
pub(super) fn read(value: &Value<'_>) -> Result<&'static str, ValueError> {
    const RULE: &str = "must be a name of 1 to 64 letters, digits, spaces and any of `. _ / : # -`";
    let Some(name) = value.as_text() else {
        return Err(ValueError::shape(RULE, value));
    };
    if name.is_empty() || name.len() > LONGEST {
        return Err(ValueError::new(RULE).label(format!("this has {} bytes", name.len())));
    }
    let fits = |other: char| other.is_ascii_alphanumeric() || " ._/:#-".contains(other);
    if let Some(other) = name.chars().find(|character| !fits(*character)) {
        return Err(ValueError::new(RULE).label(format!("this has {other:?}")));
    }
    let full = || ValueError::new("is one name more than a process may read").label(format!("after {MOST} others"));
    keep(name).ok_or_else(full)
}

fn keep(name: &str) -> Option<&'static str> {
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(kept) = names.get(name) {
        return Some(kept);
    }
    if names.len() >= MOST {
        return None;
    }
    let kept: &'static str = Box::leak(name.into());
    names.insert(kept);
    Some(kept)
}
