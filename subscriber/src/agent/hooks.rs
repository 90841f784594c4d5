//! Decides when hooks are done: what the owner wants to happen when an episode is there.
//!
//! What is due is written down with the episode in the same stroke that says it is there, and crossed out when it is
//! done or given up. A few are done at once, in the order in which episodes came; a program has one go, a server that
//! cannot take it now is told again for three days.
//!
//! What comes by a single command, such as `podsub download` where no agent runs, is left for the next agent.
//!
//! Knows nothing of programs and servers.
//!
//! Law: each is done for every time that an episode was fetched, and again only where the agent ended while it was
//! under way. No download waits for one.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use podswarm_core::app::hook::{Action, LAST_WAIT, LONGEST, Undelivered, WAITS};
use podswarm_core::time::Instant;
use podswarm_feeds::poll::Now;
use serde::{Deserialize, Serialize, Serializer};

use super::event::{About, Event};
use super::{Agent, Output};
use crate::records::{Due, Episode, EpisodeId, FeedId, Stage};
use crate::rules::Hook;

/// So many programs run at the same time, and so many servers are told.
const AT_ONCE: usize = 4;

/// What a hook is told of: an episode that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Arrival {
    /// When it came.
    pub at: DateTime<Utc>,
    /// The show's name.
    pub show: String,
    /// The feed's URL.
    pub feed: String,
    /// Which episode.
    #[serde(flatten)]
    pub episode: About,
    /// When it was released, by its feed.
    pub published: Option<DateTime<Utc>>,
    /// Its file or folder.
    #[serde(serialize_with = "as_text")]
    pub path: PathBuf,
    /// How many bytes.
    pub length: u64,
}

/// A path may hold bytes that are no text.
fn as_text<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

/// What is to be done, what is being done, and what is tried again later.
#[derive(Debug, Default)]
pub(super) struct Hooks {
    waiting: VecDeque<Errand>,
    running: BTreeMap<u64, Errand>,
    later: Vec<(Instant, Errand)>,
    last: u64,
    /// What went wrong since the agent began, by the hook as people are shown it.
    faults: BTreeMap<String, Faults>,
}

/// What went wrong with a hook.
#[derive(Clone, Debug, Default)]
struct Faults {
    trouble: Option<String>,
    failed: u64,
    last_failure: Option<String>,
}

/// A hook that is yet to be done, or that could not be done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookState {
    /// The program, or the server, without secrets.
    pub hook: String,
    /// Episodes for which it is yet to be done.
    pub waiting: usize,
    /// When the first of them came.
    pub since: Option<DateTime<Utc>>,
    /// Why it could not be done when it was last tried; it is tried again.
    pub trouble: Option<String>,
    /// How often it was given up since the agent began.
    pub failed: u64,
    /// Why it was the last time.
    pub last_failure: Option<String>,
}

/// A hook that is due for an episode.
#[derive(Clone, Debug)]
struct Errand {
    id: EpisodeId,
    /// When the episode came: one that was fetched anew is another.
    at: DateTime<Utc>,
    hook: Hook,
}

impl Hooks {
    /// Nothing is being done or about to be. What a server could not take may be left for the next run.
    pub(super) fn is_settled(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    /// The next for which there is a place; servers that are slow take none from programs.
    fn take_next(&mut self) -> Option<Errand> {
        let is_program = |errand: &Errand| matches!(errand.hook.action, Action::Run(_));
        let programs = self.running.values().filter(|errand| is_program(errand)).count();
        let servers = self.running.len() - programs;
        let has_place = |errand: &Errand| if is_program(errand) { programs < AT_ONCE } else { servers < AT_ONCE };
        let place = self.waiting.iter().position(has_place)?;
        self.waiting.remove(place)
    }
}

impl Agent {
    /// When a server is told again.
    pub(super) fn hooks_deadline(&self) -> Option<Instant> {
        self.hooks.later.iter().map(|(at, _)| *at).min()
    }

    /// What is to be done for each episode of a feed that comes now.
    pub(super) fn hooks_of(&self, feed: FeedId) -> Vec<Due> {
        let hooks = self.catalogue.terms(feed).on_complete;
        hooks.into_iter().map(|hook| Due { hook, tries: 0 }).collect()
    }

    /// Goes on with what was due for an episode when the last agent ended.
    pub(super) fn resume_hooks(&mut self, id: EpisodeId) {
        if let Some(mut episode) = self.catalogue.episode(id).filter(|episode| episode.untold).cloned() {
            (episode.due, episode.untold) = (self.hooks_of(id.feed), false);
            self.catalogue.put(episode);
            self.save_episode(id);
        }
        self.order_hooks(id);
    }

    /// Has all hooks done that are due for an episode, after its tags.
    pub(super) fn order_hooks(&mut self, id: EpisodeId) {
        if self.holds_hooks(id) {
            return;
        }
        let Some(episode) = self.catalogue.episode(id) else { return };
        let Stage::Complete { at, .. } = episode.stage else { return };
        self.hooks.waiting.extend(episode.due.iter().map(|due| Errand { id, at, hook: due.hook.clone() }));
    }

    /// Has those done for which there is a place now.
    pub(super) fn tend_hooks(&mut self, now: Now) {
        let later = std::mem::take(&mut self.hooks.later);
        let (again, later): (Vec<_>, Vec<_>) = later.into_iter().partition(|(at, _)| *at <= now.instant);
        self.hooks.later = later;
        self.hooks.waiting.extend(again.into_iter().map(|(_, errand)| errand));
        while let Some(errand) = self.hooks.take_next() {
            let Some(arrival) = self.arrival(&errand) else { continue };
            let (serial, hook) = (self.hooks.last, errand.hook.clone());
            self.hooks.last += 1;
            self.hooks.running.insert(serial, errand);
            self.outputs.push_back(Output::Hook { serial, hook, arrival: Box::new(arrival) });
        }
    }

    /// The hooks that are yet to be done, and those that could not be done since the agent began.
    pub fn hooks(&self) -> Vec<HookState> {
        let state = |(hook, faults): (&String, &Faults)| {
            let Faults { trouble, failed, last_failure } = faults.clone();
            (hook.clone(), HookState { hook: hook.clone(), trouble, failed, last_failure, ..HookState::default() })
        };
        let mut states: BTreeMap<String, HookState> = self.hooks.faults.iter().map(state).collect();
        for episode in self.catalogue.episodes() {
            let Stage::Complete { at, .. } = episode.stage else { continue };
            for hook in episode.due.iter().map(|due| due.hook.to_string()) {
                let state = states.entry(hook.clone()).or_default();
                state.hook = hook;
                state.waiting += 1;
                state.since = Some(state.since.map_or(at, |since| since.min(at)));
            }
        }
        states.into_values().filter(|state| state.waiting > 0 || state.failed > 0).collect()
    }

    /// What came of a hook.
    pub(super) fn hooked(&mut self, now: Now, serial: u64, outcome: Result<(), Undelivered>) {
        let Some(errand) = self.hooks.running.remove(&serial) else { return };
        let Some(mut episode) = self.sent_by(&errand).cloned() else { return };
        let Some(place) = episode.due.iter().position(|due| due.hook == errand.hook) else { return };
        let (id, about, hook) = (errand.id, About::new(&episode), errand.hook.to_string());
        let tries = &mut episode.due[place].tries;
        let wait = WAITS.get(usize::from(*tries)).copied().unwrap_or(LAST_WAIT);
        let age = (now.wall - errand.at).to_std().unwrap_or_default();
        let faults = self.hooks.faults.entry(hook.clone()).or_default();
        faults.trouble = outcome.as_ref().err().map(ToString::to_string);
        if matches!(outcome, Err(Undelivered::ForNow(_))) && age + wait <= LONGEST {
            *tries = tries.saturating_add(1);
            self.catalogue.put(episode);
            self.hooks.later.push((now.instant + wait, errand));
            return self.save_episode(id);
        }
        if let Some(reason) = faults.trouble.take() {
            faults.failed += 1;
            faults.last_failure = Some(reason);
        }
        episode.due.remove(place);
        self.catalogue.put(episode);
        self.save_episode(id);
        self.tell(match outcome {
            Ok(()) => Event::HookDone { episode: about, hook },
            Err(error) => Event::HookFailed { episode: about, hook, reason: error.to_string() },
        });
        // What is kept no longer had to wait for it.
        self.look_at_kept(now, id.feed);
    }

    /// The episode for which a hook is due, if it is still the same.
    fn sent_by(&self, errand: &Errand) -> Option<&Episode> {
        let is_same = |episode: &&Episode| matches!(episode.stage, Stage::Complete { at, .. } if at == errand.at);
        self.catalogue.episode(errand.id).filter(is_same)
    }

    fn arrival(&self, errand: &Errand) -> Option<Arrival> {
        let episode = self.sent_by(errand)?;
        let feed = self.catalogue.feed(errand.id.feed)?;
        let Stage::Complete { at, length, .. } = episode.stage else { return None };
        Some(Arrival {
            at,
            show: feed.name().to_owned(),
            feed: feed.url().to_string(),
            episode: About::new(episode),
            published: episode.published,
            path: self.settings.library.join(episode.file.as_ref()?),
            length,
        })
    }
}
