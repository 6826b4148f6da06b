//! What strangers write is read in bounded time and memory, and nothing of it makes a reader panic.
//!
//! `./test fuzz` does this for longer; see [`mutate::fuzz`] for what can be set.

mod mutate;

use c13_reliability::microservices::health::ProbeUrl;
use c13_reliability::patterns::retry::Verdict;
use c13_reliability::patterns::timeout::{grpc_timeout, http_timeout, parse_grpc_timeout, parse_http_timeout};
use c13_reliability::policy::document::{Rate, Ratio, Source, duration_text, parse_duration};
use c13_reliability::policy::file::{PolicyFiles, STARTER, policy_text};
use mutate::{Corpus, fuzz};
use std::time::Duration;

/// Runs something that may allocate so much at one time for each byte of its input, and some in any case.
fn within_memory(input: &[u8], per_byte: u64, run: impl FnOnce()) {
    let held = allocation_counter::measure(run).bytes_max;
    let most = (1 << 20) + per_byte * input.len() as u64;
    assert!(
        held <= most,
        "{held} bytes are held at once for {} of input",
        input.len()
    );
}

const POLICY_WORDS: [&str; 16] = [
    "extends = ",
    "[policy.",
    "[defaults]\n",
    "timeout.total = ",
    "retry = false\n",
    "[[policy]]\n",
    "circuit_breaker.",
    "recovery.shares = [",
    "hedge.delay = { quantile = ",
    "rate_limit = { rate = ",
    "adaptive = {}\n",
    "strategy = ",
    "\n[policy.a]\nextends = \"a\"\n",
    "= ",
    "\"\"\"",
    "#",
];

const SERVICE: &str = "
[defaults]
timeout = { total = \"5s\", attempt = \"1s\" }
retry.budget = { ratio = \"20%\", min_per_second = 10, window = \"10s\" }

[policy.payments]
extends = \"critical\"
hedge = { delay = { quantile = \"95%\", min_calls = 100, window = \"30s\" }, max_extra = 1 }

[policy.payments.circuit_breaker]
failures = 5
failures_window = \"30s\"
failure_share = 0.5
recovery = { shares = [0.1, 0.5], stage_length = \"5s\", failure_rate = 0.1, min_calls = 10 }

[policy.search]
extends = \"payments\"
adaptive = { strategy = \"vegas\", alpha = 3, beta = 6, initial_limit = 20, max_queue = 10, max_wait = \"100ms\" }
bulkhead = false
rate_limit = { rate = \"100/s\", burst = 10, per = \"attempt\", warm_up = { period = \"30s\", cold_factor = 3.0 } }
";

fn policies() -> Corpus {
    let profiles = c13_reliability::policy::Profile::ALL.map(|profile| policy_text(&profile.config()).into_bytes());
    let mut texts = vec![STARTER.as_bytes().to_vec(), SERVICE.as_bytes().to_vec()];
    texts.extend(profiles);
    Corpus {
        texts,
        words: &POLICY_WORDS,
        longest: 1 << 15,
    }
}

#[test]
fn no_policy_file_takes_more_time_or_memory_than_its_length_allows() {
    fuzz("policy files", &policies(), |input| {
        within_memory(input, 1_000, || {
            let Ok(source) = Source::from_bytes("service.toml", input.to_vec()) else {
                return;
            };
            match PolicyFiles::new().file(source).read() {
                Ok(set) => assert!(set.changes(&set).is_empty()),
                Err(errors) => assert!(!errors.is_empty() && errors.to_string().len() <= 256 << 10),
            }
        });
    });
}

#[test]
fn no_layers_of_policies_take_more_time_or_memory_than_their_length_allows() {
    fuzz("layers of policies", &policies(), |input| {
        within_memory(input, 1_000, || {
            let text = String::from_utf8_lossy(input);
            let mut files = PolicyFiles::new().file(Source::new("service.toml", SERVICE));
            for (at, line) in text.lines().take(100).enumerate() {
                let (name, value) = line.split_once('=').unwrap_or((line, ""));
                files = match at % 3 {
                    0 => files.variable(
                        &format!("C13__POLICY__{}", name.trim().replace('.', "__").to_uppercase()),
                        value,
                    ),
                    1 => files.variable(name, value),
                    _ => files.set(line),
                };
            }
            if let Err(errors) = files.file(Source::new("second.toml", text)).read() {
                assert!(errors.to_string().len() <= 256 << 10);
            }
        });
    });
}

fn small(texts: &[&str], words: &'static [&'static str]) -> Corpus {
    Corpus {
        texts: texts.iter().map(|text| text.as_bytes().to_vec()).collect(),
        words,
        longest: 1 << 14,
    }
}

#[test]
fn no_quantity_makes_its_reader_panic_and_each_reads_back_as_itself() {
    let corpus = small(
        &[
            "1.5s",
            "2m 30s",
            "500ms",
            "213503d 23h 34m 33.709551615s",
            "99.95%",
            "100/s",
            "0.5/m",
            "1e3/s",
        ],
        &[
            "d", "h", "m", "s", "ms", "us", "µs", "ns", " ", ".", "%", "/s", "e", "_", "+", "-",
        ],
    );
    fuzz("quantities", &corpus, |input| {
        within_memory(input, 100, || {
            let text = &*String::from_utf8_lossy(input);
            if let Ok(duration) = parse_duration(text) {
                assert_eq!(parse_duration(&duration_text(duration)), Ok(duration));
            }
            if let Ok(ratio) = text.parse::<Ratio>() {
                assert!((0.0..=1.0).contains(&ratio.value()));
            }
            if let Ok(rate) = text.parse::<Rate>() {
                assert!(rate.per_second() > 0.0 && rate.per_second().is_finite());
            }
        });
    });
}

#[test]
fn no_header_makes_its_reader_panic() {
    let corpus = small(
        &[
            "120",
            "Fri, 31 Dec 1999 23:59:59 GMT",
            "Friday, 31-Dec-99 23:59:59 GMT",
            "Fri Dec 31 23:59:59 1999",
            "99999999H",
            "100m",
            "5000",
            "-1",
            "http://127.0.0.1:8080/health",
            "http://[::1]:80/",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n",
        ],
        &[
            "GMT",
            ":",
            "-",
            ",",
            " ",
            "H",
            "M",
            "S",
            "m",
            "u",
            "n",
            "http://",
            "[",
            "]",
            "@",
            "?",
            "#",
            "HTTP/1.1 ",
            "\r\n",
        ],
    );
    fuzz("headers", &corpus, |input| {
        within_memory(input, 100, || {
            let text = &*String::from_utf8_lossy(input);
            let _ = Verdict::retry_after(text, None);
            let _ = Verdict::retry_after(text, Some("Fri, 31 Dec 1999 23:59:59 GMT"));
            let _ = Verdict::retry_after("Fri, 31 Dec 1999 23:59:59 GMT", Some(text));
            let _ = Verdict::pushback(text);
            for read in [parse_grpc_timeout(text), parse_http_timeout(text)]
                .into_iter()
                .flatten()
            {
                assert!(parse_grpc_timeout(&grpc_timeout(read)).is_ok_and(|back| back <= read.max(Duration::ZERO)));
                assert!(parse_http_timeout(&http_timeout(read)).is_ok());
            }
            if let Ok(url) = text.parse::<ProbeUrl>() {
                assert!(url.request().starts_with("GET /") && !url.host().is_empty());
                assert_eq!(url.request().matches("\r\n\r\n").count(), 1, "{url:?}");
            }
            if let Ok(Some(status)) = ProbeUrl::status(input) {
                assert!((100..=999).contains(&status), "{status}");
            }
        });
    });
}
