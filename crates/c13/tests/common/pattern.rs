//! Regular expressions as the patterns of our schema use them: sets, groups, choices, `?`, `*`, `+`, `{m,n}`, `^` and `$`.

use std::iter::Peekable;
use std::str::Chars;

/// Whether a text fits a pattern, which is bound to the text's start.
pub(crate) fn fits(pattern: &str, text: &str) -> bool {
    let inner = pattern
        .strip_prefix('^')
        .expect("our patterns begin where the text does");
    let mut left = inner.chars().peekable();
    let choices = choices(&mut left);
    assert_eq!(left.next(), None, "{pattern} closes a group that it does not open");
    let text: Vec<char> = text.chars().collect();
    choices.iter().any(|pieces| all_fit(pieces, &text, &|_| true))
}

/// What is to come so often.
struct Piece {
    atom: Atom,
    least: usize,
    most: usize,
}

enum Atom {
    /// One character, from one of these ranges or, where the first says so, from none.
    Set(bool, Vec<(char, char)>),
    Group(Vec<Vec<Piece>>),
    End,
}

type Left<'a> = Peekable<Chars<'a>>;

fn choices(left: &mut Left<'_>) -> Vec<Vec<Piece>> {
    let mut found = vec![Vec::new()];
    while let Some(&next) = left.peek() {
        if next == ')' {
            break;
        }
        left.next();
        let atom = match next {
            '|' => {
                found.push(Vec::new());
                continue;
            }
            '(' => {
                let group = choices(left);
                assert_eq!(left.next(), Some(')'), "a group does not end");
                Atom::Group(group)
            }
            '[' => set(left),
            '$' => Atom::End,
            '\\' => one(left.next().expect("something is escaped")),
            '.' | '^' | '?' | '*' | '+' | '{' => panic!("{next:?} is not known in this place"),
            other => one(other),
        };
        let (least, most) = times(left);
        let pieces = found.last_mut().expect("it has one from the start");
        pieces.push(Piece { atom, least, most });
    }
    found
}

fn one(character: char) -> Atom {
    Atom::Set(false, vec![(character, character)])
}

fn set(left: &mut Left<'_>) -> Atom {
    let negated = left.next_if_eq(&'^').is_some();
    let mut ranges: Vec<(char, char)> = Vec::new();
    loop {
        match left.next().expect("a set ends") {
            ']' => return Atom::Set(negated, ranges),
            '-' if !ranges.is_empty() && left.peek() != Some(&']') => {
                let last = ranges.last_mut().expect("it was looked at");
                last.1 = left.next().expect("a range ends");
            }
            character => ranges.push((character, character)),
        }
    }
}

fn times(left: &mut Left<'_>) -> (usize, usize) {
    let Some(sign) = left.next_if(|next| "?*+{".contains(*next)) else {
        return (1, 1);
    };
    match sign {
        '?' => (0, 1),
        '*' => (0, usize::MAX),
        '+' => (1, usize::MAX),
        _ => {
            let bounds: String = left.take_while(|next| *next != '}').collect();
            let (least, most) = bounds.split_once(',').expect("both bounds are there");
            let number = |text: &str| text.parse().expect("a bound is a number");
            (number(least), number(most))
        }
    }
}

/// Whether the pieces fit, one after another, and then the rest.
fn all_fit(pieces: &[Piece], text: &[char], rest: &dyn Fn(&[char]) -> bool) -> bool {
    match pieces {
        [] => rest(text),
        [piece, after @ ..] => repeats(&piece.atom, piece.least, piece.most, text, &|text| {
            all_fit(after, text, rest)
        }),
    }
}

fn repeats(atom: &Atom, least: usize, most: usize, text: &[char], rest: &dyn Fn(&[char]) -> bool) -> bool {
    let again = |after: &[char]| {
        let goes_on = least > 0 || after.len() < text.len();
        goes_on && repeats(atom, least.saturating_sub(1), most - 1, after, rest)
    };
    (most > 0 && once(atom, text, &again)) || (least == 0 && rest(text))
}

fn once(atom: &Atom, text: &[char], rest: &dyn Fn(&[char]) -> bool) -> bool {
    match (atom, text) {
        (Atom::End, _) => text.is_empty() && rest(text),
        (Atom::Group(choices), _) => choices.iter().any(|pieces| all_fit(pieces, text, rest)),
        (Atom::Set(negated, ranges), [first, after @ ..]) => {
            let within = ranges.iter().any(|(least, most)| (least..=most).contains(&first));
            within != *negated && rest(after)
        }
        (Atom::Set(..), []) => false,
    }
}
