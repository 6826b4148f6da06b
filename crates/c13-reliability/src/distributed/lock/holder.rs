//! The description of a lock's holder, by itself: host, process, program, since when.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// A holder of a lock, as it described itself when it took the lock. The description is not verified: it is for people, not for
/// decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The owner's name, as in [`Status::owners`](super::Status::owners).
    pub owner: String,
    /// The name of its machine.
    pub host: String,
    /// The number of its process there.
    pub process: u32,
    /// The program, without its arguments, which may hold passwords.
    pub program: String,
    /// When it took the lock, since 1970, by the backend's clock; `None` where the backend's clock is no calendar.
    pub since: Option<Duration>,
}

/// The longest host and the longest program, in bytes.
const LONGEST: usize = 64;

impl Holder {
    /// How the holder that runs `program` in this process describes itself: `PROCESS HOST PROGRAM`.
    pub(crate) fn describe(program: &str) -> Arc<str> {
        let host = word(host());
        format!("{} {host} {}", std::process::id(), printable(program)).into()
    }

    /// How this process describes itself.
    pub(crate) fn this_process() -> Arc<str> {
        static TEXT: OnceLock<Arc<str>> = OnceLock::new();
        let program = || {
            let path = std::env::current_exe().ok()?;
            Some(path.file_name()?.to_string_lossy().into_owned())
        };
        let text = TEXT.get_or_init(|| Self::describe(&program().unwrap_or_else(|| "?".to_owned())));
        text.clone()
    }

    /// Reads a description; what is longer than ours is cut, and characters that ours never have are replaced.
    pub(crate) fn parse(owner: &str, text: &str, since: Option<Duration>) -> Option<Self> {
        let mut words = text.splitn(3, ' ');
        let process = words.next()?.parse().ok()?;
        Some(Self {
            owner: owner.to_owned(),
            host: word(words.next()?),
            process,
            program: printable(words.next()?),
            since,
        })
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "host {}, process {}, {}", self.host, self.process, self.program)
    }
}

fn host() -> &'static str {
    static HOST: OnceLock<String> = OnceLock::new();
    HOST.get_or_init(|| {
        let told =
            std::fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| std::fs::read_to_string("/etc/hostname"));
        told.map_or_else(
            |_| std::env::var("HOSTNAME").unwrap_or_default(),
            |name| name.trim().to_owned(),
        )
    })
}

/// At most 64 bytes of a text, without control characters; `?` for an empty one.
fn printable(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars() {
        if shown.len() + character.len_utf8() > LONGEST {
            break;
        }
        shown.push(if character.is_control() { '?' } else { character });
    }
    if shown.is_empty() { "?".to_owned() } else { shown }
}

fn word(text: &str) -> String {
    printable(text).replace(char::is_whitespace, "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_read_as_it_described_itself() {
        let text = Holder::describe("my backup.sh");
        let holder = Holder::parse("a1", &text, Some(Duration::from_secs(9))).unwrap();
        assert_eq!((holder.owner.as_str(), holder.process), ("a1", std::process::id()));
        assert_eq!(
            (holder.program.as_str(), holder.since),
            ("my backup.sh", Some(Duration::from_secs(9)))
        );
        assert!(!holder.host.is_empty());
        assert!(Holder::parse("a1", &Holder::this_process(), None).is_some());
    }

    #[test]
    fn what_a_stranger_writes_is_bounded_and_cannot_move_a_terminal() {
        let text = format!("7 a\u{1b}[2Jb {}\u{9b}", "é".repeat(10_000));
        let holder = Holder::parse("a1", &text, None).unwrap();
        assert_eq!(holder.host, "a?[2Jb");
        assert_eq!(holder.program, "é".repeat(32));
        for text in ["", "7", "7 host", "x host program", "99999999999 host program"] {
            assert_eq!(Holder::parse("a1", text, None), None, "{text:?}");
        }
    }
}
