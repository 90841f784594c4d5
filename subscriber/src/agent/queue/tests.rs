//! Which downloads run, from which source, and when the disk has room for them.

use super::*;
use crate::agent::testing::{hash, wall};
use crate::records::FeedId;

const GB: u64 = 1_000_000_000;

/// A queue with its clock, its luck and its disk.
struct Bench {
    queue: Queue,
    rng: Rng,
    now: Instant,
    space: Space,
}

fn id(number: u32) -> EpisodeId {
    EpisodeId { feed: FeedId(1), number }
}

fn torrent(name: &str) -> Source {
    Source::Torrent(format!("http://host.example/{name}.torrent"))
}

fn magnet() -> Source {
    Source::Magnet("magnet:?xt=urn:btih:0101010101010101010101010101010101010101".to_owned())
}

fn at_host(host: &str) -> Source {
    Source::Http(format!("https://{host}/a.mp3"))
}

fn http(name: &str) -> Source {
    Source::Http(format!("http://host.example/{name}.mp3"))
}

fn plan(length: u64) -> Plan {
    let file = "Show/a.mp3".to_owned();
    Plan { file, length: Some(length), present: 0, info_hash: Some(hash(1)), is_folder: false }
}

fn plain(length: u64) -> Plan {
    Plan { info_hash: None, ..plan(length) }
}

impl Bench {
    fn new(limit: usize) -> Self {
        let space = Space { available: 50 * GB, total: 100 * GB };
        Self {
            queue: Queue::new(limit, limit, None, Limits::default()),
            rng: Rng::from_seed_u64(1),
            now: Instant::ZERO,
            space,
        }
    }

    fn add(&mut self, number: u32, sources: Vec<Source>) {
        let rank = Rank { is_played: false, by_owner: false, when: wall(u64::from(number)) };
        self.queue.add(id(number), rank, sources);
        self.queue.tick(self.now);
    }

    /// What the queue wants done but measuring, which is done at once.
    fn orders(&mut self) -> Vec<Order> {
        let mut orders = Vec::new();
        while let Some(order) = self.queue.poll() {
            match order {
                Order::Measure => self.queue.measured(self.now, Ok(self.space), 0),
                Order::Tell { .. } => {}
                order => orders.push(order),
            }
        }
        orders
    }

    fn prepared(&mut self) -> Vec<u32> {
        let numbers = |order: Order| if let Order::Prepare { id, .. } = order { Some(id.number) } else { None };
        self.orders().into_iter().filter_map(numbers).collect()
    }

    fn attempt(&self, number: u32) -> u64 {
        self.queue.job(id(number)).unwrap().attempt
    }

    fn phase(&self, number: u32) -> Phase {
        self.queue.job(id(number)).unwrap().phase()
    }

    /// Says that the job's source holds `length` bytes.
    fn holds(&mut self, number: u32, length: u64) {
        let attempt = self.attempt(number);
        self.queue.prepared(self.now, id(number), attempt, plan(length), &mut self.rng);
    }

    /// Says so of a plain file.
    fn is_plain(&mut self, number: u32, length: u64) {
        let attempt = self.attempt(number);
        self.queue.prepared(self.now, id(number), attempt, plain(length), &mut self.rng);
    }

    /// Has the plain file of the first job run beside the search for its torrent; gives the attempt that searches.
    fn racing(&mut self, sources: Vec<Source>, length: u64) -> u64 {
        self.add(1, sources);
        assert!(matches!(self.orders()[..], [Order::Prepare { .. }]));
        let search = self.attempt(1);
        self.pass(5);
        assert!(matches!(self.orders()[..], [Order::SetAside { .. }, Order::Prepare { .. }]));
        self.is_plain(1, length);
        assert!(matches!(self.orders()[..], [Order::Start { .. }]));
        search
    }

    /// Says that so much of the plain file has come, and how long its server says that it is.
    fn comes(&mut self, number: u32, have: u64, whole: Option<u64>) {
        let attempt = self.attempt(number);
        let progress = Progress { have, peers: 1, whole, ..Progress::default() };
        self.queue.progress(self.now, id(number), attempt, progress, &mut self.rng);
    }

    fn source(&self, number: u32) -> Source {
        self.queue.job(id(number)).unwrap().source().clone()
    }

    fn progress(&mut self, number: u32, have: u64, peers: u32) {
        let attempt = self.attempt(number);
        let progress = Progress { have, peers, ..Progress::default() };
        self.queue.progress(self.now, id(number), attempt, progress, &mut self.rng);
    }

    fn fails(&mut self, number: u32, reason: &str) {
        let attempt = self.attempt(number);
        let fault = Fault::Source(reason.to_owned());
        self.queue.failed(self.now, id(number), attempt, fault, &mut self.rng);
    }

    fn pass(&mut self, secs: u64) {
        self.now += Duration::from_secs(secs);
        self.queue.tick(self.now);
    }

    /// Adds a job, prepares and starts it.
    fn running(&mut self, number: u32, sources: Vec<Source>) {
        self.add(number, sources);
        self.orders();
        self.holds(number, GB);
        assert!(matches!(self.orders()[..], [Order::Start { .. }]));
    }
}

#[test]
fn the_newest_goes_first_and_what_the_owner_asked_for_before_it() {
    let mut bench = Bench::new(2);
    for number in [1, 3, 2] {
        bench.add(number, vec![http("a")]);
    }
    let rank = Rank { is_played: false, by_owner: true, when: wall(0) };
    bench.queue.add(id(9), rank, vec![http("b")]);
    bench.queue.tick(bench.now);
    assert_eq!(bench.prepared(), [9, 3]);
    let attempt = bench.attempt(9);
    bench.holds(9, 5);
    bench.queue.done(bench.now, id(9), attempt, 0);
    // The attempt that was prepared is not the one that runs.
    assert!(bench.queue.job(id(9)).is_some());
    let attempt = bench.attempt(9);
    assert!(bench.queue.done(bench.now, id(9), attempt, 0).is_some());
    assert_eq!(bench.prepared(), [2]);
}

#[test]
fn no_more_run_at_once_than_allowed() {
    let mut bench = Bench::new(3);
    for number in 1..=10 {
        bench.add(number, vec![http("a")]);
    }
    assert_eq!(bench.prepared(), [10, 9, 8]);
    for number in 8..=10 {
        bench.holds(number, 1);
    }
    assert!(bench.prepared().is_empty());
}

#[test]
fn a_stalled_download_gives_up_its_place_and_takes_it_back_when_it_moves() {
    let mut bench = Bench::new(1);
    bench.running(2, vec![torrent("a")]);
    bench.progress(2, 5, 1);
    bench.add(1, vec![http("a")]);
    assert!(bench.prepared().is_empty());
    bench.pass(61);
    bench.progress(2, 5, 1);
    assert_eq!(bench.prepared(), [1]);
    assert!(bench.queue.job(id(2)).unwrap().trouble().is_some());
    bench.progress(2, 6, 1);
    assert!(bench.queue.job(id(2)).unwrap().trouble().is_none());
    assert!(matches!(bench.phase(2), Phase::Running { is_stalled: false, .. }));
}

#[test]
fn a_swarm_without_peers_gives_way_to_the_plain_file_and_only_then() {
    let mut bench = Bench::new(1);
    bench.running(1, vec![torrent("a"), http("a")]);
    bench.pass(121);
    bench.progress(1, 0, 3);
    assert!(bench.orders().is_empty());
    bench.progress(1, 0, 0);
    assert!(matches!(bench.orders()[..], [Order::Stop { .. }, Order::Prepare { .. }]));
    assert_eq!(*bench.queue.job(id(1)).unwrap().source(), http("a"));

    let mut lone = Bench::new(1);
    lone.running(1, vec![torrent("a")]);
    lone.pass(100_000);
    lone.progress(1, 0, 0);
    assert!(matches!(lone.phase(1), Phase::Running { is_stalled: true, .. }));
}

#[test]
fn a_torrent_that_nobody_tells_of_soon_does_not_keep_the_plain_file_back() {
    let mut bench = Bench::new(1);
    bench.add(1, vec![magnet(), http("a")]);
    assert_eq!(bench.prepared(), [1]);
    assert_eq!(bench.queue.deadline(), Some(bench.now + HEAD_START));
    bench.pass(4);
    assert!(bench.orders().is_empty());
    bench.pass(1);
    assert!(matches!(bench.orders()[..], [Order::SetAside { .. }, Order::Prepare { .. }]));
    bench.is_plain(1, GB);
    assert!(matches!(bench.orders()[..], [Order::Start { .. }]));
    // It is one job with one place.
    bench.add(2, vec![http("b")]);
    assert!(bench.orders().is_empty());
    let attempt = bench.attempt(1);
    assert!(bench.queue.done(bench.now, id(1), attempt, GB).is_some_and(|plan| plan.info_hash.is_none()));
    assert!(matches!(bench.orders()[..], [Order::DropAside { .. }, Order::Prepare { .. }]));

    let mut lone = Bench::new(1);
    lone.add(1, vec![magnet()]);
    lone.orders();
    lone.pass(100);
    assert!(lone.orders().is_empty(), "there is nothing else to try");
}

#[test]
fn a_host_that_is_late_with_its_torrent_is_not_asked_for_the_plain_file_as_well() {
    let mut bench = Bench::new(1);
    let torrent = || Source::Torrent("https://crowded.example/a.torrent".to_owned());
    bench.add(1, vec![torrent(), magnet(), at_host("crowded.example")]);
    assert_eq!(bench.prepared(), [1]);
    bench.pass(5);
    assert!(matches!(bench.orders()[..], [Order::SetAside { .. }, Order::Prepare { .. }]));
    assert_eq!(bench.source(1), magnet());
    bench.pass(60);
    assert!(bench.orders().is_empty(), "both are waited for");
    bench.queue.failed(bench.now, id(1), bench.attempt(1) - 1, Fault::Source("404".to_owned()), &mut bench.rng);
    bench.pass(5);
    assert!(matches!(bench.orders()[..], [Order::SetAside { .. }, Order::Prepare { .. }]));
    assert_eq!(bench.source(1), at_host("crowded.example"), "it has answered");
}

#[test]
fn the_swarm_goes_on_with_what_has_come_of_the_same_file_and_needs_no_more_room() {
    let mut bench = Bench::new(1);
    // The reserve is 5 GB: there is room for this file, and not twice.
    bench.space.available = 6 * GB;
    let search = bench.racing(vec![magnet(), http("a")], GB);
    bench.queue.found(bench.now, id(1), search, Some(GB));
    assert!(bench.orders().is_empty(), "what the server has is not known yet");
    bench.comes(1, GB / 4, Some(GB));
    assert!(matches!(bench.orders()[..], [Order::Stop { .. }, Order::Prepare { .. }]));
    assert_eq!(bench.source(1), magnet());
    let attempt = bench.attempt(1);
    let begun = Plan { present: GB / 4, ..plan(GB) };
    bench.queue.prepared(bench.now, id(1), attempt, begun, &mut bench.rng);
    assert!(matches!(bench.orders()[..], [Order::Start { .. }]));
    // As ever, a swarm without peers gives way.
    bench.pass(121);
    bench.progress(1, 0, 0);
    assert!(matches!(bench.orders()[..], [Order::Stop { .. }, Order::Prepare { .. }]));
    assert_eq!(bench.source(1), http("a"));
}

#[test]
fn a_plain_file_that_is_another_or_is_played_goes_on_alone() {
    for (length, whole) in [(Some(GB), Some(GB + 1)), (None, Some(GB)), (None, None)] {
        let mut bench = Bench::new(1);
        let search = bench.racing(vec![magnet(), http("a")], GB);
        bench.queue.found(bench.now, id(1), search, length);
        bench.comes(1, GB / 4, whole);
        assert!(bench.orders().is_empty(), "{length:?} {whole:?}");
        assert!(matches!(bench.phase(1), Phase::Running { .. }) && bench.source(1) == http("a"));
    }
    let mut bench = Bench::new(1);
    let search = bench.racing(vec![magnet(), http("a")], GB);
    bench.comes(1, GB / 4, Some(GB));
    bench.queue.play(bench.now, id(1));
    bench.queue.found(bench.now, id(1), search, Some(GB));
    assert!(bench.orders().is_empty() && bench.source(1) == http("a"), "its listener reads what the server sends");
}

#[test]
fn where_the_plain_file_fails_the_torrent_is_taken_or_looked_for_on() {
    // It was found.
    let mut bench = Bench::new(1);
    let search = bench.racing(vec![magnet(), http("a")], GB);
    bench.queue.found(bench.now, id(1), search, Some(GB));
    bench.fails(1, "broken off");
    assert!(matches!(bench.orders()[..], [Order::Prepare { .. }]));
    assert_eq!(bench.source(1), magnet());

    // It is still looked for: the job waits for that.
    let mut bench = Bench::new(1);
    let search = bench.racing(vec![magnet(), http("a"), http("b")], GB);
    bench.fails(1, "404");
    assert!(matches!(bench.orders()[..], [Order::Prepare { .. }]));
    assert_eq!(bench.source(1), http("b"));
    bench.fails(1, "404");
    assert!(bench.orders().is_empty());
    assert_eq!(
        (bench.phase(1), bench.attempt(1), bench.source(1)),
        (Phase::Preparing { overtaken_at: None }, search, magnet())
    );
    bench.pass(60);
    assert!(bench.orders().is_empty(), "nothing is left that could overtake it");
    bench.holds(1, GB);
    assert!(matches!(bench.orders()[..], [Order::Start { .. }]));

    // Its swarm has no peers: the host that has failed is not asked again before the job has waited.
    bench.pass(121);
    bench.progress(1, 0, 0);
    assert!(matches!(bench.orders()[..], [Order::Stop { .. }]));
    assert!(matches!(bench.phase(1), Phase::Waiting { .. }));

    // It is found nowhere, and everything else has failed.
    let mut bench = Bench::new(1);
    bench.racing(vec![magnet(), http("a")], GB);
    bench.fails(1, "404");
    bench.fails(1, "nobody has told");
    assert!(bench.orders().is_empty() && matches!(bench.phase(1), Phase::Waiting { .. }));
    bench.queue.hurry(bench.now, id(1));
    assert!(matches!(bench.orders()[..], [Order::Prepare { .. }]));
    assert_eq!(bench.source(1), magnet());
}

#[test]
fn what_is_looked_for_aside_ends_with_its_job_and_when_a_torrent_is_taken() {
    let mut bench = Bench::new(1);
    let search = bench.racing(vec![magnet(), http("a")], GB);
    assert!(bench.queue.remove(id(1)));
    assert_eq!(bench.orders(), [Order::Stop { id: id(1) }]);
    bench.queue.found(bench.now, id(1), search, Some(GB));
    assert!(bench.orders().is_empty());

    // Of two torrents the one is taken that is known first.
    let mut bench = Bench::new(1);
    bench.add(1, vec![magnet(), torrent("a"), http("a")]);
    bench.orders();
    let search = bench.attempt(1);
    bench.pass(5);
    assert!(matches!(bench.orders()[..], [Order::SetAside { .. }, Order::Prepare { .. }]));
    bench.holds(1, GB);
    assert!(matches!(bench.orders()[..], [Order::DropAside { .. }, Order::Start { .. }]));
    bench.queue.found(bench.now, id(1), search, Some(GB));
    assert!(bench.orders().is_empty());

    // A search that fails aside changes nothing.
    let mut bench = Bench::new(1);
    let search = bench.racing(vec![magnet(), http("a")], GB);
    bench.queue.failed(bench.now, id(1), search, Fault::Source("nobody".to_owned()), &mut bench.rng);
    assert!(bench.orders().is_empty() && bench.source(1) == http("a"));
}

#[test]
fn of_one_host_a_few_come_at_once_and_others_go_ahead() {
    let mut bench = Bench::new(4);
    bench.queue = Queue::new(4, 2, None, Limits::default());
    for number in 2..=10 {
        bench.add(number, vec![at_host("one.example")]);
    }
    bench.add(1, vec![at_host("two.example")]);
    assert_eq!(bench.prepared(), [10, 9, 1]);
    assert_eq!(bench.queue.turn(id(8)).unwrap(), "one.example sends 2 others, as many as it is asked for at once");
    assert_eq!((bench.queue.turn(id(10)), bench.queue.turn(id(1))), (None, None));
    for number in [10, 9, 1] {
        bench.is_plain(number, 1);
        assert!(matches!(bench.orders()[..], [Order::Start { .. }]));
    }
    // What is played waits for nobody.
    bench.queue.play(bench.now, id(2));
    assert_eq!(bench.prepared(), [2]);
    let attempt = bench.attempt(2);
    bench.queue.failed(bench.now, id(2), attempt, Fault::Source("404".to_owned()), &mut bench.rng);
    assert!(bench.prepared().is_empty());
    let attempt = bench.attempt(9);
    bench.queue.done(bench.now, id(9), attempt, 1);
    assert_eq!(bench.prepared(), [8]);
    // A swarm is no visit, whoever its web seeds are.
    bench.add(11, vec![torrent("a"), at_host("one.example")]);
    assert_eq!(bench.prepared(), [11]);
    bench.pass(30);
    assert!(bench.prepared().is_empty(), "its host is not asked for one more");
    let attempt = bench.attempt(10);
    bench.queue.done(bench.now, id(10), attempt, 1);
    assert_eq!(bench.prepared(), [7]);
}

#[test]
fn one_file_is_never_taken_for_a_whole_folder() {
    let mut bench = Bench::new(1);
    bench.add(1, vec![http("first"), torrent("a"), http("a")]);
    bench.orders();
    bench.fails(1, "404");
    bench.orders();
    let attempt = bench.attempt(1);
    let folder = Plan { is_folder: true, ..plan(GB) };
    bench.queue.prepared(bench.now, id(1), attempt, folder, &mut bench.rng);
    bench.orders();
    bench.fails(1, "changed");
    assert!(matches!(bench.phase(1), Phase::Waiting { .. }));
}

#[test]
fn after_its_last_source_a_job_waits_longer_each_time() {
    let mut bench = Bench::new(1);
    bench.add(1, vec![torrent("a"), http("a")]);
    let mut waits = Vec::new();
    for _ in 0..12 {
        assert_eq!(bench.prepared(), [1]);
        bench.fails(1, "404");
        assert_eq!(bench.prepared(), [1]);
        bench.fails(1, "404");
        let Phase::Waiting { until } = bench.phase(1) else { panic!("it waits") };
        waits.push(until - bench.now);
        bench.now = until;
        bench.queue.tick(until);
    }
    assert!(waits[0] <= Duration::from_secs(72) && waits[5] > waits[0] * 8);
    assert!(waits.iter().all(|wait| *wait <= MAX_RETRY * 12 / 10));
}

#[test]
fn a_host_that_wants_to_be_left_alone_is_but_by_the_owner() {
    let mut bench = Bench::new(1);
    bench.add(1, vec![http("a"), http("b")]);
    let busy = |bench: &mut Bench, patience: Duration| {
        let (attempt, reason) = (bench.attempt(1), "429".to_owned());
        bench.queue.failed(bench.now, id(1), attempt, Fault::Busy { reason, patience }, &mut bench.rng);
    };
    bench.orders();
    busy(&mut bench, Duration::from_hours(5));
    assert_eq!(bench.prepared(), [1], "the next source is tried at once");
    bench.pass(600);
    bench.fails(1, "404");
    let Phase::Waiting { until } = bench.phase(1) else { panic!("it waits") };
    assert_eq!(until - bench.now, Duration::from_mins(290));
    bench.queue.hurry(bench.now, id(1));
    assert_eq!(bench.prepared(), [1]);
    busy(&mut bench, Duration::MAX);
    assert_eq!(bench.prepared(), [1]);
    bench.fails(1, "404");
    let Phase::Waiting { until } = bench.phase(1) else { panic!("it waits") };
    assert_eq!(until - bench.now, MAX_PATIENCE);
}

#[test]
fn what_is_dated_anew_goes_on_as_it_was_at_another_place_in_line() {
    let mut bench = Bench::new(1);
    bench.running(1, vec![http("a")]);
    bench.add(2, vec![http("b")]);
    bench.add(3, vec![http("c")]);
    let rank = Rank { is_played: false, by_owner: false, when: wall(100) };
    bench.queue.add(id(1), rank, vec![http("a")]);
    bench.queue.add(id(2), rank, vec![http("b")]);
    bench.queue.tick(bench.now);
    assert!(bench.orders().is_empty(), "nothing is stopped and begun again");
    let attempt = bench.attempt(1);
    bench.queue.done(bench.now, id(1), attempt, 0);
    assert_eq!(bench.prepared(), [2]);
    // With other sources it begins again.
    bench.queue.add(id(2), rank, vec![http("d")]);
    bench.queue.tick(bench.now);
    assert!(matches!(bench.orders()[..], [Order::Stop { .. }, Order::Prepare { .. }]));
}

#[test]
fn the_owner_shortens_a_wait() {
    let mut bench = Bench::new(1);
    bench.add(1, vec![http("a")]);
    bench.orders();
    bench.fails(1, "404");
    assert!(bench.prepared().is_empty());
    bench.queue.hurry(bench.now, id(1));
    assert_eq!(bench.prepared(), [1]);
}

#[test]
fn what_does_not_fit_waits_for_room_and_what_does_goes_ahead() {
    let mut bench = Bench::new(2);
    bench.space.available = 6 * GB;
    bench.add(1, vec![http("small")]);
    bench.add(2, vec![http("large")]);
    bench.orders();
    bench.holds(2, 2 * GB);
    bench.holds(1, GB / 2);
    assert!(matches!(bench.orders()[..], [Order::Start { id: EpisodeId { number: 1, .. }, .. }]));
    assert_eq!(bench.phase(2), Phase::NoRoom);
    assert!(bench.queue.job(id(2)).unwrap().trouble().unwrap().contains("1.8 GiB"));
    // Space comes back.
    bench.space.available = 60 * GB;
    bench.pass(11);
    assert!(matches!(bench.orders()[..], [Order::Start { id: EpisodeId { number: 2, .. }, .. }]));
}

#[test]
fn downloads_that_start_together_do_not_share_one_gap() {
    let mut bench = Bench::new(2);
    bench.space.available = 6 * GB;
    bench.add(1, vec![http("a")]);
    bench.add(2, vec![http("b")]);
    bench.orders();
    bench.holds(2, GB * 7 / 10);
    bench.holds(1, GB * 7 / 10);
    assert_eq!(bench.orders().len(), 1);
    assert_eq!(bench.phase(1), Phase::NoRoom);
}

#[test]
fn everything_stops_when_the_reserve_is_touched_and_goes_on_after() {
    let mut bench = Bench::new(2);
    bench.running(1, vec![torrent("a")]);
    bench.space.available = 4 * GB;
    bench.pass(11);
    assert!(matches!(bench.orders()[..], [Order::Stop { .. }]));
    bench.add(2, vec![http("b")]);
    assert!(bench.orders().is_empty());
    assert!(bench.queue.is_settled());
    bench.space.available = 50 * GB;
    bench.pass(11);
    assert!(matches!(bench.orders()[..], [Order::Prepare { .. }, Order::Start { .. }]));
}

#[test]
fn a_torrent_larger_than_the_whole_disk_fails_its_source() {
    let mut bench = Bench::new(1);
    bench.add(1, vec![torrent("a"), http("a")]);
    bench.orders();
    bench.holds(1, 64 << 40);
    assert_eq!(bench.prepared(), [1]);
    assert!(bench.queue.job(id(1)).unwrap().trouble().unwrap().contains("64.0 TiB"));
    assert_eq!(*bench.queue.job(id(1)).unwrap().source(), http("a"));
}

#[test]
fn what_is_there_of_a_download_that_waits_counts_for_what_the_library_may_take() {
    let mut bench = Bench::new(2);
    bench.queue = Queue::new(2, 2, None, Limits { quota: Some(GB * 3 / 2), leave_free: None });
    bench.running(1, vec![http("a")]);
    bench.progress(1, GB * 7 / 10, 1);
    bench.fails(1, "broken off");
    bench.orders();
    bench.add(2, vec![http("b")]);
    bench.orders();
    bench.holds(2, GB);
    assert!(matches!(bench.orders()[..], [Order::MakeRoom { bytes: 200_000_000, .. }]));
    assert_eq!(bench.phase(2), Phase::NoRoom);
}

#[test]
fn a_download_that_is_longer_than_it_said_is_not_begun_again_and_again() {
    let mut bench = Bench::new(2);
    bench.queue = Queue::new(2, 2, None, Limits { quota: Some(GB / 2), leave_free: None });
    bench.add(1, vec![http("a")]);
    bench.orders();
    bench.holds(1, 1000);
    assert!(matches!(bench.orders()[..], [Order::Start { .. }]));
    bench.progress(1, GB, 1);
    assert!(matches!(bench.orders()[..], [Order::Stop { .. }, Order::MakeRoom { .. }]));
    bench.pass(11);
    assert!(!bench.orders().iter().any(|order| matches!(order, Order::Start { .. })));
}

#[test]
fn a_library_that_is_gone_is_waited_for() {
    let mut bench = Bench::new(2);
    bench.running(1, vec![http("a")]);
    let attempt = bench.attempt(1);
    let fault = Fault::NoLibrary("no such folder".to_owned());
    bench.queue.failed(bench.now, id(1), attempt, fault, &mut bench.rng);
    assert_eq!(bench.queue.poll(), Some(Order::Measure));
    bench.queue.measured(bench.now, Err("the library is not there".to_owned()), 0);
    assert_eq!(bench.queue.poll(), Some(Order::Tell { id: id(1) }));
    assert_eq!(bench.queue.job(id(1)).unwrap().trouble(), Some("the library is not there"));
    bench.now += MEASURE_EVERY;
    bench.queue.tick(bench.now);
    assert!(matches!(bench.orders()[..], [Order::Prepare { .. }]), "it is back");
}

#[test]
fn what_comes_from_an_attempt_that_is_over_is_ignored() {
    let mut bench = Bench::new(1);
    bench.add(1, vec![torrent("a"), http("a")]);
    bench.orders();
    let old = bench.attempt(1);
    bench.fails(1, "404");
    bench.orders();
    bench.queue.prepared(bench.now, id(1), old, plan(5), &mut bench.rng);
    assert!(matches!(bench.phase(1), Phase::Preparing { .. }));
    assert!(bench.queue.done(bench.now, id(1), old, 0).is_none());
    let progress = Progress { have: 5, ..Progress::default() };
    bench.queue.progress(bench.now, id(1), old, progress, &mut bench.rng);
    assert!(matches!(bench.phase(1), Phase::Preparing { .. }));
}

#[test]
fn with_little_patience_what_does_not_move_is_left() {
    let mut bench = Bench::new(1);
    bench.queue = Queue::new(1, 2, Some(Duration::from_mins(5)), Limits::default());
    bench.running(1, vec![torrent("a")]);
    bench.pass(299);
    bench.progress(1, 0, 2);
    assert!(!bench.queue.is_settled());
    bench.pass(1);
    bench.progress(1, 0, 2);
    assert!(bench.queue.is_settled());
}

#[test]
fn what_is_played_begins_at_once_and_takes_no_place_of_others() {
    let mut rng = Rng::from_seed_u64(1);
    let mut queue = Queue::new(1, 2, None, Limits::default());
    let [first, second, third] = [1, 2, 3].map(|number| EpisodeId { feed: FeedId(1), number });
    for (id, day) in [(first, 3), (second, 2), (third, 1)] {
        let rank = Rank { is_played: false, by_owner: false, when: wall(day) };
        queue.add(id, rank, vec![Source::Http("http://h.example/x.mp3".to_owned())]);
    }
    queue.measured(Instant::ZERO, Ok(Space { available: 1 << 50, total: 1 << 50 }), 0);
    let prepared = |queue: &mut Queue| -> Vec<EpisodeId> {
        std::iter::from_fn(|| queue.poll())
            .filter_map(|order| if let Order::Prepare { id, .. } = order { Some(id) } else { None })
            .collect()
    };
    assert_eq!(prepared(&mut queue), [first]);
    queue.play(Instant::ZERO, third);
    assert_eq!(prepared(&mut queue), [third]);
    queue.failed(Instant::ZERO, first, 1, Fault::Source("gone".to_owned()), &mut rng);
    assert_eq!(prepared(&mut queue), [second], "its place went to the next");
}
