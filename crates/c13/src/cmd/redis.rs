//! Which Redis keeps the locks: its arguments, the same for every command that uses one.

use std::env::VarError;
use std::path::PathBuf;

use clap::Args;

use crate::run::url_file;

/// The arguments that name a Redis.
#[derive(Debug, Args)]
pub(crate) struct RedisArgs {
    /// The Redis that keeps locks, limits and circuits; by default the one that `REDIS_URL` names, and without either they are
    /// files of this machine
    ///
    /// As long as the program runs, everybody on this machine can read a password in the URL (`ps`), and the command that
    /// `c13 run` starts can read one in `REDIS_URL`.
    #[arg(long, value_name = "URL", conflicts_with = "redis_url_file")]
    redis: Option<String>,

    /// Read the URL from this file, which others must not be able to read, so that the command does not see a password in it
    #[arg(long, value_name = "FILE")]
    redis_url_file: Option<PathBuf>,
}

impl RedisArgs {
    /// The URL of the command line, of the file that it names, or of `REDIS_URL`. An empty `REDIS_URL` counts as unset.
    pub(crate) fn url(&self) -> Result<Option<String>, String> {
        if let Some(url) = &self.redis {
            return Ok(Some(url.clone()));
        }
        if let Some(file) = &self.redis_url_file {
            return url_file::read(file).map(Some);
        }
        // Not by clap's `env`: to clap a variable is as good as an argument, so that one set for the whole machine would
        // conflict with --redis-url-file, and an empty one would look like `--redis ""`, which must be refused.
        match std::env::var("REDIS_URL") {
            Ok(url) => Ok(Some(url).filter(|url| !url.is_empty())),
            Err(VarError::NotPresent) => Ok(None),
            Err(VarError::NotUnicode(_)) => Err("REDIS_URL: must be UTF-8".to_owned()),
        }
    }
}
