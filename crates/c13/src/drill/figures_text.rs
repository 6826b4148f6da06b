//! Figures as a person reads them: with their unit, and with as many digits as say something.

/// A ratio as a percentage with two decimals, cut and not rounded: 99.996 % are not 100 %.
pub(crate) fn percent(ratio: f64) -> String {
    percent_to(ratio, 2)
}

/// A ratio as a percentage with so many decimals, cut and not rounded.
pub(crate) fn percent_to(ratio: f64, decimals: i32) -> String {
    // A millionth more makes up for what a ratio such as 0.9871 lacks in binary; ratios are rounded to a millionth.
    let steps = 10_f64.powi(decimals + 2);
    let cut = (ratio * steps + 1e-6).floor() / 10_f64.powi(decimals);
    format!("{cut:.0$}%", usize::try_from(decimals).unwrap_or(0))
}

/// A time in milliseconds with three digits: `4.32 ms`, `812 ms`, `1.98 s`.
pub(crate) fn millis(millis: f64) -> String {
    match millis {
        ..9.995 => format!("{millis:.2} ms"),
        ..99.95 => format!("{millis:.1} ms"),
        ..999.5 => format!("{millis:.0} ms"),
        _ => seconds(millis / 1e3),
    }
}

/// A time in seconds: `1.98 s`, `31.0 s`, `124 s`.
pub(crate) fn seconds(seconds: f64) -> String {
    match seconds {
        ..9.995 => format!("{seconds:.2} s"),
        ..99.95 => format!("{seconds:.1} s"),
        _ => format!("{} s", count(seconds.round() as u64)),
    }
}

/// A factor: `1.08`.
pub(crate) fn factor(factor: f64) -> String {
    format!("{factor:.2}")
}

/// Events in a second: `1,904/s`.
pub(crate) fn per_second(rate: f64) -> String {
    format!("{}/s", count(rate.round() as u64))
}

/// A whole number in groups of three digits: `300,104`.
pub(crate) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Shares from 0 to 1 as a row of bars, `width` of them. Only what is all but whole is a full bar; a blank is no share.
pub(crate) fn sparkline(shares: &[Option<f64>], width: usize) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    const ALL_BUT_WHOLE: f64 = 0.99;
    (0..width)
        .map(|column| {
            let start = column * shares.len() / width;
            let end = ((column + 1) * shares.len())
                .div_ceil(width)
                .max(start + 1)
                .min(shares.len());
            let known: Vec<f64> = shares
                .get(start..end)
                .unwrap_or_default()
                .iter()
                .copied()
                .flatten()
                .collect();
            if known.is_empty() {
                return ' ';
            }
            let mean = known.iter().sum::<f64>() / known.len() as f64;
            if mean >= ALL_BUT_WHOLE {
                BARS[7]
            } else {
                BARS[((mean * 7.0) as usize).min(6)]
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_never_looks_better_than_it_is() {
        for (ratio, text) in [
            (1.0, "100.00%"),
            (0.999_996, "99.99%"),
            (0.9871, "98.71%"),
            (0.29, "29.00%"),
            (0.0, "0.00%"),
        ] {
            assert_eq!(percent(ratio), text);
        }
        assert_eq!(percent_to(0.999_996, 4), "99.9996%");
        for millionths in (0..=1_000_000_u32).step_by(100) {
            let ratio = f64::from(millionths) / 1e6;
            assert_eq!(percent(ratio), format!("{:.2}%", f64::from(millionths) / 1e4));
        }
    }

    #[test]
    fn times_have_three_digits_and_counts_have_groups() {
        let times = [
            0.0,
            4.321,
            9.999,
            45.06,
            99.96,
            811.7,
            999.6,
            1_980.0,
            31_000.0,
            124_400.0,
            4_000_000.0,
        ]
        .map(millis);
        let expected = [
            "0.00 ms", "4.32 ms", "10.0 ms", "45.1 ms", "100 ms", "812 ms", "1.00 s", "1.98 s", "31.0 s", "124 s",
            "4,000 s",
        ];
        assert_eq!(times, expected);
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(count),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            (per_second(1_903.6), factor(1.0849)),
            ("1,904/s".to_owned(), "1.08".to_owned())
        );
    }

    #[test]
    fn a_sparkline_shows_dips_and_gaps_at_any_width() {
        let shares = [Some(1.0), Some(0.95), Some(0.5), Some(0.0), None, Some(1.0)];
        assert_eq!(sparkline(&shares, 6), "█▇▄▁ █");
        assert_eq!(sparkline(&shares, 12), "██▇▇▄▄▁▁  ██");
        assert_eq!(sparkline(&shares, 3), "▇▂█", "what is not whole is not shown as such");
        assert_eq!(sparkline(&[], 3), "   ");
    }
}
