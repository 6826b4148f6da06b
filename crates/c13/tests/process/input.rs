//! Standard input over several runs: whole each time, or no further run.

use super::scene::{ENDS, Scene};
use super::written;
use std::process::Command;

/// What `c13 run` is given, what it says, and how often the command ran with how many lines.
struct Case {
    name: &'static str,
    /// The shell's words before and after `c13 run`.
    before: &'static str,
    after: &'static str,
    options: &'static str,
    command: &'static str,
    runs: &'static [&'static str],
    says: &'static str,
}

const COUNTS: &str = "wc -l >> $RUNS; exit 3";
const READS_NOTHING: &str = "echo ran >> $RUNS; exit 3";

#[test]
fn every_run_gets_the_whole_input_or_there_is_no_further_run() {
    let refused = "the command ended with status 3 and is not run again: it may have read its standard input, a pipe, \
         which --replay-stdin keeps for the next run";
    let cases = [
        Case {
            name: "file",
            before: "seq 1000 > in;",
            after: "< in",
            options: "",
            command: COUNTS,
            runs: &["1000", "1000", "1000"],
            says: "the command ended with status 3; run 2 of 3 in 10ms",
        },
        Case {
            name: "file-from-the-middle",
            before: "seq 1000 > in; exec < in; read x; read x; seek=1;",
            after: "",
            options: "",
            command: COUNTS,
            runs: &["998", "998", "998"],
            says: "run 3 of 3",
        },
        Case {
            name: "pipe",
            before: "seq 1000 |",
            after: "",
            options: "",
            command: COUNTS,
            runs: &["1000"],
            says: refused,
        },
        Case {
            name: "slow-pipe",
            before: "(sleep 0.3; seq 10) |",
            after: "",
            options: "",
            command: "read x; echo $x >> $RUNS; exit 3",
            runs: &["1"],
            says: refused,
        },
        Case {
            name: "kept-pipe",
            before: "seq 300000 |",
            after: "",
            options: "--replay-stdin",
            command: COUNTS,
            runs: &["300000", "300000", "300000"],
            says: "run 3 of 3",
        },
        Case {
            name: "kept-pipe-read-in-part",
            before: "seq 300000 |",
            after: "",
            options: "--replay-stdin",
            command: "head -n 2 | tail -n 1 >> $RUNS; exit 3",
            runs: &["2", "2", "2"],
            says: "run 3 of 3",
        },
        Case {
            name: "pipe-that-is-not-read",
            before: "seq 1000 |",
            after: "",
            options: "",
            command: READS_NOTHING,
            runs: &["ran", "ran", "ran"],
            says: "run 3 of 3",
        },
        Case {
            name: "idle-pipe",
            before: "sleep 5 |",
            after: "",
            options: "",
            command: READS_NOTHING,
            runs: &["ran", "ran", "ran"],
            says: "run 3 of 3",
        },
        Case {
            name: "empty-pipe-that-is-read",
            before: ": |",
            after: "",
            options: "",
            command: COUNTS,
            runs: &["0", "0", "0"],
            says: "run 3 of 3",
        },
        Case {
            name: "nothing",
            before: "",
            after: "< /dev/null",
            options: "",
            command: COUNTS,
            runs: &["0", "0", "0"],
            says: "run 3 of 3",
        },
        Case {
            name: "named-pipe",
            before: "mkfifo in; (seq 5 > in) &",
            after: "< in",
            options: "",
            command: COUNTS,
            runs: &["5"],
            says: refused,
        },
    ];
    for case in cases {
        let scene = Scene::new(&format!("input-{}", case.name));
        let c13 = super::scene::program();
        let line = format!(
            "cd {}; {} {c13} run --retry 2 --backoff 10ms {} -- sh -c '{}' {}",
            scene.folder.display(),
            case.before,
            case.options,
            case.command,
            case.after
        );
        let mut shell = Command::new("bash");
        shell.args(["-c", &line]).env("RUNS", scene.file("runs"));
        shell.env("C13_STATE_DIR", scene.file("state")).env_remove("REDIS_URL");
        let mut shell = scene.launch(shell);
        assert_eq!(shell.ends_within(ENDS), Some(3), "{}: {}", case.name, shell.errors());
        let runs = written(&scene, "runs");
        let runs: Vec<&str> = runs.lines().map(str::trim).collect();
        assert_eq!(runs, case.runs, "{}: {}", case.name, shell.errors());
        assert!(shell.errors().contains(case.says), "{}: {}", case.name, shell.errors());
    }
}
