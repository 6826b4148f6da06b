//! `c13 run` and `c13 lock status`: the arguments in, what came of it out.

use crate::args::{LockCommand, RunArgs};
use crate::run::plan::Plan;
use crate::run::session::{self, Report};
use c13_reliability::distributed::lock::Status;

const BAD_INPUT: u8 = 2;
const FAILED: u8 = 125;

/// Runs a command under the conditions asked for.
pub(crate) fn run(args: RunArgs) -> Report {
    match Plan::of(args, redis_url()) {
        Ok(plan) => on_runtime(session::run(plan)).unwrap_or_else(|report| report),
        Err(message) => Report::new(BAD_INPUT, message),
    }
}

/// Says who has a lock.
pub(crate) fn lock(command: LockCommand) -> Result<Status, Report> {
    let LockCommand::Status { key, redis } = command;
    let url = redis.or_else(redis_url);
    on_runtime(async move { session::status(&key, url.as_deref()).await })?
}

fn redis_url() -> Option<String> {
    std::env::var("REDIS_URL").ok().filter(|url| !url.is_empty())
}

/// On this thread alone, the main one.
fn on_runtime<T>(work: impl Future<Output = T>) -> Result<T, Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Report::new(FAILED, format!("the system refuses: {error}")))?;
    Ok(runtime.block_on(work))
}
