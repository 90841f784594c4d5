//! What a publisher and an agent outside say to each other when the one asks the other to connect back.
//!
//! An agent says in the header [`OFFER`] of its request for a stream of events what it would try. The event [`EVENT`]
//! on that stream asks it, and holds a [`Nonce`]. The agent opens a new connection to the feed's own host and asks for
//! `reach/NONCE` beside the stream; the answer names the [`Doors`] for peers. It knocks at those of them that are at
//! the feed's own host, by a peer id that shows the nonce once more, and tells by POST what came of it, its
//! [`Testimony`].
//!
//! Law: what an agent is told brings it to no host but the feed's own.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use serde::{Deserialize, Serialize};
use serde_with::{DeserializeFromStr, SerializeDisplay};

use crate::metainfo::InfoHash;
use crate::peer::PeerId;
use crate::rng::Rng;

/// The header by which an agent says what it would try.
pub const OFFER: &str = "x-podswarm-witness";

/// The kind of the event that asks it to.
pub const EVENT: &str = "reach";

/// What stands before the nonce in the path that is asked for, beside that of the stream.
pub const PATH: &str = "reach";

/// An agent connects back to one feed's host no more often.
pub const REST: Duration = Duration::from_mins(2);

/// What an agent would try: the port of the feed at least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// The port for peers, too.
    pub peers: bool,
    /// How long it still rests since it last did.
    pub rest: Duration,
}

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("feed")?;
        if self.peers {
            f.write_str(", peers")?;
        }
        match self.rest.as_millis().div_ceil(1000) {
            0 => Ok(()),
            secs => write!(f, ", rest={secs}"),
        }
    }
}

impl Offer {
    /// Reads the header; `None` if what is offered is nothing that we know.
    pub fn read(header: &str) -> Option<Self> {
        let words = || header.split(',').map(str::trim);
        let has = |wanted: &str| words().any(|word| word.eq_ignore_ascii_case(wanted));
        let rest = words().find_map(|word| word.strip_prefix("rest=")?.parse().ok());
        let rest = Duration::from_secs(rest.unwrap_or_default()).min(REST);
        has("feed").then(|| Self { peers: has("peers"), rest })
    }
}

/// What only he can show who was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, SerializeDisplay, DeserializeFromStr)]
pub struct Nonce([u8; 12]);

/// Text that is no nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("want 24 hexadecimal digits")]
pub struct NoNonce;

impl Nonce {
    /// A new one.
    pub fn generate(rng: &mut Rng) -> Self {
        let mut bytes = [0; 12];
        rng.fill(&mut bytes);
        Self(bytes)
    }

    /// The peer id that shows it.
    pub fn peer_id(self) -> PeerId {
        PeerId::ending_in(self.0)
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl FromStr for Nonce {
    type Err = NoNonce;

    fn from_str(text: &str) -> Result<Self, NoNonce> {
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map_err(|_| NoNonce)?;
        bytes.try_into().map(Self).map_err(|_| NoNonce)
    }
}

/// The data of the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// What is to be shown.
    pub nonce: Nonce,
}

/// Where peers are let in, as the tracker tells it to the asker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doors {
    /// The addresses.
    pub peers: Vec<SocketAddr>,
    /// A torrent that is seeded there; without one there is nothing to knock for.
    pub info_hash: Option<InfoHash>,
}

/// What came of knocking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Knocked {
    /// A connection, and no handshake over it.
    Closed,
    /// A handshake was answered.
    LetIn,
    /// Nobody knocked: it is at another host, or the agent's owner wants nothing to do with it.
    NotTried,
    /// A refusal.
    Refused,
    /// No answer.
    Silent,
    /// Nothing leads there.
    Unreachable,
}

impl fmt::Display for Knocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "closed before the handshake",
            Self::LetIn => "let in",
            Self::NotTried => "not tried",
            Self::Refused => "refused",
            Self::Silent => "no answer",
            Self::Unreachable => "no way there",
        })
    }
}

/// One door, and what came of knocking there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// The door.
    pub addr: SocketAddr,
    /// What came of it.
    pub outcome: Knocked,
}

/// What an agent found at the doors that it was told of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Testimony {
    /// Each of them.
    pub peers: Vec<Tried>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_read_as_it_is_written_and_shown_to_peers() {
        let nonce = Nonce::generate(&mut Rng::from_seed_u64(1));
        let text = nonce.to_string();
        assert_eq!((text.len(), text.parse(), text.to_uppercase().parse()), (24, Ok(nonce), Ok(nonce)));
        for bad in ["", "0", "zz", &text[..22], &format!("{text}00"), "../../../../../../etc/pw"] {
            assert_eq!(bad.parse::<Nonce>(), Err(NoNonce), "{bad}");
        }
        assert!(nonce.peer_id().is_ours() && nonce.peer_id().0.ends_with(&nonce.0));
    }

    #[test]
    fn an_offer_is_read_as_it_is_written_and_what_is_unknown_in_it_is_left_out() {
        let offer = |peers, secs| Offer { peers, rest: Duration::from_secs(secs) };
        for (written, text) in
            [(offer(false, 0), "feed"), (offer(true, 0), "feed, peers"), (offer(true, 90), "feed, peers, rest=90")]
        {
            assert_eq!((written.to_string(), Offer::read(text)), (text.to_owned(), Some(written)));
        }
        assert_eq!(Offer { peers: false, rest: Duration::from_millis(1) }.to_string(), "feed, rest=1");
        assert_eq!(Offer::read("mail , Peers,FEED,rest=-1"), Some(offer(true, 0)));
        assert_eq!(Offer::read("feed,rest=99999"), Some(offer(false, REST.as_secs())), "nobody rests for ever");
        assert_eq!([Offer::read(""), Offer::read("peers"), Offer::read("feeds")], [None; 3]);
    }
}
