//! Processes and what descends from them, as `/proc` has them.

use std::collections::HashSet;

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, getpid, kill_process, pidfd_open, pidfd_send_signal, waitid,
};

/// A process, as `/proc` had it a moment ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: Pid,
    pub(crate) parent: Option<Pid>,
    pub(crate) group: Option<Pid>,
    pub(crate) session: Option<Pid>,
    /// Whether it runs or may run again: no zombie.
    pub(crate) lives: bool,
    /// In clock ticks since boot: with the number, its identity.
    started: u64,
}

impl Process {
    pub(crate) fn read(pid: Pid) -> Option<Self> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Self::parse(&text)
    }

    /// Reads a line of `/proc/PID/stat`.
    fn parse(text: &str) -> Option<Self> {
        let pid = text.split(' ').next()?.parse().ok()?;
        // The name, in parentheses, may hold anything.
        let words: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
        let number = |index: usize| words.get(index)?.trim_end().parse::<i64>().ok();
        // The group and session of a process that is being reaped are -1, which is no process.
        let process = |index: usize| Pid::from_raw(i32::try_from(number(index)?).ok().filter(|pid| *pid > 0)?);
        // The first thread may have ended before the others.
        let is_zombie = matches!(*words.first()?, "Z" | "X") && number(17)? <= 1;
        Some(Self {
            pid: Pid::from_raw(pid)?,
            parent: process(1),
            group: process(2),
            session: process(3),
            lives: !is_zombie,
            started: u64::try_from(number(19)?).ok()?,
        })
    }

    /// Sends it a signal, unless another process has its number by now.
    pub(crate) fn signal(&self, signal: Signal) {
        // An error means that it is gone, or belongs to another user.
        let _: Result<(), Errno> = match pidfd_open(self.pid, PidfdFlags::empty()) {
            Ok(fd) if Self::read(self.pid).is_some_and(|now| now.started == self.started) => {
                pidfd_send_signal(fd, signal)
            }
            Ok(_) | Err(Errno::SRCH) => Ok(()),
            Err(_) => kill_process(self.pid, signal),
        };
    }
}

/// All processes that can be seen.
pub(crate) fn processes() -> Vec<Process> {
    let folder = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = folder.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Process::read(Pid::from_raw(pid)?)).collect()
}

/// The children of this process.
pub(crate) fn children() -> Vec<Pid> {
    let lists = std::fs::read_dir("/proc/self/task").and_then(|tasks| {
        let lists = tasks.map(|task| std::fs::read_to_string(task?.path().join("children")));
        lists.collect::<std::io::Result<Vec<String>>>()
    });
    match lists {
        Ok(lists) => {
            let words = lists.iter().flat_map(|list| list.split_whitespace());
            words.filter_map(|word| Pid::from_raw(word.parse().ok()?)).collect()
        }
        // Not every kernel has these lists.
        Err(_) => {
            let ours = |process: &Process| process.parent == Some(getpid());
            processes()
                .iter()
                .filter(|process| ours(process))
                .map(|process| process.pid)
                .collect()
        }
    }
}

/// Takes a child that has ended off the system's list.
pub(crate) fn reap(child: Pid) {
    // An error means that it is gone already.
    waitid(WaitId::Pid(child), WaitIdOptions::EXITED | WaitIdOptions::NOHANG).unwrap_or_default();
}

/// What lives and descends from this process, but not from these children of it.
pub(super) fn living_descendants(except: &[Pid]) -> Vec<Process> {
    let all: Vec<Process> = processes()
        .into_iter()
        .filter(|process| !except.contains(&process.pid))
        .collect();
    descendants_of(getpid(), &all)
        .into_iter()
        .filter(|process| process.lives)
        .collect()
}

fn descendants_of(root: Pid, all: &[Process]) -> Vec<Process> {
    let mut known = HashSet::from([root]);
    let mut found = Vec::new();
    loop {
        let of_known = |process: &&Process| process.parent.is_some_and(|parent| known.contains(&parent));
        let more: Vec<Process> = all
            .iter()
            .filter(of_known)
            .filter(|process| !known.contains(&process.pid))
            .copied()
            .collect();
        if more.is_empty() {
            return found;
        }
        known.extend(more.iter().map(|process| process.pid));
        found.extend(more);
    }
}

/// Whether no process could let a stopped process group go on: no member has a parent in another group of its session.
pub(crate) fn is_orphaned(group: Pid) -> bool {
    let all = processes();
    let parent_of = |process: &Process| all.iter().find(|other| Some(other.pid) == process.parent);
    let is_watched = |process: &Process| {
        parent_of(process).is_some_and(|parent| parent.group != process.group && parent.session == process.session)
    };
    !all.iter()
        .any(|process| process.group == Some(group) && is_watched(process))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32) -> Process {
        Process {
            pid: Pid::from_raw(pid).expect("it is not zero"),
            parent: Pid::from_raw(parent),
            group: None,
            session: None,
            lives: true,
            started: 0,
        }
    }

    #[test]
    fn a_process_is_read_whatever_its_name_is() {
        let line = |name: &str, state: &str, threads: u32| {
            format!("42 ({name}) {state} 7 40 39 34816 40 4194304 1 0 0 0 0 0 0 0 20 0 {threads} 0 9876 0 0\n")
        };
        for name in ["sh", "a b", ") S 1 2", ""] {
            let read = Process::parse(&line(name, "S", 1)).expect("it is right");
            assert_eq!(
                (
                    read.pid,
                    read.parent,
                    read.group,
                    read.session,
                    read.lives,
                    read.started
                ),
                (
                    Pid::from_raw(42).expect("it is not zero"),
                    Pid::from_raw(7),
                    Pid::from_raw(40),
                    Pid::from_raw(39),
                    true,
                    9876
                )
            );
        }
        for (state, threads, lives) in [
            ("Z", 1, false),
            ("Z", 0, false),
            ("Z", 2, true),
            ("T", 1, true),
            ("X", 0, false),
        ] {
            assert_eq!(
                Process::parse(&line("x", state, threads)).map(|read| read.lives),
                Some(lives),
                "{state} {threads}"
            );
        }
        for broken in ["", "42", "42 (sh", "42 (sh) S", "x (sh) S 1 2 3"] {
            assert_eq!(Process::parse(broken), None, "{broken}");
        }
    }

    #[test]
    fn a_process_that_is_being_reaped_has_no_group_and_no_session() {
        let line = "42 (sh) X 0 -1 -1 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 0 0 9876 0 0\n";
        let read = Process::parse(line).expect("it is right");
        assert_eq!(
            (read.parent, read.group, read.session, read.lives),
            (None, None, None, false)
        );
    }

    #[test]
    fn descendants_are_found_in_any_order_and_even_in_a_circle() {
        let all = [
            process(5, 4),
            process(4, 3),
            process(3, 1),
            process(9, 1),
            process(6, 3),
            process(7, 8),
            process(8, 7),
        ];
        let found: HashSet<i32> = descendants_of(Pid::from_raw(3).expect("it is not zero"), &all)
            .iter()
            .map(|process| process.pid.as_raw_nonzero().get())
            .collect();
        assert_eq!(found, HashSet::from([4, 5, 6]));
        assert_eq!(descendants_of(Pid::from_raw(7).expect("it is not zero"), &all).len(), 1);
    }

    #[test]
    fn this_process_finds_itself_and_its_parent() {
        let me = Process::read(getpid()).expect("there is /proc");
        assert!(me.lives);
        assert_eq!(me.parent, rustix::process::getppid());
        assert!(processes().contains(&me));
    }
}
