//! The attribute `#[reliable]`, which `c13_reliability` exports and documents. Use it from there.

mod expand;

use proc_macro::TokenStream;

/// Takes each call of an `async fn` through the policy of this name; see `c13_reliability::reliable`.
#[proc_macro_attribute]
pub fn reliable(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(attribute, item)
}
