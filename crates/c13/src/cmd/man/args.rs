//! The arguments of `c13 man`, and its help.

use std::path::PathBuf;

use clap::Args;

use crate::status::{self, Verb};

/// Write the manual pages, one for each command
#[derive(Debug, Args)]
#[command(after_long_help = status::help(EXAMPLES, Verb::Man))]
pub(crate) struct ManArgs {
    /// The folder that they are written to; it is made if it does not exist
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  c13 man man1                       as a package installs them; `man man1/c13-run.1` shows one";
