//! Permits that are put aside between two polls of their call.

use super::Gate;

/// A gate whose permits can be stored without a reference to the gate, so that a future can own both the gate and the permit.
pub(crate) trait Suspend: Gate {
    /// What is kept of a permit that was put aside. If it is dropped, the permit is never released.
    type Ticket;

    /// Puts a permit aside.
    fn suspend(permit: Self::Permit<'_>) -> Self::Ticket;

    /// Makes a permit again of a ticket, which must be one of this gate's.
    fn resume(&self, ticket: Self::Ticket) -> Self::Permit<'_>;
}
