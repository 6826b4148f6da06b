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
    waiting: List,
    /// Those who were served and have not taken it, the longest first.
    granted: List,
    weight: u128,
    /// How many entries somebody holds, whatever their state.
    held: usize,
}

#[derive(Debug)]
struct Entry<W> {
    n: u64,
    kind: Kind,
    state: State,
    /// Its neighbours in the list that it is in; `behind` of a free one is the next free one.
    before: Option<usize>,
    behind: Option<usize>,
    waker: Option<W>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    Waiting,
    Granted {
        /// In nanoseconds.
        at: u64,
    },
    /// It was served, did not take it, and is not served again before it asks.
    Aside,
}

/// Entries that are linked to each other.
#[derive(Debug)]
struct List {
    first: Option<usize>,
    last: Option<usize>,
    len: usize,
}

impl List {
    const fn new() -> Self {
        Self {
            first: None,
            last: None,
            len: 0,
        }
    }

    fn push_back<W>(&mut self, entries: &mut [Entry<W>], slot: usize) {
        entries[slot].before = self.last;
        entries[slot].behind = None;
        match self.last {
            Some(last) => entries[last].behind = Some(slot),
            None => self.first = Some(slot),
        }
        self.last = Some(slot);
        self.len += 1;
    }

    fn push_front<W>(&mut self, entries: &mut [Entry<W>], slot: usize) {
        entries[slot].before = None;
        entries[slot].behind = self.first;
        match self.first {
            Some(first) => entries[first].before = Some(slot),
            None => self.last = Some(slot),
        }
        self.first = Some(slot);
        self.len += 1;
    }

    fn remove<W>(&mut self, entries: &mut [Entry<W>], slot: usize) {
        let (before, behind) = (entries[slot].before.take(), entries[slot].behind.take());
        match before {
            Some(before) => entries[before].behind = behind,
            None => self.first = behind,
        }
        match behind {
            Some(behind) => entries[behind].before = before,
            None => self.last = before,
        }
        self.len -= 1;
    }
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
            waiting: List::new(),
            granted: List::new(),
            weight: 0,
            held: 0,
        }
    }

    /// How many wait.
    pub(super) const fn waiting(&self) -> usize {
        self.waiting.len
    }

    /// Whether anybody was served and has not taken it.
    pub(super) const fn has_granted(&self) -> bool {
        self.granted.len > 0
    }

    /// How much they wait for together.
    pub(super) const fn weight(&self) -> u128 {
        self.weight
    }

    /// What the waiter at the front waits for, and how it is served.
    pub(super) fn front(&self) -> Option<(u64, Kind)> {
        self.waiting
            .first
            .map(|slot| (self.entries[slot].n, self.entries[slot].kind))
    }

    /// Takes a place behind all others; the slot is the waiter's own until it leaves.
    pub(super) fn join(&mut self, n: u64, kind: Kind) -> usize {
        let entry = Entry {
            n,
            kind,
            state: State::Waiting,
            before: None,
            behind: None,
            waker: None,
        };
        let slot = match self.free {
            Some(slot) => {
                self.free = self.entries[slot].behind;
                self.entries[slot] = entry;
                slot
            }
            None => {
                self.entries.push(entry);
                self.entries.len() - 1
            }
        };
        self.waiting.push_back(&mut self.entries, slot);
        self.held += 1;
        self.weight += u128::from(n);
        slot
    }

    /// Where the waiter in `slot` stands. Complexity: O(waiters right before it that want no waking).
    pub(super) fn turn(&self, slot: usize) -> Turn {
        match self.entries[slot].state {
            State::Granted { .. } => return Turn::Granted,
            State::Aside => return Turn::Behind,
            State::Free | State::Waiting => {}
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
        let link = |slot: usize| self.entries[slot].before;
        std::iter::successors(link(slot), move |slot| link(*slot)).map(|slot| &self.entries[slot])
    }

    /// Keeps `waker` for the waiter in `slot` and returns the one it replaces.
    pub(super) fn register(&mut self, slot: usize, waker: W) -> Option<W> {
        self.entries[slot].waker.replace(waker)
    }

    /// Takes the waker of the first who left one, to wake it where it stands. Complexity: O(waiters before it).
    pub(super) fn take_front_waker(&mut self) -> Option<W> {
        let mut next = self.waiting.first;
        while let Some(slot) = next {
            let entry = &mut self.entries[slot];
            if entry.waker.is_some() {
                return entry.waker.take();
            }
            next = entry.behind;
        }
        None
    }

    /// Serves the waiter at the front, at this time in nanoseconds, and returns its waker, if it left one. Does nothing to an
    /// empty line.
    pub(super) fn grant_front(&mut self, at: u64) -> Option<W> {
        let slot = self.waiting.first?;
        self.stop_waiting(slot);
        self.entries[slot].state = State::Granted { at };
        self.granted.push_back(&mut self.entries, slot);
        self.entries[slot].waker.take()
    }

    /// Sets the waiter aside that was served longest ago, if that was at `until` or before: what it was served, for somebody
    /// else.
    pub(super) fn set_aside(&mut self, until: u64) -> Option<u64> {
        let slot = self.granted.first?;
        let State::Granted { at } = self.entries[slot].state else {
            return None;
        };
        (at <= until).then(|| {
            self.granted.remove(&mut self.entries, slot);
            self.entries[slot].state = State::Aside;
            self.entries[slot].n
        })
    }

    /// Puts the waiter in `slot` before all others, if it was set aside: whether it was.
    pub(super) fn rejoin(&mut self, slot: usize) -> bool {
        let entry = &mut self.entries[slot];
        let is_aside = entry.state == State::Aside;
        if is_aside {
            entry.state = State::Waiting;
            self.weight += u128::from(entry.n);
            self.waiting.push_front(&mut self.entries, slot);
        }
        is_aside
    }

    #[cfg(test)]
    fn is_aside(&self, slot: usize) -> bool {
        self.entries[slot].state == State::Aside
    }

    /// Gives up the place in `slot`, served or not. Returns where the waiter stood, what it had joined for, and its waker.
    pub(super) fn leave(&mut self, slot: usize) -> (Turn, u64, Option<W>) {
        let turn = self.turn(slot);
        match self.entries[slot].state {
            State::Waiting => self.stop_waiting(slot),
            State::Granted { .. } => self.granted.remove(&mut self.entries, slot),
            State::Free | State::Aside => {}
        }
        let entry = &mut self.entries[slot];
        let left = (turn, entry.n, entry.waker.take());
        entry.state = State::Free;
        entry.behind = self.free;
        self.free = Some(slot);
        self.held -= 1;
        if self.held == 0 && self.entries.len() > KEPT {
            self.entries = Vec::new();
            self.free = None;
        }
        left
    }

    /// Takes a waiting entry out of the order.
    fn stop_waiting(&mut self, slot: usize) {
        self.waiting.remove(&mut self.entries, slot);
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
            let mut aside: Vec<(usize, u64)> = Vec::new();
            for step in 0..400_u64 {
                match random.below(7) {
                    0 | 1 => {
                        let n = random.below(10);
                        let slot = line.join(n, Kind::Present);
                        assert!(
                            naive.iter().chain(&granted).chain(&aside).all(|held| held.0 != slot),
                            "seed {seed}, step {step}: slot {slot} is held"
                        );
                        assert_eq!(line.register(slot, slot), None);
                        naive.push((slot, n));
                    }
                    2 if !naive.is_empty() => {
                        let (slot, n) = naive.remove(0);
                        line.grant_front(step);
                        assert_eq!(line.turn(slot), Turn::Granted, "seed {seed}, step {step}");
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
                    5 => {
                        // Served ten steps ago or more: set aside, the longest first.
                        let until = step.saturating_sub(10);
                        while let Some(n) = line.set_aside(until) {
                            let at = granted.iter().position(|(slot, _)| line.is_aside(*slot));
                            let set = granted.remove(at.expect("one of them was set aside"));
                            assert_eq!(set.1, n, "seed {seed}, step {step}");
                            aside.push(set);
                        }
                    }
                    6 if !aside.is_empty() => {
                        let (slot, n) = aside.swap_remove(random.below(aside.len() as u64) as usize);
                        if random.below(2) == 0 {
                            assert!(line.rejoin(slot) && !line.rejoin(slot), "seed {seed}, step {step}");
                            assert_eq!(line.register(slot, slot), None);
                            naive.insert(0, (slot, n));
                        } else {
                            assert_eq!(line.leave(slot), (Turn::Behind, n, None), "seed {seed}, step {step}");
                        }
                    }
                    _ => {}
                }
                assert_eq!(line.has_granted(), !granted.is_empty(), "seed {seed}, step {step}");
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
            line.grant_front(0),
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
            (line.front(), line.grant_front(0), line.take_front_waker()),
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
