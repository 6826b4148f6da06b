//! What `c13 run` and `c13 lock status` say, wait for and refuse, as processes: backends that are away, holders, keys,
//! wrong values, addresses in files.

#![cfg(target_os = "linux")]

#[path = "session/help.rs"]
mod help;
#[path = "common/scene.rs"]
mod scene;

use scene::{ENDS, Process, Scene, comes_true, now, signal};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A Redis of a test's own, which can be stopped.
struct Redis {
    process: Process,
    port: u16,
}

impl Redis {
    fn start(scene: &Scene) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it has an address").port();
        drop(listener);
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"]);
        command.arg(&scene.folder).args(["--port", &port.to_string()]);
        let server = Self {
            process: scene.launch(command),
            port,
        };
        assert!(
            comes_true(ENDS, || server.ask("PING").starts_with("+PONG")),
            "redis-server answers"
        );
        server
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The beginning of its answer; nothing if there is none.
    fn ask(&self, command: &str) -> String {
        let answer = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            stream.set_read_timeout(Some(SECOND))?;
            stream.write_all(format!("{command}\r\n").as_bytes())?;
            let mut answer = [0; 512];
            let length = stream.read(&mut answer)?;
            Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
        };
        answer().unwrap_or_default()
    }

    fn stop(&self) {
        signal("-STOP", &self.process.id());
    }

    fn go_on(&self) {
        signal("-CONT", &self.process.id());
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.go_on();
    }
}

/// What a command line can need of a backend, and what that is called when it is waited for.
const NEEDS: [(&[&str], &str); 3] = [
    (&["--lock", "a"], "the lock `a`"),
    (&["--limit", "9/h", "--limit-key", "b"], "the rate limit `b`"),
    (&["--breaker", "c"], "the circuit breaker `c`"),
];

fn line<'a>(needs: &[&'a str], more: &[&'a str], command: &[&'a str]) -> Vec<&'a str> {
    [&["run"], needs, more, &["--"], command].concat()
}

#[test]
fn a_redis_that_is_away_is_told_at_once_and_given_up_after_ten_seconds() {
    let scene = Scene::new("away");
    let stopped = Redis::start(&scene);
    stopped.stop();
    let urls = ["redis://127.0.0.1:1".to_owned(), stopped.url()];
    let mut started = Vec::new();
    for url in &urls {
        for (needs, what) in NEEDS {
            let process = scene.start(&line(needs, &["--redis", url], &["echo", "ran"]));
            started.push((url, what, process, now()));
        }
    }
    for (url, what, process, begun) in &started {
        let said = process.says_within(3 * SECOND, &format!("c13 run: cannot ask for {what}"));
        assert!(said, "{url}: {what}: {:?}: {}", begun.elapsed(), process.errors());
    }
    for (url, what, mut process, begun) in started {
        let status = process.ends_within(20 * SECOND);
        let (took, errors) = (begun.elapsed(), process.errors());
        assert_eq!(status, Some(125), "{url}: {what}: {took:?}: {errors}");
        assert!(
            (9 * SECOND..15 * SECOND).contains(&took),
            "{url}: {what}: {took:?}: {errors}"
        );
        let for_ten = (10..=15).any(|s| errors.contains(&format!("could not ask for {what} for {s} s: ")));
        assert!(for_ten, "{errors}");
        assert_eq!(process.output(), "");
    }
}

#[test]
fn a_wait_that_is_asked_for_bounds_an_outage_too_and_no_wait_is_none() {
    let scene = Scene::new("bounded");
    let stopped = Redis::start(&scene);
    stopped.stop();
    for url in ["redis://127.0.0.1:1".to_owned(), stopped.url()] {
        for (needs, what) in NEEDS {
            for wait in [&["--wait", "1500ms"][..], &["--nonblock"]] {
                let begun = now();
                let arguments = line(needs, &[&["--redis", &url], wait].concat(), &["echo", "ran"]);
                let mut process = scene.start(&arguments);
                assert_eq!(
                    process.ends_within(ENDS),
                    Some(125),
                    "{what} {wait:?}: {}",
                    process.errors()
                );
                let took = begun.elapsed();
                assert!(took < 5 * SECOND, "{what} {wait:?}: {took:?}: {}", process.errors());
                assert!(process.errors().contains(what), "{}", process.errors());
            }
        }
    }
}

#[test]
fn a_redis_that_comes_back_in_time_is_used() {
    let scene = Scene::new("back");
    let redis = Redis::start(&scene);
    redis.stop();
    let waits = NEEDS.map(|(needs, what)| (what, scene.start(&line(needs, &["--redis", &redis.url()], &["true"]))));
    for (what, process) in &waits {
        assert!(process.says_within(5 * SECOND, what), "{}", process.errors());
    }
    redis.go_on();
    for (what, mut process) in waits {
        assert_eq!(process.ends_within(ENDS), Some(0), "{what}: {}", process.errors());
    }
}

#[test]
fn a_signal_ends_every_wait_for_a_redis_that_does_not_answer() {
    let scene = Scene::new("signalled");
    let redis = Redis::start(&scene);
    redis.stop();
    let url = redis.url();
    for (needs, what) in NEEDS {
        let arguments = line(needs, &["--redis", &url, "--wait", "1h"], &["echo", "ran"]);
        let mut process = scene.start(&arguments);
        assert!(process.says_within(5 * SECOND, what), "{what}: {}", process.errors());
        let begun = now();
        signal("-TERM", &process.id());
        assert_eq!(process.ends_within(ENDS), Some(128 + 15), "{what}");
        assert!(begun.elapsed() < SECOND, "{what}: {:?}", begun.elapsed());
        assert_eq!(process.output(), "");
    }
}

#[test]
fn a_wait_for_a_holder_is_told_when_it_begins() {
    let scene = Scene::new("holder");
    let redis = Redis::start(&scene);
    let url = redis.url();
    for options in [&[][..], &["--redis", &url]] {
        let held = scene.file("held");
        let script = format!("echo x > {held}; while test -e {held}; do sleep 0.02; done");
        let mut holder = scene.start(&line(&["--lock", "k"], options, &["sh", "-c", &script]));
        assert!(comes_true(ENDS, || scene.has("held")));
        let mut waiter = scene.start(&line(&["--lock", "k"], options, &["true"]));
        let who = format!("process {}, sh, since 20", holder.id());
        let mut status = scene.run(&[&["lock", "status", "k"][..], options].concat());
        assert_eq!(status.status(), Some(75));
        assert!(
            status.output().contains(&who) && !status.output().contains("sleep"),
            "{}",
            status.output()
        );
        let mut refused = scene.run(&line(&["--lock", "k", "--nonblock"], options, &["true"]));
        assert_eq!(refused.status(), Some(75));
        assert!(refused.errors().contains(&who), "{}", refused.errors());
        assert!(waiter.says_within(ENDS, &who), "{}", waiter.errors());
        assert!(
            waiter.says_within(
                ENDS,
                "c13 run: waiting for the lock `k`: another process holds the lock: host "
            ),
            "{options:?}: {}",
            waiter.errors()
        );
        std::fs::remove_file(&held).expect("it is there");
        assert_eq!(waiter.ends_within(ENDS), Some(0));
        assert_eq!(holder.ends_within(ENDS), Some(0));
        assert_eq!(waiter.errors().lines().count(), 1, "{}", waiter.errors());
    }
}

#[test]
fn a_long_wait_for_a_limit_is_told_and_a_short_one_is_not() {
    let scene = Scene::new("limited");
    let limited = |rate| ["run", "--limit", rate, "--limit-key", rate, "--", "true"];
    assert_eq!(scene.status(&limited("1/h")), Some(0));
    let waiter = scene.start(&limited("1/h"));
    assert!(waiter.says_within(ENDS, "c13 run: waiting for the rate limit `1/h`: it is used up, for"));
    assert_eq!(scene.status(&limited("20/s")), Some(0));
    assert_eq!(scene.run(&limited("20/s")).errors(), "");
}

#[test]
fn wrong_values_end_with_2_and_say_which() {
    let scene = Scene::new("wrong");
    let long = "k".repeat(513);
    for (arguments, word) in [
        (&["run", "--lock", "k", "--redis", "http://x", "--", "true"][..], "URL"),
        (&["run", "--lock", "k", "--redis", "", "--", "true"], "URL"),
        (
            &["run", "--lock", "k", "--redis", "redis://x:port", "--", "true"],
            "URL",
        ),
        (&["run", "--lock", "", "--", "true"], "--lock"),
        (&["run", "--lock", &long, "--", "true"], "--lock"),
        (&["run", "--lock", "a\u{1b}[2J", "--", "true"], "--lock"),
        (&["run", "--lock", "a}", "--", "true"], "--lock"),
        (
            &["run", "--limit", "1/s", "--limit-key", &long, "--", "true"],
            "--limit-key",
        ),
        (
            &["run", "--limit", "1/s", "--limit-key", "", "--", "true"],
            "--limit-key",
        ),
        (
            &["run", "--limit", "99999999/s", "--limit-key", "k", "--", "true"],
            "--limit",
        ),
        (&["run", "--breaker", "a\nb", "--", "true"], "--breaker"),
        (&["run", "--breaker", "{}", "--", "true"], "--breaker"),
        (&["run", "--breaker", "k", "--timeout", "2d", "--", "true"], "--breaker"),
        (&["lock", "status", ""], "KEY"),
        (&["lock", "status", &long], "KEY"),
        (&["lock", "status", "k", "--redis", "http://x"], "URL"),
    ] {
        let mut process = scene.run(arguments);
        let errors = process.errors();
        assert_eq!(process.status(), Some(2), "{arguments:?}: {errors}");
        assert!(errors.contains(word), "{arguments:?}: {errors}");
        assert!(!errors.contains('\u{1b}'), "{errors:?}");
    }
    for arguments in [&["run", "--lock", "k", "--", "true"][..], &["lock", "status", "k"]] {
        let mut command = scene.command(arguments);
        command.env("REDIS_URL", "http://x");
        assert_eq!(scene.launch(command).ends_within(ENDS), Some(2), "{arguments:?}");
    }
}

#[test]
fn any_key_is_right_for_lock_limit_and_breaker_on_redis_and_in_files() {
    let scene = Scene::new("keys");
    let redis = Redis::start(&scene);
    let url = redis.url();
    let (long, slashes) = ("k".repeat(512), "/".repeat(512));
    for key in [
        "k",
        "a b",
        "..",
        "~",
        "{mail}:out",
        "ключ",
        "c13:limit:k",
        &long,
        &slashes,
    ] {
        for backend in [&[][..], &["--redis", &url]] {
            let all = [
                "--lock",
                key,
                "--limit",
                "3/h",
                "--limit-key",
                key,
                "--breaker",
                key,
                "--nonblock",
            ];
            for round in 0..3 {
                let mut process = scene.run(&line(&all, backend, &["true"]));
                assert_eq!(
                    process.status(),
                    Some(0),
                    "{key} {backend:?} {round}: {}",
                    process.errors()
                );
            }
            let mut process = scene.run(&line(&all, backend, &["true"]));
            assert_eq!(process.status(), Some(75), "{key} {backend:?}: {}", process.errors());
        }
    }
}

#[test]
fn a_lock_and_a_limit_are_two_things_whatever_their_keys() {
    let scene = Scene::new("apart");
    let redis = Redis::start(&scene);
    for backend in [&[][..], &["--redis", &redis.url()]] {
        let arguments = line(
            &[
                "--lock",
                "c13:limit:mail",
                "--limit",
                "2/h",
                "--limit-key",
                "mail",
                "--nonblock",
            ],
            backend,
            &["true"],
        );
        assert_eq!(
            [0; 3].map(|_| scene.status(&arguments)),
            [Some(0), Some(0), Some(75)],
            "{backend:?}"
        );
    }
}

#[test]
fn a_url_in_a_file_is_seen_by_nobody_else() {
    use std::os::unix::fs::PermissionsExt;
    let scene = Scene::new("url-file");
    let redis = Redis::start(&scene);
    assert!(redis.ask("CONFIG SET requirepass ge-heim").starts_with("+OK"));
    let file = scene.file("url");
    let written = |text: &str, mode| {
        std::fs::write(&file, text).expect("the folder can be written");
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&file, permissions).expect("it is ours");
    };
    let url = format!("redis://:ge-heim@127.0.0.1:{}\n", redis.port);
    let options = ["--lock", "k", "--redis-url-file", &file];
    let look = "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep -c 'ge-hei[m]'; env";
    for mode in [0o600, 0o400, 0o640] {
        written(&url, mode);
        let mut process = scene.run(&line(&options, &[], &["sh", "-c", look]));
        assert_eq!(process.status(), Some(0), "{mode:o}: {}", process.errors());
        let output = process.output();
        assert!(output.starts_with("0\n"), "{output}");
        assert!(
            output.contains("C13_LOCK_FENCE=") && !output.contains("ge-heim"),
            "{output}"
        );
    }
    let status = ["lock", "status", "k", "--redis-url-file", &file];
    assert_eq!(scene.status(&status), Some(0));
    let wrong_password = url.replace("ge-heim", "ge-raten");
    for (text, mode, expected, word) in [
        (url.as_str(), 0o644, 2, "mode 644"),
        (&url, 0o602, 2, "mode 602"),
        (&url, 0o660, 2, "mode 660"),
        ("", 0o600, 2, "one URL"),
        ("redis://a redis://b", 0o600, 2, "one URL"),
        ("http://ge-heim", 0o600, 2, "URL"),
        (&wrong_password, 0o600, 125, "the lock `k`"),
    ] {
        written(text, mode);
        let mut process = scene.run(&line(&options, &[], &["true"]));
        let errors = process.errors();
        assert_eq!(process.status(), Some(expected), "{mode:o} {text:?}: {errors}");
        assert!(errors.contains(word), "{errors}");
        assert!(!errors.contains("ge-heim") && !errors.contains("ge-raten"), "{errors}");
    }
    std::fs::remove_file(&file).expect("it is there");
    assert_eq!(scene.status(&line(&options, &[], &["true"])), Some(2));
    let both = line(&options, &["--redis", "redis://127.0.0.1"], &["true"]);
    assert_eq!(scene.status(&both), Some(2));
}

#[test]
fn words_of_strangers_cannot_move_a_terminal() {
    let scene = Scene::new("escapes");
    let redis = Redis::start(&scene);
    let url = redis.url();
    // Another client holds the lock under an owner of its choice.
    assert!(
        redis
            .ask("SET k \"\\x1b[2J\\x1b]0;pwned\\x07\\xc2\\x9b2J\\nfree\" PX 60000")
            .starts_with("+OK")
    );
    let mut process = scene.run(&["lock", "status", "k", "--redis", &url]);
    assert_eq!(process.status(), Some(75), "{}", process.errors());
    assert!(process.output().contains("\\u001b[2J"), "{}", process.output());
    let mut all = vec![process];
    all.push(scene.run(&["run", "--lock", "k", "--nonblock", "--redis", &url, "--", "true"]));
    let toml = "[policy.\"a\\u001b[2J\\u009b\"]\ntimeout = { total = \"1s\", attempt = \"2s\u{9b}2J\" }\n";
    std::fs::write(scene.folder.join("policies.toml"), toml).expect("the folder can be written");
    let policies = scene.file("policies.toml");
    for command in [
        &["config", "check"][..],
        &["config", "show"],
        &["config", "check", "--json"],
    ] {
        all.push(scene.run(&[command, &[&policies]].concat()));
    }
    let right = "[policy.\"a\\u001b[2J\\u009b\"]\ntimeout = { total = \"1s\" }\n";
    std::fs::write(scene.folder.join("right.toml"), right).expect("the folder can be written");
    let policies = scene.file("right.toml");
    for command in [&["config", "show"][..], &["config", "show", "--json"]] {
        all.push(scene.run(&[command, &[&policies]].concat()));
    }
    all.push(scene.run(&["config", "check", "no\u{1b}[2J\u{9b}.toml"]));
    all.push(scene.run(&["drill", "no\u{1b}[2J.toml"]));
    all.push(scene.run(&["run", "--", "no\u{1b}[2J"]));
    for process in all {
        let (output, errors) = (process.output(), process.errors());
        for character in ['\u{1b}', '\u{7}', '\u{9b}'] {
            assert!(
                !output.contains(character) && !errors.contains(character),
                "{output:?} {errors:?}"
            );
        }
        assert!(!output.is_empty() || !errors.is_empty());
    }
}

#[test]
fn a_lock_stays_taken_for_its_least_time_and_nobody_waits_for_that() {
    let scene = Scene::new("min-hold");
    let redis = Redis::start(&scene);
    let url = redis.url();
    for options in [&[][..], &["--redis", &url]] {
        let hold = ["--lock", "k", "--min-hold", "4s", "--ttl", "1s"];
        let begun = now();
        assert_eq!(scene.status(&line(&hold, options, &["true"])), Some(0));
        let mut second = scene.run(&line(&["--lock", "k", "--nonblock"], options, &["true"]));
        let took = begun.elapsed();
        assert!(took < 3 * SECOND, "somebody waited: {took:?}");
        assert_eq!(second.status(), Some(75), "{options:?}: {}", second.errors());
        assert!(second.errors().contains("true, since 20"), "{}", second.errors());
        assert_eq!(
            scene.status(&[&["lock", "status", "k"][..], options].concat()),
            Some(75)
        );
        assert_eq!(
            scene.status(&line(&["--lock", "k", "--wait", "30s"], options, &["true"])),
            Some(0)
        );
        assert!(begun.elapsed() >= 4 * SECOND, "{:?}", begun.elapsed());
        // A command that takes longer is followed at once.
        let mut long = scene.run(&line(
            &["--lock", "k", "--min-hold", "10ms"],
            options,
            &["sleep", "0.1"],
        ));
        assert_eq!(long.status(), Some(0), "{}", long.errors());
        let mut next = scene.run(&line(&["--lock", "k", "--nonblock"], options, &["true"]));
        assert_eq!(next.status(), Some(0), "{}", next.errors());
    }
}

#[test]
fn the_least_time_of_a_lock_outlasts_a_wrapper_that_is_killed() {
    let scene = Scene::new("min-hold-killed");
    let redis = Redis::start(&scene);
    let url = redis.url();
    for (name, options) in [("files", &[][..]), ("redis", &["--redis", &url])] {
        let hold = ["--lock", "k", "--min-hold", "6s", "--ttl", "1s"];
        let script = format!("echo x > {}; sleep 30", scene.file(name));
        let begun = now();
        let mut holder = scene.start(&line(&hold, options, &["sh", "-c", &script]));
        assert!(comes_true(ENDS, || scene.has(name)));
        signal("-KILL", &holder.id());
        holder.ends_within(ENDS);
        let took = begun.elapsed();
        let mut refused = scene.run(&line(&["--lock", "k", "--wait", "2s"], options, &["true"]));
        assert!(took < 2 * SECOND, "this machine is too slow to tell: {took:?}");
        assert_eq!(refused.status(), Some(75), "{name}: {}", refused.errors());
        assert_eq!(
            scene.status(&line(&["--lock", "k", "--wait", "30s"], options, &["true"])),
            Some(0)
        );
        assert!(begun.elapsed() >= 6 * SECOND, "{:?}", begun.elapsed());
    }
}

#[test]
fn a_redis_that_evicts_keys_is_told_in_one_line() {
    let scene = Scene::new("evicts");
    let redis = Redis::start(&scene);
    let url = redis.url();
    for (policy, lines) in [("noeviction", 0), ("allkeys-lru", 1), ("volatile-ttl", 1)] {
        assert!(
            redis
                .ask(&format!("CONFIG SET maxmemory-policy {policy}"))
                .starts_with("+OK")
        );
        for (needs, what) in NEEDS {
            let mut process = scene.run(&line(needs, &["--redis", &url], &["true"]));
            assert_eq!(process.status(), Some(0), "{what}: {}", process.errors());
            assert_eq!(process.errors().lines().count(), lines, "{what}: {}", process.errors());
            assert_eq!(
                process.errors().matches(policy).count(),
                lines,
                "{what}: {}",
                process.errors()
            );
        }
    }
}
