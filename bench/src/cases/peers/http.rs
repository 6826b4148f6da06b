//! Whole HTTP requests over the loopback: reqwest alone, behind a policy, and behind the middleware that retries.

use crate::case::Cases;
use crate::cases::policy::FIVE;
use c13_reliability::policy::{HttpClient, Policy};
use reqwest_middleware::ClientWithMiddleware;
use reqwest_retry::RetryTransientMiddleware;
use reqwest_retry::policies::ExponentialBackoff;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::LazyLock;
use tokio::runtime::{Builder, Runtime};

/// Where a server answers every request with five bytes, on connections that stay open.
static URL: LazyLock<String> = LazyLock::new(|| {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    format!("http://{address}/")
});

fn serve(mut stream: TcpStream) {
    // One small answer a request, so waiting for more of it would only take time.
    stream.set_nodelay(true).expect("it is a socket");
    let mut requests = BufReader::new(stream.try_clone().expect("it is a socket"));
    let mut line = String::new();
    while requests.read_line(&mut line).is_ok_and(|read| read > 0) {
        let ends = line == "\r\n";
        line.clear();
        if ends
            && stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nprice")
                .is_err()
        {
            return;
        }
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made")
}

fn client() -> reqwest::Client {
    let client = reqwest::Client::builder().no_proxy().build();
    client.expect("the settings are good")
}

pub(in crate::cases) fn add(cases: &mut Cases) {
    let alone = cases.other("http/reqwest, over the loopback", client, |client, _| {
        let (client, runtime) = (client.clone(), runtime());
        move || {
            let read = runtime.block_on(async { client.get(&*URL).send().await?.bytes().await });
            assert!(read.is_ok());
        }
    });
    alone.single().uncounted();

    let ours = || -> HttpClient { Policy::new(FIVE).expect("the settings are good").http(client()) };
    let ours = cases.timed(
        "http/reqwest behind a policy of five, over the loopback",
        ours,
        |client, _| {
            let (client, runtime) = (client.clone(), runtime());
            move || {
                let read = runtime.block_on(async {
                    let response = client.get(&*URL).send().await.expect("the server answers");
                    response.bytes().await
                });
                assert!(read.is_ok());
            }
        },
    );
    ours.single();

    let middleware = || -> ClientWithMiddleware {
        let retry = ExponentialBackoff::builder().build_with_max_retries(3);
        let retry = RetryTransientMiddleware::new_with_policy(retry);
        reqwest_middleware::ClientBuilder::new(client()).with(retry).build()
    };
    let middleware = cases.other(
        "http/reqwest-middleware with retry, over the loopback",
        middleware,
        |client, _| {
            let (client, runtime) = (client.clone(), runtime());
            move || {
                let read = runtime.block_on(async {
                    let response = client.get(&*URL).send().await.expect("the server answers");
                    response.bytes().await
                });
                assert!(read.is_ok());
            }
        },
    );
    middleware.single().uncounted();
}
