//! `c13 run` and `c13 lock status`: the arguments in, how it ended out.

use std::env::VarError;
use std::path::Path;

use c13_reliability::distributed::lock::Status;
use c13_reliability::policy::PolicyConfig;
use c13_reliability::policy::file::PolicyFiles;

use super::{Failure, source};
use crate::args::{LockCommand, RunArgs};
use crate::run::key::Key;
use crate::run::plan::Plan;
use crate::run::report::Report;
use crate::run::{session, url_file};

/// Runs a command under the conditions asked for.
pub(crate) fn run(args: RunArgs) -> Report {
    let plan = args.policy.as_deref().map(policy).transpose().and_then(|policy| {
        let url = redis_url(args.redis.clone(), args.redis_url_file.as_deref())?;
        Plan::of(args, url, policy)
    });
    match plan {
        Ok(plan) => on_runtime(session::run(plan)).unwrap_or_else(|report| report),
        Err(message) => Report::wrong(message),
    }
}

/// The policy that `FILE#NAME` names, as the file and the environment have it.
fn policy(text: &str) -> Result<(Key, PolicyConfig), String> {
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
        Some(policy) => {
            let name = name
                .parse()
                .map_err(|error| format!("--policy: as a key, the policy's name: {error}"))?;
            Ok((name, policy.config()))
        }
        None => Err(format!("--policy: {file} has no policy `{name}`")),
    }
}

/// Says who has a lock.
pub(crate) fn lock(command: LockCommand) -> Result<Status, Report> {
    let LockCommand::Status {
        key,
        redis,
        redis_url_file,
    } = command;
    let url = redis_url(redis, redis_url_file.as_deref()).map_err(Report::wrong)?;
    on_runtime(async move { session::status(&key, url.as_deref()).await })?
}

/// The URL of the command line, in the file that it names, or in the environment, where one that is empty is none.
fn redis_url(url: Option<String>, file: Option<&Path>) -> Result<Option<String>, String> {
    if let Some(url) = url {
        return Ok(Some(url));
    }
    if let Some(file) = file {
        return url_file::read(file).map(Some);
    }
    match std::env::var("REDIS_URL") {
        Ok(url) => Ok(Some(url).filter(|url| !url.is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err("REDIS_URL: must be UTF-8".to_owned()),
    }
}

/// On this thread alone, the main one.
fn on_runtime<T>(work: impl Future<Output = T>) -> Result<T, Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Report::failed(format!("the system refuses: {error}")))?;
    let done = runtime.block_on(work);
    // Not waiting for threads: the system's look-up of a host's name cannot be interrupted.
    runtime.shutdown_background();
    Ok(done)
}
