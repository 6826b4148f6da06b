//! The runtime that `c13 run` and `c13 lock` work on.

use crate::run::report::ExitReport;

/// Runs `work` on the main thread alone.
pub(super) fn on_runtime<T>(work: impl Future<Output = T>) -> Result<T, ExitReport> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| ExitReport::failed(format!("the system refuses: {error}")))?;
    let done = runtime.block_on(work);
    // Does not wait for threads, because the system's look-up of a host name cannot be interrupted.
    runtime.shutdown_background();
    Ok(done)
}
