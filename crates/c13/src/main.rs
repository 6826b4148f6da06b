//! The `c13` program: reads the command line, runs the command, prints what came of it.

mod args;
mod cmd;
mod drill;
mod interrupt;
mod output;

use std::process::ExitCode;

use clap::Parser;

use args::{Command, CommandLine};
use drill::watch::Watch;

fn main() -> ExitCode {
    let args = match CommandLine::try_parse().map(|line| line.command) {
        Ok(Command::Drill(args)) => args,
        Ok(Command::Health(args)) => return output::health(&args.url, &cmd::health::run(&args)),
        Err(error) => return output::usage(&error),
    };
    output::drill(interrupt::flag().map_err(cmd::Failure::from).and_then(|stop| {
        let line = output::ProgressLine::new();
        cmd::drill::run(
            &args,
            &Watch::new(&stop, &|progress| line.show(progress)),
            drill::engine::run,
        )
    }))
}
