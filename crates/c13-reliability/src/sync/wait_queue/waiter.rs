//! What a waiting caller holds.

use super::list::{Kind, Turn};
use super::queue::{Ahead, Owner, Woken, serve};
use std::fmt;
use std::ops::Deref;
use std::task::Context;

/// A waiter in the queue of the owner that `P` points to.
///
/// # Cancel safety
///
/// Dropping it leaves the queue at once: a grant that was not taken goes back to the owner, and the waiters that can be served
/// now are served.
#[must_use = "a waiter that is dropped leaves the queue"]
pub(crate) struct Waiter<P>
where
    P: Deref,
    P::Target: Owner,
{
    owner: P,
    /// Where the list holds it; `None` once the grant is taken.
    slot: Option<usize>,
}

impl<P, O> Waiter<P>
where
    P: Deref<Target = O>,
    O: Owner,
{
    /// Joins the queue for `n`, behind all others, if `admit` agrees to the waiters ahead: that is where the queue's bound
    /// belongs. Waiters that can be served now are served first, and so may this one be.
    ///
    /// # Errors
    ///
    /// Why `admit` does not agree; nothing has changed then.
    pub(crate) fn join<E>(owner: P, n: u64, kind: Kind, admit: impl FnOnce(Ahead) -> Result<(), E>) -> Result<Self, E> {
        let mut woken = Woken::default();
        let joined = {
            let mut list = owner.queue().list.lock();
            serve(&mut list, &*owner, false, &mut woken);
            let ahead = Ahead {
                waiting: list.waiting(),
                weight: list.weight(),
            };
            admit(ahead).map(|()| {
                let slot = list.join(n, kind);
                if ahead.waiting == 0 {
                    // What was given back before this is seen by `serve` below; what is given back later settles the queue.
                    owner.set_waiting(true);
                    serve(&mut list, &*owner, false, &mut woken);
                }
                slot
            })
        };
        woken.wake();
        joined.map(|slot| Self {
            owner,
            slot: Some(slot),
        })
    }

    /// Its turn. Unless it is granted, the task of `cx` is woken when it is, and, if the owner asks for that, when it comes to
    /// the front or its timer is out of date.
    ///
    /// A grant that was not taken within [`GRANT_LEASE`](super::queue::GRANT_LEASE) is gone; the waiter is then at the front.
    ///
    /// [`Turn::Granted`] takes the grant: from then on it is the caller's to give back.
    ///
    /// # Panics
    ///
    /// If the grant was taken before.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Turn {
        let slot = self.slot.expect("a waiter is not polled after its grant was taken");
        let waker = cx.waker().clone();
        let mut list = self.owner.queue().list.lock();
        let mut woken = Woken::default();
        if list.rejoin(slot) {
            if list.waiting() == 1 {
                self.owner.set_waiting(true);
            }
            serve(&mut list, &*self.owner, false, &mut woken);
        }
        let turn = list.turn(slot);
        let old = if turn == Turn::Granted {
            list.leave(slot);
            self.slot = None;
            None
        } else {
            list.register(slot, waker)
        };
        drop(list);
        drop(old);
        woken.wake();
        turn
    }

    /// The waiters ahead of it, or `None` if it is granted. Complexity: O(waiters ahead of it).
    pub(crate) fn ahead(&self) -> Option<Ahead> {
        let slot = self.slot?;
        let list = self.owner.queue().list.lock();
        if list.turn(slot) == Turn::Granted {
            return None;
        }
        let (waiting, weight) = list.ahead_of(slot);
        Some(Ahead { waiting, weight })
    }

    /// Settles the queue, for the waiter at the front whose timer has fired.
    pub(crate) fn settle(&self) {
        self.owner.queue().settle(&*self.owner);
    }

    /// The owner of its queue.
    pub(crate) fn owner(&self) -> &P {
        &self.owner
    }
}

impl<P> Drop for Waiter<P>
where
    P: Deref,
    P::Target: Owner,
{
    fn drop(&mut self) {
        let Some(slot) = self.slot else { return };
        let owner = &*self.owner;
        let mut woken = Woken::default();
        let mut list = owner.queue().list.lock();
        let (turn, n, waker) = list.leave(slot);
        match turn {
            Turn::Granted => {
                owner.give_back(n);
                serve(&mut list, owner, true, &mut woken);
            }
            Turn::Front => serve(&mut list, owner, true, &mut woken),
            Turn::Behind => {}
        }
        drop(list);
        drop(waker);
        woken.wake();
    }
}

impl<P> fmt::Debug for Waiter<P>
where
    P: Deref,
    P::Target: Owner,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiter")
            .field("slot", &self.slot)
            .finish_non_exhaustive()
    }
}
