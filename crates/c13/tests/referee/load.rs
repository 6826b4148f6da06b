//! Many at once: two hundred wrappers of one lock, fifty of one limit and one circuit, and a cleaner that takes files away.

use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::alone;
use super::processes::{ENDS, Finished, Scene, now};
use super::redis_server::Server;
use super::witness::{Log, Stay, instruct, read_log, witness};

/// For this long by default; `C13_REFEREE_LOAD_SECONDS` says otherwise.
const SECONDS: u64 = 5;

fn load_time() -> Duration {
    let text = std::env::var("C13_REFEREE_LOAD_SECONDS");
    let seconds = text.map_or(SECONDS, |text| {
        text.parse().expect("C13_REFEREE_LOAD_SECONDS is a number")
    });
    Duration::from_secs(seconds)
}

/// Starts witnesses under these options from so many threads, at least one from each, until the time is over; how each ended.
fn load(scene: &Scene, threads: usize, time: Duration, options: &[&str], stay: Stay) -> Vec<Finished> {
    let command = witness();
    let mut arguments = vec!["run"];
    arguments.extend(options);
    arguments.push("--");
    arguments.extend(command.iter().map(String::as_str));
    let until: Instant = now() + time;
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut ended = Vec::new();
                    loop {
                        let mut started = scene.c13(&arguments);
                        instruct(&mut started, &scene.folder, stay);
                        ended.push(scene.finish(started, ENDS * 2));
                        if now() >= until {
                            return ended;
                        }
                    }
                })
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().expect("it ends"))
            .collect()
    })
}

/// How those ended that have another status, in words.
fn others_than(all: &[Finished], expected: &[i32]) -> Vec<String> {
    let is_other = |ended: &&Finished| !ended.status.is_some_and(|status| expected.contains(&status));
    let words = |ended: &Finished| format!("{:?} after {:?}: {}", ended.status, ended.took, ended.err.trim());
    all.iter().filter(is_other).map(words).collect()
}

/// Everybody got the lock, one after the other.
fn assert_in_turn(ended: &[Finished], log: &Log) {
    assert_eq!(
        others_than(ended, &[0]),
        Vec::<String>::new(),
        "of {} runs",
        ended.len()
    );
    assert_eq!(log.overlaps, Vec::<String>::new());
    assert_eq!((log.begun, log.ended), (ended.len(), ended.len()));
}

const SHORT: Stay = Stay {
    time: Duration::from_millis(1),
    child: false,
    status: 0,
};

#[test]
fn two_hundred_wrappers_of_one_lock_have_it_in_turn() {
    let _turn = alone();
    let scene = Scene::new("load");
    let wait = format!("{}s", load_time().as_secs());
    let ended = load(&scene, 200, load_time(), &["--lock", "k", "--wait", &wait], SHORT);
    let log = read_log(&scene.folder);
    // On a small machine some wait in vain.
    assert_eq!(
        others_than(&ended, &[0, 75]),
        Vec::<String>::new(),
        "of {} runs",
        ended.len()
    );
    let well = ended.iter().filter(|ended| ended.status == Some(0)).count();
    assert_eq!(log.overlaps, Vec::<String>::new());
    assert_eq!((log.begun, log.ended), (well, well), "of {} runs", ended.len());
    assert!(ended.len() >= 200 && well > 0, "{well} of {} runs", ended.len());
}

#[test]
fn fifty_wrappers_of_one_lock_on_redis_have_it_in_turn() {
    let _turn = alone();
    let (scene, server) = (Scene::new("load"), Server::start());
    let url = server.url();
    let options = ["--lock", "k", "--ttl", "5s", "--wait", "100s", "--redis", &url];
    let ended = load(&scene, 50, load_time(), &options, SHORT);
    assert_in_turn(&ended, &read_log(&scene.folder));
}

#[test]
fn a_lock_is_kept_while_a_careful_cleaner_removes_what_nobody_holds() {
    let _turn = alone();
    let scene = Scene::new("cleaner");
    let over = AtomicBool::new(false);
    let (ended, removed) = std::thread::scope(|scope| {
        let cleaner = scope.spawn(|| {
            let mut removed = 0;
            // Relaxed: it is asked again soon.
            while !over.load(Ordering::Relaxed) {
                removed += clean(&scene.state());
            }
            removed
        });
        let ended = load(&scene, 5, load_time(), &["--lock", "k", "--wait", "60s"], SHORT);
        // Relaxed: the join orders what follows.
        over.store(true, Ordering::Relaxed);
        (ended, cleaner.join().expect("it ends"))
    });
    assert!(removed > 0, "the cleaner found nothing to remove");
    assert_in_turn(&ended, &read_log(&scene.folder));
}

/// Removes the files that it can lock, as a cleaner does that asks whether somebody uses them.
fn clean(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let remove = |path: &Path| {
        // What is no file that can be opened, such as a socket, is left alone.
        let file = File::options().read(true).write(true).open(path).ok()?;
        file.try_lock().ok()?;
        fs::remove_file(path).ok()
    };
    entries.filter_map(|entry| remove(&entry.ok()?.path())).count()
}

fn limit_is_kept(options: &[&str]) {
    let scene = Scene::new("limit");
    let begin = now();
    let mut all = vec!["--limit", "30/m", "--limit-key", "m", "--nonblock"];
    all.extend(options);
    let ended = load(&scene, 50, load_time(), &all, SHORT);
    let log = read_log(&scene.folder);
    // At once, and one every two seconds.
    let most = 30 + usize::try_from(begin.elapsed().as_secs() / 2).expect("it is short") + 1;
    // Those inside at the same time are no fault here, only their number.
    let admitted = ended.iter().filter(|ended| ended.status != Some(75)).count();
    assert_eq!(
        others_than(&ended, &[0, 75, super::witness::OVERLAP]),
        Vec::<String>::new()
    );
    assert!(
        (30..=most).contains(&admitted),
        "{admitted} of {} runs, at most {most}: {log:?}",
        ended.len()
    );
}

#[test]
fn fifty_processes_of_one_limit_get_no_more_than_it_allows() {
    let _turn = alone();
    limit_is_kept(&[]);
    let server = Server::start();
    limit_is_kept(&["--redis", &server.url()]);
}

/// A circuit that is tried once a second.
const POLICY: &str = r#"
[policy.quick]
circuit_breaker = { consecutive_failures = 2, success_threshold = 1, open_for = "1s" }
"#;

/// The words of an option that names it.
pub(crate) fn policy(scene: &Scene) -> String {
    let file = scene.file("policies.toml");
    fs::write(&file, POLICY).expect("the folder can be written");
    format!("{file}#quick")
}

fn circuit_is_kept(options: &[&str]) {
    let scene = Scene::new("circuit");
    let policy = policy(&scene);
    let mut all = vec!["--policy", &policy, "--breaker", "b"];
    all.extend(options);
    let mut fails = vec!["run"];
    fails.extend(&all);
    fails.extend(["--", "false"]);
    assert_eq!([scene.status(&fails), scene.status(&fails)], [Some(1); 2]);
    let begin = now();
    let stay = Stay {
        time: Duration::from_millis(50),
        child: false,
        status: 1,
    };
    let ended = load(&scene, 50, load_time(), &all, stay);
    let log = read_log(&scene.folder);
    assert_eq!(others_than(&ended, &[1, 75]), Vec::<String>::new(), "{log:?}");
    assert_eq!(log.overlaps, Vec::<String>::new(), "one probe at a time");
    let most = usize::try_from(begin.elapsed().as_secs()).expect("it is short") + 1;
    assert!((1..=most).contains(&log.begun), "{} probes, at most {most}", log.begun);
}

#[test]
fn fifty_processes_of_one_open_circuit_try_it_one_at_a_time() {
    let _turn = alone();
    circuit_is_kept(&[]);
    let server = Server::start();
    circuit_is_kept(&["--redis", &server.url()]);
}
