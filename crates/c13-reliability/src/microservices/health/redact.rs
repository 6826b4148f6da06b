//! Error texts without what must not be shown: addresses with credentials, passwords, and more than anybody reads.

/// How many characters of an error text are kept.
pub(super) const LONGEST_MESSAGE: usize = 200;

const HIDDEN: &str = "[hidden]";

/// Words before an `=` or a `:` whose value is nobody's business. Compared without regard to case.
const SECRETS: &[&str] = &[
    "password",
    "passwd",
    "pwd",
    "pass",
    "secret",
    "token",
    "api_key",
    "apikey",
    "authorization",
];

/// `text` without connection strings and secrets, on one line, and at most [`LONGEST_MESSAGE`] characters long.
///
/// Of an address (`scheme://…`) only the scheme stays; of `password=…` and its like only the name.
#[must_use]
pub(super) fn redact(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((at, kind)) = next_secret(rest) {
        out.push_str(&rest[..at]);
        out.push_str(HIDDEN);
        rest = &rest[at..];
        let end = secret_end(rest, kind);
        rest = &rest[end..];
    }
    out.push_str(rest);
    let mut short: String = out
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(LONGEST_MESSAGE + 1)
        .collect();
    if short.chars().count() > LONGEST_MESSAGE {
        short = short.chars().take(LONGEST_MESSAGE - 1).collect();
        short.push('…');
    }
    short
}

#[derive(Clone, Copy)]
enum Kind {
    Address,
    Value,
}

/// Where the next hidden part starts.
fn next_secret(text: &str) -> Option<(usize, Kind)> {
    let address = text.find("://").map(|at| (at + "://".len(), Kind::Address));
    let value = text
        .char_indices()
        .filter(|(_, c)| ['=', ':'].contains(c))
        .filter(|(at, _)| !text[*at..].starts_with("://"))
        .find(|(at, _)| names_a_secret(&text[..*at]))
        .map(|(at, _)| (at + 1, Kind::Value));
    match (address, value) {
        (Some(address), Some(value)) => Some(if address.0 < value.0 { address } else { value }),
        (address, value) => address.or(value),
    }
}

fn names_a_secret(before: &str) -> bool {
    let before = before.trim_end().trim_end_matches(['"', '\'']);
    let start = before
        .rfind(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-'))
        .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
    let word = before[start..].to_lowercase().replace('-', "_");
    SECRETS.iter().any(|secret| word.ends_with(secret))
}

/// How long the hidden part at the start of `text` is.
fn secret_end(text: &str, kind: Kind) -> usize {
    let spaces = text.len() - text.trim_start().len();
    let inner = &text[spaces..];
    let quote = inner.chars().next().filter(|c| ['"', '\''].contains(c));
    match (kind, quote) {
        (Kind::Value, Some(quote)) => inner[1..].find(quote).map_or(text.len(), |at| spaces + at + 2),
        // A bearer's token follows its scheme after a space; what else stands on the line goes with it.
        (Kind::Value, None)
            if inner.to_lowercase().starts_with("bearer") || inner.to_lowercase().starts_with("basic") =>
        {
            text.len()
        }
        (Kind::Value, None) => inner
            .find(|c: char| c.is_whitespace() || [',', ';', '&', '}', ')'].contains(&c))
            .map_or(text.len(), |at| spaces + at),
        (Kind::Address, _) => text
            .find(|c: char| c.is_whitespace() || ['"', '\'', '`', '>', ')'].contains(&c))
            .unwrap_or(text.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_strings_and_passwords_are_hidden() {
        for (text, shown) in [
            ("connection refused", "connection refused"),
            (
                "cannot reach postgres://app:s3cret@db:5432/orders: refused",
                "cannot reach postgres://[hidden] refused",
            ),
            (
                "bad url `redis://:s3cret@cache/0` given",
                "bad url `redis://[hidden]` given",
            ),
            ("host=db password=s3cret user=app", "host=db password=[hidden] user=app"),
            ("PGPASSWORD='s3 cret' is wrong", "PGPASSWORD=[hidden] is wrong"),
            ("db_password = 's3 cret' is wrong", "db_password =[hidden] is wrong"),
            (
                r#"{"password": "s3cret", "user": 1}"#,
                r#"{"password":[hidden], "user": 1}"#,
            ),
            ("Authorization: Bearer s3cret", "Authorization:[hidden]"),
            ("a://s3cret@b c://s3cret@d", "a://[hidden] c://[hidden]"),
            (
                "code 28P01: password authentication failed",
                "code 28P01: password authentication failed",
            ),
            ("two\nlines\there", "two lines here"),
            ("", ""),
        ] {
            assert_eq!(redact(text), shown, "{text}");
        }
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let shown = redact(&"ü".repeat(1_000));
        assert_eq!(shown.chars().count(), LONGEST_MESSAGE);
        assert!(shown.ends_with("ü…"));
        assert_eq!(redact(&"ü".repeat(200)), "ü".repeat(200));
    }

    #[test]
    fn an_open_quote_hides_the_rest() {
        assert_eq!(redact("password='s3cret and more"), "password=[hidden]");
    }
}
