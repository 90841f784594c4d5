//! The stream that tells agents of releases the moment they happen.
//!
//! Server-sent events: each has the show's event number as its id, so an agent that was away says the last one it saw
//! (`Last-Event-ID`) and is told what it missed. An agent that just came is told the number that holds now, so that
//! even its first break loses nothing. A comment every twenty seconds keeps the way open through proxies.
//!
//! An agent that reads too slowly is dropped, and catches up when it comes back. Streams are bounded in all and per
//! address; nothing here is the only way to hear of an episode, the feed is.
//!
//! Source: the HTML standard's server-sent events.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use chrono::{DateTime, Utc};
use futures_util::Stream;
use podswarm_core::metainfo::InfoHash;
use podswarm_core::tracker::Scope;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use url::Url;
use uuid::Uuid;

use crate::record::EventRecord;
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
/// Streams in all.
const MOST: usize = 2048;
/// Streams from one public address, or from one /64 of IPv6.
const MOST_PER_NETWORK: usize = 64;

/// What an event says, beside its kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EventData {
    guid: Uuid,
    info_hash: InfoHash,
    title: String,
    torrent: Url,
    media: Url,
    /// Bytes of all that the torrent holds.
    length: u64,
    published: DateTime<Utc>,
}

/// Carries events from whoever makes them to all streams.
#[derive(Clone, Debug)]
pub(crate) struct Bus {
    sender: broadcast::Sender<EventRecord>,
    streams: Arc<Mutex<Streams>>,
}

impl Default for Bus {
    fn default() -> Self {
        Self { sender: broadcast::channel(BACKLOG).0, streams: Arc::default() }
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
        let network = network_of(asker);
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let here = streams.per_network.get(&network).copied().unwrap_or(0);
        // Behind a reverse proxy, or at home, one address is many agents.
        let is_near = Scope::of(asker) != Scope::Public;
        if streams.all >= MOST || (here >= MOST_PER_NETWORK && !is_near) {
            return None;
        }
        streams.all += 1;
        streams.per_network.insert(network, here + 1);
        Some(Place { network, streams: Arc::clone(&self.streams) })
    }
}

#[derive(Debug, Default)]
struct Streams {
    all: usize,
    per_network: BTreeMap<IpAddr, usize>,
}

/// A place among the streams, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    network: IpAddr,
    streams: Arc<Mutex<Streams>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.all -= 1;
        if let Some(here) = streams.per_network.get_mut(&self.network) {
            *here -= 1;
            if *here == 0 {
                streams.per_network.remove(&self.network);
            }
        }
    }
}

/// The address itself, or the /64 that an IPv6 host has to itself.
fn network_of(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
    }
}

/// Everything that a stream reads from.
pub(crate) struct Source {
    /// The site as it changes.
    pub(crate) site: watch::Receiver<Arc<Site>>,
    /// The addresses that events name.
    pub(crate) urls: Arc<Urls>,
    /// Ends the stream when the daemon stops.
    pub(crate) stop: CancellationToken,
}

/// The stream of `show`'s events after the one numbered `last`, or from now on if there is none.
pub(crate) fn follow(
    bus: &Bus,
    source: Source,
    show: Slug,
    last: Option<u64>,
    place: Place,
) -> Sse<impl Stream<Item = Result<Event, Infallible>> + use<>> {
    // Listen first and look at the log then: an event between the two comes twice and is told once.
    let receiver = bus.sender.subscribe();
    let log: Vec<EventRecord> =
        source.site.borrow().shows.get(&show).map(|site| site.events.clone()).unwrap_or_default();
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
                    event = self.receiver.recv() => match event {
                        Ok(event) => event,
                        Err(RecvError::Lagged(_) | RecvError::Closed) => return None,
                    },
                }
            };
            if event.show != self.show || event.seq <= self.last {
                continue;
            }
            self.last = event.seq;
            if let Some(told) = self.tell(&event) {
                return Some(told);
            }
        }
    }

    /// The event as it is sent; `None` if its episode is not in the site any more.
    fn tell(&self, event: &EventRecord) -> Option<Event> {
        let site = self.source.site.borrow();
        let episode = &site.episode_by_file(event.show.as_str(), &event.file)?.record;
        let urls = &self.source.urls;
        let data = EventData {
            guid: episode.guid,
            info_hash: episode.info_hash,
            title: episode.title.clone(),
            torrent: urls.torrent(&episode.show, &episode.file),
            media: media_url(episode, urls),
            length: episode.length,
            published: episode.published,
        };
        let json = serde_json::to_string(&data).expect("event data has a JSON form");
        Some(Event::default().id(event.seq.to_string()).event(event.kind.as_str()).data(json))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_network_has_no_more_than_its_share() {
        let bus = Bus::default();
        let place = |text: &str| bus.admit(text.parse().unwrap());
        let places: Vec<Place> = (0..MOST_PER_NETWORK).filter_map(|_| place("203.0.113.1")).collect();
        assert_eq!(places.len(), MOST_PER_NETWORK);
        assert!(place("203.0.113.1").is_none());
        assert!(place("203.0.113.2").is_some());
        drop(places);
        assert!(place("203.0.113.1").is_some());
        assert_eq!(bus.streams.lock().unwrap().all, 0);
        assert!(bus.streams.lock().unwrap().per_network.is_empty());
    }

    #[test]
    fn ipv6_counts_by_64_bits() {
        let bus = Bus::default();
        let place = |i: usize| bus.admit(format!("2001:db8::{i:x}").parse().unwrap());
        let places: Vec<Place> = (0..MOST_PER_NETWORK).filter_map(place).collect();
        assert_eq!(places.len(), MOST_PER_NETWORK);
        assert!(place(0xffff).is_none());
        assert!(bus.admit("2001:db8:0:1::1".parse().unwrap()).is_some());
    }

    #[test]
    fn agents_at_home_are_bounded_only_in_all() {
        let bus = Bus::default();
        let places: Vec<Place> = (0..=MOST).filter_map(|_| bus.admit("127.0.0.1".parse().unwrap())).collect();
        assert_eq!(places.len(), MOST);
    }
}
