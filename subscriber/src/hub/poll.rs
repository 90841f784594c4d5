//! Asks a feed's host, and reads what it answers, with the further pages (RFC 5005) that hold what is not known yet;
//! looks, too, where it says that it has moved to.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use podswarm_core::app::printable;
use podswarm_core::net::http::{Fetched, Reach};
use podswarm_feeds::poll::{Fetch, Outcome, Reply};
use podswarm_feeds::read::{self, Channel, MAX_FEED_BYTES};
use url::Url;

use super::kit::Kit;
use crate::address::{reach_of_links, reach_of_typed};
use crate::agent::Input;
use crate::agent::pages::{Pages, taken_in};
use crate::agent::trail::Trail;
use crate::dot_torrent::sentence;
use crate::records::FeedId;

/// The whole exchange may take this long.
const TIMEOUT: Duration = Duration::from_mins(1);

/// What a feed may be written in.
const ACCEPT: &str = "application/rss+xml, application/atom+xml, application/feed+json, application/xml;q=0.9, text/xml;q=0.9, */*;q=0.5";

/// Asks for the feed as `fetch` says and tells the agent what came of it; `known` and `is_typed` as in
/// [`Output::Poll`].
///
/// [`Output::Poll`]: crate::agent::Output::Poll
pub(super) async fn poll(kit: Arc<Kit>, feed: FeedId, fetch: Fetch, known: BTreeSet<String>, is_typed: bool) {
    let Ok(_place) = kit.polls.acquire().await else { return };
    let input = match ask(&kit, &fetch, is_typed).await {
        Ok(fetched) => read_answer(&kit, feed, fetch, fetched, known).await,
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

async fn ask(kit: &Kit, fetch: &Fetch, is_typed: bool) -> Result<Fetched, String> {
    let mut headers = vec![("accept", ACCEPT)];
    headers.extend(fetch.etag.as_deref().map(|etag| ("if-none-match", etag)));
    headers.extend(fetch.last_modified.as_deref().map(|date| ("if-modified-since", date)));
    let reach = if is_typed { reach_of_typed(&fetch.url, &kit.route).await } else { Reach::Public };
    let answer = kit.http(reach).get_limited(fetch.url.as_str(), &headers, MAX_FEED_BYTES as u64, TIMEOUT).await;
    answer.map_err(sentence)
}

async fn read_answer(kit: &Kit, feed: FeedId, fetch: Fetch, fetched: Fetched, known: BTreeSet<String>) -> Input {
    let Fetch { url, astray, .. } = fetch;
    let is_local = is_local(&fetched);
    let bytes = fetched.body.len() as u64;
    let moved_to = fetched.permanent_redirect.clone();
    let mut reply = Reply::from_http(fetched.status, |name| fetched.header(name), moved_to, bytes, Utc::now());
    if !matches!(reply.outcome, Outcome::Body { .. }) {
        return Input::Polled { feed, url, reply, found: None, is_local };
    }
    let at = fetched.final_url.clone();
    let read = match parse(fetched).await {
        Ok(first) => {
            let trail = Trail::of(&first, &url, reply.moved_to.as_ref(), astray.as_ref(), &known);
            match look(kit, trail, is_local).await {
                Some(Ok(to)) => reply.moved_to = Some(to),
                Some(Err(to)) => reply.astray = Some(to),
                None => {}
            }
            with_further(kit, Pages::new(first, at, known), is_local).await
        }
        Err(reason) => Err(reason),
    };
    let (reply, found) = taken_in(reply, read);
    Input::Polled { feed, url, reply, found, is_local }
}

/// The answer came from a private or loopback address.
fn is_local(fetched: &Fetched) -> bool {
    fetched.remote_addr.is_some_and(|addr| Reach::of_host(addr.ip()) == Reach::Any)
}

/// Looks for a feed where it says that it has moved to; gives where it is, else where it is not.
async fn look(kit: &Kit, trail: Option<Trail>, mut may_be_local: bool) -> Option<Result<Url, Url>> {
    let mut trail = trail?;
    while let Some(place) = trail.next_place() {
        match read_place(kit, &place, may_be_local).await {
            Ok((there, moved_to, is_local)) => {
                trail.add(&place, moved_to, &there);
                may_be_local &= is_local;
            }
            Err(reason) => tracing::info!(%place, reason, "a feed has not moved to where it says"),
        }
    }
    Some(trail.end())
}

/// The feed at `place`, where permanent redirects led from there, and whether that is local.
async fn read_place(kit: &Kit, place: &Url, may_be_local: bool) -> Result<(Channel, Option<Url>, bool), String> {
    let fetched = get(kit, place, may_be_local).await?;
    if fetched.status != 200 {
        return Err(format!("it answers {}", fetched.status));
    }
    let (moved_to, is_local) = (fetched.permanent_redirect.clone(), is_local(&fetched));
    Ok((parse(fetched).await?, moved_to, is_local))
}

/// Asks for what a feed names, which may lie in a private network if the feed does.
async fn get(kit: &Kit, at: &Url, may_be_local: bool) -> Result<Fetched, String> {
    let http = kit.http(reach_of_links(may_be_local));
    let answer = http.get_limited(at.as_str(), &[("accept", ACCEPT)], MAX_FEED_BYTES as u64, TIMEOUT).await;
    answer.map_err(sentence)
}

async fn parse(fetched: Fetched) -> Result<Channel, String> {
    let parsed = tokio::task::spawn_blocking(move || {
        let content_type = fetched.header("content-type");
        let channel = read::parse(&fetched.body, &fetched.final_url, content_type).map_err(sentence)?;
        let links = fetched.headers.get_all("link").iter().filter_map(|value| value.to_str().ok());
        Ok(channel.with_links(links, &fetched.final_url))
    });
    parsed.await.unwrap_or_else(|error| Err(error.to_string()))
}

/// Adds the items of further pages to the first one, as far as they are wanted. A page that its host says is not there
/// ends the feed.
async fn with_further(kit: &Kit, mut pages: Pages, is_local: bool) -> Result<Channel, String> {
    while let Some(at) = pages.next_page() {
        let fault = |reason: String| format!("its page {at} cannot be read: {reason}");
        match get(kit, &at, is_local).await.map_err(fault)? {
            fetched if matches!(fetched.status, 404 | 410) => break,
            fetched if fetched.status != 200 => return Err(fault(format!("it answers {}", fetched.status))),
            fetched => pages.add(parse(fetched).await.map_err(fault)?),
        }
    }
    Ok(pages.channel())
}
