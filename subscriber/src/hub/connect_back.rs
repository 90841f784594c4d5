//! Connects back to a publisher who asks whether he is reached from outside.
//!
//! The connection is a new one, to the feed's own host; a redirect is followed there and nowhere else. Of the doors for
//! peers that he names, those at that host are knocked at.

use std::collections::BTreeSet;
use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use futures_util::future::join_all;
use podswarm_core::net::http::{HttpClient, Reach};
use podswarm_core::witness::{Doors, Knocked, Nonce, Offer, Testimony, Tried};
use reqwest::header::LOCATION;
use reqwest::{Method, Request, Response};
use url::{Host, Url};

use super::USER_AGENT;
use super::kit::Kit;
use crate::records::FeedId;

/// How long each answer may take.
const TIMEOUT: Duration = Duration::from_secs(8);
/// The longest answer, in bytes.
const LONGEST: usize = 4 << 10;
/// Doors that are knocked at: the feed's host has one or two addresses.
const MOST_DOORS: usize = 4;
/// Redirects within the host that are followed, such as from http to https.
const MOST_REDIRECTS: usize = 3;

/// Shows the nonce at `url`, knocks, and tells what came of it.
pub(super) async fn connect_back(kit: Arc<Kit>, feed: FeedId, url: Url, nonce: Nonce) {
    let host = url.host_str().unwrap_or_default().to_owned();
    match show(&kit, feed, url, nonce).await {
        Ok(()) => tracing::info!(host, "connected back, as its publisher asked"),
        Err(error) => tracing::info!(host, %error, "cannot connect back, as its publisher asked"),
    }
}

async fn show(kit: &Kit, feed: FeedId, url: Url, nonce: Nonce) -> Result<(), Box<dyn Error + Send + Sync>> {
    // One of its own, so that no connection is there already.
    let http = HttpClient::new(Reach::Public, USER_AGENT, &kit.route)?;
    let (url, response) = ask(&http, url).await?;
    let answered = response.remote_addr().map(|addr| addr.ip().to_canonical());
    let doors = tokio::time::timeout(TIMEOUT, read(response)).await??;
    let (Some(torrent), Some(engine), Some(Offer { peers: true, .. })) =
        (doors.info_hash, kit.engine_for(feed), kit.offer(feed))
    else {
        return Ok(());
    };
    let own = &addresses(&url, answered).await;
    let knocks = doors.peers.into_iter().take(MOST_DOORS).map(|addr| async move {
        let is_there = own.contains(&addr.ip().to_canonical());
        let outcome = if is_there { engine.knock(addr, &torrent, nonce).await } else { Knocked::NotTried };
        Tried { addr, outcome }
    });
    let testimony = Testimony { peers: join_all(knocks).await };
    if !testimony.peers.is_empty() {
        let body = Bytes::from(serde_json::to_vec(&testimony)?);
        http.post(url.as_str(), &[("content-type", "application/json")], body, TIMEOUT).await?;
    }
    Ok(())
}

/// Asks for `url`; gives where it was answered, too.
async fn ask(http: &HttpClient, mut url: Url) -> Result<(Url, Response), Box<dyn Error + Send + Sync>> {
    for _ in 0..=MOST_REDIRECTS {
        let response = http.send(Request::new(Method::GET, url.clone()), TIMEOUT).await?;
        match redirect(&url, &response)? {
            Some(next) => url = next,
            None if response.status().is_success() => return Ok((url, response)),
            None => return Err(format!("it answers {}", response.status()).into()),
        }
    }
    Err("it leads round and round".into())
}

/// Where an answer leads to on the same host; one that leads to another is refused.
fn redirect(url: &Url, response: &Response) -> Result<Option<Url>, String> {
    let location = response.headers().get(LOCATION).filter(|_| response.status().is_redirection());
    let Some(location) = location.and_then(|location| location.to_str().ok()) else { return Ok(None) };
    let next = url.join(location).map_err(|error| error.to_string())?;
    let is_safe = next.scheme() == "https" || next.scheme() == url.scheme();
    if next.host() != url.host() || !is_safe {
        return Err(format!("it leads to {next}"));
    }
    Ok(Some(next))
}

async fn read(mut response: Response) -> Result<Doors, Box<dyn Error + Send + Sync>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > LONGEST {
            return Err(format!("it answers with more than {LONGEST} bytes").into());
        }
    }
    Ok(serde_json::from_slice(&body)?)
}

/// The addresses of the host of `url`: that which has answered, and those which its name has.
async fn addresses(url: &Url, answered: Option<IpAddr>) -> BTreeSet<IpAddr> {
    let found = match url.host() {
        Some(Host::Domain(name)) => tokio::net::lookup_host((name, 0)).await.map(Vec::from_iter).unwrap_or_default(),
        _ => Vec::new(),
    };
    let found = found.into_iter().map(|addr| addr.ip().to_canonical()).chain(answered);
    found.filter(|ip| Reach::Public.permits(*ip)).collect()
}
