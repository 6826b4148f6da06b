//! The integration tests: one binary, one module a pattern, and the rules that the source tree keeps.

mod circuit_breaker;
mod tidy;
