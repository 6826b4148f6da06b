//! The keyed layer before a router, in virtual time.

use super::super::super::RateLimiterConfig;
use super::super::KeyedConfig;
use super::*;
use crate::time::Executor;
use axum::Router;
use axum::routing::get;
use tower::ServiceExt;

fn by_user(request: &Request<Body>) -> Option<String> {
    header_key(HeaderName::from_static("x-user"))(request)
}

fn request(user: Option<&str>) -> Request<Body> {
    let request = Request::get("/");
    let request = match user {
        Some(user) => request.header("x-user", user),
        None => request,
    };
    request.body(Body::empty()).expect("the request is in order")
}

fn field<'a>(response: &'a Response<Body>, name: &str) -> &'a str {
    response
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().unwrap_or("not text"))
}

#[test]
fn a_request_beyond_its_quota_is_answered_with_429_and_when_to_come_back() {
    let executor = Executor::new();
    let config = KeyedConfig::new(RateLimiterConfig::new(0.1, 2).into(), 100);
    let limiter = KeyedRateLimiter::with_config(config, executor.clock()).unwrap();
    let layer = KeyedRateLimitLayer::new(limiter, by_user).policy("per user").unwrap();
    let app = Router::new().route("/", get(|| async { "hello" })).layer(layer);
    let call = |user| executor.block_on(app.clone().oneshot(request(user))).unwrap();

    let first = call(Some("ann"));
    assert_eq!(first.status(), StatusCode::OK);
    assert_eq!(field(&first, "ratelimit-policy"), "\"per user\";q=2;w=20");
    assert_eq!(field(&first, "ratelimit"), "\"per user\";r=1;t=10");
    assert_eq!(field(&first, "retry-after"), "");
    assert_eq!(call(Some("ann")).status(), StatusCode::OK);

    executor.run_for(Duration::from_millis(4_500));
    let refused = call(Some("ann"));
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(field(&refused, "retry-after"), "6");
    assert_eq!(field(&refused, "ratelimit"), "\"per user\";r=0;t=16");

    assert_eq!(call(Some("bob")).status(), StatusCode::OK);
    executor.run_for(Duration::from_secs(6));
    assert_eq!(call(Some("ann")).status(), StatusCode::OK);
}

#[test]
fn a_name_that_would_break_the_fields_is_refused() {
    let limiter = || KeyedRateLimiter::<String>::new(RateLimiterConfig::new(1.0, 1), 10);
    for name in ["", "a\"b", "a\\b", "a\nb", "ä"] {
        let layer = KeyedRateLimitLayer::new(limiter(), by_user).policy(name);
        assert_eq!(layer.unwrap_err().setting, "policy", "{name:?}");
    }
}

fn limiter<K: Hash + Eq>(executor: &Executor, burst: u64) -> KeyedRateLimiter<K> {
    let config = KeyedConfig::new(RateLimiterConfig::new(0.1, burst).into(), 100);
    KeyedRateLimiter::with_config(config, executor.clock()).expect("the settings are good")
}

#[test]
fn requests_without_a_key_share_one_quota_unless_they_are_refused_or_allowed() {
    const OK: u16 = 200;
    for (choice, wanted) in [
        (None, [OK, OK, 429, 429]),
        (Some(WithoutKey::Share), [OK, OK, 429, 429]),
        (Some(WithoutKey::Refuse), [500; 4]),
        (Some(WithoutKey::Allow), [OK; 4]),
    ] {
        let executor = Executor::new();
        let users = limiter::<String>(&executor, 2);
        let mut layer = KeyedRateLimitLayer::new(users.clone(), by_user);
        if let Some(choice) = choice {
            layer = layer.without_key(choice);
        }
        let app = Router::new().route("/", get(|| async { "hello" })).layer(layer.clone());
        let call = |user| executor.block_on(app.clone().oneshot(request(user))).unwrap();
        let statuses = [None; 4].map(|none| call(none).status().as_u16());
        assert_eq!((statuses, layer.keyless()), (wanted, 4), "{choice:?}");
        assert_eq!(
            call(Some("ann")).status(),
            StatusCode::OK,
            "{choice:?}: a key has its own quota"
        );
        // A changed setting reaches the shared quota too.
        let config = KeyedConfig::new(RateLimiterConfig::new(0.1, 3).into(), 100);
        users.reconfigure(config).unwrap();
        call(None);
        executor.run_for(Duration::from_secs(60));
        let again = [None; 4].map(|none| call(none).status().as_u16());
        let wanted = if wanted[2] == 429 { [OK, OK, OK, 429] } else { wanted };
        assert_eq!(again, wanted, "{choice:?}");
    }
}

#[test]
fn a_header_that_does_not_say_whose_request_it_is_is_no_key() {
    let key = header_key(HeaderName::from_static("x-user"));
    let long = "x".repeat(LONGEST_HEADER_KEY);
    let longer = "x".repeat(LONGEST_HEADER_KEY + 1);
    for (values, wanted) in [
        (&["ann"][..], Some("ann")),
        (&[&long], Some(&*long)),
        (&[], None),
        (&[""], None),
        (&["ann", "bob"], None),
        (&["ann", "ann"], None),
        (&["\u{e4}"], None),
        (&[&longer], None),
    ] {
        let request = values
            .iter()
            .fold(Request::get("/"), |request, value| request.header("x-user", *value));
        let request = request.body(Body::empty()).unwrap();
        assert_eq!(key(&request).as_deref(), wanted, "{values:?}");
    }
}

#[test]
fn clients_of_a_listener_for_both_families_have_a_quota_each_and_without_an_address_none_is_served() {
    let executor = Executor::new();
    let layer = KeyedRateLimitLayer::by_client(limiter(&executor, 1));
    let app = Router::new().route("/", get(|| async { "hello" })).layer(layer);
    let call = |client: Option<&str>| {
        let mut request = request(None);
        if let Some(client) = client {
            let address: SocketAddr = client.parse().unwrap();
            request.extensions_mut().insert(ConnectInfo(address));
        }
        executor
            .block_on(app.clone().oneshot(request))
            .unwrap()
            .status()
            .as_u16()
    };
    for (client, wanted) in [
        (Some("[::ffff:192.0.2.1]:1"), 200),
        (Some("[::ffff:192.0.2.1]:2"), 429),
        (Some("192.0.2.1:3"), 429),
        (Some("[::ffff:192.0.2.2]:1"), 200),
        (Some("[2001:db8::1]:1"), 200),
        (Some("[2001:db8::2]:1"), 429),
        (Some("[2001:db8:0:1::2]:1"), 200),
        (None, 500),
    ] {
        assert_eq!(call(client), wanted, "{client:?}");
    }
}

#[test]
fn the_clients_of_a_trusted_proxy_have_a_quota_each_and_a_stranger_cannot_choose_his() {
    let executor = Executor::new();
    let proxies = TrustedProxies::x_forwarded_for(["10.0.0.0/8"]).unwrap();
    let clients = limiter(&executor, 1);
    let layer = KeyedRateLimitLayer::by_client_behind(proxies, clients.clone());
    let app = Router::new().route("/", get(|| async { "hello" })).layer(layer);
    let call = |peer: Option<&str>, lines: &[&str]| {
        let mut request = request(None);
        for line in lines {
            let value = HeaderValue::from_str(line).unwrap();
            request.headers_mut().append("x-forwarded-for", value);
        }
        if let Some(peer) = peer {
            let address: SocketAddr = peer.parse().unwrap();
            request.extensions_mut().insert(ConnectInfo(address));
        }
        let response = executor.block_on(app.clone().oneshot(request)).unwrap();
        response.status().as_u16()
    };
    for (peer, lines, wanted) in [
        (Some("10.0.0.1:80"), &["192.0.2.1"][..], 200),
        (Some("10.0.0.2:80"), &["203.0.113.1", "192.0.2.1"], 429),
        (Some("10.0.0.1:80"), &["192.0.2.2"], 200),
        (Some("198.51.100.1:80"), &["192.0.2.3"], 200),
        (Some("198.51.100.1:81"), &["192.0.2.4"], 429),
        (None, &["192.0.2.5"], 500),
    ] {
        assert_eq!(call(peer, lines), wanted, "{peer:?} {lines:?}");
    }
    assert_eq!(clients.snapshot().keyless, 1);
}
