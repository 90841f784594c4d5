//! The way in of subscribers: what private shows have stands below the token of each.
//!
//! `/private/TOKEN/shows/SLUG/feed.xml` is `/shows/SLUG/feed.xml` as the subscriber with that token sees it, and so on
//! for all there is. The door takes the token off the path and passes the request on with a [`Reader`] that knows it;
//! whoever answers takes the site and the addresses from him. What is made once for all subscribers gets his token as
//! it is sent.
//!
//! Law: without a token nothing is told of a private show, not even that it is there.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use axum::http::{Method, Uri};
use axum::response::Response;
use tokio::sync::watch;
use tower::ServiceExt as _;

use super::Web;
use super::resource::Resource;
use crate::host::blocking;
use crate::library::{Library, LibraryError};
use crate::site::Site;
use crate::slug::Slug;
use crate::urls::{Urls, split_private};

/// Who reads: anybody, or a subscriber of a private show.
#[derive(Clone, Debug, Default)]
pub(super) struct Reader(Option<Arc<Pass>>);

/// What a subscriber came with.
#[derive(Debug)]
struct Pass {
    show: Slug,
    token: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Reader {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().cloned().unwrap_or_default())
    }
}

impl Reader {
    /// The site as he sees it.
    pub(super) fn site(&self, site: &watch::Receiver<Arc<Site>>) -> Arc<Site> {
        let site = site.borrow();
        match &self.0 {
            None => Arc::clone(&site),
            Some(pass) => Arc::clone(site.of_subscribers(&pass.show).expect("the door saw it, and a show stays")),
        }
    }

    /// The addresses that he is told.
    pub(super) fn urls(&self, urls: &Arc<Urls>) -> Arc<Urls> {
        match &self.0 {
            None => Arc::clone(urls),
            Some(pass) => Arc::new(urls.for_subscriber(&pass.token)),
        }
    }

    /// The private show that he is let in to.
    pub(super) fn show(&self) -> Option<&Slug> {
        Some(&self.0.as_ref()?.show)
    }

    /// The answer to him with `resource`, which is of the site that he sees.
    pub(super) async fn respond(&self, resource: &Resource, method: &Method, headers: &HeaderMap) -> Response {
        let Some(pass) = &self.0 else { return resource.respond(method, headers) };
        let (resource, pass) = (resource.clone(), Arc::clone(pass));
        let (method, headers) = (method.clone(), headers.clone());
        // A long feed takes a while to compress.
        blocking(move || resource.respond_with(&pass.token, &method, &headers)).await
    }

    /// Whether he is let in still.
    pub(super) async fn is_let_in(&self, library: &Library) -> bool {
        match &self.0 {
            None => true,
            Some(pass) => matches!(Self::known(library, &pass.token).await, Ok(Some(_))),
        }
    }

    /// The show that the token opens, if it opens any.
    async fn known(library: &Library, token: &str) -> Result<Option<Slug>, LibraryError> {
        let (library, token) = (library.clone(), token.to_owned());
        Ok(blocking(move || library.subscriber(&token)).await?.map(|subscriber| subscriber.show))
    }
}

/// What the door leads to.
#[derive(Clone)]
pub(super) struct Door {
    library: Library,
    site: watch::Receiver<Arc<Site>>,
    inside: Router,
}

impl Door {
    /// A door before what `inside` makes of `web`.
    pub(super) fn new(web: Web, inside: impl FnOnce(Web) -> Router) -> Self {
        Self { library: web.library.clone(), site: web.site.clone(), inside: inside(web) }
    }

    /// Passes a request on, one of a subscriber as his; what has a token that opens nothing is found nowhere inside.
    pub(super) async fn pass(State(door): State<Self>, mut request: Request) -> Response {
        let reader = door.read(&mut request).await;
        let is_private = reader.is_some();
        if let Some(reader) = reader {
            request.extensions_mut().insert(reader);
        }
        let Ok(mut response) = door.inside.oneshot(request).await;
        if is_private {
            keep_private(response.headers_mut());
        }
        response
    }

    /// Who reads, if he has a token that opens something; it is taken off the path.
    async fn read(&self, request: &mut Request) -> Option<Reader> {
        let (token, rest) = split_private(request.uri().path())?;
        let token = token.to_owned();
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        let inside: PathAndQuery = format!("{rest}{query}").parse().ok()?;
        let known = Reader::known(&self.library, &token).await;
        let show = known.inspect_err(|error| tracing::error!(%error, "subscribers cannot be told")).ok().flatten()?;
        self.site.borrow().of_subscribers(&show)?;
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = Some(inside);
        *request.uri_mut() = Uri::from_parts(parts).ok()?;
        Some(Reader(Some(Arc::new(Pass { show, token }))))
    }
}

/// Has neither caches that many share nor search engines keep what is a subscriber's.
fn keep_private(headers: &mut HeaderMap) {
    const ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");
    if let Some(rest) = headers.get(header::CACHE_CONTROL).and_then(|it| it.to_str().ok()?.strip_prefix("public")) {
        let own = HeaderValue::try_from(format!("private{rest}"));
        headers.insert(header::CACHE_CONTROL, own.expect("what was a header's value is one"));
    }
    headers.insert(ROBOTS, HeaderValue::from_static("noindex, nofollow"));
}
