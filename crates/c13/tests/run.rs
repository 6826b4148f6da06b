//! `c13 run` as a process: each exit status, signals, orphans, and two machines' cron jobs that never overlap.

#![cfg(target_os = "linux")]

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// A folder of its own for one test, gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("c13-run-{name}-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&folder));
        std::fs::create_dir_all(&folder).expect("the temporary folder can be written");
        Self(folder)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("it is UTF-8").to_owned()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_c13"));
        command
            .args(arguments)
            .env("C13_STATE_DIR", &self.0)
            .env_remove("REDIS_URL");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("c13 runs")
    }

    fn status(&self, arguments: &[&str]) -> i32 {
        self.run(arguments).status.code().expect("c13 exits")
    }

    fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().expect("c13 runs")
    }

    /// Waits until a command has written this file.
    fn wait_for(&self, name: &str) -> String {
        for _ in 0..1_000 {
            if let Ok(text) = std::fs::read_to_string(self.file(name))
                && text.ends_with('\n')
            {
                return text.trim().to_owned();
            }
            pause(Duration::from_millis(10));
        }
        panic!("nobody wrote {name}");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[expect(clippy::disallowed_methods, reason = "another process knows no virtual time")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

fn signal(signal: &str, process: &str) {
    let sent = Command::new("kill")
        .args([signal, "--", process])
        .stderr(Stdio::null())
        .status();
    assert!(sent.expect("there is kill").success(), "kill {signal} {process}");
}

fn is_alive(process: &str) -> bool {
    // A zombie has no command line.
    std::fs::read(format!("/proc/{process}/cmdline")).is_ok_and(|line| !line.is_empty())
}

fn dies_within(process: &str, limit: Duration) -> bool {
    for _ in 0..limit.as_millis() / 10 {
        if !is_alive(process) {
            return true;
        }
        pause(Duration::from_millis(10));
    }
    false
}

#[test]
fn the_commands_own_status_and_output_are_passed_through() {
    let folder = Folder::new("status");
    let output = folder.run(&["run", "--lock", "k", "--", "sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(output.stdout, b"out\n");
    assert_eq!(output.stderr, b"err\n");
    assert_eq!(folder.status(&["run", "--", "true"]), 0);
}

#[test]
fn each_way_to_fail_has_its_status() {
    let folder = Folder::new("statuses");
    assert_eq!(folder.status(&["run", "--", "c13-no-such-command"]), 127);
    assert_eq!(folder.status(&["run", "--", "/"]), 126);
    assert_eq!(folder.status(&["run", "--timeout", "100ms", "--", "sleep", "30"]), 124);
    assert_eq!(folder.status(&["run", "--", "sh", "-c", "kill -TERM $$"]), 128 + 15);
    assert_eq!(folder.status(&["run"]), 2);
    assert_eq!(folder.status(&["run", "--ttl", "1ms", "--lock", "k", "--", "true"]), 2);
    let unreachable = [
        "run",
        "--redis",
        "redis://127.0.0.1:1",
        "--lock",
        "k",
        "--nonblock",
        "--",
        "true",
    ];
    assert_eq!(folder.status(&unreachable), 125);
}

#[test]
fn a_lock_that_somebody_has_is_not_waited_for_when_told_so() {
    let folder = Folder::new("conflict");
    let held = folder.file("held");
    let script = format!("echo $C13_LOCK_FENCE > {held}; sleep 30");
    let mut holder = folder.start(&["run", "--lock", "k", "--", "sh", "-c", &script]);
    let fence: u64 = folder.wait_for("held").parse().expect("the fence is a number");
    assert_eq!(folder.status(&["run", "--lock", "k", "--nonblock", "--", "true"]), 75);
    assert_eq!(
        folder.status(&["run", "--lock", "k", "--wait", "50ms", "-E", "9", "--", "true"]),
        9
    );
    assert_eq!(folder.status(&["lock", "status", "k"]), 75);
    signal("-TERM", &holder.id().to_string());
    assert_eq!(holder.wait().expect("it ends").code(), Some(128 + 15));
    assert_eq!(folder.status(&["lock", "status", "k"]), 0);
    let next = folder.run(&["run", "--lock", "k", "--", "sh", "-c", "echo $C13_LOCK_FENCE"]);
    let next: u64 = String::from_utf8_lossy(&next.stdout)
        .trim()
        .parse()
        .expect("the fence is a number");
    assert!(next > fence);
}

#[test]
fn a_lost_lock_stops_the_command() {
    let folder = Folder::new("lost");
    let pid = folder.file("pid");
    let script = format!("echo $$ > {pid}; trap '' TERM; while :; do sleep 0.1; done");
    let mut wrapper = folder.start(&["run", "--lock", "k", "--ttl", "600ms", "--", "sh", "-c", &script]);
    let command = folder.wait_for("pid");
    std::fs::remove_file(folder.0.join("k.lock")).expect("the lock file is there");
    assert_eq!(wrapper.wait().expect("it ends").code(), Some(76));
    assert!(!is_alive(&command));
}

#[test]
fn a_failing_command_is_run_again_as_often_as_told() {
    let folder = Folder::new("retry");
    let runs = folder.file("runs");
    let script = format!("echo x >> {runs}; test $(wc -l < {runs}) -ge 3");
    assert_eq!(
        folder.status(&["run", "--retry", "5", "--backoff", "10ms", "--", "sh", "-c", &script]),
        0
    );
    assert_eq!(folder.wait_for("runs").lines().count(), 3);
    let only = [
        "run",
        "--retry",
        "5",
        "--retry-on",
        "9",
        "--backoff",
        "10ms",
        "--",
        "sh",
        "-c",
        "exit 3",
    ];
    assert_eq!(folder.status(&only), 3);
}

#[test]
fn a_limit_is_shared_by_all_that_run() {
    let folder = Folder::new("limit");
    let limited = [
        "run",
        "--limit",
        "2/h",
        "--limit-key",
        "mail",
        "--nonblock",
        "--",
        "true",
    ];
    assert_eq!([0; 3].map(|_| folder.status(&limited)), [0, 0, 75]);
}

#[test]
fn signals_reach_the_whole_group_and_the_status_says_which() {
    for (name, number) in [("-TERM", 15), ("-HUP", 1), ("-QUIT", 3), ("-INT", 2)] {
        let folder = Folder::new(&format!("signal{name}"));
        let pid = folder.file("pid");
        // A grandchild, as `sh -c` makes them.
        let script = format!("sleep 60 & echo $! > {pid}; wait");
        let mut wrapper = folder.start(&["run", "--", "sh", "-c", &script]);
        let grandchild = folder.wait_for("pid");
        signal(name, &wrapper.id().to_string());
        assert_eq!(wrapper.wait().expect("it ends").code(), Some(128 + number), "{name}");
        assert!(dies_within(&grandchild, Duration::from_secs(1)), "{name}");
    }
}

#[test]
fn the_command_does_not_outlive_a_wrapper_that_is_killed() {
    let folder = Folder::new("killed");
    let pid = folder.file("pid");
    let script = format!("sleep 60 & echo $! > {pid}; trap '' TERM HUP; wait");
    let mut wrapper = folder.start(&["run", "--lock", "k", "--", "sh", "-c", &script]);
    let grandchild = folder.wait_for("pid");
    signal("-KILL", &wrapper.id().to_string());
    drop(wrapper.wait());
    assert!(dies_within(&grandchild, Duration::from_secs(2)));
    assert_eq!(folder.status(&["run", "--lock", "k", "--wait", "2s", "--", "true"]), 0);
}

#[test]
fn a_signal_while_waiting_for_the_lock_ends_the_wait_and_runs_nothing() {
    let folder = Folder::new("waiting");
    let held = folder.file("held");
    let script = format!("echo x > {held}; sleep 30");
    let mut holder = folder.start(&["run", "--lock", "k", "--", "sh", "-c", &script]);
    folder.wait_for("held");
    let ran = folder.file("ran");
    let mut waiter = folder.start(&["run", "--lock", "k", "--", "touch", &ran]);
    pause(Duration::from_millis(300));
    signal("-TERM", &waiter.id().to_string());
    assert_eq!(waiter.wait().expect("it ends").code(), Some(128 + 15));
    assert!(!std::path::Path::new(&ran).exists());
    signal("-TERM", &holder.id().to_string());
    drop(holder.wait());
}

#[test]
fn a_second_signal_kills_a_command_that_ignores_the_first() {
    let folder = Folder::new("second");
    let pid = folder.file("pid");
    let script = format!("trap '' TERM; echo $$ > {pid}; while :; do sleep 0.1; done");
    let mut wrapper = folder.start(&["run", "--", "sh", "-c", &script]);
    let command = folder.wait_for("pid");
    signal("-TERM", &wrapper.id().to_string());
    pause(Duration::from_millis(200));
    assert!(is_alive(&command));
    signal("-TERM", &wrapper.id().to_string());
    assert_eq!(wrapper.wait().expect("it ends").code(), Some(128 + 9));
    assert!(!is_alive(&command));
}

/// Runs two cron jobs at once, again and again, each of which fails if the other is inside.
fn never_overlap(folder: &Folder, options: &[&str]) {
    let inside = folder.file("inside");
    let script = format!("mkdir {inside} || exit 99; sleep 0.02; rmdir {inside}");
    let start = || {
        let mut arguments = vec!["run", "--lock", "c13-test-cron"];
        arguments.extend(options);
        arguments.extend(["--wait", "30s", "--", "sh", "-c", &script]);
        folder.start(&arguments)
    };
    for _ in 0..8 {
        let jobs = [start(), start(), start()];
        for mut job in jobs {
            assert_eq!(job.wait().expect("it ends").code(), Some(0));
        }
    }
}

#[test]
fn jobs_of_one_machine_never_overlap() {
    never_overlap(&Folder::new("cron-files"), &["--ttl", "5s"]);
}

#[test]
fn jobs_of_two_machines_never_overlap() {
    let url = std::env::var("C13_TEST_REDIS").expect("C13_TEST_REDIS names no Redis: run ./test unit");
    never_overlap(&Folder::new("cron-redis"), &["--redis", &url, "--ttl", "5s"]);
}
