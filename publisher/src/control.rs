//! The control API: how commands drive a running publisher.
//!
//! It listens on a loopback port of its own that `control.json` names, answers only requests that bear the token there
//! and name this machine, sends no CORS headers, and speaks JSON. Publishing answers with a stream of JSON lines, so
//! that the one who waits sees how far it is; whoever hangs up gives the publish up.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::StreamExt as _;
use podswarm_core::app::{ApiError, ControlFile, Explain as _, Failure, is_loopback_host, token_matches};
use serde::Deserialize;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::host::{Host, blocking};
use crate::library::LibraryError;
use crate::publish::{Draft, Follow, Intake, PublishError};
use crate::wire::{
    EditEpisode, EditShow, EpisodeInfo, EpisodeName, NewShow, PublishLine, PublishRequest, RequestSource, ShowInfo,
    Unpublish, Upload,
};

/// The most that a JSON request may hold: a cover of 16 MiB in base64.
const LARGEST_REQUEST: usize = 32 << 20;
/// A line at least this often, so that a publish whose asker has gone is noticed.
const HEARTBEAT: Duration = Duration::from_secs(1);

struct AppState {
    host: Arc<Host>,
    control: ControlFile,
}

type Shared = State<Arc<AppState>>;

/// The service of the control port. `control.json` goes when it is dropped.
pub(crate) fn app(host: Arc<Host>, control: ControlFile) -> Router {
    let state = Arc::new(AppState { host, control });
    let api = Router::new()
        .route("/ping", get(ping))
        .route("/status", get(status))
        .route("/shows", get(shows).post(create_show).patch(edit_show))
        .route("/check", get(findings))
        .route("/episodes", get(episodes).patch(edit_episode))
        .route("/episodes/release", post(release))
        .route("/episodes/unpublish", post(unpublish))
        .route("/publish", post(publish))
        .layer(DefaultBodyLimit::max(LARGEST_REQUEST))
        .route("/uploads", post(upload).layer(DefaultBodyLimit::disable()));
    Router::new()
        .nest("/api/v1", api)
        .fallback(async || refusal(StatusCode::NOT_FOUND, &Failure::new("there is no such call")))
        .layer(middleware::from_fn_with_state(Arc::clone(&state), admit))
        .with_state(state)
}

/// Lets in only who has the token and means this machine.
async fn admit(State(state): Shared, request: Request, next: Next) -> Response {
    match check(request.headers(), state.control.token()) {
        Ok(()) => next.run(request).await,
        Err((status, failure)) => refusal(status, &failure),
    }
}

fn check(headers: &HeaderMap, token: &str) -> Result<(), (StatusCode, Failure)> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if !is_loopback_host(text(header::HOST)) {
        return Err((StatusCode::FORBIDDEN, Failure::new("the control API answers on loopback only")));
    }
    if !token_matches(text(header::AUTHORIZATION), token) {
        return Err((StatusCode::UNAUTHORIZED, Failure::new("the token is missing or wrong")));
    }
    Ok(())
}

async fn ping(State(state): Shared) -> impl IntoResponse {
    Json(state.control.ping())
}

async fn status(State(state): Shared) -> Result<Response, Refusal> {
    let (host, version) = (Arc::clone(&state.host), state.control.ping().version);
    Ok(Json(blocking(move || host.status(version)).await?).into_response())
}

async fn shows(State(state): Shared) -> Result<Response, Refusal> {
    let host = Arc::clone(&state.host);
    let shows = blocking(move || {
        let info = |show: crate::record::ShowRecord| {
            Ok(ShowInfo::new(&show, host.library().episodes(&show.slug)?.len(), host.urls()))
        };
        host.library().shows()?.into_iter().map(info).collect::<Result<Vec<_>, LibraryError>>()
    });
    Ok(Json(shows.await?).into_response())
}

async fn create_show(State(state): Shared, Json(new): Json<NewShow>) -> Result<Response, Refusal> {
    Ok(Json(state.host.create_show(new).await?).into_response())
}

async fn edit_show(State(state): Shared, Json(edit): Json<EditShow>) -> Result<Response, Refusal> {
    Ok(Json(state.host.edit_show(edit.show, edit.fields).await?).into_response())
}

#[derive(Deserialize)]
struct OfShow {
    show: Option<String>,
}

async fn episodes(State(state): Shared, Query(query): Query<OfShow>) -> Result<Response, Refusal> {
    let host = Arc::clone(&state.host);
    let episodes = blocking(move || {
        let found = host.library().episodes_of(query.show.as_deref())?;
        Ok::<_, LibraryError>(found.iter().map(|episode| EpisodeInfo::new(episode, host.urls())).collect::<Vec<_>>())
    });
    Ok(Json(episodes.await?).into_response())
}

async fn findings(State(state): Shared, Query(query): Query<OfShow>) -> Result<Response, Refusal> {
    let host = Arc::clone(&state.host);
    let check = move || crate::check::check(host.library(), query.show.as_deref(), host.urls());
    Ok(Json(blocking(check).await?).into_response())
}

async fn edit_episode(State(state): Shared, Json(edit): Json<EditEpisode>) -> Result<Response, Refusal> {
    Ok(Json(state.host.edit_episode(edit).await?).into_response())
}

async fn release(State(state): Shared, Json(name): Json<EpisodeName>) -> Result<Response, Refusal> {
    Ok(Json(state.host.release(name).await?).into_response())
}

async fn unpublish(State(state): Shared, Json(which): Json<Unpublish>) -> Result<Response, Refusal> {
    Ok(Json(state.host.unpublish(which).await?).into_response())
}

/// Where an upload of that number lies.
fn upload_path(host: &Host, upload: Uuid) -> PathBuf {
    host.library().staging().join(format!("upload-{upload}"))
}

/// Takes the bytes of a file that the daemon cannot read itself.
async fn upload(State(state): Shared, body: Body) -> Result<Response, Refusal> {
    let upload = Uuid::new_v4();
    let path = upload_path(&state.host, upload);
    let partial = Partial(Some(path.clone()));
    let saying = || format!("write the upload `{}`", path.display());
    let mut file = tokio::fs::File::create_new(&path).await.explain(saying)?;
    let mut body = body.into_data_stream();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.explain(|| "the upload broke off".to_owned())?;
        file.write_all(&chunk).await.explain(saying)?;
    }
    file.sync_all().await.explain(saying)?;
    partial.keep();
    Ok(Json(Upload { upload }).into_response())
}

/// An upload that goes unless it is kept.
struct Partial(Option<PathBuf>);

impl Partial {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            // What stays is swept at the next start.
            let _ = std::fs::remove_file(path);
        }
    }
}

async fn publish(State(state): Shared, Json(request): Json<PublishRequest>) -> Response {
    let host = Arc::clone(&state.host);
    let (lines, receiver) = mpsc::channel::<Bytes>(16);
    tokio::spawn(async move {
        let cancel = Arc::new(AtomicBool::new(false));
        let progress = {
            let (lines, told) = (lines.clone(), AtomicU64::new(0));
            move |done: u64, total: u64| {
                let percent = (done * 100).checked_div(total).unwrap_or(100);
                if told.fetch_max(percent, Ordering::Relaxed) < percent {
                    // A line that does not fit now is made up for by the next.
                    drop(lines.try_send(line(&PublishLine::Hashing { done, total })));
                }
            }
        };
        let follow = Follow { progress: Arc::new(progress), cancel: Arc::clone(&cancel) };
        let work = publish_request(&host, request, follow);
        tokio::pin!(work);
        let last = loop {
            tokio::select! {
                last = &mut work => break last,
                () = lines.closed(), if !cancel.load(Ordering::Relaxed) => cancel.store(true, Ordering::Relaxed),
                () = tokio::time::sleep(HEARTBEAT) => drop(lines.try_send(Bytes::from_static(b"\n"))),
            }
        };
        // If nobody is there any more, nobody wants to know.
        let _ = lines.send(last).await;
    });
    let stream = futures_util::stream::unfold(receiver, |mut receiver| async move {
        Some((Ok::<_, std::convert::Infallible>(receiver.recv().await?), receiver))
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(stream)).into_response()
}

/// Publishes, and gives the last line of the answer.
async fn publish_request(host: &Arc<Host>, request: PublishRequest, follow: Follow) -> Bytes {
    let (path, intake) = match &request.source {
        RequestSource::Path(path) => (PathBuf::from(path), request.intake()),
        RequestSource::Upload(upload) => (upload_path(host, *upload), Intake::Move),
    };
    // An upload that is not published is of no use.
    let upload = Partial((intake == Intake::Move).then(|| path.clone()));
    let is_readable = {
        let path = path.clone();
        blocking(move || std::fs::File::open(path).is_ok()).await
    };
    let replaces = match request.replaces {
        None => Ok(None),
        Some(name) => {
            let host = Arc::clone(host);
            blocking(move || host.library().episode(name.show.as_deref(), &name.episode)).await.map(Some)
        }
    };
    let result = match replaces {
        Ok(replaces) => {
            let draft = Draft { path, name: request.name, intake, said: request.said, replaces };
            host.publish(draft, follow).await
        }
        Err(error) => Err(error.into()),
    };
    drop(upload);
    match result {
        Ok(published) => line(&PublishLine::Published(Box::new(published))),
        Err(error) => {
            let error = ApiError::from(&refused(error));
            if intake == Intake::Copy && !is_readable { line(&PublishLine::Unreadable(error)) } else { line(&error) }
        }
    }
}

fn line(value: &impl serde::Serialize) -> Bytes {
    let mut line = serde_json::to_vec(value).expect("a line has a JSON form");
    line.push(b'\n');
    line.into()
}

/// A publish that failed, with its way out.
pub(crate) fn refused(error: PublishError) -> Failure {
    let hint = error.hint();
    with_hint(error.into(), hint)
}

/// A failure of the library, with its way out.
pub(crate) fn unavailable(error: LibraryError) -> Failure {
    let hint = error.hint();
    with_hint(error.into(), hint)
}

fn with_hint(failure: Failure, hint: Option<String>) -> Failure {
    match hint {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

fn refusal(status: StatusCode, failure: &Failure) -> Response {
    (status, Json(ApiError::from(failure))).into_response()
}

/// What a handler answers when it cannot do what it was asked.
struct Refusal(Failure);

impl From<LibraryError> for Refusal {
    fn from(error: LibraryError) -> Self {
        Self(unavailable(error))
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self(failure)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        refusal(StatusCode::UNPROCESSABLE_ENTITY, &self.0)
    }
}

#[cfg(test)]
mod tests;
