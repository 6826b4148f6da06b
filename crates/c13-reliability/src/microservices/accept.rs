//! The `Accept` header: how much a client wants each media type (RFC 9110, 12.5.1).

/// The weight of a media type in thousandths: the highest if the header names it more than once, 0 if it does not.
#[must_use]
pub(crate) fn weight(accept: &str, media: &str) -> u16 {
    ranges(accept)
        .filter(|(range, _)| range.eq_ignore_ascii_case(media))
        .map(|(_, weight)| weight)
        .max()
        .unwrap_or(0)
}

/// Like [`weight`], for a type that a pattern may match as well: `type/*`, or else `*/*`.
#[must_use]
pub(crate) fn weight_or_pattern(accept: &str, media: &str) -> u16 {
    let kind = media.split('/').next().unwrap_or(media);
    [media, &format!("{kind}/*"), "*/*"]
        .into_iter()
        .find(|range| ranges(accept).any(|(named, _)| named.eq_ignore_ascii_case(range)))
        .map_or(0, |range| weight(accept, range))
}

/// The media ranges with their weights. A range whose weight is malformed counts as not wanted.
fn ranges(accept: &str) -> impl Iterator<Item = (&str, u16)> {
    parts(accept, b',').map(|range| {
        let mut parameters = parts(range, b';');
        let media = parameters.next().unwrap_or_default();
        let weight = parameters
            .filter_map(|parameter| parameter.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
            .map_or(1_000, |(_, value)| quality(value.trim()).unwrap_or(0));
        (media, weight)
    })
}

/// The parts of a text between separators that stand outside of quotes, without the spaces around them.
fn parts(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (mut quoted, mut escaped) = (false, false);
        let end = text.bytes().position(|byte| {
            let ends = byte == separator && !quoted;
            quoted ^= byte == b'"' && !escaped;
            escaped = quoted && byte == b'\\' && !escaped;
            ends
        });
        rest = end.map(|end| &text[end + 1..]);
        Some(text[..end.unwrap_or(text.len())].trim_matches([' ', '\t']))
    })
}

/// A weight in thousandths: from 0 to 1, with at most three digits after the point.
fn quality(value: &str) -> Option<u16> {
    let (whole, fraction) = match value.split_once('.') {
        Some((whole, fraction)) => (whole, fraction),
        None => (value, ""),
    };
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths = format!("{fraction:0<3}").parse::<u16>().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1_000),
        _ => None,
    }
}

#[cfg(all(test, not(c13_loom)))]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_read_as_the_standard_writes_it() {
        for (accept, wanted) in [
            ("a/b", 1_000),
            ("A/B", 1_000),
            ("c/d, a/b", 1_000),
            ("", 0),
            ("*/*", 0),
            ("a/bc", 0),
            ("a/b;q=0", 0),
            ("a/b;Q=0", 0),
            ("a/b; q=0.000", 0),
            ("a/b ;\tQ=0.", 0),
            ("a/b;q=0.5", 500),
            ("a/b;version=1.0.0;q=0.25", 250),
            ("a/b;q=0.007;level=1", 7),
            ("a/b;q=1.000", 1_000),
            ("a/b;q=1.", 1_000),
            ("a/b;x=\"y,z;q=1\";q=0.1", 100),
            ("a/b;x=\"\\\";q=1,\";q=0.2", 200),
            ("a/b;q=0, a/b;q=0.3", 300),
            ("a/b;quality=0", 1_000),
            // What cannot be read is not wanted.
            ("a/b;q=", 0),
            ("a/b;q=2", 0),
            ("a/b;q=1.001", 0),
            ("a/b;q=0.1234", 0),
            ("a/b;q=-0.5", 0),
            ("a/b;q=1e0", 0),
            ("a/b;q=inf", 0),
            ("a/b;q=NaN", 0),
            ("a/b;q=\"1\"", 0),
            ("a/b;q=0;q=1", 0),
            ("\"a/b", 0),
        ] {
            assert_eq!(weight(accept, "a/b"), wanted, "{accept}");
        }
    }

    #[test]
    fn the_closest_pattern_counts() {
        for (accept, wanted) in [
            ("*/*;q=0.1", 100),
            ("*/*;q=0.1, A/*;q=0.2", 200),
            ("*/*, a/*, a/b;q=0", 0),
            ("c/*", 0),
        ] {
            assert_eq!(weight_or_pattern(accept, "a/b"), wanted, "{accept}");
        }
    }
}
