//! Commands and surroundings that resist: ignored signals, a stopped command, one that ignores its end, one in a session of its own.

use std::time::Duration;

use rustix::process::Signal;

use super::processes::{Process, Scene, has_signal, is_alive, now, pause, signal, state, within};
use super::{alone, assert_none_wrong};

/// What ends at a signal ends within this.
const BOUND: Duration = Duration::from_secs(1);

const ENDING: [(&str, Signal); 4] = [
    ("HUP", Signal::HUP),
    ("INT", Signal::INT),
    ("TERM", Signal::TERM),
    ("QUIT", Signal::QUIT),
];

/// Far past every bound.
const PATIENCE: Duration = Duration::from_secs(10);

/// Starts a wrapper, in words of `sh`, whose command writes its number to `pid`.
fn begin(scene: &Scene, words: &str) -> (Process, u32) {
    let mut command = scene.command("sh", &["-c", words]);
    command
        .env("C13", super::processes::program())
        .env("PID", scene.file("pid"));
    let process = scene.launch(command);
    let pid = scene.wait_for("pid");
    let pid = pid.unwrap_or_else(|| panic!("the command never runs: {}", process.errors()));
    (process, pid.parse().expect("it wrote its number"))
}

/// How an ending signal ends a wrapper; nothing to say if as it should.
fn ends(scene: &Scene, process: &mut Process, sent: Signal, statuses: &[i32], limit: Duration) -> Option<String> {
    let begin = now();
    signal(process.id(), sent);
    let status = process.ends_within(PATIENCE);
    let took = begin.elapsed();
    let gone = within(BOUND, || scene.processes().is_empty());
    let right = status.is_some_and(|status| statuses.contains(&status));
    (!right || took > limit || !gone).then(|| {
        let stays = if gone { "" } else { ", and its command stays" };
        format!(
            "ends with {status:?} after {} ms, not {statuses:?} within {limit:?}{stays}",
            took.as_millis()
        )
    })
}

#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    let _turn = alone();
    let mut faults = Vec::new();
    // PIPE is not among them: the runtime of Rust ignores it in every program, so that nobody can tell.
    let others = [("USR1", Signal::USR1), ("USR2", Signal::USR2), ("TSTP", Signal::TSTP)];
    for (name, sent) in ENDING.into_iter().chain(others) {
        let scene = Scene::new("ignored");
        let words = format!("trap '' {name}; exec \"$C13\" run --lock k -- sh -c 'echo $$ > \"$PID\"; exec sleep 60'");
        let (mut wrapper, command) = begin(&scene, &words);
        if !has_signal(command, "SigIgn", sent) {
            faults.push(format!("{name}: the command does not ignore it"));
        }
        signal(wrapper.id(), sent);
        pause(Duration::from_millis(300));
        let going = |process| state(process).is_some_and(|state| state != 'T');
        if !going(wrapper.id()) || !going(command) {
            faults.push(format!("{name}: it ends or stops although it was ignored"));
            continue;
        }
        let last = if sent == Signal::TERM {
            Signal::INT
        } else {
            Signal::TERM
        };
        faults.extend(
            ends(&scene, &mut wrapper, last, &[128 + last.as_raw()], BOUND)
                .map(|fault| format!("{name}, then: {fault}")),
        );
    }
    assert_none_wrong(&faults);
}

#[test]
fn a_stopped_command_ends_at_a_signal() {
    let _turn = alone();
    let mut faults = Vec::new();
    for (name, sent) in ENDING.into_iter().chain([("KILL", Signal::KILL)]) {
        let scene = Scene::new("stopped");
        let words = "exec \"$C13\" run --lock k -- sh -c 'echo $$ > \"$PID\"; exec sleep 60'";
        let (mut wrapper, command) = begin(&scene, words);
        signal(command, Signal::STOP);
        assert!(within(PATIENCE, || state(command) == Some('T')));
        pause(Duration::from_millis(200));
        let fault = ends(&scene, &mut wrapper, sent, &[128 + sent.as_raw()], BOUND);
        faults.extend(fault.map(|fault| format!("{name}: {fault}")));
    }
    assert_none_wrong(&faults);
}

#[test]
fn a_command_that_ignores_its_end_is_killed_by_a_second_signal() {
    let _turn = alone();
    let mut faults = Vec::new();
    for (name, sent) in ENDING {
        let scene = Scene::new("ignores");
        let words = format!(
            "exec \"$C13\" run --lock k -- \
             sh -c 'trap \"\" {name}; echo $$ > \"$PID\"; while :; do sleep 0.05; done'"
        );
        let (mut wrapper, command) = begin(&scene, &words);
        signal(wrapper.id(), sent);
        // Two at once are one.
        pause(Duration::from_millis(200));
        if !is_alive(command) {
            faults.push(format!("{name}: the first one kills it"));
        }
        let fault = ends(&scene, &mut wrapper, sent, &[128 + 9], BOUND);
        faults.extend(fault.map(|fault| format!("{name}: {fault}")));
    }
    assert_none_wrong(&faults);
}

#[test]
fn a_command_in_a_session_of_its_own_ends_with_its_wrapper() {
    let _turn = alone();
    let mut faults = Vec::new();
    for (name, sent) in ENDING.into_iter().chain([("KILL", Signal::KILL)]) {
        let scene = Scene::new("session");
        let words = "exec \"$C13\" run --lock k -- setsid -w sh -c 'echo $$ > \"$PID\"; exec sleep 60'";
        let (mut wrapper, _) = begin(&scene, words);
        let fault = ends(&scene, &mut wrapper, sent, &[128 + sent.as_raw()], BOUND);
        faults.extend(fault.map(|fault| format!("{name}: {fault}")));
    }
    // The time limit reaches it as well.
    let scene = Scene::new("session");
    let words =
        "exec \"$C13\" run --timeout 400ms --kill-after 200ms -- setsid -w sh -c 'echo $$ > \"$PID\"; exec sleep 60'";
    let (mut wrapper, command) = begin(&scene, words);
    let status = wrapper.ends_within(PATIENCE);
    if status != Some(124) || !within(BOUND, || !is_alive(command)) {
        faults.push(format!("time limit: {status:?}, alive: {}", is_alive(command)));
    }
    assert_none_wrong(&faults);
}

#[test]
fn a_removed_lock_file_is_noticed_within_a_second() {
    let _turn = alone();
    let scene = Scene::new("removed");
    let words = "exec \"$C13\" run --lock k -- sh -c 'echo $$ > \"$PID\"; exec sleep 60'";
    let (mut wrapper, command) = begin(&scene, words);
    for entry in std::fs::read_dir(scene.state()).expect("the folder is there") {
        std::fs::remove_file(entry.expect("it can be listed").path()).expect("it can be removed");
    }
    let begin = now();
    let status = wrapper.ends_within(PATIENCE);
    let took = begin.elapsed();
    assert_eq!(status, Some(76), "{}", wrapper.errors());
    // Twice the second that is promised: the machine may stand still.
    assert!(took < 2 * BOUND, "noticed after {took:?}");
    assert!(within(BOUND, || !is_alive(command)));
}
