//! Settings of the layers that have no effect in a policy.

use std::collections::HashSet;
use std::sync::Arc;

use super::setting::{Place, Setting};
use super::text::canonical;
use crate::policy::document::{Source, Span, Table};

/// Every path that a layer sets and that no reported setting shows, neither as its value nor as one that it hides, with the
/// uppermost of these values. `settings` are those that apply, `others` what else is reported.
pub(super) fn idle_settings(settings: &[Setting], others: &[&[Setting]], layers: &[Table<'_>]) -> Vec<Setting> {
    let is_on = |part: &str| settings.iter().any(|setting| leads_on(part, &setting.path));
    let all = || settings.iter().chain(others.iter().copied().flatten());
    // A chain of many policies has as many values of one setting.
    let reported: HashSet<_> = all().flat_map(Setting::places).map(place_of).collect();
    let is_within = |path: &str| all().any(|setting| setting.value != "{}" && leads_on(&setting.path, path));
    let mut found: Vec<Setting> = Vec::new();
    for (at, layer) in layers.iter().enumerate() {
        for said in layer.said_of("") {
            let is_bare = said.text == "{}" && is_on(&said.path);
            let is_reported = reported.contains(&place_of(&said.span)) || is_within(&said.path);
            if is_bare || said.path == "extends" || is_reported {
                continue;
            }
            let place = |path: &str| layer.place_with_key(path);
            let setting = Setting::new(said.path.clone(), canonical(&said.text), place, &layers[..=at]);
            let setting = setting.hidden(hidden_by(&said.path, layers, at, is_on));
            match found.iter_mut().find(|lower| lower.path == said.path) {
                Some(lower) => *lower = setting,
                None => found.push(setting),
            }
        }
    }
    found
}

/// Identifies a place.
fn place_of(span: &Span) -> (*const Source, usize, usize) {
    let range = span.range();
    (Arc::as_ptr(span.source()), range.start, range.end)
}

/// Whether a path of keys leads on from another one.
pub(super) fn leads_on(above: &str, path: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.starts_with('.'))
}

/// What hides a value of the layer `at`: what a layer above has in place of its table, or another strategy of its table.
fn hidden_by(path: &str, layers: &[Table<'_>], at: usize, is_on: impl Fn(&str) -> bool) -> Option<Place> {
    let in_place = layers[at + 1..].iter().find_map(|layer| {
        let mut said = layer.said_of(path).into_iter();
        said.find(|said| leads_on(&said.path, path) && said.text != "{}")
    });
    if let Some(said) = in_place {
        return Some(Place::new(said.path, &said.text, said.span));
    }
    let (table, _) = path.rsplit_once('.')?;
    let strategy = format!("{table}.strategy");
    let span = layers.iter().rev().find_map(|layer| layer.place_of(&strategy));
    let span = span.filter(|_| is_on(table))?;
    Some(Place::new(strategy, span.text(), span.clone()))
}
