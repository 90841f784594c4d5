//! The agent's control API, on a loopback port that `control.json` names.
//!
//! | method and path | body | answer |
//! |---|---|---|
//! | `GET /api/v1/ping` | | which agent this is |
//! | `POST /api/v1/ask` | an [`Ask`] | a [`Reply`](crate::ask::Reply) |
//! | `POST /api/v1/follow` | | every [`Event`](crate::agent::event::Event) from now on, one JSON object per line |
//!
//! Law: nothing is answered without the token, nor to a page that a browser was led here with.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Json, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::stream;
use podswarm_core::app::{ApiError, ControlFile, DataDirLock, Explain, Failure, is_loopback_host, token_matches};
use tokio::net::TcpListener;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::ask::Ask;
use crate::hub::HubHandle;

/// An empty line is sent this often, so that a reader notices when the agent is gone.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// A control port that is bound and named in `control.json`, and not served yet.
pub struct ControlPort {
    listener: TcpListener,
    addr: SocketAddr,
    file: ControlFile,
}

struct Api {
    hub: HubHandle,
    file: ControlFile,
}

impl ControlPort {
    /// Binds any free loopback port and writes `control.json`.
    pub async fn bind(lock: &DataDirLock) -> Result<Self, Failure> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.explain(|| "listen for commands".to_owned())?;
        let addr = listener.local_addr().explain(|| "listen for commands".to_owned())?;
        let file = ControlFile::write(lock, addr)?;
        Ok(Self { listener, addr, file })
    }

    /// Where it listens.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves `hub` until `stop`; the control file goes first.
    pub async fn serve(self, hub: HubHandle, stop: CancellationToken) -> Result<(), Failure> {
        let api = Arc::new(Api { hub, file: self.file });
        let serving = axum::serve(self.listener, app(api)).into_future();
        match stop.run_until_cancelled(serving).await {
            None | Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(Failure::new("serve commands").because(error)),
        }
    }
}

fn app(api: Arc<Api>) -> Router {
    Router::new()
        .route("/api/v1/ping", get(async |State(api): State<Arc<Api>>| Json(api.file.ping())))
        .route("/api/v1/ask", post(ask))
        .route("/api/v1/follow", post(follow))
        .layer(from_fn_with_state(Arc::clone(&api), admit))
        .with_state(api)
}

/// Lets requests through that carry the token and were sent to this machine by its own name.
async fn admit(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    match check(&api, request.headers()) {
        Some((status, why)) => refuse(status, &Failure::new(why)),
        None => next.run(request).await,
    }
}

/// Why a request is not let through.
fn check(api: &Api, headers: &HeaderMap) -> Option<(StatusCode, &'static str)> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if !is_loopback_host(text(header::HOST)) || headers.contains_key(header::ORIGIN) {
        return Some((StatusCode::FORBIDDEN, "the control API answers commands of this machine only"));
    }
    let is_known = token_matches(text(header::AUTHORIZATION), api.file.token());
    (!is_known).then_some((StatusCode::UNAUTHORIZED, "the token is not this agent's"))
}

async fn ask(State(api): State<Arc<Api>>, Json(ask): Json<Ask>) -> Response {
    match api.hub.ask(ask).await {
        Ok(reply) => Json(reply).into_response(),
        Err(failure) => refuse(StatusCode::CONFLICT, &failure),
    }
}

async fn follow(State(api): State<Arc<Api>>) -> Response {
    let events = api.hub.events();
    let lines = stream::unfold(events, async |mut events| {
        let line = match tokio::time::timeout(HEARTBEAT, events.recv()).await {
            Ok(Ok(event)) => serde_json::to_string(&event).unwrap_or_default() + "\n",
            // Whoever reads too slowly misses some; heartbeats are empty lines.
            Ok(Err(RecvError::Lagged(_))) | Err(_) => "\n".to_owned(),
            Ok(Err(RecvError::Closed)) => return None,
        };
        Some((Ok::<_, Infallible>(Bytes::from(line)), events))
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

fn refuse(status: StatusCode, failure: &Failure) -> Response {
    (status, Json(ApiError::from(failure))).into_response()
}
