//! Metrics as a route of an axum server.

use super::prometheus::{Format, encode};
use crate::snapshot::Registry;
use axum::Router;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// The endpoint `/metrics`, for GET and HEAD: what the parts in `registry` report, as Prometheus text, or as OpenMetrics
/// if the client asks for that.
///
/// Everybody who can reach it can read the names of parts and the labels, so mount it on a listener that only the
/// monitoring can reach.
///
/// ```
/// use c13_reliability::observability::metrics_router;
/// use c13_reliability::snapshot::Registry;
///
/// let app: axum::Router = axum::Router::new().merge(metrics_router(Registry::global()));
/// ```
pub fn metrics_router(registry: &Registry) -> Router {
    let registry = registry.clone();
    let metrics = move |asked: HeaderMap| {
        let registry = registry.clone();
        async move { answer(&registry, &asked) }
    };
    Router::new().route("/metrics", get(metrics))
}

fn answer(registry: &Registry, asked: &HeaderMap) -> Response {
    // Several header lines mean the same as one line with commas.
    let accept: Vec<&str> = asked
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    let format = Format::negotiate(Some(&accept.join(",")));
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(format.content_type())),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (VARY, HeaderValue::from_static("Accept")),
    ];
    (headers, encode(&registry.families(), format)).into_response()
}
