//! Decides when nothing is seeded for a while: outside the hours that its owner gives it.
//!
//! What is complete leaves its swarm politely, its trackers are told, and comes back when the hours do. What is being
//! fetched goes on, and its peers are given of it meanwhile. The time in which nothing is seeded counts for no
//! episode's `--seed-time`.
//!
//! Knows no clock: it is looked at once a minute, since no timer knows of daylight saving and clocks that are set.

use std::time::Duration;

use chrono::{DateTime, Datelike as _, TimeDelta, Timelike as _};
use chrono_tz::Tz;
use podswarm_core::time::Instant;
use podswarm_core::timetable::{Hours, WeekMinute};
use podswarm_feeds::poll::Now;

use super::Agent;
use super::event::Event;

/// Whether anything is seeded now.
#[derive(Debug, Default)]
pub(super) struct Rest {
    /// Why nothing is.
    reason: Option<String>,
    /// When to look at the clock again.
    look_at: Option<Instant>,
}

impl Agent {
    /// Why nothing is seeded now, if it would be at other times.
    pub fn rests(&self) -> Option<&str> {
        self.rest.reason.as_deref()
    }

    /// When the clock is to be looked at.
    pub(super) const fn rest_deadline(&self) -> Option<Instant> {
        self.rest.look_at
    }

    /// Ends seeding, or goes on with it, if its hour has come.
    pub(super) fn tend_rest(&mut self, now: Now) {
        if !self.settings.seeds() || self.settings.seed_at.is_empty() {
            return;
        }
        if self.rest.look_at.is_some_and(|at| at > now.instant) {
            return;
        }
        let local = now.wall.with_timezone(&self.settings.zone);
        let rest_of_minute = 60_u32.saturating_sub(local.second()).max(1);
        self.rest.look_at = Some(now.instant + Duration::from_secs(rest_of_minute.into()));
        let reason = out_of_hours(&self.settings.seed_at, local);
        if reason != self.rest.reason {
            self.set_rest(now, reason);
        }
    }

    fn set_rest(&mut self, now: Now, reason: Option<String>) {
        let before = std::mem::replace(&mut self.rest.reason, reason.clone());
        if reason.is_some() {
            for id in self.seeded() {
                self.halt(now, id);
            }
        } else {
            for id in
                self.catalogue.episodes().filter(|it| it.kept_hash().is_some()).map(|it| it.id).collect::<Vec<_>>()
            {
                self.go_on(now, id);
            }
        }
        if reason.is_some() != before.is_some() {
            self.tell(Event::Seeding { rests: reason });
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
