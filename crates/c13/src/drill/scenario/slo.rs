//! The objectives of a variant, such as "at least 99 % of requests succeed".

use c13_reliability::policy::document::{Table, Value, ValueError};

use crate::drill::figure::{Bound, FIGURES, Figure, Goal};

/// A line of `[slo]`: a figure and its limit.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Objective {
    /// The figure that is judged.
    pub figure: &'static Figure,
    /// How it is judged.
    pub goal: &'static Goal,
    /// The limit in the figure's own unit.
    pub limit: f64,
    /// The comparison as it was written, such as `>= 99.0%`.
    pub rule: String,
}

impl Objective {
    /// Whether a value meets the limit. `None`, for what never happened, does not.
    #[must_use]
    pub(crate) fn is_met_by(&self, value: Option<f64>) -> bool {
        value.is_some_and(|value| match self.goal.bound {
            Bound::Floor => value >= self.limit,
            Bound::Ceiling => value <= self.limit,
        })
    }
}

/// Reads the objectives in the order of the figures. No `[slo]` at all is no objective.
pub(super) fn read(root: &Table<'_>) -> Option<Vec<Objective>> {
    if !root.has("slo") {
        return Some(Vec::new());
    }
    let table = root.optional_table("slo")?;
    if table.is_empty() {
        root.report(
            root.error("slo", "`slo` has no objective")
                .help("write, for example, `availability = \">= 99.0%\"`"),
        );
    }
    let mut objectives = Vec::new();
    let mut complete = true;
    for (figure, goal) in goals() {
        let Some(value) = table.value(goal.name) else {
            continue;
        };
        match value.read_with(|value| read_objective(value, figure, goal)) {
            Some(objective) => objectives.push(objective),
            None => complete = false,
        }
    }
    complete.then_some(objectives)
}

/// The figures that can be judged.
fn goals() -> impl Iterator<Item = (&'static Figure, &'static Goal)> {
    FIGURES
        .iter()
        .filter_map(|figure| figure.goal.as_ref().map(|goal| (figure, goal)))
}

fn read_objective(value: &Value<'_>, figure: &'static Figure, goal: &'static Goal) -> Result<Objective, ValueError> {
    let (kind, wanted) = match goal.bound {
        Bound::Floor => ("floor", ">="),
        Bound::Ceiling => ("ceiling", "<="),
    };
    let rule = format!("must be a {kind} in quotes, such as \"{}\"", goal.example);
    let Some(text) = value.as_text() else {
        return Err(ValueError::shape(rule, value));
    };
    let signs = text.len() - text.trim_start_matches(['<', '>', '=', '≤', '≥', '!']).len();
    let sign = &text[..signs];
    let number = text[signs..].trim();
    let start = text.len() - text[signs..].trim_start().len();
    if sign != wanted {
        let label = match (sign, goal.bound) {
            ("", _) => "this says neither >= nor <=",
            (">=" | ">" | "≥", Bound::Ceiling) => "this is a floor, but less is better",
            ("<=" | "<" | "≤", Bound::Floor) => "this is a ceiling, but more is better",
            _ => "write it as >= or <=",
        };
        return Err(ValueError::new(rule)
            .label(label)
            .help(format!("write \"{wanted} {number}\""))
            .within(0..signs));
    }
    let refused = |label: String| {
        let refusal = ValueError::new(rule.clone()).label(label);
        refusal.within(start..start + number.len())
    };
    Ok(Objective {
        figure,
        goal,
        limit: (figure.unit.limit)(number).map_err(refused)?,
        rule: format!("{wanted} {number}"),
    })
}
