//! Accepting connections: the loop under every HTTP port of ours.
//!
//! A connection has 15 seconds for the head of each request, is closed after 75 silent ones, and there are at most as
//! many as [`Limits::connections`], and from one public address [`Limits::connections_per_network`]; beyond that an
//! asker is told to come again. When the process runs out of descriptors the loop waits instead of spinning.
//!
//! Handlers learn both ends of their connection as a [`Peers`] extension, since when it is there as [`Opened`], and who
//! can read it as a [`Way`]. Where a
//! trusted proxy connects, the asker is whom it names, one request after another, and the asker's network is held to as
//! many requests as it may have connections; so is every network over HTTP/2, where a connection carries many.
//!
//! Why not `axum::serve`: it sets no timer, so a slow sender of headers would hold its socket for ever.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use podswarm_core::app::{Guarded, Place, Quota};
use podswarm_core::net::rest_after_accept;
use podswarm_core::tracker::{Scope, network_of, public_network_of};
use socket2::SockRef;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::doorstep::{Doorstep, Guest};
use super::front::{Front, Line};
use super::handshake::{Secured, shake_hands};
use super::kept::Kept;
use super::proxies::Proxies;
use super::streams::{Streams, Watched};
use crate::tls::Tls;

/// Connections at most: a stream of events for each of 10,000 agents, and room for those who fetch.
const MOST_CONNECTIONS: usize = 16_384;
/// Connections of one public address, or one /64 of IPv6.
const MOST_PER_NETWORK: usize = 512;
/// The longest head of a request, in bytes; what one connection may make us keep.
const LONGEST_HEAD: usize = 16 << 10;
/// Requests at once on one connection of HTTP/2.
const MOST_STREAMS: u32 = 64;
/// What one stream of HTTP/2 may have waiting to be sent, in bytes.
const STREAM_BUFFER: usize = 64 << 10;
/// How long a client may take to send the head of a request.
const HEADER_TIME: Duration = Duration::from_secs(15);
/// How long open requests may go on after the stop was asked for.
const STOP_TIME: Duration = Duration::from_secs(2);
/// Connections that are looked at a second time before they get a task of their own.
const MOST_SILENT: usize = 64;
/// What may wait in a socket before it is on its way, in bytes: what many sockets hold cannot be taken back when others
/// are to be sent first, and whoever asks for more is to have sent what he was given. More makes no line faster.
#[cfg(target_os = "linux")]
const MOST_UNSENT: u32 = 16 << 10;
/// What an asker beyond the cap gets.
const BUSY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Both ends of a connection, IPv4 addresses in their own form; behind a trusted proxy the asker is whom it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peers {
    /// The asker.
    pub(crate) remote: SocketAddr,
    /// The address at which the asker reached us.
    pub(crate) local: SocketAddr,
}

impl Peers {
    /// Whether the asker is somebody outside, as far as the two addresses tell.
    pub(crate) fn are_apart(&self) -> bool {
        let (remote, local) = (network_of(self.remote.ip()), network_of(self.local.ip()));
        remote != local && Scope::of(remote) == Scope::Public
    }
}

/// When a connection was opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opened(pub(crate) Instant);

/// Who can read what is asked and answered, on its way to us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Way {
    /// Everybody on the way.
    #[default]
    Open,
    /// Nobody: it came over TLS.
    Secret,
    /// A trusted proxy, which knows how it came to it.
    Proxy,
}

/// What answers on a port.
#[derive(Clone)]
pub(crate) struct App {
    /// Is asked first, if there is one.
    pub(crate) front: Option<Arc<Front>>,
    /// Answers what the front leaves.
    pub(crate) router: Router,
    /// Who is believed about whom he asks for.
    pub(crate) proxies: Proxies,
    /// What is shown in the handshake, if TLS is spoken.
    pub(crate) tls: Option<Tls>,
    /// Who has come in from outside.
    pub(crate) came_in: CameIn,
}

/// Who has come in from outside, which proves that it can be done; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct CameIn(Arc<Arrivals>);

#[derive(Debug, Default)]
struct Arrivals {
    /// The first networks that came.
    networks: Mutex<BTreeSet<IpAddr>>,
    /// Whether no more are looked for.
    is_full: AtomicBool,
}

impl CameIn {
    /// Networks that are remembered: our own ones, which routers may show us, are fewer.
    const MOST: usize = 8;

    /// Whether somebody has who has none of our `own` addresses outside.
    pub(crate) fn is_so(&self, own: &[IpAddr]) -> bool {
        let is_own = |network: &IpAddr| own.iter().any(|ip| network_of(*ip) == *network);
        self.networks().iter().any(|network| !is_own(network))
    }

    /// Somebody is here. Who has the address that he asks at is this machine itself, or one beside it.
    fn note(&self, peers: Peers) {
        if self.0.is_full.load(Ordering::Relaxed) || !peers.are_apart() {
            return;
        }
        let mut networks = self.networks();
        networks.insert(network_of(peers.remote.ip()));
        self.0.is_full.store(networks.len() >= Self::MOST, Ordering::Relaxed);
    }

    fn networks(&self) -> MutexGuard<'_, BTreeSet<IpAddr>> {
        self.0.networks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Router> for App {
    fn from(router: Router) -> Self {
        Self { front: None, router, proxies: Proxies::default(), tls: None, came_in: CameIn::default() }
    }
}

/// What one port may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Connections open at once.
    pub(crate) connections: usize,
    /// Connections open at once from one public address, or one /64 of IPv6.
    pub(crate) connections_per_network: usize,
    /// How long the head of a request may take.
    pub(crate) head: Duration,
    /// How long a connection may be silent.
    pub(crate) idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: MOST_CONNECTIONS,
            connections_per_network: MOST_PER_NETWORK,
            head: HEADER_TIME,
            idle: Duration::from_secs(75),
        }
    }
}

impl Limits {
    /// As many connections as this process may have, a quarter of its descriptors left to the rest of it.
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
        let most = usize::try_from(descriptors / 4 * 3).unwrap_or(usize::MAX);
        let connections = most.min(MOST_CONNECTIONS);
        Self { connections, ..Self::default() }
    }

    /// As many connections as are ever taken.
    #[cfg(not(unix))]
    pub(crate) fn of_process() -> Self {
        Self::default()
    }
}

/// What the ports of one program share.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    connections: Quota,
    /// Requests over HTTP/2.
    requests: Quota,
}

impl Limits {
    /// All the places that there are.
    pub(crate) fn places(&self) -> Places {
        let new = || Quota::new(self.connections, self.connections_per_network);
        Places { connections: new(), requests: new() }
    }
}

/// Serves `app` on `listener` until `stop`, then lets open requests finish for at most two seconds.
pub(crate) async fn serve(listener: TcpListener, app: impl Into<App>, limits: Limits, stop: CancellationToken) {
    serve_beside(listener, app, limits, limits.places(), stop).await;
}

/// The same in places that other ports take, too.
pub(crate) async fn serve_beside(
    listener: TcpListener,
    app: impl Into<App>,
    limits: Limits,
    places: Places,
    stop: CancellationToken,
) {
    let app = app.into();
    let tasks = TaskTracker::new();
    // Accepted connections inherit it; it is no reason not to serve.
    let _ = SockRef::from(&listener).set_tcp_nodelay(true);
    #[cfg(target_os = "linux")]
    let _ = SockRef::from(&listener).set_tcp_notsent_lowat(MOST_UNSENT);
    let doorstep = match Doorstep::new(listener) {
        Ok(doorstep) => doorstep,
        Err(error) => return tracing::error!(%error, "cannot wait for connections"),
    };
    let bound = doorstep.local_addr().ok().filter(|addr| !addr.ip().is_unspecified());
    let hall = Hall { app, limits, places, stop, tasks };
    // Those who had said nothing when they came, until the next look.
    let mut silent: Vec<Asker> = Vec::new();
    let mut words = Vec::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = hall.stop.cancelled() => break,
            accepted = doorstep.accept() => accepted,
            () = tokio::task::yield_now(), if !silent.is_empty() => {
                for asker in silent.drain(..) {
                    if let Some((asker, heard)) = hall.meet(asker, &mut words) {
                        hall.let_in(asker, heard);
                    }
                }
                continue;
            }
        };
        let (guest, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                rest_after_accept(&error).await;
                continue;
            }
        };
        // Behind a proxy is everybody.
        let network = public_network_of(remote.ip()).filter(|_| !hall.app.proxies.trust(remote.ip()));
        let Some(place) = hall.places.connections.admit(network) else {
            if hall.app.tls.is_none() {
                hall.tasks.spawn(refuse(guest));
            }
            continue;
        };
        let local = match bound.map_or_else(|| guest.local_addr(), Ok) {
            Ok(local) => local,
            Err(error) => {
                tracing::debug!(%remote, %error, "connection ended");
                continue;
            }
        };
        let peers = Peers { remote: canonical(remote), local: canonical(local) };
        hall.app.came_in.note(peers);
        match hall.meet(Asker { guest, peers, place }, &mut words) {
            None => {}
            Some((asker, heard)) if heard.is_empty() && silent.len() < MOST_SILENT => silent.push(asker),
            Some((asker, heard)) => hall.let_in(asker, heard),
        }
    }
    let tasks = hall.tasks;
    tasks.close();
    let _ = tokio::time::timeout(STOP_TIME, tasks.wait()).await;
}

/// Who has come, and is not let in yet.
struct Asker {
    guest: Guest,
    peers: Peers,
    place: Place,
}

/// Where those are who were let in.
struct Hall {
    app: App,
    limits: Limits,
    places: Places,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Hall {
    /// Lets the front answer at once, if it can; else returns what the asker has said. `words` is room for an answer.
    fn meet(&self, asker: Asker, words: &mut Vec<u8>) -> Option<(Asker, Vec<u8>)> {
        let (Some(front), None) = (&self.app.front, &self.app.tls) else { return Some((asker, Vec::new())) };
        let Asker { guest, peers, place } = asker;
        let (guest, heard) = front.meet(guest, peers, words)?;
        Some((Asker { guest, peers, place }, heard))
    }

    /// Serves the connection in a task of its own.
    fn let_in(&self, asker: Asker, heard: Vec<u8>) {
        let Self { app, limits, places, stop, tasks } = self;
        let (app, limits, places, stop) = (app.clone(), *limits, places.clone(), stop.clone());
        let Asker { guest, peers, place } = asker;
        // In a box of its own, which is gone when the long part begins.
        let meeting = Box::pin(connection(guest, heard, peers, app, limits, places, stop));
        tasks.spawn(async move {
            let ended = match meeting.await {
                Ok(Some(rest)) => rest.await,
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = ended {
                tracing::debug!(remote = %peers.remote, %error, "connection ended");
            }
            drop(place);
        });
    }
}

/// Why a connection ended too early.
type Broken = Box<dyn std::error::Error + Send + Sync>;

/// All that is left of a connection when the router has it.
type Rest = Pin<Box<dyn Future<Output = Result<(), Broken>> + Send>>;

/// Serves the requests of one connection, up to the first that is for the router, whose work is returned. `heard` has
/// been read of it already.
async fn connection(
    guest: Guest,
    heard: Vec<u8>,
    peers: Peers,
    app: App,
    limits: Limits,
    places: Places,
    stop: CancellationToken,
) -> Result<Option<Rest>, Broken> {
    let App { front, router, proxies, tls, came_in } = app;
    let is_proxy = proxies.trust(peers.remote.ip());
    let way = match (is_proxy, &tls) {
        (true, _) => Way::Proxy,
        (false, Some(_)) => Way::Secret,
        (false, None) => Way::Open,
    };
    let opened = Opened(Instant::now());
    let desk = Desk { peers, opened, way, proxies: is_proxy.then_some(proxies), router, places, came_in };
    let stream = guest.into_stream()?;
    let Some(tls) = tls else { return attend(stream, heard, front, desk, limits, stop).await };
    let greeting = Box::pin(tokio::time::timeout(limits.head, shake_hands(stream, &tls)));
    let Some(Secured { stream, is_http_2 }) = greeting.await?? else { return Ok(None) };
    if is_http_2 {
        Ok(Some(Box::pin(route_streams(Guarded::new(stream, limits.idle), desk, limits, stop))))
    } else {
        Box::pin(attend(stream, heard, front, desk, limits, stop)).await
    }
}

/// Serves the requests of a connection over HTTP/1 that the front knows. From the first other one on all are the
/// router's.
async fn attend<L: Line>(
    stream: L,
    heard: Vec<u8>,
    front: Option<Arc<Front>>,
    desk: Desk,
    limits: Limits,
    stop: CancellationToken,
) -> Result<Option<Rest>, Broken> {
    let mut stream = Guarded::new(stream, limits.head);
    if let Some(front) = front {
        let rest = front.attend(&mut stream, heard, desk.peers, limits.idle, &stop).await?;
        let Some(rest) = rest else { return Ok(None) };
        stream.unread(rest);
    }
    stream.bear(limits.idle);
    Ok(Some(Box::pin(route(stream, desk, limits, stop))))
}

/// Serves requests of every kind over HTTP/1.
async fn route<L: Line>(stream: Guarded<L>, desk: Desk, limits: Limits, stop: CancellationToken) -> Result<(), Broken> {
    let service = service_fn(move |request| desk.answer(request, Version::Http1));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(LONGEST_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return Ok(ended?),
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    Ok(tokio::time::timeout(STOP_TIME, connection).await??)
}

/// Serves requests over HTTP/2.
///
/// Its pings are not ours to send: who is there, and silent, is ended like everybody.
async fn route_streams<L: Line>(
    stream: Guarded<L>,
    desk: Desk,
    limits: Limits,
    stop: CancellationToken,
) -> Result<(), Broken> {
    let has_asked = Arc::new(AtomicBool::new(false));
    let service = {
        let has_asked = Arc::clone(&has_asked);
        service_fn(move |request| {
            has_asked.store(true, Ordering::Relaxed);
            let answer = desk.answer(request, Version::Http2);
            async move { answer.await.map(|response| response.map(|body| Body::new(Watched(body)))) }
        })
    };
    let connection = http2::Builder::new(Streams { idle: limits.idle })
        .timer(TokioTimer::new())
        .max_concurrent_streams(MOST_STREAMS)
        .max_send_buf_size(STREAM_BUFFER)
        .max_header_list_size(u32::try_from(LONGEST_HEAD).expect("a head is short"))
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return Ok(ended?),
        () = stop.cancelled() => {}
        () = tokio::time::sleep(limits.head) => {
            if has_asked.load(Ordering::Relaxed) {
                tokio::select! {
                    ended = connection.as_mut() => return Ok(ended?),
                    () = stop.cancelled() => {}
                }
            }
        }
    }
    connection.as_mut().graceful_shutdown();
    Ok(tokio::time::timeout(STOP_TIME, connection).await??)
}

/// Where the requests of one connection are answered, by the router.
struct Desk {
    peers: Peers,
    opened: Opened,
    way: Way,
    /// Who is believed, where one of them connects: who asks is seen from each request then.
    proxies: Option<Proxies>,
    router: Router,
    places: Places,
    came_in: CameIn,
}

/// The versions of HTTP.
#[derive(Clone, Copy, Debug)]
enum Version {
    /// One request after another.
    Http1,
    /// Many at once.
    Http2,
}

impl Desk {
    /// Answers a request; its asker is told to come again if there is no place for him.
    fn answer(
        &self,
        mut request: Request<Incoming>,
        version: Version,
    ) -> impl Future<Output = Result<Response, Infallible>> + use<> {
        let asker = match &self.proxies {
            Some(proxies) => proxies.see_through(self.peers, request.headers()),
            None => self.peers,
        };
        self.came_in.note(asker);
        let ip = asker.remote.ip();
        let place = match (&self.proxies, version) {
            // A proxy that asks for itself has a place already, and so has who asks one thing at a time.
            (Some(_), _) if ip == self.peers.remote.ip() => None,
            (None, Version::Http1) => None,
            (Some(_), _) => Some(self.places.connections.admit_beside(public_network_of(ip))),
            (None, Version::Http2) => Some(self.places.requests.admit(public_network_of(ip))),
        };
        request.extensions_mut().insert(asker);
        request.extensions_mut().insert(self.way);
        request.extensions_mut().insert(self.opened);
        let is_refused = matches!(place, Some(None));
        let answer = (!is_refused).then(|| TowerToHyperService::new(self.router.clone()).call(request));
        async move {
            let Some(answer) = answer else { return Ok(busy()) };
            let response = answer.await?;
            Ok(match place.flatten() {
                Some(place) => response.map(|body| Body::new(Kept::new(body, place))),
                None => response,
            })
        }
    }
}

/// What an asker gets whose network has as many requests under way as it may.
fn busy() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "5")]).into_response()
}

/// Tells one asker too many to come again, without waiting for the question.
async fn refuse(guest: Guest) {
    let Ok(mut stream) = guest.into_stream() else { return };
    let _ = tokio::time::timeout(Duration::from_secs(1), stream.write_all(BUSY)).await;
}

/// An IPv4 address that a dual-stack socket shows as IPv6, in its own form.
pub(crate) fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use axum::Extension;
    use axum::routing::get;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpStream;

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

    #[tokio::test]
    async fn a_head_that_comes_too_slowly_is_cut_off() {
        let (addr, _stop, _server) = start(Limits { head: Duration::from_millis(20), ..Limits::default() }).await;
        let mut slow = TcpStream::connect(addr).await.unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nx-slow: ").await.unwrap();
        assert_eq!(slow.read(&mut [0; 16]).await.unwrap_or(0), 0);
    }

    #[tokio::test]
    async fn a_head_that_is_too_long_is_refused() {
        let (addr, _stop, _server) = start(Limits::default()).await;
        let mut stream = TcpStream::connect(addr).await.unwrap();
        let head = format!("GET / HTTP/1.1\r\nhost: x\r\nx-long: {}", "x".repeat(2 * LONGEST_HEAD));
        // The server may have hung up before all is written.
        let _ = stream.write_all(head.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    }

    #[tokio::test]
    async fn who_does_not_read_is_cut_off() {
        let (held, dropped) = tokio::sync::oneshot::channel::<()>();
        let held = Arc::new(Mutex::new(Some(held)));
        // An answer without end that holds something until it is dropped with its connection.
        let endless = async move || {
            let held = held.lock().unwrap().take();
            let chunks = futures_util::stream::repeat_with(move || {
                let _held = &held;
                Ok::<_, io::Error>(bytes::Bytes::from_static(&[0; 4096]))
            });
            Body::from_stream(chunks)
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let limits = Limits { idle: Duration::from_millis(50), ..Limits::default() };
        let _server =
            tokio::spawn(serve(listener, Router::new().route("/", get(endless)), limits, CancellationToken::new()));
        let mut deaf = TcpStream::connect(addr).await.unwrap();
        deaf.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        dropped.await.unwrap_err();
    }

    #[test]
    fn who_comes_from_our_own_network_has_not_come_from_outside() {
        let came_in = CameIn::default();
        let come = |remote: &str, local: &str| {
            let addr = |ip: &str| SocketAddr::new(ip.parse().unwrap(), 1);
            came_in.note(Peers { remote: addr(remote), local: addr(local) });
        };
        let own = ["198.18.0.1".parse().unwrap()];
        come("192.168.1.2", "192.168.1.1");
        come("198.18.0.9", "198.18.0.9");
        come("2001:db8::2", "2001:db8::1");
        // As a router shows hosts of its own network.
        come("198.18.0.1", "192.168.1.1");
        assert!(!came_in.is_so(&own) && came_in.is_so(&[]));
        for n in 2..100 {
            come(&format!("198.18.0.{n}"), "192.168.1.1");
        }
        assert!(came_in.is_so(&own) && came_in.networks().len() == CameIn::MOST);
    }

    #[test]
    fn a_mapped_address_is_shown_as_ipv4() {
        assert_eq!(canonical("[::ffff:192.0.2.1]:9".parse().unwrap()), "192.0.2.1:9".parse().unwrap());
    }
}
