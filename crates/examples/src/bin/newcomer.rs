//! The first program of a newcomer: an axum service with an HTTP upstream, Postgres and Redis, each behind a policy, with
//! metrics, health, and a limit for each client. The addresses are in UPSTREAM, DATABASE_URL and REDIS_URL.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Router, routing::get};
use c13_reliability::microservices::health::{self, CheckSettings, DatabaseHealthChecker, HealthCheckService};
use c13_reliability::observability::metrics_router;
use c13_reliability::patterns::rate_limiter::{KeyedRateLimitLayer, KeyedRateLimiter, RateLimiterConfig};
use c13_reliability::prelude::*;
use c13_reliability::snapshot::Registry;
use redis::AsyncCommands;
use sqlx::postgres::PgPoolOptions;
use std::error::Error;
use std::{env, fmt::Display, path::Path, sync::Arc, time::Duration};

#[derive(Clone)]
struct App {
    upstream: String,
    prices: HttpClient,
    pool: sqlx::PgPool,
    orders: ClassifiedPolicy<sqlx::Error>,
    redis: redis::aio::MultiplexedConnection,
    visits: ClassifiedPolicy<redis::RedisError>,
}

type Answer = Result<String, (StatusCode, String)>;

/// What a client sees of a call that gave nothing. The text names the dependency.
fn failed<E: Display>(error: PolicyError<E>) -> (StatusCode, String) {
    (error.status(), error.to_string())
}

async fn price(State(app): State<App>) -> Answer {
    let response = app.prices.get(&app.upstream).send().await.map_err(failed)?;
    Ok(format!("the upstream said {}", response.status().as_u16()))
}

async fn buy(State(app): State<App>) -> Answer {
    let order = app.prices.post(&app.upstream).body("one pen");
    let response = order.send().await.map_err(failed)?;
    Ok(format!("the upstream said {}", response.status().as_u16()))
}

async fn orders(State(app): State<App>) -> Answer {
    let count = || sqlx::query_scalar::<_, i64>("SELECT 40 + 2::bigint").fetch_one(&app.pool);
    let count = app.orders.idempotent().call(count).await.map_err(failed)?;
    Ok(format!("{count} orders"))
}

async fn visits(State(app): State<App>) -> Answer {
    let visit = || async { app.redis.clone().incr::<_, _, i64>("c13-newcomer-visits", 1).await };
    let visits = app.visits.call(visit).await.map_err(failed)?;
    Ok(format!("visit {visits}"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("newcomer.toml");
    let policies = PolicyRegistry::open(PolicyFiles::new().environment(), [file])?;
    tokio::spawn(policies.watch(Duration::from_secs(1)));
    let policy = |name: &str| policies.policy(name).ok_or(format!("no policy is called {name}"));
    let metrics = Registry::new();
    for name in policies.names() {
        metrics.register(&name, &policy(&name)?)?;
    }

    let pool = PgPoolOptions::new().acquire_timeout(Duration::from_secs(2));
    let pool = pool.connect_lazy(&env::var("DATABASE_URL")?)?;
    let redis = redis::Client::open(env::var("REDIS_URL")?)?;
    let app = App {
        upstream: env::var("UPSTREAM")?,
        prices: policy("prices")?.http(reqwest::Client::new()),
        pool: pool.clone(),
        orders: policy("orders")?.classify_errors(),
        redis: redis.get_multiplexed_async_connection().await?,
        visits: policy("visits")?.classify_errors(),
    };

    let health = Arc::new(HealthCheckService::new("1.0.0".to_owned()));
    health.add(Box::new(DatabaseHealthChecker::new(pool)), CheckSettings::shared())?;
    let clients = KeyedRateLimiter::new(RateLimiterConfig::new(1.0, 200), 100_000);
    let router = Router::new()
        .route("/price", get(price).post(buy))
        .route("/orders", get(orders))
        .route("/visits", get(visits))
        .with_state(app)
        .layer(KeyedRateLimitLayer::by_client(clients))
        .merge(metrics_router(&metrics))
        .merge(health.clone().router());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on {}", listener.local_addr()?);
    let ended = health::serve(listener, router, health, health::ServeSettings::default()).await?;
    println!("ended: {ended:?}");
    Ok(())
}
