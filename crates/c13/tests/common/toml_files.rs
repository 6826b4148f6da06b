//! The policy files of the tree, which everything that reads such files is tried on.

use std::fs;
use std::path::{Path, PathBuf};

/// Adds all TOML files under a folder, but for what was built.
pub(crate) fn toml_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() && !path.ends_with("target") {
            toml_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            found.push(path);
        }
    }
}
