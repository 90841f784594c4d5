//! Decides which picture lies in a show's folder, for programs that make a library of it: the show's cover, if that is
//! wanted, while an episode of it is there.
//!
//! What is ours is known by its content. It is remembered before it is written, so that the next agent knows it, too,
//! wherever this one ends. A picture that is not ours is the owner's, and stands for ours.
//!
//! Knows nothing of how files are called.
//!
//! Law: nothing but what is ours, and as it was, is replaced or deleted.

use std::collections::{BTreeMap, BTreeSet};

use super::{Agent, Output, PutPicture};
use crate::records::{Episode, FeedId};
use crate::rules::Choice;

/// What is known of the pictures in folders.
#[derive(Debug, Default)]
pub(super) struct Hanger {
    /// The covers that are kept, by their names.
    kept: BTreeMap<FeedId, String>,
    /// What was put there in this run.
    put: BTreeMap<FeedId, String>,
    /// Where something is done now.
    busy: BTreeSet<FeedId>,
}

impl Hanger {
    /// Nothing is done now.
    pub(super) fn is_settled(&self) -> bool {
        self.busy.is_empty()
    }
}

impl Agent {
    /// The cover of a show is kept under this name, or is not.
    pub(super) fn note_cover(&mut self, id: FeedId, name: Option<String>) {
        match name {
            Some(name) => self.hanger.kept.insert(id, name),
            None => self.hanger.kept.remove(&id),
        };
        self.order_picture(id);
    }

    /// Has the picture put into a show's folder, or taken away, if that is to be done.
    pub(super) fn order_picture(&mut self, id: FeedId) {
        if !self.settings.acts_by_itself() || self.hanger.busy.contains(&id) {
            return;
        }
        let Some(feed) = self.catalogue.feed(id).filter(|feed| !feed.is_new()) else { return };
        let (folder, mut ours) = (feed.folder.clone(), feed.pictures.clone());
        if !self.catalogue.episodes_of(id).any(Episode::is_there) {
            self.hanger.put.remove(&id);
            if !ours.is_empty() {
                self.hanger.busy.insert(id);
                self.outputs.push_back(Output::TakePicture { feed: id, folder, ours });
            }
            return;
        }
        let is_wanted = self.catalogue.terms(id).cover == Choice::Yes;
        let (Some(name), Some(url)) = (self.hanger.kept.get(&id).filter(|_| is_wanted), feed.image.clone()) else {
            return;
        };
        if self.hanger.put.get(&id) == Some(name) {
            return;
        }
        let name = name.clone();
        self.hanger.put.insert(id, name.clone());
        self.hanger.busy.insert(id);
        if !ours.contains(&name) {
            ours.push(name.clone());
            self.note_pictures(id, ours.clone());
        }
        self.outputs.push_back(Output::PutPicture(PutPicture { feed: id, folder, url, name, ours }));
    }

    /// What of ours is in the show's folder now; `None` if the disk refused.
    pub(super) fn pictured(&mut self, id: FeedId, left: Option<Vec<String>>) {
        self.hanger.busy.remove(&id);
        // What the disk refuses is tried again when something else happens to the show.
        let Some(left) = left else {
            self.hanger.put.remove(&id);
            return;
        };
        self.note_pictures(id, left);
        self.order_picture(id);
    }

    fn note_pictures(&mut self, id: FeedId, pictures: Vec<String>) {
        if let Some(feed) = self.catalogue.feed_mut(id).filter(|feed| feed.pictures != pictures) {
            feed.pictures = pictures;
            self.save_feed(id);
        }
    }

    /// A feed is followed no longer.
    pub(super) fn forget_picture(&mut self, id: FeedId) {
        self.hanger.kept.remove(&id);
        self.hanger.put.remove(&id);
    }
}
