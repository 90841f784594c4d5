//! The time zone in which the owner reads clocks.
//!
//! The zones are in the program, since a container or a bare machine has a name in `TZ` and no files of zones. So all
//! that is told in local time, and all that is read as such, means the same zone.

use std::path::Path;

use chrono::{DateTime, FixedOffset, Local, NaiveDateTime, TimeZone as _, Utc};
use chrono_tz::Tz;

/// The owner's time zone: of the variable `TZ`, else of the system, else UTC.
pub fn system_zone() -> Tz {
    variable().and_then(|name| zone_of_variable(&name)).or_else(linked).or_else(written).unwrap_or(Tz::UTC)
}

/// A time as the owner's clock shows it.
pub fn local_time(at: DateTime<Utc>) -> DateTime<FixedOffset> {
    match named_zone() {
        Some(zone) => at.with_timezone(&zone).fixed_offset(),
        None => at.with_timezone(&Local).fixed_offset(),
    }
}

/// The first time at which the owner's clock shows this; `None` if it is put forward past it.
pub fn time_of_local(shown: NaiveDateTime) -> Option<DateTime<Utc>> {
    match named_zone() {
        Some(zone) => zone.from_local_datetime(&shown).earliest().map(|at| at.to_utc()),
        None => Local.from_local_datetime(&shown).earliest().map(|at| at.to_utc()),
    }
}

/// The zone that has a name. One without, such as `CET-1` or a file that nothing links, only the system's clock knows.
fn named_zone() -> Option<Tz> {
    match variable() {
        Some(name) => zone_of_variable(&name),
        // A file that is no link is right about the time, and a name beside it may be an old one.
        None if Path::new("/etc/localtime").is_file() => linked(),
        None => linked().or_else(written),
    }
}

fn variable() -> Option<String> {
    std::env::var("TZ").ok()
}

fn zone_of_variable(name: &str) -> Option<Tz> {
    zone_named(name.trim_start_matches(':'))
}

fn linked() -> Option<Tz> {
    zone_of_path(&std::fs::read_link("/etc/localtime").ok()?)
}

fn written() -> Option<Tz> {
    zone_named(std::fs::read_to_string("/etc/timezone").ok()?.trim())
}

fn zone_named(name: &str) -> Option<Tz> {
    name.parse().ok()
}

/// The zone of a path like `/usr/share/zoneinfo/Europe/Berlin`.
fn zone_of_path(path: &Path) -> Option<Tz> {
    zone_named(path.to_str()?.split_once("/zoneinfo/")?.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_zone_is_read_from_where_the_system_links_it() {
        assert_eq!(zone_of_path(Path::new("/usr/share/zoneinfo/Europe/Berlin")), Some(Tz::Europe__Berlin));
        assert_eq!(zone_of_path(Path::new("../usr/share/zoneinfo/Etc/UTC")), Some(Tz::Etc__UTC));
        assert_eq!(zone_of_path(Path::new("/etc/somewhere")), None);
    }

    #[test]
    fn a_variable_names_a_zone_or_leaves_it_to_the_system() {
        assert_eq!(zone_of_variable(":Europe/Berlin"), Some(Tz::Europe__Berlin));
        assert_eq!(zone_of_variable("CET-1CEST,M3.5.0,M10.5.0/3"), None);
        assert_eq!(zone_of_variable(""), None);
    }

    #[test]
    fn what_is_told_in_local_time_is_read_as_the_same_time() {
        let at = Utc.with_ymd_and_hms(2026, 11, 20, 17, 0, 0).unwrap();
        assert_eq!(time_of_local(local_time(at).naive_local()), Some(at));
    }
}
