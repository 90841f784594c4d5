//! The ids that show that an asker is at the address it asks from.
//!
//! An id is a keyed hash of the address and of the time at which it was given out, in steps of four seconds; its first
//! byte is the step, so that one hash tells whether it is good. The tracker remembers nothing but its key, which it
//! draws when it starts.
//!
//! The port is left out: routers give the same host another one whenever they like, and an id that was good for one
//! host of a home is good for all of it.
//!
//! Laws: an id is good for two minutes, and for four seconds more at most; it is good at no other address; whoever
//! guesses one is right once in 2^56.
//! Source: BEP 15 ("accept the connection id until two minutes after it has been sent").

use std::hash::Hasher as _;
use std::net::IpAddr;
use std::time::Duration;

use siphasher::sip::SipHasher24;

use crate::rng::Rng;
use crate::time::Instant;

/// What an asker shows to prove its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionId(pub u64);

/// Gives out ids, and knows its own again.
#[derive(Clone, Debug)]
pub struct ConnectionIds {
    keyed: SipHasher24,
}

impl ConnectionIds {
    /// Ids that only their maker can make.
    pub fn new(rng: &mut Rng) -> Self {
        Self { keyed: SipHasher24::new_with_keys(rng.next_u64(), rng.next_u64()) }
    }

    /// The id for `ip` at `now`.
    pub fn give(&self, now: Instant, ip: IpAddr) -> ConnectionId {
        self.of(step_of(now), ip)
    }

    /// Whether `id` was given to `ip` within the last two minutes.
    pub fn is_good(&self, now: Instant, ip: IpAddr, id: ConnectionId) -> bool {
        let now = step_of(now);
        // The latest step that ends in the byte shown. One ahead of now was never given out, and is taken for an old
        // one.
        let age = now.wrapping_sub(id.0 >> 56) & 0xff;
        age <= STEPS_GOOD && age <= now && self.of(now - age, ip) == id
    }

    fn of(&self, step: u64, ip: IpAddr) -> ConnectionId {
        let mut hasher = self.keyed;
        hasher.write_u64(step);
        match ip.to_canonical() {
            IpAddr::V4(ip) => hasher.write_u32(ip.to_bits()),
            IpAddr::V6(ip) => hasher.write_u128(ip.to_bits()),
        }
        ConnectionId(step << 56 | hasher.finish() >> 8)
    }
}

fn step_of(now: Instant) -> u64 {
    now.as_nanos() / u64::try_from(STEP.as_nanos()).unwrap_or(u64::MAX)
}

const STEP: Duration = Duration::from_secs(4);

/// Two minutes, and the step in which they began.
const STEPS_GOOD: u64 = 30;

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, proptest};

    use super::*;

    fn ids(seed: u64) -> ConnectionIds {
        ConnectionIds::new(&mut Rng::from_seed_u64(seed))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    proptest! {
        #[test]
        fn an_id_is_good_for_two_minutes_and_not_much_longer(given in 0..1_u64 << 50, passed in 0..300_000_000_000_u64) {
            let (ids, ip) = (ids(1), ip("192.0.2.1"));
            let (given, passed) = (Instant::from_nanos(given), Duration::from_nanos(passed));
            let good = ids.is_good(given + passed, ip, ids.give(given, ip));
            if passed <= Duration::from_mins(2) {
                prop_assert!(good);
            } else if passed >= Duration::from_mins(2) + STEP {
                prop_assert!(!good);
            }
        }

        #[test]
        fn a_guess_is_not_good(guess: u64, now in 0..1_u64 << 50) {
            prop_assert!(!ids(1).is_good(Instant::from_nanos(now), ip("192.0.2.1"), ConnectionId(guess)));
        }
    }

    #[test]
    fn an_id_is_good_only_where_it_was_given_and_for_whom() {
        let now = Instant::ZERO + Duration::from_hours(1);
        let id = ids(1).give(now, ip("192.0.2.1"));
        assert!(ids(1).is_good(now, ip("::ffff:192.0.2.1"), id), "the same host on a socket for both families");
        assert!(!ids(1).is_good(now, ip("192.0.2.2"), id));
        assert!(!ids(2).is_good(now, ip("192.0.2.1"), id), "another run has another key");
        let v6 = ids(1).give(now, ip("2001:db8::1"));
        assert!(ids(1).is_good(now, ip("2001:db8::1"), v6) && !ids(1).is_good(now, ip("2001:db8::2"), v6));
    }

    #[test]
    fn an_id_from_the_future_is_not_good() {
        let (now, ip) = (Instant::ZERO + Duration::from_mins(10), ip("192.0.2.1"));
        for ahead in [4, 60, 3600] {
            assert!(!ids(1).is_good(now, ip, ids(1).give(now + Duration::from_secs(ahead), ip)), "{ahead} s");
        }
        let start = Instant::ZERO;
        assert!(!ids(1).is_good(start, ip, ids(1).give(now, ip)));
        assert!(ids(1).is_good(start, ip, ids(1).give(start, ip)));
    }
}
