//! `c13 run` under every signal, in every state, with everything that may keep its locks: what happens, and how soon.
//!
//! Most bounds here are of real time, which a busy machine exceeds. So `./test referee` runs it, and no other step.

#![cfg(target_os = "linux")]

#[expect(dead_code, reason = "shared with another target, which uses more of it")]
#[path = "common/processes.rs"]
mod processes;
#[path = "common/redis_server.rs"]
mod redis_server;

#[path = "signals/matrix.rs"]
mod matrix;
#[path = "signals/outcome.rs"]
mod outcome;
#[path = "signals/reach.rs"]
mod reach;
