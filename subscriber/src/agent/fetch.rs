//! The agent and its downloads: what is wanted goes through the queue into the library, what is complete is seeded.

use podswarm_core::metainfo::InfoHash;
use podswarm_feeds::poll::Now;

use super::event::{About, Event};
use super::extras::Extra;
use super::plan::{Place, Plan, Prepared};
use super::queue::{Fault, Job, Order, Rank};
use super::rest::METERED;
use super::{Agent, Duty, Output, Prepare, Seed, Sources, Start, Whole};
use crate::names;
use crate::records::{Custody, Episode, EpisodeId, Shared, Source, Stage, Tagged, Why};

impl Agent {
    /// Lets an episode go on: fetched if it is wanted, seeded or written to if it is complete, not if it is paused.
    pub(super) fn go_on(&mut self, now: Now, id: EpisodeId) {
        self.order_tags(id);
        let may_go_on = |episode: &&Episode| !episode.paused && episode.withdrawn.is_none();
        let Some(episode) = self.catalogue.episode(id).filter(may_go_on) else { return };
        let Some(feed) = self.catalogue.feed(id.feed).filter(|feed| !feed.paused) else { return };
        match episode.stage {
            Stage::Wanted { by_owner } if self.settings.duty != Duty::Answer && !self.is_held(id) => {
                let sources = self.usable(episode);
                let is_played = self.queue.job(id).is_some_and(Job::is_played);
                let rank = Rank { is_played, by_owner, when: episode.when() };
                self.queue.add(id, rank, sources);
            }
            Stage::Complete { .. } if self.seeds(id.feed) && self.rests().is_none() => {
                let (file, is_local) = (episode.file.clone(), feed.is_local);
                let file = file.filter(|_| self.enough(id).is_none());
                if let (Some(info_hash), Some(file)) = (episode.seeded_as(), file) {
                    self.outputs.push_back(Output::Seed(Seed { id, info_hash, file, is_local }));
                    self.begin_seeding(now, id);
                }
            }
            Stage::Complete { .. } | Stage::Gone { .. } | Stage::Seen { .. } | Stage::Wanted { .. } => {}
        }
    }

    /// What of an episode's sources can and may be used.
    fn usable(&self, episode: &Episode) -> Vec<Source> {
        let may_be = self.catalogue.sources(episode.id.feed);
        let is_usable = |source: &&Source| match source {
            Source::Http(_) => true,
            Source::Magnet(_) | Source::Torrent(_) => may_be == Sources::All,
        };
        episode.offer.sources.iter().filter(is_usable).cloned().collect()
    }

    /// Why an episode cannot be fetched: it has no source, or none that may be used; `None` if it can.
    pub fn unfetchable(&self, episode: &Episode) -> Option<String> {
        let only_swarm = || "it comes by torrent only, and only plain downloads are allowed (--http-only)".to_owned();
        let why_none = || episode.offer.unfetchable().map_or_else(only_swarm, |why| why.to_string());
        self.usable(episode).is_empty().then(why_none)
    }

    /// Stops whatever runs for an episode.
    pub(super) fn halt(&mut self, now: Now, id: EpisodeId) {
        self.end_exchange(now, id);
        let is_seeded = self.catalogue.episode(id).is_some_and(|episode| episode.kept_hash().is_some());
        if !self.queue.remove(id) || is_seeded {
            self.outputs.push_back(Output::Stop { id });
        }
    }

    pub(super) fn pause_episode(&mut self, now: Now, id: EpisodeId) {
        let Some(mut episode) = self.catalogue.episode(id).cloned() else { return };
        episode.paused = true;
        self.catalogue.put(episode);
        self.save_episode(id);
        self.halt(now, id);
    }

    pub(super) fn resume_episode(&mut self, now: Now, id: EpisodeId) {
        let Some(mut episode) = self.catalogue.episode(id).cloned() else { return };
        episode.paused = false;
        self.catalogue.put(episode);
        self.save_episode(id);
        self.go_on(now, id);
        // What is paused is not deleted.
        self.look_at_kept(now, id.feed);
    }

    /// The owner wants this episode, whatever the agent thought of it.
    pub(super) fn take(&mut self, now: Now, id: EpisodeId) {
        self.take_as(now, id, true);
        self.queue.hurry(now.instant, id);
    }

    /// The owner plays this episode: it is fetched now, whatever else is.
    pub(super) fn play(&mut self, now: Now, id: EpisodeId) {
        let is_under_way = self.catalogue.episode(id).is_some_and(|episode| episode.is_wanted() && !episode.paused);
        if !is_under_way || self.queue.job(id).is_none() {
            self.take_as(now, id, true);
        }
        self.queue.play(now.instant, id);
        self.queue.hurry(now.instant, id);
    }

    pub(super) fn take_as(&mut self, now: Now, id: EpisodeId, by_owner: bool) {
        let Some(mut episode) = self.catalogue.episode(id).cloned() else { return };
        if !episode.is_there() {
            if !episode.is_wanted() {
                episode.shared = Shared::default();
            }
            episode.stage = Stage::Wanted { by_owner };
            episode.custody.asked |= by_owner;
            episode.paused = false;
            self.catalogue.put(episode);
            self.save_episode(id);
        }
        self.go_on(now, id);
    }

    pub(super) fn prepared(&mut self, now: Now, id: EpisodeId, attempt: u64, prepared: &Prepared) {
        let (Some(episode), Some(feed)) = (self.catalogue.episode(id), self.catalogue.feed(id.feed)) else { return };
        let Some((job, source)) = self.queue.job(id).and_then(|job| Some((job, job.asked(attempt)?))) else { return };
        if let Some(torrent) = &prepared.torrent {
            let got = torrent.info_hash;
            if let Some(want) = episode.offer.info_hash.filter(|want| !want.matches(&got)) {
                let reason = format!("the torrent is {got}; the feed says {want}");
                return self.failed(now, id, attempt, Fault::Source(reason));
            }
            if let Some(other) = self.catalogue.taken_as(got, id).map(|other| other.id) {
                return self.skip(id, Why::Duplicate(other));
            }
        }
        let terms = self.catalogue.terms(id.feed);
        // What the feed left out, or had wrong, may be what a rule asks for.
        if let Some(torrent) = &prepared.torrent
            && episode.stage == (Stage::Wanted { by_owner: false })
            && !job.is_played()
        {
            let mut subject = episode.subject(feed.language.as_deref(), now.wall);
            subject.size = Some(torrent.length);
            if let Some(rule) = terms.refusal(&subject) {
                return self.skip(id, Why::Rule(rule));
            }
        }
        if let Some(torrent) = prepared.torrent.as_ref().filter(|_| job.is_aside(attempt)) {
            // By its hash our copy is found when it is prepared, if it is.
            self.learn(id, None, Some(torrent.info_hash));
            let length = torrent.is_single_file.then_some(torrent.length);
            return self.queue.found(now.instant, id, attempt, length);
        }
        let is_claimed = |name: &str| self.in_the_way.contains(name) || self.catalogue.is_claimed(id, name);
        let place = Place::of(episode, feed.name(), &feed.folder, &terms.name);
        let plan = Plan::new(episode, source, &place, prepared, is_claimed);
        self.learn(id, Some(&plan.file), plan.info_hash);
        self.queue.prepared(now.instant, id, attempt, plan, &mut self.rng);
    }

    /// Remembers what a wanted episode is called, and which torrent it is.
    fn learn(&mut self, id: EpisodeId, file: Option<&String>, info_hash: Option<InfoHash>) {
        let Some(mut episode) = self.catalogue.episode(id).cloned() else { return };
        let before = (episode.file.clone(), episode.offer.info_hash);
        episode.file = file.or(episode.file.as_ref()).cloned();
        episode.offer.info_hash = episode.offer.info_hash.or(info_hash);
        if before != (episode.file.clone(), episode.offer.info_hash) {
            self.catalogue.put(episode);
            self.save_episode(id);
        }
    }

    /// A wanted episode turns out to be another one.
    fn skip(&mut self, id: EpisodeId, why: Why) {
        self.queue.remove(id);
        let Some(mut episode) = self.catalogue.episode(id).cloned() else { return };
        episode.stage = Stage::Seen { why: Some(why.clone()) };
        // Another of its sources may have brought some of it by now.
        self.outputs.extend(episode.file.clone().map(|file| Output::Discard { id, file }));
        let about = About::new(&episode);
        self.catalogue.put(episode);
        self.save_episode(id);
        self.tell(Event::Skipped { episode: about, reason: why });
    }

    pub(super) fn failed(&mut self, now: Now, id: EpisodeId, attempt: u64, fault: Fault) {
        if let Fault::InTheWay(_) = fault
            && self.queue.job(id).is_some_and(|job| job.is_at(attempt))
            && let Some(mut episode) = self.catalogue.episode(id).cloned()
            && let Some(file) = episode.file.take()
        {
            self.in_the_way.insert(names::fold(&file));
            self.catalogue.put(episode);
            self.save_episode(id);
        }
        self.queue.failed(now.instant, id, attempt, fault, &mut self.rng);
    }

    pub(super) fn done(&mut self, now: Now, id: EpisodeId, attempt: u64, whole: Whole) {
        let Whole { length, info_hash, print } = whole;
        let Some(plan) = self.queue.done(now.instant, id, attempt, length) else { return };
        let Some(mut episode) = self.catalogue.episode(id).cloned() else { return };
        let path = self.settings.library.join(&plan.file);
        episode.file = Some(plan.file);
        episode.stage = Stage::Complete { at: now.wall, length, info_hash };
        episode.custody = Custody { print, changed: false, tagged: Tagged::No, ..episode.custody };
        (episode.due, episode.untold) = match self.settings.duty {
            Duty::Everything | Duty::Once => (self.hooks_of(id.feed), false),
            // It knows a part of the rules only.
            Duty::Answer | Duty::Fetch => (Vec::new(), true),
        };
        let about = About::new(&episode);
        self.catalogue.put(episode);
        self.begin_seeding(now, id);
        self.save_episode(id);
        self.tell(Event::Complete { episode: about, path, length });
        if self.rests().is_some() {
            self.halt(now, id);
        }
        self.order_tags(id);
        self.order_extra(now, Extra::Chapters(id));
        self.order_picture(id.feed);
        self.order_hooks(id);
        self.look_at_kept(now, id.feed);
    }

    pub(super) fn seed_failed(&mut self, now: Now, id: EpisodeId, is_missing: bool, reason: String) {
        self.end_exchange(now, id);
        let Some(mut episode) = self.catalogue.episode(id).cloned() else { return };
        if !episode.is_there() {
            return;
        }
        let about = About::new(&episode);
        if !is_missing {
            if self.seed_later(now, id) {
                self.tell(Event::SeedFailed { episode: about, reason });
            }
            return;
        }
        episode.stage = Stage::Gone { at: now.wall, why: None };
        self.catalogue.put(episode);
        self.save_episode(id);
        self.tell(Event::Gone { episode: about });
        self.order_picture(id.feed);
    }

    /// Turns what the queue wants into outputs, and tells of what changes for people.
    pub(super) fn pass_on_orders(&mut self) {
        while let Some(order) = self.queue.poll() {
            match order {
                Order::DropAside { id } => self.outputs.push_back(Output::DropAside { id }),
                Order::Measure => self.outputs.push_back(Output::Measure),
                Order::SetAside { id } => self.outputs.push_back(Output::SetAside { id }),
                Order::Stop { id } => self.outputs.push_back(Output::Stop { id }),
                Order::MakeRoom { id, bytes } => self.make_room(id, bytes),
                Order::Prepare { id, attempt } => self.order_prepare(id, attempt),
                Order::Start { id, attempt } => self.order_start(id, attempt),
                Order::Tell { id } => self.order_tell(id),
            }
        }
    }

    fn order_prepare(&mut self, id: EpisodeId, attempt: u64) {
        let (Some(job), Some(episode)) = (self.queue.job(id), self.catalogue.episode(id)) else { return };
        let Some(feed) = self.catalogue.feed(id.feed) else { return };
        let template = self.catalogue.terms(id.feed).name;
        let folder = Place::of(episode, feed.name(), &feed.folder, &template).folder;
        let (file, is_local) = (episode.file.clone(), feed.is_local);
        let (source, info_hash) = (job.source().clone(), episode.offer.info_hash);
        self.outputs.push_back(Output::Prepare(Prepare { id, attempt, source, folder, file, info_hash, is_local }));
    }

    fn order_start(&mut self, id: EpisodeId, attempt: u64) {
        let (Some(job), Some(episode)) = (self.queue.job(id), self.catalogue.episode(id)) else { return };
        let (Some(plan), Some(feed)) = (job.plan().cloned(), self.catalogue.feed(id.feed)) else { return };
        let (source, is_local, info_hash) = (job.source().clone(), feed.is_local, episode.offer.info_hash);
        let mirror = |source: &Source| matches!(source, Source::Http(_)).then(|| source.address().to_owned());
        let mirrors = episode.offer.sources.iter().filter_map(mirror).collect();
        let integrity = episode.offer.integrity.clone();
        let (path, length, is_played) = (self.settings.library.join(&plan.file), plan.length, job.is_played());
        let gives_way = job.gives_way();
        let episode = About::new(episode);
        self.outputs.push_back(Output::Start(Start {
            id,
            attempt,
            source,
            plan,
            info_hash,
            mirrors,
            integrity,
            gives_way,
            is_played,
            is_local,
        }));
        self.tell(Event::Downloading { episode, path, length });
    }

    fn order_tell(&mut self, id: EpisodeId) {
        let (Some(job), Some(episode)) = (self.queue.job(id), self.catalogue.episode(id)) else { return };
        if let Some(reason) = job.trouble() {
            let (episode, reason) = (About::new(episode), reason.to_owned());
            self.tell(Event::Waiting { episode, reason });
        }
    }

    /// What is in the way of an episode that is wanted, for people.
    pub fn trouble(&self, id: EpisodeId) -> Option<String> {
        let episode = self.catalogue.episode(id).filter(|episode| episode.is_wanted())?;
        match self.queue.job(id) {
            Some(job) => job.trouble().map(str::to_owned).or_else(|| self.queue.turn(id)),
            None if self.is_held(id) => Some(METERED.to_owned()),
            None => self.unfetchable(episode),
        }
    }
}
