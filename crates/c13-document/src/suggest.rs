//! The name that somebody probably meant: the nearest by edit distance.

/// The candidate nearest to `word`, if it is near enough to be a likely slip: at most one change for every three
/// characters. A change adds, drops or replaces a character or swaps two neighbours (optimal string alignment distance);
/// case does not count, and `-` counts as `_`. Of equally near candidates the first wins.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = normal(word);
    // Comparing is quadratic, and no name of ours is longer: past this, a suggestion would be noise.
    if word.len() > LONGEST_NAME {
        return None;
    }
    candidates
        .into_iter()
        .map(|candidate| (normal(candidate), candidate))
        .filter_map(|(normal, candidate)| {
            let allowed = allowed_changes(word.len().max(normal.len()));
            // Each character more or less is a change.
            let may_be_near = word.len().abs_diff(normal.len()) <= allowed;
            let changes = may_be_near.then(|| distance(&word, &normal))?;
            (changes <= allowed).then_some((changes, candidate))
        })
        .min_by_key(|(changes, _)| *changes)
        .map(|(_, candidate)| candidate)
}

const LONGEST_NAME: usize = 64;

fn allowed_changes(length: usize) -> usize {
    if length <= 2 { 0 } else { (length / 3).max(1) }
}

fn normal(word: &str) -> Vec<char> {
    word.chars()
        .map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() })
        .collect()
}

fn distance(a: &[char], b: &[char]) -> usize {
    let mut two_above = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    let mut row = vec![0; b.len() + 1];
    for i in 1..=a.len() {
        row[0] = i;
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(two_above[j - 2] + 1);
            }
        }
        std::mem::swap(&mut two_above, &mut above);
        std::mem::swap(&mut above, &mut row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_the_textbook() {
        for (a, b, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("ab", "ba", 1),
            ("abcd", "acbd", 1),
            ("ca", "abc", 3),
        ] {
            assert_eq!(distance(&normal(a), &normal(b)), expected, "{a} {b}");
            assert_eq!(distance(&normal(b), &normal(a)), expected, "{b} {a}");
        }
    }

    #[test]
    fn slips_find_the_name_and_strangers_do_not() {
        let names = ["timeout", "retry", "rate_limit", "bulkhead", "circuit_breaker", "at"];
        for (word, expected) in [
            ("timout", Some("timeout")),
            ("Retry", Some("retry")),
            ("rate-limit", Some("rate_limit")),
            ("circiut_braker", Some("circuit_breaker")),
            ("hedge", None),
            ("x", None),
            ("to", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, names), expected, "{word}");
        }
        assert_eq!(nearest(&"retry".repeat(100), names), None);
    }
}
