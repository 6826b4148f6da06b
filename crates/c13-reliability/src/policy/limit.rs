//! A rate limit of any kind in front of a policy's calls: one of this process, or one that a fleet shares.

use crate::error::Rejected;
use crate::gate::{Gate, Outcome, Permit};
use std::future::Future;
use std::pin::Pin;

/// A gate whose permits mean nothing but that a call was counted, whatever its type.
pub(super) trait AnyLimit: Send + Sync {
    /// Counts a call or its refusal, if that can be decided at once.
    fn try_pass(&self) -> Result<(), Rejected>;

    /// Counts a call if that can be decided at once: whether it was. Who was refused goes on to [`pass`](Self::pass).
    fn passes(&self) -> bool;

    /// Counts a call, and may wait or ask somebody else.
    fn pass(&self) -> Pin<Box<dyn Future<Output = Result<(), Rejected>> + Send + '_>>;
}

impl<G> AnyLimit for G
where
    G: Gate,
    G::Rejection: Into<Rejected>,
{
    fn try_pass(&self) -> Result<(), Rejected> {
        let permit = self.try_admit().map_err(Into::into)?;
        permit.record(Outcome::Ignored);
        Ok(())
    }

    fn passes(&self) -> bool {
        let permit = self.try_admit_uncounted();
        permit.map(|permit| permit.record(Outcome::Ignored)).is_some()
    }

    fn pass(&self) -> Pin<Box<dyn Future<Output = Result<(), Rejected>> + Send + '_>> {
        Box::pin(async move {
            let permit = self.admit().await.map_err(Into::into)?;
            permit.record(Outcome::Ignored);
            Ok(())
        })
    }
}
