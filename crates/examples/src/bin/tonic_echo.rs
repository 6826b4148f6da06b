//! gRPC behind policies on both sides: a server that refuses by status and push-back, a client that retries and honours
//! deadlines, and streams that fail in their trailers. The service is written out by hand, so that no protocol compiler is needed.

use bytes::{Buf, BufMut, Bytes};
use c13_reliability::patterns::bulkhead::BulkheadConfig;
use c13_reliability::patterns::circuit_breaker::{CircuitBreakerConfig, CircuitState};
use c13_reliability::patterns::rate_limiter::RateLimiterConfig;
use c13_reliability::patterns::retry::{RetryConfig, RetryStrategy};
use c13_reliability::policy::{GrpcLayer, GrpcService, InboundLayer, Policy, PolicyConfig, PolicyError};
use c13_reliability::time::{Clock, Deadline};
use std::convert::Infallible;
use std::error::Error;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::{self, uri::PathAndQuery};
use tonic::codegen::tokio_stream::{self, Iter};
use tonic::server::{Grpc, NamedService, ServerStreamingService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Code, Request, Response, Status};
use tower::{Service, ServiceBuilder};

const PATH: &str = "/c13.Echo/Say";
const WATCH: &str = "/c13.Echo/Watch";

/// Messages as they are, without a schema.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let length = from.remaining();
        Ok(Some(from.copy_to_bytes(length)))
    }
}

/// Says what it was told; to "slow" after a second, to "time" how much of it is left.
#[derive(Clone)]
struct Echo {
    clock: Clock,
}

impl UnaryService<Bytes> for Echo {
    type Response = Bytes;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Bytes>, Status>> + Send>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let clock = self.clock.clone();
        Box::pin(async move {
            let message = request.into_inner();
            match &*message {
                b"slow" => clock.sleep(Duration::from_secs(1)).await,
                b"time" => {
                    let left = Deadline::current(&clock).map(|deadline| deadline.remaining(&clock).as_millis());
                    return Ok(Response::new(left.unwrap_or(0).to_string().into()));
                }
                _ => {}
            }
            Ok(Response::new(message))
        })
    }
}

/// Watches something: two messages, and then the server has to go.
impl ServerStreamingService<Bytes> for Echo {
    type Response = Bytes;
    type ResponseStream = Iter<std::vec::IntoIter<Result<Bytes, Status>>>;
    type Future = Ready<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let message = request.into_inner();
        let gone = Err(Status::unavailable("the server is being replaced"));
        let messages = vec![Ok(message.clone()), Ok(message), gone];
        ready(Ok(Response::new(tokio_stream::iter(messages))))
    }
}

impl NamedService for Echo {
    const NAME: &'static str = "c13.Echo";
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let echo = self.clone();
        Box::pin(async move {
            let mut grpc = Grpc::new(Raw);
            Ok(match request.uri().path() {
                WATCH => grpc.server_streaming(echo, request).await,
                _ => grpc.unary(echo, request).await,
            })
        })
    }
}

/// One call: the time that is left goes with it.
async fn say(channel: Channel, clock: &Clock, word: &'static str) -> Result<Bytes, Status> {
    let mut client = tonic::client::Grpc::new(channel);
    client
        .ready()
        .await
        .map_err(|error| Status::unavailable(error.to_string()))?;
    let mut request = Request::new(Bytes::from_static(word.as_bytes()));
    if let Some(deadline) = Deadline::current(clock) {
        request.set_timeout(deadline.remaining(clock));
    }
    let response = client.unary(request, PathAndQuery::from_static(PATH), Raw).await?;
    Ok(response.into_inner())
}

/// Watches until the stream ends: how many messages came, and the status that the trailers brought.
async fn watch(channel: GrpcService<Channel>) -> Result<(u32, Option<Status>), Status> {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await?;
    let request = Request::new(Bytes::from_static(b"price"));
    let response = client
        .server_streaming(request, PathAndQuery::from_static(WATCH), Raw)
        .await?;
    let mut messages = response.into_inner();
    let mut count = 0;
    loop {
        match messages.message().await {
            Ok(Some(_)) => count += 1,
            Ok(None) => return Ok((count, None)),
            Err(status) => return Ok((count, Some(status))),
        }
    }
}

/// The code that the server answered with.
fn code<T>(result: &Result<T, PolicyError<Status>>) -> Option<Code> {
    result.as_ref().err()?.error().map(Status::code)
}

fn policy(config: PolicyConfig) -> Result<Policy, Box<dyn Error>> {
    Ok(Policy::with_config(config, Clock::tokio())?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let clock = Clock::tokio();
    let inbound = policy(
        PolicyConfig::NONE
            .rate_limit(RateLimiterConfig::new(4.0, 3))
            .bulkhead(BulkheadConfig::new(8)),
    )?;
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse()?)?;
    let address = incoming.local_addr()?;
    let echo = Echo { clock: clock.clone() };
    let server = Server::builder().layer(InboundLayer::new(inbound)).add_service(echo);
    tokio::spawn(server.serve_with_incoming(incoming));
    let channel = Channel::from_shared(format!("http://{address}"))?.connect_lazy();

    let within =
        |limit| Ok::<_, Box<dyn Error>>(policy(PolicyConfig::NONE.total_timeout(limit))?.classify_errors::<Status>());
    let once = within(Duration::from_secs(5))?;
    let told = once.call(|| say(channel.clone(), &clock, "time")).await?;
    println!(
        "the server sees the caller's deadline: {} ms are left",
        String::from_utf8_lossy(&told)
    );
    assert!((1..=5_000).contains(&String::from_utf8_lossy(&told).parse::<u64>()?));

    let late = within(Duration::from_millis(200))?
        .call(|| say(channel.clone(), &clock, "slow"))
        .await
        .expect_err("a second is too long");
    println!("a slow answer: {late}");

    // Beyond the burst of three the server refuses by 8, resource exhausted, and says when to come back.
    let mut refused = None;
    for _ in 0..20 {
        let result = once.call(|| say(channel.clone(), &clock, "hello")).await;
        refused = refused.or(code(&result));
    }
    println!("beyond the server's rate: {refused:?}");

    // A client that retries comes back when it was told to.
    let patient = PolicyConfig::NONE
        .total_timeout(Duration::from_secs(5))
        .retry(RetryConfig::new(3, RetryStrategy::FixedDelay(Duration::from_millis(1))))
        .circuit_breaker(CircuitBreakerConfig::new().consecutive_failures(20));
    // An echo may be made twice.
    let patient = policy(patient)?.classify_errors().idempotent();
    for _ in 0..4 {
        let answer = patient.call(|| say(channel.clone(), &clock, "hello")).await?;
        assert_eq!(answer, "hello");
    }
    println!("with retries: four more answers, each as soon as the server allowed it");

    // A stream's status comes last, in its trailers; until then the call holds its permit.
    let streams = policy(PolicyConfig::NONE.circuit_breaker(CircuitBreakerConfig::new().consecutive_failures(2)))?;
    let watched = ServiceBuilder::new()
        .layer(GrpcLayer::new(streams.clone()))
        .service(channel);
    // The server lets a few calls a second in.
    clock.sleep(Duration::from_secs(1)).await;
    for _ in 0..2 {
        let (messages, status) = watch(watched.clone()).await?;
        println!(
            "a stream: {messages} messages, and then {:?}",
            status.as_ref().map(Status::code)
        );
        assert_eq!(
            (messages, status.map(|status| status.code())),
            (2, Some(Code::Unavailable))
        );
    }
    let breaker = streams.circuit_breaker().expect("the settings have one");
    println!(
        "after two streams that failed in their trailers the circuit is {}",
        breaker.current_state()
    );
    assert_eq!(breaker.current_state(), CircuitState::Open);
    let refused = watch(watched).await.expect_err("the circuit is open");
    println!("and the next is refused: {}", refused.message());
    Ok(())
}
