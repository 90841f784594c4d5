//! What every task of the hub needs.

use std::collections::BTreeMap;
use std::ops::Add as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::Utc;
use podswarm_core::app::{DataDir, Failure};
use podswarm_core::metainfo::InfoHash;
use podswarm_core::net::clock::Clock;
use podswarm_core::net::http::{HttpClient, Reach};
use podswarm_core::net::{Conduct, Engine, Route, Torrent};
use podswarm_core::witness::Offer;
use podswarm_feeds::poll::Now;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::fetch::{self, Meter};
use super::{Message, USER_AGENT};
use crate::agent::{Input, Seeding, Settings, Sources};
use crate::extras::Extras;
use crate::library::Library;
use crate::metrics::Moved;
use crate::records::{EpisodeId, FeedId};
use crate::tags::Cover;
use crate::web::WebSite;

/// Feeds that are asked at the same time.
const POLLS_AT_ONCE: usize = 16;

/// Files that are made ready to be seeded at the same time; each occupies a thread while it is looked at.
const OPENED_AT_ONCE: usize = 8;

/// What every task of the hub needs.
pub(super) struct Kit {
    pub(super) library: Library,
    engine: Option<Engine>,
    /// The owner wants to be in swarms no longer.
    has_left: AtomicBool,
    pub(super) seeding: Seeding,
    /// So much of the disk the owner wants free.
    pub(super) leave_free: Option<u64>,
    /// The cover that was fetched last, and where it was.
    pub(super) last_cover: tokio::sync::Mutex<Option<(String, Arc<Cover>)>>,
    /// Covers and chapters that are kept.
    pub(super) extras: Extras,
    /// What publishers are offered, if we connect back to them.
    offer: Option<Offer>,
    /// Where players find episodes.
    pub(super) web: Option<WebSite>,
    pub(super) polls: Semaphore,
    /// Who makes files ready to be seeded waits here.
    pub(super) opening: Semaphore,
    /// Cancelled when the hub ends.
    pub(super) stop: CancellationToken,
    /// How hosts are reached.
    pub(super) route: Route,
    pub(super) dir: DataDir,
    clock: Clock,
    any: HttpClient,
    public: HttpClient,
    pub(super) inbox: mpsc::Sender<Message>,
    board: Mutex<BTreeMap<EpisodeId, Live>>,
    /// Bytes that were moved by what has left the board.
    moved: Mutex<Moved>,
    /// How the episodes of each feed are treated in their swarms, and whether they are in any.
    conducts: Mutex<BTreeMap<FeedId, (Conduct, Sources)>>,
}

/// Something that moves data now.
#[derive(Clone)]
pub(super) enum Live {
    /// A plain download.
    Http(Arc<Meter>),
    /// A swarm.
    Torrent(Torrent),
}

impl Kit {
    pub(super) fn new(
        settings: &Settings,
        dir: DataDir,
        route: Route,
        (library, extras): (Library, Extras),
        engine: Option<Engine>,
        web: Option<WebSite>,
        inbox: mpsc::Sender<Message>,
    ) -> Result<Self, Failure> {
        Ok(Self {
            library,
            seeding: settings.seeding,
            leave_free: settings.limits.leave_free,
            last_cover: tokio::sync::Mutex::default(),
            extras,
            // Through a proxy nobody is dialled for this.
            offer: settings
                .connects_back
                .then_some(Offer { peers: engine.is_some() && route.proxy.is_none(), rest: Duration::ZERO }),
            engine,
            has_left: AtomicBool::new(false),
            web,
            polls: Semaphore::new(POLLS_AT_ONCE),
            opening: Semaphore::new(OPENED_AT_ONCE),
            stop: CancellationToken::new(),
            dir,
            clock: Clock::default(),
            any: HttpClient::new(Reach::Any, USER_AGENT, &route)?,
            public: HttpClient::new(Reach::Public, USER_AGENT, &route)?,
            route,
            inbox,
            board: Mutex::default(),
            moved: Mutex::default(),
            conducts: Mutex::default(),
        })
    }

    /// The present on both clocks.
    pub(super) fn now(&self) -> Now {
        Now { instant: self.clock.now(), wall: Utc::now() }
    }

    /// The client that goes as far as `reach`.
    pub(super) fn http(&self, reach: Reach) -> &HttpClient {
        match reach {
            Reach::Any => &self.any,
            Reach::Public => &self.public,
        }
    }

    /// Runs `work` beside the hub until it ends or the hub does.
    pub(super) fn spawn(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        tokio::spawn(async move {
            stop.run_until_cancelled(work).await;
        });
    }

    /// Tells the agent. A hub that has ended needs no word.
    pub(super) async fn tell(&self, input: Input) {
        let _ = self.inbox.send(Message::Input(input)).await;
    }

    /// Our copy of a torrent's metainfo.
    pub(super) fn torrent_file(&self, info_hash: InfoHash) -> PathBuf {
        self.dir.join("torrents").join(format!("{info_hash}.torrent"))
    }

    /// Where the engine remembers how far a torrent is.
    pub(super) fn resume_file(&self, info_hash: InfoHash) -> PathBuf {
        self.dir.join("resume").join(info_hash.to_string())
    }

    /// Shows that an episode moves data, until the guard is dropped.
    pub(super) fn show(self: &Arc<Self>, id: EpisodeId, live: Live) -> Shown {
        self.board().insert(id, live);
        Shown { kit: Arc::clone(self), id }
    }

    /// Shows that an episode's swarm moves data, as [`Kit::show`] does.
    pub(super) async fn show_swarm(self: &Arc<Self>, id: EpisodeId, torrent: &Torrent) -> Shown {
        let shown = self.show(id, Live::Torrent(torrent.clone()));
        // Until it was shown nobody could treat it as the owner may have come to want it meanwhile.
        torrent.treat(self.conduct(id.feed)).await;
        shown
    }

    /// How the episodes of a feed are treated in their swarms.
    pub(super) fn conduct(&self, feed: FeedId) -> Conduct {
        self.conducts().get(&feed).copied().unwrap_or_default().0
    }

    /// What speaks to peers, while swarms are taken part in.
    pub(super) fn engine(&self) -> Option<&Engine> {
        self.engine.as_ref().filter(|_| !self.has_left.load(Ordering::Relaxed))
    }

    /// Leaves all swarms for good, and closes the port for peers.
    pub(super) fn leave_swarms(self: &Arc<Self>) {
        self.has_left.store(true, Ordering::Relaxed);
        if let Some(engine) = self.engine.clone() {
            self.spawn(async move { engine.shutdown().await });
        }
    }

    /// The engine, if the episodes of a feed may be in swarms.
    pub(super) fn engine_for(&self, feed: FeedId) -> Option<&Engine> {
        let (_, sources) = self.conducts().get(&feed).copied().unwrap_or_default();
        self.engine().filter(|_| sources == Sources::All)
    }

    /// What a feed's publisher is offered, if we connect back to him.
    pub(super) fn offer(&self, feed: FeedId) -> Option<Offer> {
        self.offer.map(|offer| Offer { peers: offer.peers && self.engine_for(feed).is_some(), ..offer })
    }

    /// Treats the episodes of a feed so from now on.
    pub(super) fn treat(self: Arc<Self>, feed: FeedId, conduct: Conduct, sources: Sources) {
        let (before, _) = self.conducts().insert(feed, (conduct, sources)).unwrap_or_default();
        if before == conduct {
            return;
        }
        let swarm = |(id, live): (EpisodeId, Live)| match live {
            Live::Torrent(torrent) if id.feed == feed => Some(torrent),
            _ => None,
        };
        let torrents: Vec<Torrent> = self.all_live().into_iter().filter_map(swarm).collect();
        self.spawn(async move {
            for torrent in torrents {
                torrent.treat(conduct).await;
            }
        });
    }

    fn conducts(&self) -> MutexGuard<'_, BTreeMap<FeedId, (Conduct, Sources)>> {
        self.conducts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What moves data for an episode.
    pub(super) fn live(&self, id: EpisodeId) -> Option<Live> {
        self.board().get(&id).cloned()
    }

    /// All that moves data.
    pub(super) fn all_live(&self) -> BTreeMap<EpisodeId, Live> {
        self.board().clone()
    }

    /// Bytes that were moved since the start.
    pub(super) fn moved(&self) -> Moved {
        let now = self.all_live().values().map(fetch::moved).fold(Moved::default(), Moved::add);
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner) + now
    }

    fn board(&self) -> MutexGuard<'_, BTreeMap<EpisodeId, Live>> {
        // Nothing that can panic runs while it is locked.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps an episode on the board.
pub(super) struct Shown {
    kit: Arc<Kit>,
    id: EpisodeId,
}

impl Drop for Shown {
    fn drop(&mut self) {
        let left = self.kit.board().remove(&self.id);
        if let Some(live) = left {
            let mut moved = self.kit.moved.lock().unwrap_or_else(PoisonError::into_inner);
            *moved = *moved + fetch::moved(&live);
        }
    }
}
