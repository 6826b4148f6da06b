//! Reads a file, or standard input, as a text that errors can point into.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use c13_reliability::policy::document::Source;

use super::Failure;

/// The files that we read have some kilobytes; a larger one is some other file.
const LARGEST_FILE: u64 = 1 << 20;

/// Whether a path stands for standard input: `-`.
pub(crate) fn is_standard_input(path: &Path) -> bool {
    path == Path::new("-")
}

/// The name of a file in errors and answers.
pub(crate) fn name(path: &Path) -> String {
    match is_standard_input(path) {
        true => "standard input".to_owned(),
        false => path.display().to_string(),
    }
}

/// Reads a file; `-` is standard input.
///
/// # Errors
///
/// A file that cannot be read, is no text, or is far too large.
pub(crate) fn read(path: &Path) -> Result<Source, Failure> {
    let read = |reader: &mut dyn Read| {
        let mut bytes = Vec::new();
        reader.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LARGEST_FILE {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "it is larger than 1 MiB, so it is no such file",
            ));
        }
        Ok(bytes)
    };
    let bytes = match is_standard_input(path) {
        true => read(&mut io::stdin().lock()),
        false => File::open(path).and_then(|mut file| read(&mut file)),
    };
    let bytes = bytes.map_err(|error| Failure::File(path.to_owned(), error))?;
    Source::from_bytes(name(path), bytes).map_err(|error| Failure::Input((*error).into()))
}
