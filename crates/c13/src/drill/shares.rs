//! Rounds shares so that they add up as printed.

/// Each count as a share of them all in whole steps, of which there are `steps` in all; all zero if nothing was counted.
///
/// Shares are cut to whole steps, and the steps that are left over go to the largest of the cut parts. The first share gets
/// none of them as long as another can take it: it is what a reader hopes to be large, and never looks better than it is.
pub(crate) fn shares(counts: &[u64], steps: u64) -> Vec<u64> {
    let all: u128 = counts.iter().map(|count| u128::from(*count)).sum();
    if all == 0 {
        return vec![0; counts.len()];
    }
    let exact = |count: &u64| u128::from(*count) * u128::from(steps);
    let mut shares: Vec<u64> = counts.iter().map(|count| (exact(count) / all) as u64).collect();
    let left = steps - shares.iter().sum::<u64>();
    let mut order: Vec<usize> = (0..counts.len()).collect();
    order.sort_by_key(|index| (*index == 0, std::cmp::Reverse(exact(&counts[*index]) % all)));
    for index in order.into_iter().take(left as usize) {
        shares[index] += 1;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use c13_reliability::sync::Random;

    #[test]
    fn shares_go_to_the_largest_parts_and_the_first_is_never_rounded_up() {
        for (counts, expected) in [
            (&[0, 0][..], &[0, 0][..]),
            (&[7, 0], &[100, 0]),
            (&[1, 1, 1], &[33, 34, 33]),
            (&[99_996, 4], &[99, 1]),
            (&[0, 1, 1, 4], &[0, 17, 17, 66]),
            (&[2, 1, 0], &[66, 34, 0]),
        ] {
            assert_eq!(shares(counts, 100), expected, "{counts:?}");
        }
    }

    #[test]
    fn shares_always_add_up() {
        let random = Random::new(5);
        for _ in 0..2_000 {
            let counts: Vec<u64> = (0..=random.below(11))
                .map(|_| random.next_u64() >> random.below(64))
                .collect();
            let sum: u64 = shares(&counts, 10_000).iter().sum();
            assert!(sum == 10_000 || counts.iter().all(|count| *count == 0), "{counts:?}");
        }
    }
}
