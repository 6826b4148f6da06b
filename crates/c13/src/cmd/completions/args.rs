//! The arguments of `c13 completions`, and its help.

use clap::Args;
use clap_complete::Shell;

use crate::status::{self, Verb};

/// Print the script with which a shell completes the commands and options of c13
#[derive(Debug, Args)]
#[command(after_long_help = status::help(EXAMPLES, Verb::Completions))]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

const EXAMPLES: &str = "\
Examples:
  c13 completions bash > c13.bash    for ~/.local/share/bash-completion/completions/c13
  c13 completions zsh > _c13         for a folder of $fpath
  c13 completions fish > c13.fish    for ~/.config/fish/completions/c13.fish";
