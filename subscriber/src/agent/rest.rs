//! Decides when nothing is seeded for a while, and when downloads wait: out of the hours that the owner gives to
//! seeding, and while the system calls the line metered.
//!
//! What is complete leaves its swarm politely, its trackers are told, and comes back later. What is being fetched goes
//! on, unless the owner wants nothing of a metered line, and its peers are given of it meanwhile. The time in which
//! nothing is seeded counts for no episode's `--seed-time`.
//!
//! Knows no clock: it is looked at once a minute, since no timer knows of daylight saving and clocks that are set.

use std::time::Duration;

use chrono::{DateTime, Datelike as _, TimeDelta, Timelike as _};
use chrono_tz::Tz;
use podswarm_core::time::Instant;
use podswarm_core::timetable::{Hours, WeekMinute};
use podswarm_feeds::poll::Now;

use super::event::{About, Event};
use super::queue::Job;
use super::{Agent, OnMetered};
use crate::records::{EpisodeId, Stage};

/// Why things rest on such a line.
pub(super) const METERED: &str = "the system calls the line metered (--on-metered)";

/// What rests now.
#[derive(Debug, Default)]
pub(super) struct Rest {
    /// The system calls the line metered.
    pub(super) is_metered: bool,
    /// Why it is no time for seeding.
    out_of_hours: Option<String>,
    /// When to look at the clock again.
    look_at: Option<Instant>,
    /// Why nothing is seeded.
    reason: Option<String>,
    /// Downloads wait, too.
    pub(super) holds: bool,
}

impl Agent {
    /// Why nothing is seeded now, if it would be at other times.
    pub fn rests(&self) -> Option<&str> {
        self.rest.reason.as_deref()
    }

    /// Whether an episode that is wanted waits for another line. What the owner asks for or plays does not.
    pub(super) fn is_held(&self, id: EpisodeId) -> bool {
        let is_played = self.queue.job(id).is_some_and(Job::is_played);
        let stage = self.catalogue.episode(id).map(|episode| &episode.stage);
        self.rest.holds && !is_played && stage == Some(&Stage::Wanted { by_owner: false })
    }

    /// When the clock is to be looked at.
    pub(super) const fn rest_deadline(&self) -> Option<Instant> {
        self.rest.look_at
    }

    /// Ends what is to rest, and goes on with what has rested.
    pub(super) fn tend_rest(&mut self, now: Now) {
        if !self.settings.seed_at.is_empty() && self.rest.look_at.is_none_or(|at| at <= now.instant) {
            let local = now.wall.with_timezone(&self.settings.zone);
            let rest_of_minute = 60_u32.saturating_sub(local.second()).max(1);
            self.rest.look_at = Some(now.instant + Duration::from_secs(rest_of_minute.into()));
            self.rest.out_of_hours = out_of_hours(&self.settings.seed_at, local);
        }
        let is_metered = self.rest.is_metered && self.settings.heeds_metered();
        let reason = if is_metered { Some(METERED.to_owned()) } else { self.rest.out_of_hours.clone() };
        let reason = reason.filter(|_| self.settings.seeds());
        if reason != self.rest.reason {
            self.rest_seeding(now, reason);
        }
        let holds = is_metered && self.settings.on_metered == OnMetered::Nothing;
        if holds != self.rest.holds {
            self.hold_downloads(now, holds);
        }
    }

    fn rest_seeding(&mut self, now: Now, reason: Option<String>) {
        let before = std::mem::replace(&mut self.rest.reason, reason.clone());
        if reason.is_some() {
            for id in self.seeded() {
                self.halt(now, id);
            }
        } else {
            let whole = self.catalogue.episodes().filter(|episode| episode.kept_hash().is_some());
            for id in whole.map(|episode| episode.id).collect::<Vec<_>>() {
                self.go_on(now, id);
            }
        }
        if reason.is_some() != before.is_some() {
            self.tell(Event::Seeding { rests: reason });
        }
    }

    fn hold_downloads(&mut self, now: Now, holds: bool) {
        self.rest.holds = holds;
        let wanted = self.catalogue.episodes().filter(|episode| episode.is_wanted());
        for id in wanted.map(|episode| episode.id).collect::<Vec<_>>() {
            if !self.is_held(id) {
                self.go_on(now, id);
            } else if self.queue.remove(id)
                && let Some(episode) = self.catalogue.episode(id).map(About::new)
            {
                self.tell(Event::Waiting { episode, reason: METERED.to_owned() });
            }
        }
    }
}

/// Why nothing is seeded at `local`; `None` if it is one of these hours.
fn out_of_hours(hours: &[Hours], local: DateTime<Tz>) -> Option<String> {
    let holds = |ahead: i64| {
        let at = local + TimeDelta::minutes(ahead);
        let minute = WeekMinute::new(at.weekday().num_days_from_monday(), at.hour(), at.minute());
        hours.iter().any(|hours| hours.hold(minute)).then_some(at)
    };
    if holds(0).is_some() {
        return None;
    }
    // Hours come round every week.
    let next = (1..=7 * 24 * 60).find_map(holds)?;
    let when = next.format(if next.date_naive() == local.date_naive() { "at %H:%M" } else { "on %A at %H:%M" });
    Some(format!("its hours (--seed-at) begin again {when}"))
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;

    use super::*;

    #[track_caller]
    fn check(hours: &[&str], (day, hour, minute): (u32, u32, u32), want: Option<&str>) {
        let hours: Vec<Hours> = hours.iter().map(|hours| hours.parse().unwrap()).collect();
        let local = Tz::Europe__Berlin.with_ymd_and_hms(2026, 11, day, hour, minute, 30).unwrap();
        let reason = out_of_hours(&hours, local);
        assert_eq!(reason.as_deref().map(|text| text.rsplit("again ").next().unwrap()), want, "{local}");
    }

    #[test]
    fn it_is_told_when_the_next_hours_begin() {
        // The 20th is a Friday.
        check(&["22:00-07:00"], (20, 22, 0), None);
        check(&["22:00-07:00"], (20, 6, 59), None);
        check(&["22:00-07:00"], (20, 7, 0), Some("at 22:00"));
        check(&["mon-fri 22:00-23:00"], (20, 23, 0), Some("on Monday at 22:00"));
        check(&["mon 08:00-09:00", "sat 10:00-11:00"], (20, 12, 0), Some("on Saturday at 10:00"));
    }
}
