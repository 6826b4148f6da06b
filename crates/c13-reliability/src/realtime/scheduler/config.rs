//! What can be set: for a periodic task, and for the thread that runs tasks.

use crate::error::{ConfigError, ConfigValue};
use crate::setters::setters;
use std::time::Duration;

/// The reference case: one tick every 2 ms.
pub const PERIOD: Duration = Duration::from_millis(2);
/// The shortest period. Below it, waking up costs more than most tasks.
pub const MIN_PERIOD: Duration = Duration::from_micros(100);

const TASK: &str = "periodic task";
const THREAD: &str = "scheduler thread";

/// What becomes of ticks that came due while the task, or the machine, was busy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissedTicks {
    /// They are left out and counted; the next tick is the first that is not yet due.
    #[default]
    Skip,
    /// They are run at once, one after the other; those more than `at_most` behind are left out and counted.
    CatchUp {
        /// How many ticks may wait to be caught up with. At least 1.
        at_most: u32,
    },
    /// As `Skip`, and [`SchedulerEvent::Missed`](super::SchedulerEvent::Missed) says which ones.
    Report,
}

/// What can be set for a periodic task.
///
/// ```
/// use c13_reliability::realtime::scheduler::{MissedTicks, TaskConfig};
/// use std::time::Duration;
///
/// const SENSOR: TaskConfig = TaskConfig::every(Duration::from_millis(2))
///     .deadline(Duration::from_micros(500))
///     .missed(MissedTicks::CatchUp { at_most: 3 });
/// assert!(SENSOR.validate().is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskConfig {
    /// From one tick to the next, at least [`MIN_PERIOD`]. Default: [`PERIOD`], 2 ms.
    pub period: Duration,
    /// How long after the scheduler's start tick 0 is due. Default: zero, at once.
    pub phase: Duration,
    /// How long after it was due a tick must be done; later is a missed deadline. `None` (default) is the period.
    pub deadline: Option<Duration>,
    /// What becomes of missed ticks. Default: they are skipped.
    pub missed: MissedTicks,
    /// Which task runs first when several are due: the one with the greater number. Default: 0.
    pub priority: u8,
    /// After how long a run is reported as stuck while it still runs. `None` (default) is never.
    pub stuck_after: Option<Duration>,
}

impl TaskConfig {
    /// A task with this period and the defaults.
    #[must_use]
    pub const fn every(period: Duration) -> Self {
        Self {
            period,
            phase: Duration::ZERO,
            deadline: None,
            missed: MissedTicks::Skip,
            priority: 0,
            stuck_after: None,
        }
    }

    setters! {
        /// Sets how long after the start tick 0 is due.
        phase: Duration,
        /// Sets how long after it was due a tick must be done.
        deadline: Duration => Some,
        /// Sets what becomes of missed ticks.
        missed: MissedTicks,
        /// Sets which task runs first when several are due: the one with the greater number.
        priority: u8,
        /// Sets after how long a run is reported as stuck.
        stuck_after: Duration => Some,
    }

    /// Checks it.
    ///
    /// # Errors
    ///
    /// The first setting that breaks its rule.
    pub const fn validate(&self) -> Result<(), ConfigError> {
        if self.period.as_nanos() < MIN_PERIOD.as_nanos() {
            return Err(too_short("period", self.period, "must be at least 100 µs"));
        }
        if self.period.as_nanos() > u64::MAX as u128 {
            return Err(too_short("period", self.period, "must be at most 584 years"));
        }
        if let MissedTicks::CatchUp { at_most: 0 } = self.missed {
            let rule = "must be at least 1; to catch up with none, skip";
            return Err(ConfigError::new(TASK, "missed.at_most", ConfigValue::Count(0), rule));
        }
        match (self.deadline, self.stuck_after) {
            (Some(Duration::ZERO), _) => Err(too_short("deadline", Duration::ZERO, "must be longer than zero")),
            (_, Some(Duration::ZERO)) => Err(too_short("stuck_after", Duration::ZERO, "must be longer than zero")),
            _ => Ok(()),
        }
    }
}

impl Default for TaskConfig {
    fn default() -> Self {
        Self::every(PERIOD)
    }
}

const fn too_short(setting: &'static str, value: Duration, rule: &'static str) -> ConfigError {
    ConfigError::new(TASK, setting, ConfigValue::Duration(value), rule)
}

/// What can be set for the thread that runs periodic tasks.
///
/// What needs privileges is off unless set. Where it is refused the thread runs without it and says so
/// ([`RunningThread::refusals`](super::RunningThread::refusals)), unless `insist` is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThreadConfig {
    /// Run on this processor only, counted from 0. Default: any.
    pub cpu: Option<usize>,
    /// Run under `SCHED_FIFO` with this priority, 1 to 99: before every ordinary thread. Needs privileges. Default: no.
    pub fifo: Option<u8>,
    /// How long before a tick is due the thread stops sleeping and spins, so that it is there when the tick is due. Costs
    /// processor time; at most 1 ms. Default: zero.
    pub spin: Duration,
    /// Ask the kernel for timers that are exact to 1 ns instead of 50 µs. Default: yes.
    pub exact_timers: bool,
    /// Keep the process's memory from being paged out. Needs privileges. Default: no.
    pub lock_memory: bool,
    /// Keep all processors out of deep sleep while the thread lives, so that they wake at once; costs power. Needs write
    /// access to `/dev/cpu_dma_latency`. Default: no.
    pub shallow_sleep: bool,
    /// Whether a refusal of any of these keeps the thread from starting. Default: no.
    pub insist: bool,
}

impl ThreadConfig {
    /// The defaults: an ordinary thread with exact timers.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            cpu: None,
            fifo: None,
            spin: Duration::ZERO,
            exact_timers: true,
            lock_memory: false,
            shallow_sleep: false,
            insist: false,
        }
    }

    /// All that sharpens a tick: `SCHED_FIFO` at 80, a spin of 60 µs, locked memory, shallow sleep.
    #[must_use]
    pub const fn sharpest() -> Self {
        let mut config = Self::new();
        config.fifo = Some(80);
        config.spin = Duration::from_micros(60);
        config.lock_memory = true;
        config.shallow_sleep = true;
        config
    }

    setters! {
        /// Sets the processor to run on.
        cpu: usize => Some,
        /// Sets the priority under `SCHED_FIFO`.
        fifo: u8 => Some,
        /// Sets how long before a tick the thread spins.
        spin: Duration,
        /// Sets whether timers are exact to 1 ns.
        exact_timers: bool,
        /// Sets whether memory is locked.
        lock_memory: bool,
        /// Sets whether processors are kept out of deep sleep.
        shallow_sleep: bool,
        /// Sets whether a refusal keeps the thread from starting.
        insist: bool,
    }

    /// Checks it.
    ///
    /// # Errors
    ///
    /// The first setting that breaks its rule.
    pub const fn validate(&self) -> Result<(), ConfigError> {
        if let Some(priority) = self.fifo
            && (priority == 0 || priority > 99)
        {
            let value = ConfigValue::Count(priority as u64);
            return Err(ConfigError::new(THREAD, "fifo", value, "must be from 1 to 99"));
        }
        if let Some(cpu) = self.cpu
            && cpu >= 1024
        {
            let value = ConfigValue::Count(cpu as u64);
            return Err(ConfigError::new(THREAD, "cpu", value, "must be below 1024"));
        }
        if self.spin.as_nanos() > 1_000_000 {
            let value = ConfigValue::Duration(self.spin);
            return Err(ConfigError::new(THREAD, "spin", value, "must be at most 1 ms"));
        }
        Ok(())
    }
}

impl Default for ThreadConfig {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_makes_no_sense_is_named() {
        let ms = Duration::from_millis;
        let task = |config: TaskConfig| config.validate().map_err(|error| error.setting);
        assert_eq!(task(TaskConfig::every(Duration::from_micros(99))), Err("period"));
        assert_eq!(task(TaskConfig::every(Duration::MAX)), Err("period"));
        assert_eq!(task(TaskConfig::every(MIN_PERIOD)), Ok(()));
        let none = MissedTicks::CatchUp { at_most: 0 };
        assert_eq!(task(TaskConfig::default().missed(none)), Err("missed.at_most"));
        assert_eq!(task(TaskConfig::default().deadline(ms(0))), Err("deadline"));
        assert_eq!(task(TaskConfig::default().stuck_after(ms(0))), Err("stuck_after"));
        let thread = |config: ThreadConfig| config.validate().map_err(|error| error.setting);
        assert_eq!(thread(ThreadConfig::new().fifo(0)), Err("fifo"));
        assert_eq!(thread(ThreadConfig::new().fifo(100)), Err("fifo"));
        assert_eq!(thread(ThreadConfig::new().cpu(1024)), Err("cpu"));
        assert_eq!(thread(ThreadConfig::new().spin(ms(2))), Err("spin"));
        assert_eq!(thread(ThreadConfig::sharpest().cpu(1)), Ok(()));
    }
}
