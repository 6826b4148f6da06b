//! How a terminal shows a character: over how many columns, and whether it may be shown at all.

/// Ranges of characters that are two columns wide: East Asian wide and full-width ones, and emoji (Unicode Standard Annex
/// 11; emoji by their default presentation). In order.
const WIDE: [(u32, u32); 38] = [
    (0x1100, 0x115F),
    (0x231A, 0x231B),
    (0x2329, 0x232A),
    (0x23E9, 0x23EC),
    (0x23F0, 0x23F0),
    (0x23F3, 0x23F3),
    (0x25FD, 0x25FE),
    (0x2614, 0x2615),
    (0x2648, 0x2653),
    (0x267F, 0x267F),
    (0x2693, 0x2693),
    (0x26A1, 0x26A1),
    (0x26AA, 0x26AB),
    (0x26BD, 0x26BE),
    (0x26C4, 0x26C5),
    (0x26CE, 0x26CE),
    (0x26D4, 0x26D4),
    (0x26EA, 0x26EA),
    (0x26F2, 0x26F3),
    (0x26F5, 0x26F5),
    (0x26FA, 0x26FA),
    (0x26FD, 0x26FD),
    (0x2705, 0x2705),
    (0x270A, 0x270B),
    (0x2728, 0x2728),
    (0x274C, 0x274C),
    (0x2753, 0x2757),
    (0x2795, 0x2797),
    (0x27B0, 0x27B0),
    (0x2B1B, 0x2B55),
    (0x2E80, 0x303E),
    (0x3041, 0xA4CF),
    (0xA960, 0xA97C),
    (0xAC00, 0xD7A3),
    (0xF900, 0xFAFF),
    (0xFE10, 0xFE6F),
    (0xFF01, 0xFF60),
    (0x1F300, 0x1FAFF),
];

/// Wide as well, far beyond the others.
const WIDE_PLANES: [(u32, u32); 3] = [(0xFFE0, 0xFFE6), (0x1_6FE0, 0x1_B2FF), (0x2_0000, 0x3_FFFD)];

/// Ranges of characters that take no column: they change the one before them. In order.
const NARROWEST: [(u32, u32); 6] = [
    (0x0300, 0x036F),
    (0x1AB0, 0x1AFF),
    (0x1DC0, 0x1DFF),
    (0x20D0, 0x20FF),
    (0xFE00, 0xFE0F),
    (0xFE20, 0xFE2F),
];

/// How many columns a character takes.
pub(crate) fn width(character: char) -> usize {
    let within = |ranges: &[(u32, u32)]| {
        let code = u32::from(character);
        ranges.iter().any(|(first, last)| (*first..=*last).contains(&code))
    };
    if character.is_ascii() {
        1
    } else if within(&NARROWEST) {
        0
    } else if within(&WIDE) || within(&WIDE_PLANES) {
        2
    } else {
        1
    }
}

/// Whether a character is not to reach a terminal: it would command it, or show text in another order than it stands in.
pub(crate) fn is_unprintable(character: char) -> bool {
    let invisible = matches!(
        character,
        '\u{61C}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}'
    );
    character.is_control() || invisible
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_take_the_columns_that_a_terminal_gives_them() {
        for (character, columns) in [
            ('a', 1),
            ('é', 1),
            ('ß', 1),
            ('…', 1),
            ('│', 1),
            ('日', 2),
            ('語', 2),
            ('ｱ', 1),
            ('Ａ', 2),
            ('한', 2),
            ('🚀', 2),
            ('⚡', 2),
            ('𠀀', 2),
            ('\u{301}', 0),
        ] {
            assert_eq!(width(character), columns, "{character}");
        }
    }

    #[test]
    fn what_could_fool_the_reader_is_not_printable() {
        for character in [
            '\u{1b}', '\u{7f}', '\u{9b}', '\u{202A}', '\u{202E}', '\u{2066}', '\u{2069}', '\u{200B}',
        ] {
            assert!(is_unprintable(character), "{character:?}");
        }
        assert!(!['a', 'é', '日', ' ', '🚀'].into_iter().any(is_unprintable));
    }
}
