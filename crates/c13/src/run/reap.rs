//! Reaps the children that this process has adopted, as the first process of a container does.

use std::io;
use std::sync::Mutex;

use rustix::process::Pid;
use tokio::signal::unix::{SignalKind, signal};

use super::guard::{children, reap};

/// The one child that this program waits for itself.
static SPARED: Mutex<Option<Pid>> = Mutex::new(None);

/// The child that is not reaped here, as long as this is not dropped.
pub(crate) struct Spared(());

impl Spared {
    /// To be made before the child is started, and told which it is right after.
    pub(crate) fn new() -> Self {
        Self(())
    }

    pub(crate) fn set(&mut self, child: Pid) {
        *spared() = Some(child);
    }
}

impl Drop for Spared {
    fn drop(&mut self) {
        *spared() = None;
    }
}

fn spared() -> std::sync::MutexGuard<'static, Option<Pid>> {
    SPARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Reaps all children that have ended, except for the one that is spared.
pub(crate) fn all() {
    let spared = *spared();
    for child in children().into_iter().filter(|child| Some(*child) != spared) {
        reap(child);
    }
}

/// From now on reaps whatever ends, in the background.
///
/// # Errors
///
/// The system does not deliver the signal.
pub(crate) fn listen() -> io::Result<()> {
    let mut ended = signal(SignalKind::child())?;
    tokio::spawn(async move {
        all();
        while ended.recv().await.is_some() {
            all();
        }
    });
    Ok(())
}
