//! The `c13` program.
fn main() {}
