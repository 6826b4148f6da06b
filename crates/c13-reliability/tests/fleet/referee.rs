//! Who is inside, by somebody who knows nothing of locks: holders tell it when they enter and when they leave.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Counts who is inside. A holder writes `+` when it has entered and `-` before it leaves, and goes on when it has read
/// an answer: `k`, or `!` if somebody else was inside.
pub(crate) struct Referee {
    pub(crate) port: u16,
    counts: Arc<Mutex<Counts>>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    inside: u32,
    pub(crate) entered: u32,
    pub(crate) overlaps: u32,
}

impl Referee {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let counts = Arc::new(Mutex::new(Counts::default()));
        let shared = counts.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, counts) = (stream.unwrap(), shared.clone());
                std::thread::spawn(move || listen(stream, &counts));
            }
        });
        Self { port, counts }
    }

    pub(crate) fn counts(&self) -> Counts {
        *self.counts.lock().unwrap()
    }
}

fn listen(mut stream: TcpStream, counts: &Mutex<Counts>) {
    stream.set_nodelay(true).unwrap();
    let mut byte = [0];
    while stream.read_exact(&mut byte).is_ok() {
        let mut counts = counts.lock().unwrap();
        let mut answer = b'k';
        if byte == *b"+" {
            if counts.inside > 0 {
                counts.overlaps += 1;
                answer = b'!';
            }
            counts.inside += 1;
            counts.entered += 1;
        } else {
            counts.inside -= 1;
        }
        drop(counts);
        if stream.write_all(&[answer]).is_err() {
            return;
        }
    }
}

/// A holder's line to the referee.
pub(crate) struct Line(TcpStream);

impl Line {
    pub(crate) fn to(referee: &Referee) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", referee.port)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    pub(crate) fn say(&mut self, what: u8) {
        self.0.write_all(&[what]).unwrap();
        self.0.read_exact(&mut [0]).unwrap();
    }
}
