//! The errors of policies. A mistake that many policies share is reported once, with the names of these policies.

use std::collections::HashMap;

use super::chain::Tables;
use crate::policy::document::{Diagnostic, Noted};

/// Errors, and the policies in which they are.
#[derive(Default)]
pub(super) struct Faults<'n> {
    list: Vec<(Diagnostic, Vec<&'n str>)>,
    /// Where errors of a message and a place stand in the list.
    index: HashMap<(String, usize), Vec<usize>>,
}

/// How many policies are named; the others are counted.
const MOST_NAMED: usize = 3;

impl<'n> Faults<'n> {
    /// Whether there are more errors than are worth reading.
    pub(super) fn is_full(&self) -> bool {
        self.list.len() >= Noted::MOST
    }

    pub(super) fn add(&mut self, policy: &'n str, error: &Diagnostic) {
        let key = (error.message.clone(), error.primary.span.range().start);
        let alike = self.index.entry(key).or_default();
        match alike.iter().find(|at| self.list[**at].0 == *error) {
            Some(at) => self.list[*at].1.push(policy),
            None => {
                alike.push(self.list.len());
                self.list.push((error.clone(), vec![policy]));
            }
        }
    }

    /// All errors. Those that are about a policy as a whole name it.
    pub(super) fn reported(self, tables: &Tables<'_>) -> Vec<Diagnostic> {
        let errors = self.list.into_iter().map(|(error, policies)| {
            if speaks_for_itself(&error, &policies) {
                return error;
            }
            let mut error = error;
            error.message = format!("in {}, {}", list_of(&policies), error.message);
            if error.places().all(|place| place.source().is_generated())
                && let Some((place, text)) = tables.place_of(policies[0])
            {
                error = error.also(place, text).at_something_written();
            }
            error
        });
        errors.collect()
    }
}

/// Whether the error names one of its policies, or is about a single key that several policies inherit.
fn speaks_for_itself(error: &Diagnostic, policies: &[&str]) -> bool {
    let named = error.message.split_once("`policy.").map(|(_, path)| path);
    let owner = named.and_then(|path| path.split(['.', '`']).next());
    match owner {
        Some(owner) if policies.contains(&owner) => true,
        Some(_) => error.secondary.is_empty(),
        None => error.message.contains("`defaults.") && error.secondary.is_empty(),
    }
}

/// "policy `a`", "policies `a` and `b`", "policies `a`, `b`, `c` and 2 more".
fn list_of(policies: &[&str]) -> String {
    let quoted = |names: &[&str]| -> Vec<String> { names.iter().map(|name| format!("`{name}`")).collect() };
    match policies {
        [one] => format!("policy `{one}`"),
        [first @ .., last] if policies.len() <= MOST_NAMED => {
            format!("policies {} and `{last}`", quoted(first).join(", "))
        }
        _ => {
            let (first, rest) = policies.split_at(MOST_NAMED);
            format!("policies {} and {} more", quoted(first).join(", "), rest.len())
        }
    }
}
