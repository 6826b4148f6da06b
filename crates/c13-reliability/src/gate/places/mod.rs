//! Places: so many calls at a time, and so many in line. What bulkhead and adaptive limit have in common.

mod admission;
mod lending;
#[cfg(all(test, c13_loom))]
mod loom;
mod place;
mod shared;
#[cfg(all(test, not(c13_loom)))]
mod tests;
mod word;

pub(crate) use admission::{Admission, NoPlace};
pub(crate) use place::Place;
pub(crate) use shared::{Counts, MAX_PLACES, Places};
