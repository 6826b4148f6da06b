//! What can be set of a limit of requests by key: plain values.

use crate::error::{ConfigError, ConfigValue, Findings, Fix, Note};
#[cfg(feature = "axum")]
use crate::patterns::rate_limiter::{KeyedConfig, TrustedProxies};
use crate::patterns::rate_limiter::{Networks, ProxyHeader, RateLimiterConfig, WhenFull, WithoutKey};
use crate::setters::setters;
use std::fmt;

/// A limit of requests by key: by client address, by a header, or of all requests together.
///
/// In a file it is `[limit.NAME]`, with the names of these fields.
///
/// ```
/// use c13_reliability::policy::{LimitConfig, LimitKey};
///
/// const CLIENTS: LimitConfig = LimitConfig::new(100.0, 200, LimitKey::Client);
/// CLIENTS.validate()?;
/// # Ok::<_, c13_reliability::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct LimitConfig {
    /// Requests a second, for each key.
    pub rate: f64,
    /// Requests at once after a pause, for each key.
    pub burst: u64,
    /// By what requests are told apart. Default in a file: by client address.
    pub key: LimitKey,
    /// The proxies whose word about the client counts, where the key is the client. Default: none.
    pub proxies: Networks,
    /// The header in which they name the client. Default: `X-Forwarded-For`.
    pub proxy_header: ProxyHeader,
    /// What becomes of requests without a key. Default: they are refused where the key is the client, which every request
    /// has, and share one quota where it is a header.
    pub without_key: WithoutKey,
    /// How many keys are kept in this process at most. Default: 100,000.
    pub max_keys: usize,
    /// What becomes of new keys when there is no room. Default: they are refused. A shared limit asks the backend then.
    pub when_full: WhenFull,
    /// Whether all processes share the limit. Default: not.
    pub shared: bool,
}

/// By what a limit tells requests apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitKey {
    /// By the address of the client: see [`ClientAddress`](crate::patterns::rate_limiter::ClientAddress). `"ip"` in a file.
    Client,
    /// By the value of a header that names a user or a tenant. `"header:NAME"` in a file.
    Header(KeyHeader),
    /// Not at all: one quota for all of them. `"all"` in a file.
    All,
}

/// The name of a header, as a plain value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyHeader {
    bytes: [u8; Self::LONGEST],
    len: u8,
}

const PART: &str = "limit";
/// The largest burst of a shared limit.
const LARGEST_SHARED_BURST: u64 = (1 << 24) - 1;
const MOST_KEYS: usize = 1 << 24;

impl KeyHeader {
    /// So many characters a name may have.
    pub const LONGEST: usize = 64;

    /// Its name, in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len.into()]).unwrap_or_default()
    }
}

impl fmt::Debug for KeyHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl LimitKey {
    /// The value of the header of this name.
    ///
    /// # Errors
    ///
    /// If it is no name of a header, or longer than [`KeyHeader::LONGEST`].
    pub fn header(name: &str) -> Result<Self, ConfigError> {
        let of_names = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || name.len() > KeyHeader::LONGEST || !name.bytes().all(of_names) {
            let rule = "must be the name of a header, of at most 64 characters";
            return Err(ConfigError::new(
                PART,
                "key",
                ConfigValue::Text("no name of a header"),
                rule,
            ));
        }
        let mut bytes = [0; KeyHeader::LONGEST];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        bytes.make_ascii_lowercase();
        Ok(Self::Header(KeyHeader {
            bytes,
            len: name.len() as u8,
        }))
    }

    /// The key that a file names by this text; `None` if it is none.
    #[cfg(feature = "toml")]
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "ip" => Some(Self::Client),
            "all" => Some(Self::All),
            _ => Self::header(text.strip_prefix("header:")?).ok(),
        }
    }

    /// What becomes of requests without a key, unless it is set.
    pub(crate) const fn without_key(self) -> WithoutKey {
        match self {
            Self::Client => WithoutKey::Refuse,
            Self::Header(_) | Self::All => WithoutKey::Share,
        }
    }
}

impl fmt::Display for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client => f.write_str("ip"),
            Self::Header(name) => write!(f, "header:{}", name.as_str()),
            Self::All => f.write_str("all"),
        }
    }
}

impl LimitConfig {
    /// `rate` requests a second, and at most `burst` at once, for each key; in this process.
    #[must_use]
    pub const fn new(rate: f64, burst: u64, key: LimitKey) -> Self {
        Self {
            rate,
            burst,
            key,
            proxies: Networks::NONE,
            proxy_header: ProxyHeader::XForwardedFor,
            without_key: key.without_key(),
            max_keys: 100_000,
            when_full: WhenFull::Refuse,
            shared: false,
        }
    }

    setters! {
        /// Sets the proxies whose word about the client counts.
        proxies: Networks,
        /// Sets the header in which they name the client.
        proxy_header: ProxyHeader,
        /// Sets what becomes of requests without a key.
        without_key: WithoutKey,
        /// Sets how many keys are kept in this process at most.
        max_keys: usize,
        /// Sets what becomes of new keys when there is no room.
        when_full: WhenFull,
        /// Lets all processes share the limit.
        shared: bool,
    }

    /// Checks all settings; usable while compiling.
    ///
    /// # Errors
    ///
    /// The first setting that makes no sense, and the rule it breaks.
    pub const fn validate(&self) -> Result<(), ConfigError> {
        let mut found = Findings::of(PART);
        self.check(&mut found);
        found.first()
    }

    pub(crate) const fn check(&self, found: &mut Findings) {
        const SHARED: &[Note] = &[Note::new("shared", "all processes share the limit")];
        self.bucket().check(found);
        let fits = self.max_keys >= 1 && self.max_keys <= MOST_KEYS;
        found.count(fits, "max_keys", self.max_keys as u64, "must be from 1 to 16777216");
        if self.shared && self.burst > LARGEST_SHARED_BURST {
            let rule = "must be at most 16777215 where the limit is shared";
            let error = found.error("burst", ConfigValue::Count(self.burst), rule);
            found.refuse(error.notes(SHARED));
        }
        if !self.proxies.is_empty() && !matches!(self.key, LimitKey::Client) {
            const KEY: &[Note] = &[Note::new("key", "requests are not told apart by their client")];
            let error = found.error(
                "proxies",
                ConfigValue::Text("set"),
                "must be left out where the key is not \"ip\"",
            );
            found.refuse(
                error
                    .notes(KEY)
                    .fix(Fix::Do("leave `proxies` out, or set `key = \"ip\"`")),
            );
        }
    }

    const fn bucket(&self) -> RateLimiterConfig {
        RateLimiterConfig::new(self.rate, self.burst)
    }

    /// The settings of the limiter in this process.
    #[cfg(feature = "axum")]
    pub(super) fn local(&self) -> KeyedConfig {
        KeyedConfig::new(self.bucket().into(), self.max_keys).when_full(self.when_full)
    }

    /// The proxies and their header.
    #[cfg(feature = "axum")]
    pub(crate) const fn trusted(&self) -> TrustedProxies {
        TrustedProxies::new(self.proxy_header, self.proxies)
    }
}
