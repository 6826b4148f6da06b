//! Which folder of this machine keeps locks, limits and journals, where no Redis does.
//!
//! One user's cron job, shell and service must agree on it, or two of them could hold one lock. So it follows from the user
//! and not from the session: `$XDG_RUNTIME_DIR` is not asked, as it is there only in a login session and is emptied when
//! that ends ([ADR 13](../../../../docs/adr/0013-where-state-is-kept.md)).

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use c13_reliability::distributed::StateFolder;

/// What the choice depends on.
struct Surroundings {
    state_dir: Option<OsString>,
    is_superuser: bool,
    xdg_state_home: Option<OsString>,
    home: Option<PathBuf>,
}

/// A folder, and whether it is one that users may share.
#[derive(Debug, PartialEq, Eq)]
enum Choice {
    Private(PathBuf),
    Shared(PathBuf),
}

/// The superuser's. It survives a restart, and nothing cleans it.
const OF_SUPERUSER: &str = "/var/lib/c13";
/// Below a user's home, as the XDG base directory specification has it.
const STATE_HOME: &str = ".local/state";

/// Opens the folder, and makes it if it does not exist. Damaged files are passed to `report`.
pub(crate) fn open(report: impl Fn(&str) + Send + Sync + 'static) -> Result<StateFolder, String> {
    let surroundings = Surroundings {
        state_dir: std::env::var_os("C13_STATE_DIR"),
        is_superuser: rustix::process::geteuid().is_root(),
        xdg_state_home: std::env::var_os("XDG_STATE_HOME"),
        // Where `HOME` is not set, the user's entry in the system's list.
        home: std::env::home_dir(),
    };
    let opened = match surroundings.choose()? {
        Choice::Private(folder) => StateFolder::private(folder),
        Choice::Shared(folder) => StateFolder::shared(folder),
    };
    let opened = opened.map_err(|error| format!("cannot keep state in {error}; C13_STATE_DIR names another folder"))?;
    Ok(opened.on_damage(report))
}

impl Surroundings {
    fn choose(self) -> Result<Choice, String> {
        // An empty variable counts as unset.
        if let Some(folder) = self.state_dir.filter(|folder| !folder.is_empty()) {
            return Ok(Choice::Shared(folder.into()));
        }
        if self.is_superuser {
            return Ok(Choice::Private(OF_SUPERUSER.into()));
        }
        let absolute = |path: &Path| path.is_absolute();
        // The specification ignores what is not absolute.
        let state_home = self.xdg_state_home.map(PathBuf::from).filter(|path| absolute(path));
        let home = || Some(self.home.filter(|path| absolute(path))?.join(STATE_HOME));
        state_home
            .or_else(home)
            .map(|state| Choice::Private(state.join("c13")))
            .ok_or_else(|| {
                "there is no folder for the state: this user has no home (HOME); set XDG_STATE_HOME or C13_STATE_DIR to an \
                 absolute path"
                    .to_owned()
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_follows_from_the_user_unless_it_is_named() {
        let private = |path: &str| Ok(Choice::Private(path.into()));
        for (state_dir, is_superuser, xdg, home, expected) in [
            (None, true, None, None, private("/var/lib/c13")),
            (None, true, Some("/x"), Some("/h"), private("/var/lib/c13")),
            (None, false, None, Some("/h"), private("/h/.local/state/c13")),
            (None, false, Some("/x"), Some("/h"), private("/x/c13")),
            (None, false, Some("x"), Some("/h"), private("/h/.local/state/c13")),
            (None, false, Some(""), Some("/h"), private("/h/.local/state/c13")),
            (None, false, Some("/x"), None, private("/x/c13")),
            (None, false, None, Some("h"), Err(())),
            (None, false, None, Some(""), Err(())),
            (None, false, None, None, Err(())),
            (Some(""), false, None, Some("/h"), private("/h/.local/state/c13")),
            (Some(""), true, None, None, private("/var/lib/c13")),
            (
                Some("/s"),
                true,
                Some("/x"),
                Some("/h"),
                Ok(Choice::Shared("/s".into())),
            ),
            (Some("s"), false, None, None, Ok(Choice::Shared("s".into()))),
        ] {
            let surroundings = Surroundings {
                state_dir: state_dir.map(OsString::from),
                is_superuser,
                xdg_state_home: xdg.map(OsString::from),
                home: home.map(PathBuf::from),
            };
            let chosen = surroundings
                .choose()
                .map_err(|message| assert!(message.contains("HOME")));
            assert_eq!(chosen, expected, "{state_dir:?} {is_superuser} {xdg:?} {home:?}");
        }
    }
}
