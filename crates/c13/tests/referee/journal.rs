//! The circuit's journal under kills, a full disk and garbage: an open circuit stays open, and nobody is shut out for ever.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use super::alone;
use super::processes::{Scene, pause, program, runs, signal};
use super::random::{Random, rounds};
use super::redis_server::Server;

/// Two failures in a row open it for far longer than the test takes.
const POLICY: &str = r#"
[policy.quick]
circuit_breaker = { consecutive_failures = 2, success_threshold = 1, open_for = "1h" }
"#;

/// A circuit of one key, with the words of its options.
struct Circuit<'a> {
    scene: &'a Scene,
    options: Vec<String>,
}

impl<'a> Circuit<'a> {
    fn new(scene: &'a Scene, key: &str, redis: Option<&str>) -> Self {
        let file = scene.file("policies.toml");
        fs::write(&file, POLICY).expect("the folder can be written");
        let policy = format!("{file}#quick");
        let mut options = ["run", "--policy", &policy, "--breaker", key]
            .map(str::to_owned)
            .to_vec();
        options.extend(redis.into_iter().flat_map(|url| ["--redis".to_owned(), url.to_owned()]));
        Self { scene, options }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut arguments: Vec<&str> = self.options.iter().map(String::as_str).collect();
        arguments.push("--");
        arguments.extend(words);
        self.scene.c13(&arguments)
    }

    fn status(&self, words: &[&str]) -> Option<i32> {
        self.scene.finish(self.command(words), super::processes::ENDS).status
    }

    fn open(&self) {
        assert_eq!([self.status(&["false"]), self.status(&["false"])], [Some(1); 2]);
        assert_eq!(self.status(&["true"]), Some(75), "two failures open it");
    }
}

/// Kills all of `c13` in a run under way.
fn kill_a_run(circuit: &Circuit, words: &[&str], after: Duration) {
    let mut process = circuit.scene.launch(circuit.command(words));
    pause(after);
    for found in circuit.scene.processes() {
        if runs(found, Path::new(program())) {
            signal(found, Signal::KILL);
        }
    }
    process.kill();
    circuit.scene.kill_all();
}

/// How long a run takes here, to kill within it.
fn usual_time(circuit: &Circuit) -> u64 {
    let took = (0..3).map(|_| {
        circuit
            .scene
            .finish(circuit.command(&["true"]), super::processes::ENDS)
            .took
    });
    let longest = took.max().expect("three runs took a time");
    u64::try_from(longest.as_micros()).expect("it is short")
}

fn an_open_circuit_survives(kills: u32, redis: Option<&str>) {
    let (mut random, seed) = Random::seeded();
    let scene = Scene::new("journal");
    let mut lost = Vec::new();
    let mut key = 0;
    let mut circuit = Circuit::new(&scene, "open-0", redis);
    circuit.open();
    let time = usual_time(&circuit);
    for round in 0..kills {
        let after = Duration::from_micros(random.below(time));
        kill_a_run(&circuit, &["true"], after);
        let status = circuit.status(&["true"]);
        if status != Some(75) {
            lost.push(format!("round {round}, killed after {after:?}: {status:?}"));
            key += 1;
            circuit = Circuit::new(&scene, &format!("open-{key}"), redis);
            circuit.open();
        }
    }
    assert!(
        lost.is_empty(),
        "C13_REFEREE_SEED={seed}: {} of {kills} kills closed an open circuit:\n{}",
        lost.len(),
        lost.join("\n")
    );
}

#[test]
fn a_killed_run_never_closes_a_circuit_that_is_open() {
    let _turn = alone();
    an_open_circuit_survives(rounds("C13_REFEREE_KILLS", 150), None);
}

#[test]
fn a_killed_run_never_closes_a_circuit_that_is_open_on_redis() {
    let _turn = alone();
    let server = Server::start();
    an_open_circuit_survives(rounds("C13_REFEREE_REDIS_KILLS", 30), Some(&server.url()));
}

#[test]
fn a_killed_run_takes_no_failure_away_from_a_circuit_that_is_still_closed() {
    let _turn = alone();
    let (mut random, seed) = Random::seeded();
    let scene = Scene::new("journal");
    let kills = rounds("C13_REFEREE_KILLS", 150) / 3;
    let time = {
        let circuit = Circuit::new(&scene, "time", None);
        usual_time(&circuit)
    };
    let mut lost = Vec::new();
    for round in 0..kills {
        let circuit = Circuit::new(&scene, &format!("closed-{round}"), None);
        assert_eq!(circuit.status(&["false"]), Some(1));
        let after = Duration::from_micros(random.below(time));
        // It may have counted as the second failure, or not at all; never as a success.
        kill_a_run(&circuit, &["false"], after);
        let (second, third) = (circuit.status(&["false"]), circuit.status(&["true"]));
        if third != Some(75) {
            lost.push(format!(
                "round {round}, killed after {after:?}: {second:?}, then {third:?}"
            ));
        }
    }
    assert!(
        lost.is_empty(),
        "C13_REFEREE_SEED={seed}: {} of {kills} kills took a failure away:\n{}",
        lost.len(),
        lost.join("\n")
    );
}

/// The files of the state, whatever they are called.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[test]
fn garbage_in_a_state_file_is_taken_for_empty_and_said() {
    let _turn = alone();
    let (mut random, seed) = Random::seeded();
    let mut faults = Vec::new();
    let mut random_bytes = |length: u64| (0..length).map(|_| random.next().to_le_bytes()[0]).collect::<Vec<u8>>();
    let garbage: [(&str, Vec<u8>); 9] = [
        ("nothing", Vec::new()),
        ("one zero", vec![0]),
        ("16 random bytes", random_bytes(16)),
        ("64 random bytes", random_bytes(64)),
        ("4096 random bytes", random_bytes(4096)),
        ("a megabyte of nines", vec![b'9'; 1 << 20]),
        ("32 MB of zeros", vec![0; 32 << 20]),
        ("not UTF-8", vec![0xff; 40]),
        ("an escape sequence", b"\x1b[31m\x1b]0;x\x07\n".to_vec()),
    ];
    let runs: [(&str, &[&str]); 3] = [
        ("lock", &["run", "--lock", "k", "--nonblock", "--", "true"]),
        (
            "limit",
            &[
                "run",
                "--limit",
                "1000/s",
                "--limit-key",
                "m",
                "--nonblock",
                "--",
                "true",
            ],
        ),
        ("breaker", &["run", "--breaker", "b", "--", "true"]),
    ];
    for (what, arguments) in runs {
        for (name, bytes) in &garbage {
            let scene = Scene::new("garbage");
            assert_eq!(scene.status(arguments), Some(0));
            for file in files(&scene.state()) {
                fs::write(file, bytes).expect("it can be written");
            }
            let first = scene.run(arguments);
            let second = scene.run(arguments);
            if (first.status, second.status) != (Some(0), Some(0)) {
                faults.push(format!(
                    "{what}, {name}: {:?} then {:?}: {}",
                    first.status,
                    second.status,
                    first.err.trim()
                ));
            }
            if first.err.chars().any(|c| c.is_control() && c != '\n') {
                faults.push(format!("{what}, {name}: control characters in {:?}", first.err));
            }
            if !second.err.is_empty() {
                faults.push(format!("{what}, {name}: it is said again: {}", second.err.trim()));
            }
        }
    }
    assert!(
        faults.is_empty(),
        "C13_REFEREE_SEED={seed}: {} rows:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

#[test]
fn a_full_disk_takes_nothing_away() {
    let _turn = alone();
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can mount a small file system");
        return;
    }
    let scene = Scene::new("full");
    let circuit = Circuit::new(&scene, "b", None);
    let script = r#"
set -u
mount -t tmpfs -o size=64k,mode=0700 none "$C13_STATE_DIR" || exit 200
run() { "$C13" run --policy "$POLICY" --breaker b -- "$@"; echo $?; }
run false; run false; run true
# All that is left of it, to the last byte.
dd if=/dev/zero of="$C13_STATE_DIR/filler" bs=1k 2>/dev/null
dd if=/dev/zero of="$C13_STATE_DIR/filler2" bs=1 2>/dev/null
run true; run true
timeout 20 "$C13" run --lock new --nonblock -- true; echo $?
timeout 20 "$C13" run --limit 1/h --limit-key new --nonblock -- true; echo $?
timeout 20 "$C13" run --breaker new -- true; echo $?
rm "$C13_STATE_DIR"/filler*
run true
"#;
    let mut command = scene.command("unshare", &["-m", "sh", "-c", script]);
    command.env("C13", program()).env("POLICY", &circuit.options[2]);
    let ended = scene.finish(command, super::processes::ENDS);
    if ended.status == Some(200) || ended.err.contains("unshare failed") {
        println!("skipped: no file system can be mounted here: {}", ended.err);
        return;
    }
    let statuses: Vec<&str> = ended.out.lines().collect();
    assert_eq!(statuses.len(), 9, "{ended:?}");
    assert_eq!(
        statuses[..5],
        ["1", "1", "75", "75", "75"],
        "an open circuit stays open: {ended:?}"
    );
    for (status, what) in statuses[5..8].iter().zip(["lock", "limit", "breaker"]) {
        assert!(["0", "125"].contains(status), "a new {what} on a full disk: {ended:?}");
    }
    assert_eq!(statuses[8], "75", "and after it: {ended:?}");
    if statuses[5..8].contains(&"125") {
        assert!(ended.err.contains("space"), "the cause is said: {ended:?}");
    }
}
