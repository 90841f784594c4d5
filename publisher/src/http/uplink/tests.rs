//! A line of 10 Mbit/s in a world without a clock.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;

/// The bytes that a line of 10 Mbit/s carries in a second.
const LINE: u64 = 1_250_000;

fn at(millis: u64) -> Instant {
    Instant::ZERO + Duration::from_millis(millis)
}

/// Who waits is told apart by the number that stands behind his address.
type Reader = (IpAddr, usize);

/// Peers on a line of 10 Mbit/s that have what downloads leave, and downloads that want all of it.
struct Rush {
    line: Line,
    served: Served,
    got: BTreeMap<Reader, u64>,
    waiting: Vec<(Reader, oneshot::Receiver<Turn>)>,
    /// What the sockets of readers hold.
    sockets: BTreeMap<Reader, (u64, Turn)>,
    millis: u64,
}

/// The connections of peers, as a line counts.
const OF_PEERS: u64 = 8;
/// A socket that holds less takes more.
const UNSENT: u64 = 8 << 10;

impl Rush {
    fn new(readers: impl IntoIterator<Item = Reader>) -> Self {
        let served = Served::default();
        let line = Line::new(HttpShare::default());
        let (got, waiting, sockets) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        let mut rush = Self { line, served, got, waiting, sockets, millis: 0 };
        for reader in readers {
            rush.ask(reader);
            rush.got.insert(reader, 0);
        }
        rush
    }

    fn ask(&mut self, reader: Reader) {
        let (answer, turn) = oneshot::channel();
        self.line.turns.push(Waiting { asker: reader.0, wants: 64 << 10, answer });
        self.waiting.push((reader, turn));
    }

    /// Lets so many seconds pass, in which peers want so many bytes each; tells what went over HTTP in each.
    ///
    /// The line treats all connections alike, be they of peers or of downloads.
    fn pass(&mut self, seconds: u64, peers_want: u64) -> u64 {
        let before: u64 = self.got.values().sum();
        for _ in 0..seconds {
            for _ in 0..100 {
                self.line.give(at(self.millis));
                for (reader, mut turn) in std::mem::take(&mut self.waiting) {
                    match turn.try_recv() {
                        Ok(turn) => {
                            let held = self.sockets.get(&reader).map_or(0, |(held, _)| *held);
                            self.sockets.insert(reader, (held + turn.bytes, turn));
                        }
                        Err(_) => self.waiting.push((reader, turn)),
                    }
                }
                self.carry(LINE / 100, peers_want / 100);
                self.millis += 10;
            }
            self.line.look(at(self.millis), self.served);
        }
        (self.got.values().sum::<u64>() - before) / seconds
    }

    /// The line carries so many bytes, and peers want so many.
    fn carry(&mut self, mut left: u64, mut peers_want: u64) {
        loop {
            let of_peers = if peers_want > 0 { OF_PEERS } else { 0 };
            let full: Vec<_> = self.sockets.iter_mut().filter(|(_, (held, _))| *held > 0).collect();
            let each = left / (of_peers + full.len() as u64).max(1);
            if each == 0 || of_peers == 0 && full.is_empty() {
                break;
            }
            let to_peers = peers_want.min(each * of_peers);
            (left, peers_want) = (left - to_peers, peers_want - to_peers);
            self.served.sent += to_peers;
            for (reader, (held, _)) in full {
                let gone = each.min(*held);
                (left, *held) = (left - gone, *held - gone);
                *self.got.get_mut(reader).unwrap() += gone;
            }
        }
        let ready = |(held, _): &(u64, Turn)| *held < UNSENT;
        let waiting: BTreeSet<Reader> = self.waiting.iter().map(|(reader, _)| *reader).collect();
        let sockets = self.sockets.iter().filter(|(reader, socket)| ready(socket) && !waiting.contains(reader));
        for (reader, turn) in sockets.map(|(reader, (_, turn))| (*reader, *turn)).collect::<Vec<_>>() {
            self.line.under_way.remove(turn);
            self.ask(reader);
        }
    }
}

/// Two hundred at home somewhere. The line is known to be used before they come.
fn two_hundred(peers_want: u64) -> Rush {
    let mut rush = Rush::new([]);
    rush.pass(2, peers_want);
    for number in 0..200 {
        let reader = (format!("203.0.113.{number}").parse().unwrap(), 0);
        rush.ask(reader);
        rush.got.insert(reader, 0);
    }
    rush
}

/// That `bytes` are `percent` of the line, more or less.
#[track_caller]
fn assert_is_percent(bytes: u64, percent: u64) {
    let got = bytes * 100 / LINE;
    assert!(got.abs_diff(percent) <= 5, "{got} % and not {percent} %");
}

#[test]
fn while_peers_want_the_line_downloads_have_their_part_and_half_of_it_before_a_copy_is_out() {
    let mut rush = two_hundred(LINE);
    assert_is_percent(rush.pass(1, LINE), 25);
    assert_is_percent(rush.pass(30, LINE), 25);
    rush.served.is_copy_out = true;
    rush.pass(2, LINE);
    assert_is_percent(rush.pass(30, LINE), 50);
}

#[test]
fn few_have_a_turn_at_once_and_who_does_not_use_it_holds_up_nobody_for_long() {
    let mut rush = two_hundred(LINE);
    let Rush { line, millis, waiting, .. } = &mut rush;
    let mut given = |millis: u64, line: &mut Line| {
        let again = line.give(at(millis));
        waiting.retain_mut(|(_, turn)| turn.try_recv().is_err());
        (200 - waiting.len(), again)
    };
    // Their sockets are full, so none of them asks again, though there is more to give after every second.
    let (mut turns, mut again) = given(*millis, line);
    for _ in 0..3 {
        *millis += 500;
        (turns, again) = given(*millis, line);
    }
    let most = line.under_way.room.div_ceil(line.turn());
    assert_eq!(turns as u64, most, "{most} have all that is given out");
    let again = again.expect("it is told when the first of them has had time enough");
    assert!(again > at(*millis) && again <= at(*millis) + PATIENCE);
    let (later, _) = given(*millis + 2000, line);
    assert!(later > turns, "{later} after {turns}");
}

#[test]
fn nobody_starves_and_nobody_gets_more_by_asking_twice() {
    let mut rush = two_hundred(LINE);
    let greedy: BTreeSet<Reader> = (0..100).map(|number| ("203.0.113.250".parse().unwrap(), number)).collect();
    for reader in &greedy {
        rush.ask(*reader);
        rush.got.insert(*reader, 0);
    }
    rush.pass(60, LINE);
    let (greedy, honest): (Vec<_>, Vec<_>) = rush.got.iter().partition(|(reader, _)| greedy.contains(reader));
    let (least, most) = (*honest.iter().min().unwrap().1, *honest.iter().max().unwrap().1);
    assert!(least > 0 && most <= least + (64 << 10), "between {least} and {most}");
    let greedy: u64 = greedy.iter().map(|(_, got)| *got).sum();
    assert!(greedy <= most + (64 << 10), "{greedy} and {most}");
}

#[test]
fn what_peers_leave_free_downloads_have() {
    let mut rush = two_hundred(LINE / 10);
    rush.pass(40, LINE / 10);
    assert!(rush.pass(30, LINE / 10) > LINE * 7 / 10);
}

#[test]
fn without_peers_nobody_waits_and_under_a_limit_downloads_keep_to_it() {
    let mut line = Line::new(HttpShare::default());
    line.look(at(0), Served::default());
    assert!(line.is_free());
    let mut rush = Rush::new([("203.0.113.1".parse().unwrap(), 0)]);
    rush.served.limit = Some(Rate(LINE / 5));
    rush.line.look(at(0), rush.served);
    assert!(!rush.line.is_free() && !rush.line.is_full(at(0)));
    assert_is_percent(rush.pass(10, 0), 20);
    assert!(rush.line.is_full(at(rush.millis)), "one wants more than the limit");
    rush.line.turns = Turns::default();
    rush.millis += 1000;
    rush.line.look(at(rush.millis), rush.served);
    assert!(!rush.line.is_full(at(rush.millis)), "nobody wants anything");
    // What they take is told, so that peers have only the rest.
    assert_eq!(rush.line.untold, rush.line.sent.total());
}

#[test]
fn what_torrent_clients_take_counts_as_peers_bytes_and_against_the_limit() {
    let mut line = Line::new(HttpShare::default());
    line.look(at(0), Served { limit: Some(Rate(LINE)), ..Served::default() });
    line.seed(LINE);
    assert_eq!((line.untold, line.sent.total()), (LINE, 0));
    line.look(at(1000), line.served);
    // They are served, so downloads have their part of what went.
    assert_is_percent(line.allowance.unwrap().rate().0, 25);
}

#[test]
fn who_has_gone_away_takes_nobodys_turn() {
    let mut rush = two_hundred(LINE);
    let (_, mut last) = rush.waiting.pop().unwrap();
    rush.waiting.clear();
    let before = rush.line.sent.total();
    rush.line.give(at(rush.millis));
    assert!(last.try_recv().is_ok());
    assert!(rush.line.turns.is_empty());
    assert_eq!(rush.line.sent.total() - before, LEAST_TURN);
}

#[test]
fn a_share_is_between_one_and_ninety_nine_percent() {
    assert_eq!("20".parse(), Ok(HttpShare(20)));
    for odd in ["0", "100", "-1", "half", "50%"] {
        assert!(odd.parse::<HttpShare>().unwrap_err().contains(odd), "{odd}");
    }
}

#[tokio::test]
async fn a_download_of_a_free_line_goes_at_once_and_is_counted_until_it_ends() {
    let uplink = Uplink::new(HttpShare::default());
    let mut download = uplink.download("203.0.113.1".parse().unwrap(), false);
    assert_eq!(download.turn(64 << 10).await, 64 << 10);
    assert_eq!(uplink.status().downloads, 1);
    drop(download);
    assert_eq!(uplink.status().downloads, 0);
}

#[tokio::test(start_paused = true)]
async fn who_waits_long_gets_a_sign_of_life_and_keeps_his_place() {
    let uplink = Uplink::new(HttpShare::default());
    uplink.0.is_free.store(false, Ordering::Relaxed);
    let [mut first, mut second] = [1, 2].map(|n| uplink.download(IpAddr::from([203, 0, 113, n]), false));
    let begun = tokio::time::Instant::now();
    for _ in 0..20 {
        assert_eq!(first.turn(64 << 10).await, SIGN);
    }
    assert_eq!(begun.elapsed(), SILENCE * 20);
    assert!(begun.elapsed() > crate::http::Limits::default().idle, "a port ends what is silent for so long");
    assert_eq!(second.turn(64 << 10).await, SIGN);
    let now = uplink.0.clock.now();
    assert_eq!(uplink.line().sent.total(), 21 * SIGN as u64, "signs count");

    // Both wait once, and the first is the first.
    let first_two = uplink.line().turns.order.clone();
    assert_eq!(first_two, [1, 2].map(|n| IpAddr::from([203, 0, 113, n])));
    uplink.line().under_way.room = LEAST_TURN;
    assert!(uplink.line().give(now).is_some(), "one has what there is");
    assert_eq!(first.turn(100).await, 100, "of what it asked for that is left");
    assert_eq!(second.turn(64 << 10).await, SIGN);
    // Who goes away leaves room, also if he has not heard that it is his turn.
    drop(first);
    assert_eq!(uplink.line().give(uplink.0.clock.now()), None);
    drop(second);
    assert_eq!(uplink.line().under_way.bytes, 0);
    assert_eq!(uplink.status().downloads, 0);
}
