//! The arguments of `c13 config`, and its help.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::status::{self, Verb};

/// Check, explain and show the policies of a service's file
///
/// Layers count from the lowest to the highest: `[defaults]`, what a policy extends, the policy itself; a later file over
/// an earlier one, environment variables (`C13__POLICY__NAME__TIMEOUT__TOTAL=800ms`) over files, `--set` over all.
#[derive(Debug, Args)]
#[command(after_long_help = status::help(EXAMPLES, Verb::Config))]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
}

/// What to do with policies.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say whether everything is right, or everything that is wrong
    Check {
        /// Print one JSON object, for annotations in CI and for editors; with 2 as the exit status where something is wrong
        ///
        /// `errors[]` has for each its `message`, the lines of `help`, and `places[]` with `file`, `line`, `column`,
        /// `end_column`, `text` and `label`, the first of which is to be mended.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        layers: LayerArgs,
    },
    /// Say what a setting is, where that comes from, and what it hides
    Explain {
        /// The setting, such as `payments.timeout.total`, or a part of a policy, such as `payments.retry`
        path: String,
        /// Print one JSON object
        ///
        /// `settings[]` has for each its `policy`, `path`, `value` and `origin`, and what it `overrides[]`; values that stand
        /// in a file have its `file`, `line` and `column`.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        layers: LayerArgs,
    },
    /// Print all policies, each setting with where it comes from
    Show {
        /// With the defaults of what is not set: all that applies
        #[arg(long)]
        effective: bool,
        /// Print one JSON object
        ///
        /// `policies` has for each name the `settings` as in a file, and by path the `origins` of them.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        layers: LayerArgs,
    },
    /// Print the JSON schema of the file, for completion in editors
    Schema,
    /// Write a file to start from, unless there is one
    Init {
        /// The file; `-` prints it
        #[arg(default_value = DEFAULT_FILE)]
        file: PathBuf,
    },
}

/// The file that is read where none is named.
pub(crate) const DEFAULT_FILE: &str = "reliability.toml";

/// The layers that policies are read from.
#[derive(Debug, Args)]
pub(crate) struct LayerArgs {
    /// The files, each over those before it; `-` reads standard input
    #[arg(value_name = "FILE", default_value = DEFAULT_FILE)]
    pub(crate) files: Vec<PathBuf>,

    /// A setting over everything else, such as `policy.payments.timeout.total=800ms`; may be repeated
    #[arg(long, value_name = "PATH=VALUE")]
    pub(crate) set: Vec<String>,

    /// Leave environment variables out
    #[arg(long)]
    pub(crate) no_env: bool,
}

const EXAMPLES: &str = "\
Examples:
  c13 config init                                     start a file, reliability.toml
  c13 config check service.toml                       check it, as in CI
  c13 config check service.toml --json                the same for a program
  c13 config explain payments.timeout.total           say where a value comes from
  c13 config explain payments.retry service.toml      or what has switched a part off
  c13 config show --effective base.toml site.toml     print all that applies
  c13 config schema > reliability.schema.json         complete and check in the editor";
