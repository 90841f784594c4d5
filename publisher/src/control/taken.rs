//! What is asked, taken out of requests.
//!
//! The same as axum takes, but what cannot be taken is refused like everything else: with a sentence, as [`ApiError`].
//!
//! [`ApiError`]: podswarm_core::app::ApiError

use std::error::Error;

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use podswarm_core::app::Failure;
use serde::de::DeserializeOwned;

use super::{LARGEST_REQUEST, Refusal};

/// The value that a request holds as JSON.
pub(super) struct Json<T>(pub(super) T);

/// The values in a path.
pub(super) struct Path<T>(pub(super) T);

/// The values in a query.
pub(super) struct Query<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let mime = request.headers().get(header::CONTENT_TYPE).and_then(|mime| mime.to_str().ok()).map(str::to_owned);
        let refuse = |rejection: JsonRejection| {
            let text = match &rejection {
                JsonRejection::MissingJsonContentType(_) => {
                    format!(
                        "the request has {}; want application/json",
                        mime.map_or("no type".to_owned(), |mime| { format!("the type {mime}") })
                    )
                }
                JsonRejection::BytesRejection(_) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                    format!("the request is longer than {LARGEST_REQUEST} bytes")
                }
                JsonRejection::BytesRejection(_) => "the request broke off".to_owned(),
                _ => format!("the request holds other JSON than this call takes: {}", cause(&rejection)),
            };
            Refusal::with(rejection.status(), Failure::new(text))
        };
        axum::Json::from_request(request, state).await.map(|axum::Json(value)| Self(value)).map_err(refuse)
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let refuse = |rejection: PathRejection| {
            let text = format!("the path is none of this call's: {}", cause(&rejection));
            Refusal::with(rejection.status(), Failure::new(text))
        };
        let taken = axum::extract::Path::from_request_parts(parts, state).await;
        taken.map(|axum::extract::Path(value)| Self(value)).map_err(refuse)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let refuse = |rejection: QueryRejection| {
            let text = format!("the query is none of this call's: {}", cause(&rejection));
            Refusal::with(rejection.status(), Failure::new(text))
        };
        let taken = axum::extract::Query::from_request_parts(parts, state).await;
        taken.map(|axum::extract::Query(value)| Self(value)).map_err(refuse)
    }
}

/// What lies at the bottom of an error.
fn cause(mut error: &(dyn Error + 'static)) -> String {
    while let Some(deeper) = error.source() {
        error = deeper;
    }
    error.to_string()
}
