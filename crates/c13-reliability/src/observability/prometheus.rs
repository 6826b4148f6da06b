//! The Prometheus text format and OpenMetrics, written from the registry.
//!
//! ```
//! use c13_reliability::observability::prometheus::{self, Format};
//! use c13_reliability::patterns::circuit_breaker::CircuitBreaker;
//! use c13_reliability::snapshot::Registry;
//! use std::time::Duration;
//!
//! let registry = Registry::new();
//! let breaker = CircuitBreaker::new(5, 2, Duration::from_secs(30));
//! registry.register("payments", &breaker)?;
//! let text = prometheus::encode(&registry.families(), Format::Text);
//! assert!(text.contains("reliability_circuit_breaker_state{name=\"payments\"} 0\n"));
//! # Ok::<_, c13_reliability::error::NameTaken>(())
//! ```

use crate::microservices::accept::{weight, weight_or_pattern};
use crate::snapshot::{Family, Kind, Metric, Series, Value};
use std::borrow::Cow;
use std::fmt::Write;

/// The two forms of the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text 0.0.4, which everything reads.
    #[default]
    Text,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Format {
    /// The form that an `Accept` header asks for: OpenMetrics if the header names it with at least the weight of plain
    /// text, else text.
    #[must_use]
    pub fn negotiate(accept: Option<&str>) -> Self {
        let accept = accept.unwrap_or_default();
        let open_metrics = weight(accept, "application/openmetrics-text");
        if open_metrics > 0 && open_metrics >= weight_or_pattern(accept, "text/plain") {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    /// The `Content-Type` of an answer in this form.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The complete text of these families.
#[must_use]
pub fn encode(families: &[Family], format: Format) -> String {
    let mut text = String::new();
    encode_into(&mut text, families, format);
    if format == Format::OpenMetrics {
        text.push_str("# EOF\n");
    }
    text
}

/// Appends these families to a text that other code writes to as well. The last of them appends the `# EOF` of OpenMetrics.
pub fn encode_into(text: &mut String, families: &[Family], format: Format) {
    for family in families {
        write_family(text, family, format);
    }
}

/// The name of a metric in Prometheus: words with underscores, then the unit, then `_total` for counters.
#[must_use]
pub fn name(metric: &Metric) -> String {
    let total = if metric.kind == Kind::Counter { "_total" } else { "" };
    format!("{}{total}", base_name(metric))
}

fn base_name(metric: &Metric) -> String {
    let unit = match metric.unit {
        "s" => "_seconds",
        "ms" => "_milliseconds",
        "By" => "_bytes",
        _ => "",
    };
    format!("{}{unit}", metric.name.replace('.', "_"))
}

fn write_family(text: &mut String, family: &Family, format: Format) {
    let metric = family.metric;
    let (base, name) = (base_name(metric), name(metric));
    // OpenMetrics names the family without `_total`, the older text with it.
    let family_name = if format == Format::OpenMetrics { &base } else { &name };
    let kind = match metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram { .. } => "histogram",
    };
    line(
        text,
        format_args!("# HELP {family_name} {}", escape_help(metric.help, format)),
    );
    line(text, format_args!("# TYPE {family_name} {kind}"));
    if format == Format::OpenMetrics
        && let Some((_, unit)) = base
            .rsplit_once('_')
            .filter(|_| !metric.unit.starts_with('{') && !metric.unit.is_empty())
    {
        line(text, format_args!("# UNIT {family_name} {unit}"));
    }
    for series in &family.series {
        let labels = labels(series);
        match (&series.value, metric.kind) {
            (Value::Count(count), _) => line(text, format_args!("{name}{{{labels}}} {count}")),
            (Value::Level(level), _) => line(text, format_args!("{name}{{{labels}}} {}", number(*level))),
            (Value::Times(times), Kind::Histogram { boundaries, per_unit }) => {
                for boundary in boundaries {
                    let count = times.count_at_most((boundary * per_unit).round() as u64);
                    let le = number_with_point(*boundary, format);
                    line(text, format_args!("{base}_bucket{{{labels},le=\"{le}\"}} {count}"));
                }
                let count = times.count();
                line(text, format_args!("{base}_bucket{{{labels},le=\"+Inf\"}} {count}"));
                let sum = number(times.sum() as f64 / per_unit);
                line(text, format_args!("{base}_sum{{{labels}}} {sum}"));
                line(text, format_args!("{base}_count{{{labels}}} {count}"));
            }
            (Value::Times(_), _) => {}
        }
    }
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = text.write_fmt(line);
    text.push('\n');
}

fn labels(series: &Series) -> String {
    let mut labels = format!("name=\"{}\"", escape_label(&series.name));
    for (name, value) in &series.labels {
        let _ = write!(labels, ",{name}=\"{}\"", escape_label(value));
    }
    labels
}

fn escape_label(value: &str) -> Cow<'_, str> {
    if value.contains(['\\', '"', '\n']) {
        Cow::Owned(value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
    } else {
        Cow::Borrowed(value)
    }
}

/// Only OpenMetrics escapes quotes in help.
fn escape_help(help: &str, format: Format) -> String {
    let help = help.replace('\\', "\\\\").replace('\n', "\\n");
    match format {
        Format::Text => help,
        Format::OpenMetrics => help.replace('"', "\\\""),
    }
}

/// A value: whole numbers without a point, others as the shortest text that reads back as the same number.
fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        format!("{value}")
    }
}

/// A boundary: OpenMetrics requires a point.
fn number_with_point(value: f64, format: Format) -> String {
    match format {
        Format::Text => number(value),
        Format::OpenMetrics => format!("{value:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Observed, Reading, Registry, Source};
    use crate::sync::HistogramSnapshot;
    use std::sync::Arc;

    static CALLS: Metric = Metric::counter("reliability.test.calls", "{call}", "Calls, by \"result\"");
    static STATE: Metric = Metric::gauge("reliability.test.state", "", "A state\\");
    static TIMES: Metric = Metric::seconds("reliability.test.duration", &[0.001, 1.0], "Times");

    struct Part(Arc<()>);

    impl Observed for Part {
        fn source(&self) -> Source {
            let part = Arc::downgrade(&self.0);
            Source::new(move || {
                part.upgrade()?;
                let mut times = HistogramSnapshot::new();
                times.record(500_000);
                times.record(20_000_000_000);
                Some(vec![
                    Reading::count(&CALLS, 3).label("result", "success"),
                    Reading::count(&CALLS, 1).label("result", "failure"),
                    Reading::level(&STATE, 0.25),
                    Reading::times(&TIMES, times),
                ])
            })
        }
    }

    fn text(format: Format) -> String {
        let registry = Registry::new();
        let part = Part(Arc::new(()));
        registry.register("a \"b\"\\\n", &part).unwrap();
        encode(&registry.families(), format)
    }

    #[test]
    fn the_text_groups_families_and_escapes_labels() {
        assert_eq!(
            text(Format::Text),
            r#"# HELP reliability_test_calls_total Calls, by "result"
# TYPE reliability_test_calls_total counter
reliability_test_calls_total{name="a \"b\"\\\n",result="success"} 3
reliability_test_calls_total{name="a \"b\"\\\n",result="failure"} 1
# HELP reliability_test_duration_seconds Times
# TYPE reliability_test_duration_seconds histogram
reliability_test_duration_seconds_bucket{name="a \"b\"\\\n",le="0.001"} 1
reliability_test_duration_seconds_bucket{name="a \"b\"\\\n",le="1"} 1
reliability_test_duration_seconds_bucket{name="a \"b\"\\\n",le="+Inf"} 2
reliability_test_duration_seconds_sum{name="a \"b\"\\\n"} 20.0005
reliability_test_duration_seconds_count{name="a \"b\"\\\n"} 2
# HELP reliability_test_state A state\\
# TYPE reliability_test_state gauge
reliability_test_state{name="a \"b\"\\\n"} 0.25
"#
        );
    }

    #[test]
    fn open_metrics_names_families_without_total_and_ends_with_eof() {
        let text = text(Format::OpenMetrics);
        for wanted in [
            "# TYPE reliability_test_calls counter\n",
            "reliability_test_calls_total{",
            "# HELP reliability_test_calls Calls, by \\\"result\\\"\n",
            "# UNIT reliability_test_duration_seconds seconds\n",
            "le=\"1.0\"} 1\n",
        ] {
            assert!(text.contains(wanted), "{wanted} in:\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
        assert_eq!(encode(&[], Format::OpenMetrics), "# EOF\n");
        assert_eq!(encode(&[], Format::Text), "");
    }

    #[test]
    fn open_metrics_is_sent_only_on_request() {
        for (accept, wanted) in [
            (None, Format::Text),
            (Some("*/*"), Format::Text),
            (Some("text/plain;version=0.0.4"), Format::Text),
            (
                Some("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"),
                Format::OpenMetrics,
            ),
            (
                Some("application/openmetrics-text;q=0.3, text/plain;q=0.7"),
                Format::Text,
            ),
            (Some("application/openmetrics-text;q=0.3, */*;q=0.7"), Format::Text),
            (Some("application/openmetrics-text;q=0"), Format::Text),
            (Some("application/openmetrics-text; Q=0.0"), Format::Text),
        ] {
            assert_eq!(Format::negotiate(accept), wanted, "{accept:?}");
        }
    }

    #[test]
    fn numbers_read_back_as_they_were() {
        for (value, written) in [
            (0.0, "0"),
            (1e9, "1000000000"),
            (0.1, "0.1"),
            (f64::INFINITY, "+Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(number(value), written);
        }
    }
}
