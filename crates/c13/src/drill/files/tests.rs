//! What stands in the files, and that nothing in them comes from elsewhere.

use super::{HTML, JUNIT, MARKDOWN, Origin, SVG};
use crate::drill::scenario::Scenario;
use crate::drill::summary::Summary;
use crate::drill::{baseline::Baseline, fake, json};

fn summary_of(scenario: &Scenario, runs: u64) -> Summary {
    let runs: Vec<_> = (42..42 + runs).map(|seed| fake::report(scenario, seed)).collect();
    let mut summary = Summary::new(scenario, &runs).expect("the figures are numbers");
    let earlier = Baseline::read(&json::render(&summary).expect("finite")).expect("it was just written");
    summary.changes = earlier.compare(&summary, 0.02).expect("they are the same");
    summary.changes.truncate(1);
    summary
}

fn origin() -> Origin {
    Origin {
        command: "c13 drill my.toml".to_owned(),
        scenario: "name = \"<b>\"".to_owned(),
    }
}

#[test]
fn a_page_and_a_picture_need_nothing_from_elsewhere_and_no_script() {
    let mut scenario = fake::scenario();
    scenario.name = "<script>alert(1)</script>".to_owned();
    scenario.faults[0].words = "\"><img src=x>".to_owned();
    scenario.dependencies[0].name = "<i>".to_owned();
    let summary = summary_of(&scenario, 3);
    for text in [HTML(&summary, &origin()), SVG(&summary, &origin())] {
        for word in [
            "<script", "<img", "<i>", "http:", "https:", "url(", "@import", "<iframe", "NaN", "inf",
        ] {
            let text = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains(word), "{word}");
        }
        assert!(text.contains("&lt;script&gt;alert(1)"));
        assert!(text.contains("prefers-color-scheme:dark"));
    }
}

#[test]
fn a_page_has_every_part() {
    let page = HTML(&summary_of(&fake::scenario(), 3), &origin());
    for words in [
        "<h1>brown-out</h1>",
        "? undecided: 17 more seeds may decide",
        "2 of 3",
        "Goodput by phase",
        "Latency of answered calls",
        "Against the earlier drill",
        "c13 drill my.toml",
        "name = &quot;&lt;b&gt;&quot;",
        "fault 1, 2m to 4m: latency ×6",
    ] {
        let is_there = page.contains(words);
        assert!(is_there, "{words} is not in\n{page}");
    }
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
}

#[test]
fn a_comment_has_the_verdict_and_the_figures_that_say_most() {
    let text = MARKDOWN(&summary_of(&fake::scenario(), 3), &origin());
    for line in [
        "### brown-out: undecided",
        "| ? | critical | recovery &lt;= 60s | never | 2 of 3 |",
        "| ✓ | critical | availability | unchanged ±0.00 points |",
        "|  | unprotected | naive-retry | critical |",
        "| latency P99 | 1.98 s | 2.00 s | 812 ms |",
    ] {
        assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
    }
}

#[test]
fn each_objective_is_a_test() {
    let text = JUNIT(&summary_of(&fake::scenario(), 3), &origin());
    let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<testsuite name=\"brown-out\" tests=\"4\" failures=\"0\" errors=\"1\">
  <testcase classname=\"critical\" name=\"availability &gt;= 98%\"/>
  <testcase classname=\"critical\" name=\"amplification &lt;= 1.3\"/>
  <testcase classname=\"critical\" name=\"recovery &lt;= 60s\">
    <error message=\"never, met by 2 of 3 runs\"/>
  </testcase>
  <testcase classname=\"critical\" name=\"availability against the earlier drill\"/>
</testsuite>
";
    assert_eq!(text, expected);
}
