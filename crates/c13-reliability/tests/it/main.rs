//! The integration tests: one binary, one module a pattern, and the rules that the source tree keeps.

mod adaptive;
mod allocations;
mod bounds;
mod bulkhead;
mod cache;
mod circuit_breaker;
mod deadline;
mod dropping;
mod errors;
mod fallback;
mod fuzz;
mod health;
mod hedge;
mod http_client;
mod http_policy;
mod inbound;
mod lock;
mod observability;
mod rate_limiter;
mod reliable;
mod retry;
mod scheduler;
mod supervisor;
mod tidy;
mod timeout;
mod tower_layers;
