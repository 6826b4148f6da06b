//! What is reported of a check that flaps: a change counts only after enough results in a row.

use super::{CheckSettings, HealthStatus};

/// What is reported, and how many results in a row spoke against it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Streak {
    settled: Option<HealthStatus>,
    worse: u32,
    better: u32,
}

/// What a result did to the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settled {
    /// What is reported now.
    pub(super) status: HealthStatus,
    /// What was reported before, where this result changed it.
    pub(super) before: Option<HealthStatus>,
    /// How many results in a row spoke against the report, of how many that would change it. Zero: none.
    pub(super) against: (u32, u32),
}

impl Streak {
    /// What is reported, once there was a result.
    #[must_use]
    pub(super) fn status(&self) -> Option<HealthStatus> {
        self.settled
    }

    /// Takes in one result. The first is believed at once.
    pub(super) fn record(&mut self, settings: &CheckSettings, result: HealthStatus) -> Settled {
        let Some(settled) = self.settled else {
            self.settled = Some(result);
            return Settled {
                status: result,
                before: None,
                against: (0, 0),
            };
        };
        self.worse = if result > settled { self.worse + 1 } else { 0 };
        self.better = if result < settled { self.better + 1 } else { 0 };
        let changes = self.worse >= settings.fail_after || self.better >= settings.recover_after;
        if changes {
            *self = Self {
                settled: Some(result),
                ..Self::default()
            };
            return Settled {
                status: result,
                before: Some(settled),
                against: (0, 0),
            };
        }
        let against = match (self.worse, self.better) {
            (0, 0) => (0, 0),
            (0, better) => (better, settings.recover_after),
            (worse, _) => (worse, settings.fail_after),
        };
        Settled {
            status: settled,
            before: None,
            against,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::HealthStatus::{Degraded, Healthy, Unhealthy};
    use super::*;

    /// The report after each result.
    fn reports(settings: CheckSettings, results: &[HealthStatus]) -> Vec<HealthStatus> {
        let mut streak = Streak::default();
        results
            .iter()
            .map(|result| streak.record(&settings, *result).status)
            .collect()
    }

    #[test]
    fn the_first_result_is_believed_at_once() {
        let slow = CheckSettings::new().fail_after(3).recover_after(3);
        assert_eq!(reports(slow, &[Unhealthy]), [Unhealthy]);
        assert_eq!(reports(slow, &[Healthy]), [Healthy]);
    }

    #[test]
    fn a_check_that_flaps_below_its_threshold_changes_nothing() {
        let settings = CheckSettings::new().fail_after(3);
        let flapping = [Healthy, Unhealthy, Unhealthy, Healthy, Unhealthy, Unhealthy, Healthy];
        assert_eq!(reports(settings, &flapping), [Healthy; 7]);
    }

    #[test]
    fn the_report_changes_at_the_threshold_both_ways() {
        let settings = CheckSettings::new().fail_after(2).recover_after(3);
        let results = [
            Healthy, Unhealthy, Unhealthy, Healthy, Healthy, Unhealthy, Healthy, Healthy, Healthy,
        ];
        assert_eq!(
            reports(settings, &results),
            [
                Healthy, Healthy, Unhealthy, Unhealthy, Unhealthy, Unhealthy, Unhealthy, Unhealthy, Healthy
            ]
        );
    }

    #[test]
    fn worse_results_of_different_kinds_add_up_and_the_latest_counts() {
        let settings = CheckSettings::new().fail_after(2);
        assert_eq!(
            reports(settings, &[Healthy, Degraded, Unhealthy]),
            [Healthy, Healthy, Unhealthy]
        );
    }

    #[test]
    fn how_far_a_change_is_away_is_told() {
        let settings = CheckSettings::new().fail_after(3);
        let mut streak = Streak::default();
        streak.record(&settings, Healthy);
        assert_eq!(streak.record(&settings, Unhealthy).against, (1, 3));
        assert_eq!(streak.record(&settings, Unhealthy).against, (2, 3));
        let change = streak.record(&settings, Unhealthy);
        assert_eq!(
            (change.status, change.before, change.against),
            (Unhealthy, Some(Healthy), (0, 0))
        );
    }
}
