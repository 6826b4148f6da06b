//! Metrics over OTLP (protobuf over HTTP), to a receiver that the test starts.

use super::{Collector, Exported, Points, Service, assert_same_counters};
use async_trait::async_trait;
use c13_reliability::observability::otel::bridge;
use c13_reliability::observability::prometheus::{self, Format};
use c13_reliability::time::Executor;
use opentelemetry::metrics::MeterProvider;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{MetricExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Text;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, NumberDataPoint};
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use prost::Message;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// The exporter's way to the receiver: one connection a request.
#[derive(Debug)]
struct Plain;

#[async_trait]
impl HttpClient for Plain {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let address = request.uri().authority().ok_or("no address")?.as_str();
        let mut stream = TcpStream::connect(address)?;
        let mut head = format!(
            "POST {} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n",
            request.uri().path()
        );
        for (name, value) in request.headers() {
            head.push_str(&format!("{name}: {}\r\n", value.to_str()?));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", request.body().len()));
        stream.write_all(head.as_bytes())?;
        stream.write_all(request.body())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let status = answer.split(' ').nth(1).ok_or("no status")?;
        Ok(Response::builder().status(status).body(Bytes::new())?)
    }
}

/// Takes one export, as a collector would.
fn receive(listener: &TcpListener) -> io::Result<ExportMetricsServiceRequest> {
    let (mut stream, _) = listener.accept()?;
    let mut bytes = Vec::new();
    loop {
        let mut part = [0; 65_536];
        let read = stream.read(&mut part)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&part[..read]);
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let body = &bytes[end + 4..];
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        if length.is_none_or(|length| body.len() < length) {
            continue;
        }
        assert!(head.starts_with("post /v1/metrics http/1.1\r\n"), "{head}");
        assert!(head.contains("content-type: application/x-protobuf"), "{head}");
        let request = ExportMetricsServiceRequest::decode(body).map_err(io::Error::other)?;
        stream.write_all(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        )?;
        return Ok(request);
    }
}

/// Exports now; what the receiver got.
fn export(provider: &SdkMeterProvider, listener: &TcpListener) -> Exported {
    let request = thread::scope(|scope| {
        let received = scope.spawn(|| receive(listener));
        let flushed = provider.force_flush();
        if flushed.is_err() {
            // The receiver must not wait for what never comes.
            drop(TcpStream::connect(listener.local_addr().unwrap()));
        }
        let received = received.join().unwrap();
        flushed.unwrap();
        received.unwrap()
    });
    let metrics = request
        .resource_metrics
        .into_iter()
        .flat_map(|resource| resource.scope_metrics)
        .inspect(|scope| assert_eq!(scope.scope.as_ref().unwrap().name, "orders"))
        .flat_map(|scope| scope.metrics);
    let mut all = Exported::new();
    for metric in metrics {
        let (kind, points) = match metric.data.unwrap() {
            Data::Gauge(gauge) => ("gauge", numbers(gauge.data_points)),
            Data::Sum(sum) => {
                assert!(sum.is_monotonic, "{}", metric.name);
                assert_eq!(
                    sum.aggregation_temporality,
                    AggregationTemporality::Cumulative as i32,
                    "{}",
                    metric.name
                );
                ("counter", numbers(sum.data_points))
            }
            Data::Histogram(histogram) => (
                "histogram",
                histogram
                    .data_points
                    .into_iter()
                    .map(|point| (attributes(point.attributes), point.count as f64))
                    .collect(),
            ),
            other => panic!("{}: {other:?}", metric.name),
        };
        assert!(!metric.description.is_empty(), "{}", metric.name);
        assert!(all.insert(metric.name, (kind, metric.unit, points)).is_none());
    }
    all
}

fn numbers(points: Vec<NumberDataPoint>) -> Points {
    points
        .into_iter()
        .map(|point| {
            let value = match point.value.unwrap() {
                Value::AsDouble(value) => value,
                Value::AsInt(value) => value as f64,
            };
            (attributes(point.attributes), value)
        })
        .collect()
}

fn attributes(pairs: Vec<KeyValue>) -> BTreeMap<String, String> {
    pairs
        .into_iter()
        .map(|pair| match pair.value.and_then(|value| value.value) {
            Some(Text::StringValue(text)) => (pair.key, text),
            other => panic!("{}: {other:?}", pair.key),
        })
        .collect()
}

#[test]
fn a_receiver_of_otlp_gets_what_the_parts_counted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let exporter = MetricExporter::builder()
        .with_http()
        .with_http_client(Plain)
        .with_endpoint(format!("http://{}/v1/metrics", listener.local_addr().unwrap()))
        .build()
        .unwrap();
    let reader = PeriodicReader::builder(exporter)
        .with_interval(Duration::from_secs(3600))
        .build();
    let provider = SdkMeterProvider::builder().with_reader(reader).build();

    let executor = Executor::seeded(7);
    let mut service = Service::new(&executor);
    let metrics = bridge(&provider.meter("orders"), &service.registry);
    // What the SDK's own collector sees, beside what goes over the wire.
    let beside = Collector::new();
    let _beside = bridge(&beside.meter(), &service.registry);
    for round in 1..=2 {
        service.run(&executor, 70 + round);
        metrics.record_request(12.5, "success", 1);
        let received = export(&provider, &listener);
        let text = prometheus::encode(&service.registry.families(), Format::Text);
        let mut counted = received.clone();
        // Counted by hand, so that no part knows of it.
        let by_hand = &mut counted.get_mut("reliability.retry.successes").unwrap().2;
        by_hand.retain(|(attributes, _)| !attributes.is_empty());
        assert_same_counters(&text, &counted, &format!("round {round}"));
        let (kind, unit, points) = &received["reliability.request.duration"];
        assert_eq!((*kind, unit.as_str()), ("histogram", "ms"));
        assert_eq!(
            points.iter().map(|(_, count)| count).sum::<f64>(),
            f64::from(round as u32)
        );
        let levels = |exported: &Exported| -> BTreeMap<String, Points> {
            exported
                .iter()
                .filter(|(_, (kind, ..))| *kind == "gauge")
                .map(|(name, (_, _, points))| {
                    let mut points = points.clone();
                    points.sort_by(|a, b| a.partial_cmp(b).unwrap());
                    (name.clone(), points)
                })
                .collect()
        };
        assert!(levels(&received).len() > 5);
        assert_eq!(levels(&received), levels(&beside.collect()));
    }
}
