//! Accepting connections of players and podcast apps: few at once, and none that only waits.
//!
//! A connection has [`HEAD_TIME`] for the head of a request, and is closed when nothing moves on it for [`STALL_TIME`],
//! as with a player that was paused and forgotten; it asks for the rest when it goes on. There are at most [`MOST`] at
//! once, and [`MOST_OF_ONE`] of one address; who comes beyond that is closed.
//!
//! Handlers learn their asker's address as an [`Asker`] extension.

use std::net::IpAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use podswarm_core::app::{Guarded, Quota};
use podswarm_core::net::rest_after_accept;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Connections at once.
const MOST: usize = 128;
/// Connections of one address at once.
const MOST_OF_ONE: usize = 48;
/// How long the head of a request may take, and how long a connection is kept without one.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// How long a connection may be silent.
const STALL_TIME: Duration = Duration::from_mins(10);
/// The longest head of a request, in bytes.
const LONGEST_HEAD: usize = 16 << 10;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker(pub(super) IpAddr);

/// Serves `app` to whoever connects, until `stop`.
pub(crate) async fn serve(listener: TcpListener, app: Router, stop: CancellationToken) {
    let places = Quota::new(MOST, MOST_OF_ONE);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let (stream, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                rest_after_accept(&error).await;
                continue;
            }
        };
        let asker = Asker(remote.ip().to_canonical());
        let Some(place) = places.admit(Some(asker.0)) else { continue };
        let (app, stop) = (app.clone(), stop.clone());
        tokio::spawn(stop.run_until_cancelled_owned(async move {
            connection(stream, app, asker).await;
            drop(place);
        }));
    }
}

async fn connection(stream: TcpStream, app: Router, asker: Asker) {
    let router = TowerToHyperService::new(app);
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request;
        request.extensions_mut().insert(asker);
        router.call(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(LONGEST_HEAD)
        .serve_connection(TokioIo::new(Guarded::new(stream, STALL_TIME)), service);
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection of a player broke off");
    }
}
