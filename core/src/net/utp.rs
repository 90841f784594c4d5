//! Streams over uTP, as connections use them.
//!
//! The task of the UDP port ([`super::udp`]) owns all that the streams are; a [`UtpStream`] asks it to write and is
//! handed what has come, a chunk at a time. What is written is taken when the peer can soon have it, so that nothing
//! waits here for long; what is not read stays with the port, whose room the peer knows.
//!
//! Law: of each stream at most one chunk, one write and one goodbye are under way between it and the port.
//! Source: BEP 29.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{mpsc, oneshot};

use crate::utp::StreamId;

/// What streams ask of the port.
#[derive(Debug)]
pub(super) enum Request {
    /// Dial a peer.
    Dial(SocketAddr, oneshot::Sender<UtpStream>),
    /// Send this, and say when it is on its way or soon will be.
    Write(StreamId, Vec<Bytes>, oneshot::Sender<()>),
    /// The last chunk is used up.
    Read(StreamId),
    /// Send what was written, and be done.
    Close(StreamId),
}

/// Dials peers over uTP. Clones are the same port.
#[derive(Clone, Debug)]
pub(crate) struct UtpDialler(mpsc::UnboundedSender<Request>);

impl UtpDialler {
    /// A dialler, and what it asks of the port; bounded by the number of streams.
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Request>) {
        let (requests, asked) = mpsc::unbounded_channel();
        (Self(requests), asked)
    }

    /// Dials a peer; it takes some seconds to find that nobody is there.
    pub(crate) async fn dial(&self, addr: SocketAddr) -> io::Result<UtpStream> {
        let (answer, answered) = oneshot::channel();
        let _ = self.0.send(Request::Dial(addr, answer));
        answered.await.map_err(|_| io::ErrorKind::TimedOut.into())
    }

    /// The stream of this number, and where what comes is to be put.
    pub(super) fn stream(&self, id: StreamId) -> (UtpStream, mpsc::Sender<Bytes>) {
        let (chunks, incoming) = mpsc::channel(1);
        let read = UtpReader { id, requests: self.0.clone(), incoming, chunk: Bytes::new() };
        let write = UtpWriter { id, requests: self.0.clone(), taken: None };
        (UtpStream { read, write }, chunks)
    }
}

/// A connection over uTP. It is closed when its writing half is dropped.
#[derive(Debug)]
pub(crate) struct UtpStream {
    pub(super) read: UtpReader,
    pub(super) write: UtpWriter,
}

/// The half that is read.
#[derive(Debug)]
pub(crate) struct UtpReader {
    id: StreamId,
    requests: mpsc::UnboundedSender<Request>,
    incoming: mpsc::Receiver<Bytes>,
    /// What is left of the last chunk.
    chunk: Bytes,
}

impl UtpReader {
    /// Waits until there is something to take; false at the end.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        while self.chunk.is_empty() {
            match ready!(self.incoming.poll_recv(cx)) {
                Some(chunk) => self.chunk = chunk,
                None => return Poll::Ready(false),
            }
        }
        Poll::Ready(true)
    }

    fn take(&mut self, room: &mut [u8]) -> usize {
        let count = room.len().min(self.chunk.len());
        self.chunk.copy_to_slice(&mut room[..count]);
        if self.chunk.is_empty() {
            let _ = self.requests.send(Request::Read(self.id));
        }
        count
    }

    /// Waits until there is something to read, or the end.
    pub(super) async fn readable(&mut self) {
        std::future::poll_fn(|cx| self.poll_ready(cx)).await;
    }

    /// Reads what there is, after [`Self::readable`]: nothing is the end.
    pub(super) fn read_vectored(&mut self, room: &mut [io::IoSliceMut<'_>]) -> usize {
        let mut read = 0;
        for part in room {
            if self.chunk.is_empty() {
                break;
            }
            read += self.take(part);
        }
        read
    }
}

/// The half that is written.
#[derive(Debug)]
pub(crate) struct UtpWriter {
    id: StreamId,
    requests: mpsc::UnboundedSender<Request>,
    /// The last write, until it is taken.
    taken: Option<oneshot::Receiver<()>>,
}

impl UtpWriter {
    fn poll_taken(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(taken) = &mut self.taken else { return Poll::Ready(Ok(())) };
        let result = ready!(Pin::new(taken).poll(cx));
        self.taken = None;
        Poll::Ready(result.map_err(|_| io::ErrorKind::BrokenPipe.into()))
    }

    fn send(&mut self, parts: Vec<Bytes>) {
        let (taken, wait) = oneshot::channel();
        let _ = self.requests.send(Request::Write(self.id, parts, taken));
        self.taken = Some(wait);
    }

    /// Writes all of it, without copying, and waits until it is taken.
    pub(super) async fn write_all(&mut self, parts: Vec<Bytes>) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll_taken(cx)).await?;
        self.send(parts);
        std::future::poll_fn(|cx| self.poll_taken(cx)).await
    }
}

impl Drop for UtpWriter {
    fn drop(&mut self) {
        let _ = self.requests.send(Request::Close(self.id));
    }
}

impl AsyncRead for UtpStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if ready!(self.read.poll_ready(cx)) {
            let count = self.read.take(buf.initialize_unfilled());
            buf.advance(count);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for UtpStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.write.poll_taken(cx))?;
        self.write.send(vec![Bytes::copy_from_slice(bytes)]);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write.poll_taken(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}
