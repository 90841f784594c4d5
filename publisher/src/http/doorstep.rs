//! Accepting connections, and what can be said to an asker before it is let in.
//!
//! When an episode is out, most connections carry one question and end with its answer. By the time such a connection
//! is accepted the question has often come. A [`Guest`] is a connection that the runtime does not know yet: what has
//! come can be read and answered at once, which saves its registration, a task, and the way to another thread. Whoever
//! stays, or has said nothing yet, becomes a stream of the runtime as ever.
//!
//! On Linux a guest is a plain socket. Elsewhere it is a stream of the runtime from the start, and nothing is saved.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};

#[cfg(not(target_os = "linux"))]
pub(crate) use other::{Doorstep, Guest};
#[cfg(target_os = "linux")]
pub(crate) use system::{Doorstep, Guest};

#[cfg(target_os = "linux")]
mod system {
    use std::os::fd::OwnedFd;

    use rustix::net::{RecvFlags, SendFlags, SocketFlags, acceptfrom_with, recv, send};
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    use super::{SocketAddr, TcpListener, TcpStream, io};

    /// Where connections come in.
    #[derive(Debug)]
    pub(crate) struct Doorstep(AsyncFd<std::net::TcpListener>);

    /// A connection that the runtime does not know yet.
    #[derive(Debug)]
    pub(crate) struct Guest(OwnedFd);

    impl Doorstep {
        #[expect(
            deprecated,
            reason = "a listener keeps its descriptor, so it is sound here; its successor is not a safe function"
        )]
        pub(crate) fn new(listener: TcpListener) -> io::Result<Self> {
            Ok(Self(AsyncFd::with_interest(listener.into_std()?, Interest::READABLE)?))
        }

        pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
            self.0.get_ref().local_addr()
        }

        /// Waits for the next connection: it, and where it comes from.
        pub(crate) async fn accept(&self) -> io::Result<(Guest, SocketAddr)> {
            let accept = |listener: &std::net::TcpListener| {
                let (socket, from) = acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
                let from = from.and_then(|from| SocketAddr::try_from(from).ok());
                Ok((Guest(socket), from.ok_or(io::ErrorKind::ConnectionAborted)?))
            };
            self.0.async_io(Interest::READABLE, accept).await
        }
    }

    impl Guest {
        /// Our end of the connection.
        pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
            let addr = rustix::net::getsockname(&self.0)?;
            Ok(SocketAddr::try_from(addr)?)
        }

        /// Reads what has come, after what was read before; nothing if nothing has.
        pub(crate) fn hear(&self, input: &mut [u8]) -> usize {
            // Whatever is wrong with the connection shows again when it is read as a stream.
            recv(&self.0, input, RecvFlags::DONTWAIT).map_or(0, |(heard, _)| heard)
        }

        /// Sends the last words; the end of the connection travels with them. What a new socket has no room for is
        /// lost.
        pub(crate) fn dismiss(self, words: &[u8]) {
            let _ = send(&self.0, words, SendFlags::MORE | SendFlags::NOSIGNAL);
        }

        /// Lets it in.
        pub(crate) fn into_stream(self) -> io::Result<TcpStream> {
            TcpStream::from_std(self.0.into())
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod other {
    use super::{SocketAddr, TcpListener, TcpStream, io};

    /// Where connections come in.
    #[derive(Debug)]
    pub(crate) struct Doorstep(TcpListener);

    /// A connection that has not been let in yet.
    #[derive(Debug)]
    pub(crate) struct Guest(TcpStream);

    impl Doorstep {
        pub(crate) fn new(listener: TcpListener) -> io::Result<Self> {
            Ok(Self(listener))
        }

        pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
            self.0.local_addr()
        }

        /// Waits for the next connection: it, and where it comes from.
        pub(crate) async fn accept(&self) -> io::Result<(Guest, SocketAddr)> {
            let (stream, from) = self.0.accept().await?;
            Ok((Guest(stream), from))
        }
    }

    impl Guest {
        /// Our end of the connection.
        pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
            self.0.local_addr()
        }

        /// Reads what has come; nothing if nothing has.
        pub(crate) fn hear(&self, input: &mut [u8]) -> usize {
            self.0.try_read(input).unwrap_or(0)
        }

        /// Sends the last words. What a new socket has no room for is lost.
        pub(crate) fn dismiss(self, words: &[u8]) {
            let _ = self.0.try_write(words);
        }

        /// Lets it in.
        pub(crate) fn into_stream(self) -> io::Result<TcpStream> {
            Ok(self.0)
        }
    }
}
