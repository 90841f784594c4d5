//! Accepting connections of players and podcast apps: few at once, and none that only waits.
//!
//! A connection has [`HEAD_TIME`] for the head of a request, and is closed when its asker takes nothing for
//! [`STALL_TIME`], as one does that was paused and forgotten; players ask for the rest when they go on. There are at
//! most [`MOST`] at once, and [`MOST_OF_ONE`] of one address; who comes beyond that is closed.
//!
//! Handlers learn their asker's address as an [`Asker`] extension.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;

/// Connections at once.
const MOST: usize = 128;
/// Connections of one address at once.
const MOST_OF_ONE: usize = 48;
/// How long the head of a request may take, and how long a connection is kept without one.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// How long an asker may take nothing of what is sent.
const STALL_TIME: Duration = Duration::from_mins(10);
/// The longest head of a request, in bytes.
const LONGEST_HEAD: usize = 16 << 10;
/// How long to wait after an accept that failed for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker(pub(super) IpAddr);

/// Serves `app` to whoever connects, until `stop`.
pub(super) async fn serve(listener: TcpListener, app: Router, stop: CancellationToken) {
    let places = Places::default();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let (stream, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_of_one(&error) => continue,
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted for now");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(place) = places.take(remote) else { continue };
        tokio::spawn(stop.clone().run_until_cancelled_owned(connection(stream, app.clone(), place)));
    }
}

/// An accept that failed for what its connection did, not for what we lack.
fn is_of_one(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

async fn connection(stream: TcpStream, app: Router, place: Place) {
    let router = TowerToHyperService::new(app);
    let asker = Asker(place.ip);
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request;
        request.extensions_mut().insert(asker);
        router.call(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(LONGEST_HEAD)
        .serve_connection(TokioIo::new(Patient { stream, patience: None }), service);
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection of a player broke off");
    }
    drop(place);
}

/// Who is connected, and how often.
#[derive(Clone, Debug, Default)]
struct Places(Arc<Mutex<BTreeMap<IpAddr, usize>>>);

impl Places {
    /// A place for one more connection, if there is one.
    fn take(&self, remote: SocketAddr) -> Option<Place> {
        let ip = remote.ip().to_canonical();
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = taken.values().sum();
        let own = taken.get(&ip).copied().unwrap_or(0);
        if all >= MOST || own >= MOST_OF_ONE {
            return None;
        }
        taken.insert(ip, own + 1);
        drop(taken);
        Some(Place { places: self.clone(), ip })
    }
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
struct Place {
    places: Places,
    ip: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.ip) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.ip);
            }
        }
    }
}

/// A stream whose other end must take something now and then.
struct Patient<S> {
    stream: S,
    /// When it is enough, while nothing is taken.
    patience: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    /// What a write came to, or a failure if it waits for too long.
    fn watch<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.patience = None;
            return written;
        }
        let patience = self.patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(STALL_TIME)));
        ready!(patience.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[test]
    fn one_address_takes_not_all_places() {
        let places = Places::default();
        let addr = |text: &str| SocketAddr::new(text.parse().unwrap(), 1);
        let one: Vec<_> = (0..MOST_OF_ONE + 5).filter_map(|_| places.take(addr("192.168.1.2"))).collect();
        assert_eq!(one.len(), MOST_OF_ONE);
        assert!(places.take(addr("::ffff:192.168.1.2")).is_none(), "it is the same address");
        let others: Vec<_> = (0..=MOST).filter_map(|n| places.take(addr(&format!("10.0.{n}.1")))).collect();
        assert_eq!(one.len() + others.len(), MOST);
        drop(one);
        assert!(places.take(addr("192.168.1.2")).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_closed_and_who_takes_slowly_is_not() {
        let (ours, mut theirs) = tokio::io::duplex(1000);
        let mut ours = Patient { stream: ours, patience: None };
        let slow = async {
            for _ in 0..5 {
                tokio::time::sleep(STALL_TIME / 2).await;
                let mut some = [0; 1000];
                tokio::io::AsyncReadExt::read_exact(&mut theirs, &mut some).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(ours.write_all(&[0; 5000]), slow);
        written.unwrap();
        ours.write_all(&[0; 1000]).await.unwrap();
        assert_eq!(ours.write_all(&[0; 1000]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
