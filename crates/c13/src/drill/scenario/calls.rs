//! Which dependencies a request needs, or a call to a service, and in which order they are called.

use c13_reliability::policy::document::{Table, Value, whole};

use super::variant::known_names;

/// A call to a dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call {
    /// The place of the dependency in the file.
    pub to: usize,
    /// Whether what is made of it may do without its answer.
    pub optional: bool,
    /// How often it is made, one after the other.
    pub times: u32,
}

impl Call {
    /// One call that must be answered.
    pub(crate) const fn to(dependency: usize) -> Self {
        Self {
            to: dependency,
            optional: false,
            times: 1,
        }
    }
}

/// One step after the other; the calls of a step are made at the same time.
pub(crate) type Steps = Vec<Vec<Call>>;

/// More calls than these are not made for one request.
const MOST_CALLS: usize = 100;

/// What the names in `calls` may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names<'a> {
    /// Every dependency, in the order of the file.
    pub(super) all: &'a [String],
    /// The first of them that may be called here: a dependency calls only those that stand below it.
    pub(super) from: usize,
}

/// Reads `calls`, which is there.
pub(super) fn read(table: &Table<'_>, names: Names<'_>) -> Option<Steps> {
    let value = table.value("calls")?;
    let list = value.read_list()?;
    if list.is_empty() {
        table.report(value.error(format!("`{}` must have at least one call", value.path())));
        return None;
    }
    let steps: Vec<Option<Vec<Call>>> = list.iter().map(|step| read_step(table, step, names)).collect();
    let steps: Steps = steps.into_iter().collect::<Option<_>>()?;
    let calls: usize = steps.iter().flatten().map(|call| call.times as usize).sum();
    if calls > MOST_CALLS {
        table.report(value.error(format!(
            "`{}` makes {calls} calls, and at most {MOST_CALLS} are made",
            value.path()
        )));
        return None;
    }
    Some(steps)
}

/// A call, or a list of calls that are made at the same time.
fn read_step(table: &Table<'_>, step: &Value<'_>, names: Names<'_>) -> Option<Vec<Call>> {
    if step.as_text().is_some() || step.as_table().is_some() {
        return Some(vec![read_call(table, step, names)?]);
    }
    let list = step.read_list()?;
    if list.is_empty() {
        table.report(step.error("a step must have at least one call"));
        return None;
    }
    let calls: Vec<Option<Call>> = list.iter().map(|call| read_call(table, call, names)).collect();
    calls.into_iter().collect()
}

/// The name of a dependency, or a table with it.
fn read_call(table: &Table<'_>, value: &Value<'_>, names: Names<'_>) -> Option<Call> {
    let Some(call) = value.as_table() else {
        let to = find(table, value, names)?;
        return Some(Call::to(to));
    };
    let to = match call.value("to") {
        Some(to) => find(table, &to, names),
        None => {
            call.report_missing("to", Some("\"payments\""));
            None
        }
    };
    let optional = call.optional("optional").unwrap_or(false);
    let times = match call.value("times") {
        Some(times) => times.read_with(|value| whole(value, 1, MOST_CALLS as u64))? as u32,
        None => 1,
    };
    Some(Call {
        to: to?,
        optional,
        times,
    })
}

/// The place of the dependency that a value names.
fn find(table: &Table<'_>, value: &Value<'_>, names: Names<'_>) -> Option<usize> {
    let name: String = value.read()?;
    let Some(place) = names.all.iter().position(|other| *other == name) else {
        let error = value.error(format!("there is no dependency called \"{name}\""));
        table.report(known_names(error, &name, names.all));
        return None;
    };
    if place < names.from {
        let error = value.error("a dependency calls only those that stand below it");
        table.report(
            error
                .label("this one stands above")
                .help("put what calls before what is called; none may call itself by way of others"),
        );
        return None;
    }
    Some(place)
}
