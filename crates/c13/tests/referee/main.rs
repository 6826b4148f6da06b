//! The referee of `c13 run`: it judges the program from outside, by what its help, its guide and the specification promise,
//! and trusts nothing that the program says of itself.
//!
//! `C13_REFEREE_KILLS` and `C13_REFEREE_REDIS_KILLS` set how many processes are killed, of which `./test referee` kills many
//! more; `C13_REFEREE_SEED` repeats a run.

#![cfg(target_os = "linux")]

#[path = "../common/processes.rs"]
mod processes;
#[expect(dead_code, reason = "shared with another target, which uses more of it")]
#[path = "../common/redis_server.rs"]
mod redis_server;

mod hostile;
mod journal;
mod kills;
mod load;
mod planted;
mod probes;
mod random;
mod stubborn;
mod users;
mod witness;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// One test at a time, because most have bounds in real time.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Fails if anything is wrong, and lists all of it.
fn assert_none_wrong(faults: &[String]) {
    assert!(
        faults.is_empty(),
        "{} rows are wrong:\n{}",
        faults.len(),
        faults.join("\n")
    );
}
