//! Accepting connections: the loop under every HTTP port of ours.
//!
//! A connection has 15 seconds for the head of each request, is closed after 75 silent ones, and there are at most
//! as many as [`Limits::connections`]; beyond that an asker is told to come again. When the process runs out of
//! descriptors the loop waits instead of spinning.
//!
//! Handlers learn both ends of their connection as a [`Peers`] extension.
//!
//! Why not `axum::serve`: it sets no timer, so a slow sender of headers would hold its socket for ever.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::guard::Guarded;

/// Connections at most.
const MOST_CONNECTIONS: usize = 4096;
/// How long a client may take to send the head of a request.
const HEADER_TIME: Duration = Duration::from_secs(15);
/// How long open requests may go on after the stop was asked for.
const STOP_TIME: Duration = Duration::from_secs(2);
/// How long to wait after an accept that failed for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// What an asker beyond the cap gets.
const BUSY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Both ends of a connection, IPv4 addresses in their own form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peers {
    /// The asker.
    pub(crate) remote: SocketAddr,
    /// The address at which the asker reached us.
    pub(crate) local: SocketAddr,
}

/// What one port may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Connections open at once.
    pub(crate) connections: usize,
    /// How long a connection may be silent.
    pub(crate) idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: MOST_CONNECTIONS, idle: Duration::from_secs(75) }
    }
}

impl Limits {
    /// As many connections as this process may have, half of its descriptors left to the rest of it.
    ///
    /// The limit that the system starts programs with is often low so that old programs live; it is raised first.
    #[cfg(unix)]
    pub(crate) fn of_process() -> Self {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        let wanted = 2 * MOST_CONNECTIONS as u64;
        let raised = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
        let now = limit.current.unwrap_or(u64::MAX);
        let got = now >= raised || setrlimit(Resource::Nofile, Rlimit { current: Some(raised), ..limit }).is_ok();
        let descriptors = if got { raised } else { now };
        let connections = usize::try_from(descriptors / 2).map_or(MOST_CONNECTIONS, |half| half.min(MOST_CONNECTIONS));
        Self { connections, ..Self::default() }
    }

    /// As many connections as are ever taken.
    #[cfg(not(unix))]
    pub(crate) fn of_process() -> Self {
        Self::default()
    }
}

/// Serves `app` on `listener` until `stop`, then lets open requests finish for at most two seconds.
pub(crate) async fn serve(listener: TcpListener, app: Router, limits: Limits, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if is_ours(&error) {
                    tracing::warn!(%error, "cannot accept connections for now");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                continue;
            }
        };
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            tasks.spawn(refuse(stream));
            continue;
        };
        let (app, stop) = (app.clone(), stop.clone());
        tasks.spawn(async move {
            if let Err(error) = connection(stream, remote, app, limits.idle, stop).await {
                tracing::debug!(%remote, %error, "connection ended");
            }
            drop(slot);
        });
    }
    tasks.close();
    let _ = tokio::time::timeout(STOP_TIME, tasks.wait()).await;
}

/// Serves the requests of one connection.
async fn connection(
    stream: TcpStream,
    remote: SocketAddr,
    app: Router,
    idle: Duration,
    stop: CancellationToken,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    stream.set_nodelay(true)?;
    let peers = Peers { remote: canonical(remote), local: canonical(stream.local_addr()?) };
    let app = TowerToHyperService::new(app);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peers);
        app.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(Guarded::new(stream, idle)), service);
    tokio::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return Ok(ended?),
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    Ok(tokio::time::timeout(STOP_TIME, connection).await??)
}

/// Tells one asker too many to come again, without waiting for the question.
async fn refuse(mut stream: TcpStream) {
    let _ = tokio::time::timeout(Duration::from_secs(1), stream.write_all(BUSY)).await;
}

/// An IPv4 address that a dual-stack socket shows as IPv6, in its own form.
pub(crate) fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

/// Whether an accept failed for a reason of this machine and will fail again at once; a peer that went away is not.
fn is_ours(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use axum::Extension;
    use axum::routing::get;
    use tokio::io::AsyncReadExt as _;

    use super::*;

    async fn start(limits: Limits) -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let app =
            Router::new().route("/", get(|Extension(peers): Extension<Peers>| async move { format!("{peers:?}") }));
        let stop = CancellationToken::new();
        (addr, stop.clone(), tokio::spawn(serve(listener, app, limits, stop)))
    }

    async fn ask(stream: &mut TcpStream) -> String {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_handler_learns_both_ends() {
        let (addr, _stop, _server) = start(Limits::default()).await;
        let mut stream = TcpStream::connect(addr).await.unwrap();
        let own = stream.local_addr().unwrap();
        let answer = ask(&mut stream).await;
        assert!(answer.ends_with(&format!("{:?}", Peers { remote: own, local: addr })), "{answer}");
    }

    #[tokio::test]
    async fn one_connection_too_many_is_told_to_come_again() {
        let (addr, _stop, _server) = start(Limits { connections: 1, ..Limits::default() }).await;
        let mut first = TcpStream::connect(addr).await.unwrap();
        let mut second = TcpStream::connect(addr).await.unwrap();
        let mut answer = String::new();
        second.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(ask(&mut first).await.starts_with("HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn a_stop_ends_idle_connections_at_once() {
        let (addr, stop, server) = start(Limits::default()).await;
        let mut idle = TcpStream::connect(addr).await.unwrap();
        // A first answer proves that the connection was accepted before the stop.
        idle.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        idle.read_u8().await.unwrap();
        stop.cancel();
        server.await.unwrap();
    }

    #[tokio::test]
    async fn a_silent_connection_is_closed() {
        let (addr, _stop, _server) = start(Limits { idle: Duration::from_millis(20), ..Limits::default() }).await;
        let mut silent = TcpStream::connect(addr).await.unwrap();
        assert_eq!(silent.read(&mut [0; 16]).await.unwrap_or(0), 0);
    }

    #[test]
    fn a_mapped_address_is_shown_as_ipv4() {
        assert_eq!(canonical("[::ffff:192.0.2.1]:9".parse().unwrap()), "192.0.2.1:9".parse().unwrap());
    }
}
