//! A request through a policy, whatever the client: repeated, counted and held by the same rules.

use super::body::PermitBody;
use super::config::HttpConfig;
use super::errors::ErrorMeaning;
use super::rules::{self, Ended};
use crate::gate::Outcome;
use crate::patterns::timeout::{HTTP_TIMEOUT, http_timeout, parse_http_timeout};
use crate::policy::call::{Cautious, Once, Rules, call_keeping, once};
use crate::policy::{CallOptions, Policy, PolicyError};
use crate::time::{Clock, Deadline};
use crate::verdict::{Meaning, Verdict};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};
use std::fmt;
use std::future::Future;
use std::sync::Arc;

/// The header that says which attempt of its call a request is: `1` is the first.
pub const ATTEMPT: &str = "x-attempt";

/// A request, as a client has it.
pub(super) trait Outgoing {
    fn method(&self) -> &Method;
    fn headers(&self) -> &HeaderMap;
    fn headers_mut(&mut self) -> &mut HeaderMap;
}

/// Sends `request` through `policy`. `copy` makes the request for another attempt, if it can be sent again; `execute` sends it,
/// and `errors` says what it means if that fails.
pub(super) async fn send<Q, B, E, C, X, Fut, R>(
    policy: &Policy,
    config: &HttpConfig,
    request: Q,
    (copy, execute): (C, X),
    errors: R,
) -> Result<Response<PermitBody<B>>, PolicyError<E>>
where
    Q: Outgoing,
    B: http_body::Body,
    C: Fn(&Q) -> Option<Q>,
    X: FnOnce(Q) -> Fut + Clone,
    Fut: Future<Output = Result<Response<B>, E>>,
    R: ErrorMeaning<E>,
{
    let clock = policy.clock();
    let by = &clock;
    let attempt = move |request, number| attempt(request, (config, by, number), execute.clone());
    let may_be_repeated = rules::may_be_repeated(request.method(), request.headers());
    let repeats = policy.repeats();
    let options = CallOptions::new();
    let rules = RequestRules {
        errors,
        may_be_repeated,
    };
    let (response, permit) = match repeats.then(|| copy(&request)).flatten() {
        None => {
            if repeats {
                report_sent_once(policy, request.method());
            }
            call_keeping(policy, options, Once(rules), once(attempt(request, 1))).await?
        }
        Some(copied) => {
            let (mut first, mut number) = (Some(copied), 0);
            let next = move || {
                number += 1;
                let again = first.take().or_else(|| copy(&request));
                attempt(
                    again.expect("a request that could be copied once can be copied again"),
                    number,
                )
            };
            if may_be_repeated {
                call_keeping(policy, options, rules, next).await?
            } else {
                call_keeping(policy, options, Cautious(rules), next).await?
            }
        }
    };
    Ok(response.map(|body| PermitBody::new(body, permit, config.body_limits(), clock)))
}

/// Sends one attempt. The headers are written by the future, which sees the attempt's own deadline.
async fn attempt<Q, X, Fut>(mut request: Q, stamp: (&HttpConfig, &Clock, u32), execute: X) -> Fut::Output
where
    Q: Outgoing,
    X: FnOnce(Q) -> Fut,
    Fut: Future,
{
    write_headers(request.headers_mut(), stamp);
    execute(request).await
}

/// The rules of one request.
struct RequestRules<R> {
    errors: R,
    may_be_repeated: bool,
}

impl<R> RequestRules<R> {
    fn meaning<B, E>(&self, result: &Result<Response<B>, E>) -> Meaning
    where
        R: ErrorMeaning<E>,
    {
        let ended = match result {
            Ok(response) => Ended::Answered(response.status().as_u16(), response.headers()),
            Err(error) => Ended::Failed(self.errors.meaning(error)),
        };
        rules::meaning(ended, self.may_be_repeated)
    }
}

impl<B, E, R: ErrorMeaning<E>> Rules<Response<B>, E> for RequestRules<R> {
    fn outcome(&self, result: &Result<Response<B>, E>) -> Outcome {
        self.meaning(result).outcome
    }

    fn verdict(&self, result: &Result<Response<B>, E>) -> Verdict {
        self.meaning(result).verdict
    }
}

/// Writes the time that is left and the number of the attempt into the headers of a request.
fn write_headers(headers: &mut HeaderMap, (config, clock, number): (&HttpConfig, &Clock, u32)) {
    if config.send_attempt {
        headers.insert(HeaderName::from_static(ATTEMPT), HeaderValue::from(number));
    }
    let Some(deadline) = Deadline::current(clock).filter(|_| config.send_deadline) else {
        return;
    };
    let left = deadline.remaining(clock);
    // A deadline is shortened on the way, and never lengthened: not even one that the caller has written.
    let written = headers.get(HTTP_TIMEOUT).and_then(|value| value.to_str().ok());
    let is_shorter = written.and_then(|text| parse_http_timeout(text).ok());
    if is_shorter.is_none_or(|written| left < written)
        && let Ok(value) = HeaderValue::try_from(http_timeout(left))
    {
        headers.insert(HeaderName::from_static(HTTP_TIMEOUT), value);
    }
}

#[cfg(feature = "tracing")]
fn report_sent_once(policy: &Policy, method: &Method) {
    tracing::debug!(
        target: "c13::policy",
        policy = policy.name().as_deref(),
        %method,
        "the request is sent once: its body is a stream, or longer than what is kept for another attempt"
    );
}

#[cfg(not(feature = "tracing"))]
fn report_sent_once(_: &Policy, _: &Method) {}

/// The policy of a request: one for all, or one for each host.
#[derive(Clone)]
pub(super) enum Policies {
    One(Policy),
    ByHost(Arc<dyn Fn(&str) -> Policy + Send + Sync>),
}

impl Policies {
    /// The policy for requests to this authority of a URL, which may have a user before the host.
    pub(super) fn of(&self, authority: &str) -> Policy {
        match self {
            Self::One(policy) => policy.clone(),
            Self::ByHost(policy) => policy(authority.rsplit('@').next().unwrap_or_default()),
        }
    }
}

impl Policies {
    /// The name of the policy for all requests, if there is one.
    #[cfg(feature = "reqwest")]
    pub(super) fn name(&self) -> Option<Arc<str>> {
        match self {
            Self::One(policy) => policy.name(),
            Self::ByHost(_) => None,
        }
    }
}

impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(policy) => policy.fmt(f),
            Self::ByHost(_) => f.write_str("a policy for each host"),
        }
    }
}
