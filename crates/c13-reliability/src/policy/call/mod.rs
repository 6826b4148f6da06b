//! The way of a call through a policy. Read the files in this order:
//!
//! 1. `future`: what [`Policy::call`](super::Policy::call) returns. Its first poll takes the fast path; whatever does not
//!    end there goes on in the slow path.
//! 2. `fast_path`: a call that every layer admits at once and whose first attempt is ready at its first poll.
//! 3. `slow_path`: everything else, as a loop over steps: wait for admission, wait for the delay of a retry, make an attempt.
//! 4. `sync`: a call that is a plain function. It never waits, and is made once.
//!
//! All of them are made of the same pieces:
//!
//! - `progress`: when the call started, when it must end, and how many attempts it has made.
//! - `admission`: the layers that admit a call and its attempts, in their order.
//! - `held`: what a call has taken from the layers. Its `Drop` gives everything back.
//! - `kept`: what outlives the call, because its value is used up later.
//! - `attempt`: polls one attempt, reports it to the circuit breaker and drops it.
//! - `hedge`: attempts that run at the same time.
//! - `outcome`: what follows an attempt: another one after a delay, or the end of the call.
//! - `limit`: the time limits of calls and attempts, and which timeouts count against the dependency.
//! - `rules`: what the caller says that a result means.
//! - `events`: what a call reports off the fast path: refusals, timeouts, retries, hedges.
//! - `span`: the spans of calls and attempts, where a subscriber wants them.
//! - `extra_limit`: the rate limit that [`Policy::limit_by`](super::Policy::limit_by) adds.
//!
//! What a call is made of, by type:
//!
//! | type | in | what it is |
//! |---|---|---|
//! | `PolicyCall` | `future` | the future of a call |
//! | `Progress` | `progress` | the numbers of a call: limit, time, attempts |
//! | `Tickets` | `held` | what the call has taken, as plain numbers |
//! | `Held` | `held` | tickets while the call is polled; dropped by a panic, the attempt has failed |
//! | `Suspended` | `held` | tickets between two polls; dropped then, the attempt was abandoned |
//! | `CallPermit` | `kept` | the permits of a call that gave its value and goes on |
//! | `CallStep` | `admission` | what a call does next: wait at one of three layers, or make an attempt |
//! | `Blocked` | `admission` | why a call does not go on: too late, refused, or it has to wait |
//! | `Left` | `fast_path` | all of a call that leaves the fast path |
//! | `Unfinished` | `outcome` | a call off the fast path: progress, retry's state, last result |
//! | `Waiting` | `slow_path` | `Unfinished` and `Suspended`: a call whose first attempt waits, between two polls |
//! | `PolledCall` | `outcome` | `Unfinished` and `Held`: such a call for the time of a poll, or a call on the slow path |
//! | `Unsettled` | `attempt` | how an attempt ended, if its value does not end the call |
//! | `Next` | `outcome` | the end of the call, or the next step |

mod admission;
mod attempt;
mod events;
mod extra_limit;
mod fast_path;
mod future;
mod hedge;
mod held;
mod kept;
mod limit;
mod outcome;
mod progress;
mod rules;
mod slow_path;
mod span;
mod sync;

pub(super) use extra_limit::ExtraLimit;
pub(super) use future::{call, call_keeping, call_once, once};
pub use kept::CallPermit;
pub(super) use limit::{CallLimit, Length};
pub(super) use rules::{Cautious, Given, Once, Rules};
pub(super) use sync::call_sync;
