//! The routes of the health endpoints.

use super::answer::{answer, no_such_group};
use crate::microservices::health::{HealthCheck, HealthCheckService};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Response};
use axum::routing::get;
use std::sync::Arc;

impl HealthCheckService {
    /// The endpoints `/health`, `/health/{group}`, `/ready`, `/live` and `/startup`, for GET and HEAD.
    ///
    /// Merge it into the service's own router, so that probes use the same port as requests: a separate port can work
    /// while the other is dead. The [module](crate::microservices::health) says what each endpoint reports.
    ///
    /// Responses are JSON, or `application/health+json` if the client asks for it, with `Cache-Control: no-store`. A
    /// failure is 503 with `Retry-After`. Everybody sees names and statuses. Messages need the token of
    /// [`show_messages_to`](Self::show_messages_to).
    pub fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/health", get(health))
            .route("/health/{group}", get(group))
            .route("/ready", get(ready))
            .route("/live", get(live))
            .route("/startup", get(startup))
            .with_state(self)
    }

    fn answer(&self, report: HealthCheck, asked: &HeaderMap) -> Response<Body> {
        let authorization = asked.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        if self.is_authorised(authorization) {
            answer(&report, asked)
        } else {
            answer(&report.without_messages(), asked)
        }
    }
}

type Service = State<Arc<HealthCheckService>>;

async fn health(State(service): Service, asked: HeaderMap) -> Response<Body> {
    service.answer(service.check_health().await, &asked)
}

async fn group(State(service): Service, Path(group): Path<String>, asked: HeaderMap) -> Response<Body> {
    match service.check_group(&group).await {
        Some(report) => service.answer(report, &asked),
        None => no_such_group(),
    }
}

async fn ready(State(service): Service, asked: HeaderMap) -> Response<Body> {
    service.answer(service.check_ready().await, &asked)
}

async fn live(State(service): Service, asked: HeaderMap) -> Response<Body> {
    service.answer(service.check_live(), &asked)
}

async fn startup(State(service): Service, asked: HeaderMap) -> Response<Body> {
    service.answer(service.check_startup(), &asked)
}
