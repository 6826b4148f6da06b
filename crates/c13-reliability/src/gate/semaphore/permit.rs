//! A permit of a semaphore, held by one call.

use super::semaphore::{AcquireError, Semaphore};
use std::ops::Deref;

/// A permit of a semaphore, held by one call. Dropping it gives it back, to the first waiter if anybody waits.
#[must_use = "a permit that is dropped is given back"]
pub(crate) struct SemaphorePermit<P>
where
    P: Deref<Target = Semaphore>,
{
    /// `None` once the caller answers for the permit.
    semaphore: Option<P>,
}

impl Semaphore {
    /// Takes a permit at once, if one is available and nobody waits. A refusal is counted.
    #[inline]
    pub(crate) fn try_acquire(&self) -> Result<SemaphorePermit<&Self>, AcquireError> {
        Self::try_acquire_uncounted(self).ok_or_else(|| self.refuse())
    }

    /// As [`try_acquire`](Self::try_acquire), for any pointer to the semaphore. A refusal is not counted.
    #[inline]
    pub(crate) fn try_acquire_uncounted<P: Deref<Target = Self>>(this: P) -> Option<SemaphorePermit<P>> {
        this.take_permit().then(|| SemaphorePermit::of_taken(this))
    }

    /// Takes a permit even if none is available, for a call that is guaranteed one.
    pub(crate) fn acquire_beyond_limit(&self) -> SemaphorePermit<&Self> {
        self.take_permit_beyond_limit();
        SemaphorePermit::of_taken(self)
    }
}

impl<P> SemaphorePermit<P>
where
    P: Deref<Target = Semaphore>,
{
    /// Holds a permit that was taken already.
    #[inline]
    pub(crate) fn of_taken(semaphore: P) -> Self {
        Self {
            semaphore: Some(semaphore),
        }
    }

    /// Leaves it to the caller to give the permit back, with [`Semaphore::release`].
    pub(crate) fn keep(mut self) {
        self.semaphore = None;
    }
}

impl<P> Drop for SemaphorePermit<P>
where
    P: Deref<Target = Semaphore>,
{
    #[inline]
    fn drop(&mut self) {
        if let Some(semaphore) = &self.semaphore {
            semaphore.release();
        }
    }
}
