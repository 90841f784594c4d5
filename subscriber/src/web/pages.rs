//! The owner's view in a browser: pages that hold nothing, and the control API for them.
//!
//! | method and path | answer |
//! |---|---|
//! | `GET /`, `GET /assets/…` | the page, its style and its script: the same for everybody |
//! | `POST /api/v1/enter` | the token, for a ticket that `podsub web` was given |
//! | `POST /api/v1/ask` | as the control port has it, for who has the token |
//!
//! A ticket leads in once and for a few minutes, so that an address which others may have seen is worth nothing. The
//! token it is changed for stays in the browser's own store of this address, not in a cookie, which every other port of
//! this machine would be sent. It commands; the token of players' addresses does not.
//!
//! Laws: nothing is told or done without the token, under another host's name, or for a page of another origin. What
//! the page may load is its own, and no page has programs run.
//!
//! Source: RFC 6750; the Fetch standard on `Origin`; CSP level 3.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Json, Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use podswarm_core::app::{ApiError, DataDir, Failure, is_loopback_host, new_token, secret_matches, token_matches, web};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::kept_token;
use crate::ask::Ask;
use crate::hub::HubHandle;

/// The file in the data directory that keeps the token.
const TOKEN_FILE: &str = "page-token";
/// A ticket leads in for so long.
const TICKET_LASTS: Duration = Duration::from_mins(10);
/// So many tickets are good at once; a new one takes the place of the oldest.
const TICKETS: usize = 16;

/// What the page may load: its own style, script, pictures and answers. Media of a plain download come from where that
/// goes.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
     media-src 'self' http: https:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The headers of every answer.
const DRESS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Who may come in.
#[derive(Debug)]
pub(super) struct Door {
    token: Arc<str>,
    /// Tickets that are out, and until when they are good; the oldest first.
    tickets: Mutex<VecDeque<(String, Instant)>>,
}

impl Door {
    /// The door of this data directory; who was let in stays so.
    pub(super) fn new(dir: &DataDir) -> Result<Self, Failure> {
        Ok(Self { token: kept_token(dir, TOKEN_FILE)?.into(), tickets: Mutex::default() })
    }

    /// A new ticket, good once from `now` on.
    pub(super) fn ticket(&self, now: Instant) -> Result<String, Failure> {
        let ticket = new_token()?;
        let mut tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        while tickets.len() >= TICKETS {
            tickets.pop_front();
        }
        tickets.push_back((ticket.clone(), now + TICKET_LASTS));
        Ok(ticket)
    }

    /// Takes a ticket; whether it is good.
    fn take(&self, given: &str, now: Instant) -> bool {
        let mut tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        tickets.retain(|(_, until)| now < *until);
        let found = tickets.iter().position(|(ticket, _)| secret_matches(given, ticket));
        found.is_some_and(|at| tickets.remove(at).is_some())
    }
}

/// What the handlers share.
#[derive(Clone)]
struct Pages {
    hub: HubHandle,
    door: Arc<Door>,
}

/// The routes of the pages, for the agent of `hub`.
pub(super) fn routes(hub: HubHandle, door: Arc<Door>) -> Router {
    let pages = Pages { hub, door };
    let file = |mime: &'static str, parts: &[&str]| {
        let text = Bytes::from(parts.concat());
        get(async move || ([(header::CONTENT_TYPE, mime)], text))
    };
    let style = [web::LOOK, web::PANEL, include_str!("../../web/style.css")];
    let script = [web::BASICS, web::TOOLS, include_str!("../../web/view.js")];
    Router::new()
        .route("/", file("text/html; charset=utf-8", &[include_str!("../../web/index.html")]))
        .route("/assets/style.css", file("text/css; charset=utf-8", &style))
        .route("/assets/view.js", file("text/javascript; charset=utf-8", &script))
        .route("/api/v1/enter", post(enter))
        .route("/api/v1/ask", post(ask))
        .layer(from_fn_with_state(pages.clone(), admit))
        .with_state(pages)
}

/// Lets requests through that were sent to this machine by its own name and by this page, and dresses their answers.
async fn admit(State(pages): State<Pages>, request: Request, next: Next) -> Response {
    let mut response = match refusal(&pages.door, request.method(), request.uri().path(), request.headers()) {
        Some((status, why)) => refuse(status, &Failure::new(why)),
        None => next.run(request).await,
    };
    for (name, value) in DRESS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Why a request is not let through.
fn refusal(door: &Door, method: &Method, path: &str, headers: &HeaderMap) -> Option<(StatusCode, &'static str)> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = header(header::HOST);
    if !is_loopback_host(host) {
        return Some((StatusCode::FORBIDDEN, "this is answered on the machine itself only"));
    }
    let origin = headers.get(header::ORIGIN).map(HeaderValue::as_bytes);
    let own = host.map(|host| format!("http://{host}"));
    if origin.is_some_and(|origin| own.as_ref().is_none_or(|own| origin != own.as_bytes())) {
        return Some((StatusCode::FORBIDDEN, "pages of other origins are answered nothing"));
    }
    let is_open = method != Method::POST || path == "/api/v1/enter";
    let is_known = token_matches(header(header::AUTHORIZATION), &door.token);
    (!is_open && !is_known).then_some((StatusCode::UNAUTHORIZED, "the token is not this agent's"))
}

#[derive(Deserialize)]
struct Ticket {
    ticket: String,
}

#[derive(Serialize)]
struct Token {
    token: String,
}

async fn enter(State(pages): State<Pages>, Json(given): Json<Ticket>) -> Response {
    if pages.door.take(&given.ticket, Instant::now()) {
        return Json(Token { token: pages.door.token.to_string() }).into_response();
    }
    let failure = Failure::new("this ticket was used, or is too old");
    refuse(StatusCode::FORBIDDEN, &failure.with_hint("`podsub web` opens the page with a new one"))
}

async fn ask(State(pages): State<Pages>, Json(ask): Json<Value>) -> Response {
    let ask = match serde_json::from_value::<Ask>(ask) {
        Ok(ask) => ask,
        // What a person typed cannot be read: it says why.
        Err(error) => return refuse(StatusCode::UNPROCESSABLE_ENTITY, &Failure::usage(error.to_string())),
    };
    if ask.names_hooks() {
        let failure = Failure::new("no page says which programs are run");
        return refuse(StatusCode::FORBIDDEN, &failure.with_hint("`podsub edit FEED --on-complete HOOK` does"));
    }
    match pages.hub.ask(ask).await {
        Ok(reply) => Json(reply).into_response(),
        Err(failure) => refuse(StatusCode::CONFLICT, &failure),
    }
}

fn refuse(status: StatusCode, failure: &Failure) -> Response {
    (status, Json(ApiError::from(failure))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door() -> Door {
        Door { token: "f".repeat(64).into(), tickets: Mutex::default() }
    }

    #[track_caller]
    fn check(request: &(Method, &str), headers: &[(HeaderName, &str)], status: Option<u16>) {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().expect("a header's value")));
        let refused = refusal(&door(), &request.0, request.1, &headers.collect());
        assert_eq!(refused.map(|(status, _)| status.as_u16()), status, "{request:?}");
    }

    #[test]
    fn the_page_is_open_and_commands_need_the_token() {
        let host = (header::HOST, "127.0.0.1:6970");
        let bearer = format!("Bearer {}", "f".repeat(64));
        let (ask, page) = ((Method::POST, "/api/v1/ask"), (Method::GET, "/"));
        check(&page, std::slice::from_ref(&host), None);
        check(&(Method::POST, "/api/v1/enter"), std::slice::from_ref(&host), None);
        check(&ask, std::slice::from_ref(&host), Some(401));
        check(&ask, &[host.clone(), (header::AUTHORIZATION, "Bearer e")], Some(401));
        check(&ask, &[host.clone(), (header::AUTHORIZATION, &bearer)], None);
        check(&ask, &[host, (header::AUTHORIZATION, &bearer), (header::ORIGIN, "http://127.0.0.1:6970")], None);
        // Names that lead here and are not ours, and pages of others.
        check(&page, &[(header::HOST, "attacker.example:6970")], Some(403));
        check(&page, &[], Some(403));
        for origin in ["http://attacker.example", "http://127.0.0.1:6969", "https://127.0.0.1:6970", "null"] {
            let headers =
                [(header::HOST, "127.0.0.1:6970"), (header::AUTHORIZATION, &*bearer), (header::ORIGIN, origin)];
            check(&ask, &headers, Some(403));
        }
    }

    #[test]
    fn an_ask_that_has_programs_run_is_known_as_one() {
        let ask = |rules: &str| {
            let text = format!("{{\"ask\":\"add\",\"url\":\"http://host.example/\",\"rules\":{rules}}}");
            serde_json::from_str::<Ask>(&text).unwrap()
        };
        assert!(ask(r#"{"on_complete":[{"run":["x"]}]}"#).names_hooks() && ask(r#"{"on_complete":[]}"#).names_hooks());
        assert!(!ask(r#"{"keep_for":"5d"}"#).names_hooks() && !Ask::Feeds.names_hooks());
    }

    #[test]
    fn a_ticket_is_good_once_and_not_for_long() {
        let (door, now) = (door(), Instant::now());
        let (first, second) = (door.ticket(now).unwrap(), door.ticket(now).unwrap());
        assert!(!door.take("", now) && !door.take(&"0".repeat(64), now));
        assert!(door.take(&first, now) && !door.take(&first, now));
        assert!(!door.take(&second, now + TICKET_LASTS));
        let many: Vec<String> = (0..=TICKETS).map(|_| door.ticket(now).unwrap()).collect();
        assert!(!door.take(&many[0], now) && door.take(&many[1], now) && door.take(&many[TICKETS], now));
    }
}
