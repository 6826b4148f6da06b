//! A health check of an HTTP address.

use super::{ComponentHealth, HealthChecker, LONGEST_ANSWER_HEAD, ProbeUrl, words};
use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends a GET request to an address: `Healthy` if the status is from 200 to 399. It speaks plain HTTP and follows no
/// redirects.
#[derive(Clone, Debug)]
pub struct HttpChecker {
    name: String,
    url: ProbeUrl,
}

impl HttpChecker {
    /// A check of this address, under this name.
    #[must_use]
    pub fn new(name: impl Into<String>, url: ProbeUrl) -> Self {
        Self { name: name.into(), url }
    }

    /// The status of the answer.
    async fn ask(&self) -> Result<u16, String> {
        let address = (self.url.host(), self.url.port());
        let mut stream = TcpStream::connect(address)
            .await
            .map_err(|error| format!("cannot connect: {}", words::of_io(&error)))?;
        let broken = |error: std::io::Error| words::of_io(&error).to_owned();
        stream.write_all(self.url.request().as_bytes()).await.map_err(broken)?;
        let mut head = Vec::new();
        // A full buffer is an error of `status`.
        while head.len() < LONGEST_ANSWER_HEAD {
            let read = (&mut stream)
                .take((LONGEST_ANSWER_HEAD - head.len()) as u64)
                .read_buf(&mut head)
                .await
                .map_err(broken)?;
            if read == 0 {
                break;
            }
            if let Some(status) = ProbeUrl::status(&head).map_err(|error| error.to_string())? {
                return Ok(status);
            }
        }
        Err("closed without an answer".to_owned())
    }
}

#[async_trait]
impl HealthChecker for HttpChecker {
    async fn check(&self) -> ComponentHealth {
        match self.ask().await {
            Ok(200..=399) => ComponentHealth::healthy(self.name()),
            Ok(status) => ComponentHealth::unhealthy(self.name(), format!("answered {status}")),
            Err(message) => ComponentHealth::unhealthy(self.name(), message),
        }
    }

    fn name(&self) -> &str {
        &self.name
    }
}
