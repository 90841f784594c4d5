//! Polling under virtual time: both clocks move only when a test moves them.

use super::*;

const HOUR: Duration = Duration::from_hours(1);

/// One feed, its poller, and both clocks.
struct World {
    now: Now,
    poller: Poller,
}

impl World {
    fn new() -> Self {
        Self::with(PollState::new(url("https://example.org/feed.xml")), 1)
    }

    fn with(state: PollState, seed: u64) -> Self {
        let now = Now {
            instant: Instant::from_nanos(7),
            wall: DateTime::from_timestamp(1_790_000_000, 0).expect("in range"),
        };
        let poller = Poller::new(state, DEFAULT_INTERVAL, now, Rng::from_seed_u64(seed));
        Self { now, poller }
    }

    fn handle(&mut self, input: Input) -> Vec<Output> {
        self.poller.handle(self.now, input);
        std::iter::from_fn(|| self.poller.poll()).collect()
    }

    fn pass(&mut self, time: Duration) {
        self.now.instant += time;
        self.now.wall += delta(time);
    }

    /// Sleeps as a caller does until there is something to do, and gives that with the time it took.
    #[track_caller]
    fn until_output(&mut self) -> (Vec<Output>, Duration) {
        let start = self.now.instant;
        for _ in 0..10_000 {
            let outputs = self.handle(Input::Tick);
            if !outputs.is_empty() {
                return (outputs, self.now.instant - start);
            }
            let deadline = self.poller.deadline().expect("something is awaited");
            assert!(deadline > self.now.instant, "a deadline in the past would spin");
            self.pass(deadline - self.now.instant);
        }
        panic!("nothing happened");
    }

    #[track_caller]
    fn until_fetch(&mut self) -> (Fetch, Duration) {
        let (outputs, took) = self.until_output();
        (only_fetch(outputs), took)
    }

    /// Asks for the first time and gets a feed with an `ETag`.
    fn started() -> Self {
        let mut world = Self::new();
        world.until_fetch();
        assert_eq!(world.handle(Input::Replied(body())), []);
        world
    }
}

fn url(text: &str) -> Url {
    Url::parse(text).expect("a URL")
}

#[track_caller]
fn only_fetch(outputs: Vec<Output>) -> Fetch {
    let [Output::Fetch(fetch)] = <[Output; 1]>::try_from(outputs).expect("one output") else { panic!("not a fetch") };
    fetch
}

fn body() -> Reply {
    let validators = Validators { etag: Some("W/\"1\"".to_owned()), last_modified: Some("Tue".to_owned()) };
    let outcome = Outcome::Body { validators, ttl: None, skip_hours: SkipHours::default() };
    Reply { bytes: 10_000, ..reply(outcome) }
}

fn reply(outcome: Outcome) -> Reply {
    Reply { outcome, moved_to: None, astray: None, max_age: None, bytes: 0 }
}

fn unchanged() -> Input {
    Input::Replied(reply(Outcome::NotModified))
}

fn failed() -> Input {
    Input::Replied(Reply::failed("connection refused"))
}

fn throttled(seconds: u64) -> Input {
    Input::Replied(reply(Outcome::Throttled { retry_after: Some(Duration::from_secs(seconds)) }))
}

#[track_caller]
fn assert_about(got: Duration, want: Duration) {
    assert!(got >= want * 9 / 10 && got <= want * 11 / 10, "{got:?}, want about {want:?}");
}

#[test]
fn a_new_feed_is_asked_at_once_and_in_full() {
    let (fetch, took) = World::new().until_fetch();
    assert_eq!(took, Duration::ZERO);
    assert!(fetch.unconditional);
    assert_eq!((fetch.etag, fetch.last_modified), (None, None));
}

#[test]
fn validators_are_sent_back_word_for_word_after_the_interval() {
    let mut world = World::started();
    let (fetch, took) = world.until_fetch();
    assert_about(took, DEFAULT_INTERVAL);
    assert_eq!(fetch.etag.as_deref(), Some("W/\"1\""));
    assert_eq!(fetch.last_modified.as_deref(), Some("Tue"));
    assert!(!fetch.unconditional);
}

#[test]
fn only_one_request_runs_at_a_time() {
    let mut world = World::new();
    world.until_fetch();
    world.pass(HOUR * 100);
    assert_eq!(world.handle(Input::Forced), []);
    assert_eq!(world.handle(Input::Pushed), []);
    assert_eq!(world.handle(Input::Tick), []);
    assert_eq!(world.poller.deadline(), None);
}

#[test]
fn the_longest_of_interval_ttl_and_max_age_is_waited_for() {
    let mut world = World::new();
    world.until_fetch();
    let slow = Reply { max_age: Some(HOUR * 3), ..body() }.with_hints(Some(HOUR * 5), SkipHours::default());
    world.handle(Input::Replied(slow));
    assert_about(world.until_fetch().1, HOUR * 5);
}

#[test]
fn a_ttl_of_years_is_a_day() {
    let mut world = World::new();
    world.until_fetch();
    world.handle(Input::Replied(body().with_hints(Some(Duration::MAX), SkipHours::default())));
    assert_about(world.until_fetch().1, MAX_WAIT);
}

#[test]
fn what_a_host_allows_is_waited_for_to_the_last_second() {
    for seed in 0..20 {
        let mut world = World::with(PollState::new(url("https://example.org/feed.xml")), seed);
        world.until_fetch();
        world.handle(Input::Replied(Reply { max_age: Some(HOUR), ..body() }));
        let (_, took) = world.until_fetch();
        assert!(took >= HOUR && took <= HOUR * 11 / 10, "{took:?}");
    }
}

#[test]
fn in_the_hours_that_a_feed_skips_it_is_not_asked_but_by_its_owner_and_its_publisher() {
    let mut world = World::new();
    world.until_fetch();
    // It is 14:13 in UTC.
    let hours = SkipHours::new([13, 14, 15]);
    world.handle(Input::Replied(body().with_hints(None, hours)));
    let (_, took) = world.until_fetch();
    let at = world.now.wall;
    assert!(took < HOUR * 3 && hours.left(at).is_zero(), "{at}");
    assert_eq!(chrono::Timelike::hour(&at), 16);
    // The next day, by the owner, the publisher and the owner's schedule.
    world.handle(Input::Replied(body().with_hints(None, hours)));
    world.now.wall += delta(HOUR * 22);
    only_fetch(world.handle(Input::Forced));
    world.handle(Input::Replied(body().with_hints(None, hours)));
    only_fetch(world.handle(Input::Pushed));
    world.handle(Input::Scheduled(Some(world.now.wall + delta(Duration::from_mins(10)))));
    world.handle(Input::Replied(body().with_hints(None, hours)));
    assert!(world.until_fetch().1 < Duration::from_mins(12));
}

#[test]
fn on_days_that_a_feed_skips_it_is_not_asked_and_one_that_skips_all_is() {
    let mut world = World::new();
    // It is Monday.
    let wait = |world: &mut World, days: &[&str]| {
        let hours = SkipHours::default().with_days(days.iter().copied());
        world.handle(Input::Replied(body().with_hints(None, hours)));
        world.until_fetch().1
    };
    world.until_fetch();
    let took = wait(&mut world, &["Monday", "Tuesday"]);
    assert!(took > HOUR * 33 && took <= HOUR * 34 + MAX_SKIP_DELAY, "{took:?}");
    let all = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    assert_about(wait(&mut world, &all), DEFAULT_INTERVAL);
}

#[test]
fn an_event_is_followed_at_once() {
    let mut world = World::started();
    world.pass(Duration::from_secs(40));
    let fetch = only_fetch(world.handle(Input::Pushed));
    assert!(!fetch.unconditional);
}

#[test]
fn an_event_during_a_request_makes_another_one() {
    let mut world = World::started();
    world.handle(Input::Pushed);
    world.handle(Input::Pushed);
    only_fetch(world.handle(Input::Replied(body())));
    assert_eq!(world.handle(Input::Replied(body())), []);
}

#[test]
fn a_304_that_contradicts_an_event_is_not_believed() {
    let mut world = World::started();
    world.handle(Input::Pushed);
    let again = only_fetch(world.handle(unchanged()));
    assert!(again.unconditional);
    assert_eq!(world.handle(Input::Replied(body())), []);
}

#[test]
fn a_storm_of_events_is_thinned_out() {
    let mut world = World::started();
    let mut fetches = 0;
    for _ in 0..600 {
        world.pass(Duration::from_secs(1));
        let mut outputs = world.handle(Input::Pushed);
        while outputs.pop().is_some() {
            fetches += 1;
            outputs = world.handle(Input::Replied(body()));
        }
    }
    assert!((PUSH_BURST + 18..=PUSH_BURST + 21).contains(&fetches), "{fetches}");
}

#[test]
fn an_event_that_had_to_wait_is_still_followed() {
    let mut world = World::started();
    for _ in 0..PUSH_BURST {
        world.handle(Input::Pushed);
        world.handle(Input::Replied(body()));
    }
    assert_eq!(world.handle(Input::Pushed), []);
    let (_, took) = world.until_fetch();
    assert!(took <= PUSH_REFILL, "{took:?}");
}

#[test]
fn waits_double_with_each_failure_up_to_half_a_day() {
    let mut world = World::started();
    world.until_fetch();
    for minutes in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 720, 720] {
        world.handle(failed());
        assert_about(world.until_fetch().1, Duration::from_mins(minutes));
    }
    assert_eq!(world.poller.state().failures, 12);
    world.handle(unchanged());
    assert_about(world.until_fetch().1, DEFAULT_INTERVAL);
    assert_eq!(world.poller.state().last_error, None);
}

#[test]
fn retry_after_is_never_cut_short() {
    for seed in 0..50 {
        let mut world = World::with(PollState::new(url("https://example.org/feed.xml")), seed);
        world.until_fetch();
        world.handle(throttled(3600));
        let (_, took) = world.until_fetch();
        assert!(took >= HOUR && took <= HOUR * 11 / 10, "{took:?}");
    }
}

#[test]
fn retry_after_holds_back_events_but_not_the_owner() {
    let mut world = World::started();
    world.until_fetch();
    world.handle(throttled(600));
    assert_eq!(world.handle(Input::Pushed), []);
    only_fetch(world.handle(Input::Forced));
    world.handle(throttled(600));
    world.handle(Input::Pushed);
    let (_, took) = world.until_fetch();
    assert_eq!(took, Duration::from_mins(10), "the event is followed as soon as the host allows");
}

#[test]
fn a_retry_after_of_thirty_years_is_a_day_and_disables_nothing() {
    let mut world = World::started();
    world.until_fetch();
    world.handle(throttled(999_999_999));
    assert_about(world.until_fetch().1, MAX_WAIT);
    world.handle(throttled(0));
    assert_about(world.until_fetch().1, FIRST_RETRY * 2);
}

#[test]
fn a_feed_is_fetched_whole_every_three_days() {
    let mut world = World::started();
    let mut since_full = Duration::ZERO;
    for _ in 0..400 {
        let (fetch, took) = world.until_fetch();
        since_full += took;
        assert_eq!(fetch.unconditional, since_full >= FULL_EVERY, "{since_full:?}");
        if fetch.unconditional {
            assert_eq!((fetch.etag, fetch.last_modified), (None, None));
            since_full = Duration::ZERO;
            world.handle(Input::Replied(body()));
        } else {
            world.handle(unchanged());
        }
    }
}

#[test]
fn a_304_to_an_unconditional_request_is_a_failure() {
    let mut world = World::new();
    world.until_fetch();
    world.handle(unchanged());
    assert_eq!(world.poller.state().failures, 1);
    assert_eq!(world.poller.state().counts.unchanged, 0);
}

fn moved(to: &str) -> Input {
    Input::Replied(Reply { moved_to: Some(url(to)), ..body() })
}

#[test]
fn that_a_feed_has_moved_is_believed_the_second_time_and_it_is_asked_anew() {
    let to = "https://example.net/feed.xml";
    let mut world = World::started();
    let from = world.until_fetch().0.url;
    assert_eq!(world.handle(moved(to)), []);
    let second = world.until_fetch().0;
    assert_eq!(second.url, from);
    assert!(second.unconditional, "a 304 would not tell whether the feed still says so");
    assert_eq!(world.handle(moved(to)), [Output::Moved { from, to: url(to) }]);
    let there = world.until_fetch().0;
    assert!(there.unconditional, "what is known is of another place");
    assert_eq!(there.url, url(to));
}

#[test]
fn two_places_or_a_plain_reply_between_prove_nothing() {
    let mut world = World::started();
    let plain = || Input::Replied(body());
    for input in [moved("https://a.example/"), moved("https://b.example/"), plain(), moved("https://b.example/")] {
        world.until_fetch();
        assert_eq!(world.handle(input), []);
    }
}

#[test]
fn where_a_feed_was_looked_for_in_vain_it_is_looked_for_a_day_later_or_for_its_owner() {
    let astray = || Input::Replied(Reply { astray: Some(url("https://gone.example/")), ..body() });
    let mut world = World::started();
    assert_eq!(world.until_fetch().0.astray, None);
    world.handle(astray());
    let mut waited = Duration::ZERO;
    loop {
        let (fetch, took) = world.until_fetch();
        waited += took;
        assert_eq!(fetch.astray.is_none(), waited >= ASTRAY_FOR, "{waited:?}");
        if fetch.astray.is_none() {
            break;
        }
        world.handle(unchanged());
    }
    world.handle(astray());
    assert_eq!(only_fetch(world.handle(Input::Forced)).astray, None);
}

#[test]
fn a_redirect_to_a_page_that_is_no_feed_proves_nothing() {
    let bad = || Input::Replied(Reply { moved_to: Some(url("https://parked.example/")), ..body() }.unreadable("HTML"));
    let mut world = World::started();
    for _ in 0..3 {
        world.until_fetch();
        assert_eq!(world.handle(bad()), []);
    }
}

#[test]
fn a_feed_that_is_gone_waits_for_its_owner() {
    let mut world = World::started();
    world.until_fetch();
    assert_eq!(world.handle(Input::Replied(reply(Outcome::Gone))), [Output::Gone]);
    world.pass(HOUR * 1000);
    assert_eq!(world.handle(Input::Tick), []);
    assert_eq!(world.handle(Input::Pushed), []);
    assert_eq!((world.poller.deadline(), world.poller.next_due()), (None, None));

    only_fetch(world.handle(Input::Forced));
    world.handle(failed());
    assert_eq!(world.poller.deadline(), None, "a failure does not bring it back");
    only_fetch(world.handle(Input::Forced));
    world.handle(Input::Replied(body()));
    assert_about(world.until_fetch().1, DEFAULT_INTERVAL);
}

#[test]
fn a_restart_neither_asks_early_nor_in_full() {
    let first = World::started();
    let due = first.poller.next_due().expect("a feed is waiting");
    let mut second = World::with(first.poller.state().clone(), 9);
    second.pass(Duration::from_mins(5));
    second.poller = Poller::new(first.poller.state().clone(), DEFAULT_INTERVAL, second.now, Rng::from_seed_u64(9));
    let (fetch, _) = second.until_fetch();
    assert_eq!(second.now.wall, due);
    assert!(!fetch.unconditional);
}

#[test]
fn a_wall_clock_that_was_set_back_silences_no_feed() {
    let mut state = PollState::new(url("https://example.org/feed.xml"));
    state.next_at = Some(DateTime::from_timestamp(4_000_000_000, 0).expect("in range"));
    let (_, took) = World::with(state, 1).until_fetch();
    assert_eq!(took, MAX_WAIT);
}

#[test]
fn a_suspended_machine_asks_when_it_wakes() {
    let mut world = World::started();
    world.pass(Duration::from_mins(5));
    assert_eq!(world.handle(Input::Tick), []);
    world.now.wall += delta(HOUR * 8);
    only_fetch(world.handle(Input::Tick));
}

#[test]
fn the_owners_schedule_is_followed_closely_whatever_the_feed_says() {
    let mut world = World::new();
    world.until_fetch();
    let at = world.now.wall + delta(HOUR * 2);
    world.handle(Input::Scheduled(Some(at)));
    world.handle(Input::Replied(body().with_hints(Some(HOUR * 20), SkipHours::default())));
    world.until_fetch();
    let late = world.now.wall - at;
    assert!(late >= TimeDelta::zero() && late <= delta(MAX_SCHEDULE_DELAY), "{late}");
}

#[test]
fn a_schedule_of_seconds_is_kept_to_seconds() {
    let mut world = World::started();
    world.handle(Input::Scheduled(Some(world.now.wall + delta(Duration::from_secs(2)))));
    let (_, took) = world.until_fetch();
    assert!(took >= Duration::from_secs(2) && took <= Duration::from_millis(2200), "{took:?}");
}

#[test]
fn a_schedule_does_not_put_off_a_feed_that_was_never_asked() {
    let mut world = World::new();
    let tomorrow = world.now.wall + delta(HOUR * 24);
    only_fetch(world.handle(Input::Scheduled(Some(tomorrow))));
}

#[test]
fn without_a_schedule_the_interval_counts_again() {
    let mut world = World::started();
    world.handle(Input::Scheduled(Some(world.now.wall + delta(HOUR * 24))));
    world.handle(Input::Scheduled(None));
    assert_about(world.until_fetch().1, DEFAULT_INTERVAL);
}

#[test]
fn a_stray_reply_changes_nothing() {
    let mut world = World::started();
    let before = world.poller.state().clone();
    assert_eq!(world.handle(Input::Replied(body())), []);
    assert_eq!(*world.poller.state(), before);
}

#[test]
fn a_month_of_an_unchanged_feed_costs_little_and_is_counted() {
    let mut world = World::started();
    let end = world.now.instant + HOUR * 24 * 30;
    let mut waits = Vec::new();
    while world.now.instant < end {
        let (fetch, took) = world.until_fetch();
        waits.push(took);
        world.handle(if fetch.unconditional { Input::Replied(body()) } else { unchanged() });
    }
    let counts = world.poller.state().counts;
    assert!((1400..1480).contains(&waits.len()), "{}", waits.len());
    assert!((10..=11).contains(&counts.full), "{counts:?}");
    assert_eq!(counts.full + counts.unchanged, waits.len() as u64 + 1);
    assert_eq!(counts.bytes, counts.full * 10_000);
    assert_eq!(counts.bytes_saved, counts.unchanged * 10_000);
    assert_eq!(counts.failed, 0);
    assert!(waits.iter().all(|wait| *wait >= DEFAULT_INTERVAL * 9 / 10 && *wait <= DEFAULT_INTERVAL * 11 / 10));
}

#[test]
fn a_thousand_agents_that_started_together_spread_out() {
    let mut minutes = [0_u32; 60];
    for seed in 0..1000 {
        let mut world = World::with(PollState::new(url("https://example.org/feed.xml")), seed);
        for _ in 0..20 {
            world.until_fetch();
            world.handle(Input::Replied(body()));
        }
        let (_, took) = world.until_fetch();
        assert_about(took, DEFAULT_INTERVAL);
        minutes[usize::try_from(world.now.wall.timestamp() / 60 % 60).expect("below 60")] += 1;
    }
    let busiest = minutes.iter().max().expect("there are minutes");
    assert!(*busiest < 100, "{minutes:?}");
}

#[test]
fn one_seed_gives_one_run() {
    let run = || {
        let mut world = World::started();
        (0..50)
            .map(|i| {
                let took = world.until_fetch().1;
                world.handle(if i % 7 == 3 { failed() } else { unchanged() });
                took
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn a_state_of_an_older_version_is_read() {
    let state: PollState = serde_json::from_str(r#"{"url":"https://example.org/feed.xml"}"#).expect("a state");
    assert_eq!(state, PollState::new(url("https://example.org/feed.xml")));
    let learnt = World::started().poller.state().clone();
    let json = serde_json::to_string(&learnt).expect("plain data");
    assert_eq!(serde_json::from_str::<PollState>(&json).expect("its own output"), learnt);
}
