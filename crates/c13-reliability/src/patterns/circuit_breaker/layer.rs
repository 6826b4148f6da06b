//! The breaker as a tower layer.

use super::handle::CircuitBreaker;
use crate::gate::{self, ByResult, GateLayer, GateService};

/// Puts a breaker around a service; see [`GateLayer`].
///
/// While the circuit refuses, the service is ready at once and refuses the call, whether the service inside is ready or
/// not. A service inside that fails to become ready counts as a failed call.
pub type CircuitBreakerLayer<C = ByResult> = GateLayer<CircuitBreaker, C>;

/// A service behind a breaker; made by [`CircuitBreakerLayer`].
pub type CircuitBreakerService<S, C = ByResult> = GateService<S, CircuitBreaker, C>;

/// The response of a service behind a breaker.
pub type ResponseFuture<S, C, R> = gate::ResponseFuture<S, CircuitBreaker, C, R>;
