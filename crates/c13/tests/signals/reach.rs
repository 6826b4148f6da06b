//! How `c13 run` is brought into each of its states: waiting, running, renewing, releasing.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use super::processes::{Process, Scene, has_signal, is_alive, pause, signal, within};
use super::redis_server::Server;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    WaitingForLock,
    WaitingForLimit,
    WaitingForCircuit,
    Running,
    Retrying,
    Renewing,
    Releasing,
}

pub(crate) const STATES: [State; 7] = [
    State::WaitingForLock,
    State::WaitingForLimit,
    State::WaitingForCircuit,
    State::Running,
    State::Retrying,
    State::Renewing,
    State::Releasing,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    Files,
    /// Files whose `flock` somebody else has, each that can be had.
    HeldFiles,
    /// Where the state is an exchange with the server, it holds its answer for a while.
    Redis,
    RedisStopped,
}

pub(crate) const BACKENDS: [Backend; 4] = [
    Backend::Files,
    Backend::HeldFiles,
    Backend::Redis,
    Backend::RedisStopped,
];

/// How long a lock on Redis outlives a holder that was killed.
pub(crate) const TTL: Duration = Duration::from_secs(3);

/// For longer than an answer may take, and shorter than the lock lasts.
const HELD_ANSWER: Duration = Duration::from_millis(2_500);

/// A wrapper in the state asked for.
pub(crate) struct Reached<'a> {
    pub(crate) wrapper: Process,
    pub(crate) command: Option<u32>,
    /// Who else has the lock.
    holder: Option<(Scene, Process)>,
    files: Vec<File>,
    server: Option<&'a Server>,
}

impl Reached<'_> {
    /// Ends what kept the wrapper in its state.
    pub(crate) fn make_way(&mut self) {
        self.files.clear();
        if let Some(server) = self.server {
            server.go_on();
        }
        if let Some((_scene, mut process)) = self.holder.take() {
            // A holder that is killed would leave its lease behind.
            signal(process.id(), Signal::TERM);
            process.ends_within(Duration::from_secs(5));
        }
    }

    pub(crate) fn url(&self) -> Option<String> {
        self.server.map(Server::url)
    }
}

/// Why a state cannot be reached, in words for the table.
pub(crate) fn unreachable(state: State, backend: Backend) -> Option<&'static str> {
    match (state, backend) {
        (State::WaitingForCircuit, Backend::Files) => Some("an open circuit refuses at once"),
        (State::Renewing, Backend::Files | Backend::HeldFiles) => Some("a lock on a file has no lease"),
        (State::Releasing, Backend::Files) => Some("it takes no time: see files that somebody else holds"),
        _ => None,
    }
}

/// Starts a wrapper of `--lock k` and brings it there.
pub(crate) fn reach<'a>(
    scene: &Scene,
    server: &'a Server,
    state: State,
    backend: Backend,
) -> Result<Reached<'a>, String> {
    let redis = matches!(backend, Backend::Redis | Backend::RedisStopped);
    let url = server.url();
    let place: &[&str] = if redis { &["--redis", &url] } else { &[] };
    let lock = ["--lock", "k", "--ttl", "3s"];
    let limit = ["--limit", "1/h", "--limit-key", "m"];
    let circuit = ["--breaker", "b"];
    let arguments = |options: &[&[&'static str]], script: &str| {
        let mut arguments: Vec<String> = vec!["run".to_owned()];
        arguments.extend(options.iter().copied().flatten().map(|&word| word.to_owned()));
        arguments.extend(place.iter().map(|&word| word.to_owned()));
        arguments.extend(["--", "sh", "-c", script].map(str::to_owned));
        arguments
    };
    let start = |options: &[&[&'static str]], script: &str| {
        let words = arguments(options, script);
        scene.start(&words.iter().map(String::as_str).collect::<Vec<_>>())
    };
    // Files of a lock, of a limit that is used up, and of a circuit that stays closed.
    if state == State::WaitingForLimit || backend == Backend::HeldFiles {
        let mut first = start(&[&lock, &limit, &circuit], "exit 0");
        let status = first.ends_within(Duration::from_secs(20));
        if status != Some(0) {
            return Err(format!("the run before it ends with {status:?}: {}", first.errors()));
        }
    }
    let pid = scene.file("pid");
    let run = format!("echo $$ > {pid}; exec sleep 60");
    let until_told = format!(
        "echo $$ > {pid}; while ! test -e {}; do sleep 0.01; done",
        scene.file("go")
    );
    let fail = format!("echo $$ > {pid}; exit 1");
    let mut holder = None;
    let mut files = Vec::new();
    if state == State::WaitingForLock && backend != Backend::HeldFiles {
        let other = Scene::new("holder");
        let held = other.file("held");
        let words = arguments(&[&lock], &format!("echo x > {held}; exec sleep 60"));
        let mut command = other.c13(&words.iter().map(String::as_str).collect::<Vec<_>>());
        command.env("C13_STATE_DIR", scene.state());
        let process = other.launch(command);
        other.wait_for("held").ok_or("the holder does not get the lock")?;
        holder = Some((other, process));
    }
    let waits = matches!(
        state,
        State::WaitingForLock | State::WaitingForLimit | State::WaitingForCircuit
    );
    if waits && backend == Backend::HeldFiles {
        files = hold_all(&scene.state());
    }
    if state == State::WaitingForCircuit {
        withhold(server, backend);
    }
    let wrapper = match state {
        State::WaitingForLock | State::Running | State::Renewing => start(&[&lock], &run),
        State::WaitingForLimit if backend == Backend::HeldFiles => start(&[&limit], &run),
        State::WaitingForLimit => start(&[&lock, &limit], &run),
        State::WaitingForCircuit => start(&[&circuit], &run),
        State::Retrying => start(&[&lock, &["--retry", "3", "--backoff", "1m"]], &fail),
        State::Releasing => start(&[&lock, &circuit], &until_told),
    };
    let mut reached = Reached {
        wrapper,
        command: None,
        holder,
        files,
        server: redis.then_some(server),
    };
    let process = reached.wrapper.id();
    if waits {
        if !within(Duration::from_secs(10), || has_signal(process, "SigCgt", Signal::TERM)) {
            return Err(format!("it never listens for signals: {}", reached.wrapper.errors()));
        }
        pause(Duration::from_millis(300));
    } else {
        let command = scene.wait_for("pid");
        let command = command.ok_or_else(|| format!("the command never runs: {}", reached.wrapper.errors()))?;
        reached.command = command.parse().ok();
    }
    let command_ends = |reached: &Reached| {
        let ends = within(Duration::from_secs(10), || !reached.command.is_some_and(is_alive));
        pause(Duration::from_millis(100));
        ends
    };
    if backend == Backend::HeldFiles && reached.files.is_empty() {
        reached.files = hold_all(&scene.state());
    }
    match state {
        State::WaitingForLock | State::WaitingForLimit | State::Running if backend == Backend::RedisStopped => {
            server.stop();
        }
        State::Retrying => {
            if !command_ends(&reached) {
                return Err("the command does not end".to_owned());
            }
            if backend == Backend::RedisStopped {
                server.stop();
            }
        }
        State::Renewing => {
            withhold(server, backend);
            pause(TTL.mul_f32(0.4));
        }
        State::Releasing => {
            withhold(server, backend);
            std::fs::write(scene.file("go"), "x").map_err(|error| error.to_string())?;
            if !command_ends(&reached) {
                return Err("the command does not end".to_owned());
            }
        }
        _ => {}
    }
    Ok(reached)
}

fn withhold(server: &Server, backend: Backend) {
    match backend {
        Backend::Redis => server.hold_answers(HELD_ANSWER),
        Backend::RedisStopped => server.stop(),
        Backend::Files | Backend::HeldFiles => {}
    }
}

/// Takes the `flock` of every file in this folder that nobody has.
pub(crate) fn hold_all(folder: &Path) -> Vec<File> {
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    let files = entries.filter_map(|entry| {
        let path = entry.ok()?.path();
        if path.is_dir() {
            return None;
        }
        let file = File::options().read(true).write(true).open(path).ok()?;
        file.try_lock().is_ok().then_some(file)
    });
    files.collect()
}
