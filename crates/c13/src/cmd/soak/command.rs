//! Runs every part under load.

use std::sync::atomic::AtomicBool;

use super::SoakArgs;
use crate::cmd::Failure;
use crate::soak::report::{LONGEST, SHORTEST, SoakReport};
use crate::soak::run;

/// The result of the command.
#[derive(Debug)]
pub(crate) struct Soaked {
    /// The report.
    pub(crate) report: SoakReport,
    /// Whether it is printed as JSON.
    pub(crate) json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// A time that is too short to say anything or too long to be noted, a run that was stopped, or a system that refuses what a soak needs.
pub(crate) fn run(args: &SoakArgs, stop: &AtomicBool, show: &dyn Fn(f64)) -> Result<Soaked, Failure> {
    if args.length < SHORTEST {
        let (length, least) = (args.length, SHORTEST);
        return Err(Failure::Usage(format!(
            "--for {length:?} is too short to tell growth from warm-up: at least {least:?}"
        )));
    }
    if args.length > LONGEST {
        let (length, most) = (args.length, LONGEST);
        return Err(Failure::Usage(format!(
            "--for {length:?} is too long, for what the process holds is noted each second: at most {most:?}"
        )));
    }
    let report = run::run(args.length, args.seed, stop, show)?.ok_or(Failure::Interrupted(Vec::new()))?;
    Ok(Soaked {
        report,
        json: args.json,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_soak_that_says_nothing_or_never_ends_is_refused_before_it_begins() {
        for (length, words) in [
            (Duration::from_secs(9), "is too short"),
            (Duration::from_secs(7 * 86_400 + 1), "is too long"),
            (Duration::MAX, "is too long"),
        ] {
            let args = SoakArgs {
                length,
                seed: 1,
                json: false,
            };
            let result = run(&args, &AtomicBool::new(false), &|_| panic!("nothing is run"));
            assert!(
                matches!(&result, Err(Failure::Usage(text)) if text.contains(words)),
                "{result:?}"
            );
        }
    }
}
