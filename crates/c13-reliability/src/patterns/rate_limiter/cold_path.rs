//! A hint for the compiler about branches that are seldom taken.

/// Marks the branch that it is called in as seldom taken, so that the code before it stays straight and the condition is
/// decided on its own. Without it the compiler computes several such conditions and joins them before it branches.
// As `std::hint::cold_path`, which the oldest compiler that we support does not have.
#[cold]
pub(super) const fn cold_path() {}
