//! A lease as its holder sees it: until when it is valid, when it is renewed, and whether it is lost. Pure.

use super::config::LockConfig;
use crate::time::Tick;
use std::fmt;
use std::time::Duration;

/// Why a lock is no longer safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Loss {
    /// The lease ran out before a renewal was confirmed.
    Expired,
    /// The backend said that the lock is no longer this holder's.
    Refused,
    /// The runtime whose task kept the lock was shut down.
    Unattended,
    /// It was held for [`max_hold`](LockConfig::max_hold).
    HeldTooLong,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "the lease ran out before a renewal was confirmed",
            Self::Refused => "the lock is no longer this holder's",
            Self::Unattended => "the runtime whose task kept it was shut down",
            Self::HeldTooLong => "it was held for as long as its settings allow",
        })
    }
}

/// What the holder does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing before this time.
    WaitUntil(Tick),
    /// Ask for a renewal now, and wait for the answer until this time at the most.
    Renew { until: Tick },
    /// The lock is lost, for good.
    Lost(Loss),
}

/// How long a grant is trusted, and how it is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// The lease less the margin.
    trusted: Duration,
    renew_every: Duration,
    request_limit: Duration,
    max_hold: Option<Duration>,
}

impl Terms {
    /// The terms that follow from these settings. Without a lease, the holder checks every `look` that it still has the lock.
    pub(crate) fn of(config: &LockConfig, look: Option<Duration>) -> Self {
        let renew_every = config.renew_interval();
        Self {
            trusted: match look {
                Some(_) => Duration::MAX,
                None => config.lease.saturating_sub(config.margin()),
            },
            renew_every: look.map_or(renew_every, |look| look.min(renew_every)),
            request_limit: config.request_limit(),
            max_hold: config.max_hold,
        }
    }

    /// Until when a grant is trusted, if its request was about to be sent at `sent`.
    ///
    /// Counted from before the sending, never from the reply: the server's lease began at some moment between the two.
    pub(crate) fn valid_until(&self, sent: Tick) -> Tick {
        sent + self.trusted
    }
}

/// One grant, from its reply to its loss. A lost grant never becomes valid again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lease {
    terms: Terms,
    /// When the backend takes the lock for free, unless it is renewed.
    lapses_at: Tick,
    /// When it has been held for as long as it may be.
    ends_at: Tick,
    renew_at: Tick,
    lost: Option<Loss>,
}

impl Lease {
    /// A grant whose request was about to be sent at `sent` and whose reply came at `now`; `None` if it came too late.
    pub(crate) fn granted(terms: Terms, sent: Tick, now: Tick) -> Option<Self> {
        let lapses_at = terms.valid_until(sent);
        (now < lapses_at).then_some(Self {
            terms,
            lapses_at,
            ends_at: terms.max_hold.map_or(Tick::MAX, |most| now + most),
            renew_at: sent + terms.renew_every,
            lost: None,
        })
    }

    /// Until when the lock is safe, unless it is renewed or lost.
    pub(crate) fn valid_until(&self) -> Tick {
        self.lapses_at.min(self.ends_at)
    }

    /// When it has been held for as long as it may be, however often it is renewed.
    pub(crate) const fn ends_at(&self) -> Tick {
        self.ends_at
    }

    /// When the backend takes the lock for free, however long it may be held.
    pub(crate) const fn lapses_at(&self) -> Tick {
        self.lapses_at
    }

    /// What to do at `now`.
    pub(crate) fn step(&mut self, now: Tick) -> Step {
        if let Some(loss) = self.lost_at(now) {
            return Step::Lost(loss);
        }
        if now >= self.renew_at {
            return Step::Renew {
                until: self.valid_until().min(now + self.terms.request_limit),
            };
        }
        Step::WaitUntil(self.renew_at.min(self.valid_until()))
    }

    /// Records that a renewal that was about to be sent at `sent` was confirmed at `now`.
    ///
    /// # Errors
    ///
    /// The loss, if the lease was over when the confirmation came: another holder may have had the lock in between.
    pub(crate) fn renewed(&mut self, sent: Tick, now: Tick) -> Result<(), Loss> {
        if let Some(loss) = self.lost_at(now) {
            return Err(loss);
        }
        self.lapses_at = self.lapses_at.max(self.terms.valid_until(sent));
        self.renew_at = sent + self.terms.renew_every;
        Ok(())
    }

    /// Records that the backend said that the lock is not this holder's.
    pub(crate) fn refused(&mut self) {
        self.lost.get_or_insert(Loss::Refused);
    }

    /// Records that a renewal was not answered by `now`, or failed. That extends nothing, and the next renewal is due soon.
    pub(crate) fn unanswered(&mut self, now: Tick) {
        self.renew_at = now + self.terms.request_limit / 4;
    }

    fn lost_at(&mut self, now: Tick) -> Option<Loss> {
        if self.lost.is_none() && now >= self.ends_at {
            self.lost = Some(Loss::HeldTooLong);
        } else if self.lost.is_none() && now >= self.lapses_at {
            self.lost = Some(Loss::Expired);
        }
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: LockConfig = LockConfig::new(Duration::from_millis(600));

    fn at(ms: u64) -> Tick {
        Tick::from_nanos(ms * 1_000_000)
    }

    fn lease(sent: u64, now: u64) -> Option<Lease> {
        Lease::granted(Terms::of(&CONFIG, None), at(sent), at(now))
    }

    #[test]
    fn a_lease_counts_from_before_the_request_was_sent() {
        assert_eq!(lease(0, 500).map(|lease| lease.valid_until()), Some(at(592)));
        assert!(lease(0, 592).is_none(), "a grant that comes after its own end is none");
    }

    #[test]
    fn a_held_lock_is_renewed_at_a_third_of_the_lease() {
        let mut lease = lease(0, 5).unwrap();
        assert_eq!(lease.step(at(5)), Step::WaitUntil(at(200)));
        assert_eq!(lease.step(at(200)), Step::Renew { until: at(300) });
        assert_eq!(lease.renewed(at(200), at(203)), Ok(()));
        assert_eq!(lease.valid_until(), at(792));
        assert_eq!(lease.step(at(203)), Step::WaitUntil(at(400)));
    }

    #[test]
    fn a_renewal_without_an_answer_extends_nothing_and_is_tried_again() {
        let mut lease = lease(0, 5).unwrap();
        lease.unanswered(at(300));
        assert_eq!(lease.valid_until(), at(592));
        assert_eq!(lease.step(at(300)), Step::WaitUntil(at(325)));
        assert_eq!(lease.step(at(580)), Step::Renew { until: at(592) });
        assert_eq!(lease.step(at(592)), Step::Lost(Loss::Expired));
    }

    #[test]
    fn a_confirmation_after_the_end_changes_nothing() {
        let mut lease = lease(0, 5).unwrap();
        assert_eq!(lease.renewed(at(580), at(592)), Err(Loss::Expired));
        assert_eq!(lease.step(at(10)), Step::Lost(Loss::Expired), "and loss is for good");
    }

    #[test]
    fn a_refused_renewal_is_the_end() {
        let mut lease = lease(0, 5).unwrap();
        lease.refused();
        assert_eq!(lease.step(at(10)), Step::Lost(Loss::Refused));
        assert_eq!(lease.renewed(at(10), at(11)), Err(Loss::Refused));
    }

    #[test]
    fn without_a_lease_no_pause_ends_the_lock_and_only_a_refused_look_does() {
        let terms = Terms::of(
            &LockConfig::new(Duration::from_secs(30)),
            Some(Duration::from_millis(500)),
        );
        let mut lease = Lease::granted(terms, at(0), at(5)).unwrap();
        assert_eq!(lease.step(at(5)), Step::WaitUntil(at(500)));
        // A machine that was suspended for a year.
        let later = 365 * 86_400_000;
        assert_eq!(
            lease.step(at(later)),
            Step::Renew {
                until: at(later + 1_000)
            }
        );
        lease.unanswered(at(later + 1_000));
        assert_eq!(lease.step(at(later + 1_000)), Step::WaitUntil(at(later + 1_250)));
        assert_eq!(lease.renewed(at(later + 1_250), at(later + 1_251)), Ok(()));
        lease.refused();
        assert_eq!(lease.step(at(later + 1_251)), Step::Lost(Loss::Refused));
    }

    #[test]
    fn a_lock_is_lost_when_it_was_held_for_as_long_as_it_may_be_however_often_it_was_renewed() {
        let terms = Terms::of(&CONFIG.max_hold(Duration::from_millis(1_000)), None);
        let mut lease = Lease::granted(terms, at(0), at(5)).unwrap();
        for sent in [200, 400, 600, 800] {
            assert_eq!(lease.renewed(at(sent), at(sent + 3)), Ok(()));
        }
        assert_eq!((lease.valid_until(), lease.lapses_at()), (at(1_005), at(1_392)));
        assert_eq!(lease.step(at(1_000)), Step::Renew { until: at(1_005) });
        assert_eq!(lease.renewed(at(1_000), at(1_004)), Ok(()));
        assert_eq!(lease.valid_until(), at(1_005), "a renewal moves nothing beyond it");
        assert_eq!(lease.step(at(1_005)), Step::Lost(Loss::HeldTooLong));
    }

    #[test]
    fn a_late_answer_to_an_older_renewal_never_shortens_the_lease() {
        let mut lease = lease(0, 5).unwrap();
        assert_eq!(lease.renewed(at(300), at(310)), Ok(()));
        assert_eq!(lease.renewed(at(200), at(320)), Ok(()));
        assert_eq!(lease.valid_until(), at(892));
    }
}
