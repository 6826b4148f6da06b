//! Asks an address until it is healthy, or until the time is up.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::thread;
use std::time::Duration;

use c13_reliability::microservices::health::{LONGEST_ANSWER_HEAD, ProbeUrl};
use c13_reliability::time::{Clock, Tick};

use super::HealthArgs;

/// The result of the command.
#[derive(Debug, PartialEq)]
pub(crate) enum Health {
    /// It answered with this status, from 200 to 399.
    Healthy(u16),
    /// It did not: the reason that the last try found.
    Unhealthy(String),
}

/// How long it waits between two tries.
const PAUSE: Duration = Duration::from_millis(200);

/// Runs the command.
pub(crate) fn run(args: &HealthArgs) -> Health {
    let clock = Clock::system();
    let end = args.wait.map(|wait| clock.now() + wait);
    loop {
        let answer = match ask(&args.url, args.timeout, &clock) {
            Ok(status @ 200..=399) => return Health::Healthy(status),
            Ok(status) => Health::Unhealthy(format!("{} answered {status}", args.url)),
            Err(error) => Health::Unhealthy(format!("{}: {error}", args.url)),
        };
        let again = clock.now() + PAUSE;
        if end.is_none_or(|end| again > end) {
            return answer;
        }
        pause_until(&clock, again);
    }
}

/// The status that the address answers, within the time limit.
fn ask(url: &ProbeUrl, limit: Duration, clock: &Clock) -> io::Result<u16> {
    let end = clock.now() + limit;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (url.host(), url.port()).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, left(clock, end)?) {
            Ok(stream) => return exchange(stream, url, clock, end),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn exchange(mut stream: TcpStream, url: &ProbeUrl, clock: &Clock, end: Tick) -> io::Result<u16> {
    stream.set_write_timeout(Some(left(clock, end)?))?;
    stream.write_all(url.request().as_bytes())?;
    let mut head = vec![0; LONGEST_ANSWER_HEAD];
    let mut filled = 0;
    loop {
        stream.set_read_timeout(Some(left(clock, end)?))?;
        let read = match stream.read(&mut head[filled..]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // How a system calls a read that took too long differs.
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Err(late());
            }
            read => read?,
        };
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed without an answer"));
        }
        filled += read;
        let status =
            ProbeUrl::status(&head[..filled]).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if let Some(status) = status {
            return Ok(status);
        }
    }
}

/// The time that is left; none is an error, because a socket takes zero for "for ever".
fn left(clock: &Clock, end: Tick) -> io::Result<Duration> {
    let left = end - clock.now();
    if left.is_zero() { Err(late()) } else { Ok(left) }
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer in time")
}

/// Nothing wakes this thread, but it may wake up spuriously.
fn pause_until(clock: &Clock, end: Tick) {
    loop {
        let left = end - clock.now();
        if left.is_zero() {
            return;
        }
        thread::park_timeout(left);
    }
}
