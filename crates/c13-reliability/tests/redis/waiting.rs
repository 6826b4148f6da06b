//! Waiting for a lock on Redis: hand-off, missed messages, queues, and what many waiters cost.

use crate::lock::port_of;
use crate::proxy::{Proxy, Weather, wait};
use crate::server::{Server, shared_url};
use crate::{LEASE, SOON, backend, config, is_free_within, key, lock_at, ms};
use c13_reliability::distributed::lock::{Backend, Lock, LockConfig, RwLock, Semaphore};
use c13_reliability::time::Clock;
use std::sync::{Arc, Mutex};
use std::time::Duration;

// H19 without a fault. How long it takes is the bench's to say.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contended_lock_is_handed_on_by_messages_and_not_by_polling() {
    const ROUNDS: usize = 200;
    let (url, key) = (shared_url(), key("hand-off"));
    // Whoever misses a message waits for half a minute, and the test for far longer than it may.
    let poll = Duration::from_secs(30);
    let config = LockConfig::new(Duration::from_secs(300)).fallback_poll(poll);
    // Two backends with connections of their own, as two processes have.
    let locks = [0, 1].map(|_| Lock::new(Arc::new(backend(&url)), key.clone(), config));
    let clock = Clock::system();
    let start = clock.now();
    let mut holder = locks[0].try_acquire().await.unwrap();
    for round in 0..ROUNDS {
        let lock = locks[(round + 1) % 2].clone();
        let waiter = tokio::spawn(async move { lock.acquire(poll * 2).await.unwrap() });
        // At every moment of the waiter's asking and subscribing, and after it.
        wait(Duration::from_micros(round as u64 * 20)).await;
        holder.release().await.unwrap();
        holder = waiter.await.unwrap();
    }
    assert!(clock.now() - start < poll, "a message was missed");
}

// H19 with a fault.
#[tokio::test]
async fn a_waiter_whose_messages_are_cut_off_still_gets_the_lock() {
    let server = Server::start();
    let proxy = Proxy::to(server.port).await;
    let holder = lock_at(&server.url(), "h19").try_acquire().await.unwrap();
    let config = config(LEASE).fallback_poll(ms(400));
    let lock = Lock::new(Arc::new(backend(&proxy.url())), "h19", config);
    let waiter = tokio::spawn(async move { lock.acquire(LEASE * 20).await });
    wait(ms(100)).await;
    server.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    holder.release().await.unwrap();
    let (clock, released) = (Clock::system(), Clock::system().now());
    waiter.await.unwrap().unwrap().check().unwrap();
    let waited = clock.now() - released;
    assert!(waited <= SOON, "{waited:?}");
}

// H20.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_locks_are_waited_for_over_one_connection_that_keeps_no_channel() {
    let server = Server::start();
    let backend = backend(&server.url());
    let holders = crate::backend(&server.url());
    let config = LockConfig::new(Duration::from_secs(20)).fallback_poll(Duration::from_secs(20));
    let mut held = Vec::new();
    let mut waiters = Vec::new();
    for n in 0..1_000 {
        let name = format!("h20-{n}");
        held.push(
            Lock::new(Arc::new(holders.clone()), name.clone(), config)
                .try_acquire()
                .await
                .unwrap(),
        );
        for _ in 0..2 {
            let lock = Lock::new(Arc::new(backend.clone()), name.clone(), config);
            waiters.push(tokio::spawn(async move {
                lock.acquire(Duration::from_secs(60)).await.map(drop)
            }));
        }
    }
    let clock = Clock::system();
    let start = clock.now();
    while backend.channels() < 1_000 && clock.now() - start < Duration::from_secs(20) {
        wait(ms(20)).await;
    }
    let listening = server
        .ask(&["CLIENT", "LIST", "TYPE", "pubsub"])
        .lines()
        .filter(|line| line.contains("id="))
        .count();
    assert_eq!((backend.channels(), listening), (1_000, 1));
    drop(held);
    for waiter in waiters {
        waiter.await.unwrap().unwrap();
    }
    let start = clock.now();
    while !server.ask(&["PUBSUB", "CHANNELS"]).is_empty() && clock.now() - start < Duration::from_secs(5) {
        wait(ms(20)).await;
    }
    assert_eq!(backend.channels(), 0);
    assert_eq!(server.ask(&["PUBSUB", "CHANNELS"]), "");
}

// H21.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fair_waiters_are_served_in_order_and_dead_ones_are_passed_over() {
    let (url, key) = (shared_url(), key("fair"));
    // A place in the queue lasts for four polls.
    let config = config(LEASE).fair(true).fallback_poll(ms(500));
    let holder = lock_at(&url, &key).try_acquire().await.unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut waiters = Vec::new();
    let mut cut_off = Vec::new();
    for n in 0..10 {
        // Every second one is cut off from the server later, which is how a process dies without a word.
        let proxy = Proxy::to(port_of(&url)).await;
        let lock = Lock::new(Arc::new(backend(&proxy.url())), key.clone(), config);
        let order = order.clone();
        waiters.push(tokio::spawn(async move {
            let guard = lock.acquire(Duration::from_secs(20)).await.unwrap();
            order.lock().unwrap().push(n);
            guard.release().await.unwrap();
        }));
        cut_off.push(proxy);
        while backend(&url).status(&key).await.unwrap().queued <= n {
            wait(ms(1)).await;
        }
    }
    for proxy in cut_off.iter().step_by(2) {
        proxy.weather(Weather::BlackHole);
    }
    holder.release().await.unwrap();
    let (clock, start) = (Clock::system(), Clock::system().now());
    for (n, waiter) in waiters.into_iter().enumerate() {
        if n % 2 == 1 {
            waiter.await.unwrap();
        } else {
            waiter.abort();
        }
    }
    let took = clock.now() - start;
    assert_eq!(*order.lock().unwrap(), [1, 3, 5, 7, 9]);
    assert!(took <= ms(7_000), "one place that lapses, not five: {took:?}");
    assert!(is_free_within(&url, &key, SOON).await);
}

#[tokio::test]
async fn readers_share_writers_exclude_and_slots_are_counted() {
    let url = shared_url();
    let lock = RwLock::try_new(Arc::new(backend(&url)), key("rw"), config(LEASE)).unwrap();
    let (one, two) = (
        lock.read().try_acquire().await.unwrap(),
        lock.read().try_acquire().await.unwrap(),
    );
    assert!(lock.write().try_acquire().await.is_err());
    let writer = tokio::spawn({
        let write = lock.write().clone();
        async move { write.acquire(Duration::from_secs(5)).await.unwrap() }
    });
    while lock.write().status().await.unwrap().queued == 0 {
        wait(ms(1)).await;
    }
    assert!(lock.read().try_acquire().await.is_err(), "the writer came first");
    drop((one, two));
    let writer = writer.await.unwrap();
    assert!(lock.read().try_acquire().await.is_err());
    writer.release().await.unwrap();
    assert!(lock.read().try_acquire().await.is_ok());

    let slots = 3.try_into().unwrap();
    let semaphore = Semaphore::try_new(Arc::new(backend(&url)), key("slots"), slots, config(LEASE)).unwrap();
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(semaphore.slot().try_acquire().await.unwrap());
    }
    wait(LEASE * 3 / 2).await;
    assert!(semaphore.slot().try_acquire().await.is_err(), "each slot is renewed");
    held.pop();
    assert!(semaphore.slot().acquire(LEASE / 2).await.is_ok());
}

#[tokio::test]
async fn several_keys_are_had_together_or_not_at_all() {
    let url = shared_url();
    let (a, b) = (key("{all}:a"), key("{all}:b"));
    let both = Lock::try_of_all(Arc::new(backend(&url)), [a.clone(), b.clone()], config(LEASE)).unwrap();
    let other = lock_at(&url, &b).try_acquire().await.unwrap();
    assert!(both.try_acquire().await.is_err());
    assert!(crate::owners(&url, &a).await.is_empty());
    let fence = other.fence();
    other.release().await.unwrap();
    let guard = both.try_acquire().await.unwrap();
    assert!(guard.fence() > fence && lock_at(&url, &b).try_acquire().await.is_err());
}
