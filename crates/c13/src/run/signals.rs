//! The signals that are passed on to the command, heard from before there is a command.

use std::io;

use rustix::process::Signal;
use tokio::signal::unix::{self, SignalKind};

/// What is passed on; those that ask to stop come first, and kill when they come twice.
const PASSED_ON: [(Signal, Meaning); 9] = [
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

impl Signals {
    /// From now on they no longer end the program.
    pub(crate) fn listen() -> io::Result<Self> {
        let streams = PASSED_ON.into_iter().map(|(signal, meaning)| {
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

    /// Waits for one that asks to stop.
    pub(crate) async fn stop(&mut self) -> Signal {
        loop {
            if let (signal, Meaning::Stop) = self.next().await {
                return signal;
            }
        }
    }

    /// One that asks to stop and has come already.
    pub(crate) async fn stopped(&mut self) -> Option<Signal> {
        tokio::select! {
            biased;
            signal = self.stop() => Some(signal),
            // Others get their turn, whoever delivers signals among them.
            () = tokio::task::yield_now() => None,
        }
    }
}
