//! The URL of a Redis in a file, so that a password in it is neither in an environment nor among a command's arguments.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// A URL is shorter; what is longer is some other file.
const LONGEST: usize = 4096;
/// What others than the owner and the group may do with the file, and the group's right to write.
const OTHERS: u32 = 0o027;

/// Reads the one line of the file.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    let wrong = |reason: &str| format!("--redis-url-file: {}: {reason}", path.display());
    let failed = |error: std::io::Error| wrong(&error.to_string());
    let file = File::open(path).map_err(failed)?;
    let facts = file.metadata().map_err(failed)?;
    if facts.is_dir() {
        return Err(wrong("is a folder"));
    }
    let user = rustix::process::geteuid().as_raw();
    if facts.uid() != user && facts.uid() != 0 {
        return Err(wrong("belongs to another user, who could change the URL"));
    }
    let mode = facts.permissions().mode() & 0o777;
    if mode & OTHERS != 0 {
        return Err(wrong(&format!(
            "its mode {mode:03o} lets others use it, who could read the password: set it with `chmod 600` or 640"
        )));
    }
    let mut text = String::new();
    let read = file.take(LONGEST as u64 + 1).read_to_string(&mut text);
    read.map_err(failed)?;
    if text.len() > LONGEST {
        return Err(wrong("is longer than 4,096 bytes, so it holds something else"));
    }
    let url = text.trim();
    if url.is_empty() || url.contains(char::is_whitespace) {
        return Err(wrong("must hold one URL and nothing else"));
    }
    Ok(url.to_owned())
}
