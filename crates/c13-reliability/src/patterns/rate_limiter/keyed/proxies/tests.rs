//! Who the client is, by what proxies and strangers write.

use super::*;
use crate::mutate::{Corpus, fuzz};

const PROXIES: [&str; 3] = ["10.0.0.0/8", "192.0.2.7", "2001:db8:1::/48"];

fn client(proxies: TrustedProxies, peer: &str, lines: &[&[u8]]) -> String {
    proxies
        .client(peer.parse().expect("an address"), lines.iter().copied())
        .to_string()
}

#[test]
fn the_client_is_the_first_address_from_the_right_that_is_no_proxy_s() {
    let proxies = TrustedProxies::x_forwarded_for(PROXIES).unwrap();
    let long = "10.0.0.3, ".repeat(5_000) + "198.51.100.1";
    for (peer, lines, wanted) in [
        // The header of an untrusted peer is ignored. A trusted proxy that names no client is the client itself.
        ("198.51.100.9", &["203.0.113.1"][..], "198.51.100.9"),
        ("10.0.0.1", &[], "10.0.0.1"),
        ("10.0.0.1", &[""], "10.0.0.1"),
        ("10.0.0.1", &["203.0.113.1"], "203.0.113.1"),
        ("::ffff:10.0.0.1", &["203.0.113.1"], "203.0.113.1"),
        ("2001:db8:1::5", &["203.0.113.1"], "203.0.113.1"),
        ("2001:db8:2::5", &["203.0.113.1"], "2001:db8:2::/64"),
        // A forged entry stands to the left of what the proxy has seen.
        ("10.0.0.1", &["203.0.113.66, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", &["10.0.0.9, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", &["198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", &["198.51.100.1,192.0.2.7 ,\t10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", &["198.51.100.1, 192.0.2.8"], "192.0.2.8"),
        // All lines are one list.
        ("10.0.0.1", &["203.0.113.66", "198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", &["203.0.113.66, 198.51.100.1", "10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", &["198.51.100.1", ""], "10.0.0.1"),
        // All of them are trusted: a client of our own network.
        ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", &[&long], "198.51.100.1"),
        // How an address may be written.
        ("10.0.0.1", &["198.51.100.1:4711"], "198.51.100.1"),
        ("10.0.0.1", &["2001:db8::1"], "2001:db8::/64"),
        ("10.0.0.1", &["[2001:db8::1]"], "2001:db8::/64"),
        ("10.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::/64"),
        ("10.0.0.1", &["::ffff:198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", &["198.51.100.1, ::ffff:10.0.0.2"], "198.51.100.1"),
        // What names no address ends the reading at the proxy that said it.
        ("10.0.0.1", &["203.0.113.1, unknown"], "10.0.0.1"),
        ("10.0.0.1", &["203.0.113.1, "], "10.0.0.1"),
        ("10.0.0.1", &["203.0.113.1, , 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", &["203.0.113.1, localhost, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", &["198.51.100.1:"], "10.0.0.1"),
        ("10.0.0.1", &["198.51.100.1:port"], "10.0.0.1"),
        ("10.0.0.1", &["198.51.100.1:123456"], "10.0.0.1"),
        ("10.0.0.1", &["[2001:db8::1"], "10.0.0.1"),
        ("10.0.0.1", &["[2001:db8::1]4711"], "10.0.0.1"),
        ("10.0.0.1", &["[198.51.100.1]"], "10.0.0.1"),
        ("10.0.0.1", &["fe80::1%eth0"], "10.0.0.1"),
        ("10.0.0.1", &["198.051.100.1"], "10.0.0.1"),
        ("10.0.0.1", &["198.51.100.1/32"], "10.0.0.1"),
    ] {
        let bytes: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
        assert_eq!(client(proxies, peer, &bytes), wanted, "{peer} {lines:?}");
    }
    // A stranger's bytes that are no text do not hide what the proxy has added.
    let mangled: &[u8] = b"\xFF\xFE\", 198.51.100.1";
    assert_eq!(client(proxies, "10.0.0.1", &[mangled]), "198.51.100.1");
}

#[test]
fn the_standard_s_header_is_read_from_the_right_as_well() {
    let proxies = TrustedProxies::forwarded(PROXIES).unwrap();
    for (line, wanted) in [
        ("for=198.51.100.1", "198.51.100.1"),
        ("For=\"198.51.100.1:4711\"", "198.51.100.1"),
        ("for=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::/64"),
        ("for=\"[2001:db8:cafe::17]\"", "2001:db8:cafe::/64"),
        ("for=198.51.100.1;proto=http;by=203.0.113.43", "198.51.100.1"),
        ("proto=http; by=203.0.113.43; FOR=198.51.100.1", "198.51.100.1"),
        ("for=\"198.51.100.1:_port-1\"", "198.51.100.1"),
        ("for=203.0.113.66, for=198.51.100.1", "198.51.100.1"),
        (
            "for=198.51.100.1, for=10.0.0.2;host=\"a,b;for=203.0.113.66\"",
            "198.51.100.1",
        ),
        ("for=198.51.100.1, for=10.0.0.2;host=\"a\\\",b\"", "198.51.100.1"),
        // A stranger's open quote hides nothing.
        ("for=\"203.0.113.66, for=198.51.100.1", "198.51.100.1"),
        ("for=203.0.113.66;x=\", for=198.51.100.1;host=\"h\"", "198.51.100.1"),
        // No address, or more than one.
        ("for=unknown", "10.0.0.1"),
        ("for=_hidden", "10.0.0.1"),
        ("for=\"_SEVKISEK\"", "10.0.0.1"),
        ("for=203.0.113.66, for=_gazonk, for=10.0.0.2", "10.0.0.2"),
        ("for=198.51.100.1;for=203.0.113.66", "10.0.0.1"),
        ("by=198.51.100.1", "10.0.0.1"),
        ("for", "10.0.0.1"),
        ("for=", "10.0.0.1"),
        ("for=\"198.51.100.1", "10.0.0.1"),
        ("for=\"198.51.100.1:_\"", "10.0.0.1"),
        ("198.51.100.1", "10.0.0.1"),
        ("", "10.0.0.1"),
    ] {
        assert_eq!(client(proxies, "10.0.0.1", &[line.as_bytes()]), wanted, "{line}");
    }
    let lines: [&[u8]; 2] = [b"for=203.0.113.66", b"for=198.51.100.1"];
    assert_eq!(client(proxies, "10.0.0.1", &lines), "198.51.100.1");
}

#[test]
fn a_network_is_read_or_refused_with_its_rule() {
    for (text, wanted) in [
        ("192.0.2.1", Ok("192.0.2.1")),
        ("10.0.0.0/8", Ok("10.0.0.0/8")),
        ("192.0.2.1/32", Ok("192.0.2.1")),
        ("2001:db8::/32", Ok("2001:db8::/32")),
        ("2001:db8::1/128", Ok("2001:db8::1")),
        ("::ffff:10.0.0.0/104", Ok("10.0.0.0/8")),
        ("0.0.0.0/0", Err("every address")),
        ("::/0", Err("every address")),
        ("::ffff:0.0.0.0/96", Err("every address")),
        ("10.0.0.1/8", Err("an address in a network")),
        ("10.0.0.0/33", Err("no network")),
        ("::1/129", Err("no network")),
        ("10.0.0.0/", Err("no network")),
        ("10.0.0.0/x", Err("no network")),
        ("proxy.internal", Err("no address")),
        ("", Err("no address")),
    ] {
        let read = text.parse::<Network>();
        let read = read
            .map(|network| network.to_string())
            .map_err(|error| error.value.to_string());
        assert_eq!(read, wanted.map(str::to_owned).map_err(str::to_owned), "{text}");
    }
    let many = (0..17).map(|n| format!("10.0.0.{n}"));
    assert_eq!(Networks::parse(many).unwrap_err().rule, "must be at most 16");
}

#[test]
fn no_header_makes_a_stranger_a_client_of_another_address_than_its_own() {
    let corpus = Corpus {
        texts: vec![
            b"203.0.113.66, 10.0.0.2".to_vec(),
            b"for=\"[2001:db8:cafe::17]:4711\";host=\"a\\\"b\", for=_hidden".to_vec(),
        ],
        words: &["\"", "\\", ",", ";", "for=", "10.0.0.2", "[", "]", ":"],
        longest: 1 << 12,
    };
    let both = [
        (TrustedProxies::x_forwarded_for(PROXIES).unwrap(), "198.51.100.1"),
        (
            TrustedProxies::forwarded(PROXIES).unwrap(),
            "for=\"198.51.100.1:80\";host=\"h\"",
        ),
    ];
    fuzz("forwarded headers", &corpus, |input| {
        for (proxies, own) in both {
            // The proxy adds to the line, or adds a line.
            let line = [input, b", ", own.as_bytes()].concat();
            assert_eq!(client(proxies, "10.0.0.1", &[&line]), "198.51.100.1", "{own}");
            assert_eq!(
                client(proxies, "10.0.0.1", &[input, own.as_bytes()]),
                "198.51.100.1",
                "{own}"
            );
            let _ = client(proxies, "10.0.0.1", &[input]);
        }
    });
}
