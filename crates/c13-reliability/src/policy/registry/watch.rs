//! Looks at files that may change: when their folders say so, and now and then in any case.

use super::Shared;
use crate::time::Sleep;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Weak;
use std::task::Poll;
use std::time::Duration;

#[cfg(target_os = "linux")]
use super::folders::Folders;

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
    let events = Events::of(&shared);
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
        events.or(clock.sleep(every)).await;
    }
}

/// What the folders say; nothing where they cannot be watched.
#[derive(Debug)]
struct Events {
    #[cfg(target_os = "linux")]
    folders: Option<Folders>,
}

impl Events {
    #[cfg(target_os = "linux")]
    fn of(shared: &Weak<Shared>) -> Self {
        let watched = shared.upgrade().map(|shared| Folders::watch(shared.paths.clone()));
        if let Some(Err(error)) = &watched {
            super::log::unwatched(error);
        }
        Self {
            folders: watched.and_then(Result::ok),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn of(_: &Weak<Shared>) -> Self {
        Self {}
    }

    /// Until something happens in a folder, or `sleep` is over.
    async fn or(&self, sleep: Sleep) {
        let mut sleep = pin!(sleep);
        poll_fn(|cx| {
            #[cfg(target_os = "linux")]
            if let Some(Poll::Ready(())) = self.folders.as_ref().map(|folders| folders.poll_changed(cx.waker())) {
                return Poll::Ready(());
            }
            Future::poll(sleep.as_mut(), cx)
        })
        .await;
    }
}
