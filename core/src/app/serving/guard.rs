//! A connection that is closed when no byte moves on it.
//!
//! A peer that stops reading, or holds a socket open and says nothing, costs memory and a descriptor for as long as it
//! likes. [`Guarded`] ends such a connection; every byte read or written starts its time anew, so that a slow but
//! moving download lives.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// A stream whose reads and writes fail with [`io::ErrorKind::TimedOut`] once nothing has moved for the idle time.
pub struct Guarded<T> {
    inner: T,
    /// What was read and is to be read again.
    unread: Bytes,
    idle: Duration,
    moved: Instant,
    alarm: Pin<Box<Sleep>>,
}

impl<T> Guarded<T> {
    /// Wraps a stream; `idle` is how long it may be silent.
    pub fn new(inner: T, idle: Duration) -> Self {
        Self { inner, unread: Bytes::new(), idle, moved: Instant::now(), alarm: Box::pin(tokio::time::sleep(idle)) }
    }

    /// Lets it be silent for another time from now on.
    pub fn bear(&mut self, idle: Duration) {
        if idle < self.idle {
            self.alarm.as_mut().reset(Instant::now() + idle);
        }
        self.idle = idle;
    }

    /// The stream itself.
    pub fn inner(&self) -> &T {
        &self.inner
    }

    /// Gives bytes that were read to the next reader.
    pub fn unread(&mut self, bytes: Vec<u8>) {
        self.unread = bytes.into();
    }

    /// Turns a pending result into an error once the time is up, and notes progress otherwise.
    fn watch<R>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if result.is_ready() {
            self.moved = Instant::now();
            return result;
        }
        self.wait(cx)
    }

    /// Ends a wait for what moves no byte of its own, such as a flush, once the time is up.
    fn wait<R>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<R>> {
        // The alarm is not moved at each byte, which would cost more than the byte; it is moved when it rings.
        while self.alarm.as_mut().poll(cx).is_ready() {
            let due = self.moved + self.idle;
            if due <= Instant::now() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.alarm.as_mut().reset(due);
        }
        Poll::Pending
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Guarded<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.unread.is_empty() {
            let length = self.unread.len().min(buf.remaining());
            buf.put_slice(&self.unread.split_to(length));
            return Poll::Ready(Ok(()));
        }
        let result = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.watch(cx, result)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Guarded<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.watch(cx, result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.inner).poll_flush(cx) {
            Poll::Pending => self.wait(cx),
            flushed @ Poll::Ready(_) => flushed,
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.inner).poll_shutdown(cx) {
            Poll::Pending => self.wait(cx),
            ended @ Poll::Ready(_) => ended,
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.watch(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const IDLE: Duration = Duration::from_mins(1);

    #[tokio::test(start_paused = true)]
    async fn a_silent_peer_is_dropped() {
        let (_peer, ours) = duplex(64);
        let start = Instant::now();
        let error = Guarded::new(ours, IDLE).read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed(), IDLE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_stops_reading_is_dropped() {
        let (_peer, ours) = duplex(64);
        let error = Guarded::new(ours, IDLE).write_all(&[0; 65]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_peer_that_moves_lives() {
        let (mut peer, ours) = duplex(64);
        let mut ours = Guarded::new(ours, IDLE);
        let slow = tokio::spawn(async move {
            for _ in 0..5 {
                tokio::time::sleep(IDLE.saturating_sub(Duration::from_secs(1))).await;
                peer.write_u8(1).await.unwrap();
            }
        });
        for _ in 0..5 {
            assert_eq!(ours.read_u8().await.unwrap(), 1);
        }
        slow.await.unwrap();
    }
}
