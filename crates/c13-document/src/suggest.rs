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
            let length = word.chars().count().max(normal.chars().count());
            let changes = strsim::osa_distance(&word, &normal);
            (changes <= allowed_changes(length)).then_some((changes, candidate))
        })
        .min_by_key(|(changes, _)| *changes)
        .map(|(_, candidate)| candidate)
}

const LONGEST_NAME: usize = 64;

fn allowed_changes(length: usize) -> usize {
    if length <= 2 { 0 } else { (length / 3).max(1) }
}

fn normal(word: &str) -> String {
    word.replace('-', "_").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

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
