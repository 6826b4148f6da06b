//! The decisions of a hedged call: when to start another attempt, and when the call is over.

/// One hedged call: how many attempts were started, and how many still run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HedgeState {
    /// Attempts that may still be started.
    left: u32,
    running: u32,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Start another attempt, if the budget grants it.
    Start,
    /// Wait for those that run.
    Wait,
    /// Nothing runs and nothing may be started: the first attempt's result is the result.
    Over,
}

impl HedgeState {
    /// The first attempt runs, and up to `max_extra` more may be started.
    pub(super) const fn new(max_extra: u32) -> Self {
        Self {
            left: max_extra,
            running: 1,
        }
    }

    /// Whether another attempt may be started, so that a timer makes sense.
    pub(super) const fn may_start(&self) -> bool {
        self.left > 0
    }

    /// The delay since the last start is over.
    pub(super) const fn delay_over(&self) -> Next {
        if self.left > 0 { Next::Start } else { Next::Wait }
    }

    /// An attempt failed, which brings the next one forward.
    pub(super) const fn failed(&mut self) -> Next {
        self.running -= 1;
        if self.left > 0 { Next::Start } else { self.rest() }
    }

    /// Another attempt was started.
    pub(super) const fn started(&mut self) {
        self.left -= 1;
        self.running += 1;
    }

    /// Another attempt was wanted and refused: there will be none.
    pub(super) const fn refused(&mut self) -> Next {
        self.left = 0;
        self.rest()
    }

    const fn rest(&self) -> Next {
        if self.running > 0 { Next::Wait } else { Next::Over }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_starts_as_many_as_allowed_and_no_more() {
        let mut state = HedgeState::new(2);
        for _ in 0..2 {
            assert_eq!(state.delay_over(), Next::Start);
            state.started();
        }
        assert_eq!((state.delay_over(), state.may_start()), (Next::Wait, false));
    }

    #[test]
    fn a_failure_brings_the_next_attempt_forward_and_the_last_one_ends_the_call() {
        let mut state = HedgeState::new(1);
        assert_eq!(state.failed(), Next::Start);
        state.started();
        assert_eq!(state.failed(), Next::Over);
    }

    #[test]
    fn a_failure_among_others_that_run_ends_nothing() {
        let mut state = HedgeState::new(1);
        state.started();
        assert_eq!((state.failed(), state.failed()), (Next::Wait, Next::Over));
    }

    #[test]
    fn a_refused_attempt_is_not_asked_for_again() {
        let mut state = HedgeState::new(3);
        assert_eq!((state.refused(), state.may_start()), (Next::Wait, false));
        assert_eq!(state.failed(), Next::Over);
    }
}
