//! The task behind one acquisition: it contends for the lock, renews it, and releases it, even if the caller is gone.

use super::backend::{Attempted, Claim, Released, Status};
use super::error::{AcquireError, BackendError, BackendErrorKind};
use super::guard::{Held, LockGuard, Phase, ReleaseCall};
use super::shared::SharedLock;
use super::snapshot::LockCount;
use super::state::{Lease, Loss, Step};
use super::validity::Validity;
use super::waiting::{Reports, Waiting};
use crate::distributed::fence::Fence;
use crate::time::{Elapsed, Tick};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};

type Answer = oneshot::Sender<Result<LockGuard, AcquireError>>;

/// How long an acquisition may take.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// How long it waits for a holder; zero for one request and no wait.
    pub(super) wait: Duration,
    /// How much time the caller's deadline leaves.
    pub(super) left: Option<Duration>,
}

/// Contends for the lock for as long as `patience` says, answers, and then keeps the lock until it is released or lost.
///
/// One task does all of it, so that nothing is left behind wherever the caller stops waiting: an attempt without a caller is
/// abandoned, and a guard that no caller received is dropped and so released.
pub(super) async fn run(
    lock: Arc<SharedLock>,
    patience: Patience,
    reports: Option<watch::Sender<Option<Waiting>>>,
    mut answer: Answer,
) {
    let asked = lock.clock.now();
    let mut attempt = Attempt {
        claim: lock.claim(),
        lock,
        pending: Pending::Nothing,
        hold_until: Tick::ZERO,
    };
    let reports = Reports::new(reports, attempt.lock.config.fallback_poll);
    let contended = tokio::select! {
        biased;
        () = answer.closed() => None,
        granted = attempt.contend(patience, reports) => Some(granted),
    };
    let tally = &attempt.lock.tally;
    let granted = match contended {
        Some(Ok(granted)) => {
            tally.acquired(attempt.lock.clock.now() - asked);
            granted
        }
        Some(Err(error)) => {
            tally.count(match error {
                AcquireError::NotAcquired { .. } => LockCount::NotAcquired,
                AcquireError::Backend(_) => LockCount::Failed,
            });
            // An error means that the caller is gone.
            drop(answer.send(Err(error)));
            return attempt.abandon().await;
        }
        None => {
            tally.count(LockCount::Abandoned);
            return attempt.abandon().await;
        }
    };
    attempt.hold_until = attempt.lock.clock.now() + attempt.lock.config.min_hold;
    let (release, released) = oneshot::channel();
    let held = Arc::new(Held {
        validity: Validity::new(granted.lease.valid_until()),
        clock: attempt.lock.clock.clone(),
        fence: granted.fence,
        ends_at: granted.lease.ends_at(),
        names: attempt.claim.names.clone(),
        phase: watch::Sender::new(Phase::Offered),
    });
    let guard = LockGuard::new(held.clone(), release);
    // If the caller is gone, the guard comes back, is dropped here, and so the lock is released below.
    drop(answer.send(Ok(guard)));
    attempt.keep(granted.lease, &held, released).await;
}

struct Granted {
    lease: Lease,
    fence: Fence,
}

/// What an attempt may have left at the backend.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Pending {
    /// Nothing: every request was answered.
    Nothing,
    /// A place in the queue.
    Place,
    /// A lock perhaps, because a request sent then was not answered.
    Unknown { sent: Tick },
}

struct Attempt {
    lock: Arc<SharedLock>,
    claim: Claim,
    pending: Pending,
    /// Until when the lock stays taken at least, once it is granted.
    hold_until: Tick,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        // Nothing is left after a release. A task that is dropped with its runtime comes here too, and cannot ask.
        self.lock.backend.release_unattended(&self.claim);
    }
}

/// Notifies the holder, when dropped, that no task renews the lock any more.
struct Kept<'a>(&'a Held);

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        self.0.phase.send_if_modified(|phase| {
            let kept = matches!(*phase, Phase::Offered | Phase::Held);
            if kept {
                *phase = Phase::Lost(Loss::Unattended);
            }
            kept
        });
        self.0.validity.revoke();
    }
}

impl Attempt {
    async fn contend(&mut self, patience: Patience, mut reports: Reports) -> Result<Granted, AcquireError> {
        let lock = self.lock.clone();
        let begun = lock.clock.now();
        let wait = patience.left.map_or(patience.wait, |left| left.min(patience.wait));
        let deadline = begun + wait;
        // A caller that does not wait asks once, with the usual time limit of a request.
        let ask_by = begun
            + match patience.left {
                Some(left) => left,
                None if wait.is_zero() => lock.config.request_limit(),
                None => wait,
            };
        // Fair locks queue at the backend, and a caller that does not wait asks at once.
        let _turn = if wait.is_zero() || lock.config.fair {
            None
        } else {
            lock.turn(deadline, &mut reports).await?
        };
        if wait.is_zero() {
            // A caller that does not wait does not queue.
            self.claim.queue = None;
        }
        let mut watch = None;
        let mut failing_since = None;
        // What is known of the lock's holder, and since when.
        let mut known = None;
        loop {
            let sent = lock.clock.now();
            let held = match self.ask(ask_by).await {
                Ok(Asked::Granted(granted)) => return Ok(granted),
                Ok(Asked::Held { lapses_in }) => Ok(lapses_in),
                Err(error) if error.kind == BackendErrorKind::Refused => return Err(error.into()),
                Err(error) => match known {
                    // The wait ended before the request's own limit, so what was known before still counts.
                    Some((lapses_in, asked)) if sent + lock.config.request_limit() > ask_by => {
                        return Err(not_acquired(lapses_in, lock.clock.now() - asked));
                    }
                    _ => Err(error),
                },
            };
            let now = lock.clock.now();
            known = held.as_ref().ok().map(|lapses_in| (*lapses_in, now));
            let deadline = if held.is_ok() {
                failing_since = None;
                deadline
            } else {
                let since = *failing_since.get_or_insert(sent);
                lock.config
                    .backend_wait
                    .map_or(deadline, |wait| deadline.min(since + wait))
            };
            let give_up = |now: Tick| match &held {
                Ok(lapses_in) => not_acquired(*lapses_in, now - sent),
                Err(error) => error.clone().into(),
            };
            if now >= deadline {
                return Err(give_up(now));
            }
            if let Err(cause) = &held
                && failing_since == Some(sent)
            {
                lock.report_backend(cause);
            }
            if self.pending > Pending::Place {
                // The next request must not be taken for this one.
                self.abandon_and_rename();
            }
            self.report(&held, deadline, &mut reports).await;
            if watch.is_none() {
                let subscribed = lock.backend.watch(&self.claim);
                let until = deadline.min(now + lock.config.request_limit());
                match lock.clock.timeout_at(until, subscribed).await {
                    Ok(Ok(subscribed)) => {
                        watch = Some(subscribed);
                        // A release before the watch began is found by asking again.
                        continue;
                    }
                    Ok(Err(cause)) => lock.report_deafness(&cause),
                    Err(_) => lock.report_deafness(&BackendError::unanswered(until - now)),
                }
            }
            let poll = lock.backend.poll_interval().unwrap_or(lock.config.fallback_poll);
            let poll = poll + Duration::from_nanos(lock.random.below(poll.as_nanos() as u64 / 4));
            let look = match &held {
                // A moment later than it lapses, for the clocks' grain.
                Ok(Some(lapses_in)) => poll.min(*lapses_in + Duration::from_millis(1)),
                Ok(None) => poll,
                // A backend that does not answer is asked again sooner than one that has answered.
                Err(_) => poll.min(lock.config.request_limit()),
            };
            let until = deadline.min(now + look);
            match &mut watch {
                Some(watch) => {
                    // Either way it is time to ask.
                    let _: Result<(), Elapsed> = lock.clock.timeout_at(until, watch.woken(&self.claim.owner)).await;
                }
                None => lock.clock.sleep_until(until).await,
            }
            let now = lock.clock.now();
            if now >= deadline {
                return Err(give_up(now));
            }
        }
    }

    /// Reports to the observer of this acquisition what it waits for, if a report is due.
    async fn report(&self, held: &Result<Option<Duration>, BackendError>, deadline: Tick, reports: &mut Reports) {
        let lock = &self.lock;
        let waiting = match held {
            Err(cause) => Waiting::ForBackend { cause: cause.clone() },
            Ok(lapses_in) => Waiting::ForHolder {
                status: Status {
                    lapses_in: *lapses_in,
                    ..Status::default()
                },
            },
        };
        let now = lock.clock.now();
        if !reports.is_due(&waiting, now) {
            return;
        }
        let waiting = match waiting {
            Waiting::ForHolder { status } => {
                let until = deadline.min(now + lock.config.request_limit());
                let asked = lock.clock.timeout_at(until, lock.backend.status(&lock.names[0])).await;
                // The holder cannot be named, but it is known that there is one.
                let status = asked.ok().and_then(Result::ok).unwrap_or(status);
                Waiting::ForHolder { status }
            }
            waiting => waiting,
        };
        reports.report(waiting, now);
    }

    /// Asks once, until `ask_by` at the latest, and returns what the answer means now.
    async fn ask(&mut self, ask_by: Tick) -> Result<Asked, BackendError> {
        let whole = self.lock.clock.now() + self.lock.config.request_limit() <= ask_by;
        let asked = self.ask_now(ask_by).await;
        // A request that was cut short says nothing about the backend.
        if whole || asked.is_ok() {
            *self.lock.failing.lock() = asked.as_ref().err().cloned();
        }
        asked
    }

    async fn ask_now(&mut self, ask_by: Tick) -> Result<Asked, BackendError> {
        let lock = &self.lock;
        let sent = lock.clock.now();
        let before = std::mem::replace(&mut self.pending, Pending::Unknown { sent });
        let limit = lock.config.request_limit().min(ask_by - sent);
        let attempted = match lock.clock.timeout(limit, lock.backend.acquire(&self.claim)).await {
            Ok(Ok(attempted)) => attempted,
            Ok(Err(error)) => {
                if error.kind != BackendErrorKind::Unanswered {
                    self.pending = before;
                }
                return Err(error);
            }
            Err(_) => return Err(BackendError::unanswered(limit)),
        };
        match attempted {
            Attempted::Granted { fence } => match Lease::granted(lock.terms, sent, lock.clock.now()) {
                Some(lease) => Ok(Asked::Granted(Granted { lease, fence })),
                None => Err(BackendError::new(
                    BackendErrorKind::Unanswered,
                    "the answer took longer than the lease",
                )),
            },
            Attempted::Held { lapses_in, unsettled } => {
                self.pending = if unsettled {
                    Pending::Unknown { sent }
                } else if self.claim.queue.is_some() {
                    Pending::Place
                } else {
                    Pending::Nothing
                };
                Ok(Asked::Held { lapses_in })
            }
            Attempted::Buried => {
                self.pending = Pending::Nothing;
                self.claim = self.claim.renamed();
                Ok(Asked::Held { lapses_in: None })
            }
        }
    }

    /// Leaves the unanswered request to a task of its own, and goes on under another owner's name.
    fn abandon_and_rename(&mut self) {
        let renamed = self.claim.renamed();
        let left = Self {
            lock: self.lock.clone(),
            claim: std::mem::replace(&mut self.claim, renamed),
            pending: std::mem::replace(&mut self.pending, Pending::Nothing),
            hold_until: Tick::ZERO,
        };
        tokio::spawn(left.abandon());
    }

    /// Releases what the attempt may have left at the backend, and buries it if one of its requests may still be under way.
    async fn abandon(self) {
        let lock = &self.lock;
        let (bury, until) = match self.pending {
            Pending::Nothing => return,
            Pending::Place => (false, lock.clock.now() + lock.config.lease),
            Pending::Unknown { sent } => (true, sent + lock.config.tombstone()),
        };
        self.give_back(bury, until).await.unwrap_or(Released::NotHeld);
    }

    /// Repeats the release until it is confirmed, or until `until`, from which on it does not matter any more.
    async fn give_back(&self, bury: bool, until: Tick) -> Result<Released, BackendError> {
        let lock = &self.lock;
        let limit = lock.config.request_limit();
        loop {
            let error = match lock.clock.timeout(limit, lock.backend.release(&self.claim, bury)).await {
                Ok(Ok(released)) => return Ok(released),
                Ok(Err(error)) => error,
                Err(_) => BackendError::unanswered(limit),
            };
            if lock.clock.now() + limit >= until || error.kind == BackendErrorKind::Refused {
                return Err(error);
            }
            lock.clock.sleep(limit).await;
        }
    }

    /// Renews the lock until it is released or lost.
    async fn keep(mut self, mut lease: Lease, held: &Held, mut release: oneshot::Receiver<ReleaseCall>) {
        let _kept = Kept(held);
        let (clock, tally) = (&self.lock.clock, &self.lock.tally);
        let mut unclaimed = pin!(held.unclaimed());
        let mut is_offered = true;
        // What the last renewal failed with.
        let mut failed = None;
        let loss = loop {
            match lease.step(clock.now()) {
                Step::Lost(loss) => break Err(loss),
                Step::WaitUntil(at) => tokio::select! {
                    biased;
                    call = &mut release => break Ok(call.ok()),
                    () = &mut unclaimed, if is_offered => {
                        is_offered = false;
                        if held.withdraw() {
                            break Ok(None);
                        }
                    }
                    () = clock.sleep_until(at) => {}
                },
                Step::Renew { until } => {
                    let (sent, from) = (clock.now(), lease.valid_until());
                    self.claim.hold = self.hold_until - sent;
                    let renewed = clock.timeout_at(until, self.lock.backend.renew(&self.claim));
                    let renewed = tokio::select! {
                        biased;
                        call = &mut release => break Ok(call.ok()),
                        renewed = renewed => renewed,
                    };
                    tally.count(match renewed {
                        Ok(Ok(true)) => LockCount::Renewed,
                        _ => LockCount::RenewalFailed,
                    });
                    match renewed {
                        Ok(Ok(true)) => {
                            failed = None;
                            let confirmed = lease.renewed(sent, clock.now()).is_ok();
                            if confirmed && !held.validity.extend(from, lease.valid_until()) {
                                // A check has reported that the lease is over, and that stands.
                                break Err(Loss::Expired);
                            }
                        }
                        Ok(Ok(false)) => lease.refused(),
                        Ok(Err(error)) => {
                            failed = Some(error);
                            lease.unanswered(clock.now());
                        }
                        Err(_) => {
                            failed = Some(BackendError::unanswered(clock.now() - sent));
                            lease.unanswered(clock.now());
                        }
                    }
                }
            }
        };
        // A lock without a lease does not lapse by itself, but its holder gets a lease all the same.
        let lapses_at = lease.lapses_at().min(clock.now() + self.lock.config.lease);
        let until = lapses_at + self.lock.config.lease;
        self.claim.keep = self.hold_until - clock.now();
        match loss {
            Err(loss) => {
                tally.count(LockCount::Lost);
                #[cfg(feature = "tracing")]
                tracing::warn!(target: "c13::lock", names = ?held.names, reason = %loss, cause = ?failed, "the lock is lost");
                #[cfg(not(feature = "tracing"))]
                drop(failed);
                held.phase.send_replace(Phase::Lost(loss));
                held.validity.revoke();
                if loss == Loss::HeldTooLong {
                    // The holder is notified now, and has the rest of the lease to stop.
                    answer_lost(&mut release);
                    clock.sleep_until(lapses_at).await;
                }
                // Waiters need not wait for the rest of the backend's lease, if some of it is left.
                let first = self.release_once().await;
                answer_lost(&mut release);
                self.insist(&first, until).await;
            }
            Ok(call) => {
                tally.count(LockCount::Released);
                held.phase.send_replace(Phase::Ended);
                held.validity.revoke();
                let first = self.release_once().await;
                if let Some(call) = call {
                    // An error means that the caller is gone.
                    drop(call.send(first.clone()));
                }
                self.insist(&first, until).await;
            }
        }
    }

    /// Releases the lock, within the time of one request.
    async fn release_once(&self) -> Result<Released, BackendError> {
        let lock = &self.lock;
        let limit = lock.config.request_limit();
        let released = lock.clock.timeout(limit, lock.backend.release(&self.claim, false));
        released.await.unwrap_or_else(|_| Err(BackendError::unanswered(limit)))
    }

    /// Repeats the release if the first one was not confirmed.
    async fn insist(&self, first: &Result<Released, BackendError>, until: Tick) {
        if matches!(first, Err(error) if error.kind != BackendErrorKind::Refused) {
            drop(self.give_back(false, until).await);
        }
    }
}

/// Answers a holder that releases a lost lock, now or later, that there is nothing to release.
fn answer_lost(release: &mut oneshot::Receiver<ReleaseCall>) {
    release.close();
    if let Ok(call) = release.try_recv() {
        // An error means that the caller is gone.
        drop(call.send(Ok(Released::NotHeld)));
    }
}

/// The error for a lock that another holder has, whose lease had so much left when the backend was `asked` so long ago.
fn not_acquired(lapses_in: Option<Duration>, asked: Duration) -> AcquireError {
    AcquireError::NotAcquired {
        retry_after: lapses_in.map(|lapses_in| lapses_in.saturating_sub(asked)),
    }
}

enum Asked {
    Granted(Granted),
    Held { lapses_in: Option<Duration> },
}
