//! Compares a drill with an earlier one of the same incident, seed by seed: the same arrivals and the same faults, so that what
//! differs is the policy.

use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::time::Duration;

use super::figure::{Bound, FIGURES, Figure, Goal};
use super::figures::Figures;
use super::summary::{Summary, VariantSummary};
use super::verdict::{Verdict, t_of};

/// The result of an earlier drill.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Baseline {
    /// The incident that it was of.
    incident: String,
    /// The figures of each variant by seed, by their names.
    variants: BTreeMap<String, BTreeMap<u64, BTreeMap<String, Option<f64>>>>,
}

/// How a figure of a variant differs from the earlier one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Change {
    pub(crate) variant: String,
    pub(crate) figure: &'static Figure,
    pub(crate) goal: &'static Goal,
    /// How much worse it is in the mean of all seeds: points of a share, a part of the earlier value, or for a time of recovery a
    /// part of the drill. Below zero it is better.
    pub(crate) worse: f64,
    /// How far this may be off by chance, in 95 of 100 cases.
    pub(crate) margin: f64,
    /// How many seeds both drills have.
    pub(crate) seeds: usize,
    pub(crate) verdict: Verdict,
}

impl Baseline {
    /// Reads what `c13 drill --json` has printed.
    ///
    /// # Errors
    ///
    /// It is something else, in words.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let object: Json = serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
        let incident = object["incident"].as_str();
        let incident = incident.ok_or("it is not what `c13 drill --json` prints")?.to_owned();
        let mut variants = BTreeMap::new();
        for variant in object["variants"].as_array().into_iter().flatten() {
            let Some(name) = variant["name"].as_str() else { continue };
            let runs = variant["runs"].as_array().into_iter().flatten();
            let by_seed = runs.filter_map(|run| Some((run["seed"].as_u64()?, figures_of(run))));
            variants.insert(name.to_owned(), by_seed.collect());
        }
        Ok(Self { incident, variants })
    }

    /// Compares every variant that objectives judge and both drills have. What is worse by more than `most` is missed.
    ///
    /// # Errors
    ///
    /// The two have nothing in common, in words.
    pub(crate) fn compare(&self, summary: &Summary, most: f64) -> Result<Vec<Change>, String> {
        if self.incident != summary.incident {
            return Err(
                "it is of another incident: load, dependencies, faults and duration must be the same".to_owned(),
            );
        }
        let judged = summary.variants.iter().filter(|variant| !variant.baseline);
        let mut changes = Vec::new();
        for variant in judged {
            let Some(earlier) = self.variants.get(&variant.name) else {
                continue;
            };
            let goals = FIGURES
                .iter()
                .filter_map(|figure| Some((figure, figure.goal.as_ref()?)));
            for (figure, goal) in goals {
                let worse = differences(summary, variant, earlier, (figure, goal));
                if let Some(change) = Change::of(variant, (figure, goal), &worse, most) {
                    changes.push(change);
                }
            }
        }
        if changes.is_empty() {
            return Err("no variant that is judged has a seed in common with it".to_owned());
        }
        Ok(changes)
    }
}

fn figures_of(run: &Json) -> BTreeMap<String, Option<f64>> {
    let fields = run.as_object().into_iter().flatten();
    fields.map(|(name, value)| (name.clone(), value.as_f64())).collect()
}

/// How much worse the figure is under each seed that both have.
fn differences(
    summary: &Summary,
    variant: &VariantSummary,
    earlier: &BTreeMap<u64, BTreeMap<String, Option<f64>>>,
    (figure, goal): (&'static Figure, &'static Goal),
) -> Vec<f64> {
    let difference = |(run, figures): (usize, &Figures)| {
        let old = *earlier.get(&summary.seed.wrapping_add(run as u64))?.get(figure.name)?;
        worse(goal, old, figures.value(figure), summary.duration)
    };
    variant.runs.iter().enumerate().filter_map(difference).collect()
}

/// How much worse a value is than the earlier one. What never came back was away to the end; of others, nothing can be said where
/// one of them is missing.
fn worse(goal: &Goal, old: Option<f64>, new: Option<f64>, duration: Duration) -> Option<f64> {
    if goal.name == "recovery" {
        let length = duration.as_secs_f64();
        return Some((new.unwrap_or(length) - old.unwrap_or(length)) / length);
    }
    let (old, new) = (old?, new?);
    match goal.bound {
        Bound::Floor => Some(old - new),
        Bound::Ceiling => (old > 0.0).then(|| (new - old) / old),
    }
}

impl Change {
    fn of(
        variant: &VariantSummary,
        (figure, goal): (&'static Figure, &'static Goal),
        worse: &[f64],
        most: f64,
    ) -> Option<Self> {
        let seeds = worse.len();
        if seeds == 0 {
            return None;
        }
        let mean = worse.iter().sum::<f64>() / seeds as f64;
        let squares: f64 = worse.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (squares / seeds.saturating_sub(1).max(1) as f64).sqrt();
        let margin = t_of(seeds) * deviation / (seeds as f64).sqrt();
        let verdict = if mean <= most {
            Verdict::Met
        } else if mean - margin > most {
            Verdict::Missed
        } else {
            // The margin shrinks with the root of the number of seeds.
            let wanted = seeds as f64 * (margin / (mean - most)).powi(2);
            let more = (wanted.min(1e6) as usize + 1).saturating_sub(seeds).clamp(1, 1_000);
            Verdict::Undecided { more }
        };
        Some(Self {
            variant: variant.name.clone(),
            figure,
            goal,
            worse: mean,
            margin,
            seeds,
            verdict,
        })
    }

    /// The change in words: `1.80 points worse ±0.30`.
    pub(crate) fn words(&self) -> String {
        let unit = match (self.goal.name, self.goal.bound) {
            ("recovery", _) => "% of the drill",
            (_, Bound::Floor) => " points",
            (_, Bound::Ceiling) => "%",
        };
        let (size, margin) = (100.0 * self.worse.abs(), 100.0 * self.margin);
        let direction = match size {
            size if size < 0.005 => return format!("unchanged ±{margin:.2}{unit}"),
            _ if self.worse > 0.0 => "worse",
            _ => "better",
        };
        format!("{size:.2}{unit} {direction} ±{margin:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::{fake, json};
    use c13_reliability::sync::Random;

    fn summary(runs: u64) -> Summary {
        let scenario = fake::scenario();
        let runs: Vec<_> = (42..42 + runs).map(|seed| fake::report(&scenario, seed)).collect();
        Summary::new(&scenario, &runs).expect("the figures are numbers")
    }

    fn baseline(summary: &Summary) -> Baseline {
        Baseline::read(&json::render(summary).expect("finite")).expect("it was just written")
    }

    #[test]
    fn a_drill_is_no_worse_than_itself() {
        let summary = summary(3);
        let changes = baseline(&summary).compare(&summary, 0.02).expect("they are the same");
        let names: Vec<&str> = changes.iter().map(|change| change.goal.name).collect();
        assert_eq!(names, ["availability", "goodput", "p99", "amplification", "recovery"]);
        for change in changes {
            assert_eq!(
                (change.worse, change.margin, change.seeds, change.verdict),
                (0.0, 0.0, 3, Verdict::Met)
            );
        }
    }

    #[test]
    fn only_the_seeds_that_both_have_are_compared() {
        let changes = baseline(&summary(1))
            .compare(&summary(3), 0.02)
            .expect("one is the same");
        assert!(changes.iter().all(|change| change.seeds == 1));
        let mut other = summary(3);
        other.seed = 1_000;
        assert!(baseline(&summary(1)).compare(&other, 0.02).is_err());
        other.incident = "another".to_owned();
        let error = baseline(&summary(1))
            .compare(&other, 0.02)
            .expect_err("it is another one");
        assert!(error.starts_with("it is of another incident"), "{error}");
    }

    #[test]
    fn what_is_no_drill_is_refused() {
        for text in ["", "[]", "{}", "{\"incident\": 3}"] {
            assert!(Baseline::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_real_change_is_refused_and_one_by_chance_is_not() {
        let variant = summary(1).variants.remove(2);
        let figure = &FIGURES[2];
        let goal = figure.goal.as_ref().expect("goodput has one");
        let random = Random::new(3);
        // 20 seeds whose goodput differs by a standard deviation of some three points.
        let verdict = |worse: f64| {
            let noise = |_| worse + 0.1 * (random.unit() - 0.5);
            let differences: Vec<f64> = (0..20).map(noise).collect();
            Change::of(&variant, (figure, goal), &differences, 0.02)
                .expect("there are seeds")
                .verdict
        };
        let refused = |worse| (0..100).filter(|_| verdict(worse) == Verdict::Missed).count();
        assert_eq!(refused(0.0), 0, "nothing has changed");
        assert_eq!(refused(0.06), 100, "it is six points worse");
    }
}
