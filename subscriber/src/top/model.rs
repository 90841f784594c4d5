//! What the view knows, and where in it the person is.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use podswarm_core::app::{Failure, local_time};

use crate::agent::event::Event;
use crate::ask::{Ask, EpisodeView, FeedView, Look, Reply, Status};
use crate::records::{EpisodeId, FeedId};

/// So many transfers are asked for.
const MOST: usize = 500;
/// So many seconds of speeds are remembered.
const HISTORY: usize = 300;
/// So many events are remembered.
const EVENTS: usize = 200;
/// A feed's episodes are asked for again after so many ticks.
const STALE: u32 = 10;

/// Where the person is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pane {
    Feeds,
    #[default]
    Episodes,
    Peers,
    Events,
}

impl Pane {
    pub(super) const ALL: [Self; 4] = [Self::Feeds, Self::Episodes, Self::Peers, Self::Events];

    /// The pane so many further on, around the end.
    pub(super) fn step(self, by: usize) -> Self {
        let at = Self::ALL.iter().position(|pane| *pane == self).expect("all panes are listed");
        Self::ALL[(at + by) % Self::ALL.len()]
    }
}

/// What is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prompt {
    Filter,
    DownLimit,
    UpLimit,
    Feed,
}

/// What keys mean now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    #[default]
    Normal,
    Help,
    Typing(Prompt, String),
}

/// A word to the person, below everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    pub(super) text: String,
    pub(super) is_trouble: bool,
}

/// A question to the agent that the view asks by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// How everything stands.
    Status,
    /// What moves.
    Moving,
    /// The episodes of the chosen feed.
    OfFeed(FeedId),
    /// A close look at the chosen episode.
    Look(EpisodeId),
}

impl Question {
    /// In the words of the control API.
    pub fn ask(self) -> Ask {
        match self {
            Self::Status => Ask::Status,
            Self::Moving => Ask::Moving { most: MOST },
            Self::OfFeed(feed) => Ask::Episodes { feed: Some(feed.to_string()) },
            Self::Look(episode) => Ask::Look { episode: episode.to_string() },
        }
    }
}

/// What the view knows, and where in it the person is.
#[derive(Debug, Default)]
pub struct Model {
    /// Colours are wanted.
    pub(super) has_colours: bool,
    /// When the questions were last asked.
    pub(super) now: Option<DateTime<Utc>>,
    /// Why there is nothing to show; `None` while an agent answers.
    pub(super) absent: Option<String>,
    pub(super) status: Option<Status>,
    pub(super) moving: Vec<EpisodeView>,
    pub(super) of_feed: Option<(FeedId, Vec<EpisodeView>)>,
    pub(super) look: Option<Look>,
    /// Bytes a second, in and out, once a tick; the newest last.
    pub(super) speeds: VecDeque<(u64, u64)>,
    pub(super) events: VecDeque<String>,
    pub(super) pane: Pane,
    pub(super) mode: Mode,
    pub(super) filter: String,
    pub(super) notice: Option<Notice>,
    /// What a player of ours plays.
    pub(super) playing: Option<(EpisodeId, String)>,
    /// The chosen feed; everything that moves if `None`.
    pub(super) feed: Option<FeedId>,
    pub(super) episode: Option<EpisodeId>,
    /// Lines down from the first in panes without a choice.
    pub(super) scrolled: usize,
    /// Where the chosen episode was last seen, for when it is gone.
    row: usize,
    /// Ticks since the feed's episodes were asked for.
    age: u32,
}

impl Model {
    /// A view that knows nothing yet.
    pub fn new(has_colours: bool) -> Self {
        Self { has_colours, absent: Some("looking for the agent".to_owned()), ..Self::default() }
    }

    /// No agent answers, for this reason.
    pub fn absent(&mut self, why: String) {
        *self = Self {
            absent: Some(why),
            has_colours: self.has_colours,
            playing: self.playing.take(),
            // What is being typed stays: its letters are no keys.
            mode: std::mem::take(&mut self.mode),
            ..Self::default()
        };
    }

    /// What is to be asked now, once a second.
    pub fn questions(&mut self, now: DateTime<Utc>) -> Vec<Question> {
        self.now = Some(now);
        let mut questions = vec![Question::Status, Question::Moving];
        if let Some(feed) = self.feed {
            self.age += 1;
            let is_there = self.of_feed.as_ref().is_some_and(|(of, _)| *of == feed);
            if !is_there || self.age >= STALE {
                self.age = 0;
                questions.push(Question::OfFeed(feed));
            }
        }
        questions.extend(self.episode.map(Question::Look));
        questions
    }

    /// The answer to a question of [`Model::questions`].
    pub fn answered(&mut self, question: Question, answer: Result<Reply, Failure>) {
        match (question, answer) {
            (Question::Status, Ok(Reply::Status(status))) => {
                self.absent = None;
                self.speeds.push_back((status.traffic.down_rate.0, status.traffic.up_rate.0));
                while self.speeds.len() > HISTORY {
                    self.speeds.pop_front();
                }
                if self.feed.is_some_and(|feed| status.feeds.iter().all(|view| view.id != feed)) {
                    self.feed = None;
                }
                self.status = Some(*status);
            }
            (Question::Moving, Ok(Reply::Episodes(episodes))) => self.moving = episodes,
            (Question::OfFeed(feed), Ok(Reply::Episodes(episodes))) => self.of_feed = Some((feed, episodes)),
            (Question::Look(_), Ok(Reply::Look(look))) => self.look = Some(*look),
            (Question::Look(_) | Question::OfFeed(_), Err(_)) => {}
            (_, Ok(_)) => self.tell("the agent gives answers of another kind: it is of another version", true),
            (_, Err(failure)) => self.tell(&failure.to_string(), true),
        }
        self.choose_again();
    }

    /// The answer to what was done for the person.
    pub fn done(&mut self, ask: &Ask, answer: Result<Reply, Failure>) {
        let text = match answer {
            Err(failure) => return self.tell(&failure.to_string(), true),
            Ok(Reply::Added(added)) => format!("following {}", added.feed.name()),
            Ok(Reply::Limits(limits)) => format!("limits until the agent ends: {}", limits.always),
            Ok(Reply::Done(what)) => {
                let verb = if matches!(ask, Ask::Resume { .. }) { "goes on" } else { "paused" };
                format!("{verb}: {}", what.join(", "))
            }
            Ok(Reply::Episodes(episodes)) => {
                let titles: Vec<_> = episodes.into_iter().map(|episode| episode.title).collect();
                format!("first of all: {}", titles.join(", "))
            }
            Ok(Reply::Updated(updated)) => {
                let new: usize = updated.iter().map(|one| one.new).sum();
                match updated.iter().find_map(|one| Some(format!("{}: {}", one.title, one.error.as_ref()?))) {
                    Some(error) => return self.tell(&error, true),
                    None => format!("{} polled, {new} new", crate::view::count(updated.len(), "feed")),
                }
            }
            Ok(_) => "done".to_owned(),
        };
        // What was changed is asked for at once.
        self.age = STALE;
        self.tell(&text, false);
    }

    /// Something happened at the agent.
    pub fn happened(&mut self, event: &Event, at: DateTime<Utc>) {
        if matches!(event, Event::Polled { new: 0, wanted: 0, .. }) {
            return;
        }
        let line = format!("{}  {}", local_time(at).format("%H:%M:%S"), event.line());
        self.events.push_front(line);
        self.events.truncate(EVENTS);
        if event.episode().is_some_and(|id| Some(id.feed) == self.feed) {
            self.age = STALE;
        }
    }

    /// A player of ours plays this, or nothing any more.
    pub fn plays(&mut self, what: Option<(EpisodeId, String)>) {
        match &what {
            Some((_, title)) => self.tell(&format!("playing {title}; p stops it"), false),
            None => self.notice = None,
        }
        self.playing = what;
    }

    /// What a player of ours plays.
    pub fn playing(&self) -> Option<EpisodeId> {
        self.playing.as_ref().map(|(id, _)| *id)
    }

    /// Says something below everything, until the next key.
    pub fn tell(&mut self, text: &str, is_trouble: bool) {
        self.notice = Some(Notice { text: text.to_owned(), is_trouble });
    }

    /// The feeds that the filter lets through.
    pub(super) fn feeds(&self) -> Vec<&FeedView> {
        let feeds = self.status.iter().flat_map(|status| &status.feeds);
        feeds.filter(|feed| self.pane != Pane::Feeds || self.lets_through(feed.name())).collect()
    }

    /// The episodes that are listed: all that move, or those of the chosen feed, the newest first.
    pub(super) fn episodes(&self) -> Vec<&EpisodeView> {
        let is_shown = |view: &&EpisodeView| {
            self.pane == Pane::Feeds || self.lets_through(&view.title) || self.lets_through(&view.show)
        };
        match (self.feed, &self.of_feed) {
            (None, _) => self.moving.iter().filter(is_shown).collect(),
            (Some(feed), Some((of, episodes))) if feed == *of => {
                // How they move is fresher in the other list.
                let fresh = |view| self.moving.iter().find(|one| one.id == view_id(view)).unwrap_or(view);
                episodes.iter().rev().map(fresh).filter(is_shown).collect()
            }
            (Some(feed), _) => self.moving.iter().filter(|view| view.id.feed == feed).filter(is_shown).collect(),
        }
    }

    /// A close look at the chosen episode, if it has come.
    pub(super) fn looked(&self) -> Option<&Look> {
        self.look.as_ref().filter(|look| Some(look.episode.id) == self.episode)
    }

    /// The chosen episode as it is now.
    pub(super) fn chosen(&self) -> Option<&EpisodeView> {
        let id = self.episode?;
        self.episodes().into_iter().find(|view| view.id == id)
    }

    fn lets_through(&self, text: &str) -> bool {
        self.filter.is_empty() || text.to_lowercase().contains(&self.filter.to_lowercase())
    }

    /// Moves the choice of the pane by so many lines.
    pub(super) fn step(&mut self, by: isize) {
        let moved = |at: usize, count: usize| at.saturating_add_signed(by).min(count.saturating_sub(1));
        match self.pane {
            Pane::Feeds => {
                let feeds: Vec<_> =
                    std::iter::once(None).chain(self.feeds().iter().map(|feed| Some(feed.id))).collect();
                let at = feeds.iter().position(|feed| *feed == self.feed).unwrap_or(0);
                self.choose_feed(feeds[moved(at, feeds.len())]);
            }
            Pane::Episodes => {
                let ids: Vec<_> = self.episodes().iter().map(|view| view.id).collect();
                let at = ids.iter().position(|id| Some(*id) == self.episode).unwrap_or(0);
                self.row = moved(at, ids.len());
                self.choose(ids.get(self.row).copied());
            }
            Pane::Peers => {
                let lines = self.looked().map_or(0, |look| look.swarm.peers.len() + look.web_seeds.len());
                self.scrolled = moved(self.scrolled, lines);
            }
            Pane::Events => self.scrolled = moved(self.scrolled, self.events.len()),
        }
    }

    pub(super) fn choose_feed(&mut self, feed: Option<FeedId>) {
        if feed != self.feed {
            (self.feed, self.row, self.age) = (feed, 0, STALE);
            self.choose(None);
            self.choose_again();
        }
    }

    fn choose(&mut self, episode: Option<EpisodeId>) {
        if episode != self.episode {
            (self.episode, self.scrolled) = (episode, 0);
        }
    }

    /// Chooses what stands where the chosen episode was, if that is gone.
    pub(super) fn choose_again(&mut self) {
        let ids: Vec<_> = self.episodes().iter().map(|view| view.id).collect();
        match ids.iter().position(|id| Some(*id) == self.episode) {
            Some(row) => self.row = row,
            None => self.choose(ids.get(self.row.min(ids.len().saturating_sub(1))).copied()),
        }
    }
}

const fn view_id(view: &EpisodeView) -> EpisodeId {
    view.id
}
