//! The control API: how commands, the dashboard and other programs drive a running publisher.
//!
//! Commands of this machine find it on a loopback port of its own that `control.json` names; everybody else under
//! `/api/v1` of the public port. `access` lets in who may, by a token in either case; `uploads` takes files. It speaks
//! JSON. Publishing answers with a stream of JSON lines, so that the one who waits sees how far it is; whoever hangs up
//! gives the publish up.

mod access;
mod uploads;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch, post};
use axum::{Extension, Json, Router};
use chrono::Utc;
use podswarm_core::app::{ApiError, ControlFile, Failure, Ping, new_token};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::archive::Parcel;
use crate::host::{Host, blocking};
use crate::library::LibraryError;
use crate::numbers::Which;
use crate::publish::{Draft, Follow, Intake, PublishError};
use crate::tokens::Role;
use crate::wire::{
    EditEpisode, EditShow, EpisodeInfo, EpisodeName, MadeToken, MoveShow, NewShow, NewToken, PublishLine,
    PublishRequest, RequestSource, ShowInfo, ShowName, TakeIn, TokenInfo, Unpublish, Upload,
};
use access::Caller;
use uploads::{Extent, Uploads};

/// The most that a JSON request may hold: a cover of 16 MiB in base64.
const LARGEST_REQUEST: usize = 32 << 20;
/// A line at least this often, so that a publish whose asker has gone is noticed.
const HEARTBEAT: Duration = Duration::from_secs(1);

struct AppState {
    host: Arc<Host>,
    ping: Ping,
    uploads: Uploads,
}

type Shared = State<Arc<AppState>>;

/// The service of the control port on loopback. `control.json` goes when it is dropped.
pub(crate) fn local(host: Arc<Host>, control: ControlFile) -> Router {
    let api = api(host, control.ping());
    let door = middleware::from_fn_with_state(Arc::new(control), access::admit_local);
    Router::new().nest("/api/v1", api).fallback(no_such_call).layer(door)
}

/// The same below `/api/v1` of the public port, for who has a token.
pub(crate) fn public(host: Arc<Host>) -> Router {
    let door = middleware::from_fn_with_state(Arc::clone(&host), access::admit_public);
    let version = format!("{} {}", crate::commands::NAME, env!("CARGO_PKG_VERSION"));
    api(host, Ping { pid: std::process::id(), version }).layer(door)
}

/// Every call, each for who may make it. A door is to be put before it.
fn api(host: Arc<Host>, ping: Ping) -> Router {
    let to = |role: Role| middleware::from_fn_with_state(role, access::require);
    let see = Router::new()
        .route("/ping", get(tell))
        .route("/me", get(me))
        .route("/status", get(status))
        .route("/shows", get(shows))
        .route("/shows/guids", get(guids))
        .route("/check", get(findings))
        .route("/stats", get(stats))
        .route("/episodes", get(episodes));
    let edit = Router::new()
        .route("/episodes", patch(edit_episode))
        .route("/shows/refresh", post(refresh))
        .route("/episodes/release", post(release))
        .route("/episodes/unpublish", post(unpublish))
        .route("/publish", post(publish))
        .route("/uploads", post(create_upload))
        .route("/uploads/{upload}", get(see_upload).delete(delete_upload))
        .route("/uploads/{upload}", patch(append_upload).layer(DefaultBodyLimit::disable()))
        .route_layer(to(Role::Editor));
    let own = Router::new()
        .route("/shows", post(create_show).patch(edit_show))
        .route("/shows/move", post(move_show))
        .route("/export", get(export))
        .route("/import", post(take_in))
        .route("/tokens", get(tokens).post(create_token))
        .route("/tokens/{name}", delete(revoke_token))
        .route_layer(to(Role::Owner));
    let uploads = Uploads::new(host.library().staging());
    see.merge(edit)
        .merge(own)
        .fallback(no_such_call)
        .layer(DefaultBodyLimit::max(LARGEST_REQUEST))
        .layer(middleware::map_response(undress))
        .with_state(Arc::new(AppState { host, ping, uploads }))
}

async fn no_such_call() -> Response {
    refusal(StatusCode::NOT_FOUND, &Failure::new("there is no such call"))
}

/// No answer is kept by anybody on its way.
async fn undress(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn tell(State(state): Shared) -> impl IntoResponse {
    Json(state.ping.clone())
}

/// What the asker may do.
#[derive(Serialize)]
struct Me {
    role: Role,
}

async fn me(Extension(caller): Extension<Caller>) -> impl IntoResponse {
    Json(Me { role: caller.role })
}

async fn status(State(state): Shared) -> Result<Response, Refusal> {
    let (host, version) = (Arc::clone(&state.host), state.ping.version.clone());
    Ok(Json(blocking(move || host.status(version)).await?).into_response())
}

async fn shows(State(state): Shared) -> Result<Response, Refusal> {
    let host = Arc::clone(&state.host);
    Ok(Json(blocking(move || ShowInfo::all(host.library(), host.urls())).await?).into_response())
}

async fn create_show(State(state): Shared, Json(new): Json<NewShow>) -> Result<Response, Refusal> {
    Ok(Json(state.host.create_show(new).await?).into_response())
}

async fn move_show(State(state): Shared, Json(wanted): Json<MoveShow>) -> Result<Response, Refusal> {
    Ok(Json(state.host.move_show(wanted).await?).into_response())
}

/// The records of an export; its files are read by the command.
async fn export(State(state): Shared, Query(query): Query<OfShow>) -> Result<Response, Refusal> {
    let host = Arc::clone(&state.host);
    Ok(Json(blocking(move || Parcel::of(host.library(), query.show.as_deref())).await?).into_response())
}

async fn take_in(
    State(state): Shared,
    Extension(caller): Extension<Caller>,
    Json(wanted): Json<TakeIn>,
) -> Result<Response, Refusal> {
    if !caller.is_local {
        let failure = Failure::new("an export is brought in by commands of the publisher's own machine only");
        return Err(Refusal::with(StatusCode::FORBIDDEN, failure));
    }
    let taken = state.host.take_in(wanted).await.map_err(|error| {
        let hint = error.hint();
        Failure::from(error).with_any_hint(hint)
    });
    Ok(Json(taken?).into_response())
}

async fn edit_show(State(state): Shared, Json(edit): Json<EditShow>) -> Result<Response, Refusal> {
    Ok(Json(state.host.edit_show(edit.show, edit.fields).await?).into_response())
}

async fn guids(State(state): Shared, Query(name): Query<ShowName>) -> Result<Response, Refusal> {
    let host = Arc::clone(&state.host);
    Ok(Json(blocking(move || host.library().guids(&name.show)).await?).into_response())
}

async fn refresh(State(state): Shared, Json(name): Json<ShowName>) -> Result<Response, Refusal> {
    Ok(Json(state.host.refresh(&name.show).await?).into_response())
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

async fn stats(State(state): Shared, Query(which): Query<Which>) -> Result<Response, Refusal> {
    Ok(Json(state.host.stats(which).await?).into_response())
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

async fn tokens(State(state): Shared) -> Result<Response, Refusal> {
    let host = Arc::clone(&state.host);
    let tokens = blocking(move || host.library().tokens()).await?;
    Ok(Json(tokens.into_iter().map(TokenInfo::from).collect::<Vec<_>>()).into_response())
}

async fn create_token(State(state): Shared, Json(new): Json<NewToken>) -> Result<Response, Refusal> {
    let (host, text) = (Arc::clone(&state.host), new_token()?);
    let made = blocking(move || {
        let record = host.library().add_token(&new.name, new.role, &text, Utc::now())?;
        Ok::<_, LibraryError>(MadeToken::new(record, text, host.urls()))
    });
    Ok(Json(made.await?).into_response())
}

async fn revoke_token(State(state): Shared, Path(name): Path<String>) -> Result<Response, Refusal> {
    let host = Arc::clone(&state.host);
    let revoked = blocking(move || host.library().revoke_token(&name)).await?;
    Ok(Json(TokenInfo::from(revoked)).into_response())
}

/// tus: the version that is spoken.
const TUS_RESUMABLE: (HeaderName, HeaderValue) =
    (HeaderName::from_static("tus-resumable"), HeaderValue::from_static("1.0.0"));
/// tus: where the next bytes go.
const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
/// tus: bytes in all.
const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
/// tus: the type of a part of an upload.
const OFFSET_STREAM: &str = "application/offset+octet-stream";

/// Opens an upload for the bytes of a file that the daemon cannot read itself.
async fn create_upload(State(state): Shared, headers: HeaderMap) -> Result<Response, Refusal> {
    let upload = state.uploads.create(number(&headers, &UPLOAD_LENGTH)?).await?;
    let location = HeaderValue::from_str(&format!("uploads/{upload}")).expect("a number makes a header");
    let headers = [TUS_RESUMABLE, (header::LOCATION, location)];
    Ok((StatusCode::CREATED, headers, Json(Upload { upload })).into_response())
}

async fn see_upload(State(state): Shared, Path(upload): Path<Uuid>) -> Result<Response, Refusal> {
    Ok(told(state.uploads.extent(upload).await?).into_response())
}

async fn append_upload(
    State(state): Shared,
    Path(upload): Path<Uuid>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    if headers.get(header::CONTENT_TYPE).is_none_or(|mime| mime != OFFSET_STREAM) {
        let failure = Failure::new(format!("the part of an upload has the type {OFFSET_STREAM}"));
        return Err(Refusal::with(StatusCode::UNSUPPORTED_MEDIA_TYPE, failure));
    }
    let offset = number(&headers, &UPLOAD_OFFSET)?;
    Ok((StatusCode::NO_CONTENT, told(state.uploads.append(upload, offset, body).await?)).into_response())
}

async fn delete_upload(State(state): Shared, Path(upload): Path<Uuid>) -> Result<Response, Refusal> {
    state.uploads.delete(upload).await?;
    Ok((StatusCode::NO_CONTENT, [TUS_RESUMABLE]).into_response())
}

/// How much of an upload is there, in headers.
fn told(extent: Extent) -> [(HeaderName, HeaderValue); 3] {
    [TUS_RESUMABLE, (UPLOAD_OFFSET, extent.offset.into()), (UPLOAD_LENGTH, extent.length.into())]
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Result<u64, Refusal> {
    let number = headers.get(name).and_then(|value| value.to_str().ok()?.parse().ok());
    number.ok_or_else(|| {
        let failure = Failure::new(format!("the header {name} is missing, or is no number of bytes"));
        Refusal::with(StatusCode::BAD_REQUEST, failure)
    })
}

/// An upload that is being published, and goes if it is not.
struct Finished(Option<PathBuf>);

impl Drop for Finished {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            uploads::remove(&path);
        }
    }
}

async fn publish(
    State(state): Shared,
    Extension(caller): Extension<Caller>,
    Json(request): Json<PublishRequest>,
) -> Result<Response, Refusal> {
    let host = Arc::clone(&state.host);
    let (path, intake, upload) = match &request.source {
        RequestSource::Path(path) if caller.is_local => (PathBuf::from(path), request.intake(), Finished(None)),
        RequestSource::Path(_) => {
            let failure = Failure::new("a path is read for commands of the publisher's own machine only");
            return Err(Refusal::with(StatusCode::FORBIDDEN, failure.with_hint("upload the file")));
        }
        RequestSource::Upload(upload) => {
            let path = state.uploads.finish(*upload).await?;
            (path.clone(), Intake::Move, Finished(Some(path)))
        }
    };
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
        let work = publish_request(&host, request, path, intake, follow);
        tokio::pin!(work);
        let last = loop {
            tokio::select! {
                last = &mut work => break last,
                () = lines.closed(), if !cancel.load(Ordering::Relaxed) => cancel.store(true, Ordering::Relaxed),
                () = tokio::time::sleep(HEARTBEAT) => drop(lines.try_send(Bytes::from_static(b"\n"))),
            }
        };
        // An upload that is not published is of no use.
        drop(upload);
        // If nobody is there any more, nobody wants to know.
        let _ = lines.send(last).await;
    });
    let stream = futures_util::stream::unfold(receiver, |mut receiver| async move {
        Some((Ok::<_, std::convert::Infallible>(receiver.recv().await?), receiver))
    });
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(stream)).into_response())
}

/// Publishes, and gives the last line of the answer.
async fn publish_request(
    host: &Arc<Host>,
    request: PublishRequest,
    path: PathBuf,
    intake: Intake,
    follow: Follow,
) -> Bytes {
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
    match result {
        Ok(published) => line(&PublishLine::Published(Box::new(published))),
        Err(error) => {
            let error = ApiError::from(&refused(error));
            if intake == Intake::Copy && !is_readable { line(&PublishLine::Unreadable(error)) } else { line(&error) }
        }
    }
}

fn line(value: &impl Serialize) -> Bytes {
    let mut line = serde_json::to_vec(value).expect("a line has a JSON form");
    line.push(b'\n');
    line.into()
}

/// A publish that failed, with its way out.
pub(crate) fn refused(error: PublishError) -> Failure {
    let hint = error.hint();
    Failure::from(error).with_any_hint(hint)
}

/// A failure of the library, with its way out.
pub(crate) fn unavailable(error: LibraryError) -> Failure {
    let hint = error.hint();
    Failure::from(error).with_any_hint(hint)
}

fn refusal(status: StatusCode, failure: &Failure) -> Response {
    (status, Json(ApiError::from(failure))).into_response()
}

/// What a handler answers when it cannot do what it was asked.
struct Refusal {
    status: StatusCode,
    failure: Failure,
}

impl Refusal {
    /// The failure, said with this status.
    const fn with(status: StatusCode, failure: Failure) -> Self {
        Self { status, failure }
    }
}

impl From<LibraryError> for Refusal {
    fn from(error: LibraryError) -> Self {
        unavailable(error).into()
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::with(StatusCode::UNPROCESSABLE_ENTITY, failure)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        refusal(self.status, &self.failure)
    }
}

#[cfg(test)]
mod tests;
