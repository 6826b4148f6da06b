//! `c13 run` as a process: each exit status, signals, orphans, and two machines' cron jobs that never overlap.

#![cfg(target_os = "linux")]

use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use tempfile::TempDir;

/// A folder of its own for one test, gone afterwards.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().expect("the system has a temporary folder"))
    }

    fn file(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("it is UTF-8").to_owned()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_c13"));
        command
            .args(arguments)
            .env("C13_STATE_DIR", self.0.path())
            .env_remove("REDIS_URL");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let child = self.start(arguments);
        let (process, (tell, told)) = (child.id(), mpsc::channel());
        std::thread::spawn(move || tell.send(child.wait_with_output()));
        let Ok(output) = told.recv_timeout(ENDS) else {
            signal("-KILL", &process.to_string());
            panic!("{arguments:?} does not end, or leaves somebody behind who has its output");
        };
        output.expect("c13 runs")
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

/// Whether it has a handler of its own for SIGTERM.
fn listens(process: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    caught.is_some_and(|mask| mask & (1 << 14) != 0)
}

/// Far longer than anything here takes.
const ENDS: Duration = Duration::from_secs(120);

/// Waits until it ends, which it must.
fn ended(process: &mut Child) -> ExitStatus {
    for _ in 0..ENDS.as_millis() / 10 {
        if let Some(status) = process.try_wait().expect("it is ours to wait for") {
            return status;
        }
        pause(Duration::from_millis(10));
    }
    drop(process.kill());
    panic!("{process:?} does not end");
}

/// For a process that was killed, on a machine that may stand still meanwhile.
const SOON: Duration = Duration::from_secs(10);

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
    let folder = Folder::new();
    let output = folder.run(&["run", "--lock", "k", "--", "sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(output.stdout, b"out\n");
    assert_eq!(output.stderr, b"err\n");
    assert_eq!(folder.status(&["run", "--", "true"]), 0);
}

#[test]
fn each_way_to_fail_has_its_status() {
    let folder = Folder::new();
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
    let folder = Folder::new();
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
    assert_eq!(ended(&mut holder).code(), Some(128 + 15));
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
    let folder = Folder::new();
    let pid = folder.file("pid");
    let script = format!("echo $$ > {pid}; trap '' TERM; while :; do sleep 0.1; done");
    let mut wrapper = folder.start(&["run", "--lock", "k", "--ttl", "3s", "--", "sh", "-c", &script]);
    let command = folder.wait_for("pid");
    std::fs::remove_file(folder.0.path().join("k.lock")).expect("the lock file is there");
    assert_eq!(ended(&mut wrapper).code(), Some(76));
    assert!(!is_alive(&command));
}

#[test]
fn a_failing_command_is_run_again_as_often_as_told() {
    let folder = Folder::new();
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
    let folder = Folder::new();
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
        let folder = Folder::new();
        let pid = folder.file("pid");
        // A grandchild, as `sh -c` makes them.
        let script = format!("sleep 60 & echo $! > {pid}; wait");
        let mut wrapper = folder.start(&["run", "--", "sh", "-c", &script]);
        let grandchild = folder.wait_for("pid");
        signal(name, &wrapper.id().to_string());
        assert_eq!(ended(&mut wrapper).code(), Some(128 + number), "{name}");
        assert!(dies_within(&grandchild, SOON), "{name}");
    }
}

#[test]
fn the_command_does_not_outlive_a_wrapper_that_is_killed() {
    let folder = Folder::new();
    let pid = folder.file("pid");
    let script = format!("sleep 60 & echo $! > {pid}; trap '' TERM HUP; wait");
    let mut wrapper = folder.start(&["run", "--lock", "k", "--", "sh", "-c", &script]);
    let grandchild = folder.wait_for("pid");
    signal("-KILL", &wrapper.id().to_string());
    ended(&mut wrapper);
    assert!(dies_within(&grandchild, SOON));
    assert_eq!(folder.status(&["run", "--lock", "k", "--wait", "10s", "--", "true"]), 0);
}

#[test]
fn a_signal_while_waiting_for_the_lock_ends_the_wait_and_runs_nothing() {
    let folder = Folder::new();
    let held = folder.file("held");
    let script = format!("echo x > {held}; sleep 30");
    let mut holder = folder.start(&["run", "--lock", "k", "--", "sh", "-c", &script]);
    folder.wait_for("held");
    let ran = folder.file("ran");
    let mut waiter = folder.start(&["run", "--lock", "k", "--", "touch", &ran]);
    assert!(comes_true(|| listens(&waiter.id().to_string())));
    pause(Duration::from_millis(300));
    signal("-TERM", &waiter.id().to_string());
    assert_eq!(ended(&mut waiter).code(), Some(128 + 15));
    assert!(!std::path::Path::new(&ran).exists());
    signal("-TERM", &holder.id().to_string());
    ended(&mut holder);
}

#[test]
fn a_second_signal_kills_a_command_that_ignores_the_first() {
    let folder = Folder::new();
    let pid = folder.file("pid");
    let first = folder.file("first");
    let script = format!("trap 'echo x > {first}' TERM; echo $$ > {pid}; while :; do sleep 0.1; done");
    let mut wrapper = folder.start(&["run", "--", "sh", "-c", &script]);
    let command = folder.wait_for("pid");
    signal("-TERM", &wrapper.id().to_string());
    // Two signals at once are one.
    folder.wait_for("first");
    assert!(is_alive(&command));
    signal("-TERM", &wrapper.id().to_string());
    assert_eq!(ended(&mut wrapper).code(), Some(128 + 9));
    assert!(!is_alive(&command));
}

#[test]
fn what_a_command_leaves_behind_ends_with_it() {
    let folder = Folder::new();
    let pid = folder.file("pid");
    let script = format!("sleep 60 & echo $! > {pid}");
    assert_eq!(folder.status(&["run", "--", "sh", "-c", &script]), 0);
    assert!(dies_within(&folder.wait_for("pid"), SOON));
}

#[test]
fn a_signal_at_any_moment_leaves_nothing_running() {
    let folder = Folder::new();
    let pids = folder.file("pids");
    let script = format!("echo $$ >> {pids}; exec sleep 60");
    for round in 0..40 {
        let mut wrapper = folder.start(&["run", "--lock", "k", "--", "sh", "-c", &script]);
        // Before it listens for signals, it ends like any other program; later it has a lock, a guard and a command.
        pause(Duration::from_millis(round));
        signal("-TERM", &wrapper.id().to_string());
        ended(&mut wrapper);
    }
    let pids = std::fs::read_to_string(&pids).unwrap_or_default();
    for pid in pids.lines() {
        assert!(dies_within(pid, SOON), "{pid}");
    }
    assert_eq!(folder.status(&["run", "--lock", "k", "--nonblock", "--", "true"]), 0);
}

#[test]
fn a_wrapper_that_stands_still_for_longer_than_its_lease_has_no_command_any_more() {
    let folder = Folder::new();
    let (pid, url) = (folder.file("pid"), redis_url());
    let key = format!("c13-test-still-{}", std::process::id());
    let script = format!("echo $$ > {pid}; exec sleep 60");
    // The wrapper is stopped before its first renewal, even on a machine that stands still for a second.
    let arguments = [
        "run", "--redis", &url, "--lock", &key, "--ttl", "6s", "--", "sh", "-c", &script,
    ];
    let mut wrapper = folder.start(&arguments);
    let command = folder.wait_for("pid");
    signal("-STOP", &wrapper.id().to_string());
    assert!(dies_within(&command, SOON), "the guard keeps the time");
    signal("-CONT", &wrapper.id().to_string());
    assert_eq!(ended(&mut wrapper).code(), Some(76));
}

#[test]
fn a_wrapper_that_stands_still_keeps_a_lock_of_this_machine_and_its_command() {
    let folder = Folder::new();
    let (pid, go) = (folder.file("pid"), folder.file("go"));
    let script = format!("echo $$ > {pid}; while ! test -e {go}; do sleep 0.05; done");
    let arguments = ["run", "--lock", "k", "--ttl", "100ms", "--", "sh", "-c", &script];
    let mut wrapper = folder.start(&arguments);
    let command = folder.wait_for("pid");
    signal("-STOP", &wrapper.id().to_string());
    pause(Duration::from_millis(500));
    assert!(is_alive(&command), "a file's lock has no lease");
    assert_eq!(folder.status(&["run", "--lock", "k", "--nonblock", "--", "true"]), 75);
    signal("-CONT", &wrapper.id().to_string());
    std::fs::write(&go, "").expect("the folder can be written");
    assert_eq!(ended(&mut wrapper).code(), Some(0));
}

fn is_stopped(process: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    status.contains("State:\tT")
}

fn comes_true(condition: impl Fn() -> bool) -> bool {
    (0..500).any(|_| {
        pause(Duration::from_millis(10));
        condition()
    })
}

#[test]
fn a_pause_from_the_terminal_stops_both_and_going_on_continues_both() {
    let folder = Folder::new();
    let pid = folder.file("pid");
    // One process and no shell: a shell stopped between the two halves of starting a program waits, but is not "stopped".
    let script = format!("echo $$ > {pid}; exec sleep 60");
    let mut wrapper = folder.start(&["run", "--", "sh", "-c", &script]);
    let (command, wrapper_pid) = (folder.wait_for("pid"), wrapper.id().to_string());
    signal("-TSTP", &wrapper_pid);
    assert!(comes_true(|| is_stopped(&command) && is_stopped(&wrapper_pid)));
    signal("-CONT", &wrapper_pid);
    assert!(comes_true(|| !is_stopped(&command) && !is_stopped(&wrapper_pid)));
    signal("-TERM", &wrapper_pid);
    assert_eq!(ended(&mut wrapper).code(), Some(128 + 15));
}

#[test]
fn other_signals_are_passed_on_and_end_nothing() {
    let folder = Folder::new();
    let ready = folder.file("ready");
    let script = format!(
        "trap 'echo 1 > {}' USR1; trap 'echo 2 > {}' USR2; trap 'exit 5' WINCH; echo x > {ready}; \
         while :; do sleep 0.05; done",
        folder.file("usr1"),
        folder.file("usr2")
    );
    let mut wrapper = folder.start(&["run", "--", "sh", "-c", &script]);
    folder.wait_for("ready");
    for (name, file) in [("-USR1", "usr1"), ("-USR2", "usr2")] {
        signal(name, &wrapper.id().to_string());
        folder.wait_for(file);
    }
    signal("-WINCH", &wrapper.id().to_string());
    assert_eq!(ended(&mut wrapper).code(), Some(5));
}

#[test]
fn a_command_that_is_stopped_in_time_has_a_moment_to_end_well() {
    let folder = Folder::new();
    let (ready, ended) = (folder.file("ready"), folder.file("ended"));
    let script = format!("trap 'echo well > {ended}; exit 0' TERM; echo x > {ready}; while :; do sleep 0.02; done");
    let arguments = [
        "run",
        "--timeout",
        "2s",
        "--kill-after",
        "20s",
        "--",
        "sh",
        "-c",
        &script,
    ];
    assert_eq!(folder.status(&arguments), 124);
    assert_eq!(folder.wait_for("ended"), "well");
}

#[test]
fn a_command_that_ignores_its_end_is_killed() {
    let folder = Folder::new();
    let script = "trap '' TERM; while :; do sleep 0.02; done";
    let arguments = [
        "run",
        "--timeout",
        "100ms",
        "--kill-after",
        "100ms",
        "--",
        "sh",
        "-c",
        script,
    ];
    assert_eq!(folder.status(&arguments), 124);
}

/// A circuit that opens after two failures, and may be tried after a moment.
const POLICY: &str = r#"
[policy.quick]
circuit_breaker = { consecutive_failures = 2, success_threshold = 1, open_for = "4s" }

[policy.narrow]
bulkhead = { max_concurrent = 1 }
rate_limit = { rate = "3/h", burst = 3 }

[policy.impatient]
timeout = { total = "60s", attempt = "1500ms" }
retry = { max_retries = 2, backoff = { base = "10ms", max = "20ms" } }
"#;

fn policy(folder: &Folder, name: &str) -> String {
    let file = folder.file("policies.toml");
    std::fs::write(&file, POLICY).expect("the folder can be written");
    format!("{file}#{name}")
}

/// What opens and closes a circuit, with a `c13` that has these options.
fn opens_and_closes(folder: &Folder, options: &[&str]) {
    let run = |command: &str| {
        let mut arguments = vec!["run"];
        arguments.extend(options);
        arguments.extend(["--", "sh", "-c", command]);
        folder.run(&arguments)
    };
    let status = |command: &str| run(command).status.code();
    let ran = folder.file("ran");
    assert_eq!([status("exit 3"), status("exit 4")], [Some(3), Some(4)]);
    let refused = run(&format!("touch {ran}"));
    assert_eq!(refused.status.code(), Some(75));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("the circuit is open, for "));
    assert!(!std::path::Path::new(&ran).exists());
    assert!(comes_true(|| status("true") == Some(0)), "its time is over soon");
    assert_eq!(
        [status("exit 5"), status("true")],
        [Some(5), Some(0)],
        "one failure is none"
    );
}

#[test]
fn a_circuit_of_this_machine_opens_after_failures_and_closes_after_a_success() {
    let folder = Folder::new();
    let policy = policy(&folder, "quick");
    opens_and_closes(&folder, &["--policy", &policy]);
}

#[test]
fn a_circuit_on_redis_opens_after_failures_and_closes_after_a_success() {
    let folder = Folder::new();
    let (policy, url) = (policy(&folder, "quick"), redis_url());
    let key = format!("c13-test-circuit-{}", std::process::id());
    opens_and_closes(&folder, &["--policy", &policy, "--breaker", &key, "--redis", &url]);
}

#[test]
fn five_failures_in_a_row_open_the_circuit_of_a_key() {
    let folder = Folder::new();
    let run = |command: &str| folder.status(&["run", "--breaker", "api", "--", "sh", "-c", command]);
    assert_eq!([0; 5].map(|_| run("exit 1")), [1; 5]);
    assert_eq!(run("true"), 75);
    assert_eq!(folder.status(&["run", "--breaker", "other", "--", "true"]), 0);
    // An open circuit is not tried again.
    let retried = [
        "run",
        "--breaker",
        "api",
        "--retry",
        "3",
        "--backoff",
        "1h",
        "--",
        "true",
    ];
    assert_eq!(folder.status(&retried), 75);
}

#[test]
fn a_policy_gives_time_limits_and_retries() {
    let folder = Folder::new();
    let (policy, runs) = (policy(&folder, "impatient"), folder.file("runs"));
    let script = format!("echo x >> {runs}; exec sleep 30");
    assert_eq!(
        folder.status(&["run", "--policy", &policy, "--", "sh", "-c", &script]),
        124
    );
    assert_eq!(folder.wait_for("runs").lines().count(), 3);
}

#[test]
fn a_policy_gives_places_and_a_limit_to_all_that_run_under_it() {
    let folder = Folder::new();
    let (policy, held) = (policy(&folder, "narrow"), folder.file("held"));
    let script = format!("echo x > {held}; sleep 30");
    let mut holder = folder.start(&["run", "--policy", &policy, "--", "sh", "-c", &script]);
    folder.wait_for("held");
    let other = ["run", "--policy", &policy, "--", "true"];
    assert_eq!(folder.status(&other), 75, "the one place is taken");
    signal("-TERM", &holder.id().to_string());
    ended(&mut holder);
    assert_eq!([folder.status(&other), folder.status(&other)], [0, 75], "three an hour");
}

#[test]
fn a_policy_that_is_not_there_is_an_error_of_the_command_line() {
    let folder = Folder::new();
    let policy = policy(&folder, "missing");
    for (text, word) in [
        (policy.as_str(), "no policy `missing`"),
        ("/nowhere.toml#x", "/nowhere.toml"),
        ("x", "FILE#NAME"),
    ] {
        let output = folder.run(&["run", "--policy", text, "--", "true"]);
        assert_eq!(output.status.code(), Some(2));
        assert!(
            String::from_utf8_lossy(&output.stderr).contains(word),
            "{text}: {output:?}"
        );
    }
}

#[test]
fn a_lock_and_a_limit_of_one_key_do_not_disturb_each_other() {
    let folder = Folder::new();
    let (url, key) = (redis_url(), format!("c13-test-one-key-{}", std::process::id()));
    let arguments = [
        "run",
        "--redis",
        &url,
        "--lock",
        &key,
        "--limit",
        "9/h",
        "--limit-key",
        &key,
        "--nonblock",
        "--",
        "true",
    ];
    assert_eq!([folder.status(&arguments), folder.status(&arguments)], [0, 0]);
}

fn redis_url() -> String {
    std::env::var("C13_TEST_REDIS").expect("C13_TEST_REDIS names no Redis: run ./test unit")
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
            assert_eq!(ended(&mut job).code(), Some(0));
        }
    }
}

#[test]
fn jobs_of_one_machine_never_overlap() {
    never_overlap(&Folder::new(), &["--ttl", "5s"]);
}

#[test]
fn jobs_of_two_machines_never_overlap() {
    let url = redis_url();
    never_overlap(&Folder::new(), &["--redis", &url, "--ttl", "5s"]);
}
