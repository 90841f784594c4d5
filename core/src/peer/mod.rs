//! One peer: who it is, what it says, what it asks for and what we ask of it.
//!
//! The modules in reading order: [`id`] names a client, [`handshake`] opens a connection, [`encryption`] hides it,
//! [`message`] is everything said after it, [`fast`] and [`extension`] are the two extensions spoken, [`exchange`],
//! [`holepunch`], [`metadata`] and [`way`] are what the second carries, [`hashes`] are what v2 torrents need,
//! [`pipeline`] keeps our requests, [`uploads`] keeps theirs, [`shown`] is what they know of us, and [`connection`]
//! puts them together into the state of one connection.
//!
//! Knows nothing of other peers, pieces' rarity or sockets.
//!
//! Source: BEP 3, 6, 9, 10, 11, 16, 20, 52, 55; Message Stream Encryption, which has no BEP.

pub mod id;
pub mod handshake;
pub mod encryption;
pub mod message;
pub mod fast;
pub mod extension;
pub mod exchange;
pub mod holepunch;
pub mod metadata;
pub mod way;
pub mod hashes;
pub mod pipeline;
pub mod uploads;
pub mod shown;
pub mod connection;

pub use connection::{ConnId, Direction, PeerConnection, Promise, Received, Transport};
pub use encryption::Encryption;
pub use exchange::ExchangeMessage;
pub use extension::ExtensionHandshake;
pub use handshake::{Handshake, HandshakeError, Reserved};
pub use hashes::HashRequest;
pub use id::PeerId;
pub use message::{DecodeError, Message};
pub use metadata::MetadataMessage;
pub use shown::Shown;
