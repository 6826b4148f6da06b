//! The names of the files that locks, limits and journals are kept in: readable, and short enough for any key.

/// The longest name, so that with its endings it fits what file systems take: 255 bytes.
const LONGEST: usize = 200;
/// How much of a longer one is kept before its hash.
const KEPT: usize = 120;

/// A key as a file name without an ending.
///
/// What is not a letter, a digit, `-` or `_` becomes its bytes in hexadecimal, each after a `%`. Of a name that is longer than
/// 200 bytes the beginning is kept, and after a `~`, which no other name has, a hash of the whole key follows. The hash is
/// not made against those who look for two keys of one hash: whoever may choose keys may use the files as well.
pub(crate) fn file_name(key: &str) -> String {
    let mut name = String::new();
    let mut kept = 0;
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            name.push(byte as char);
        } else {
            name.push_str(&format!("%{byte:02x}"));
        }
        if name.len() <= KEPT {
            kept = name.len();
        }
    }
    if name.len() > LONGEST {
        name.truncate(kept);
        name.push_str(&format!("~{:032x}", hash(key)));
    }
    name
}

/// FNV-1a with 128 bits, the same for ever: files outlive the program that names them.
fn hash(key: &str) -> u128 {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let mix = |hash: u128, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME);
    key.bytes().fold(OFFSET, mix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_short_key_can_be_read_in_its_file_name() {
        for (key, name) in [
            ("nightly", "nightly"),
            ("db_1-b", "db_1-b"),
            ("../a b", "%2e%2e%2fa%20b"),
            ("~", "%7e"),
            ("ü", "%c3%bc"),
        ] {
            assert_eq!(file_name(key), name);
        }
        assert_eq!(file_name(&"k".repeat(200)), "k".repeat(200));
    }

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(hash(""), 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
        assert_eq!(hash("a"), 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964);
    }

    #[test]
    fn every_key_has_a_file_name_of_its_own_that_fits() {
        let mut names = HashSet::new();
        let mut count = 0;
        for character in ["k", "/", "ü", "🔒"] {
            for length in [1, 66, 67, 100, 128, 200, 201, 512, 10_000] {
                for ending in ["", "x", "y"] {
                    let name = file_name(&format!("{}{ending}", character.repeat(length)));
                    assert!(name.len() <= LONGEST, "{name}");
                    names.insert(name);
                    count += 1;
                }
            }
        }
        assert_eq!(names.len(), count, "two keys have one name");
        let long = file_name(&"a/".repeat(100));
        let (kept, _) = long.split_once('~').unwrap();
        assert_eq!(kept, "a%2f".repeat(30), "the beginning is kept, and no escape is cut");
    }
}
