//! The few words of HTTP that a probe speaks: an address, a request, and the status of the answer.

use std::error::Error;
use std::fmt;

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

/// The most bytes of an answer that are read in search of its status.
pub const LONGEST_STATUS_LINE: usize = 256;

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

    /// The status of an answer that begins with `head`: `None` while it is too short to tell.
    ///
    /// # Errors
    ///
    /// What cannot be the beginning of an HTTP answer.
    pub fn status(head: &[u8]) -> Result<Option<u16>, ProbeUrlError> {
        const NO_HTTP: ProbeUrlError = ProbeUrlError("the answer is not HTTP");
        let shortest = "HTTP/1.1 200".len();
        let version = &head[..head.len().min("HTTP/".len())];
        if !b"HTTP/".starts_with(version) {
            return Err(NO_HTTP);
        }
        if head.len() < shortest {
            return Ok(None);
        }
        let line = std::str::from_utf8(&head[..shortest]).map_err(|_| NO_HTTP)?;
        let status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
        match status {
            Some(status @ 100..=599) => Ok(Some(status)),
            _ => Err(NO_HTTP),
        }
    }
}

impl std::str::FromStr for ProbeUrl {
    type Err = ProbeUrlError;

    fn from_str(text: &str) -> Result<Self, ProbeUrlError> {
        if text.starts_with("https://") {
            return Err(ProbeUrlError("https is not supported; probe the plain port"));
        }
        let Some(rest) = text.strip_prefix("http://") else {
            return Err(ProbeUrlError("an address starts with `http://`"));
        };
        if rest.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(ProbeUrlError("an address has no spaces"));
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
                (host, after.strip_prefix(':'))
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        if host.is_empty() {
            return Err(ProbeUrlError("the address has no host"));
        }
        let port = match port {
            Some(port) => match port.parse() {
                Ok(port @ 1..) => port,
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
            ("http://[::1", "no `]`"),
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
        for length in 0..12 {
            assert_eq!(ProbeUrl::status(&answer[..length]), Ok(None), "{length}");
        }
        assert_eq!(ProbeUrl::status(&answer[..12]), Ok(Some(503)));
        for wrong in [&b"SSH-2.0"[..], b"HTTP/1.1 abc", b"HTTP/1.1 999"] {
            assert!(ProbeUrl::status(wrong).is_err(), "{wrong:?}");
        }
    }
}
