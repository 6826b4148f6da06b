//! A report as an HTTP response: status, headers, and the body in the requested form.

use crate::microservices::accept::weight;
use crate::microservices::health::{HealthCheck, HealthStatus};
use axum::body::Body;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, VARY};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde_json::{Map, Value, json};

const JSON: &str = "application/json";
/// Media type of draft-inadarei-api-health-check-06.
const HEALTH_JSON: &str = "application/health+json";
/// The `Retry-After` of a 503, in seconds.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("5");

/// The response: 503 if `Unhealthy`, else 200.
pub(super) fn answer(report: &HealthCheck, asked: &HeaderMap) -> Response<Body> {
    let health_json = asks_for_health_json(asked);
    let body = if health_json {
        as_health_json(report).to_string()
    } else {
        json!(report).to_string()
    };
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    let media = if health_json { HEALTH_JSON } else { JSON };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("Accept, Authorization"));
    if report.status == HealthStatus::Unhealthy {
        headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}

/// The response for an unknown group.
pub(super) fn no_such_group() -> Response<Body> {
    let mut response = Response::new(Body::from(json!({ "error": "no such group" }).to_string()));
    *response.status_mut() = StatusCode::NOT_FOUND;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Whether the request names that media type, not only a pattern it matches, and wants it no less than plain JSON.
fn asks_for_health_json(asked: &HeaderMap) -> bool {
    // Several header lines mean the same as one line with commas.
    let lines: Vec<&str> = asked
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    let accept = lines.join(",");
    let wanted = weight(&accept, HEALTH_JSON);
    wanted > 0 && wanted >= weight(&accept, JSON)
}

/// The report in the words of the draft.
fn as_health_json(report: &HealthCheck) -> Value {
    let mut checks = Map::new();
    let mut put = |name: &str, entry: Value| {
        if let Value::Array(list) = checks.entry(name).or_insert_with(|| json!([])) {
            list.push(entry);
        }
    };
    for check in &report.checks {
        let mut entry = json!({ "status": check.status.word() });
        if let Some(message) = check.message.as_ref().filter(|_| check.status != HealthStatus::Healthy) {
            entry["output"] = json!(message);
        }
        put(&check.name, entry);
    }
    put(
        "uptime",
        json!({
            "componentType": "system",
            "observedValue": report.uptime_seconds,
            "observedUnit": "s",
            "status": HealthStatus::Healthy.word(),
        }),
    );
    json!({ "status": report.status.word(), "version": report.version, "checks": checks })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::microservices::health::ComponentHealth;

    #[test]
    fn the_media_type_is_used_only_when_it_is_named() {
        for (accept, wanted) in [
            ("application/health+json", true),
            ("text/html, Application/Health+JSON;q=0.5", true),
            ("application/health+json;q=0", false),
            ("application/health+json; Q=0.000", false),
            ("application/health+json;q=no", false),
            ("application/health+json;q=0.2, application/json", false),
            ("application/health+json;profile=\"a,b;q=0\"", true),
            ("*/*", false),
            ("application/json", false),
        ] {
            let mut asked = HeaderMap::new();
            asked.insert(ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(asks_for_health_json(&asked), wanted, "{accept}");
        }
        assert!(!asks_for_health_json(&HeaderMap::new()));
    }

    #[test]
    fn the_draft_keys_checks_by_name_and_omits_output_on_pass() {
        let report = HealthCheck {
            status: HealthStatus::Degraded,
            version: "2".to_owned(),
            uptime_seconds: 9,
            checks: vec![
                ComponentHealth::healthy("database"),
                ComponentHealth::degraded("cache", "slow"),
            ],
        };
        let uptime = json!({ "componentType": "system", "observedValue": 9, "observedUnit": "s", "status": "pass" });
        assert_eq!(
            as_health_json(&report),
            json!({
                "status": "warn",
                "version": "2",
                "checks": {
                    "database": [{ "status": "pass" }],
                    "cache": [{ "status": "warn", "output": "slow" }],
                    "uptime": [uptime],
                },
            })
        );
    }
}
