//! A policy as a layer of tower's: around any service, here one that is down at first.

use c13_reliability::policy::document::Source;
use c13_reliability::policy::file::PolicyFiles;
use c13_reliability::policy::{Policy, PolicyLayer};
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

const FILE: &str = r#"
[policy.words]
timeout = { total = "3s", attempt = "500ms" }
retry = { max_retries = 3, backoff = { base = "5ms" } }
circuit_breaker.consecutive_failures = 5
"#;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let set = PolicyFiles::new().file(Source::new("words.toml", FILE)).read()?;
    let config = set.policy("words").expect("the file names it").config();
    let policy = Policy::new(config)?;

    let calls = Arc::new(AtomicU32::new(0));
    let asked = calls.clone();
    let down_at_first = service_fn(move |word: &'static str| {
        // Relaxed: nothing but the number is shared.
        let number = asked.fetch_add(1, Ordering::Relaxed);
        async move {
            if number < 2 {
                Err(io::Error::from(io::ErrorKind::ConnectionRefused))
            } else {
                Ok(word.to_uppercase())
            }
        }
    });
    let mut service = ServiceBuilder::new()
        .layer(PolicyLayer::new(policy.typed()))
        .service(down_at_first);

    let answer = service.ready().await?.call("hello").await?;
    // Relaxed: as above.
    println!("{answer}, after {} attempts", calls.load(Ordering::Relaxed));
    assert_eq!((answer.as_str(), calls.load(Ordering::Relaxed)), ("HELLO", 3));
    Ok(())
}
