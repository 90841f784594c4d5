//! The control API: how commands, the dashboard and other programs drive a running publisher.
//!
//! Commands of this machine find it on a loopback port of its own that `control.json` names; everybody else under
//! `/api/v1` of the public port. `access` lets in who may, by a token in either case, and `guesses` holds up who shows
//! wrong ones; `uploads` takes files. It speaks JSON; `taken` reads what is asked, `text` describes all of it for
//! programs. Publishing answers with a stream of JSON lines, so that the one who waits sees how far it is; whoever
//! hangs up gives the publish up.
//!
//! Law: what has no description is no call, since the one makes the other.

mod access;
mod guesses;
mod taken;
mod text;
mod uploads;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use chrono::Utc;
use podswarm_core::app::{ApiError, ControlFile, Failure, Ping, new_token};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::archive::Parcel;
use crate::check::Finding;
use crate::host::{Host, blocking};
use crate::http::seconds;
use crate::library::LibraryError;
use crate::numbers::{EpisodeNumbers, Which};
use crate::publish::{Draft, Follow, Intake, PublishError};
use crate::reach::Reach;
use crate::tokens::Role;
use crate::wire::{
    EditEpisode, EditShow, EpisodeInfo, EpisodeName, MadeSubscriber, MadeToken, MoveShow, NewShow, NewSubscriber,
    NewToken, PublishLine, PublishRequest, RequestSource, ShowInfo, ShowName, Status, SubscriberInfo, TakeIn,
    TokenInfo, Unpublish, Unpublished, Upload,
};
use access::Caller;
use taken::{Json, Path, Query};
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
    let (calls, text) = api(host, control.ping());
    let door = middleware::from_fn_with_state(Arc::new(control), access::admit_local);
    Router::new().nest("/api/v1", calls).fallback(no_such_call).layer(door).nest("/api/v1", text)
}

/// The same below `/api/v1` of the public port, for who has a token.
pub(crate) fn public(host: Arc<Host>) -> Router {
    let keeper = Arc::new(access::Keeper::new(Arc::clone(&host)));
    let door = middleware::from_fn_with_state(keeper, access::admit_public);
    let version = format!("{} {}", crate::commands::NAME, env!("CARGO_PKG_VERSION"));
    let (calls, text) = api(host, Ping { pid: std::process::id(), version });
    calls.layer(door).merge(text)
}

type Calls = OpenApiRouter<Arc<AppState>>;

/// Every call, each for who may make it, and their description, which everybody may read. A door is to be put before
/// the calls.
fn api(host: Arc<Host>, ping: Ping) -> (Router, Router) {
    let for_role = |role: Role, mut calls: Calls| {
        text::for_role(calls.get_openapi_mut(), role);
        calls.route_layer(middleware::from_fn_with_state(role, access::require))
    };
    let see = Calls::default()
        .routes(routes!(tell))
        .routes(routes!(me))
        .routes(routes!(status))
        .routes(routes!(ask_outside))
        .routes(routes!(shows))
        .routes(routes!(guids))
        .routes(routes!(findings))
        .routes(routes!(stats))
        .routes(routes!(episodes));
    let append = Calls::default().routes(routes!(append_upload)).layer(DefaultBodyLimit::disable());
    let edit = Calls::default()
        .routes(routes!(edit_episode))
        .routes(routes!(refresh))
        .routes(routes!(release))
        .routes(routes!(unpublish))
        .routes(routes!(publish))
        .routes(routes!(create_upload))
        .routes(routes!(see_upload, delete_upload))
        .merge(append);
    let own = Calls::default()
        .routes(routes!(create_show, edit_show))
        .routes(routes!(move_show))
        .routes(routes!(export))
        .routes(routes!(take_in))
        .routes(routes!(tokens, create_token))
        .routes(routes!(revoke_token))
        .routes(routes!(subscribers, create_subscriber))
        .routes(routes!(revoke_subscriber));
    let calls = for_role(Role::ReadOnly, see).merge(for_role(Role::Editor, edit)).merge(for_role(Role::Owner, own));
    let (calls, mut text) = calls.split_for_parts();
    let (about, about_itself) = OpenApiRouter::new().routes(routes!(describe)).split_for_parts();
    text.merge(about_itself);
    let text = text::complete(text).to_json().expect("a description has a JSON form");
    let uploads = Uploads::new(host.library().staging());
    let calls = calls
        .fallback(no_such_call)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(LARGEST_REQUEST))
        .layer(middleware::map_response(undress))
        .with_state(Arc::new(AppState { host, ping, uploads }));
    (calls, about.method_not_allowed_fallback(wrong_method).with_state(Bytes::from(text)))
}

async fn no_such_call() -> Response {
    refusal(StatusCode::NOT_FOUND, &Failure::new("there is no such call"))
}

async fn wrong_method() -> Response {
    let failure = Failure::new("there is no such call by this method");
    refusal(StatusCode::METHOD_NOT_ALLOWED, &failure.with_hint("/api/v1/openapi.json describes all"))
}

/// No answer is kept by anybody on its way.
async fn undress(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[utoipa::path(
    get,
    path = "/ping",
    summary = "Which daemon this is",
    responses((status = 200, description = "Done.", body = Ping)),
)]
async fn tell(State(state): Shared) -> impl IntoResponse {
    axum::Json(state.ping.clone())
}

#[utoipa::path(
    get,
    path = "/openapi.json",
    summary = "This text",
    security(()),
    responses((status = 200, description = "OpenAPI 3.1.", body = serde_json::Value)),
)]
async fn describe(State(text): State<Bytes>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "public, max-age=3600")], text)
}

/// What the asker may do.
#[derive(Serialize, ToSchema)]
struct Me {
    /// The role of the token that was shown.
    role: Role,
}

#[utoipa::path(
    get,
    path = "/me",
    summary = "What the token may do",
    responses((status = 200, description = "Done.", body = Me)),
)]
async fn me(Extension(caller): Extension<Caller>) -> impl IntoResponse {
    axum::Json(Me { role: caller.role })
}

#[utoipa::path(
    get,
    path = "/status",
    summary = "How the publisher and its episodes stand",
    responses((status = 200, description = "Done.", body = Status)),
)]
async fn status(State(state): Shared) -> Result<Response, Refusal> {
    let (host, version) = (Arc::clone(&state.host), state.ping.version.clone());
    Ok(axum::Json(blocking(move || host.status(version)).await?).into_response())
}

#[utoipa::path(
    post,
    path = "/reach",
    summary = "Asks agents outside to connect back; the status tells what comes of it",
    responses((status = 200, description = "They are asked.", body = Reach)),
)]
async fn ask_outside(State(state): Shared) -> Result<Response, Refusal> {
    state.host.ask_outside().await;
    let host = Arc::clone(&state.host);
    Ok(axum::Json(blocking(move || host.reach()).await).into_response())
}

#[utoipa::path(
    get,
    path = "/shows",
    summary = "All shows",
    responses((status = 200, description = "Done.", body = Vec<ShowInfo>)),
)]
async fn shows(State(state): Shared) -> Result<Response, Refusal> {
    let host = Arc::clone(&state.host);
    Ok(axum::Json(blocking(move || ShowInfo::all(host.library(), host.urls())).await?).into_response())
}

#[utoipa::path(
    post,
    path = "/shows",
    summary = "Makes a show",
    request_body = NewShow,
    responses((status = 200, description = "Done.", body = ShowInfo)),
)]
async fn create_show(State(state): Shared, Json(new): Json<NewShow>) -> Result<Response, Refusal> {
    Ok(axum::Json(state.host.create_show(new).await?).into_response())
}

#[utoipa::path(
    post,
    path = "/shows/move",
    summary = "Has feeds lead to another host, or back",
    request_body = MoveShow,
    responses(
        (status = 200, description = "Done.", body = ShowInfo),
        (status = 404, description = "There is no such show.", body = ApiError)
    ),
)]
async fn move_show(State(state): Shared, Json(wanted): Json<MoveShow>) -> Result<Response, Refusal> {
    Ok(axum::Json(state.host.move_show(wanted).await?).into_response())
}

/// The records of an export; its files are read by the command.
#[utoipa::path(
    get,
    path = "/export",
    summary = "The records of an export; its files are read by the command",
    params(OfShow),
    responses(
        (status = 200, description = "Done.", body = Parcel),
        (status = 404, description = "There is no such show.", body = ApiError)
    ),
)]
async fn export(State(state): Shared, Query(query): Query<OfShow>) -> Result<Response, Refusal> {
    let host = Arc::clone(&state.host);
    Ok(axum::Json(blocking(move || Parcel::of(host.library(), query.show.as_deref())).await?).into_response())
}

#[utoipa::path(
    post,
    path = "/import",
    summary = "Brings an export in, for commands of this machine",
    request_body = TakeIn,
    responses((status = 200, description = "Done.", body = Vec<ShowInfo>)),
)]
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
    Ok(axum::Json(taken?).into_response())
}

#[utoipa::path(
    patch,
    path = "/shows",
    summary = "Changes a show",
    request_body = EditShow,
    responses(
        (status = 200, description = "Done.", body = ShowInfo),
        (status = 404, description = "There is no such show.", body = ApiError)
    ),
)]
async fn edit_show(State(state): Shared, Json(edit): Json<EditShow>) -> Result<Response, Refusal> {
    Ok(axum::Json(state.host.edit_show(edit.show, edit.fields).await?).into_response())
}

#[utoipa::path(
    get,
    path = "/shows/guids",
    summary = "What the episodes of a show are known by, those taken back among them",
    params(ShowName),
    responses(
        (status = 200, description = "Done.", body = Vec<String>),
        (status = 404, description = "There is no such show.", body = ApiError)
    ),
)]
async fn guids(State(state): Shared, Query(name): Query<ShowName>) -> Result<Response, Refusal> {
    let host = Arc::clone(&state.host);
    Ok(axum::Json(blocking(move || host.library().guids(&name.show)).await?).into_response())
}

#[utoipa::path(
    post,
    path = "/shows/refresh",
    summary = "Shows episodes that were brought in",
    request_body = ShowName,
    responses(
        (status = 200, description = "Done.", body = ShowInfo),
        (status = 404, description = "There is no such show.", body = ApiError)
    ),
)]
async fn refresh(State(state): Shared, Json(name): Json<ShowName>) -> Result<Response, Refusal> {
    Ok(axum::Json(state.host.refresh(&name.show).await?).into_response())
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct OfShow {
    /// The show's slug or title; all shows if absent.
    show: Option<String>,
}

#[utoipa::path(
    get,
    path = "/episodes",
    summary = "All episodes, those not out yet among them",
    params(OfShow),
    responses(
        (status = 200, description = "Done.", body = Vec<EpisodeInfo>),
        (status = 404, description = "There is no such show.", body = ApiError)
    ),
)]
async fn episodes(State(state): Shared, Query(query): Query<OfShow>) -> Result<Response, Refusal> {
    let host = Arc::clone(&state.host);
    let episodes = blocking(move || {
        let found = host.library().episodes_of(query.show.as_deref())?;
        Ok::<_, LibraryError>(found.iter().map(|episode| EpisodeInfo::new(episode, host.urls())).collect::<Vec<_>>())
    });
    Ok(axum::Json(episodes.await?).into_response())
}

#[utoipa::path(
    get,
    path = "/stats",
    summary = "How often episodes were downloaded",
    params(Which),
    responses(
        (status = 200, description = "Done.", body = Vec<EpisodeNumbers>),
        (status = 404, description = "There is no such show or episode.", body = ApiError)
    ),
)]
async fn stats(State(state): Shared, Query(which): Query<Which>) -> Result<Response, Refusal> {
    Ok(axum::Json(state.host.stats(which).await?).into_response())
}

#[utoipa::path(
    get,
    path = "/check",
    summary = "What podcast directories would say",
    params(OfShow),
    responses(
        (status = 200, description = "Done.", body = Vec<Finding>),
        (status = 404, description = "There is no such show.", body = ApiError)
    ),
)]
async fn findings(State(state): Shared, Query(query): Query<OfShow>) -> Result<Response, Refusal> {
    let host = Arc::clone(&state.host);
    let check = move || crate::check::check(host.library(), query.show.as_deref(), host.urls());
    Ok(axum::Json(blocking(check).await?).into_response())
}

#[utoipa::path(
    patch,
    path = "/episodes",
    summary = "Changes an episode",
    request_body = EditEpisode,
    responses(
        (status = 200, description = "Done.", body = EpisodeInfo),
        (status = 404, description = "There is no such episode or show.", body = ApiError)
    ),
)]
async fn edit_episode(State(state): Shared, Json(edit): Json<EditEpisode>) -> Result<Response, Refusal> {
    Ok(axum::Json(state.host.edit_episode(edit).await?).into_response())
}

#[utoipa::path(
    post,
    path = "/episodes/release",
    summary = "Lets an episode out that waits",
    request_body = EpisodeName,
    responses(
        (status = 200, description = "Done.", body = EpisodeInfo),
        (status = 404, description = "There is no such episode or show.", body = ApiError)
    ),
)]
async fn release(State(state): Shared, Json(name): Json<EpisodeName>) -> Result<Response, Refusal> {
    Ok(axum::Json(state.host.release(name).await?).into_response())
}

#[utoipa::path(
    post,
    path = "/episodes/unpublish",
    summary = "Takes an episode back",
    request_body = Unpublish,
    responses(
        (status = 200, description = "Done.", body = Unpublished),
        (status = 404, description = "There is no such episode or show.", body = ApiError)
    ),
)]
async fn unpublish(State(state): Shared, Json(which): Json<Unpublish>) -> Result<Response, Refusal> {
    Ok(axum::Json(state.host.unpublish(which).await?).into_response())
}

#[utoipa::path(
    get,
    path = "/tokens",
    summary = "All tokens, without themselves",
    responses((status = 200, description = "Done.", body = Vec<TokenInfo>)),
)]
async fn tokens(State(state): Shared) -> Result<Response, Refusal> {
    let host = Arc::clone(&state.host);
    let tokens = blocking(move || host.library().tokens()).await?;
    Ok(axum::Json(tokens.into_iter().map(TokenInfo::from).collect::<Vec<_>>()).into_response())
}

#[utoipa::path(
    post,
    path = "/tokens",
    summary = "Makes a token, which is told this once",
    request_body = NewToken,
    responses((status = 200, description = "Done.", body = MadeToken)),
)]
async fn create_token(State(state): Shared, Json(new): Json<NewToken>) -> Result<Response, Refusal> {
    let (host, text) = (Arc::clone(&state.host), new_token()?);
    let made = blocking(move || {
        let record = host.library().add_token(&new.name, new.role, &text, Utc::now())?;
        Ok::<_, LibraryError>(MadeToken::new(record, text, host.urls()))
    });
    Ok(axum::Json(made.await?).into_response())
}

#[utoipa::path(
    delete,
    path = "/tokens/{name}",
    summary = "Has a token open nothing from now on",
    params(("name" = String, Path, description = "Who has it")),
    responses(
        (status = 200, description = "Done.", body = TokenInfo),
        (status = 404, description = "There is no such token.", body = ApiError)
    ),
)]
async fn revoke_token(State(state): Shared, Path(name): Path<String>) -> Result<Response, Refusal> {
    let host = Arc::clone(&state.host);
    let revoked = blocking(move || host.library().revoke_token(&name)).await?;
    Ok(axum::Json(TokenInfo::from(revoked)).into_response())
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct OfPrivateShow {
    /// The show's slug or title; the only show if absent.
    show: Option<String>,
}

#[utoipa::path(
    get,
    path = "/subscribers",
    summary = "Who is let in to a private show",
    params(OfPrivateShow),
    responses(
        (status = 200, description = "Done.", body = Vec<SubscriberInfo>),
        (status = 404, description = "There is no such show.", body = ApiError)
    ),
)]
async fn subscribers(State(state): Shared, Query(query): Query<OfPrivateShow>) -> Result<Response, Refusal> {
    let host = Arc::clone(&state.host);
    let subscribers = blocking(move || {
        let library = host.library();
        library.subscribers(&library.private_show(query.show.as_deref())?)
    });
    let infos: Vec<SubscriberInfo> = subscribers.await?.into_iter().map(SubscriberInfo::from).collect();
    Ok(axum::Json(infos).into_response())
}

#[utoipa::path(
    post,
    path = "/subscribers",
    summary = "Lets somebody in to a private show, whose addresses are told this once",
    request_body = NewSubscriber,
    responses(
        (status = 200, description = "Done.", body = MadeSubscriber),
        (status = 404, description = "There is no such show.", body = ApiError)
    ),
)]
async fn create_subscriber(State(state): Shared, Json(new): Json<NewSubscriber>) -> Result<Response, Refusal> {
    let (host, token) = (Arc::clone(&state.host), new_token()?);
    let made = blocking(move || {
        let record = host.library().add_subscriber(new.show.as_deref(), &new.name, &token, Utc::now())?;
        Ok::<_, LibraryError>(MadeSubscriber::new(record, &token, host.urls()))
    });
    Ok(axum::Json(made.await?).into_response())
}

#[utoipa::path(
    delete,
    path = "/subscribers/{name}",
    summary = "Lets a subscriber in no more",
    params(("name" = String, Path, description = "Who"), OfPrivateShow),
    responses(
        (status = 200, description = "Done.", body = SubscriberInfo),
        (status = 404, description = "There is no such subscriber or show.", body = ApiError)
    ),
)]
async fn revoke_subscriber(
    State(state): Shared,
    Path(name): Path<String>,
    Query(query): Query<OfPrivateShow>,
) -> Result<Response, Refusal> {
    let host = Arc::clone(&state.host);
    let revoked = blocking(move || host.library().revoke_subscriber(query.show.as_deref(), &name)).await?;
    Ok(axum::Json(SubscriberInfo::from(revoked)).into_response())
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
#[utoipa::path(
    post,
    path = "/uploads",
    params(("upload-length" = u64, Header, description = "Bytes in all")),
    responses(
        (
            status = 201,
            description = "It is open.",
            body = Upload,
            headers(("location" = String, description = "Where it is"), ("tus-resumable" = String))
        ),
        (status = 413, description = "The disk is smaller.", body = ApiError),
        (status = 429, description = "As many as may be are open.", body = ApiError),
        (status = 507, description = "The disk has no room for it.", body = ApiError),
    ),
)]
async fn create_upload(State(state): Shared, headers: HeaderMap) -> Result<Response, Refusal> {
    let upload = state.uploads.create(number(&headers, &UPLOAD_LENGTH)?).await?;
    let location = HeaderValue::from_str(&format!("uploads/{upload}")).expect("a number makes a header");
    let headers = [TUS_RESUMABLE, (header::LOCATION, location)];
    Ok((StatusCode::CREATED, headers, axum::Json(Upload { upload })).into_response())
}

#[utoipa::path(
    method(get, head),
    path = "/uploads/{upload}",
    summary = "How much of an upload is there",
    params(("upload" = Uuid, Path, description = "Which one")),
    responses(
        (
            status = 200,
            description = "Told in headers.",
            headers(
                ("upload-offset" = u64, description = "Bytes that are there"),
                ("upload-length" = u64, description = "Bytes in all"),
                ("tus-resumable" = String)
            )
        ),
        (status = 404, description = "There is no such upload.", body = ApiError),
        (status = 423, description = "Somebody writes into it.", body = ApiError),
    ),
)]
async fn see_upload(State(state): Shared, Path(upload): Path<Uuid>) -> Result<Response, Refusal> {
    Ok(told(state.uploads.extent(upload).await?).into_response())
}

#[utoipa::path(
    patch,
    path = "/uploads/{upload}",
    summary = "Appends bytes to an upload",
    params(
        ("upload" = Uuid, Path, description = "Which one"),
        ("upload-offset" = u64, Header, description = "Bytes that are there")
    ),
    request_body(content_type = "application/offset+octet-stream", description = "The bytes"),
    responses(
        (
            status = 204,
            description = "They are there.",
            headers(
                ("upload-offset" = u64, description = "Bytes that are there"),
                ("upload-length" = u64, description = "Bytes in all"),
                ("tus-resumable" = String)
            )
        ),
        (status = 404, description = "There is no such upload.", body = ApiError),
        (status = 409, description = "Another number of bytes is there.", body = ApiError),
        (status = 413, description = "They are more than was said.", body = ApiError),
        (status = 423, description = "Somebody writes into it.", body = ApiError),
    ),
)]
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

#[utoipa::path(
    delete,
    path = "/uploads/{upload}",
    summary = "Gives an upload up",
    params(("upload" = Uuid, Path, description = "Which one")),
    responses(
        (status = 204, description = "It is gone.", headers(("tus-resumable" = String))),
        (status = 404, description = "There is no such upload.", body = ApiError),
        (status = 423, description = "Somebody writes into it.", body = ApiError),
    ),
)]
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

#[utoipa::path(
    post,
    path = "/publish",
    summary = "Publishes an upload, or a file of this machine",
    request_body = PublishRequest,
    responses(
        (
            status = 200,
            description = "Lines of JSON, empty ones among them. The last is `published`, `unreadable`, `refused`, or an \
                           `ApiError`.",
            body = AnswerLine,
            content_type = "application/x-ndjson"
        ),
        (status = 404, description = "There is no such upload.", body = ApiError),
        (status = 409, description = "The upload is not whole.", body = ApiError),
        (status = 423, description = "Somebody writes into the upload.", body = ApiError),
    ),
)]
async fn publish(
    State(state): Shared,
    Extension(caller): Extension<Caller>,
    Json(request): Json<PublishRequest>,
) -> Result<Response, Refusal> {
    let host = Arc::clone(&state.host);
    let (path, intake, upload) = match &request.source {
        RequestSource::Path(path) if caller.is_local => (PathBuf::from(path), request.intake(), None),
        RequestSource::Path(_) => {
            let failure = Failure::new("a path is read for commands of the publisher's own machine only");
            return Err(Refusal::with(StatusCode::FORBIDDEN, failure.with_hint("upload the file")));
        }
        RequestSource::Upload(upload) => {
            let upload = state.uploads.finish(*upload).await?;
            (upload.path().to_owned(), Intake::Move, Some(upload))
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
                    drop(lines.try_send(line(PublishLine::Hashing { done, total })));
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
        // An upload that is not published is of no use, unless its owner is asked what he wants.
        match upload {
            Some(upload) if matches!(last, AnswerLine::Told(PublishLine::Refused { .. })) => {
                state.uploads.put_back(upload);
            }
            upload => drop(upload),
        }
        // If nobody is there any more, nobody wants to know.
        let _ = lines.send(line(last)).await;
    });
    let stream = futures_util::stream::unfold(receiver, |mut receiver| async move {
        Some((Ok::<_, std::convert::Infallible>(receiver.recv().await?), receiver))
    });
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(stream)).into_response())
}

/// A line of the answer to who publishes.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum AnswerLine {
    /// How it goes on, or went.
    Told(PublishLine),
    /// Why it is not published; the last line.
    Refused(ApiError),
}

/// Publishes, and gives the last line of the answer.
async fn publish_request(
    host: &Arc<Host>,
    request: PublishRequest,
    path: PathBuf,
    intake: Intake,
    follow: Follow,
) -> AnswerLine {
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
            let (name, said, anyway) = (request.name, request.said, request.anyway);
            let draft = Draft { path, name, intake, said, replaces, anyway };
            host.publish(draft, follow).await
        }
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(published) => PublishLine::Published(Box::new(published)).into(),
        Err(PublishError::Refused(findings)) => PublishLine::Refused { findings }.into(),
        Err(error) => {
            let error = ApiError::from(&refused(error));
            if intake == Intake::Copy && !is_readable { PublishLine::Unreadable(error).into() } else { error.into() }
        }
    }
}

impl From<PublishLine> for AnswerLine {
    fn from(line: PublishLine) -> Self {
        Self::Told(line)
    }
}

impl From<ApiError> for AnswerLine {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}

fn line(line: impl Into<AnswerLine>) -> Bytes {
    let mut line = serde_json::to_vec(&line.into()).expect("a line has a JSON form");
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

/// Says to who asks too often for how long he is to wait.
pub(crate) fn too_many(failure: Failure, wait: Duration) -> Response {
    let seconds = seconds(wait);
    let failure = failure.with_hint(format!("ask again in {seconds} s"));
    let mut response = refusal(StatusCode::TOO_MANY_REQUESTS, &failure);
    response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    response
}

fn refusal(status: StatusCode, failure: &Failure) -> Response {
    (status, axum::Json(ApiError::from(failure))).into_response()
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
        let status = if error.is_missing() { StatusCode::NOT_FOUND } else { StatusCode::UNPROCESSABLE_ENTITY };
        Self::with(status, unavailable(error))
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
