//! A terminal: the command reads, asks, sets modes, is stopped and continued there as if no wrapper were between.

use super::SOON;
use super::scene::{Scene, comes_true, program};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};

/// A process that leads a session on a terminal of its own, and what a user of that terminal types and sees.
struct Desk {
    scene: Scene,
    leader: Child,
    keys: File,
    seen: Arc<Mutex<String>>,
    /// Up to where the user has read.
    read: usize,
}

const CTRL_C: &str = "\x03";
const CTRL_Z: &str = "\x1a";

impl Desk {
    /// An interactive shell in which `c13` is the program.
    fn shell(name: &str) -> Self {
        let mut desk = Self::of(name, &["bash", "--noprofile", "--norc", "--noediting", "-i"]);
        desk.types(&format!("alias c13={}; PS1=; echo ready-$((1+1))\n", program()));
        desk.sees("ready-2");
        desk
    }

    fn of(name: &str, line: &[&str]) -> Self {
        let scene = Scene::new(name);
        let user = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("there are terminals");
        grantpt(&user).expect("it is ours");
        unlockpt(&user).expect("it is ours");
        let path = ptsname(&user, Vec::new()).expect("it has a name");
        let open = || {
            let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
            File::from(rustix::fs::open(&path, flags, Mode::empty()).expect("it can be opened"))
        };
        let mut command = Command::new("setsid");
        command.arg("--ctty").args(line);
        command
            .env("C13_STATE_DIR", scene.file("state"))
            .env_remove("REDIS_URL")
            .env("TERM", "dumb");
        command
            .current_dir(&scene.folder)
            .stdin(open())
            .stdout(open())
            .stderr(open());
        let leader = command.spawn().expect("there is setsid");
        let keys = File::from(user);
        let (mut screen, seen) = (keys.try_clone().expect("it can be shared"), Arc::new(Mutex::default()));
        let shown: Arc<Mutex<String>> = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // An error is the end: nobody has the terminal any more.
            while let Ok(read @ 1..) = screen.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..read]).into_owned();
                shown.lock().expect("nobody panics with it").push_str(&text);
            }
        });
        Self {
            scene,
            leader,
            keys,
            seen,
            read: 0,
        }
    }

    fn types(&mut self, text: &str) {
        self.keys.write_all(text.as_bytes()).expect("the terminal takes it");
    }

    fn seen(&self) -> String {
        self.seen.lock().expect("nobody panics with it").clone()
    }

    /// Waits for these words after those that were waited for before.
    fn sees(&mut self, words: &str) {
        let found = || self.seen()[self.read..].find(words);
        assert!(
            comes_true(SOON, || found().is_some()),
            "no {words:?} in:\n{}",
            self.seen()
        );
        self.read += found().expect("it was there") + words.len();
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // The kernel hangs up on all that the session's leader has in the foreground.
        drop(self.leader.kill());
        drop(self.leader.wait());
    }
}

#[test]
fn a_command_reads_from_the_terminal_and_asks_there() {
    let mut desk = Desk::shell("tty-read");
    for (line, what) in [
        ("c13 run -- sh -c 'read x; echo got-$x-$((1+1))'", "standard input"),
        (
            "c13 run -- sh -c 'read x < /dev/tty; echo got-$x-$((1+1))' < /dev/null",
            "the terminal itself",
        ),
        (
            "c13 run -- sh -c 'read x < /dev/tty; echo got-$x-$((1+1))' | cat",
            "from within a pipeline",
        ),
        (
            "head -n 1 | c13 run -- sh -c 'read x; echo got-$x-$((1+1))'",
            "what another one of a pipeline reads",
        ),
        (
            "c13 run -- sh -c 'echo x' | { cat > /dev/null; read x < /dev/tty; echo got-$x-$((1+1)); }",
            "after it",
        ),
    ] {
        desk.types(&format!("{line}\n{what}\n"));
        desk.sees(&format!("got-{what}-2"));
    }
    desk.types("echo still-$((1+1))\n");
    desk.sees("still-2");
}

#[test]
fn modes_may_be_set_and_those_of_a_killed_command_do_not_outlive_it() {
    let mut desk = Desk::shell("tty-modes");
    desk.types("c13 run -- sh -c 'stty -echo && stty echo && echo set-$((1+1))'; echo st-$?\n");
    desk.sees("set-2");
    desk.sees("st-0");
    desk.types("c13 run -- sh -c 'stty -echo && stty echo && echo set-$((1+1)) >&2' | cat\n");
    desk.sees("set-2");
    desk.types("c13 run --timeout 1s -- sh -c 'stty -echo -icanon; sleep 60'; echo st-$?; stty -a | tr ' ;' '\\n\\n' | grep -x -e -echo -e echo -e -icanon -e icanon | tr '\\n' +\n");
    desk.sees("st-124");
    desk.sees("icanon+echo+");
    // As a shell has it, what `stty` does stays.
    desk.types("c13 run -- stty -echo; stty -a | tr ' ;' '\\n\\n' | grep -x -e -echo -e echo | tr '\\n' +\n");
    desk.sees("-echo+");
}

#[test]
fn ctrl_c_ends_the_command_with_130_and_is_no_reason_to_run_it_again() {
    let mut desk = Desk::shell("tty-int");
    for line in [
        "c13 run --retry 3 --backoff 1ms -- sh -c 'echo up-$((1+1)); exec sleep 60'; echo st-$?",
        "c13 run --retry 3 --backoff 1ms -- sh -c 'echo up-$((1+1)); exec sleep 60' < /dev/null; echo st-$?",
    ] {
        desk.types(&format!("{line}\n"));
        desk.sees("up-2");
        desk.types(CTRL_C);
        desk.sees("st-130");
    }
    assert!(!desk.seen().contains("run 2 of"), "{}", desk.seen());
    // A command that takes it for a word of its own goes on, and so does its wrapper.
    desk.types("c13 run -- sh -c 'trap \"echo heard-$((1+1))\" INT; echo up-$((1+1)); read x; read x; echo got-$x'; echo st-$?\n");
    desk.sees("up-2");
    for _ in 0..2 {
        desk.types(CTRL_C);
        desk.sees("heard-2");
    }
    desk.types("word\n\n");
    desk.sees("st-0");
}

#[test]
fn ctrl_z_stops_command_and_wrapper_and_fg_continues_both_with_the_commands_modes() {
    let mut desk = Desk::shell("tty-stop");
    for (open, end) in [("", ""), ("", " | cat")] {
        desk.types(&format!(
            "c13 run -- sh -c 'stty -echo < /dev/tty; echo up-$((1+1)); read x < /dev/tty; echo got-$x; stty -a < /dev/tty \
             | tr \" ;\" \"\\n\\n\" | grep -x -e -echo -e echo; stty echo < /dev/tty'{open}{end}\n"
        ));
        desk.sees("up-2");
        desk.types(CTRL_Z);
        desk.sees("Stopped");
        desk.types("stty -a | tr ' ;' '\\n\\n' | grep -x -e -echo -e echo | tr '\\n' +; echo back-$((1+1))\n");
        desk.sees("\necho+back-2");
        desk.types("fg\n");
        desk.sees("c13 run");
        desk.types("word\n");
        desk.sees("got-word");
        desk.sees("-echo");
    }
}

#[test]
fn ctrl_z_stops_a_wrapper_that_waits_and_fg_lets_it_wait_on() {
    let mut desk = Desk::shell("tty-wait");
    desk.types("c13 run --lock k -- sh -c 'echo held-$((1+1)); while ! [ -e go ]; do sleep 0.05; done' &\n");
    desk.sees("held-2");
    desk.types("c13 run --lock k --wait 60s -- sh -c 'echo ran-$((1+1))'\n");
    desk.sees("waiting for");
    desk.types(CTRL_Z);
    desk.sees("Stopped");
    desk.types("touch go; echo back-$((1+1))\n");
    desk.sees("back-2");
    desk.types("fg %2\n");
    desk.sees("ran-2");
}

#[test]
fn a_wrapper_in_the_background_leaves_the_terminal_alone_until_it_is_in_the_foreground() {
    let mut desk = Desk::shell("tty-background");
    desk.types("c13 run -- sh -c 'while ! [ -e go ]; do sleep 0.05; done; echo done-$((1+1))' &\n");
    desk.types("read x; echo mine-$x\nword\n");
    desk.sees("mine-word");
    desk.types("touch go\n");
    desk.sees("done-2");
    desk.types("c13 run -- sh -c 'read x; echo got-$x' &\n");
    let stopped = || {
        let mut jobs = Command::new("pgrep");
        jobs.args(["-f", "--", &format!("^{} run -- sh -c read x", program())]);
        let pids = String::from_utf8(jobs.output().expect("there is pgrep").stdout).expect("it is UTF-8");
        pids.lines().any(super::is_stopped)
    };
    assert!(comes_true(SOON, stopped), "{}", desk.seen());
    desk.types("echo free-$((1+1))\n");
    desk.sees("free-2");
    desk.types("fg\nlate\n");
    desk.sees("got-late");
}

#[test]
fn a_terminal_without_a_shell_stops_nobody_for_ever() {
    let script = "echo up-$((1+1)); read x; echo got-$x";
    let mut desk = Desk::of("tty-alone", &[&program(), "run", "--", "sh", "-c", script]);
    desk.sees("up-2");
    desk.types(CTRL_Z);
    desk.sees("^Z");
    desk.types("word\n");
    desk.sees("got-word");
    let ended = || {
        desk.leader
            .try_wait()
            .expect("it is ours to wait for")
            .is_some_and(|status| status.success())
    };
    assert!(comes_true(SOON, ended));
    assert!(desk.scene.folder.exists());
}
