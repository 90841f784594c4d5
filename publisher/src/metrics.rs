//! A publisher's figures, as Prometheus reads them on the port of `--metrics`.
//!
//! The downloads of each episode are no series; `podpub stats` tells them.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use podswarm_core::app::metrics::{Exposition, MIME, MetricsAddr};

use crate::host::{Host, blocking};

/// How a publisher stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    /// Bytes of media sent over HTTP since the start.
    pub(crate) sent_over_http: u64,
    /// Bytes sent to peers since the start.
    pub(crate) sent_to_peers: u64,
    /// Bytes a second to peers, now.
    pub(crate) up_rate: u64,
    /// Connections to peers.
    pub(crate) peers: u64,
    /// Nodes of the distributed hash table that are known.
    pub(crate) dht_nodes: u64,
    /// Shows.
    pub(crate) shows: u64,
    /// Episodes that are out.
    pub(crate) episodes: u64,
    /// Those of them that cannot be served.
    pub(crate) faulty: u64,
    /// Peers on the tracker.
    pub(crate) tracker_peers: u64,
    /// Downloads that were counted over HTTP, and in swarms, since the start.
    pub(crate) downloads: [u64; 2],
    /// Hooks that were done, and that failed, since the start.
    pub(crate) hooks: [u64; 2],
    /// Bytes that are free on the data directory's disk; `None` where that cannot be told.
    pub(crate) disk_free: Option<u64>,
    /// Whether the last write of the state succeeded.
    pub(crate) is_healthy: bool,
}

/// The service of the port for figures at `addr`: `/metrics` and `/healthz`.
pub(crate) fn app(host: Arc<Host>, addr: MetricsAddr) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .layer(from_fn_with_state(addr, admit))
        .with_state(host)
}

/// Lets requests through that were sent to this port by a name it answers to.
async fn admit(State(addr): State<MetricsAddr>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    if addr.answers(host) { next.run(request).await } else { StatusCode::FORBIDDEN.into_response() }
}

async fn metrics(State(host): State<Arc<Host>>) -> Response {
    let text = blocking(move || host.figures().map(|figures| render(&figures))).await;
    match text {
        Ok(text) => ([(header::CONTENT_TYPE, MIME), (header::CACHE_CONTROL, "no-store")], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "figures cannot be told");
            (StatusCode::SERVICE_UNAVAILABLE, "the library cannot be read, the log says why\n").into_response()
        }
    }
}

async fn healthz(State(host): State<Arc<Host>>) -> Response {
    crate::http::health(host.library()).await
}

/// The figures, and those of the process, as text.
fn render(figures: &Figures) -> String {
    let mut all = Exposition::new("podpub", env!("CARGO_PKG_VERSION"));
    all.counter("http_sent_bytes", "Bytes of media sent over HTTP since the start", figures.sent_over_http);
    all.counter("peers_sent_bytes", "Bytes sent to peers since the start", figures.sent_to_peers);
    let [http, swarm] = figures.downloads;
    let downloads = [("http", http), ("swarm", swarm)];
    all.counters("downloads", "Downloads that were counted since the start", "kind", downloads);
    let [done, failed] = figures.hooks;
    let hooks = [("done", done), ("failed", failed)];
    all.counters("hooks", "Hooks that were done or failed since the start", "outcome", hooks);
    let gauges = [
        ("peers", "Connections to peers", Some(figures.peers)),
        ("up_rate_bytes", "Bytes a second to peers", Some(figures.up_rate)),
        ("dht_nodes", "Nodes of the distributed hash table that are known", Some(figures.dht_nodes)),
        ("shows", "Shows", Some(figures.shows)),
        ("episodes", "Episodes that are out", Some(figures.episodes)),
        ("episodes_faulty", "Episodes that are out and cannot be served", Some(figures.faulty)),
        ("tracker_peers", "Peers on the tracker", Some(figures.tracker_peers)),
        ("disk_free_bytes", "Free bytes on the disk of the data directory", figures.disk_free),
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
        let figures = Figures { downloads: [7, 3], hooks: [1, 2], is_healthy: true, peers: 5, ..Figures::default() };
        let samples = samples(&render(&figures)).unwrap();
        for (series, value) in [
            ("podpub_downloads_total{kind=\"http\"}", 7.0),
            ("podpub_downloads_total{kind=\"swarm\"}", 3.0),
            ("podpub_hooks_total{outcome=\"failed\"}", 2.0),
            ("podpub_http_sent_bytes_total", 0.0),
            ("podpub_peers", 5.0),
            ("podpub_healthy", 1.0),
        ] {
            assert!((samples[series] - value).abs() < f64::EPSILON, "{series}: {samples:?}");
        }
        assert!(!samples.contains_key("podpub_disk_free_bytes"), "what is not known is not told");
        assert!(samples.len() < 30, "{samples:?}");
    }
}
