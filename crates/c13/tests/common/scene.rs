//! A folder and the processes of one test of the program: each ends with the test, and is waited for with a bound.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Far longer than anything here takes.
pub(crate) const ENDS: Duration = Duration::from_secs(60);

/// The program that is tested; `C13_TEST_PROGRAM` names another build of it, such as an old one.
pub(crate) fn program() -> String {
    std::env::var("C13_TEST_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_c13").to_owned())
}

pub(crate) struct Scene {
    pub(crate) folder: PathBuf,
    _removed: TempDir,
}

/// A process of the test, its standard output and error in files. Dropping it kills it.
pub(crate) struct Process {
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Scene {
    pub(crate) fn new(name: &str) -> Self {
        let private = TempDir::with_prefix(format!("c13-{name}-")).expect("the system has a temporary folder");
        let folder = private.path().to_owned();
        let mut state = fs::DirBuilder::new();
        state
            .mode(0o700)
            .create(folder.join("state"))
            .expect("it is a folder of our own");
        Self {
            folder,
            _removed: private,
        }
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.folder.join(name).to_str().expect("it is UTF-8").to_owned()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.folder.join(name).exists()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(arguments).env("C13_STATE_DIR", self.folder.join("state"));
        command.env("HOME", &self.folder).env_remove("REDIS_URL");
        command
    }

    pub(crate) fn launch(&self, mut command: Command) -> Process {
        let free = |ending: &str| {
            let names = (0..).map(|n| self.folder.join(format!("{n}.{ending}")));
            names
                .into_iter()
                .find(|path| !path.exists())
                .expect("numbers do not end")
        };
        let (out, err) = (free("out"), free("err"));
        let open = |path| fs::File::create(path).expect("the folder can be written");
        command.stdin(Stdio::null()).stdout(open(&out)).stderr(open(&err));
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Process { child, out, err }
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Process {
        self.launch(self.command(arguments))
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Process {
        let mut process = self.start(arguments);
        process.ends_within(ENDS);
        process
    }

    pub(crate) fn status(&self, arguments: &[&str]) -> Option<i32> {
        self.run(arguments).status()
    }
}

impl Process {
    pub(crate) fn id(&self) -> String {
        self.child.id().to_string()
    }

    /// Its exit status, if it has ended by itself.
    pub(crate) fn status(&mut self) -> Option<i32> {
        self.child.try_wait().expect("it is ours to wait for")?.code()
    }

    /// Its exit status, if it ends by itself within this time.
    pub(crate) fn ends_within(&mut self, limit: Duration) -> Option<i32> {
        comes_true(limit, || {
            self.child.try_wait().expect("it is ours to wait for").is_some()
        });
        self.status()
    }

    pub(crate) fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.out).unwrap_or_default()).into_owned()
    }

    pub(crate) fn errors(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.err).unwrap_or_default()).into_owned()
    }

    pub(crate) fn says_within(&self, limit: Duration, words: &str) -> bool {
        comes_true(limit, || self.errors().contains(words))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // TERM first: a wrapper ends its command then.
        if self.status().is_none() {
            signal("-TERM", &self.id());
            self.ends_within(Duration::from_secs(2));
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[expect(clippy::disallowed_methods, reason = "another process knows no virtual time")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

#[expect(clippy::disallowed_methods, reason = "another process knows no virtual time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Asks again and again until it is so, at most this long.
pub(crate) fn comes_true(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let begun = now();
    while !condition() {
        if begun.elapsed() > limit {
            return false;
        }
        pause(Duration::from_millis(5));
    }
    true
}

/// Sends it, if the process is still there.
pub(crate) fn signal(name: &str, process: &str) {
    let mut kill = Command::new("kill");
    kill.args([name, "--", process]).stderr(Stdio::null());
    kill.status().expect("there is kill");
}
