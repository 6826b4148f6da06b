//! Where children, wherever they run, leave word for their supervisor.

use super::snapshot::Exit;
use crate::sync::primitive::{Mutex, MutexGuard};
use std::sync::Arc;
use std::task::{Wake, Waker};

/// One start of one child: what comes from an earlier one changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) child: usize,
    pub(super) number: u64,
}

/// A child's end, with the message of its error or its panic.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) life: Life,
    pub(super) exit: Exit,
    pub(super) message: String,
}

/// What was left since the supervisor last looked.
#[derive(Debug, Default)]
pub(super) struct Mail {
    pub(super) ended: Vec<Ended>,
    /// Tasks in the supervisor's own task that want to be polled.
    pub(super) ready: Vec<Life>,
    pub(super) shut_down: bool,
}

#[derive(Debug, Default)]
pub(super) struct Mailbox {
    state: Mutex<MailboxState>,
}

#[derive(Debug, Default)]
struct MailboxState {
    mail: Mail,
    waker: Option<Waker>,
}

impl Mailbox {
    fn leave(&self, write: impl FnOnce(&mut Mail)) {
        let waker = {
            let mut state: MutexGuard<'_, MailboxState> = self.state.lock();
            write(&mut state.mail);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(super) fn ended(&self, ended: Ended) {
        self.leave(|mail| mail.ended.push(ended));
    }

    pub(super) fn ready(&self, life: Life) {
        self.leave(|mail| {
            if !mail.ready.contains(&life) {
                mail.ready.push(life);
            }
        });
    }

    pub(super) fn shut_down(&self) {
        self.leave(|mail| mail.shut_down = true);
    }

    /// Takes what is there; `waker` is woken at the next word.
    pub(super) fn take(&self, waker: &Waker) -> Mail {
        let mut state = self.state.lock();
        if !state.waker.as_ref().is_some_and(|kept| kept.will_wake(waker)) {
            state.waker = Some(waker.clone());
        }
        std::mem::take(&mut state.mail)
    }
}

/// The waker of a task that is polled in the supervisor's own task.
pub(super) struct ChildWaker {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) life: Life,
}

impl Wake for ChildWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.mailbox.ready(self.life);
    }
}
