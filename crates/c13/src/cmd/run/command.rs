//! Runs a command under the conditions that the arguments name.

use std::path::Path;

use c13_reliability::policy::PolicyConfig;
use c13_reliability::policy::file::PolicyFiles;

use super::RunArgs;
use crate::cmd::runtime::on_runtime;
use crate::cmd::{Failure, source};
use crate::run::key::Key;
use crate::run::plan::Plan;
use crate::run::report::ExitReport;
use crate::run::session;

/// Runs a command under the conditions asked for.
pub(crate) fn run(args: RunArgs) -> ExitReport {
    let plan = args.policy.as_deref().map(policy).transpose().and_then(|policy| {
        let url = args.redis.url()?;
        Plan::of(args, url, policy)
    });
    match plan {
        Ok(plan) => on_runtime(session::run(plan)).unwrap_or_else(|report| report),
        Err(message) => ExitReport::wrong(message),
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
