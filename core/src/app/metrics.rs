//! Figures for those who watch over a program, as Prometheus reads them.
//!
//! They are served on a port of their own that the owner opens with `--metrics`, on loopback unless he names an
//! address: how busy a program is, is nobody's business. No series bears a title, a person or an address, so that there
//! are always the same few. [`Exposition`] writes the text, [`samples`] reads it as strictly as a scraper may.
//!
//! Law: what is written is read back.
//!
//! Source: the `OpenMetrics` 1.0 text format, through the crate `prometheus-client`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::control::is_loopback_host;

/// The type of the text.
pub const MIME: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Where figures are served: `IP:PORT`, or a port of loopback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricsAddr(pub SocketAddr);

impl FromStr for MetricsAddr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let port = || Some(SocketAddr::from((Ipv4Addr::LOCALHOST, text.parse().ok()?)));
        let addr = text.parse().ok().or_else(port);
        addr.map(Self).ok_or_else(|| "want IP:PORT, or a port of this machine alone".to_owned())
    }
}

impl MetricsAddr {
    /// Whether a request with this `Host` is answered: on loopback only one for this machine, which no page of others
    /// sends (DNS rebinding).
    pub fn answers(self, host: Option<&str>) -> bool {
        !self.0.ip().is_loopback() || is_loopback_host(host)
    }
}

/// Figures of a program and of its process.
pub struct Exposition {
    all: Registry,
    program: &'static str,
}

/// One label of a series, and its value.
type Labels = [(&'static str, &'static str); 1];

impl Exposition {
    /// What is known of every process. All further series begin with the name of the `program`.
    pub fn new(program: &'static str, version: &'static str) -> Self {
        let mut all = Registry::default();
        let of_process = [
            ("process_resident_memory_bytes", "Resident memory size in bytes", resident_memory()),
            ("process_open_fds", "Number of open file descriptors", open_descriptors()),
        ];
        for (name, help, value) in of_process {
            if let Some(value) = value {
                all.register(name, help, gauge(value));
            }
        }
        all.register(format!("{program}_build"), "The program", Info::new([("version", version)]));
        Self { all, program }
    }

    /// Something that only grows, until the program starts anew.
    pub fn counter(&mut self, name: &str, help: &str, value: u64) {
        let counter: Counter = Counter::default();
        counter.inc_by(value);
        self.all.register(format!("{}_{name}", self.program), help, counter);
    }

    /// The same by the values of one label.
    pub fn counters<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        values: [(&'static str, u64); N],
    ) {
        let family = Family::<Labels, Counter>::default();
        for (value, count) in values {
            family.get_or_create(&[(label, value)]).inc_by(count);
        }
        self.all.register(format!("{}_{name}", self.program), help, family);
    }

    /// Something that rises and falls; left out where it is not known.
    pub fn gauge(&mut self, name: &str, help: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.all.register(format!("{}_{name}", self.program), help, gauge(value));
        }
    }

    /// The same by the values of one label.
    pub fn gauges<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        values: [(&'static str, u64); N],
    ) {
        let family = Family::<Labels, Gauge>::default();
        for (value, level) in values {
            family.get_or_create(&[(label, value)]).set(signed(level));
        }
        self.all.register(format!("{}_{name}", self.program), help, family);
    }
}

impl fmt::Display for Exposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        encode(f, &self.all)
    }
}

fn gauge(value: u64) -> Gauge {
    let gauge: Gauge = Gauge::default();
    gauge.set(signed(value));
    gauge
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
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

/// The samples of a text by their series, as a strict scraper reads them; else what is wrong, and in which line.
///
/// Each family is told of once, with its kind and its help, before its samples, and those stand together; no series
/// comes twice; a counter ends with `_total` and does not fall below 0; the last line is the mark of the end.
///
/// # Errors
///
/// The text is none of `OpenMetrics`.
pub fn samples(text: &str) -> Result<BTreeMap<String, f64>, String> {
    let body = text.strip_suffix("# EOF\n").ok_or("it does not end with its mark")?;
    let (mut kinds, mut helped) = (BTreeMap::new(), BTreeSet::new());
    let (mut samples, mut family) = (BTreeMap::new(), None);
    for line in body.lines() {
        let wrong = |what: &str| Err(format!("{what}: `{line}`"));
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            if help.is_empty() || !helped.insert(name) {
                return wrong("a family has one help");
            }
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            if !is_name(name) || !["counter", "gauge", "info"].contains(&kind) {
                return wrong("no name, or no kind");
            }
            if kinds.insert(name, kind).is_some() {
                return wrong("a family comes once");
            }
            family = Some((name, kind));
        } else {
            let Some((series, value)) = line.rsplit_once(' ') else { return wrong("no sample") };
            let (name, labels) = series.split_once('{').map_or((series, None), |(name, labels)| (name, Some(labels)));
            let belongs = family.is_some_and(|(family, kind)| {
                let ending = name.strip_prefix(family);
                matches!((kind, ending), ("counter", Some("_total")) | ("gauge", Some("")) | ("info", Some("_info")))
            });
            if !belongs {
                return wrong("a sample of another family than that before it");
            }
            if !labels.is_none_or(are_labels) {
                return wrong("labels that are none");
            }
            let Some(value) = value.parse::<f64>().ok().filter(|value| value.is_finite()) else {
                return wrong("no number");
            };
            if value < 0.0 && name.ends_with("_total") {
                return wrong("a counter below 0");
            }
            if samples.insert(series.to_owned(), value).is_some() {
                return wrong("a series comes once");
            }
        }
    }
    if helped != kinds.keys().copied().collect() {
        return Err("a family has no help, or no kind".to_owned());
    }
    Ok(samples)
}

fn is_name(name: &str) -> bool {
    name.starts_with(|sign: char| sign.is_ascii_alphabetic() || sign == '_')
        && name.chars().all(|sign| sign.is_ascii_alphanumeric() || sign == '_')
}

/// Whether this is `name="value"}` with plain values, or several of them parted by commas.
fn are_labels(text: &str) -> bool {
    let is_label = |pair: &str| {
        let value = pair.split_once('=').filter(|(name, _)| is_name(name)).map(|(_, value)| value);
        let bare = value.and_then(|value| value.strip_prefix('"')?.strip_suffix('"'));
        bare.is_some_and(|bare| !bare.contains(['"', '\\', ',']))
    };
    text.strip_suffix('}').is_some_and(|pairs| pairs.split(',').all(is_label))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut all = Exposition::new("pod", "1.2.3");
        all.counter("polls", "Polls", 7);
        all.counters("downloads", "Downloads", "from", [("http", 3), ("peers", u64::MAX)]);
        all.gauge("peers", "Peers", Some(5));
        all.gauge("disk_free_bytes", "Free bytes", None);
        all.gauges("feeds", "Feeds", "state", [("paused", 1), ("polled", 0)]);
        let samples = samples(&all.to_string()).unwrap();
        for (series, value) in [
            ("pod_build_info{version=\"1.2.3\"}", 1.0),
            ("pod_polls_total", 7.0),
            ("pod_downloads_total{from=\"http\"}", 3.0),
            ("pod_peers", 5.0),
            ("pod_feeds{state=\"paused\"}", 1.0),
            ("pod_feeds{state=\"polled\"}", 0.0),
        ] {
            assert!((samples[series] - value).abs() < f64::EPSILON, "{series}: {samples:?}");
        }
        assert!(!samples.contains_key("pod_disk_free_bytes"), "what is not known is not told");
    }

    #[test]
    fn a_text_that_a_scraper_refuses_is_refused() {
        let head = "# HELP a A.\n# TYPE a counter\n";
        assert_eq!(samples(&format!("{head}a_total 1\n# EOF\n")).unwrap().len(), 1);
        for wrong in [
            "a_total 1\n",
            "a 1\n# EOF\n",
            "a_total one\n# EOF\n",
            "a_total -1\n# EOF\n",
            "a_total NaN\n# EOF\n",
            "b_total 1\n# EOF\n",
            "a_total 1\na_total 2\n# EOF\n",
            "a_total{x=1} 1\n# EOF\n",
            "a_total{x=\"1\" 1\n# EOF\n",
            "# TYPE b gauge\nb 1\n# EOF\n",
            "# HELP b B.\n# TYPE b gauge\nb 1\na_total 1\n# EOF\n",
            "# HELP b B.\n# TYPE b histogram\nb 1\n# EOF\n",
            "# HELP b B.\n# EOF\n",
        ] {
            assert!(samples(&format!("{head}{wrong}")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_port_alone_is_one_of_this_machine_which_answers_to_its_own_name() {
        let addr = |text: &str| text.parse::<MetricsAddr>();
        assert_eq!(addr("9169").unwrap().0, "127.0.0.1:9169".parse().unwrap());
        assert_eq!(addr("10.0.0.1:9169").unwrap().0, "10.0.0.1:9169".parse().unwrap());
        assert!(addr("everywhere").is_err() && addr("70000").is_err());
        for (text, host, answers) in [
            ("9169", Some("localhost:9169"), true),
            ("9169", Some("attacker.example:9169"), false),
            ("9169", None, false),
            ("10.0.0.1:9169", Some("box.example:9169"), true),
        ] {
            assert_eq!(addr(text).unwrap().answers(host), answers, "{text} {host:?}");
        }
    }
}
