//! The rim around the agent: it does what the agent decides, and tells it what came of it.
//!
//! One task owns the agent and the store. Everything that takes time (polling, listening, downloading, seeding) runs
//! in tasks of its own and comes back as a message. Commands ask through the same door, so that an answer never sees
//! half a change.
//!
//! Decides nothing. Law: what the agent wants saved is on the disk before anything after it is done or told.

mod answer;
mod callback;
mod connect_back;
mod consent;
mod extras;
mod fetch;
mod figures;
mod find;
mod hook;
mod kit;
#[cfg(target_os = "linux")]
mod line;
mod listen;
mod locate;
mod phone;
mod poll;
mod prepare;
mod remove;
mod sync;
mod tags;
mod task;
mod views;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use podswarm_core::app::upgrade::admit;
use podswarm_core::app::{DataDirLock, Explain, Failure, Out};
use podswarm_core::net::{Engine, EngineConfig, Route, system_rng};
use podswarm_core::store::Store;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::agent::catalogue::Catalogue;
use crate::agent::event::Event;
use crate::agent::websub::Question;
use crate::agent::{Agent, Duty, Input, Settings};
use crate::ask::{Ask, EpisodeView, Reply};
use crate::consent::DecidedBy;
use crate::keep;
use crate::library::Library;
use crate::metrics::Figures;
use crate::records::{EpisodeId, FeedId};
use crate::web::{Found, Kept, WebSite};

pub(crate) use fetch::transfer_of;
pub(crate) use sync::{Followed, ListChange, SyncAsk, SyncReply, Told};

use kit::Kit;
use task::Task;

/// Messages that wait for the hub; who sends more waits.
const INBOX: usize = 256;

/// Visitors at the port for peers who wait to be received.
const VISITORS: usize = 16;

/// Events that a listener may be behind before it loses some.
const BEHIND: usize = 1024;

/// How this program calls itself to hosts and peers.
pub const USER_AGENT: &str = concat!("podsub/", env!("CARGO_PKG_VERSION"));

/// What a hub is made from.
pub struct HubOptions {
    /// The right to the data directory; held for as long as the hub lives.
    pub lock: DataDirLock,
    /// What the owner has set. The library is the default; see `library`.
    pub settings: Settings,
    /// The library that the owner asked for; `None` takes the one that was used last.
    pub library: Option<PathBuf>,
    /// How to speak to peers; `None` takes part in no swarm.
    pub engine: Option<EngineConfig>,
    /// What is said to the owner before it does.
    pub greeting: Option<Greeting>,
    /// How hosts are reached.
    pub route: Route,
    /// Where players find episodes; `None` if nothing is served to them.
    pub web: Option<WebSite>,
    /// Where the owner is told of a state that is not as it was left.
    pub out: Out,
}

/// Tells the owner what swarms are, or asks him whether he takes part in them, where nobody has decided it; gives his
/// answer. Blocks the thread.
pub type Greeting = Box<dyn FnOnce(DecidedBy) -> Result<Option<bool>, Failure> + Send>;

/// An agent that runs.
pub struct Hub {
    inbox: mpsc::Sender<Message>,
    events: broadcast::Sender<Event>,
    task: JoinHandle<Result<(), Failure>>,
    library: PathBuf,
    engine: Option<Engine>,
    is_to_be_told: bool,
    /// Given up when everything else has ended.
    _lock: DataDirLock,
}

/// A way to a hub that runs, for whoever serves its commands.
#[derive(Clone)]
pub struct HubHandle {
    inbox: mpsc::Sender<Message>,
    events: broadcast::Sender<Event>,
}

/// What comes to the hub.
enum Message {
    /// Something happened.
    Input(Input),
    /// A command wants something.
    Ask(Ask, oneshot::Sender<Result<Reply, Failure>>),
    /// Somebody wants an episode's bytes; nothing is answered if there is no such episode.
    Locate(EpisodeId, oneshot::Sender<Found>),
    /// Somebody wants an episode's chapters; nothing is answered if none are kept.
    Chapters(EpisodeId, oneshot::Sender<String>),
    /// Somebody wants a show's cover; nothing is answered if none is kept.
    Cover(FeedId, oneshot::Sender<PathBuf>),
    /// Somebody wants to know all that is kept.
    Kept(oneshot::Sender<Vec<Kept>>),
    /// Somebody watches over the agent.
    Figures(oneshot::Sender<Figures>),
    /// An app that is kept in step wants something.
    Sync(SyncAsk, oneshot::Sender<Result<SyncReply, Failure>>),
    /// Somebody has come to the port for peers by this path and asks as hubs do; answered with what to give back.
    HubCame { token: String, question: Question, reply: oneshot::Sender<Option<String>> },
    /// Somebody tells of news there; answered with what he signs with, if he is a hub.
    HubSecret { token: String, reply: oneshot::Sender<Option<String>> },
    /// Somebody waits until nothing is left to do; answered with the episodes that could not be had.
    Settle(oneshot::Sender<Vec<EpisodeView>>),
    /// The end.
    Stop,
}

impl Hub {
    /// Opens the store, starts the engine and lets the agent begin.
    pub async fn start(options: HubOptions) -> Result<(Self, broadcast::Receiver<Event>), Failure> {
        let HubOptions { lock, mut settings, library, engine, greeting, route, web, out } = options;
        let dir = lock.dir().clone();
        let path = dir.path().to_owned();
        let (checked, shape) = (dir.clone(), keep::shape(&dir));
        if let Some(upgrade) = tokio::task::spawn_blocking(move || admit(&checked, &shape)).await?? {
            out.note(upgrade.notice());
        }
        let (store, catalogue, memory, extras) = tokio::task::spawn_blocking(move || {
            let (store, report) = Store::open(&path)?;
            if let Some(notice) = report.for_the_owner(&path) {
                out.warn(notice);
            }
            let (catalogue, memory) = keep::load(&store)?;
            sweep(&path, &catalogue);
            let extras = extras::open(&path, &catalogue);
            Ok::<_, podswarm_core::store::StoreError>((store, catalogue, memory, extras))
        })
        .await?
        .map_err(|error| with_hint(Failure::new("open the store"), error))?;
        if let Some(root) = &library {
            // What cannot be a library is not remembered as one.
            tokio::fs::create_dir_all(root).await.explain(|| format!("keep episodes in `{}`", root.display()))?;
        }
        settings.library = library.or(memory.library).unwrap_or(settings.library);
        let root = settings.library.clone();
        settings.heed(memory.takes_part);
        let may_take_part = engine.is_some() && !settings.is_http_only();
        if let Some(greet) = greeting.filter(|_| may_take_part && settings.decided_by != DecidedBy::Answer) {
            let decided_by = settings.decided_by;
            if let Some(takes_part) = tokio::task::spawn_blocking(move || greet(decided_by)).await?? {
                keep::remember_answer(&store, takes_part).explain(|| "remember the answer".to_owned())?;
                settings.heed(Some(takes_part));
            }
        }
        let engine = engine.filter(|_| !settings.is_http_only());
        let is_to_be_told = engine.is_some() && settings.decided_by != DecidedBy::Answer;
        let (visitors, visits) = mpsc::channel(VISITORS);
        let visitors = settings.receives_hubs().then_some(visitors);
        let engine = match engine {
            Some(config) => Some(Engine::start(EngineConfig { visitors, ..config }).await?),
            None => None,
        };
        let (inbox, messages) = mpsc::channel(INBOX);
        let (events, listener) = broadcast::channel(BEHIND);
        if settings.duty != Duty::Answer {
            keep::remember_library(&store, root.clone()).explain(|| "remember the library".to_owned())?;
        }
        if let Some(engine) = &engine {
            for addr in engine.addrs() {
                // Nobody listens but the receiver that is given back.
                let _ = events.send(Event::Listening { kind: "peer".to_owned(), addr: *addr });
            }
        }
        let shelf = (Library::new(root.clone()), extras);
        let kit = Arc::new(Kit::new(&settings, dir, route, shelf, engine.clone(), web, inbox.clone())?);
        #[cfg(target_os = "linux")]
        if settings.heeds_metered() {
            kit.spawn(line::watch(Arc::clone(&kit)));
        }
        if let Some(engine) = engine.clone().filter(|_| settings.receives_hubs()) {
            kit.spawn(callback::receive(Arc::clone(&kit), visits));
            kit.spawn(callback::watch_outside(Arc::clone(&kit), engine.watch_port_map()));
        }
        let agent = Agent::new(settings, catalogue, kit.now(), system_rng());
        let task = Task::new(agent, store, kit, events.clone());
        let task = tokio::spawn(task.run(messages));
        Ok((Self { inbox, events, task, library: root, engine, is_to_be_told, _lock: lock }, listener))
    }

    /// Where the library is.
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// Whether swarms are taken part in and the owner may not know yet what that is.
    pub const fn is_to_be_told(&self) -> bool {
        self.is_to_be_told
    }

    /// Tells those who listen of something that the hub does not know of.
    pub fn tell(&self, event: Event) {
        // Nobody has to listen.
        let _ = self.events.send(event);
    }

    /// A way to this hub.
    pub fn handle(&self) -> HubHandle {
        HubHandle { inbox: self.inbox.clone(), events: self.events.clone() }
    }

    /// Waits until the hub ends by itself, which it does only when it cannot go on.
    pub async fn failed(&mut self) -> Failure {
        match (&mut self.task).await {
            Ok(Ok(())) => Failure::new("the agent ended by itself"),
            Ok(Err(failure)) => failure,
            Err(error) => Failure::new("the agent broke down").because(error),
        }
    }

    /// Ends everything: downloads stop where they are, trackers are told, resume files are written.
    pub async fn stop(mut self) -> Result<(), Failure> {
        // A hub that has ended already needs no word.
        let _ = self.inbox.send(Message::Stop).await;
        let ended = if self.task.is_finished() { Ok(()) } else { (&mut self.task).await? };
        if let Some(engine) = &self.engine {
            engine.shutdown().await;
        }
        ended
    }
}

impl HubHandle {
    /// Asks, and waits for the answer.
    pub async fn ask(&self, ask: Ask) -> Result<Reply, Failure> {
        let (reply, answer) = oneshot::channel();
        let gone = || Failure::new("the agent is stopping");
        self.inbox.send(Message::Ask(ask, reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// All figures; `None` if the hub has ended.
    pub(crate) async fn figures(&self) -> Option<Figures> {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(Message::Figures(reply)).await.ok()?;
        answer.await.ok()
    }

    /// Where the bytes of an episode are; `None` if there is no such episode, or the hub has ended.
    pub(crate) async fn locate(&self, id: EpisodeId) -> Option<Found> {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(Message::Locate(id, reply)).await.ok()?;
        answer.await.ok()
    }

    /// The chapters of an episode as JSON; `None` if none are kept.
    pub(crate) async fn chapters(&self, id: EpisodeId) -> Option<String> {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(Message::Chapters(id, reply)).await.ok()?;
        answer.await.ok()
    }

    /// The file with a show's cover; `None` if none is kept.
    pub(crate) async fn cover(&self, feed: FeedId) -> Option<PathBuf> {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(Message::Cover(feed, reply)).await.ok()?;
        answer.await.ok()
    }

    /// All that is kept, the newest release first; `None` if the hub has ended.
    pub(crate) async fn kept(&self) -> Option<Vec<Kept>> {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(Message::Kept(reply)).await.ok()?;
        answer.await.ok()
    }

    /// Asks for an app that is kept in step, and waits for the answer.
    pub(crate) async fn sync(&self, ask: SyncAsk) -> Result<SyncReply, Failure> {
        let (reply, answer) = oneshot::channel();
        let gone = || Failure::new("the agent is stopping");
        self.inbox.send(Message::Sync(ask, reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// All that happens from now on.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Waits until nothing is left to do; gives the wanted episodes that could not be had.
    pub async fn settled(&self) -> Result<Vec<EpisodeView>, Failure> {
        let (reply, answer) = oneshot::channel();
        let gone = || Failure::new("the agent is stopping");
        self.inbox.send(Message::Settle(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }
}

/// Deletes copies of torrents, and records of how far they are, that no episode needs any more.
fn sweep(dir: &Path, catalogue: &Catalogue) {
    let is_needless = |path: &Path| {
        let hash = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        hash.is_some_and(|hash| !catalogue.knows(hash))
    };
    for folder in ["torrents", "resume"] {
        let entries = std::fs::read_dir(dir.join(folder)).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()).filter(|path| is_needless(path)) {
            // What stays is tried again the next time.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// The failure with the store's way out.
fn with_hint(failure: Failure, error: podswarm_core::store::StoreError) -> Failure {
    failure.with_any_hint(error.hint()).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::testing::{hash, torrent, wall};
    use crate::records::{Feed, FeedId};

    #[test]
    fn only_what_no_episode_needs_is_swept_away() {
        let dir = tempfile::tempdir().unwrap();
        let mut catalogue = Catalogue::default();
        catalogue.put_feed(Feed::new(FeedId(1), "http://host.example/".parse().unwrap(), wall(0)));
        catalogue.read(FeedId(1), vec![torrent("a", 0, hash(1))], wall(0));
        let names = [
            format!("torrents/{}.torrent", hash(1)),
            format!("torrents/{}.torrent", hash(2)),
            format!("resume/{}", hash(1)),
            format!("resume/{}", hash(2)),
            "torrents/mine.txt".to_owned(),
        ];
        for name in &names {
            std::fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        sweep(dir.path(), &catalogue);
        let left: Vec<_> = names.iter().map(|name| dir.path().join(name).exists()).collect();
        assert_eq!(left, [true, false, true, false, true]);
    }
}
