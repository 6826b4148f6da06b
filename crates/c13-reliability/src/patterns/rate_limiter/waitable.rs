//! The traits that all limiters implement in the same way if callers can wait for them.

/// Implements the traits of a gate for a limiter whose field `shared` is an `Arc` of a
/// [`Waitable`](super::waiting::Waitable).
macro_rules! waitable_limiter {
    ($limiter:ident) => {
        impl $crate::gate::Gate for $limiter {
            type Permit<'a> = RateLimitPermit;
            type Rejection = RateLimitError;

            fn try_admit(&self) -> Result<RateLimitPermit, RateLimitError> {
                self.try_one().map(|()| RateLimitPermit::new())
            }

            fn try_admit_uncounted(&self) -> Option<RateLimitPermit> {
                waiting::take_uncounted(&*self.shared, self.clock().now(), 1).then(RateLimitPermit::new)
            }

            async fn admit(&self) -> Result<RateLimitPermit, RateLimitError> {
                waiting::acquire(&*self.shared, 1)
                    .await
                    .map(|()| RateLimitPermit::new())
            }
        }

        impl $crate::gate::OwnedGate for $limiter {
            type OwnedPermit = RateLimitPermit;
            type Admission = waiting::Admission;
            type Waiting = $crate::gate::MayWait;
            type Error<E> = $crate::gate::Refusal<RateLimitError, E>;

            fn admit_owned(&self) -> waiting::Admission {
                waiting::admit_owned(&self.shared)
            }

            fn ask(&self) -> $crate::gate::Admittance<RateLimitPermit, RateLimitError, waiting::Admission> {
                waiting::ask(&self.shared)
            }
        }

        impl $crate::snapshot::Observed for $limiter {
            fn source(&self) -> $crate::snapshot::Source {
                $crate::snapshot::Source::of(&self.shared, |shared| waiting::snapshot(&*shared).readings())
            }
        }

        impl std::fmt::Debug for $limiter {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let snapshot = self.snapshot();
                f.debug_struct(stringify!($limiter))
                    .field("available", &snapshot.available)
                    .field("capacity", &snapshot.capacity)
                    .field("waiting", &snapshot.waiting)
                    .finish_non_exhaustive()
            }
        }
    };
}

pub(super) use waitable_limiter;
