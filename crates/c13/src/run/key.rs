//! What names a lock, a limit or a circuit breaker: one rule for all of them, on Redis and in files alike. Pure.

use std::fmt;
use std::str::FromStr;

/// A key that a user named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key(String);

const LONGEST: usize = 512;
/// What the names of everything but locks begin with. A lock's key is used as it is, because clients in other languages
/// share it, so no key of a user may begin so.
const OWN: &str = "c13-run:";
/// What the names of the records beside a lock end with or go on with after a hash tag.
const RECORD: &str = ":c13";

impl Key {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// What the rate limit of this key is kept under.
    pub(crate) fn limit(&self) -> String {
        format!("{OWN}limit:{self}")
    }

    /// What the circuit breaker of this key is kept under.
    pub(crate) fn breaker(&self) -> String {
        format!("{OWN}circuit:{self}")
    }

    /// What the permits of the policy of this name are kept under.
    pub(crate) fn permits(&self) -> String {
        format!("{OWN}permits:{self}")
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("a key must not be empty".to_owned());
        }
        if text.len() > LONGEST {
            let length = text.len();
            return Err(format!(
                "a key must be at most {LONGEST} bytes, but this one has {length}"
            ));
        }
        if let Some((at, character)) = text.char_indices().find(|(_, character)| character.is_control()) {
            let character = character.escape_debug();
            return Err(format!(
                "a key must not hold control characters, as `{character}` after {at} bytes"
            ));
        }
        let tag = hash_tag(text);
        if tag.is_none() && text.contains('}') {
            let rule =
                "a key's braces must enclose something, as in `{mail}:out`, or be left out: a Redis Cluster takes";
            return Err(format!("{rule} what they enclose for what belongs together"));
        }
        if text.starts_with(OWN) {
            return Err(format!(
                "a key must not begin with `{OWN}`, as the names of c13's own records do"
            ));
        }
        let after = tag.map_or("", |(_, after)| after);
        if after.ends_with(RECORD) || after.contains(":c13:") {
            return Err(format!(
                "a key with braces must not go on with `{RECORD}`, as the names of c13's own records do"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// What stands between the first `{` and the next `}`, and what follows; `None` if that is nothing.
fn hash_tag(key: &str) -> Option<(&str, &str)> {
    let (_, after) = key.split_once('{')?;
    after.split_once('}').filter(|(tag, _)| !tag.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_one_to_512_bytes_without_control_characters_is_right() {
        let longest = "k".repeat(LONGEST);
        let escaped = "/".repeat(LONGEST);
        for key in [
            "k",
            "a b",
            "../../etc/passwd",
            "c13:limit:mail",
            "prod:c13:nightly",
            "{mail}:out",
            "x}{a}",
            "a{b",
            "ключ",
            "🔒",
            &longest,
            &escaped,
        ] {
            assert_eq!(key.parse::<Key>().map(|key| key.to_string()), Ok(key.to_owned()));
        }
    }

    #[test]
    fn any_other_key_is_refused_in_the_users_terms() {
        let long = "k".repeat(LONGEST + 1);
        for (key, word) in [
            ("", "empty"),
            (long.as_str(), "at most 512 bytes, but this one has 513"),
            ("a\nb", "`\\n` after 1 bytes"),
            ("\u{1b}[2J", "control"),
            ("\u{9b}2J", "control"),
            ("a\0", "control"),
            ("a}", "braces"),
            ("{}", "braces"),
            ("a}b{", "braces"),
            ("c13-run:limit:mail", "must not begin with `c13-run:`"),
            ("{a}:c13", "must not go on with `:c13`"),
            ("x{a}:c13:queue", "must not go on with `:c13`"),
        ] {
            let error = key.parse::<Key>().expect_err(key);
            assert!(error.contains(word), "{key:?}: {error}");
        }
    }

    #[test]
    fn a_lock_a_limit_a_breaker_and_permits_of_one_key_have_names_that_no_lock_can_have() {
        let key: Key = "mail".parse().expect("it is right");
        for name in [key.limit(), key.breaker(), key.permits()] {
            assert!(name.parse::<Key>().is_err(), "{name}");
        }
    }
}
