//! Privileges: what a scheduler thread asks the system for, and what to grant where that is refused.

use super::config::ThreadConfig;
use std::error::Error;
use std::fmt;
use std::io;

/// Something a scheduler thread asks the system for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Privilege {
    /// To run on one processor only.
    Affinity {
        /// The processor's number.
        cpu: usize,
    },
    /// To run under `SCHED_FIFO`.
    Fifo {
        /// The priority.
        priority: u8,
    },
    /// Timers that are exact to 1 ns.
    ExactTimers,
    /// Memory that is not paged out.
    LockedMemory,
    /// Processors that stay out of deep sleep.
    ShallowSleep,
}

impl fmt::Display for Privilege {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Affinity { cpu } => write!(f, "running on processor {cpu}"),
            Self::Fifo { priority } => write!(f, "SCHED_FIFO with priority {priority}"),
            Self::ExactTimers => f.write_str("timers exact to 1 ns"),
            Self::LockedMemory => f.write_str("locked memory"),
            Self::ShallowSleep => f.write_str("shallow sleep of the processors"),
        }
    }
}

/// What the system refused a scheduler thread, why, and what to grant.
#[derive(Debug)]
#[non_exhaustive]
pub struct PrivilegeRefused {
    /// What was refused.
    pub what: Privilege,
    /// The system's own message.
    pub error: io::Error,
}

impl PrivilegeRefused {
    /// What to grant so that it is not refused next time.
    #[must_use]
    pub fn grant(&self) -> &'static str {
        if self.error.kind() == io::ErrorKind::Unsupported {
            return "run on Linux, nothing else has it";
        }
        match self.what {
            Privilege::Affinity { .. } => "choose a processor that exists and that the cgroup's cpuset allows",
            Privilege::Fifo { .. } => {
                "grant CAP_SYS_NICE (setcap cap_sys_nice+ep PROGRAM; docker run --cap-add SYS_NICE), or a real-time limit \
                 at least as high (LimitRTPRIO= in a systemd unit, rtprio in limits.conf, docker run --ulimit rtprio=)"
            }
            Privilege::ExactTimers => "allow prctl in the seccomp filter",
            Privilege::LockedMemory => {
                "grant CAP_IPC_LOCK, or a limit above the process's size (LimitMEMLOCK= in a systemd unit, memlock in \
                 limits.conf, docker run --ulimit memlock=)"
            }
            Privilege::ShallowSleep => "grant write access to /dev/cpu_dma_latency (docker run --device)",
        }
    }
}

impl fmt::Display for PrivilegeRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was refused ({}): {}", self.what, self.error, self.grant())
    }
}

impl Error for PrivilegeRefused {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // The message shows it already.
        self.error.source()
    }
}

/// What was granted for as long as this lives.
#[derive(Debug, Default)]
pub(super) struct Granted {
    /// While it is open and says 0, the kernel keeps processors out of deep sleep.
    _awake: Option<std::fs::File>,
}

/// Asks for all that `config` says, for the thread that calls it; gives what is held and what was refused.
pub(super) fn acquire(config: &ThreadConfig) -> (Granted, Vec<PrivilegeRefused>) {
    let mut refusals = Vec::new();
    let mut granted = Granted::default();
    let mut ask = |what, result: io::Result<()>| {
        if let Err(error) = result {
            refusals.push(PrivilegeRefused { what, error });
        }
    };
    if config.lock_memory {
        ask(Privilege::LockedMemory, imp::lock_memory());
    }
    if let Some(cpu) = config.cpu {
        ask(Privilege::Affinity { cpu }, imp::run_on(cpu));
    }
    if config.exact_timers {
        // On other systems no process can have them, and asking is the default: that is nothing to report.
        let result = imp::exact_timers().or_else(|error| match error.kind() {
            io::ErrorKind::Unsupported => Ok(()),
            _ => Err(error),
        });
        ask(Privilege::ExactTimers, result);
    }
    if config.shallow_sleep {
        let opened = imp::shallow_sleep().map(|file| granted._awake = Some(file));
        ask(Privilege::ShallowSleep, opened);
    }
    if let Some(priority) = config.fifo {
        ask(Privilege::Fifo { priority }, imp::fifo(priority));
    }
    (granted, refusals)
}

#[cfg(target_os = "linux")]
mod imp {
    use std::fs::{File, OpenOptions};
    use std::io::{self, Write};
    use std::num::NonZeroU64;
    use thread_priority::{
        Error, RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
        thread_native_id,
    };

    pub(super) fn lock_memory() -> io::Result<()> {
        Ok(rustix::mm::mlockall(rustix::mm::MlockAllFlags::CURRENT)?)
    }

    pub(super) fn run_on(cpu: usize) -> io::Result<()> {
        let mut cpus = rustix::thread::CpuSet::new();
        cpus.set(cpu);
        Ok(rustix::thread::sched_setaffinity(None, &cpus)?)
    }

    pub(super) fn exact_timers() -> io::Result<()> {
        Ok(rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?)
    }

    pub(super) fn shallow_sleep() -> io::Result<File> {
        let mut file = OpenOptions::new().write(true).open("/dev/cpu_dma_latency")?;
        file.write_all(&0_i32.to_ne_bytes())?;
        Ok(file)
    }

    pub(super) fn fifo(priority: u8) -> io::Result<()> {
        let priority = priority
            .try_into()
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        set_thread_priority_and_policy(
            thread_native_id(),
            ThreadPriority::Crossplatform(priority),
            ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo),
        )
        .map_err(|error| match error {
            Error::OS(code) => io::Error::from_raw_os_error(code),
            other => io::Error::other(other),
        })
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use std::fs::File;
    use std::io;

    fn unsupported<T>() -> io::Result<T> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "only Linux has it"))
    }

    pub(super) fn lock_memory() -> io::Result<()> {
        unsupported()
    }

    pub(super) fn run_on(_: usize) -> io::Result<()> {
        unsupported()
    }

    pub(super) fn exact_timers() -> io::Result<()> {
        unsupported()
    }

    pub(super) fn shallow_sleep() -> io::Result<File> {
        unsupported()
    }

    pub(super) fn fifo(_: u8) -> io::Result<()> {
        unsupported()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_why_and_what_to_grant() {
        let refusal = PrivilegeRefused {
            what: Privilege::Fifo { priority: 80 },
            error: io::Error::from(io::ErrorKind::PermissionDenied),
        };
        let text = refusal.to_string();
        assert!(
            text.starts_with("SCHED_FIFO with priority 80 was refused (permission denied): grant CAP_SYS_NICE"),
            "{text}"
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_processor_that_does_not_exist_is_refused_and_the_thread_goes_on() {
        let refused = std::thread::spawn(|| acquire(&ThreadConfig::new().cpu(1023)).1)
            .join()
            .unwrap();
        assert_eq!(refused.len(), 1, "{refused:?}");
        assert_eq!(refused[0].what, Privilege::Affinity { cpu: 1023 });
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_needs_no_privilege_is_granted() {
        let (slack, refused) = std::thread::spawn(|| {
            let (_, refused) = acquire(&ThreadConfig::new());
            (rustix::thread::current_timer_slack().unwrap(), refused)
        })
        .join()
        .unwrap();
        assert_eq!((slack, refused.len()), (1, 0));
    }
}
