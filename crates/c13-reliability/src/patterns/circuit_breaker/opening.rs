//! Why a circuit is open, in numbers.

use super::config::Window;
use super::snapshot::TransitionReason;
use crate::gate::Cause;
use crate::time::Rounded;
use std::fmt;
use std::time::Duration;

/// Why a circuit opened: the rule that was met, its numbers at that moment, and the last call that counted for it.
///
/// It displays as the reason in an error: `3 failures in 30 s, the last: timed out after 400 ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opening {
    /// The rule that was met, or what else opened the circuit.
    pub reason: TransitionReason,
    /// How many calls failed, or were slow under the rule for slow calls, where a rule was met.
    pub bad_calls: u64,
    /// How many calls these were among, where the rule counts them.
    pub calls: Option<u64>,
    /// The calls or the time that the rule looks at, where it does not look at all calls in a row.
    pub window: Option<Window>,
    /// The last call that counted.
    pub last: Cause,
    /// How long the circuit opened for; `None` if that is until it is set by hand to another state.
    pub open_for: Option<Duration>,
}

impl Opening {
    /// An opening without numbers.
    pub(super) fn because(reason: TransitionReason) -> Self {
        Self {
            reason,
            bad_calls: 0,
            calls: None,
            window: None,
            last: Cause::Unknown,
            open_for: None,
        }
    }

    /// The same, with the last call that counted.
    pub(super) fn by(self, last: Cause) -> Self {
        Self { last, ..self }
    }

    /// An opening by a rule that counts calls.
    pub(super) fn counted(
        reason: TransitionReason,
        bad_calls: u64,
        calls: Option<u64>,
        window: Option<Window>,
    ) -> Self {
        Self {
            bad_calls,
            calls,
            window,
            ..Self::because(reason)
        }
    }
}

impl fmt::Display for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bad, calls) = (self.bad_calls, self.calls.unwrap_or_default());
        let plural = if bad == 1 { "" } else { "s" };
        match self.reason {
            TransitionReason::ConsecutiveFailures => write!(f, "{bad} failure{plural} in a row")?,
            TransitionReason::FailuresWithin => write!(f, "{bad} failure{plural}{}", Within(self.window))?,
            TransitionReason::FailureRate => {
                write!(f, "{bad} failure{plural} among {calls} calls{}", Within(self.window))?;
            }
            TransitionReason::SlowCalls => {
                write!(f, "{bad} slow call{plural} among {calls}{}", Within(self.window))?;
            }
            TransitionReason::Dictated => f.write_str("the dependency asked not to be called")?,
            TransitionReason::ProbeFailed => f.write_str("a probe failed")?,
            TransitionReason::ProbesTimedOut => f.write_str("its probes did not end in time")?,
            TransitionReason::RecoveryFailed => f.write_str("too many calls failed during its recovery")?,
            TransitionReason::Manual => f.write_str("by hand")?,
            // No other reason opens a circuit.
            other => other.fmt(f)?,
        }
        match self.last {
            Cause::Unknown => Ok(()),
            last => write!(f, ", the last: {last}"),
        }
    }
}

/// The end of a sentence about the calls in a window.
struct Within(Option<Window>);

impl fmt::Display for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(Window::Time(time)) => write!(f, " in {}", Rounded(time)),
            // How many calls they are is said before.
            Some(Window::Calls(_)) | None => Ok(()),
        }
    }
}
