//! Three children, one of which breaks now and then, kept running; and then stopped in order.
//!
//! `cargo run --example supervisor_example`

use c13_reliability::realtime::supervisor::{
    ChildConfig, Restart, Strategy, Supervisor, SupervisorConfig, SupervisorSnapshot,
};
use c13_reliability::time::Clock;
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let clock = Clock::system();
    let config = SupervisorConfig::new()
        .strategy(Strategy::RestForOne)
        .intensity(5, Duration::from_secs(60));
    let mut supervisor = Supervisor::new(config);

    supervisor.thread("sensor", ChildConfig::new(), |stop| {
        while !stop.wait_timeout(Duration::from_millis(50)) {}
        println!("sensor: stops");
        Ok(())
    });
    let timer = clock.clone();
    let mut start = 0;
    supervisor.task("feed", ChildConfig::new(), move |stop| {
        start += 1;
        println!("feed: start {start}");
        let timer = timer.clone();
        async move {
            if start <= 3 {
                timer.sleep(Duration::from_millis(100)).await;
                return Err(format!("connection {start} was lost").into());
            }
            stop.stopped().await;
            println!("feed: stops");
            Ok(())
        }
    });
    let once = ChildConfig::new().restart(Restart::OnFailure);
    supervisor.task("reader of the feed", once, |stop| async move {
        println!("reader: starts, because the feed did");
        stop.stopped().await;
        Ok(())
    });

    let (handle, run) = supervisor.start();
    let run = tokio::spawn(run);
    clock.sleep(Duration::from_secs(1)).await;
    print(&handle.snapshot());
    handle.shut_down();
    run.await??;
    print(&handle.snapshot());
    Ok(())
}

fn print(snapshot: &SupervisorSnapshot) {
    for child in &snapshot.children {
        let last = child.last_exit.as_ref().map_or("", |exit| &exit.message);
        println!(
            "  {:<20} {:?}, {} restarts; {last}",
            child.name, child.state, child.restarts
        );
    }
}
