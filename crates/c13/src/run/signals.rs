//! The signals that are passed on to the command, heard from before there is a command.

use std::io;

use rustix::process::Signal;
use tokio::signal::unix::{self, SignalKind};

/// What is passed on; the first two, coming twice, kill.
const PASSED_ON: [(SignalKind, Signal); 6] = [
    (SignalKind::interrupt(), Signal::INT),
    (SignalKind::terminate(), Signal::TERM),
    (SignalKind::hangup(), Signal::HUP),
    (SignalKind::quit(), Signal::QUIT),
    (SignalKind::user_defined1(), Signal::USR1),
    (SignalKind::user_defined2(), Signal::USR2),
];

/// The signals that have come and were not looked at yet.
pub(crate) struct Signals {
    streams: Vec<(unix::Signal, Signal)>,
}

impl Signals {
    /// From now on they no longer end the program.
    pub(crate) fn listen() -> io::Result<Self> {
        let streams = PASSED_ON
            .into_iter()
            .map(|(kind, number)| Ok((unix::signal(kind)?, number)));
        Ok(Self {
            streams: streams.collect::<io::Result<_>>()?,
        })
    }

    /// Waits for the next one. Dropping the future loses none.
    pub(crate) async fn next(&mut self) -> Signal {
        std::future::poll_fn(|cx| {
            for (stream, number) in &mut self.streams {
                if stream.poll_recv(cx).is_ready() {
                    return std::task::Poll::Ready(*number);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }

    /// Waits for one that asks to stop.
    pub(crate) async fn stop(&mut self) -> Signal {
        loop {
            let signal = self.next().await;
            if ![Signal::USR1, Signal::USR2].contains(&signal) {
                return signal;
            }
        }
    }
}
