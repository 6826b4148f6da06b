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
    match CommandLine::try_parse().map(|line| line.command) {
        Ok(Command::Drill(args)) => output::drill(interrupt::flag().map_err(cmd::Failure::from).and_then(|stop| {
            let line = output::ProgressLine::new();
            let show = |progress: drill::watch::Progress<'_>| line.show(progress);
            cmd::drill::run(&args, &Watch::new(&stop, &show), drill::engine::run)
        })),
        Ok(Command::Config(args)) => output::text(cmd::config::run(&args.command)),
        Ok(Command::Health(args)) => output::health(&args.url, &cmd::health::run(&args)),
        Err(error) => output::usage(&error),
    }
}
