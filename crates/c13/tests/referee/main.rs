//! The referee of `c13 run`: it judges the program from outside, by what its help, its guide and the specification promise,
//! and trusts nothing that the program says of itself.
//!
//! `./test referee` runs what is ignored here: random kills, and every signal in every state. `C13_REFEREE_KILLS` and
//! `C13_REFEREE_REDIS_KILLS` set how many processes are killed, `C13_REFEREE_SEED` repeats a run.

#![cfg(target_os = "linux")]

#[path = "../common/processes.rs"]
mod processes;
#[path = "../common/redis_server.rs"]
mod redis_server;

mod hostile;
mod journal;
mod kills;
mod load;
mod matrix;
mod outcome;
mod planted;
mod probes;
mod random;
mod reach;
mod stubborn;
mod users;
mod witness;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// One test at a time, because most have bounds in real time.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
