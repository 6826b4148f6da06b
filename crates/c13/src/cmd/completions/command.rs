//! Writes the script of a shell.

use clap::CommandFactory;

use super::CompletionsArgs;
use crate::cmd::line::CommandLine;

/// The script of the shell.
pub(crate) fn run(args: &CompletionsArgs) -> String {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut CommandLine::command(), "c13", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;
    use clap_complete::Shell;

    #[test]
    fn the_script_of_every_shell_has_the_commands_and_their_options() {
        for shell in Shell::value_variants() {
            let script = run(&CompletionsArgs { shell: *shell });
            for words in ["drill", "print-scenario", "redis-url-file", "completions"] {
                assert!(script.contains(words), "{shell}: {words}");
            }
        }
    }
}
