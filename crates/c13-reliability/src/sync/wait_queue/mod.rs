//! A bounded queue of tasks that wait for permits or tokens, first come first served.
//!
//! A limiter or a bulkhead (the [`Owner`]) keeps what it gives out in one atomic word, its packed state. On the fast path a
//! caller takes from that word by itself, and this queue is not touched. A caller that finds too little becomes a [`Waiter`]:
//!
//! 1. It joins the queue, under the queue's lock. The first one to join sets a flag in the owner's word. From then on
//!    newcomers must join too, and whoever gives something back must call [`WaitQueue::settle`]. Because the flag and what is
//!    given out are one word, no wake-up is lost between a caller that joins and one that gives back.
//! 2. `settle` grants waiters what they asked for, from the front, as long as the owner has enough. Only the waiter at the
//!    front is ever granted anything, so a large request is not overtaken by small ones. Wakers are called after the lock.
//! 3. The waiter takes its grant when its task polls it. If it is dropped instead, the grant goes back to the owner and to the
//!    next waiter. A grant that is not taken within `GRANT_LEASE` is taken back, so that a task which is never polled again
//!    blocks nobody; should it be polled after all, it is at the front of the queue.
//! 4. When the last waiter has been served, the flag is cleared, and callers are on the fast path again.
//!
//! - `list`: which waiter is where, as a plain value.
//! - `queue`: the lock around it, the owner, and granting.
//! - `waiter`: what a waiting caller holds.

mod list;
mod queue;
#[cfg(test)]
pub(super) mod semaphore;
#[cfg(all(test, not(c13_loom)))]
mod tests;
mod waiter;

pub(crate) use list::{Kind, Turn};
pub(crate) use queue::{Ahead, Owner, WaitQueue};
pub(crate) use waiter::Waiter;
