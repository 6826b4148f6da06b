//! The `c13` program: reads the command line, runs the command, prints its result.

#![cfg_attr(not(test), warn(clippy::print_stderr, clippy::print_stdout))]

mod cmd;
mod dispatch;
mod drill;
mod interrupt;
mod output;
mod printable;
mod run;
mod soak;
mod status;

use std::process::ExitCode;

use clap::Parser;
use cmd::line::CommandLine;

fn main() -> ExitCode {
    if let Some(status) = run::guard::step() {
        return status;
    }
    match CommandLine::try_parse() {
        Ok(line) => dispatch::run(line.command),
        Err(error) => output::usage(&error),
    }
}
