//! Which children are started, stopped and given up, and when: decisions as values.

use super::config::{ChildConfig, Restart, Strategy, SupervisorConfig};
use super::snapshot::{ChildState, Exit};
use crate::time::Tick;
use std::collections::VecDeque;
use std::time::Duration;

/// What is to be done with a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Start(usize),
    /// Ask it to stop.
    Stop(usize),
    /// Its time to stop is over: end it, or leave it to itself.
    Abandon(usize),
}

/// How the supervisor ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// All children ended by themselves and none is to be started again.
    Done,
    /// It was asked to.
    Stopped,
    /// There would have been one restart too many, for this child.
    TooManyRestarts(usize),
}

#[derive(Clone, Copy, Debug)]
struct Child {
    config: ChildConfig,
    state: ChildState,
    restarts: u64,
    /// Failures in a row.
    streak: u32,
}

/// What happens once those that are being stopped have stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// All children from this one on are started again at that time.
    Restart {
        from: usize,
        at: Tick,
    },
    End(Ending),
}

/// All children of one supervisor. Complexity of each event: O(children).
#[derive(Debug)]
pub(super) struct Machine {
    config: SupervisorConfig,
    children: Vec<Child>,
    /// When the latest restarts were decided, of those within the time that counts.
    restarts: VecDeque<Tick>,
    then: Option<Then>,
    actions: VecDeque<Action>,
    ending: Option<Ending>,
}

impl Machine {
    pub(super) fn new(config: SupervisorConfig, children: impl Iterator<Item = ChildConfig>) -> Self {
        let child = |config| Child {
            config,
            state: ChildState::Waiting,
            restarts: 0,
            streak: 0,
        };
        Self {
            config,
            children: children.map(child).collect(),
            restarts: VecDeque::new(),
            then: None,
            actions: VecDeque::new(),
            ending: None,
        }
    }

    /// Starts all children in order.
    pub(super) fn begin(&mut self, now: Tick) {
        for index in 0..self.children.len() {
            self.start(index, now);
        }
        self.settle(now);
    }

    /// What is to be done next.
    pub(super) fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// How it ended, once every child has.
    pub(super) fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// What a child does, and how often it was started again.
    pub(super) fn child(&self, index: usize) -> (ChildState, u64) {
        let child = &self.children[index];
        (child.state, child.restarts)
    }

    /// When [`tick`](Machine::tick) is to be called next.
    pub(super) fn next_timer(&self) -> Option<Tick> {
        let until = |child: &Child| match child.state {
            ChildState::BackingOff { until } | ChildState::Stopping { until } => Some(until),
            _ => None,
        };
        self.children.iter().filter_map(until).min()
    }

    /// Starts those whose wait is over, and gives up those that did not stop in time.
    pub(super) fn tick(&mut self, now: Tick) {
        for index in 0..self.children.len() {
            match self.children[index].state {
                ChildState::BackingOff { until } if until <= now => {
                    self.children[index].restarts += 1;
                    self.start(index, now);
                }
                ChildState::Stopping { until } if until <= now => {
                    self.children[index].state = ChildState::Abandoned;
                    self.actions.push_back(Action::Abandon(index));
                }
                _ => {}
            }
        }
        self.settle(now);
    }

    /// A child ended. `random`, from 0 to 1, is what jitter is drawn with.
    pub(super) fn exited(&mut self, index: usize, exit: Exit, now: Tick, random: f64) {
        let child = &mut self.children[index];
        let since = match child.state {
            ChildState::Running { since } => since,
            ChildState::Stopping { .. } => {
                child.state = ChildState::Stopped;
                return self.settle(now);
            }
            _ => return,
        };
        let again = match child.config.restart {
            Restart::Always => true,
            Restart::OnFailure => exit != Exit::Done,
            Restart::Never => false,
        };
        child.state = ChildState::Ended(exit);
        if !again || matches!(self.then, Some(Then::End(_))) {
            return self.settle(now);
        }
        if now - since >= self.config.stable_after {
            child.streak = 0;
        }
        let at = now + backoff(&self.config, child.streak, random);
        child.streak = child.streak.saturating_add(1);
        if !self.count_restart(now) {
            return self.end(Ending::TooManyRestarts(index), now);
        }
        let from = match self.config.strategy {
            Strategy::OneForOne => {
                self.children[index].state = ChildState::BackingOff { until: at };
                return self.tick(now);
            }
            Strategy::OneForAll => 0,
            Strategy::RestForOne => index,
        };
        // It has ended already, but is part of what is started again.
        self.children[index].state = ChildState::Stopped;
        self.then = Some(match self.then {
            Some(Then::Restart { from: also, at: later }) => Then::Restart {
                from: from.min(also),
                at: at.max(later),
            },
            _ => Then::Restart { from, at },
        });
        self.settle(now);
    }

    /// Stops all children, last started first.
    pub(super) fn shut_down(&mut self, now: Tick) {
        if self.ending.is_none() && !matches!(self.then, Some(Then::End(_))) {
            self.end(Ending::Stopped, now);
        }
    }

    fn end(&mut self, ending: Ending, now: Tick) {
        self.then = Some(Then::End(ending));
        self.settle(now);
    }

    fn start(&mut self, index: usize, now: Tick) {
        self.children[index].state = ChildState::Running { since: now };
        self.actions.push_back(Action::Start(index));
    }

    /// Notes a restart; says whether it is one of those that there may be.
    fn count_restart(&mut self, now: Tick) -> bool {
        let within = self.config.within;
        while self.restarts.front().is_some_and(|at| now - *at >= within) {
            self.restarts.pop_front();
        }
        self.restarts.push_back(now);
        self.restarts.len() <= self.config.max_restarts as usize
    }

    /// Stops the next of those that have to stop, one at a time and last started first; once all have, does what is to
    /// be done then.
    fn settle(&mut self, now: Tick) {
        let Some(then) = self.then else {
            if self
                .children
                .iter()
                .all(|child| matches!(child.state, ChildState::Ended(_)))
            {
                self.ending.get_or_insert(Ending::Done);
            }
            return;
        };
        let from = match then {
            Then::Restart { from, .. } => from,
            Then::End(_) => 0,
        };
        for index in (from..self.children.len()).rev() {
            let child = &mut self.children[index];
            match child.state {
                ChildState::Stopping { .. } => return,
                ChildState::Running { .. } => {
                    let until = now + child.config.stop_within;
                    child.state = ChildState::Stopping { until };
                    self.actions.push_back(Action::Stop(index));
                    return;
                }
                ChildState::Waiting | ChildState::BackingOff { .. } => child.state = ChildState::Stopped,
                _ => {}
            }
        }
        match then {
            Then::End(ending) => self.ending = Some(ending),
            Then::Restart { at, .. } => {
                self.then = None;
                for child in &mut self.children[from..] {
                    // Those that ended for good stay ended.
                    if matches!(child.state, ChildState::Stopped | ChildState::Abandoned) {
                        child.state = ChildState::BackingOff { until: at };
                    }
                }
                self.tick(now);
            }
        }
    }
}

/// How long to wait before a restart, with this many failures in a row before this one: the first is at once.
fn backoff(config: &SupervisorConfig, streak: u32, random: f64) -> Duration {
    let Some(doublings) = streak.checked_sub(1) else {
        return Duration::ZERO;
    };
    let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
    let wait = config.backoff.saturating_mul(factor).min(config.max_backoff);
    // Only the shortening is computed in floating point, and it is at most the wait.
    wait.saturating_sub(Duration::try_from_secs_f64(wait.as_secs_f64() * config.jitter * random).unwrap_or(wait))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Random;

    const MS: Duration = Duration::from_millis(1);
    const ANY: ChildConfig = ChildConfig::new();

    fn at(ms: u64) -> Tick {
        Tick::from_nanos(ms * 1_000_000)
    }

    fn machine(strategy: Strategy, children: &[ChildConfig]) -> Machine {
        let config = SupervisorConfig::new().strategy(strategy).jitter(0.0);
        let mut machine = Machine::new(config, children.iter().copied());
        machine.begin(at(0));
        let started = (0..children.len()).map(Action::Start).collect::<Vec<_>>();
        assert_eq!(actions(&mut machine), started);
        machine
    }

    fn actions(machine: &mut Machine) -> Vec<Action> {
        std::iter::from_fn(|| machine.next_action()).collect()
    }

    #[test]
    fn the_first_restart_is_at_once_and_further_ones_wait_twice_as_long_each_time() {
        let mut machine = machine(Strategy::OneForOne, &[ANY, ANY]);
        machine.exited(1, Exit::Panicked, at(0), 0.0);
        assert_eq!(actions(&mut machine), [Action::Start(1)]);
        let mut now = at(0);
        for wait in [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000] {
            machine.exited(1, Exit::Failed, now, 0.0);
            now += wait * MS;
            assert_eq!(machine.next_timer(), Some(now));
            machine.tick(now - Duration::from_nanos(1));
            assert_eq!(actions(&mut machine), []);
            machine.tick(now);
            assert_eq!(actions(&mut machine), [Action::Start(1)]);
        }
        assert_eq!(machine.child(1), (ChildState::Running { since: now }, 10));
        assert_eq!(machine.child(0), (ChildState::Running { since: at(0) }, 0));
    }

    #[test]
    fn a_child_that_ran_long_enough_fails_for_the_first_time_again() {
        let mut machine = machine(Strategy::OneForOne, &[ANY]);
        machine.exited(0, Exit::Failed, at(10), 0.0);
        machine.exited(0, Exit::Failed, at(30_010), 0.0);
        assert_eq!(actions(&mut machine), [Action::Start(0), Action::Start(0)]);
        machine.exited(0, Exit::Failed, at(60_009), 0.0);
        assert_eq!(machine.child(0).0, ChildState::BackingOff { until: at(60_109) });
    }

    #[test]
    fn one_restart_too_many_within_the_time_stops_everything() {
        let mut machine = machine(Strategy::OneForOne, &[ANY, ANY]);
        machine.config = machine
            .config
            .intensity(2, 1000 * MS)
            .backoff(Duration::ZERO, Duration::ZERO);
        machine.exited(0, Exit::Failed, at(0), 0.0);
        machine.exited(1, Exit::Failed, at(999), 0.0);
        // The first no longer counts.
        machine.exited(0, Exit::Failed, at(1000), 0.0);
        assert_eq!(actions(&mut machine).len(), 3);
        machine.exited(0, Exit::Failed, at(1998), 0.0);
        assert_eq!(actions(&mut machine), [Action::Stop(1)]);
        assert_eq!(machine.ending(), None);
        machine.exited(1, Exit::Done, at(2000), 0.0);
        assert_eq!(machine.ending(), Some(Ending::TooManyRestarts(0)));
        assert_eq!(machine.next_timer(), None);
    }

    #[test]
    fn one_for_all_stops_the_others_backwards_and_starts_all_in_order() {
        let mut machine = machine(Strategy::OneForAll, &[ANY; 4]);
        machine.exited(1, Exit::Failed, at(5), 0.0);
        for index in [3, 2, 0] {
            assert_eq!(actions(&mut machine), [Action::Stop(index)]);
            machine.exited(index, Exit::Done, at(6), 0.0);
        }
        assert_eq!(actions(&mut machine), [0, 1, 2, 3].map(Action::Start));
        assert_eq!(machine.child(3), (ChildState::Running { since: at(6) }, 1));
    }

    #[test]
    fn rest_for_one_leaves_those_before_alone() {
        let mut machine = machine(Strategy::RestForOne, &[ANY; 4]);
        machine.exited(2, Exit::Failed, at(4), 0.0);
        assert_eq!(actions(&mut machine), [Action::Stop(3)]);
        machine.exited(3, Exit::Done, at(4), 0.0);
        assert_eq!(actions(&mut machine), [Action::Start(2), Action::Start(3)]);
        machine.exited(1, Exit::Failed, at(5), 0.0);
        assert_eq!(actions(&mut machine), [Action::Stop(3)]);
        // An earlier one fails meanwhile: its rest includes the other's.
        machine.exited(0, Exit::Panicked, at(5), 0.0);
        assert_eq!(actions(&mut machine), []);
        machine.exited(3, Exit::Done, at(6), 0.0);
        assert_eq!(actions(&mut machine), [Action::Stop(2)]);
        machine.exited(2, Exit::Failed, at(7), 0.0);
        assert_eq!(actions(&mut machine), [0, 1, 2, 3].map(Action::Start));
    }

    #[test]
    fn a_child_that_has_done_its_work_is_not_started_by_its_siblings() {
        let once = ANY.restart(Restart::Never);
        let work = ANY.restart(Restart::OnFailure);
        let mut machine = machine(Strategy::OneForAll, &[ANY, work, once]);
        machine.exited(1, Exit::Done, at(1), 0.0);
        machine.exited(2, Exit::Failed, at(1), 0.0);
        machine.exited(0, Exit::Done, at(2), 0.0);
        assert_eq!(actions(&mut machine), [Action::Start(0)]);
        assert_eq!(machine.child(1).0, ChildState::Ended(Exit::Done));
        assert_eq!(machine.ending(), None);
    }

    #[test]
    fn it_is_done_when_no_child_is_to_run_any_more() {
        let mut two = machine(Strategy::OneForOne, &[ANY.restart(Restart::OnFailure); 2]);
        two.exited(0, Exit::Done, at(1), 0.0);
        assert_eq!(two.ending(), None);
        two.exited(1, Exit::Done, at(1), 0.0);
        assert_eq!(two.ending(), Some(Ending::Done));
        assert_eq!(machine(Strategy::OneForOne, &[]).ending(), Some(Ending::Done));
    }

    #[test]
    fn a_child_that_does_not_stop_in_time_is_given_up_and_the_next_one_is_asked() {
        let mut machine = machine(Strategy::OneForOne, &[ANY.stop_within(10 * MS); 3]);
        machine.shut_down(at(0));
        assert_eq!(actions(&mut machine), [Action::Stop(2)]);
        machine.tick(at(10));
        assert_eq!(actions(&mut machine), [Action::Abandon(2), Action::Stop(1)]);
        machine.shut_down(at(10));
        machine.exited(1, Exit::Panicked, at(11), 0.0);
        assert_eq!(actions(&mut machine), [Action::Stop(0)]);
        machine.tick(at(21));
        assert_eq!(machine.ending(), Some(Ending::Stopped));
        assert_eq!(machine.child(2).0, ChildState::Abandoned);
        assert_eq!(machine.child(1).0, ChildState::Stopped);
    }

    #[test]
    fn a_wait_never_overflows_and_jitter_only_shortens_it() {
        let config = SupervisorConfig::new().jitter(0.5);
        for streak in [1, 2, 31, 32, 33, u32::MAX] {
            for random in [0.0, 0.3, 1.0] {
                let wait = backoff(&config, streak, random);
                assert!(wait <= config.max_backoff && wait >= config.backoff / 2, "{wait:?}");
            }
        }
        let huge = config.backoff(Duration::MAX, Duration::MAX);
        assert_eq!(backoff(&huge, 2, 0.0), Duration::MAX);
        assert!(backoff(&huge, 2, 1.0) <= Duration::MAX);
    }

    /// For any events in any order: children are stopped one at a time, a shutdown ends within the sum of the
    /// limits, and no child that runs is started.
    #[test]
    fn random_lives_end_in_time() {
        for seed in 0..2_000 {
            let random = Random::new(seed);
            let strategies = [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne];
            let strategy = strategies[random.below(3) as usize];
            let restarts = [Restart::Always, Restart::OnFailure, Restart::Never];
            let child = |_| {
                let restart = restarts[random.below(3) as usize];
                ANY.stop_within(random.below(20) as u32 * MS).restart(restart)
            };
            let children: Vec<_> = (0..1 + random.below(5)).map(child).collect();
            let config = SupervisorConfig::new().strategy(strategy).intensity(5, 500 * MS);
            let mut machine = Machine::new(config, children.iter().copied());
            let mut alive = vec![false; children.len()];
            let (mut now, mut stop_at) = (0, None);
            machine.begin(at(0));
            loop {
                while let Some(action) = machine.next_action() {
                    match action {
                        Action::Start(index) => assert!(!std::mem::replace(&mut alive[index], true), "seed {seed}"),
                        Action::Stop(index) => assert!(alive[index], "seed {seed}"),
                        Action::Abandon(index) => alive[index] = false,
                    }
                }
                let stopping = |child: &&Child| matches!(child.state, ChildState::Stopping { .. });
                let stopping = machine.children.iter().filter(stopping).count();
                assert!(stopping <= 1, "seed {seed}: one at a time");
                if machine.ending().is_some() {
                    break;
                }
                now += random.below(5);
                let index = random.below(children.len() as u64) as usize;
                if alive[index] && random.below(4) == 0 {
                    alive[index] = false;
                    let exit = [Exit::Done, Exit::Failed, Exit::Panicked][random.below(3) as usize];
                    machine.exited(index, exit, at(now), random.unit());
                }
                machine.tick(at(now));
                if now > 1_000 && stop_at.is_none() {
                    machine.shut_down(at(now));
                    stop_at = Some(now);
                }
                assert!(
                    stop_at.is_none_or(|stop| now <= stop + 130),
                    "seed {seed}: a shutdown hangs"
                );
            }
            assert!(
                !alive.contains(&true),
                "seed {seed}: somebody still runs after {:?}",
                machine.ending()
            );
        }
    }
}
