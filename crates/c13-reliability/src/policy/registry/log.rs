//! The log events for settings that were read again.

use super::{Change, ReloadError};
use crate::error::NameTaken;
#[cfg(feature = "tracing")]
use std::collections::HashSet;

#[cfg(feature = "tracing")]
const TARGET: &str = "c13::policy";

/// Other contents were taken over: the names of the policies `before` and `after`, what changed, and whether the contents
/// before were wrong.
#[cfg(feature = "tracing")]
pub(super) fn applied(before: &[String], after: &[String], changes: &[Change], was_wrong: bool) {
    if was_wrong {
        tracing::info!(target: TARGET, changes = changes.len(), "the policies can be read again");
    }
    let names = |names: &'_ [String]| -> HashSet<String> { names.iter().cloned().collect() };
    let (known, named) = (names(before), names(after));
    for policy in before.iter().filter(|name| !named.contains(*name)) {
        tracing::warn!(target: TARGET, policy, "nothing names the policy any more; its last settings stay with who holds it");
    }
    for policy in after.iter().filter(|name| !known.contains(*name)) {
        tracing::info!(target: TARGET, policy, "a policy is new");
    }
    // For a policy that was added or removed, no setting is listed.
    let is_of_both = |path: &str| {
        let policy = path.split('.').nth(1);
        policy.is_some_and(|policy| known.contains(policy) && named.contains(policy))
    };
    for Change { path, before, after } in changes {
        if is_of_both(path) {
            let (before, after) = (shown(before.as_deref()), shown(after.as_deref()));
            tracing::info!(target: TARGET, setting = %path, before, after, "a setting has changed");
        }
    }
}

/// A value as the log's own quotes take it.
#[cfg(feature = "tracing")]
fn shown(value: Option<&str>) -> &str {
    value.map_or("not set", |value| value.trim_matches('"'))
}

#[cfg(feature = "tracing")]
pub(super) fn rejected(error: &ReloadError) {
    tracing::error!(target: TARGET, %error, "the policies cannot be read; the last good settings stay");
}

/// A part of another kind has the name of a policy.
#[cfg(feature = "tracing")]
pub(super) fn not_reported(taken: &NameTaken) {
    tracing::warn!(target: TARGET, name = taken.name, "another part reports by this name, so that what has it here reports nothing");
}

#[cfg(all(feature = "tracing", unix, feature = "tokio"))]
pub(super) fn nothing_new() {
    tracing::info!(target: TARGET, "the policies were read again; nothing has changed");
}

#[cfg(not(feature = "tracing"))]
pub(super) fn applied(_: &[String], _: &[String], _: &[Change], _: bool) {}

#[cfg(not(feature = "tracing"))]
pub(super) fn rejected(_: &ReloadError) {}

#[cfg(not(feature = "tracing"))]
pub(super) fn not_reported(_: &NameTaken) {}

#[cfg(all(not(feature = "tracing"), unix, feature = "tokio"))]
pub(super) fn nothing_new() {}
