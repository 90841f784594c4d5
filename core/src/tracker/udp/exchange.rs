//! The client's side: one announce at one tracker, from the first datagram to the answer.
//!
//! BEP 15 has a client wait 15 seconds before it sends a lost datagram again, and twice as long each time after that.
//! In a swarm that is seconds old that is for ever: the crowd would have shared the file by then. So the first wait is
//! half a second, which only a very long way needs, and each is twice the one before; the announcer behind this gives
//! up after half a minute and then waits as long as the BEP has it, and longer. Seven datagrams are the most that a
//! tracker which is not there gets of one announce.
//!
//! If figures are wanted that an announce does not tell, they are asked for next, with the same id; a tracker that is
//! silent then has answered all the same.
//!
//! A connection id from an earlier exchange saves the first half of the way. If the tracker does not want it any more,
//! or is silent, a new one is asked for.
//!
//! Knows nothing of sockets or names: whoever drives it sends what it says, from one address to one address.
//! Law: it ends with exactly one [`ExchangeOutput::Done`], within [`PATIENCE`] of its start.
//! Source: BEP 15.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use super::ConnectionId;
use super::wire::{self, Reply, TransactionId};
use crate::rng::Rng;
use crate::time::Instant;
use crate::tracker::{AnnounceFailure, AnnounceRequest, AnnounceResponse};

/// One announce at one tracker.
#[derive(Debug)]
pub struct Exchange {
    request: AnnounceRequest,
    /// Whether figures are asked for after the announce.
    scrape: bool,
    url_data: String,
    /// The answer to the announce, while figures are asked for.
    answer: Option<AnnounceResponse>,
    /// The tracker's address.
    tracker: IpAddr,
    step: Step,
    /// The number of the request under way.
    transaction: TransactionId,
    /// How long the last datagram is given.
    wait: Duration,
    resend_at: Option<Instant>,
    give_up_at: Option<Instant>,
    rng: Rng,
    outbox: VecDeque<ExchangeOutput>,
}

/// What an [`Exchange`] is told.
#[derive(Clone, Copy, Debug)]
pub enum ExchangeInput<'a> {
    /// A datagram came from the tracker's address.
    Received(&'a [u8]),
    /// Begin. To be given once.
    Start,
    /// The deadline has come.
    Tick,
}

/// What an [`Exchange`] wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExchangeOutput {
    /// The tracker gave this id; it may be used for a [minute](ID_IS_FRESH).
    Connected(ConnectionId),
    /// It is over.
    Done(Result<AnnounceResponse, AnnounceFailure>),
    /// Send this to the tracker.
    Send(Vec<u8>),
}

impl Exchange {
    /// An announce at a tracker at the address `tracker`, still to be started.
    ///
    /// `url_data` is the path and query of its URL, `id` one that it gave within the last minute. With `scrape` figures
    /// are asked for, too.
    pub fn new(
        request: AnnounceRequest,
        scrape: bool,
        url_data: String,
        tracker: IpAddr,
        id: Option<ConnectionId>,
        rng: Rng,
    ) -> Self {
        Self {
            request,
            scrape,
            url_data,
            answer: None,
            tracker,
            step: id.map_or(Step::Connecting, |id| Step::Announcing { id, is_kept: true }),
            transaction: TransactionId(0),
            wait: Duration::ZERO,
            resend_at: None,
            give_up_at: None,
            rng,
            outbox: VecDeque::new(),
        }
    }

    /// Applies one input at `now`. Effects are queued; drain them with [`Exchange::poll`].
    pub fn handle(&mut self, now: Instant, input: ExchangeInput<'_>) {
        match input {
            ExchangeInput::Start => {
                self.give_up_at = Some(now + PATIENCE);
                self.begin(now, self.step);
            }
            ExchangeInput::Received(datagram) => self.received(now, datagram),
            ExchangeInput::Tick => {}
        }
        if self.give_up_at.is_some_and(|at| at <= now) {
            match self.answer.take() {
                Some(answer) => self.end(Ok(answer)),
                None => self.end(Err(AnnounceFailure::new("the tracker does not answer"))),
            }
        } else if self.resend_at.is_some_and(|at| at <= now) {
            match self.step {
                // It may be that the tracker has another idea of us by now.
                Step::Announcing { is_kept: true, .. } => self.begin(now, Step::Connecting),
                Step::Announcing { .. } | Step::Connecting | Step::Scraping { .. } => self.send(now),
            }
        }
    }

    /// Takes the next effect, or `None` when all are drained.
    pub fn poll(&mut self) -> Option<ExchangeOutput> {
        self.outbox.pop_front()
    }

    /// When `handle(now, Tick)` is next needed; `None` before the start and after the end.
    pub fn deadline(&self) -> Option<Instant> {
        self.give_up_at.map(|at| self.resend_at.map_or(at, |resend_at| at.min(resend_at)))
    }

    fn received(&mut self, now: Instant, datagram: &[u8]) {
        if self.give_up_at.is_none() {
            return;
        }
        match (Reply::read(datagram, self.transaction, self.tracker), self.step) {
            (Some(Reply::Connected(id)), Step::Connecting) => {
                self.outbox.push_back(ExchangeOutput::Connected(id));
                self.begin(now, Step::Announcing { id, is_kept: false });
            }
            (Some(Reply::Announced(answer)), Step::Announcing { id, .. }) if self.scrape => {
                self.answer = Some(answer);
                self.give_up_at = self.give_up_at.map(|at| at.min(now + SCRAPE_PATIENCE));
                self.begin(now, Step::Scraping { id });
            }
            (Some(Reply::Announced(answer)), Step::Announcing { .. }) => self.end(Ok(answer)),
            (Some(reply @ (Reply::Scraped(_) | Reply::Refused(_))), Step::Scraping { .. }) => {
                let mut answer = self.answer.take().expect("it came before this step");
                if let Reply::Scraped(swarms) = reply
                    && let [counts] = swarms[..]
                {
                    answer.fill_in(counts);
                }
                self.end(Ok(answer));
            }
            (Some(Reply::Refused(_)), Step::Announcing { is_kept: true, .. }) => self.begin(now, Step::Connecting),
            (Some(Reply::Refused(reason)), _) => {
                let reason = if reason.is_empty() { "the tracker refused without a reason".to_owned() } else { reason };
                self.end(Err(AnnounceFailure::new(reason)));
            }
            _ => {}
        }
    }

    /// Takes a step: its first datagram goes out under a number of its own.
    fn begin(&mut self, now: Instant, step: Step) {
        self.step = step;
        self.transaction = TransactionId(self.rng.next_u32());
        self.wait = FIRST_WAIT;
        self.send(now);
    }

    fn send(&mut self, now: Instant) {
        let mut datagram = Vec::with_capacity(wire::ANNOUNCE_BYTES + self.url_data.len() + 16);
        match self.step {
            Step::Connecting => wire::write_connect(self.transaction, &mut datagram),
            Step::Announcing { id, .. } => {
                wire::write_announce(id, self.transaction, &self.request, &self.url_data, &mut datagram);
            }
            Step::Scraping { id } => {
                wire::write_scrape(id, self.transaction, &[self.request.info_hash], &mut datagram);
            }
        }
        self.outbox.push_back(ExchangeOutput::Send(datagram));
        self.resend_at = Some(now + self.rng.jitter(self.wait, JITTER_PERCENT));
        self.wait *= 2;
    }

    fn end(&mut self, result: Result<AnnounceResponse, AnnounceFailure>) {
        self.give_up_at = None;
        self.resend_at = None;
        self.outbox.push_back(ExchangeOutput::Done(result));
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Announcing {
        id: ConnectionId,
        /// Whether it was given in an earlier exchange.
        is_kept: bool,
    },
    Connecting,
    Scraping {
        id: ConnectionId,
    },
}

/// How long figures are waited for.
const SCRAPE_PATIENCE: Duration = Duration::from_secs(3);

/// How long a client may go on using a connection id, as BEP 15 has it.
pub const ID_IS_FRESH: Duration = Duration::from_mins(1);

/// How long one announce may take: as long as one over HTTP.
pub const PATIENCE: Duration = Duration::from_secs(30);

const FIRST_WAIT: Duration = Duration::from_millis(500);

/// Keeps those whose datagrams were lost together from sending again together.
const JITTER_PERCENT: u32 = 20;

#[cfg(test)]
mod tests {
    use super::super::{Answer, Responder, Swarms};
    use super::*;
    use crate::tracker::SwarmCounts;
    use std::net::SocketAddr;

    struct One;

    impl Swarms for One {
        fn announce(
            &mut self,
            _: SocketAddr,
            request: &AnnounceRequest,
        ) -> Result<(Answer, &[SocketAddr]), AnnounceFailure> {
            if request.port == 6881 {
                return Ok((Answer { interval: Duration::from_secs(9), counts: SwarmCounts::default() }, &[]));
            }
            Err(AnnounceFailure::new(if request.port == 1 { "" } else { "no" }))
        }

        fn scrape(&mut self, _: [u8; 20]) -> SwarmCounts {
            SwarmCounts::default()
        }
    }

    /// An exchange with a tracker whose way loses the datagrams that the test says.
    struct World {
        exchange: Exchange,
        now: Instant,
        sent: Vec<(u64, &'static str)>,
        given: Vec<ConnectionId>,
        done: Option<Result<AnnounceResponse, AnnounceFailure>>,
    }

    fn responder() -> Responder {
        Responder::new(&mut Rng::from_seed_u64(5))
    }

    impl World {
        /// Runs to the end; `lost` says of each datagram, by its number, whether it or its reply is lost.
        fn run(port: u16, id: Option<ConnectionId>, lost: impl Fn(usize) -> bool) -> Self {
            let tracker = "192.0.2.1".parse().unwrap();
            let request = AnnounceRequest::new([1; 20], [2; 20], port);
            let exchange = Exchange::new(request, false, "/announce".to_owned(), tracker, id, Rng::from_seed_u64(1));
            let (now, responder) = (Instant::ZERO + Duration::from_hours(1), responder());
            let mut world = Self { exchange, now, sent: Vec::new(), given: Vec::new(), done: None };
            world.exchange.handle(world.now, ExchangeInput::Start);
            let (start, mut reply) = (world.now, Vec::new());
            loop {
                while let Some(output) = world.exchange.poll() {
                    match output {
                        ExchangeOutput::Connected(id) => world.given.push(id),
                        ExchangeOutput::Done(result) => assert_eq!(world.done.replace(result), None),
                        ExchangeOutput::Send(datagram) => {
                            let what = if datagram.len() == 16 { "connect" } else { "announce" };
                            let number = world.sent.len();
                            world.sent.push(((world.now - start).as_millis().try_into().unwrap(), what));
                            if !lost(number) {
                                let from = "198.51.100.1:5000".parse().unwrap();
                                responder.answer(world.now, from, &datagram, &mut One, &mut reply);
                                world.exchange.handle(world.now, ExchangeInput::Received(&reply));
                            }
                        }
                    }
                }
                let Some(at) = world.exchange.deadline() else { break };
                world.now = at;
                world.exchange.handle(at, ExchangeInput::Tick);
            }
            assert!(world.now - start <= PATIENCE);
            world
        }

        fn steps(&self) -> Vec<&str> {
            self.sent.iter().map(|(_, what)| *what).collect()
        }
    }

    fn good_id() -> ConnectionId {
        World::run(6881, None, |_| false).given[0]
    }

    #[test]
    fn an_announce_takes_two_ways_and_with_a_kept_id_one() {
        let world = World::run(6881, None, |_| false);
        assert_eq!(world.steps(), ["connect", "announce"]);
        assert_eq!(world.done.unwrap().unwrap().interval, Duration::from_secs(9));
        let world = World::run(6881, Some(good_id()), |_| false);
        assert_eq!(world.steps(), ["announce"]);
        assert!(world.done.unwrap().is_ok() && world.given.is_empty());
    }

    #[test]
    fn a_lost_datagram_costs_about_half_a_second() {
        for lost in 0..2 {
            let world = World::run(6881, None, |number| number == lost);
            assert_eq!(world.sent.len(), 3);
            let (last, _) = world.sent[2];
            assert!((400..=600).contains(&last), "{:?}", world.sent);
            assert!(world.done.unwrap().is_ok());
        }
    }

    #[test]
    fn a_tracker_that_is_not_there_is_given_up_within_half_a_minute() {
        let world = World::run(6881, None, |_| true);
        assert!((6..=7).contains(&world.sent.len()), "{:?}", world.sent);
        assert_eq!(world.done.unwrap().unwrap_err().reason, "the tracker does not answer");
    }

    #[test]
    fn a_kept_id_that_is_not_wanted_any_more_is_replaced_at_once() {
        let stale = ConnectionId(good_id().0 ^ 1);
        let world = World::run(6881, Some(stale), |_| false);
        assert_eq!(world.sent, [(0, "announce"), (0, "connect"), (0, "announce")]);
        assert!(world.done.unwrap().is_ok());
        // Others say nothing.
        let world = World::run(6881, Some(stale), |number| number == 0);
        assert_eq!(world.steps(), ["announce", "connect", "announce"]);
        assert!(world.done.unwrap().is_ok());
    }

    #[test]
    fn a_refusal_ends_it_with_the_trackers_words() {
        assert_eq!(World::run(2, None, |_| false).done.unwrap().unwrap_err().reason, "no");
        assert_eq!(
            World::run(1, None, |_| false).done.unwrap().unwrap_err().reason,
            "the tracker refused without a reason"
        );
    }

    #[test]
    fn what_comes_under_another_number_or_out_of_turn_is_passed_over() {
        let request = AnnounceRequest::new([1; 20], [2; 20], 6881);
        let tracker = "192.0.2.1".parse().unwrap();
        let mut exchange = Exchange::new(request, false, String::new(), tracker, None, Rng::from_seed_u64(1));
        let now = Instant::ZERO;
        exchange.handle(now, ExchangeInput::Start);
        let number = exchange.transaction;
        let _ = exchange.poll();
        let (mut forged, mut early) = (Vec::new(), Vec::new());
        wire::write_connect_reply(TransactionId(number.0 ^ 1), ConnectionId(1), &mut forged);
        wire::write_announce_reply(number, Duration::from_secs(1), SwarmCounts::default(), tracker, &[], &mut early);
        for datagram in [&forged[..], &early, b"", b"x", &[0xff; 2000]] {
            exchange.handle(now, ExchangeInput::Received(datagram));
            assert_eq!(exchange.poll(), None);
        }
    }
}
