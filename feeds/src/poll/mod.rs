//! Decides when to ask a feed for news, and how.
//!
//! A [`Poller`] is the state machine of one feed: inputs say what happened, outputs say what to do,
//! [`Poller::deadline`] when to look again. It asks as seldom as the owner, the feed's `ttl`, `skipHours` and
//! `skipDays` and the host's `max-age` allow, sends both validators back word for word, and waits longer after each
//! failure. News that a publisher's event stream tells of is fetched at once. A feed that has moved for good is asked
//! where it is. What it has learnt is a [`PollState`], to be saved after every reply, so that a restart neither asks
//! too early nor in full.
//!
//! Knows nothing of HTTP, cron or XML: [`Reply::from_http`] turns status and headers into what counts here, an owner's
//! schedule comes in as one wall time after another, and the caller reads the body.
//!
//! Laws: one request at a time. No failure and no answer stops a feed for good, but 410, which waits for its owner. No
//! answer makes the wait longer than [`MAX_WAIT`] and its jitter, and the hours in which a feed is never asked, fewer
//! than a week has. Nobody but the owner breaks a host's `Retry-After`, its `max-age` or its `ttl`.
//!
//! Source: RFC 9110 §8.8, §10.2.3 and §13; RFC 9111 §5.2; RSS 2.0 `ttl`, `skipHours` and `skipDays`; the three days
//! from `AntennaPod`.

mod reply;
mod skip;
mod state;

use std::collections::VecDeque;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use podswarm_core::rng::Rng;
use podswarm_core::time::Instant;
use url::Url;

pub use reply::{Outcome, Reply, Validators};
pub use skip::SkipHours;
pub use state::{Astray, Counts, PollState};

/// How often a feed is asked if neither its owner nor the feed says otherwise.
pub const DEFAULT_INTERVAL: Duration = Duration::from_mins(30);

/// No answer makes the next request later than this: not `Retry-After`, not `ttl`, not `max-age`, not a failure.
pub const MAX_WAIT: Duration = Duration::from_hours(24);

/// A feed is fetched whole this often, because hosts answer 304 by mistake.
pub const FULL_EVERY: Duration = Duration::from_hours(72);

/// Where a feed said that it had moved to, and was not, is not looked at again for this long.
const ASTRAY_FOR: Duration = Duration::from_hours(24);

/// The first wait after a failure; each further failure doubles it.
const FIRST_RETRY: Duration = Duration::from_mins(1);

/// The longest wait after failures that came without `Retry-After`.
const MAX_RETRY: Duration = Duration::from_hours(12);

/// A wait is this much longer or shorter, so that many agents that start together do not stay together.
const JITTER_PERCENT: u32 = 10;

/// An owner's schedule is followed up to this late, for the same reason.
const MAX_SCHEDULE_DELAY: Duration = Duration::from_secs(30);

/// An error that is kept for people is cut to this many characters.
const MAX_ERROR_CHARS: usize = 200;

/// What was put off to the end of the hours in which a feed is not asked comes up to this late, for the same reason.
const MAX_SKIP_DELAY: Duration = Duration::from_mins(20);

/// Events that are followed at once; those after them one by one, a [`PUSH_REFILL`] apart.
const PUSH_BURST: u32 = 5;

/// See [`PUSH_BURST`].
const PUSH_REFILL: Duration = Duration::from_secs(30);

/// The present on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The engine's clock, which only runs forward. Waits are measured on it.
    pub instant: Instant,
    /// The wall clock, which outlives a restart. Schedules and [`PollState`] are on it.
    pub wall: DateTime<Utc>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one at a time, and nearly all are replies")]
pub enum Input {
    /// Time passed; see [`Poller::deadline`]. Also where the wall clock ran ahead of the other.
    Tick,
    /// The publisher's event stream, or a hub, says that there is news.
    Pushed,
    /// The owner wants it fetched now.
    Forced,
    /// The owner's schedule names this as the next time, or there is no schedule any more.
    ///
    /// A time is used once: after each [`Output::Fetch`] the caller gives the one that follows. Until then the feed
    /// waits for its interval.
    Scheduled(Option<DateTime<Utc>>),
    /// What came of the last [`Output::Fetch`].
    Replied(Reply),
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Ask for the feed, and answer with [`Input::Replied`].
    Fetch(Fetch),
    /// The feed has moved for good: two replies in a row said so, by redirects or by their own word. `to` is asked from
    /// now on.
    Moved {
        /// Where it was.
        from: Url,
        /// Where it is.
        to: Url,
    },
    /// The publisher says that the feed is gone for good. Nothing is asked until [`Input::Forced`]; tell the owner.
    Gone,
}

/// A request for the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Where.
    pub url: Url,
    /// To be sent as `If-None-Match`, word for word.
    pub etag: Option<String>,
    /// To be sent as `If-Modified-Since`, word for word.
    pub last_modified: Option<String>,
    /// Whether the whole feed is wanted whatever is known of it. Both validators are `None` then.
    pub unconditional: bool,
    /// Where it is not to be looked for if the feed says that it has moved there: of late it was not.
    pub astray: Option<Url>,
}

/// When and how one feed is asked.
#[derive(Clone, Debug)]
pub struct Poller {
    state: PollState,
    /// The owner's interval.
    interval: Duration,
    rng: Rng,
    outputs: VecDeque<Output>,
    /// The running request.
    asking: Option<Asking>,
    /// The next regular request; `None` while the feed is gone.
    due: Option<Due>,
    /// What the owner's schedule named last and has not been used.
    scheduled: Option<DateTime<Utc>>,
    /// No event is followed before this: the host asked to be left alone.
    quiet_until: Option<Instant>,
    pushes: Pushes,
}

/// A request that runs.
#[derive(Clone, Copy, Debug)]
struct Asking {
    why: Why,
    unconditional: bool,
}

/// Why a request was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Due,
    Event,
    /// The reply to an event was 304: news that is not there. Asked again, in full.
    Doubt,
}

/// A moment on both clocks; it has come when either says so.
#[derive(Clone, Copy, Debug)]
struct Due {
    instant: Instant,
    wall: DateTime<Utc>,
    /// It is of the owner's schedule.
    is_owners: bool,
}

/// How many events may still be followed at once, and one that waits.
#[derive(Clone, Copy, Debug)]
struct Pushes {
    left: u32,
    refilled: Instant,
    waiting: bool,
}

impl Poller {
    /// A poller that goes on from `state`: at once if it was due meanwhile or never asked.
    ///
    /// `interval` is the owner's; `rng` a fork of the agent's.
    pub fn new(state: PollState, interval: Duration, now: Now, rng: Rng) -> Self {
        let mut poller = Self {
            interval,
            rng,
            outputs: VecDeque::new(),
            asking: None,
            due: None,
            scheduled: None,
            quiet_until: None,
            pushes: Pushes { left: PUSH_BURST, refilled: now.instant, waiting: false },
            state,
        };
        if !poller.state.gone {
            let wait = poller.state.next_at.and_then(|at| (at - now.wall).to_std().ok()).unwrap_or_default();
            // A wall clock that was set back must not silence a feed.
            poller.set_due_exactly(now, wait.min(MAX_WAIT.max(interval)));
        }
        poller
    }

    /// Takes in what happened at `now`. Drain [`Poller::poll`] after it.
    pub fn handle(&mut self, now: Now, input: Input) {
        match input {
            Input::Pushed => self.pushes.waiting = true,
            Input::Forced if self.asking.is_none() => {
                self.state.astray = None;
                self.ask(now, Why::Due);
            }
            Input::Tick | Input::Forced => {}
            Input::Scheduled(at) => self.schedule(now, at),
            Input::Replied(reply) => self.replied(now, reply),
        }
        self.ask_if_due(now);
    }

    /// The next thing to do, until there is none.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to come back with [`Input::Tick`]; `None` while a request runs or the feed is gone.
    ///
    /// The clock that it is on stands still while the machine is suspended: come back, too, where the wall clock has
    /// run ahead of it.
    pub fn deadline(&self) -> Option<Instant> {
        if self.asking.is_some() {
            return None;
        }
        podswarm_core::time::earliest(self.due.map(|due| due.instant), self.next_push())
    }

    /// Whether the time of the next regular request has come, so that [`Input::Tick`] makes it.
    pub fn is_due(&self, now: Now) -> bool {
        self.asking.is_none() && self.due.is_some_and(|due| due.instant <= now.instant || due.wall <= now.wall)
    }

    /// When the next regular request is due, for people; `None` while the feed is gone.
    pub fn next_due(&self) -> Option<DateTime<Utc>> {
        self.due.map(|due| due.wall)
    }

    /// What has been learnt, to be saved after every reply.
    pub fn state(&self) -> &PollState {
        &self.state
    }

    fn schedule(&mut self, now: Now, at: Option<DateTime<Utc>>) {
        self.scheduled = at;
        // What is due already, or waits out a failure, is not put off.
        let waits = self.due.is_some_and(|due| due.wall > now.wall);
        if self.asking.is_none() && waits && self.state.failures == 0 {
            self.wait(now);
        }
    }

    fn ask_if_due(&mut self, now: Now) {
        if self.asking.is_some() {
            return;
        }
        self.pushes.refill(now.instant);
        if self.next_push().is_some_and(|at| at <= now.instant) {
            self.pushes.left -= 1;
            self.ask(now, Why::Event);
        } else if self.is_due(now) {
            self.ask_or_skip(now);
        }
    }

    /// Asks, unless the feed is not to be asked in this hour.
    fn ask_or_skip(&mut self, now: Now) {
        let left = self.state.skip_hours.left(now.wall);
        if left.is_zero() || self.due.is_some_and(|due| due.is_owners) {
            return self.ask(now, Why::Due);
        }
        let late = self.rng.jitter(MAX_SKIP_DELAY / 2, 100);
        self.set_due_exactly(now, left + late);
    }

    /// When the waiting event may be followed.
    fn next_push(&self) -> Option<Instant> {
        if !self.pushes.waiting || self.state.gone {
            return None;
        }
        let allowed = if self.pushes.left > 0 { Instant::ZERO } else { self.pushes.refilled + PUSH_REFILL };
        Some(allowed.max(self.quiet_until.unwrap_or(Instant::ZERO)))
    }

    fn ask(&mut self, now: Now, why: Why) {
        let state = &self.state;
        let full_is_due = state.full_at.is_none_or(|at| (now.wall - at).abs() >= delta(FULL_EVERY));
        // Only a body can prove that the feed itself still says that it has moved.
        let is_asked_whole = full_is_due || why == Why::Doubt || state.moving_to.is_some();
        let unconditional = is_asked_whole || state.validators == Validators::default();
        let validators = if unconditional { Validators::default() } else { state.validators.clone() };
        let astray = state.astray.as_ref().filter(|it| (now.wall - it.at).abs() < delta(ASTRAY_FOR));
        let astray = astray.map(|it| it.to.clone());
        self.asking = Some(Asking { why, unconditional });
        // What comes in from now on is news of what this request may miss.
        self.pushes.waiting = false;
        self.outputs.push_back(Output::Fetch(Fetch {
            url: self.state.url.clone(),
            etag: validators.etag,
            last_modified: validators.last_modified,
            unconditional,
            astray,
        }));
    }

    fn replied(&mut self, now: Now, reply: Reply) {
        let Some(asked) = self.asking.take() else { return };
        self.state.counts.bytes += reply.bytes;
        if let Some(to) = reply.astray {
            self.state.astray = Some(Astray { to, at: now.wall });
        }
        self.quiet_until = None;
        match reply.outcome {
            Outcome::Body { validators, ttl, skip_hours } => {
                self.state.counts.full += 1;
                self.state.validators = validators;
                self.state.full_at = Some(now.wall);
                self.state.full_bytes = reply.bytes;
                self.state.ttl = ttl.map(|ttl| ttl.min(MAX_WAIT));
                self.state.skip_hours = skip_hours;
                self.state.max_age = reply.max_age.map(|age| age.min(MAX_WAIT));
                self.answered(now, reply.moved_to);
            }
            Outcome::NotModified if asked.unconditional => {
                self.failed(now, "the host answered 304 to a request without conditions", Duration::ZERO);
            }
            Outcome::NotModified => {
                self.state.counts.unchanged += 1;
                self.state.counts.bytes_saved += self.state.full_bytes.saturating_sub(reply.bytes);
                self.state.max_age = reply.max_age.map(|age| age.min(MAX_WAIT)).or(self.state.max_age);
                self.answered(now, reply.moved_to);
                if asked.why == Why::Event {
                    self.ask(now, Why::Doubt);
                }
            }
            Outcome::Gone => {
                self.state.counts.failed += 1;
                self.state.gone = true;
                self.state.last_error = Some("the publisher says it is gone for good".to_owned());
                self.due = None;
                self.state.next_at = None;
                self.outputs.push_back(Output::Gone);
            }
            Outcome::Throttled { retry_after } => {
                let asked_for = retry_after.unwrap_or(FIRST_RETRY).min(MAX_WAIT);
                self.quiet_until = Some(now.instant + asked_for);
                self.failed(now, "the host asks for patience", asked_for);
            }
            Outcome::Failed { reason } => self.failed(now, &reason, Duration::ZERO),
        }
    }

    /// The host answered with the feed or with 304.
    fn answered(&mut self, now: Now, moved_to: Option<Url>) {
        self.state.failures = 0;
        self.state.last_error = None;
        self.state.gone = false;
        self.state.checked_at = Some(now.wall);
        match moved_to.filter(|to| *to != self.state.url) {
            Some(to) if self.state.moving_to.as_ref() == Some(&to) => {
                self.state.moving_to = None;
                // They may be of what said that it has moved.
                self.state.validators = Validators::default();
                let from = std::mem::replace(&mut self.state.url, to.clone());
                self.outputs.push_back(Output::Moved { from, to });
            }
            other => self.state.moving_to = other,
        }
        self.wait(now);
    }

    /// There was no usable answer. Waits `at_least`, and longer with each failure.
    fn failed(&mut self, now: Now, reason: &str, at_least: Duration) {
        self.state.counts.failed += 1;
        let doublings = self.state.failures.min(16);
        self.state.failures = self.state.failures.saturating_add(1);
        self.state.last_error = Some(reason.chars().take(MAX_ERROR_CHARS).collect());
        if !self.state.gone {
            let back_off = FIRST_RETRY.saturating_mul(1 << doublings).min(MAX_RETRY);
            self.set_due(now, at_least, back_off.max(at_least));
        }
    }

    /// Waits as long as all went well: for the schedule's next time if there is one, else for the interval.
    fn wait(&mut self, now: Now) {
        // A time that passed while the request ran was that request's.
        self.scheduled = self.scheduled.filter(|at| *at > now.wall);
        if let Some(at) = self.scheduled {
            let gap = (at - now.wall).to_std().unwrap_or_default();
            let spread = (gap / 10).min(MAX_SCHEDULE_DELAY);
            let late = self.rng.jitter(spread / 2, 100);
            self.set_due_exactly(now, gap + late);
            self.due.iter_mut().for_each(|due| due.is_owners = true);
            return;
        }
        let hint = self.state.ttl.into_iter().chain(self.state.max_age).fold(Duration::ZERO, Duration::max);
        self.set_due(now, hint, self.interval.max(hint));
    }

    /// The next request comes after about `wait`, but not before `at_least`.
    fn set_due(&mut self, now: Now, at_least: Duration, wait: Duration) {
        let wait = self.rng.jitter(wait, JITTER_PERCENT).max(at_least);
        self.set_due_exactly(now, wait);
    }

    fn set_due_exactly(&mut self, now: Now, wait: Duration) {
        let wall = now.wall.checked_add_signed(delta(wait)).unwrap_or(DateTime::<Utc>::MAX_UTC);
        self.due = Some(Due { instant: now.instant + wait, wall, is_owners: false });
        self.state.next_at = Some(wall);
    }
}

impl Pushes {
    fn refill(&mut self, now: Instant) {
        while self.left < PUSH_BURST && now - self.refilled >= PUSH_REFILL {
            self.left += 1;
            self.refilled += PUSH_REFILL;
        }
        if self.left == PUSH_BURST {
            self.refilled = now;
        }
    }
}

fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

#[cfg(test)]
mod tests;
