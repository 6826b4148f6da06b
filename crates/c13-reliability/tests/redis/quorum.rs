//! A majority of real servers: servers that go, come back, answer late.

use crate::proxy::{Proxy, Weather, wait};
use crate::server::Server;
use crate::{LEASE, SOON, backend, config, ms};
use c13_reliability::distributed::lock::{Backend, Lock, Quorum};
use c13_reliability::time::Clock;
use std::sync::Arc;
use std::time::Duration;

fn quorum(urls: impl IntoIterator<Item = String>) -> Quorum {
    let nodes = urls
        .into_iter()
        .map(|url| Arc::new(backend(&url)) as Arc<dyn Backend>)
        .collect();
    Quorum::try_new(nodes).unwrap()
}

fn lock(quorum: &Quorum, key: &str) -> Lock {
    Lock::new(Arc::new(quorum.clone()), key, config(LEASE))
}

fn have(servers: &[Server], key: &str) -> usize {
    servers
        .iter()
        .filter(|server| server.ask(&["EXISTS", key]) == "1")
        .count()
}

// H16. With threads of its own for the renewal, since asking a server stops the test's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_were_away_are_won_back_by_renewal() {
    let mut servers: Vec<Server> = (0..5).map(|_| Server::start()).collect();
    let proxies = [Proxy::to(servers[3].port).await, Proxy::to(servers[4].port).await];
    let urls = servers[..3]
        .iter()
        .map(Server::url)
        .chain(proxies.iter().map(Proxy::url));
    let quorum = quorum(urls);
    proxies.iter().for_each(|proxy| proxy.weather(Weather::BlackHole));
    let guard = lock(&quorum, "h16").try_acquire().await.unwrap();
    assert_eq!(have(&servers, "h16"), 3);
    proxies.iter().for_each(|proxy| {
        proxy.weather(Weather::Fine);
        proxy.cut_all();
    });
    let clock = Clock::system();
    let start = clock.now();
    while have(&servers, "h16") < 5 && clock.now() - start < LEASE * 3 {
        wait(ms(20)).await;
    }
    assert_eq!(have(&servers, "h16"), 5);
    wait(LEASE / 2).await;
    servers[0].kill();
    servers[1].kill();
    wait(LEASE * 2).await;
    guard.check().expect("three of five are left");
}

// H2 with several servers.
#[tokio::test]
async fn a_server_that_has_just_restarted_has_no_vote() {
    let mut servers: Vec<Server> = (0..3).map(|_| Server::start()).collect();
    let proxy = Proxy::to(servers[2].port).await;
    let urls: Vec<String> = servers[..2].iter().map(Server::url).chain([proxy.url()]).collect();
    let nodes = urls
        .iter()
        .map(|url| Arc::new(backend(url).after_restarts_wait(LEASE)) as Arc<dyn Backend>);
    let quorum = Quorum::try_new(nodes.collect()).unwrap();
    let lock = lock(&quorum, "h2");
    proxy.weather(Weather::BlackHole);
    let guard = lock
        .acquire(LEASE * 5)
        .await
        .expect("two of three are up for long enough by then");
    // Of the two that gave it, one forgets; with the third, that makes two that do not know of it.
    servers[1].restart();
    proxy.weather(Weather::Fine);
    proxy.cut_all();
    let nodes = [1, 2].map(|n| servers[n].url());
    let nodes = [servers[0].url()].into_iter().chain(nodes);
    let nodes = nodes.map(|url| Arc::new(backend(&url).after_restarts_wait(LEASE)) as Arc<dyn Backend>);
    let other = Lock::new(Arc::new(Quorum::try_new(nodes.collect()).unwrap()), "h2", config(LEASE));
    let second = other.try_acquire().await;
    assert!(guard.check().is_err() || second.is_err(), "two have it");
    assert!(second.is_err(), "the restarted server has voted");
}

// H15.
#[tokio::test]
async fn a_majority_that_forgot_is_a_lost_lock_and_not_acquired_anew() {
    let mut servers: Vec<Server> = (0..3).map(|_| Server::start()).collect();
    let quorum = quorum(servers.iter().map(Server::url));
    let guard = lock(&quorum, "h15").try_acquire().await.unwrap();
    servers[0].restart();
    servers[1].restart();
    guard.lost().await;
    wait(LEASE).await;
    assert_eq!(have(&servers[..2], "h15"), 0);
}

// H18.
#[tokio::test]
async fn a_server_that_answers_late_keeps_nothing() {
    let servers: Vec<Server> = (0..3).map(|_| Server::start()).collect();
    let proxy = Proxy::to(servers[2].port).await;
    let quorum = quorum(servers[..2].iter().map(Server::url).chain([proxy.url()]));
    // Nothing that is left behind lapses before it is looked for.
    let lock = Lock::new(Arc::new(quorum), "h18", config(LEASE * 20));
    lock.try_acquire().await.unwrap().release().await.unwrap();
    proxy.weather(Weather::SlowReplies(ms(300)));
    for _ in 0..3 {
        lock.acquire(SOON).await.unwrap().release().await.unwrap();
    }
    wait(ms(700)).await;
    let clock = Clock::system();
    let start = clock.now();
    while have(&servers, "h18") > 0 && clock.now() - start < SOON {
        wait(ms(20)).await;
    }
    assert_eq!(have(&servers, "h18"), 0);
}

// H17, for a few seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn split_votes_end_and_every_client_gets_on() {
    let servers: Vec<Server> = (0..3).map(|_| Server::start()).collect();
    let clients: Vec<_> = (0..5)
        .map(|_| {
            let quorum = quorum(servers.iter().map(Server::url));
            let lock = Lock::new(Arc::new(quorum), "h17", config(LEASE * 4));
            tokio::spawn(async move {
                let mut last = c13_reliability::distributed::Fence::from_number(0);
                for _ in 0..10 {
                    let guard = lock.acquire(Duration::from_secs(20)).await.unwrap();
                    assert!(guard.fence() > last);
                    last = guard.fence();
                    guard.release().await.unwrap();
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
}
