//! Screens of a view that has been open for a while, and what keys do there.

use chrono::{DateTime, Utc};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use podswarm_core::app::Failure;
use podswarm_core::dht::scrape::Estimate;
use podswarm_core::rate::{ByteCount, Rate};
use podswarm_core::swarm::{PeerStatus, PieceCells, SwarmDetail};
use podswarm_core::timetable::{LimitStatus, RateLimits};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::model::Question;
use super::{Deed, Model, draw};
use crate::agent::HubState;
use crate::agent::event::Event;
use crate::agent::testing::{http, wall};
use crate::ask::{
    Ask, EpisodeView, FeedView, Look, Reply, SeedTotals, Status, TrackerView, Traffic, Transfer, WebSeedView,
};
use crate::records::{EpisodeId, Feed, FeedId, Shared, Stage};
use crate::rules::Rules;

fn now() -> DateTime<Utc> {
    wall(0)
}

fn feed(id: u32, title: &str) -> FeedView {
    let mut feed = Feed::new(FeedId(id), format!("http://host.example/{id}.xml").parse().unwrap(), wall(0));
    feed.title = title.to_owned();
    FeedView { next_poll: Some(wall(720)), episodes: 24, complete: 3, ..FeedView::new(&feed) }
}

fn episode(feed: &FeedView, number: u32, title: &str, stage: Stage, transfer: Option<Transfer>) -> EpisodeView {
    let id = EpisodeId { feed: feed.id, number };
    let record = Feed::new(feed.id, feed.url.parse().unwrap(), wall(0));
    let view = EpisodeView::new(&http(title, 0).episode(id, stage, wall(0)), &record);
    EpisodeView { title: title.to_owned(), show: feed.title.clone(), length: Some(64 << 20), transfer, ..view }
}

fn kept() -> Stage {
    Stage::Complete { at: wall(0), length: 64 << 20, info_hash: None }
}

fn moving(have: u64) -> Transfer {
    Transfer {
        state: "downloading".to_owned(),
        length: Some(64 << 20),
        have: have << 20,
        down_rate: Rate(1_258_291),
        up_rate: Rate(300 << 10),
        peers: Some(8),
        web_seeds: 1,
        eta_seconds: Some(29),
        ..Transfer::default()
    }
}

fn all_feeds() -> Vec<FeedView> {
    let mut feeds = vec![feed(1, "Night Walks"), feed(2, "東京ラジオ"), feed(3, "The Long Form")];
    feeds[0].is_listening = true;
    feeds[1].last_error = Some("status 500".to_owned());
    feeds[2].is_paused = true;
    feeds
}

fn status() -> Status {
    Status {
        pid: Some(7),
        library: "/srv/podcasts".into(),
        free: Some(ByteCount(212 << 30)),
        reserve: None,
        feeds: all_feeds(),
        downloads: Vec::new(),
        seeding: SeedTotals { torrents: 2, ..SeedTotals::default() },
        traffic: Traffic { down_rate: Rate(1_258_291), up_rate: Rate(600 << 10), peers: 11 },
        limits: Some(LimitStatus::default()),
        kept: ByteCount::default(),
        quota: None,
        enough: String::new(),
        rests: None,
        dht_nodes: None,
        reached: None,
        proxy: None,
        interface: None,
        blocklist: None,
        hooks: Vec::new(),
        rules: Rules::default(),
        swarms: None,
    }
}

fn transfers() -> Vec<EpisodeView> {
    let feeds = all_feeds();
    let stuck = episode(&feeds[1], 4, "朝の港", Stage::Wanted { by_owner: true }, Some(moving(2)));
    let seeded = Transfer { state: "seeding".to_owned(), have: 64 << 20, ..moving(64) };
    let mut seeds = episode(&feeds[0], 2, "A Seed", kept(), Some(seeded));
    seeds.shared = Shared { sent: 52 << 20, seconds: 90 };
    vec![
        episode(&feeds[0], 3, "The Quay at Dawn", Stage::Wanted { by_owner: false }, Some(moving(27))),
        EpisodeView { trouble: Some("no peers".to_owned()), ..stuck },
        seeds,
    ]
}

fn look() -> Look {
    let peer = |last: u8, client: &str| PeerStatus {
        addr: format!("203.0.113.{last}:6881").parse().unwrap(),
        client: client.to_owned(),
        is_incoming: last == 1,
        is_utp: true,
        am_choking: false,
        am_interested: true,
        peer_choking: false,
        peer_interested: true,
        have_permille: 730,
        down_rate: Rate(500 << 10),
        up_rate: Rate(0),
        downloaded: 3 << 20,
        uploaded: 1 << 20,
    };
    let mut episode = transfers().remove(0);
    if let Some(transfer) = &mut episode.transfer {
        transfer.dht = Some(Estimate { seeds: 12, peers: 40 });
    }
    Look {
        episode,
        swarm: SwarmDetail {
            pieces: PieceCells { have: vec![100, 40, 0, 0], copies: vec![2, 2, 1, 0] },
            peers: vec![peer(1, "Podswarm 0.1.0"), peer(2, "Transmission 4.0.5")],
        },
        trackers: vec![TrackerView {
            url: "http://tracker.example/announce".to_owned(),
            error: None,
            complete: Some(2),
            incomplete: Some(5),
        }],
        web_seeds: vec![WebSeedView {
            url: "http://media.example/x.mp3".to_owned(),
            downloaded: 9 << 20,
            rate: Rate(200 << 10),
            error: None,
        }],
    }
}

/// A view that has been open for a while.
fn model() -> Model {
    let mut model = Model::new(false);
    for _ in 0..3 {
        model.answered(Question::Status, Ok(Reply::Status(Box::new(status()))));
    }
    model.answered(Question::Moving, Ok(Reply::Episodes(transfers())));
    let asked = model.questions(now());
    assert_eq!(asked.last(), Some(&Question::Look(EpisodeId { feed: FeedId(1), number: 3 })));
    model.answered(*asked.last().unwrap(), Ok(Reply::Look(Box::new(look()))));
    model
}

fn screen(model: &Model, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(model, frame)).unwrap();
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for y in 0..height {
        for x in 0..width {
            text.push_str(buffer[(x, y)].symbol());
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

fn press(model: &mut Model, code: KeyCode) -> Option<Deed> {
    model.key(KeyEvent::new(code, KeyModifiers::NONE))
}

fn write(model: &mut Model, text: &str) {
    for sign in text.chars() {
        assert_eq!(press(model, KeyCode::Char(sign)), None);
    }
}

#[track_caller]
fn check(model: &Model, width: u16, height: u16, wanted: &[&str]) {
    let screen = screen(model, width, height);
    for text in wanted {
        assert!(screen.contains(text), "no `{text}` in\n{screen}");
    }
}

#[test]
fn the_keys_stand_in_the_readme_as_in_the_help() {
    let readme = include_str!("../../README.md");
    for (keys, what) in super::keys::HELP.iter().filter(|(keys, _)| *keys != "flags") {
        assert!(readme.contains(&format!("| `{keys}` | {what} |")), "{keys}");
    }
}

#[test]
fn eighty_columns_show_what_moves_and_the_pieces_and_peers_of_the_chosen_one() {
    check(
        &model(),
        80,
        24,
        &[
            "↓ 1.1 MiB/s",
            "↑ 600 KiB/s",
            "11 peers",
            "no limits",
            "2 seeded",
            "212 GiB free",
            "1 of 3",
            "↓ The Quay at Dawn",
            "███▎",
            "42 %",
            "0:29",
            "! 朝",
            "waiting: no peers",
            "↑ A Seed",
            "×0.8",
            "pieces ▕",
            "203.0.113.1:6881",
            "Podswarm 0.1.0",
            "DUIP",
            "73 %",
            "media.example",
            "2 complete, 5 fetching",
            "DHT: about 12 complete, about 40 fetching",
            "? keys",
        ],
    );
}

#[test]
fn a_wide_window_has_feeds_beside_episodes_and_what_happened_below() {
    let mut model = model();
    let event = Event::StreamOpen { feed_id: FeedId(1), feed: "http://host.example/1.xml".to_owned() };
    model.happened(&event, now());
    check(
        &model,
        200,
        60,
        &["1 Feeds", "» Night Walks", "! 東", "‖ The Long Form", "3/24", "SHOW", "RECEIVED", "told of news at once"],
    );
}

#[test]
fn a_feed_says_who_tells_of_its_news() {
    let mut feeds = all_feeds();
    feeds[0].is_listening = false;
    feeds[0].hub = Some(HubState { host: "hub.example".to_owned(), until: Some(wall(9000)), trouble: None });
    let mut model = model();
    model.answered(Question::Status, Ok(Reply::Status(Box::new(Status { feeds, ..status() }))));
    press(&mut model, KeyCode::Char('1'));
    check(&model, 79, 19, &["» Night Walks", "told by its hub"]);
}

#[test]
fn every_window_can_be_drawn_in_every_mode() {
    for (width, height) in [(1, 1), (5, 3), (20, 6), (60, 16), (79, 19), (120, 16), (121, 29), (250, 80)] {
        for key in ['1', '2', '3', '4', '?', 'd', '/'] {
            let mut model = model();
            press(&mut model, KeyCode::Char(key));
            screen(&model, width, height);
        }
        screen(&Model::new(true), width, height);
    }
}

#[test]
fn a_small_window_has_one_pane_and_all_keys() {
    let mut model = model();
    check(&model, 60, 16, &["2 Everything that moves", "The Quay at Dawn", "42 %", "1.1 MiB/s"]);
    press(&mut model, KeyCode::Tab);
    check(&model, 60, 16, &["3 The Quay at Dawn", "pieces ▕", "203.0.113.1"]);
    press(&mut model, KeyCode::Char('?'));
    check(&model, 60, 16, &["another pane", "leave; the agent goes on", "would"]);
    press(&mut model, KeyCode::Char('x'));
    assert!(!screen(&model, 60, 16).contains("another pane"));
}

#[test]
fn without_an_agent_that_is_said_and_keys_do_nothing_but_leave() {
    let mut model = model();
    model.absent("No agent runs on /data. `podsub run` starts one, and this view waits for it.".to_owned());
    check(&model, 80, 24, &["No agent runs on /data.", "waits for it."]);
    assert_eq!(press(&mut model, KeyCode::Char('P')), None);
    assert_eq!(press(&mut model, KeyCode::Char('q')), Some(Deed::Quit));

    // What is typed meanwhile is no key, and there when an agent is.
    model.answered(Question::Status, Ok(Reply::Status(Box::new(status()))));
    press(&mut model, KeyCode::Char('u'));
    model.absent("The agent is gone.".to_owned());
    write(&mut model, "1MiB/sq");
    press(&mut model, KeyCode::Backspace);
    assert_eq!(press(&mut model, KeyCode::Enter), None);
    check(&model, 80, 24, &["The agent is gone.", "no agent answers; Enter when it is back, or Esc"]);
    model.answered(Question::Status, Ok(Reply::Status(Box::new(status()))));
    assert!(matches!(press(&mut model, KeyCode::Enter), Some(Deed::Ask(_))));
    let control = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(model.key(control), Some(Deed::Quit));
}

#[test]
fn the_choice_stays_with_its_episode_and_falls_to_the_next_when_it_is_gone() {
    let mut model = model();
    press(&mut model, KeyCode::Down);
    let chosen = |model: &Model| model.episode.map(|id| id.to_string());
    assert_eq!(chosen(&model).as_deref(), Some("2/4"));
    let mut episodes = transfers();
    episodes.rotate_left(1);
    model.answered(Question::Moving, Ok(Reply::Episodes(episodes.clone())));
    assert_eq!(chosen(&model).as_deref(), Some("2/4"));
    episodes.remove(0);
    model.answered(Question::Moving, Ok(Reply::Episodes(episodes)));
    assert_eq!(chosen(&model).as_deref(), Some("1/2"));
    model.answered(Question::Moving, Ok(Reply::Episodes(Vec::new())));
    assert_eq!(chosen(&model), None);
    check(&model, 80, 24, &["nothing is fetched or seeded now"]);
}

#[test]
fn a_feed_leads_to_its_episodes_and_back() {
    let mut model = model();
    press(&mut model, KeyCode::Char('1'));
    press(&mut model, KeyCode::Down);
    let asked = model.questions(now());
    assert!(asked.contains(&Question::OfFeed(FeedId(1))), "{asked:?}");
    let of_feed = vec![
        episode(&feed(1, "Night Walks"), 1, "The First", Stage::Seen { why: None }, None),
        episode(&feed(1, "Night Walks"), 2, "A Seed", kept(), None),
    ];
    model.answered(Question::OfFeed(FeedId(1)), Ok(Reply::Episodes(of_feed)));
    press(&mut model, KeyCode::Enter);
    // How it moves comes from the list of what moves.
    check(&model, 80, 24, &["2 Night Walks", "↑ A Seed", "300 KiB/s", "The First", "seen", "1 of 2"]);
    press(&mut model, KeyCode::Esc);
    check(&model, 80, 24, &["Everything that moves"]);
}

#[test]
fn keys_ask_the_agent_for_what_is_chosen() {
    let mut model = model();
    let ask = |model: &mut Model, key| match press(model, KeyCode::Char(key)) {
        Some(Deed::Ask(ask)) => *ask,
        other => panic!("{key}: {other:?}"),
    };
    assert_eq!(ask(&mut model, ' '), Ask::Pause { what: vec!["1/3".to_owned()] });
    assert_eq!(ask(&mut model, 'P'), Ask::Pause { what: vec!["all".to_owned()] });
    assert_eq!(ask(&mut model, 'f'), Ask::First { episode: "1/3".to_owned() });
    assert_eq!(ask(&mut model, 'r'), Ask::Update { feeds: vec!["1".to_owned()] });
    press(&mut model, KeyCode::Char('1'));
    press(&mut model, KeyCode::End);
    assert_eq!(ask(&mut model, ' '), Ask::Resume { what: vec!["3".to_owned()] }, "it is paused");
}

#[test]
fn play_stops_what_it_plays_and_turns_to_what_else_is_chosen() {
    let mut model = model();
    let (first, second) = (EpisodeId { feed: FeedId(1), number: 3 }, EpisodeId { feed: FeedId(2), number: 4 });
    let play = press(&mut model, KeyCode::Char('p'));
    assert_eq!(play, Some(Deed::Play(first, "The Quay at Dawn".to_owned())));
    model.plays(Some((first, "The Quay at Dawn".to_owned())));
    assert_eq!(press(&mut model, KeyCode::Char('p')), Some(Deed::StopPlaying));
    press(&mut model, KeyCode::Down);
    assert!(matches!(press(&mut model, KeyCode::Char('p')), Some(Deed::Play(id, _)) if id == second));
}

#[test]
fn a_limit_is_typed_with_its_unit_and_leaves_the_other_one() {
    let mut model = model();
    let held = RateLimits { up: Some(Rate(1000)), down: None };
    let limits = Some(LimitStatus { always: held, now: held });
    model.answered(Question::Status, Ok(Reply::Status(Box::new(Status { limits, ..status() }))));
    check(&model, 80, 24, &["limits ↓ none ↑ 1000 B/s"]);
    press(&mut model, KeyCode::Char('d'));
    write(&mut model, "2MiB");
    assert_eq!(press(&mut model, KeyCode::Enter), None);
    check(&model, 80, 24, &["`2MiB` is no limit; want one such as 2MiB/s, 10Mbit/s or none"]);
    // What was typed is there to be mended.
    write(&mut model, "/sx");
    check(&model, 80, 24, &["download limit, such as 2MiB/s, or none: 2MiB/sx"]);
    press(&mut model, KeyCode::Backspace);
    let limits = RateLimits { down: Some(Rate(2 << 20)), ..held };
    assert_eq!(press(&mut model, KeyCode::Enter), Some(Deed::Ask(Box::new(Ask::Limit { limits }))));
    press(&mut model, KeyCode::Char('u'));
    write(&mut model, "none");
    let limits = RateLimits { up: None, ..held };
    assert_eq!(press(&mut model, KeyCode::Enter), Some(Deed::Ask(Box::new(Ask::Limit { limits }))));
}

#[test]
fn a_filter_shows_what_has_its_letters_while_it_is_typed() {
    let mut model = model();
    press(&mut model, KeyCode::Char('/'));
    write(&mut model, "QUAY");
    check(&model, 80, 24, &["show only what has: QUAY", "1 of 1"]);
    press(&mut model, KeyCode::Enter);
    check(&model, 80, 24, &["only what has “QUAY”"]);
    press(&mut model, KeyCode::Esc);
    check(&model, 80, 24, &["1 of 3"]);
}

#[test]
fn an_address_can_be_pasted_and_what_comes_of_it_is_said() {
    let mut model = model();
    press(&mut model, KeyCode::Char('a'));
    model.paste("http://host.example/feed.xml\n");
    let added = press(&mut model, KeyCode::Enter);
    let Some(Deed::Ask(ask)) = added else { panic!("{added:?}") };
    assert!(matches!(&*ask, Ask::Add { url, .. } if url == "http://host.example/feed.xml"));
    model.done(&ask, Err(Failure::new("`http://host.example/feed.xml` cannot be followed: status 404")));
    check(&model, 100, 24, &["cannot be followed: status 404"]);
}

#[test]
fn titles_from_outside_move_no_cursor() {
    let mut model = model();
    let mut episodes = transfers();
    episodes[0].title = "\u{1b}[2J\u{202e}evil\nline".to_owned();
    model.answered(Question::Moving, Ok(Reply::Episodes(episodes)));
    let screen = screen(&model, 80, 24);
    assert!(screen.contains("\u{fffd}[2Jevil line") && !screen.contains('\u{1b}'), "{screen}");
}
