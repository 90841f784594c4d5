//! The picture of a [`Model`]: panes beside or below each other as the window has room.
//!
//! From 120 columns on feeds stand beside episodes, with what is known of the chosen one below. A smaller window has
//! the pane where the person is, and below it what belongs to what is chosen; the smallest has that pane alone.

use std::time::Duration;

use podswarm_core::app::human_duration;
use podswarm_core::rate::ByteCount;
use podswarm_core::timetable::RateLimits;
use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Padding, Paragraph, Sparkline};

use super::figures::{bar, bytes, fit, flags, history, pieces, rate, right, time_left};
use super::keys::HELP;
use super::model::{Mode, Model, Pane, Prompt};
use crate::ask::{EpisodeView, FeedView, Look, StageName, Status, Transfer};
use crate::view::{self, by_table};

/// From this width on panes stand beside each other.
const WIDE: u16 = 120;

/// The styles; without colours only what every terminal has.
#[derive(Clone, Copy)]
struct Paint {
    has_colours: bool,
}

impl Paint {
    fn colour(self, colour: Color) -> Style {
        if self.has_colours { Style::new().fg(colour) } else { Style::new() }
    }

    fn incoming(self) -> Style {
        self.colour(Color::Green)
    }

    fn outgoing(self) -> Style {
        self.colour(Color::Cyan)
    }

    fn trouble(self) -> Style {
        self.colour(Color::Red).add_modifier(Modifier::BOLD)
    }
}

/// What matters less.
const SOFT: Style = Style::new().add_modifier(Modifier::DIM);
/// What matters more.
const STRONG: Style = Style::new().add_modifier(Modifier::BOLD);

/// The style of what is chosen.
const fn chosen(has_focus: bool) -> Style {
    let style = Style::new().add_modifier(Modifier::REVERSED);
    style.add_modifier(if has_focus { Modifier::BOLD } else { Modifier::DIM })
}

/// Draws everything.
pub fn draw(model: &Model, frame: &mut Frame<'_>) {
    let paint = Paint { has_colours: model.has_colours };
    let area = frame.area();
    let heads = if area.height >= 20 { 2 } else { 1 };
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(heads), Constraint::Min(0), Constraint::Length(1)]).areas(area);
    match (&model.absent, &model.status) {
        (None, Some(status)) => {
            header(model, status, paint, frame, head);
            panes(model, paint, frame, body);
        }
        (why, _) => absent(why.as_deref().unwrap_or_default(), frame, area),
    }
    footer(model, paint, frame, foot);
    if model.mode == Mode::Help {
        help(frame, area);
    }
}

fn absent(why: &str, frame: &mut Frame<'_>, area: Rect) {
    let [_, middle, _] =
        Layout::vertical([Constraint::Fill(1), Constraint::Length(4), Constraint::Fill(1)]).areas(area);
    let text = Paragraph::new(vec![Line::styled("podsub", STRONG), Line::raw(""), Line::raw(why)]);
    let text = text.alignment(Alignment::Center).wrap(ratatui::widgets::Wrap { trim: true });
    frame.render_widget(text, middle);
}

fn header(model: &Model, status: &Status, paint: Paint, frame: &mut Frame<'_>, area: Rect) {
    let width = usize::from(area.width);
    let traffic = status.traffic;
    let most = model.speeds.iter().map(|(down, up)| *down.max(up)).max().unwrap_or(0);
    let graph = width.saturating_sub(48).min(120) / 2;
    let down = history(model.speeds.iter().map(|speed| speed.0), most, graph);
    let up = history(model.speeds.iter().map(|speed| speed.1), most, graph);
    let first = Line::from(vec![
        Span::styled(" podsub ", chosen(true)),
        Span::styled(format!(" ↓{} ", right(&rate(traffic.down_rate), 10)), paint.incoming()),
        Span::styled(down, paint.incoming()),
        Span::styled(format!(" ↑{} ", right(&rate(traffic.up_rate), 10)), paint.outgoing()),
        Span::styled(up, paint.outgoing()),
        Span::raw(right(&view::count(traffic.peers as usize, "peer"), 11)),
    ]);
    let mut lines = vec![first];
    if area.height > 1 {
        let mut parts = vec![status.limits.map_or_else(|| "no swarms".to_owned(), |limits| limit_text(limits.now))];
        parts.push(format!("{} to fetch", status.downloads.len()));
        let seeded = format!("{} seeded", status.seeding.torrents);
        parts.push(status.rests.as_ref().map_or(seeded, |reason| format!("nothing seeded: {reason}")));
        parts.extend(status.free.map(|free| format!("{} free", bytes(free.0))));
        parts.extend(status.interface.as_ref().filter(|it| !it.is_up).map(ToString::to_string));
        parts.extend(status.proxy.as_ref().filter(|it| it.error.is_some()).map(ToString::to_string));
        parts.extend(model.playing.as_ref().map(|(_, title)| format!("playing {title}")));
        parts.extend(status.reached.as_ref().map(|reached| format!("reached from outside: {}", reached.text)));
        lines.push(Line::styled(fit(&format!(" {}", parts.join(" · ")), width), SOFT));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn limit_text(limits: RateLimits) -> String {
    let text = |limit: Option<_>| limit.map_or_else(|| "none".to_owned(), rate);
    if limits == RateLimits::default() {
        "no limits".to_owned()
    } else {
        format!("limits ↓ {} ↑ {}", text(limits.down), text(limits.up))
    }
}

fn panes(model: &Model, paint: Paint, frame: &mut Frame<'_>, area: Rect) {
    if area.width >= WIDE && area.height >= 16 {
        return beside(model, paint, frame, area);
    }
    let is_small = area.width < 70 || area.height < 14;
    let below = match model.pane {
        Pane::Feeds => Some(Pane::Episodes),
        Pane::Episodes | Pane::Peers => Some(Pane::Peers),
        Pane::Events => None,
    };
    let Some(below) = below.filter(|_| !is_small) else { return pane(model.pane, model, paint, frame, area) };
    let above = if model.pane == Pane::Feeds { Pane::Feeds } else { Pane::Episodes };
    let (upper, lower) = if model.pane == Pane::Peers { (2, 3) } else { (1, 1) };
    let [top, bottom] = Layout::vertical([Constraint::Fill(upper), Constraint::Fill(lower)]).areas(area);
    pane(above, model, paint, frame, top);
    pane(below, model, paint, frame, bottom);
}

fn beside(model: &Model, paint: Paint, frame: &mut Frame<'_>, area: Rect) {
    let left = Constraint::Length((area.width / 4).clamp(30, 46));
    let [left, _, main] = Layout::horizontal([left, Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    if area.height >= 30 {
        let [feeds, speeds] = Layout::vertical([Constraint::Fill(1), Constraint::Length(13)]).areas(left);
        pane(Pane::Feeds, model, paint, frame, feeds);
        graph(model, paint, frame, speeds);
    } else {
        pane(Pane::Feeds, model, paint, frame, left);
    }
    if area.height >= 36 {
        let parts = [Constraint::Fill(4), Constraint::Fill(4), Constraint::Length(9)];
        let [episodes, peers, events] = Layout::vertical(parts).areas(main);
        pane(Pane::Episodes, model, paint, frame, episodes);
        pane(Pane::Peers, model, paint, frame, peers);
        pane(Pane::Events, model, paint, frame, events);
    } else {
        let [episodes, rest] = Layout::vertical([Constraint::Fill(1), Constraint::Fill(1)]).areas(main);
        pane(Pane::Episodes, model, paint, frame, episodes);
        let below = if model.pane == Pane::Events { Pane::Events } else { Pane::Peers };
        pane(below, model, paint, frame, rest);
    }
}

fn pane(which: Pane, model: &Model, paint: Paint, frame: &mut Frame<'_>, area: Rect) {
    if area.height < 2 {
        return;
    }
    match which {
        Pane::Feeds => feeds(model, paint, frame, area),
        Pane::Episodes => episodes(model, paint, frame, area),
        Pane::Peers => peers(model, paint, frame, area),
        Pane::Events => events(model, frame, area),
    }
}

/// The line above a pane: its key, its name, and a word at the right.
fn rule(which: Pane, name: &str, aside: &str, model: &Model, width: u16) -> Line<'static> {
    let has_focus = model.pane == which;
    let width = usize::from(width);
    let number = Pane::ALL.iter().position(|pane| *pane == which).unwrap_or(0) + 1;
    let aside = if aside.is_empty() { String::new() } else { format!(" {aside} ") };
    let room = width.saturating_sub(aside.chars().count() + 7);
    let name = fit(name, room).trim_end().to_owned();
    let line = if has_focus { "━" } else { "─" };
    let style = if has_focus { STRONG } else { SOFT };
    let (start, name) = (line.to_owned(), Span::styled(format!(" {number} {name} "), style));
    let rest = width.saturating_sub(1 + name.width() + Span::raw(&*aside).width() + 1);
    Line::from(vec![
        Span::styled(start, style),
        name,
        Span::styled(line.repeat(rest), style),
        Span::styled(aside, SOFT),
        Span::styled(line, style),
    ])
}

/// The part of a list that is shown: the chosen line stays in the middle where there is something on both sides.
fn window(chosen: usize, count: usize, height: usize) -> std::ops::Range<usize> {
    let first = chosen.saturating_sub(height / 2).min(count.saturating_sub(height));
    first..count.min(first + height)
}

fn feeds(model: &Model, paint: Paint, frame: &mut Frame<'_>, area: Rect) {
    let width = usize::from(area.width);
    let feeds = model.feeds();
    let at = feeds.iter().position(|feed| Some(feed.id) == model.feed).map_or(0, |at| at + 1);
    let mut lines = vec![rule(Pane::Feeds, "Feeds", &feeds.len().to_string(), model, area.width)];
    let height = usize::from(area.height) - 1;
    for row in window(at, feeds.len() + 1, height) {
        let line = match row.checked_sub(1).map(|row| feeds[row]) {
            None => Line::raw(fit("   everything that moves", width)),
            Some(feed) => feed_line(feed, model, paint, width),
        };
        lines.push(if row == at { line.patch_style(chosen(model.pane == Pane::Feeds)) } else { line });
    }
    if feeds.is_empty() && lines.len() <= height {
        lines.push(Line::styled(fit("   a follows a feed", width), SOFT));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

/// Whether somebody tells of a feed's news: its events, or its hub.
fn is_told(feed: &FeedView) -> bool {
    feed.is_listening || feed.hub.as_ref().is_some_and(|hub| hub.until.is_some())
}

fn feed_line(feed: &FeedView, model: &Model, paint: Paint, width: usize) -> Line<'static> {
    let (sign, style) = match feed {
        _ if feed.is_paused => ("‖", SOFT),
        _ if feed.is_gone || feed.last_error.is_some() => ("!", paint.trouble()),
        _ if is_told(feed) => ("»", paint.incoming()),
        _ => (" ", Style::new()),
    };
    let wanted = if feed.wanted > 0 { format!("↓{}", feed.wanted) } else { String::new() };
    let mut counts = right(&wanted, 4) + &right(&format!("{}/{}", feed.complete, feed.episodes), 10);
    if width >= 70 {
        let next = match (&feed.last_error, feed.next_poll, model.now) {
            (Some(error), ..) => error.clone(),
            (None, ..) if feed.is_listening => "told at once".to_owned(),
            (None, ..) if is_told(feed) => "told by its hub".to_owned(),
            (None, Some(at), Some(now)) => {
                format!("polled in {}", human_duration((at - now).to_std().unwrap_or(Duration::ZERO)))
            }
            _ => String::new(),
        };
        counts = format!("{counts}  {}", fit(&next, 24));
    }
    let name = fit(feed.name(), width.saturating_sub(4 + counts.chars().count()));
    Line::from(vec![
        Span::styled(format!(" {sign} "), style),
        Span::raw(name),
        Span::styled(format!("{counts} "), SOFT),
    ])
}

/// The widths of an episode's columns.
struct Columns {
    show: usize,
    title: usize,
    bar: usize,
    rate: usize,
    peers: usize,
    left: usize,
}

impl Columns {
    fn of(width: usize, with_show: bool) -> Self {
        let (bar, rate, up, peers, left) = match width {
            100.. => (12, 11, 11, 6, 9),
            70.. => (8, 10, 10, 5, 8),
            _ => (6, 10, 0, 0, 8),
        };
        let show = if with_show && width >= 100 { (width / 6).min(30) } else { 0 };
        // A sign before, the share after the bar, and an edge.
        let title = width.saturating_sub(3 + show + bar + 6 + rate + up + peers + left + 1);
        Self { show, title, bar, rate, peers, left }
    }

    /// All that is right of the title.
    const fn right(&self) -> usize {
        let up = if self.peers > 0 { self.rate } else { 0 };
        self.bar + 6 + self.rate + up + self.peers + self.left + 1
    }
}

fn episodes(model: &Model, paint: Paint, frame: &mut Frame<'_>, area: Rect) {
    let width = usize::from(area.width);
    let episodes = model.episodes();
    let at = episodes.iter().position(|view| Some(view.id) == model.episode).unwrap_or(0);
    let of = model.feed.and_then(|id| model.feeds().into_iter().find(|feed| feed.id == id));
    let name = match (of, model.feed) {
        (Some(feed), _) => feed.name().to_owned(),
        (None, Some(_)) => "Episodes".to_owned(),
        (None, None) => "Everything that moves".to_owned(),
    };
    let place = if episodes.is_empty() { "none".to_owned() } else { format!("{} of {}", at + 1, episodes.len()) };
    let mut lines = vec![rule(Pane::Episodes, &name, &place, model, area.width)];
    let columns = Columns::of(width, model.feed.is_none());
    lines.push(Line::styled(column_names(&columns, width), SOFT));
    let height = usize::from(area.height).saturating_sub(lines.len());
    for row in window(at, episodes.len(), height) {
        let line = episode_line(episodes[row], &columns, paint);
        lines.push(if row == at { line.patch_style(chosen(model.pane == Pane::Episodes)) } else { line });
    }
    if episodes.is_empty() {
        let text = match (&model.filter[..], model.feed) {
            ("", None) => "   nothing is fetched or seeded now",
            ("", Some(_)) => "   no episodes are known",
            _ => "   nothing has these letters; Esc shows all",
        };
        lines.push(Line::styled(fit(text, width), SOFT));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn column_names(columns: &Columns, width: usize) -> String {
    let mut text = "   ".to_owned();
    if columns.show > 0 {
        text += &fit("SHOW", columns.show);
    }
    text += &fit("EPISODE", columns.title);
    text += &fit("", columns.bar);
    text += &right("DONE", 6);
    text += &right("DOWN", columns.rate);
    if columns.peers > 0 {
        text += &right("UP", columns.rate);
        text += &right("PEER", columns.peers);
    }
    text += &right("LEFT", columns.left);
    fit(&text, width)
}

/// The sign of how far an episode is, and its style.
fn sign(view: &EpisodeView, paint: Paint) -> (&'static str, Style) {
    let state = view.transfer.as_ref().map(|transfer| &*transfer.state);
    match (view.stage, state) {
        _ if view.is_paused => ("‖", SOFT),
        (StageName::Wanted, _) if view.trouble.is_some() => ("!", paint.trouble()),
        (StageName::Wanted, Some("checking")) => ("~", SOFT),
        (StageName::Wanted, Some(_)) => ("↓", paint.incoming()),
        (StageName::Wanted, None) => ("…", SOFT),
        (StageName::Complete, _) if view.withdrawn.is_some() => ("×", paint.trouble()),
        (StageName::Complete, Some(_)) => ("↑", paint.outgoing()),
        (StageName::Complete, None) => ("✓", Style::new()),
        (StageName::Gone, _) => ("-", SOFT),
        (StageName::Seen, _) => (" ", Style::new()),
    }
}

fn episode_line(view: &EpisodeView, columns: &Columns, paint: Paint) -> Line<'static> {
    let (sign, style) = sign(view, paint);
    let mut spans = vec![Span::styled(format!(" {sign} "), style)];
    if columns.show > 0 {
        spans.push(Span::styled(fit(&view.show, columns.show - 1) + " ", SOFT));
    }
    spans.push(Span::raw(fit(&view.title, columns.title.saturating_sub(1)) + " "));
    match &view.transfer {
        Some(transfer) if view.trouble.is_none() && !view.is_paused => {
            transfer_spans(view, transfer, columns, paint, &mut spans);
        }
        _ => {
            let date = view.published.map_or_else(|| "-".to_owned(), |at| at.format("%Y-%m-%d").to_string());
            let size = view.length.map_or_else(|| "-".to_owned(), bytes);
            let state = format!("{date}  {}  {}", right(&size, 8), view::state(view));
            // A narrow window says what is in the way before when it was released.
            let state = if columns.peers > 0 { state } else { view::state(view) };
            let style = if view.trouble.is_some() { paint.trouble() } else { SOFT };
            spans.push(Span::styled(fit(&state, columns.right()), style));
        }
    }
    Line::from(spans)
}

fn transfer_spans(
    view: &EpisodeView,
    transfer: &Transfer,
    columns: &Columns,
    paint: Paint,
    spans: &mut Vec<Span<'static>>,
) {
    let is_seeded = view.stage == StageName::Complete;
    if is_seeded {
        spans.push(Span::styled(right(&bytes(view.length.unwrap_or(0)), columns.bar + 6), SOFT));
    } else {
        let length = transfer.length.filter(|length| *length > 0);
        let permille = length.map_or(0, |length| u128::from(transfer.have) * 1000 / u128::from(length));
        let permille = u64::try_from(permille).unwrap_or(1000);
        let share = length.map_or_else(|| bytes(transfer.have), |_| format!("{} %", permille / 10));
        spans.push(Span::styled(bar(permille, columns.bar), paint.incoming()));
        spans.push(Span::raw(right(&share, 6)));
    }
    let down = if is_seeded { String::new() } else { rate(transfer.down_rate) };
    spans.push(Span::styled(right(&down, columns.rate), paint.incoming()));
    if columns.peers > 0 {
        spans.push(Span::styled(right(&rate(transfer.up_rate), columns.rate), paint.outgoing()));
        let sources = transfer.peers.map_or_else(|| "web".to_owned(), |peers| (peers + transfer.web_seeds).to_string());
        spans.push(Span::raw(right(&sources, columns.peers)));
    }
    let left = match (is_seeded, transfer.eta_seconds) {
        (true, _) => ratio(view),
        (false, Some(seconds)) => time_left(seconds),
        (false, None) => "-".to_owned(),
    };
    spans.push(Span::raw(right(&left, columns.left)));
}

/// `×0.8`: how often its length was sent.
fn ratio(view: &EpisodeView) -> String {
    let tenths = view.shared.ratio_milli(view.length.unwrap_or(0)) / 100;
    format!("×{}.{}", tenths / 10, tenths % 10)
}

fn peers(model: &Model, paint: Paint, frame: &mut Frame<'_>, area: Rect) {
    let width = usize::from(area.width);
    let chosen = model.looked().map(|look| &look.episode).or_else(|| model.chosen());
    let Some(episode) = chosen else {
        let lines = vec![rule(Pane::Peers, "Pieces and peers", "", model, area.width)];
        return frame.render_widget(Paragraph::new(lines), area);
    };
    let name = format!("{} · {}", episode.title, episode.show);
    let mut lines = vec![rule(Pane::Peers, &name, &episode.id.to_string(), model, area.width)];
    lines.push(Line::raw(fit(&format!(" {}", facts(episode)), width)));
    let Some(look) = model.looked() else { return frame.render_widget(Paragraph::new(lines), area) };
    if !look.swarm.pieces.have.is_empty() {
        let row = pieces(&look.swarm.pieces, width.saturating_sub(10));
        lines.push(Line::from(vec![Span::raw(" pieces ▕"), Span::styled(row, paint.incoming()), Span::raw("▏")]));
    }
    let all = peer_lines(look, paint, width);
    if !all.is_empty() {
        lines.push(Line::styled(peer_names(width), SOFT));
        let height = usize::from(area.height).saturating_sub(lines.len());
        let first = model.scrolled.min(all.len().saturating_sub(height));
        lines.extend(all.into_iter().skip(first).take(height));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

/// What is known of an episode, in one line.
fn facts(view: &EpisodeView) -> String {
    let mut parts = vec![view::state(view)];
    parts.extend(view.duration.map(|seconds| human_duration(Duration::from_secs(seconds))));
    parts.extend(view.published.map(|at| at.format("%Y-%m-%d").to_string()));
    if view.stage == StageName::Complete {
        parts.extend(view.length.map(|length| ByteCount(length).to_string()));
    }
    if view.shared.sent > 0 {
        parts.push(format!("{} sent, {}", bytes(view.shared.sent), ratio(view)));
    }
    parts.join(" · ")
}

/// From this width on there is room for what was received and sent.
const ALL_FIGURES: usize = 96;

/// The widths of address and client.
fn peer_columns(width: usize) -> (usize, usize) {
    match width {
        124.. => (40, 26),
        76.. => (22, 18),
        _ => (20, 8),
    }
}

fn peer_names(width: usize) -> String {
    let (addr, client) = peer_columns(width);
    let mut text = format!(" {}{}{}", fit("PEER", addr), fit("CLIENT", client), fit("FLAGS", 6));
    text += &(right("HAS", 6) + &right("DOWN", 11) + &right("UP", 11));
    if width >= ALL_FIGURES {
        text += &(right("RECEIVED", 11) + &right("SENT", 11));
    }
    fit(&text, width)
}

fn peer_lines(look: &Look, paint: Paint, width: usize) -> Vec<Line<'static>> {
    let (addr, client) = peer_columns(width);
    let line = |cells: [String; 4], down: String, up: String, all: [u64; 2]| {
        let [at, name, flags, has] = cells;
        let mut spans = vec![
            Span::raw(format!(" {}", fit(&at, addr - 1) + " ")),
            Span::raw(fit(&name, client - 1) + " "),
            Span::raw(fit(&flags, 6) + &right(&has, 6)),
            Span::styled(right(&down, 11), paint.incoming()),
            Span::styled(right(&up, 11), paint.outgoing()),
        ];
        if width >= ALL_FIGURES {
            spans.push(Span::styled(right(&bytes(all[0]), 11) + &right(&bytes(all[1]), 11), SOFT));
        }
        Line::from(spans)
    };
    let peers = look.swarm.peers.iter().map(|peer| {
        let has = format!("{} %", peer.have_permille / 10);
        let cells = [peer.addr.to_string(), peer.client.clone(), flags(peer), has];
        line(cells, rate(peer.down_rate), rate(peer.up_rate), [peer.downloaded, peer.uploaded])
    });
    let web = look.web_seeds.iter().map(|seed| {
        let host = url::Url::parse(&seed.url).ok().and_then(|url| url.host_str().map(str::to_owned));
        let name = if seed.error.is_some() { "web, waits" } else { "web server" };
        let cells = [host.unwrap_or_else(|| seed.url.clone()), name.to_owned(), String::new(), "100 %".to_owned()];
        line(cells, rate(seed.rate), "-".to_owned(), [seed.downloaded, 0])
    });
    let trackers = look.trackers.iter().map(|tracker| {
        let counts = match (&tracker.error, tracker.complete, tracker.incomplete) {
            (Some(error), ..) => error.clone(),
            (None, Some(complete), Some(incomplete)) => format!("{complete} complete, {incomplete} fetching"),
            (None, ..) => "not answered yet".to_owned(),
        };
        let style = if tracker.error.is_some() { paint.trouble() } else { SOFT };
        Line::styled(fit(&format!(" {}: {counts}", tracker.url), width), style)
    });
    let counted = look.episode.transfer.as_ref().and_then(|transfer| transfer.dht);
    let counted = counted.map(|told| Line::styled(fit(&format!(" {}", by_table(told)), width), SOFT));
    peers.chain(web).chain(trackers).chain(counted).collect()
}

fn events(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let mut lines = vec![rule(Pane::Events, "What happened", "", model, area.width)];
    let width = usize::from(area.width);
    let height = usize::from(area.height) - 1;
    let scrolled = if model.pane == Pane::Events { model.scrolled } else { 0 };
    let first = scrolled.min(model.events.len().saturating_sub(height));
    let shown = model.events.iter().skip(first).take(height);
    lines.extend(shown.map(|event| Line::raw(fit(&format!(" {event}"), width))));
    if model.events.is_empty() {
        lines.push(Line::styled(fit("   nothing since this view was opened", width), SOFT));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

/// Speeds of the last minutes, as high as there is room.
fn graph(model: &Model, paint: Paint, frame: &mut Frame<'_>, area: Rect) {
    let most = model.speeds.iter().map(|(down, up)| *down.max(up)).max().unwrap_or(0);
    let [title, down, between, up] =
        Layout::vertical([Constraint::Length(1), Constraint::Fill(1), Constraint::Length(1), Constraint::Fill(1)])
            .areas(area);
    let name = format!("─ down, up to {} ", rate(podswarm_core::rate::Rate(most)));
    let width = usize::from(area.width);
    let line =
        |name: String| Line::styled(name.clone() + &"─".repeat(width.saturating_sub(name.chars().count())), SOFT);
    frame.render_widget(line(name), title);
    frame.render_widget(line("─ up ".to_owned()), between);
    let draw = |frame: &mut Frame<'_>, area: Rect, style: Style, values: Vec<u64>| {
        let newest: Vec<u64> = values.into_iter().rev().collect();
        let graph = Sparkline::default().data(&newest).max(most.max(1)).style(style);
        frame.render_widget(graph.direction(ratatui::widgets::RenderDirection::RightToLeft), area);
    };
    draw(frame, down, paint.incoming(), model.speeds.iter().map(|speed| speed.0).collect());
    draw(frame, up, paint.outgoing(), model.speeds.iter().map(|speed| speed.1).collect());
}

fn footer(model: &Model, paint: Paint, frame: &mut Frame<'_>, area: Rect) {
    let width = usize::from(area.width);
    let is_refused = model.notice.as_ref().is_some_and(|notice| notice.is_trouble);
    if let Mode::Typing(prompt, text) = &model.mode
        && !is_refused
    {
        let asked = match prompt {
            Prompt::Filter => "show only what has: ",
            Prompt::DownLimit => "download limit, such as 2MiB/s, or none: ",
            Prompt::UpLimit => "upload limit, such as 500KiB/s, or none: ",
            Prompt::Feed => "address of the feed: ",
        };
        // The end of a long text is what is being typed.
        let room = width.saturating_sub(asked.chars().count() + 2);
        let skipped = text.chars().count().saturating_sub(room);
        let shown: String = text.chars().skip(skipped).collect();
        let line = Line::from(vec![Span::styled(format!(" {asked}"), STRONG), Span::raw(shown)]);
        let column = u16::try_from(line.width()).unwrap_or(u16::MAX).min(area.width.saturating_sub(1));
        frame.set_cursor_position((area.x + column, area.y));
        return frame.render_widget(line, area);
    }
    let line = match &model.notice {
        Some(notice) => {
            let style = if notice.is_trouble { paint.trouble() } else { STRONG };
            Line::styled(fit(&format!(" {}", notice.text), width), style)
        }
        None if model.absent.is_some() => Line::styled(fit(" q leaves", width), SOFT),
        None if !model.filter.is_empty() => {
            Line::styled(fit(&format!(" only what has “{}”; Esc shows all", model.filter), width), STRONG)
        }
        None => {
            let keys = " ? keys  q leave  Tab pane  Space pause  p play  f first  / filter  d u limits";
            Line::styled(fit(keys, width), SOFT)
        }
    };
    frame.render_widget(line, area);
}

fn help(frame: &mut Frame<'_>, area: Rect) {
    let width = area.width.min(58);
    let height = area.height.min(u16::try_from(HELP.len()).unwrap_or(u16::MAX) + 2);
    let (x, y) = (area.x + (area.width - width) / 2, area.y + (area.height - height) / 2);
    let area = Rect { x, y, width, height };
    let lines: Vec<_> = HELP
        .iter()
        .map(|(keys, what)| Line::from(vec![Span::styled(fit(keys, 17), STRONG), Span::raw(*what)]))
        .collect();
    let block = Block::bordered().title(" Keys ").padding(Padding::horizontal(1));
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines).block(block), area);
}
