//! Mangled inputs: real ones, cut, spliced, repeated and nested, each made anew from a seed and its number.

use std::time::Duration;

use c13_reliability::sync::Random;
use c13_reliability::time::Clock;

/// Texts to start from, and words that mean something to the reader.
pub(crate) struct Corpus {
    pub(crate) texts: Vec<Vec<u8>>,
    pub(crate) words: &'static [&'static str],
    /// No input is longer.
    pub(crate) longest: usize,
}

/// What numbers, times and texts of strangers look like at their worst.
const EXTREMES: [&str; 22] = [
    "0",
    "-1",
    "1e308",
    "1e-320",
    "nan",
    "inf",
    "-inf",
    "18446744073709551615",
    "340282366920938463463374607431768211456",
    "213503d",
    "584y",
    "0ns",
    "1d 1d",
    "100%",
    "-0%",
    "1/s",
    "1e9/s",
    "\u{feff}",
    "\u{0}",
    "\u{202e}",
    "日本",
    "\r",
];

impl Corpus {
    fn input(&self, random: &Random) -> Vec<u8> {
        let mut bytes = self.text(random).to_vec();
        for _ in 0..=random.below(5) {
            self.mangle(&mut bytes, random);
            bytes.truncate(self.longest);
        }
        bytes
    }

    fn text(&self, random: &Random) -> &[u8] {
        &self.texts[random.below(self.texts.len() as u64) as usize]
    }

    /// An exponent, seldom a large one: a few long inputs take as much time as thousands of short ones.
    fn exponent(random: &Random, most: u64) -> u64 {
        if random.below(16) == 0 {
            random.below(most)
        } else {
            random.below(most / 2)
        }
    }

    fn mangle(&self, bytes: &mut Vec<u8>, random: &Random) {
        let length = bytes.len() as u64;
        let at = random.below(length + 1) as usize;
        let end = at + random.below(length + 1 - at as u64).min(200) as usize;
        match random.below(9) {
            0 => {
                let noise: Vec<u8> = (0..=random.below(8)).map(|_| random.below(256) as u8).collect();
                bytes.splice(at..at, noise);
            }
            1 => {
                bytes.drain(at..end);
            }
            2 if at < bytes.len() => bytes[at] = random.below(256) as u8,
            // Again and again, as far as there is room.
            3 => {
                let piece = bytes[at..end].to_vec();
                let most = (self.longest - bytes.len().min(self.longest)) / piece.len().max(1);
                let times = 1 + random.below(most as u64 + 1).min(1 << Self::exponent(random, 17)) as usize;
                bytes.splice(at..at, piece.repeat(times.min(most)));
            }
            4 => {
                let other = self.text(random);
                let from = random.below(other.len() as u64 + 1) as usize;
                bytes.splice(at..end, other[from..].iter().copied());
            }
            5 => {
                let depth = 1 << Self::exponent(random, 14);
                let (open, close) =
                    [("[", "]"), ("{a=", "}"), ("a.", ""), ("\"", "\""), ("[[", "]]")][random.below(5) as usize];
                let nested = open.repeat(depth) + &close.repeat(depth);
                bytes.splice(at..at, nested.into_bytes());
            }
            6 | 7 => {
                let word = EXTREMES[random.below(EXTREMES.len() as u64) as usize];
                bytes.splice(at..end.min(at + 4), word.bytes());
            }
            _ if !self.words.is_empty() => {
                let word = self.words[random.below(self.words.len() as u64) as usize];
                bytes.splice(at..at, word.bytes());
            }
            _ => {}
        }
    }
}

/// Tells which input it was if the test ends while it is looked at.
struct Case<'a> {
    target: &'a str,
    seed: u64,
    number: u64,
    input: &'a [u8],
}

impl Drop for Case<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self {
                target,
                seed,
                number,
                input,
            } = self;
            let shown = String::from_utf8_lossy(&input[..input.len().min(4_000)]);
            eprintln!(
                "{target}: C13_FUZZ_SEED={seed} C13_FUZZ_CASE={number}, {} bytes: {shown:?}",
                input.len()
            );
        }
    }
}

/// No input may take longer, in a debug build on a machine that does much besides.
const LONGEST: Duration = Duration::from_secs(20);

/// Feeds inputs to `target` until the time is over: `C13_FUZZ_SECONDS`, a fraction of one unless it is set.
///
/// The inputs follow from `C13_FUZZ_SEED`; `C13_FUZZ_CASE` is the number of the only one to try.
pub(crate) fn fuzz(target: &str, corpus: &Corpus, mut take: impl FnMut(&[u8])) {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
    let seed = number("C13_FUZZ_SEED").unwrap_or(13);
    let only = number("C13_FUZZ_CASE");
    let limit = number("C13_FUZZ_SECONDS").map_or(Duration::from_millis(300), Duration::from_secs);
    let clock = Clock::system();
    let start = clock.now();
    let mut tried = 0;
    for number in only.unwrap_or(0).. {
        let input = corpus.input(&Random::stream(seed, &format!("{target} {number}")));
        let case = Case {
            target,
            seed,
            number,
            input: &input,
        };
        let begin = clock.now();
        take(&input);
        let taken = clock.now().since(begin);
        assert!(taken < LONGEST, "it took {taken:?}");
        drop(case);
        tried += 1;
        if only.is_some() || clock.now().since(start) >= limit {
            break;
        }
    }
    println!("{target}: {tried} inputs from seed {seed}");
}
