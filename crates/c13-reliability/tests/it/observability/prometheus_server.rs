//! A real Prometheus (Debian's package `prometheus`) over metrics that were written down before.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// A server that is stopped with this. It knows the alerts of `contrib/`.
pub(super) struct Prometheus {
    server: Child,
    port: u16,
    folder: PathBuf,
    /// The first and the last second of the metrics, and how many seconds lie between two looks at them.
    range: (u64, u64, u64),
}

/// A rule that fires when its question has had an answer for so many seconds.
pub(super) struct Alert {
    pub(super) name: String,
    pub(super) query: String,
    pub(super) held_for: u64,
}

impl Prometheus {
    /// Over this text of OpenMetrics, whose samples have their times.
    pub(super) fn over(text: &str, range: (u64, u64, u64)) -> Self {
        let folder = std::env::temp_dir().join(format!("c13-prometheus-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let (samples, data) = (folder.join("samples.txt"), folder.join("data"));
        fs::write(&samples, text).unwrap();
        let taken = Command::new("promtool")
            .args(["tsdb", "create-blocks-from", "openmetrics"])
            .args([&samples, &data])
            .output()
            .unwrap_or_else(|error| panic!("promtool is missing (Debian's package `prometheus`): {error}"));
        assert!(taken.status.success(), "{}", String::from_utf8_lossy(&taken.stderr));
        let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/../../contrib/prometheus-alerts.yml");
        let config = folder.join("prometheus.yml");
        fs::write(&config, format!("rule_files: [{}]\n", serde_json::json!(rules))).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            // The samples are old, so that their times are the same in every run.
            .arg("--storage.tsdb.retention.time=100y")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("log")).unwrap())
            .spawn()
            .unwrap_or_else(|error| panic!("prometheus is missing (Debian's package `prometheus`): {error}"));
        let server = Self {
            server,
            port,
            folder,
            range,
        };
        server.wait_until_ready();
        server
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the server is another process, and starts in real time"
    )]
    fn wait_until_ready(&self) {
        for _ in 0..300 {
            if self.get("/-/ready").is_some_and(|answer| answer.contains(" 200 ")) {
                return;
            }
            sleep(Duration::from_millis(100));
        }
        panic!("{}", fs::read_to_string(self.folder.join("log")).unwrap_or_default());
    }

    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        // The older version, because its answers come in one piece.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// The data that a question is answered with.
    fn data(&self, path: &str) -> Value {
        let answer = self.get(path).unwrap_or_else(|| panic!("{path}: no answer"));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 200 "), "{path}: {answer}");
        let mut answer: Value = serde_json::from_str(body).unwrap();
        answer["data"].take()
    }

    /// The alerts, as the server has read them.
    pub(super) fn alerts(&self) -> Vec<Alert> {
        let data = self.data("/api/v1/rules?type=alert");
        let groups = data["groups"].as_array().unwrap();
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
        let alerts: Vec<_> = rules
            .map(|rule| Alert {
                name: rule["name"].as_str().unwrap().to_owned(),
                query: rule["query"].as_str().unwrap().to_owned(),
                held_for: rule["duration"].as_f64().unwrap() as u64,
            })
            .collect();
        assert!(alerts.len() > 10, "only {} alerts", alerts.len());
        alerts
    }

    /// The jobs of which a series answers the question for so many seconds without a gap.
    pub(super) fn jobs_where(&self, question: &str, held_for: u64) -> BTreeSet<String> {
        let (start, end, step) = self.range;
        let question = percent_encoded(question);
        let path = format!("/api/v1/query_range?query={question}&start={start}&end={end}&step={step}");
        let data = self.data(&path);
        let mut jobs = BTreeSet::new();
        for series in data["result"].as_array().unwrap() {
            let labels: BTreeMap<String, String> = serde_json::from_value(series["metric"].clone()).unwrap();
            let values = series["values"].as_array().unwrap();
            let known = values.iter().filter(|value| value[1].as_str() != Some("NaN"));
            let times: Vec<u64> = known.map(|value| value[0].as_f64().unwrap() as u64).collect();
            let job = labels
                .get("job")
                .unwrap_or_else(|| panic!("an answer without a job: {labels:?}"));
            if longest_run(&times, step).is_some_and(|run| run >= held_for) {
                jobs.insert(job.clone());
            }
        }
        jobs
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// How many seconds the longest run of times without a gap lasts; `None` if there are no times.
fn longest_run(times: &[u64], step: u64) -> Option<u64> {
    let runs = times.chunk_by(|time, next| next - time <= step);
    runs.map(|run| run[run.len() - 1] - run[0]).max()
}

fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}
