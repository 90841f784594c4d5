//! What is done when something happens, as the owner wishes: programs that are started, servers that are told.
//!
//! Each hook has a queue and a task of its own. Whatever happens is put into the queue and goes on at once: no release
//! waits for a hook, and a hook that takes too long keeps only its own next ones waiting. What finds the queue full is
//! not done, and that counts as a failure like any other.
//!
//! A program gets what happened as JSON on its standard input, and in variables that begin with `PODPUB_`. A server
//! gets the same JSON by POST, signed with HMAC-SHA256 in `X-Hub-Signature-256` if there is a secret; it is tried again
//! for a quarter of an hour while it cannot be reached, is overloaded or fails.
//!
//! Law: a hook is ended, with everything that it started, when its time is over or the publisher stops.

mod hook;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use podswarm_core::app::hook::{Action, Delivery, Undelivered, WAITS, post as post_once, run};
use podswarm_core::net::Route;
use podswarm_core::net::http::{HttpClient, HttpError, Reach};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use utoipa::ToSchema;
use uuid::Uuid;

pub(crate) use hook::{Hook, Occasion};

use crate::USER_AGENT;
use crate::wire::{EpisodeInfo, ShowInfo};

/// What may wait for one hook.
const QUEUE: usize = 64;

/// Something that happened, as hooks are told of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Happening {
    /// What.
    pub(crate) event: Occasion,
    /// When.
    pub(crate) at: DateTime<Utc>,
    /// In which show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) show: Option<ShowInfo>,
    /// To which episode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) episode: Option<EpisodeInfo>,
    /// On which disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) disk: Option<Disk>,
}

/// A disk that is nearly full.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Disk {
    /// The data directory.
    pub(crate) path: String,
    /// Bytes that are free.
    pub(crate) available: u64,
    /// Bytes that should stay free.
    pub(crate) reserve: u64,
}

impl Happening {
    /// What happened, for a program that reads no JSON.
    fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![("PODPUB_EVENT", self.event.to_string())];
        if let Some(show) = &self.show {
            variables.extend([("PODPUB_SHOW", show.slug.to_string()), ("PODPUB_FEED", show.feed.to_string())]);
        }
        if let Some(episode) = &self.episode {
            variables.extend([
                ("PODPUB_TITLE", episode.title.replace('\0', "")),
                ("PODPUB_GUID", episode.guid.replace('\0', "")),
                ("PODPUB_PAGE", episode.page.to_string()),
                ("PODPUB_MEDIA", episode.media.to_string()),
                ("PODPUB_TORRENT", episode.torrent.to_string()),
            ]);
            variables.extend(episode.magnet.clone().map(|magnet| ("PODPUB_MAGNET", magnet)));
        }
        if let Some(disk) = &self.disk {
            variables.extend([("PODPUB_DISK", disk.path.clone()), ("PODPUB_FREE", disk.available.to_string())]);
        }
        variables
    }

    fn json(&self) -> Bytes {
        serde_json::to_vec(self).expect("what happened has a JSON form").into()
    }
}

/// How a hook has done since the start.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct HookStatus {
    /// The program, or the server.
    pub(crate) hook: String,
    /// How often it was done.
    pub(crate) done: u64,
    /// How often it failed.
    pub(crate) failed: u64,
    /// How it failed last.
    pub(crate) last_failure: Option<HookFailure>,
}

/// How a hook failed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct HookFailure {
    /// When.
    pub(crate) at: DateTime<Utc>,
    /// On which occasion.
    pub(crate) event: Occasion,
    /// Why, as one sentence.
    pub(crate) error: String,
}

/// All hooks at work.
#[derive(Debug, Default)]
pub(crate) struct Hooks(Vec<Runner>);

#[derive(Debug)]
struct Runner {
    hook: Arc<Hook>,
    queue: mpsc::Sender<Arc<Happening>>,
    status: Arc<Mutex<HookStatus>>,
}

impl Hooks {
    /// Starts a task for each of `hooks`, which asks servers by `route`, until `stop`.
    pub(crate) fn start(
        hooks: Vec<Hook>,
        route: &Route,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Result<Self, HttpError> {
        // The owner typed where to: it may be at home.
        let http = HttpClient::new(Reach::Any, USER_AGENT, route)?;
        let runners = hooks.into_iter().map(|hook| {
            let (queue, happenings) = mpsc::channel(QUEUE);
            let (hook, http) = (Arc::new(hook), http.clone());
            let name = hook.action.to_string();
            let status = HookStatus { hook: name, done: 0, failed: 0, last_failure: None };
            let status = Arc::new(Mutex::new(status));
            tasks.spawn(hook_task(Arc::clone(&hook), http, happenings, Arc::clone(&status), stop.clone()));
            Runner { hook, queue, status }
        });
        Ok(Self(runners.collect()))
    }

    /// Whether anybody is to be told of such a thing.
    pub(crate) fn want(&self, occasion: Occasion) -> bool {
        self.0.iter().any(|runner| runner.hook.on.contains(&occasion))
    }

    /// Has all hooks for it done, some time.
    pub(crate) fn tell(&self, happening: Happening) {
        let happening = Arc::new(happening);
        for runner in self.0.iter().filter(|runner| runner.hook.on.contains(&happening.event)) {
            if runner.queue.try_send(Arc::clone(&happening)).is_err() {
                note(&runner.status, happening.event, Err(format!("{QUEUE} others wait for it already")));
            }
        }
    }

    /// How each has done.
    pub(crate) fn status(&self) -> Vec<HookStatus> {
        self.0.iter().map(|runner| runner.status.lock().unwrap_or_else(PoisonError::into_inner).clone()).collect()
    }
}

async fn hook_task(
    hook: Arc<Hook>,
    http: HttpClient,
    mut happenings: mpsc::Receiver<Arc<Happening>>,
    status: Arc<Mutex<HookStatus>>,
    stop: CancellationToken,
) {
    let work = async {
        while let Some(happening) = happenings.recv().await {
            let done = match &hook.action {
                Action::Run(words) => run(words, happening.variables(), &happening.json(), hook.time).await,
                Action::Post { url, secret } => {
                    let waits = WAITS.into_iter().collect();
                    post(&http, url.as_str(), secret.as_deref(), &happening, hook.time, waits).await
                }
            };
            note(&status, happening.event, done);
        }
    };
    stop.run_until_cancelled(work).await;
}

/// Remembers how it went, and says so if it did not.
fn note(status: &Mutex<HookStatus>, event: Occasion, done: Result<(), String>) {
    let mut status = status.lock().unwrap_or_else(PoisonError::into_inner);
    match done {
        Ok(()) => status.done += 1,
        Err(error) => {
            tracing::warn!(hook = status.hook, %event, error, "a hook failed");
            status.failed += 1;
            status.last_failure = Some(HookFailure { at: Utc::now(), event, error });
        }
    }
}

/// Tells a server, again after each of `waits` while that may help.
async fn post(
    http: &HttpClient,
    url: &str,
    secret: Option<&str>,
    happening: &Happening,
    time: Duration,
    mut waits: VecDeque<Duration>,
) -> Result<(), String> {
    let (event, id, body) = (happening.event.to_string(), Uuid::new_v4().to_string(), happening.json());
    let delivery = Delivery { event: &event, id: &id, body: &body };
    loop {
        let error = match post_once(http, url, secret, &delivery, time).await {
            Ok(()) => return Ok(()),
            Err(Undelivered::ForNow(error)) => error,
            Err(Undelivered::ForGood(error)) => return Err(error),
        };
        let Some(wait) = waits.pop_front() else { return Err(error) };
        tracing::debug!(%error, ?wait, "a server is told again");
        tokio::time::sleep(wait).await;
    }
}

#[cfg(test)]
mod tests;
