//! One policy of a set, and where each of its settings comes from, layer by layer.

use std::fmt::Write as _;

use super::idle::{idle_settings, leads_on};
use super::overlay::{SET, is_ours};
use super::settings::Settings;
use super::text::{canonical, follows, leaves_of};
use crate::policy::document::{Document, Source, Span, Table};
use crate::policy::{LimitConfig, PolicyConfig};

/// A policy and where its settings come from.
pub type NamedPolicy = NamedSettings<PolicyConfig>;

/// A limit and where its settings come from.
pub type NamedLimit = NamedSettings<LimitConfig>;

/// The settings of a policy or of a limit, and where they come from.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedSettings<C> {
    config: C,
    settings: Vec<Setting>,
    switched_off: Vec<Setting>,
    bare: Vec<Setting>,
    idle: Vec<Setting>,
    extends: Option<Setting>,
}

#[expect(
    private_bounds,
    reason = "there are the settings of policies and of limits, and no others"
)]
impl<C: Settings> NamedSettings<C> {
    pub(super) fn new(config: C, layers: &[Table<'_>]) -> Self {
        let document = Document::layered("", layers);
        let merged = document.as_ref().map(Document::root);
        let place = |path: &str| merged.as_ref().and_then(|table| table.place_with_key(path));
        let setting = |path: String, value: String| Setting::new(path, value, place, layers);
        let settings: Vec<Setting> = leaves_of(&config)
            .into_iter()
            .map(|leaf| setting(leaf.path, leaf.value))
            .collect();
        let is_setting = |path: &str| settings.iter().any(|setting| setting.path == path);
        let is_on = |part: &str| settings.iter().any(|setting| leads_on(part, &setting.path));
        // Defaults of a part that is not there have no effect.
        let means_something = |path: &str| match path.rsplit_once('.') {
            Some((part, _)) => part == "timeout" || is_on(part),
            None => true,
        };
        let off = merged.as_ref().map_or_else(Vec::new, Table::switched_off).into_iter();
        let off = off.filter(|path| !is_setting(path) && means_something(path));
        let switched_off: Vec<Setting> = off.map(|path| setting(path, "false".to_owned())).collect();
        let said = merged.as_ref().map_or_else(Vec::new, |table| table.said_of(""));
        let bare = said.iter().filter(|said| said.text == "{}" && is_on(&said.path));
        let bare: Vec<Setting> = bare.map(|said| setting(said.path.clone(), said.text.clone())).collect();
        let idle = idle_settings(&settings, &[&switched_off, &bare], layers);
        let extends = said.iter().find(|said| said.path == "extends").map(|said| {
            // What another policy extends is not hidden by what this one does.
            let name = layers.last().map(Table::path);
            let own: Vec<Table<'_>> = layers
                .iter()
                .filter(|layer| Some(layer.path()) == name)
                .cloned()
                .collect();
            Setting::new(said.path.clone(), canonical(&said.text), place, &own)
        });
        Self {
            config,
            settings,
            switched_off,
            bare,
            idle,
            extends,
        }
    }

    /// The settings as patterns take them.
    #[must_use]
    pub fn config(&self) -> C {
        self.config
    }

    /// Every setting by name, defaults included.
    #[must_use]
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// A setting by its path within the policy, such as `timeout.total`.
    #[must_use]
    pub fn setting(&self, path: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.path == path)
    }

    /// Every part, and every rule of the breaker, that is switched off with `false`.
    #[must_use]
    pub fn switched_off(&self) -> &[Setting] {
        &self.switched_off
    }

    /// Settings of the layers that have no effect in this policy: those of `[defaults]` for parts that nothing switches on, those
    /// that are [hidden](Setting::hidden_by) by a setting of another name, and those that nothing asks for.
    #[must_use]
    pub fn idle(&self) -> &[Setting] {
        &self.idle
    }

    /// The profile or the policy that this one extends, if any.
    #[must_use]
    pub fn extends(&self) -> Option<&Setting> {
        self.extends.as_ref()
    }

    /// What the layers say, without the defaults: the settings that stand somewhere, what is switched off, and the tables
    /// that hold nothing but switch a part on, such as `adaptive = {}`. As a file, it reads back as the same policy.
    pub fn said(&self) -> impl Iterator<Item = &Setting> {
        let settings = self.settings.iter().filter(|setting| setting.span().is_some());
        settings.chain(&self.switched_off).chain(&self.bare)
    }

    /// The policy as a document of its own, to go under other tables: every value keeps its place in the layers, and those that
    /// are defaults stand in a text called `name`.
    ///
    /// It says nothing of defaults that follow from other settings, as [`policy_text`](super::policy_text) does.
    #[must_use]
    pub fn document(&self, name: &str) -> Document {
        let said = |setting: &&Setting| setting.span().is_some() || !follows(&self.config, &setting.path);
        let said = self.settings.iter().filter(said);
        let text = said.clone().fold(String::new(), |mut text, setting| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{} = {}", setting.path, setting.value);
            text
        });
        let mut document = Document::parse(Source::generated(name, text));
        for setting in said {
            if let Some((key, span)) = &setting.place {
                document.stands_at(&setting.path, key, span);
            }
        }
        document
    }
}

/// A setting, its value, and where that comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Setting {
    /// The path within the policy, such as `timeout.total`.
    pub path: String,
    /// The value in TOML.
    pub value: String,
    /// Where the key and the value stand; `None` for a default.
    place: Option<(Span, Span)>,
    /// Values of other layers that it hides, the uppermost layer first.
    below: Vec<Place>,
    hidden_by: Option<Place>,
}

impl Setting {
    pub(super) fn new(
        path: String,
        value: String,
        place: impl Fn(&str) -> Option<(Span, Span)>,
        layers: &[Table<'_>],
    ) -> Self {
        let place = place(&path);
        let whole = value.starts_with('{');
        let mut below: Vec<Place> = Vec::new();
        for layer in layers.iter().rev() {
            let exact = layer.place_of(&path).filter(|_| whole);
            match exact {
                Some(span) => below.push(Place::new(path.clone(), span.text(), span.clone())),
                None => {
                    let said = layer.said_of(&path).into_iter();
                    below.extend(said.map(|said| Place::new(said.path, &said.text, said.span)));
                }
            }
        }
        if let Some(own) = below
            .iter()
            .position(|said| place.as_ref().is_some_and(|(_, span)| said.span == *span))
        {
            below.remove(own);
        }
        Self {
            path,
            value,
            place,
            below,
            hidden_by: None,
        }
    }

    /// The same, hidden by a setting of another name.
    pub(super) fn hidden(mut self, by: Option<Place>) -> Self {
        self.hidden_by = by;
        self
    }

    /// The places of its own value and of those that it hides.
    pub(super) fn places(&self) -> impl Iterator<Item = &Span> {
        self.span()
            .into_iter()
            .chain(self.below.iter().map(|place| &place.span))
    }

    /// Where the value stands; `None` if it is the pattern's default.
    #[must_use]
    pub fn span(&self) -> Option<&Span> {
        self.place.as_ref().map(|(_, span)| span)
    }

    /// Where the value comes from, in words: a file and line, a variable, `--set`, a profile, code or `default`.
    #[must_use]
    pub fn origin(&self) -> String {
        self.span().map_or_else(|| "default".to_owned(), origin_text)
    }

    /// What it hides in other layers, the uppermost first: other values, `false` in place of the part that it belongs to, and the
    /// values of a part that this one switches off.
    pub fn below(&self) -> impl Iterator<Item = &Place> {
        self.below.iter()
    }

    /// What takes away the effect of an [idle](NamedSettings::idle) one, where that has another name: `false` in place of its
    /// part in a layer between it and the one that switches the part on again, or a strategy to which it means nothing.
    #[must_use]
    pub fn hidden_by(&self) -> Option<&Place> {
        self.hidden_by.as_ref()
    }
}

/// A value in a layer that another one hides.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The path within the policy at which it stands: the setting's own, one above it or one below.
    pub path: String,
    /// The value in TOML, written as settings are.
    pub value: String,
    /// Where it stands.
    pub span: Span,
}

impl Place {
    pub(super) fn new(path: String, written: &str, span: Span) -> Self {
        let value = canonical(written);
        Self { path, value, span }
    }
}

/// Where a value stands, in words.
#[must_use]
pub fn origin_text(span: &Span) -> String {
    let name = span.source().name();
    if is_in_file(span) {
        format!("{name}:{}", span.position())
    } else {
        name.to_owned()
    }
}

/// Whether a value stands in a file, which has lines to look at; other values come from a variable, `--set`, a profile or
/// code.
#[must_use]
pub fn is_in_file(span: &Span) -> bool {
    let name = span.source().name();
    !span.source().is_generated() && name != SET && !is_ours(name)
}
