//! The stream to a server, which reads no more of an answer than the longest answer that we ask for.
//!
//! The client library reads all that a server sends into memory. A server that is broken, or that a stranger runs, would
//! fill it at the speed of the network until the request's time is over.

use futures_util::future::select_ok;
use redis::io::tcp::socket2::SockRef;
use redis::{ConnectionAddr, ConnectionInfo};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};

/// The most bytes that a server may send between two requests, messages included. Our longest answer, the status of a lock
/// with many holders, has some hundred thousand.
pub(super) const LONGEST_ANSWER: usize = 4 * 1024 * 1024;

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A stream that fails when more than [`LONGEST_ANSWER`] bytes come without a request.
pub(super) struct Stream {
    inner: Box<dyn Duplex>,
    answered: usize,
}

impl Stream {
    /// Connects to this address; `None` if only the client library can, because it is TLS.
    pub(super) async fn connect(info: &ConnectionInfo) -> io::Result<Option<Self>> {
        let inner: Box<dyn Duplex> = match info.addr() {
            ConnectionAddr::Tcp(host, port) => {
                let addresses: Vec<_> = lookup_host((&**host, *port))
                    .await?
                    .map(TcpStream::connect)
                    .map(Box::pin)
                    .collect();
                if addresses.is_empty() {
                    return Err(io::Error::new(io::ErrorKind::NotFound, "no address for this host"));
                }
                // All at once: one of them may not answer at all.
                let (stream, _others) = select_ok(addresses).await?;
                stream.set_nodelay(info.tcp_settings().nodelay())?;
                #[cfg(target_os = "linux")]
                SockRef::from(&stream).set_tcp_user_timeout(info.tcp_settings().user_timeout())?;
                Box::new(stream)
            }
            #[cfg(unix)]
            ConnectionAddr::Unix(path) => Box::new(tokio::net::UnixStream::connect(path).await?),
            _ => return Ok(None),
        };
        Ok(Some(Self { inner, answered: 0 }))
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut *self.inner).poll_read(cx, buffer))?;
        self.answered += buffer.filled().len() - before;
        if self.answered > LONGEST_ANSWER {
            let message = format!("the server sent more than {LONGEST_ANSWER} bytes without a request");
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, message)));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut *self.inner).poll_write(cx, bytes))?;
        self.answered = 0;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.inner).poll_shutdown(cx)
    }
}
