//! Looks at files that may change, again and again.

use super::Shared;
use std::sync::Weak;
use std::time::Duration;

/// Two looks this far apart must see the same, so that a file is not read half written.
pub(super) const SETTLE: Duration = Duration::from_millis(50);
/// Looks are never closer than this, so that others get their turn.
const SHORTEST: Duration = Duration::from_millis(1);

/// Watches until the registry is gone.
pub(super) async fn watch(shared: Weak<Shared>, every: Duration) {
    let Some(clock) = shared.upgrade().map(|shared| shared.clock.clone()) else {
        return;
    };
    let every = every.max(SHORTEST);
    // What has changed since the files were read, before anybody watched, is seen at once.
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
