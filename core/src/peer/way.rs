//! How long a message takes from one peer to the other: an extension of our own, `pod_way`. BEP 10.
//!
//! Whoever fills an uplink waits in its queue. A round trip shows that, but also the queue at the other end, through
//! which the answer comes. So a peer is told the time by our clock, and tells at once how much later it is by its own.
//! The clocks agree on nothing but the length of a second, so only differences between answers mean anything, as with
//! uTP (BEP 29).
//!
//! Each message is a kind and four bytes, big-endian: `0` and a time, or `1` and a difference, both in microseconds and
//! wrapping.

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::time::Instant;

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WayMessage {
    /// How much later than this is it with you?
    Sent(u32),
    /// So much later it was.
    Took(u32),
}

const SENT: u8 = 0;
const TOOK: u8 = 1;

impl WayMessage {
    /// The question at `now`.
    pub fn question(now: Instant) -> Self {
        Self::Sent(micros(now))
    }

    /// The answer at `now` to somebody who sent this; `None` to an answer.
    pub fn answer(self, now: Instant) -> Option<Self> {
        if let Self::Sent(at) = self { Some(Self::Took(micros(now).wrapping_sub(at))) } else { None }
    }

    /// The payload of the extended message.
    pub fn encode(self) -> Bytes {
        let (kind, number) = match self {
            Self::Sent(at) => (SENT, at),
            Self::Took(difference) => (TOOK, difference),
        };
        let mut bytes = BytesMut::with_capacity(5);
        bytes.put_u8(kind);
        bytes.put_u32(number);
        bytes.freeze()
    }

    /// Reads a payload; `None` if it is something else.
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let (kind, number) = payload.split_first()?;
        let number = u32::from_be_bytes(number.try_into().ok()?);
        match *kind {
            SENT => Some(Self::Sent(number)),
            TOOK => Some(Self::Took(number)),
            _ => None,
        }
    }
}

/// A point in time as messages tell it.
fn micros(at: Instant) -> u32 {
    u32::try_from(at.as_nanos() / 1000 % (1 << 32)).expect("it is below 2^32")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn messages_survive_the_wire_and_nothing_else_does() {
        for message in [WayMessage::Sent(7), WayMessage::Took(u32::MAX)] {
            assert_eq!(WayMessage::decode(&message.encode()), Some(message));
        }
        for odd in [&b""[..], b"\0", b"\0abc", b"\0abcde", b"\x02abcd"] {
            assert_eq!(WayMessage::decode(odd), None);
        }
    }

    #[test]
    fn an_answer_is_a_difference_that_wraps() {
        let late = Instant::ZERO + Duration::from_micros((1 << 32) + 5);
        let question = WayMessage::question(Instant::ZERO + Duration::from_micros((1 << 32) - 5));
        assert_eq!(question.answer(late), Some(WayMessage::Took(10)));
        assert_eq!(WayMessage::Took(10).answer(late), None);
    }
}
