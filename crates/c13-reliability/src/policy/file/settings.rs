//! What a table of a file stands for: a policy, or a limit.

use super::findings;
use super::limit_tables;
use super::read::Reader;
use super::row::Row;
use super::rows::{LIMIT, PARTS, rows};
use crate::policy::{LimitConfig, LimitKey, PolicyConfig};

/// Settings that are read from rows.
pub(super) trait Settings: Copy + PartialEq + 'static {
    /// What they are before anything is read.
    const START: Self;

    /// The parts that a table has, whose own tables are looked into.
    const PARTS: &'static [&'static str];

    /// A row for each setting.
    fn rows() -> Box<dyn Iterator<Item = &'static Row<Self>>>;

    /// Reports the rules that they break.
    fn check(reader: &mut Reader<'_, Self>);
}

impl Settings for PolicyConfig {
    const START: Self = Self::NONE;
    const PARTS: &'static [&'static str] = &PARTS;

    fn rows() -> Box<dyn Iterator<Item = &'static Row<Self>>> {
        Box::new(rows())
    }

    fn check(reader: &mut Reader<'_, Self>) {
        findings::check(reader);
    }
}

impl Settings for LimitConfig {
    /// The rate is overwritten: a table without one is refused.
    const START: Self = Self::new(1.0, 1, LimitKey::Client);
    const PARTS: &'static [&'static str] = &[];

    fn rows() -> Box<dyn Iterator<Item = &'static Row<Self>>> {
        Box::new(LIMIT.iter())
    }

    fn check(reader: &mut Reader<'_, Self>) {
        limit_tables::check(reader);
    }
}
