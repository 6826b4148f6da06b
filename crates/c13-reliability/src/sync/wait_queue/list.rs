//! Which waiters there are, in which order and for how much, as a plain value.

/// The waiters, in the order in which they joined. `W` is how a waiter is woken.
///
/// Every operation is O(1), unless it says otherwise. There is one entry a waiter, from when it joins until it leaves, and the
/// memory is given back when the last one has left. Entries are linked in lists by their indexes (slots).
#[derive(Debug)]
pub(super) struct WaiterList<W> {
    entries: Vec<Entry<W>>,
    /// The first entry that no waiter holds.
    free: Option<usize>,
    /// The queue.
    waiting: List,
    /// Waiters that were granted something and have not taken it, the oldest grant first.
    granted: List,
    /// How much the waiters in the queue asked for together.
    weight: u128,
    /// How many entries waiters hold, whatever their state.
    held: usize,
}

#[derive(Debug)]
struct Entry<W> {
    /// How much the waiter asked for.
    n: u64,
    kind: Kind,
    state: State,
    /// Its neighbours in its list. For a free entry `behind` is the next free one.
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
    /// It did not take its grant in time. It joins the queue again, at the front, when it is polled.
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

/// As of when a waiter may be granted what it asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// As of now.
    Present,
    /// As of the moment when enough was available, even if the queue is settled much later: a reservation need not be
    /// polled.
    Reserved,
}

/// Whether a waiter may go on, or who is ahead of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It has what it asked for.
    Granted,
    /// It is the first to be served of those that can be woken.
    Front,
    /// Others that can be woken are served first.
    Behind,
}

/// Memory for more entries than this is given back once no waiter is left.
const KEPT: usize = 64;

impl<W> WaiterList<W> {
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

    /// How many waiters are in the queue.
    pub(super) const fn waiting(&self) -> usize {
        self.waiting.len
    }

    /// Whether any waiter has a grant that it has not taken.
    pub(super) const fn has_granted(&self) -> bool {
        self.granted.len > 0
    }

    /// How much the waiters in the queue asked for together.
    pub(super) const fn weight(&self) -> u128 {
        self.weight
    }

    /// What the waiter at the front asked for, and as of when it may be granted.
    pub(super) fn front(&self) -> Option<(u64, Kind)> {
        self.waiting
            .first
            .map(|slot| (self.entries[slot].n, self.entries[slot].kind))
    }

    /// Adds a waiter behind all others; the slot is its own until it leaves.
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

    /// The turn of the waiter in `slot`. Complexity: O(waiters right ahead of it that cannot be woken).
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

    /// How many waiters are ahead of that in `slot`, and how much they asked for together. Complexity: O(their number).
    pub(super) fn ahead_of(&self, slot: usize) -> (usize, u128) {
        self.before(slot).fold((0, 0), |(waiting, weight), entry| {
            (waiting + 1, weight + u128::from(entry.n))
        })
    }

    /// The waiters ahead of that in `slot`, from the back to the front.
    fn before(&self, slot: usize) -> impl Iterator<Item = &Entry<W>> {
        let link = |slot: usize| self.entries[slot].before;
        std::iter::successors(link(slot), move |slot| link(*slot)).map(|slot| &self.entries[slot])
    }

    /// Keeps `waker` for the waiter in `slot` and returns the one it replaces.
    pub(super) fn register(&mut self, slot: usize, waker: W) -> Option<W> {
        self.entries[slot].waker.replace(waker)
    }

    /// Takes the first waker that there is, to wake its waiter without granting anything. Complexity: O(waiters ahead of it).
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

    /// Grants the waiter at the front what it asked for, at this time in nanoseconds, and returns its waker, if there is one.
    /// Does nothing if there are no waiters.
    pub(super) fn grant_front(&mut self, at: u64) -> Option<W> {
        let slot = self.waiting.first?;
        self.stop_waiting(slot);
        self.entries[slot].state = State::Granted { at };
        self.granted.push_back(&mut self.entries, slot);
        self.entries[slot].waker.take()
    }

    /// Takes the oldest grant back, if it was made at `until` or before, and sets its waiter aside; returns how much that is.
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

    /// Puts the waiter in `slot` at the front, if it was set aside; returns whether it was.
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

    /// Removes the waiter in `slot`. Returns its turn, what it asked for, and its waker.
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

    /// Takes a waiter out of the queue.
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
            let mut list = WaiterList::new();
            let mut naive: Vec<(usize, u64)> = Vec::new();
            let mut granted: Vec<(usize, u64)> = Vec::new();
            let mut aside: Vec<(usize, u64)> = Vec::new();
            for step in 0..400_u64 {
                match random.below(7) {
                    0 | 1 => {
                        let n = random.below(10);
                        let slot = list.join(n, Kind::Present);
                        assert!(
                            naive.iter().chain(&granted).chain(&aside).all(|held| held.0 != slot),
                            "seed {seed}, step {step}: slot {slot} is held"
                        );
                        assert_eq!(list.register(slot, slot), None);
                        naive.push((slot, n));
                    }
                    2 if !naive.is_empty() => {
                        let (slot, n) = naive.remove(0);
                        list.grant_front(step);
                        assert_eq!(list.turn(slot), Turn::Granted, "seed {seed}, step {step}");
                        granted.push((slot, n));
                    }
                    3 if !naive.is_empty() => {
                        let at = random.below(naive.len() as u64) as usize;
                        let (slot, n) = naive.remove(at);
                        let turn = if at == 0 { Turn::Front } else { Turn::Behind };
                        assert_eq!(list.leave(slot), (turn, n, Some(slot)), "seed {seed}, step {step}");
                    }
                    4 if !granted.is_empty() => {
                        let (slot, n) = granted.swap_remove(random.below(granted.len() as u64) as usize);
                        assert_eq!(list.leave(slot), (Turn::Granted, n, None), "seed {seed}, step {step}");
                    }
                    5 => {
                        // Served ten steps ago or more: set aside, the longest first.
                        let until = step.saturating_sub(10);
                        while let Some(n) = list.set_aside(until) {
                            let at = granted.iter().position(|(slot, _)| list.is_aside(*slot));
                            let set = granted.remove(at.expect("one of them was set aside"));
                            assert_eq!(set.1, n, "seed {seed}, step {step}");
                            aside.push(set);
                        }
                    }
                    6 if !aside.is_empty() => {
                        let (slot, n) = aside.swap_remove(random.below(aside.len() as u64) as usize);
                        if random.below(2) == 0 {
                            assert!(list.rejoin(slot) && !list.rejoin(slot), "seed {seed}, step {step}");
                            assert_eq!(list.register(slot, slot), None);
                            naive.insert(0, (slot, n));
                        } else {
                            assert_eq!(list.leave(slot), (Turn::Behind, n, None), "seed {seed}, step {step}");
                        }
                    }
                    _ => {}
                }
                assert_eq!(list.has_granted(), !granted.is_empty(), "seed {seed}, step {step}");
                let weight: u128 = naive.iter().map(|(_, n)| u128::from(*n)).sum();
                assert_eq!(
                    (list.waiting(), list.weight(), list.front()),
                    (naive.len(), weight, naive.first().map(|(_, n)| (*n, Kind::Present))),
                    "seed {seed}, step {step}"
                );
                for (at, (slot, _)) in naive.iter().enumerate() {
                    let turn = if at == 0 { Turn::Front } else { Turn::Behind };
                    assert_eq!(list.turn(*slot), turn, "seed {seed}, step {step}");
                }
            }
        }
    }

    #[test]
    fn who_wants_no_waking_is_passed_over_when_somebody_is_woken_and_not_when_served() {
        let mut list = WaiterList::new();
        let slots: Vec<_> = (0..4).map(|_| list.join(3, Kind::Present)).collect();
        assert_eq!(list.take_front_waker(), None);
        for slot in [2, 3] {
            assert_eq!(list.register(slots[slot], slot), None);
        }
        let turns = |list: &WaiterList<_>| [0, 1, 2, 3].map(|slot| list.turn(slots[slot]));
        assert_eq!(turns(&list), [Turn::Front, Turn::Front, Turn::Front, Turn::Behind]);
        assert_eq!(list.ahead_of(slots[2]), (2, 6));
        assert_eq!(list.take_front_waker(), Some(2));
        assert_eq!(
            list.turn(slots[3]),
            Turn::Front,
            "the one before it was woken and is gone for now"
        );
        assert_eq!(
            list.grant_front(0),
            None,
            "the first is served, though nobody is woken for it"
        );
        assert_eq!(list.turn(slots[0]), Turn::Granted);
        assert_eq!(list.take_front_waker(), Some(3));
    }

    #[test]
    fn an_empty_list_has_nobody_to_serve() {
        let mut list = WaiterList::<()>::new();
        assert_eq!(
            (list.front(), list.grant_front(0), list.take_front_waker()),
            (None, None, None)
        );
    }

    #[test]
    fn a_list_that_was_long_gives_its_memory_back() {
        let mut list = WaiterList::<()>::new();
        let slots: Vec<_> = (0..10_000).map(|_| list.join(1, Kind::Present)).collect();
        for slot in slots {
            list.leave(slot);
        }
        assert_eq!(list.entries.capacity(), 0);
        assert_eq!(list.join(1, Kind::Present), 0);
    }
}
