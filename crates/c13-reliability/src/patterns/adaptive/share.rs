//! Guaranteed shares of a limit, and how many permits each partition holds.

/// The shares of all partitions and how many calls of each run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shares {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq)]
struct Part {
    name: String,
    share: f64,
    busy: u32,
}

impl Shares {
    pub(super) fn new<'a>(parts: impl IntoIterator<Item = (&'a str, f64)>) -> Self {
        Self {
            parts: parts
                .into_iter()
                .map(|(name, share)| Part {
                    name: name.to_owned(),
                    share,
                    busy: 0,
                })
                .collect(),
        }
    }

    /// The partition called `name`.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.parts.iter().position(|part| part.name == name)
    }

    /// How many calls of a partition are guaranteed out of `limit`: its share, rounded up.
    pub(super) fn guaranteed(&self, index: usize, limit: u32) -> u32 {
        /// Far below one call and far above the rounding of `share × limit`: 0.7 × 10 is to be 7.
        const ROUNDING: f64 = 1e-6;
        (self.parts[index].share * f64::from(limit) - ROUNDING).ceil() as u32
    }

    /// How many calls of a partition run.
    pub(super) fn busy(&self, index: usize) -> u32 {
        self.parts[index].busy
    }

    /// Whether a partition may have one more out of `limit`, where the limit itself is reached.
    pub(super) fn is_owed(&self, index: usize, limit: u32) -> bool {
        self.busy(index) < self.guaranteed(index, limit)
    }

    pub(super) fn acquire(&mut self, index: usize) {
        self.parts[index].busy += 1;
    }

    pub(super) fn release(&mut self, index: usize) {
        self.parts[index].busy -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded_up_and_never_by_rounding_errors() {
        let shares = Shares::new([("batch", 0.3), ("live", 0.7)]);
        let both = |limit| [shares.guaranteed(0, limit), shares.guaranteed(1, limit)];
        assert_eq!(both(10), [3, 7]);
        assert_eq!(both(1), [1, 1], "nobody is shut out");
        assert_eq!(both(1_000_000), [300_000, 700_000]);
    }

    // AL-14.
    #[test]
    fn a_new_limit_changes_what_is_guaranteed_and_not_which_calls_run() {
        let mut shares = Shares::new([("batch", 0.3), ("live", 0.7)]);
        shares.acquire(0);
        assert_eq!(
            (shares.guaranteed(0, 10), shares.guaranteed(0, 20), shares.busy(0)),
            (3, 6, 1)
        );
        assert_eq!((shares.find("live"), shares.find("other")), (Some(1), None));
    }
}
