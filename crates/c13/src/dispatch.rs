//! Runs the command and prints its result: one row a command.

use std::process::ExitCode;

use crate::cmd::line::Command;
use crate::drill::watch::Watch;
use crate::{cmd, drill, interrupt, output};

/// Runs a command, prints its result, and gives the exit status.
pub(crate) fn run(command: Command) -> ExitCode {
    match command {
        Command::Drill(args) => output::drill(interrupt::flag().map_err(cmd::Failure::from).and_then(|stop| {
            let line = output::ProgressLine::new();
            let show = |share| line.show("drilling", share);
            cmd::drill::run(&args, &Watch::new(&stop, &show), &output::warn, drill::engine::run)
        })),
        Command::Config(args) => output::config(cmd::config::run(&args)),
        Command::Health(args) => output::health(&args.url, &cmd::health::run(&args)),
        Command::Soak(args) => output::soak(interrupt::flag().map_err(cmd::Failure::from).and_then(|stop| {
            let line = output::ProgressLine::new();
            cmd::soak::run(&args, &stop, &|share| line.show("soaking", share))
        })),
        Command::Run(args) => output::run(&cmd::run::run(*args)),
        Command::Lock(command) => output::lock(cmd::lock::run(&command)),
        Command::Completions(args) => output::text(Ok(cmd::completions::run(&args))),
        Command::Man(args) => output::text(cmd::man::run(&args)),
    }
}
