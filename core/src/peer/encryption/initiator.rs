//! The side that dials: it names the torrent, and sends the first bytes of the peer protocol along.

use super::cipher::Ciphers;
use super::keys::{KEY_LENGTH, PrivateKey, PublicKey, named};
use super::search::Search;
use super::{
    Cipher, Encryption, EncryptionFault, Gather, Method, VERIFICATION_CONSTANT, length_prefix, methods_and_padding,
    padding,
};
use crate::rng::Rng;

/// The handshake of one connection that we open.
#[derive(Debug)]
pub struct Initiator {
    encryption: Encryption,
    skey: [u8; 20],
    payload: Vec<u8>,
    rng: Rng,
    stage: Stage,
}

/// What is waited for.
#[derive(Debug)]
enum Stage {
    /// The peer's key.
    Key(PrivateKey, Gather),
    /// The verification constant.
    Verification(Search, Ciphers),
    /// The method and the length of the padding.
    Choice(Gather, Ciphers),
    Padding(Gather, Ciphers, Method),
    Done,
}

/// How far the handshake is.
#[derive(Debug)]
pub enum Progress {
    /// More is to be read.
    Waiting,
    /// This is to be sent, and more to be read.
    Send(Vec<u8>),
    /// The peer's first bytes of the peer protocol come next, encrypted if ciphers are given.
    Done(Option<Ciphers>),
}

impl Initiator {
    /// Begins; the bytes are to be sent. `skey` is the info-hash as it stands in handshakes, `payload` the beginning of
    /// what we say in the peer protocol, at most [`super::MAX_PAYLOAD`] bytes.
    pub fn new(encryption: Encryption, skey: [u8; 20], payload: Vec<u8>, mut rng: Rng) -> (Self, Vec<u8>) {
        let key = PrivateKey::generate(&mut rng);
        let mut hello = key.public().encode().to_vec();
        hello.append(&mut padding(&mut rng));
        (Self { encryption, skey, payload, rng, stage: Stage::Key(key, Gather::new(KEY_LENGTH)) }, hello)
    }

    /// How many bytes are to be read next; none once it is done.
    pub fn wants(&self) -> usize {
        match &self.stage {
            Stage::Key(_, gather) | Stage::Choice(gather, _) | Stage::Padding(gather, ..) => gather.missing(),
            Stage::Verification(search, _) => search.missing(),
            Stage::Done => 0,
        }
    }

    /// Whether the peer has shown a key, and so speaks this protocol.
    pub const fn is_answered(&self) -> bool {
        !matches!(self.stage, Stage::Key(..))
    }

    /// Takes bytes in, no more than it wants.
    pub fn received(&mut self, bytes: &[u8]) -> Result<Progress, EncryptionFault> {
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Key(key, mut gather) => match gather.add(bytes) {
                None => self.stage = Stage::Key(key, gather),
                Some(theirs) => return self.name_torrent(&key, &theirs),
            },
            Stage::Verification(mut search, mut ciphers) => {
                self.stage = if search.add(bytes)? {
                    ciphers.incoming.apply(&mut [0; VERIFICATION_CONSTANT.len()]);
                    Stage::Choice(Gather::new(6), ciphers)
                } else {
                    Stage::Verification(search, ciphers)
                };
            }
            Stage::Choice(mut gather, mut ciphers) => {
                let Some(mut choice) = gather.add(bytes) else {
                    self.stage = Stage::Choice(gather, ciphers);
                    return Ok(Progress::Waiting);
                };
                ciphers.incoming.apply(&mut choice);
                let (methods, padding) = methods_and_padding(&choice)?;
                let method = self.encryption.chosen(methods)?;
                return Ok(self.pad(Gather::new(padding), &[], ciphers, method));
            }
            Stage::Padding(padding, ciphers, method) => return Ok(self.pad(padding, bytes, ciphers, method)),
            Stage::Done => {}
        }
        Ok(Progress::Waiting)
    }

    fn name_torrent(&mut self, key: &PrivateKey, theirs: &[u8]) -> Result<Progress, EncryptionFault> {
        let theirs = PublicKey::decode(theirs.try_into().expect("as many bytes were gathered"))?;
        let secret = key.secret(&theirs);
        let mut ciphers =
            Ciphers { outgoing: secret.initiator_cipher(&self.skey), incoming: secret.responder_cipher(&self.skey) };
        let pad = padding(&mut self.rng);
        let mut hidden = VERIFICATION_CONSTANT.to_vec();
        hidden.extend_from_slice(&self.encryption.offered().to_be_bytes());
        hidden.extend_from_slice(&length_prefix(&pad));
        hidden.extend_from_slice(&pad);
        hidden.extend_from_slice(&length_prefix(&self.payload));
        hidden.append(&mut self.payload);
        ciphers.outgoing.apply(&mut hidden);
        let mut marker = VERIFICATION_CONSTANT;
        // The peer's cipher is needed from its beginning again, once the marker is found.
        let mut ahead: Cipher = secret.responder_cipher(&self.skey);
        ahead.apply(&mut marker);
        self.stage = Stage::Verification(Search::new(marker.to_vec(), "the verification constant"), ciphers);
        Ok(Progress::Send([&secret.marker()[..], &secret.obscure(named(&self.skey)), &hidden].concat()))
    }

    fn pad(&mut self, mut padding: Gather, bytes: &[u8], mut ciphers: Ciphers, method: Method) -> Progress {
        let Some(mut pad) = padding.add(bytes) else {
            self.stage = Stage::Padding(padding, ciphers, method);
            return Progress::Waiting;
        };
        ciphers.incoming.apply(&mut pad);
        Progress::Done((method == Method::Rc4).then_some(ciphers))
    }
}
