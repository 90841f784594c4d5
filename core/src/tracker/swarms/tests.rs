//! The swarm table under virtual time.

use std::collections::BTreeSet;

use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

use super::*;

const HASH: [u8; 20] = [7; 20];

/// A table that serves [`HASH`], the time and the dice.
struct World {
    table: SwarmTable,
    now: Instant,
    rng: Rng,
}

impl World {
    fn new() -> Self {
        Self::with(SwarmTableConfig::default())
    }

    fn with(config: SwarmTableConfig) -> Self {
        let mut table = SwarmTable::new(config);
        table.allow(HASH, SwarmEntry::default());
        Self { table, now: Instant::ZERO, rng: Rng::from_seed_u64(11) }
    }

    /// `peer` announces with `left` bytes to go, perhaps for an event.
    fn announce_with(&mut self, peer: &str, left: u64, change: impl FnOnce(&mut AnnounceRequest)) -> AnnounceResponse {
        self.try_announce(peer, left, change).unwrap()
    }

    fn try_announce(
        &mut self,
        peer: &str,
        left: u64,
        change: impl FnOnce(&mut AnnounceRequest),
    ) -> Result<AnnounceResponse, AnnounceFailure> {
        let peer: SocketAddr = peer.parse().unwrap();
        // A stranger may say any port, which we do not.
        let mut request = AnnounceRequest { left, port: peer.port(), ..AnnounceRequest::new(HASH, [0; 20], 1) };
        change(&mut request);
        self.table.announce(self.now, SocketAddr::new(peer.ip(), 54321), &request, &[], &mut self.rng)
    }

    fn leecher(&mut self, peer: &str) -> AnnounceResponse {
        self.announce_with(peer, 1, |_| {})
    }

    fn seed(&mut self, peer: &str) -> AnnounceResponse {
        self.announce_with(peer, 0, |request| request.uploaded = 1)
    }

    fn event(&mut self, peer: &str, left: u64, event: AnnounceEvent) -> AnnounceResponse {
        self.announce_with(peer, left, |request| request.event = Some(event))
    }

    fn counts(&self) -> (u32, u32, u32) {
        let SwarmCounts { complete, incomplete, downloaded } = self.table.swarm(HASH).unwrap();
        (complete, incomplete, downloaded)
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.table.expire(self.now);
    }
}

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn sorted(mut peers: Vec<SocketAddr>) -> Vec<String> {
    peers.sort_unstable();
    peers.iter().map(ToString::to_string).collect()
}

/// The `i`th of many public peers, each in a network of its own.
fn stranger(i: usize) -> String {
    format!("{}.{}.{}.9:6881", 20 + i / 65536, i / 256 % 256, i % 256)
}

#[test]
fn a_peer_is_told_of_all_others_but_never_of_itself() {
    let mut world = World::new();
    assert_eq!(world.leecher("192.0.2.1:1").peers, []);
    assert_eq!(world.leecher("192.0.2.2:2").peers, [addr("192.0.2.1:1")]);
    assert_eq!(world.leecher("192.0.2.1:1").peers, [addr("192.0.2.2:2")]);
    assert_eq!(sorted(world.leecher("192.0.2.2:3").peers), ["192.0.2.1:1", "192.0.2.2:2"]);
}

#[test]
fn the_answer_counts_the_asker() {
    let mut world = World::new();
    let answer = world.leecher("192.0.2.1:1");
    assert_eq!((answer.complete, answer.incomplete), (Some(0), Some(1)));
    let answer = world.seed("192.0.2.2:2");
    assert_eq!((answer.complete, answer.incomplete), (Some(1), Some(1)));
    assert_eq!(answer.external_ip, Some("192.0.2.2".parse().unwrap()));
}

#[test]
fn seeds_are_not_told_of_seeds() {
    let mut world = World::new();
    world.seed("192.0.2.1:1");
    world.leecher("192.0.2.2:2");
    assert_eq!(world.seed("192.0.2.3:3").peers, [addr("192.0.2.2:2")]);
    assert_eq!(sorted(world.leecher("192.0.2.4:4").peers), ["192.0.2.1:1", "192.0.2.2:2", "192.0.2.3:3"]);
}

/// aria2 announces so as long as it has nothing but a magnet link.
#[test]
fn a_seed_that_has_moved_nothing_is_told_of_a_few_who_know_what_the_torrent_is() {
    let mut world = World::new();
    for peer in 1..=20 {
        world.seed(&format!("192.0.2.{peer}:1"));
    }
    for _ in 0..2 {
        let told = world.announce_with("192.0.2.99:1", 0, |_| {}).peers;
        assert!((1..=GUIDES + 1).contains(&told.len()), "{told:?}");
        assert!(!told.contains(&addr("192.0.2.99:1")));
    }
    for peer in 101..=120 {
        world.leecher(&format!("192.0.2.{peer}:1"));
    }
    world.pass(FILLING);
    let told = world.announce_with("192.0.2.99:1", 0, |_| {}).peers;
    assert_eq!(told.len(), 20, "{told:?}");
    // The owner's seed is the first of them.
    let own = [addr("192.0.2.200:6881")];
    let request = AnnounceRequest::new(HASH, [0; 20], 1);
    let told = world.table.announce(world.now, addr("192.0.2.98:1"), &request, &own, &mut world.rng).unwrap().peers;
    assert_eq!(told[0], own[0]);
}

#[test]
fn a_download_is_counted_once_per_peer_and_makes_it_a_seed() {
    let mut world = World::new();
    world.leecher("192.0.2.1:1");
    world.event("192.0.2.1:1", 5, AnnounceEvent::Completed);
    assert_eq!(world.counts(), (0, 1, 0));
    world.event("192.0.2.1:1", 0, AnnounceEvent::Completed);
    world.event("192.0.2.1:1", 0, AnnounceEvent::Completed);
    assert_eq!(world.counts(), (1, 0, 1));
    world.event("192.0.2.2:1", 0, AnnounceEvent::Completed);
    assert_eq!(world.counts(), (2, 0, 2));
    world.event("192.0.2.2:1", 0, AnnounceEvent::Stopped);
    assert_eq!(world.counts(), (1, 0, 2));
}

#[test]
fn a_peer_that_stops_is_gone_at_once() {
    let mut world = World::new();
    world.leecher("192.0.2.1:1");
    assert_eq!(world.event("192.0.2.1:1", 1, AnnounceEvent::Stopped).peers, []);
    world.event("192.0.2.9:9", 1, AnnounceEvent::Stopped);
    assert_eq!(world.leecher("192.0.2.2:2").peers, []);
    assert_eq!(world.table.peers(), 1);
}

#[test]
fn a_silent_peer_goes_when_it_is_overdue_twice_over() {
    let mut world = World::new();
    let interval = world.leecher("192.0.2.1:1").interval;
    let kept = interval * 2 + SwarmTableConfig::default().grace;
    assert_eq!(world.table.deadline(), Some(Instant::ZERO + kept));
    world.pass(kept.saturating_sub(Duration::from_nanos(1)));
    assert_eq!(world.table.peers(), 1);
    world.pass(Duration::from_nanos(1));
    assert_eq!((world.table.peers(), world.table.deadline()), (0, None));
    assert_eq!(world.counts(), (0, 0, 0));
}

#[test]
fn a_peer_that_announces_in_time_stays_for_ever() {
    let mut world = World::new();
    for _ in 0..500 {
        let interval = world.leecher("192.0.2.1:1").interval;
        world.pass(interval * 2);
        assert_eq!(world.table.peers(), 1);
    }
}

#[test]
fn the_dead_are_forgotten_even_if_nobody_minds_the_deadline() {
    let mut world = World::new();
    for i in 0..100 {
        world.leecher(&stranger(i));
    }
    world.now += Duration::from_hours(5);
    for i in 0..13 {
        world.leecher(&format!("192.0.2.1:{}", i + 1));
    }
    assert_eq!(world.table.peers(), 13);
}

#[test]
fn hosts_behind_a_router_are_not_given_to_strangers() {
    let mut world = World::new();
    let (public, test_net) = ("192.0.2.1:1", "198.18.0.1:1");
    let (private, loopback) = ("192.168.0.1:1", "127.0.0.1:1");
    for peer in [public, test_net, private, loopback] {
        world.leecher(peer);
    }
    assert_eq!(world.leecher(public).peers, [addr(test_net)]);
    assert_eq!(sorted(world.leecher(private).peers), [public, test_net]);
    assert_eq!(sorted(world.leecher("10.0.0.1:1").peers), [public, private, test_net]);
    assert_eq!(sorted(world.leecher(loopback).peers), ["10.0.0.1:1", public, private, test_net]);
}

#[test]
fn the_address_families_stay_apart_and_mapped_addresses_are_ipv4() {
    let mut world = World::new();
    world.leecher("192.0.2.1:1");
    world.leecher("[2001:db8::1]:1");
    assert_eq!(world.leecher("[2001:db8::2]:2").peers, [addr("[2001:db8::1]:1")]);
    let mapped = world.leecher("[::ffff:192.0.2.2]:2");
    assert_eq!((mapped.peers, mapped.external_ip), (vec![addr("192.0.2.1:1")], Some("192.0.2.2".parse().unwrap())));
    assert_eq!(world.leecher("192.0.2.1:1").peers, [addr("192.0.2.2:2")]);
    assert_eq!(world.counts(), (0, 4, 0));
}

#[test]
fn a_port_or_a_source_that_nobody_can_dial_is_refused() {
    let mut world = World::new();
    for peer in ["192.0.2.1:0", "0.0.0.0:1", "[ff02::1]:1"] {
        assert!(world.try_announce(peer, 1, |_| {}).is_err(), "{peer}");
    }
    assert_eq!(world.table.peers(), 0);
}

#[test]
fn the_owner_s_seed_is_given_first_to_leechers_and_counted() {
    let mut world = World::new();
    let own = [addr("192.0.2.99:6881"), addr("[2001:db8::99]:6881"), addr("192.0.2.98:0")];
    let mut announce = |peer: &str, left, numwant| {
        let request = AnnounceRequest { left, numwant, uploaded: 1, ..AnnounceRequest::new(HASH, [0; 20], 6881) };
        world.table.announce(Instant::ZERO, addr(peer), &request, &own, &mut world.rng).unwrap()
    };
    let answer = announce("192.0.2.1:1", 1, None);
    assert_eq!((answer.peers, answer.complete), (own[..2].to_vec(), Some(1)));
    assert_eq!(announce("192.0.2.2:1", 1, Some(1)).peers, own[..1]);
    assert_eq!(announce("192.0.2.3:1", 0, None).peers.len(), 2);
    // The seed itself may announce as well; it is neither told of itself nor given twice.
    assert!(!announce("192.0.2.99:1", 1, None).peers.contains(&own[0]));
    let answer = announce("192.0.2.1:1", 1, None).peers;
    assert_eq!(answer.iter().filter(|peer| **peer == own[0]).count(), 1);
    assert_eq!(answer.len(), 4);
}

#[test]
fn an_owner_s_seed_counts_while_it_serves_and_downloads_never_go_back() {
    let mut world = World::new();
    world.table.allow(HASH, SwarmEntry { downloaded: 40, seeded: true });
    assert_eq!(world.counts(), (1, 0, 40));
    world.event("192.0.2.1:1", 0, AnnounceEvent::Completed);
    world.table.allow(HASH, SwarmEntry { downloaded: 3, seeded: false });
    assert_eq!(world.counts(), (1, 0, 41));
}

#[test]
fn only_allowed_swarms_are_served_until_they_are_forgotten() {
    let mut world = World::new();
    let other = |request: &mut AnnounceRequest| request.info_hash = [8; 20];
    let refusal = world.try_announce("192.0.2.1:1", 1, other).unwrap_err();
    assert_eq!(refusal.reason, "this tracker does not serve that torrent");
    world.leecher("192.0.2.1:1");
    world.table.forget(HASH);
    assert!(world.try_announce("192.0.2.1:1", 1, |_| {}).is_err());
    assert_eq!((world.table.peers(), world.table.deadline()), (0, None));
    world.table.forget(HASH);
}

#[test]
fn an_open_tracker_keeps_no_empty_swarm_and_no_more_than_it_may() {
    let mut world =
        World::with(SwarmTableConfig { admission: Admission::Open, max_swarms: 3, ..SwarmTableConfig::default() });
    let of = |n: u8| move |request: &mut AnnounceRequest| request.info_hash = [n; 20];
    world.announce_with("192.0.2.1:1", 1, of(1));
    world.announce_with("192.0.2.1:1", 1, of(2));
    assert!(world.try_announce("192.0.2.1:1", 1, of(3)).is_err());
    world.announce_with("192.0.2.1:1", 1, |request| {
        of(2)(request);
        request.event = Some(AnnounceEvent::Stopped);
    });
    assert_eq!(world.table.swarm([2; 20]), None);
    world.announce_with("192.0.2.1:1", 1, of(3));
    world.pass(Duration::from_hours(1));
    assert_eq!(world.table.swarm([3; 20]), None);
    assert!(world.table.swarm(HASH).is_some());
}

#[test]
fn a_scrape_answers_for_known_swarms_only() {
    let mut world = World::new();
    world.leecher("192.0.2.1:1");
    let request = ScrapeRequest { info_hashes: vec![[9; 20], HASH, HASH] };
    let counts = SwarmCounts { complete: 0, incomplete: 1, downloaded: 0 };
    assert_eq!(world.table.scrape(&request).files, BTreeMap::from([(HASH, counts)]));
}

#[test]
fn a_peer_gets_what_it_asks_for_within_reason() {
    let mut world = World::new();
    for i in 0..400 {
        world.leecher(&stranger(i));
    }
    for (numwant, got) in [
        (None, 50),
        (Some(0), 0),
        (Some(1), 1),
        (Some(7), 7),
        (Some(200), 200),
        (Some(201), 200),
        (Some(1_000_000_000), 200),
        (Some(-1), 50),
        (Some(i64::MIN), 50),
    ] {
        let peers = world.announce_with(&stranger(0), 1, |request| request.numwant = numwant).peers;
        assert_eq!(peers.len(), got, "numwant {numwant:?}");
        assert_eq!(peers.iter().collect::<BTreeSet<_>>().len(), got, "numwant {numwant:?}");
    }
}

#[test]
fn no_network_fills_the_table_but_a_site_of_one_s_own_may() {
    let config = SwarmTableConfig { max_peers_per_network: 5, max_peers_per_swarm: 30, ..SwarmTableConfig::default() };
    let mut world = World::with(config);
    for i in 1..=9 {
        let answer = world.leecher(&format!("192.0.2.{i}:1"));
        assert_eq!(answer.warning.is_some(), i > 5);
        world.leecher(&format!("[2001:db8::{i}]:1"));
    }
    assert_eq!(world.counts(), (0, 10, 0));
    world.event("192.0.2.1:1", 1, AnnounceEvent::Stopped);
    world.leecher("192.0.2.200:1");
    world.leecher("192.0.2.201:1");
    assert_eq!(world.counts(), (0, 10, 0));
    for i in 1..=40 {
        world.leecher(&format!("10.0.0.{i}:1"));
    }
    assert_eq!(world.counts(), (0, 35, 0));
    // Who is in may go on, and who is not is still told of others.
    assert_eq!(world.leecher("10.0.0.1:1").warning, None);
    world.pass(FILLING);
    assert_eq!(world.leecher("10.0.0.40:1").peers.len(), 30);
}

#[test]
fn the_whole_table_is_bounded() {
    let config =
        SwarmTableConfig { admission: Admission::Open, max_swarms: 20, max_peers: 100, ..SwarmTableConfig::default() };
    let mut world = World::with(config);
    for i in 0..1000 {
        let swarm = u8::try_from(i % 25).unwrap();
        let _ = world.try_announce(&stranger(i), 1, |request| request.info_hash = [swarm; 20]);
    }
    assert_eq!(world.table.peers(), 100);
}

#[test]
fn waits_are_seconds_in_a_young_swarm_and_half_an_hour_in_an_old_one() {
    let mut world = World::new();
    let mut waits = Vec::new();
    while world.now < Instant::ZERO + Duration::from_hours(6) {
        let answer = world.leecher("192.0.2.1:1");
        assert!(answer.min_interval.unwrap() <= answer.interval);
        waits.push(answer.interval.as_secs());
        world.pass(answer.interval);
    }
    assert!(waits[..4].iter().all(|wait| (2..=3).contains(wait)), "{waits:?}");
    let first_minute = waits
        .iter()
        .scan(0, |sum, wait| {
            *sum += wait;
            Some(*sum)
        })
        .take_while(|at| *at < 60)
        .count();
    assert!(first_minute >= 10, "{waits:?}");
    assert!((1620..=1980).contains(waits.last().unwrap()), "{waits:?}");
    assert!(waits.len() < 60, "{} announces in six hours: {waits:?}", waits.len());
}

#[test]
fn an_old_swarm_is_young_again_for_a_crowd_that_comes_late() {
    let mut world = World::new();
    world.leecher("192.0.2.1:1");
    for _ in 0..200 {
        let interval = world.leecher("192.0.2.1:1").interval;
        world.pass(interval);
    }
    assert!(world.leecher("192.0.2.1:1").interval > Duration::from_mins(20));
    for i in 0..20 {
        assert!(world.leecher(&stranger(i)).interval < Duration::from_secs(4));
    }
    assert!(world.leecher("192.0.2.1:1").interval < Duration::from_secs(4));
}

#[test]
fn a_crowd_too_big_for_the_tracker_waits_longer() {
    let mut world = World::with(SwarmTableConfig { announces_per_second: 10, ..SwarmTableConfig::default() });
    let mut longest = Duration::ZERO;
    for i in 0..1000 {
        longest = longest.max(world.leecher(&stranger(i)).interval);
    }
    assert!((Duration::from_secs(89)..=Duration::from_secs(111)).contains(&longest), "{longest:?}");
}

#[test]
fn the_newest_are_preferred_but_mildly() {
    let mut world = World::new();
    for i in 0..1000 {
        world.leecher(&stranger(i));
    }
    let newest: BTreeSet<SocketAddr> = (950..1000).map(|i| addr(&stranger(i))).collect();
    let rounds = 200;
    let mut drawn: BTreeMap<SocketAddr, usize> = BTreeMap::new();
    for _ in 0..rounds {
        for peer in world.leecher(&stranger(0)).peers {
            *drawn.entry(peer).or_default() += 1;
        }
    }
    let of_newest: usize = newest.iter().map(|peer| drawn.get(peer).copied().unwrap_or(0)).sum();
    // 12 or 13 of 50, where chance alone would give 2.5.
    assert!((11 * rounds..=14 * rounds).contains(&of_newest), "{of_newest} of {}", rounds * 50);
    // And everybody has his turn: each of the others is drawn 8 times on average.
    assert!(drawn.len() > 990, "{}", drawn.len());
}

/// How a crowd dials: what it hears from the tracker, within its slots.
struct Dialler {
    heard: BTreeSet<usize>,
    linked: BTreeSet<usize>,
    dialled: usize,
}

/// 200 peers come within a second and dial as engines do: half of their slots for those they hear of, the other half
/// for those who hear of them. Returns who is linked to whom after `time`.
fn flash_crowd(time: Duration, seed: u64) -> Vec<BTreeSet<usize>> {
    const CROWD: usize = 200;
    const SLOTS: usize = 40;
    let mut world = World::new();
    world.rng = Rng::from_seed_u64(seed);
    let number: BTreeMap<SocketAddr, usize> = (0..CROWD).map(|i| (addr(&stranger(i)), i)).collect();
    let mut peers: Vec<Dialler> =
        (0..CROWD).map(|_| Dialler { heard: BTreeSet::new(), linked: BTreeSet::new(), dialled: 0 }).collect();
    let mut calendar: BTreeSet<(Instant, usize)> =
        (0..CROWD).map(|i| (Instant::ZERO + Duration::from_millis(5 * i as u64), i)).collect();
    while let Some((at, i)) = calendar.pop_first().filter(|(at, _)| *at <= Instant::ZERO + time) {
        world.now = at;
        let answer = world.leecher(&stranger(i));
        calendar.insert((at + answer.interval, i));
        peers[i].heard.extend(answer.peers.iter().map(|peer| number[peer]));
        let mut candidates: Vec<usize> = peers[i].heard.difference(&peers[i].linked).copied().collect();
        world.rng.shuffle(&mut candidates);
        for other in candidates {
            if peers[i].dialled < SLOTS / 2 && peers[i].linked.len() < SLOTS && peers[other].linked.len() < SLOTS {
                peers[i].dialled += 1;
                peers[i].linked.insert(other);
                peers[other].linked.insert(i);
            }
        }
    }
    peers.into_iter().map(|peer| peer.linked).collect()
}

/// The most steps from one peer to another; `None` if they are not all connected.
fn diameter(links: &[BTreeSet<usize>]) -> Option<usize> {
    let farthest = |from: usize| {
        let mut reached = BTreeSet::from([from]);
        let mut edge = reached.clone();
        let mut steps = 0;
        while reached.len() < links.len() {
            edge = edge.iter().flat_map(|i| &links[*i]).copied().filter(|i| !reached.contains(i)).collect();
            if edge.is_empty() {
                return None;
            }
            reached.extend(&edge);
            steps += 1;
        }
        Some(steps)
    };
    (0..links.len()).map(farthest).try_fold(0, |most, steps| Some(most.max(steps?)))
}

#[test]
fn a_flash_crowd_is_well_mixed_within_seconds() {
    for seed in 0..5 {
        let links = flash_crowd(Duration::from_secs(8), seed);
        let degrees: Vec<usize> = links.iter().map(BTreeSet::len).collect();
        let (least, sum) = (degrees.iter().min().unwrap(), degrees.iter().sum::<usize>());
        assert!(*least >= 15, "seed {seed}: {degrees:?}");
        assert!(sum / links.len() >= 30, "seed {seed}: {degrees:?}");
        assert!(diameter(&links).is_some_and(|steps| steps <= 3), "seed {seed}: {:?}", diameter(&links));
        // The first fifty have all links among themselves if they make a clique; by chance it would be a quarter.
        let early = |linked: &BTreeSet<usize>| 100 * linked.iter().filter(|other| **other < 50).count() / linked.len();
        let shares: Vec<usize> = links[..50].iter().map(early).collect();
        assert!(shares.iter().sum::<usize>() / 50 <= 55, "seed {seed}: {shares:?}");
        assert!(shares.iter().all(|share| *share <= 85), "seed {seed}: {shares:?}");
    }
}

#[test]
fn a_small_crowd_knows_all_its_members_at_once() {
    for crowd in 2..=FIRST_NUMWANT {
        let mut world = World::new();
        let heard: Vec<usize> = (0..crowd).map(|i| world.leecher(&stranger(i)).peers.len()).collect();
        assert_eq!(heard, (0..crowd).collect::<Vec<_>>());
    }
}

#[test]
fn a_newcomer_to_a_settled_swarm_gets_all_he_asks_for() {
    let mut world = World::new();
    for i in 0..100 {
        world.leecher(&stranger(i));
    }
    assert_eq!(world.leecher(&stranger(100)).peers.len(), FIRST_NUMWANT);
    world.pass(FILLING);
    assert_eq!(world.leecher(&stranger(101)).peers.len(), DEFAULT_NUMWANT);
}

proptest! {
    /// Whatever is announced, the counts are those of a plain list of who is there.
    #[test]
    fn the_table_agrees_with_a_plain_list(
        calls in proptest::collection::vec((0..12_usize, 0..4_u8, 0..900_u64), 0..200),
    ) {
        let mut world = World::new();
        let mut list: BTreeMap<usize, (bool, Instant)> = BTreeMap::new();
        for (peer, action, seconds) in calls {
            world.pass(Duration::from_secs(seconds));
            list.retain(|_, (_, expires)| *expires > world.now);
            let name = format!("{}:1", ["192.0.2.7", "10.0.0.1", "[2001:db8::1]", "127.0.0.1"][peer % 4]).replace(":1", &format!(":{}", peer + 1));
            let (left, event) = [(1, None), (0, None), (0, Some(AnnounceEvent::Completed)), (1, Some(AnnounceEvent::Stopped))][usize::from(action)];
            let answer = world.announce_with(&name, left, |request| request.event = event);
            prop_assert!(!answer.peers.contains(&addr(&name)));
            if event == Some(AnnounceEvent::Stopped) {
                list.remove(&peer);
            } else {
                let expires = world.now + answer.interval * 2 + SwarmTableConfig::default().grace;
                let promised = list.get(&peer).map_or(expires, |(_, promised)| *promised);
                list.insert(peer, (left == 0, expires.max(promised)));
            }
            let seeds = u32::try_from(list.values().filter(|(seed, _)| *seed).count()).unwrap();
            let (complete, incomplete, _) = world.counts();
            prop_assert_eq!((complete, incomplete), (seeds, u32::try_from(list.len()).unwrap() - seeds));
            prop_assert_eq!(world.table.peers(), list.len());
        }
        world.pass(Duration::from_hours(2));
        prop_assert_eq!((world.table.peers(), world.table.deadline()), (0, None));
    }
}
