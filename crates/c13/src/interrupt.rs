//! Ctrl-C: the first asks to stop, the second ends the program.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::SIGINT;
use signal_hook::flag;

use crate::run::signals::ignored;
use crate::status::INTERRUPTED;

/// A flag that is set once SIGINT interrupts the program.
///
/// # Errors
///
/// The system refuses to deliver the signal.
pub(crate) fn flag() -> io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    if ignored().contains(SIGINT) {
        // As under a script's `&`: Ctrl-C is meant for another program.
        return Ok(stop);
    }
    // In this order: the first signal finds the flag unset and goes on to set it, the second finds it set.
    flag::register_conditional_shutdown(SIGINT, INTERRUPTED.into(), Arc::clone(&stop))?;
    flag::register(SIGINT, Arc::clone(&stop))?;
    Ok(stop)
}
