//! Agents outside that can be asked to connect back, who was asked, and what came of it.
//!
//! A nonce that comes back over a connection made since is proof, as we see the connection ourselves. What an agent
//! tells of its failures is hearsay: it is passed on as such, and takes no proof away. Who is in our own network is not
//! asked, and proves nothing. Three of different networks are asked at once, however many listen, and each of them no
//! more often than it would answer.
//!
//! Knows nothing of streams and sockets; time and randomness are arguments.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use podswarm_core::rng::Rng;
use podswarm_core::tracker::{Scope, network_of, public_network_of};
use podswarm_core::witness::{Knocked, Nonce, Offer, REST, Testimony, Tried};

use crate::slug::Slug;

/// How long those who were asked are waited for.
const WAIT: Duration = Duration::from_secs(10);
/// How long a nonce is good for.
pub(crate) const LIFE: Duration = Duration::from_mins(1);
/// How many are asked at once.
const MOST: usize = 3;

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Witnesses {
    /// Those that listen, by their number.
    here: BTreeMap<u64, Witness>,
    next: u64,
    /// When each network was asked last, until it may be asked again.
    asked: BTreeMap<IpAddr, Instant>,
    inquiry: Option<Inquiry>,
    /// When somebody last came by the address that feeds name.
    feed: Option<Instant>,
    /// When somebody last came in at the port for peers.
    peers: Option<Instant>,
}

/// An agent that listens, and offers to connect back.
#[derive(Debug)]
struct Witness {
    network: IpAddr,
    show: Slug,
    /// Whether it would knock at the port for peers.
    knocks: bool,
    /// Until when it does not come, by its own word.
    rests_until: Instant,
    /// What it is to be asked with, until it is.
    question: Option<Nonce>,
}

/// One round of asking.
#[derive(Debug)]
struct Inquiry {
    began: Instant,
    /// Our own networks.
    own: BTreeSet<IpAddr>,
    questions: BTreeMap<Nonce, Question>,
    /// When somebody can be asked again, if all that could be were found to rest.
    again: Option<Instant>,
}

/// What one agent was asked.
#[derive(Debug)]
struct Question {
    show: Slug,
    knocks: bool,
    has_come: bool,
    /// The doors for peers that it was told of.
    doors: Vec<SocketAddr>,
    is_let_in: bool,
    testimony: Option<Vec<Tried>>,
}

impl Question {
    /// Whether nothing more is to be heard of it.
    fn is_done(&self) -> bool {
        let claims_more = |tried: &Tried| tried.outcome == Knocked::LetIn && !self.is_let_in;
        let has_told = || self.testimony.as_ref().is_some_and(|tried| !tried.iter().any(claims_more));
        self.has_come && (!self.knocks || self.doors.is_empty() || has_told())
    }
}

/// How a nonce is shown at the feed's port.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown<'a> {
    /// What.
    pub(crate) nonce: Nonce,
    /// Of which show the path is.
    pub(crate) show: &'a Slug,
    /// Who shows it.
    pub(crate) by: IpAddr,
    /// When his connection was opened; `None` if a proxy knows that, and we do not.
    pub(crate) opened: Option<Instant>,
    /// Whether he came by the address that feeds name.
    pub(crate) is_told: bool,
}

/// Why a nonce is good for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// Its connection was there before.
    #[error("this connection is older than the question: open another one")]
    Old,
    /// Nobody was asked with it, or that is too long ago.
    #[error("nobody is asked for this, or no longer")]
    Unknown,
}

/// What is known of asking.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// How many were asked the last time; `None` if nobody has wanted to know.
    pub(crate) asked: Option<usize>,
    /// How many of them came.
    pub(crate) came: usize,
    /// Whether others are waited for.
    pub(crate) is_open: bool,
    /// How long ago somebody last came by the address that feeds name.
    pub(crate) feed: Option<Duration>,
    /// How long ago somebody last came in at the port for peers.
    pub(crate) peers: Option<Duration>,
    /// Where those who were asked last say that they were not let in; empty if anybody was.
    pub(crate) shut: Vec<Tried>,
    /// How many say so.
    pub(crate) shut_out: usize,
    /// In how long somebody can be asked again, if nobody could be just now.
    pub(crate) again: Option<Duration>,
}

impl Witnesses {
    /// Somebody listens to the events of `show`; gives the number by which it is known, if it can be asked at all.
    pub(super) fn enter(&mut self, now: Instant, ip: IpAddr, show: Slug, offer: Offer) -> Option<u64> {
        let network = public_network_of(ip)?;
        self.next += 1;
        let (knocks, rests_until) = (offer.peers, now + offer.rest);
        self.here.insert(self.next, Witness { network, show, knocks, rests_until, question: None });
        Some(self.next)
    }

    /// It listens no more.
    pub(super) fn leave(&mut self, number: u64) {
        self.here.remove(&number);
    }

    /// What it is to be asked with, which is told once.
    pub(super) fn question(&mut self, number: u64) -> Option<Nonce> {
        self.here.get_mut(&number)?.question.take()
    }

    /// Picks some to be asked, unless others are still waited for. `own` are our own addresses outside.
    pub(super) fn ask(&mut self, now: Instant, own: &[IpAddr], rng: &mut Rng) -> Vec<(u64, Nonce)> {
        if self.inquiry.as_ref().is_some_and(|inquiry| self.is_open(inquiry, now)) {
            return Vec::new();
        }
        let own: BTreeSet<IpAddr> = own.iter().map(|ip| network_of(*ip)).collect();
        self.asked.retain(|_, at| now < *at + REST + WAIT);
        let outside = self.here.iter().filter(|(_, witness)| !own.contains(&witness.network));
        let rests_until = |witness: &Witness| {
            let asked = self.asked.get(&witness.network).map(|at| *at + REST + WAIT);
            asked.into_iter().chain([witness.rests_until]).max().filter(|until| *until > now)
        };
        let (resting, mut rested): (Vec<_>, Vec<_>) = outside.partition(|(_, witness)| rests_until(witness).is_some());
        let again = resting.iter().filter_map(|(_, witness)| rests_until(witness)).min();
        if rested.is_empty() && again.is_some() {
            let nothing = Inquiry { began: now, own, questions: BTreeMap::new(), again };
            self.inquiry.get_or_insert(nothing).again = again;
            return Vec::new();
        }
        rng.shuffle(&mut rested);
        rested.sort_by_key(|(_, witness)| !witness.knocks);
        let mut networks = BTreeSet::new();
        rested.retain(|(_, witness)| networks.len() < MOST && networks.insert(witness.network));
        let picked: Vec<(u64, Nonce)> = rested.into_iter().map(|(number, _)| (*number, Nonce::generate(rng))).collect();
        let mut questions = BTreeMap::new();
        for (number, nonce) in &picked {
            let Some(witness) = self.here.get_mut(number) else { continue };
            witness.question = Some(*nonce);
            self.asked.insert(witness.network, now);
            let (show, knocks, doors, testimony) = (witness.show.clone(), witness.knocks, Vec::new(), None);
            let question = Question { show, knocks, has_come: false, doors, is_let_in: false, testimony };
            questions.insert(*nonce, question);
        }
        self.inquiry = Some(Inquiry { began: now, own, questions, again: None });
        picked
    }

    /// Somebody shows a nonce at the feed's port, and is told of these doors for peers.
    pub(super) fn shown(&mut self, now: Instant, shown: Shown<'_>, doors: &[SocketAddr]) -> Result<(), Refusal> {
        let inquiry = alive(&mut self.inquiry, now)?;
        let question = inquiry.questions.get_mut(&shown.nonce).filter(|question| question.show == *shown.show);
        let question = question.ok_or(Refusal::Unknown)?;
        if shown.opened.is_some_and(|opened| opened < inquiry.began) {
            return Err(Refusal::Old);
        }
        question.has_come = true;
        question.doors = doors.to_vec();
        if shown.is_told && is_outside(shown.by, &inquiry.own) {
            self.feed = Some(now);
        }
        Ok(())
    }

    /// Somebody has shown a nonce at the port for peers.
    pub(super) fn knocked(&mut self, now: Instant, nonce: Nonce, by: IpAddr) {
        let Ok(inquiry) = alive(&mut self.inquiry, now) else { return };
        let Some(question) = inquiry.questions.get_mut(&nonce) else { return };
        question.is_let_in = true;
        if is_outside(by, &inquiry.own) {
            self.peers = Some(now);
        }
    }

    /// Somebody who was asked tells what he found at the doors that he was told of.
    pub(super) fn told(
        &mut self,
        now: Instant,
        nonce: Nonce,
        show: &Slug,
        testimony: &Testimony,
    ) -> Result<(), Refusal> {
        let inquiry = alive(&mut self.inquiry, now)?;
        let question = inquiry.questions.get_mut(&nonce).filter(|question| question.has_come && question.show == *show);
        let question = question.ok_or(Refusal::Unknown)?;
        let of = |door: &SocketAddr| testimony.peers.iter().find(|tried| tried.addr == *door).copied();
        question.testimony = Some(question.doors.iter().filter_map(of).collect());
        Ok(())
    }

    /// Whether somebody who was asked is waited for.
    fn is_open(&self, inquiry: &Inquiry, now: Instant) -> bool {
        let is_proven = |proof: Option<Instant>| proof.is_some_and(|at| at >= inquiry.began);
        let is_all_known = is_proven(self.feed) && is_proven(self.peers);
        now < inquiry.began + WAIT && !is_all_known && !inquiry.questions.values().all(Question::is_done)
    }

    /// What is known.
    pub(super) fn findings(&self, now: Instant) -> Findings {
        let since = |at: Option<Instant>| at.map(|at| now.saturating_duration_since(at));
        let mut findings = Findings { feed: since(self.feed), peers: since(self.peers), ..Findings::default() };
        let Some(inquiry) = &self.inquiry else { return findings };
        findings.asked = Some(inquiry.questions.len());
        findings.came = inquiry.questions.values().filter(|question| question.has_come).count();
        findings.is_open = self.is_open(inquiry, now);
        findings.again = inquiry.again.and_then(|again| again.checked_duration_since(now));
        if self.peers.is_none_or(|at| at < inquiry.began) {
            let is_shut = |tried: &&Tried| !matches!(tried.outcome, Knocked::LetIn | Knocked::NotTried);
            for tried in inquiry.questions.values().filter_map(|question| question.testimony.as_ref()) {
                let shut: Vec<&Tried> = tried.iter().filter(is_shut).collect();
                findings.shut_out += usize::from(!shut.is_empty());
                for tried in shut {
                    if !findings.shut.iter().any(|known| known.addr == tried.addr) {
                        findings.shut.push(*tried);
                    }
                }
            }
        }
        findings
    }
}

/// The round in which a nonce can still be shown.
fn alive(inquiry: &mut Option<Inquiry>, now: Instant) -> Result<&mut Inquiry, Refusal> {
    inquiry.as_mut().filter(|inquiry| now < inquiry.began + LIFE).ok_or(Refusal::Unknown)
}

/// Whether who comes from `ip` comes from outside.
fn is_outside(ip: IpAddr, own: &BTreeSet<IpAddr>) -> bool {
    let network = network_of(ip);
    Scope::of(network) == Scope::Public && !own.contains(&network)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOOR: &str = "198.18.0.1:6881";

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn show() -> Slug {
        "a".parse().unwrap()
    }

    /// A publisher whose own address outside is 198.18.0.1.
    struct World {
        witnesses: Witnesses,
        began: Instant,
        rng: Rng,
    }

    impl World {
        /// With agents of the show at these addresses, which offer everything.
        fn with(agents: &[&str]) -> Self {
            let mut world = Self { witnesses: Witnesses::default(), began: Instant::now(), rng: Rng::from_seed_u64(1) };
            for agent in agents {
                world.enter(agent, true, 0);
            }
            world
        }

        /// Somebody listens who would knock or not, and rests for so long.
        fn enter(&mut self, agent: &str, peers: bool, rest: u64) -> Option<u64> {
            let offer = Offer { peers, rest: Duration::from_secs(rest) };
            self.witnesses.enter(self.began, ip(agent), show(), offer)
        }

        fn at(&self, secs: u64) -> Instant {
            self.began + Duration::from_secs(secs)
        }

        fn ask(&mut self, secs: u64) -> Vec<Nonce> {
            let asked = self.witnesses.ask(self.at(secs), &[ip("198.18.0.1")], &mut self.rng);
            let told = |(number, nonce): (u64, Nonce)| {
                assert_eq!(self.witnesses.question(number), Some(nonce));
                assert_eq!(self.witnesses.question(number), None, "it is told once");
                nonce
            };
            asked.into_iter().map(told).collect()
        }

        /// Shows a nonce over a connection of then, from an address.
        fn show(&mut self, secs: u64, nonce: Nonce, opened: u64, by: &str) -> Result<(), Refusal> {
            let (show, opened) = (show(), Some(self.at(opened)));
            let shown = Shown { nonce, show: &show, by: ip(by), opened, is_told: true };
            self.witnesses.shown(self.at(secs), shown, &[DOOR.parse().unwrap()])
        }

        fn tell(&mut self, secs: u64, nonce: Nonce, addr: &str, outcome: Knocked) -> Result<(), Refusal> {
            let testimony = Testimony { peers: vec![Tried { addr: addr.parse().unwrap(), outcome }] };
            self.witnesses.told(self.at(secs), nonce, &show(), &testimony)
        }

        fn findings(&self, secs: u64) -> Findings {
            self.witnesses.findings(self.at(secs))
        }
    }

    #[test]
    fn who_comes_back_proves_both_ports() {
        let mut world = World::with(&["198.18.0.2"]);
        assert_eq!(world.findings(0), Findings::default());
        let nonces = world.ask(0);
        assert!(world.findings(1).is_open && world.ask(1).is_empty(), "he is waited for");
        assert_eq!(world.show(1, nonces[0], 1, "198.18.0.2"), Ok(()));
        assert!(world.findings(1).is_open);
        // That he was let in he says before we have seen it.
        assert_eq!(world.tell(2, nonces[0], DOOR, Knocked::LetIn), Ok(()));
        assert!(world.findings(2).is_open);
        world.witnesses.knocked(world.at(2), nonces[0], ip("198.18.0.2"));
        let found = world.findings(62);
        assert_eq!((found.asked, found.came, found.is_open), (Some(1), 1, false));
        let secs = |secs| Some(Duration::from_secs(secs));
        assert_eq!((found.feed, found.peers, found.shut), (secs(61), secs(60), vec![]));
    }

    #[test]
    fn of_ten_thousand_three_of_different_networks_are_asked() {
        let addresses: Vec<String> = (0..10_000).map(|n| format!("198.19.{}.{}", n / 250 % 40, n % 250)).collect();
        let mut world = World::with(&addresses.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(world.ask(0).len(), MOST);
        let networks: BTreeSet<_> = world.witnesses.asked.keys().copied().collect();
        assert_eq!(networks.len(), MOST);
        world.ask(20);
        assert!(world.witnesses.asked.len() == 2 * MOST, "others are asked the next time");
        let mut crowd = World::with(&["198.18.0.2"; 64]);
        assert_eq!(crowd.ask(0).len(), 1, "they are one household");
    }

    #[test]
    fn who_would_try_more_is_asked_first() {
        let mut world = World::with(&[]);
        for n in 2..50 {
            world.enter(&format!("198.18.0.{n}"), false, 0);
        }
        let best = world.enter("198.18.1.1", true, 0).unwrap();
        let asked = world.witnesses.ask(world.at(0), &[], &mut world.rng);
        assert!(asked.len() == MOST && asked.iter().any(|(number, _)| *number == best));
        assert_eq!(world.enter("192.168.1.2", false, 0), None, "he is at home");
    }

    #[test]
    fn our_own_network_is_not_asked_and_proves_nothing() {
        let mut world = World::with(&["198.18.0.1"]);
        assert!(world.ask(0).is_empty());
        assert_eq!(world.findings(0).asked, Some(0));
        let mut world = World::with(&["198.18.0.2"]);
        let nonce = world.ask(0)[0];
        for home in ["198.18.0.1", "192.168.1.2", "127.0.0.1"] {
            world.show(1, nonce, 1, home).unwrap();
            world.witnesses.knocked(world.at(1), nonce, ip(home));
            assert_eq!((world.findings(1).feed, world.findings(1).peers), (None, None), "{home}");
        }
    }

    #[test]
    fn a_nonce_is_good_for_who_was_asked_over_a_new_connection_and_not_for_long() {
        let mut world = World::with(&["198.18.0.2"]);
        let nonce = world.ask(10)[0];
        let forged = Nonce::generate(&mut Rng::from_seed_u64(9));
        assert_eq!(world.show(11, forged, 11, "198.18.0.2"), Err(Refusal::Unknown));
        assert_eq!(world.tell(11, nonce, DOOR, Knocked::Refused), Err(Refusal::Unknown), "he has not come");
        assert_eq!(world.show(11, nonce, 9, "198.18.0.2"), Err(Refusal::Old));
        let other = Slug::from_title("other");
        let shown = Shown { nonce, show: &other, by: ip("198.18.0.2"), opened: None, is_told: true };
        assert_eq!(world.witnesses.shown(world.at(11), shown, &[]), Err(Refusal::Unknown), "of another show");
        assert_eq!(world.show(10 + LIFE.as_secs(), nonce, 11, "198.18.0.2"), Err(Refusal::Unknown));
        assert_eq!(world.findings(80).feed, None);
        // By another address than feeds name he comes all right, and proves nothing of theirs.
        let show = show();
        let shown = Shown { nonce, show: &show, by: ip("198.18.0.2"), opened: None, is_told: false };
        assert_eq!(world.witnesses.shown(world.at(12), shown, &[]), Ok(()));
        assert_eq!((world.findings(12).came, world.findings(12).feed), (1, None));
    }

    #[test]
    fn that_somebody_was_shut_out_is_hearsay_and_a_proof_ends_it() {
        let mut world = World::with(&["198.18.0.2", "198.18.0.3"]);
        let nonces = world.ask(0);
        for nonce in &nonces {
            world.show(1, *nonce, 1, "198.18.0.2").unwrap();
        }
        world.tell(2, nonces[0], DOOR, Knocked::Silent).unwrap();
        let shut = vec![Tried { addr: DOOR.parse().unwrap(), outcome: Knocked::Silent }];
        assert_eq!((world.findings(2).shut, world.findings(2).shut_out), (shut, 1));
        // Of doors that nobody was told of nobody is heard.
        world.tell(2, nonces[1], "203.0.113.9:25", Knocked::Silent).unwrap();
        assert_eq!((world.findings(2).shut.len(), world.findings(2).shut_out), (1, 1));
        world.witnesses.knocked(world.at(3), nonces[1], ip("198.18.0.3"));
        assert_eq!((world.findings(3).shut, world.findings(3).shut_out), (vec![], 0));
    }

    #[test]
    fn who_claims_to_have_been_let_in_and_was_not_seen_proves_nothing() {
        let mut world = World::with(&["198.18.0.2"]);
        let nonce = world.ask(0)[0];
        world.show(1, nonce, 1, "198.18.0.2").unwrap();
        world.tell(1, nonce, DOOR, Knocked::LetIn).unwrap();
        let found = world.findings(WAIT.as_secs());
        assert_eq!((found.is_open, found.peers, found.shut), (false, None, vec![]));
    }

    #[test]
    fn a_network_that_was_asked_rests_and_what_was_found_stays() {
        let mut world = World::with(&["198.18.0.2"]);
        let nonce = world.ask(0)[0];
        world.show(1, nonce, 1, "198.18.0.2").unwrap();
        world.tell(1, nonce, DOOR, Knocked::Refused).unwrap();
        assert!(world.ask(30).is_empty(), "he has been asked");
        let found = world.findings(30);
        assert_eq!(
            (found.asked, found.shut_out, found.again),
            (Some(1), 1, (REST + WAIT).checked_sub(Duration::from_secs(30)))
        );
        assert_eq!(world.ask((REST + WAIT).as_secs()).len(), 1);
        assert_eq!(world.findings(200).again, None);
    }

    #[test]
    fn who_says_that_he_rests_is_asked_when_he_has() {
        let mut world = World::with(&[]);
        world.enter("198.18.0.2", true, 90);
        assert!(world.ask(0).is_empty());
        let found = world.findings(20);
        assert_eq!((found.asked, found.again), (Some(0), Some(Duration::from_secs(70))));
        assert_eq!(world.ask(90).len(), 1);
    }

    #[test]
    fn nobody_is_waited_for_who_does_not_come() {
        let mut world = World::with(&["198.18.0.2"]);
        world.ask(0);
        assert!(world.findings(WAIT.as_secs() - 1).is_open && !world.findings(WAIT.as_secs()).is_open);
        let mut gone = World::with(&[]);
        let number = gone.enter("198.18.0.2", false, 0).unwrap();
        gone.witnesses.leave(number);
        assert!(gone.ask(0).is_empty() && !gone.findings(0).is_open);
    }
}
