//! What is done when something happens, as the owner wishes: programs that are started, servers that are told.
//!
//! Each hook has a queue and a task of its own. Whatever happens is put into the queue and goes on at once: no release
//! waits for a hook, and a hook that takes too long keeps only its own next ones waiting. What finds the queue full is
//! not done, and that counts as a failure like any other.
//!
//! A program gets what happened as JSON on its standard input, and in variables that begin with `PODPUB_`. A server
//! gets the same JSON by POST, signed with HMAC-SHA256 in `X-Hub-Signature-256` if there is a secret; it is tried again
//! while it cannot be reached, is overloaded or fails. What it has not taken is kept, and sent after a restart.
//!
//! Laws: a hook is ended, with everything that it started, when its time is over or the publisher stops. What happened
//! to an episode is stored with an [`UntoldRecord`], so that a publisher that is killed before it comes to
//! [`Hooks::tell`] tells it later. What that was told is sent to a server at least once, in the order in which it
//! happened, or is given up with a word in the log.

mod delivery;
mod hook;
mod untold;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use podswarm_core::app::hook::{Action, WAITS, run};
use podswarm_core::app::{Explain as _, Failure};
use podswarm_core::net::Route;
use podswarm_core::net::http::{HttpClient, Reach};
use podswarm_core::store::{Record as _, Store};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use utoipa::ToSchema;
use uuid::Uuid;

pub(crate) use delivery::DeliveryRecord;
pub(crate) use hook::{Hook, Occasion};
pub(crate) use untold::{UntoldRecord, Wanted};

use crate::USER_AGENT;
use crate::host::blocking;
use crate::wire::{EpisodeInfo, ShowInfo};
use delivery::{Server, give_up_stray, receiver_of};

/// What may wait for one hook.
const QUEUE: usize = 256;

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

    fn json(&self) -> String {
        serde_json::to_string(self).expect("what happened has a JSON form")
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
    /// What waits for it, that which is being done among it.
    #[serde(default)]
    pub(crate) waiting: u64,
    /// Why the first of that was not taken yet, as one sentence; it is tried again.
    #[serde(default)]
    pub(crate) trouble: Option<String>,
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
pub(crate) struct Hooks {
    runners: Vec<Runner>,
    /// The occasions on which one of them wants to be told.
    wanted: Wanted,
    /// Where deliveries are kept.
    store: Store,
    /// The number of the next delivery; held while things are put into the queues, so that all have one order.
    next: tokio::sync::Mutex<u64>,
}

#[derive(Debug)]
struct Runner {
    hook: Arc<Hook>,
    /// Names its server, if it has one.
    receiver: Option<String>,
    queue: mpsc::Sender<Waiting>,
    status: Arc<Mutex<HookStatus>>,
}

/// What waits for a hook.
#[derive(Clone, Debug)]
struct Waiting {
    delivery: DeliveryRecord,
    /// What a program is told besides.
    variables: Vec<(&'static str, String)>,
}

impl Hooks {
    /// Starts a task for each of `hooks`, which asks servers by `route`, until `stop`; what `store` keeps for them goes
    /// first.
    pub(crate) async fn start(
        hooks: Vec<Hook>,
        store: &Store,
        route: &Route,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Result<Self, Failure> {
        // The owner typed where to: it may be at home.
        let http = HttpClient::new(Reach::Any, USER_AGENT, route).explain(|| "make ready for hooks".to_owned())?;
        let receivers = receivers(&hooks);
        let wanted = hooks.iter().flat_map(|hook| &hook.on).copied().collect();
        let (kept_in, known): (_, Vec<_>) = (store.clone(), receivers.iter().flatten().cloned().collect());
        let kept = blocking(move || {
            let kept = kept_in.scan::<DeliveryRecord>("")?;
            give_up_stray(&kept_in, &kept, &known, Utc::now()).map(|()| kept)
        });
        let mut kept = kept.await.explain(|| "read what servers are still to be told".to_owned())?;
        kept.sort_by_key(|delivery| delivery.number);
        let next = kept.last().map_or(0, |last| last.number + 1);
        let mut runners = Vec::new();
        for (hook, receiver) in hooks.into_iter().zip(receivers) {
            let is_own = |delivery: &mut DeliveryRecord| Some(&delivery.receiver) == receiver.as_ref();
            let own: Vec<_> = kept.extract_if(.., is_own).collect();
            let (queue, waiting) = mpsc::channel(QUEUE.max(own.len()));
            let status = HookStatus { waiting: own.len() as u64, ..HookStatus::of(&hook) };
            for delivery in own {
                queue.try_send(Waiting { delivery, variables: Vec::new() }).expect("there is room for all of them");
            }
            let (hook, status) = (Arc::new(hook), Arc::new(Mutex::new(status)));
            let work = Work { hook: Arc::clone(&hook), http: http.clone(), store: store.clone(), status };
            let status = Arc::clone(&work.status);
            tasks.spawn(stop.clone().run_until_cancelled_owned(work.hook_task(waiting)));
            runners.push(Runner { hook, receiver, queue, status });
        }
        Ok(Self { runners, wanted, store: store.clone(), next: tokio::sync::Mutex::new(next) })
    }

    /// The occasions on which somebody is to be told.
    pub(crate) const fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Has all hooks for it done, some time; what goes to servers is kept when this returns, and it is untold no more.
    pub(crate) async fn tell(&self, happening: Happening) {
        let (event, body, variables) = (happening.event, happening.json(), happening.variables());
        let mut next = self.next.lock().await;
        let mut waiting = Vec::new();
        for runner in self.runners.iter().filter(|runner| runner.hook.on.contains(&event)) {
            let place = match runner.queue.try_reserve() {
                Ok(place) => Some(place),
                // The publisher stops; what is kept is sent when it starts again.
                Err(TrySendError::Closed(())) => None,
                Err(TrySendError::Full(())) => {
                    note(&mut runner.status(), event, Err(format!("{QUEUE} others wait for it already")));
                    continue;
                }
            };
            let receiver = runner.receiver.clone().unwrap_or_default();
            let (id, at, body) = (Uuid::new_v4(), happening.at, body.clone());
            let delivery = DeliveryRecord { receiver, number: *next, id, event, at, body };
            waiting.push((runner, place, Waiting { delivery, variables: variables.clone() }));
            *next += 1;
        }
        let of_servers = waiting.iter().filter(|(runner, ..)| runner.receiver.is_some());
        let to_keep: Vec<_> = of_servers.map(|(.., waiting)| waiting.delivery.clone()).collect();
        let untold = happening.episode.as_ref().map(|it| UntoldRecord::key_of(&it.show, &it.file, event));
        let store = self.store.clone();
        let keep = move || {
            store.batch(|batch| {
                for delivery in &to_keep {
                    batch.put(delivery);
                }
                if let Some(key) = untold {
                    batch.delete::<UntoldRecord>(key);
                }
            })
        };
        if let Err(error) = blocking(keep).await {
            // A full disk is among what is told.
            tracing::warn!(%event, %error, "what servers are told is not kept, and is lost if the publisher ends");
        }
        for (runner, place, waiting) in waiting {
            if let Some(place) = place {
                runner.status().waiting += 1;
                place.send(waiting);
            }
        }
    }

    /// How each has done.
    pub(crate) fn status(&self) -> Vec<HookStatus> {
        self.runners.iter().map(|runner| runner.status().clone()).collect()
    }
}

/// Names the server of each hook, where it has one.
fn receivers(hooks: &[Hook]) -> Vec<Option<String>> {
    let mut times = BTreeMap::new();
    let mut name = |hook: &Hook| {
        let Action::Post { url, .. } = &hook.action else { return None };
        let before: &mut usize = times.entry(url.clone()).or_default();
        *before += 1;
        Some(receiver_of(url, *before - 1))
    };
    hooks.iter().map(&mut name).collect()
}

impl Runner {
    fn status(&self) -> MutexGuard<'_, HookStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HookStatus {
    /// A hook that has done nothing yet.
    fn of(hook: &Hook) -> Self {
        let hook = hook.action.to_string();
        Self { hook, done: 0, failed: 0, last_failure: None, waiting: 0, trouble: None }
    }
}

/// What a hook does its work with.
struct Work {
    hook: Arc<Hook>,
    http: HttpClient,
    store: Store,
    status: Arc<Mutex<HookStatus>>,
}

impl Work {
    async fn hook_task(self, mut queue: mpsc::Receiver<Waiting>) {
        while let Some(Waiting { delivery, variables }) = queue.recv().await {
            let done = match &self.hook.action {
                Action::Run(words) => run(words, variables, delivery.body.as_bytes(), self.hook.time).await,
                Action::Post { url, secret } => {
                    let server = Server { http: &self.http, url, secret: secret.as_deref(), time: self.hook.time };
                    let stumble = |error: &str| self.stumble(&delivery, error);
                    let done = server.deliver(&delivery, WAITS.into_iter(), stumble).await;
                    self.forget(&delivery).await;
                    done
                }
            };
            let mut status = self.status();
            (status.waiting, status.trouble) = (status.waiting.saturating_sub(1), None);
            note(&mut status, delivery.event, done);
        }
    }

    /// Takes note that a server has not taken what it is told next, and says so once.
    fn stumble(&self, delivery: &DeliveryRecord, error: &str) {
        let mut status = self.status();
        if status.trouble.is_none() {
            let (hook, event, id) = (&status.hook, delivery.event, delivery.id);
            tracing::warn!(hook, %event, delivery = %id, error, "a server is told later");
        }
        status.trouble = Some(error.to_owned());
    }

    /// Keeps a delivery no longer.
    async fn forget(&self, delivery: &DeliveryRecord) {
        let (store, key) = (self.store.clone(), delivery.key());
        if let Err(error) = blocking(move || store.delete::<DeliveryRecord>(key)).await {
            tracing::warn!(%error, "a delivery that is over cannot be removed, and is sent again after a restart");
        }
    }

    fn status(&self) -> MutexGuard<'_, HookStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Remembers how it went, and says so if it did not.
fn note(status: &mut HookStatus, event: Occasion, done: Result<(), String>) {
    match done {
        Ok(()) => status.done += 1,
        Err(error) => {
            tracing::warn!(hook = status.hook, %event, error, "a hook failed");
            status.failed += 1;
            status.last_failure = Some(HookFailure { at: Utc::now(), event, error });
        }
    }
}

#[cfg(test)]
mod tests;
