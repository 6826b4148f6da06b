//! One replica in five is slow: without a hedge, and with one after 20 ms.
//!
//! `cargo run -p c13-reliability --example hedge_example`

use c13_reliability::patterns::hedge::Hedge;
use c13_reliability::time::Clock;
use std::cell::Cell;
use std::time::Duration;

/// Every fifth request takes 200 ms, all others 5 ms.
async fn ask(clock: &Clock, requests: &Cell<u32>) -> Result<u32, &'static str> {
    requests.set(requests.get() + 1);
    let number = requests.get();
    let slow = number.is_multiple_of(5);
    clock.sleep(Duration::from_millis(if slow { 200 } else { 5 })).await;
    Ok(number)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let clock = Clock::system();
    let hedge = Hedge::new(Duration::from_millis(20));
    let mut longest = [Duration::ZERO; 2];
    for (with_hedge, longest) in [false, true].into_iter().zip(&mut longest) {
        let requests = Cell::new(0);
        for _ in 0..20 {
            let start = clock.now();
            let answer = if with_hedge {
                hedge.execute(|| ask(&clock, &requests)).await
            } else {
                ask(&clock, &requests).await
            };
            assert!(answer.is_ok());
            *longest = (*longest).max(clock.now() - start);
        }
        let kind = if with_hedge {
            "hedged after 20 ms"
        } else {
            "as they come"
        };
        let (requests, longest) = (requests.get(), longest.as_millis());
        println!("20 calls {kind}: {requests} requests, the slowest answer after {longest} ms");
    }
    println!("{:?}", hedge.snapshot());
    assert!(longest[1] < longest[0], "the second request beats the slow first one");
}
