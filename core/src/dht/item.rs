//! What somebody lets the nodes keep under his key: a line of his own that he may write anew, and that names a torrent.
//!
//! Whoever has the key signs what he writes, with a number that grows each time; nodes and readers believe nothing
//! else. Under one key there may be several, told apart by their salt. Where one is kept follows from both.
//!
//! Law: nothing is believed that the key has not signed. Sources: BEP 44 (mutable items), BEP 46 (`ih`).

use std::fmt;

use data_encoding::HEXLOWER;
use ed25519_dalek::{Signature, VerifyingKey};
use sha1::{Digest, Sha1};

use super::node_id::NodeId;
use crate::bencode::reader::{Raw, read};
use crate::bencode::{Limits, write_string};

/// The bounds of what is kept. BEP 44 allows a thousand bytes.
const LIMITS: Limits = Limits { bytes: 1000, depth: 6, values: 100 };
/// The longest salt, in bytes.
pub const LONGEST_SALT: usize = 64;

/// What is kept is known by this.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ItemName {
    key: [u8; 32],
    salt: Vec<u8>,
}

/// What a node says is kept, believed by nobody yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Who wrote it.
    pub key: [u8; 32],
    /// That he did.
    pub signature: [u8; 64],
    /// The greater, the later.
    pub seq: i64,
    /// What he wrote, bencoded.
    pub value: Vec<u8>,
}

impl ItemName {
    /// What the owner of `key` keeps under `salt`, which may be empty; `None` if the salt is too long.
    pub fn new(key: [u8; 32], salt: Vec<u8>) -> Option<Self> {
        (salt.len() <= LONGEST_SALT).then_some(Self { key, salt })
    }

    /// The number around which nodes keep it.
    pub fn target(&self) -> NodeId {
        NodeId(Sha1::new().chain_update(self.key).chain_update(&self.salt).finalize().into())
    }

    /// The torrent that it names, in the 20 bytes of handshakes, if it was signed and names one.
    pub fn torrent_of(&self, signed: &Signed) -> Option<[u8; 20]> {
        let key = VerifyingKey::from_bytes(&self.key).ok().filter(|_| signed.key == self.key)?;
        key.verify_strict(&self.text(signed), &Signature::from_bytes(&signed.signature)).ok()?;
        read(&signed.value, LIMITS).ok()?.get(b"ih").and_then(Raw::string)?.try_into().ok()
    }

    /// What is signed.
    fn text(&self, signed: &Signed) -> Vec<u8> {
        let mut text = Vec::new();
        if !self.salt.is_empty() {
            text.extend_from_slice(b"4:salt");
            write_string(&mut text, &self.salt);
        }
        text.extend_from_slice(format!("3:seqi{}e1:v", signed.seq).as_bytes());
        text.extend_from_slice(&signed.value);
        text
    }
}

/// As links write it: `urn:btpk:KEY`, and `&s=SALT` where there is a salt.
impl fmt::Display for ItemName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "urn:btpk:{}", HEXLOWER.encode(&self.key))?;
        if self.salt.is_empty() { Ok(()) } else { write!(f, "&s={}", HEXLOWER.encode(&self.salt)) }
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer, SigningKey};

    use super::*;

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap()
    }

    /// The test vectors of BEP 46.
    #[test]
    fn where_it_is_kept_is_as_the_specification_has_it() {
        let key = bytes("8543d3e6115f0f98c944077a4493dcd543e49c739fd998550a1f614ab36ed63e");
        let target = |salt: &[u8]| HEXLOWER.encode(&ItemName::new(key, salt.to_vec()).unwrap().target().0);
        assert_eq!(target(b""), "cc3f9d90b572172053626f9980ce261a850d050b");
        assert_eq!(target(b"n"), "59ee7c2cb9b4f7eb1986ee2d18fd2fdb8a56554f");
        assert_eq!(ItemName::new(key, vec![0; 65]), None);
    }

    /// Test vectors 1 and 2 of BEP 44.
    #[test]
    fn what_is_signed_is_as_the_specification_has_it() {
        let key = bytes("77ff84905a91936367c01360803104f92432fcd904a43511876df5cdf3e7e548");
        let signed =
            |signature| Signed { key, signature: bytes(signature), seq: 1, value: b"12:Hello World!".to_vec() };
        for (salt, signature) in [
            (
                &b""[..],
                "305ac8aeb6c9c151fa120f120ea2cfb923564e11552d06a5d856091e5e853cff\
                 1260d3f39e4999684aa92eb73ffd136e6f4f3ecbfda0ce53a1608ecd7ae21f01",
            ),
            (
                b"foobar",
                "6834284b6b24c3204eb2fea824d82f88883a3d95e8b4a21b8c0ded553d17d17d\
                 df9a8a7104b1258f30bed3787e6cb896fca78c58f8e03b5f18f14951a87d9a08",
            ),
        ] {
            let name = ItemName::new(key, salt.to_vec()).unwrap();
            let key = VerifyingKey::from_bytes(&key).unwrap();
            let signed = signed(signature);
            key.verify_strict(&name.text(&signed), &Signature::from_bytes(&signed.signature)).unwrap();
            assert_eq!(name.torrent_of(&signed), None, "it names no torrent");
        }
    }

    #[test]
    fn a_torrent_is_believed_only_as_it_was_signed() {
        let owner = SigningKey::from_bytes(&[7; 32]);
        let name = ItemName::new(owner.verifying_key().to_bytes(), b"show".to_vec()).unwrap();
        let sign = |value: &[u8], seq: i64| {
            let mut signed = Signed { key: name.key, signature: [0; 64], seq, value: value.to_vec() };
            signed.signature = owner.sign(&name.text(&signed)).to_bytes();
            signed
        };
        let well = sign(b"d2:ih20:aaaaaaaaaaaaaaaaaaaae", 3);
        assert_eq!(name.torrent_of(&well), Some([b'a'; 20]));
        let other = ItemName::new(name.key, b"other".to_vec()).unwrap();
        assert_eq!(other.torrent_of(&well), None);
        for wrong in [
            Signed { seq: 4, ..well.clone() },
            Signed { value: b"d2:ih20:bbbbbbbbbbbbbbbbbbbbe".to_vec(), ..well.clone() },
            Signed { key: [9; 32], ..well.clone() },
            sign(b"d2:ih3:abce", 3),
            sign(b"i1e", 3),
            sign(b"d", 3),
        ] {
            assert_eq!(name.torrent_of(&wrong), None, "{wrong:?}");
        }
    }
}
