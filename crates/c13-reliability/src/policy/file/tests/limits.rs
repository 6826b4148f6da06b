//! Limits of requests in files: their layers, and what is wrong with them.

use super::*;
use crate::patterns::rate_limiter::{ProxyHeader, WithoutKey};
use crate::policy::LimitKey;
use crate::policy::document::Source;

const FILE: &str = r#"
[limit.clients]
rate = "100/s"
proxies = ["10.0.0.0/8", "2001:db8::1"]
proxy_header = "forwarded"

[limit.per-user]
rate = "600/m"
burst = 20
key = "header:X-User"
shared = true

[policy.a]
timeout.total = "1s"
"#;

fn files() -> PolicyFiles {
    PolicyFiles::new().file(Source::new("a.toml", FILE))
}

#[test]
fn a_limit_has_its_settings_and_their_origins() {
    let set = files()
        .variable("C13__LIMIT__PER_USER__RATE", "20/s")
        .set("limit.clients.max_keys=5000")
        .read()
        .unwrap_or_else(|errors| panic!("{errors}"));
    let clients = set.limit("clients").expect("it is named").config();
    assert_eq!((clients.rate, clients.burst, clients.max_keys), (100.0, 100, 5_000));
    assert_eq!(
        (clients.key, clients.proxy_header),
        (LimitKey::Client, ProxyHeader::Forwarded)
    );
    assert_eq!(format!("{:?}", clients.proxies), "[10.0.0.0/8, 2001:db8::1]");
    assert_eq!(clients.without_key, WithoutKey::Refuse);
    let users = set.limit("per-user").expect("it is named");
    let config = users.config();
    assert_eq!((config.rate, config.burst, config.shared), (20.0, 20, true));
    assert_eq!(config.key.to_string(), "header:x-user");
    assert_eq!(config.without_key, WithoutKey::Share, "it follows the key");
    let rate = users.setting("rate").expect("it is set");
    assert_eq!(rate.origin(), "C13__LIMIT__PER_USER__RATE");
    assert_eq!(rate.below().count(), 1);
    assert_eq!(set.limits().count(), 2);
}

#[test]
fn what_is_said_of_a_limit_reads_back_as_the_same() {
    let set = files().read().unwrap_or_else(|errors| panic!("{errors}"));
    for (name, limit) in set.limits() {
        let lines = limit
            .settings()
            .iter()
            .map(|setting| format!("{} = {}\n", setting.path, setting.value));
        let text = format!("[limit.{name}]\n{}", lines.collect::<String>());
        let again = PolicyFiles::new().file(Source::new("again.toml", text.clone())).read();
        let again = again.unwrap_or_else(|errors| panic!("{text}{errors}"));
        assert_eq!(again.limit(name).expect("it is named").config(), limit.config());
    }
}

#[test]
fn what_is_wrong_with_a_limit_is_reported_with_its_line() {
    for (text, place, message) in [
        ("[limit.a]\nburst = 5\n", "a.toml:1", "rate"),
        (
            "[limit.a]\nrate = \"100/s\"\nkey = \"address\"\n",
            "a.toml:3",
            "must be \"ip\", \"all\", or \"header:\"",
        ),
        ("[limit.a]\nrate = \"100/s\"\nkey = 7\n", "a.toml:3", "must be \"ip\""),
        (
            "[limit.a]\nrate = \"100/s\"\nproxies = [\"0.0.0.0/0\"]\n",
            "a.toml:3",
            "must leave out somebody",
        ),
        (
            "[limit.a]\nrate = \"100/s\"\nproxies = \"10.0.0.0/8\"\n",
            "a.toml:3",
            "must be a list",
        ),
        (
            "[limit.a]\nrate = \"100/s\"\nkey = \"all\"\nproxies = [\"10.0.0.1\"]\n",
            "a.toml:4",
            "key is not \"ip\"",
        ),
        (
            "[limit.a]\nrate = \"100/s\"\nkeys = \"ip\"\n",
            "a.toml:3",
            "unknown key `limit.a.keys`",
        ),
        ("[limit.A]\nrate = \"100/s\"\n", "a.toml:1", "a limit's name"),
        (
            "[limit.a]\nrate = \"100/s\"\nburst = 99999999\nshared = true\n",
            "a.toml:3",
            "must be at most 16777215",
        ),
        ("limit = 7\n", "a.toml:1", "must be a table"),
    ] {
        let read = PolicyFiles::new().file(Source::new("a.toml", text)).read();
        let errors = read.expect_err(text).to_string();
        assert!(errors.contains(message) && errors.contains(place), "{text}{errors}");
    }
    let unnamed = files()
        .set("limit.client.rate=5/s")
        .read()
        .expect_err("no such limit")
        .to_string();
    assert!(
        unnamed.contains("no file names a limit `client`") && unnamed.contains("`clients`"),
        "{unnamed}"
    );
}
