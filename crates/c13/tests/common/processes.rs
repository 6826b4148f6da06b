//! Processes of a test: each carries the test's mark in its environment, is waited for with a bound, and ends with it.

use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The program that is judged; `C13_REFEREE_PROGRAM` names another build of it, such as an old one.
pub(crate) fn program() -> &'static str {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let other = std::env::var("C13_REFEREE_PROGRAM").ok();
        other.unwrap_or_else(|| env!("CARGO_BIN_EXE_c13").to_owned())
    })
}

/// Far longer than anything here takes that goes well.
pub(crate) const ENDS: Duration = Duration::from_secs(60);

/// The variable that carries the mark.
const MARK: &str = "C13_REFEREE_MARK";

#[expect(clippy::disallowed_methods, reason = "another process knows no virtual time")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

#[expect(
    clippy::disallowed_methods,
    reason = "the referee trusts no clock of the library it judges"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Asks again and again until it is so, at most this long; the longer it takes, the less often, because many wait at once.
pub(crate) fn within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let begin = now();
    loop {
        if condition() {
            return true;
        }
        let elapsed = begin.elapsed();
        if elapsed > limit {
            return false;
        }
        pause((elapsed / 50).clamp(Duration::from_millis(1), Duration::from_millis(100)));
    }
}

/// A folder and all processes of one test or one cell of a table. Dropping it kills the processes and removes the folder.
pub(crate) struct Scene {
    pub(crate) folder: PathBuf,
    mark: String,
}

impl Scene {
    pub(crate) fn new(name: &str) -> Self {
        Self::within(&std::env::temp_dir(), name)
    }

    /// In this folder, which must be there.
    pub(crate) fn within(parent: &Path, name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // Relaxed: only the number matters.
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let mark = format!("{}{name}-{count}-", marks_of_this_run());
        let folder = parent.join(&mark);
        fs::create_dir(&folder).expect("the temporary folder can be written");
        // The program keeps its state only where others cannot write.
        let mut private = fs::DirBuilder::new();
        private.mode(0o700);
        private.create(folder.join("state")).expect("it is a folder of our own");
        Self { folder, mark }
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.folder.join(name).to_str().expect("it is UTF-8").to_owned()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.folder.join(name).exists()
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read(self.folder.join(name)).map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into())
    }

    /// What a program of this scene begins with: its mark, its state, and nothing from whoever runs the tests.
    pub(crate) fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env(MARK, &self.mark)
            .env("C13_STATE_DIR", self.state())
            .env("HOME", &self.folder)
            .env_remove("XDG_RUNTIME_DIR")
            .env_remove("XDG_STATE_HOME")
            .env_remove("REDIS_URL")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn c13(&self, arguments: &[&str]) -> Command {
        self.command(program(), arguments)
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Process {
        self.launch(self.c13(arguments))
    }

    /// Starts a command with its output in files, so that nobody who keeps them open can block the test.
    pub(crate) fn launch(&self, mut command: Command) -> Process {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // Relaxed: only the number matters.
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let [out, err] = ["out", "err"].map(|kind| self.folder.join(format!("{kind}.{count}")));
        let open = |path| File::create(path).expect("the folder can be written");
        command.stdout(open(&out)).stderr(open(&err));
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Process { child, out, err }
    }

    /// Runs `c13` to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        self.finish(self.c13(arguments), ENDS)
    }

    pub(crate) fn finish(&self, command: Command, limit: Duration) -> Finished {
        let begin = now();
        let mut process = self.launch(command);
        let status = process.ends_within(limit);
        let took = begin.elapsed();
        if status.is_none() {
            process.kill();
        }
        let (out, err) = (process.output(), process.errors());
        Finished { status, took, out, err }
    }

    pub(crate) fn status(&self, arguments: &[&str]) -> Option<i32> {
        self.run(arguments).status
    }

    /// Waits until a command has written a line to this file.
    pub(crate) fn wait_for(&self, name: &str) -> Option<String> {
        let mut text = String::new();
        within(Duration::from_secs(20), || {
            text = self.read(name);
            text.ends_with('\n')
        })
        .then(|| text.trim().to_owned())
    }

    /// The living processes of this scene.
    pub(crate) fn processes(&self) -> Vec<u32> {
        marked(&self.mark)
    }

    pub(crate) fn kill_all(&self) {
        within(Duration::from_secs(10), || {
            let alive = self.processes();
            for process in &alive {
                signal(*process, Signal::KILL);
            }
            alive.is_empty()
        });
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.kill_all();
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// Begins the mark of every process of this run of the tests. Whatever ends this run, a shell outside kills what is left of it.
fn marks_of_this_run() -> &'static str {
    static MARKS: OnceLock<(String, Child)> = OnceLock::new();
    let (marks, _) = MARKS.get_or_init(|| {
        let marks = format!("c13-referee-{}-", std::process::id());
        let script = r#"read -r _
for round in 1 2 3 4 5; do
  for process in $(grep -alF "$1" /proc/[0-9]*/environ 2>/dev/null); do
    process=${process#/proc/}; kill -KILL "${process%/environ}" 2>/dev/null
  done
done"#;
        // Its input ends with this process, however that dies.
        let mut after = Command::new("sh");
        after.args(["-c", script, "sh"]).arg(format!("{MARK}={marks}"));
        after.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = after.spawn().expect("there is a shell");
        (marks, child)
    });
    marks
}

fn marked(mark: &str) -> Vec<u32> {
    let needle = format!("{MARK}={mark}");
    let entries = fs::read_dir("/proc").expect("there is /proc");
    let processes = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    processes
        .filter(|process| {
            let environment = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
            environment
                .split(|byte| *byte == 0)
                .any(|variable| variable == needle.as_bytes())
        })
        .collect()
}

/// A process of ours with its output in files. Dropping it kills it.
pub(crate) struct Process {
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Process {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its exit status as a shell has it: 128 and the signal for one that was killed.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        self.child.try_wait().expect("it is ours to wait for").map(shell_status)
    }

    pub(crate) fn ends_within(&mut self, limit: Duration) -> Option<i32> {
        let mut status = None;
        within(limit, || {
            status = self.ended();
            status.is_some()
        });
        status
    }

    pub(crate) fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    pub(crate) fn output(&self) -> String {
        fs::read(&self.out).map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into())
    }

    pub(crate) fn errors(&self) -> String {
        fs::read(&self.err).map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn shell_status(status: ExitStatus) -> i32 {
    let killed = || 128 + status.signal().expect("what did not exit was killed");
    status.code().unwrap_or_else(killed)
}

/// A process that has ended, or was killed because it did not (`status` is `None`).
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: Option<i32>,
    pub(crate) took: Duration,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Sends it, if the process is still there.
pub(crate) fn signal(process: u32, signal: Signal) {
    let process = i32::try_from(process).ok().and_then(Pid::from_raw);
    // It may have ended meanwhile.
    let _ = kill_process(process.expect("process numbers are positive"), signal);
}

fn field(process: u32, name: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.trim().to_owned())
}

/// The letter of its state, and `None` when it is gone or only waits to be reaped.
pub(crate) fn state(process: u32) -> Option<char> {
    let state = field(process, "State")?.chars().next()?;
    (!['Z', 'X'].contains(&state)).then_some(state)
}

pub(crate) fn is_alive(process: u32) -> bool {
    state(process).is_some()
}

/// Whether a set of signals of it, such as `SigCgt`, has this one.
pub(crate) fn has_signal(process: u32, set: &str, signal: Signal) -> bool {
    let mask = field(process, set).and_then(|mask| u64::from_str_radix(&mask, 16).ok());
    mask.is_some_and(|mask| mask >> (signal.as_raw() - 1) & 1 == 1)
}

/// The most memory that it had at a time, in kB.
pub(crate) fn peak_memory(process: u32) -> u64 {
    let peak = field(process, "VmHWM");
    peak.and_then(|peak| peak.split(' ').next()?.parse().ok()).unwrap_or(0)
}

/// Whether it runs this program.
pub(crate) fn runs(process: u32, program: &Path) -> bool {
    let file = |path: &Path| fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
    let running = file(&PathBuf::from(format!("/proc/{process}/exe")));
    running.is_some() && running == file(program)
}
