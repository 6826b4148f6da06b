//! What is wrong, where, by which rule, and what to do about it.

use std::collections::HashSet;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use super::{Source, Span, render::Look};

/// A place in a source, and a few words about it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Label {
    /// The place.
    pub span: Span,
    /// A note on it; may be empty.
    pub text: String,
}

/// One error: the rule that is broken, the place, other places that have to do with it, and a way out.
///
/// It prints as a snippet of the source with the place marked; see the [crate](crate) for how that looks.
///
/// Two are equal if they say the same of the same places.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[must_use = "an error that is not reported is lost"]
pub struct Diagnostic {
    /// The rule that is broken, in one line.
    pub message: String,
    /// Where it is broken.
    pub primary: Label,
    /// Other places that have to do with it, such as the other half of a contradiction.
    pub secondary: Vec<Label>,
    /// What to do about it, one line each.
    pub help: Vec<String>,
    /// Whether the error is that something is not there; such errors are withheld from a text with broken syntax,
    /// where it may be there after all.
    pub absence: bool,
    /// Whether it is about one value, or a key of the outermost table, and nothing else, so that it holds wherever that
    /// stands.
    pub of_value: bool,
    /// Whether it is about a key that is not known where it stands.
    pub unknown_key: bool,
    /// The paths of keys of which one would mend it.
    pub(crate) lacks: Vec<String>,
    /// The path of the key that an unknown one was probably meant to be.
    pub(crate) meant: Option<String>,
}

impl PartialEq for Diagnostic {
    fn eq(&self, other: &Self) -> bool {
        self.message == other.message
            && self.help == other.help
            && self.primary == other.primary
            && self.secondary == other.secondary
    }
}

impl Eq for Diagnostic {}

impl Diagnostic {
    /// An error at a place.
    pub fn new(span: Span, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            primary: Label {
                span,
                text: String::new(),
            },
            secondary: Vec::new(),
            help: Vec::new(),
            absence: false,
            of_value: false,
            unknown_key: false,
            lacks: Vec::new(),
            meant: None,
        }
    }

    /// Adds a note to the place itself.
    pub fn label(mut self, text: impl Into<String>) -> Self {
        self.primary.text = text.into();
        self
    }

    /// Shows another place that has to do with it. `None`, the span of something that is not there, shows nothing.
    pub fn also(mut self, span: impl Into<Option<Span>>, text: impl Into<String>) -> Self {
        if let Some(span) = span.into() {
            self.secondary.push(Label {
                span,
                text: text.into(),
            });
        }
        self
    }

    /// Adds a line on what to do.
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(text.into());
        self
    }

    /// Points at a place that was written by hand, if there is one.
    pub fn at_something_written(mut self) -> Self {
        if self.primary.span.source().is_generated()
            && let Some(written) = self
                .secondary
                .iter_mut()
                .find(|label| !label.span.source().is_generated())
        {
            std::mem::swap(&mut self.primary, written);
        }
        self
    }

    /// Marks the error as one of something that is not there: it is withheld from a text with broken syntax, where it
    /// may be there after all.
    pub fn absence(mut self) -> Self {
        self.absence = true;
        self
    }

    /// Marks the error as one of a single value or name: it holds even where another layer hides that.
    pub fn of_value(mut self) -> Self {
        self.of_value = true;
        self
    }

    /// Marks the error as one of a key that is not known where it stands.
    pub(crate) fn unknown_key(mut self) -> Self {
        self.unknown_key = true;
        self
    }

    /// Marks the error as one of a key that is not there, by its path. Where an unknown key is probably that one misspelt,
    /// only the unknown key is reported.
    pub fn lacks(mut self, path: impl Into<String>) -> Self {
        self.lacks.push(path.into());
        self.absence()
    }

    /// Every place that the error shows.
    pub fn places(&self) -> impl Iterator<Item = &Span> {
        std::iter::once(&self.primary)
            .chain(&self.secondary)
            .map(|label| &label.span)
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Look::PLAIN.draw(self))
    }
}

impl Error for Diagnostic {}

/// Errors as they are noted: the first of them, and how many more there were. A text of a mebibyte may hold as many errors
/// as bytes, more than anyone reads.
#[derive(Debug, Default)]
pub struct Noted {
    list: Vec<Diagnostic>,
    more: usize,
    /// Whether something was not read, because there was too much wrong already.
    stopped: bool,
}

impl Noted {
    /// So many errors are kept.
    pub const MOST: usize = 200;

    /// Notes an error.
    pub fn push(&mut self, error: Diagnostic) {
        self.push_with(|| error);
    }

    /// The same of an error that takes some work to put into words.
    pub fn push_with(&mut self, error: impl FnOnce() -> Diagnostic) {
        if self.is_full() {
            self.more += 1;
        } else {
            self.list.push(error());
        }
    }

    /// Notes several errors.
    pub fn extend(&mut self, errors: impl IntoIterator<Item = Diagnostic>) {
        errors.into_iter().for_each(|error| self.push(error));
    }

    /// Notes that another reading left something out, without its errors, which are reported elsewhere.
    pub fn add_uncounted(&mut self, errors: &Diagnostics) {
        self.stopped |= errors.stopped || errors.more > 0;
    }

    /// Adds all of another reading.
    pub fn add(&mut self, errors: &Diagnostics) {
        self.extend(errors.iter().cloned());
        self.more += errors.more;
        self.stopped |= errors.stopped;
    }

    /// Notes that something was not read.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// Whether no more errors are kept, so that there is no use in wording them.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.list.len() >= Self::MOST
    }

    /// The errors that are kept.
    pub fn list(&self) -> &[Diagnostic] {
        &self.list
    }

    /// Whether nothing was noted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many were noted, kept or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len() + self.more
    }

    /// Keeps those that fulfil a condition; those that were only counted stay counted.
    pub fn retain(&mut self, keep: impl FnMut(&Diagnostic) -> bool) {
        self.list.retain(keep);
    }

    /// All of these errors, none twice; `None` if there are none.
    #[must_use]
    pub fn into_diagnostics(self) -> Option<Diagnostics> {
        (!self.is_empty()).then(|| Diagnostics::new(self))
    }
}

/// The errors of one reading, in the order of the text. Of very many the first 200 that were found are kept, and the others
/// counted.
///
/// `Debug` prints what `Display` prints, so that a `main` that ends with this error shows the lines that are wrong.
#[derive(Clone, PartialEq, Eq)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    more: usize,
    stopped: bool,
}

/// How many errors are printed; the others can wait until these are mended.
const MOST_PRINTED: usize = 50;

impl Diagnostics {
    /// Puts the errors in the order of their places: source by source as they first occur, then line by line. None is
    /// reported twice, and a missing key is not reported where it is there misspelt.
    pub(crate) fn new(noted: Noted) -> Self {
        let Noted {
            mut list,
            more,
            stopped,
        } = noted;
        let meant: HashSet<String> = list.iter().filter_map(|error| error.meant.clone()).collect();
        list.retain(|error| !error.lacks.iter().any(|path| meant.contains(path)));
        let mut sources: Vec<Arc<Source>> = Vec::new();
        for diagnostic in &list {
            if !sources
                .iter()
                .any(|source| Arc::ptr_eq(source, diagnostic.primary.span.source()))
            {
                sources.push(Arc::clone(diagnostic.primary.span.source()));
            }
        }
        list.sort_by_key(|diagnostic| {
            let span = &diagnostic.primary.span;
            (
                sources.iter().position(|source| Arc::ptr_eq(source, span.source())),
                span.range().start,
            )
        });
        let mut once: Vec<Diagnostic> = Vec::with_capacity(list.len());
        for error in list {
            let at_one_place = once
                .iter()
                .rev()
                .take_while(|other| other.primary.span.range().start == error.primary.span.range().start);
            if !at_one_place.into_iter().any(|other| *other == error) {
                once.push(error);
            }
        }
        Self {
            list: once,
            more,
            stopped,
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many there are, those that were only counted among them. Where reading [stopped](Self::has_stopped), there may be
    /// others.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len() + self.more
    }

    /// Whether something was not read, because there was too much wrong already.
    #[must_use]
    pub fn has_stopped(&self) -> bool {
        self.stopped
    }

    /// The text of `Display` with colours for a terminal.
    #[must_use]
    pub fn to_coloured_string(&self) -> String {
        self.drawn(&Look::COLOURED)
    }

    fn drawn(&self, look: &Look) -> String {
        let printed = self.list.iter().take(MOST_PRINTED).map(|error| look.draw(error));
        let text = printed.collect::<Vec<_>>().join("\n");
        let more = self.len() - self.list.len().min(MOST_PRINTED);
        match (more, self.stopped) {
            (0, false) => text,
            (_, false) => format!("{text}\n… and {more} more\n"),
            (0, true) => text + "\n… and the rest was not read\n",
            (_, true) => format!("{text}\n… and {more} more; the rest was not read\n"),
        }
    }

    /// Those that were kept, one after the other, in the order of the text.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(error: Diagnostic) -> Self {
        let mut noted = Noted::default();
        noted.push(error);
        Self::new(noted)
    }
}

impl fmt::Debug for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Diagnostics {
    /// The first 50 errors, an empty line between them, how many more there are, and whether reading stopped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.drawn(&Look::PLAIN))
    }
}

impl Error for Diagnostics {}
