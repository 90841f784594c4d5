//! Decides when a hub is asked to tell us of a feed's news, and what it is answered when it comes to verify that.
//!
//! A [`WebSub`] is the subscription of one feed. It asks the first hub that the feed names, waits until that has come
//! and has heard that we want it, and asks again well before the lease ends. Whoever refuses, or does not come, is
//! asked later and later, and where the feed names several hubs they take turns. Each hub reaches us at a path of its
//! own, which nobody can guess, and signs with a secret of its own. What is to outlive a restart is a [`Subscription`];
//! what we leave is a [`Farewell`], of which the hub may want to hear once more.
//!
//! Knows nothing of HTTP, nor of where we are reached; [`Question::read`] takes what a hub asks.
//!
//! Laws: nothing but what we have asked for is confirmed. Between two requests to hubs at least half a minute passes,
//! unless the feed names another one, the owner changes something, or we are reached elsewhere.
//!
//! Source: W3C `WebSub`; the waits are ours.

use std::net::SocketAddr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use data_encoding::HEXLOWER;
use podswarm_core::app::{printable, secret_matches};
use podswarm_core::rng::Rng;
use podswarm_core::time::Instant;
use podswarm_feeds::poll::Now;
use url::{Url, form_urlencoded};

use super::found::cut;
use crate::records::Subscription;

/// How long hubs are asked to tell us before they are asked again.
pub const LEASE: Duration = Duration::from_hours(10 * 24);
/// A hub that grants less is asked again after this long all the same.
const SHORTEST: Duration = Duration::from_mins(5);
/// Nobody is believed to grant more.
const LONGEST: Duration = Duration::from_hours(365 * 24);
/// How long a hub may take to come once it was asked.
const PATIENCE: Duration = Duration::from_mins(5);
/// The first wait after a hub has refused; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_mins(1);
/// The longest one.
const MAX_WAIT: Duration = Duration::from_hours(24);
/// Where a feed has an event stream, that is tried for so long before its hub is asked.
pub const GRACE: Duration = Duration::from_mins(5);
/// Subscriptions that were left and of which the hub may still ask.
const MOST_FAREWELLS: usize = 64;
/// Bytes of a reason that are kept.
const MAX_REASON: usize = 200;
/// Bytes of a challenge that are given back.
const MAX_CHALLENGE: usize = 1024;

/// The subscription of one feed.
#[derive(Debug)]
pub struct WebSub {
    /// What is held or wanted.
    held: Option<Subscription>,
    step: Step,
    /// A hub was asked and may come to verify it.
    is_pending: bool,
    /// Tells one request from those before it.
    serial: u64,
    /// Requests in a row that led to nothing.
    failures: u32,
    /// Why we are not told.
    trouble: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The hub was asked, and comes before then.
    Asked(At),
    /// The hub is asked then.
    Due(At),
    /// Nothing is to be done until something changes.
    Rests,
}

/// A moment on both clocks; it has come when either says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct At {
    instant: Instant,
    wall: DateTime<Utc>,
}

/// A request to a hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// To be named in the answer.
    pub serial: u64,
    /// Which hub.
    pub hub: Url,
    /// What it is to tell of.
    pub topic: String,
    /// The path at which it reaches us.
    pub token: String,
    /// What it is to sign with.
    pub secret: String,
}

/// A subscription that is wanted no longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Farewell {
    /// Where it was.
    pub hub: Url,
    /// What it was for.
    pub topic: String,
    /// The path at which the hub reaches us.
    pub token: String,
    /// Where the hub was told that it reaches us.
    pub callback: Url,
}

/// What a hub asks when it comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Whether we want to be told.
    Subscribe {
        /// Of what.
        topic: String,
        /// What to answer.
        challenge: String,
        /// For how long.
        lease: Option<Duration>,
    },
    /// Whether we want to be told no more.
    Unsubscribe {
        /// Of what.
        topic: String,
        /// What to answer.
        challenge: String,
    },
    /// Nothing: it will not tell us.
    Denied {
        /// Of what.
        topic: String,
        /// Why.
        reason: String,
    },
}

impl Question {
    /// Reads the query of a hub's request; `None` if that is no question.
    pub fn read(query: &str) -> Option<Self> {
        let field = |wanted: &str| {
            let mut fields = form_urlencoded::parse(query.as_bytes());
            fields.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
        };
        let topic = field("hub.topic")?;
        let challenge = || field("hub.challenge").filter(|it| !it.is_empty() && it.len() <= MAX_CHALLENGE);
        match field("hub.mode")?.as_str() {
            "subscribe" => {
                let lease = field("hub.lease_seconds").and_then(|seconds| seconds.parse().ok());
                Some(Self::Subscribe { topic, challenge: challenge()?, lease: lease.map(Duration::from_secs) })
            }
            "unsubscribe" => Some(Self::Unsubscribe { topic, challenge: challenge()? }),
            "denied" => Some(Self::Denied { topic, reason: field("hub.reason").unwrap_or_default() }),
            _ => None,
        }
    }
}

impl At {
    fn after(now: Now, wait: Duration) -> Self {
        let wall = TimeDelta::from_std(wait).ok().and_then(|wait| now.wall.checked_add_signed(wait));
        Self { instant: now.instant + wait, wall: wall.unwrap_or(DateTime::<Utc>::MAX_UTC) }
    }

    fn has_come(self, now: Now) -> bool {
        self.instant <= now.instant || self.wall <= now.wall
    }
}

impl WebSub {
    /// A subscription that goes on from what is remembered of it.
    pub fn new(held: Option<Subscription>, now: Now) -> Self {
        let mut websub = Self { held, step: Step::Rests, is_pending: false, serial: 0, failures: 0, trouble: None };
        websub.wake(now, Duration::ZERO);
        websub
    }

    /// What is held or wanted, to be remembered.
    pub fn held(&self) -> Option<&Subscription> {
        self.held.as_ref()
    }

    /// Until when we are told, if we are.
    pub fn until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.held.as_ref()?.until.filter(|until| *until > now)
    }

    /// Why we are not told, as far as there is a reason.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Whether this is the path at which its hub reaches us.
    pub fn is_at(&self, token: &str) -> bool {
        self.held.as_ref().is_some_and(|held| secret_matches(token, &held.token))
    }

    /// The feed names these hubs, which know it as `topic`. One that is new is asked after `wait`.
    pub fn named(
        &mut self,
        now: Now,
        hubs: Vec<Url>,
        topic: String,
        wait: Duration,
        rng: &mut Rng,
    ) -> Option<Farewell> {
        if let Some(held) = self.held.as_mut().filter(|held| held.topic == topic && hubs.contains(&held.hub)) {
            held.hubs = hubs;
            return None;
        }
        let farewell = self.stop();
        if let Some(first) = hubs.first().cloned() {
            self.held = Some(fresh(first, hubs, topic, rng));
            self.wake(now, wait);
        }
        farewell
    }

    /// The subscription is wanted no longer.
    pub fn stop(&mut self) -> Option<Farewell> {
        (self.step, self.is_pending, self.failures, self.trouble) = (Step::Rests, false, 0, None);
        let Subscription { hub, topic, token, callback, .. } = self.held.take()?;
        callback.map(|callback| Farewell { hub, topic, token, callback })
    }

    /// The same for a while: until [`WebSub::wake`].
    pub fn pause(&mut self, rng: &mut Rng) -> Option<Farewell> {
        let again = self.held.as_ref().map(|held| fresh(held.hub.clone(), held.hubs.clone(), held.topic.clone(), rng));
        let farewell = self.stop();
        self.held = again;
        farewell
    }

    /// Somebody else tells of the news: what is there is kept, and nothing is asked until [`WebSub::wake`].
    pub fn spare(&mut self) {
        (self.step, self.trouble) = (Step::Rests, None);
    }

    /// Nothing leads from a hub to us: nothing is asked until [`WebSub::wake`].
    pub fn find_no_way(&mut self) {
        self.step = Step::Rests;
        self.trouble = Some("this machine is not reached from outside, as far as is known".to_owned());
    }

    /// What kept it from asking is over: it asks after `wait`, or when its lease wants it.
    pub fn wake(&mut self, now: Now, wait: Duration) {
        let Some(held) = self.held.as_ref().filter(|_| self.step == Step::Rests) else { return };
        let left = |at: Option<DateTime<Utc>>| at.and_then(|at| (at - now.wall).to_std().ok());
        let renewal = left(held.renew_at).filter(|_| left(held.until).is_some());
        // A wall clock that was set back must not silence it.
        let wait = renewal.map_or(wait, |renewal| renewal.min(LONGEST));
        self.step = Step::Due(At::after(now, wait));
    }

    /// Hubs reach us at another address than the one where this one was told.
    pub fn moved(&mut self, now: Now) {
        self.step = Step::Due(At::after(now, Duration::ZERO));
    }

    /// Whether something is to be done now: [`WebSub::ask`].
    pub fn is_due(&self, now: Now) -> bool {
        matches!(self.step, Step::Due(at) | Step::Asked(at) if at.has_come(now))
    }

    /// When to look whether it is due.
    pub fn deadline(&self) -> Option<Instant> {
        match self.step {
            Step::Due(at) | Step::Asked(at) => Some(at.instant),
            Step::Rests => None,
        }
    }

    /// Asks the hub if its time has come; gives up one that was asked and has not come.
    pub fn ask(&mut self, now: Now, rng: &mut Rng) -> Option<Request> {
        if !self.is_due(now) {
            return None;
        }
        if matches!(self.step, Step::Asked(_)) {
            self.failed(now, "it did not come to ask whether we want that", rng);
            return None;
        }
        let Subscription { hub, topic, token, secret, .. } = self.held.clone()?;
        self.serial += 1;
        (self.step, self.is_pending) = (Step::Asked(At::after(now, PATIENCE)), true);
        Some(Request { serial: self.serial, hub, topic, token, secret })
    }

    /// A hub has taken our request, in which it was told to reach us at this address, or it has not.
    pub fn answered(&mut self, now: Now, serial: u64, outcome: Result<Url, String>, rng: &mut Rng) {
        if serial != self.serial {
            return;
        }
        match (outcome, &mut self.held, self.step) {
            // It may have come before it has answered.
            (Ok(callback), Some(held), _) => held.callback = Some(callback),
            (Err(reason), Some(_), Step::Asked(_)) => self.failed(now, &reason, rng),
            _ => {}
        }
    }

    /// A hub has come to us by our path; gives what to answer, or nothing if it is mistaken.
    pub fn came(&mut self, now: Now, question: &Question, rng: &mut Rng) -> Option<String> {
        let held = self.held.as_mut()?;
        match question {
            Question::Subscribe { topic, challenge, lease } if self.is_pending && *topic == held.topic => {
                let lease = lease.unwrap_or(LEASE).min(LONGEST);
                let renewal = rng.jitter(lease * 9 / 10, 5).max(SHORTEST);
                (held.until, held.renew_at) = (Some(At::after(now, lease).wall), Some(At::after(now, renewal).wall));
                self.step = Step::Due(At::after(now, renewal));
                (self.is_pending, self.failures, self.trouble) = (false, 0, None);
                Some(challenge.clone())
            }
            Question::Denied { topic, reason } if *topic == held.topic => {
                (held.until, held.renew_at) = (None, None);
                let reason = cut(&printable(reason), MAX_REASON).trim().to_owned();
                let reason = if reason.is_empty() { "it refuses".to_owned() } else { format!("it refuses: {reason}") };
                self.failed(now, &reason, rng);
                Some(String::new())
            }
            _ => None,
        }
    }

    /// The hub does not tell us. It is asked again, or another one if the feed names one and this one does not stand.
    fn failed(&mut self, now: Now, reason: &str, rng: &mut Rng) {
        let Some(held) = &mut self.held else { return };
        self.trouble = Some(reason.to_owned());
        let hubs = u32::try_from(held.hubs.len()).unwrap_or(u32::MAX).max(1);
        let doublings = (self.failures / hubs).min(16);
        self.failures = self.failures.saturating_add(1);
        if held.until.is_none_or(|until| until <= now.wall) && hubs > 1 {
            let place = held.hubs.iter().position(|hub| *hub == held.hub).unwrap_or(0);
            let next = held.hubs[(place + 1) % held.hubs.len()].clone();
            *held = fresh(next, std::mem::take(&mut held.hubs), std::mem::take(&mut held.topic), rng);
            self.is_pending = false;
        }
        let wait = rng.jitter(FIRST_WAIT.saturating_mul(1 << doublings).min(MAX_WAIT), 50);
        self.step = Step::Due(At::after(now, wait));
    }
}

/// Where a hub that knows this path reaches us at this address.
pub fn callback_at(addr: SocketAddr, token: &str) -> Url {
    format!("http://{addr}/{token}").parse().expect("an address and a path make a URL")
}

/// A subscription that is wanted, with a path and a secret that nobody knows.
fn fresh(hub: Url, hubs: Vec<Url>, topic: String, rng: &mut Rng) -> Subscription {
    let mut drawn = || {
        let mut bytes = [0; 16];
        rng.fill(&mut bytes);
        HEXLOWER.encode(&bytes)
    };
    let (token, secret) = (drawn(), drawn() + &drawn());
    Subscription { hub, hubs, topic, token, secret, callback: None, until: None, renew_at: None }
}

/// What was left just now, for hubs that come to ask whether that is meant.
#[derive(Debug, Default)]
pub struct Farewells(Vec<(Farewell, At)>);

impl Farewells {
    /// This was left.
    pub fn add(&mut self, now: Now, farewell: Farewell) {
        self.0.retain(|(_, until)| !until.has_come(now));
        self.0.drain(..(self.0.len() + 1).saturating_sub(MOST_FAREWELLS));
        self.0.push((farewell, At::after(now, PATIENCE)));
    }

    /// What to answer a hub that has come by this path, or nothing if that is none of these.
    pub fn came(&self, now: Now, token: &str, question: &Question) -> Option<String> {
        let Question::Unsubscribe { topic, challenge } = question else { return None };
        let is_left = |(farewell, until): &(Farewell, At)| {
            secret_matches(token, &farewell.token) && farewell.topic == *topic && !until.has_come(now)
        };
        self.0.iter().any(is_left).then(|| challenge.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::now;
    use super::*;

    const TOPIC: &str = "http://host.example/feed.xml";
    const DAY: u64 = 86_400;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    fn rng() -> Rng {
        Rng::from_seed_u64(7)
    }

    /// A subscription at these hubs, asked for at once.
    fn wanted(hubs: &[&str], rng: &mut Rng) -> WebSub {
        let mut websub = WebSub::new(None, now(0));
        assert_eq!((websub.deadline(), websub.held()), (None, None));
        let hubs = hubs.iter().map(|hub| url(hub)).collect();
        assert_eq!(websub.named(now(0), hubs, TOPIC.to_owned(), Duration::ZERO, rng), None);
        websub
    }

    fn subscribe(topic: &str, lease: Option<u64>) -> Question {
        let lease = lease.map(Duration::from_secs);
        Question::Subscribe { topic: topic.to_owned(), challenge: "echo".to_owned(), lease }
    }

    /// The seconds at which something is to be done next.
    fn due(websub: &WebSub) -> u64 {
        websub.deadline().expect("something is to be done").as_nanos().div_ceil(1_000_000_000)
    }

    /// Asks when its time has come, and is confirmed for so long.
    fn confirm(websub: &mut WebSub, lease: u64, rng: &mut Rng) -> Request {
        let secs = due(websub);
        let request = websub.ask(now(secs), rng).expect("its time has come");
        assert_eq!(websub.came(now(secs), &subscribe(TOPIC, Some(lease)), rng).as_deref(), Some("echo"));
        websub.answered(now(secs), request.serial, Ok(url("http://198.18.0.1:1/x")), rng);
        request
    }

    #[test]
    fn a_lease_is_renewed_well_before_it_ends() {
        let rng = &mut rng();
        let mut websub = wanted(&["http://hub.example/"], rng);
        let first = confirm(&mut websub, 10 * DAY, rng);
        assert!(first.token.len() == 32 && first.secret.len() == 64 && first.token != first.secret[..32]);
        for _ in 0..20 {
            let (asked, until) = (due(&websub), websub.held().unwrap().until.unwrap());
            let left = (until - now(asked).wall).num_seconds();
            assert!((DAY.cast_signed() / 3..2 * DAY.cast_signed()).contains(&left), "{left} s are left");
            assert_eq!(websub.ask(now(asked - 10), rng), None);
            let again = confirm(&mut websub, 10 * DAY, rng);
            assert_eq!((&again.token, &again.secret), (&first.token, &first.secret));
            assert_eq!(websub.until(now(asked).wall), Some(now(asked + 10 * DAY).wall));
        }
        // A hub that grants next to nothing is not asked all the time.
        let asked = due(&websub);
        confirm(&mut websub, 1, rng);
        assert_eq!(due(&websub) - asked, SHORTEST.as_secs());
        confirm(&mut websub, u64::MAX, rng);
        assert!(websub.until(now(0).wall).unwrap() < now(600 * DAY).wall);
    }

    #[test]
    fn a_hub_that_refuses_or_does_not_come_is_asked_later_and_later() {
        let rng = &mut rng();
        let mut websub = wanted(&["http://hub.example/"], rng);
        let mut waits = Vec::new();
        for round in 0..30 {
            let secs = due(&websub);
            let request = websub.ask(now(secs), rng).unwrap();
            let mut ended = secs;
            if round % 2 == 0 {
                websub.answered(now(secs), request.serial, Err("the hub answers 500".to_owned()), rng);
                assert_eq!(websub.trouble(), Some("the hub answers 500"));
            } else {
                websub.answered(now(secs), request.serial, Ok(url("http://198.18.0.1:1/x")), rng);
                ended = due(&websub);
                assert_eq!((websub.ask(now(ended), rng), ended - secs), (None, PATIENCE.as_secs()));
                assert!(websub.trouble().unwrap().contains("did not come"));
            }
            waits.push(due(&websub) - ended);
            assert_eq!(websub.until(now(secs).wall), None);
        }
        assert!((30..=90).contains(&waits[0]) && waits[6] > waits[1], "{waits:?}");
        assert!(waits[20..].iter().all(|wait| (DAY / 2..=DAY * 3 / 2).contains(wait)), "{waits:?}");
        // It may come late all the same, and then all is well.
        assert_eq!(websub.came(now(due(&websub)), &subscribe(TOPIC, None), rng).as_deref(), Some("echo"));
        assert_eq!((websub.trouble(), websub.failures), (None, 0));
    }

    #[test]
    fn nothing_is_confirmed_that_was_not_asked_for() {
        let rng = &mut rng();
        let mut websub = wanted(&["http://hub.example/"], rng);
        assert_eq!(websub.came(now(0), &subscribe(TOPIC, Some(9)), rng), None);
        let request = websub.ask(now(0), rng).unwrap();
        assert!(websub.is_at(&request.token));
        assert!(!websub.is_at(&request.secret) && !websub.is_at("") && !websub.is_at(&request.token[1..]));
        assert_eq!(websub.came(now(0), &subscribe("http://other.example/", Some(9)), rng), None);
        let unsubscribe = Question::Unsubscribe { topic: TOPIC.to_owned(), challenge: "echo".to_owned() };
        assert_eq!(websub.came(now(0), &unsubscribe, rng), None);
        assert!(websub.came(now(0), &subscribe(TOPIC, Some(DAY)), rng).is_some());
        // Once for each request.
        assert_eq!(websub.came(now(1), &subscribe(TOPIC, Some(DAY)), rng), None);
    }

    #[test]
    fn hubs_that_a_feed_names_take_turns_and_each_has_a_secret_of_its_own() {
        let rng = &mut rng();
        let mut websub = wanted(&["http://a.example/", "http://b.example/"], rng);
        let mut asked = Vec::new();
        for _ in 0..3 {
            let secs = due(&websub);
            let request = websub.ask(now(secs), rng).unwrap();
            let denied = Question::Denied { topic: TOPIC.to_owned(), reason: "no\nroom".to_owned() };
            assert_eq!(websub.came(now(secs), &denied, rng).as_deref(), Some(""));
            assert!(websub.trouble().unwrap().starts_with("it refuses: no"));
            asked.push(request);
        }
        let hosts: Vec<_> = asked.iter().map(|request| request.hub.host_str().unwrap()).collect();
        assert_eq!(hosts, ["a.example", "b.example", "a.example"]);
        assert!(asked[0].token != asked[1].token && asked[0].secret != asked[1].secret);
        assert!(!websub.is_at(&asked[0].token) && !websub.is_at(&asked[1].token) && !websub.is_at(&asked[2].token));
    }

    #[test]
    fn a_restart_keeps_it_and_asks_when_its_time_has_come() {
        let rng = &mut rng();
        let mut websub = wanted(&["http://hub.example/"], rng);
        let request = confirm(&mut websub, 10 * DAY, rng);
        let saved: Subscription =
            serde_json::from_str(&serde_json::to_string(websub.held().unwrap()).unwrap()).unwrap();
        let again = WebSub::new(Some(saved.clone()), now(DAY));
        assert!(again.is_at(&request.token) && again.held() == Some(&saved));
        assert_eq!((due(&again), again.until(now(DAY).wall)), (due(&websub), saved.until));
        // After a long sleep it is asked for anew.
        let mut late = WebSub::new(Some(saved), now(20 * DAY));
        assert_eq!(late.until(now(20 * DAY).wall), None);
        assert_eq!(late.ask(now(20 * DAY), rng).unwrap().token, request.token);
    }

    #[test]
    fn what_is_left_is_confirmed_for_a_while_and_nothing_else() {
        let rng = &mut rng();
        let mut websub = wanted(&["http://hub.example/"], rng);
        assert_eq!(websub.pause(rng), None, "no hub knows of it");
        websub.wake(now(0), Duration::ZERO);
        let request = confirm(&mut websub, DAY, rng);
        let hubs = vec![url("http://new.example/")];
        let farewell = websub.named(now(9), hubs, TOPIC.to_owned(), GRACE, rng).unwrap();
        assert_eq!((&farewell.hub, &farewell.token), (&request.hub, &request.token));
        assert_eq!((websub.until(now(9).wall), due(&websub)), (None, 9 + GRACE.as_secs()));
        let mut farewells = Farewells::default();
        farewells.add(now(9), farewell);
        let of = |topic: &str| Question::Unsubscribe { topic: topic.to_owned(), challenge: "bye".to_owned() };
        assert_eq!(farewells.came(now(10), &request.token, &of(TOPIC)).as_deref(), Some("bye"));
        assert_eq!(farewells.came(now(10), &request.token, &of("http://other.example/")), None);
        assert_eq!(farewells.came(now(10), &request.secret, &of(TOPIC)), None);
        assert_eq!(farewells.came(now(10), &request.token, &subscribe(TOPIC, None)), None);
        assert_eq!(farewells.came(now(DAY), &request.token, &of(TOPIC)), None);
        for _ in 0..100 {
            let farewell = Farewell {
                callback: url("http://a.example/"),
                hub: request.hub.clone(),
                topic: String::new(),
                token: String::new(),
            };
            farewells.add(now(10), farewell);
        }
        assert_eq!(farewells.0.len(), MOST_FAREWELLS);
    }

    #[test]
    fn a_feed_that_names_no_hub_any_more_is_left_and_one_that_names_more_is_not() {
        let rng = &mut rng();
        let mut websub = wanted(&["http://a.example/"], rng);
        confirm(&mut websub, DAY, rng);
        let more = vec![url("http://b.example/"), url("http://a.example/")];
        assert_eq!(websub.named(now(1), more.clone(), TOPIC.to_owned(), GRACE, rng), None);
        assert_eq!(websub.held().unwrap().hubs, more);
        assert!(websub.until(now(1).wall).is_some());
        assert!(websub.named(now(1), Vec::new(), TOPIC.to_owned(), GRACE, rng).is_some());
        assert_eq!((websub.held(), websub.deadline()), (None, None));
        assert_eq!(websub.pause(rng), None);
    }

    #[test]
    fn what_cannot_be_asked_now_waits_without_a_deadline() {
        let rng = &mut rng();
        let mut websub = wanted(&["http://hub.example/"], rng);
        websub.find_no_way();
        assert_eq!((websub.deadline(), websub.ask(now(9), rng)), (None, None));
        assert!(websub.trouble().unwrap().contains("not reached"));
        websub.wake(now(9), GRACE);
        websub.wake(now(9), Duration::ZERO);
        assert_eq!(due(&websub), 9 + GRACE.as_secs());
        confirm(&mut websub, DAY, rng);
        let renewal = due(&websub);
        websub.spare();
        websub.wake(now(renewal - 9), GRACE);
        assert_eq!(due(&websub), renewal, "what is held is not asked for again");
    }

    #[test]
    fn a_question_is_read_as_hubs_write_it() {
        let read = |query: &str| Question::read(query);
        let whole = "hub.mode=subscribe&hub.topic=http%3A%2F%2Fhost.example%2Ffeed.xml&hub.challenge=echo";
        assert_eq!(read(whole), Some(subscribe(TOPIC, None)));
        assert_eq!(read(&format!("x=y&{whole}&hub.lease_seconds=60")), Some(subscribe(TOPIC, Some(60))));
        assert_eq!(read(&format!("{whole}&hub.lease_seconds=soon")), Some(subscribe(TOPIC, None)));
        let topic = TOPIC.to_owned();
        let denied = Question::Denied { topic: topic.clone(), reason: String::new() };
        assert_eq!(read("hub.topic=http://host.example/feed.xml&hub.mode=denied"), Some(denied));
        let unsubscribe = Question::Unsubscribe { topic, challenge: "echo".to_owned() };
        assert_eq!(read(&whole.replace("=sub", "=unsub")), Some(unsubscribe));
        let long = whole.replace("echo", &"x".repeat(MAX_CHALLENGE + 1));
        for wrong in ["", "hub.mode=subscribe", &whole.replace("=echo", "="), &whole.replace("=sub", "=pub"), &long] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
