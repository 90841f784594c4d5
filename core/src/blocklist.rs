//! Addresses that the owner wants nothing to do with: nobody there is dialled, and nobody who dials from there gets in.
//!
//! Lists are read as they go round: eMule's `ipfilter.dat`, the text form of others (`name:1.2.3.4-1.2.3.9`), ranges,
//! networks in CIDR notation and single addresses, one a line, of both families, mixed at will.
//!
//! Law: a line that is none of these is counted and blocks nothing.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// Ranges of addresses.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Blocklist {
    /// First and last address of each range, in order, without overlap.
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
    odd: usize,
}

impl Blocklist {
    /// Reads a list. Names need not be UTF-8, which old lists are not.
    pub fn parse(text: &[u8]) -> Self {
        let mut read = Self::default();
        for line in text.split(|byte| matches!(byte, b'\n' | b'\r')) {
            let line = String::from_utf8_lossy(line);
            let line = line.trim().trim_start_matches('\u{feff}');
            if line.is_empty() || line.starts_with(['#', ';']) || line.starts_with("//") {
                continue;
            }
            match Line::read(line) {
                Some(Line::Blocked(IpAddr::V4(first), IpAddr::V4(last))) => read.v4.push((first.into(), last.into())),
                Some(Line::Blocked(IpAddr::V6(first), IpAddr::V6(last))) => read.v6.push((first.into(), last.into())),
                Some(Line::Allowed) => {}
                _ => read.odd += 1,
            }
        }
        join(&mut read.v4, |last| last.checked_add(1));
        join(&mut read.v6, |last| last.checked_add(1));
        read
    }

    /// Whether the owner wants nothing to do with this address. O(log n) in the number of ranges.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match ip.to_canonical() {
            IpAddr::V4(ip) => is_within(&self.v4, ip.into()),
            IpAddr::V6(ip) => is_within(&self.v6, ip.into()),
        }
    }

    /// Those of them that are at such an address.
    pub fn blocked<T>(&self, all: impl Iterator<Item = (T, IpAddr)>) -> Vec<T> {
        all.filter(|(_, ip)| self.contains(*ip)).map(|(it, _)| it).collect()
    }

    /// The number of ranges; those that overlap or touch count once.
    pub fn ranges(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// The number of lines that were not understood.
    pub const fn odd_lines(&self) -> usize {
        self.odd
    }
}

impl fmt::Debug for Blocklist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blocklist({} ranges)", self.ranges())
    }
}

/// What a line says.
enum Line {
    /// From the first to the last address.
    Blocked(IpAddr, IpAddr),
    /// An eMule list names those that are not blocked, too: by a level above 127.
    Allowed,
}

impl Line {
    fn read(line: &str) -> Option<Self> {
        if let Some((span, rest)) = line.split_once(',') {
            let level = rest.split(',').next().unwrap_or_default().trim().parse::<u32>().ok()?;
            let blocked = range(span)?;
            return Some(if level > 127 { Self::Allowed } else { blocked });
        }
        range(line).or_else(|| range(line.rsplit_once(':')?.1))
    }
}

fn range(text: &str) -> Option<Line> {
    if let Some((first, last)) = text.split_once('-') {
        let (first, last) = (address(first)?, address(last)?);
        return (first.is_ipv4() == last.is_ipv4() && first <= last).then_some(Line::Blocked(first, last));
    }
    let Some((ip, bits)) = text.split_once('/') else { return address(text).map(|ip| Line::Blocked(ip, ip)) };
    let bits: u32 = bits.trim().parse().ok()?;
    Some(match address(ip)? {
        IpAddr::V4(ip) => {
            let hosts = u32::MAX.checked_shr(bits).unwrap_or_default();
            let first = u32::from(ip) & !hosts;
            (bits <= 32).then_some(Line::Blocked(IpAddr::V4(first.into()), IpAddr::V4((first | hosts).into())))?
        }
        IpAddr::V6(ip) => {
            let hosts = u128::MAX.checked_shr(bits).unwrap_or_default();
            let first = u128::from(ip) & !hosts;
            (bits <= 128).then_some(Line::Blocked(IpAddr::V6(first.into()), IpAddr::V6((first | hosts).into())))?
        }
    })
}

/// An address; the numbers of an IPv4 one may begin with zeroes and are decimal all the same.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    if text.contains(':') {
        return text.parse().ok();
    }
    let mut octets = [0; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next()?;
        *octet = if part.len() <= 3 && !part.starts_with('+') { part.parse().ok()? } else { return None };
    }
    parts.next().is_none().then_some(IpAddr::V4(Ipv4Addr::from(octets)))
}

/// Sorts ranges and makes one of those that overlap or touch.
fn join<T: Copy + Ord>(ranges: &mut Vec<(T, T)>, next: impl Fn(T) -> Option<T>) {
    ranges.sort_unstable();
    ranges.dedup_by(|later, earlier| {
        let touches = next(earlier.1).is_none_or(|next| later.0 <= next);
        if touches {
            earlier.1 = earlier.1.max(later.1);
        }
        touches
    });
    ranges.shrink_to_fit();
}

fn is_within<T: Copy + Ord>(ranges: &[(T, T)], ip: T) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= ip);
    after.checked_sub(1).is_some_and(|at| ip <= ranges[at].1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(list: &str, blocked: &[&str], free: &[&str]) {
        let read = Blocklist::parse(list.as_bytes());
        for ip in blocked {
            assert!(read.contains(ip.parse().unwrap()), "{ip} is blocked by {list:?}");
        }
        for ip in free {
            assert!(!read.contains(ip.parse().unwrap()), "{ip} is free of {list:?}");
        }
    }

    #[test]
    fn every_common_form_is_read() {
        let range = (["1.2.3.4", "1.2.3.9", "::ffff:1.2.3.5"], ["1.2.3.3", "1.2.3.10", "::1.2.3.5"]);
        for line in [
            "001.002.003.004 - 001.002.003.009 , 000 , Somebody, Inc.",
            "1.2.3.4-1.2.3.9,127,x",
            "Somebody: the 2nd:1.2.3.4-1.2.3.9",
            "1.2.3.4 - 1.2.3.9",
            "\u{feff}# first\r\n\r\n1.2.3.4-1.2.3.6\n1.2.3.7-1.2.3.9",
        ] {
            check(line, &range.0, &range.1);
        }
        check("10.1.0.0/16", &["10.1.0.0", "10.1.255.255"], &["10.0.255.255", "10.2.0.0"]);
        check("10.1.7.7/16", &["10.1.0.0"], &["10.2.0.0"]);
        check("0.0.0.0/0", &["0.0.0.0", "255.255.255.255"], &["::1"]);
        check("192.0.2.7", &["192.0.2.7"], &["192.0.2.6", "192.0.2.8"]);
        check("2001:db8::/32", &["2001:db8::", "2001:db8:ffff::1"], &["2001:db9::", "32.1.13.184"]);
        check("2001:db8::5-2001:db8::9\n::1", &["2001:db8::7", "::1"], &["2001:db8::a", "::2"]);
    }

    #[test]
    fn what_an_emule_list_allows_is_not_blocked() {
        check("1.2.3.4 - 1.2.3.9 , 128 , friends", &[], &["1.2.3.5"]);
    }

    #[test]
    fn other_lines_are_counted_and_block_nothing() {
        let list =
            "hello\n1.2.3.4/33\n1.2.3.9-1.2.3.4\n1.2.3\n1.2.3.4.5\n256.1.1.1\n::/129\n1.2.3.4-::1\n1.+2.3.4\nx:y";
        let read = Blocklist::parse(list.as_bytes());
        assert_eq!((read.ranges(), read.odd_lines()), (0, 10));
        let latin = Blocklist::parse(b"Universit\xe9:1.2.3.4-1.2.3.9");
        assert_eq!((latin.ranges(), latin.odd_lines()), (1, 0));
    }

    #[test]
    fn ranges_that_touch_are_one() {
        assert_eq!(Blocklist::parse(b"0.0.0.0/1\n128.0.0.0/1\n255.255.255.255").ranges(), 1);
        assert_eq!(Blocklist::parse(b"1.0.0.0/8\n1.2.3.4\n3.0.0.0/8").ranges(), 2);
    }

    proptest! {
        #[test]
        fn what_is_in_some_range_is_blocked_and_nothing_else(
            ranges in prop::collection::vec((0..60_u8, 0..20_u8), 0..12),
        ) {
            let spans: Vec<_> = ranges.iter().map(|(first, more)| (*first, first + more)).collect();
            let lines: Vec<_> = spans.iter().map(|(first, last)| format!("9.9.9.{first}-9.9.9.{last}")).collect();
            let list = lines.join("\n");
            let read = Blocklist::parse(list.as_bytes());
            for ip in 0..=255 {
                let want = spans.iter().any(|(first, last)| (*first..=*last).contains(&ip));
                prop_assert_eq!(read.contains(IpAddr::from([9, 9, 9, ip])), want, "{}", ip);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let read = Blocklist::parse(&bytes);
            read.contains(IpAddr::from([1, 2, 3, 4]));
        }
    }
}
