//! A breaker and a limiter at work, read as Prometheus text and over OpenTelemetry. Run it with
//! `cargo run --example metrics_example --features otel`.

use c13_reliability::observability::otel::bridge;
use c13_reliability::observability::prometheus::{self, Format};
use c13_reliability::patterns::circuit_breaker::CircuitBreaker;
use c13_reliability::patterns::rate_limiter::TokenBucketRateLimiter;
use c13_reliability::snapshot::Registry;
use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use std::error::Error;
use std::time::Duration;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let registry = Registry::new();
    let breaker = CircuitBreaker::new(3, 2, Duration::from_secs(30));
    let limiter = TokenBucketRateLimiter::new(5, 1.0);
    registry.register("payments", &breaker)?;
    registry.register("payments-quota", &limiter)?;

    // An application sends what this exporter keeps to its collector.
    let exporter = InMemoryMetricExporter::default();
    let reader = PeriodicReader::builder(exporter.clone()).build();
    let provider = SdkMeterProvider::builder().with_reader(reader).build();
    let metrics = bridge(&provider.meter("shop"), &registry);

    for n in 0..8_u32 {
        let result = breaker.call(async { if n < 4 { Ok(n) } else { Err("refused") } }).await;
        let _ = limiter.try_acquire(1);
        metrics.record_request(12.5, if result.is_ok() { "success" } else { "error" }, 0);
    }

    println!("as Prometheus text, what /metrics answers:\n");
    for line in prometheus::encode(&registry.families(), Format::Text).lines() {
        if !line.starts_with('#') {
            println!("  {line}");
        }
    }
    provider.force_flush()?;
    println!("\nover OpenTelemetry:\n");
    for resource in exporter.get_finished_metrics()? {
        for metric in resource.scope_metrics().flat_map(|scope| scope.metrics()) {
            println!("  {} [{}]", metric.name(), metric.unit());
        }
    }
    Ok(())
}
