//! The matrix of signals: every state of `c13 run`, every signal and every backend, in one table.

use std::fmt::Write;
use std::sync::Mutex;

use rustix::process::Signal;

use super::outcome::{Faults, SIGNALS, judge};
use super::processes::Scene;
use super::reach::{BACKENDS, Backend, STATES, State, reach, unreachable};
use super::redis_server::Server;

/// Most of a cell is waiting.
const WORKERS: usize = 6;

#[derive(Clone, Copy)]
struct Cell {
    at: State,
    backend: Backend,
    name: &'static str,
    sent: Signal,
}

#[test]
fn every_signal_ends_stops_or_kills_in_every_state_within_its_bound() {
    let mut cells = Vec::new();
    let mut table = String::new();
    for at in STATES {
        for backend in BACKENDS {
            if let Some(reason) = unreachable(at, backend) {
                writeln!(table, "{at:?} on {backend:?}: not reachable, {reason}").expect("a string takes everything");
                continue;
            }
            cells.extend(SIGNALS.map(|(name, sent)| Cell {
                at,
                backend,
                name,
                sent,
            }));
        }
    }
    let count = cells.len();
    let queue = Mutex::new(cells);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|threads| {
        for _ in 0..WORKERS {
            threads.spawn(|| {
                let server = Server::start();
                loop {
                    let next = queue.lock().expect("nobody panics with it").pop();
                    let Some(cell) = next else { return };
                    let faults = twice_if_late(&server, cell);
                    if !faults.words.is_empty() {
                        let line = format!("{:?} on {:?}, {}: {}", cell.at, cell.backend, cell.name, faults.words);
                        failures.lock().expect("nobody panics with it").push(line);
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().expect("nobody panics with it");
    failures.sort();
    print!("{table}");
    assert!(
        failures.is_empty(),
        "{} of {count} cells are wrong:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

/// A machine may stand still for a second, but not twice at the same cell.
fn twice_if_late(server: &Server, cell: Cell) -> Faults {
    let first = once(server, cell);
    if !first.words.is_empty() && first.only_late {
        return once(server, cell);
    }
    first
}

fn once(server: &Server, Cell { at, backend, sent, .. }: Cell) -> Faults {
    // Answers that an earlier cell held are given by now, or soon.
    server.go_on();
    server.forget();
    let scene = Scene::new("matrix");
    let faults = match reach(&scene, server, at, backend) {
        Ok(mut reached) => judge(&scene, &mut reached, at, backend, sent),
        Err(words) => Faults::of(format!("not reached: {words}")),
    };
    server.go_on();
    faults
}
