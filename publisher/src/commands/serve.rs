//! `serve`, and what a foreground `publish` shares with it.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use podswarm_core::app::metrics::MetricsAddr;
use podswarm_core::app::{
    Access, ControlFile, DataDir, DataDirLock, Explain as _, Failure, Kept, Out, ServiceProgram, acquire,
    first_run_notice, shutdown_signal, tell_ready, tell_stopping,
};
use podswarm_core::background::Background;
use podswarm_core::net::{BlocklistFile, EngineConfig};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::watched::Watched;
use super::{Context, public_url};
use crate::cli::ServeArgs;
use crate::control;
use crate::copies;
use crate::host::{Host, HostConfig, HttpsConfig, blocking};
use crate::http::{self, Limits};
use crate::library::Library;
use crate::metrics;
use crate::numbers::NumbersConfig;
use crate::tls::{Acme, AcmeConfig, CertificateFiles, CertificateWatch, Standing, Tls};
use crate::urls::Urls;
use crate::wire::{EpisodeStatus, Listening, ShowInfo};

/// What a publisher has to know before it serves for the first time.
const NOTICE: &str = "note, told once: what you publish is public, and so is this machine's address. Feeds, torrents \
                      and the tracker name it, and everybody in a swarm sees who else is in it.";
/// Where peers are awaited if nothing else is said and it is free.
const DEFAULT_PEER_PORT: u16 = 6881;
/// What systemd is told that we are. Https is at port 443.
pub(super) const SERVICE: ServiceProgram =
    ServiceProgram { name: super::NAME, verb: "serve", title: "Podswarm publisher", binds_low_ports: true };
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
        context.out.note(format!("{}: {}", show.title, ShowInfo::new(&show, 0, running.host.urls()).found_at()));
    }
    running.until_stopped(context).await
}

/// What stays of a data directory when the service goes.
pub(super) fn kept(dir: &DataDir) -> Vec<Kept> {
    let parts =
        [("journal", "what is known of shows and episodes"), ("media", "the episodes"), ("keys", "the shows' keys")];
    parts.into_iter().map(|(folder, what)| Kept { what, path: dir.join(folder) }).collect()
}

/// Where the certificate to show over https comes from.
enum Source {
    /// Files that somebody else renews.
    Files(CertificateWatch),
    /// An authority that we ask.
    Authority(Box<Acme>),
}

/// How https is to be served, if it is, and where its certificate comes from.
async fn https(
    context: &Context,
    args: &ServeArgs,
    engine: &EngineConfig,
) -> Result<Option<(HttpsConfig, Source)>, Failure> {
    let (config, source) = match (&args.tls_cert, &args.acme[..]) {
        (Some(_), [_, ..]) => {
            let failure = Failure::usage("--tls-cert is a certificate, and --acme asks for another one");
            return Err(failure.with_hint("leave one of them out"));
        }
        (Some(chain), []) => {
            let (chain, key) = (chain.clone(), args.tls_key.clone().unwrap_or_else(|| chain.clone()));
            let from = chain.display().to_string();
            let (certificate, watch) = blocking(move || CertificateFiles { chain, key }.open()).await?;
            let standing = certificate.standing(Utc::now());
            if standing != Standing::Good {
                context.out.warn(format!("the certificate in `{from}` {standing}"));
            }
            let names = certificate.names().to_vec();
            (https_config(args, Tls::new(Some(certificate)), names), Source::Files(watch))
        }
        (None, domains @ [_, ..]) => {
            let config = AcmeConfig {
                domains: domains.to_vec(),
                email: args.acme_email.clone(),
                directory: args.acme_directory.clone(),
                folder: context.dir.path().join("acme"),
            };
            let acme =
                Acme::new(config, &engine.route()).explain(|| "make ready to ask for a certificate".to_owned())?;
            (https_config(args, acme.tls().clone(), domains.to_vec()), Source::Authority(Box::new(acme)))
        }
        (None, []) if args.tls_key.is_some() => {
            let failure = Failure::usage("--tls-key is the key of a certificate");
            return Err(failure.with_hint("give that with --tls-cert FILE"));
        }
        (None, []) if args.https_listen.is_some() || args.acme_email.is_some() => {
            let failure = Failure::usage("https needs a certificate");
            return Err(failure.with_hint("give one with --tls-cert FILE, or ask for one with --acme DOMAIN"));
        }
        (None, []) => return Ok(None),
    };
    // Between a proxy and us, a name of the house's own will do.
    let urls = args.public_url.as_deref().and_then(|url| Urls::parse(url).ok());
    if let Some(host) = urls.as_ref().map(Urls::host)
        && args.trusted_proxy.is_empty()
        && !config.covers(&host)
    {
        let names = config.names.join(", ");
        let failure = Failure::new(format!("the certificate is for {names}; the public URL's host is {host}"));
        return Err(failure.with_hint("give a --public-url with a name that it is for, or a certificate for this one"));
    }
    Ok(Some((config, source)))
}

fn https_config(args: &ServeArgs, tls: Tls, names: Vec<String>) -> HttpsConfig {
    HttpsConfig { listen: args.https_listen.unwrap_or_default(), tls, names }
}

/// Has the certificate that is shown be a good one from now on. Fails if there is none, and none can be had.
async fn keep_certificate(context: &Context, host: &Arc<Host>, source: Source) -> Result<(), Failure> {
    let acme = match source {
        Source::Files(watch) => {
            host.follow_certificate(watch);
            return Ok(());
        }
        Source::Authority(acme) => acme,
    };
    if acme.tls().certificate().is_none() {
        context.out.note(format!("asking {} for a certificate", acme.authority()));
        if let Err(error) = acme.obtain().await {
            host.shutdown().await;
            let hint = error.is_unproven().then(|| {
                let ports: Vec<String> = host.listening().iter().filter_map(Listening::as_proof).collect();
                format!("every name must lead here from everywhere: {}", ports.join(", or "))
            });
            return Err(Failure::from(error).with_any_hint(hint));
        }
    }
    host.renew_certificate(*acme);
    Ok(())
}

/// A publisher with its control port, in this process.
pub(super) struct Running {
    pub(super) host: Arc<Host>,
    control: JoinHandle<()>,
    metrics: Option<JoinHandle<()>>,
    watching: Option<JoinHandle<()>>,
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
        let watched = args.watch.as_deref().map(|folder| Watched::new(folder, &context.dir)).transpose()?;
        // In the minute of a release the crowd needs all that the line carries.
        let engine = args.engine.config(&context.dir, Background::Off);
        let (https, source) = https(context, args, &engine).await?.unzip();
        let config = HostConfig {
            listen: args.listen.unwrap_or_default(),
            public_url: public_url(&library, args)?,
            https,
            udp_tracker: !args.no_udp_tracker,
            proxies: args.trusted_proxy.clone().into(),
            peer_addresses: args.engine.peer_address.clone(),
            http_share: args.http_share,
            mirror: args.mirror.clone(),
            numbers: NumbersConfig {
                machines: args.not_counted.clone(),
                left_out: args.not_counted_from.as_ref().map(BlocklistFile::list).unwrap_or_default(),
                countries: args.geo_database.clone(),
            },
            hooks: args.hook.clone(),
            hub: !args.no_hub,
            hubs: args.hub.clone(),
            engine,
        };
        let (host, notes) = Host::start(library, config).await?;
        if let Some(source) = source {
            keep_certificate(context, &host, source).await?;
        }
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
            let app = metrics::app(Arc::clone(&host), MetricsAddr(addr));
            metrics = Some((addr, tokio::spawn(http::serve(listener, app, CONTROL_LIMITS, host.stopping()))));
        }
        let watching = watched.map(|watched| {
            let (host, out, stop) = (Arc::clone(&host), context.out.clone(), host.stopping());
            tokio::spawn(watched.watch_task(host, out, stop))
        });
        for note in notes {
            context.out.note(note);
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
        tell_ready(&format!("serves at {}", host.urls().base()));
        Ok(Self { host, control, metrics: metrics.map(|(_, task)| task), watching, _lock: lock })
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
        tell_stopping();
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
            for task in [self.metrics, self.watching].into_iter().flatten() {
                let _ = task.await;
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
