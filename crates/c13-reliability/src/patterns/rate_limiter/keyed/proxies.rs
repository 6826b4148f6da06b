//! The client behind proxies: which proxies are trusted, and what they say about whom they forward for. Pure.

use super::client_address::ClientAddress;
use crate::error::{ConfigError, ConfigValue};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

/// The proxies before a service, and the one header in which they name the client.
///
/// A header is a stranger's word until a trusted proxy has added to it. So the entries are read from the right, where the
/// nearest proxy has added its own: as long as the address that is reached is a trusted proxy's, the next entry to the left
/// is believed, and the first address that is not a trusted proxy's is the client. What stands further to the left is never
/// looked at. All lines of the header count as one, in their order.
///
/// An entry that names no address, such as `unknown`, `_hidden` or one that is malformed, ends the reading: the client is
/// then the proxy that has forwarded such a request, and so it is where the header is missing. All those requests have one
/// key.
///
/// Only one of the two headers is read, because a proxy that sets one of them forwards the other as the client sent it.
/// Name it as your proxies do.
///
/// ```
/// use c13_reliability::patterns::rate_limiter::{ClientAddress, TrustedProxies};
/// use std::net::IpAddr;
///
/// let proxies = TrustedProxies::x_forwarded_for(["10.0.0.0/8", "2001:db8:1::/48"])?;
/// let client = |peer: &str, line: &str| proxies.client(peer.parse::<IpAddr>().unwrap(), [line.as_bytes()]).to_string();
/// assert_eq!(client("10.0.0.1", "198.51.100.7, 192.0.2.1, 10.0.0.2"), "192.0.2.1", "the first that is not trusted");
/// assert_eq!(client("203.0.113.9", "198.51.100.7"), "203.0.113.9", "a stranger is not believed");
/// # Ok::<_, c13_reliability::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustedProxies {
    header: ProxyHeader,
    networks: Networks,
}

/// The header in which proxies name the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyHeader {
    /// `X-Forwarded-For`: addresses with commas between them.
    XForwardedFor,
    /// `Forwarded`, as RFC 7239 has it.
    Forwarded,
}

impl ProxyHeader {
    /// The names in files.
    #[cfg(feature = "toml")]
    pub(crate) const NAMES: &'static [(&'static str, Self)] =
        &[("x-forwarded-for", Self::XForwardedFor), ("forwarded", Self::Forwarded)];

    /// Its name, in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
        }
    }
}

const PART: &str = "trusted proxies";

impl TrustedProxies {
    /// Proxies at these addresses and networks that name the client in `X-Forwarded-For`.
    ///
    /// # Errors
    ///
    /// A text that is no [network](Network), or more than [`Networks::MOST`] of them.
    pub fn x_forwarded_for<N: AsRef<str>>(networks: impl IntoIterator<Item = N>) -> Result<Self, ConfigError> {
        Ok(Self::new(ProxyHeader::XForwardedFor, Networks::parse(networks)?))
    }

    /// Proxies at these addresses and networks that name the client in `Forwarded`, as RFC 7239 has it.
    ///
    /// # Errors
    ///
    /// As [`x_forwarded_for`](Self::x_forwarded_for).
    pub fn forwarded<N: AsRef<str>>(networks: impl IntoIterator<Item = N>) -> Result<Self, ConfigError> {
        Ok(Self::new(ProxyHeader::Forwarded, Networks::parse(networks)?))
    }

    /// Proxies in these networks that name the client in this header.
    #[must_use]
    pub const fn new(header: ProxyHeader, networks: Networks) -> Self {
        Self { header, networks }
    }

    /// The header that they set.
    #[must_use]
    pub const fn header(&self) -> ProxyHeader {
        self.header
    }

    /// The client of a request that came from `peer` with these lines of the header, in their order.
    pub fn client<'h, L>(&self, peer: IpAddr, lines: L) -> ClientAddress
    where
        L: IntoIterator<Item = &'h [u8]>,
        L::IntoIter: DoubleEndedIterator,
    {
        let mut client = peer.to_canonical();
        let mut entries = lines.into_iter().rev().flat_map(|line| FromRight {
            rest: Some(line),
            separator: b',',
        });
        while self.networks.contain(client) {
            let Some(address) = entries.next().and_then(|entry| self.address(entry)) else {
                break;
            };
            client = address;
        }
        client.into()
    }

    /// The address that an entry names.
    fn address(&self, entry: &[u8]) -> Option<IpAddr> {
        let named = match self.header {
            ProxyHeader::XForwardedFor => node(std::str::from_utf8(entry).ok()?.trim_matches(is_space)),
            ProxyHeader::Forwarded => forwarded_for(entry),
        };
        named.map(|address| address.to_canonical())
    }
}

/// The parts of a list, the last one first. A separator inside quotes is none.
///
/// From the right, because a stranger who leaves a quote open must not be able to hide what a proxy has added after it.
struct FromRight<'h> {
    rest: Option<&'h [u8]>,
    separator: u8,
}

impl<'h> Iterator for FromRight<'h> {
    type Item = &'h [u8];

    fn next(&mut self) -> Option<&'h [u8]> {
        let rest = self.rest.take()?;
        let mut quoted = false;
        for (at, byte) in rest.iter().enumerate().rev() {
            if *byte == b'"' && !is_escaped(&rest[..at]) {
                quoted = !quoted;
            } else if *byte == self.separator && !quoted {
                self.rest = Some(&rest[..at]);
                return Some(&rest[at + 1..]);
            }
        }
        Some(rest)
    }
}

/// Whether what follows these bytes of a quoted text is escaped: they end with an odd number of backslashes.
fn is_escaped(before: &[u8]) -> bool {
    before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

fn is_space(character: char) -> bool {
    character == ' ' || character == '\t'
}

/// The address that an element of `Forwarded` has in `for`, if it has that once.
fn forwarded_for(element: &[u8]) -> Option<IpAddr> {
    let element = std::str::from_utf8(element).ok()?;
    let pairs = FromRight {
        rest: Some(element.as_bytes()),
        separator: b';',
    };
    let mut found = None;
    for pair in pairs {
        let (name, value) = std::str::from_utf8(pair).ok()?.split_once('=')?;
        if name.trim_matches(is_space).eq_ignore_ascii_case("for") && found.replace(value).is_some() {
            return None;
        }
    }
    let value = found?.trim_matches(is_space);
    let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    node(inner.unwrap_or(value))
}

/// The address of a node: `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:4711`.
fn node(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let (address, port) = if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        let port = if rest.is_empty() {
            None
        } else {
            Some(rest.strip_prefix(':')?)
        };
        (IpAddr::V6(address.parse().ok()?), port)
    } else {
        let (address, port) = text.split_once(':')?;
        (IpAddr::V4(address.parse().ok()?), Some(port))
    };
    port.is_none_or(is_port).then_some(address)
}

/// Whether it is a port, or a name in place of one (RFC 7239, 6.3).
fn is_port(text: &str) -> bool {
    let of_names = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    match text.strip_prefix('_') {
        Some(name) => !name.is_empty() && name.bytes().all(of_names),
        None => (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

/// An address, or all addresses with one prefix: `192.0.2.1`, `10.0.0.0/8`, `2001:db8::/32`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    /// How many bits of the address count.
    prefix: u8,
}

impl Network {
    const NOTHING: Self = Self {
        address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        prefix: 32,
    };

    /// The bits of an address that count, at the top, and how many an address has.
    fn bits(address: IpAddr) -> (u128, u8) {
        match address {
            IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 32),
            IpAddr::V6(address) => (address.to_bits(), 128),
        }
    }

    fn contains(&self, address: IpAddr) -> bool {
        let ((own, length), (other, its_length)) = (Self::bits(self.address), Self::bits(address));
        // The prefix is at least 1.
        length == its_length && (own ^ other) >> (128 - u32::from(self.prefix)) == 0
    }
}

impl FromStr for Network {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let refused = |value, rule| Err(ConfigError::new(PART, "proxies", ConfigValue::Text(value), rule));
        let (address, prefix) = text
            .split_once('/')
            .map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let Ok(written) = address.parse::<IpAddr>() else {
            return refused(
                "no address",
                "must be addresses and networks, such as 192.0.2.1 and 10.0.0.0/8",
            );
        };
        let address = written.to_canonical();
        let (bits, length) = Self::bits(address);
        let prefix = match prefix {
            None => length,
            Some(digits) => match digits.parse::<u8>() {
                // The prefix of a mapped address counts the 96 bits before it.
                Ok(prefix) => prefix.saturating_sub(if address == written { 0 } else { 96 }),
                Err(_) => return refused("no network", "must have a number of bits after the slash"),
            },
        };
        if prefix == 0 {
            return refused(
                "every address",
                "must leave out somebody: a stranger's word must not count",
            );
        }
        if prefix > length {
            return refused(
                "no network",
                "must have no more bits after the slash than an address has",
            );
        }
        if prefix < 128 && bits << prefix != 0 {
            return refused("an address in a network", "must have zeros after the bits that count");
        }
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        if self.prefix < Self::bits(self.address).1 {
            write!(f, "/{}", self.prefix)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Up to sixteen [networks](Network), as a plain value.
#[derive(Clone, Copy)]
pub struct Networks {
    list: [Network; Self::MOST],
    len: u8,
}

impl Networks {
    /// So many there may be.
    pub const MOST: usize = 16;

    /// No network.
    pub const NONE: Self = Self {
        list: [Network::NOTHING; Self::MOST],
        len: 0,
    };

    /// Reads each of them.
    ///
    /// # Errors
    ///
    /// A text that is no network, or more than [`MOST`](Self::MOST) of them.
    pub fn parse<N: AsRef<str>>(texts: impl IntoIterator<Item = N>) -> Result<Self, ConfigError> {
        let list: Result<Vec<Network>, ConfigError> = texts.into_iter().map(|text| text.as_ref().parse()).collect();
        Self::of(&list?)
    }

    /// These.
    ///
    /// # Errors
    ///
    /// If there are more than [`MOST`](Self::MOST).
    pub fn of(list: &[Network]) -> Result<Self, ConfigError> {
        let mut networks = Self::NONE;
        let Some(slots) = networks.list.get_mut(..list.len()) else {
            let value = ConfigValue::Count(list.len() as u64);
            return Err(ConfigError::new(PART, "proxies", value, "must be at most 16"));
        };
        slots.copy_from_slice(list);
        networks.len = list.len() as u8;
        Ok(networks)
    }

    /// All of them, in their order.
    pub fn iter(&self) -> impl Iterator<Item = Network> + '_ {
        self.list.iter().take(self.len.into()).copied()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn contain(&self, address: IpAddr) -> bool {
        self.iter().any(|network| network.contains(address))
    }
}

impl PartialEq for Networks {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Networks {}

impl fmt::Debug for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(all(test, not(c13_loom)))]
mod tests;
