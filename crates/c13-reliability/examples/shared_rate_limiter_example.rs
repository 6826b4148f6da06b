//! A limit of ten calls at once and one a second that two handles share: what the one takes the other does not have.

use c13_reliability::distributed::rate_limiter::{
    Limit, MemoryQuota, SharedLimitConfig, SharedLimitError, SharedRateLimiter, Sharing,
};
use std::sync::Arc;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let backend = Arc::new(MemoryQuota::new());
    let config = SharedLimitConfig::DEFAULT.sharing(Sharing::Exact);
    let limiter = || SharedRateLimiter::try_new(backend.clone(), vec![Limit::new("mail", 1.0, 10)], config);
    let (one, other) = (limiter()?, limiter()?);
    let mut allowed = [0; 2];
    for (n, limiter) in [one, other].iter().enumerate() {
        for _ in 0..8 {
            match limiter.acquire(1).await {
                Ok(by) => {
                    allowed[n] += 1;
                    println!("handle {n}: allowed, decided by {by:?}");
                }
                Err(SharedLimitError::Exceeded { retry_after, .. }) => {
                    println!("handle {n}: try again in {retry_after:?}");
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    println!(
        "{} and {} of 8 were allowed: the burst of 10 is for both together",
        allowed[0], allowed[1]
    );
    Ok(())
}
