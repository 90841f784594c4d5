//! How long work proceeds, as a bar, as lines or as JSON.
//!
//! On a terminal a bar is drawn; off it a line is printed for every tenth of the work and every change of state; with
//! `--json` an object. Both come at most twice a second. With `--quiet` nothing is shown.
//!
//! Reads no clock: every update is told the time.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::out::Out;
use super::text::{human_duration, printable};
use crate::rate::{ByteCount, Rate, RateMeter};
use crate::time::Instant as CoreInstant;

/// The least time between two lines or objects of one piece of work, changes of state aside.
const PAUSE: Duration = Duration::from_millis(500);

/// Name, bar, and what moves; the last is cut where the terminal ends. 44 of 80 columns are left for it.
const BAR: &str = "{prefix:24!} {bar:10} {wide_msg}";

/// How far a piece of work is. What the caller does not know stays at its default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading<'a> {
    /// What is being done, such as `hashing` or `downloading`; may be empty.
    pub state: &'a str,
    /// Bytes done, those of earlier runs included.
    pub done: u64,
    /// Bytes to do in all; 0 while unknown.
    pub total: u64,
    /// The speed; measured from `done` if `None`.
    pub rate: Option<Rate>,
    /// Peers connected; not shown if `None`.
    pub peers: Option<u32>,
    /// Web servers that are sending; not shown if none is.
    pub web_seeds: u32,
    /// The time left; worked out from the speed if `None`.
    pub eta: Option<Duration>,
}

/// A piece of work that is under way; the bar goes when this is dropped.
#[derive(Debug)]
pub struct Progress {
    out: Out,
    bar: Option<ProgressBar>,
    memory: Mutex<Memory>,
}

#[derive(Debug)]
struct Memory {
    name: String,
    meter: Meter,
    shown: Option<Shown>,
}

/// What the last line or object said.
#[derive(Debug)]
struct Shown {
    state: String,
    tenths: u64,
    complete: bool,
    at: Instant,
}

/// The object printed with `--json`.
#[derive(Serialize)]
struct ProgressEvent<'a> {
    event: &'static str,
    name: &'a str,
    state: &'a str,
    done: u64,
    total: u64,
    rate: Rate,
    #[serde(skip_serializing_if = "Option::is_none")]
    peers: Option<u32>,
    #[serde(skip_serializing_if = "is_zero")]
    web_seeds: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    eta_seconds: Option<u64>,
}

impl Progress {
    pub(super) fn new(out: Out, name: String) -> Self {
        let bar = out.bars().map(|bars| {
            let style = ProgressStyle::with_template(BAR).expect("the template is well formed");
            bars.add(ProgressBar::new(0).with_style(style).with_prefix(printable(&name)))
        });
        let memory = Memory { name, meter: Meter::default(), shown: None };
        Self { out, bar, memory: Mutex::new(memory) }
    }

    /// Renames the work, once more is known of it.
    pub fn rename(&self, name: impl Into<String>) {
        let mut memory = self.memory();
        memory.name = name.into();
        if let Some(bar) = &self.bar {
            bar.set_prefix(printable(&memory.name));
        }
    }

    /// Shows how far the work is at `now`, if it is time to show it again. Cheap enough to call for every block.
    pub fn update(&self, now: Instant, reading: &Reading) {
        let mut memory = self.memory();
        let measured = memory.meter.measure(now, reading.done);
        let rate = reading.rate.unwrap_or(measured);
        let eta = reading.eta.or_else(|| time_left(reading, rate));
        let reading = Reading { rate: Some(rate), eta, ..*reading };
        if let Some(bar) = &self.bar {
            bar.set_length(reading.total);
            bar.set_position(reading.done);
            bar.set_message(printable(&describe_beside_bar(&reading)));
            return;
        }
        if !memory.is_due(now, &reading, self.out.is_json()) {
            return;
        }
        if self.out.is_json() {
            // A reader that has gone is noticed by the command itself, when it prints its result.
            let _ = self.out.json(&event(&memory.name, &reading));
        } else {
            self.out.note(format!("{}: {}", memory.name, describe(&reading)));
        }
    }

    /// Shows that `done` of `total` bytes are done at `now`; the speed is measured.
    pub fn bytes(&self, now: Instant, state: &str, done: u64, total: u64) {
        self.update(now, &Reading { state, done, total, ..Reading::default() });
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Memory {
    /// Whether a line or an object is due; remembers it if so.
    fn is_due(&mut self, now: Instant, reading: &Reading, json: bool) -> bool {
        let tenths = (u128::from(reading.done) * 10).checked_div(u128::from(reading.total)).unwrap_or(0);
        let tenths = u64::try_from(tenths).unwrap_or(u64::MAX);
        let complete = reading.total > 0 && reading.done >= reading.total;
        let due = self.shown.as_ref().is_none_or(|shown| {
            let turned = shown.state != reading.state || (complete && !shown.complete);
            let moved = now.duration_since(shown.at) >= PAUSE && (json || tenths > shown.tenths);
            turned || moved
        });
        if due {
            self.shown = Some(Shown { state: reading.state.to_owned(), tenths, complete, at: now });
        }
        due
    }
}

/// Measures a speed from how a count of bytes grows.
#[derive(Debug, Default)]
struct Meter {
    recent: RateMeter,
    began: Option<Instant>,
    done: u64,
}

impl Meter {
    /// What was done before the first call counts for nothing: it is from an earlier run.
    fn measure(&mut self, now: Instant, done: u64) -> Rate {
        let Some(began) = self.began else {
            (self.began, self.done) = (Some(now), done);
            return Rate(0);
        };
        let since = CoreInstant::ZERO + now.duration_since(began);
        self.recent.add(since, done.saturating_sub(self.done));
        self.done = done;
        self.recent.rate(since)
    }
}

fn time_left(reading: &Reading, rate: Rate) -> Option<Duration> {
    let left = reading.total.checked_sub(reading.done).filter(|left| *left > 0)?;
    (rate.0 > 0).then(|| Duration::from_secs(left.div_ceil(rate.0)))
}

fn event<'a>(name: &'a str, reading: &Reading<'a>) -> ProgressEvent<'a> {
    ProgressEvent {
        event: "progress",
        name,
        state: reading.state,
        done: reading.done,
        total: reading.total,
        rate: reading.rate.unwrap_or_default(),
        peers: reading.peers,
        web_seeds: reading.web_seeds,
        eta_seconds: reading.eta.map(|eta| eta.as_secs()),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// `downloading, 40 % of 60.0 MiB, 3.1 MiB/s, 8 peers, 12 s left`, without what is not known.
fn describe(reading: &Reading) -> String {
    let mut parts = Vec::new();
    if !reading.state.is_empty() {
        parts.push(reading.state.to_owned());
    }
    if reading.total > 0 {
        parts.push(format!("{} % of {}", percent(reading), ByteCount(reading.total)));
    } else if reading.done > 0 {
        parts.push(ByteCount(reading.done).to_string());
    }
    parts.extend(moving(reading));
    parts.join(", ")
}

/// ` 40 %  3.1 MiB/s, 8 peers, 12 s left, downloading`: the most telling first, since the end may be cut.
fn describe_beside_bar(reading: &Reading) -> String {
    let mut parts = moving(reading);
    if !reading.state.is_empty() {
        parts.push(reading.state.to_owned());
    }
    let parts = parts.join(", ");
    match (reading.total, reading.done) {
        (0, 0) => parts,
        (0, done) => format!("{}  {parts}", ByteCount(done)),
        _ => format!("{:>3} %  {parts}", percent(reading)),
    }
}

/// Cut and not rounded: 100 is shown when all is done. The total must not be 0.
fn percent(reading: &Reading) -> u128 {
    u128::from(reading.done.min(reading.total)) * 100 / u128::from(reading.total)
}

/// Speed, sources and time left.
fn moving(reading: &Reading) -> Vec<String> {
    let rate = reading.rate.filter(|rate| rate.0 > 0).map(|rate| rate.to_string());
    let count = |count, what| if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") };
    let peers = reading.peers.map(|peers| count(peers, "peer"));
    let servers = (reading.web_seeds > 0).then(|| count(reading.web_seeds, "web seed"));
    let left = reading.eta.map(|eta| format!("{} left", human_duration(eta)));
    [rate, peers, servers, left].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::out::Format;

    const MIB: u64 = 1 << 20;

    fn at(begin: Instant, ms: u64) -> Instant {
        begin + Duration::from_millis(ms)
    }

    #[test]
    fn off_a_terminal_every_tenth_is_one_line_but_only_two_come_in_a_second() {
        for (ms, count) in [(50, 11), (10, 3)] {
            let (out, heard) = Out::captured(Format::Text, false);
            let progress = out.progress("ep.mp3");
            let begin = Instant::now();
            for percent in 0..=100 {
                progress.bytes(at(begin, percent * ms), "", percent * MIB, 100 * MIB);
            }
            let lines = heard.stderr();
            assert_eq!(lines.lines().count(), count, "{lines}");
            assert_eq!(lines.lines().next(), Some("ep.mp3: 0 % of 100.0 MiB"));
            assert!(lines.lines().last().unwrap().starts_with("ep.mp3: 100 % of 100.0 MiB, "), "{lines}");
            assert_eq!(heard.stdout(), "");
        }
    }

    #[test]
    fn a_change_of_state_is_told_at_once() {
        let (out, heard) = Out::captured(Format::Text, false);
        let progress = out.progress("ep.mp3");
        let now = Instant::now();
        let reading = Reading { total: 10, peers: Some(1), ..Reading::default() };
        for state in ["checking", "checking", "downloading"] {
            progress.update(now, &Reading { state, ..reading });
        }
        assert_eq!(heard.stderr(), "ep.mp3: checking, 0 % of 10 B, 1 peer\nep.mp3: downloading, 0 % of 10 B, 1 peer\n");
    }

    #[test]
    fn json_comes_twice_a_second_and_at_the_end() {
        let (out, heard) = Out::captured(Format::Json, false);
        let progress = out.progress("ep.mp3");
        let begin = Instant::now();
        for ms in 0..=1100 {
            let eta = Some(Duration::from_secs(7));
            let rate = Some(Rate(5));
            let peers = Some(3);
            let reading = Reading { state: "downloading", done: ms, total: 1100, rate, peers, web_seeds: 0, eta };
            progress.update(at(begin, ms), &reading);
        }
        let objects: Vec<serde_json::Value> =
            heard.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let done: Vec<_> = objects.iter().map(|object| object["done"].as_u64().unwrap()).collect();
        assert_eq!(done, [0, 500, 1000, 1100]);
        assert_eq!(
            objects[1],
            serde_json::json!({"event": "progress", "name": "ep.mp3", "state": "downloading", "done": 500,
                "total": 1100, "rate": 5, "peers": 3, "eta_seconds": 7})
        );
        assert_eq!(heard.stderr(), "");
    }

    #[test]
    fn quiet_shows_nothing() {
        let (out, heard) = Out::captured(Format::Text, true);
        out.progress("ep.mp3").bytes(Instant::now(), "hashing", 5, 5);
        assert_eq!((heard.stdout(), heard.stderr()), (String::new(), String::new()));
    }

    #[test]
    fn speed_and_time_left_are_measured_without_the_bytes_of_earlier_runs() {
        let (out, heard) = Out::captured(Format::Text, false);
        let progress = out.progress("ep.mp3");
        let begin = Instant::now();
        // A MiB every tenth of a second, upon 50 that were there; the window holds a little less than four seconds.
        for tenth in 0..=40 {
            progress.bytes(at(begin, tenth * 100), "", (50 + tenth) * MIB, 100 * MIB);
        }
        assert_eq!(heard.stderr().lines().last(), Some("ep.mp3: 90 % of 100.0 MiB, 9.5 MiB/s, 2 s left"));
    }

    #[test]
    fn beside_the_bar_the_most_telling_comes_first() {
        let (rate, eta) = (Some(Rate(MIB)), Some(Duration::from_secs(12)));
        let peers = Some(8);
        let reading = Reading { state: "downloading", done: 999, total: 1000, rate, peers, web_seeds: 1, eta };
        assert_eq!(describe_beside_bar(&reading), " 99 %  1.0 MiB/s, 8 peers, 1 web seed, 12 s left, downloading");
        assert!(ProgressStyle::with_template(BAR).is_ok());
    }

    #[test]
    fn a_size_that_is_not_known_is_left_out() {
        let reading = Reading { done: 3 * MIB, rate: Some(Rate(MIB)), peers: Some(0), ..Reading::default() };
        assert_eq!(describe(&reading), "3.0 MiB, 1.0 MiB/s, 0 peers");
        assert_eq!(describe_beside_bar(&reading), "3.0 MiB  1.0 MiB/s, 0 peers");
        assert_eq!(describe(&Reading { done: 9, total: 5, ..Reading::default() }), "100 % of 5 B");
    }
}
