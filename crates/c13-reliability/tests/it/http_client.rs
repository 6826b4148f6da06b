//! Retries of real requests: what the reqwest client says of a server that fails, hangs up, or is not there.

#![cfg(feature = "reqwest")]

use c13_reliability::gate::Outcome;
use c13_reliability::patterns::retry::{GiveUp, RetryConfig, RetryExecutor, RetryStrategy, Retryable, Verdict};
use c13_reliability::time::Clock;
use c13_reliability::verdict::Meaning;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const DAY: &str = "Date: Sun, 06 Nov 1994 08:49:37 GMT";

/// Gives each connection the next of these answers, the last one again and again, and hangs up. Returns where it listens and
/// how many requests came.
async fn server(answers: &'static [&'static str]) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
    let address = format!("http://{}/", listener.local_addr().expect("it is bound"));
    let requests = Arc::new(AtomicUsize::new(0));
    let count = requests.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => break,
                }
            }
            let request = count.fetch_add(1, Ordering::Relaxed);
            let answer = answers.get(request).or(answers.last()).copied().unwrap_or_default();
            let sent = stream.write_all(answer.replace('\n', "\r\n").as_bytes()).await;
            assert!(sent.is_ok(), "{sent:?}");
        }
    });
    (address, requests)
}

fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("the settings are good")
}

fn retry(max_retries: u32) -> RetryExecutor {
    let config = RetryConfig::new(max_retries, RetryStrategy::FixedDelay(Duration::from_millis(1)));
    RetryExecutor::with_config(config, Clock::system()).expect("the settings are good")
}

#[tokio::test]
async fn a_request_is_made_again_until_the_server_has_an_answer() {
    let (address, requests) = server(&[
        "HTTP/1.1 503 Service Unavailable\nRetry-After: 0\nContent-Length: 0\nConnection: close\n\n",
        "",
        "HTTP/1.1 200 OK\nContent-Length: 5\nConnection: close\n\nprice",
    ])
    .await;
    let client = client();
    let response = retry(3)
        .execute_with(|| client.get(&address).send(), Verdict::of_reqwest)
        .await
        .expect("the third answer is good");
    assert_eq!(response.text().await.expect("it is text"), "price");
    assert_eq!(requests.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn an_answer_that_will_be_the_same_next_time_is_the_answer() {
    let (address, requests) = server(&["HTTP/1.1 404 Not Found\nContent-Length: 0\nConnection: close\n\n"]).await;
    let client = client();
    let result = retry(3)
        .execute_with(|| client.get(&address).send(), Verdict::of_reqwest)
        .await;
    assert_eq!(result.expect("it is an answer").status().as_u16(), 404);
    assert_eq!(requests.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_response_says_itself_how_long_to_wait() {
    for (head, verdict) in [
        ("503 x\nRetry-After: 7", Verdict::RetryAfter(Duration::from_secs(7))),
        (
            "429 x\nRetry-After: Sun, 06 Nov 1994 08:50:07 GMT",
            Verdict::RetryAfter(Duration::from_secs(30)),
        ),
        ("503 x\nRetry-After: soon", Verdict::Retry),
        ("502 x", Verdict::Retry),
        ("400 x\nRetry-After: 7", Verdict::Final),
    ] {
        let answer = format!("HTTP/1.1 {head}\n{DAY}\nContent-Length: 0\nConnection: close\n\n");
        let (address, _) = server(vec![&*answer.leak()].leak()).await;
        let response = client().get(&address).send().await;
        assert_eq!(Verdict::of_reqwest(&response), verdict, "{head}");
        // What the server fails to answer is what is worth another attempt, and no more than that.
        let failed = verdict != Verdict::Final;
        assert_eq!(Outcome::of_reqwest(&response) == Outcome::FAILURE, failed, "{head}");
        let error = response
            .and_then(reqwest::Response::error_for_status)
            .expect_err("it is an error");
        assert_eq!(error.verdict() == Verdict::Final, verdict == Verdict::Final, "{head}");
    }
}

#[tokio::test]
async fn what_the_network_does_may_pass_and_what_the_caller_does_will_not() {
    let client = client();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
    let gone = format!("http://{}/", listener.local_addr().expect("it is bound"));
    drop(listener);
    let refused = client.get(&gone).send().await.expect_err("nobody is there");
    assert_eq!(refused.meaning(), Meaning::REFUSED, "{refused:?}");

    let (address, _) = server(&["HTTP/1.1 200 OK\nContent-Length: 500\nConnection: close\n\nthe first half"]).await;
    let response = client.get(&address).send().await.expect("it has begun");
    let cut_off = response.bytes().await.expect_err("the rest never comes");
    assert_eq!(cut_off.meaning(), Meaning::FAILURE, "{cut_off:?}");

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
    let silent = format!("http://{}/", listener.local_addr().expect("it is bound"));
    let request = client.get(&silent).timeout(Duration::from_millis(20));
    let late = request.send().await.expect_err("nobody answers");
    assert!(late.is_timeout() && late.meaning() == Meaning::FAILURE, "{late:?}");

    let nonsense = client.get("no address").send().await.expect_err("it cannot be built");
    assert_eq!(nonsense.meaning(), Meaning::NOT_SENT, "{nonsense:?}");
    let result = retry(3)
        .execute_with(|| client.get("no address").send(), Verdict::of_reqwest)
        .await;
    let error = result.expect_err("it cannot be built");
    assert_eq!((error.reason(), error.attempts()), (GiveUp::NotRetryable, 1));

    let (address, _) = server(&["HTTP/1.1 302 Found\nLocation: /\nContent-Length: 0\nConnection: close\n\n"]).await;
    let circle = client.get(&address).send().await.expect_err("it goes round and round");
    assert_eq!(circle.meaning(), Meaning::DEFECT, "{circle:?}");
}
