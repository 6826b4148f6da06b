//! Watches files by reading them at an interval.

use super::SharedRegistry;
use std::sync::Weak;
use std::time::Duration;

/// Two reads this far apart must find the same, so that a half-written file is not used.
pub(super) const SETTLE: Duration = Duration::from_millis(50);
/// The least time between two reads, so that other tasks get their turn.
const SHORTEST: Duration = Duration::from_millis(1);

/// Watches until the registry is gone.
pub(super) async fn watch(shared: Weak<SharedRegistry>, every: Duration) {
    let Some(clock) = shared.upgrade().map(|shared| shared.clock.clone()) else {
        return;
    };
    let every = every.max(SHORTEST);
    // A change before the watch began, since the files were last read, is found at once.
    loop {
        // It may be written again while it settles; that is then one change.
        let mut before = None;
        loop {
            let Some(shared) = shared.upgrade() else { return };
            let now = shared.contents().map_err(|error| error.to_string());
            if shared.has_seen(&now) {
                break;
            }
            if before.as_ref() == Some(&now) {
                // What is wrong is in the log and in the status.
                let _ = shared.reload();
                break;
            }
            before = Some(now);
            drop(shared);
            clock.sleep(every.min(SETTLE)).await;
        }
        clock.sleep(every).await;
    }
}
