//! The `c13` program.
#![expect(dead_code, reason = "nothing runs a scenario yet")]

mod drill;

fn main() {}
