//! The witness: a command that proves by itself, with a `flock` and a log of its own, whether another one runs at the same time.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::processes::{ENDS, Scene, pause};

/// The folder of the witness's files; a witness is this test with this variable.
const FOLDER: &str = "C13_REFEREE_WITNESS";
const STAYS: &str = "C13_REFEREE_STAYS_MS";
const CHILD: &str = "C13_REFEREE_CHILD";
const STATUS: &str = "C13_REFEREE_STATUS";

/// The exit status of a witness that is not alone.
pub(crate) const OVERLAP: i32 = 99;

/// What a witness does while it is inside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stay {
    pub(crate) time: Duration,
    /// It has a child, which does not end by itself.
    pub(crate) child: bool,
    pub(crate) status: i32,
}

/// The command line of a witness.
pub(crate) fn witness() -> [String; 4] {
    let program = std::env::current_exe().expect("a test knows its own file");
    let test = "witness::a_witness_sees_another_that_is_inside_at_the_same_time";
    let program = program.to_str().expect("it is UTF-8").to_owned();
    [program, "--exact".to_owned(), test.to_owned(), "--nocapture".to_owned()]
}

/// Tells the witnesses of a command where their files are and what to do.
pub(crate) fn instruct(command: &mut Command, folder: &Path, stay: Stay) {
    command
        .env(FOLDER, folder)
        .env(STAYS, stay.time.as_millis().to_string())
        .env(CHILD, u8::from(stay.child).to_string())
        .env(STATUS, stay.status.to_string());
}

/// Nanoseconds since the machine started, the same for all processes.
fn monotonic() -> i64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

fn number(name: &str) -> i32 {
    let text = std::env::var(name).unwrap_or_default();
    text.parse().unwrap_or_else(|_| panic!("{name}={text}"))
}

fn be_a_witness(folder: &Path) -> ! {
    let append = |name: &str| OpenOptions::new().create(true).append(true).open(folder.join(name));
    let mut log = append("log").expect("the witness's folder can be written");
    // Nobody inherits it: the standard library closes its files when it starts a program.
    let inside: File = append("inside").expect("the witness's folder can be written");
    let mut note = |word: &str| {
        let line = format!("{word} {} {}\n", std::process::id(), monotonic());
        // One write to a file opened for appending is not torn.
        log.write_all(line.as_bytes()).expect("the log can be written");
    };
    if inside.try_lock().is_err() {
        note("overlap");
        std::process::exit(OVERLAP);
    }
    note("begin");
    if number(CHILD) == 1 {
        let mut child = Command::new("sleep");
        child.arg("60").stdin(Stdio::null());
        drop(child.spawn().expect("there is sleep"));
    }
    pause(Duration::from_millis(number(STAYS).unsigned_abs().into()));
    note("end");
    std::process::exit(number(STATUS));
}

/// What the witnesses of a folder saw.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) begun: usize,
    pub(crate) ended: usize,
    pub(crate) overlaps: Vec<String>,
}

pub(crate) fn read_log(folder: &Path) -> Log {
    let text = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
    let mut log = Log::default();
    let mut open: Vec<(&str, i64)> = Vec::new();
    let mut stays: Vec<(i64, i64)> = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [word, process, time] = words[..] else {
            panic!("a torn line in the log: {line}");
        };
        let time: i64 = time.parse().expect("times are numbers");
        match word {
            "begin" => {
                log.begun += 1;
                open.push((process, time));
            }
            "end" => {
                log.ended += 1;
                let at = open
                    .iter()
                    .rposition(|(who, _)| *who == process)
                    .expect("who ends has begun");
                stays.push((open.remove(at).1, time));
            }
            _ => log.overlaps.push(line.to_owned()),
        }
    }
    // Those that were killed have no end: for them the kernel's lock speaks.
    stays.sort_unstable();
    for pair in stays.windows(2) {
        if pair[1].0 < pair[0].1 {
            log.overlaps
                .push(format!("from {} to {}, and from {}", pair[0].0, pair[0].1, pair[1].0));
        }
    }
    log
}

/// Without the variable it judges the witness itself; with it, it is one.
#[test]
fn a_witness_sees_another_that_is_inside_at_the_same_time() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        be_a_witness(Path::new(&folder));
    }
    let scene = Scene::new("witness");
    let [program, arguments @ ..] = witness();
    let arguments = arguments.each_ref().map(String::as_str);
    let start = |time, status| {
        let mut command = scene.command(&program, &arguments);
        let stay = Stay {
            time: Duration::from_millis(time),
            child: false,
            status,
        };
        instruct(&mut command, &scene.folder, stay);
        scene.launch(command)
    };
    let mut first = start(60_000, 0);
    assert!(super::processes::within(ENDS, || read_log(&scene.folder).begun == 1));
    assert_eq!(start(0, 0).ends_within(ENDS), Some(OVERLAP));
    first.kill();
    assert_eq!(
        start(0, 7).ends_within(ENDS),
        Some(7),
        "the lock of a killed witness is free"
    );
    let log = read_log(&scene.folder);
    assert_eq!((log.begun, log.ended, log.overlaps.len()), (2, 1, 1), "{log:?}");
}
