//! Asks a feed's host, and reads what it answers.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use podswarm_core::app::printable;
use podswarm_core::net::http::{Fetched, Reach};
use podswarm_feeds::poll::{Fetch, Outcome, Reply, Validators};
use podswarm_feeds::read::{self, Channel, MAX_FEED_BYTES};
use url::Url;

use super::kit::Kit;
use crate::address::reach_of_typed;
use crate::agent::Input;
use crate::agent::found::FoundFeed;
use crate::dot_torrent::sentence;
use crate::records::FeedId;

/// The whole exchange may take this long.
const TIMEOUT: Duration = Duration::from_mins(1);

/// What a feed may be written in.
const ACCEPT: &str = "application/rss+xml, application/atom+xml, application/feed+json, application/xml;q=0.9, text/xml;q=0.9, */*;q=0.5";

/// Asks for the feed as `fetch` says and tells the agent what came of it.
pub(super) async fn poll(kit: Arc<Kit>, feed: FeedId, fetch: Fetch) {
    let Ok(_place) = kit.polls.acquire().await else { return };
    let input = match ask(&kit, &fetch).await {
        Ok(fetched) => read_answer(feed, fetch.url, fetched).await,
        Err(reason) => Input::Polled {
            feed,
            url: fetch.url,
            reply: Reply::failed(printable(&reason)),
            found: None,
            is_local: false,
        },
    };
    kit.tell(input).await;
}

async fn ask(kit: &Kit, fetch: &Fetch) -> Result<Fetched, String> {
    let mut headers = vec![("accept", ACCEPT)];
    headers.extend(fetch.etag.as_deref().map(|etag| ("if-none-match", etag)));
    headers.extend(fetch.last_modified.as_deref().map(|date| ("if-modified-since", date)));
    let reach = reach_of_typed(&fetch.url, &kit.route).await;
    let answer = kit.http(reach).get_limited(fetch.url.as_str(), &headers, MAX_FEED_BYTES as u64, TIMEOUT).await;
    answer.map_err(sentence)
}

async fn read_answer(feed: FeedId, url: Url, fetched: Fetched) -> Input {
    let is_local = fetched.remote_addr.is_some_and(|addr| Reach::of_host(addr.ip()) == Reach::Any);
    let bytes = fetched.body.len() as u64;
    let moved_to = fetched.permanent_redirect.clone();
    let reply = Reply::from_http(fetched.status, |name| fetched.header(name), moved_to, bytes, Utc::now());
    if !matches!(reply.outcome, Outcome::Body { .. }) {
        return Input::Polled { feed, url, reply, found: None, is_local };
    }
    let parsed = tokio::task::spawn_blocking(move || {
        let content_type = fetched.header("content-type");
        read::parse(&fetched.body, &fetched.final_url, content_type).map_err(sentence)
    });
    let (reply, found) = match parsed.await {
        Ok(Ok(channel)) => (reply_to(reply, &channel), Some(Box::new(FoundFeed::of(channel)))),
        Ok(Err(reason)) => (reply.unreadable(reason), None),
        Err(error) => (reply.unreadable(error.to_string()), None),
    };
    Input::Polled { feed, url, reply, found, is_local }
}

/// The reply with what its body says. One that was cut off must not be taken for the whole by a later 304.
fn reply_to(reply: Reply, channel: &Channel) -> Reply {
    let mut reply = reply.with_ttl(channel.ttl);
    if let Outcome::Body { validators, .. } = &mut reply.outcome
        && !channel.is_whole
    {
        *validators = Validators::default();
    }
    reply
}
