//! HTTP through a policy: one table of requests, run by each client against a real server; bodies that hold their permits.

#![cfg(all(feature = "reqwest", feature = "hyper", feature = "test-util"))]

mod clients;
mod server;

use c13_reliability::keyed::KeySetConfig;
use c13_reliability::patterns::bulkhead::BulkheadConfig;
use c13_reliability::patterns::circuit_breaker::CircuitBreakerConfig;
use c13_reliability::patterns::retry::{Jitter, RetryConfig, RetryStrategy};
use c13_reliability::patterns::timeout::HTTP_TIMEOUT;
use c13_reliability::policy::{ATTEMPT, BodyTimeout, HttpClient, HttpConfig, KeyedPolicies, Policy, PolicyConfig};
use c13_reliability::time::{Deadline, Env, VirtualTime};
use clients::End::{CutOff, Failed, Status, TimedOut};
use clients::Sent::{Bytes, Nothing, Stream};
use clients::{End, REPLAY_LIMIT, Sent, both, reqwest_client};
use server::Server;
use server::Step::{self, Answer, Hang, Refuse, Send};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// What moves virtual time on.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A retry was decided, with this delay.
    Retry(Duration),
    /// The server has a request and does not go on.
    ServerHangs,
    /// A client has closed the connection of a server that hangs.
    ClientGone,
}

fn config() -> PolicyConfig {
    let retry = RetryConfig::new(2, RetryStrategy::FixedDelay(100 * MS));
    PolicyConfig::NONE
        .total_timeout(60 * SECOND)
        .attempt_timeout(SECOND)
        .bulkhead(BulkheadConfig::new(1))
        .retry(retry.jitter(Jitter::None).without_budget())
        .circuit_breaker(CircuitBreakerConfig::new().consecutive_failures(100))
}

fn policy(config: PolicyConfig, time: &VirtualTime, events: &UnboundedSender<Event>) -> Policy {
    let policy = Policy::with_config(config, time.clock()).expect("the settings make sense");
    let events = events.clone();
    policy.on_retry(move |retry| {
        let _ = events.send(Event::Retry(retry.delay));
    });
    policy
}

/// How many permits of the bulkhead are held, and what the breaker has counted: successes, failures, abandoned calls, ignored
/// ones.
fn state(policy: &Policy) -> (u32, [u64; 4]) {
    let bulkhead = policy.bulkhead().expect("it has one");
    let counts = policy.circuit_breaker().expect("it has one").metrics();
    let counts = [
        counts.success_count,
        counts.failure_count,
        counts.abandoned_count,
        counts.ignored_count,
    ];
    (bulkhead.in_flight(), counts)
}

/// A request, what the server does, and what is to follow.
struct Row {
    method: &'static str,
    key: Option<&'static str>,
    sent: Sent,
    script: &'static [Step],
    end: End,
    /// The delays before further attempts, in milliseconds.
    delays: &'static [u64],
    /// What the breaker counts: successes, failures, ignored results.
    counts: [u64; 3],
}

const OK: Step = Answer("200 OK");
const DOWN: Step = Answer("503 Service Unavailable");
const HANGS: Step = Hang("");
const CLOSES: Step = Send("");

/// A request without a body and without a key.
const fn plain(
    method: &'static str,
    script: &'static [Step],
    end: End,
    delays: &'static [u64],
    counts: [u64; 3],
) -> Row {
    row((method, None, Nothing), script, end, delays, counts)
}

const fn row(
    (method, key, sent): (&'static str, Option<&'static str>, Sent),
    script: &'static [Step],
    end: End,
    delays: &'static [u64],
    counts: [u64; 3],
) -> Row {
    Row {
        method,
        key,
        sent,
        script,
        end,
        delays,
        counts,
    }
}

const KEY: Option<&str> = Some("order-7");

const ROWS: &[Row] = &[
    // Statuses that are the answer.
    plain("GET", &[OK], Status(200), &[], [1, 0, 0]),
    plain(
        "GET",
        &[Send("HTTP/1.1 204 No Content\n\n")],
        Status(204),
        &[],
        [1, 0, 0],
    ),
    plain("GET", &[Answer("304 Not Modified")], Status(304), &[], [1, 0, 0]),
    plain(
        "GET",
        &[Answer("400 Bad Request\nRetry-After: 7")],
        Status(400),
        &[],
        [1, 0, 0],
    ),
    plain("GET", &[Answer("401 Unauthorized")], Status(401), &[], [1, 0, 0]),
    plain("GET", &[Answer("403 Forbidden")], Status(403), &[], [1, 0, 0]),
    plain("GET", &[Answer("404 Not Found")], Status(404), &[], [1, 0, 0]),
    plain("POST", &[Answer("409 Conflict")], Status(409), &[], [1, 0, 0]),
    plain("PUT", &[Answer("412 Precondition Failed")], Status(412), &[], [1, 0, 0]),
    plain("POST", &[Answer("422 Unprocessable")], Status(422), &[], [1, 0, 0]),
    // Statuses that may pass.
    plain(
        "GET",
        &[Answer("408 Request Timeout"), OK],
        Status(200),
        &[100],
        [1, 1, 0],
    ),
    plain("GET", &[Answer("425 Too Early"), OK], Status(200), &[100], [1, 1, 0]),
    plain(
        "GET",
        &[Answer("429 Too Many Requests"), OK],
        Status(200),
        &[100],
        [1, 1, 0],
    ),
    plain(
        "GET",
        &[Answer("500 Internal Server Error"), OK],
        Status(200),
        &[100],
        [1, 1, 0],
    ),
    plain("GET", &[Answer("502 Bad Gateway"), OK], Status(200), &[100], [1, 1, 0]),
    plain("GET", &[DOWN, OK], Status(200), &[100], [1, 1, 0]),
    plain(
        "GET",
        &[Answer("504 Gateway Timeout"), OK],
        Status(200),
        &[100],
        [1, 1, 0],
    ),
    plain("GET", &[Answer("529 Overloaded"), OK], Status(200), &[100], [1, 1, 0]),
    plain("GET", &[DOWN], Status(503), &[100, 100], [0, 3, 0]),
    plain("GET", &[DOWN, Answer("404 Not Found")], Status(404), &[100], [1, 1, 0]),
    // Failures that will not pass.
    plain("GET", &[Answer("501 Not Implemented")], Status(501), &[], [0, 1, 0]),
    plain(
        "GET",
        &[Answer("505 Version Not Supported\nRetry-After: 7")],
        Status(505),
        &[],
        [0, 1, 0],
    ),
    // How long to wait.
    plain(
        "GET",
        &[Answer("429 Slow Down\nRetry-After: 2"), OK],
        Status(200),
        &[2_000],
        [1, 1, 0],
    ),
    plain(
        "GET",
        &[Answer("503 Down\nRetry-After: 0"), OK],
        Status(200),
        &[100],
        [1, 1, 0],
    ),
    plain(
        "GET",
        &[Answer("503 Down\nRetry-After: soon"), OK],
        Status(200),
        &[100],
        [1, 1, 0],
    ),
    plain(
        "GET",
        &[Answer("503 Down\nRetry-After: Sun, 06 Nov 1994 08:49:47 GMT"), OK],
        Status(200),
        &[10_000],
        [1, 1, 0],
    ),
    plain(
        "GET",
        &[Answer("503 Down\nRetry-After: Sunday, 06-Nov-94 08:49:47 GMT"), OK],
        Status(200),
        &[10_000],
        [1, 1, 0],
    ),
    plain(
        "GET",
        &[Answer("503 Down\nRetry-After: Sun Nov  6 08:49:47 1994"), OK],
        Status(200),
        &[10_000],
        [1, 1, 0],
    ),
    plain(
        "GET",
        &[Answer("503 Down\nRetry-After: Sun, 06 Nov 1994 08:00:00 GMT"), OK],
        Status(200),
        &[100],
        [1, 1, 0],
    ),
    // Beyond the total timeout of 60 s.
    plain(
        "GET",
        &[Answer("503 Down\nRetry-After: 120")],
        Status(503),
        &[],
        [0, 1, 0],
    ),
    // Which requests may be repeated.
    plain("HEAD", &[DOWN, OK], Status(200), &[100], [1, 1, 0]),
    plain("OPTIONS", &[DOWN, OK], Status(200), &[100], [1, 1, 0]),
    plain("DELETE", &[DOWN, OK], Status(200), &[100], [1, 1, 0]),
    row(("PUT", None, Bytes(5)), &[DOWN, OK], Status(200), &[100], [1, 1, 0]),
    row(("POST", None, Bytes(5)), &[DOWN], Status(503), &[], [0, 1, 0]),
    row(
        ("PATCH", None, Bytes(5)),
        &[Answer("429 x\nRetry-After: 2")],
        Status(429),
        &[],
        [0, 1, 0],
    ),
    row(("POST", KEY, Bytes(5)), &[DOWN, OK], Status(200), &[100], [1, 1, 0]),
    row(
        ("PATCH", KEY, Bytes(5)),
        &[Answer("429 x\nRetry-After: 2"), OK],
        Status(200),
        &[2_000],
        [1, 1, 0],
    ),
    row(("POST", Some(""), Bytes(5)), &[DOWN], Status(503), &[], [0, 1, 0]),
    // Connections that could not be made: nothing was sent.
    plain("GET", &[Refuse, OK], Status(200), &[100], [1, 1, 0]),
    row(("POST", None, Bytes(5)), &[Refuse, OK], Status(200), &[100], [1, 1, 0]),
    row(
        ("PATCH", None, Bytes(5)),
        &[Refuse, Refuse, OK],
        Status(200),
        &[100, 100],
        [1, 2, 0],
    ),
    row(
        ("POST", None, Bytes(5)),
        &[Refuse, DOWN],
        Status(503),
        &[100],
        [0, 2, 0],
    ),
    plain("GET", &[Refuse, Refuse, Refuse], Failed, &[100, 100], [0, 3, 0]),
    // Connections that broke: what was sent may have had its effect.
    plain("GET", &[CLOSES, OK], Status(200), &[100], [1, 1, 0]),
    row(("PUT", None, Bytes(5)), &[CLOSES, OK], Status(200), &[100], [1, 1, 0]),
    row(("POST", None, Bytes(5)), &[CLOSES], Failed, &[], [0, 1, 0]),
    row(("POST", KEY, Bytes(5)), &[CLOSES, OK], Status(200), &[100], [1, 1, 0]),
    plain(
        "GET",
        &[Send("no answer of HTTP\n\n"), OK],
        Status(200),
        &[100],
        [1, 1, 0],
    ),
    // Servers that hang, up to the attempt timeout.
    plain("GET", &[HANGS, OK], Status(200), &[100], [1, 1, 0]),
    plain("DELETE", &[HANGS], TimedOut, &[100, 100], [0, 3, 0]),
    row(("POST", None, Bytes(5)), &[HANGS], TimedOut, &[], [0, 1, 0]),
    row(("POST", KEY, Bytes(5)), &[HANGS, OK], Status(200), &[100], [1, 1, 0]),
    plain(
        "GET",
        &[Hang("HTTP/1.1 200 OK\nContent-"), OK],
        Status(200),
        &[100],
        [1, 1, 0],
    ),
    // Bodies that are kept for another attempt, and bodies that are not.
    row(
        ("PUT", None, Bytes(REPLAY_LIMIT)),
        &[DOWN, OK],
        Status(200),
        &[100],
        [1, 1, 0],
    ),
    row(
        ("PUT", None, Bytes(REPLAY_LIMIT + 1)),
        &[DOWN],
        Status(503),
        &[],
        [0, 1, 0],
    ),
    row(("PUT", None, Stream), &[DOWN], Status(503), &[], [0, 1, 0]),
    row(("POST", KEY, Stream), &[CLOSES], Failed, &[], [0, 1, 0]),
    row(("PUT", None, Stream), &[Refuse], Failed, &[], [0, 1, 0]),
    row(("PUT", None, Stream), &[OK], Status(200), &[], [1, 0, 0]),
    // Bodies of responses that break off: the response was good, and is not asked for again.
    plain(
        "GET",
        &[Send("HTTP/1.1 200 OK\nContent-Length: 50\n\nhalf")],
        CutOff(200),
        &[],
        [0, 1, 0],
    ),
    plain(
        "GET",
        &[Send("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n4\nhalf\n")],
        CutOff(200),
        &[],
        [0, 1, 0],
    ),
    plain(
        "GET",
        &[Send("HTTP/1.1 200 OK\n\nto the end of the connection")],
        Status(200),
        &[],
        [1, 0, 0],
    ),
    plain(
        "GET",
        &[Send("HTTP/1.1 503 Down\nContent-Length: 50\n\nhalf"), OK],
        Status(200),
        &[100],
        [1, 1, 0],
    ),
];

/// Moves virtual time on whenever the call waits for it, and returns the delays of its retries.
async fn drive(events: &mut UnboundedReceiver<Event>, server: &mut Server, time: &VirtualTime, delays: &mut Vec<u64>) {
    while let Some(event) = events.recv().await {
        match event {
            Event::Retry(delay) => {
                delays.push(u64::try_from(delay.as_millis()).expect("it is short"));
                server.attempt_follows();
                time.advance(delay);
            }
            Event::ServerHangs => time.advance(SECOND),
            Event::ClientGone => {}
        }
    }
}

#[tokio::test]
async fn every_client_follows_one_table_of_rules() {
    assert!(ROWS.len() >= 60);
    for row in ROWS {
        let time = VirtualTime::new();
        let (sender, mut events) = unbounded_channel();
        for (client, policy) in both(|| policy(config(), &time, &sender)) {
            let name = format!("{client:?}");
            let name = name.split('(').next().unwrap_or_default();
            let what = format!(
                "{name}: {} {:?} {:?} to {:?}",
                row.method, row.key, row.sent, row.script
            );
            let mut server = Server::new(row.script, sender.clone());
            let url = server.url();
            let method = row.method.parse().expect("it is a method");
            let mut delays = Vec::new();
            let end = tokio::select! {
                end = client.send(method, &url, row.key, row.sent) => end,
                () = drive(&mut events, &mut server, &time, &mut delays) => unreachable!("the test sends events"),
            };
            assert_eq!(end, row.end, "{what}");
            assert_eq!(delays, row.delays, "{what}");
            let [successes, failures, ignored] = row.counts;
            assert_eq!(state(&policy), (0, [successes, failures, 0, ignored]), "{what}");
            let refused = row.script.iter().take_while(|step| **step == Refuse).count();
            let (seen, asked) = (server.seen(), delays.len() + 1);
            assert_eq!(seen.len(), asked - refused.min(asked), "{what}");
            for (at, request) in seen.iter().enumerate() {
                let number = (at + 1 + refused).to_string();
                assert_eq!(request.header(ATTEMPT), Some(&*number), "{what}");
                assert_eq!(request.header(HTTP_TIMEOUT), Some("1000"), "{what}");
                if let Bytes(length) = row.sent {
                    assert_eq!(request.body, length, "the whole body each time: {what}");
                }
            }
            while events.try_recv().is_ok() {}
        }
    }
}

/// A client, its policy, and a server with this script.
struct Scene {
    client: HttpClient,
    policy: Policy,
    server: Server,
    time: VirtualTime,
    events: UnboundedReceiver<Event>,
}

impl Scene {
    fn new(config: PolicyConfig, script: &[Step]) -> Self {
        let time = VirtualTime::new();
        let (sender, events) = unbounded_channel();
        let policy = policy(config, &time, &sender);
        Self {
            client: policy.http(reqwest_client()),
            server: Server::new(script, sender),
            policy,
            time,
            events,
        }
    }

    async fn get(&self) -> reqwest::Response {
        let response = self.client.get(self.server.url()).send().await;
        response.expect("the server answers")
    }
}

const EVENTS: Step = Hang("HTTP/1.1 200 OK\nContent-Type: text/event-stream\n\ndata: 1\n\n");

#[tokio::test]
async fn a_hundred_streams_hold_a_hundred_permits_and_give_them_back() {
    let config = config().bulkhead(BulkheadConfig::new(100));
    let mut scene = Scene::new(config, &[EVENTS]);
    let mut streams = Vec::new();
    for held in 1..=100 {
        let mut stream = scene.get().await;
        assert!(stream.chunk().await.is_ok_and(|chunk| chunk.is_some()));
        streams.push(stream);
        assert_eq!(scene.policy.bulkhead().map(|bulkhead| bulkhead.in_flight()), Some(held));
    }
    let refused = scene.client.get(scene.server.url()).send().await;
    assert!(refused.is_err_and(|error| error.is_bulkhead_full()));
    streams.truncate(60);
    assert_eq!(state(&scene.policy), (60, [40, 0, 0, 0]), "read in part and dropped");
    streams.clear();
    assert_eq!(state(&scene.policy), (0, [100, 0, 0, 0]));
    let mut gone = 0;
    while gone < 100 {
        if let Some(Event::ClientGone) = scene.events.recv().await {
            gone += 1;
        }
    }
}

#[tokio::test]
async fn a_body_that_stops_is_cut_off_and_is_a_failure() {
    let mut scene = Scene::new(config(), &[EVENTS]);
    let config = HttpConfig::new().body_idle(Some(5 * SECOND));
    scene.client = scene.client.with_config(config).expect("the settings make sense");
    let mut stream = scene.get().await;
    assert!(stream.chunk().await.is_ok_and(|chunk| chunk.is_some()));
    let time = scene.time.clone();
    let (cut_off, ()) = tokio::join!(stream.chunk(), async { time.advance(5 * SECOND) });
    let error = cut_off.expect_err("nothing more comes");
    assert!(error.is_timeout(), "{error:?}");
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    let found = std::iter::from_fn(|| {
        let now = cause?;
        cause = now.source();
        Some(now)
    });
    let timeout = found.filter_map(|error| {
        let io = error.downcast_ref::<std::io::Error>()?;
        io.get_ref()?.downcast_ref::<BodyTimeout>()
    });
    assert_eq!(timeout.last().map(|timeout| timeout.limit), Some(5 * SECOND));
    assert_eq!(state(&scene.policy), (0, [0, 1, 0, 0]));
}

#[tokio::test]
async fn a_response_that_is_dropped_counts_as_its_head_or_as_abandoned() {
    let scene = Scene::new(config(), &[EVENTS]);
    drop(scene.get().await);
    assert_eq!(state(&scene.policy), (0, [1, 0, 0, 0]), "not read at all");
    let mut stream = scene.get().await;
    assert!(stream.chunk().await.is_ok_and(|chunk| chunk.is_some()));
    {
        let mut waiting = std::pin::pin!(stream.chunk());
        let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(waiting.as_mut().poll(cx).is_pending()));
        assert!(polled.await);
    }
    drop(stream);
    assert_eq!(
        state(&scene.policy),
        (0, [1, 0, 1, 0]),
        "dropped while it was waited for"
    );
}

#[tokio::test]
async fn the_time_that_is_left_is_sent_and_never_more_than_the_caller_has() {
    let scene = Scene::new(config(), &[OK]);
    let clock = scene.time.clock();
    let url = scene.server.url();
    for (callers, written, sent) in [
        (None, None, "1000"),
        (Some(250), None, "250"),
        (Some(250), Some("5000"), "250"),
        (None, Some("70"), "70"),
        (None, Some("soon"), "1000"),
    ] {
        let mut request = scene.client.get(&url);
        if let Some(written) = written {
            request = request.header(HTTP_TIMEOUT, written);
        }
        let answered = match callers {
            Some(ms) => Deadline::after(&clock, MS * ms).scope(request.send()).await,
            None => request.send().await,
        };
        assert!(answered.is_ok());
        let seen = scene.server.seen().pop().expect("it was asked");
        assert_eq!(seen.header(HTTP_TIMEOUT), Some(sent), "{callers:?}, {written:?}");
    }
    let silent = HttpConfig::new().send_deadline(false).send_attempt(false);
    let client = scene
        .client
        .clone()
        .with_config(silent)
        .expect("the settings make sense");
    assert!(client.get(&url).send().await.is_ok());
    let seen = scene.server.seen().pop().expect("it was asked");
    assert_eq!((seen.header(HTTP_TIMEOUT), seen.header(ATTEMPT)), (None, None));
}

#[tokio::test]
async fn what_makes_no_sense_is_not_sent_again() {
    let circle = Send("HTTP/1.1 302 Found\nLocation: /\nContent-Length: 0\nConnection: close\n\n");
    let scene = Scene::new(config(), &[circle]);
    let lost = scene.client.get(scene.server.url()).send().await;
    assert!(lost.is_err_and(|error| error.attempts() == 1));
    assert_eq!(state(&scene.policy), (0, [0, 1, 0, 0]), "redirected in circles");
    let nonsense = scene
        .client
        .get("no address")
        .send()
        .await
        .expect_err("it cannot be built");
    assert_eq!(
        (nonsense.attempts(), state(&scene.policy)),
        (0, (0, [0, 1, 0, 0])),
        "not even counted"
    );
}

#[tokio::test]
async fn an_open_circuit_refuses_and_the_last_response_is_kept() {
    let breaker = CircuitBreakerConfig::new()
        .consecutive_failures(2)
        .open_for(10 * SECOND);
    let mut scene = Scene::new(config().circuit_breaker(breaker), &[DOWN]);
    let mut delays = Vec::new();
    let (time, url) = (scene.time.clone(), scene.server.url());
    let response = tokio::select! {
        response = scene.client.get(&url).send() => response,
        () = drive(&mut scene.events, &mut scene.server, &time, &mut delays) => unreachable!("the test sends events"),
    };
    // The third attempt was refused, so the response of the second one is the result.
    assert_eq!(response.expect("it is a response").status().as_u16(), 503);
    assert_eq!((delays.len(), scene.server.seen().len()), (2, 2));
    let refused = scene.client.get(&url).send().await.expect_err("the circuit is open");
    assert!(refused.is_circuit_open());
    assert_eq!(scene.server.seen().len(), 2);
}

#[tokio::test]
async fn each_host_has_its_own_policy_of_one_template() {
    let scene = Scene::new(config(), &[Answer("501 Not Implemented")]);
    let other = Scene::new(config(), &[OK]);
    let breaker = CircuitBreakerConfig::new()
        .consecutive_failures(2)
        .open_for(10 * SECOND);
    let env = Env::new(scene.time.clock()).name("host");
    let hosts = KeyedPolicies::<String>::with_config(config().circuit_breaker(breaker), KeySetConfig::DEFAULT, env);
    let hosts = Arc::new(hosts.expect("the settings make sense"));
    let by_host = hosts.clone();
    let client = HttpClient::by_host(reqwest_client(), move |host| by_host.get(host));
    let with_user = scene.server.url().replace("http://", "http://user:word@");
    for url in [scene.server.url(), with_user, other.server.url()] {
        assert!(client.get(url).send().await.is_ok());
    }
    let refused = client
        .get(scene.server.url())
        .send()
        .await
        .expect_err("its circuit is open");
    let name = format!("host[{}]: circuit open", scene.server.address);
    assert!(refused.to_string().starts_with(&name), "{refused}");
    assert!(client.get(other.server.url()).send().await.is_ok());
    let counts = |server: &Server| state(&hosts.get(&*server.address.to_string())).1;
    assert_eq!(
        (counts(&scene.server), counts(&other.server)),
        ([0, 2, 0, 0], [2, 0, 0, 0])
    );
}
