//! Names the kind of an error of the system, without its text.

use std::io;

/// The kind of an error of the system.
pub(super) fn of_io(error: &io::Error) -> &'static str {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::ConnectionRefused => "connection refused",
        Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe => "connection broken off",
        Kind::NotConnected => "not connected",
        Kind::UnexpectedEof => "connection closed before the answer was complete",
        Kind::TimedOut | Kind::WouldBlock => "timed out",
        Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown => "host not reachable",
        Kind::AddrNotAvailable => "address not available",
        Kind::PermissionDenied => "permission denied",
        Kind::NotFound => "not found",
        Kind::InvalidData | Kind::InvalidInput => "protocol error",
        Kind::OutOfMemory => "out of memory",
        // This includes a name that cannot be resolved, which has no kind of its own.
        _ => "cannot reach the host or find its address",
    }
}
