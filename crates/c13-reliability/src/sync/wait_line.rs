//! Who waits, in which order and for how much, as a plain value.

/// A line of waiters, first come first served. `W` is how a waiter is woken.
///
/// Every operation is O(1). The line holds one entry a waiter, from the moment it joins until it leaves, and gives its
/// memory back when the last one has left.
#[derive(Debug)]
pub(super) struct Line<W> {
    entries: Vec<Entry<W>>,
    /// The first of the entries that nobody holds.
    free: Option<usize>,
    first: Option<usize>,
    last: Option<usize>,
    waiting: usize,
    weight: u128,
    /// How many entries somebody holds, waiting or granted.
    held: usize,
}

#[derive(Debug)]
struct Entry<W> {
    n: u64,
    kind: Kind,
    state: State,
    waker: Option<W>,
}

#[derive(Debug)]
enum State {
    Free {
        next: Option<usize>,
    },
    Waiting {
        before: Option<usize>,
        behind: Option<usize>,
    },
    Granted,
}

/// How a waiter is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Now, when it is there to be served.
    Present,
    /// As of the time when it could have been served, however much later anybody looks: it may be that nobody polls it.
    Reserved,
}

/// Where a waiter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// What it waited for is its own.
    Granted,
    /// Of those who want to be woken it is the first to be served.
    Front,
    /// Others who want to be woken are served first.
    Behind,
}

/// An entry beyond this many is given back with all others once the line is empty.
const KEPT: usize = 64;

impl<W> Line<W> {
    pub(super) const fn new() -> Self {
        Self {
            entries: Vec::new(),
            free: None,
            first: None,
            last: None,
            waiting: 0,
            weight: 0,
            held: 0,
        }
    }

    /// How many wait.
    pub(super) const fn waiting(&self) -> usize {
        self.waiting
    }

    /// How much they wait for together.
    pub(super) const fn weight(&self) -> u128 {
        self.weight
    }

    /// What the waiter at the front waits for, and how it is served.
    pub(super) fn front(&self) -> Option<(u64, Kind)> {
        self.first.map(|slot| (self.entries[slot].n, self.entries[slot].kind))
    }

    /// Takes a place behind all others; the slot is the waiter's own until it leaves.
    pub(super) fn join(&mut self, n: u64, kind: Kind) -> usize {
        let entry = Entry {
            n,
            kind,
            state: State::Waiting {
                before: self.last,
                behind: None,
            },
            waker: None,
        };
        let slot = match self.free {
            Some(slot) => {
                if let State::Free { next } = self.entries[slot].state {
                    self.free = next;
                }
                self.entries[slot] = entry;
                slot
            }
            None => {
                self.entries.push(entry);
                self.entries.len() - 1
            }
        };
        match self.last {
            Some(last) => {
                if let State::Waiting { behind, .. } = &mut self.entries[last].state {
                    *behind = Some(slot);
                }
            }
            None => self.first = Some(slot),
        }
        self.last = Some(slot);
        self.waiting += 1;
        self.held += 1;
        self.weight += u128::from(n);
        slot
    }

    /// Where the waiter in `slot` stands. Complexity: O(waiters right before it that want no waking).
    pub(super) fn turn(&self, slot: usize) -> Turn {
        if matches!(self.entries[slot].state, State::Granted) {
            return Turn::Granted;
        }
        if self.before(slot).any(|entry| entry.waker.is_some()) {
            Turn::Behind
        } else {
            Turn::Front
        }
    }

    /// How many wait before the waiter in `slot`, and for how much together. Complexity: O(their number).
    pub(super) fn ahead_of(&self, slot: usize) -> (usize, u128) {
        self.before(slot).fold((0, 0), |(waiting, weight), entry| {
            (waiting + 1, weight + u128::from(entry.n))
        })
    }

    /// Those who wait before the waiter in `slot`, from the back to the front.
    fn before(&self, slot: usize) -> impl Iterator<Item = &Entry<W>> {
        let link = |slot: usize| match self.entries[slot].state {
            State::Waiting { before, .. } => before,
            _ => None,
        };
        std::iter::successors(link(slot), move |slot| link(*slot)).map(|slot| &self.entries[slot])
    }

    /// Keeps `waker` for the waiter in `slot` and returns the one it replaces.
    pub(super) fn register(&mut self, slot: usize, waker: W) -> Option<W> {
        self.entries[slot].waker.replace(waker)
    }

    /// Takes the waker of the first who left one, to wake it where it stands. Complexity: O(waiters before it).
    pub(super) fn take_front_waker(&mut self) -> Option<W> {
        let mut next = self.first;
        while let Some(slot) = next {
            let entry = &mut self.entries[slot];
            if entry.waker.is_some() {
                return entry.waker.take();
            }
            next = match entry.state {
                State::Waiting { behind, .. } => behind,
                _ => None,
            };
        }
        None
    }

    /// Serves the waiter at the front and returns its waker, if it left one. Does nothing to an empty line.
    pub(super) fn grant_front(&mut self) -> Option<W> {
        let slot = self.first?;
        self.unlink(slot);
        self.entries[slot].state = State::Granted;
        self.entries[slot].waker.take()
    }

    /// Gives up the place in `slot`, served or not. Returns where the waiter stood, what it had joined for, and its waker.
    pub(super) fn leave(&mut self, slot: usize) -> (Turn, u64, Option<W>) {
        let turn = self.turn(slot);
        if turn != Turn::Granted {
            self.unlink(slot);
        }
        let entry = &mut self.entries[slot];
        let left = (turn, entry.n, entry.waker.take());
        entry.state = State::Free { next: self.free };
        self.free = Some(slot);
        self.held -= 1;
        if self.held == 0 && self.entries.len() > KEPT {
            self.entries = Vec::new();
            self.free = None;
        }
        left
    }

    /// Takes a waiting entry out of the order.
    fn unlink(&mut self, slot: usize) {
        let State::Waiting { before, behind } = self.entries[slot].state else {
            return;
        };
        match before {
            Some(before) => {
                if let State::Waiting { behind: link, .. } = &mut self.entries[before].state {
                    *link = behind;
                }
            }
            None => self.first = behind,
        }
        match behind {
            Some(behind) => {
                if let State::Waiting { before: link, .. } = &mut self.entries[behind].state {
                    *link = before;
                }
            }
            None => self.last = before,
        }
        self.waiting -= 1;
        self.weight -= u128::from(self.entries[slot].n);
    }
}

#[cfg(all(test, not(c13_loom)))]
mod tests {
    use super::*;
    use crate::sync::Random;

    #[test]
    fn it_agrees_with_a_naive_list_over_random_operations() {
        for seed in 0..300 {
            let random = Random::new(seed);
            let mut line = Line::new();
            let mut naive: Vec<(usize, u64)> = Vec::new();
            let mut granted: Vec<(usize, u64)> = Vec::new();
            for step in 0..400 {
                match random.below(5) {
                    0 | 1 => {
                        let n = random.below(10);
                        let slot = line.join(n, Kind::Present);
                        assert!(
                            naive.iter().chain(&granted).all(|held| held.0 != slot),
                            "seed {seed}, step {step}: slot {slot} is held"
                        );
                        assert_eq!(line.register(slot, slot), None);
                        naive.push((slot, n));
                    }
                    2 if !naive.is_empty() => {
                        let (slot, n) = naive.remove(0);
                        assert_eq!(line.grant_front(), Some(slot), "seed {seed}, step {step}");
                        granted.push((slot, n));
                    }
                    3 if !naive.is_empty() => {
                        let at = random.below(naive.len() as u64) as usize;
                        let (slot, n) = naive.remove(at);
                        let turn = if at == 0 { Turn::Front } else { Turn::Behind };
                        assert_eq!(line.leave(slot), (turn, n, Some(slot)), "seed {seed}, step {step}");
                    }
                    4 if !granted.is_empty() => {
                        let (slot, n) = granted.swap_remove(random.below(granted.len() as u64) as usize);
                        assert_eq!(line.leave(slot), (Turn::Granted, n, None), "seed {seed}, step {step}");
                    }
                    _ => {}
                }
                let weight: u128 = naive.iter().map(|(_, n)| u128::from(*n)).sum();
                assert_eq!(
                    (line.waiting(), line.weight(), line.front()),
                    (naive.len(), weight, naive.first().map(|(_, n)| (*n, Kind::Present))),
                    "seed {seed}, step {step}"
                );
                for (at, (slot, _)) in naive.iter().enumerate() {
                    let turn = if at == 0 { Turn::Front } else { Turn::Behind };
                    assert_eq!(line.turn(*slot), turn, "seed {seed}, step {step}");
                }
            }
        }
    }

    #[test]
    fn who_wants_no_waking_is_passed_over_when_somebody_is_woken_and_not_when_served() {
        let mut line = Line::new();
        let slots: Vec<_> = (0..4).map(|_| line.join(3, Kind::Present)).collect();
        assert_eq!(line.take_front_waker(), None);
        for slot in [2, 3] {
            assert_eq!(line.register(slots[slot], slot), None);
        }
        let turns = |line: &Line<_>| [0, 1, 2, 3].map(|slot| line.turn(slots[slot]));
        assert_eq!(turns(&line), [Turn::Front, Turn::Front, Turn::Front, Turn::Behind]);
        assert_eq!(line.ahead_of(slots[2]), (2, 6));
        assert_eq!(line.take_front_waker(), Some(2));
        assert_eq!(
            line.turn(slots[3]),
            Turn::Front,
            "the one before it was woken and is gone for now"
        );
        assert_eq!(
            line.grant_front(),
            None,
            "the first is served, though nobody is woken for it"
        );
        assert_eq!(line.turn(slots[0]), Turn::Granted);
        assert_eq!(line.take_front_waker(), Some(3));
    }

    #[test]
    fn an_empty_line_has_nobody_to_serve() {
        let mut line = Line::<()>::new();
        assert_eq!(
            (line.front(), line.grant_front(), line.take_front_waker()),
            (None, None, None)
        );
    }

    #[test]
    fn a_line_that_was_long_gives_its_memory_back() {
        let mut line = Line::<()>::new();
        let slots: Vec<_> = (0..10_000).map(|_| line.join(1, Kind::Present)).collect();
        for slot in slots {
            line.leave(slot);
        }
        assert_eq!(line.entries.capacity(), 0);
        assert_eq!(line.join(1, Kind::Present), 0);
    }
}
