//! The arguments of `c13 lock`, and its help.

use clap::Subcommand;

use crate::cmd::redis::RedisArgs;
use crate::run::key::Key;
use crate::status::{self, Verb};

/// What to do with a lock.
#[derive(Debug, Subcommand)]
pub(crate) enum LockCommand {
    /// Print who holds a lock; exit with 0 if it is free, 75 if it is held
    #[command(after_long_help = status::help(EXAMPLES, Verb::Lock))]
    Status {
        /// The lock's key
        key: Key,
        #[command(flatten)]
        redis: RedisArgs,
    },
}

const EXAMPLES: &str = "\
Examples:
  c13 lock status nightly                                  who holds it on this machine
  c13 lock status nightly --redis redis://redis.example    who holds it anywhere";
