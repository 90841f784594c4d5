//! `serve`, and what a foreground `publish` shares with it.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use podswarm_core::app::{
    Access, ControlFile, DataDirLock, Explain as _, Failure, Out, acquire, first_run_notice, shutdown_signal,
};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{Context, public_url};
use crate::cli::ServeArgs;
use crate::control;
use crate::copies;
use crate::host::{Host, HostConfig, blocking};
use crate::http::{self, Limits};
use crate::library::Library;
use crate::metrics::{self, MetricsAddr};
use crate::numbers::NumbersConfig;
use crate::wire::{EpisodeStatus, Listening};

/// What a publisher has to know before it serves for the first time.
const NOTICE: &str = "note, told once: what you publish is public, and so is this machine's address. Feeds, torrents \
                      and the tracker name it, and everybody in a swarm sees who else is in it.";
/// Where peers are awaited if nothing else is said and it is free.
const DEFAULT_PEER_PORT: u16 = 6881;
/// How long a stop may take.
const STOP_TIME: Duration = Duration::from_millis(3900);
/// How often to look whether full copies are out.
const LOOK: Duration = Duration::from_secs(2);
/// The connections that a control port takes; a publish may be quiet for as long as it hashes.
const CONTROL_LIMITS: Limits = Limits {
    connections: 64,
    connections_per_network: 64,
    head: Duration::from_secs(15),
    idle: Duration::from_hours(24),
};

pub(super) async fn serve(context: &Context, args: &ServeArgs) -> Result<(), Failure> {
    if let Some(client) = &context.remote {
        let failure = Failure::usage(format!("`serve` runs here; {} is elsewhere", client.server()));
        return Err(failure.with_hint("leave out --server"));
    }
    let lock = match acquire(&context.dir).await? {
        Access::Owner(lock) => lock,
        Access::Daemon(_) => {
            let dir = context.dir.path().display().to_string();
            let failure = Failure::new(format!("a publisher runs on `{dir}` already"));
            return Err(failure.with_hint("see it with `podpub status`, or give another folder with --data-dir DIR"));
        }
    };
    let library = context.open().await?;
    let running = Running::start(context, library, lock, args).await?;
    for show in running.host.library().shows().map_err(control::unavailable)? {
        context.out.note(format!("{}: {}", show.title, running.host.urls().document(&show.slug, "feed.xml")));
    }
    running.until_stopped(context).await
}

/// A publisher with its control port, in this process.
pub(super) struct Running {
    pub(super) host: Arc<Host>,
    control: JoinHandle<()>,
    metrics: Option<JoinHandle<()>>,
    /// Held until everything else is gone.
    _lock: DataDirLock,
}

impl Running {
    /// Starts a publisher and prints where it listens.
    pub(super) async fn start(
        context: &Context,
        library: Library,
        lock: DataDirLock,
        args: &ServeArgs,
    ) -> Result<Self, Failure> {
        first_run_notice(&context.dir, &context.out, NOTICE)?;
        let config = HostConfig {
            listen: args.listen.unwrap_or_default(),
            public_url: public_url(&library, args)?,
            udp_tracker: !args.no_udp_tracker,
            proxies: args.trusted_proxy.clone().into(),
            peer_addresses: args.peer_address.clone(),
            numbers: NumbersConfig {
                machines: args.not_counted.clone(),
                left_out: args.not_counted_from.clone().unwrap_or_default(),
                countries: args.geo_database.clone(),
            },
            hooks: args.hook.clone(),
            hub: !args.no_hub,
            hubs: args.hub.clone(),
            engine: args.engine.config(&context.dir),
        };
        let (host, instead_of) = Host::start(library, config).await?;
        let control_addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = TcpListener::bind(control_addr).await.explain(|| "open the control port".to_owned())?;
        let addr = listener.local_addr().explain(|| "open the control port".to_owned())?;
        let app = control::local(Arc::clone(&host), ControlFile::write(&lock, addr)?);
        let control = tokio::spawn(http::serve(listener, app, CONTROL_LIMITS, host.stopping()));
        let mut metrics = None;
        if let Some(MetricsAddr(addr)) = args.metrics {
            let saying = || format!("open the port for figures at {addr}");
            let listener = TcpListener::bind(addr).await.explain(saying)?;
            let addr = listener.local_addr().explain(saying)?;
            let app = metrics::app(Arc::clone(&host));
            metrics = Some((addr, tokio::spawn(http::serve(listener, app, CONTROL_LIMITS, host.stopping()))));
        }
        if let Some(wanted) = instead_of {
            context.out.note(format!("port {wanted} is in use; the next free one is taken"));
        }
        if args.engine.peer_port.is_none() && host.peer_port().is_some_and(|port| port != DEFAULT_PEER_PORT) {
            context.out.note(format!("peer port {DEFAULT_PEER_PORT} is in use; the next free one is taken"));
        }
        let figures = metrics.as_ref().map(|(addr, _)| Listening::new("metrics", *addr));
        for listening in host.listening().into_iter().chain(figures) {
            context.out.line(format!("listening {} {}", listening.kind, listening.addr))?;
            context.out.json(&listening)?;
        }
        context.out.note(format!("public address: {}", host.urls().base()));
        Ok(Self { host, control, metrics: metrics.map(|(_, task)| task), _lock: lock })
    }

    /// Says of each episode when the first full copy of it is out. Does not end.
    pub(super) async fn tell_when_safe(host: Arc<Host>, out: Out) {
        let mut told = BTreeSet::new();
        loop {
            let (host, version) = (Arc::clone(&host), String::new());
            let Ok(status) = blocking(move || host.status(version)).await else { return };
            for EpisodeStatus { episode, swarm, .. } in status.episodes {
                let copies = swarm.map_or(0, |swarm| swarm.copies_milli);
                if copies >= 1000 && told.insert(episode.guid.clone()) {
                    out.note(format!("{}: {}", episode.title, copies::sentence(copies)));
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Serves until the process is asked to stop, then says whether it may.
    pub(super) async fn until_stopped(self, context: &Context) -> Result<(), Failure> {
        shutdown_signal().await;
        self.say_farewell(context);
        self.stop().await;
        Ok(())
    }

    /// Stops within five seconds.
    pub(super) async fn stop(self) {
        let stopped = tokio::time::timeout(STOP_TIME, async {
            self.host.shutdown().await;
            // The control file goes with the control port.
            let _ = self.control.await;
            if let Some(metrics) = self.metrics {
                let _ = metrics.await;
            }
        });
        if stopped.await.is_err() {
            tracing::warn!("stopped before everybody was told");
        }
    }

    /// Says which episodes nobody else has in full.
    fn say_farewell(&self, context: &Context) {
        let Ok(status) = self.host.status(String::new()) else { return };
        for episode in &status.episodes {
            let Some(swarm) = episode.swarm else { continue };
            context.out.note(format!("{}: {}", episode.episode.title, copies::sentence(swarm.copies_milli)));
        }
    }
}
