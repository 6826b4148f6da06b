//! Readings of many parts of one kind, added up.

use super::metric::{Reading, Value};

/// The sum of readings, by metric and labels. Counts and times add up, and so do levels that count things; levels without a
/// unit, such as a state or a share, do not, and are left out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sum {
    readings: Vec<Reading>,
}

impl Sum {
    pub(crate) const fn new() -> Self {
        Self { readings: Vec::new() }
    }

    /// Adds what a part reports now.
    pub(crate) fn add(&mut self, readings: Vec<Reading>) {
        for (at, reading) in readings.into_iter().enumerate() {
            if !matches!(reading.value, Value::Level(_)) || reading.metric.unit.starts_with('{') {
                self.add_at(at, reading);
            }
        }
    }

    /// Adds what a part has counted that is no more: no levels.
    pub(crate) fn add_cumulative(&mut self, readings: Vec<Reading>) {
        for (at, reading) in readings.into_iter().enumerate() {
            if !matches!(reading.value, Value::Level(_)) {
                self.add_at(at, reading);
            }
        }
    }

    /// Adds a reading; where parts are alike, its sum is near `at`.
    fn add_at(&mut self, at: usize, reading: Reading) {
        let is_same = |sum: &Reading| sum.metric.name == reading.metric.name && sum.labels == reading.labels;
        let at = match self.readings.get(at) {
            Some(sum) if is_same(sum) => Some(at),
            _ => self.readings.iter().position(is_same),
        };
        let Some(sum) = at.map(|at| &mut self.readings[at]) else {
            self.readings.push(reading);
            return;
        };
        match (&mut sum.value, reading.value) {
            (Value::Count(sum), Value::Count(more)) => *sum = sum.saturating_add(more),
            (Value::Level(sum), Value::Level(more)) => *sum += more,
            (Value::Times(sum), Value::Times(more)) => sum.merge(&more),
            // A metric has one kind.
            _ => {}
        }
    }

    pub(crate) fn into_readings(self) -> Vec<Reading> {
        self.readings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Metric;

    #[test]
    fn counts_and_levels_of_things_add_up_and_states_do_not() {
        static CALLS: Metric = Metric::counter("reliability.test.calls", "{call}", "Calls").by(&["result"]);
        static RUNNING: Metric = Metric::gauge("reliability.test.running", "{call}", "Running calls");
        static STATE: Metric = Metric::gauge("reliability.test.state", "", "A state");
        let part = |calls: u64| {
            vec![
                Reading::count(&CALLS, calls).label("result", "good"),
                Reading::level(&STATE, 2.0),
                Reading::count(&CALLS, 1).label("result", "bad"),
                Reading::level(&RUNNING, 3.0),
            ]
        };
        let mut sum = Sum::new();
        sum.add_cumulative(part(5));
        sum.add(part(7));
        sum.add(part(100));
        let wanted = vec![
            Reading::count(&CALLS, 112).label("result", "good"),
            Reading::count(&CALLS, 3).label("result", "bad"),
            Reading::level(&RUNNING, 6.0),
        ];
        assert_eq!(sum.into_readings(), wanted);
    }
}
