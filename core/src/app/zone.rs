//! The time zone in which the owner reads clocks.

use std::path::Path;

use chrono_tz::Tz;

/// The owner's time zone: of the variable `TZ`, else of the system, else UTC.
pub fn system_zone() -> Tz {
    let named = std::env::var("TZ").ok().and_then(|name| zone_named(name.trim_start_matches(':')));
    let linked = || {
        let target = std::fs::read_link("/etc/localtime").ok()?;
        zone_of_path(&target)
    };
    let written = || zone_named(std::fs::read_to_string("/etc/timezone").ok()?.trim());
    named.or_else(linked).or_else(written).unwrap_or(Tz::UTC)
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
}
