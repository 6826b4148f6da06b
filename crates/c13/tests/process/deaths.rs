//! Whichever process dies, nothing of the command is left, and a file lock is free only then.

use super::scene::{ENDS, Process, Scene, comes_true, signal};
use super::{SOON, guard_of, is_alive, is_stopped, written};
use std::process::Command;
use std::time::Duration;

/// A command with a child in its group and one in a session of its own, all of which ignore what can be ignored; writes
/// the numbers of all three.
fn family(scene: &Scene) -> String {
    let (pids, own) = (scene.file("pids"), scene.file("own"));
    format!(
        "trap '' TERM HUP INT; sleep 60 & a=$!; setsid sh -c 'echo $$ > {own}; exec sleep 60' & \
         while ! [ -s {own} ]; do sleep 0.01; done; echo $$ $a $(cat {own}) > {pids}; while :; do sleep 0.05; done"
    )
}

fn start_family(scene: &Scene, options: &[&str]) -> (Process, Vec<String>) {
    let script = family(scene);
    let mut arguments = vec!["run"];
    arguments.extend(options);
    arguments.extend(["--", "sh", "-c", &script]);
    let wrapper = scene.start(&arguments);
    let pids: Vec<String> = written(scene, "pids").split(' ').map(str::to_owned).collect();
    assert_eq!(pids.len(), 3, "{pids:?}");
    (wrapper, pids)
}

fn assert_all_die(pids: &[String], why: &str) {
    for pid in pids {
        assert!(comes_true(SOON, || !is_alive(pid)), "{why}: {pid} of {pids:?} lives");
    }
}

#[test]
fn nothing_of_the_command_outlives_a_killed_wrapper_or_a_killed_guard() {
    for (name, kills_wrapper) in [("wrapper", true), ("guard", false)] {
        let scene = Scene::new(&format!("killed-{name}"));
        let (mut wrapper, pids) = start_family(&scene, &["--lock", "k"]);
        let guard = guard_of(&wrapper.id());
        signal(
            "-KILL",
            if kills_wrapper { wrapper.id() } else { guard.clone() }.as_str(),
        );
        assert_all_die(&pids, name);
        assert!(comes_true(SOON, || !is_alive(&guard)), "{name}: the guard ends");
        if !kills_wrapper {
            assert_eq!(wrapper.ends_within(SOON), Some(125));
            let words = "the guard of the command was killed, and the command with it";
            assert!(wrapper.says_within(SOON, words), "{}", wrapper.errors());
        }
        assert_eq!(
            scene.status(&["run", "--lock", "k", "--wait", "20s", "--", "true"]),
            Some(0),
            "{name}"
        );
    }
}

#[test]
fn the_command_dies_even_if_wrapper_and_guard_are_killed_at_once() {
    for round in 0..5 {
        let scene = Scene::new(&format!("both-{round}"));
        let pid = scene.file("pid");
        let script = format!("trap '' TERM HUP; echo $$ > {pid}; while :; do sleep 0.05; done");
        let wrapper = scene.start(&["run", "--", "sh", "-c", &script]);
        let command = written(&scene, "pid");
        let (guard, wrapper) = (guard_of(&wrapper.id()), wrapper.id());
        // The guard does nothing any more when the wrapper dies.
        signal("-STOP", &guard);
        assert!(comes_true(SOON, || is_stopped(&guard)));
        signal("-KILL", &wrapper);
        signal("-KILL", &guard);
        assert!(comes_true(SOON, || !is_alive(&command)));
    }
}

#[test]
fn the_guard_holds_a_file_lock_until_the_command_is_gone() {
    let scene = Scene::new("guard-holds");
    let (wrapper, pids) = start_family(&scene, &["--lock", "k"]);
    let guard = guard_of(&wrapper.id());
    // The system lets a stopped group go on when nobody of its session is left who could do that: we adopt the guard.
    let me = rustix::process::getpid();
    rustix::process::set_child_subreaper(Some(me)).expect("the system lets us");
    signal("-STOP", &guard);
    assert!(comes_true(SOON, || is_stopped(&guard)));
    signal("-KILL", &wrapper.id());
    let other = ["run", "--lock", "k", "--nonblock", "--", "true"];
    assert_eq!(scene.status(&other), Some(75), "the guard has not killed it yet");
    assert!(is_alive(&pids[0]));
    signal("-CONT", &guard);
    assert_all_die(&pids, "the guard goes on");
    assert_eq!(
        scene.status(&["run", "--lock", "k", "--wait", "20s", "--", "true"]),
        Some(0)
    );
}

#[test]
fn no_descriptor_of_ours_reaches_the_command() {
    let scene = Scene::new("descriptors");
    let mut listing = scene.run(&["run", "--lock", "k", "--", "sh", "-c", "ls -l /proc/self/fd"]);
    assert_eq!(listing.status(), Some(0));
    for word in ["socket:", "state", "tty"] {
        assert!(!listing.output().contains(word), "{word} in {}", listing.output());
    }
}

#[test]
fn a_time_limit_ends_a_command_in_a_session_of_its_own() {
    let scene = Scene::new("setsid");
    let pid = scene.file("pid");
    let script = format!("echo $$ > {pid}; exec sleep 60");
    let run = [
        "run",
        "--timeout",
        "2s",
        "--kill-after",
        "1s",
        "--",
        "setsid",
        "-w",
        "sh",
        "-c",
        &script,
    ];
    assert_eq!(scene.status(&run), Some(124));
    assert!(!is_alive(&written(&scene, "pid")));
}

#[test]
fn a_signal_that_ends_the_wrapper_ends_all_sessions_of_the_command() {
    let scene = Scene::new("setsid-term");
    let (mut wrapper, pids) = start_family(&scene, &[]);
    signal("-TERM", &wrapper.id());
    signal("-KILL", &pids[0]);
    assert_eq!(wrapper.ends_within(SOON), Some(128 + 9));
    assert_all_die(&pids, "stopped");
}

#[test]
fn what_becomes_a_daemon_while_the_command_ends_well_is_left_alone() {
    let scene = Scene::new("daemon");
    let own = scene.file("own");
    let script = format!("setsid sh -c 'echo $$ > {own}; exec sleep 60' & while ! [ -s {own} ]; do sleep 0.01; done");
    assert_eq!(scene.status(&["run", "--", "sh", "-c", &script]), Some(0));
    let daemon = written(&scene, "own");
    assert!(is_alive(&daemon));
    signal("-KILL", &daemon);
}

#[test]
fn a_binary_that_is_replaced_while_it_runs_goes_on_with_its_retries() {
    let scene = Scene::new("replaced");
    let (program, runs) = (scene.file("c13"), scene.file("runs"));
    std::fs::copy(super::scene::program(), &program).expect("it can be copied");
    let script = format!("echo x >> {runs}; rm -f {program}; test $(wc -l < {runs}) -ge 2");
    let mut command = Command::new(&program);
    command.args(["run", "--retry", "3", "--backoff", "10ms", "--", "sh", "-c", &script]);
    command
        .env("C13_STATE_DIR", scene.file("state"))
        .env_remove("REDIS_URL");
    let mut wrapper = scene.launch(command);
    assert_eq!(wrapper.ends_within(ENDS), Some(0), "{}", wrapper.errors());
    assert!(!scene.has("c13"), "it was removed");
}

#[test]
fn the_first_process_of_a_container_reaps_what_it_adopts() {
    let scene = Scene::new("init");
    let (c13, done) = (super::scene::program(), scene.file("done"));
    // Grandchildren whose parents are gone, while the command runs and while the lock is waited for.
    let orphans =
        "for n in 1 2 3 4 5; do sh -c 'sleep 0.05 & sleep 0.05 & exit 0'; (setsid sh -c 'sleep 0.05 & exit 0' &); done";
    let script = format!(
        "{orphans}; sleep 1; ls -d /proc/[0-9]* | while read p; do grep -H '^State:.Z' $p/status; done; echo x > {done}"
    );
    let mut command = Command::new("unshare");
    command.args([
        "--pid",
        "--fork",
        "--mount-proc",
        &c13,
        "run",
        "--",
        "sh",
        "-c",
        &script,
    ]);
    let mut init = scene.launch(command);
    assert_eq!(init.ends_within(ENDS), Some(0), "{}", init.errors());
    assert_eq!(written(&scene, "done"), "x");
    assert_eq!(init.output(), "", "zombies are left");
}

#[test]
fn the_first_process_of_a_container_reaps_while_it_waits_for_a_lock() {
    let scene = Scene::new("init-waits");
    let mut holder = scene.start(&[
        "run",
        "--lock",
        "k",
        "--",
        "sh",
        "-c",
        &format!("echo x > {}; sleep 60", scene.file("held")),
    ]);
    written(&scene, "held");
    let c13 = super::scene::program();
    // A second process of the container leaves orphans to its first.
    let outside = "sleep 1; setsid sh -c 'sleep 0.05 & sleep 0.05 & exit 0'; sleep 1; \
        for p in /proc/[0-9]*; do grep -H '^State:.Z' $p/status; done; echo end";
    let mut command = Command::new("unshare");
    let inner = format!("({outside}) & exec {c13} run --lock k --wait 6s -- true");
    command.args(["--pid", "--fork", "--mount-proc", "sh", "-c", &inner]);
    command
        .env("C13_STATE_DIR", scene.file("state"))
        .env_remove("REDIS_URL");
    let mut init = scene.launch(command);
    assert_eq!(init.ends_within(ENDS), Some(75), "{}", init.errors());
    assert_eq!(init.output(), "end\n", "zombies are left");
    signal("-TERM", &holder.id());
    holder.ends_within(Duration::from_secs(20));
}
