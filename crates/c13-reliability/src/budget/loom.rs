//! Interleavings of deposits, of putting them into the window, and of withdrawals.

use super::config::RetryBudgetConfig;
use super::handle::RetryBudget;
use crate::sync::StripedCounter;
use crate::time::VirtualTime;
use loom::thread;

#[test]
fn deposits_and_withdrawals_that_race_lose_nothing_and_grant_nothing_twice() {
    loom::model(|| {
        let config = RetryBudgetConfig::new().ratio(0.5).min_per_second(0.0);
        let budget = RetryBudget::over(config, VirtualTime::new().clock(), StripedCounter::compact());
        let other = budget.clone();
        let handle = thread::spawn(move || {
            other.deposit();
            other.deposit();
            u64::from(other.try_withdraw())
        });
        budget.deposit();
        budget.deposit();
        let mut granted = u64::from(budget.try_withdraw());
        granted += handle.join().unwrap();
        while budget.try_withdraw() {
            granted += 1;
        }
        assert_eq!(granted, 2);
        assert_eq!(budget.snapshot().calls, 4);
    });
}
