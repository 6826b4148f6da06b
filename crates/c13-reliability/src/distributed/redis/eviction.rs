//! What a Redis does with keys when its memory is full: if it evicts one, a lock is lost or a limit forgotten.

use super::error::printable;
use redis::Value;

/// The eviction policy that loses nothing.
pub(crate) const NO_EVICTION: &str = "noeviction";
/// The longest name of a policy that is kept.
const LONGEST_NAME: usize = 40;

/// The eviction policy in the answer to `INFO memory`; of several servers, the first that evicts.
pub(super) fn policy(answer: &Value) -> Option<String> {
    let mut found = None;
    for text in texts(answer) {
        let named = text.lines().find_map(|line| line.strip_prefix("maxmemory_policy:"));
        let Some(name) = named.map(|name| printable(name.trim(), LONGEST_NAME)) else {
            continue;
        };
        if name != NO_EVICTION {
            return Some(name);
        }
        found = Some(name);
    }
    found
}

/// The texts of an answer: one of a server, one a node of a cluster.
fn texts(answer: &Value) -> Vec<String> {
    match answer {
        Value::BulkString(bytes) => vec![String::from_utf8_lossy(bytes).into_owned()],
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => vec![text.clone()],
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        Value::Map(pairs) => pairs.iter().flat_map(|(_, value)| texts(value)).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(policy: &str) -> Value {
        Value::BulkString(format!("# Memory\r\nmaxmemory:0\r\nmaxmemory_policy:{policy}\r\n").into_bytes())
    }

    #[test]
    fn the_policy_is_read_of_one_server_and_of_every_node_of_a_cluster() {
        let node = |name: &str| Value::SimpleString(name.into());
        for (answer, expected) in [
            (info("noeviction"), Some("noeviction")),
            (info("volatile-lru"), Some("volatile-lru")),
            (Value::BulkString(b"# Memory\r\nused_memory:1\r\n".to_vec()), None),
            (Value::Nil, None),
            (
                Value::Map(vec![(node("a"), info("noeviction")), (node("b"), info("allkeys-lfu"))]),
                Some("allkeys-lfu"),
            ),
            (
                Value::Array(vec![info("noeviction"), info("noeviction")]),
                Some("noeviction"),
            ),
            (info("\u{1b}[2J"), Some("\\u{1b}[2J")),
        ] {
            assert_eq!(policy(&answer).as_deref(), expected, "{answer:?}");
        }
    }
}
