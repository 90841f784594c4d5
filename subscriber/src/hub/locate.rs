//! Episodes for players: where their bytes are, now or soon.

use std::path::PathBuf;

use podswarm_core::app::Failure;
use tokio::sync::oneshot;

use super::find;
use super::kit::Live;
use super::task::Task;
use crate::agent::Input;
use crate::agent::found::mark;
use crate::ask::{Playing, Reply, WebPage};
use crate::keep;
use crate::names;
use crate::records::{Episode, EpisodeId, Feed, Source, Stage};
use crate::web::{Found, Kept, WebSite};

/// Episodes that the feed of what is kept has at most, the newest.
const MOST_KEPT: usize = 2000;

impl Task {
    /// Has an episode fetched now and tells where players find it.
    pub(super) fn play(&mut self, name: &str) -> Result<Reply, Failure> {
        let id = find::episode(self.agent.catalogue(), name)?;
        self.check_fetchable(id)?;
        let web = self.site()?.clone();
        self.input(Input::Play(id));
        let episode = self.view(id).ok_or_else(|| Failure::new("the episode has gone"))?;
        let path = episode.path.as_deref().and_then(std::path::Path::file_name).map(|name| name.to_string_lossy());
        let mime = self.agent.catalogue().episode(id).and_then(|episode| episode.offer.mime.as_deref());
        // Some players go by the name.
        let extension = mime.and_then(names::extension_of_mime).map_or_else(String::new, |it| format!(".{it}"));
        let name =
            path.map_or_else(|| format!("{}{extension}", names::plain(&episode.title)), std::borrow::Cow::into_owned);
        let url = web.media_url(&id.to_string(), &name);
        Ok(Reply::Playing(Box::new(Playing { episode, url })))
    }

    /// Tells where the agent is seen in a browser.
    pub(super) fn page(&self) -> Result<Reply, Failure> {
        Ok(Reply::Web(WebPage { url: self.site()?.page_url()? }))
    }

    /// Tells where browsers find the covers that are kept.
    pub(super) fn covers(&self) -> Result<Reply, Failure> {
        let site = self.site()?;
        let cover = |feed: &Feed| Some((feed.id, site.cover_url(feed.id, &self.kept_cover(feed.id)?.0)));
        Ok(Reply::Covers(self.agent.catalogue().feeds().filter_map(cover).collect()))
    }

    fn site(&self) -> Result<&WebSite, Failure> {
        self.kit.web.as_ref().ok_or_else(|| {
            Failure::new("this agent serves nothing to players and browsers").with_hint("start it without --no-web")
        })
    }

    /// Tells all that is kept, the newest release first.
    pub(super) fn kept(&self, reply: oneshot::Sender<Vec<Kept>>) {
        let episodes = self.agent.catalogue().episodes();
        let mut kept: Vec<_> = episodes.filter_map(|episode| self.kept_episode(episode)).collect();
        kept.sort_by_key(|(kept, _)| std::cmp::Reverse((kept.published, kept.id)));
        kept.truncate(MOST_KEPT);
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || {
            let there = kept.into_iter().filter_map(|(mut kept, path)| {
                // A folder is no file that an app could play, and one that was taken away is none.
                kept.length = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?.len();
                if let Some(notes) = keep::notes(&store, kept.id).ok().flatten() {
                    kept.notes = notes.text;
                    kept.has_chapters |= !notes.parts.is_empty();
                }
                Some(kept)
            });
            // Who has gone needs no answer.
            let _ = reply.send(there.collect());
        });
    }

    pub(super) fn kept_episode(&self, episode: &Episode) -> Option<(Kept, PathBuf)> {
        let Stage::Complete { length, .. } = episode.stage else { return None };
        let feed = self.agent.catalogue().feed(episode.id.feed)?;
        let path = self.kit.library.path(episode.file.as_ref()?).ok()?;
        // No other box has the same, and no other episode of this one ever will.
        let mark = mark(format!("{} {}", feed.added.to_rfc3339(), episode.id));
        let kept = Kept {
            id: episode.id,
            guid: format!("podsub-{mark:016x}"),
            show: feed.name().to_owned(),
            title: episode.title.clone(),
            notes: String::new(),
            published: episode.when(),
            seconds: episode.duration,
            season: episode.season,
            number: episode.number,
            length,
            name: path.file_name()?.to_string_lossy().into_owned(),
            chapters: episode.chapters.clone(),
            has_chapters: self.kept_chapters(episode.id).is_some(),
            cover: self.kept_cover(feed.id).map(|(name, _)| name),
        };
        Some((kept, path))
    }

    pub(super) fn locate(&self, id: EpisodeId, reply: oneshot::Sender<Found>) {
        if let Some(found) = self.found(id) {
            // Who has gone needs no answer.
            let _ = reply.send(found);
        }
    }

    fn found(&self, id: EpisodeId) -> Option<Found> {
        let episode = self.agent.catalogue().episode(id)?;
        let path = episode.file.as_ref().and_then(|file| self.kit.library.path(file).ok());
        Some(match (&episode.stage, path) {
            (Stage::Complete { .. }, Some(path)) => Found::Whole { path, info_hash: episode.seeded_as() },
            (Stage::Complete { .. }, None) | (Stage::Gone { .. }, _) => Found::Nowhere("its file is gone".to_owned()),
            (Stage::Seen { .. }, _) => Found::Nowhere("it is not fetched".to_owned()),
            (Stage::Wanted { .. }, _) => match self.kit.live(id) {
                Some(Live::Torrent(torrent)) if torrent.metainfo().info.is_single_file => {
                    let range = 0..torrent.metainfo().info.content_length();
                    Found::Coming { torrent, range }
                }
                Some(Live::Torrent(_)) => {
                    Found::Nowhere("it is a folder, of which no single file is played".to_owned())
                }
                Some(Live::Http(meter)) => {
                    // Where all goes through a proxy or by an interface, players do not go around it.
                    let may_leave = self.kit.route.proxy.is_none() && self.kit.route.bind.is_none();
                    let elsewhere = match self.agent.queue().job(id).map(|job| job.source().clone()) {
                        Some(Source::Http(url)) if may_leave => Some(url),
                        _ => None,
                    };
                    Found::Growing { growing: meter.growing.clone(), elsewhere }
                }
                None => Found::Soon,
            },
        })
    }
}
