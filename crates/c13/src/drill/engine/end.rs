//! How a call ends for its caller: in exactly one of these ways.

/// How a call ended. Every figure that counts calls counts these, and together they are all calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallEnd {
    /// Answered within the caller's deadline: goodput.
    InTime,
    /// Answered after the deadline, to a caller that was still waiting.
    Late,
    /// The dependency worked on it and failed.
    Failed,
    /// The dependency refused it: its queue was full, or it had an outage.
    Refused,
    /// Over the policy's rate limit.
    RateLimit,
    /// The policy's bulkhead was full.
    Bulkhead,
    /// Over the policy's adaptive limit.
    AdaptiveLimit,
    /// The policy's circuit was open.
    CircuitBreaker,
    /// Cut off by a time limit of the policy, of the call or of its last attempt.
    Timeout,
    /// Cut off by the caller's deadline.
    Deadline,
    /// Still waiting when the drill ended.
    Unanswered,
}

impl CallEnd {
    /// How many ways there are. `end as usize` is below it, so that a count for each is an array.
    pub(crate) const COUNT: usize = Self::Unanswered as usize + 1;

    /// Whether the caller's own side ended the call: a layer of its policy, or its deadline.
    pub(crate) fn is_own(self) -> bool {
        matches!(
            self,
            Self::RateLimit
                | Self::Bulkhead
                | Self::AdaptiveLimit
                | Self::CircuitBreaker
                | Self::Timeout
                | Self::Deadline
        )
    }
}
