//! One connection of a server: its activity is recorded, and it is closed when the client's time is over.

use super::activity::{Activity, ConnectionAction, Event, LAST_REQUEST};
use super::settings::ServeSettings;
use crate::sync::primitive::Mutex;
use crate::time::{Clock, Tick};
use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use http_body::{Frame, SizeHint};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use pin_project_lite::pin_project;
use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tower_service::Service;

/// Serves a connection to its end, or until the client's time is over.
///
/// `stopped` becomes true when the server has stopped accepting.
pub(super) async fn attend(
    stream: TcpStream,
    remote: SocketAddr,
    app: Router,
    settings: ServeSettings,
    clock: Clock,
    mut stopped: watch::Receiver<bool>,
) {
    let record = Record {
        activity: Arc::new(Mutex::new(Activity::new(clock.now()))),
        clock: clock.clone(),
    };
    let io = TokioIo::new(Recorded {
        stream,
        record: record.clone(),
    });
    let service = TowerToHyperService::new(Attended {
        app,
        remote,
        record: record.clone(),
    });
    let builder = Builder::new(TokioExecutor::new());
    let mut connection = pin!(builder.serve_connection_with_upgrades(io, service));
    let mut finishing = false;
    let mut retired: Option<Tick> = None;
    loop {
        let now = clock.now();
        let end = match record.activity.lock().action(&settings, now) {
            ConnectionAction::Wait => now + settings.read_within,
            // An event may shorten the time that the connection waits now.
            ConnectionAction::WaitUntil(end) => end.min(now + settings.read_within),
            ConnectionAction::Cut => return,
            ConnectionAction::Retire if retired.is_some_and(|retired| now >= retired + LAST_REQUEST) => return,
            ConnectionAction::Retire => {
                if retired.is_none() {
                    connection.as_mut().graceful_shutdown();
                }
                *retired.get_or_insert(now) + LAST_REQUEST
            }
        };
        tokio::select! {
            biased;
            // An error is the client's: it closed the connection, or did not speak HTTP.
            _ended = connection.as_mut() => return,
            () = clock.sleep_until(end) => {}
            changed = stopped.wait_for(|stopped| *stopped), if !finishing => {
                // The server itself is being dropped, which leaves its connections to the runtime.
                finishing = true;
                if changed.is_err() {
                    continue;
                }
                let ends = {
                    let mut activity = record.activity.lock();
                    activity.finish(clock.now());
                    activity.ends_when_asked()
                };
                if ends {
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

/// The record to which the parts of a connection report.
#[derive(Clone)]
struct Record {
    activity: Arc<Mutex<Activity>>,
    clock: Clock,
}

impl Record {
    fn record(&self, event: Event) {
        let now = self.clock.now();
        self.activity.lock().record(event, now);
    }
}

/// A stream whose traffic is recorded.
struct Recorded {
    stream: TcpStream,
    record: Record,
}

impl Recorded {
    fn sent(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &result {
            Poll::Ready(Ok(bytes)) => self.record.record(Event::Sent { bytes: *bytes }),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.record.record(Event::SendBlocked),
        }
        result
    }
}

impl AsyncRead for Recorded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let new = &buffer.filled()[before..];
        if !new.is_empty() {
            self.record.record(Event::Received {
                bytes: new.len(),
                http2: new.starts_with(b"PRI "),
            });
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Recorded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.sent(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.sent(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The application; its requests are recorded and carry the client's address.
#[derive(Clone)]
struct Attended {
    app: Router,
    remote: SocketAddr,
    record: Record,
}

impl<B> Service<Request<B>> for Attended
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request<Body>>::poll_ready(&mut self.app, cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let in_flight = InFlight::begin(self.record.clone());
        let mut request = request.map(|body| {
            Body::new(RequestBody {
                sized: body.size_hint().exact().is_some(),
                body,
                wait: None,
                record: self.record.clone(),
            })
        });
        request.extensions_mut().insert(ConnectInfo(self.remote));
        let response = self.app.call(request);
        Box::pin(async move {
            Ok(response.await?.map(|body| ResponseBody {
                body,
                _in_flight: in_flight,
            }))
        })
    }
}

/// A request, from its head until its response is sent or abandoned.
struct InFlight(Record);

impl InFlight {
    fn begin(record: Record) -> Self {
        record.record(Event::RequestBegan);
        Self(record)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.record(Event::RequestEnded);
    }
}

/// A handler that waits for more of a request's body.
struct BodyWait {
    sized: bool,
    record: Record,
}

impl Drop for BodyWait {
    fn drop(&mut self) {
        self.record.record(Event::BodyArrived { sized: self.sized });
    }
}

pin_project! {
    /// The body of a request, which records when a handler waits for it.
    struct RequestBody<B> {
        #[pin]
        body: B,
        sized: bool,
        wait: Option<BodyWait>,
        record: Record,
    }
}

impl<B: HttpBody> HttpBody for RequestBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let polled = this.body.poll_frame(cx);
        if polled.is_ready() {
            *this.wait = None;
        } else if this.wait.is_none() {
            let sized = *this.sized;
            this.record.record(Event::BodyAwaited { sized });
            *this.wait = Some(BodyWait {
                sized,
                record: this.record.clone(),
            });
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

pin_project! {
    /// The body of a response. Its request ends with it.
    pub(super) struct ResponseBody {
        #[pin]
        body: Body,
        _in_flight: InFlight,
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
