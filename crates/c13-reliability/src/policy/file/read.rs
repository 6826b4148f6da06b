//! Reads a policy from its tables, row by row, and reports every rule that it breaks.

use super::chain::Layer;
use super::row::{Datum, Kind, Row};
use super::rows::{PARTS, switches};
use super::settings::Settings;
use crate::policy::PolicyConfig;
use crate::policy::document::{Diagnostic, Diagnostics, Document, Table, Value};

/// Reads a policy from merged tables, lowest first; `path` is its name in errors.
///
/// A setting that no table has gets the default of its part, and a part that no table names is not there; `false` in place of
/// a part switches it off.
///
/// # Errors
///
/// Everything that is wrong: unknown keys, values of the wrong type or out of their range, and settings that contradict
/// each other.
pub fn read_policy(path: &str, layers: &[Table<'_>]) -> Result<PolicyConfig, Diagnostics> {
    let Some(document) = Document::layered(path, layers) else {
        return Ok(PolicyConfig::NONE);
    };
    let config = read(&document.root());
    document.finish(config)
}

/// The same for a policy that has a name, and may extend another.
pub(super) fn read_named_policy(path: &str, layers: &[Layer<'_, '_>]) -> Result<PolicyConfig, Diagnostics> {
    let roots: Vec<Table<'_>> = layers.iter().map(Layer::root).collect();
    let Some(mut document) = Document::layered(path, &roots) else {
        return Ok(PolicyConfig::NONE);
    };
    let own = || {
        let own = layers.iter().filter(|layer| !layer.is_defaults());
        own.map(Layer::root)
    };
    for part in idle_parts(&document.root()) {
        if !own().any(|layer| has_table(&layer, part)) {
            document.leave_out(part);
        }
    }
    document.root().known(&["extends"]);
    let config = read(&document.root());
    document.finish(config)
}

/// The parts of a table that have none of the keys that switch them on.
fn idle_parts(table: &Table<'_>) -> Vec<&'static str> {
    let is_idle = |part: &&str| {
        let keys = switches(part);
        let part = table.value_at(part).and_then(|value| value.as_table());
        part.is_some_and(|part| {
            let switches = |(key, _, value): (&str, _, Value<'_>)| {
                // For `max_attempts` the error says what to write instead.
                let is_switch = keys.contains(&key) || key == MAX_ATTEMPTS;
                // The delay of a hedge may be false; a rule of the breaker that is, is none.
                is_switch && (value.as_boolean() != Some(false) || key == "delay")
            };
            !keys.is_empty() && !part.all().any(switches)
        })
    };
    PARTS.into_iter().filter(is_idle).collect()
}

fn has_table(table: &Table<'_>, key: &str) -> bool {
    table.value_at(key).is_some_and(|value| value.as_table().is_some())
}

/// The keys that are not known in the parts of `[defaults]` that switch nothing on, whether a policy has them or not.
pub(super) fn faults_of_idle_defaults(defaults: &[Table<'_>]) -> Vec<Diagnostic> {
    let Some(mut document) = Document::layered("defaults", defaults) else {
        return Vec::new();
    };
    let idle = idle_parts(&document.root());
    for part in PARTS.iter().filter(|part| !idle.contains(part)) {
        document.leave_out(part);
    }
    document.leave_out("extends");
    document.root().known(&PARTS);
    // Values are checked one by one: rules between settings may hold once a policy adds what is missing here.
    faults::<PolicyConfig>(document, |error| error.unknown_key)
}

/// The errors of single values of one layer, and of the names of its parts. They stand whatever other layers say, even where
/// these hide the value.
pub(super) fn faults_of_values<C: Settings>(layer: &Table<'_>) -> Vec<Diagnostic> {
    let Some(document) = Document::layered("", std::slice::from_ref(layer)) else {
        return Vec::new();
    };
    document.root().known(C::PARTS);
    document.root().known(&["extends"]);
    faults::<C>(document, |error| error.of_value)
}

/// The errors of a document that is not a whole policy, of the kind that is asked for.
fn faults<C: Settings>(document: Document, is_asked: impl Fn(&Diagnostic) -> bool) -> Vec<Diagnostic> {
    let config = read::<C>(&document.root());
    let errors = document.finish(config.or(Some(C::START))).err();
    let errors = errors.iter().flat_map(Diagnostics::iter);
    errors.filter(|error| is_asked(error)).cloned().collect()
}

/// Reads the settings of a table, row by row.
pub(super) fn read<C: Settings>(root: &Table<'_>) -> Option<C> {
    let errors = root.document().error_count();
    let mut reader = Reader {
        open: vec![("", root.clone())],
        config: C::START,
        unknown: Vec::new(),
    };
    for row in C::rows() {
        reader.read_row(row);
    }
    C::check(&mut reader);
    (root.document().error_count() == errors && !root.has_refused()).then_some(reader.config)
}

/// A policy, or a limit, while it is read.
pub(super) struct Reader<'d, C: 'static = PolicyConfig> {
    /// The tables that are there, by their paths; the first is the policy itself.
    pub(super) open: Vec<(&'static str, Table<'d>)>,
    pub(super) config: C,
    /// The settings that are missing or cannot be read: they have a default, and no rule is checked against it.
    pub(super) unknown: Vec<&'static str>,
}

impl<'d, C: Settings> Reader<'d, C> {
    /// The policy's own table.
    pub(super) fn root(&self) -> &Table<'d> {
        &self.open[0].1
    }

    /// A table, if it is there.
    pub(super) fn table(&self, path: &str) -> Option<Table<'d>> {
        let found = self.open.iter().find(|(open, _)| *open == path);
        found.map(|(_, table)| table.clone())
    }

    fn read_row(&mut self, row: &'static Row<C>) {
        let (parent, key) = row.split();
        let Some(table) = self.table(parent) else { return };
        let strategy = self.strategy(parent);
        if !row.belongs_to(strategy) {
            refuse_foreign(&table, row, key);
            return;
        }
        let Some(value) = table.value(key) else {
            match row.needed_in(strategy) {
                Some(example) => {
                    if !table.contains(MAX_ATTEMPTS) {
                        table.report_missing(key, Some(example));
                    }
                    self.unknown.push(row.path);
                }
                None => row.leave_out(&mut self.config),
            }
            return;
        };
        if row.can_be_off && value.as_boolean() == Some(false) {
            row.set(&mut self.config, Datum::Off);
            return;
        }
        let datum = match (&row.kind, value.as_table()) {
            (Kind::Table | Kind::Delay, Some(table)) => {
                refuse_empty_timeout(&table, row);
                refuse_max_attempts(&table, row);
                self.open.push((row.path, table));
                Some(Datum::On)
            }
            (Kind::Table, None) => {
                value.refuse_shape(if row.can_be_off {
                    "must be a table, or false to switch it off"
                } else {
                    "must be a table"
                });
                None
            }
            (kind, _) => kind.read(&value),
        };
        match datum {
            Some(datum) => row.set(&mut self.config, datum),
            None => {
                self.unknown.push(row.path);
                if key == STRATEGY {
                    // Which other keys belong here depends on the strategy.
                    table.ignore_rest();
                    self.open.retain(|(open, _)| *open != parent);
                    self.unknown.push(parent);
                }
            }
        }
    }

    /// The strategy that a table names, or has by default.
    fn strategy(&self, table: &str) -> Option<Datum> {
        let row = C::rows().find(|row| row.split() == (table, STRATEGY))?;
        row.value(&self.config)
    }
}

/// The key that names the strategy of a table.
const STRATEGY: &str = "strategy";

/// Refuses a key that belongs to another strategy.
fn refuse_foreign<C>(table: &Table<'_>, row: &Row<C>, key: &'static str) {
    if !table.contains(key) {
        return;
    }
    if table.is_below(key, STRATEGY) {
        // It belonged to the strategy that this one has replaced.
        table.known(&[key]);
        return;
    }
    let owners: Vec<String> = row.of.iter().map(|name| format!("\"{name}\"")).collect();
    let owners = match &owners[..] {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        owners => owners.concat(),
    };
    let message = format!("`{}` belongs to the strategy {owners}", table.path_of(key));
    let error = table.error(key, message);
    table.report(error.also(table.value_span(STRATEGY), "this is another strategy"));
}

fn refuse_empty_timeout<C>(table: &Table<'_>, row: &Row<C>) {
    if row.path == "timeout" && table.is_empty() {
        let error = Diagnostic::new(table.span().clone(), format!("`{}` sets nothing", table.path())).absence();
        table.report(error.help("set `total`, `attempt`, or both"));
    }
}

/// The name in other libraries for the number of attempts.
const MAX_ATTEMPTS: &str = "max_attempts";

/// The error for a number of attempts: says how retries are counted.
fn refuse_max_attempts<C>(table: &Table<'_>, row: &Row<C>) {
    let Some(value) = table.value_at(MAX_ATTEMPTS).filter(|_| row.path == "retry") else {
        return;
    };
    table.known(&[MAX_ATTEMPTS]);
    let path = value.path();
    let error = value.error(format!(
        "`{path}` is no setting: retries are counted, without the first call"
    ));
    let retries = value
        .as_integer()
        .map_or(2, |attempts| attempts.saturating_sub(1).max(0));
    let error = error.label("this would count the first call");
    table.report(error.help(format!("write `max_retries = {retries}`")));
}
