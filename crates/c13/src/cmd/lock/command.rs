//! Answers `c13 lock status`.

use c13_reliability::distributed::lock::Status;

use super::LockCommand;
use crate::cmd::runtime::on_runtime;
use crate::run::report::ExitReport;
use crate::run::session;

/// Reports who holds a lock.
pub(crate) fn run(command: &LockCommand) -> Result<Status, ExitReport> {
    let LockCommand::Status { key, redis } = command;
    let url = redis.url().map_err(ExitReport::wrong)?;
    on_runtime(session::status(key, url.as_deref()))?
}
