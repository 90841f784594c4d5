//! A publisher at work: library, engine, tracker and public port together.
//!
//! Whatever changes what is shown goes through [`Host`], one change at a time, in one order: the content is seeded and
//! the tracker serves it; the record is stored; the site is swapped; listeners are told. So nobody hears of an episode
//! that does not answer yet, and nothing that was promised is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use podswarm_core::app::{Explain as _, Failure};
use podswarm_core::metainfo::InfoHash;
use podswarm_core::net::{Bind, Engine, EngineConfig, PortMap, Torrent, map_port, system_rng};
use tokio::sync::{Mutex, Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::archive::{self, ArchiveError};
use crate::bind::Listen;
use crate::control;
use crate::hooks::{Hook, Hooks, Occasion};
use crate::http::{self, Bus, CameIn, HttpShare, Limits, Mirror, Proxies, Uplink, Web};
use crate::hub::Hub;
use crate::library::{Library, LibraryError};
use crate::numbers::{self, Counting, EpisodeNumbers, Numbers, NumbersConfig, Which};
use crate::publish::{self, Draft, Follow, Outcome, PublishError, Recorded, Settled};
use crate::reach::Outside;
use crate::record::{EpisodeRecord, ShowRecord};
use crate::site::Site;
use crate::slug::Slug;
use crate::tls::{Acme, CertificateWatch, Tls};
use crate::tracker::Tracker;
use crate::udp;
use crate::urls::Urls;
use crate::wire::{
    EditEpisode, EpisodeInfo, EpisodeName, Listening, MoveShow, NewShow, Published, ShowInfo, TakeIn, Unpublish,
    Unpublished, WatchedStatus,
};

mod seed;
mod tasks;
mod occasions;
mod reached;
mod status;

/// How a host is to run.
#[derive(Clone, Debug, Default)]
pub(crate) struct HostConfig {
    /// Where the public port listens.
    pub(crate) listen: Listen,
    /// The public URL that the owner gives now or gave before.
    pub(crate) public_url: Option<Urls>,
    /// What to serve https with, if it is to be.
    pub(crate) https: Option<HttpsConfig>,
    /// Whether to track over UDP as well.
    pub(crate) udp_tracker: bool,
    /// Reverse proxies whose word on who asks is taken.
    pub(crate) proxies: Proxies,
    /// Addresses at which the owner says that peers outside reach us.
    pub(crate) peer_addresses: Vec<SocketAddr>,
    /// What counts as a download.
    pub(crate) numbers: NumbersConfig,
    /// What is done when something happens.
    pub(crate) hooks: Vec<Hook>,
    /// Whether to be a hub, and name it in feeds.
    pub(crate) hub: bool,
    /// Hubs elsewhere that are told of changes.
    pub(crate) hubs: Vec<Url>,
    /// The part of a full uplink that downloads over HTTP have.
    pub(crate) http_share: HttpShare,
    /// Where those that the line has no room for are led.
    pub(crate) mirror: Option<Urls>,
    /// The engine.
    pub(crate) engine: EngineConfig,
}

/// How https is served.
#[derive(Clone, Debug)]
pub(crate) struct HttpsConfig {
    /// Where.
    pub(crate) listen: Listen,
    /// The certificate that is shown.
    pub(crate) tls: Tls,
    /// The names that it is or will be for.
    pub(crate) names: Vec<String>,
}

impl HttpsConfig {
    /// Whether the certificate is, or will be, for `host`.
    pub(crate) fn covers(&self, host: &url::Host<&str>) -> bool {
        match self.tls.certificate() {
            Some(certificate) => certificate.covers(host),
            None => self.names.contains(&host.to_string()),
        }
    }
}

/// A running publisher.
pub(crate) struct Host {
    library: Library,
    engine: Engine,
    tracker: Arc<Tracker>,
    urls: Arc<Urls>,
    site: watch::Sender<Arc<Site>>,
    bus: Bus,
    proxies: Proxies,
    numbers: Numbers,
    counting: Counting,
    hooks: Hooks,
    /// Tells subscribers and other hubs.
    hub: Option<Arc<Hub>>,
    /// Whether it takes subscribers.
    has_hub: bool,
    /// Held by whoever changes what is shown.
    turn: Mutex<()>,
    /// What is wrong with content that was found to be changed or lost.
    faults: std::sync::Mutex<BTreeMap<InfoHash, String>>,
    /// Rings when an episode was put off to later.
    put_off: Notify,
    /// Shows that have episodes which the site does not show yet: they are no news, and come by the hundred.
    stale: std::sync::Mutex<BTreeSet<Slug>>,
    /// Rings when there is one.
    is_stale: Notify,
    /// Bytes of media sent over HTTP.
    sent: Arc<AtomicU64>,
    /// What media over HTTP and peers share.
    uplink: Uplink,
    /// Who helps where the line is full.
    mirror: Option<Mirror>,
    /// The most bytes sent to peers that were told as a figure.
    most_sent_to_peers: AtomicU64,
    http_addr: SocketAddr,
    /// What is shown over https, and where, if it is served.
    https: Option<(Tls, SocketAddr)>,
    udp_addr: Option<SocketAddr>,
    /// How the watched folder stands, if there is one.
    watched: std::sync::Mutex<Option<WatchedStatus>>,
    /// How the ports for listeners stand at the router, that of https last.
    doors: Vec<watch::Receiver<PortMap>>,
    /// Who has come in there from outside.
    came_in: CameIn,
    /// Agents outside that can be asked to connect back.
    outside: Outside,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Host {
    /// Opens the ports, seeds everything that is out, and serves. What the owner should know of the ports is returned,
    /// too.
    pub(crate) async fn start(library: Library, config: HostConfig) -> Result<(Arc<Self>, Vec<String>), Failure> {
        let mut bound = config.listen.bind(config.udp_tracker)?;
        let mut notes = Vec::from_iter(bound.note.take());
        let udp_port = config.udp_tracker.then_some(bound.addr.port());
        let mut https = None;
        if let Some(config) = config.https {
            let mut bound = config.listen.bind_https()?;
            notes.extend(bound.note.take());
            https = Some((bound, config));
        }
        let has_hubs = config.hub || !config.hubs.is_empty();
        let urls = match &https {
            Some((bound, https)) => secured(config.public_url, https, bound.addr),
            None => config.public_url.unwrap_or_else(|| Urls::guess(bound.addr)),
        };
        let urls = urls.with_udp_tracker(udp_port).with_hubs(config.hub, config.hubs);
        if config.mirror.as_ref().is_some_and(|mirror| mirror.base() == urls.base()) {
            let failure = Failure::usage(format!("the mirror {} is this publisher itself", urls.base()));
            return Err(failure.with_hint("name another server, which has the files of `podpub export --site`"));
        }
        let urls = Arc::new(urls);
        let bind = config.engine.bind.as_ref().and_then(Bind::address_now);
        let route = config.engine.route();
        let may_map = config.engine.may_map_ports();
        let engine = Engine::start(config.engine).await?;
        let site = {
            let (library, urls) = (library.clone(), Arc::clone(&urls));
            blocking(move || {
                settle_guids(&library, &urls)?;
                Site::build(&library, &urls, Utc::now())
            })
            .await
            .explain(|| "read the library".to_owned())?
        };
        let site = watch::Sender::new(Arc::new(site));
        let (numbers, queue) = Numbers::queue();
        let counting = Counting::start(&numbers, queue, &library, site.subscribe(), config.numbers);
        let tracker = Arc::new(Tracker::new(system_rng(), numbers.clone()));
        tracker.reach_seed(|seed| {
            seed.port = engine.port();
            seed.bind = bind;
            seed.typed = config.peer_addresses;
        });
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let uplink = Uplink::new(config.http_share);
        let mut maps = Vec::new();
        for addr in [Some(bound.addr), https.as_ref().map(|(bound, _)| bound.addr)].into_iter().flatten() {
            let own = Some(addr.ip()).filter(|ip| !ip.is_unspecified());
            if may_map && !addr.ip().is_loopback() {
                let (map, keep) = map_port(addr.port(), own.or(bind), stop.clone());
                tasks.spawn(keep);
                maps.push(map);
            }
        }
        tasks.spawn(stop.clone().run_until_cancelled_owned(uplink.clone().keep(engine.clone())));
        let hooks = Hooks::start(config.hooks, library.store(), &route, &tasks, &stop).await?;
        if engine.port().is_none() {
            tracker.introduce_to(engine.clone());
        }
        let make_hub = || {
            let (store, site) = (library.store().clone(), site.subscribe());
            Hub::new(store, site, Arc::clone(&urls), &route, tasks.clone(), stop.clone())
        };
        let make_mirror = |mirror: Urls| Mirror::new(mirror, &route, tasks.clone(), stop.clone());
        let mirror = config.mirror.map(make_mirror).transpose().explain(|| "make ready for the mirror".to_owned())?;
        let hub = has_hubs.then(make_hub).transpose().explain(|| "make ready for subscribers".to_owned())?;
        let host = Arc::new(Self {
            library,
            engine,
            tracker,
            urls,
            site,
            bus: Bus::default(),
            proxies: config.proxies,
            numbers,
            counting,
            hooks,
            hub,
            has_hub: config.hub,
            turn: Mutex::default(),
            faults: std::sync::Mutex::default(),
            put_off: Notify::new(),
            stale: std::sync::Mutex::default(),
            is_stale: Notify::new(),
            sent: Arc::default(),
            uplink,
            mirror,
            most_sent_to_peers: AtomicU64::default(),
            http_addr: bound.addr,
            https: https.as_ref().map(|(bound, config)| (config.tls.clone(), bound.addr)),
            udp_addr: config.udp_tracker.then_some(bound.addr),
            watched: std::sync::Mutex::default(),
            doors: maps,
            came_in: CameIn::default(),
            outside: Outside::new(system_rng()),
            stop,
            tasks,
        });
        host.seed_library().await;
        host.tell_untold().await.explain(|| "tell hooks what they were not told yet".to_owned())?;
        let app = http::App { came_in: host.came_in.clone(), ..host.app() };
        let (limits, stop) = (Limits::of_process(), host.stop.clone());
        let places = limits.places();
        if let Some((bound, config)) = https {
            let app = http::App { tls: Some(config.tls), ..app.clone() };
            host.tasks.spawn(http::serve_beside(bound.listener, app, limits, places.clone(), stop.clone()));
        }
        host.tasks.spawn(http::serve_beside(bound.listener, app, limits, places, stop));
        if let Some(socket) = bound.udp {
            let port = udp::Port::new(socket).explain(|| "listen for announces over UDP".to_owned())?;
            host.tasks.spawn(udp::serve(port, Arc::clone(&host.tracker), host.stop.clone()));
        }
        host.tasks.spawn(Arc::clone(&host).look_after_task());
        host.tasks.spawn(Arc::clone(&host).mapping_task());
        host.tasks.spawn(Arc::clone(&host).resolve_task());
        host.tasks.spawn(Arc::clone(&host).release_task());
        host.tasks.spawn(Arc::clone(&host).refresh_task());
        host.tasks.spawn(Arc::clone(&host).watch_task());
        Ok((host, notes))
    }

    /// Has the tracker tell where the router lets others in to our seed, until the host stops.
    async fn mapping_task(self: Arc<Self>) {
        let mut changes = self.engine.watch_port_map();
        let watch = async {
            loop {
                let mapped = changes.borrow_and_update().addr();
                self.tracker.reach_seed(|seed| seed.mapped = mapped);
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        let _ = self.stop.run_until_cancelled(watch).await;
    }

    /// Stops serving; `stopped` is announced and open answers get two seconds.
    pub(crate) async fn shutdown(&self) {
        self.stop.cancel();
        self.tasks.close();
        tokio::join!(self.engine.shutdown(), self.tasks.wait());
        self.counting.end().await;
    }

    /// The state on disk.
    pub(crate) const fn library(&self) -> &Library {
        &self.library
    }

    /// How often episodes were downloaded, all that was noted until now among it.
    pub(crate) async fn stats(&self, which: Which) -> Result<Vec<EpisodeNumbers>, LibraryError> {
        self.numbers.settle().await;
        let library = self.library.clone();
        blocking(move || numbers::report(&library, &which)).await
    }

    /// The addresses that are told.
    pub(crate) fn urls(&self) -> &Urls {
        &self.urls
    }

    /// Ends when the host stops.
    pub(crate) fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Where it listens.
    pub(crate) fn listening(&self) -> Vec<Listening> {
        let peers = self.engine.addrs().iter().map(|&addr| Listening::new("peer", addr));
        let https = self.https.as_ref().map(|(_, addr)| Listening::new("https", *addr));
        let udp = self.udp_addr.map(|addr| Listening::new("udp-tracker", addr));
        std::iter::once(Listening::new("http", self.http_addr)).chain(https).chain(udp).chain(peers).collect()
    }

    /// Shows what the files of the certificate hold, until the host stops.
    pub(crate) fn follow_certificate(&self, watch: CertificateWatch) {
        if let Some((tls, _)) = &self.https {
            self.tasks.spawn(watch.follow_task(tls.clone(), self.urls.host().to_owned(), self.stop.clone()));
        }
    }

    /// Has an authority make the next certificate before the one that is shown ends, until the host stops.
    pub(crate) fn renew_certificate(&self, acme: Acme) {
        self.tasks.spawn(acme.renew_task(self.stop.clone()));
    }

    /// Whether https is served here, not by a proxy before us.
    pub(crate) const fn speaks_tls(&self) -> bool {
        self.https.is_some()
    }

    /// The port for peers; `None` if nobody can dial us.
    pub(crate) fn peer_port(&self) -> Option<u16> {
        self.engine.port()
    }

    /// Publishes what `draft` names. Done when it is live, or sure to be at its time.
    ///
    /// The work goes on if the caller goes away; it is ended by [`Follow::cancel`].
    pub(crate) async fn publish(self: &Arc<Self>, draft: Draft, follow: Follow) -> Result<Published, PublishError> {
        let host = Arc::clone(self);
        let work = self.tasks.spawn(async move { Box::pin(host.publish_whole(draft, follow)).await });
        work.await.expect("publishing does not panic")
    }

    async fn publish_whole(&self, draft: Draft, follow: Follow) -> Result<Published, PublishError> {
        let library = self.library.clone();
        let cancel = Arc::clone(&follow.cancel);
        let staging = blocking(move || publish::stage(&library, draft, &follow));
        tokio::pin!(staging);
        let staged = tokio::select! {
            staged = &mut staging => staged,
            () = self.stop.cancelled() => {
                cancel.store(true, Ordering::Relaxed);
                staging.await
            }
        }?;
        let _turn = self.turn.lock().await;
        let (library, now) = (self.library.clone(), Utc::now());
        match blocking(move || publish::settle(&library, staged, now)).await? {
            Outcome::Already { show, episode } => {
                // It may be out of order, and the owner tries to mend it.
                let seeds = |torrent: Torrent| torrent.status().error.is_none();
                if episode.released && !self.torrent(episode.info_hash).is_some_and(seeds) {
                    self.reseed(&episode).await;
                }
                Ok(Published { already: true, ..self.published(&show, &episode) })
            }
            Outcome::New(settled) => self.make_live(*settled, now).await,
        }
    }

    /// Seeds what is settled, then records it, then shows it.
    async fn make_live(&self, settled: Settled, now: DateTime<Utc>) -> Result<Published, PublishError> {
        let (is_new_show, warnings) = (settled.is_new_show, settled.warnings.clone());
        let (episode, metainfo, is_due) = (settled.episode.clone(), settled.metainfo.clone(), settled.is_due(now));
        // The same content under the same name in another show is the same swarm, and is kept whatever happens here.
        let is_ours_alone = self.torrent(episode.info_hash).is_none();
        let (replaced, is_known) = (settled.replaced.clone(), settled.is_known);
        if is_due && let Err(error) = self.seed(&episode, metainfo).await {
            if is_ours_alone {
                self.unseed(episode.info_hash).await;
            }
            return Err(PublishError::Seed(error.into()));
        }
        let (library, wanted) = (self.library.clone(), self.hooks.wanted().clone());
        let recorded = match blocking(move || settled.record(&library, now, &wanted)).await {
            Ok(recorded) => recorded,
            Err(error) => {
                if is_ours_alone {
                    self.unseed(episode.info_hash).await;
                }
                return Err(error.into());
            }
        };
        let Recorded { show, episode, event } = recorded;
        // Shows come with hundreds of episodes, and the whole site is made anew each time.
        if is_known {
            self.stale.lock().unwrap_or_else(PoisonError::into_inner).insert(show.slug.clone());
            self.is_stale.notify_one();
            return Ok(Published { is_new_show, warnings, ..self.published(&show, &episode) });
        }
        self.show(&show.slug).await?;
        if let Some(old) = &replaced {
            self.retire(old).await?;
        }
        match event {
            Some(event) => self.bus.tell(event),
            None => self.put_off.notify_one(),
        }
        tracing::info!(episode = episode.file, "published");
        if episode.released {
            let occasion = if replaced.is_some() { Occasion::Replaced } else { Occasion::Published };
            self.tell_hooks(occasion, &episode, now).await;
        }
        Ok(Published { revised: replaced.is_some(), is_new_show, warnings, ..self.published(&show, &episode) })
    }

    /// Seeds an episode no more that the site does not have any more, unless another show has the same.
    async fn retire(&self, episode: &EpisodeRecord) -> Result<(), LibraryError> {
        let library = self.library.clone();
        let others = blocking(move || library.episodes_of(None)).await?;
        if !others.iter().any(|other| other.released && other.info_hash.matches(&episode.info_hash)) {
            self.unseed(episode.info_hash).await;
        }
        Ok(())
    }

    /// Takes an episode back: it is in the feeds no more, and listeners are told. One that is not out yet is forgotten.
    pub(crate) async fn unpublish(&self, unpublish: Unpublish) -> Result<Unpublished, LibraryError> {
        let _turn = self.turn.lock().await;
        let (library, wanted, now) = (self.library.clone(), self.hooks.wanted().clone(), Utc::now());
        let Unpublish { name, delete_file } = unpublish;
        let taken = blocking(move || library.unpublish(name.show.as_deref(), &name.episode, now, &wanted));
        let (episode, event) = taken.await?;
        self.show(&episode.show).await?;
        self.retire(&episode).await?;
        if let Some(event) = event {
            self.bus.tell(event);
            self.tell_hooks(Occasion::Withdrawn, &episode, now).await;
        }
        tracing::info!(episode = episode.file, "taken back");
        let (library, urls) = (self.library.clone(), Arc::clone(&self.urls));
        blocking(move || unpublished(&library, &episode, &urls, delete_file)).await
    }

    /// Changes what is said of an episode.
    pub(crate) async fn edit_episode(&self, edit: EditEpisode) -> Result<EpisodeInfo, LibraryError> {
        let turn = self.turn.lock().await;
        let library = self.library.clone();
        let EditEpisode { name, fields } = edit;
        let edit = move || library.edit_episode(name.show.as_deref(), &name.episode, fields, Utc::now());
        let episode = blocking(edit).await?;
        self.show(&episode.show).await?;
        drop(turn);
        // Its time may have come, or changed.
        self.release_due().await?;
        self.put_off.notify_one();
        self.told(&episode)
    }

    /// Releases an episode that is not out yet, now.
    pub(crate) async fn release(&self, name: EpisodeName) -> Result<EpisodeInfo, LibraryError> {
        let turn = self.turn.lock().await;
        let library = self.library.clone();
        let episode = blocking(move || library.make_due(name.show.as_deref(), &name.episode, Utc::now())).await?;
        drop(turn);
        self.release_due().await?;
        self.told(&episode)
    }

    /// An episode as it stands now.
    fn told(&self, episode: &EpisodeRecord) -> Result<EpisodeInfo, LibraryError> {
        let now = self.library.episode(Some(episode.show.as_str()), &episode.guid)?;
        Ok(EpisodeInfo::new(&now, &self.urls))
    }

    /// Makes a show.
    pub(crate) async fn create_show(&self, new: NewShow) -> Result<ShowInfo, LibraryError> {
        let _turn = self.turn.lock().await;
        let (library, urls) = (self.library.clone(), Arc::clone(&self.urls));
        let show = blocking(move || {
            let show = library.create_show(new.slug, new.fields, new.history, new.private, Utc::now())?;
            settle_guids(&library, &urls)?;
            Ok::<_, LibraryError>(show)
        })
        .await?;
        self.changed(show).await
    }

    /// Changes what is said of a show.
    pub(crate) async fn edit_show(
        &self,
        show: Option<String>,
        fields: crate::shows::ShowFields,
    ) -> Result<ShowInfo, LibraryError> {
        let _turn = self.turn.lock().await;
        let library = self.library.clone();
        let show = blocking(move || library.edit_show(show.as_deref(), fields)).await?;
        self.treat(&show).await?;
        self.changed(show).await
    }

    /// Has a show's feeds lead to another host, or back.
    pub(crate) async fn move_show(&self, wanted: MoveShow) -> Result<ShowInfo, LibraryError> {
        let _turn = self.turn.lock().await;
        let library = self.library.clone();
        let show = blocking(move || library.move_show(&wanted.show, wanted.moved)).await?;
        self.changed(show).await
    }

    /// Brings the shows of an export in, seeds what is out of them and shows it.
    pub(crate) async fn take_in(&self, wanted: TakeIn) -> Result<Vec<ShowInfo>, ArchiveError> {
        let _turn = self.turn.lock().await;
        let library = self.library.clone();
        let work = move || archive::take_in(&library, Path::new(&wanted.folder), wanted.is_ours, &|_| {});
        let mut infos = Vec::new();
        for show in blocking(work).await? {
            let (library, slug) = (self.library.clone(), show.slug.clone());
            let episodes = blocking(move || library.episodes(&slug)).await?;
            for episode in episodes.iter().filter(|episode| episode.released) {
                self.seed_episode(episode).await;
            }
            infos.push(self.changed(show).await?);
        }
        self.put_off.notify_one();
        Ok(infos)
    }

    async fn changed(&self, show: ShowRecord) -> Result<ShowInfo, LibraryError> {
        self.show(&show.slug).await?;
        Ok(ShowInfo::new(&show, self.library.episodes(&show.slug)?.len(), &self.urls))
    }

    /// Swaps in the site with the show as it is now.
    async fn show(&self, show: &Slug) -> Result<(), LibraryError> {
        let (library, urls, before) = (self.library.clone(), Arc::clone(&self.urls), Arc::clone(&self.site.borrow()));
        let show = show.clone();
        let (site, changed) = blocking(move || {
            settle_guids(&library, &urls)?;
            let show = library.show(Some(show.as_str()))?;
            let slug = show.slug.clone();
            let site = before.with_show(&library, show, &urls, Utc::now())?;
            let changed = site.changed_feeds(&before, &slug).into_iter();
            let changed: Vec<String> = changed.map(|name| urls.document(&slug, name).into()).collect();
            Ok::<_, LibraryError>((site, changed))
        })
        .await?;
        self.site.send_replace(Arc::new(site));
        if let Some(hub) = &self.hub {
            hub.tell(changed).await;
        }
        Ok(())
    }

    /// Shows what has come to the show without being told, and tells how the show stands.
    pub(crate) async fn refresh(&self, show: &str) -> Result<ShowInfo, LibraryError> {
        let _turn = self.turn.lock().await;
        let (library, wanted) = (self.library.clone(), show.to_owned());
        let show = blocking(move || library.show(Some(&wanted))).await?;
        self.stale.lock().unwrap_or_else(PoisonError::into_inner).remove(&show.slug);
        self.changed(show).await
    }

    /// Tells of an episode as it stands now.
    fn published(&self, show: &ShowRecord, episode: &EpisodeRecord) -> Published {
        let (live, copies_milli) = (episode.released, self.copies(episode.info_hash));
        let episodes = self.library.episodes(&show.slug).map_or(0, |episodes| episodes.len());
        Published { live, copies_milli, ..Published::new(show, episodes, episode, &self.urls) }
    }

    fn faults(&self) -> MutexGuard<'_, BTreeMap<InfoHash, String>> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn torrent(&self, info_hash: InfoHash) -> Option<Torrent> {
        self.engine.torrent(&info_hash)
    }

    fn app(self: &Arc<Self>) -> http::App {
        let web = Web {
            site: self.site.subscribe(),
            library: self.library.clone(),
            urls: Arc::clone(&self.urls),
            tracker: Arc::clone(&self.tracker),
            outside: self.outside.clone(),
            proxies: self.proxies.clone(),
            tls: self.https.as_ref().map(|(tls, _)| tls.clone()),
            numbers: self.numbers.clone(),
            hub: self.hub.clone().filter(|_| self.has_hub),
            bus: self.bus.clone(),
            sent: Arc::clone(&self.sent),
            uplink: self.uplink.clone(),
            mirror: self.mirror.clone(),
            stop: self.stop.clone(),
        };
        http::app(web, control::public(Arc::clone(self)))
    }

    /// Bytes of media sent over HTTP since the start.
    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

/// The addresses that are told where https is served at `listen`: the public URL, if it is one of https; else the same
/// host at that port, if the certificate is for it; else the host that it is for.
fn secured(public_url: Option<Urls>, https: &HttpsConfig, listen: SocketAddr) -> Urls {
    let mut hosts = https.names.iter().filter(|name| !name.starts_with('*'));
    match public_url {
        Some(urls) if urls.base().scheme() == "https" => urls,
        Some(urls) if https.covers(&urls.host()) => urls.over_https(listen.port()),
        _ => match hosts.next().and_then(|name| Urls::parse(&format!("https://{name}")).ok()) {
            Some(urls) => urls.over_https(listen.port()),
            None => Urls::guess(listen).over_https(listen.port()),
        },
    }
}

/// Gives every show its `podcast:guid` once the world's name for its feed is known.
///
/// A guessed address in a private network is nobody's name: two publishers would make the same.
pub(crate) fn settle_guids(library: &Library, urls: &Urls) -> Result<(), LibraryError> {
    if !urls.is_worldwide() {
        return Ok(());
    }
    for mut show in library.shows()?.into_iter().filter(|show| show.podcast_guid.is_none()) {
        let feed = urls.document(&show.slug, "feed.xml");
        show.podcast_guid = Some(podswarm_feeds::podcast_guid(feed.as_str()));
        library.store().put(&show)?;
    }
    Ok(())
}

/// Tells of an episode that was taken back, after its content is deleted if it is to be.
pub(crate) fn unpublished(
    library: &Library,
    episode: &EpisodeRecord,
    urls: &Urls,
    delete_file: bool,
) -> Result<Unpublished, LibraryError> {
    if delete_file {
        library.remove_content(episode)?;
    }
    let content = library.content(episode);
    let kept = content.exists().then(|| content.display().to_string());
    Ok(Unpublished { event: "unpublished".to_owned(), episode: EpisodeInfo::new(episode, urls), kept })
}

/// Runs what blocks on a thread for it.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("blocking work does not panic")
}

#[cfg(test)]
mod tests;
