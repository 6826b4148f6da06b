//! Signals: which of them are passed on to the command, received from before the command starts, and which are ignored.

use std::io;

use rustix::process::Signal;
use tokio::signal::unix::{self, SignalKind};

use super::terminal;

/// What is passed on; those that ask to stop come first, and kill when they come twice.
pub(crate) const PASSED_ON: [(Signal, Meaning); 9] = [
    (Signal::INT, Meaning::Stop),
    (Signal::TERM, Meaning::Stop),
    (Signal::HUP, Meaning::Stop),
    (Signal::QUIT, Meaning::Stop),
    (Signal::USR1, Meaning::Message),
    (Signal::USR2, Meaning::Message),
    (Signal::WINCH, Meaning::Message),
    (Signal::CONT, Meaning::Message),
    (Signal::TSTP, Meaning::Pause),
];

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// To stop.
    Stop,
    /// Something that the command knows.
    Message,
    /// To stand still until told to go on.
    Pause,
}

/// The signals that have come and were not looked at yet.
pub(crate) struct Signals {
    streams: Vec<(unix::Signal, Signal, Meaning)>,
}

/// The signal of this number, if it is one that is passed on.
pub(crate) fn named(number: u8) -> Option<Signal> {
    let known = PASSED_ON.iter().map(|(signal, _)| *signal);
    known.into_iter().find(|signal| signal.as_raw() == i32::from(number))
}

/// The numbers of all signals that end or stop a process which does nothing about them, but can. Not those that report a
/// fault of its own.
pub(crate) fn ending_or_stopping() -> impl Iterator<Item = i32> {
    let ordinary = [
        Signal::HUP,
        Signal::INT,
        Signal::QUIT,
        Signal::TERM,
        Signal::USR1,
        Signal::USR2,
        Signal::PIPE,
        Signal::ALARM,
        Signal::VTALARM,
        Signal::PROF,
        Signal::IO,
        Signal::POWER,
        Signal::XCPU,
        Signal::XFSZ,
        Signal::TSTP,
        Signal::TTIN,
        Signal::TTOU,
    ];
    ordinary.into_iter().map(Signal::as_raw).chain(REAL_TIME)
}

/// The real-time signals that no C library keeps for itself.
const REAL_TIME: std::ops::RangeInclusive<i32> = 35..=64;

/// A set of signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SignalSet(u64);

impl SignalSet {
    pub(crate) fn contains(self, number: i32) -> bool {
        (1..=64).contains(&number) && self.0 & (1 << (number - 1)) != 0
    }

    /// Reads the set of ignored signals from the text of `/proc/PID/status`; an empty one if there is none.
    fn ignored_in(status: &str) -> Self {
        let set = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        Self(
            set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok())
                .unwrap_or(0),
        )
    }
}

/// The signals that this process ignores. What was ignored when it began (`nohup`) shall stay so, for it and for the
/// command: so no handler may be set for it.
pub(crate) fn ignored() -> SignalSet {
    SignalSet::ignored_in(&std::fs::read_to_string("/proc/self/status").unwrap_or_default())
}

impl Signals {
    /// From now on they no longer end the program. Those that are ignored stay ignored.
    pub(crate) fn listen() -> io::Result<Self> {
        let ignored = ignored();
        let heard = PASSED_ON
            .into_iter()
            .filter(|(signal, _)| !ignored.contains(signal.as_raw()));
        let streams = heard.map(|(signal, meaning)| {
            let stream = unix::signal(SignalKind::from_raw(signal.as_raw()))?;
            Ok((stream, signal, meaning))
        });
        Ok(Self {
            streams: streams.collect::<io::Result<_>>()?,
        })
    }

    /// Waits for the next one. Dropping the future loses none.
    pub(crate) async fn next(&mut self) -> (Signal, Meaning) {
        std::future::poll_fn(|cx| {
            for (stream, signal, meaning) in &mut self.streams {
                if stream.poll_recv(cx).is_ready() {
                    return std::task::Poll::Ready((*signal, *meaning));
                }
            }
            std::task::Poll::Pending
        })
        .await
    }

    /// Waits for one that asks to end, while there is no command. One that asks for a pause stops this process, as it stops
    /// any other, until another one lets it go on.
    pub(crate) async fn stop(&mut self) -> Signal {
        loop {
            match self.next().await {
                (signal, Meaning::Stop) => return signal,
                (_, Meaning::Pause) => terminal::stop_as_any_other(),
                (_, Meaning::Message) => {}
            }
        }
    }

    /// One that asks to stop and has come already.
    pub(crate) async fn stopped(&mut self) -> Option<Signal> {
        tokio::select! {
            biased;
            signal = self.stop() => Some(signal),
            // Other tasks get their turn, the one that delivers signals among them.
            () = tokio::task::yield_now() => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ignored_signals_are_read_from_the_systems_table() {
        let status = "Name:\tc13\nSigBlk:\t0000000000000004\nSigIgn:\t8000000000001001\nSigCgt:\t0000000000004000\n";
        let ignored = SignalSet::ignored_in(status);
        let found: Vec<i32> = (-1..=70).filter(|number| ignored.contains(*number)).collect();
        assert_eq!(found, [1, 13, 64]);
        for broken in ["", "SigIgn:", "SigIgn:\tx"] {
            assert_eq!(SignalSet::ignored_in(broken), SignalSet(0), "{broken}");
        }
    }
}
