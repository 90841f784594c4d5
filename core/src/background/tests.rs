//! The pace beside others on a modelled uplink.

use std::collections::VecDeque;
use std::time::Duration;

use super::*;
use crate::layout::BLOCK_LENGTH;
use crate::peer::ConnId;
use crate::rate::Rate;
use crate::rng::Rng;
use crate::time::Instant;
use crate::utp::StreamId;

/// A packet on the line, in bytes.
const PACKET: f64 = 1514.0;
/// The model's grain.
const GRAIN: Duration = Duration::from_micros(200);
/// Bytes a second of a line of 10 Mbit/s.
const TEN: f64 = 1_250_000.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Us(usize),
    Other,
}

/// How our own delays are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measured {
    /// Each packet's, one way.
    Ways,
    /// As the kernel smooths round trips.
    Trips,
}

/// Somebody else's stream.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Other {
    Nobody,
    /// Fills the line as TCP with cubic does (RFC 9438), between these seconds.
    Cubic(u32, u32),
    /// Sends so many bytes a second, and no more.
    Steady(f64),
}

/// A window that grows and shrinks as RFC 9438 says; all in packets and seconds.
#[derive(Debug)]
struct Cubic {
    window: f64,
    most: f64,
    since: f64,
    is_starting: bool,
    /// When it hears of a loss.
    hears_at: Option<f64>,
}

impl Cubic {
    fn acknowledged(&mut self, now: f64) {
        if self.is_starting {
            self.window += 1.0;
            return;
        }
        let turn = (self.most * 0.3 / 0.4).cbrt();
        let aim = 0.4 * (now - self.since - turn).powi(3) + self.most;
        self.window += ((aim - self.window) / self.window).clamp(0.01, 0.5);
    }

    fn lost(&mut self, now: f64) {
        (self.most, self.since, self.is_starting) = (self.window, now, false);
        self.window = (self.window * 0.7).max(2.0);
    }
}

/// What a run has shown, from some second on.
#[derive(Clone, Copy, Debug, Default)]
struct Shown {
    /// Of the line, what we used and what the other did.
    ours: f64,
    others: f64,
    /// How long packets waited on average and at most, in seconds.
    waits: f64,
    longest: f64,
    packets: f64,
}

/// One uplink and who sends on it.
#[derive(Debug)]
struct Uplink {
    /// Bytes a second, from these seconds on.
    rates: Vec<(f64, f64)>,
    /// The most that waits, in seconds.
    buffer: f64,
    /// A round trip without waiting, in seconds.
    trip: f64,
    measured: Measured,
    peers: usize,
    other: Other,
    /// When we begin, in seconds.
    begin: f64,
    has_us: bool,
    /// So much faster our peers' clocks run, in parts of a million.
    drift: f64,
    /// Of so many packets in a hundred thousand the far end makes losses.
    far_losses: usize,
    /// Packets are late by so many microseconds at most.
    noise_us: usize,
}

impl Default for Uplink {
    fn default() -> Self {
        Self {
            rates: vec![(0.0, TEN)],
            buffer: 0.1,
            trip: 0.03,
            measured: Measured::Trips,
            peers: 4,
            other: Other::Nobody,
            begin: 0.0,
            has_us: true,
            drift: 0.0,
            far_losses: 0,
            noise_us: 1000,
        }
    }
}

impl Uplink {
    /// Runs for so many seconds, and tells of what came after `from`.
    fn run(&self, seconds: u32, from: f64) -> Shown {
        let mut rng = Rng::from_seed_u64(7);
        let mut pace = Pace::new(Instant::ZERO);
        let mut queue: VecDeque<(Owner, f64)> = VecDeque::new();
        // What comes back, and when; each with how long the packet waited.
        let mut answers: VecDeque<(f64, Owner, f64)> = VecDeque::new();
        let mut smooth = vec![0.0_f64; self.peers];
        let mut trips = vec![(Trip::default(), None::<Trip>); self.peers];
        let (mut free_at, mut write_at, mut flight, mut due, mut peer) = (0.0_f64, 0.0_f64, 0.0, 0.0, 0);
        let mut unsent: VecDeque<usize> = VecDeque::new();
        let mut losses: VecDeque<f64> = VecDeque::new();
        let mut cubic = Cubic { window: 10.0, most: 0.0, since: 0.0, is_starting: true, hears_at: None };
        let mut shown = Shown::default();
        let mut instant = Instant::ZERO;
        while instant < Instant::ZERO + Duration::from_secs(u64::from(seconds)) {
            instant += GRAIN;
            let now = (instant - Instant::ZERO).as_secs_f64();
            let rate = self.rates.iter().rev().find(|(at, _)| *at <= now).expect("there is a first").1;
            let room = self.buffer * rate;
            let mut waiting = f64::from(u32::try_from(queue.len()).unwrap()) * PACKET;

            if self.has_us && pace.is_idle() && now >= self.begin {
                pace.begin(instant, Rate(0));
            }
            while self.has_us && now >= self.begin && pace.ready_at(instant) == Some(instant) {
                pace.take(instant, u64::from(BLOCK_LENGTH));
                // A turn is some blocks long.
                peer = if rng.below(16) == 0 { (peer + 1) % self.peers } else { peer };
                unsent.extend([peer; 12]);
            }
            // Written as the rim does: a packet or two at a time.
            let paced = f64::from(u32::try_from(pace.rate().0).unwrap()) * 1.25;
            write_at = write_at.max(now - GRAIN.as_secs_f64());
            while write_at <= now
                && let Some(peer) = unsent.pop_front()
            {
                write_at += 1448.0 / paced;
                if waiting < room {
                    queue.push_back((Owner::Us(peer), now));
                    waiting += PACKET;
                } else {
                    losses.push_back(now + self.buffer + self.trip);
                }
                if rng.below(100_000) < self.far_losses {
                    losses.push_back(now + waiting / rate + self.trip);
                }
            }
            while losses.front().is_some_and(|at| *at <= now) {
                losses.pop_front();
                pace.lost(instant);
            }
            if pace.deadline().is_some_and(|at| at <= instant) {
                for (peer, (trip, before)) in (0..).zip(&mut trips) {
                    let seen = before.replace(*trip);
                    if let Some(trip_us) =
                        seen.map_or(Some(trip.trip_us), |seen| trip.since(&seen)).filter(|_| trip.acknowledged > 0)
                    {
                        pace.told(instant, Source::Trip(ConnId(peer)), trip_us, trip.trip_us);
                    }
                }
                pace.step(instant);
            }
            let window = match self.other {
                Other::Cubic(begin, end) if (f64::from(begin)..f64::from(end)).contains(&now) => cubic.window,
                Other::Steady(rate) => {
                    due += rate * GRAIN.as_secs_f64() / PACKET;
                    flight + due.floor()
                }
                _ => 0.0,
            };
            while flight + 1.0 <= window {
                flight += 1.0;
                due = (due - 1.0).max(0.0);
                if waiting < room {
                    queue.push_back((Owner::Other, now));
                    waiting += PACKET;
                } else {
                    flight -= 1.0;
                    cubic.hears_at.get_or_insert(now + self.trip + self.buffer);
                    break;
                }
            }
            if cubic.hears_at.is_some_and(|at| at <= now) {
                cubic.hears_at = None;
                cubic.lost(now);
            }

            free_at = free_at.max(now - GRAIN.as_secs_f64());
            while free_at <= now
                && let Some((owner, since)) = queue.pop_front()
            {
                free_at += PACKET / rate;
                let waited = (free_at - since).max(0.0);
                answers.push_back((free_at + self.trip, owner, waited));
                if now >= from {
                    let part = PACKET / rate;
                    match owner {
                        Owner::Us(_) => shown.ours += part,
                        Owner::Other => shown.others += part,
                    }
                    shown.waits += waited;
                    shown.longest = shown.longest.max(waited);
                    shown.packets += 1.0;
                }
            }
            while answers.front().is_some_and(|(at, ..)| *at <= now)
                && let Some((_, owner, waited)) = answers.pop_front()
            {
                match owner {
                    Owner::Other => {
                        flight -= 1.0;
                        cubic.acknowledged(now);
                    }
                    Owner::Us(peer) => {
                        let noise = f64::from(u32::try_from(rng.below(self.noise_us)).unwrap()) / 1e6;
                        let took = 1.0 + self.trip + waited + noise + now * self.drift / 1e6;
                        let id = u64::try_from(peer).unwrap();
                        let (source, delay) = match self.measured {
                            Measured::Ways => (Source::Way(StreamId(id)), took),
                            Measured::Trips => {
                                let smooth = &mut smooth[peer];
                                *smooth = if *smooth == 0.0 { took } else { *smooth * 7.0 / 8.0 + took / 8.0 };
                                let trip = &mut trips[peer].0;
                                trip.trip_us = u32::try_from(Duration::from_secs_f64(*smooth).as_micros()).unwrap();
                                trip.acknowledged += 1448;
                                continue;
                            }
                        };
                        let delay = Duration::from_secs_f64(delay).as_micros();
                        let delay = u32::try_from(delay % (1 << 32)).unwrap();
                        pace.told(instant, source, delay, delay);
                    }
                }
            }
        }
        let span = f64::from(seconds) - from;
        (shown.ours, shown.others) = (shown.ours / span, shown.others / span);
        shown.waits /= shown.packets.max(1.0);
        shown
    }
}

const MEASURES: [Measured; 2] = [Measured::Ways, Measured::Trips];

/// Of what the stream has alone, what it keeps beside us, who begin at `begin`; and what we have of the line.
fn kept(uplink: &Uplink, begin: f64) -> (f64, f64) {
    let other = Other::Cubic(if begin > 0.0 { 0 } else { 10 }, 1000);
    let of = |has_us| Uplink { other, has_us, begin, rates: uplink.rates.clone(), ..*uplink }.run(50, 20.0);
    let (alone, beside) = (of(false), of(true));
    (beside.others / alone.others, beside.ours)
}

#[track_caller]
fn each_uplink(check: impl Fn(&Uplink)) {
    for measured in MEASURES {
        for trip in [0.002, 0.03, 0.1] {
            for buffer in [0.025, 0.05, 0.1, 0.5] {
                check(&Uplink { buffer, trip, measured, ..Uplink::default() });
            }
        }
    }
}

#[test]
fn an_idle_line_is_filled_and_hardly_makes_anybody_wait() {
    each_uplink(|uplink| {
        let shown = uplink.run(30, 5.0);
        assert!(shown.ours > 0.9, "{uplink:?} {shown:?}");
        assert!(shown.waits < 0.03 && shown.longest < 0.06, "{uplink:?} {shown:?}");
    });
}

#[test]
fn who_comes_to_a_line_that_we_fill_has_it() {
    each_uplink(|uplink| {
        let (kept, ours) = kept(uplink, 0.0);
        // Where the queue is as short as our target, it tells little.
        assert!(kept > if uplink.buffer < 0.05 { 0.85 } else { 0.95 }, "{uplink:?} {kept:.3} {ours:.3}");
    });
}

/// The way itself was never seen: the queue was never empty.
#[test]
fn who_has_a_line_when_we_come_keeps_it() {
    each_uplink(|uplink| {
        let (kept, ours) = kept(uplink, 10.0);
        assert!(kept > 0.95, "{uplink:?} {kept:.3} {ours:.3}");
    });
}

#[test]
fn who_takes_a_part_of_the_line_loses_nothing_and_we_have_the_rest() {
    each_uplink(|uplink| {
        let other = Other::Steady(TEN / 3.0);
        let shown = Uplink { other, rates: uplink.rates.clone(), ..*uplink }.run(30, 5.0);
        assert!(shown.others > 0.33 && shown.ours > 0.6, "{uplink:?} {shown:?}");
        assert!(shown.longest < 0.05, "{uplink:?} {shown:?}");
    });
}

#[test]
fn when_the_others_are_gone_the_line_is_ours_within_seconds() {
    for (measured, buffer) in MEASURES.into_iter().flat_map(|measured| [(measured, 0.1), (measured, 0.5)]) {
        let shown = Uplink { measured, buffer, other: Other::Cubic(10, 40), ..Uplink::default() }.run(50, 46.0);
        assert!(shown.ours > 0.95, "{measured:?} {buffer} {shown:?}");
    }
}

#[test]
fn a_line_that_gets_slower_or_faster_is_followed() {
    let rates = [(0.0, TEN), (20.0, TEN * 0.4), (40.0, TEN * 2.0)];
    for (measured, (until, from)) in
        MEASURES.into_iter().flat_map(|measured| [(measured, (40, 22.0)), (measured, (60, 45.0))])
    {
        let shown = Uplink { measured, rates: rates.to_vec(), ..Uplink::default() }.run(until, from);
        assert!(shown.ours > 0.9 && shown.waits < 0.03, "{measured:?} {until} {shown:?}");
    }
}

#[test]
fn lines_of_every_speed_are_filled_and_given_up() {
    for (measured, (line, least)) in MEASURES.into_iter().flat_map(|measured| {
        [(measured, (0.1, 0.85)), (measured, (0.2, 0.9)), (measured, (4.0, 0.9)), (measured, (20.0, 0.9))]
    }) {
        let uplink = Uplink { measured, rates: vec![(0.0, TEN * line)], ..Uplink::default() };
        let alone = uplink.run(40, 10.0);
        assert!(alone.ours > least && alone.waits < 0.04, "{uplink:?} {alone:?}");
        let (kept, ours) = kept(&uplink, 0.0);
        // The least that we send is an eighth of the slowest of these lines.
        assert!(kept > if line < 1.0 { 0.85 } else { 0.95 }, "{uplink:?} {kept:.3} {ours:.3}");
    }
}

/// Every turn is another's, and nobody remembers the line without us.
#[test]
fn a_queue_of_our_own_is_not_taken_for_the_way_by_who_comes_later() {
    for (measured, peers) in MEASURES.into_iter().flat_map(|measured| [(measured, 1), (measured, 20)]) {
        let shown = Uplink { measured, peers, buffer: 0.5, ..Uplink::default() }.run(60, 10.0);
        assert!(shown.ours > 0.95 && shown.waits < 0.05, "{measured:?} {peers} {shown:?}");
    }
}

#[test]
fn clocks_that_drift_and_hours_that_pass_change_little() {
    for drift in [-50.0, 0.0, 50.0] {
        let shown = Uplink { measured: Measured::Ways, drift, ..Uplink::default() }.run(400, 200.0);
        assert!(shown.ours > 0.95 && shown.waits < 0.03, "{drift} {shown:?}");
    }
    let other = Other::Cubic(10, 1000);
    for (measured, buffer) in MEASURES.into_iter().flat_map(|measured| [(measured, 0.1), (measured, 0.5)]) {
        let shown = Uplink { buffer, measured, other, ..Uplink::default() }.run(500, 300.0);
        assert!(shown.ours < 0.05, "{measured:?} {buffer} {shown:?}");
    }
}

/// A wireless hop at the far end, say.
#[test]
fn packets_that_are_late_by_chance_cost_little() {
    for (measured, noise_us) in [(Measured::Ways, 5_000), (Measured::Ways, 20_000), (Measured::Trips, 10_000)] {
        let shown = Uplink { measured, noise_us, ..Uplink::default() }.run(40, 10.0);
        assert!(shown.ours > 0.9, "{measured:?} {noise_us} {shown:?}");
    }
}

#[test]
fn losses_at_the_far_end_cost_little() {
    for measured in MEASURES {
        let shown = Uplink { measured, far_losses: 1000, ..Uplink::default() }.run(30, 5.0);
        assert!(shown.ours > 0.85, "{measured:?} {shown:?}");
    }
}

fn at(ms: u64) -> Instant {
    Instant::ZERO + Duration::from_millis(ms)
}

fn told(waits: &mut Waits, ms: u64, number: u64, delay_us: u32) {
    waits.told(at(ms), Source::Way(StreamId(number)), delay_us, delay_us, 15_000);
}

#[test]
fn what_all_wait_is_the_uplinks_queue() {
    let mut waits = Waits::default();
    assert_eq!(waits.look(at(0)), None);
    // The second one's clock is behind, so that its differences wrap.
    told(&mut waits, 0, 1, 5_000);
    told(&mut waits, 0, 2, u32::MAX - 1_000);
    assert_eq!(waits.look(at(10)), Some(Duration::ZERO));
    told(&mut waits, 20, 1, 85_000);
    told(&mut waits, 20, 2, 29_000 - 1);
    assert_eq!(waits.look(at(30)), Some(Duration::from_millis(30)));
    assert_eq!(waits.look(at(40)), None, "nothing is new");
    told(&mut waits, 50, 1, 85_000);
    assert_eq!(waits.look(at(500)), None, "and this is old");
}

#[test]
fn a_way_is_forgotten_after_three_minutes() {
    let mut waits = Waits::default();
    told(&mut waits, 0, 1, 10_000);
    for second in 1..250 {
        told(&mut waits, second * 1000, 1, 60_000);
        let wait = waits.look(at(second * 1000)).unwrap();
        assert_eq!(wait.is_zero(), second >= 180, "{second}");
    }
}

#[test]
fn a_newcomer_waits_as_long_as_the_others_but_not_for_long() {
    for (queue, counted) in [(10_000, 10), (80_000, 15)] {
        let mut waits = Waits::default();
        told(&mut waits, 0, 1, 5_000);
        waits.look(at(0));
        told(&mut waits, 100, 1, 5_000 + queue);
        waits.look(at(100));
        told(&mut waits, 110, 2, 1_000_000);
        told(&mut waits, 260, 2, 1_000_000);
        assert_eq!(waits.look(at(260)), Some(Duration::from_millis(counted)));
    }
}

#[test]
fn sources_are_bounded() {
    let mut waits = Waits::default();
    for number in 0..10_000 {
        told(&mut waits, 0, number, 1);
    }
    told(&mut waits, 1, 0, 1000);
    assert_eq!(waits.look(at(1)), Some(Duration::ZERO));
}

#[test]
fn round_trips_are_told_though_the_smoothed_one_is_slow() {
    let before = Trip { trip_us: 400_000, acknowledged: 0, repeated: 0 };
    let mut smooth = 400_000.0;
    for packets in 1..200 {
        smooth = smooth * 7.0 / 8.0 + 30_000.0 / 8.0;
        let trip_us = u32::try_from(Duration::from_secs_f64(smooth / 1e6).as_micros()).unwrap();
        let now = Trip { trip_us, acknowledged: packets * 2 * 1448, repeated: 0 };
        let told = now.since(&before).unwrap();
        assert!((20_000..45_000).contains(&told), "{packets} {told}");
    }
    assert_eq!(before.since(&before), None);
}

#[test]
fn nobody_sends_less_than_the_least_nor_learns_of_more_while_he_has_nothing_to_send() {
    let mut pace = Pace::new(at(0));
    pace.begin(at(0), Rate(1_000_000));
    assert_eq!(pace.rate(), Rate(1_000_000));
    for step in 0..2000 {
        pace.take(at(step * 50), 1);
        pace.told(at(step * 50), Source::Trip(ConnId(1)), if step == 0 { 0 } else { 500_000 }, 0);
        pace.step(at(step * 50));
    }
    assert_eq!(pace.rate(), pace::LEAST);
    for step in 2000..4000 {
        pace.take(at(step * 50), 1);
        pace.told(at(step * 50), Source::Trip(ConnId(1)), 0, 0);
        pace.step(at(step * 50));
    }
    assert_eq!(pace.rate(), pace::LEAST);
    assert!(pace.deadline().is_some());
    pace.step(at(4000 * 50 + 5000));
    assert!(pace.is_idle() && pace.deadline().is_none());
}

#[test]
fn where_nobody_measures_nothing_is_held_back() {
    let mut pace = Pace::new(at(0));
    pace.begin(at(0), Rate(0));
    for step in 0..500 {
        while pace.ready_at(at(step * 50)) == Some(at(step * 50)) {
            pace.take(at(step * 50), 16_384);
        }
        pace.step(at(step * 50));
    }
    assert!(pace.rate() > Rate(1_000_000_000), "{}", pace.rate());
}
