//! Signals: what is ignored stays ignored, what asks to stop reaches a stopped command, and no suspend ends a file lock.

use super::scene::{Scene, comes_true, signal};
use super::{SOON, is_alive, is_stopped, status_line, written};
use std::process::Command;
use std::time::Duration;

/// The mask of one line of `/proc/PID/status`.
fn mask(process: &str, name: &str) -> u64 {
    let line = status_line(process, name).unwrap_or_else(|| panic!("{process} is gone"));
    u64::from_str_radix(&line, 16).expect("it is a mask")
}

#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    let scene = Scene::new("ignored");
    let (pid, c13) = (scene.file("pid"), super::scene::program());
    let script = format!("exec sh -c \"echo \\$\\$ > {pid}; exec sleep 60\"");
    let line = format!("trap '' HUP INT QUIT USR1 TSTP ALRM RTMIN RTMAX; exec {c13} run --lock k -- sh -c '{script}'");
    let mut shell = Command::new("bash");
    shell
        .args(["-c", &line])
        .env("C13_STATE_DIR", scene.file("state"))
        .env_remove("REDIS_URL");
    let mut wrapper = scene.launch(shell);
    let command = written(&scene, "pid");
    assert!(comes_true(SOON, || {
        std::fs::read(format!("/proc/{command}/cmdline")).is_ok_and(|line| line.starts_with(b"sleep"))
    }));
    let expected = [1, 2, 3, 10, 20, 14, 34, 64];
    let bits = expected.iter().fold(0_u64, |bits, number| bits | 1 << (number - 1));
    for (who, process) in [
        ("command", &command),
        ("guard", &super::guard_of(&wrapper.id())),
        ("wrapper", &wrapper.id()),
    ] {
        assert_eq!(mask(process, "SigIgn") & bits, bits, "{who}");
    }
    // Not only by the table: they do nothing.
    for name in ["-HUP", "-INT", "-QUIT", "-HUP"] {
        signal(name, &wrapper.id());
    }
    signal("-TERM", &wrapper.id());
    assert_eq!(wrapper.ends_within(SOON), Some(128 + 15));
}

#[test]
fn a_command_under_nohup_outlives_a_hangup() {
    let scene = Scene::new("nohup");
    let (pid, c13) = (scene.file("pid"), super::scene::program());
    let script = format!("echo $$ > {pid}; exec sleep 60");
    let mut nohup = Command::new("nohup");
    nohup.args([&c13, "run", "--", "sh", "-c", &script]);
    nohup.env("C13_STATE_DIR", scene.file("state")).env_remove("REDIS_URL");
    let mut wrapper = scene.launch(nohup);
    let command = written(&scene, "pid");
    signal("-HUP", &wrapper.id());
    signal("-HUP", &wrapper.id());
    // A signal that is not ignored comes after it, and is what ends the command.
    signal("-INT", &wrapper.id());
    assert_eq!(wrapper.ends_within(SOON), Some(128 + 2));
    assert!(!is_alive(&command));
}

#[test]
fn a_stopped_command_hears_what_asks_it_to_stop() {
    for (name, number) in [("-TERM", 15), ("-INT", 2), ("-HUP", 1), ("-QUIT", 3)] {
        let scene = Scene::new(&format!("stopped{name}"));
        let pid = scene.file("pid");
        let script = format!("echo $$ > {pid}; exec sleep 60");
        let mut wrapper = scene.start(&["run", "--", "sh", "-c", &script]);
        let command = written(&scene, "pid");
        signal("-STOP", &command);
        assert!(comes_true(SOON, || is_stopped(&command)));
        signal(name, &wrapper.id());
        assert_eq!(wrapper.ends_within(SOON), Some(128 + number), "{name}");
    }
}

#[test]
fn a_wrapper_that_stands_still_for_longer_than_ttl_keeps_its_file_lock_and_its_command() {
    let scene = Scene::new("suspend");
    let (pid, go) = (scene.file("pid"), scene.file("go"));
    let script = format!("echo $$ > {pid}; while ! [ -e {go} ]; do sleep 0.05; done; exit 5");
    let mut wrapper = scene.start(&["run", "--lock", "k", "--ttl", "1s", "--", "sh", "-c", &script]);
    let command = written(&scene, "pid");
    signal("-STOP", &wrapper.id());
    assert!(comes_true(SOON, || is_stopped(&wrapper.id())));
    // Longer than the guard would wait if there were a lease.
    super::scene::pause(Duration::from_secs(3));
    assert!(is_alive(&command));
    assert_eq!(
        scene.status(&["run", "--lock", "k", "--nonblock", "--", "true"]),
        Some(75)
    );
    signal("-CONT", &wrapper.id());
    std::fs::write(&go, "").expect("the folder can be written");
    assert_eq!(wrapper.ends_within(SOON), Some(5), "{}", wrapper.errors());
}
