//! The setters of settings, a row each.

/// Writes the setters of a struct of settings: a setter has the name of its field, and works while compiling too.
///
/// A field that is an `Option` is set to `Some` where its row says so: `warm_up: WarmUp => Some`.
macro_rules! setters {
    ($($(#[$doc:meta])* $field:ident: $kind:ty $(=> $some:ident)?,)+) => {
        $(
            $(#[$doc])*
            #[must_use]
            pub const fn $field(mut self, $field: $kind) -> Self {
                let value = $field;
                $(let value = $some(value);)?
                self.$field = value;
                self
            }
        )+
    };
}
pub(crate) use setters;
