//! One connection's stream, whatever carries it.
//!
//! Everything above is the same for TCP and uTP. The choice is made once for each read and write, and costs TCP nothing
//! else: its bytes go from the socket straight to where they stay.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::route::Route;
use super::unsent::LEAST_UNSENT;
use super::utp::{UtpDialler, UtpReader, UtpStream, UtpWriter};
use crate::peer::Transport;
use crate::rate::Rate;
use crate::swarm::DialWay;
use crate::utp;

/// How long a dial may take.
const DIAL_TIMEOUT: Duration = Duration::from_secs(8);
/// How long one through a proxy may take, which is often far away.
const PROXY_TIMEOUT: Duration = Duration::from_secs(20);
/// What a packet of TCP carries on most ways, in bytes.
const TCP_PACKET: usize = 1448;
/// How long one way is tried before the other one is tried beside it.
const HEAD_START: Duration = Duration::from_millis(400);

/// A connection to a peer.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Utp(UtpStream),
}

/// The half that is read.
#[derive(Debug)]
pub(crate) enum Incoming {
    Tcp(OwnedReadHalf),
    Utp(UtpReader),
}

/// The half that is written. Dropped, it tells the peer that nothing more will come.
#[derive(Debug)]
pub(crate) enum Outgoing {
    Tcp(Arc<OwnedWriteHalf>),
    Utp(UtpWriter),
}

impl Stream {
    /// A connection over TCP, set up for many small messages between large ones.
    pub(crate) fn tcp(stream: TcpStream) -> Self {
        // Requests are small and must not wait for one another.
        let _ = stream.set_nodelay(true);
        limit_unsent(&stream, LEAST_UNSENT);
        Self::Tcp(stream)
    }

    /// What carries it.
    pub(crate) const fn transport(&self) -> Transport {
        match self {
            Self::Tcp(_) => Transport::Tcp,
            Self::Utp(_) => Transport::Utp,
        }
    }

    /// Our address and the peer's, if it is over TCP.
    pub(crate) fn tcp_addrs(&self) -> Option<(SocketAddr, SocketAddr)> {
        let Self::Tcp(stream) = self else { return None };
        Some((stream.local_addr().ok()?, stream.peer_addr().ok()?))
    }

    pub(crate) fn into_split(self) -> (Incoming, Outgoing) {
        match self {
            Self::Tcp(stream) => {
                let (read, write) = stream.into_split();
                (Incoming::Tcp(read), Outgoing::Tcp(Arc::new(write)))
            }
            Self::Utp(UtpStream { read, write }) => (Incoming::Utp(read), Outgoing::Utp(write)),
        }
    }
}

impl Incoming {
    /// Waits until there may be something to read.
    pub(crate) async fn readable(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.readable().await,
            Self::Utp(stream) => {
                stream.readable().await;
                Ok(())
            }
        }
    }

    /// Reads what there is; nothing is the end.
    pub(crate) fn try_read_vectored(&mut self, room: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_read_vectored(room),
            Self::Utp(stream) => Ok(stream.read_vectored(room)),
        }
    }
}

impl Outgoing {
    /// Writes all of it, in as few steps as the other side's room allows, and copies nothing.
    pub(crate) async fn write_all(&mut self, mut parts: Vec<Bytes>) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => write_all(stream, &mut parts).await,
            Self::Utp(stream) => stream.write_all(parts).await,
        }
    }

    /// How many bytes are written at once at this pace: whole packets, as many as leave within two milliseconds, and
    /// two at least, because a single one is acknowledged late.
    pub(crate) fn bit(&self, pace: Rate) -> usize {
        let packet = match self {
            Self::Tcp(_) => TCP_PACKET,
            Self::Utp(_) => utp::MOST_PAYLOAD,
        };
        let packets = usize::try_from(pace.0).unwrap_or(usize::MAX) / 500 / packet;
        packets.max(2).saturating_mul(packet)
    }

    /// Lets at most so many bytes wait before they are on their way. uTP keeps none.
    pub(crate) fn limit_unsent(&self, most: usize) {
        if let Self::Tcp(stream) = self {
            limit_unsent((**stream).as_ref(), most);
        }
    }
}

async fn write_all(writer: &OwnedWriteHalf, parts: &mut [Bytes]) -> io::Result<()> {
    let mut rest = &mut parts[..];
    loop {
        while rest.first().is_some_and(Bytes::is_empty) {
            rest = &mut rest[1..];
        }
        if rest.is_empty() {
            return Ok(());
        }
        let slices: Vec<io::IoSlice<'_>> = rest.iter().map(|part| io::IoSlice::new(part)).collect();
        let mut written = match writer.try_write_vectored(&slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => written,
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => {
                writer.writable().await?;
                continue;
            }
            Err(err) => return Err(err),
        };
        for part in &mut *rest {
            let step = written.min(part.len());
            part.advance(step);
            written -= step;
        }
    }
}

/// How peers are dialled: over TCP, and after a short while over uTP, too, of which the first that answers is taken; or
/// over uTP alone; or through a proxy.
#[derive(Clone, Debug)]
pub(crate) struct Dialler {
    /// How we go out.
    pub(crate) route: Route,
    /// The port's uTP, if it may be used.
    pub(crate) utp: Option<UtpDialler>,
}

impl Dialler {
    /// Dials a peer.
    pub(crate) async fn dial(&self, addr: SocketAddr, way: DialWay) -> io::Result<Stream> {
        if let (Some(proxy), DialWay::Any) = (&self.route.proxy, way) {
            let dial = async { proxy.dial(&self.route, addr).await.map(Stream::tcp).map_err(io::Error::other) };
            return within(PROXY_TIMEOUT, dial).await;
        }
        let tcp = async { self.route.connect(addr).await.map(Stream::tcp) };
        match (&self.utp, way) {
            (Some(utp), DialWay::Any) => within(DIAL_TIMEOUT, race(tcp, dial_utp(addr, utp))).await,
            (Some(utp), DialWay::Punch) => within(DIAL_TIMEOUT, dial_utp(addr, utp)).await,
            (None, DialWay::Any) => within(DIAL_TIMEOUT, tcp).await,
            (None, DialWay::Punch) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

async fn within(time: Duration, dial: impl Future<Output = io::Result<Stream>>) -> io::Result<Stream> {
    tokio::time::timeout(time, dial).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn race(
    first: impl Future<Output = io::Result<Stream>>,
    second: impl Future<Output = io::Result<Stream>>,
) -> io::Result<Stream> {
    let (mut first, second) = (std::pin::pin!(first), std::pin::pin!(second));
    match tokio::time::timeout(HEAD_START, &mut first).await {
        Ok(Ok(stream)) => return Ok(stream),
        Ok(Err(_)) => return second.await,
        Err(_) => {}
    }
    tokio::select! {
        Ok(stream) = first => Ok(stream),
        Ok(stream) = second => Ok(stream),
        else => Err(io::ErrorKind::ConnectionRefused.into()),
    }
}

async fn dial_utp(addr: SocketAddr, utp: &UtpDialler) -> io::Result<Stream> {
    Ok(Stream::Utp(utp.dial(addr).await?))
}

/// Limits what waits in the kernel and is not on its way; where the system has no such limit, it buffers as it will.
fn limit_unsent(stream: &TcpStream, most: usize) {
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(stream).set_tcp_notsent_lowat(u32::try_from(most).unwrap_or(u32::MAX));
    #[cfg(not(target_os = "linux"))]
    let _ = (stream, most);
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Utp(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Utp(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Utp(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Utp(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
