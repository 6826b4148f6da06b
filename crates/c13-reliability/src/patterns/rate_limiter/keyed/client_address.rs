//! A client's address as a key: one key for one client, however its address is written.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The client that an address belongs to, as a key of limits.
///
/// An IPv4 client is its address, also where a listener for both families shows it as `::ffff:192.0.2.1`, or a translator
/// as `64:ff9b::192.0.2.1`: by the first half of such an address all of them would be one. An IPv6 client is the /64 in
/// which it may choose any of 2⁶⁴ addresses; a link-local one is its whole address, because all of those are in one /64.
///
/// A request that a proxy forwards comes from the proxy's address: see
/// [`TrustedProxies`](super::TrustedProxies) for its client.
///
/// ```
/// use c13_reliability::patterns::rate_limiter::ClientAddress;
/// use std::net::IpAddr;
///
/// let client = |text: &str| ClientAddress::from(text.parse::<IpAddr>().unwrap());
/// assert_eq!(client("::ffff:192.0.2.1"), client("192.0.2.1"));
/// assert_ne!(client("::ffff:192.0.2.1"), client("::ffff:192.0.2.2"));
/// assert_eq!(client("2001:db8:0:1::1"), client("2001:db8:0:1:ffff::2"));
/// assert_eq!(client("2001:db8:0:1::1").to_string(), "2001:db8:0:1::/64");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientAddress(IpAddr);

/// The prefixes of 96 bits before an IPv4 address: mapped, translated (RFC 2765), and NAT64 (RFC 6052).
const BEFORE_IPV4: [[u16; 6]; 3] = [
    [0, 0, 0, 0, 0, 0xFFFF],
    [0, 0, 0, 0, 0xFFFF, 0],
    [0x64, 0xFF9B, 0, 0, 0, 0],
];

impl From<IpAddr> for ClientAddress {
    fn from(address: IpAddr) -> Self {
        let IpAddr::V6(address) = address else {
            return Self(address);
        };
        if let [a, b, c, d, e, f, high, low] = address.segments()
            && BEFORE_IPV4.contains(&[a, b, c, d, e, f])
        {
            let bits = u32::from(high) << 16 | u32::from(low);
            return Self(IpAddr::V4(Ipv4Addr::from_bits(bits)));
        }
        if address.is_unicast_link_local() {
            return Self(IpAddr::V6(address));
        }
        Self(IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)))
    }
}

impl From<Ipv4Addr> for ClientAddress {
    fn from(address: Ipv4Addr) -> Self {
        Self(IpAddr::V4(address))
    }
}

impl From<Ipv6Addr> for ClientAddress {
    fn from(address: Ipv6Addr) -> Self {
        IpAddr::V6(address).into()
    }
}

impl From<SocketAddr> for ClientAddress {
    /// The port is not the client's.
    fn from(address: SocketAddr) -> Self {
        address.ip().into()
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V6(address) if !address.is_unicast_link_local() => write!(f, "{address}/64"),
            address => address.fmt(f),
        }
    }
}

#[cfg(all(test, not(c13_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_one_key_however_its_address_is_written() {
        for (address, key) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("::ffff:c000:201", "192.0.2.1"),
            ("::ffff:0:192.0.2.1", "192.0.2.1"),
            ("64:ff9b::192.0.2.1", "192.0.2.1"),
            ("::ffff:0.0.0.0", "0.0.0.0"),
            ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
            ("2001:db8:0:1:ffff:ffff:ffff:ffff", "2001:db8:0:1::/64"),
            ("2001:db8:0:2::1", "2001:db8:0:2::/64"),
            ("64:ff9b:1::1", "64:ff9b:1::/64"),
            ("fe80::1", "fe80::1"),
            ("fe80::2", "fe80::2"),
            ("::1", "::/64"),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(ClientAddress::from(address).to_string(), key, "{address}");
            let socket = SocketAddr::new(address, 4_711);
            assert_eq!(ClientAddress::from(socket), ClientAddress::from(address));
        }
    }
}
