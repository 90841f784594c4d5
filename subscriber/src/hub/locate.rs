//! Episodes for players: where their bytes are, now or soon.

use podswarm_core::app::Failure;
use tokio::sync::oneshot;

use super::find;
use super::kit::Live;
use super::task::Task;
use crate::agent::Input;
use crate::ask::{Playing, Reply};
use crate::names;
use crate::records::{EpisodeId, Source, Stage};
use crate::web::Found;

impl Task {
    /// Has an episode fetched now and tells where players find it.
    pub(super) fn play(&mut self, name: &str) -> Result<Reply, Failure> {
        let id = find::episode(self.agent.catalogue(), name)?;
        self.check_fetchable(id)?;
        let Some(web) = self.kit.web.clone() else {
            let failure = Failure::new("this agent serves nothing to players");
            return Err(failure.with_hint("start it without --no-web"));
        };
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
            (Stage::Complete { info_hash, .. }, Some(path)) => Found::Whole { path, info_hash: *info_hash },
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
                Some(Live::Http(_)) => match self.agent.queue().job(id).map(|job| job.source().clone()) {
                    Some(Source::Http(url)) => Found::Elsewhere(url),
                    _ => Found::Soon,
                },
                None => Found::Soon,
            },
        })
    }
}
