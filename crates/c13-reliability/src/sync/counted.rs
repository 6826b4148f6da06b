//! Snapshots whose counters are declared together with them.

/// Declares a snapshot, and with it the enum of the counters that its fields are read from.
///
/// A field with a variant behind it, as in `rejected: u64 = Rejected`, is what was counted under that variant. All other
/// fields are for the part to fill.
macro_rules! counted {
    (
        $(#[$about:meta])*
        pub struct $snapshot:ident by $counts:ident {
            $($(#[$doc:meta])* pub $field:ident: $kind:ty $(= $count:ident)?,)+
        }
    ) => {
        $(#[$about])*
        pub struct $snapshot { $($(#[$doc])* pub $field: $kind,)+ }

        $crate::sync::counts! {
            /// The counters that the fields of the snapshot are read from.
            pub(crate) enum $counts { $($($count,)?)+ }
        }

        impl $snapshot {
            /// What was counted, read in the order of the fields. All other fields have their defaults.
            pub(crate) fn counted(counts: &$crate::sync::Tally<$counts>) -> Self {
                let mut snapshot = Self::default();
                $($(snapshot.$field = counts.sum($counts::$count);)?)+
                snapshot
            }
        }
    };
}
pub(crate) use counted;
