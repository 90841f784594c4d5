//! The agent's figures, as Prometheus reads them on the port of `--metrics`.
//!
//! No series bears the name of a show, an episode or an address: `podsub status` tells of those.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use podswarm_core::app::metrics::{Exposition, MIME, MetricsAddr};
use podswarm_core::app::{Explain, Failure};
use podswarm_feeds::poll::Counts;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::hub::HubHandle;
use crate::web::serve;

/// How an agent stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    /// Feeds that are polled, those of them that could not be the last time, those that rest, and those that are gone.
    pub(crate) feeds: [u64; 4],
    /// Event streams that stand.
    pub(crate) streams: u64,
    /// What polling has cost since the start.
    pub(crate) polls: Counts,
    /// Episodes that are there, that are wanted, that are gone, and that were only seen.
    pub(crate) episodes: [u64; 4],
    /// Episodes that were fetched since the start.
    pub(crate) fetched: u64,
    /// Episodes that are being fetched now.
    pub(crate) fetching: u64,
    /// Episodes that are seeded now.
    pub(crate) seeding: u64,
    /// Nothing is seeded at this hour, or on this line.
    pub(crate) rests: bool,
    /// Bytes that were moved since the start.
    pub(crate) moved: Moved,
    /// Bytes a second that come in and that go out to peers, now.
    pub(crate) rates: [u64; 2],
    /// Connections to peers.
    pub(crate) peers: u64,
    /// Nodes of the distributed hash table that are known; `None` if none are asked.
    pub(crate) dht_nodes: Option<u64>,
    /// Bytes of all episodes that are there.
    pub(crate) library: u64,
    /// Bytes that they may take; `None` for no such limit.
    pub(crate) quota: Option<u64>,
    /// Bytes that are free on the library's disk, and those of them that stay so; `None` where that cannot be told.
    pub(crate) disk: [Option<u64>; 2],
    /// Hooks that are yet to be done, and that were given up since the start.
    pub(crate) hooks: [u64; 2],
    /// Seconds since the start.
    pub(crate) up_time: u64,
    /// Whether the last write of the state succeeded.
    pub(crate) is_healthy: bool,
}

/// Bytes that were moved for episodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moved {
    /// Received over HTTP, from hosts and web seeds.
    pub(crate) from_http: u64,
    /// Received from peers.
    pub(crate) from_peers: u64,
    /// Sent to peers.
    pub(crate) to_peers: u64,
}

impl std::ops::Add for Moved {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            from_http: self.from_http + other.from_http,
            from_peers: self.from_peers + other.from_peers,
            to_peers: self.to_peers + other.to_peers,
        }
    }
}

/// A port for figures that is bound and not served yet.
pub(crate) struct MetricsPort {
    listener: TcpListener,
    addr: SocketAddr,
}

impl MetricsPort {
    pub(crate) async fn bind(MetricsAddr(addr): MetricsAddr) -> Result<Self, Failure> {
        let saying = || format!("open the port for figures at {addr}");
        let listener = TcpListener::bind(addr).await.explain(saying)?;
        let addr = listener.local_addr().explain(saying)?;
        Ok(Self { listener, addr })
    }

    /// Where it listens.
    pub(crate) const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves `/metrics` and `/healthz` until `stop`.
    pub(crate) async fn serve(self, hub: HubHandle, stop: CancellationToken) {
        let app = Router::new()
            .route("/metrics", get(metrics))
            .route("/healthz", get(healthz))
            .layer(from_fn_with_state(MetricsAddr(self.addr), admit))
            .with_state(hub);
        serve(self.listener, app, stop).await;
    }
}

/// Lets requests through that were sent to this port by a name it answers to.
async fn admit(State(addr): State<MetricsAddr>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    if addr.answers(host) { next.run(request).await } else { StatusCode::FORBIDDEN.into_response() }
}

async fn metrics(State(hub): State<HubHandle>) -> Response {
    match hub.figures().await {
        Some(figures) => {
            ([(header::CONTENT_TYPE, MIME), (header::CACHE_CONTROL, "no-store")], render(&figures)).into_response()
        }
        None => (StatusCode::SERVICE_UNAVAILABLE, "the agent is stopping\n").into_response(),
    }
}

async fn healthz(State(hub): State<HubHandle>) -> Response {
    let (status, text) = match hub.figures().await {
        Some(figures) if figures.is_healthy => (StatusCode::OK, "ok\n"),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "the last write failed, the log says why\n"),
        None => (StatusCode::SERVICE_UNAVAILABLE, "the agent is stopping\n"),
    };
    (status, [(header::CACHE_CONTROL, "no-store")], text).into_response()
}

/// The figures, and those of the process, as text.
fn render(figures: &Figures) -> String {
    let mut all = Exposition::new("podsub", env!("CARGO_PKG_VERSION"));
    let [polled, failing, paused, gone] = figures.feeds;
    let feeds = [("polled", polled), ("failing", failing), ("paused", paused), ("gone", gone)];
    all.gauges("feeds", "Feeds that are followed", "state", feeds);
    let Counts { full, unchanged, failed, bytes, bytes_saved } = figures.polls;
    let polls = [("changed", full), ("unchanged", unchanged), ("failed", failed)];
    all.counters("polls", "Polls of feeds since the start", "outcome", polls);
    all.counter("polls_received_bytes", "Bytes of feeds received since the start", bytes);
    all.counter("polls_saved_bytes", "Bytes of feeds that did not have to come since the start", bytes_saved);
    let [complete, wanted, gone, seen] = figures.episodes;
    let episodes = [("complete", complete), ("wanted", wanted), ("gone", gone), ("seen", seen)];
    all.gauges("episodes", "Episodes that are known", "state", episodes);
    all.counter("downloads", "Episodes that were fetched since the start", figures.fetched);
    let Moved { from_http, from_peers, to_peers } = figures.moved;
    let received = [("http", from_http), ("peers", from_peers)];
    all.counters("received_bytes", "Bytes of episodes received since the start", "from", received);
    all.counter("peers_sent_bytes", "Bytes sent to peers since the start", to_peers);
    let [waiting, given_up] = figures.hooks;
    all.counter("hooks_failed", "Hooks that were given up since the start", given_up);
    let ([down, up], [free, reserve]) = (figures.rates, figures.disk);
    let gauges = [
        ("event_streams", "Event streams of feeds that stand", Some(figures.streams)),
        ("fetching", "Episodes that are being fetched now", Some(figures.fetching)),
        ("seeding", "Episodes that are seeded now", Some(figures.seeding)),
        ("seeding_rests", "Whether it is no time, or no line, for seeding", Some(figures.rests.into())),
        ("peers", "Connections to peers", Some(figures.peers)),
        ("down_rate_bytes", "Bytes a second from peers and hosts", Some(down)),
        ("up_rate_bytes", "Bytes a second to peers", Some(up)),
        ("dht_nodes", "Nodes of the distributed hash table that are known", figures.dht_nodes),
        ("library_bytes", "Bytes of all episodes that are there", Some(figures.library)),
        ("quota_bytes", "Bytes that they may take", figures.quota),
        ("disk_free_bytes", "Free bytes on the disk of the library", free),
        ("disk_reserve_bytes", "Bytes of them that stay free", reserve),
        ("hooks_waiting", "Hooks that are yet to be done", Some(waiting)),
        ("uptime_seconds", "Seconds since the start", Some(figures.up_time)),
        ("healthy", "Whether the last write of the state succeeded", Some(figures.is_healthy.into())),
    ];
    for (name, help, value) in gauges {
        all.gauge(name, help, value);
    }
    all.to_string()
}

#[cfg(test)]
mod tests {
    use podswarm_core::app::metrics::samples;

    use super::*;

    #[test]
    fn the_figures_are_openmetrics_and_few() {
        let figures = Figures {
            feeds: [3, 1, 2, 0],
            polls: Counts { full: 4, unchanged: 5, failed: 6, bytes: 7, bytes_saved: 8 },
            moved: Moved { from_http: 9, from_peers: 10, to_peers: 11 },
            quota: Some(12),
            ..Figures::default()
        };
        let samples = samples(&render(&figures)).unwrap();
        for (series, value) in [
            ("podsub_feeds{state=\"failing\"}", 1.0),
            ("podsub_polls_total{outcome=\"unchanged\"}", 5.0),
            ("podsub_polls_saved_bytes_total", 8.0),
            ("podsub_received_bytes_total{from=\"peers\"}", 10.0),
            ("podsub_peers_sent_bytes_total", 11.0),
            ("podsub_quota_bytes", 12.0),
            ("podsub_healthy", 0.0),
        ] {
            assert!((samples[series] - value).abs() < f64::EPSILON, "{series}: {samples:?}");
        }
        assert!(!samples.contains_key("podsub_disk_free_bytes"), "what is not known is not told");
        assert!(samples.len() < 40, "{samples:?}");
    }
}
