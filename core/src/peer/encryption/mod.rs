//! Encryption of connections, for those whose network hinders what looks like BitTorrent. MSE/PE; peers after BEP 3.
//!
//! Both sides agree on a secret by Diffie-Hellman, and the [`Initiator`] shows with it that it knows the torrent, so
//! that a stranger learns nothing from what the [`Responder`] says. RC4 hides the rest of the handshake, and after it
//! everything or nothing, as both sides agree.
//!
//! ```text
//! initiator                                                         responder
//!   Ya, pad                                                   ──►
//!                                                             ◄──   Yb, pad
//!   HASH(req1, S), HASH(req2, SKEY) xor HASH(req3, S),
//!   ENCRYPT(VC, methods offered, pad, initial payload)        ──►
//!                                                             ◄──   ENCRYPT(VC, method chosen, pad)
//!   the peer protocol, begun by the initial payload           ◄─►   the peer protocol
//! ```
//!
//! It hides and proves nothing: whoever knows the info-hash and sits between both can read all. A [`Method::Plain`]
//! connection runs at full speed, so it is what we choose unless the owner wants otherwise.
//!
//! In reading order: [`keys`] is the arithmetic, [`cipher`] is RC4, [`search`] finds where the padding ends,
//! [`initiator`] and [`responder`] are the two sides.
//!
//! Laws: each side asks for no more bytes than are sure to belong to the handshake, so nothing that follows it is lost;
//! it takes at most [`MAX_PAD`] bytes in vain, and [`MAX_PAYLOAD`] of initial payload; a key that would make the secret
//! known to all is refused.
//!
//! Source: Message Stream Encryption, wiki.vuze.com; there is no BEP.

pub mod keys;
pub mod cipher;
pub mod search;
pub mod initiator;
pub mod responder;

use std::fmt;

pub use cipher::{Cipher, Ciphers};
pub use initiator::{Initiator, Progress};
pub use keys::{PublicKey, Skeys};
pub use responder::{Accepted, Responder};

use crate::rng::Rng;

/// The most bytes of padding.
pub const MAX_PAD: usize = 512;
/// The most bytes of initial payload that are taken; clients send the 68 of their handshake, and perhaps a few
/// messages.
pub const MAX_PAYLOAD: usize = 16 * 1024;
/// What shows that both sides have the same key, before it is encrypted.
const VERIFICATION_CONSTANT: [u8; 8] = [0; 8];

/// Whether the owner wants connections to be encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    /// Never.
    Off,
    /// The handshake where the peer can, and the rest where the peer insists.
    #[default]
    Prefer,
    /// Everything, always.
    Require,
}

impl Encryption {
    /// All of them, in the order in which they are explained.
    pub const ALL: [Self; 3] = [Self::Off, Self::Prefer, Self::Require];

    /// Its name among settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Prefer => "prefer",
            Self::Require => "require",
        }
    }

    /// The methods that we offer, as bits.
    const fn offered(self) -> u32 {
        match self {
            Self::Off => 0,
            Self::Prefer => Method::Plain as u32 | Method::Rc4 as u32,
            Self::Require => Method::Rc4 as u32,
        }
    }

    /// The best of the methods that a peer offers.
    fn choose(self, theirs: u32) -> Result<Method, EncryptionFault> {
        let both = theirs & self.offered();
        let offers = |method: &Method| both & *method as u32 != 0;
        [Method::Plain, Method::Rc4].into_iter().find(offers).ok_or(EncryptionFault::Methods(theirs))
    }

    /// The method that a peer has chosen of those that we offered.
    fn chosen(self, theirs: u32) -> Result<Method, EncryptionFault> {
        let is_chosen = |method: &Method| theirs == *method as u32 && self.offered() & theirs != 0;
        [Method::Plain, Method::Rc4].into_iter().find(is_chosen).ok_or(EncryptionFault::Methods(theirs))
    }
}

impl fmt::Display for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a connection begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// With the handshake of the peer protocol.
    Plain,
    /// With our key.
    Encrypted,
}

/// How a connection goes on after the encrypted handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Without encryption.
    Plain = 1,
    /// Encrypted.
    Rc4 = 2,
}

/// The peer broke a rule of the encrypted handshake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncryptionFault {
    /// It makes the secret known to all, or is no number of the group.
    #[error("peer's key is none")]
    Key,
    /// There is no end to the padding.
    #[error("{MAX_PAD} bytes of padding are not followed by {0}")]
    Endless(&'static str),
    /// Nobody here has the torrent.
    #[error("peer asks for a torrent that is not here")]
    UnknownTorrent,
    /// Both sides have different keys.
    #[error("peer's verification constant is wrong")]
    Verification,
    /// More padding than is allowed.
    #[error("peer announces {0} bytes of padding; want at most {MAX_PAD}")]
    Padding(u16),
    /// More initial payload than is taken.
    #[error("peer announces {0} bytes of initial payload; want at most {MAX_PAYLOAD}")]
    Payload(u16),
    /// No method that suits both.
    #[error("peer names the encryption methods {0:#x}, and none of them may be used")]
    Methods(u32),
}

/// Bytes that arrive until a known number of them is there.
#[derive(Clone, Debug)]
struct Gather {
    bytes: Vec<u8>,
    length: usize,
}

impl Gather {
    const fn new(length: usize) -> Self {
        Self { bytes: Vec::new(), length }
    }

    fn missing(&self) -> usize {
        self.length - self.bytes.len()
    }

    /// Takes bytes in; gives all once they are there.
    fn add(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        self.bytes.extend_from_slice(bytes);
        (self.missing() == 0).then(|| std::mem::take(&mut self.bytes))
    }
}

/// Padding of random length; random bytes if it is not going to be encrypted.
fn padding(rng: &mut Rng) -> Vec<u8> {
    let mut pad = vec![0; rng.below(MAX_PAD + 1)];
    rng.fill(&mut pad);
    pad
}

/// A length in two bytes, as padding and payload are preceded by.
fn length_prefix(bytes: &[u8]) -> [u8; 2] {
    u16::try_from(bytes.len()).expect("what we send is short").to_be_bytes()
}

/// Methods as bits and the length of the padding that follows them.
fn methods_and_padding(bytes: &[u8]) -> Result<(u32, usize), EncryptionFault> {
    let bytes: [u8; 6] = bytes.try_into().expect("as many bytes were gathered");
    let [a, b, c, d, high, low] = bytes;
    let padding = u16::from_be_bytes([high, low]);
    if usize::from(padding) > MAX_PAD {
        return Err(EncryptionFault::Padding(padding));
    }
    Ok((u32::from_be_bytes([a, b, c, d]), padding.into()))
}

#[cfg(test)]
mod tests;
