//! The side that is dialled: it finds out which torrent is meant, and chooses the method.

use std::sync::Arc;

use super::cipher::Ciphers;
use super::keys::{PrivateKey, PublicKey, Secret, Skeys};
use super::search::Search;
use super::{
    Encryption, EncryptionFault, Gather, MAX_PAYLOAD, Method, VERIFICATION_CONSTANT, length_prefix,
    methods_and_padding, padding,
};
use crate::rng::Rng;

/// The handshake of one connection that a peer opens, after the peer's key.
#[derive(Debug)]
pub struct Responder {
    encryption: Encryption,
    skeys: Arc<Skeys>,
    secret: Secret,
    rng: Rng,
    stage: Stage,
}

/// What is waited for.
#[derive(Debug)]
enum Stage {
    /// The end of the padding.
    Marker(Search),
    /// The torrent.
    Torrent(Gather),
    /// The verification constant, the methods and the length of the padding.
    Offer(Gather, Ciphers),
    /// The padding and the length of the initial payload.
    Padding(Gather, Ciphers, Method),
    Payload(Gather, Ciphers, Method),
    Done,
}

/// A handshake that is done.
#[derive(Debug)]
pub struct Accepted {
    /// What is to be sent.
    pub answer: Vec<u8>,
    /// The first bytes of the peer protocol, not encrypted any more.
    pub payload: Vec<u8>,
    /// What encrypts the rest, if anything.
    pub ciphers: Option<Ciphers>,
}

impl Responder {
    /// Answers the peer's key; the bytes are to be sent. Some hundred microseconds of work.
    pub fn new(encryption: Encryption, theirs: &PublicKey, skeys: Arc<Skeys>, mut rng: Rng) -> (Self, Vec<u8>) {
        let key = PrivateKey::generate(&mut rng);
        let mut hello = key.public().encode().to_vec();
        hello.append(&mut padding(&mut rng));
        let secret = key.secret(theirs);
        let stage = Stage::Marker(Search::new(secret.marker().to_vec(), "proof of a secret"));
        (Self { encryption, skeys, secret, rng, stage }, hello)
    }

    /// How many bytes are to be read next; none once it is done.
    pub fn wants(&self) -> usize {
        match &self.stage {
            Stage::Marker(search) => search.missing(),
            Stage::Torrent(gather)
            | Stage::Offer(gather, _)
            | Stage::Padding(gather, ..)
            | Stage::Payload(gather, ..) => gather.missing(),
            Stage::Done => 0,
        }
    }

    /// Takes bytes in, no more than it wants.
    pub fn received(&mut self, bytes: &[u8]) -> Result<Option<Accepted>, EncryptionFault> {
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Marker(mut search) => {
                self.stage = if search.add(bytes)? { Stage::Torrent(Gather::new(20)) } else { Stage::Marker(search) };
            }
            Stage::Torrent(mut gather) => {
                self.stage = match gather.add(bytes) {
                    None => Stage::Torrent(gather),
                    Some(obscured) => self.torrent(&obscured)?,
                };
            }
            Stage::Offer(mut gather, ciphers) => {
                self.stage = match gather.add(bytes) {
                    None => Stage::Offer(gather, ciphers),
                    Some(offer) => self.offer(&offer, ciphers)?,
                };
            }
            Stage::Padding(mut gather, mut ciphers, method) => {
                let Some(mut padding) = gather.add(bytes) else {
                    self.stage = Stage::Padding(gather, ciphers, method);
                    return Ok(None);
                };
                ciphers.incoming.apply(&mut padding);
                let length = *padding.last_chunk().expect("the length was gathered, too");
                let length = u16::from_be_bytes(length);
                if usize::from(length) > MAX_PAYLOAD {
                    return Err(EncryptionFault::Payload(length));
                }
                return Ok(self.payload(Gather::new(length.into()), &[], ciphers, method));
            }
            Stage::Payload(gather, ciphers, method) => return Ok(self.payload(gather, bytes, ciphers, method)),
            Stage::Done => {}
        }
        Ok(None)
    }

    fn torrent(&self, obscured: &[u8]) -> Result<Stage, EncryptionFault> {
        let obscured = obscured.try_into().expect("as many bytes were gathered");
        let skey = self.skeys.find(obscured, &self.secret).ok_or(EncryptionFault::UnknownTorrent)?;
        let (incoming, outgoing) = (self.secret.initiator_cipher(&skey), self.secret.responder_cipher(&skey));
        Ok(Stage::Offer(Gather::new(VERIFICATION_CONSTANT.len() + 6), Ciphers { incoming, outgoing }))
    }

    fn offer(&self, offer: &[u8], mut ciphers: Ciphers) -> Result<Stage, EncryptionFault> {
        let mut offer = offer.to_vec();
        ciphers.incoming.apply(&mut offer);
        let (verification, rest) = offer.split_at(VERIFICATION_CONSTANT.len());
        if verification != VERIFICATION_CONSTANT {
            return Err(EncryptionFault::Verification);
        }
        let (methods, padding) = methods_and_padding(rest)?;
        let method = self.encryption.choose(methods)?;
        Ok(Stage::Padding(Gather::new(padding + 2), ciphers, method))
    }

    fn payload(&mut self, mut gather: Gather, bytes: &[u8], mut ciphers: Ciphers, method: Method) -> Option<Accepted> {
        let Some(mut payload) = gather.add(bytes) else {
            self.stage = Stage::Payload(gather, ciphers, method);
            return None;
        };
        ciphers.incoming.apply(&mut payload);
        let pad = padding(&mut self.rng);
        let mut answer = VERIFICATION_CONSTANT.to_vec();
        answer.extend_from_slice(&(method as u32).to_be_bytes());
        answer.extend_from_slice(&length_prefix(&pad));
        answer.extend_from_slice(&pad);
        ciphers.outgoing.apply(&mut answer);
        Some(Accepted { answer, payload, ciphers: (method == Method::Rc4).then_some(ciphers) })
    }
}
