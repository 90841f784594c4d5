//! Answers what commands ask.

use podswarm_core::app::{Explain, Failure, local_time};
use podswarm_feeds::chapters;
use tokio::sync::oneshot;

use super::find;
use super::task::{Task, Then, Waiter};
use crate::address::feed_url;
use crate::agent::event::Event;
use crate::agent::{Input, Play, Played, Target};
use crate::ask::{Added, Ask, Reply, Updated};
use crate::keep;
use crate::records::{Episode, EpisodeId, FeedId, Source};
use crate::rules::{RuleName, Rules};
use podswarm_feeds::schedule::Timing;
use url::Url;

type Answer = oneshot::Sender<Result<Reply, Failure>>;

impl Task {
    /// Answers `ask`, at once or when the polls that it takes have ended.
    pub(super) async fn answer(&mut self, ask: Ask, reply: Answer) -> Result<(), Failure> {
        let answered = match ask {
            Ask::Add { url, title, backlog, schedule, unreachable, rules } => match feed_url(&url) {
                Ok(url) => {
                    let is_known = self.agent.catalogue().feed_at(&url).is_some();
                    self.input(Input::Subscribe { url: url.clone(), title, schedule, backlog, rules });
                    let feeds = self.agent.catalogue().feed_at(&url).map(|feed| feed.id).into_iter().collect();
                    self.wait(feeds, Then::Added { is_known, unreachable }, reply);
                    return Ok(());
                }
                Err(failure) => Err(failure),
            },
            Ask::Update { feeds } => match self.polled_feeds(&feeds) {
                Ok(feeds) => {
                    for id in &feeds {
                        self.input(Input::Poll(*id));
                    }
                    self.wait(feeds, Then::Updated, reply);
                    return Ok(());
                }
                Err(failure) => Err(failure),
            },
            Ask::Remove { feeds, delete_files } => match self.remove(&feeds, delete_files) {
                Ok(deleting) => {
                    self.act().await?;
                    // It waits for what lets go of the files.
                    tokio::spawn(async move {
                        let _ = reply.send(deleting.await);
                    });
                    return Ok(());
                }
                Err(failure) => Err(failure),
            },
            Ask::Look { episode } => match self.look(&episode) {
                Ok(looking) => {
                    tokio::spawn(async move {
                        let _ = reply.send(Ok(looking.await));
                    });
                    return Ok(());
                }
                Err(failure) => Err(failure),
            },
            Ask::Limit { limits } => match self.kit.engine().cloned() {
                Some(engine) => {
                    tokio::spawn(async move {
                        engine.limit(limits).await;
                        let _ = reply.send(Ok(Reply::Limits(engine.limits())));
                    });
                    return Ok(());
                }
                None => Err(Failure::new("this agent exchanges nothing with peers, so that there is nothing to limit")),
            },
            Ask::Chapters { episode } => match find::episode(self.agent.catalogue(), &episode) {
                Ok(id) => {
                    let reading = self.reading_chapters(id);
                    tokio::task::spawn_blocking(move || {
                        let read = reading().and_then(|text| chapters::read_json(&text).ok());
                        let _ = reply.send(Ok(Reply::Chapters(read.unwrap_or_default())));
                    });
                    return Ok(());
                }
                Err(failure) => Err(failure),
            },
            Ask::Consent { takes_part } => self.consent(takes_part).await,
            Ask::Covers => self.covers(),
            Ask::Download { episodes } => self.download(&episodes, Input::Take),
            Ask::First { episode } => self.download(&[episode], Input::Play),
            Ask::Moving { most } => Ok(Reply::Episodes(self.moving(most))),
            Ask::Recent { most } => Ok(Reply::Episodes(self.recent(most))),
            Ask::Edit { feeds, rules, forget, schedule, url } => {
                self.edit(&feeds, url.as_deref(), &rules, &forget, schedule.as_ref())
            }
            Ask::Episodes { feed } => self.episodes(feed.as_deref()),
            Ask::Feeds => Ok(Reply::Feeds(self.feeds())),
            Ask::Heard { episode, position, started, total } => self.was_heard(&episode, position, started, total),
            Ask::Info { what } => self.info(&what),
            Ask::Phone { wish } => self.phone(wish).await,
            Ask::Play { episode } => self.play(&episode),
            Ask::Pause { what } => self.turn(&what, Input::Pause),
            Ask::Resume { what } => self.turn(&what, Input::Resume),
            Ask::Web => self.page(),
            Ask::Status => Ok(Reply::Status(Box::new(self.status()))),
        };
        // What was changed for the answer is durable before it is given.
        let acted = self.act().await;
        let answered = match &acted {
            Err(failure) => Err(Failure::new(failure.to_string())),
            Ok(()) if self.is_blocked() => Err(Failure::new("the disk is full, so that nothing can be remembered")
                .with_hint("free some space; nothing has to be restarted")),
            Ok(()) => answered,
        };
        // Who has gone needs no answer.
        let _ = reply.send(answered);
        acted
    }

    fn wait(&mut self, feeds: Vec<FeedId>, then: Then, reply: Answer) {
        let waiter = Waiter { feeds, ended: Vec::new(), then, reply };
        if waiter.feeds.is_empty() {
            self.end_wait(waiter);
        } else {
            self.waiters.push(waiter);
        }
    }

    /// A poll has ended, as `event` says.
    pub(super) fn polled(&mut self, feed: FeedId, event: &Event) {
        let mut ended = Vec::new();
        for mut waiter in std::mem::take(&mut self.waiters) {
            if waiter.feeds.contains(&feed) {
                waiter.feeds.retain(|waits_for| *waits_for != feed);
                waiter.ended.push(event.clone());
            }
            if waiter.feeds.is_empty() { ended.push(waiter) } else { self.waiters.push(waiter) }
        }
        for waiter in ended {
            self.end_wait(waiter);
        }
    }

    fn end_wait(&mut self, waiter: Waiter) {
        let answer = match (waiter.then, waiter.ended.first()) {
            (Then::Updated, _) => {
                Ok(Reply::Updated(waiter.ended.iter().filter_map(|event| self.updated(event)).collect()))
            }
            (Then::Added { is_known, unreachable }, Some(event)) => self.added(event, is_known, unreachable),
            (Then::Added { .. }, None) => Err(Failure::new("the feed was removed before it was read")),
        };
        // Who has gone needs no answer.
        let _ = waiter.reply.send(answer);
    }

    fn added(&mut self, event: &Event, is_known: bool, unreachable: bool) -> Result<Reply, Failure> {
        let (id, problem) = match event {
            Event::PollFailed { feed_id, reason, .. } => (*feed_id, Some(reason.clone())),
            Event::Polled { feed_id, .. } => (*feed_id, None),
            _ => return Err(Failure::new("the feed could not be polled")),
        };
        let feed = self.agent.catalogue().feed(id);
        let feed = feed.ok_or_else(|| Failure::new("the feed was removed before it was read"))?;
        // A document that is no feed stays none; a host that is down may come back.
        let may_come_back = feed.poll.counts.bytes == 0;
        let is_bearable = is_known || unreachable && may_come_back;
        if let Some(problem) = problem.as_ref().filter(|_| !is_bearable) {
            let hint = if may_come_back {
                "check the address; `podsub add --anyway` follows it all the same, and it is asked again later"
            } else {
                "check the address; the page of a show links to its feed, often as RSS"
            };
            let failure = Failure::new(format!("`{}` cannot be followed: {problem}", feed.url())).with_hint(hint);
            self.input(Input::Remove(id));
            return Err(failure);
        }
        let episodes = || self.agent.catalogue().episodes_of(id);
        let has_torrent =
            |episode: &&Episode| episode.offer.sources.iter().any(|source| matches!(source, Source::Torrent(_)));
        Ok(Reply::Added(Box::new(Added {
            feed: self.feed_view(feed),
            is_known,
            wanted: episodes().filter(|episode| episode.is_wanted()).map(|episode| episode.title.clone()).collect(),
            torrents: episodes().filter(has_torrent).count(),
            unfetchable: episodes().filter(|episode| self.agent.unfetchable(episode).is_some()).count(),
            problem,
        })))
    }

    fn updated(&self, event: &Event) -> Option<Updated> {
        let title = |id: FeedId| self.agent.catalogue().feed(id).map(|feed| feed.name().to_owned());
        match event {
            Event::Polled { feed_id, status, new, wanted, .. } => Some(Updated {
                id: *feed_id,
                title: title(*feed_id)?,
                status: Some(*status),
                new: *new,
                wanted: *wanted,
                error: None,
            }),
            Event::PollFailed { feed_id, reason, .. } => Some(Updated {
                id: *feed_id,
                title: title(*feed_id)?,
                status: None,
                new: 0,
                wanted: 0,
                error: Some(reason.clone()),
            }),
            _ => None,
        }
    }

    /// The feeds that `names` mean; all that are not paused if there are no names.
    fn polled_feeds(&self, names: &[String]) -> Result<Vec<FeedId>, Failure> {
        let catalogue = self.agent.catalogue();
        if names.is_empty() {
            return Ok(catalogue.feeds().filter(|feed| !feed.paused).map(|feed| feed.id).collect());
        }
        names.iter().map(|name| find::feed(catalogue, name)).collect()
    }

    fn download(&mut self, names: &[String], input: impl Fn(EpisodeId) -> Input) -> Result<Reply, Failure> {
        let ids: Result<Vec<_>, _> = names.iter().map(|name| find::episode(self.agent.catalogue(), name)).collect();
        let ids = ids?;
        for id in &ids {
            self.check_fetchable(*id)?;
        }
        for id in &ids {
            self.input(input(*id));
        }
        Ok(Reply::Episodes(ids.into_iter().filter_map(|id| self.view(id)).collect()))
    }

    fn was_heard(&mut self, name: &str, position: u64, started: u64, total: Option<u64>) -> Result<Reply, Failure> {
        let id = find::episode(self.agent.catalogue(), name)?;
        let play = Play {
            what: Played::Here(id),
            position: Some(position),
            started: Some(started),
            total,
            at: None,
            is_new: false,
            device: None,
        };
        self.input(Input::Heard(vec![play]));
        Ok(Reply::Episodes(self.view(id).into_iter().collect()))
    }

    /// Refuses an episode that cannot be fetched, or that is there under another number.
    pub(super) fn check_fetchable(&self, id: EpisodeId) -> Result<(), Failure> {
        let Some(episode) = self.agent.catalogue().episode(id) else { return Ok(()) };
        if episode.is_there() {
            return Ok(());
        }
        if let Some(at) = episode.withdrawn {
            let day = local_time(at).format("%Y-%m-%d");
            return Err(Failure::new(format!("{id} `{}` was taken back by its publisher on {day}", episode.title)));
        }
        if let Some(why) = self.agent.unfetchable(episode) {
            return Err(Failure::new(format!("{id} `{}` cannot be fetched: {why}", episode.title)));
        }
        let other = episode.offer.info_hash.and_then(|hash| self.agent.catalogue().taken_as(hash, id));
        if let Some(other) = other {
            return Err(Failure::new(format!("{id} `{}` is the same as {}", episode.title, other.id))
                .with_hint(format!("`podsub download {}` fetches it", other.id)));
        }
        if self.agent.catalogue().feed(id.feed).is_some_and(|feed| feed.paused) {
            return Err(Failure::new(format!("the feed of {id} is paused"))
                .with_hint(format!("`podsub resume {}` lets it go on", id.feed)));
        }
        Ok(())
    }

    /// Refuses an address that the one feed of these cannot be at.
    fn check_address(&self, ids: &[FeedId], url: &str) -> Result<Url, Failure> {
        let url = feed_url(url)?;
        let [id] = ids else {
            let failure = Failure::usage(format!("`{url}` is the address of one feed, and {} were named", ids.len()));
            return Err(failure.with_hint("name the one that is there now"));
        };
        match self.agent.catalogue().feed_at(&url).filter(|other| other.id != *id) {
            None => Ok(url),
            Some(other) => {
                let failure = Failure::new(format!("`{url}` is followed already, as {} {}", other.id, other.name()));
                Err(failure.with_hint(format!("`podsub remove {}` ends that; its files stay", other.id)))
            }
        }
    }

    fn edit(
        &mut self,
        names: &[String],
        url: Option<&str>,
        rules: &Rules,
        forget: &[RuleName],
        schedule: Option<&Timing>,
    ) -> Result<Reply, Failure> {
        let ids: Result<Vec<_>, _> = names.iter().map(|name| find::feed(self.agent.catalogue(), name)).collect();
        let ids = ids?;
        let url = url.map(|url| self.check_address(&ids, url)).transpose()?;
        for (feed, url) in ids.iter().zip(url) {
            self.input(Input::Readdress { feed: *feed, url });
        }
        for feed in &ids {
            let (rules, forget, schedule) = (rules.clone(), forget.to_vec(), schedule.cloned());
            self.input(Input::Edit { feed: *feed, rules, forget, schedule });
        }
        let feeds = ids.into_iter().filter_map(|id| self.agent.catalogue().feed(id));
        Ok(Reply::Feeds(feeds.map(|feed| self.feed_view(feed)).collect()))
    }

    fn episodes(&self, feed: Option<&str>) -> Result<Reply, Failure> {
        let catalogue = self.agent.catalogue();
        let views = match feed {
            Some(name) => {
                let feed = find::feed(catalogue, name)?;
                catalogue.episodes_of(feed).filter_map(|episode| self.view(episode.id)).collect()
            }
            None => catalogue.episodes().filter_map(|episode| self.view(episode.id)).collect(),
        };
        Ok(Reply::Episodes(views))
    }

    fn info(&self, what: &str) -> Result<Reply, Failure> {
        match find::target(self.agent.catalogue(), what)? {
            Target::All => Err(Failure::usage("`all` is no feed and no episode")),
            Target::Feed(id) => {
                let feed = self.agent.catalogue().feed(id).expect("it was found");
                Ok(Reply::Feed(Box::new(self.feed_view(feed))))
            }
            Target::Episode(id) => {
                let mut view = self.view(id).expect("it was found");
                let notes = keep::notes(&self.store, id).explain(|| "read the notes".to_owned())?;
                view.notes = notes.map(|notes| notes.text).filter(|text| !text.is_empty());
                Ok(Reply::Episode(Box::new(view)))
            }
        }
    }

    fn turn(&mut self, names: &[String], input: impl Fn(Target) -> Input) -> Result<Reply, Failure> {
        let targets: Result<Vec<_>, _> = names.iter().map(|name| find::target(self.agent.catalogue(), name)).collect();
        let mut turned = Vec::new();
        for target in targets? {
            self.input(input(target));
            let catalogue = self.agent.catalogue();
            turned.push(match target {
                Target::All => format!("all {} feeds", catalogue.feeds().count()),
                Target::Feed(id) => catalogue.feed(id).map_or_else(String::new, |feed| feed.name().to_owned()),
                Target::Episode(id) => catalogue.episode(id).map_or_else(String::new, |episode| episode.title.clone()),
            });
        }
        Ok(Reply::Done(turned))
    }
}
