//! Writes the manual pages.

use std::fs;

use clap::CommandFactory;

use super::ManArgs;
use crate::cmd::Failure;
use crate::cmd::line::CommandLine;

/// Writes the pages, and says where.
///
/// # Errors
///
/// A folder that cannot be made or written to.
pub(crate) fn run(args: &ManArgs) -> Result<String, Failure> {
    let written =
        fs::create_dir_all(&args.folder).and_then(|()| clap_mangen::generate_to(CommandLine::command(), &args.folder));
    written.map_err(|error| Failure::Write(args.folder.clone(), error))?;
    let folder = args.folder.display();
    Ok(format!(
        "wrote the manual pages to {folder}: `man {folder}/c13.1` shows the first\n"
    ))
}
