//! `c13 health` as a container's health check starts it.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output};
use std::thread;

/// A server that answers with these, one each connection, and then goes away.
fn server(answers: &'static [&'static str]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("http://{}/ready", listener.local_addr().expect("it has an address"));
    thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().expect("somebody comes");
            let mut request = [0; 1024];
            let length = stream.read(&mut request).expect("it asks");
            assert!(request[..length].starts_with(b"GET /ready HTTP/1.1\r\n"));
            // In two parts, as networks do.
            let (one, other) = answer.split_at(answer.len().min(6));
            let _ = stream.write_all(one.as_bytes()).and_then(|()| stream.flush());
            let _ = stream.write_all(other.as_bytes());
        }
    });
    url
}

fn health(arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_c13"))
        .arg("health")
        .args(arguments)
        .env("NO_COLOR", "1")
        .output()
        .expect("the program starts");
    let said = [stdout, stderr].map(|said| String::from_utf8(said).expect("text"));
    (status.code(), said.concat())
}

const WELL: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const UNWELL: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

#[test]
fn the_exit_status_says_whether_it_is_well() {
    let url = server(&[WELL]);
    assert_eq!(health(&[&url]), (Some(0), format!("{url} answered 200\n")));
    let url = server(&[UNWELL]);
    assert_eq!(health(&[&url]), (Some(1), format!("error: {url} answered 503\n")));
    let url = server(&["SSH-2.0-OpenSSH\r\n"]);
    assert_eq!(
        health(&[&url]),
        (Some(1), format!("error: {url}: the answer is not HTTP\n"))
    );
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";
    let url = server(&[concat!(
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n",
        "HTTP/1.1 503 Service Unavailable\r\n\r\n"
    )]);
    assert_eq!(health(&[&url]), (Some(1), format!("error: {url} answered 503\n")));
    for nothing in [
        "",
        hints,
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ] {
        let url = server(Box::leak(Box::new([nothing])));
        assert_eq!(health(&[&url]).0, Some(1), "{nothing:?}");
    }
}

#[test]
fn it_waits_until_the_service_is_well() {
    let url = server(&[UNWELL, UNWELL, WELL]);
    assert_eq!(health(&[&url, "--wait", "30s"]).0, Some(0));
}

#[test]
fn waiting_and_silence_have_an_end() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("http://{}/", silent.local_addr().expect("it has an address"));
    let (status, said) = health(&[&url, "--timeout", "50ms", "--wait", "300ms"]);
    assert_eq!((status, said.contains("no answer in time")), (Some(1), true), "{said}");
    drop(silent);
    let (status, said) = health(&[&url]);
    assert_eq!((status, said.contains("refused")), (Some(1), true), "{said}");
}

#[test]
fn an_address_that_cannot_be_probed_is_bad_usage() {
    for url in [
        "https://localhost/",
        "localhost:80",
        "http://",
        "http://[::1]8080/",
        "http://localhost:+80/",
    ] {
        assert_eq!(health(&[url]).0, Some(2), "{url}");
    }
    assert_eq!(
        health(&["http://localhost", "--wait", "5"]).0,
        Some(2),
        "a unit is missing"
    );
}
