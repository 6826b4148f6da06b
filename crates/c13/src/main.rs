//! The `c13` program.
#![expect(dead_code, reason = "nothing runs a scenario yet")]

mod args;
mod cmd;
mod drill;
mod interrupt;
mod output;

fn main() {}
