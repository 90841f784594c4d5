//! The agent and the hubs that feeds name: who is asked, who has come, who tells of news.
//!
//! A hub is asked only for a feed that no event stream tells of, and where something leads from the hub to us. What it
//! tells of is fetched as what an event tells of; polling goes on beside it, as a hub may fall silent.

use std::net::SocketAddr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use podswarm_feeds::poll::{self, Now};
use serde::{Deserialize, Serialize};
use url::Url;

use super::event::Event;
use super::websub::{Farewell, GRACE, Question, callback_at};
use super::{Agent, Duty, Output};
use crate::records::FeedId;

/// How a feed stands with the hub that it names, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubState {
    /// The hub's host.
    pub host: String,
    /// Until when it tells us of news, if it does; it is asked to go on before.
    pub until: Option<DateTime<Utc>>,
    /// Why it does not, or may not go on.
    pub trouble: Option<String>,
}

impl Agent {
    /// How a feed stands with its hub; `None` if it names none.
    pub fn hub_state(&self, feed: FeedId, now: DateTime<Utc>) -> Option<HubState> {
        let websub = &self.follows.get(feed)?.websub;
        let host = websub.held()?.hub.host_str().unwrap_or_default().to_owned();
        Some(HubState { host, until: websub.until(now), trouble: websub.trouble().map(str::to_owned) })
    }

    /// What the hub signs with that reaches us by this path; `None` if none does.
    pub fn hub_secret(&self, token: &str) -> Option<&str> {
        let websub = &self.follows.get(self.told_at(token)?)?.websub;
        websub.held().map(|held| held.secret.as_str())
    }

    /// The feed of which the hub tells that reaches us by this path.
    fn told_at(&self, token: &str) -> Option<FeedId> {
        self.follows.ids().into_iter().find(|id| self.follows.get(*id).is_some_and(|follow| follow.websub.is_at(token)))
    }

    /// A feed was read, and names these hubs.
    pub(super) fn hubs_named(&mut self, now: Now, id: FeedId, hubs: Vec<Url>, topic: String, has_stream: bool) {
        let Some(follow) = self.follows.get_mut(id).filter(|_| self.settings.asks_hubs) else { return };
        let wait = if has_stream { GRACE } else { Duration::ZERO };
        let farewell = follow.websub.named(now, hubs, topic, wait, &mut self.rng);
        let is_local = self.catalogue.feed(id).is_some_and(|feed| feed.is_local);
        self.leave_hub(now, farewell, is_local);
    }

    /// Has a hub tell us no more.
    pub(super) fn leave_hub(&mut self, now: Now, farewell: Option<Farewell>, is_local: bool) {
        // Without an agent that goes on nobody would be there when it comes.
        if let Some(farewell) = farewell.filter(|_| self.settings.duty == Duty::Everything) {
            self.farewells.add(now, farewell.clone());
            self.outputs.push_back(Output::LeaveHub { farewell, is_local });
        }
    }

    /// A feed's hub need not tell of it, as when the owner has paused the feed.
    pub(super) fn pause_hub(&mut self, now: Now, id: FeedId) {
        let Some(follow) = self.follows.get_mut(id) else { return };
        let farewell = follow.websub.pause(&mut self.rng);
        let is_local = self.catalogue.feed(id).is_some_and(|feed| feed.is_local);
        self.remember_hub(id);
        self.leave_hub(now, farewell, is_local);
    }

    /// What a feed's hub was is forgotten, as the feed is elsewhere and may name another.
    pub(super) fn forget_hub(&mut self, now: Now, id: FeedId, is_local: bool) {
        let Some(follow) = self.follows.get_mut(id) else { return };
        let farewell = follow.websub.stop();
        self.remember_hub(id);
        self.leave_hub(now, farewell, is_local);
    }

    /// Nobody reaches us any more: hubs need not tell of a feed.
    pub(super) fn close_to_hub(&mut self, now: Now, id: FeedId) {
        self.pause_hub(now, id);
        if let Some(follow) = self.follows.get_mut(id).filter(|follow| !follow.is_paused) {
            follow.websub.wake(now, Duration::ZERO);
        }
    }

    /// Whoever is outside reaches us here, as far as is known.
    pub(super) fn reached_at(&mut self, now: Now, outside: Option<SocketAddr>) {
        // Who takes part in no swarm has no port to be reached at.
        let outside = outside.filter(|_| !self.settings.is_http_only());
        self.outside = outside;
        let Some(outside) = outside else { return };
        for id in self.follows.ids() {
            let is_local = self.catalogue.feed(id).is_some_and(|feed| feed.is_local);
            let Some(follow) = self.follows.get_mut(id).filter(|follow| !follow.is_paused && !follow.is_told) else {
                continue;
            };
            follow.websub.wake(now, Duration::ZERO);
            let Some(held) = follow.websub.held().filter(|_| !is_local) else { continue };
            if held.callback.as_ref().is_some_and(|callback| *callback != callback_at(outside, &held.token)) {
                follow.websub.moved(now);
            }
        }
    }

    /// Asks a feed's hub, if its time has come.
    pub(super) fn tend_hub(&mut self, now: Now, id: FeedId) {
        let Some(feed) = self.catalogue.feed(id) else { return };
        let Some(follow) = self.follows.get_mut(id).filter(|follow| follow.websub.is_due(now)) else { return };
        let (is_local, outside) = (feed.is_local, self.outside);
        if follow.is_told {
            follow.websub.spare();
        } else if outside.is_none() && !is_local {
            follow.websub.find_no_way();
        } else if let Some(request) = follow.websub.ask(now, &mut self.rng) {
            // Before anybody is asked, it is written down what he was told.
            self.remember_hub(id);
            self.outputs.push_back(Output::AskHub { feed: id, request, outside, is_local });
        } else {
            self.remember_hub(id);
        }
    }

    /// What came of [`Output::AskHub`].
    pub(super) fn hub_answered(&mut self, now: Now, id: FeedId, serial: u64, outcome: Result<Url, String>) {
        if let Some(follow) = self.follows.get_mut(id) {
            follow.websub.answered(now, serial, outcome, &mut self.rng);
            self.remember_hub(id);
        }
    }

    /// Somebody has come by this path as hubs do, and asks.
    pub(super) fn hub_came(&mut self, now: Now, visit: u64, token: &str, question: &Question) {
        let mut echo = self.farewells.came(now, token, question);
        if let Some(id) = self.told_at(token)
            && let Some(follow) = self.follows.get_mut(id)
        {
            let was_told = follow.websub.until(now.wall).is_some();
            echo = echo.or_else(|| follow.websub.came(now, question, &mut self.rng));
            let until = follow.websub.until(now.wall).filter(|_| !was_told);
            self.remember_hub(id);
            if let (Some(state), Some(feed)) = (self.hub_state(id, now.wall), self.catalogue.feed(id))
                && until.is_some()
            {
                self.tell(Event::HubOpen { feed_id: id, feed: feed.url().to_string(), hub: state.host });
            }
        }
        self.outputs.push_back(Output::AnswerHub { visit, echo });
    }

    /// A hub tells by this path that there is news, and has signed it.
    pub(super) fn hub_told(&mut self, now: Now, token: &str) {
        let Some(id) = self.told_at(token) else { return };
        if let Some(follow) = self.follows.get_mut(id).filter(|follow| !follow.is_paused) {
            follow.poller.handle(now, poll::Input::Pushed);
            self.drain_poller(now, id);
        }
    }

    /// Writes down how a feed stands with its hub, if that has changed.
    fn remember_hub(&mut self, id: FeedId) {
        let held = self.follows.get(id).and_then(|follow| follow.websub.held());
        if self.catalogue.feed(id).is_some_and(|feed| feed.subscription.as_ref() != held) {
            let held = held.cloned();
            if let Some(feed) = self.catalogue.feed_mut(id) {
                feed.subscription = held;
            }
            self.save_feed(id);
        }
    }
}
