//! The files of the tree: those that git tracks, so that nobody's notes, editor folders or `.env` are judged.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What cargo and the services that tests start keep in the tree; a walk leaves it out.
const BUILT: &[&str] = &["target", ".services"];

/// The paths of the tree's files, relative to the root and with slashes, in order.
///
/// Without git, or outside a checkout (in an unpacked archive), these are all the files there are; the second value
/// then says why.
pub(crate) fn files() -> (Vec<String>, Option<String>) {
    let (mut files, walked) = match tracked(&root()) {
        Ok(files) => (files, None),
        Err(reason) => (walk(&root(), ""), Some(reason)),
    };
    // Git still lists what was removed a moment ago.
    files.retain(|path| root().join(path).is_file());
    files.sort();
    (files, walked)
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The files that git tracks below `root`, or the reason why it cannot say.
pub(crate) fn tracked(root: &Path) -> Result<Vec<String>, String> {
    // Without this, git would answer for a repository further up.
    if !root.join(".git").exists() {
        return Err("there is no .git here".to_owned());
    }
    let listed = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(["ls-files", "-z"])
        .output()
        .map_err(|error| format!("git does not start: {error}"))?;
    if !listed.status.success() {
        return Err(String::from_utf8_lossy(&listed.stderr).trim().to_owned());
    }
    let names = String::from_utf8(listed.stdout).expect("file names in the tree are UTF-8");
    Ok(names.split_terminator('\0').map(str::to_owned).collect())
}

/// Every file below a folder of the tree.
pub(crate) fn walk(root: &Path, below: &str) -> Vec<String> {
    let folder = root.join(below);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("cannot list {folder:?}: {error}"));
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.unwrap_or_else(|error| panic!("cannot list {folder:?}: {error}"));
        let name = entry.file_name();
        let name = name.to_str().expect("file names in the tree are UTF-8");
        let path = if below.is_empty() {
            name.to_owned()
        } else {
            format!("{below}/{name}")
        };
        let kind = entry
            .file_type()
            .unwrap_or_else(|error| panic!("cannot look at {path}: {error}"));
        if kind.is_dir() && !BUILT.contains(&name) && name != ".git" {
            found.extend(walk(root, &path));
        } else if kind.is_file() {
            found.push(path);
        }
    }
    found
}
