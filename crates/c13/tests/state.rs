//! `c13 run` and the files it keeps: whom it trusts, what it never waits for, and what it makes of damaged files.

#![cfg(target_os = "linux")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A folder of its own for one test, gone afterwards. In it, the state folder.
struct Place {
    folder: PathBuf,
    state: PathBuf,
    _removed: TempDir,
}

/// Another user of the machine than the superuser.
const OTHER: u32 = 65_534;
/// Far longer than anything here takes.
const ENDS: Duration = Duration::from_secs(60);

impl Place {
    fn new() -> Self {
        // Other users must be able to enter it.
        let open = tempfile::Builder::new()
            .permissions(Permissions::from_mode(0o755))
            .tempdir();
        let open = open.expect("the system has a temporary folder");
        let folder = open.path().canonicalize().expect("it is there");
        let state = folder.join("state");
        let place = Self {
            folder,
            state,
            _removed: open,
        };
        place.make("state", 0o700);
        place
    }

    fn make(&self, name: &str, mode: u32) -> PathBuf {
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder).expect("the folder can be made");
        fs::set_permissions(&folder, Permissions::from_mode(mode)).expect("it is ours");
        folder
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let file = self.folder.join(name);
        fs::write(&file, bytes).expect("the folder can be written");
        fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("it is ours");
        file
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_c13"));
        command.args(arguments).env("C13_STATE_DIR", &self.state);
        for name in ["REDIS_URL", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"] {
            command.env_remove(name);
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// The same as another user, who cannot read the folder that the program is built in.
    fn as_other(&self, arguments: &[&str], group: u32) -> Command {
        let program = self.folder.join("c13");
        if !program.exists() {
            fs::copy(env!("CARGO_BIN_EXE_c13"), &program).expect("the folder can be written");
            fs::set_permissions(&program, Permissions::from_mode(0o755)).expect("it is ours");
        }
        let like = self.command(arguments);
        let mut command = Command::new(program);
        command.args(arguments).uid(OTHER).gid(group).current_dir("/");
        for (name, value) in like.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        output(&mut self.command(arguments))
    }
}

#[expect(clippy::disallowed_methods, reason = "another process knows no virtual time")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

#[expect(clippy::disallowed_methods, reason = "how long another process takes is the point")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

fn ends(child: &mut Child) {
    let begun = now();
    while child.try_wait().expect("it is ours to wait for").is_none() {
        if begun.elapsed() > ENDS {
            drop(child.kill());
            panic!("{child:?} does not end");
        }
        pause(Duration::from_millis(5));
    }
}

fn output(command: &mut Command) -> Output {
    let mut child = command.spawn().expect("c13 runs");
    ends(&mut child);
    child.wait_with_output().expect("it has ended")
}

fn terminate(child: &Child) {
    let id = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("it is ours");
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn wait_for(path: &Path) {
    let begun = now();
    while !path.exists() {
        assert!(begun.elapsed() < ENDS, "nobody made {}", path.display());
        pause(Duration::from_millis(5));
    }
}

/// Refused with 125 and words that name the path and the rule; the command has not run.
fn is_refused(place: &Place, output: &Output, path: &Path, rule: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{rule}: {said}");
    assert!(
        said.contains(&format!("{}: ", path.display())) && said.contains(rule),
        "{rule}: {said}"
    );
    assert!(!place.folder.join("ran").exists(), "{rule}: the command has run");
}

/// What `c13 run` is to be told so that it uses a lock, a limit, a circuit, or all of them.
const LOCK: [&str; 3] = ["run", "--lock", "nightly"];
const LIMIT: [&str; 5] = ["run", "--limit", "9/h", "--limit-key", "mail"];
const BREAKER: [&str; 3] = ["run", "--breaker", "api"];

fn touching<'a>(options: &[&'a str], ran: &'a str) -> Vec<&'a str> {
    [options, &["--nonblock", "--", "touch", ran]].concat()
}

/// The files that a run makes, found by running.
fn files_of(options: &[&str]) -> Vec<String> {
    let place = Place::new();
    assert_eq!(place.run(&[options, &["--", "true"]].concat()).status.code(), Some(0));
    let files = fs::read_dir(&place.state).expect("it is there");
    let names = files.map(|file| {
        file.expect("it is there")
            .file_name()
            .into_string()
            .expect("it is UTF-8")
    });
    names.collect()
}

#[test]
fn no_file_that_somebody_has_planted_is_written_or_waited_for() {
    for options in [&LOCK[..], &LIMIT, &BREAKER] {
        let mut files = files_of(options);
        assert!(files.len() >= 2, "{files:?}");
        // There while a command runs.
        let journal = files
            .iter()
            .find_map(|file| file.strip_suffix(".cell").map(|name| format!("{name}.run-1")));
        files.extend(journal);
        for file in files {
            for (kind, rule) in [
                ("link", "symbolic link"),
                ("dangling", "symbolic link"),
                ("hard", "another name"),
                ("fifo", "not a regular file"),
                ("folder", "not a regular file"),
                ("mode", "everybody"),
                ("group", "its group"),
                ("owner", "another user"),
            ] {
                let place = Place::new();
                let (victim, planted) = (place.write("victim", b"precious"), place.state.join(&file));
                match kind {
                    "link" => symlink(&victim, &planted).expect("the folder can be written"),
                    "dangling" => symlink(place.folder.join("ran"), &planted).expect("the folder can be written"),
                    "hard" => fs::hard_link(&victim, &planted).expect("the folder can be written"),
                    "fifo" => {
                        let mode = rustix::fs::Mode::from_raw_mode(0o600);
                        rustix::fs::mkfifoat(rustix::fs::CWD, &planted, mode).expect("the folder can be written");
                    }
                    "folder" => fs::create_dir(&planted).expect("the folder can be written"),
                    _ => {
                        place.write(&format!("state/{file}"), b"");
                        let mode = [("mode", 0o602), ("group", 0o620)]
                            .into_iter()
                            .find(|(of, _)| *of == kind);
                        let mode = Permissions::from_mode(mode.map_or(0o600, |(_, mode)| mode));
                        fs::set_permissions(&planted, mode).expect("it is ours");
                        if kind == "owner" {
                            if !is_root() {
                                continue;
                            }
                            std::os::unix::fs::chown(&planted, Some(OTHER), Some(OTHER)).expect("we may");
                        }
                    }
                }
                let ran = place.folder.join("ran");
                let output = place.run(&touching(options, ran.to_str().expect("it is UTF-8")));
                is_refused(&place, &output, &planted, rule);
                assert_eq!(fs::read(&victim).expect("it is there"), b"precious", "{file} as {kind}");
            }
        }
    }
}

#[test]
fn a_folder_that_others_could_write_to_or_replace_is_refused() {
    let place = Place::new();
    let ran = place.folder.join("ran");
    let run = |state: &Path| {
        let mut command = place.command(&touching(&LOCK, ran.to_str().expect("it is UTF-8")));
        output(command.env("C13_STATE_DIR", state))
    };
    for (mode, rule) in [
        (0o777, "everybody"),
        (0o1777, "everybody"),
        (0o702, "everybody"),
        (0o770, "set-group-ID"),
        (0o775, "set-group-ID"),
        (0o2777, "everybody"),
    ] {
        let folder = place.make(&format!("mode-{mode:o}"), mode);
        is_refused(&place, &run(&folder), &folder, rule);
        assert_eq!(
            fs::read_dir(&folder).expect("it is there").count(),
            0,
            "nothing is made there"
        );
    }
    for mode in [0o777, 0o775, 0o2777] {
        // Of the group of nobody, so that it is no private group of ours.
        let parent = place.make(&format!("parent-{mode:o}"), mode);
        if mode & 0o002 == 0 {
            if !is_root() {
                continue;
            }
            std::os::unix::fs::chown(&parent, None, Some(OTHER)).expect("we may");
        }
        is_refused(
            &place,
            &run(&parent.join("state")),
            &parent,
            "put another folder in its place",
        );
    }
    let link = place.folder.join("link");
    symlink(&place.state, &link).expect("the folder can be written");
    is_refused(&place, &run(&link), &link, "symbolic link");
    let file = place.write("file", b"");
    is_refused(&place, &run(&file), &file, "not a folder");
    is_refused(&place, &run(&file.join("below")), &file, "not a folder");
    let looping = place.folder.join("looping");
    symlink("looping", &looping).expect("the folder can be written");
    is_refused(&place, &run(&looping.join("below")), &looping, "symbolic links");
    let long = place.folder.join("x".repeat(300));
    is_refused(&place, &run(&long), &long, "too long");
    is_refused(&place, &run(Path::new("/proc/1/c13")), Path::new("/proc/1/c13"), "");
    // Links of ours on the way are followed, and what is not there is made for us alone.
    let through = place.folder.join("through");
    symlink(&place.folder, &through).expect("the folder can be written");
    assert_eq!(run(&through.join("new/state")).status.code(), Some(0));
    for made in ["new", "new/state"] {
        let mode = fs::metadata(place.folder.join(made)).expect("it was made").mode();
        assert_eq!(mode & 0o777, 0o700, "{made}");
    }
    let mode = fs::metadata(place.folder.join("new/state/nightly.lock"))
        .expect("it was made")
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_folder_of_another_user_is_refused_by_root_and_roots_by_others() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let ran = place.folder.join("ran");
    let arguments = touching(&LOCK, ran.to_str().expect("it is UTF-8"));
    let theirs = place.make("theirs", 0o700);
    std::os::unix::fs::chown(&theirs, Some(OTHER), Some(OTHER)).expect("we may");
    let refused = output(place.command(&arguments).env("C13_STATE_DIR", &theirs));
    is_refused(&place, &refused, &theirs, "belongs to another user");
    let refused = output(place.command(&arguments).env("C13_STATE_DIR", theirs.join("state")));
    is_refused(&place, &refused, &theirs, "belongs to another user");
    fs::set_permissions(&place.state, Permissions::from_mode(0o755)).expect("it is ours");
    assert_eq!(place.run(&[&LOCK[..], &["--", "true"]].concat()).status.code(), Some(0));
    let refused = output(&mut place.as_other(&arguments, OTHER));
    is_refused(&place, &refused, &place.state, "belongs to another user");
}

#[test]
fn users_of_one_group_share_a_folder_that_is_made_for_that() {
    if !is_root() {
        return;
    }
    const JOBS: u32 = 54_321;
    let place = Place::new();
    std::os::unix::fs::chown(&place.state, None, Some(JOBS)).expect("we may");
    fs::set_permissions(&place.state, Permissions::from_mode(0o2770)).expect("it is ours");
    let held = place.folder.join("held");
    let all = [&LOCK[..], &LIMIT[1..], &BREAKER[1..]].concat();
    let script = format!("touch {}; sleep 60", held.display());
    for other_first in [false, true] {
        let holding = [&all[..], &["--", "sh", "-c", &script]].concat();
        let asking = [&all[..], &["--nonblock", "--", "true"]].concat();
        drop(fs::remove_file(&held));
        fs::write(&held, "").expect("the folder can be written");
        fs::set_permissions(&held, Permissions::from_mode(0o666)).expect("it is ours");
        fs::remove_file(&held).expect("it is there");
        fs::set_permissions(&place.folder, Permissions::from_mode(0o1777)).expect("it is ours");
        let (mut holder, mut asker) = match other_first {
            false => (place.command(&holding), place.as_other(&asking, JOBS)),
            true => (place.as_other(&holding, JOBS), place.command(&asking)),
        };
        let mut holder = holder.spawn().expect("c13 runs");
        wait_for(&held);
        let said = output(&mut asker);
        assert_eq!(said.status.code(), Some(75), "{said:?}");
        terminate(&holder);
        ends(&mut holder);
        let said = output(&mut asker);
        assert_eq!(said.status.code(), Some(0), "{said:?}");
        for file in fs::read_dir(&place.state).expect("it is there") {
            let file = file.expect("it is there");
            let facts = file.metadata().expect("it is there");
            assert_eq!((facts.gid(), facts.mode() & 0o777), (JOBS, 0o660), "{file:?}");
        }
    }
    // Whoever is not in the group is told at once.
    let said = output(&mut place.as_other(&[&LOCK[..], &["--", "true"]].concat(), OTHER));
    assert_eq!(said.status.code(), Some(125), "{said:?}");
    assert!(
        String::from_utf8_lossy(&said.stderr).contains("Permission denied"),
        "{said:?}"
    );
}

#[test]
fn the_folder_is_the_users_own_where_none_is_named() {
    let place = Place::new();
    let home = place.make("home", 0o700);
    let arguments = [&LOCK[..], &["--", "true"]].concat();
    let command = || {
        if is_root() {
            std::os::unix::fs::chown(&home, Some(OTHER), Some(OTHER)).expect("we may");
            place.as_other(&arguments, OTHER)
        } else {
            place.command(&arguments)
        }
    };
    let runtime = place.make("runtime", 0o700);
    for (state_dir, state_home, expected) in [
        (None, None, ".local/state/c13"),
        (Some(""), None, ".local/state/c13"),
        (Some(""), Some("relative"), ".local/state/c13"),
        (None, Some("own"), "own/c13"),
    ] {
        let mut command = command();
        command
            .env("HOME", &home)
            .env("XDG_RUNTIME_DIR", &runtime)
            .env_remove("C13_STATE_DIR");
        state_dir.map(|folder| command.env("C13_STATE_DIR", folder));
        match state_home {
            Some("own") => drop(command.env("XDG_STATE_HOME", home.join("own"))),
            Some(other) => drop(command.env("XDG_STATE_HOME", other)),
            None => {}
        }
        let said = output(&mut command);
        assert_eq!(said.status.code(), Some(0), "{said:?}");
        let state = home.join(expected);
        let mode = fs::metadata(&state)
            .unwrap_or_else(|error| panic!("{}: {error}", state.display()))
            .mode();
        assert_eq!(mode & 0o7777, 0o700, "{expected}");
        fs::remove_dir_all(&state).expect("we may");
    }
    assert_eq!(fs::read_dir(&runtime).expect("it is there").count(), 0);
    let mut homeless = command();
    homeless.env("HOME", "").env_remove("C13_STATE_DIR");
    let said = output(&mut homeless);
    assert_eq!(said.status.code(), Some(125), "{said:?}");
    assert!(
        String::from_utf8_lossy(&said.stderr).contains("C13_STATE_DIR"),
        "{said:?}"
    );
}

/// Locks a file as a stranger would, until it is dropped.
fn locked(file: &Path) -> fs::File {
    let file = fs::File::options()
        .append(true)
        .create(true)
        .open(file)
        .expect("the folder can be written");
    file.lock().expect("nobody has it");
    file
}

#[test]
fn a_file_that_somebody_keeps_locked_never_keeps_the_program_from_ending() {
    for options in [&LOCK[..], &LIMIT, &BREAKER] {
        for file in files_of(options) {
            let place = Place::new();
            place.write(&format!("state/{file}"), b"");
            let stranger = locked(&place.state.join(&file));
            let mut child = place.command(&[options, &["--wait", "1h", "--", "sleep", "60"]].concat());
            let mut child = child.spawn().expect("c13 runs");
            // It runs, waits, or has given up; then it is told to end.
            pause(Duration::from_millis(300));
            let told = now();
            let running = child.try_wait().expect("it is ours to wait for").is_none();
            if running {
                terminate(&child);
            }
            ends(&mut child);
            assert!(told.elapsed() < Duration::from_secs(1), "{file}: {:?}", told.elapsed());
            drop(stranger);
        }
    }
}

#[test]
fn damaged_files_are_taken_for_empty_and_said_once() {
    for options in [&LOCK[..], &LIMIT, &BREAKER] {
        for file in files_of(options) {
            if file.ends_with("lock") {
                continue;
            }
            let random: Vec<u8> = (0..=255).collect();
            let long = vec![b'1'; 10 << 20];
            for (bytes, is_said) in [(&b""[..], false), (b"nonsense\n", true), (&random, true), (&long, true)] {
                let place = Place::new();
                let path = place.write(&format!("state/{file}"), bytes);
                let said = place.run(&[options, &["--nonblock", "--", "true"]].concat());
                assert_eq!(said.status.code(), Some(0), "{file}: {said:?}");
                let said = String::from_utf8_lossy(&said.stderr);
                let lines = said
                    .lines()
                    .filter(|line| line.contains(&format!("{}: damaged", path.display())));
                assert_eq!(lines.count(), usize::from(is_said), "{file}: {said}");
                let said = place.run(&[options, &["--nonblock", "--", "true"]].concat());
                assert!(said.stderr.is_empty(), "{file}: said again: {said:?}");
            }
        }
    }
}

#[test]
fn a_holder_notices_within_a_second_that_its_file_or_its_folder_was_removed() {
    for removed in ["nightly.lock", ""] {
        let place = Place::new();
        let ready = place.folder.join("ready");
        let script = format!("touch {}; sleep 60", ready.display());
        let arguments = [&LOCK[..], &["--ttl", "10m", "--", "sh", "-c", &script]].concat();
        let mut child = place.command(&arguments).spawn().expect("c13 runs");
        wait_for(&ready);
        let begun = now();
        match removed {
            "" => fs::rename(&place.state, place.folder.join("moved")).expect("we may"),
            file => fs::remove_file(place.state.join(file)).expect("we may"),
        }
        ends(&mut child);
        // Twice the look's half second, for a busy machine.
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        assert_eq!(child.wait().expect("it has ended").code(), Some(76));
    }
}

/// A circuit that opens after a failure and may be tried after a moment, and whose probe is killed with its wrapper.
fn a_killed_probe_is_followed_by_another(place: &Place, options: &[&str]) {
    let policy =
        "[policy.quick]\ncircuit_breaker = { consecutive_failures = 1, success_threshold = 1, open_for = \"1s\" }\n";
    let policy = format!("{}#quick", place.write("policies.toml", policy.as_bytes()).display());
    let options = [&["run", "--policy", &policy], options].concat();
    let run = |command: &[&str]| place.run(&[&options[..], &["--"], command].concat()).status.code();
    assert_eq!([run(&["false"]), run(&["true"])], [Some(1), Some(75)]);
    let ready = place.folder.join("ready");
    let script = format!("touch {}; sleep 60", ready.display());
    let begun = now();
    let mut probe = loop {
        let mut probe = place
            .command(&[&options[..], &["--", "sh", "-c", &script]].concat())
            .spawn()
            .expect("c13 runs");
        while !ready.exists() && probe.try_wait().expect("it is ours to wait for").is_none() {
            pause(Duration::from_millis(5));
        }
        if ready.exists() {
            break probe;
        }
        assert!(begun.elapsed() < ENDS, "the circuit stays open");
    };
    assert_eq!(run(&["true"]), Some(75), "a probe runs");
    probe.kill().expect("it is ours");
    ends(&mut probe);
    let begun = now();
    while run(&["true"]) != Some(0) {
        assert!(begun.elapsed() < ENDS, "the dead probe keeps all others out");
        pause(Duration::from_millis(50));
    }
    assert_eq!(
        [run(&["false"]), run(&["true"])],
        [Some(1), Some(75)],
        "it was closed again"
    );
}

#[test]
fn a_circuit_that_opened_when_the_clock_was_a_year_ahead_is_open_for_its_time() {
    let place = Place::new();
    let policy =
        "[policy.quick]\ncircuit_breaker = { consecutive_failures = 2, success_threshold = 1, open_for = \"1s\" }\n";
    let policy = format!("{}#quick", place.write("policies.toml", policy.as_bytes()).display());
    let run = |command: &str| place.run(&["run", "--policy", &policy, "--", command]).status.code();
    assert_eq!([run("false"), run("false"), run("true")], [Some(1), Some(1), Some(75)]);
    let files = fs::read_dir(&place.state)
        .expect("it is there")
        .flatten()
        .map(|file| file.path());
    let journal = files
        .into_iter()
        .find(|file| file.extension().is_some_and(|ending| ending == "cell"));
    let journal = journal.expect("there is a journal");
    let ahead = |word: &str| match word.parse::<u64>() {
        // A time in microseconds, and not a run's number.
        Ok(time) if time > 1_000_000_000_000 => (time + 365 * 86_400 * 1_000_000).to_string(),
        _ => word.to_owned(),
    };
    let text = fs::read_to_string(&journal).expect("it is there");
    let lines = text
        .lines()
        .map(|line| line.split(' ').map(ahead).collect::<Vec<_>>().join(" ") + "\n");
    fs::write(&journal, lines.collect::<String>()).expect("it is ours");
    assert_eq!(run("true"), Some(75), "it is open");
    let begun = now();
    while run("true") != Some(0) {
        assert!(begun.elapsed() < ENDS, "it stays open");
        pause(Duration::from_millis(50));
    }
}

#[test]
fn a_probe_that_is_killed_is_followed_by_another() {
    let place = Place::new();
    a_killed_probe_is_followed_by_another(&place, &[]);
    let left = fs::read_dir(&place.state).expect("it is there").flatten();
    let runs = left.filter(|file| file.file_name().to_string_lossy().contains(".run-"));
    assert_eq!(runs.count(), 0, "nothing is left of a run that has ended");
}

#[test]
fn a_probe_on_redis_that_is_killed_is_followed_by_another() {
    let url = std::env::var("C13_TEST_REDIS").expect("C13_TEST_REDIS names no Redis: run ./test unit");
    let key = format!("c13-test-probe-{}", std::process::id());
    let place = Place::new();
    a_killed_probe_is_followed_by_another(&place, &["--breaker", &key, "--redis", &url]);
}

#[test]
fn the_shortest_look_at_a_lock_keeps_nobody_out() {
    let place = Place::new();
    assert_eq!(place.run(&[&LOCK[..], &["--", "true"]].concat()).status.code(), Some(0));
    // As `c13 lock status` does for a moment.
    let look = fs::File::open(place.state.join("nightly.lock")).expect("it is there");
    look.lock_shared().expect("nobody has it");
    let said = place.run(&["lock", "status", "nightly"]);
    assert_eq!(said.status.code(), Some(0), "two looks at once: {said:?}");
    let mut child = place
        .command(&[&LOCK[..], &["--", "true"]].concat())
        .spawn()
        .expect("c13 runs");
    pause(Duration::from_millis(50));
    drop(look);
    ends(&mut child);
    assert_eq!(child.wait().expect("it has ended").code(), Some(0));
}
