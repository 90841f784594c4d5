//! Keeps apps in step: what is followed, and how far each episode was heard, told and taken in.
//!
//! All devices share one list of feeds, which is ours. An app that hands in its whole list takes out of ours only what
//! it had in it or was told of before: a new device with an empty list takes nothing away.
//!
//! Law: an address that an app names is one that nobody typed here: it is never asked for in a private network.
//!
//! Source: gpodder.net API 2.

use std::collections::{BTreeMap, BTreeSet};

use chrono::Utc;
use podswarm_core::app::{Explain, Failure};
use podswarm_core::net::http::Reach;
use tokio::sync::oneshot;
use url::{Host, Url};

use super::task::Task;
use crate::address::feed_url;
use crate::agent::catalogue::{Catalogue, feed_mark};
use crate::agent::{Input, Play};
use crate::keep;
use crate::records::{Device, FeedId, Heard, Source};
use crate::web::Kept;

/// So many feeds an app may bring ours to.
const MOST_FEEDS: usize = 1000;
/// Longer addresses no feed has.
const LONGEST_ADDRESS: usize = 2048;
/// Of so many feeds it is remembered that a device knows them, which fits one record.
const MOST_KNOWN: usize = 2500;
/// So many devices are remembered.
const MOST_DEVICES: usize = 32;

/// What an app wants.
#[derive(Debug)]
pub(crate) enum SyncAsk {
    /// To have feeds followed, and others no longer.
    Change { device: String, change: ListChange },
    /// To know the devices.
    Devices,
    /// To be told what has changed in the list of feeds after a stamp; of all, from 0 on.
    Feeds {
        /// Which device asks, if it says so.
        device: Option<String>,
        since: u64,
        /// It is on this machine, so that it reaches what is at loopback addresses.
        is_here: bool,
    },
    /// To tell what was played.
    Heard(Vec<Play>),
    /// To be told what was played after a stamp.
    Plays { since: u64, podcast: Option<String> },
    /// To be called something by its owner.
    Rename { device: String, caption: Option<String>, kind: Option<String> },
}

/// What is to become of the list of feeds.
#[derive(Debug)]
pub(crate) enum ListChange {
    /// These come and those go.
    Edit { add: Vec<String>, remove: Vec<String> },
    /// This is the device's whole list.
    Whole(Vec<String>),
}

/// The answer to a [`SyncAsk`]. Each has the stamp to ask for later changes with.
#[derive(Debug)]
pub(crate) enum SyncReply {
    /// The list has changed; addresses that stand in it otherwise, and empty ones for what is not followed.
    Changed { stamp: u64, rewritten: Vec<(String, String)> },
    /// The devices.
    Devices { devices: Vec<Device>, feeds: usize },
    /// Done.
    Done { stamp: u64 },
    /// What has changed in the list.
    Feeds { stamp: u64, add: Vec<Followed>, remove: Vec<String> },
    /// What was played.
    Plays { stamp: u64, plays: Vec<Told> },
}

/// A feed that is followed.
#[derive(Debug)]
pub(crate) struct Followed {
    pub(crate) url: String,
    pub(crate) title: String,
}

/// Something that was played, as apps are told.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) podcast: String,
    pub(crate) episode: String,
    pub(crate) guid: Option<String>,
    pub(crate) heard: Heard,
    /// Its playing time, if its player did not tell.
    pub(crate) duration: Option<u64>,
    /// What it is in the feed of what is kept.
    pub(crate) kept: Option<Kept>,
}

impl Task {
    /// Answers an app.
    pub(super) async fn sync(
        &mut self,
        ask: SyncAsk,
        reply: oneshot::Sender<Result<SyncReply, Failure>>,
    ) -> Result<(), Failure> {
        let answered = self.synced(ask).await;
        let acted = self.act().await;
        let answered = match &acted {
            Err(failure) => Err(Failure::new(failure.to_string())),
            Ok(()) if self.is_blocked() => Err(Failure::new("the disk is full, so that nothing can be remembered")),
            Ok(()) => answered,
        };
        // Who has gone needs no answer.
        let _ = reply.send(answered);
        acted
    }

    async fn synced(&mut self, ask: SyncAsk) -> Result<SyncReply, Failure> {
        let catalogue = self.agent.catalogue();
        match ask {
            SyncAsk::Change { device, change } => self.change_list(device, change).await,
            SyncAsk::Devices => {
                Ok(SyncReply::Devices { devices: self.devices().await?, feeds: catalogue.feeds().count() })
            }
            SyncAsk::Feeds { device, since, is_here } => {
                let (stamp, (add, remove)) = (stamp(catalogue), changes_since(catalogue, since, is_here));
                if let Some(device) = device {
                    let told: Vec<u64> = add.iter().map(|feed| feed_mark(&feed.url)).collect();
                    self.see(device, |device| device.knows.extend(told)).await?;
                }
                Ok(SyncReply::Feeds { stamp, add, remove })
            }
            SyncAsk::Heard(plays) => {
                self.input(Input::Heard(plays));
                Ok(SyncReply::Done { stamp: stamp(self.agent.catalogue()) })
            }
            SyncAsk::Plays { since, podcast } => {
                Ok(SyncReply::Plays { stamp: stamp(catalogue), plays: self.plays_since(since, podcast.as_deref()) })
            }
            SyncAsk::Rename { device, caption, kind } => {
                let rename = |device: &mut Device| {
                    device.caption = caption.unwrap_or_else(|| std::mem::take(&mut device.caption));
                    device.kind = kind.unwrap_or_else(|| std::mem::take(&mut device.kind));
                };
                self.see(device, rename).await?;
                Ok(SyncReply::Done { stamp: stamp(self.agent.catalogue()) })
            }
        }
    }

    async fn change_list(&mut self, device: String, change: ListChange) -> Result<SyncReply, Failure> {
        let (wanted, unwanted): (&Vec<String>, BTreeSet<u64>) = match &change {
            ListChange::Edit { add, remove } => (add, remove.iter().map(|url| feed_mark(url)).collect()),
            ListChange::Whole(list) => {
                let listed: BTreeSet<u64> = list.iter().map(|url| feed_mark(url)).collect();
                let devices = self.devices().await?;
                let knows = devices.into_iter().find(|known| known.id == device).map(|known| known.knows);
                (list, knows.unwrap_or_default().difference(&listed).copied().collect())
            }
        };
        let followed: BTreeMap<u64, (FeedId, String)> = self
            .agent
            .catalogue()
            .feeds()
            .map(|feed| (feed_mark(feed.url().as_str()), (feed.id, feed.url().to_string())))
            .collect();
        let (mut new, mut rewritten, mut listed) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
        for given in wanted {
            let stands = match feed_url(given).ok().filter(|_| given.len() <= LONGEST_ADDRESS) {
                Some(url) => {
                    let mark = feed_mark(url.as_str());
                    let has_room = followed.len() + new.len() < MOST_FEEDS || new.contains_key(&mark);
                    match followed.get(&mark) {
                        Some((_, known)) => Some((mark, known.clone())),
                        None if has_room && may_be_public(&url) => {
                            let url = new.entry(mark).or_insert(url);
                            Some((mark, url.to_string()))
                        }
                        None => None,
                    }
                }
                None => None,
            };
            listed.extend(stands.as_ref().map(|(mark, _)| *mark));
            let stands = stands.map(|(_, url)| url).unwrap_or_default();
            if stands != *given {
                rewritten.push((given.clone(), stands));
            }
        }
        let going = unwanted.iter().filter_map(|mark| followed.get(mark)).map(|(id, _)| id.to_string());
        let going: Vec<String> = going.collect();
        if !going.is_empty() {
            let deleting = self.remove(&going, false)?;
            // What is unfinished goes when its downloads have let go of it.
            tokio::spawn(async move {
                if let Err(failure) = deleting.await {
                    tracing::warn!(%failure, "an app has removed a feed");
                }
            });
        }
        if !new.is_empty() {
            self.input(Input::Follow(new.into_values().collect()));
        }
        let is_whole = matches!(change, ListChange::Whole(_));
        self.see(device, |device| {
            device.knows.retain(|mark| !is_whole && !unwanted.contains(mark));
            device.knows.extend(listed);
        })
        .await?;
        Ok(SyncReply::Changed { stamp: stamp(self.agent.catalogue()), rewritten })
    }

    fn plays_since(&self, since: u64, podcast: Option<&str>) -> Vec<Told> {
        let catalogue = self.agent.catalogue();
        let only = podcast.map(feed_mark);
        let is_asked = |url: &str| only.is_none_or(|only| only == feed_mark(url));
        let mut plays = Vec::new();
        for feed in catalogue.feeds().filter(|feed| is_asked(feed.url().as_str())) {
            for episode in catalogue.episodes_of(feed.id) {
                let Some(heard) = episode.heard.as_deref().cloned().filter(|heard| heard.stamp > since) else {
                    continue;
                };
                let sources = &episode.offer.sources;
                let file = sources.iter().find(|source| matches!(source, Source::Http(_))).or_else(|| sources.first());
                let Some(address) = file.map(Source::address) else { continue };
                let kept = episode.is_there().then(|| self.kept_episode(episode)).flatten();
                plays.push(Told {
                    podcast: feed.url().to_string(),
                    episode: address.to_owned(),
                    guid: Some(episode.guid.clone()),
                    duration: episode.duration,
                    heard,
                    kept: kept.map(|(kept, _)| kept),
                });
            }
        }
        let loose = catalogue.loose().filter(|loose| loose.heard.stamp > since && is_asked(&loose.podcast));
        plays.extend(loose.map(|loose| Told {
            podcast: loose.podcast.clone(),
            episode: loose.episode.clone(),
            guid: loose.guid.clone(),
            heard: loose.heard.clone(),
            duration: None,
            kept: None,
        }));
        plays.sort_by_key(|told| told.heard.stamp);
        plays
    }

    async fn devices(&self) -> Result<Vec<Device>, Failure> {
        let store = self.store.clone();
        let loaded = tokio::task::spawn_blocking(move || keep::devices(&store)).await?;
        loaded.explain(|| "read the devices that are kept in step".to_owned())
    }

    /// A device has asked; `change` is what is known of it from now on.
    async fn see(&self, id: String, change: impl FnOnce(&mut Device)) -> Result<(), Failure> {
        let seen = Utc::now().date_naive();
        let known = self.devices().await?.into_iter().find(|device| device.id == id);
        let new = || Device { id, caption: String::new(), kind: "other".to_owned(), seen, knows: BTreeSet::new() };
        let mut device = known.unwrap_or_else(new);
        device.seen = seen;
        change(&mut device);
        // What is followed no longer cannot be missing.
        let marks: BTreeSet<u64> = self.agent.catalogue().feeds().map(|feed| feed_mark(feed.url().as_str())).collect();
        device.knows.retain(|mark| marks.contains(mark));
        while device.knows.len() > MOST_KNOWN {
            device.knows.pop_last();
        }
        let store = self.store.clone();
        let done = tokio::task::spawn_blocking(move || keep::put_device(&store, &device, MOST_DEVICES)).await?;
        done.explain(|| "remember a device".to_owned())
    }
}

/// The stamp that later changes are asked for with. It is never 0, which asks for everything.
fn stamp(catalogue: &Catalogue) -> u64 {
    catalogue.stamp().max(1)
}

/// What came to the list after `since`, and what went.
fn changes_since(catalogue: &Catalogue, since: u64, is_here: bool) -> (Vec<Followed>, Vec<String>) {
    let is_reached = |url: &Url| is_here || !is_loopback(url);
    let feeds = catalogue.feeds().filter(|feed| (since == 0 || feed.stamp > since) && is_reached(feed.url()));
    let add = feeds.map(|feed| Followed { url: feed.url().to_string(), title: feed.name().to_owned() }).collect();
    let left = catalogue.left().filter(|left| since > 0 && left.stamp > since);
    (add, left.map(|left| left.url.clone()).collect())
}

/// Whether an address may be public, as far as it tells; one that proves not to be is refused when it is asked for.
fn may_be_public(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => Reach::Public.permits(ip.into()),
        Some(Host::Ipv6(ip)) => Reach::Public.permits(ip.into()),
        Some(Host::Domain(name)) => Reach::of_name(name) == Reach::Public,
        None => false,
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}
