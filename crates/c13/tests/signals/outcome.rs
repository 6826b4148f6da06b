//! What a signal does to `c13 run` in one of its states, judged against what is promised.

use std::fmt::Write;
use std::time::Duration;

use rustix::process::Signal;

use super::processes::{Scene, is_alive, now, pause, signal, state, within};
use super::reach::{Backend, Reached, State, TTL};

/// The signals of the matrix. A stop is followed by a continuation and a termination.
pub(crate) const SIGNALS: [(&str, Signal); 6] = [
    ("HUP", Signal::HUP),
    ("INT", Signal::INT),
    ("TERM", Signal::TERM),
    ("QUIT", Signal::QUIT),
    ("TSTP, CONT", Signal::TSTP),
    ("KILL", Signal::KILL),
];

/// What ends at a signal ends within this.
pub(crate) const BOUND: Duration = Duration::from_secs(1);

/// Far past the bound, to tell late from never.
const PATIENCE: Duration = Duration::from_secs(8);

/// What is wrong with a cell. Only lateness may be a machine that stood still.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) words: String,
    pub(crate) only_late: bool,
}

impl Faults {
    pub(crate) fn none() -> Self {
        Self {
            words: String::new(),
            only_late: true,
        }
    }

    pub(crate) fn of(words: String) -> Self {
        Self {
            words,
            only_late: false,
        }
    }

    fn late(&mut self, words: &str) {
        self.join(words);
    }

    pub(crate) fn wrong(&mut self, words: &str) {
        self.join(words);
        self.only_late = false;
    }

    fn join(&mut self, words: &str) {
        let comma = if self.words.is_empty() { "" } else { "; " };
        write!(self.words, "{comma}{words}").expect("a string takes everything");
    }
}

/// Sends a signal to a wrapper in its state, and says what is wrong with what follows.
pub(crate) fn judge(scene: &Scene, reached: &mut Reached, at: State, backend: Backend, sent: Signal) -> Faults {
    let mut faults = Faults::none();
    let process = reached.wrapper.id();
    if let Some(status) = reached.wrapper.ended() {
        let errors = reached.wrapper.errors();
        return Faults::of(format!("it ended with {status} before the signal: {}", errors.trim()));
    }
    let mut last = sent;
    if sent == Signal::TSTP {
        stops_and_goes_on(reached, at, &mut faults);
        last = Signal::TERM;
    }
    let begin = now();
    signal(process, last);
    match reached.wrapper.ends_within(PATIENCE) {
        None => faults.wrong("it does not end"),
        Some(status) => {
            let took = begin.elapsed();
            if took > BOUND {
                faults.late(&format!("it ends after {} ms", took.as_millis()));
            }
            let by_signal = 128 + last.as_raw();
            // A command that has ended well by itself may have the last word.
            if status != by_signal && !(at == State::Releasing && status == 0) {
                let errors = reached.wrapper.errors();
                faults.wrong(&format!("its status is {status}, not {by_signal} ({})", errors.trim()));
            }
        }
    }
    if !within(BOUND, || scene.processes().is_empty()) {
        let gone = within(PATIENCE, || scene.processes().is_empty());
        if gone {
            faults.late("its command is still there after a second");
        } else {
            faults.wrong("its command stays");
        }
    }
    reached.make_way();
    if at != State::WaitingForCircuit {
        // A release that the server cannot answer is cut off, and its lease runs out.
        let cut_off = matches!(at, State::Renewing | State::Releasing);
        let leased = backend == Backend::RedisStopped || backend == Backend::Redis && (last == Signal::KILL || cut_off);
        let limit = if leased { TTL + BOUND } else { BOUND };
        lock_is_free(scene, reached, limit, &mut faults);
    }
    faults
}

/// The wrapper and its command, if there is one, stop, and go on.
fn stops_and_goes_on(reached: &Reached, at: State, faults: &mut Faults) {
    let wrapper = reached.wrapper.id();
    let command = reached.command.filter(|command| is_alive(*command));
    let both = || [Some(wrapper), command].into_iter().flatten();
    signal(wrapper, Signal::TSTP);
    // A release may be over before it stops.
    let all_stopped = || both().all(|process| state(process) == Some('T') || at == State::Releasing);
    if !within(BOUND, all_stopped) {
        faults.late("wrapper or command is not stopped after a second");
    }
    pause(Duration::from_millis(50));
    signal(wrapper, Signal::CONT);
    if !within(BOUND, || both().all(|process| state(process) != Some('T'))) {
        faults.late("wrapper or command has not gone on after a second");
    }
    // A release may be over by now.
    if at != State::Releasing && !both().all(is_alive) {
        faults.wrong("it ends at TSTP and CONT");
    }
}

fn lock_is_free(scene: &Scene, reached: &Reached, limit: Duration, faults: &mut Faults) {
    let url = reached.url();
    let mut arguments = vec!["run", "--lock", "k", "--nonblock"];
    if let Some(url) = &url {
        arguments.extend(["--redis", url]);
    }
    arguments.extend(["--", "true"]);
    let mut status = None;
    let free = within(limit, || {
        status = scene.status(&arguments);
        status == Some(0)
    });
    if !free {
        faults.late(&format!(
            "the lock is not free after {} ms: status {status:?}",
            limit.as_millis()
        ));
    }
}
