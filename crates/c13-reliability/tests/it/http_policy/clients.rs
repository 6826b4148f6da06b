//! The clients that go through one table: reqwest, and hyper-util's as a tower service.

use bytes::Bytes;
use c13_reliability::policy::{HttpConfig, HttpLayer, HttpService, Policy};
use http::{Method, Request};
use http_body::{Body, Frame, SizeHint};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use tower::{Layer, ServiceExt};

/// The body of a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sent {
    Nothing,
    /// So many bytes at once.
    Bytes(usize),
    /// A stream of one chunk.
    Stream,
}

/// The same for hyper: bytes, or a stream that can be sent once.
pub(super) struct SentBody {
    next: Option<Bytes>,
    is_stream: bool,
}

impl SentBody {
    pub(super) fn new(sent: Sent) -> Self {
        Self {
            next: match sent {
                Sent::Nothing => None,
                Sent::Bytes(length) => Some(vec![b'x'; length].into()),
                Sent::Stream => Some(Bytes::from_static(b"chunk")),
            },
            is_stream: matches!(sent, Sent::Stream),
        }
    }

    fn copy(&self) -> Option<Self> {
        (!self.is_stream).then(|| Self {
            next: self.next.clone(),
            is_stream: false,
        })
    }
}

impl Body for SentBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.next.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.next.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.next {
            Some(_) if self.is_stream => SizeHint::default(),
            Some(bytes) => SizeHint::with_exact(bytes.len() as u64),
            None => SizeHint::with_exact(0),
        }
    }
}

/// The longest body that the clients keep for another attempt.
pub(super) const REPLAY_LIMIT: usize = 1_000;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum End {
    /// With this status, and a body that came to its end.
    Status(u16),
    /// With this status, and a body that broke off.
    CutOff(u16),
    /// With the client's own error.
    Failed,
    /// Over a time limit of the policy.
    TimedOut,
}

type Hyper = HttpService<Client<HttpConnector, SentBody>, HttpLayer<fn(&SentBody) -> Option<SentBody>>>;

#[derive(Debug)]
pub(super) enum HttpCaller {
    Reqwest(c13_reliability::policy::HttpClient),
    Hyper(Box<Hyper>),
}

impl std::fmt::Debug for SentBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SentBody")
    }
}

pub(super) fn reqwest_client() -> reqwest::Client {
    let client = reqwest::Client::builder().no_proxy().build();
    client.expect("the settings are good")
}

/// Both clients, each with a policy of its own.
pub(super) fn both(policy: impl Fn() -> Policy) -> [(HttpCaller, Policy); 2] {
    let config = HttpConfig::new().replay_limit(REPLAY_LIMIT as u64);
    let (one, two) = (policy(), policy());
    let reqwest = one.http(reqwest_client()).with_config(config);
    let copy: fn(&SentBody) -> Option<SentBody> = SentBody::copy;
    let layer = HttpLayer::new(two.clone()).copying(copy).with_config(config);
    let client = Client::builder(TokioExecutor::new()).build_http();
    let hyper = layer.expect("the settings make sense").layer(client);
    [
        (HttpCaller::Reqwest(reqwest.expect("the settings make sense")), one),
        (HttpCaller::Hyper(Box::new(hyper)), two),
    ]
}

impl HttpCaller {
    /// Sends a request and reads the response to its end.
    pub(super) async fn send(&self, method: Method, url: &str, key: Option<&str>, sent: Sent) -> End {
        match self {
            Self::Reqwest(client) => {
                let mut request = client.request(method, url);
                request = match sent {
                    Sent::Nothing => request,
                    Sent::Bytes(length) => request.body(vec![b'x'; length]),
                    Sent::Stream => request.body(reqwest::Body::wrap(SentBody::new(sent))),
                };
                if let Some(key) = key {
                    request = request.idempotency_key(key);
                }
                match request.send().await {
                    Ok(response) => {
                        let status = response.status().as_u16();
                        assert_eq!(response.url().as_str(), url);
                        ended(status, response.bytes().await.is_ok())
                    }
                    Err(error) if error.is_timeout() => End::TimedOut,
                    Err(error) => failed(error.error()),
                }
            }
            Self::Hyper(service) => {
                let mut request = Request::builder().method(method).uri(url);
                if let Some(key) = key {
                    request = request.header("idempotency-key", key);
                }
                let request = request.body(SentBody::new(sent)).expect("it is well-formed");
                match (**service).clone().oneshot(request).await {
                    Ok(response) => {
                        let status = response.status().as_u16();
                        ended(status, read(response.into_body()).await)
                    }
                    Err(error) if error.is_timeout() => End::TimedOut,
                    Err(error) => failed(error.error()),
                }
            }
        }
    }
}

fn ended(status: u16, is_whole: bool) -> End {
    if is_whole {
        End::Status(status)
    } else {
        End::CutOff(status)
    }
}

fn failed(error: Option<&impl Error>) -> End {
    assert!(error.is_some(), "it is the client's own");
    End::Failed
}

/// Reads a body; whether it came to its end.
async fn read(body: impl Body) -> bool {
    let mut body = pin!(body);
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        if frame.is_err() {
            return false;
        }
    }
    true
}
