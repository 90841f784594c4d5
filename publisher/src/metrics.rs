//! Figures for those who watch over a publisher, as Prometheus reads them.
//!
//! They are served on a port of their own that the owner opens with `--metrics`, on loopback unless he names an
//! address: how busy a publisher is, is nobody's business. No series bears the name of an episode, a listener or an
//! address, so that there are always the same few; the downloads of each episode are told by `podpub stats`.
//!
//! Source: the `OpenMetrics` 1.0 text format, through the crate `prometheus-client`.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::host::{Host, blocking};

/// The type of the text.
const MIME: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Where figures are served: `IP:PORT`, or a port of loopback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MetricsAddr(pub(crate) SocketAddr);

impl FromStr for MetricsAddr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let port = || Some(SocketAddr::from((Ipv4Addr::LOCALHOST, text.parse().ok()?)));
        let addr = text.parse().ok().or_else(port);
        addr.map(Self).ok_or_else(|| "want IP:PORT, or a port of this machine alone".to_owned())
    }
}

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

/// The service of the port for figures: `/metrics` and `/healthz`.
pub(crate) fn app(host: Arc<Host>) -> Router {
    Router::new().route("/metrics", get(metrics)).route("/healthz", get(healthz)).with_state(host)
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
    let mut all = Registry::default();
    let of_process = [
        ("process_resident_memory_bytes", "Resident memory size in bytes.", resident_memory()),
        ("process_open_fds", "Number of open file descriptors.", open_descriptors()),
    ];
    for (name, help, value) in of_process {
        if let Some(value) = value {
            all.register(name, help.trim_end_matches('.'), gauge(value));
        }
    }
    let registry = all.sub_registry_with_prefix("podpub");
    registry.register("build", "The program", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
    let counters = [
        ("http_sent_bytes", "Bytes of media sent over HTTP since the start", figures.sent_over_http),
        ("peers_sent_bytes", "Bytes sent to peers since the start", figures.sent_to_peers),
    ];
    for (name, help, value) in counters {
        registry.register(name, help, counter(value));
    }
    let [http, swarm] = figures.downloads;
    let downloads = [("http", http), ("swarm", swarm)];
    registry.register("downloads", "Downloads that were counted since the start", counters_by("kind", downloads));
    let [done, failed] = figures.hooks;
    let hooks = [("done", done), ("failed", failed)];
    registry.register("hooks", "Hooks that were done or failed since the start", counters_by("outcome", hooks));
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
        if let Some(value) = value {
            registry.register(name, help, gauge(value));
        }
    }
    let mut text = String::new();
    encode(&mut text, &all).expect("a string takes all that is written");
    text
}

fn gauge(value: u64) -> Gauge {
    let gauge: Gauge = Gauge::default();
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    gauge
}

fn counter(value: u64) -> Counter {
    let counter: Counter = Counter::default();
    counter.inc_by(value);
    counter
}

type Labels = [(&'static str, &'static str); 1];

fn counters_by<const N: usize>(label: &'static str, values: [(&'static str, u64); N]) -> Family<Labels, Counter> {
    let family = Family::<Labels, Counter>::default();
    for (name, value) in values {
        family.get_or_create(&[(label, name)]).inc_by(value);
    }
    family
}

/// Bytes that this process has resident; `None` where the system does not tell.
fn resident_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.strip_suffix("kB"))?;
    Some(kib.trim().parse::<u64>().ok()? * 1024)
}

fn open_descriptors() -> Option<u64> {
    Some(fs::read_dir("/proc/self/fd").ok()?.count() as u64)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// Reads the text as a scraper does, and gives the samples; panics where it is none of `OpenMetrics`.
    fn parse(text: &str) -> BTreeMap<String, f64> {
        let is_name = |name: &str| {
            name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        let (mut kinds, mut helped, mut samples) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        let lines: Vec<&str> = text.strip_suffix("# EOF\n").expect("it ends with its mark").lines().collect();
        for line in lines {
            if let Some(help) = line.strip_prefix("# HELP ") {
                assert!(helped.insert(help.split(' ').next().unwrap()), "{line}");
            } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
                assert!(is_name(name) && ["counter", "gauge", "info"].contains(&kind), "{line}");
                assert!(kinds.insert(name, kind).is_none(), "{line}");
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
                assert!(is_name(name) && labels.ends_with('}'), "{line}");
                let family = |suffix| name.strip_suffix(suffix).and_then(|family| kinds.get(family)).copied();
                let kind = kinds.get(name).copied().filter(|kind| *kind == "gauge");
                let is_known = kind.is_some() || family("_total") == Some("counter") || family("_info") == Some("info");
                assert!(is_known, "a sample of a family that is told before it: {line}");
                assert!(samples.insert(series.to_owned(), value.parse().unwrap()).is_none(), "{line}");
            }
        }
        assert_eq!(helped, kinds.keys().copied().collect());
        samples
    }

    #[test]
    fn the_figures_are_openmetrics_and_few() {
        let figures = Figures { downloads: [7, 3], hooks: [1, 2], is_healthy: true, peers: 5, ..Figures::default() };
        let samples = parse(&render(&figures));
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

    #[test]
    fn a_port_alone_is_one_of_this_machine() {
        assert_eq!("9169".parse::<MetricsAddr>().unwrap().0, "127.0.0.1:9169".parse().unwrap());
        assert_eq!("10.0.0.1:9169".parse::<MetricsAddr>().unwrap().0, "10.0.0.1:9169".parse().unwrap());
        assert!("everywhere".parse::<MetricsAddr>().is_err() && "70000".parse::<MetricsAddr>().is_err());
    }
}
