//! `c13 run` and `c13 lock status`: the arguments in, what came of it out.

use std::path::Path;

use c13_reliability::distributed::lock::Status;
use c13_reliability::policy::PolicyConfig;
use c13_reliability::policy::file::PolicyFiles;

use super::{Failure, source};
use crate::args::{LockCommand, RunArgs};
use crate::run::plan::Plan;
use crate::run::session::{self, Report};

const BAD_INPUT: u8 = 2;
const FAILED: u8 = 125;

/// Runs a command under the conditions asked for.
pub(crate) fn run(args: RunArgs) -> Report {
    let plan = args
        .policy
        .as_deref()
        .map(policy)
        .transpose()
        .and_then(|policy| Plan::of(args, redis_url(), policy));
    match plan {
        Ok(plan) => on_runtime(session::run(plan)).unwrap_or_else(|report| report),
        Err(message) => Report::new(BAD_INPUT, message),
    }
}

/// The policy that `FILE#NAME` names, as the file and the environment have it.
fn policy(text: &str) -> Result<(String, PolicyConfig), String> {
    let Some((file, name)) = text.rsplit_once('#') else {
        return Err(format!(
            "--policy: `{text}` must name a file and a policy of it, as FILE#NAME"
        ));
    };
    let source = source::read(Path::new(file)).map_err(|failure| match failure {
        Failure::File(path, error) => format!("--policy: {}: {error}", source::name(&path)),
        other => format!("--policy: {other:?}"),
    })?;
    let set = PolicyFiles::new().file(source).environment().read();
    let set = set.map_err(|diagnostics| format!("--policy: the file is wrong\n{diagnostics}"))?;
    match set.policy(name) {
        Some(policy) => Ok((name.to_owned(), policy.config())),
        None => Err(format!("--policy: {file} has no policy `{name}`")),
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
