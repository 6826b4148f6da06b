//! `c13 run`: a command under a lock, a rate limit, a time limit and retries; and the guard that ends the command with it.

pub(crate) mod admission;
pub(crate) mod calendar;
pub(crate) mod child;
#[cfg(test)]
mod fuzz;
pub(crate) mod guard;
pub(crate) mod input;
pub(crate) mod journal;
pub(crate) mod journal_store;
pub(crate) mod key;
pub(crate) mod plan;
pub(crate) mod reap;
pub(crate) mod replay;
pub(crate) mod report;
pub(crate) mod session;
pub(crate) mod signals;
pub(crate) mod state_dir;
pub(crate) mod stores;
pub(crate) mod terminal;
pub(crate) mod url_file;
pub(crate) mod waiting;
