//! The command line as a whole: one row a command.

use clap::{Parser, Subcommand};

use super::completions::CompletionsArgs;
use super::config::ConfigArgs;
use super::drill::DrillArgs;
use super::health::HealthArgs;
use super::lock::LockCommand;
use super::man::ManArgs;
use super::run::RunArgs;
use super::soak::SoakArgs;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "c13",
    version,
    about = "Keeps a service's calls succeeding while the things it depends on fail.",
    after_help = "Try `c13 drill`: it rehearses an incident and shows how three kinds of client go through it.",
    arg_required_else_help = true,
    max_term_width = 100
)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Drill(DrillArgs),
    Health(HealthArgs),
    Config(ConfigArgs),
    Run(Box<RunArgs>),
    Soak(SoakArgs),
    /// Look at locks
    #[command(subcommand)]
    Lock(LockCommand),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn every_example_that_takes_minutes_is_a_command_line() {
        let mut command = CommandLine::command();
        let mut help = |name| {
            let command = command.find_subcommand_mut(name).expect("there is one");
            command.render_long_help().to_string()
        };
        let helps = [help("drill"), help("soak")];
        for line in ["c13 drill", "c13 soak", "c13 soak --for 60s --json"] {
            assert!(
                helps.iter().any(|help| help.contains(&format!("\n  {line}  "))),
                "{line}"
            );
            assert!(CommandLine::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
    }
}
