//! What the attribute makes of a function: the same function, whose body is the operation of a call.
//!
//! Nothing of the function has to be understood but that it is an `async fn` and where its result type and its body are, so the
//! tokens are read as they come, without a parser of the language.

use proc_macro::{Delimiter, Group, Spacing, Span, TokenStream, TokenTree};

/// Where the expansion goes: a function for each way to classify the results.
const CALLS: &[(&str, &str)] = &[
    ("", "call"),
    ("classified", "call_classified"),
    ("idempotent", "call_idempotent"),
];

/// A mistake in how the attribute is used, and where.
struct Mistake(Span, &'static str);

pub(crate) fn expand(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let wrapped = parse_attribute(attribute).and_then(|(name, call)| wrap(&name, call, item.clone()));
    match wrapped {
        Ok(tokens) => tokens,
        Err(Mistake(span, rule)) => {
            let mut tokens = error(span, rule);
            // The function is kept, so that its callers compile and this is the one error.
            tokens.extend(item);
            tokens
        }
    }
}

/// The name of the policy, and the function that makes the call.
fn parse_attribute(attribute: TokenStream) -> Result<(TokenTree, &'static str), Mistake> {
    const NAME: &str = "the name of a policy is missing: #[reliable(\"payments\")]";
    const WORD: &str = "after the name there may be `, classified` or `, idempotent`";
    let mut tokens = attribute.into_iter();
    let name = tokens.next().ok_or(Mistake(Span::call_site(), NAME))?;
    if !matches!(&name, TokenTree::Literal(literal) if literal.to_string().starts_with('"')) {
        return Err(Mistake(name.span(), NAME));
    }
    let mut word = String::new();
    match tokens.next() {
        None => {}
        Some(TokenTree::Punct(comma)) if comma.as_char() == ',' => {
            word = tokens.next().map(|word| word.to_string()).unwrap_or_default();
        }
        Some(other) => return Err(Mistake(other.span(), WORD)),
    }
    let call = CALLS.iter().find(|(name, _)| *name == word);
    match (call, tokens.next()) {
        (Some((_, call)), None) => Ok((name, call)),
        _ => Err(Mistake(name.span(), WORD)),
    }
}

/// The function with its body wrapped into a call.
fn wrap(name: &TokenTree, call: &str, item: TokenStream) -> Result<TokenStream, Mistake> {
    let mut tokens: Vec<TokenTree> = item.into_iter().collect();
    let start = tokens.first().map_or(Span::call_site(), TokenTree::span);
    let word = |token: &TokenTree, word: &str| matches!(token, TokenTree::Ident(ident) if ident.to_string() == word);
    let is_async = match tokens.iter().position(|token| word(token, "fn")) {
        Some(at) => tokens[..at].iter().any(|token| word(token, "async")),
        None => return Err(Mistake(start, "#[reliable] goes on an `async fn`")),
    };
    if !is_async {
        return Err(Mistake(
            start,
            "#[reliable] goes on an `async fn`; this one is not async",
        ));
    }
    let body = match tokens.pop() {
        Some(TokenTree::Group(body)) if body.delimiter() == Delimiter::Brace => body,
        _ => return Err(Mistake(start, "#[reliable] goes on an `async fn` with a body")),
    };
    let result = result_type(&tokens).ok_or(Mistake(
        start,
        "#[reliable] goes on an `async fn` that returns a `Result<T, E>` where `E: From<PolicyError<E>>`",
    ))?;
    let mut wrapped = Group::new(Delimiter::Brace, operation(name, call, result, body.clone()));
    wrapped.set_span(body.span());
    tokens.push(TokenTree::Group(wrapped));
    Ok(tokens.into_iter().collect())
}

/// What stands between `->` and `where` or the body.
fn result_type(signature: &[TokenTree]) -> Option<TokenStream> {
    let is = |token: &TokenTree, character| matches!(token, TokenTree::Punct(punct) if punct.as_char() == character);
    let joint = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.spacing() == Spacing::Joint);
    // The last arrow: one before it belongs to a bound such as `F: Fn() -> u8`.
    let bounds = signature
        .iter()
        .rposition(|token| matches!(token, TokenTree::Ident(ident) if ident.to_string() == "where"))
        .unwrap_or(signature.len());
    let signature = &signature[..bounds];
    let arrow = signature
        .windows(2)
        .rposition(|pair| is(&pair[0], '-') && joint(&pair[0]) && is(&pair[1], '>'))?;
    Some(signature[arrow + 2..].iter().cloned().collect())
}

/// The body of the new function: `call(name, || async { let result: R = async { body }.await; result }).await`.
fn operation(name: &TokenTree, call: &str, result: TokenStream, body: Group) -> TokenStream {
    let block = |tokens: TokenStream| TokenStream::from(TokenTree::Group(Group::new(Delimiter::Brace, tokens)));
    let operation = block(
        [
            text("let __result:"),
            result,
            text("= async"),
            TokenTree::Group(body).into(),
            text(".await; __result"),
        ]
        .into_iter()
        .collect(),
    );
    let arguments = [name.clone().into(), text(", || async"), operation];
    let arguments = Group::new(Delimiter::Parenthesis, arguments.into_iter().collect());
    [
        text(&format!("::c13_reliability::policy::reliable::{call}")),
        TokenTree::Group(arguments).into(),
        text(".await"),
    ]
    .into_iter()
    .collect()
}

/// Tokens of this crate's own.
fn text(text: &str) -> TokenStream {
    text.parse().expect("it is written here, and is Rust")
}

/// A `compile_error!` at `span`.
fn error(span: Span, rule: &str) -> TokenStream {
    let tokens = text(&format!("::core::compile_error! {{ {rule:?} }}"));
    tokens
        .into_iter()
        .map(|mut token| {
            token.set_span(span);
            token
        })
        .collect()
}
