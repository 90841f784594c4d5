//! The stream that tells agents of releases the moment they happen.
//!
//! Server-sent events: each has the show's event number as its id, so an agent that was away says the last one it saw
//! (`Last-Event-ID`) and is told what it missed. An agent that just came is told the number that holds now, so that
//! even its first break loses nothing. A comment every twenty seconds keeps the way open through proxies.
//!
//! An agent outside that offers it is asked on its stream, now and then, to connect back (see [`crate::reach`]).
//!
//! An agent that reads too slowly is dropped, and catches up when it comes back. Streams are bounded in all and per
//! address; nothing here is the only way to hear of an episode, the feed is.
//!
//! Source: the HTML standard's server-sent events.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use chrono::{DateTime, Utc};
use futures_util::Stream;
use podswarm_core::app::{Place, Quota};
use podswarm_core::metainfo::InfoHash;
use podswarm_core::tracker::public_network_of;
use podswarm_core::witness::{self, Nonce, Question};
use podswarm_feeds::Withdrawal;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::private::Reader;
use crate::library::Library;
use crate::reach::Seat;
use crate::record::{EventKind, EventRecord};
use crate::render::feed::media_url;
use crate::site::Site;
use crate::slug::Slug;
use crate::urls::Urls;

/// Time between two comments on a stream on which nothing happens.
const HEARTBEAT: Duration = Duration::from_secs(20);
/// How soon an agent that lost its stream comes back.
const RETRY: Duration = Duration::from_secs(2);
/// Events that an agent may be behind before it is dropped.
const BACKLOG: usize = 64;
/// Streams in all: what a busy show's agents keep open. Each takes some 13 KiB.
const MOST: usize = 12_000;
/// Streams from one public address, or from one /64 of IPv6.
const MOST_PER_NETWORK: usize = 64;

/// What an event says, beside its kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EventData {
    guid: String,
    info_hash: InfoHash,
    title: String,
    torrent: Url,
    media: Url,
    /// Bytes of all that the torrent holds.
    length: u64,
    published: DateTime<Utc>,
    /// The show's signed word that the episode is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    withdrawal: Option<Withdrawal>,
}

/// Carries events from whoever makes them to all streams.
#[derive(Clone, Debug)]
pub(crate) struct Bus {
    sender: broadcast::Sender<EventRecord>,
    places: Quota,
}

impl Default for Bus {
    fn default() -> Self {
        Self { sender: broadcast::channel(BACKLOG).0, places: Quota::new(MOST, MOST_PER_NETWORK) }
    }
}

impl Bus {
    /// Tells all streams of the show. The site that holds the episode is swapped in already.
    pub(crate) fn tell(&self, event: EventRecord) {
        // With nobody listening there is nobody to tell.
        let _ = self.sender.send(event);
    }

    /// Takes a place among the streams; `None` if there are too many.
    pub(crate) fn admit(&self, asker: IpAddr) -> Option<Place> {
        self.places.admit(public_network_of(asker))
    }
}

/// Everything that a stream reads from.
pub(super) struct Source {
    /// The site as it changes.
    pub(super) site: watch::Receiver<Arc<Site>>,
    /// Says whether he who follows is let in still.
    pub(super) library: Library,
    /// Who follows.
    pub(super) reader: Reader,
    /// The addresses that events name.
    pub(super) urls: Arc<Urls>,
    /// His place among those who can be asked to connect back, if he can.
    pub(super) seat: Option<Seat>,
    /// Ends the stream when the daemon stops.
    pub(super) stop: CancellationToken,
}

/// The stream of `show`'s events after the one numbered `last`, or from now on if there is none.
pub(super) fn follow(
    bus: &Bus,
    source: Source,
    show: Slug,
    last: Option<u64>,
    place: Place,
) -> Sse<impl Stream<Item = Result<Event, Infallible>> + use<>> {
    // Listen first and look at the log then: an event between the two comes twice and is told once.
    let receiver = bus.sender.subscribe();
    let log: Vec<EventRecord> = source.site.borrow().held(&show).map(|site| site.events.clone()).unwrap_or_default();
    let newest = log.last().map_or(0, |event| event.seq);
    // A number that was never given comes from another life of this show.
    let last = last.filter(|&last| last <= newest).unwrap_or(newest);
    let missed = log.into_iter().filter(|event| event.seq > last).collect();
    let follower = Follower { receiver, source, show, last, missed, greeted: false, _place: place };
    let stream = futures_util::stream::unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        Some((Ok(event), follower))
    });
    Sse::new(stream).keep_alive(KeepAlive::new().interval(HEARTBEAT))
}

struct Follower {
    receiver: broadcast::Receiver<EventRecord>,
    source: Source,
    show: Slug,
    /// Number of the last event that was told.
    last: u64,
    missed: VecDeque<EventRecord>,
    greeted: bool,
    _place: Place,
}

impl Follower {
    /// Waits for the next event; `None` when the stream is to end.
    async fn next(&mut self) -> Option<Event> {
        if !self.greeted {
            self.greeted = true;
            return Some(Event::default().id(self.last.to_string()).retry(RETRY).comment("hello"));
        }
        loop {
            let event = if let Some(missed) = self.missed.pop_front() {
                missed
            } else {
                tokio::select! {
                    () = self.source.stop.cancelled() => return None,
                    nonce = asked(self.source.seat.as_ref()) => {
                        return if self.is_let_in().await { Some(question(nonce)) } else { None };
                    }
                    event = self.receiver.recv() => match event {
                        Ok(event) => event,
                        Err(RecvError::Lagged(_) | RecvError::Closed) => return None,
                    },
                }
            };
            if event.show != self.show || event.seq <= self.last {
                continue;
            }
            if !self.is_let_in().await {
                return None;
            }
            self.last = event.seq;
            if let Some(told) = self.tell(&event) {
                return Some(told);
            }
        }
    }

    /// Whether he who follows is let in still.
    async fn is_let_in(&self) -> bool {
        self.source.reader.is_let_in(&self.source.library).await
    }

    /// The event as it is sent; `None` if its episode is not in the site any more.
    fn tell(&self, event: &EventRecord) -> Option<Event> {
        let site = self.source.reader.site(&self.source.site);
        let (show, file) = (event.show.as_str(), &event.file);
        let episode = match event.kind {
            EventKind::Withdrawn => site.ended(show, file)?.0,
            EventKind::Episode | EventKind::Revised => &site.episode_by_file(show, file)?.record,
        };
        let urls = &self.source.urls;
        let data = EventData {
            guid: episode.guid.clone(),
            info_hash: episode.info_hash,
            title: episode.title.clone(),
            torrent: urls.torrent(&episode.show, &episode.file),
            media: media_url(episode, urls),
            length: episode.length,
            published: episode.published,
            withdrawal: episode.withdrawal().cloned(),
        };
        let json = serde_json::to_string(&data).expect("event data has a JSON form");
        Some(Event::default().id(event.seq.to_string()).event(event.kind.as_str()).data(json))
    }
}

/// Waits until somebody in this place is to be asked to connect back.
async fn asked(seat: Option<&Seat>) -> Nonce {
    match seat {
        Some(seat) => seat.asked().await,
        None => std::future::pending().await,
    }
}

/// The event that asks. It has no number: who misses it is not asked again.
fn question(nonce: Nonce) -> Event {
    let json = serde_json::to_string(&Question { nonce }).expect("a question has a JSON form");
    Event::default().event(witness::EVENT).data(json)
}
