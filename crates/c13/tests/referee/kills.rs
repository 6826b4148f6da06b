//! Kills at random moments: wrapper, guard, command or all of them, while others wait for the same lock.

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use super::alone;
use super::processes::{Process, Scene, now, pause, program, runs, signal, within};
use super::random::{Random, rounds};
use super::redis_server::Server;
use super::witness::{Stay, instruct, read_log, witness};

/// Wrappers of one lock at a time.
const WRAPPERS: usize = 3;

/// A killed holder's lease on Redis.
const TTL: &str = "2s";

/// Nothing of what was killed is left after this.
const BOUND: Duration = Duration::from_secs(5);

/// Three others and a lease on Redis are waited for at most this long.
const TURN: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Wrapper,
    Guard,
    Command,
    All,
}

const VICTIMS: [Victim; 4] = [Victim::Wrapper, Victim::Guard, Victim::Command, Victim::All];

#[test]
fn no_kill_lets_two_commands_run_at_once_on_a_lock_of_files() {
    let _turn = alone();
    kill_at_random(rounds("C13_REFEREE_KILLS", 40), None);
}

#[test]
fn no_kill_lets_two_commands_run_at_once_on_a_lock_of_redis() {
    let _turn = alone();
    let server = Server::start();
    kill_at_random(rounds("C13_REFEREE_REDIS_KILLS", 10), Some(&server.url()));
}

/// What went wrong, and how often each victim was found.
#[derive(Debug, Default)]
struct Tally {
    faults: Vec<String>,
    killed: [u32; 4],
    longest_orphan: Duration,
}

fn kill_at_random(kills: u32, redis: Option<&str>) {
    let (mut random, seed) = Random::seeded();
    let files = Scene::new("witnesses");
    let mut tally = Tally::default();
    let mut overlaps = 0;
    for round in 0..kills {
        let fault_count = tally.faults.len();
        kill_once(&files, redis, &mut random, &mut tally);
        let log = read_log(&files.folder);
        if log.overlaps.len() > overlaps {
            overlaps = log.overlaps.len();
            tally.faults.push(format!("overlap: {:?}", log.overlaps.last()));
        }
        for fault in &mut tally.faults[fault_count..] {
            fault.insert_str(0, &format!("round {round}: "));
        }
    }
    let log = read_log(&files.folder);
    println!(
        "seed {seed}: {kills} rounds, killed {VICTIMS:?} {:?} times, {} commands began, {} ended by themselves, \
         {} overlaps, longest orphan {:?}",
        tally.killed,
        log.begun,
        log.ended,
        log.overlaps.len(),
        tally.longest_orphan
    );
    assert!(log.begun > 0, "no command ran");
    assert!(
        tally.faults.is_empty(),
        "C13_REFEREE_SEED={seed}: {} faults in {kills} rounds ({} overlaps, longest orphan {:?}):\n{}",
        tally.faults.len(),
        log.overlaps.len(),
        tally.longest_orphan,
        tally.faults.join("\n")
    );
}

/// `c13 run` of a witness on the one lock.
fn run(scene: &Scene, files: &Scene, redis: Option<&str>, stay: Stay) -> Process {
    let command = witness();
    let mut arguments = vec!["run", "--lock", "k", "--wait", "30s"];
    if let Some(url) = redis {
        arguments.extend(["--redis", url, "--ttl", TTL]);
    }
    arguments.push("--");
    arguments.extend(command.iter().map(String::as_str));
    let mut started = scene.c13(&arguments);
    started.env("C13_STATE_DIR", files.state());
    instruct(&mut started, &files.folder, stay);
    scene.launch(started)
}

fn kill_once(files: &Scene, redis: Option<&str>, random: &mut Random, tally: &mut Tally) {
    let victim = VICTIMS[usize::try_from(random.below(4)).expect("there are four")];
    // One scene for each wrapper, so that what belongs to which is known; one state for all.
    let mut wrappers: Vec<_> = (0..WRAPPERS)
        .map(|_| {
            // Now and then so long that who does not die with the rest meets the next.
            let longest = if random.below(4) == 0 { 400_000 } else { 30_000 };
            let stay = Stay {
                time: Duration::from_micros(random.below(longest)),
                // Nobody is left to kill the children of a command if all of `c13` is dead.
                child: victim != Victim::All && random.below(2) == 0,
                status: 0,
            };
            let scene = Scene::new("kill");
            let process = run(&scene, files, redis, stay);
            (scene, process)
        })
        .collect();
    pause(Duration::from_micros(random.below(150_000)));
    let first = usize::try_from(random.below(WRAPPERS as u64)).expect("there are few");
    // What is looked for may begin only now, or have ended.
    let mut hit = Vec::new();
    within(Duration::from_millis(200), || {
        hit = strike(&mut wrappers, victim, first);
        !hit.is_empty()
    });
    tally.killed[victim as usize] += u32::from(!hit.is_empty());
    let struck = now();
    // The lock is not stuck, and nobody is inside whom the kill forgot.
    let short = Stay {
        time: Duration::ZERO,
        child: false,
        status: 0,
    };
    let mut last = run(files, files, redis, short);
    for &index in &hit {
        let (scene, process) = &mut wrappers[index];
        if within(BOUND, || process.ended().is_some() && scene.processes().is_empty()) {
            tally.longest_orphan = tally.longest_orphan.max(struck.elapsed());
        } else {
            let left = describe(&scene.processes());
            tally.fault(format!("{victim:?} was killed, and of its run is left: {left}"));
        }
    }
    for (index, (scene, process)) in wrappers.iter_mut().enumerate() {
        if !hit.contains(&index) {
            tally.ends_well(process, victim);
            if !within(BOUND, || scene.processes().is_empty()) {
                let left = describe(&scene.processes());
                tally.fault(format!("a wrapper that nobody killed leaves {left}"));
            }
        }
    }
    tally.ends_well(&mut last, victim);
}

impl Tally {
    fn fault(&mut self, words: String) {
        self.faults.push(words);
    }

    /// Who was not killed gets the lock in its turn.
    fn ends_well(&mut self, process: &mut Process, victim: Victim) {
        let status = process.ends_within(TURN);
        if status != Some(0) {
            let errors = process.errors();
            self.fault(format!(
                "{victim:?} of another was killed, and this ends with {status:?}: {}",
                errors.trim()
            ));
        }
    }
}

/// What processes run, for a failure's words.
fn describe(processes: &[u32]) -> String {
    let line = |process: &u32| {
        let line = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        format!(
            "{process} `{}`",
            String::from_utf8_lossy(&line).replace('\0', " ").trim()
        )
    };
    processes.iter().map(line).collect::<Vec<_>>().join(", ")
}

/// Kills a part of one wrapper, the first in turn that has it, or this program's processes of all wrappers, as
/// `killall -9 c13` does, which leaves the commands to whoever is left. Says which wrappers were hit.
fn strike(wrappers: &mut [(Scene, Process)], victim: Victim, first: usize) -> Vec<usize> {
    let of_c13 = |found: &u32| runs(*found, Path::new(program()));
    let mut hit = Vec::new();
    for turn in 0..wrappers.len() {
        let index = (first + turn) % wrappers.len();
        let (scene, wrapper) = &mut wrappers[index];
        if wrapper.ended().is_some() {
            continue;
        }
        let all = if victim == Victim::Wrapper {
            vec![wrapper.id()]
        } else {
            scene.processes()
        };
        let is_victim = |process: &u32| match victim {
            Victim::Wrapper | Victim::All => of_c13(process),
            Victim::Guard => *process != wrapper.id() && of_c13(process),
            Victim::Command => *process != wrapper.id() && !of_c13(process),
        };
        let found: Vec<u32> = all.into_iter().filter(is_victim).collect();
        if found.is_empty() {
            continue;
        }
        hit.push(index);
        for process in found {
            signal(process, Signal::KILL);
        }
        if victim != Victim::All {
            break;
        }
    }
    hit
}
