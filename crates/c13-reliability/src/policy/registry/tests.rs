//! Settings change under a running service: nothing is lost, and a wrong file changes nothing.

use super::*;
use crate::gate::Gate;
use crate::patterns::circuit_breaker::CircuitState;
use crate::policy::Profile;
use crate::time::{Env, Executor};
use std::cell::Cell;
use std::fs;
use std::future::Future;
use std::os::unix::fs::symlink;
use std::rc::Rc;

const SECOND: Duration = Duration::from_secs(1);

/// A folder of its own for each test, gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("c13-registry-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("the system's folder for such things takes one");
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("the folder was made just now");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn open(path: &Path, executor: &Executor) -> PolicyRegistry {
    PolicyRegistry::open_with(PolicyFiles::new(), [path], Env::new(executor.clock()).seed(7))
        .unwrap_or_else(|error| panic!("{error}"))
}

fn total(seconds: u64) -> String {
    format!("[policy.a]\ntimeout.total = \"{seconds}s\"\n")
}

/// What the file's total timeout is now, as the policy has it.
fn seconds(policy: &Policy) -> u64 {
    policy.config().total_timeout.map_or(0, |total| total.as_secs())
}

const PARTS: &str = "
[policy.a]
circuit_breaker = { consecutive_failures = 2, open_for = \"10s\" }
rate_limit = { rate = \"1/s\", burst = 10 }
bulkhead.max_concurrent = 2
retry = { max_retries = 0 }
";

#[test]
fn breaker_bucket_permits_and_counts_survive_a_change_of_every_part() {
    let (folder, executor) = (Folder::new("survive"), Executor::new());
    let file = folder.write("a.toml", PARTS);
    let registry = open(&file, &executor);
    let policy = registry.policy("a").expect("it is named");
    let bulkhead = policy.bulkhead().expect("it has one");
    let permit = bulkhead.try_admit().expect("it is empty");
    for _ in 0..2 {
        assert!(
            executor
                .block_on(policy.call(|| async { Err::<(), _>("down") }))
                .is_err()
        );
    }
    let left = |policy: &Policy| policy.rate_limiter().map(|limiter| limiter.available_tokens());
    let state = |policy: &Policy| policy.circuit_breaker().map(|breaker| breaker.current_state());
    assert_eq!((left(&policy), state(&policy)), (Some(8), Some(CircuitState::Open)));

    let other = "
[policy.a]
timeout.total = \"9s\"
circuit_breaker = { consecutive_failures = 3, open_for = \"20s\" }
rate_limit = { rate = \"2/s\", burst = 9 }
bulkhead.max_concurrent = 1
retry = { max_retries = 1 }
";
    folder.write("a.toml", other);
    let changes = registry.reload().expect("it is right");
    assert_eq!(changes.len(), 7, "{changes:?}");
    assert_eq!((left(&policy), state(&policy)), (Some(8), Some(CircuitState::Open)));
    let bulkhead = policy.bulkhead().expect("it has one");
    assert_eq!(
        (bulkhead.in_flight(), bulkhead.try_admit().is_err()),
        (1, true),
        "the permit is taken"
    );
    drop(permit);
    assert!(
        bulkhead.try_admit().is_ok(),
        "the permit came back to the same bulkhead"
    );
    let metrics = policy.circuit_breaker().map(|breaker| breaker.metrics().failure_count);
    assert_eq!(metrics, Some(2));
    let refused = executor.block_on(policy.call(|| async { Ok::<_, ()>(()) }));
    assert!(refused.is_err_and(|refused| refused.is_circuit_open()));
    assert!(
        Profile::ALL
            .iter()
            .all(|profile| policy.reconfigure(profile.config()).is_ok())
    );
}

#[test]
fn a_wrong_file_changes_nothing_and_the_next_is_a_new_chance() {
    let (folder, executor) = (Folder::new("wrong"), Executor::new());
    let file = folder.write("a.toml", &total(1));
    let registry = open(&file, &executor);
    let policy = registry.policy("a").expect("it is named");
    folder.write("a.toml", "[policy.a]\ntimeout.total = 2\n");
    for _ in 0..3 {
        let error = registry.reload().expect_err("a number without a unit").to_string();
        assert!(error.contains("a.toml:2:17"), "{error}");
    }
    assert_eq!((seconds(&policy), registry.status().rejected), (1, 1));
    assert!(registry.status().error.is_some());
    fs::remove_file(&file).expect("it is there");
    assert!(matches!(registry.reload(), Err(ReloadError::File(..))));
    folder.write("a.toml", &total(3));
    assert_eq!(registry.reload().map(|changes| changes.len()).ok(), Some(1));
    assert_eq!(seconds(&policy), 3);
    let status = registry.status();
    assert_eq!((status.applied, status.rejected, status.error), (1, 2, None));
    assert!(registry.reload().is_ok_and(|changes| changes.is_empty()));
    assert_eq!(registry.status().applied, 1, "the same content is no change");
}

#[test]
fn a_handle_to_a_policy_that_is_gone_keeps_its_last_settings() {
    let (folder, executor) = (Folder::new("gone"), Executor::new());
    let file = folder.write("a.toml", &(total(1) + "[policy.b]\n"));
    let registry = open(&file, &executor);
    let held = registry.policy("b").expect("it is named");
    folder.write("a.toml", &(total(1) + "[policy.c]\n"));
    assert!(registry.reload().is_ok());
    assert_eq!(registry.names(), ["a", "c"]);
    assert!(executor.block_on(held.call(|| async { Ok::<_, ()>(()) })).is_ok());
}

#[test]
fn a_handle_follows_the_files_again_when_they_name_its_policy_again() {
    let (folder, executor) = (Folder::new("back"), Executor::new());
    let b = "[policy.b]\n";
    let file = folder.write("a.toml", &(PARTS.to_owned() + b));
    let registry = open(&file, &executor);
    let held = registry.policy("a").expect("it is named");
    held.circuit_breaker().expect("it has one").force_open();
    for _ in 0..2 {
        folder.write("a.toml", b);
        assert!(registry.reload().is_ok() && registry.policy("a").is_none());
        folder.write(
            "a.toml",
            &(PARTS.replace("max_concurrent = 2", "max_concurrent = 7") + b),
        );
        assert!(registry.reload().is_ok());
    }
    assert_eq!(held.config().bulkhead.map(|bulkhead| bulkhead.max_concurrent), Some(7));
    let given_out = registry.policy("a").expect("it is named again").circuit_breaker();
    assert_eq!(
        given_out.map(|breaker| breaker.current_state()),
        Some(CircuitState::ForcedOpen)
    );
    // Without a handle, it is forgotten.
    drop(held);
    folder.write("a.toml", b);
    assert!(registry.reload().is_ok());
    folder.write("a.toml", &(PARTS.to_owned() + b));
    assert!(registry.reload().is_ok());
    let fresh = registry.policy("a").expect("it is named again").circuit_breaker();
    assert_eq!(fresh.map(|breaker| breaker.current_state()), Some(CircuitState::Closed));
}

#[test]
fn a_breaker_that_was_given_out_follows_the_files_whatever_they_take_away() {
    let (folder, executor) = (Folder::new("given-out"), Executor::new());
    let (with, without, other) = (PARTS.to_owned(), total(1), "[policy.b]\n".to_owned());
    let file = folder.write("a.toml", &with);
    let registry = open(&file, &executor);
    let breaker = |registry: &PolicyRegistry| registry.policy("a").and_then(|policy| policy.circuit_breaker());
    let given_out = breaker(&registry).expect("it has one");
    for gone in [&without, &other] {
        given_out.force_open();
        for text in [gone, &with] {
            folder.write("a.toml", text);
            assert!(registry.reload().is_ok(), "{text}");
        }
        let now = breaker(&registry).expect("it is back");
        now.force_closed();
        assert_eq!(given_out.current_state(), CircuitState::ForcedClosed, "after {gone}");
    }
}

#[test]
fn policies_sets_and_limits_report_to_each_registry_whenever_they_come() {
    let (folder, executor) = (Folder::new("report"), Executor::new());
    let limits = "[limit.clients]\nrate = \"100/s\"\n[limit.users]\nrate = \"10/s\"\n";
    let file = folder.write("a.toml", &(total(1) + limits));
    let registry = open(&file, &executor);
    let _clients = registry.limit("clients").unwrap();
    let reports = [crate::snapshot::Registry::new(), crate::snapshot::Registry::new()];
    let names = |at: usize| -> Vec<_> { reports[at].snapshots().into_iter().map(|part| part.name).collect() };
    registry.report_to(&reports[0]);
    assert_eq!(names(0), ["a", "clients", "policies"]);
    let _users = registry.limit("users").unwrap();
    let _tenants = registry.keyed("tenants", "a").unwrap();
    folder.write("a.toml", &(total(1) + limits + "[policy.b]\n"));
    assert!(registry.reload().is_ok());
    registry.report_to(&reports[1]);
    for at in [0, 1] {
        assert_eq!(names(at), ["a", "b", "clients", "policies", "tenants", "users"], "{at}");
    }
}

#[test]
fn a_file_that_comes_back_as_it_was_is_no_change() {
    let (folder, executor) = (Folder::new("same"), Executor::new());
    let file = folder.write("a.toml", &total(1));
    let registry = open(&file, &executor);
    fs::remove_file(&file).expect("it is there");
    assert!(registry.reload().is_err());
    folder.write("a.toml", &total(1));
    assert_eq!(registry.reload().map(|changes| changes.len()).ok(), Some(0));
    let status = registry.status();
    assert_eq!((status.applied, status.rejected, status.error), (0, 1, None));
}

#[test]
fn a_watch_sees_at_once_what_changed_before_it_began_and_one_every_zero_lets_others_run() {
    let (folder, executor) = (Folder::new("before"), Executor::new());
    let file = folder.write("a.toml", &total(1));
    let registry = open(&file, &executor);
    let policy = registry.policy("a").expect("it is named");
    let watch = registry.watch(60 * SECOND);
    folder.write("a.toml", &total(2));
    executor.spawn(watch);
    executor.run_for(SECOND / 10);
    assert_eq!(seconds(&policy), 2);
    executor.spawn(registry.watch(Duration::ZERO));
    executor.run_for(SECOND / 10);
    folder.write("a.toml", &total(3));
    executor.run_for(SECOND / 10);
    assert_eq!(seconds(&policy), 3);
}

#[test]
fn a_breaker_has_the_name_of_its_policy_whenever_it_came() {
    let (folder, executor) = (Folder::new("named"), Executor::new());
    let file = folder.write("a.toml", "[policy.a]\nextends = \"critical\"\n[policy.b]\n");
    let registry = open(&file, &executor);
    let name = |policy: &str| {
        registry
            .policy(policy)?
            .circuit_breaker()
            .map(|breaker| breaker.name().to_owned())
    };
    assert_eq!((name("a").as_deref(), name("b")), (Some("a"), None));
    folder.write("a.toml", "[policy.b]\nextends = \"critical\"\n");
    assert!(registry.reload().is_ok());
    assert_eq!(name("b").as_deref(), Some("b"));
}

#[test]
fn what_is_no_file_or_too_large_is_refused_and_no_caller_waits_for_it() {
    let (folder, executor) = (Folder::new("no-file"), Executor::new());
    let file = folder.write("a.toml", &total(1));
    let registry = open(&file, &executor);
    fs::remove_file(&file).expect("it is there");
    // A pipe without a writer is never read to its end.
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, &file, mode).expect("the folder takes a pipe");
    let refused = |registry: &PolicyRegistry| registry.reload().expect_err("it is no file").to_string();
    assert!(refused(&registry).ends_with("a.toml: it is no regular file"));
    fs::remove_file(&file).expect("it is there");
    folder.write("a.toml", &(total(2) + &"#".repeat(LARGEST as usize)));
    assert!(refused(&registry).ends_with("a.toml: it is larger than 1 MiB"));
    let text = total(2);
    folder.write("a.toml", &(text.clone() + &"#".repeat(LARGEST as usize - text.len())));
    assert_eq!(
        registry.reload().map(|changes| changes.len()).ok(),
        Some(1),
        "1 MiB may be"
    );
    fs::write(&file, b"[policy.a]\n# caf\xe9\n").expect("the folder was made just now");
    let error = refused(&registry);
    assert!(error.contains("not UTF-8") && error.contains("a.toml:2:6"), "{error}");
}

#[test]
fn an_error_that_ends_a_program_shows_its_lines() {
    let folder = Folder::new("shown");
    let file = folder.write("a.toml", "[policy.a]\ntimeout.total = 2\n");
    let error = PolicyRegistry::open(PolicyFiles::new(), [file]).expect_err("a number without a unit");
    let shown = format!("{error:?}");
    assert!(shown.contains("a.toml:2:17") && shown == error.to_string(), "{shown}");
}

#[test]
fn a_watch_sees_every_way_of_writing_a_file() {
    let (folder, executor) = (Folder::new("watch"), Executor::new());
    fs::create_dir(folder.path("v1")).expect("the folder is new");
    folder.write("v1/a.toml", &total(1));
    symlink("v1", folder.path("..data")).expect("links can be made here");
    symlink("..data/a.toml", folder.path("a.toml")).expect("links can be made here");
    let registry = open(&folder.path("a.toml"), &executor);
    let policy = registry.policy("a").expect("it is named");
    executor.spawn(registry.watch(SECOND));
    let see = |expected: u64, how: &str| {
        executor.run_for(3 * SECOND);
        assert_eq!(seconds(&policy), expected, "{how}");
    };
    see(1, "nothing has happened");

    folder.write("v1/a.toml", &total(2));
    see(2, "written in place");

    fs::create_dir(folder.path("v2")).expect("the folder is new");
    folder.write("v2/a.toml", &total(3));
    symlink("v2", folder.path("..data_tmp")).expect("links can be made here");
    fs::rename(folder.path("..data_tmp"), folder.path("..data")).expect("a link can be renamed");
    see(3, "the folder's link was swapped");

    folder.write("new", &total(4));
    fs::rename(folder.path("new"), folder.path("a.toml")).expect("a file can be renamed");
    see(4, "renamed over");

    fs::remove_file(folder.path("a.toml")).expect("it is there");
    see(4, "deleted: the last good settings stay");
    folder.write("a.toml", &total(5));
    see(5, "created again");

    folder.write("a.toml", "[policy.a]\ntimeout.to");
    see(5, "half written");
    folder.write("a.toml", &total(6));
    see(6, "and then whole");
    let status = registry.status();
    assert_eq!((status.applied, status.rejected), (5, 2));

    drop(registry);
    executor.run_for(2 * SECOND);
    assert_eq!(executor.time().waiting(), 0, "the watch ends with the registry");
}

#[test]
fn no_call_is_lost_or_misjudged_while_files_are_rewritten() {
    let (folder, executor) = (Folder::new("load"), Executor::new());
    let text = |step: u32| {
        let parts = PARTS
            .replace("consecutive_failures = 2", "consecutive_failures = 50")
            .replace("1/s", "1000000/s")
            .replace("burst = 10", "burst = 1000000");
        let parts = parts.replace("max_concurrent = 2", &format!("max_concurrent = {}", 1_000 + step));
        parts + &format!("timeout.total = \"{}s\"\n", 60 + step)
    };
    // As Kubernetes mounts it: the file is a link through a link that is swapped.
    fs::create_dir(folder.path("v0")).expect("the folder is new");
    folder.write("v0/a.toml", &text(0));
    symlink("v0", folder.path("..data")).expect("links can be made here");
    symlink("..data/a.toml", folder.path("a.toml")).expect("links can be made here");
    let registry = open(&folder.path("a.toml"), &executor);
    let policy = registry.policy("a").expect("it is named");
    executor.spawn(registry.watch(SECOND / 100));
    let (begun, well, failed) = (
        Rc::new(Cell::new(0_u64)),
        Rc::new(Cell::new(0_u64)),
        Rc::new(Cell::new(0_u64)),
    );
    let clock = executor.clock();
    for caller in 0..100_u64 {
        let (policy, clock) = (policy.clone(), clock.clone());
        let (begun, well, failed) = (Rc::clone(&begun), Rc::clone(&well), Rc::clone(&failed));
        executor.spawn(async move {
            for call in 0..600_u64 {
                begun.set(begun.get() + 1);
                // One in 97 fails, never two in a row of any length that matters: the circuit stays closed.
                let bad = (caller * 600 + call) % 97 == 0;
                let result = policy
                    .call(|| {
                        let clock = clock.clone();
                        async move {
                            clock.sleep(SECOND / 100).await;
                            if bad { Err("down") } else { Ok(()) }
                        }
                    })
                    .await;
                match result {
                    Ok(()) => well.set(well.get() + 1),
                    Err(error) if error.error() == Some(&"down") => failed.set(failed.get() + 1),
                    Err(other) => panic!("refused by a reload: {other}"),
                }
            }
        });
    }
    let mut changes = 0;
    for step in 1..=100 {
        match step % 4 {
            0 => drop(folder.write("..data/a.toml", "[policy.a]\nnonsense = 1\n")),
            1 => {
                let data = format!("v{step}");
                fs::create_dir(folder.path(&data)).expect("the folder is new");
                folder.write(&format!("{data}/a.toml"), &text(step));
                symlink(&data, folder.path("..data_tmp")).expect("links can be made here");
                fs::rename(folder.path("..data_tmp"), folder.path("..data")).expect("a link can be renamed");
                changes += 1;
            }
            2 => {
                folder.write("new", &text(step));
                fs::rename(folder.path("new"), folder.path("..data/a.toml")).expect("a file can be renamed");
                changes += 1;
            }
            _ => {
                folder.write("a.toml", &text(step));
                changes += 1;
            }
        }
        executor.run_for(SECOND / 20);
    }
    executor.run_for(10 * SECOND);
    assert_eq!((begun.get(), well.get() + failed.get()), (60_000, 60_000));
    assert_eq!(failed.get(), 60_000_u64.div_ceil(97));
    let breaker = policy.circuit_breaker().expect("it has one");
    let metrics = breaker.metrics();
    assert_eq!(
        (metrics.success_count, metrics.failure_count),
        (well.get(), failed.get())
    );
    assert_eq!(policy.bulkhead().map(|bulkhead| bulkhead.in_flight()), Some(0));
    let status = registry.status();
    assert_eq!(
        (status.applied, status.rejected),
        (changes, 25),
        "no more reloads than changes"
    );
}

/// Runs a test on real time.
#[cfg(all(target_os = "linux", feature = "tokio"))]
fn on_real_time<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be built").block_on(test);
}

#[cfg(all(target_os = "linux", feature = "tokio"))]
async fn becomes(policy: &Policy, expected: u64, how: &str) {
    let clock = Clock::tokio();
    let limit = clock.now() + 20 * SECOND;
    while seconds(policy) != expected {
        assert!(clock.now() < limit, "{how}: it is still {} s", seconds(policy));
        clock.sleep(SECOND / 100).await;
    }
}

#[cfg(all(target_os = "linux", feature = "tokio"))]
#[test]
fn a_watch_sees_every_way_in_which_a_file_changes_without_events_of_the_system() {
    let folder = Folder::new("changes");
    fs::create_dir(folder.path("v1")).expect("the folder is new");
    folder.write("v1/a.toml", &total(1));
    symlink("v1", folder.path("..data")).expect("links can be made here");
    symlink("..data/a.toml", folder.path("a.toml")).expect("links can be made here");
    on_real_time(async {
        let registry = PolicyRegistry::open_with(
            PolicyFiles::new(),
            [folder.path("a.toml")],
            Env::new(Clock::tokio()).seed(7),
        );
        let registry = registry.unwrap_or_else(|error| panic!("{error}"));
        let policy = registry.policy("a").expect("it is named");
        let watch = tokio::spawn(registry.watch(SECOND / 50));
        tokio::task::yield_now().await;

        folder.write("v1/a.toml", &total(2));
        becomes(&policy, 2, "written in place, behind two links").await;

        fs::create_dir(folder.path("v2")).expect("the folder is new");
        folder.write("v2/a.toml", &total(3));
        symlink("v2", folder.path("..data_tmp")).expect("links can be made here");
        fs::rename(folder.path("..data_tmp"), folder.path("..data")).expect("a link can be renamed");
        becomes(&policy, 3, "the folder's link was swapped").await;

        folder.write("v2/a.toml", &total(4));
        becomes(&policy, 4, "written in the folder that the link leads to now").await;

        folder.write("new", &total(5));
        fs::rename(folder.path("new"), folder.path("a.toml")).expect("a file can be renamed");
        becomes(&policy, 5, "renamed over").await;

        fs::remove_file(folder.path("a.toml")).expect("it is there");
        folder.write("a.toml", &total(6));
        becomes(&policy, 6, "deleted and created").await;
        watch.abort();
    });
}

#[cfg(all(target_os = "linux", feature = "tokio"))]
#[test]
fn a_hangup_reads_the_files_anew() {
    let folder = Folder::new("hangup");
    let file = folder.write("a.toml", &total(1));
    on_real_time(async {
        let registry = PolicyRegistry::open(PolicyFiles::new(), [&file]).unwrap_or_else(|error| panic!("{error}"));
        let policy = registry.policy("a").expect("it is named");
        let mut listening = std::pin::pin!(registry.reload_on_hangup());
        let nothing = std::future::poll_fn(|cx| std::task::Poll::Ready(listening.as_mut().poll(cx).is_ready()));
        assert!(!nothing.await, "it listens, and goes on listening");
        folder.write("a.toml", &total(2));
        let own = rustix::process::getpid();
        rustix::process::kill_process(own, rustix::process::Signal::HUP).expect("a process may signal itself");
        tokio::select! {
            ended = listening => panic!("{ended:?}"),
            () = becomes(&policy, 2, "a hangup") => {}
        }
    });
}

/// Notes whether policies are available while an event is logged.
#[cfg(feature = "tracing")]
struct Listener(std::sync::Weak<SharedRegistry>, Arc<Mutex<Vec<bool>>>);

#[cfg(feature = "tracing")]
impl tracing::Subscriber for Listener {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        let is_free = self.0.upgrade().is_some_and(|shared| shared.state.try_lock().is_ok());
        self.1.lock().expect("nobody panics here").push(is_free);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[cfg(feature = "tracing")]
#[test]
fn a_listener_to_a_change_may_ask_for_a_policy() {
    let folder = Folder::new("told");
    let path = folder.write("service.toml", &total(1));
    let registry = open(&path, &Executor::new());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener = Listener(Arc::downgrade(&registry.shared), heard.clone());
    tracing::subscriber::with_default(listener, || {
        // With one dispatcher in the process, tracing asks the thread that first comes by an event whether anybody wants it, and
        // keeps that answer for all threads. With two it asks both dispatchers.
        let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new());
        folder.write("service.toml", &total(2));
        registry.reload().expect("it is right");
        folder.write("service.toml", "=");
        registry.reload().expect_err("it is wrong");
        folder.write("service.toml", &total(2));
        registry.reload().expect("it is right again");
    });
    assert_eq!(*heard.lock().expect("nobody panics here"), [true, true, true]);
}

#[test]
fn a_reload_changes_all_policies_of_a_set_and_a_name_stands_for_one_set() {
    let (folder, executor) = (Folder::new("keyed"), Executor::new());
    let file = folder.write("a.toml", &total(1));
    let registry = open(&file, &executor);
    let tenants = registry.keyed("tenants", "a").expect("the file names it");
    let (ann, bob) = (tenants.get("ann"), tenants.get("bob"));
    assert_eq!((seconds(&ann), seconds(&bob)), (1, 1));

    folder.write("a.toml", &total(2));
    registry.reload().expect("it is right");
    assert_eq!(
        (seconds(&ann), seconds(&bob), seconds(&tenants.get("carol"))),
        (2, 2, 2)
    );
    let again = registry.keyed("tenants", "a").expect("it has been made");
    assert_eq!(again.snapshot().keys, 3);

    folder.write("a.toml", "[policy.a]\ntimeout.total = \"nonsense\"\n");
    registry.reload().expect_err("it is wrong");
    folder.write("a.toml", "[policy.b]\ntimeout.total = \"3s\"\n");
    registry.reload().expect("it is right");
    assert_eq!(seconds(&tenants.get("dave")), 2, "it keeps the last settings");

    let error = registry.keyed("tenants", "b").expect_err("it has another template");
    assert_eq!(error.setting, "template");
    assert_eq!(
        registry.keyed("hosts", "a").expect_err("no file names it").setting,
        "template"
    );
}

#[test]
fn a_check_that_the_file_names_ends_an_open_time_within_a_second_and_follows_reloads() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    let file = |check: &str| {
        format!(
            "[policy.a]\ncircuit_breaker = {{ consecutive_failures = 1, open_for = \"1h\", health_check = \"{check}\" }}\n"
        )
    };
    let (folder, executor) = (Folder::new("probes"), Executor::new());
    let path = folder.write("a.toml", &file("cache"));
    let registry = open(&path, &executor);
    let policy = registry.policy("a").expect("it is named");
    let breaker = policy.circuit_breaker().expect("it has one");
    let well = Arc::new(AtomicBool::new(false));
    let is_well = well.clone();
    // Relaxed: a switch that stands for itself, as below.
    let check = move |name| std::future::ready(name == "database" && is_well.load(Ordering::Relaxed));
    executor.spawn(registry.probe_health(check));
    executor.run_for(SECOND);
    let failed = executor.block_on(policy.call(|| async { Err::<(), _>("down") }));
    assert!(failed.is_err());
    executor.run_for(10 * SECOND);
    // Relaxed: as above.
    well.store(true, Ordering::Relaxed);
    executor.run_for(10 * SECOND);
    assert_eq!(
        breaker.current_state(),
        CircuitState::Open,
        "the file names another check"
    );

    folder.write("a.toml", &file("database"));
    registry.reload().expect("it is right");
    executor.run_for(2 * SECOND);
    let answered = executor.block_on(policy.call(|| async { Ok::<_, &str>(1) }));
    assert_eq!(answered.ok(), Some(1));

    let failed = executor.block_on(policy.call(|| async { Err::<(), _>("down") }));
    assert!(failed.is_err() && breaker.current_state() == CircuitState::Open);
    executor.run_for(SECOND);
    assert!(
        executor.block_on(policy.call(|| async { Ok::<_, &str>(1) })).is_ok(),
        "well within an hour"
    );
}

#[cfg(feature = "axum")]
#[test]
fn limits_are_named_in_the_file_follow_it_and_may_be_shared() {
    use crate::distributed::rate_limiter::{MemoryQuota, SharedLimitConfig};

    let (folder, executor) = (Folder::new("limits"), Executor::new());
    let file = folder.write(
        "a.toml",
        "[limit.clients]\nrate = \"100/s\"\n[limit.all]\nrate = \"5/s\"\nkey = \"all\"\nshared = true\n",
    );
    let registry = open(&file, &executor);
    let clients = registry.limit("clients").expect("the file names it");
    assert_eq!((clients.config().rate, clients.config().burst), (100.0, 100));
    assert_eq!(registry.limit("users").expect_err("no file names it").setting, "limit");
    assert_eq!(
        registry.limit("all").expect_err("nobody said by what").setting,
        "shared"
    );
    registry.share_limits(Arc::new(MemoryQuota::new()), SharedLimitConfig::DEFAULT);
    let all = registry.limit("all").expect("it has a backend");
    assert!(all.config().shared);

    folder.write(
        "a.toml",
        "[limit.clients]\nrate = \"50/s\"\nburst = 200\nkey = \"header:x-user\"\n",
    );
    let changes = registry.reload().expect("it is right");
    let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
    assert!(
        changes.contains(&"limit.clients.rate: \"100/s\" → \"50/s\"".to_owned()),
        "{changes:?}"
    );
    assert!(
        changes.contains(&"limit.clients.key: \"ip\" → \"header:x-user\"".to_owned()),
        "{changes:?}"
    );
    assert_eq!(clients.config().burst, 200);
    assert!(all.config().shared, "no file names it any more: it keeps its settings");

    folder.write("a.toml", "[limit.clients]\nrate = \"nonsense\"\n");
    registry.reload().expect_err("it is wrong");
    assert_eq!(clients.config().rate, 50.0);
}
