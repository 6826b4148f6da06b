//! Removes addresses and secrets from texts of other programs, and shortens them, in linear time.
//!
//! Our own checkers name the kind of an error and never show the text of another program. The message of a user's
//! checker is shown to authorised clients and is cleaned here. No list of secrets is complete, so in doubt too much is
//! hidden rather than too little: after the name of a secret nothing is shown, because only the program that wrote the
//! text knows where the value ends.

/// How many characters of a text are kept.
pub(super) const LONGEST_MESSAGE: usize = 200;

/// How many bytes of a text are read: enough to fill a message after parts were hidden.
const LONGEST_LOOK: usize = 1_024;

/// From so many characters on, a word of letters and digits without a break is taken for a key.
const LONGEST_WORD: usize = 20;

const HIDDEN: &str = "[hidden]";

/// What the name of a secret contains. Compared without regard to case, and without `-`, `_` and `.`.
const SECRETS: &[&str] = &[
    "apikey",
    "authoriz",
    "bearer",
    "connectionstring",
    "cookie",
    "credential",
    "jwt",
    "passcode",
    "passphrase",
    "passw",
    "private",
    "pwd",
    "secret",
    "session",
    "signature",
    "token",
];

/// What the name of a secret ends with, where the word alone says too little.
const SECRET_ENDINGS: &[&str] = &["auth", "dsn", "key", "keyid", "pass", "pin", "pw", "sid", "sig"];

/// Words after which the credentials of HTTP stand, without a separator.
const SCHEMES: &[&str] = &["basic", "bearer", "digest", "hawk", "negotiate", "ntlm"];

/// The start of `text`, on one line, without addresses, credentials and secrets, and at most [`LONGEST_MESSAGE`]
/// characters long.
///
/// Of an address (`scheme://…`) only the scheme stays. From the name of a secret on (`password=…`, `api-key: …`), and
/// after the word that introduces credentials (`Bearer …`), nothing stays. Words with an `@` and long keys are hidden.
#[must_use]
pub(super) fn redact(text: &str) -> String {
    let (text, cut) = start(text);
    let text: String = text.chars().filter(|c| !is_invisible(*c)).collect();
    let mut shown = Line::default();
    let mut words = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .peekable();
    let mut before = Word::Plain;
    while let Some(word) = words.next() {
        // A word that was cut may have been the first half of a secret.
        if cut && words.peek().is_none() {
            shown.cut = true;
            break;
        }
        if before == Word::Scheme || before == Word::Name && starts_a_value(word) {
            shown.word("", HIDDEN);
            break;
        }
        before = match look_at(word) {
            Found::Secret(end) => {
                shown.word(&word[..end], HIDDEN);
                break;
            }
            Found::Address(end) => {
                shown.word(&word[..end], HIDDEN);
                Word::Plain
            }
            Found::Private => {
                shown.word("", HIDDEN);
                Word::Plain
            }
            Found::Shown(kind) => {
                shown.word(word, "");
                kind
            }
        };
    }
    shown.finish()
}

/// The first [`LONGEST_LOOK`] bytes, and whether there were more.
fn start(text: &str) -> (&str, bool) {
    if text.len() <= LONGEST_LOOK {
        return (text, false);
    }
    let end = (0..=LONGEST_LOOK).rev().find(|end| text.is_char_boundary(*end));
    (&text[..end.unwrap_or(0)], true)
}

/// Invisible characters, which may stand inside a name or change the direction of the text.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
}

/// What a shown word means for the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Plain,
    /// The name of a secret, without a separator.
    Name,
    /// Credentials follow.
    Scheme,
}

/// What was found in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Shown(Word),
    /// The name of a secret and its separator end here.
    Secret(usize),
    /// The scheme of an address ends here.
    Address(usize),
    Private,
}

fn look_at(word: &str) -> Found {
    if word.contains("-----BEGIN") {
        return Found::Secret(0);
    }
    let address = word.find("://").map(|at| at + "://".len());
    // Each separator ends one name, so every character is read once.
    let mut from = 0;
    for (at, separator) in word.match_indices(['=', ':']) {
        if address.is_some_and(|address| at >= address - "://".len()) {
            break;
        }
        if names_a_secret(&word[from..at]) {
            return Found::Secret(at + separator.len());
        }
        from = at + separator.len();
    }
    let before = &word[..address.unwrap_or(word.len())];
    if before.contains('@') || has_a_key(before) {
        return Found::Private;
    }
    if let Some(end) = address {
        return Found::Address(end);
    }
    let name = letters(word);
    Found::Shown(if SCHEMES.contains(&name.as_str()) {
        Word::Scheme
    } else if names_a_secret(word) && word.starts_with('-') {
        // An option of a command line: its value is the next word.
        Word::Scheme
    } else if names_a_secret(word) {
        Word::Name
    } else {
        Word::Plain
    })
}

/// Whether a word after a secret's name is its value or the separator before it.
fn starts_a_value(word: &str) -> bool {
    word.starts_with(['=', ':', '"', '\'', '`', '<', '('])
}

fn letters(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

/// Whether the text up to a separator ends in the name of a secret.
fn names_a_secret(text: &str) -> bool {
    let text = text.trim_end_matches(|c: char| !c.is_alphanumeric());
    let is_inside = |c: char| c.is_alphanumeric() || ['_', '-', '.'].contains(&c);
    let name = text.rsplit(|c: char| !is_inside(c)).next().unwrap_or(text);
    let name = letters(name);
    SECRETS.iter().any(|secret| name.contains(secret)) || SECRET_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// Whether a word has a part that looks made, not written: long, of letters and digits.
fn has_a_key(word: &str) -> bool {
    word.split(|c: char| !(c.is_ascii_alphanumeric() || ['+', '/', '_', '-', '='].contains(&c)))
        .any(|part| {
            part.len() >= LONGEST_WORD
                && part.bytes().any(|b| b.is_ascii_digit())
                && part.bytes().any(|b| b.is_ascii_alphabetic())
        })
}

/// The message as it grows.
#[derive(Default)]
struct Line {
    text: String,
    cut: bool,
}

impl Line {
    fn word(&mut self, shown: &str, hidden: &str) {
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        self.text.push_str(shown);
        self.text.push_str(hidden);
    }

    fn finish(self) -> String {
        let mut end = self.text.char_indices().map(|(at, _)| at).skip(LONGEST_MESSAGE - 1);
        let last = end.next();
        if self.cut || end.next().is_some() {
            format!("{}…", &self.text[..last.unwrap_or(self.text.len())])
        } else {
            self.text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_secrets_are_hidden() {
        for (text, shown) in [
            ("connection refused", "connection refused"),
            (
                "3 of 5 checks passed: late by 12 ms",
                "3 of 5 checks passed: late by 12 ms",
            ),
            (
                "cannot reach postgres://app:s3cret@db:5432/orders: refused",
                "cannot reach postgres://[hidden] refused",
            ),
            (
                "bad url `redis://:s3cret@cache/0` given",
                "bad url `redis://[hidden] given",
            ),
            ("url=redis://:s3cret@cache/0", "url=redis://[hidden]"),
            ("host=db password=s3cret user=app", "host=db password=[hidden]"),
            ("password=hun,ter6", "password=[hidden]"),
            ("password=hun ter6", "password=[hidden]"),
            ("host=db;Pwd=hun;ter6;", "host=db;Pwd=[hidden]"),
            ("PGPASSWORD='s3 cret' is wrong", "PGPASSWORD=[hidden]"),
            ("db_password = 's3 cret' is wrong", "db_password [hidden]"),
            ("password : s3cret", "password [hidden]"),
            ("IDENTIFIED BY PASSWORD 's3cret'", "IDENTIFIED BY PASSWORD [hidden]"),
            ("mysql --password s3cret -h db", "mysql --password [hidden]"),
            (r#"{"password": "s3cret", "user": 1}"#, r#"{"password":[hidden]"#),
            (r#"{"user":1,"api-key":"s3cret"}"#, r#"{"user":1,"api-key":[hidden]"#),
            ("Authorization: Bearer s3cret", "Authorization:[hidden]"),
            (
                r#"Authorization: Digest username="app", response="s3cret""#,
                "Authorization:[hidden]",
            ),
            ("sent Digest s3cret, refused", "sent Digest [hidden]"),
            ("Proxy-Authorization=Basic s3cret", "Proxy-Authorization=[hidden]"),
            ("AWS_SECRET_ACCESS_KEY=s3/cret", "AWS_SECRET_ACCESS_KEY=[hidden]"),
            ("AWS_ACCESS_KEY_ID=s3cret", "AWS_ACCESS_KEY_ID=[hidden]"),
            ("Set-Cookie: id=s3cret", "Set-Cookie:[hidden]"),
            ("GET /x?a=1&sig=s3cret", "GET /x?a=1&sig=[hidden]"),
            ("cannot log in as app:s3cret@db", "cannot log in as [hidden]"),
            ("login app/s3cret@db:1521 failed", "login [hidden] failed"),
            ("a://s3cret@b c://s3cret@d", "a://[hidden] c://[hidden]"),
            ("got eyJhbGciOiJIUzI1NiJ9s3cret back", "got [hidden] back"),
            ("-----BEGIN PRIVATE KEY----- s3cret", "[hidden]"),
            ("pass\u{202E}word=s3cret", "password=[hidden]"),
            ("app:s3cret@db://x", "[hidden]"),
            (
                "code 28P01: password authentication failed",
                "code 28P01: password authentication failed",
            ),
            ("two\nlines\there\u{1b}[31m", "two lines here [31m"),
            ("", ""),
        ] {
            assert_eq!(redact(text), shown, "{text}");
        }
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let word = "ü".repeat(150);
        let shown = redact(&format!("{word} {word} {word} {word} {word}"));
        assert_eq!(shown.chars().count(), LONGEST_MESSAGE);
        assert!(shown.ends_with("ü…"));
        assert_eq!(redact(&"ü".repeat(200)), "ü".repeat(200));
        assert_eq!(redact(&"ü".repeat(201)), format!("{}…", "ü".repeat(199)));
        assert_eq!(redact(&"ü".repeat(1_000)), "…", "what follows might have been `@host`");
        let long = format!("app:{}@db", "s3cret".repeat(1_000));
        assert_eq!(redact(&long), "…");
    }

    /// A text of a megabyte that a stranger could send takes no longer than one of a kilobyte.
    #[test]
    fn only_the_start_of_a_text_is_looked_at() {
        for part in [
            "=",
            ":",
            "a=",
            "password",
            "://",
            "\"",
            "@",
            " ",
            "password ",
            "-",
            "ü:",
        ] {
            let text = part.repeat(LONGEST_LOOK * 1_024);
            let (looked_at, cut) = start(&text);
            assert!(cut && looked_at.len() <= LONGEST_LOOK, "{part:?}");
            assert!(redact(&text).chars().count() <= LONGEST_MESSAGE, "{part:?}");
        }
    }

    /// Whatever stands around a secret, no part of it shows: 20,000 texts of random parts, each with one secret in a
    /// form that programs really write.
    #[test]
    fn no_text_of_random_parts_shows_the_secret_in_it() {
        use crate::sync::Random;
        const FORMS: &[&str] = &[
            "password=S3CRET",
            "password='S3CRET'",
            "PASSWORD: S3CRET",
            "pwd=x,S3CRET",
            "token = S3CRET",
            "Authorization: Digest a=\"S3CRET\"",
            "Bearer S3CRET",
            "app:S3CRET@db",
            "pg://app:S3CRET@db/x",
            "AWS_SECRET_ACCESS_KEY=S3CRET",
            "\"client_secret\":\"S3CRET\"",
            "x-api-key:S3CRET",
            "--token S3CRET",
            "secret 'S3CRET'",
            "pass=x S3CRET",
        ];
        const AROUND: &[&str] = &[
            " ", "=", ":", ",", ";", "\"", "'", "://", "@", "ü", "\n", "\t", "x", "error", "host=db", "(", "{", "-",
        ];
        let seed = 37;
        let random = Random::new(seed);
        for round in 0..20_000 {
            let around = || -> String {
                let parts = random.below(6);
                (0..parts)
                    .map(|_| AROUND[random.below(AROUND.len() as u64) as usize])
                    .collect()
            };
            let (before, after) = (around(), around());
            let form = FORMS[random.below(FORMS.len() as u64) as usize];
            let text = format!("{before} {form}{after}");
            let shown = redact(&text);
            assert!(
                !shown.contains("S3CRET"),
                "seed {seed}, round {round}: {text:?} shows {shown:?}"
            );
        }
    }
}
