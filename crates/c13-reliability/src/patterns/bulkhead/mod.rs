//! Bulkhead: at most so many calls at a time, and so many in line.
//!
//! Use it so that one slow dependency cannot take all threads, connections or memory. What does not fit waits its turn,
//! first come first served, if there is a queue, and is refused at once if not.
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
//! | running | in line | it |
//! |---|---|---|
//! | fewer than `max_concurrent` | nobody | runs at once |
//! | | somebody, but fewer than `max_queue` | waits behind them: nobody overtakes |
//! | `max_concurrent` | fewer than `max_queue` | waits, for `max_wait` and until its deadline at most |
//! | `max_concurrent` | `max_queue` | is refused |
//!
//! A bulkhead can be [resized](Bulkhead::resize) while calls run: up wakes waiters at once, down takes effect as running
//! calls end.
//!
//! # Calls that are not polled
//!
//! A call that is let in from the line has 1 s to be polled. After that its place is given to the next one, as soon as the
//! line is looked at: by a call that gets in line, by one whose wait ends, by one that is refused, or where another place is
//! given back while somebody waits. The call itself is then before all others when it is polled again. So a bulkhead whose
//! calls wait without a limit, and that no other call comes to, keeps waiting for a call that is never polled.
//!
//! A call that was polled inside the bulkhead has its place until its future is finished or dropped: nobody else can know
//! that it will not be polled any more.
//!
//! # Many threads
//!
//! All threads that come and go change one word, which moves from processor to processor. When two threads meet there, and
//! at least half of the places are free, at least eight for every thread that uses this crate, places are lent: a thread
//! that goes out keeps the place at hand for the next call that comes in on it, up to eight of them, on a line of its own. A
//! call that finds no place, neither at hand nor in the word, ends that: all that lies free with any thread is given back, and
//! then it looks again. So it is exact all the time: never more run than may, and no call waits or is refused while a place is
//! free, unless it is in the hands of somebody who gives it back, right after a line has formed or the limit was lowered.
//! While anybody is in line nothing that is lent is used, so that nobody overtakes.
//!
//! From when places were first lent, counting those inside looks at 65 lines.
//!
//! # How it compares
//!
//! resilience4j and failsafe-go bound how long a call waits and not how many do; Polly the other way round. Here both are
//! bounded, and the limits can be changed while calls wait. More in `docs/patterns-compared.md`.
//!
//! # Settings
//!
//! | [`BulkheadConfig`] | default | |
//! |---|---|---|
//! | `max_concurrent` | none: it must be given | calls that run at a time |
//! | `max_queue` | 0 | calls in line |
//! | `max_wait` | 0 | how long a call may stay in line; [`Duration::MAX`](std::time::Duration::MAX) is no limit |
//!
//! # Metrics
//!
//! What a bulkhead in a [registry](crate::snapshot::Registry) reports. [`BulkheadSnapshot`] has the same counts.
//!
//! | metric | kind | unit | labels | what |
//! |---|---|---|---|---|
//! | `reliability.bulkhead.calls` | counter | {call} | `result`: entered, full, wait, abandoned | Calls, by result; wait: queued for too long, abandoned: dropped while queued |
//! | `reliability.bulkhead.rejections` | counter | {call} | `reason`: full, wait | Calls that were refused, by reason; wait: queued for too long |
//! | `reliability.bulkhead.usage` | gauge | {call} | | Calls that run |
//! | `reliability.bulkhead.limit` | gauge | {call} | | Calls that may run at a time |
//! | `reliability.bulkhead.queue.size` | gauge | {call} | | Queued calls |
//! | `reliability.queue.wait_time` | histogram | ms | | How long calls were queued that then ran |
//!
//! # What it costs
//!
//! Without anybody in line, coming in is one compare-and-swap and going out one subtraction on the same word. Where
//! places are lent, they are a compare-and-swap and an addition on a line of the thread's own, and the word is only read.

mod call;
mod config;
mod error;
mod handle;
mod permit;
mod snapshot;
#[cfg(all(test, not(c13_loom)))]
mod tests;

pub use call::BulkheadCall;
pub use config::BulkheadConfig;
pub use error::{BulkheadError, BulkheadRejected};
pub use handle::Bulkhead;
pub use permit::{Admission, OwnedPermit, Permit};
pub use snapshot::BulkheadSnapshot;
