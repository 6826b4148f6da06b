//! The objectives, and the changes against an earlier drill, as test results that CI shows.

use super::escape;
use crate::drill::summary::{Judgement, Summary};
use crate::drill::verdict::Verdict;

/// One suite with a test for each objective and each change. What is undecided is no success: it is an error, and not a failure.
pub(super) fn render(summary: &Summary) -> String {
    let objectives = summary.judgements().map(|(variant, judgement)| {
        let name = format!("{} {}", judgement.objective.goal.name, judgement.objective.rule);
        (variant.name.clone(), name, judgement.verdict, words_of(judgement))
    });
    let changes = summary.changes.iter().map(|change| {
        let name = format!("{} against the earlier drill", change.goal.name);
        (change.variant.clone(), name, change.verdict, change.words())
    });
    let cases: Vec<(String, String, Verdict, String)> = objectives.chain(changes).collect();
    let count = |wanted: &str| cases.iter().filter(|case| case.2.name() == wanted).count();
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\">\n",
        escape(&summary.scenario),
        cases.len(),
        count("missed"),
        count("undecided")
    );
    for (variant, name, verdict, words) in &cases {
        let (variant, name, words) = (escape(variant), escape(name), escape(words));
        let head = format!("  <testcase classname=\"{variant}\" name=\"{name}\"");
        let tag = match verdict {
            Verdict::Met => {
                text.push_str(&format!("{head}/>\n"));
                continue;
            }
            Verdict::Missed => "failure",
            Verdict::Undecided { .. } => "error",
        };
        text.push_str(&format!("{head}>\n    <{tag} message=\"{words}\"/>\n  </testcase>\n"));
    }
    text + "</testsuite>\n"
}

fn words_of(judgement: &Judgement) -> String {
    let value = judgement.value_text();
    format!("{value}, met by {} of {} runs", judgement.runs_met, judgement.runs)
}
