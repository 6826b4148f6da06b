//! What a setting is: its key, its kind, and how it stands in the settings that code has.

use std::time::Duration;

use super::names;
use crate::patterns::circuit_breaker::{Abandoned, Shares, Window};
use crate::patterns::rate_limiter::{Network, Networks, ProxyHeader, WhenFull, WithoutKey};
use crate::patterns::retry::Jitter;
use crate::policy::document::{FromValue, Rate, Ratio, Value, ValueError, duration_text, whole};
use crate::policy::{LimitConfig, LimitKey, PolicyConfig, RateLimitPer};

/// One setting of a policy. Reader, writer, schema and the tables of the documentation are loops over these.
pub(super) struct Row<C: 'static = PolicyConfig> {
    /// The keys that lead to it, joined by points, such as `retry.backoff.base`.
    pub(super) path: &'static str,
    pub(super) kind: Kind,
    pub(super) doc: &'static str,
    access: Access<C>,
    /// Whether `false` switches it off.
    pub(super) can_be_off: bool,
    /// Whether it switches its part on: `[defaults]` without such a key gives values and no part.
    pub(super) is_switch: bool,
    /// An example, where its table needs it; for the strategies named, or for any if none is.
    needed: Option<(&'static str, &'static [&'static str])>,
    /// The strategies of its table that it belongs to; to any if none is named.
    pub(super) of: &'static [&'static str],
    /// Keys of its table, one of which it needs to have an effect, and what to do where all are missing.
    pub(super) needs: (&'static [&'static str], &'static str),
    default: Default<C>,
}

/// Where a setting is in the settings of code.
#[derive(Clone, Copy)]
pub(super) struct Access<C: 'static = PolicyConfig> {
    /// Its value, where it is set.
    pub(super) get: fn(&C) -> Option<Datum>,
    /// Sets it. `None` if the part that it belongs to is not there.
    pub(super) set: fn(&mut C, Datum) -> Option<()>,
}

/// A default that follows from other settings.
type Follow<C> = fn(&C) -> Option<Datum>;

enum Default<C> {
    /// It is what the part has when it is switched on.
    Plain,
    /// It is this while the setting is not set.
    Unset(Follow<C>),
    /// It is this. A setting with this value is not written, so that it goes on following the others.
    Equal(Follow<C>),
    /// A file without the setting has this.
    Start(Follow<C>),
}

impl Row {
    /// A setting of a policy.
    pub(super) const fn new(path: &'static str, kind: Kind, doc: &'static str, access: Access) -> Self {
        Self::of_settings(path, kind, doc, access)
    }
}

impl Row<LimitConfig> {
    /// A setting of a limit.
    pub(super) const fn limit(path: &'static str, kind: Kind, doc: &'static str, access: Access<LimitConfig>) -> Self {
        Self::of_settings(path, kind, doc, access)
    }
}

impl<C> Row<C> {
    const fn of_settings(path: &'static str, kind: Kind, doc: &'static str, access: Access<C>) -> Self {
        Self {
            path,
            kind,
            doc,
            access,
            can_be_off: false,
            is_switch: false,
            needed: None,
            of: &[],
            needs: (&[], ""),
            default: Default::Plain,
        }
    }

    /// `false` switches it off.
    pub(super) const fn off(mut self) -> Self {
        self.can_be_off = true;
        self
    }

    /// It switches its part on.
    pub(super) const fn switch(mut self) -> Self {
        self.is_switch = true;
        self
    }

    /// Its table needs it.
    pub(super) const fn needed(mut self, example: &'static str) -> Self {
        self.needed = Some((example, &[]));
        self
    }

    /// Its table needs it where it names one of these strategies.
    pub(super) const fn needed_by(mut self, strategies: &'static [&'static str], example: &'static str) -> Self {
        self.needed = Some((example, strategies));
        self
    }

    /// It belongs to these strategies.
    pub(super) const fn of(mut self, strategies: &'static [&'static str]) -> Self {
        self.of = strategies;
        self
    }

    /// It has no effect without one of these keys.
    pub(super) const fn needs(mut self, keys: &'static [&'static str]) -> Self {
        self.needs.0 = keys;
        self
    }

    /// What to do where it has no effect.
    pub(super) const fn or_else(mut self, help: &'static str) -> Self {
        self.needs.1 = help;
        self
    }

    pub(super) const fn unset(mut self, follow: Follow<C>) -> Self {
        self.default = Default::Unset(follow);
        self
    }

    pub(super) const fn equal(mut self, follow: Follow<C>) -> Self {
        self.default = Default::Equal(follow);
        self
    }

    pub(super) const fn start(mut self, follow: Follow<C>) -> Self {
        self.default = Default::Start(follow);
        self
    }

    /// The path of its table, and its key there.
    pub(super) fn split(&self) -> (&'static str, &'static str) {
        self.path.rsplit_once('.').unwrap_or(("", self.path))
    }

    /// The value that applies: what is set, or what follows from other settings.
    pub(super) fn value(&self, config: &C) -> Option<Datum> {
        (self.access.get)(config).or_else(|| match self.default {
            Default::Unset(follow) => follow(config),
            _ => None,
        })
    }

    /// Whether it has the value that follows from the others.
    pub(super) fn follows(&self, config: &C) -> bool {
        let set = (self.access.get)(config);
        match self.default {
            Default::Unset(_) => set.is_none(),
            Default::Equal(follow) => set == follow(config),
            _ => false,
        }
    }

    pub(super) fn set(&self, config: &mut C, datum: Datum) {
        // Its part was switched on when its table was opened.
        let _ = (self.access.set)(config, datum);
    }

    /// Sets it to what follows from the settings of a file.
    pub(super) fn leave_out(&self, config: &mut C) {
        if let Default::Equal(follow) | Default::Start(follow) = self.default
            && let Some(datum) = follow(config)
        {
            self.set(config, datum);
        }
    }

    /// An example of its value, where a table of this strategy needs it.
    pub(super) fn needed_in(&self, strategy: Option<Datum>) -> Option<&'static str> {
        let (example, strategies) = self.needed?;
        let is_needed = strategies.is_empty() || is_one_of(strategies, strategy);
        is_needed.then_some(example)
    }

    /// Whether it belongs into a table of this strategy.
    pub(super) fn belongs_to(&self, strategy: Option<Datum>) -> bool {
        self.of.is_empty() || is_one_of(self.of, strategy)
    }
}

fn is_one_of(strategies: &[&str], strategy: Option<Datum>) -> bool {
    matches!(strategy, Some(Datum::Word(name)) if strategies.contains(&name))
}

/// What a setting's value may be.
pub(super) enum Kind {
    /// Settings of its own.
    Table,
    /// A time, or a table that says how it is measured.
    Delay,
    Flag,
    /// A whole number from the first to the second.
    Whole(u64, u64),
    /// Any number; the range is said in the words of the schema.
    Number(&'static str),
    Time,
    TimeAboveZero,
    Ratio,
    /// A ratio above 0.
    Share,
    /// A ratio below 1.
    RatioBelowOne,
    /// A ratio above 0 and below 1.
    Fraction,
    /// A list of such.
    Fractions,
    Rate,
    /// A time, or a number of calls.
    Window,
    /// One of several names.
    Word(fn() -> Vec<&'static str>),
    /// A name of the service's own.
    Name,
    /// By what requests are told apart.
    Key,
    /// A list of addresses and networks.
    Networks,
}

impl Kind {
    pub(super) const COUNT: Self = Self::Whole(1, u64::MAX);
    pub(super) const CALLS: Self = Self::Whole(1, u32::MAX as u64);
    pub(super) const QUEUE: Self = Self::Whole(0, u32::MAX as u64);

    /// Reads a value that is no table; one that is not of the kind is noted.
    pub(super) fn read(&self, value: &Value<'_>) -> Option<Datum> {
        match *self {
            Self::Table => None,
            Self::Flag => value.read().map(Datum::Flag),
            Self::Whole(least, most) => value.read_with(|value| whole(value, least, most)).map(Datum::Whole),
            Self::Number(_) => value.read().map(Datum::Number),
            Self::Time | Self::TimeAboveZero | Self::Delay => value.read().map(Datum::Time),
            Self::Ratio | Self::Share | Self::RatioBelowOne | Self::Fraction => {
                value.read::<Ratio>().map(|ratio| Datum::Number(ratio.value()))
            }
            Self::Fractions => {
                let list: Option<Vec<Ratio>> = value.read_list()?.iter().map(Value::read).collect();
                let list: Vec<f64> = list?.into_iter().map(Ratio::value).collect();
                Some(Datum::Fractions(Shares::new(&list)))
            }
            Self::Rate => value.read::<Rate>().map(|rate| Datum::Rate(rate.per_second())),
            Self::Window => read_window(value).map(Datum::Window),
            Self::Word(names) => {
                let names: Vec<_> = names().into_iter().map(|name| (name, name)).collect();
                value.read_choice(&names).map(Datum::Word)
            }
            Self::Name => value.read_with(names::read).map(Datum::Word),
            Self::Key => value.read_with(read_key).map(Datum::Key),
            Self::Networks => read_networks(value).map(Datum::Networks),
        }
    }
}

fn read_key(value: &Value<'_>) -> Result<LimitKey, ValueError> {
    const RULE: &str = "must be \"ip\", \"all\", or \"header:\" and the name of a header";
    let Some(text) = value.as_text() else {
        return Err(ValueError::shape(RULE, value));
    };
    LimitKey::parse(text).ok_or_else(|| ValueError::new(RULE).help("write, for example, \"header:x-user\""))
}

fn read_networks(value: &Value<'_>) -> Option<Networks> {
    let network = |value: &Value<'_>| {
        let rule = "must be an address or a network";
        let text = value.as_text().ok_or_else(|| ValueError::shape(rule, value))?;
        text.parse::<Network>().map_err(|error| ValueError::new(error.rule))
    };
    let list: Option<Vec<Network>> = value.read_list()?.iter().map(|item| item.read_with(network)).collect();
    let list = list?;
    value.read_with(|_| Networks::of(&list).map_err(|error| ValueError::new(error.rule)))
}

fn read_window(value: &Value<'_>) -> Option<Window> {
    if let Some(window) = value.as_table() {
        let Some(calls) = window.value("calls") else {
            window.report_missing("calls", Some("100"));
            return None;
        };
        let calls = calls.read_with(|value| whole(value, 1, Window::MOST_CALLS.into()))?;
        return u32::try_from(calls).ok().map(Window::Calls);
    }
    let time = |value: &Value<'_>| {
        if value.as_text().is_some() {
            FromValue::from_value(value)
        } else {
            let refusal = ValueError::shape("must be a duration or a number of calls", value);
            Err(refusal.help("write \"30s\" or { calls = 100 }"))
        }
    };
    value.read_with(time).map(Window::Time)
}

/// A value as a file has it.
#[expect(
    clippy::large_enum_variant,
    reason = "settings are plain values, and few exist at a time"
)]
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Datum {
    /// `false` in place of a value or a table.
    Off,
    /// A table, which says the rest.
    On,
    Flag(bool),
    Whole(u64),
    Number(f64),
    Time(Duration),
    Rate(f64),
    Fractions(Shares),
    Window(Window),
    Word(&'static str),
    Key(LimitKey),
    Networks(Networks),
}

impl Datum {
    /// The value in TOML; a table has none of its own.
    pub(super) fn text(self) -> Option<String> {
        Some(match self {
            Self::On => return None,
            Self::Off => "false".to_owned(),
            Self::Flag(flag) => flag.to_string(),
            Self::Whole(number) => number.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Time(time) | Self::Window(Window::Time(time)) => format!("\"{}\"", duration_text(time)),
            Self::Rate(rate) => format!("\"{}\"", super::text::rate_text(rate)),
            Self::Fractions(shares) => {
                let list = (0..shares.len()).filter_map(|stage| shares.of(stage));
                let list: Vec<String> = list.map(|share| share.to_string()).collect();
                format!("[{}]", list.join(", "))
            }
            Self::Window(Window::Calls(calls)) => format!("{{ calls = {calls} }}"),
            Self::Word(word) => format!("\"{word}\""),
            Self::Key(key) => format!("\"{key}\""),
            Self::Networks(networks) => {
                let list: Vec<String> = networks.iter().map(|network| format!("\"{network}\"")).collect();
                format!("[{}]", list.join(", "))
            }
        })
    }
}

/// A field of the settings of code. A datum of another kind, which the row's kind never reads, leaves it as it is.
pub(super) trait Field {
    fn datum(&self) -> Option<Datum>;
    fn put(&mut self, datum: Datum);
}

macro_rules! fields {
    ($($type:ty: $kind:ident),+ $(,)?) => {
        $(impl Field for $type {
            fn datum(&self) -> Option<Datum> {
                Some(Datum::$kind((*self).try_into().ok()?))
            }

            fn put(&mut self, datum: Datum) {
                if let Datum::$kind(value) = datum
                    && let Ok(value) = value.try_into()
                {
                    *self = value;
                }
            }
        })+
    };
}

fields!(bool: Flag, u32: Whole, u64: Whole, usize: Whole, f64: Number, Duration: Time, Shares: Fractions, Window: Window, LimitKey: Key, Networks: Networks);

impl<T: Field + Empty> Field for Option<T> {
    fn datum(&self) -> Option<Datum> {
        self.as_ref()?.datum()
    }

    fn put(&mut self, datum: Datum) {
        *self = (datum != Datum::Off).then(|| {
            let mut value = T::EMPTY;
            value.put(datum);
            value
        });
    }
}

/// A value to start from, which is overwritten.
pub(super) trait Empty {
    const EMPTY: Self;
}

macro_rules! empty {
    ($($type:ty: $empty:expr),+ $(,)?) => {
        $(impl Empty for $type {
            const EMPTY: Self = $empty;
        })+
    };
}

impl Field for &'static str {
    fn datum(&self) -> Option<Datum> {
        Some(Datum::Word(self))
    }

    fn put(&mut self, datum: Datum) {
        if let Datum::Word(word) = datum {
            *self = word;
        }
    }
}

empty!(u64: 0, f64: 0.0, &'static str: "", Duration: Duration::ZERO, Window: Window::Calls(0));

macro_rules! words {
    ($($type:ty),+ $(,)?) => {
        $(impl Field for $type {
            fn datum(&self) -> Option<Datum> {
                let (name, _) = Self::NAMES.iter().find(|(_, value)| value == self)?;
                Some(Datum::Word(name))
            }

            fn put(&mut self, datum: Datum) {
                let named = Self::NAMES.iter().find(|(name, _)| datum == Datum::Word(name));
                *self = named.map_or(*self, |(_, value)| *value);
            }
        })+
    };
}

words!(Abandoned, Jitter, ProxyHeader, RateLimitPer, WhenFull, WithoutKey);

/// The names of a kind's words.
pub(super) fn names<T>(words: &[(&'static str, T)]) -> Vec<&'static str> {
    words.iter().map(|(name, _)| *name).collect()
}

/// The access to a field: `at!(rate_limit / warm_up; period)` is `config.rate_limit?.warm_up?.period`.
macro_rules! at {
    ($($part:ident)/ * ; $field:ident) => {
        Access {
            get: |config| config$(.$part.as_ref()?)*.$field.datum(),
            set: |config, datum| {
                config$(.$part.as_mut()?)*.$field.put(datum);
                Some(())
            },
        }
    };
}

/// The access to an optional part, which starts with the defaults given.
macro_rules! part {
    ($($part:ident)/ * ; $field:ident = $default:expr) => {
        Access {
            get: |_| None,
            set: |config, datum| {
                config$(.$part.as_mut()?)*.$field = (datum != Datum::Off).then_some($default);
                Some(())
            },
        }
    };
}

pub(super) use {at, part};
