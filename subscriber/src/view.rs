//! Answers in words: tables and lines for people.
//!
//! Reads no clock: the time is an argument.

use std::fmt::Write as _;
use std::time::Duration;

use chrono::{DateTime, Utc};
use podswarm_core::app::{human_duration, local_time};
use podswarm_core::dht::scrape::Estimate;
use podswarm_core::rate::ByteCount;
use podswarm_feeds::poll::Counts;

use crate::agent::{HookState, HubState};
use crate::ask::{EpisodeView, FeedView, StageName, Status, TrackerFigures, Transfer};
use crate::records::{Heard, Shared, Source};

/// The feeds as a table, with what is wrong below each.
pub fn feeds(feeds: &[FeedView], now: DateTime<Utc>) -> String {
    if feeds.is_empty() {
        return "no feeds are followed; `podsub add URL` follows one".to_owned();
    }
    let mut rows = vec![["#", "KEPT", "WANTED", "KNOWN", "NEXT POLL", "SHOW"].map(str::to_owned).to_vec()];
    rows.extend(feeds.iter().map(|feed| {
        let counts = [feed.complete, feed.wanted, feed.episodes].map(|count| count.to_string());
        let [kept, wanted, seen] = counts;
        vec![feed.id.to_string(), kept, wanted, seen, next_poll(feed, now), feed.name().to_owned()]
    }));
    let table = table(&rows, &[true, true, true, true, false, false]);
    let mut lines: Vec<String> = table.lines().map(str::to_owned).collect();
    // From the last, so that the lines before keep their places.
    for (row, feed) in feeds.iter().enumerate().rev() {
        if let Some(error) = &feed.last_error {
            lines.insert(row + 2, format!("     cannot be polled: {error}"));
        }
    }
    lines.join("\n")
}

fn next_poll(feed: &FeedView, now: DateTime<Utc>) -> String {
    match feed.next_poll {
        _ if feed.is_paused => "paused".to_owned(),
        _ if feed.is_gone => "gone for good".to_owned(),
        Some(at) if at <= now => "due".to_owned(),
        Some(at) => format!("in {}", human_duration((at - now).to_std().unwrap_or_default())),
        None => "-".to_owned(),
    }
}

/// Episodes as a table.
pub fn episodes(episodes: &[EpisodeView], with_show: bool) -> String {
    let mut rows = Vec::new();
    for episode in episodes {
        let date = episode.published.map_or_else(|| "-".to_owned(), |at| at.format("%Y-%m-%d").to_string());
        let size = episode.length.map_or_else(|| "-".to_owned(), |length| ByteCount(length).to_string());
        let mut row = vec![episode.id.to_string(), date, size, state(episode)];
        row.extend(with_show.then(|| episode.show.clone()));
        row.push(episode.title.clone());
        rows.push(row);
    }
    table(&rows, &[false, false, true, false, false, false])
}

/// Why episodes are not there, as a table.
pub fn reasons(episodes: &[EpisodeView], with_show: bool) -> String {
    let mut rows = Vec::new();
    for episode in episodes {
        let date = episode.published.map_or_else(|| "-".to_owned(), |at| at.format("%Y-%m-%d").to_string());
        let why = episode.why.clone().unwrap_or_else(|| "its file was taken away".to_owned());
        let why = if episode.stage == StageName::Gone { format!("gone: {why}") } else { why };
        let mut row = vec![episode.id.to_string(), date];
        row.extend(with_show.then(|| episode.show.clone()));
        row.extend([episode.title.clone(), why]);
        rows.push(row);
    }
    table(&rows, &[false; 5])
}

/// How far an episode is, in a few words.
pub fn state(episode: &EpisodeView) -> String {
    match episode.stage {
        StageName::Complete if episode.withdrawn.is_some() => "kept; taken back by its publisher".to_owned(),
        StageName::Complete => episode.seeded.as_ref().map_or_else(|| "kept".to_owned(), |why| format!("kept, {why}")),
        StageName::Gone => episode.why.as_ref().map_or_else(|| "gone".to_owned(), |why| format!("gone: {why}")),
        StageName::Seen => episode.why.as_ref().map_or_else(|| "seen".to_owned(), |why| format!("seen: {why}")),
        StageName::Wanted if episode.is_paused => "paused".to_owned(),
        StageName::Wanted => match (&episode.transfer, &episode.trouble) {
            (_, Some(trouble)) => format!("waiting: {trouble}"),
            (Some(transfer), None) => progress(transfer),
            (None, None) => "wanted".to_owned(),
        },
    }
}

/// `3 seeds, 12 others, 40 downloads`.
fn figures(told: TrackerFigures) -> String {
    let mut parts = vec![count(told.seeds as usize, "seed"), count(told.peers as usize, "other")];
    parts.extend(told.downloads.map(|downloads| count(downloads as usize, "download")));
    parts.join(", ")
}

/// `DHT: about 3 complete, about 12 fetching`.
pub fn by_table(told: Estimate) -> String {
    format!("DHT: {told}")
}

/// `42 % of 60.0 MiB, 1.2 MiB/s, 8 peers, 12 s left`, without what is not known.
pub fn progress(transfer: &Transfer) -> String {
    let mut parts = Vec::new();
    if transfer.state != "downloading" {
        parts.push(transfer.state.clone());
    }
    parts.push(match (transfer.percent(), transfer.length) {
        (Some(percent), Some(length)) => format!("{percent} % of {}", ByteCount(length)),
        _ => ByteCount(transfer.have).to_string(),
    });
    if transfer.down_rate.0 > 0 {
        parts.push(transfer.down_rate.to_string());
    }
    parts.extend(transfer.peers.map(peers));
    parts.extend((transfer.web_seeds > 0).then(|| count(transfer.web_seeds as usize, "web seed")));
    parts.extend(transfer.tracker.map(|told| format!("the tracker knows {}", figures(told))));
    parts.extend(transfer.dht.map(by_table));
    parts.extend(transfer.eta_seconds.map(|left| format!("{} left", human_duration(Duration::from_secs(left)))));
    parts.join(", ")
}

fn peers(count: u32) -> String {
    if count == 1 { "1 peer".to_owned() } else { format!("{count} peers") }
}

/// `1 episode`, `2 episodes`.
pub fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// All that is known of a feed.
pub fn feed(feed: &FeedView, now: DateTime<Utc>) -> String {
    let mut lines = vec![feed.name().to_owned()];
    let mut say = |name: &str, value: String| lines.push(format!("  {name:<12} {value}"));
    say("number", feed.id.to_string());
    say("url", feed.url.clone());
    if let Some(folder) = &feed.folder {
        say("folder", folder.display().to_string());
    }
    say("followed", format!("since {}", local(feed.added)));
    say("episodes", format!("{} seen, {} kept, {} wanted", feed.episodes, feed.complete, feed.wanted));
    let every = feed.schedule.as_ref().map_or_else(String::new, |schedule| format!(", by the schedule `{schedule}`"));
    say("next poll", next_poll(feed, now) + &every);
    if let Some(at) = feed.last_poll {
        say("last poll", local(at));
    }
    if let Some(error) = &feed.last_error {
        say("trouble", error.clone());
    }
    if let Some(url) = &feed.events_url {
        let state = if feed.is_listening { "" } else { ", not connected" };
        say("events", format!("{url}{state}"));
    }
    if let Some(hub) = &feed.hub {
        say("hub", told_by(hub, feed.is_listening));
    }
    if let Some(swarms) = &feed.swarms {
        say("swarms", swarms.text.clone());
    }
    for words in feed.rules.words() {
        say("rule", words);
    }
    say("polls", polls([feed.polls]));
    lines.join("\n")
}

/// `told by the hub at hub.example, until 2026-12-01 18:00`, or why not.
fn told_by(hub: &HubState, is_listening: bool) -> String {
    let host = &hub.host;
    match (hub.until, &hub.trouble) {
        (Some(until), None) => format!("told by the hub at {host}, until {}", local(until)),
        (Some(until), Some(why)) => format!("told by the hub at {host}, until {}; asked to go on: {why}", local(until)),
        (None, Some(why)) => format!("not told by the hub at {host}: {why}"),
        (None, None) if is_listening => format!("not told by the hub at {host}: its events tell of news"),
        (None, None) => format!("not told by the hub at {host} yet"),
    }
}

/// What polling has cost and saved: `25 answered for 1.2 MiB, 20 of them without change, which saved 4.8 MiB`.
fn polls(counts: impl IntoIterator<Item = Counts>) -> String {
    let sum = counts.into_iter().fold(Counts::default(), |sum, one| Counts {
        full: sum.full + one.full,
        unchanged: sum.unchanged + one.unchanged,
        failed: sum.failed + one.failed,
        bytes: sum.bytes + one.bytes,
        bytes_saved: sum.bytes_saved + one.bytes_saved,
    });
    let (cost, saved) = (ByteCount(sum.bytes), ByteCount(sum.bytes_saved));
    let answered = sum.full + sum.unchanged;
    let failed = if sum.failed == 0 { String::new() } else { format!("; {} failed", sum.failed) };
    format!("{answered} answered for {cost}, {} of them without change, which saved {saved}{failed}", sum.unchanged)
}

/// `1.2 GiB, ratio 0.8, seeded for 3 h 20 min`.
fn given_back(episode: &EpisodeView) -> String {
    let Shared { sent, seconds } = episode.shared;
    let ratio = episode.shared.ratio_milli(episode.length.unwrap_or(0)) / 10;
    let ratio = format!("{}.{:02}", ratio / 100, ratio % 100);
    format!("{}, ratio {ratio}, seeded for {}", ByteCount(sent), human_duration(Duration::from_secs(seconds)))
}

/// All that is known of an episode.
pub fn episode(episode: &EpisodeView) -> String {
    let mut lines = vec![episode.title.clone()];
    let mut say = |name: &str, value: String| lines.push(format!("  {name:<12} {value}"));
    say("number", episode.id.to_string());
    say("show", episode.show.clone());
    say("state", state(episode));
    if let Some(at) = episode.published {
        say("released", local(at));
    }
    if let Some(seconds) = episode.duration {
        say("duration", human_duration(Duration::from_secs(seconds)));
    }
    match (episode.season, episode.number) {
        (Some(season), Some(number)) => say("episode", format!("season {season}, number {number}")),
        (Some(season), None) => say("episode", format!("season {season}")),
        (None, Some(number)) => say("episode", format!("number {number}")),
        (None, None) => {}
    }
    if let Some(length) = episode.length {
        say("size", ByteCount(length).to_string());
    }
    if let Some(path) = &episode.path {
        say("file", path.display().to_string());
    }
    if episode.tagged {
        say("tags", "written into the file".to_owned());
    }
    for path in &episode.former {
        say("earlier file", path.display().to_string());
    }
    if let Some(heard) = &episode.heard {
        say("heard", self::heard(heard, episode.duration));
    }
    if let Some(transfer) = &episode.transfer {
        say("transfer", progress(transfer));
    }
    if episode.shared != Shared::default() {
        say("given back", given_back(episode));
    }
    say("guid", episode.guid.clone());
    if let Some(info_hash) = episode.info_hash {
        say("info-hash", info_hash.to_string());
    }
    for source in &episode.sources {
        let kind = match source {
            Source::Http(_) => "file",
            Source::Magnet(_) => "magnet",
            Source::Torrent(_) => "torrent",
        };
        say("source", format!("{kind} {}", source.address()));
    }
    if let Some(notes) = &episode.notes {
        lines.push(String::new());
        lines.push(plain_text(notes));
    }
    lines.join("\n")
}

/// `to 12 min 05 s of 45 min 00 s, on phone, 2026-11-22 18:30`, `to the end, …`.
pub fn heard(heard: &Heard, duration: Option<u64>) -> String {
    if heard.is_new() {
        return "not, or it is to count as new".to_owned();
    }
    let length = heard.total.or(duration);
    let is_at_end = heard.ended.is_some() && length.is_some_and(|length| heard.position + 1 >= length);
    let time = |seconds| human_duration(Duration::from_secs(seconds));
    let mut words = match length {
        _ if is_at_end => "to the end".to_owned(),
        Some(length) => format!("to {} of {}", time(heard.position), time(length)),
        None => format!("to {}", time(heard.position)),
    };
    if heard.ended.is_some() && !is_at_end {
        words.push_str(", and once to the end");
    }
    if let Some(device) = &heard.device {
        let _ = write!(words, ", on {device}");
    }
    format!("{words}, {}", local(heard.at))
}

/// How everything stands.
pub fn status(status: &Status, now: DateTime<Utc>) -> String {
    let mut text = match status.pid {
        Some(pid) => format!("agent      runs as process {pid}\n"),
        None => "agent      does not run: nothing is polled or downloaded until `podsub run`\n".to_owned(),
    };
    let space = match (status.free, status.reserve) {
        (Some(free), Some(reserve)) => format!(", {free} free, of which {reserve} are kept free"),
        _ => String::new(),
    };
    // Writing to a string cannot fail.
    let _ = writeln!(text, "library    {}{space}", status.library.display());
    if let Some(quota) = status.quota {
        let _ = writeln!(text, "quota      {} of {quota} taken", status.kept);
    }
    if let Some(swarms) = &status.swarms {
        let _ = writeln!(text, "swarms     {}", swarms.text);
    }
    let seeding = status.seeding;
    let _ = writeln!(
        text,
        "seeding    {}, {}, {}, {} sent; each {}",
        count(seeding.torrents, "torrent"),
        peers(seeding.peers),
        seeding.up_rate,
        ByteCount(seeding.uploaded),
        status.enough
    );
    if let Some(reason) = &status.rests {
        let _ = writeln!(text, "           nothing now: {reason}");
    }
    if let Some(reached) = &status.reached {
        let _ = writeln!(text, "outside    {}", reached.text);
    }
    if let Some(interface) = &status.interface {
        let _ = writeln!(text, "interface  {interface}");
    }
    if let Some(blocklist) = &status.blocklist {
        let _ = writeln!(text, "blocked    {blocklist}");
    }
    if let Some(proxy) = &status.proxy {
        let _ = writeln!(text, "proxy      {proxy}");
    }
    if let Some(nodes) = status.dht_nodes {
        let _ = writeln!(text, "network    {nodes} nodes of the distributed hash table");
    }
    for state in &status.hooks {
        let _ = writeln!(text, "hook       {}", hook(state));
    }
    let _ = writeln!(text, "polls      {}", polls(status.feeds.iter().map(|feed| feed.polls)));
    let _ = write!(text, "\n{}", feeds(&status.feeds, now));
    if !status.downloads.is_empty() {
        let _ = write!(text, "\n\n{}", episodes(&status.downloads, true));
    }
    text
}

/// A hook that waits or has failed: how often, since when, and why.
fn hook(state: &HookState) -> String {
    let HookState { hook, waiting, since, trouble, failed, last_failure } = state;
    let mut parts = Vec::new();
    if let Some(since) = since {
        let trouble = trouble.as_ref().map_or_else(String::new, |trouble| format!(", tried again: {trouble}"));
        parts.push(format!("{waiting} waiting, the oldest since {}{trouble}", local(*since)));
    }
    if *failed > 0 {
        parts.push(format!("{failed} given up, the last: {}", last_failure.as_deref().unwrap_or_default()));
    }
    format!("{hook}: {}", parts.join("; "))
}

fn local(at: DateTime<Utc>) -> String {
    local_time(at).format("%Y-%m-%d %H:%M").to_string()
}

/// Rows in columns as wide as their widest cell; the last one is left as it is.
fn table(rows: &[Vec<String>], is_number: &[bool]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<_> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut lines = Vec::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let pad = " ".repeat(widths[column] - cell.chars().count());
            let is_last = column + 1 == row.len();
            match is_number.get(column) {
                _ if is_last => line.push_str(cell),
                Some(true) => line.extend([&pad, cell, "  "]),
                _ => line.extend([cell, &pad, "  "]),
            }
        }
        lines.push(line.trim_end().to_owned());
    }
    lines.join("\n")
}

/// HTML as text: tags are left out, paragraphs become lines, the commonest entities characters.
pub fn plain_text(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        let (before, tag) = rest.split_at(start);
        text.push_str(before);
        let is_tag = tag[1..].starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!'));
        let Some(end) = tag.find('>').filter(|_| is_tag) else {
            text.push('<');
            rest = &tag[1..];
            continue;
        };
        let name = tag[1..end].trim_start_matches('/').split(|c: char| !c.is_ascii_alphanumeric()).next();
        let name = name.unwrap_or_default().to_ascii_lowercase();
        if matches!(name.as_str(), "br" | "p" | "div" | "li" | "ul" | "ol" | "h1" | "h2" | "h3" | "h4" | "tr") {
            text.push('\n');
        }
        rest = &tag[end + 1..];
    }
    text.push_str(rest);
    for (entity, character) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&apos;", "'"),
        ("&nbsp;", " "),
        ("&amp;", "&"),
    ] {
        text = text.replace(entity, character);
    }
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    let mut out: Vec<String> = Vec::new();
    for line in lines {
        // No two empty lines in a row, and none at the beginning.
        if !line.is_empty() || out.last().is_some_and(|last| !last.is_empty()) {
            out.push(line);
        }
    }
    out.join("\n").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use podswarm_core::rate::Rate;

    use super::*;
    use crate::agent::testing::{http, wall};
    use crate::records::{EpisodeId, Feed, FeedId, Stage, Why};

    fn a_feed() -> FeedView {
        let mut feed = Feed::new(FeedId(1), "http://host.example/feed.xml".parse().unwrap(), wall(0));
        feed.title = "Night Walks".to_owned();
        FeedView { next_poll: Some(wall(720)), episodes: 24, complete: 3, ..FeedView::new(&feed) }
    }

    #[test]
    fn feeds_are_a_table_with_their_trouble_below() {
        let broken = FeedView { last_error: Some("status 500".to_owned()), id: FeedId(12), ..a_feed() };
        let paused = FeedView { is_paused: true, id: FeedId(2), ..a_feed() };
        assert_eq!(
            feeds(&[a_feed(), broken, paused], wall(0)),
            " #  KEPT  WANTED  KNOWN  NEXT POLL       SHOW\n \
             1     3       0     24  in 12 min 00 s  Night Walks\n\
             12     3       0     24  in 12 min 00 s  Night Walks\n     \
             cannot be polled: status 500\n \
             2     3       0     24  paused          Night Walks"
        );
        assert!(feeds(&[], wall(0)).contains("podsub add"));
    }

    #[test]
    fn a_feed_says_until_when_its_hub_tells_or_why_it_does_not() {
        let hub = |until, trouble: Option<&str>| {
            let hub = HubState { host: "hub.example".to_owned(), until, trouble: trouble.map(str::to_owned) };
            let view = FeedView { hub: Some(hub), ..a_feed() };
            let text = feed(&view, wall(0));
            text.lines().find_map(|line| line.strip_prefix("  hub          ")).expect("it is told").to_owned()
        };
        let told = format!("told by the hub at hub.example, until {}", local(wall(600)));
        assert_eq!(hub(Some(wall(600)), None), told);
        assert_eq!(hub(Some(wall(600)), Some("it answers 500")), format!("{told}; asked to go on: it answers 500"));
        assert_eq!(hub(None, Some("it answers 500")), "not told by the hub at hub.example: it answers 500");
        assert_eq!(hub(None, None), "not told by the hub at hub.example yet");
        assert!(!feed(&a_feed(), wall(0)).contains("hub"));
    }

    #[test]
    fn an_episodes_state_says_what_is_in_its_way() {
        let feed = Feed::new(FeedId(1), "http://host.example/feed.xml".parse().unwrap(), wall(0));
        let id = EpisodeId { feed: FeedId(1), number: 1 };
        let view = |stage| EpisodeView::new(&http("a", 0).episode(id, stage, wall(0)), &feed);
        let wanted = view(Stage::Wanted { by_owner: false });
        assert_eq!(state(&wanted), "wanted");
        assert_eq!(state(&EpisodeView { trouble: Some("no peers".to_owned()), ..wanted.clone() }), "waiting: no peers");
        let transfer = Transfer {
            state: "downloading".to_owned(),
            length: Some(62_914_560),
            have: 26_424_116,
            down_rate: Rate(1_258_291),
            peers: Some(8),
            web_seeds: 1,
            eta_seconds: Some(29),
            ..Transfer::default()
        };
        let moving = EpisodeView { transfer: Some(transfer.clone()), ..wanted.clone() };
        assert_eq!(state(&moving), "42 % of 60.0 MiB, 1.1 MiB/s, 8 peers, 1 web seed, 29 s left");
        let transfer = Transfer { dht: Some(Estimate { seeds: 12, peers: 40 }), down_rate: Rate(0), ..transfer };
        let counted = EpisodeView { transfer: Some(transfer), ..wanted };
        let want = "42 % of 60.0 MiB, 8 peers, 1 web seed, DHT: about 12 complete, about 40 fetching, 29 s left";
        assert_eq!(state(&counted), want);
        assert!(episode(&counted).contains(&format!("  transfer     {want}\n")), "{}", episode(&counted));
        let json = serde_json::to_value(&counted).unwrap();
        assert_eq!(json["transfer"]["dht"], serde_json::json!({ "seeds": 12, "peers": 40 }));
        assert!(state(&view(Stage::Seen { why: Some(Why::TooMany) })).starts_with("seen: "));
    }

    #[test]
    fn notes_are_read_without_their_tags() {
        let html = "<p>Hello &amp; <b>welcome</b></p><ul><li>one<li>two</ul><script>x";
        assert_eq!(plain_text(html), "Hello & welcome\n\none\ntwo\nx");
        assert_eq!(plain_text("a < b, <3"), "a < b, <3");
        assert_eq!(plain_text("&amp;lt;"), "&lt;");
    }
}
