//! The guard itself: starts the command, and kills what is left of it when it has ended, when the wrapper is gone, or when
//! the wrapper has paused for so long that its lock is over.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use c13_reliability::sync::Random;
use c13_reliability::time::{Clock, Tick};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, getpgid, getpid, kill_process, kill_process_group,
    set_child_subreaper, test_kill_process_group, waitid,
};
use signal_hook::consts::SIGCHLD;

use super::super::signals;
use super::exec;
use super::tree::{children, living_descendants, processes, reap};
use super::wire::{Event, GuardOrder, Status, split};

/// Timers do not run while a machine is suspended, so the guard looks at its clock at least this often.
const LOOK: Duration = Duration::from_secs(1);
/// How soon the guard looks again whether what it killed is gone: at first, and in the end.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_millis(50);
/// What cannot be killed within this time is reported. The guard goes on waiting for it, and so holds the lock.
const PATIENCE: Duration = Duration::from_secs(1);

/// Starts the command that the wrapper names, and returns when all of it is gone.
pub(super) fn run() -> ExitCode {
    let wrapper = std::io::stdin();
    // Another name than the wrapper's, so that `killall -9 c13` leaves a process that kills the command.
    rustix::thread::set_name(c"guard").unwrap_or_default();
    let watched = prepare().and_then(|(children, early)| {
        let begin = Begin::receive(&wrapper)?;
        begin.start(wrapper.as_fd(), children, &early)
    });
    match watched {
        Some(watch) => watch.run(),
        None => ExitCode::FAILURE,
    }
}

/// Signals that came before the command was there to get them.
struct Early([(Signal, Arc<AtomicBool>); 4]);

impl Early {
    fn take(&self) -> impl Iterator<Item = Signal> {
        // Relaxed: the flag carries no other data.
        let came = self.0.iter().filter(|(_, flag)| flag.swap(false, Ordering::Relaxed));
        came.map(|(signal, _)| *signal)
    }
}

/// Adopts what the command's processes leave behind, and from now on ends by no signal that can be caught. Returns what
/// becomes readable when a child ends or stops.
fn prepare() -> Option<(UnixStream, Early)> {
    set_child_subreaper(Some(getpid())).ok()?;
    let early = [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM];
    let early = Early(early.map(|signal| (signal, Arc::new(AtomicBool::new(false)))));
    let unused = Arc::new(AtomicBool::new(false));
    let ignored = signals::ignored();
    // What is ignored stays so, because the command inherits that.
    for number in signals::ending_or_stopping().filter(|number| !ignored.contains(*number)) {
        let flag = early.0.iter().find(|(signal, _)| signal.as_raw() == number);
        let flag = flag.map_or(&unused, |(_, flag)| flag);
        signal_hook::flag::register(number, Arc::clone(flag)).ok()?;
    }
    let (children, tell) = UnixStream::pair().ok()?;
    children.set_nonblocking(true).ok()?;
    signal_hook::low_level::pipe::register(SIGCHLD, tell).ok()?;
    Some((children, early))
}

/// The orders that the guard gets before it starts the command.
#[derive(Default)]
struct Begin {
    files: Vec<OwnedFd>,
    words: Vec<u8>,
    foreground: bool,
    until: Option<Tick>,
}

impl Begin {
    /// `None` if the wrapper is gone before it has sent all orders.
    fn receive(wrapper: impl AsFd) -> Option<Self> {
        let mut begin = Self::default();
        loop {
            match GuardOrder::receive(&wrapper, true) {
                Ok(Some(GuardOrder::Files(files))) => begin.files.extend(files),
                Ok(Some(GuardOrder::Words(words))) => begin.words.extend(words),
                Ok(Some(GuardOrder::Until(until))) => begin.until = Some(until),
                Ok(Some(GuardOrder::Go { foreground })) => {
                    begin.foreground = foreground;
                    return Some(begin);
                }
                Err(Errno::INTR) => {}
                Ok(Some(GuardOrder::Signal { .. } | GuardOrder::Kill) | None) | Err(_) => return None,
            }
        }
    }

    /// Starts the command; `None` if there is none to watch.
    fn start<'a>(self, wrapper: BorrowedFd<'a>, children: UnixStream, early: &Early) -> Option<CommandWatch<'a>> {
        let token = format!("c13:{:x}", Random::from_entropy().next_u64() >> 20);
        let mut files = self.files.into_iter();
        let mut next = || files.next().map_or_else(Stdio::null, Stdio::from);
        let (input, output, error) = (next(), next(), next());
        let mut step = exec::command(&split(&self.words), &token, self.foreground);
        let started = step.stdin(input).stdout(output).stderr(error).spawn();
        // With it, our copies of the command's input and output.
        drop(step);
        let command = match started {
            Ok(child) => Pid::from_child(&child),
            Err(error) => {
                // An error means that the wrapper is gone.
                Event::NotStarted(error.raw_os_error().unwrap_or(0))
                    .send(wrapper)
                    .unwrap_or_default();
                return None;
            }
        };
        Event::Started(command).send(wrapper).unwrap_or_default();
        for signal in early.take() {
            kill_process_group(command, signal).unwrap_or_default();
        }
        Some(CommandWatch {
            wrapper,
            children,
            clock: Clock::since_boot(),
            command,
            token,
            until: self.until.unwrap_or(Tick::MAX),
            is_attended: true,
            is_stopping: false,
            is_killing: false,
            ended: None,
            is_reported: false,
            _locks: files.collect(),
        })
    }
}

/// A command that is watched.
struct CommandWatch<'a> {
    wrapper: BorrowedFd<'a>,
    children: UnixStream,
    clock: Clock,
    command: Pid,
    token: String,
    /// When the lock is over, unless a later order says otherwise.
    until: Tick,
    /// Whether the wrapper is there.
    is_attended: bool,
    /// Whether the command was asked to end.
    is_stopping: bool,
    /// Whether all that descends from the command is killed, whatever group or session it is in.
    is_killing: bool,
    /// How the command ended, and when.
    ended: Option<(Status, Tick)>,
    is_reported: bool,
    /// Held until this process ends.
    _locks: Vec<OwnedFd>,
}

impl CommandWatch<'_> {
    fn run(mut self) -> ExitCode {
        let mut look = FIRST_LOOK;
        loop {
            // Before the clock: an order that was sent in time counts, however late it is read.
            self.hear();
            let now = self.clock.now();
            self.is_killing |= now >= self.until;
            if self.is_killing {
                self.kill();
            }
            if let Err(error) = self.tend(now) {
                Event::NotExecuted(error).send(self.wrapper).unwrap_or_default();
                return ExitCode::FAILURE;
            }
            let mut wait = LOOK.min(self.until - now);
            if let Some((status, at)) = self.ended {
                let left = self.left();
                if left.is_none() || (now - at >= PATIENCE && !self.is_reported) {
                    self.is_reported = true;
                    // An error means that the wrapper is gone.
                    Event::Ended { status, left }.send(self.wrapper).unwrap_or_default();
                }
                if left.is_none() {
                    return ExitCode::SUCCESS;
                }
            }
            if self.ended.is_some() || self.is_killing {
                wait = look;
                look = (look * 2).min(LAST_LOOK);
            }
            self.wait(wait);
        }
    }

    /// Waits until the wrapper sends an order, or a child ends or stops.
    fn wait(&mut self, limit: Duration) {
        let limit = Timespec::try_from(limit).ok();
        let children = self.children.as_fd();
        let mut ready = vec![PollFd::from_borrowed_fd(children, PollFlags::IN)];
        if self.is_attended {
            ready.push(PollFd::from_borrowed_fd(self.wrapper, PollFlags::IN));
        }
        // Interrupted or not, the next round looks at everything.
        poll(&mut ready, limit.as_ref()).unwrap_or_default();
    }

    /// Carries out the wrapper's orders.
    fn hear(&mut self) {
        while self.is_attended {
            match GuardOrder::receive(self.wrapper, false) {
                Ok(Some(GuardOrder::Until(until))) => self.until = until,
                Ok(Some(GuardOrder::Signal { number, stop })) => self.pass_on(number, stop),
                Ok(Some(GuardOrder::Kill)) => self.is_killing = true,
                Ok(Some(GuardOrder::Files(_) | GuardOrder::Words(_) | GuardOrder::Go { .. })) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Ok(None) | Err(_) => {
                    self.is_attended = false;
                    self.is_killing = true;
                }
            }
        }
    }

    fn pass_on(&mut self, number: u8, stop: bool) {
        self.is_stopping |= stop;
        let Some(signal) = signals::named(number).filter(|_| self.ended.is_none()) else {
            return;
        };
        // A stopped process gets the first only when it goes on.
        for signal in [Some(signal), stop.then_some(Signal::CONT)].into_iter().flatten() {
            // An error means that no process is left.
            kill_process_group(self.command, signal).unwrap_or_default();
            if getpgid(Some(self.command)) != Ok(self.command) {
                kill_process(self.command, signal).unwrap_or_default();
            }
        }
    }

    fn kill(&self) {
        if self.ended.is_none() {
            // An error means that no process is left, or that it belongs to another user.
            kill_process_group(self.command, Signal::KILL).unwrap_or_default();
            kill_process(self.command, Signal::KILL).unwrap_or_default();
        }
        for process in living_descendants(&[]) {
            process.signal(Signal::KILL);
        }
    }

    /// Looks whether the command has ended or stopped, and reaps what the guard has adopted.
    ///
    /// # Errors
    ///
    /// The system's error, if the process could not become the command.
    fn tend(&mut self, now: Tick) -> Result<(), i32> {
        if drained(&self.children) || self.is_killing {
            for child in children().into_iter().filter(|child| *child != self.command) {
                reap(child);
            }
        }
        if self.ended.is_some() {
            return Ok(());
        }
        // Seen, but not reaped: as long as the number is the command's, it is the group's too.
        let options = WaitIdOptions::EXITED | WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let Ok(Some(status)) = waitid(WaitId::Pid(self.command), options) else {
            return Ok(());
        };
        if status.stopped() {
            let seen = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
            waitid(WaitId::Pid(self.command), seen).unwrap_or_default();
            let signal = status.stopping_signal().and_then(|signal| u8::try_from(signal).ok());
            Event::Stopped(signal.unwrap_or(0))
                .send(self.wrapper)
                .unwrap_or_default();
            return Ok(());
        }
        let error = status
            .exit_status()
            .and_then(|code| exec::error_of(self.command, &self.token, code));
        // What the command has left behind in its group ends with it.
        kill_process_group(self.command, Signal::KILL).unwrap_or_default();
        reap(self.command);
        self.ended = Some((ended(&status), now));
        self.is_killing |= self.is_stopping;
        error.map_or(Ok(()), Err)
    }

    /// One of the processes that must be gone before the command counts as ended.
    fn left(&self) -> Option<Pid> {
        let group_is_empty = test_kill_process_group(self.command) == Err(Errno::SRCH);
        let in_group = (!group_is_empty).then(|| {
            processes()
                .into_iter()
                .find(|process| process.lives && process.group == Some(self.command))
        });
        let descends = || self.is_killing.then(|| living_descendants(&[]))?.first().copied();
        Some(in_group.flatten().or_else(descends)?.pid)
    }
}

/// Whether there was anything to read.
fn drained(mut stream: &UnixStream) -> bool {
    let mut bytes = [0; 64];
    let mut any = false;
    while stream.read(&mut bytes).is_ok_and(|read| read > 0) {
        any = true;
    }
    any
}

fn ended(status: &WaitIdStatus) -> Status {
    let number = |number: Option<i32>| number.and_then(|number| u8::try_from(number).ok());
    match (number(status.exit_status()), number(status.terminating_signal())) {
        (Some(code), _) => Status::Exited(code),
        (None, signal) => Status::Killed(signal.unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    #[test]
    fn a_guard_that_stood_still_goes_by_the_last_word_and_kills_when_the_wrapper_is_gone() {
        let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
        let (wrapper, guard) = pair.expect("the system has sockets");
        let mut watch = CommandWatch {
            wrapper: guard.as_fd(),
            children: UnixStream::pair().expect("the system has sockets").0,
            clock: Clock::since_boot(),
            command: getpid(),
            token: String::new(),
            until: Tick::MAX,
            is_attended: true,
            is_stopping: false,
            is_killing: false,
            ended: None,
            is_reported: false,
            _locks: Vec::new(),
        };
        for end in [1, 2, 3].map(Tick::from_nanos) {
            GuardOrder::Until(end).send(&wrapper, false).expect("there is room");
        }
        watch.hear();
        assert_eq!(
            (watch.until, watch.is_attended, watch.is_killing),
            (Tick::from_nanos(3), true, false)
        );
        drop(wrapper);
        watch.hear();
        assert_eq!((watch.is_attended, watch.is_killing), (false, true));
    }
}
