//! Decides when what is known of an episode is written into its file.
//!
//! That changes the file's bytes, so it waits until peers are to have them no longer: a file that a torrent vouches for
//! gets its tags when it was seeded enough, any other when it is there. From then on it is no torrent's. Hooks of an
//! episode that gets them at once are done after that.
//!
//! A copy is made beside the file, and how it looks is written down before it takes the file's place. So whenever the
//! agent ends, the next one knows which of the two it finds.
//!
//! Knows nothing of kinds of files and their tags.
//!
//! Law: nothing is written into a file that is seeded or may be again, that its owner has changed, or that was there
//! before it was fetched.

use std::collections::BTreeSet;
use std::time::Duration;

use podswarm_core::time::Instant;
use podswarm_feeds::poll::Now;

use super::event::{About, Event};
use super::{Agent, Output, Seeding, Sources, Tag, TagOutcome};
use crate::records::{Episode, EpisodeId, Feed, Stage, Tagged};
use crate::rules::Choice;
use crate::tags::Tags;

/// A disk that refuses is tried again after this long.
const AGAIN: Duration = Duration::from_hours(1);

/// Which files wait for their tags, and which one is written to.
#[derive(Debug, Default)]
pub(super) struct Tagger {
    waiting: BTreeSet<EpisodeId>,
    /// One at a time: nothing is in a hurry, and each takes as much of the disk as the file has.
    running: Option<(EpisodeId, String)>,
    /// Episodes whose hooks are done when it is over.
    held: BTreeSet<EpisodeId>,
    /// The disk refuses, and is left alone until then.
    rest_until: Option<Instant>,
}

impl Tagger {
    /// Nothing is written, or can be now.
    pub(super) fn is_settled(&self) -> bool {
        self.running.is_none() && (self.waiting.is_empty() || self.rest_until.is_some())
    }

    /// The episode's file is being written to.
    pub(super) fn is_at(&self, id: EpisodeId) -> bool {
        self.running.as_ref().is_some_and(|(running, _)| *running == id)
    }
}

impl Agent {
    /// When a disk that refused is tried again.
    pub(super) fn tags_deadline(&self) -> Option<Instant> {
        self.tagger.rest_until.filter(|_| !self.tagger.waiting.is_empty())
    }

    /// Has an episode's file written to, if that is wanted and may be.
    pub(super) fn order_tags(&mut self, id: EpisodeId) {
        if self.wants_tags(id) && !self.tagger.is_at(id) {
            self.tagger.waiting.insert(id);
        }
    }

    /// Puts an episode's hooks off until its file was written to; false if that is not about to be done.
    pub(super) fn holds_hooks(&mut self, id: EpisodeId) -> bool {
        let tagger = &mut self.tagger;
        let is_next = tagger.is_at(id) || tagger.waiting.contains(&id) && tagger.rest_until.is_none();
        if is_next {
            tagger.held.insert(id);
        }
        is_next
    }

    fn wants_tags(&self, id: EpisodeId) -> bool {
        let (Some(episode), Some(feed)) = (self.catalogue.episode(id), self.catalogue.feed(id.feed)) else {
            return false;
        };
        let custody = episode.custody;
        let is_ours = custody.print.is_some() && !custody.changed;
        let is_there = episode.is_there() && !self.shelf.is_deleting(id);
        let rests = episode.paused || feed.paused;
        if !self.settings.acts_by_itself() || !is_ours || !is_there || rests {
            return false;
        }
        match custody.tagged {
            Tagged::Soon(_) => true,
            Tagged::No => self.catalogue.terms(id.feed).tags == Choice::Yes && !self.may_be_seeded(episode),
            Tagged::Never | Tagged::Yes => false,
        }
    }

    /// Peers may still have an episode from us, now or in another run.
    fn may_be_seeded(&self, episode: &Episode) -> bool {
        let seeds = self.settings.seeding == Seeding::On && self.catalogue.sources(episode.id.feed) == Sources::All;
        seeds && episode.kept_hash().is_some() && episode.withdrawn.is_none() && self.enough(episode.id).is_none()
    }

    /// Has the next file written to, if none is.
    pub(super) fn tend_tags(&mut self, now: Now) {
        self.tagger.rest_until = self.tagger.rest_until.filter(|at| *at > now.instant);
        while self.tagger.running.is_none()
            && self.tagger.rest_until.is_none()
            && let Some(id) = self.tagger.waiting.pop_first()
        {
            match self.tag(id) {
                Some(output) => self.outputs.push_back(output),
                None => self.release_hooks(id),
            }
        }
    }

    /// What is to be done for an episode's file now.
    fn tag(&mut self, id: EpisodeId) -> Option<Output> {
        let (episode, feed) = (self.catalogue.episode(id)?, self.catalogue.feed(id.feed)?);
        let (file, print) = (episode.file.clone()?, episode.custody.print?);
        if !self.wants_tags(id) {
            return None;
        }
        let output = match episode.custody.tagged {
            Tagged::Soon(copy) => Output::PutTagged { id, file: file.clone(), print, copy },
            Tagged::Never | Tagged::No | Tagged::Yes => {
                let (tags, cover) = (Box::new(tags_of(episode, feed)), feed.image.clone());
                Output::Tag(Tag { id, file: file.clone(), print, tags, cover, is_local: feed.is_local })
            }
        };
        self.tagger.running = Some((id, file));
        Some(output)
    }

    /// What came of writing to an episode's file.
    pub(super) fn tagged(&mut self, now: Now, id: EpisodeId, outcome: TagOutcome) {
        let Some((_, file)) = self.tagger.running.take_if(|(running, _)| *running == id) else { return };
        // It may have been replaced, or taken away, meanwhile.
        let is_same = |episode: &&Episode| episode.is_there() && episode.file.as_ref() == Some(&file);
        if let Some(episode) = self.catalogue.episode(id).filter(is_same).cloned() {
            self.note_tags(now, episode, file, outcome);
        }
        if !self.tagger.is_at(id) {
            self.release_hooks(id);
            // It takes another place than before, and was not deleted meanwhile.
            self.look_at_kept(now, id.feed);
        }
    }

    fn note_tags(&mut self, now: Now, mut episode: Episode, file: String, outcome: TagOutcome) {
        let (id, about) = (episode.id, About::new(&episode));
        let path = self.settings.library.join(&file);
        let custody = &mut episode.custody;
        let event = match outcome {
            TagOutcome::Copied { print: copy } => {
                custody.tagged = Tagged::Soon(copy);
                let print = custody.print.unwrap_or_default();
                self.catalogue.put(episode);
                self.save_episode(id);
                self.tagger.running = Some((id, file.clone()));
                return self.outputs.push_back(Output::PutTagged { id, file, print, copy });
            }
            TagOutcome::Written { length } => {
                if let Tagged::Soon(copy) = custody.tagged {
                    custody.print = Some(copy);
                }
                custody.tagged = Tagged::Yes;
                if let Stage::Complete { length: kept, .. } = &mut episode.stage {
                    *kept = length;
                }
                Event::Tagged { episode: about, path }
            }
            TagOutcome::Changed => {
                (custody.changed, custody.tagged) = (true, Tagged::No);
                Event::Spared { episode: about }
            }
            TagOutcome::Unfit(reason) => {
                custody.tagged = Tagged::Never;
                Event::TagFailed { episode: about, reason }
            }
            TagOutcome::Lost => {
                custody.tagged = Tagged::No;
                self.catalogue.put(episode);
                self.save_episode(id);
                return self.order_tags(id);
            }
            TagOutcome::Failed(reason) => {
                self.tagger.waiting.insert(id);
                self.tagger.rest_until = Some(now.instant + AGAIN);
                self.tell(Event::TagFailed { episode: about, reason });
                for id in std::mem::take(&mut self.tagger.held) {
                    self.order_hooks(id);
                }
                return;
            }
            TagOutcome::Missing => return self.seed_failed(now, id, true, String::new()),
            TagOutcome::Dropped => return,
        };
        self.catalogue.put(episode);
        self.save_episode(id);
        self.tell(event);
    }

    fn release_hooks(&mut self, id: EpisodeId) {
        if self.tagger.held.remove(&id) {
            self.order_hooks(id);
        }
    }
}

/// What the file of an episode is to say, but for its notes, which are kept elsewhere.
fn tags_of(episode: &Episode, feed: &Feed) -> Tags {
    Tags {
        title: episode.title.clone(),
        show: feed.name().to_owned(),
        author: feed.author.clone(),
        day: episode.day(),
        season: episode.season,
        number: episode.number,
        notes: String::new(),
    }
}
