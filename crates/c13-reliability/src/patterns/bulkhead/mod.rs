//! Bulkhead: bounds how many calls run concurrently, and how many wait in a queue for a permit.
//!
//! Use it so that one slow dependency cannot take all threads, connections or memory. A call that gets no permit waits in
//! the queue, first come first served, if there is one, and is refused at once if not.
//!
//! # Quick start
//!
//! ```
//! use c13_reliability::gate::Gate;
//! use c13_reliability::patterns::bulkhead::{Bulkhead, BulkheadError};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let bulkhead = Bulkhead::new(1);
//! let held = bulkhead.try_admit();
//! assert!(held.is_ok());
//! let refused = bulkhead.call(async { Ok::<_, &str>("never runs") }).await;
//! assert!(matches!(refused, Err(BulkheadError::Full { .. })));
//! drop(held);
//! assert_eq!(bulkhead.call(async { Ok::<_, &str>("runs") }).await, Ok("runs"));
//! # }
//! ```
//!
//! # What happens to a call
//!
//! | running | queued | it |
//! |---|---|---|
//! | fewer than `max_concurrent` | none | runs at once |
//! | | some, but fewer than `max_queue` | waits behind them, so that no call overtakes another |
//! | `max_concurrent` | fewer than `max_queue` | waits, for `max_wait` and until its deadline at most |
//! | `max_concurrent` | `max_queue` | is refused |
//!
//! A bulkhead can be [resized](Bulkhead::resize) while calls run: up wakes waiters at once, down takes effect as running
//! calls end.
//!
//! # Calls that are not polled
//!
//! A waiter that is granted a permit has 1 s to be polled. After that its permit is granted to the next waiter, as soon as
//! the queue is served again: when a call joins it, when a wait ends, when a call is refused, or when another permit is
//! released while calls wait. The first call is at the head of the queue again when it is polled. So a bulkhead whose
//! calls wait without a limit, and that no other call uses, keeps waiting for a call that is never polled.
//!
//! A call that was polled while it held its permit keeps it until its future is finished or dropped: the bulkhead cannot
//! know that it will not be polled any more.
//!
//! # Many threads
//!
//! The permits are one packed state, so each acquire and release changes the same cache line, which moves from processor
//! to processor. When two threads contend for it, permits are lent, provided that at least half of them are available, and
//! at least eight for every thread that uses this crate: a thread that releases a permit leaves it on its own stripe, up to
//! eight of them, for the next call on that thread. A call that finds a permit neither on its stripe nor in the packed state
//! ends lending: all permits on stripes return to the packed state, and the call tries again.
//!
//! So the limit stays exact: never more calls run than `max_concurrent`. No call waits or is refused while a permit is
//! available, unless another thread is just returning that permit, after a queue has formed or the limit was lowered.
//! While calls are queued no lent permit is used, so that no call overtakes another.
//!
//! Once permits were lent, counting the calls that run reads the stripes of all threads, at most 65.
//!
//! # How it compares
//!
//! resilience4j and failsafe-go bound how long a call waits and not how many do; Polly the other way round. Here both are
//! bounded, and the limits can be changed while calls wait. More in `docs/patterns-compared.md`.
//!
//! # By key
//!
//! [`KeyedBulkhead`] has one for each tenant, user or host, as many as there is room for.
//!
//! # Settings
//!
//! | [`BulkheadConfig`] | default | |
//! |---|---|---|
//! | `max_concurrent` | none: it must be given | calls that run concurrently |
//! | `max_queue` | 0 | calls that may queue |
//! | `max_wait` | 0 | how long a call may queue; [`Duration::MAX`](std::time::Duration::MAX) is no limit |
//!
//! # Metrics
//!
//! What a bulkhead in a [registry](crate::snapshot::Registry) reports. [`BulkheadSnapshot`] has the same counts.
//!
//! | metric | kind | unit | labels | what |
//! |---|---|---|---|---|
//! | `reliability.bulkhead.calls` | counter | {call} | `result`: admitted, full, wait, abandoned | Calls, by result; wait: queued for too long, abandoned: dropped while queued |
//! | `reliability.bulkhead.rejections` | counter | {call} | `reason`: full, wait | Calls that were refused, by reason; wait: queued for too long |
//! | `reliability.bulkhead.usage` | gauge | {call} | | Calls that run |
//! | `reliability.bulkhead.limit` | gauge | {call} | | Calls that may run at a time |
//! | `reliability.bulkhead.queue.size` | gauge | {call} | | Queued calls |
//! | `reliability.queue.wait_time` | histogram | ms | | How long calls were queued that then ran |
//!
//! # What it costs
//!
//! While no call is queued, acquire is one compare-and-swap and release one subtraction on the packed state. While permits
//! are lent, they are a compare-and-swap and an addition on the thread's own stripe, and the packed state is only read.

mod call;
mod config;
mod error;
mod handle;
mod keyed;
mod permit;
mod snapshot;
#[cfg(all(test, not(c13_loom)))]
mod tests;

pub use call::BulkheadCall;
pub use config::BulkheadConfig;
pub use error::{BulkheadError, BulkheadRejected};
pub use handle::Bulkhead;
pub use keyed::KeyedBulkhead;
pub use permit::{Admission, OwnedPermit, Permit};
pub use snapshot::BulkheadSnapshot;
