//! The arithmetic: a prime of 768 bits, 2 as its generator, secrets of 160 bits, and the hashes made of them.
//!
//! Law: of equal secrets come equal hashes and keys, whoever computes them.

use std::collections::BTreeMap;

use crypto_bigint::modular::{ConstMontyForm, ConstMontyParams as _};
use crypto_bigint::{U192, U768, const_monty_params};
use sha1::{Digest as _, Sha1};

use super::EncryptionFault;
use super::cipher::Cipher;
use crate::rng::Rng;

/// The length of a public key, in bytes.
pub const KEY_LENGTH: usize = 96;
/// A SHA-1 digest.
pub(super) type Hash = [u8; 20];
/// The bits of a private key; more would make the secret no safer.
const PRIVATE_BITS: u32 = 160;

const_monty_params!(
    Prime,
    U768,
    "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404ddef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a63a36210000000000090563",
    "The prime that all peers agree on."
);
type Element = ConstMontyForm<Prime, { U768::LIMBS }>;

/// What a peer shows of its private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(U768);

impl PublicKey {
    /// Reads a peer's key. Keys of which everybody knows the secret that they lead to are refused.
    pub fn decode(bytes: &[u8; KEY_LENGTH]) -> Result<Self, EncryptionFault> {
        let key = U768::from_be_slice(bytes);
        let greatest = Prime::PARAMS.modulus().as_ref().wrapping_sub(&U768::from_u8(2));
        if key <= U768::ONE || key > greatest { Err(EncryptionFault::Key) } else { Ok(Self(key)) }
    }

    /// The bytes to send.
    pub(super) fn encode(&self) -> [u8; KEY_LENGTH] {
        bytes_of(&self.0)
    }
}

/// What a peer keeps for itself.
pub(super) struct PrivateKey(U192);

impl PrivateKey {
    pub(super) fn generate(rng: &mut Rng) -> Self {
        let mut bytes = [0; 24];
        rng.fill(&mut bytes[4..]);
        Self(U192::from_be_slice(&bytes))
    }

    /// Some fifty microseconds of work.
    pub(super) fn public(&self) -> PublicKey {
        PublicKey(self.power_of(&U768::from_u8(2)))
    }

    /// The secret shared with whoever has shown `theirs`. As much work again.
    pub(super) fn secret(&self, theirs: &PublicKey) -> Secret {
        Secret(bytes_of(&self.power_of(&theirs.0)))
    }

    fn power_of(&self, base: &U768) -> U768 {
        Element::new(base).pow_bounded_exp(&self.0, PRIVATE_BITS).retrieve()
    }
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PrivateKey")
    }
}

/// What only the two sides of a connection know.
pub(super) struct Secret([u8; KEY_LENGTH]);

impl Secret {
    /// What the initiator's padding ends with.
    pub(super) fn marker(&self) -> Hash {
        hash(&[b"req1", &self.0])
    }

    /// The torrent, as it is named without naming it; the same again names the torrent's hash.
    pub(super) fn obscure(&self, torrent: Hash) -> Hash {
        let mask = hash(&[b"req3", &self.0]);
        std::array::from_fn(|at| torrent[at] ^ mask[at])
    }

    /// The cipher of what the initiator sends.
    pub(super) fn initiator_cipher(&self, skey: &[u8; 20]) -> Cipher {
        Cipher::new(&hash(&[b"keyA", &self.0, skey]))
    }

    /// The cipher of what the responder sends.
    pub(super) fn responder_cipher(&self, skey: &[u8; 20]) -> Cipher {
        Cipher::new(&hash(&[b"keyB", &self.0, skey]))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// The torrents that peers may ask for, each found by what is said of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skeys(BTreeMap<Hash, [u8; 20]>);

impl Skeys {
    /// Those of these info-hashes, as they stand in handshakes.
    pub fn of(info_hashes: impl IntoIterator<Item = [u8; 20]>) -> Self {
        Self(info_hashes.into_iter().map(|skey| (named(&skey), skey)).collect())
    }

    pub(super) fn find(&self, obscured: Hash, secret: &Secret) -> Option<[u8; 20]> {
        self.0.get(&secret.obscure(obscured)).copied()
    }
}

/// The hash of a torrent that the initiator names.
pub(super) fn named(skey: &[u8; 20]) -> Hash {
    hash(&[b"req2", skey])
}

fn hash(parts: &[&[u8]]) -> Hash {
    let mut sha1 = Sha1::new();
    for part in parts {
        sha1.update(part);
    }
    sha1.finalize().into()
}

fn bytes_of(number: &U768) -> [u8; KEY_LENGTH] {
    let mut bytes = [0; KEY_LENGTH];
    bytes.copy_from_slice(number.to_be_bytes().as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_come_to_the_same_secret() {
        let mut rng = Rng::from_seed_u64(1);
        for _ in 0..20 {
            let (ours, theirs) = (PrivateKey::generate(&mut rng), PrivateKey::generate(&mut rng));
            let shown = PublicKey::decode(&theirs.public().encode()).unwrap();
            assert_eq!(ours.secret(&shown).0, theirs.secret(&ours.public()).0);
        }
    }

    #[test]
    fn powers_of_two_are_what_they_are() {
        let mut want = [0; KEY_LENGTH];
        want[KEY_LENGTH - 5] = 4;
        assert_eq!(PrivateKey(U192::from_u8(34)).public().encode(), want);
        // The prime begins with 64 ones: 2^768 leaves what is missing to 2^768.
        let wrapped = PrivateKey(U192::from_u16(768)).public().encode();
        assert_eq!(wrapped[..8], [0; 8]);
        assert_eq!(wrapped[8..12], [0x36, 0xf0, 0x25, 0x5d]);
    }

    #[test]
    fn keys_that_make_the_secret_known_are_refused() {
        let bytes = |number: &U768| bytes_of(number);
        let modulus: &U768 = Prime::PARAMS.modulus().as_ref();
        let minus = |n: u8| modulus.wrapping_sub(&U768::from_u8(n));
        for bad in [U768::ZERO, U768::ONE, minus(1), *modulus, U768::MAX] {
            assert_eq!(PublicKey::decode(&bytes(&bad)), Err(EncryptionFault::Key));
        }
        for good in [U768::from_u8(2), minus(2)] {
            assert!(PublicKey::decode(&bytes(&good)).is_ok());
        }
    }

    #[test]
    fn a_torrent_is_found_by_those_who_have_it_alone() {
        let mut rng = Rng::from_seed_u64(2);
        let secret = PrivateKey::generate(&mut rng).secret(&PrivateKey::generate(&mut rng).public());
        let skeys = Skeys::of([[1; 20], [2; 20]]);
        assert_eq!(skeys.find(secret.obscure(named(&[2; 20])), &secret), Some([2; 20]));
        assert_eq!(skeys.find(secret.obscure(named(&[3; 20])), &secret), None);
    }
}
