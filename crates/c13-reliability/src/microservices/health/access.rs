//! The token that a client must show to read the messages of a report.

use crate::error::{ConfigError, ConfigValue};
use std::sync::OnceLock;
use subtle::ConstantTimeEq;

/// The fewest bytes of a token. A shorter one can be guessed.
const SHORTEST_TOKEN: usize = 16;

/// The token for the messages. Without one, nobody can read them.
#[derive(Default)]
pub(super) struct Access {
    token: OnceLock<Box<[u8]>>,
}

impl Access {
    pub(super) fn set(&self, token: &str) -> Result<(), ConfigError> {
        const PART: &str = "health service";
        if token.len() < SHORTEST_TOKEN {
            let value = ConfigValue::Count(token.len() as u64);
            return Err(ConfigError::new(PART, "token length", value, "must be at least 16"));
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let value = ConfigValue::Text("[hidden]");
            return Err(ConfigError::new(
                PART,
                "token",
                value,
                "must have only visible ASCII characters",
            ));
        }
        self.token.set(token.as_bytes().into()).map_err(|_| {
            let value = ConfigValue::Text("[hidden]");
            ConfigError::new(PART, "token", value, "must be set only once")
        })
    }

    /// Whether this value of an `Authorization` header shows the token.
    pub(super) fn allows(&self, authorization: Option<&str>) -> bool {
        let Some(token) = self.token.get() else {
            return false;
        };
        let shown = authorization.and_then(|value| {
            let (scheme, shown) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| shown.trim())
        });
        // The time that it takes shows whether the length is right, and nothing of the contents.
        shown.is_some_and(|shown| shown.as_bytes().ct_eq(token).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "correct-horse-battery";

    #[test]
    fn without_a_token_nobody_is_authorised() {
        assert!(!Access::default().allows(Some("Bearer ")));
        assert!(!Access::default().allows(None));
    }

    #[test]
    fn only_the_whole_token_opens() {
        let access = Access::default();
        access.set(TOKEN).unwrap();
        for (header, allowed) in [
            ("Bearer correct-horse-battery", true),
            ("bearer  correct-horse-battery ", true),
            ("Bearer correct-horse-batterz", false),
            ("Bearer correct-horse-batter", false),
            ("Bearer correct-horse-batterycorrect-horse-battery", false),
            ("Basic correct-horse-battery", false),
            ("correct-horse-battery", false),
            ("Bearer ", false),
        ] {
            assert_eq!(access.allows(Some(header)), allowed, "{header}");
        }
        assert!(!access.allows(None));
    }

    #[test]
    fn a_token_that_can_be_guessed_or_never_sent_is_refused_and_never_shown() {
        let access = Access::default();
        let short = access.set("hunter2").unwrap_err().to_string();
        assert_eq!(short, "health service: `token length` is 7, but it must be at least 16");
        let odd = access.set("correct horse battery").unwrap_err().to_string();
        assert!(odd.contains("visible ASCII") && !odd.contains("horse"), "{odd}");
        access.set(TOKEN).unwrap();
        assert!(access.set(TOKEN).unwrap_err().to_string().contains("only once"));
    }
}
