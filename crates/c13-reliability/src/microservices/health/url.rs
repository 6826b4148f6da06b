//! The few words of HTTP that a probe speaks: an address, a request, and the status of the answer.

use std::error::Error;
use std::fmt;
use std::net::Ipv6Addr;

/// An address that can be probed: `http://host[:port][/path]`. Without TLS: probes ask on the machine or inside the
/// cluster.
///
/// ```
/// use c13_reliability::microservices::health::ProbeUrl;
///
/// let url: ProbeUrl = "http://127.0.0.1:8080/ready".parse()?;
/// assert_eq!((url.host(), url.port(), url.path()), ("127.0.0.1", 8080, "/ready"));
/// # Ok::<_, c13_reliability::microservices::health::ProbeUrlError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeUrl {
    host: String,
    port: u16,
    path: String,
}

/// The most bytes of an answer that are read in search of its status; interim answers come before it.
pub const LONGEST_ANSWER_HEAD: usize = 16 * 1_024;

/// The longest name of a host.
const LONGEST_HOST: usize = 253;

/// `HTTP/1.1 200` and the byte after it, which says that the number ends there.
const STATUS_LINE: usize = "HTTP/1.1 200".len() + 1;

impl ProbeUrl {
    /// The host's name or address; that of IPv6 without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 80 unless the address says otherwise.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path with its query; `/` unless the address says otherwise.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The request that asks for it, whole.
    #[must_use]
    pub fn request(&self) -> String {
        let brackets = self.host.contains(':');
        let (open, close) = if brackets { ("[", "]") } else { ("", "") };
        format!(
            "GET {} HTTP/1.1\r\nHost: {open}{}{close}:{}\r\nUser-Agent: c13-health\r\nAccept: application/json\r\nConnection: close\r\n\r\n",
            self.path, self.host, self.port
        )
    }

    /// The status of an answer that begins with `head`: `None` while it is too short to tell. Interim answers (100, 102,
    /// 103 and their like) are passed over.
    ///
    /// # Errors
    ///
    /// What cannot be the beginning of an HTTP answer, a change of the protocol (101), and no status within
    /// [`LONGEST_ANSWER_HEAD`].
    pub fn status(head: &[u8]) -> Result<Option<u16>, ProbeUrlError> {
        let mut answer = head;
        let unknown = if head.len() < LONGEST_ANSWER_HEAD {
            Ok(None)
        } else {
            Err(ProbeUrlError("the answer has no status within 16 KiB"))
        };
        loop {
            match status_of(answer)? {
                None => return unknown,
                Some(101) => return Err(ProbeUrlError("the answer changes the protocol")),
                Some(100..=199) => match end_of_head(answer) {
                    Some(end) => answer = &answer[end..],
                    None => return unknown,
                },
                Some(status) => return Ok(Some(status)),
            }
        }
    }
}

/// The status in the first line of an answer; nothing while it is too short.
fn status_of(answer: &[u8]) -> Result<Option<u16>, ProbeUrlError> {
    // `0` stands for a digit, and the last byte for the end of the number.
    const FORM: &[u8; STATUS_LINE] = b"HTTP/1.0 000 ";
    let fits = |(byte, form): (&u8, &u8)| match form {
        b'0' => byte.is_ascii_digit(),
        _ => byte == form,
    };
    let number_end = answer.get(STATUS_LINE - 1);
    let begins = answer.iter().zip(&FORM[..STATUS_LINE - 1]).all(fits);
    if !begins || number_end.is_some_and(|end| !b" \r\n".contains(end)) {
        return Err(ProbeUrlError("the answer is not HTTP"));
    }
    if number_end.is_none() {
        return Ok(None);
    }
    let digits = &answer[STATUS_LINE - 4..STATUS_LINE - 1];
    match digits
        .iter()
        .fold(0, |number, digit| 10 * number + u16::from(digit - b'0'))
    {
        status @ 100..=599 => Ok(Some(status)),
        _ => Err(ProbeUrlError("the answer is not HTTP")),
    }
}

/// Where the empty line after an answer's headers ends.
fn end_of_head(answer: &[u8]) -> Option<usize> {
    let ends = |blank: &[u8]| {
        answer
            .windows(blank.len())
            .position(|bytes| bytes == blank)
            .map(|at| at + blank.len())
    };
    [ends(b"\r\n\r\n"), ends(b"\n\n")].into_iter().flatten().min()
}

impl std::str::FromStr for ProbeUrl {
    type Err = ProbeUrlError;

    fn from_str(text: &str) -> Result<Self, ProbeUrlError> {
        let (scheme, rest) = text
            .split_once("://")
            .ok_or(ProbeUrlError("an address starts with `http://`"))?;
        if scheme.eq_ignore_ascii_case("https") {
            return Err(ProbeUrlError("https is not supported; probe the plain port"));
        }
        if !scheme.eq_ignore_ascii_case("http") {
            return Err(ProbeUrlError("an address starts with `http://`"));
        }
        if rest.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(ProbeUrlError("an address has no spaces"));
        }
        if !rest.is_ascii() {
            return Err(ProbeUrlError(
                "an address is of ASCII characters: write the host as `xn--…` and the path with `%`",
            ));
        }
        let rest = rest.split('#').next().unwrap_or(rest);
        let (authority, path) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        if authority.contains('@') {
            return Err(ProbeUrlError("an address holds no user name or password"));
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(inner) => {
                let (host, after) = inner.split_once(']').ok_or(ProbeUrlError("the `[` has no `]`"))?;
                if host.parse::<Ipv6Addr>().is_err() {
                    return Err(ProbeUrlError("between `[` and `]` stands an IPv6 address"));
                }
                let port = after.strip_prefix(':');
                if port.is_none() && !after.is_empty() {
                    return Err(ProbeUrlError("after the `]` comes a `:` and the port, or the path"));
                }
                (host, port)
            }
            None => match authority.split_once(':') {
                Some((_, port)) if port.contains(':') => {
                    return Err(ProbeUrlError("an IPv6 address stands between `[` and `]`"));
                }
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        if host.is_empty() {
            return Err(ProbeUrlError("the address has no host"));
        }
        let is_of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if !authority.starts_with('[') && (host.len() > LONGEST_HOST || !host.bytes().all(is_of_a_name)) {
            return Err(ProbeUrlError(
                "a host is of at most 253 letters, digits, `-`, `.` and `_`",
            ));
        }
        let port = match port {
            // `+80` would be read as a number too.
            Some(port) => match port.parse() {
                Ok(number @ 1..) if port.bytes().all(|byte| byte.is_ascii_digit()) => number,
                _ => return Err(ProbeUrlError("a port is a number from 1 to 65535")),
            },
            None => 80,
        };
        let path = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/{path}")
        };
        Ok(Self {
            host: host.to_owned(),
            port,
            path,
        })
    }
}

impl fmt::Display for ProbeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "http://[{}]:{}{}", self.host, self.port, self.path)
        } else {
            write!(f, "http://{}:{}{}", self.host, self.port, self.path)
        }
    }
}

/// Why an address cannot be probed, or an answer not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeUrlError(&'static str);

impl fmt::Display for ProbeUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for ProbeUrlError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        for (text, host, port, path) in [
            ("http://a", "a", 80, "/"),
            ("http://a:81", "a", 81, "/"),
            ("http://a/b?c=d#e", "a", 80, "/b?c=d"),
            ("http://a?c", "a", 80, "/?c"),
            ("http://[::1]:8080/ready", "::1", 8080, "/ready"),
            ("http://[::1]", "::1", 80, "/"),
            ("http://[::ffff:10.0.0.1]?x", "::ffff:10.0.0.1", 80, "/?x"),
            ("HTTP://a_b.c-d:08080/", "a_b.c-d", 8080, "/"),
            ("http://a/b:c@d", "a", 80, "/b:c@d"),
        ] {
            let url: ProbeUrl = text.parse().unwrap();
            assert_eq!((url.host(), url.port(), url.path()), (host, port, path), "{text}");
        }
        let url: ProbeUrl = "http://[::1]/x".parse().unwrap();
        assert!(url.request().starts_with("GET /x HTTP/1.1\r\nHost: [::1]:80\r\n"));
        assert_eq!(url.to_string(), "http://[::1]:80/x");
    }

    #[test]
    fn what_cannot_be_probed_is_refused_with_the_reason() {
        for (text, reason) in [
            ("https://a", "https is not supported"),
            ("ftp://a", "starts with `http://`"),
            ("a:80", "starts with `http://`"),
            ("http://", "no host"),
            ("http://:80", "no host"),
            ("http://a:0", "1 to 65535"),
            ("http://a:x", "1 to 65535"),
            ("http://a:", "1 to 65535"),
            ("http://a:/", "1 to 65535"),
            ("http://a:+80/", "1 to 65535"),
            ("http://a:-80/", "1 to 65535"),
            ("http://a:65536/", "1 to 65535"),
            ("http://a:99999/", "1 to 65535"),
            ("http://a:8_0/", "1 to 65535"),
            ("http://[::1]:+80/", "1 to 65535"),
            ("http://[::1]:", "1 to 65535"),
            ("http://[::1", "no `]`"),
            ("http://[::1]8080/", "after the `]`"),
            ("http://[::1]]:80/", "after the `]`"),
            ("http://[::1]x", "after the `]`"),
            ("http://[]/", "an IPv6 address"),
            ("http://[a]/", "an IPv6 address"),
            ("http://[127.0.0.1]/", "an IPv6 address"),
            ("http://[fe80::1%25eth0]/", "an IPv6 address"),
            ("http://::1/", "between `[` and `]`"),
            ("http://::1:8080/", "between `[` and `]`"),
            ("http://a:80:80/", "between `[` and `]`"),
            ("http://a]:80/", "a host is of"),
            ("http://a%2fb/", "a host is of"),
            ("http://a\\@b/", "no user name"),
            ("http://a\\b/", "a host is of"),
            ("http://ä/", "ASCII"),
            ("http://a/ä", "ASCII"),
            ("http:/a", "starts with `http://`"),
            ("http:///path", "no host"),
            ("http://?q", "no host"),
            (" http://a", "starts with `http://`"),
            ("http://a\0/", "no spaces"),
            ("http://a/\u{7f}", "no spaces"),
            ("http://u:p@a", "no user name"),
            ("http://a/b c", "no spaces"),
            ("http://a/\r\nHost:b", "no spaces"),
        ] {
            let error = text.parse::<ProbeUrl>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn the_status_is_read_as_soon_as_it_is_there() {
        let answer = b"HTTP/1.1 503 Service Unavailable\r\n";
        for length in 0..13 {
            assert_eq!(ProbeUrl::status(&answer[..length]), Ok(None), "{length}");
        }
        for (answer, status) in [
            ("HTTP/1.1 503 Service Unavailable\r\n", 503),
            ("HTTP/1.1 503 ", 503),
            ("HTTP/1.0 204\r", 204),
            ("HTTP/1.1 599\n", 599),
        ] {
            assert_eq!(ProbeUrl::status(answer.as_bytes()), Ok(Some(status)), "{answer:?}");
        }
        for wrong in [
            "SSH-2.0",
            "HTTP/1.1 abc",
            "HTTP/1.1 999 ",
            "HTTP/1.1 099 ",
            "HTTP/1.1 2000",
            "HTTP/1.1 2000 OK",
            "HTTP/1.1 20\r\n",
            "HTTP/1.1 20 OK",
            "HTTP/1.1 200abc",
            "HTTP/1.1 200\0",
            "HTTP/1.1 200\t",
            "HTTP/1.1  200 OK",
            "HTTP/1.1\t200 OK",
            " HTTP/1.1 200 OK",
            "\r\nHTTP/1.1 200 OK",
            "http/1.1 200 OK",
            "HTTP/2 200 OK",
            "HTTP/2.0 200 OK",
            "HTTP/1.x 200 OK",
            "HTTP/1.10 200 OK",
            "HTTP/1.1 +20 OK",
            "HTTP/1.1 -20 OK",
            "HTTP/1.1 2 0 OK",
            "HTTP/1.1 20\u{661}",
            "HTTP/1.1 101 Switching Protocols\r\n",
        ] {
            assert!(ProbeUrl::status(wrong.as_bytes()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn interim_answers_are_passed_over() {
        for interim in [
            "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 102 Processing\n\n",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nX: HTTP/1.1 200 OK\r\n\r\n",
        ] {
            let answer = format!("{interim}HTTP/1.1 503 Service Unavailable\r\n");
            let known = interim.len() + STATUS_LINE;
            for length in 0..known {
                assert_eq!(
                    ProbeUrl::status(&answer.as_bytes()[..length]),
                    Ok(None),
                    "{interim:?} {length}"
                );
            }
            assert_eq!(
                ProbeUrl::status(&answer.as_bytes()[..known]),
                Ok(Some(503)),
                "{interim:?}"
            );
            let wrong = format!("{interim}SSH-2.0");
            assert!(ProbeUrl::status(wrong.as_bytes()).is_err(), "{interim:?}");
        }
        let endless = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(LONGEST_ANSWER_HEAD);
        let (short, long) = (
            &endless.as_bytes()[..LONGEST_ANSWER_HEAD - 1],
            &endless.as_bytes()[..LONGEST_ANSWER_HEAD],
        );
        assert_eq!(ProbeUrl::status(short), Ok(None));
        assert!(ProbeUrl::status(long).is_err());
    }
}
