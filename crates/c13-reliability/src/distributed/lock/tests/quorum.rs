//! A majority of backends in virtual time: what some of them fail with is kept, and too few of them say why.

use super::*;

/// Three servers, and the quorum of them.
fn servers() -> (Vec<Faulty>, Quorum, Clock) {
    let benches: Vec<Bench> = (0..3).map(|_| Bench::new()).collect();
    let clock = benches[0].clock.clone();
    let servers: Vec<Faulty> = benches.into_iter().map(|bench| bench.backend).collect();
    let nodes = servers
        .iter()
        .map(|server| Arc::new(server.clone()) as Arc<dyn Backend>);
    let quorum = Quorum::try_new(nodes.collect()).unwrap().with_env(clock.clone());
    (servers, quorum, clock)
}

fn lock(quorum: &Quorum, clock: &Clock) -> Lock {
    Lock::new(Arc::new(quorum.clone()), "key", LockConfig::new(LEASE * 10)).with_env(clock.clone())
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_or_is_silent_does_not_keep_a_majority_from_deciding() {
    for (fault, cause) in [
        (Fault::Refused, "no permission"),
        (Fault::Unable, "loading"),
        (Fault::Lost, "no answer within 50ms"),
    ] {
        let (servers, quorum, clock) = servers();
        servers[1].set(&servers[1].acquire, fault);
        let (guard, took) = elapsed(&clock, lock(&quorum, &clock).try_acquire()).await;
        let guard = guard.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert!(took <= ms(104), "{fault:?}: {took:?} by the clock that it was given");
        let failing = quorum.failing();
        assert!(failing[0].is_none() && failing[2].is_none(), "{failing:?}");
        assert_eq!(
            failing[1].as_ref().map(|error| &*error.message),
            Some(cause),
            "{fault:?}"
        );
        guard.release().await.unwrap();
        assert_eq!(
            quorum.failing(),
            [None, None, None],
            "a server that has answered since does not fail any more"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn too_few_servers_end_the_wait_at_once_only_if_it_can_never_be_a_majority() {
    for (faults, kind) in [
        ([Fault::Refused, Fault::Refused, Fault::None], BackendErrorKind::Refused),
        ([Fault::Refused, Fault::Unable, Fault::None], BackendErrorKind::Unable),
        ([Fault::Refused, Fault::Lost, Fault::None], BackendErrorKind::Unanswered),
    ] {
        let (servers, quorum, clock) = servers();
        for (server, fault) in servers.iter().zip(faults) {
            server.set(&server.acquire, fault);
        }
        let (refused, took) = elapsed(&clock, lock(&quorum, &clock).acquire(LEASE)).await;
        let AcquireError::Backend(error) = refused.unwrap_err() else {
            panic!("{faults:?}: nobody has it")
        };
        assert_eq!(error.kind, kind, "{error}");
        assert!(
            error.message.contains("2 of 3") && error.message.contains("no permission"),
            "{error}"
        );
        assert_eq!(took < LEASE, kind == BackendErrorKind::Refused, "{faults:?}: {took:?}");
        clock.sleep(LEASE).await;
        let left = servers[2].inner.status("key").await.unwrap().owners;
        assert!(left.is_empty(), "{faults:?}: what the third has given is taken back");
    }
}
