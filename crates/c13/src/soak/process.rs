//! What the process uses, as the system sees it: memory, open files, threads.

use std::{fs, io};

/// One reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct ProcessUse {
    /// Resident memory in bytes.
    pub(crate) memory: u64,
    /// Open file descriptors.
    pub(crate) files: usize,
    /// Threads.
    pub(crate) threads: usize,
}

/// Reads it from `/proc`.
///
/// # Errors
///
/// On systems without `/proc`, which is all but Linux.
pub(crate) fn read() -> io::Result<ProcessUse> {
    let entries = |path: &str| fs::read_dir(path).map(Iterator::count);
    let status = fs::read_to_string("/proc/self/status")?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = kilobytes
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok());
    let kilobytes: u64 =
        kilobytes.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no VmRSS in /proc/self/status"))?;
    Ok(ProcessUse {
        memory: kilobytes * 1024,
        // One of them is the folder that is read.
        files: entries("/proc/self/fd")?.saturating_sub(1),
        threads: entries("/proc/self/task")?,
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn a_file_that_is_opened_is_seen() {
        let before = super::read().expect("Linux has /proc");
        let files: Vec<_> = (0..100)
            .map(|_| std::fs::File::open("/proc/self/status").expect("it is there"))
            .collect();
        let after = super::read().expect("Linux has /proc");
        // Other tests open and close files meanwhile.
        assert!(after.files >= before.files + files.len() / 2, "{before:?} {after:?}");
        assert!(after.memory > 0 && after.threads > 0);
    }
}
