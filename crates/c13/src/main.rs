//! The `c13` program: reads the command line, runs the command, prints what came of it.

mod args;
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

fn main() -> ExitCode {
    if let Some(status) = run::guard::step() {
        return status;
    }
    match args::CommandLine::try_parse() {
        Ok(line) => dispatch::run(line.command),
        Err(error) => output::usage(&error),
    }
}
