//! A hint to the compiler about branches.

/// Marks what happens so seldom that the way past it should be the straight one, and be decided on its own: without it
/// the compiler computes several such conditions and joins them before it branches.
#[cold]
pub(super) const fn unlikely() {}
