//! Makes text from outside, such as the name of a lock's holder, safe to show on a terminal. Pure.

use std::borrow::Cow;

/// Text of several lines: control characters other than line breaks and tabs are written as escapes.
pub(crate) fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |character| {
        character.is_control() && !matches!(character, '\n' | '\t')
    })
}

/// Text within a line: all control characters are written as escapes.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    escaped(text, char::is_control)
}

fn escaped(text: &str, is_control: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_control) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match is_control(character) {
            true => shown.push_str(&format!("\\u{:04x}", u32::from(character))),
            false => shown.push(character),
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_a_terminal_is_written_as_an_escape() {
        for (text, of_lines, of_one) in [
            ("plain ü 🔒", "plain ü 🔒", "plain ü 🔒"),
            ("a\n\tb", "a\n\tb", "a\\u000a\\u0009b"),
            ("\u{1b}[2Jx\u{7}", "\\u001b[2Jx\\u0007", "\\u001b[2Jx\\u0007"),
            ("\u{9b}2J\u{7f}\r", "\\u009b2J\\u007f\\u000d", "\\u009b2J\\u007f\\u000d"),
        ] {
            assert_eq!((&*lines(text), &*one_line(text)), (of_lines, of_one));
        }
    }

    #[test]
    fn an_escape_in_json_means_the_same() {
        let text = serde_json::to_string("\u{9b}2J \u{7f}").expect("it is text");
        let read: String = serde_json::from_str(&lines(&text)).expect("it is JSON still");
        assert_eq!(read, "\u{9b}2J \u{7f}");
    }
}
