//! From where an address can be reached.
//!
//! Two rules hang on it. A tracker tells no stranger of hosts behind the publisher's own router, and whatever a
//! stranger's feed or redirect names is never fetched from there.
//!
//! Law: an IPv4 address says the same in each of its IPv6 disguises (mapped, NAT64, 6to4).
//! Sources: the IANA special-purpose address registries, RFC 6890, 6598, 4193, 6052, 3056.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The part of the network in which an address means something. Narrower scopes are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// The whole internet. The benchmarking block 198.18.0.0/15 counts as public, so that test networks can.
    Public,
    /// One site: private, carrier-grade NAT, link-local and unique local addresses.
    Private,
    /// One host.
    Loopback,
    /// No single host at all: unspecified, multicast, broadcast, reserved.
    Nowhere,
}

impl Scope {
    /// The scope of `ip`.
    pub fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self::of_v4(ip),
            IpAddr::V6(ip) => Self::of_v6(ip),
        }
    }

    /// Whether a host that is itself reached at an address of this scope can be told of one in `other`.
    ///
    /// What is reached over loopback also sees the site, what is within the site also sees the internet.
    pub fn sees(self, other: Self) -> bool {
        other <= self && other != Self::Nowhere
    }

    fn of_v4(ip: Ipv4Addr) -> Self {
        match ip.octets() {
            [0 | 224..=255, ..] => Self::Nowhere,
            [127, ..] => Self::Loopback,
            [10, ..] | [100, 64..=127, ..] | [169, 254, ..] | [172, 16..=31, ..] | [192, 0, 0, _] | [192, 168, ..] => {
                Self::Private
            }
            _ => Self::Public,
        }
    }

    fn of_v6(ip: Ipv6Addr) -> Self {
        let embedded = |high: u16, low: u16| {
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            Self::of_v4(Ipv4Addr::new(a, b, c, d))
        };
        match ip.segments() {
            [0, 0, 0, 0, 0, 0, 0, 1] => Self::Loopback,
            [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
                embedded(high, low)
            }
            [0x64, 0xff9b, 1, ..] | [0xfc00..=0xfdff | 0xfe80..=0xfeff, ..] => Self::Private,
            // Among these the unspecified address, and the "IPv4-compatible" ones that nobody routes.
            [0 | 0xff00..=0xffff, ..] | [0x100, 0, 0, 0, ..] => Self::Nowhere,
            _ => Self::Public,
        }
    }
}

/// What counts as one asker: an IPv4 address, or the /64 that an IPv6 host has to itself.
pub fn network_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.into(),
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
    }
}

/// The same of a public address. Behind a reverse proxy, or at home, any other one is everybody.
pub fn public_network_of(ip: IpAddr) -> Option<IpAddr> {
    let network = network_of(ip);
    (Scope::of(network) == Scope::Public).then_some(network)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(want: Scope, addresses: &[&str]) {
        for address in addresses {
            assert_eq!(Scope::of(address.parse().unwrap()), want, "{address}");
        }
    }

    #[test]
    fn every_special_block_has_its_scope_up_to_its_edges() {
        check(
            Scope::Public,
            &[
                "1.0.0.0",
                "9.255.255.255",
                "11.0.0.0",
                "100.63.255.255",
                "100.128.0.0",
                "126.255.255.255",
                "128.0.0.0",
                "169.253.255.255",
                "169.255.0.0",
                "172.15.255.255",
                "172.32.0.0",
                "192.0.1.0",
                "192.167.255.255",
                "192.169.0.0",
                "198.18.0.0",
                "198.19.255.255",
                "223.255.255.255",
                "2001:db8::1",
                "2606:4700::1111",
                "fbff::1",
            ],
        );
        check(
            Scope::Private,
            &[
                "10.0.0.0",
                "10.255.255.255",
                "100.64.0.0",
                "100.127.255.255",
                "169.254.0.0",
                "169.254.169.254",
                "172.16.0.0",
                "172.31.255.255",
                "192.0.0.1",
                "192.168.0.0",
                "192.168.255.255",
                "fc00::",
                "fdff::1",
                "fe80::1",
                "febf::1",
                "fec0::1",
                "64:ff9b:1::1",
            ],
        );
        check(Scope::Loopback, &["127.0.0.0", "127.0.0.1", "127.255.255.255", "::1"]);
        check(
            Scope::Nowhere,
            &[
                "0.0.0.0",
                "0.255.255.255",
                "224.0.0.1",
                "239.255.255.255",
                "240.0.0.1",
                "255.255.255.255",
                "::",
                "ff02::1",
                "100::1",
            ],
        );
    }

    #[test]
    fn an_ipv4_address_cannot_hide_in_an_ipv6_one() {
        check(Scope::Loopback, &["::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "2002:7f00:1::"]);
        check(Scope::Private, &["::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::192.168.0.1", "2002:c0a8:1::1"]);
        check(Scope::Public, &["::ffff:8.8.8.8", "::ffff:198.18.0.1", "64:ff9b::8.8.8.8", "2002:808:808::1"]);
        check(Scope::Nowhere, &["::ffff:0.0.0.0", "::127.0.0.1", "::8.8.8.8", "64:ff9b::255.255.255.255"]);
    }

    #[test]
    fn an_asker_is_an_address_or_64_bits_of_one() {
        let network = |ip: &str| network_of(ip.parse().unwrap());
        assert_eq!(network("::ffff:203.0.113.1"), network("203.0.113.1"));
        assert_ne!(network("203.0.113.1"), network("203.0.113.2"));
        assert_eq!(network("2001:db8::1"), network("2001:db8::2"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        let public = |ip: &str| public_network_of(ip.parse().unwrap());
        assert_eq!(public("2001:db8::1"), Some(network("2001:db8::")));
        assert_eq!([public("127.0.0.1"), public("192.168.0.1"), public("fe80::1")], [None; 3]);
    }

    #[test]
    fn nobody_is_told_of_hosts_nearer_than_himself() {
        use Scope::{Loopback, Nowhere, Private, Public};
        let seen = |by: Scope| [Public, Private, Loopback, Nowhere].map(|other| by.sees(other));
        assert_eq!(seen(Public), [true, false, false, false]);
        assert_eq!(seen(Private), [true, true, false, false]);
        assert_eq!(seen(Loopback), [true, true, true, false]);
    }
}
