//! Durations as people write them: with their unit, and exactly.

use std::ops::Range;
use std::time::Duration;

use super::QuantityError;

/// The units of a duration, longest first, in nanoseconds.
pub(crate) const UNITS: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Reads a duration such as `1.5s`, `2m 30s`, `500ms` or `40us`.
///
/// Parts are a decimal number and a unit (`d`, `h`, `m`, `s`, `ms`, `us` or `µs`, `ns`) with nothing between them, longest
/// unit first, each unit once; a space may part them. The result is exact: what is finer than a nanosecond is refused, not
/// rounded, and so is what exceeds 2⁶⁴ − 1 ns (some 584 years), the end of the library's time.
///
/// ```
/// use c13_document::parse_duration;
/// use std::time::Duration;
///
/// assert_eq!(parse_duration("1.5s"), Ok(Duration::from_nanos(1_500_000_000)));
/// assert_eq!(parse_duration("2m 30s"), Ok(Duration::from_secs(150)));
/// assert_eq!(parse_duration("30").unwrap_err().to_string(), "a duration needs a unit: write \"30s\" or \"30ms\"");
/// ```
///
/// # Errors
///
/// Text that is not as above, with the part that is wrong.
pub fn parse_duration(text: &str) -> Result<Duration, QuantityError> {
    if text.trim().is_empty() {
        return Err(QuantityError::new("a duration cannot be empty", 0..text.len()).help("write, for example, \"30s\""));
    }
    let mut nanos: u64 = 0;
    let mut shortest = u64::MAX;
    let mut rest = text;
    while !rest.is_empty() {
        let start = text.len() - rest.len();
        let (number, after) = split_number(rest);
        let unit_length = after
            .find(|c: char| c == ' ' || c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_length);
        let range = start..text.len() - after.len();
        if number.is_empty() {
            return Err(no_number(rest, text, start));
        }
        let unit_range = start + number.len()..range.end;
        let unit_nanos = unit_nanos(number, unit, after, unit_range)?;
        if unit_nanos >= shortest {
            return Err(QuantityError::new(
                "the parts of a duration go from the longest unit to the shortest, each once",
                range,
            )
            .help("write, for example, \"2m 30s\""));
        }
        shortest = unit_nanos;
        nanos = nanos
            .checked_add(exact_nanos(number, unit_nanos, range.clone())?)
            .ok_or_else(|| too_long(range))?;
        rest = after.strip_prefix(' ').filter(|next| !next.is_empty()).unwrap_or(after);
    }
    Ok(Duration::from_nanos(nanos))
}

fn no_number(rest: &str, text: &str, start: usize) -> QuantityError {
    let first = start..start + rest.chars().next().map_or(0, char::len_utf8);
    match rest.chars().next() {
        Some('-') => QuantityError::new("a duration cannot be negative", first),
        Some('+') => QuantityError::new("a duration has no sign", first),
        Some(' ' | '\t') => QuantityError::new(
            "no more than one space may part a duration, and none goes around it",
            first,
        )
        .help("write, for example, \"2m 30s\""),
        _ => QuantityError::new(format!("`{text}` is no duration"), 0..text.len())
            .help("write a number and a unit, for example \"30s\", \"500ms\" or \"2m 30s\""),
    }
}

/// The length of a unit; `after` is what follows it, up to the end.
fn unit_nanos(number: &str, unit: &str, after: &str, range: Range<usize>) -> Result<u64, QuantityError> {
    let ascii = if matches!(unit, "µs" | "μs") { "us" } else { unit };
    if let Some((_, nanos)) = UNITS.iter().find(|(name, _)| *name == ascii) {
        return Ok(*nanos);
    }
    if !unit.is_empty() {
        let help = match as_we_write(number, unit) {
            Some(ours) => format!("write \"{ours}\""),
            None => "the units are d, h, m, s, ms, us and ns".to_owned(),
        };
        return Err(QuantityError::new(format!("`{unit}` is no unit of time"), range).help(help));
    }
    let number_start = range.start - number.len();
    let next = after.trim_start();
    let next = &next[..next.find(|c: char| !c.is_alphabetic()).unwrap_or(next.len())];
    if let Some(ours) = as_we_write(number, next).filter(|_| !next.is_empty()) {
        let parted = number_start..range.end + after.len() - after.trim_start().len() + next.len();
        return Err(
            QuantityError::new("nothing stands between a number and its unit", parted)
                .help(format!("write \"{ours}\"")),
        );
    }
    Err(QuantityError::new("a duration needs a unit", number_start..range.end)
        .help(format!("write \"{number}s\" or \"{number}ms\"")))
}

/// The duration as we write it, if others write it so: `5min`, `5 Minutes`.
///
/// `humantime` knows what others write. It does not read our durations, since it takes some that we refuse (`1s 1s`, a
/// month of 30.44 days), refuses some that we take (`0.0001h`, a fraction of twenty digits, `μs` with the Greek letter) and
/// does not say where a duration becomes too long.
fn as_we_write(number: &str, unit: &str) -> Option<String> {
    let text = format!("{number}{unit}").to_ascii_lowercase();
    let ours = duration_text(humantime::parse_duration(&text).ok()?);
    parse_duration(&ours).is_ok().then_some(ours)
}

fn exact_nanos(number: &str, unit_nanos: u64, range: Range<usize>) -> Result<u64, QuantityError> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let fraction = fraction.trim_end_matches('0');
    let too_fine = || QuantityError::new("a duration cannot be finer than a nanosecond", range.clone());
    // 18 digits keep every product below within 128 bits. More are finer than a nanosecond whatever the unit: a day, the
    // longest, is 2^16 × 3^3 × 5^11 ns, so a fraction of it that comes out whole has 16 digits at most.
    let digits = u32::try_from(fraction.len())
        .ok()
        .filter(|digits| *digits <= 18)
        .ok_or_else(too_fine)?;
    let whole = if whole.is_empty() {
        Some(0)
    } else {
        whole.parse::<u64>().ok()
    };
    let whole = whole
        .and_then(|whole| whole.checked_mul(unit_nanos))
        .ok_or_else(|| too_long(range.clone()))?;
    let scale = 10_u128.pow(digits);
    let scaled = fraction
        .bytes()
        .fold(0_u128, |sum, digit| sum * 10 + u128::from(digit - b'0'))
        * u128::from(unit_nanos);
    if scaled % scale != 0 {
        return Err(too_fine());
    }
    // A fraction is below one unit, which fits.
    let part = u64::try_from(scaled / scale).map_err(|_| too_long(range.clone()))?;
    whole.checked_add(part).ok_or_else(|| too_long(range))
}

fn too_long(range: Range<usize>) -> QuantityError {
    QuantityError::new("a duration ends at 584 years", range)
}

/// The decimal number that a text begins with (digits, then perhaps a point and digits), and what follows it.
pub(crate) fn split_number(text: &str) -> (&str, &str) {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(text);
    if whole == 0 {
        return text.split_at(0);
    }
    let fraction = match text[whole..].strip_prefix('.') {
        Some(after) if digits(after) > 0 => 1 + digits(after),
        _ => 0,
    };
    text.split_at(whole + fraction)
}

/// The shortest text that [`parse_duration`] reads as this duration.
///
/// ```
/// use c13_document::duration_text;
/// use std::time::Duration;
///
/// assert_eq!(duration_text(Duration::from_secs(150)), "2m 30s");
/// assert_eq!(duration_text(Duration::from_micros(1_500)), "1.5ms");
/// ```
#[must_use]
pub fn duration_text(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos < 1_000_000_000 {
        let (unit, size) = match nanos {
            0 => return "0s".to_owned(),
            1..1_000 => ("ns", 1),
            1_000..1_000_000 => ("us", 1_000),
            _ => ("ms", 1_000_000),
        };
        return decimal(nanos, size) + unit;
    }
    let mut parts = Vec::new();
    let mut rest = nanos;
    for (unit, size) in &UNITS[..3] {
        let size = u128::from(*size);
        if rest >= size {
            parts.push(format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    if rest > 0 {
        parts.push(decimal(rest, 1_000_000_000) + "s");
    }
    parts.join(" ")
}

fn decimal(nanos: u128, size: u128) -> String {
    let (whole, mut rest) = (nanos / size, nanos % size);
    let mut text = whole.to_string();
    if rest > 0 {
        text.push('.');
        let mut place = size;
        while rest > 0 {
            place /= 10;
            text.push(char::from(b'0' + u8::try_from(rest / place).unwrap_or(0)));
            rest %= place;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_exact() {
        for (text, nanos) in [
            ("0s", 0),
            ("1ns", 1),
            ("40us", 40_000),
            ("40µs", 40_000),
            ("40μs", 40_000),
            ("500ms", 500_000_000),
            ("1.5s", 1_500_000_000),
            ("0.1s", 100_000_000),
            ("1.000000001s", 1_000_000_001),
            ("0.000001ms", 1),
            ("1.50000000000000000000000000s", 1_500_000_000),
            ("2m 30s", 150_000_000_000),
            ("2m30s", 150_000_000_000),
            ("1d 2h 3m 4s 5ms 6us 7ns", 93_784_005_006_007),
            ("0.5d", 43_200_000_000_000),
            ("18446744073.709551615s", u64::MAX),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    #[rustfmt::skip] // one case a line
    fn what_is_no_duration_is_refused_with_its_rule_and_place() {
        for (text, rule, wrong, help) in [
            ("", "a duration cannot be empty", "", "write, for example, \"30s\""),
            (" ", "a duration cannot be empty", " ", "write, for example, \"30s\""),
            ("30", "a duration needs a unit", "30", "write \"30s\" or \"30ms\""),
            ("1.5", "a duration needs a unit", "1.5", "write \"1.5s\" or \"1.5ms\""),
            ("2m 30", "a duration needs a unit", "30", "write \"30s\" or \"30ms\""),
            ("30 s", "nothing stands between a number and its unit", "30 s", "write \"30s\""),
            ("2m 5 seconds", "nothing stands between a number and its unit", "5 seconds", "write \"5s\""),
            ("5 parsecs", "a duration needs a unit", "5", "write \"5s\" or \"5ms\""),
            ("-5s", "a duration cannot be negative", "-", ""),
            ("+5s", "a duration has no sign", "+", ""),
            ("5sec", "`sec` is no unit of time", "sec", "write \"5s\""),
            ("5min", "`min` is no unit of time", "min", "write \"5m\""),
            ("5M", "`M` is no unit of time", "M", "write \"5m\""),
            ("5MS", "`MS` is no unit of time", "MS", "write \"5ms\""),
            ("5Sec", "`Sec` is no unit of time", "Sec", "write \"5s\""),
            ("2m 5y", "`y` is no unit of time", "y", "write \"1826d 6h\""),
            ("90sec", "`sec` is no unit of time", "sec", "write \"1m 30s\""),
            ("2 Weeks", "nothing stands between a number and its unit", "2 Weeks", "write \"14d\""),
            ("1000y", "`y` is no unit of time", "y", "the units are d, h, m, s, ms, us and ns"),
            ("2q", "`q` is no unit of time", "q", "the units are d, h, m, s, ms, us and ns"),
            ("1.s", "`.s` is no unit of time", ".s", "the units are d, h, m, s, ms, us and ns"),
            ("1e3s", "`e` is no unit of time", "e", "the units are d, h, m, s, ms, us and ns"),
            (".5s", "`.5s` is no duration", ".5s", "write a number and a unit, for example \"30s\", \"500ms\" or \"2m 30s\""),
            ("NaN", "`NaN` is no duration", "NaN", "write a number and a unit, for example \"30s\", \"500ms\" or \"2m 30s\""),
            ("inf", "`inf` is no duration", "inf", "write a number and a unit, for example \"30s\", \"500ms\" or \"2m 30s\""),
            ("soon", "`soon` is no duration", "soon", "write a number and a unit, for example \"30s\", \"500ms\" or \"2m 30s\""),
            ("2m  30s", "no more than one space may part a duration, and none goes around it", " ", "write, for example, \"2m 30s\""),
            (" 2m", "no more than one space may part a duration, and none goes around it", " ", "write, for example, \"2m 30s\""),
            ("2m ", "no more than one space may part a duration, and none goes around it", " ", "write, for example, \"2m 30s\""),
            ("30s 2m", "the parts of a duration go from the longest unit to the shortest, each once", "2m", "write, for example, \"2m 30s\""),
            ("1s 1s", "the parts of a duration go from the longest unit to the shortest, each once", "1s", "write, for example, \"2m 30s\""),
            ("0.5ns", "a duration cannot be finer than a nanosecond", "0.5ns", ""),
            ("0.0000000001s", "a duration cannot be finer than a nanosecond", "0.0000000001s", ""),
            ("0.3333333333333333333d", "a duration cannot be finer than a nanosecond", "0.3333333333333333333d", ""),
            ("600000d", "a duration ends at 584 years", "600000d", ""),
            ("18446744073.709551616s", "a duration ends at 584 years", "18446744073.709551616s", ""),
            ("99999999999999999999999s", "a duration ends at 584 years", "99999999999999999999999s", ""),
            ("213503d 24h", "a duration ends at 584 years", "24h", ""),
        ] {
            let error = parse_duration(text).expect_err(text);
            assert_eq!(
                (
                    error.rule.as_str(),
                    &text[error.range.clone()],
                    error.help.as_deref().unwrap_or("")
                ),
                (rule, wrong, help),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_duration_s_text_reads_back_as_itself() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5us"),
            (999_999_999, "999.999999ms"),
            (1_000_000_000, "1s"),
            (1_000_000_001, "1.000000001s"),
            (150_000_000_000, "2m 30s"),
            (3_600_500_000_000, "1h 0.5s"),
            (86_400_000_000_000, "1d"),
            (u64::MAX, "213503d 23h 34m 33.709551615s"),
        ] {
            assert_eq!(duration_text(Duration::from_nanos(nanos)), text);
        }
        let mut nanos: u64 = 1;
        for step in 0..10_000_u64 {
            nanos = nanos.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(step);
            let duration = Duration::from_nanos(nanos >> (step % 60));
            assert_eq!(parse_duration(&duration_text(duration)), Ok(duration));
        }
    }
}
