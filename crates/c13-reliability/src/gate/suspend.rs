//! Permits that are put aside while nobody polls their call.

use super::Gate;

/// A gate whose permits can be put aside without a reference to it, to lie beside the gate itself in a future.
pub(crate) trait Suspend: Gate {
    /// What is left of a permit that was put aside. Dropping it loses the permit's place for good.
    type Ticket;

    /// Puts a permit of this gate aside.
    fn suspend(permit: Self::Permit<'_>) -> Self::Ticket;

    /// The permit again. The ticket must be one of this gate's.
    fn resume(&self, ticket: Self::Ticket) -> Self::Permit<'_>;
}
