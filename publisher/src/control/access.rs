//! Who may ask for what: the two doors of the control API.
//!
//! By the door on loopback commands of this machine come in, with the token of `control.json`; they may do everything.
//! By the public port come people and programs elsewhere, each with a token of its own and the [`Role`] of that.
//! Neither door knows cookies or sends CORS headers, so no page of another origin can act for who has a token.
//!
//! Law: what is not let in reads nothing of what is asked, and writes nothing.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{HeaderName, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use podswarm_core::app::{ControlFile, Failure, is_loopback_host, token_matches};
use podswarm_core::tracker::Scope;

use super::guesses::Guesses;
use super::{refusal, too_many, unavailable};
use crate::host::{Host, blocking};
use crate::http::{Peers, Way};
use crate::tokens::Role;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    /// What he may do.
    pub(super) role: Role,
    /// A command on this machine, of the one whose data this is: what he can read, he may have read.
    pub(super) is_local: bool,
}

/// Lets in only who has the token of `control.json` and means this machine.
pub(super) async fn admit_local(State(control): State<Arc<ControlFile>>, mut request: Request, next: Next) -> Response {
    if !is_loopback_host(text(request.headers(), header::HOST)) {
        let failure = Failure::new("the control API answers on loopback only");
        return refusal(StatusCode::FORBIDDEN, &failure);
    }
    if !token_matches(text(request.headers(), header::AUTHORIZATION), control.token()) {
        return unknown();
    }
    request.extensions_mut().insert(Caller { role: Role::Owner, is_local: true });
    next.run(request).await
}

/// Who keeps the public door.
pub(super) struct Keeper {
    host: Arc<Host>,
    guesses: Guesses,
}

impl Keeper {
    /// Looks for tokens in the library of `host`.
    pub(super) fn new(host: Arc<Host>) -> Self {
        Self { host, guesses: Guesses::default() }
    }
}

/// Lets in who has a token, where nobody on the way can read it.
pub(super) async fn admit_public(
    State(keeper): State<Arc<Keeper>>,
    Extension(peers): Extension<Peers>,
    way: Option<Extension<Way>>,
    mut request: Request,
    next: Next,
) -> Response {
    let Keeper { host, guesses } = &*keeper;
    let bearer = text(request.headers(), header::AUTHORIZATION).and_then(bearer);
    let Some(token) = bearer.map(str::to_owned) else { return unknown() };
    let remote = peers.remote.ip();
    let is_secret = match way.map(|Extension(way)| way).unwrap_or_default() {
        Way::Secret => true,
        // How it came to a proxy, the public URL tells; so it does where we speak no TLS.
        Way::Proxy => host.urls().base().scheme() == "https",
        Way::Open => !host.speaks_tls() && host.urls().base().scheme() == "https",
    };
    if !is_secret && !is_near(remote) {
        let failure = Failure::new("this was not asked over https, so your token can be read on its way");
        let hint = if host.speaks_tls() {
            format!("ask at {}", host.urls().base())
        } else {
            "give podpub a certificate (--tls-cert, --acme), put a proxy with one before it and give its --public-url, \
             or come through ssh -L"
                .to_owned()
        };
        return refusal(StatusCode::FORBIDDEN, &failure.with_hint(hint));
    }
    if let Some(wait) = guesses.wait(remote, Instant::now()) {
        return too_many(Failure::new("too many wrong tokens came from your network"), wait);
    }
    let (library, shown) = (host.library().clone(), token.clone());
    match blocking(move || library.token(&shown)).await {
        Ok(Some(token)) => {
            request.extensions_mut().insert(Caller { role: token.role, is_local: false });
            next.run(request).await
        }
        Ok(None) => {
            if let Some(count) = guesses.note(remote, &token, Instant::now()) {
                tracing::warn!(%remote, count, "wrong tokens were shown");
            }
            unknown()
        }
        Err(error) => refusal(StatusCode::SERVICE_UNAVAILABLE, &unavailable(error)),
    }
}

/// Passes on only who may do at least what `needed` may.
pub(super) async fn require(
    State(needed): State<Role>,
    Extension(caller): Extension<Caller>,
    request: Request,
    next: Next,
) -> Response {
    if caller.role < needed {
        let failure = Failure::new(format!("this needs a token of the role {needed}; yours is {}", caller.role));
        return refusal(StatusCode::FORBIDDEN, &failure);
    }
    next.run(request).await
}

/// This machine, or one in the same house.
fn is_near(remote: IpAddr) -> bool {
    Scope::of(remote) != Scope::Public
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

fn unknown() -> Response {
    let mut response = refusal(StatusCode::UNAUTHORIZED, &Failure::new("the token is missing or wrong"));
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}
