//! The keys beside a user's key, in the same hash slot of a cluster.

use crate::error::{ConfigError, ConfigValue};

/// What the keys beside a key begin with: `{key}:c13`, or `key::c13` where the key has a hash tag of its own.
///
/// No key can be one of those beside another: all of those have a hash tag and end in one of [`ENDINGS`], and a key that
/// does is refused. So a lock, the records beside it and a limit of the same key never meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keys {
    stem: String,
}

/// What the keys beside a key end in.
const ENDINGS: &[&str] = &[
    ":c13",
    ":c13:breaker",
    ":c13:limit",
    ":c13:processes",
    ":c13:queue",
    ":c13:shared",
];

impl Keys {
    /// The keys beside `key`.
    pub(crate) fn beside(part: &'static str, key: &str) -> Result<Self, ConfigError> {
        let stem = match tag(key) {
            Some(_) if ENDINGS.iter().any(|ending| key.ends_with(ending)) => {
                let value = ConfigValue::Text("the name of a record beside another key");
                let rule = "must not have a hash tag and end in `:c13`, `:c13:limit` or their like";
                return Err(ConfigError::new(part, "names", value, rule));
            }
            Some(_) => format!("{key}::c13"),
            // The whole key is hashed; in braces it is the tag, unless a brace of its own closes it early.
            None if !key.contains('}') && !key.is_empty() => format!("{{{key}}}:c13"),
            None => {
                let value = ConfigValue::Text("a key whose braces are no hash tag");
                let rule = "must have its braces around a hash tag or none, so that its record is in the same slot";
                return Err(ConfigError::new(part, "names", value, rule));
            }
        };
        Ok(Self { stem })
    }

    /// The key of the record beside it.
    pub(crate) fn record(&self) -> &str {
        &self.stem
    }

    /// Another key beside it.
    pub(crate) fn named(&self, ending: &str) -> String {
        format!("{}:{ending}", self.stem)
    }
}

/// The part of a key that a cluster hashes instead of all of it: what stands between the first `{` and the next `}`.
fn tag(key: &str) -> Option<&str> {
    let (_, after) = key.split_once('{')?;
    let (tag, _) = after.split_once('}')?;
    (!tag.is_empty()).then_some(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashed(key: &str) -> &str {
        tag(key).unwrap_or(key)
    }

    #[test]
    fn the_record_is_always_in_the_slot_of_its_key() {
        for key in ["a", "a:b", "{a}", "x{a}y", "x}{a}", "{a}{b}", "a{b", "{{a}}", "ключ"] {
            let keys = Keys::beside("lock", key).unwrap();
            assert_eq!(hashed(keys.record()), hashed(key), "{key}");
            assert_eq!(hashed(&keys.named("queue")), hashed(key), "{key}");
        }
    }

    #[test]
    fn no_two_keys_that_are_taken_have_a_key_in_common_with_what_lies_beside_them() {
        let keys = [
            "a",
            "{a}",
            "{a}:",
            "a:",
            "a:c13",
            "a:c13:limit",
            "c13:limit:a",
            "x{a}",
            "{a}:c13:limits",
            "{a}{b}",
        ];
        let mut seen = std::collections::HashSet::new();
        for key in keys {
            let beside = Keys::beside("lock", key).unwrap();
            assert!(seen.insert(key.to_owned()), "{key}");
            assert!(seen.insert(beside.record().to_owned()), "beside {key}");
            for ending in ["limit", "processes", "queue", "shared"] {
                let named = beside.named(ending);
                assert!(ENDINGS.contains(&&*format!(":c13:{ending}")), "{ending}");
                assert!(Keys::beside("lock", &named).is_err(), "{named}");
                assert!(seen.insert(named), "{ending} beside {key}");
            }
            assert!(Keys::beside("lock", beside.record()).is_err(), "{}", beside.record());
        }
    }

    #[test]
    fn a_key_whose_braces_would_part_it_from_its_record_is_refused() {
        for key in ["a}", "{}", "{}a", "a}b{", "}"] {
            assert!(Keys::beside("lock", key).is_err(), "{key}");
        }
    }
}
