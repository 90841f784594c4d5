//! The tracker client under virtual time, against trackers that answer as each test says.

use std::collections::VecDeque;

use super::*;

/// An announcer, the time, and trackers that answer as the test says.
struct World {
    announcer: Announcer,
    now: Instant,
    /// When, whom, with what event, in order.
    log: Vec<(u64, String, Option<AnnounceEvent>)>,
    last: Option<AnnouncerOutput>,
}

type Answer = Result<AnnounceResponse, AnnounceFailure>;

impl World {
    fn new(tiers: &[&[&str]]) -> Self {
        let announcer = Announcer::new(&owned(tiers), Rng::from_seed_u64(1));
        Self { announcer, now: Instant::ZERO, log: Vec::new(), last: None }
    }

    /// Applies `input`, and answers every announce at once as `tracker` says.
    fn give(&mut self, input: AnnouncerInput, tracker: &mut dyn FnMut(&str) -> Answer) {
        self.announcer.handle(self.now, input);
        let mut pending: VecDeque<_> = std::iter::from_fn(|| self.announcer.poll()).collect();
        while let Some(output) = pending.pop_front() {
            let AnnouncerOutput::Announce { id, url, event, .. } = &output;
            self.log.push((self.now.as_nanos() / 1_000_000_000, url.clone(), *event));
            let answered = AnnouncerInput::Answered { id: *id, result: tracker(url) };
            self.last = Some(output);
            self.announcer.handle(self.now, answered);
            pending.extend(std::iter::from_fn(|| self.announcer.poll()));
        }
    }

    /// Lets `time` pass, waking the announcer when it asks for it.
    fn pass(&mut self, time: Duration, tracker: &mut dyn FnMut(&str) -> Answer) {
        let end = self.now + time;
        while let Some(at) = self.announcer.deadline().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.give(AnnouncerInput::Tick, tracker);
        }
        self.now = end;
    }

    fn urls(&self) -> Vec<&str> {
        self.log.iter().map(|(_, url, _)| url.as_str()).collect()
    }

    fn events(&self) -> Vec<Option<AnnounceEvent>> {
        self.log.iter().map(|(_, _, event)| *event).collect()
    }
}

fn owned(tiers: &[&[&str]]) -> Vec<Vec<String>> {
    tiers.iter().map(|tier| tier.iter().map(ToString::to_string).collect()).collect()
}

#[expect(clippy::unnecessary_wraps, reason = "one of the two kinds of answer")]
fn every(seconds: u64) -> Answer {
    Ok(AnnounceResponse::new(Duration::from_secs(seconds)))
}

fn refused() -> Answer {
    Err(AnnounceFailure::new("connection refused"))
}

const HOUR: Duration = Duration::from_hours(1);

#[test]
fn a_run_is_started_once_completed_once_stopped_once() {
    let mut world = World::new(&[&["a"]]);
    let tracker = &mut |_: &str| every(600);
    world.give(AnnouncerInput::Start, tracker);
    world.pass(HOUR / 2, tracker);
    world.give(AnnouncerInput::Completed, tracker);
    world.give(AnnouncerInput::Completed, tracker);
    world.pass(HOUR / 2, tracker);
    world.give(AnnouncerInput::Stop, tracker);
    world.pass(HOUR, tracker);

    let events: Vec<_> = world.events().into_iter().flatten().collect();
    assert_eq!(events, [AnnounceEvent::Started, AnnounceEvent::Completed, AnnounceEvent::Stopped]);
    assert!((8..=10).contains(&world.log.len()), "{:?}", world.log);
    assert_eq!(world.announcer.deadline(), None);
}

#[test]
fn who_rests_asks_nobody_before() {
    let mut world = World::new(&[&["a"]]);
    let (tracker, until) = (&mut |_: &str| every(600), world.now + HOUR);
    world.give(AnnouncerInput::Rest(until), tracker);
    world.give(AnnouncerInput::Start, tracker);
    assert_eq!((world.log.len(), world.announcer.deadline()), (0, Some(until)));
    world.pass(HOUR, tracker);
    assert_eq!(world.events()[0], Some(AnnounceEvent::Started));
}

#[test]
fn a_completed_download_is_told_within_a_second() {
    let mut world = World::new(&[&["a"]]);
    let tracker = &mut |_: &str| Ok(AnnounceResponse { min_interval: Some(HOUR), ..AnnounceResponse::new(HOUR) });
    world.give(AnnouncerInput::Start, tracker);
    world.give(AnnouncerInput::Completed, tracker);
    world.pass(SHORTEST_WAIT, tracker);
    assert_eq!(world.events(), [Some(AnnounceEvent::Started), Some(AnnounceEvent::Completed)]);
}

#[test]
fn a_download_that_ends_while_started_is_under_way_is_told_after_it() {
    let mut world = World::new(&[&["a"]]);
    world.announcer.handle(world.now, AnnouncerInput::Start);
    let Some(AnnouncerOutput::Announce { id, .. }) = world.announcer.poll() else { panic!("nothing announced") };
    world.announcer.handle(world.now, AnnouncerInput::Completed);
    assert_eq!(world.announcer.poll(), None);
    let tracker = &mut |_: &str| every(600);
    world.give(AnnouncerInput::Answered { id, result: every(600) }, tracker);
    world.pass(SHORTEST_WAIT, tracker);
    assert_eq!(world.events(), [Some(AnnounceEvent::Completed)]);
}

#[test]
fn who_leaves_at_once_says_first_that_the_download_is_whole() {
    let mut world = World::new(&[&["a"]]);
    let tracker = &mut |_: &str| every(600);
    for input in [AnnouncerInput::Start, AnnouncerInput::Completed, AnnouncerInput::Stop, AnnouncerInput::Stop] {
        world.give(input, tracker);
    }
    world.pass(HOUR, tracker);
    let [started, completed, stopped] =
        [AnnounceEvent::Started, AnnounceEvent::Completed, AnnounceEvent::Stopped].map(Some);
    assert_eq!(world.events(), [started, completed, stopped]);
    assert!(world.announcer.is_done());
}

#[test]
fn stopped_waits_for_the_answer_to_completed_but_not_for_long() {
    for is_slow in [false, true] {
        let mut world = World::new(&[&["a"]]);
        let tracker = &mut |_: &str| every(600);
        world.give(AnnouncerInput::Start, tracker);
        world.pass(2 * SHORTEST_WAIT, tracker);
        world.announcer.handle(world.now, AnnouncerInput::Completed);
        let (completed, _) = asked(&mut world.announcer);
        world.announcer.handle(world.now, AnnouncerInput::Stop);
        assert_eq!((world.announcer.poll(), world.announcer.is_done()), (None, false));
        world.log.clear();
        if is_slow {
            world.pass(LAST_WORD, tracker);
        }
        world.give(AnnouncerInput::Answered { id: completed, result: refused() }, tracker);
        assert_eq!(world.events(), [Some(AnnounceEvent::Stopped)]);
        assert!(world.announcer.is_done() && world.announcer.deadline().is_none());
    }
}

#[test]
fn a_start_acknowledged_after_the_whole_download_was_stopped_is_followed_by_completed() {
    let mut world = World::new(&[&["a"]]);
    world.announcer.handle(world.now, AnnouncerInput::Start);
    let (started, _) = asked(&mut world.announcer);
    let tracker = &mut |_: &str| every(600);
    world.give(AnnouncerInput::Completed, tracker);
    world.give(AnnouncerInput::Stop, tracker);
    assert!(!world.announcer.is_done());
    world.give(AnnouncerInput::Answered { id: started, result: every(600) }, tracker);
    assert_eq!(world.events(), [Some(AnnounceEvent::Completed), Some(AnnounceEvent::Stopped)]);
    assert!(world.announcer.is_done());
}

#[test]
fn the_tracker_that_works_comes_first_in_its_tier() {
    let mut world = World::new(&[&["a", "b", "c"], &["d"]]);
    let only_c = &mut |url: &str| if url == "c" { every(60) } else { refused() };
    world.give(AnnouncerInput::Start, only_c);
    assert_eq!(world.urls().last(), Some(&"c"));
    assert!(!world.urls().contains(&"d"), "a lower tier was asked: {:?}", world.urls());
    assert_eq!(world.announcer.status(world.now)[0].url, "c");

    world.log.clear();
    world.pass(HOUR, &mut |_| every(60));
    assert!(world.urls().iter().all(|url| *url == "c"), "{:?}", world.urls());
}

#[test]
fn a_lower_tier_is_asked_only_when_the_one_above_failed_whole() {
    let mut world = World::new(&[&["a", "b"], &["c"]]);
    world.give(AnnouncerInput::Start, &mut |url| if url == "c" { every(1800) } else { refused() });
    let mut upper = world.urls()[..2].to_vec();
    upper.sort_unstable();
    assert_eq!((upper, world.urls()[2]), (vec!["a", "b"], "c"));

    // The upper tier is tried again before the lower one gets its next turn.
    world.log.clear();
    world.pass(HOUR, &mut |_| every(1800));
    assert!(!world.urls().contains(&"c"), "{:?}", world.urls());
    assert_eq!(world.events()[0], Some(AnnounceEvent::Started));
}

#[test]
fn a_dead_tracker_is_asked_ever_less_often() {
    let mut world = World::new(&[&["a"]]);
    world.give(AnnouncerInput::Start, &mut |_| refused());
    world.pass(6 * HOUR, &mut |_| refused());
    let waits: Vec<u64> = world.log.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert!((4..=6).contains(&waits[0]), "{waits:?}");
    assert!(waits.iter().all(|&wait| wait <= 1980), "{waits:?}");
    assert!((18..=24).contains(&waits.len()), "{waits:?}");
    assert!(world.events().iter().all(|event| *event == Some(AnnounceEvent::Started)));
    let status = &world.announcer.status(world.now)[0];
    assert_eq!(status.last_error.as_deref(), Some("connection refused"));
    assert!(status.next_in.is_some());
}

#[test]
fn a_tracker_that_says_never_is_left_alone() {
    let mut world = World::new(&[&["a"]]);
    let never = &mut |_: &str| Err(AnnounceFailure { retry_in: Some(Duration::MAX), ..AnnounceFailure::new("gone") });
    world.give(AnnouncerInput::Start, never);
    world.pass(1000 * HOUR, never);
    world.give(AnnouncerInput::NeedPeers(true), never);
    world.pass(1000 * HOUR, never);
    assert_eq!(world.log.len(), 1);
    assert_eq!(world.announcer.status(world.now)[0].next_in, None);
}

#[test]
fn a_run_that_nobody_heard_of_ends_in_silence() {
    let mut world = World::new(&[&["a"], &["b"]]);
    world.give(AnnouncerInput::Start, &mut |_| refused());
    world.log.clear();
    world.give(AnnouncerInput::Stop, &mut |_| refused());
    assert_eq!(world.log, []);
}

#[test]
fn a_start_acknowledged_after_the_stop_is_taken_back() {
    let mut world = World::new(&[&["a"]]);
    world.announcer.handle(world.now, AnnouncerInput::Start);
    let Some(AnnouncerOutput::Announce { id, .. }) = world.announcer.poll() else { panic!("nothing announced") };
    let tracker = &mut |_: &str| every(600);
    world.give(AnnouncerInput::Stop, tracker);
    assert_eq!(world.log, []);
    world.give(AnnouncerInput::Answered { id, result: every(600) }, tracker);
    assert_eq!(world.events(), [Some(AnnounceEvent::Stopped)]);
}

#[test]
fn a_second_run_begins_with_started() {
    let mut world = World::new(&[&["a"]]);
    let tracker = &mut |_: &str| every(600);
    for input in [AnnouncerInput::Start, AnnouncerInput::Stop, AnnouncerInput::Start, AnnouncerInput::Start] {
        world.give(input, tracker);
    }
    let started = Some(AnnounceEvent::Started);
    assert_eq!(world.events(), [started, Some(AnnounceEvent::Stopped), started]);
}

#[test]
fn a_swarm_without_peers_asks_early_but_ever_less_so() {
    let mut world = World::new(&[&["a"]]);
    let tracker = &mut |_: &str| every(1800);
    world.give(AnnouncerInput::Start, tracker);
    world.give(AnnouncerInput::NeedPeers(true), tracker);
    world.pass(HOUR / 2, tracker);
    let times: Vec<u64> = world.log.iter().map(|(at, ..)| *at).collect();
    assert_eq!(times[1], 5);
    assert!((8..=10).contains(&times.len()), "{times:?}");
    assert!(matches!(world.last, Some(AnnouncerOutput::Announce { numwant: NUMWANT_IN_NEED, .. })));
}

#[test]
fn nothing_but_an_event_comes_sooner_than_the_minimum_interval() {
    let mut world = World::new(&[&["a"]]);
    let tracker = &mut |_: &str| {
        Ok(AnnounceResponse { min_interval: Some(Duration::from_mins(2)), ..AnnounceResponse::new(HOUR) })
    };
    world.give(AnnouncerInput::Start, tracker);
    for _ in 0..600 {
        world.give(AnnouncerInput::NeedPeers(true), tracker);
        world.pass(Duration::from_secs(1), tracker);
        world.give(AnnouncerInput::NeedPeers(false), tracker);
    }
    let waits: Vec<u64> = world.log.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert!(waits.len() >= 4 && waits.iter().all(|&wait| wait >= 120), "{waits:?}");
}

#[test]
fn senseless_intervals_are_bounded_on_both_sides() {
    for (seconds, calls) in [(0, 3240..=3700), (1, 3240..=4010), (1 << 31, 1..=1)] {
        let mut world = World::new(&[&["a"]]);
        world.give(AnnouncerInput::Start, &mut |_| every(seconds));
        world.pass(HOUR, &mut |_| every(seconds));
        assert!(calls.contains(&world.log.len()), "interval {seconds}: {} announces", world.log.len());
    }
}

#[test]
fn a_young_swarm_is_asked_in_the_rhythm_that_the_tracker_sets() {
    let mut world = World::new(&[&["a"]]);
    world.give(AnnouncerInput::Start, &mut |_| every(2));
    world.pass(Duration::from_secs(20), &mut |_| every(2));
    assert!((9..=12).contains(&world.log.len()), "{:?}", world.log);
}

#[test]
fn a_tracker_id_is_sent_back_until_another_comes() {
    let mut world = World::new(&[&["a"]]);
    let mut ids = vec![None, Some(b"two".to_vec()), None, Some(b"one".to_vec())];
    let tracker = &mut |_: &str| Ok(AnnounceResponse { tracker_id: ids.pop().unwrap_or_default(), ..every(60)? });
    let mut sent = Vec::new();
    world.give(AnnouncerInput::Start, tracker);
    for _ in 0..4 {
        world.pass(Duration::from_secs(67), tracker);
        let Some(AnnouncerOutput::Announce { tracker_id, .. }) = world.last.clone() else { panic!("no announce") };
        sent.push(tracker_id.map(|id| String::from_utf8(id).unwrap()));
    }
    let (one, two) = (Some("one".to_owned()), Some("two".to_owned()));
    assert_eq!(sent, [one.clone(), one, two.clone(), two]);
}

#[test]
fn replaced_trackers_are_told_and_kept_ones_are_not_asked_again() {
    let mut world = World::new(&[&["a"], &["b"]]);
    let tracker = &mut |_: &str| every(600);
    world.give(AnnouncerInput::Start, tracker);
    world.log.clear();
    world.give(AnnouncerInput::Replace(owned(&[&["c"], &["a"]])), tracker);
    assert_eq!(world.log, []);
    world.give(AnnouncerInput::Replace(owned(&[&["c"]])), tracker);
    let (stopped, started) = (Some(AnnounceEvent::Stopped), Some(AnnounceEvent::Started));
    assert_eq!(world.log, [(0, "a".to_owned(), stopped), (0, "c".to_owned(), started)]);
}

#[test]
fn a_torrent_may_name_no_tracker_or_far_too_many() {
    let mut world = World::new(&[]);
    world.give(AnnouncerInput::Start, &mut |_| refused());
    assert_eq!((world.announcer.deadline(), world.log.len()), (None, 0));

    let many: Vec<String> = (0..10_000).map(|i| format!("http://{}/", i % 5000)).collect();
    let announcer = Announcer::new(&[many.clone(), vec![String::new(), "x".repeat(3000)], many], Rng::from_seed_u64(1));
    assert_eq!(announcer.status(Instant::ZERO).len(), MAX_TRACKERS);
}

#[test]
fn unknown_and_repeated_answers_are_ignored() {
    let mut world = World::new(&[&["a"]]);
    let tracker = &mut |_: &str| every(600);
    world.give(AnnouncerInput::Start, tracker);
    let Some(AnnouncerOutput::Announce { id, .. }) = world.last.clone() else { panic!("no announce") };
    let before = world.announcer.deadline();
    world.give(AnnouncerInput::Answered { id, result: refused() }, tracker);
    assert_eq!((world.announcer.deadline(), world.log.len()), (before, 1));
}

/// Asks for what is to be announced next, which is exactly one thing.
#[track_caller]
fn asked(announcer: &mut Announcer) -> (AnnounceId, String) {
    let Some(AnnouncerOutput::Announce { id, url, .. }) = announcer.poll() else { panic!("nothing announced") };
    assert_eq!(announcer.poll(), None);
    (id, url)
}

#[test]
fn a_slow_tracker_does_not_hold_up_the_next() {
    let mut world = World::new(&[&["a"], &["b"]]);
    world.announcer.handle(world.now, AnnouncerInput::Start);
    let (slow, url) = asked(&mut world.announcer);
    assert_eq!((url.as_str(), world.announcer.deadline()), ("a", Some(world.now + SLOW)));
    world.now += SLOW;
    let tracker = &mut |_: &str| every(600);
    world.give(AnnouncerInput::Tick, tracker);
    assert_eq!(world.urls(), ["b"]);
    // Now that `a` answers, it knows us as well, and both are told when we leave.
    let planned = world.announcer.deadline();
    world.give(AnnouncerInput::Answered { id: slow, result: every(10) }, tracker);
    assert_eq!(world.announcer.deadline(), planned);
    world.log.clear();
    world.give(AnnouncerInput::Stop, tracker);
    assert_eq!(world.events(), [Some(AnnounceEvent::Stopped); 2]);
}

#[test]
fn whichever_of_two_answers_first_is_asked_again() {
    for first in [0, 1] {
        let mut world = World::new(&[&["a"], &["b"]]);
        world.announcer.handle(world.now, AnnouncerInput::Start);
        let a = asked(&mut world.announcer);
        world.now += SLOW;
        world.announcer.handle(world.now, AnnouncerInput::Tick);
        let b = asked(&mut world.announcer);
        let answering = if first == 0 { &a } else { &b };
        let tracker = &mut |_: &str| every(600);
        world.give(AnnouncerInput::Answered { id: answering.0, result: every(600) }, tracker);
        world.pass(Duration::from_secs(700), tracker);
        assert_eq!(world.urls(), [&answering.1], "the other has not answered yet, and is left in peace");
        assert_eq!(world.announcer.status(world.now)[first].last_error, None);
    }
}

#[test]
fn slow_trackers_that_fail_in_the_end_are_left_alone_for_a_while() {
    let mut world = World::new(&[&["a"], &["b"]]);
    world.announcer.handle(world.now, AnnouncerInput::Start);
    let (a, _) = asked(&mut world.announcer);
    world.now += SLOW;
    world.announcer.handle(world.now, AnnouncerInput::Tick);
    let (b, _) = asked(&mut world.announcer);
    world.now += SLOW;
    world.announcer.handle(world.now, AnnouncerInput::Answered { id: a, result: refused() });
    assert_eq!(world.announcer.poll(), None, "`b` is still awaited");
    let tracker = &mut |_: &str| every(600);
    world.give(AnnouncerInput::Answered { id: b, result: refused() }, tracker);
    assert_eq!(world.log, []);
    world.pass(FIRST_BACK_OFF * 2, tracker);
    assert_eq!(world.urls(), ["a"]);
}

#[test]
fn no_more_than_four_trackers_are_asked_at_once() {
    let mut world = World::new(&[&["a", "b", "c", "d", "e", "f"]]);
    world.announcer.handle(world.now, AnnouncerInput::Start);
    let mut ids = vec![asked(&mut world.announcer).0];
    while let Some(at) = world.announcer.deadline() {
        world.now = at;
        world.announcer.handle(world.now, AnnouncerInput::Tick);
        ids.push(asked(&mut world.announcer).0);
    }
    assert_eq!(ids.len(), MOST_AT_ONCE);
    // One that fails makes room for the next at once.
    world.announcer.handle(world.now, AnnouncerInput::Answered { id: ids[2], result: refused() });
    asked(&mut world.announcer);
    assert_eq!(world.announcer.deadline(), None);
}

#[test]
fn one_host_is_asked_over_udp_first_whatever_the_order() {
    let http = ["http://t.example:6969/announce", "http://[2001:db8::1]/announce", "http://other.example/announce"];
    let udp = ["udp://T.example:7000", "udp://[2001:db8::1]:80", "udp://third.example:80"];
    for seed in 0..50 {
        let tiers = vec![http.iter().chain(&udp).map(ToString::to_string).collect()];
        let status = Announcer::new(&tiers, Rng::from_seed_u64(seed)).status(Instant::ZERO);
        let place = |url: &str| status.iter().position(|tracker| tracker.url == url).unwrap();
        assert!(place(udp[0]) < place(http[0]) && place(udp[1]) < place(http[1]));
        assert_eq!(status.len(), 6);
    }
}

#[test]
fn a_tier_of_both_kinds_falls_back_to_http_and_stays_there() {
    let (http, udp) = ("http://t.example/announce", "udp://t.example:6969/announce");
    let mut world = World::new(&[&[http, udp]]);
    let tracker = &mut |url: &str| if url == http { every(60) } else { refused() };
    world.give(AnnouncerInput::Start, tracker);
    assert_eq!(world.urls(), [udp, http]);
    world.log.clear();
    world.pass(HOUR, tracker);
    assert!(world.urls().iter().all(|url| *url == http), "{:?}", world.urls());
}
