//! The lines that `c13 run` prints while it waits for a lock, a permit, a limit or a breaker, and when. Pure.

use std::time::Duration;

use c13_reliability::time::Tick;

/// Why the command has not started yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Other processes hold what it needs: the words for that.
    Others(String),
    /// The backend cannot be asked: why.
    Backend(String),
}

/// The lines about one wait.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// What is waited for, as in "the lock `nightly`".
    what: String,
    /// Since when the backend cannot be asked, and how often that was printed.
    outage: Option<Outage>,
    /// When the last line about the backend was printed.
    last: Option<Tick>,
    reported_others: bool,
}

#[derive(Debug)]
struct Outage {
    since: Tick,
    said: usize,
}

/// When an outage is reported again, counted from its beginning; after the last of these, every [`EVERY`].
const AGAIN: [Duration; 3] = [Duration::ZERO, Duration::from_secs(10), Duration::from_secs(60)];
const EVERY: Duration = Duration::from_secs(300);
/// A backend that comes and goes is reported at most this often.
const QUIET: Duration = Duration::from_secs(10);

impl Waiting {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            outage: None,
            last: None,
            reported_others: false,
        }
    }

    /// The line to print now that `reason` was found, if any.
    ///
    /// An outage is reported at once, after 10 s, after a minute, and then every five minutes; other holders once.
    pub(crate) fn hear(&mut self, reason: &Reason, now: Tick) -> Option<String> {
        match reason {
            Reason::Others(who) => {
                self.outage = None;
                let first = !std::mem::replace(&mut self.reported_others, true);
                first.then(|| format!("waiting for {}: {who}", self.what))
            }
            Reason::Backend(cause) => {
                let outage = self.outage.get_or_insert(Outage { since: now, said: 0 });
                let due = outage.since + due(outage.said);
                let quiet = self.last.is_some_and(|last| now < last + QUIET);
                if now < due || quiet {
                    return None;
                }
                let lasted = now - outage.since;
                // A report that came late stands for all that were due.
                while outage.since + self::due(outage.said) <= now {
                    outage.said += 1;
                }
                self.last = Some(now);
                Some(if lasted.is_zero() {
                    format!("cannot ask for {}, trying again: {cause}", self.what)
                } else {
                    let seconds = seconds(lasted);
                    format!("cannot ask for {} for {seconds} s, trying again: {cause}", self.what)
                })
            }
        }
    }

    /// Since when the backend cannot be asked, as far as is known.
    pub(crate) fn outage_since(&self) -> Option<Tick> {
        self.outage.as_ref().map(|outage| outage.since)
    }

    /// For how long the backend could not be asked by now, as far as is known.
    pub(crate) fn outage(&self, now: Tick) -> Option<Duration> {
        self.outage_since().map(|since| now - since)
    }
}

/// So many seconds, rounded: a wait of ten that ends some milliseconds early was one of ten.
pub(crate) fn seconds(lasted: Duration) -> u64 {
    lasted.saturating_add(Duration::from_millis(500)).as_secs()
}

/// How long after its beginning an outage is reported for the `n`th time.
fn due(n: usize) -> Duration {
    match AGAIN.get(n) {
        Some(due) => *due,
        None => AGAIN[AGAIN.len() - 1] + EVERY * u32::try_from(n + 1 - AGAIN.len()).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Tick {
        Tick::from_nanos(seconds * 1_000_000_000)
    }

    fn down() -> Reason {
        Reason::Backend("connection refused".to_owned())
    }

    fn held() -> Reason {
        Reason::Others("another process holds the lock".to_owned())
    }

    /// The seconds at which something was said, of one report a second that `reason` gives.
    fn said(waiting: &mut Waiting, seconds: std::ops::Range<u64>, reason: impl Fn(u64) -> Reason) -> Vec<u64> {
        seconds
            .filter(|second| waiting.hear(&reason(*second), at(*second)).is_some())
            .collect()
    }

    #[test]
    fn an_outage_is_told_at_once_and_then_now_and_again() {
        let mut waiting = Waiting::new("the lock `k`");
        assert_eq!(
            said(&mut waiting, 5..1_000, |_| down()),
            [5, 15, 65, 365, 665, 965],
            "from its beginning: 0 s, 10 s, 1 min, then every 5 min"
        );
    }

    #[test]
    fn the_lines_say_what_is_waited_for_why_and_for_how_long() {
        let mut waiting = Waiting::new("the lock `k`");
        assert_eq!(
            waiting.hear(&down(), at(5)).as_deref(),
            Some("cannot ask for the lock `k`, trying again: connection refused")
        );
        assert_eq!(
            waiting.hear(&down(), at(17)).as_deref(),
            Some("cannot ask for the lock `k` for 12 s, trying again: connection refused")
        );
        assert_eq!(
            waiting.hear(&held(), at(18)).as_deref(),
            Some("waiting for the lock `k`: another process holds the lock")
        );
    }

    #[test]
    fn a_wait_is_told_in_the_nearest_whole_seconds() {
        let told = [0, 499, 500, 9_499, 9_981, 10_000, 10_499].map(|ms| seconds(Duration::from_millis(ms)));
        assert_eq!(told, [0, 0, 1, 9, 10, 10, 10]);
        assert_eq!(seconds(Duration::MAX), u64::MAX);
    }

    #[test]
    fn a_report_that_comes_late_is_told_once() {
        let mut waiting = Waiting::new("the lock `k`");
        assert!(waiting.hear(&down(), at(0)).is_some());
        assert!(waiting.hear(&down(), at(400)).is_some());
        assert_eq!(said(&mut waiting, 401..1_000, |_| down()), [660, 960]);
    }

    #[test]
    fn holders_are_told_once_and_an_outage_that_begins_later_at_once() {
        let mut waiting = Waiting::new("the lock `k`");
        assert_eq!(said(&mut waiting, 0..100, |_| held()), [0]);
        assert_eq!(said(&mut waiting, 100..130, |_| down()), [100, 110]);
        assert_eq!(waiting.outage_since(), Some(at(100)));
        assert!(said(&mut waiting, 130..200, |_| held()).is_empty());
        assert_eq!(waiting.outage_since(), None);
        assert_eq!(said(&mut waiting, 200..230, |_| down()), [200, 210], "another outage");
    }

    #[test]
    fn a_backend_that_comes_and_goes_is_told_at_most_every_ten_seconds() {
        let mut waiting = Waiting::new("the lock `k`");
        let flapping = |second| if second % 2 == 0 { down() } else { held() };
        assert_eq!(said(&mut waiting, 0..31, flapping), [0, 1, 10, 20, 30]);
    }
}
