//! Where agents outside connect back that were asked to: they show a nonce, are told of the doors for peers, and tell
//! what they found there.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{DefaultBodyLimit, Json, Path, Request, State};
use axum::http::uri::Authority;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get};
use podswarm_core::witness::{Doors, Nonce, Testimony};
use url::Url;

use super::private::Reader;
use super::{AppState, Opened, Peers, Shared, Way, not_found};
use crate::reach::{Refusal, Shown};
use crate::slug::Slug;
use crate::urls::Urls;

/// The longest testimony, in bytes.
const LONGEST: usize = 4 << 10;

/// Takes what is shown and told.
pub(super) fn route() -> MethodRouter<Arc<AppState>> {
    get(show).post(tell).layer(DefaultBodyLimit::max(LONGEST))
}

async fn show(
    State(state): Shared,
    reader: Reader,
    Extension(peers): Extension<Peers>,
    Path((slug, nonce)): Path<(String, String)>,
    request: Request,
) -> Response {
    let Some((show, nonce)) = meant(&state, &reader, &slug, &nonce) else { return not_found() };
    let site = state.site(&reader);
    let newest = site.show(&slug).and_then(|show| show.newest());
    let doors =
        Doors { peers: state.web.tracker.seed_addresses(peers), info_hash: newest.map(|episode| episode.info_hash) };
    let way: Way = request.extensions().get().copied().unwrap_or_default();
    let opened = request.extensions().get().map(|Opened(at)| *at);
    let authority = request.uri().authority().map(Authority::as_str);
    let host = authority.or_else(|| request.headers().get(header::HOST)?.to_str().ok()).unwrap_or_default();
    let shown = Shown {
        nonce,
        show: &show,
        by: peers.remote.ip(),
        // What a proxy keeps open is not what he opened.
        opened: opened.filter(|_| way != Way::Proxy),
        is_told: is_told(&state.web.urls, host, way, state.web.tls.is_some()),
    };
    // Without a torrent nobody can knock.
    let knockable = if doors.info_hash.is_some() { &doors.peers[..] } else { &[] };
    match state.web.outside.shown(shown, knockable) {
        Ok(()) => ([(header::CACHE_CONTROL, "no-store")], Json(doors)).into_response(),
        Err(refusal) => refused(refusal),
    }
}

async fn tell(
    State(state): Shared,
    reader: Reader,
    Path((slug, nonce)): Path<(String, String)>,
    Json(testimony): Json<Testimony>,
) -> Response {
    let Some((show, nonce)) = meant(&state, &reader, &slug, &nonce) else { return not_found() };
    match state.web.outside.told(nonce, &show, &testimony) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(refusal) => refused(refusal),
    }
}

/// The show and the nonce that a path names, if they can be.
fn meant(state: &AppState, reader: &Reader, slug: &str, nonce: &str) -> Option<(Slug, Nonce)> {
    let show = state.site(reader).show(slug)?.record.slug.clone();
    Some((show, nonce.parse().ok()?))
}

fn refused(refusal: Refusal) -> Response {
    let status = match refusal {
        Refusal::Old => StatusCode::CONFLICT,
        Refusal::Unknown => StatusCode::NOT_FOUND,
    };
    (status, [(header::CACHE_CONTROL, "no-store")], format!("{refusal}\n")).into_response()
}

/// Whether who asks for `host` came by the address that feeds name. What a proxy makes of it is the owner's affair.
fn is_told(urls: &Urls, host: &str, way: Way, speaks_tls: bool) -> bool {
    let base = urls.base();
    let scheme = match way {
        Way::Proxy => return true,
        Way::Secret => "https",
        Way::Open if speaks_tls => "http",
        // Somebody before us may speak TLS, of whom we do not know.
        Way::Open => base.scheme(),
    };
    let came_by = Url::parse(&format!("{scheme}://{host}"));
    came_by.is_ok_and(|url| url.origin() == base.origin())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_that_feeds_name_is_told_from_others() {
        for (base, host, way, speaks_tls, want) in [
            ("http://198.18.0.1:6969", "198.18.0.1:6969", Way::Open, false, true),
            ("http://198.18.0.1:6969", "198.18.0.1", Way::Open, false, false),
            ("http://pods.example", "Pods.Example:80", Way::Open, false, true),
            ("http://pods.example", "other.example", Way::Open, false, false),
            ("https://pods.example", "pods.example", Way::Secret, true, true),
            ("https://pods.example", "pods.example", Way::Open, true, false),
            ("https://pods.example", "pods.example", Way::Open, false, true),
            ("https://pods.example", "127.0.0.1:6969", Way::Proxy, false, true),
            ("https://pods.example/casts", "pods.example", Way::Secret, true, true),
            ("http://pods.example", "", Way::Open, false, false),
            ("http://pods.example", "a b", Way::Open, false, false),
        ] {
            assert_eq!(is_told(&Urls::parse(base).unwrap(), host, way, speaks_tls), want, "{base} {host} {way:?}");
        }
    }
}
