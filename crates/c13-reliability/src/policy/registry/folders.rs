//! Wakes who watches files where something happens in a folder on the way to them.
//!
//! Folders are watched, not files: an editor renames a new file over the old one, a deployment deletes and creates, and
//! Kubernetes swaps a link in a folder further up. So each folder that holds a part of a path, or a link that the path goes
//! through, is watched, and after each event they are looked up anew.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::thread;

use crate::sync::foreign;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fd::OwnedFd;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

/// As many links as the system itself follows.
const MOST_LINKS: usize = 40;

/// Watches the folders of some files, on a thread of its own, until it is dropped.
#[derive(Debug)]
pub(super) struct Folders {
    signal: Arc<Signal>,
    stop: Arc<OwnedFd>,
}

#[derive(Debug, Default)]
struct Signal {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    happened: bool,
    waker: Option<Waker>,
}

impl Folders {
    /// Starts to watch. An error if the system has no watches or no threads left.
    pub(super) fn watch(paths: Vec<PathBuf>) -> io::Result<Self> {
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?);
        let signal = Arc::new(Signal::default());
        let watches = watch(&paths)?;
        let (told, end) = (Arc::clone(&signal), Arc::clone(&stop));
        let run = move || {
            let mut watches = Ok(watches);
            while let Ok(descriptor) = &watches {
                if !wait(descriptor, &end) {
                    return;
                }
                // First the new watches, then the word: what happens in between is not missed.
                watches = watch(&paths);
                told.tell();
                // Others may write in the same folders all the time; their events gather meanwhile.
                if !pause(&end) {
                    return;
                }
            }
            // Without watches there is still the slow look.
        };
        thread::Builder::new().name("c13-policies".to_owned()).spawn(run)?;
        Ok(Self { signal, stop })
    }

    /// Ready as soon as something has happened since it was ready last.
    pub(super) fn poll_changed(&self, waker: &Waker) -> Poll<()> {
        let mut state = self.signal.state.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut state.happened) {
            return Poll::Ready(());
        }
        let before = state.waker.replace(waker.clone());
        drop(state);
        drop(before);
        Poll::Pending
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        // If this cannot be written, the thread waits for the next event and ends with the process.
        let _ = rustix::io::write(&*self.stop, &1_u64.to_ne_bytes());
    }
}

impl Signal {
    fn tell(&self) {
        let waker = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.happened = true;
            state.waker.take()
        };
        if let Some(waker) = waker {
            // A panic must not end the thread that watches.
            foreign::wake(waker);
        }
    }
}

/// Watches all folders on the way to `paths`.
fn watch(paths: &[PathBuf]) -> io::Result<OwnedFd> {
    let descriptor = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    let flags = WatchFlags::CLOSE_WRITE
        | WatchFlags::CREATE
        | WatchFlags::DELETE
        | WatchFlags::MODIFY
        | WatchFlags::MOVED_FROM
        | WatchFlags::MOVED_TO
        | WatchFlags::ATTRIB
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVE_SELF
        | WatchFlags::ONLYDIR;
    // A link that is swapped after it was followed, and before its folder is watched, tells nobody. So they are followed
    // again until that leads to nothing new.
    let mut watched = BTreeSet::new();
    for _ in 0..MOST_LINKS {
        let found: BTreeSet<PathBuf> = paths.iter().flat_map(|path| folders(path)).collect();
        if found.is_subset(&watched) {
            break;
        }
        for folder in found.difference(&watched) {
            // A folder that is not there is seen when the one above it changes.
            let _ = inotify::add_watch(&descriptor, folder, flags);
        }
        watched.extend(found);
    }
    Ok(descriptor)
}

/// Waits until something happens; false if it is to stop.
fn wait(watches: &OwnedFd, stop: &OwnedFd) -> bool {
    loop {
        let mut descriptors = [PollFd::new(watches, PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
        match poll(&mut descriptors, None) {
            Ok(_) => return descriptors[1].revents().is_empty(),
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

/// Waits for a moment; false if it is to stop.
fn pause(stop: &OwnedFd) -> bool {
    let mut descriptors = [PollFd::new(stop, PollFlags::IN)];
    let moment = Timespec::try_from(super::watch::SETTLE).ok();
    !matches!(poll(&mut descriptors, moment.as_ref()), Ok(1..))
}

/// The folders that hold a part of the path, or a link that it goes through.
fn folders(path: &Path) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::new();
    let mut next = Some(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
    for _ in 0..MOST_LINKS {
        let Some(path) = next.take() else { break };
        let mut walked = PathBuf::new();
        let mut components = path.components();
        while let Some(component) = components.next() {
            let folder = walked.clone();
            walked.push(component);
            if !matches!(component, Component::Normal(_)) {
                continue;
            }
            let Ok(target) = fs::read_link(&walked) else { continue };
            let target = folder.join(target);
            folders.insert(folder);
            next = Some(target.join(components.as_path()));
            break;
        }
        if next.is_none() {
            // The last path, free of links: the file's folder, and the one above in case that goes.
            folders.extend(path.ancestors().skip(1).take(2).map(Path::to_owned));
        }
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn every_folder_on_the_way_through_links_is_found() {
        let base = std::env::temp_dir().join(format!("c13-folders-{}", std::process::id()));
        let _ = fs::remove_dir_all(&base);
        fs::create_dir_all(base.join("config/v1")).expect("the system's folder takes one");
        let base = base.canonicalize().expect("it is there");
        let config = base.join("config");
        fs::write(config.join("v1/a.toml"), "").expect("it was made just now");
        symlink("v1", config.join("..data")).expect("links can be made here");
        symlink("..data/a.toml", config.join("a.toml")).expect("links can be made here");
        symlink(&config, base.join("link")).expect("links can be made here");
        let found = folders(&base.join("link/a.toml"));
        fs::remove_dir_all(&base).expect("it is there");
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            [base, config.clone(), config.join("v1")]
        );
    }

    #[test]
    fn links_in_a_circle_come_to_an_end() {
        let base = std::env::temp_dir().join(format!("c13-circle-{}", std::process::id()));
        let _ = fs::remove_dir_all(&base);
        fs::create_dir_all(&base).expect("the system's folder takes one");
        symlink("b", base.join("a")).expect("links can be made here");
        symlink("a", base.join("b")).expect("links can be made here");
        let found = folders(&base.join("a"));
        fs::remove_dir_all(&base).expect("it is there");
        assert!(found.contains(&base), "{found:?}");
    }
}
