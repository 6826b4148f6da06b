//! `c13 soak`: runs every part under load and says what came of it.

use std::sync::atomic::AtomicBool;

use super::Failure;
use crate::args::SoakArgs;
use crate::soak::report::{Report, SHORTEST};
use crate::soak::run;

/// What came of the command.
#[derive(Debug)]
pub(crate) struct Soaked {
    /// What the soak found out.
    pub(crate) report: Report,
    /// Whether it is for a program.
    pub(crate) json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// A time that is too short to say anything, a run that was stopped, or a system that refuses what a soak needs.
pub(crate) fn run(args: &SoakArgs, stop: &AtomicBool, show: &dyn Fn(f64)) -> Result<Soaked, Failure> {
    if args.length < SHORTEST {
        let (length, least) = (args.length, SHORTEST);
        return Err(Failure::Usage(format!(
            "--for {length:?} is too short to tell growth from warm-up: at least {least:?}"
        )));
    }
    let report = run::run(args.length, args.seed, stop, show)?.ok_or(Failure::Interrupted)?;
    Ok(Soaked {
        report,
        json: args.json,
    })
}
