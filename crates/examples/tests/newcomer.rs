//! The newcomer's program, between a client and dependencies that fail by script: what it does without a line of its own about
//! failures. It runs as a process, on a Postgres of the test's own and the Redis that all tests share.

#![expect(clippy::unwrap_used, reason = "tests, their helpers included, fail loudly")]

#[expect(dead_code, reason = "this test kills no server")]
#[path = "../../c13-reliability/tests/postgres/server.rs"]
mod postgres;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::routing::any;
use c13_reliability::time::Clock;
use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The upstream: what it answers next, and what it was asked. Without a script it answers 200.
#[derive(Default)]
struct Upstream {
    script: VecDeque<(u16, Option<&'static str>)>,
    /// Answers this to everything, once the script is over.
    then: Option<u16>,
    asked: Vec<Method>,
}

type Shared = Arc<Mutex<Upstream>>;

async fn answer(State(upstream): State<Shared>, method: Method, _body: String) -> (StatusCode, HeaderMap) {
    let mut upstream = upstream.lock().expect("no test panics under it");
    upstream.asked.push(method);
    let (status, retry_after) = upstream
        .script
        .pop_front()
        .unwrap_or((upstream.then.unwrap_or(200), None));
    let mut headers = HeaderMap::new();
    if let Some(seconds) = retry_after {
        headers.insert("retry-after", HeaderValue::from_static(seconds));
    }
    (status.try_into().expect("it is a status"), headers)
}

/// The program, and its end.
struct Program {
    child: Child,
    url: String,
}

impl Program {
    fn start(upstream: &str, database: &str) -> Self {
        let redis = std::env::var("C13_TEST_REDIS")
            .expect("C13_TEST_REDIS names no Redis: run ./test unit, or set it to redis://HOST:PORT");
        let mut child = Command::new(env!("CARGO_BIN_EXE_newcomer"))
            .env("UPSTREAM", upstream)
            .env("DATABASE_URL", database)
            .env("REDIS_URL", redis)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stdout = child.stdout.take().expect("it is piped");
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("it says where it listens");
        let address = line
            .trim()
            .strip_prefix("listening on ")
            .expect("it says where it listens");
        Self {
            url: format!("http://{address}"),
            child,
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client of the program.
struct Client<'a> {
    http: reqwest::Client,
    program: &'a Program,
    upstream: Shared,
    /// How many of its requests passed the limit, and how many did not.
    limited: Cell<(u32, u32)>,
}

impl Client<'_> {
    async fn ask(&self, method: Method, path: &str) -> (u16, String) {
        let request = self.http.request(method, format!("{}{path}", self.program.url));
        let response = request.send().await.expect("the program answers");
        let status = response.status().as_u16();
        let (passed, refused) = self.limited.get();
        match (path, status) {
            ("/metrics" | "/ready", _) => {}
            (_, 429) => self.limited.set((passed, refused + 1)),
            _ => self.limited.set((passed + 1, refused)),
        }
        (status, response.text().await.expect("it is text"))
    }

    async fn get(&self, path: &str) -> (u16, String) {
        self.ask(Method::GET, path).await
    }

    /// Sets what the upstream answers from now on.
    fn script(&self, script: &[(u16, Option<&'static str>)], then: Option<u16>) {
        *self.upstream.lock().expect("no test panics under it") = Upstream {
            script: script.iter().copied().collect(),
            then,
            asked: Vec::new(),
        };
    }

    /// How often the upstream was asked since.
    fn asked(&self) -> usize {
        self.upstream.lock().expect("no test panics under it").asked.len()
    }
}

#[tokio::test]
async fn the_obvious_code_is_the_right_code() {
    let upstream = Shared::default();
    let router = Router::new().fallback(any(answer)).with_state(upstream.clone());
    let address = c13_examples::serve(router).await.expect("a port is free");
    let database = postgres::Server::new("newcomer");
    database.ready().await;
    let database_url = format!("postgres://app@127.0.0.1:{}/postgres", database.port);
    let program = Program::start(&format!("http://{address}/"), &database_url);
    let client = Client {
        http: reqwest::Client::new(),
        program: &program,
        upstream,
        limited: Cell::default(),
    };
    let clock = Clock::system();
    let started = clock.now();

    // All is well.
    assert_eq!(client.get("/price").await, (200, "the upstream said 200".to_owned()));
    assert_eq!(client.get("/orders").await, (200, "42 orders".to_owned()));
    let (status, visit) = client.get("/visits").await;
    assert!(status == 200 && visit.starts_with("visit "), "{visit}");

    // 429 with `Retry-After: 2`: the next attempt waits for two seconds, and is answered.
    client.script(&[(429, Some("2"))], None);
    let began = clock.now();
    assert_eq!(client.get("/price").await, (200, "the upstream said 200".to_owned()));
    let took = clock.now() - began;
    println!(
        "429 with Retry-After: 2 was answered after {took:?} by {} attempts",
        client.asked()
    );
    assert!(
        took >= Duration::from_secs(2) && took < Duration::from_secs(8),
        "{took:?}"
    );
    assert_eq!(client.asked(), 2);

    // A GET that fails once is made again; a POST is not, since its body was sent.
    client.script(&[(503, None)], None);
    assert_eq!(client.get("/price").await, (200, "the upstream said 200".to_owned()));
    assert_eq!(client.asked(), 2);
    client.script(&[(503, None)], None);
    assert_eq!(
        client.ask(Method::POST, "/price").await,
        (200, "the upstream said 503".to_owned())
    );
    println!("a POST that got 503 was sent {} time(s)", client.asked());
    assert_eq!(client.asked(), 1);

    // Answers that are the caller's fault open nothing.
    client.script(&[], Some(404));
    for _ in 0..30 {
        assert_eq!(client.get("/price").await, (200, "the upstream said 404".to_owned()));
    }

    // Everything fails: the circuit opens, and the text names the dependency.
    client.script(&[], Some(500));
    let mut refused = None;
    let mut asked = 0;
    while refused.is_none() && asked < 60 {
        let (status, text) = client.get("/price").await;
        asked += 1;
        refused = (status == 503).then_some(text);
    }
    let refused = refused.expect("the circuit opens when every response is 500");
    println!(
        "at 100 % of 500s the breaker opened after {} attempts of {asked} calls: {refused}",
        client.asked()
    );
    assert!(refused.starts_with("prices: circuit open"), "{refused}");
    let before = client.asked();
    assert_eq!(client.get("/price").await.0, 503);
    assert_eq!(client.asked(), before, "an open circuit asks nobody");

    // The others go on.
    assert_eq!(client.get("/orders").await.0, 200);

    // Metrics by policy.
    let (status, metrics) = client.get("/metrics").await;
    assert_eq!(status, 200);
    let durations: Vec<&str> = metrics
        .lines()
        .filter(|line| line.starts_with("reliability_policy_call_duration_seconds_count"))
        .collect();
    println!("{}", durations.join("\n"));
    for policy in ["orders", "prices", "visits"] {
        let named = |line: &&&str| line.contains(&format!("\"{policy}\""));
        assert!(durations.iter().any(|line| named(&line)), "{policy}: {metrics}");
    }

    // The database is gone: the text says which dependency it is, and the service stays ready.
    drop(database);
    let (status, text) = client.get("/orders").await;
    println!("without a database: {status} {text}");
    assert!(status >= 500 && text.starts_with("orders: "), "{status} {text}");
    assert_eq!(client.get("/ready").await.0, 200);

    // The limit by client counts every request: 200 at once, and one a second.
    for _ in 0..250 {
        client.get("/visits").await;
    }
    let (passed, refused) = client.limited.get();
    let most = 200 + u32::try_from((clock.now() - started).as_secs()).expect("it is short") + 1;
    println!(
        "of {} requests of one client {passed} passed the limit by address",
        passed + refused
    );
    assert!(
        (200..=most).contains(&passed) && refused > 0,
        "{passed} and {refused}, of at most {most}"
    );
}
