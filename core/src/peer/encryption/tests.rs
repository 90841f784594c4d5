//! Both sides against one another, and against those who break the rules.

use std::sync::Arc;

use proptest::prelude::*;

use super::keys::KEY_LENGTH;
use super::*;
use crate::rng::Rng;

const SKEY: [u8; 20] = [7; 20];
const AFTER: &[u8] = b"what comes after the handshake";

/// What each side has in the end: what came first in the peer protocol, and the ciphers.
struct Met {
    payload: Vec<u8>,
    responder: Option<Ciphers>,
    initiator: Option<Ciphers>,
}

fn rng(seed: u64) -> Rng {
    Rng::from_seed_u64(seed)
}

fn skeys() -> Arc<Skeys> {
    Arc::new(Skeys::of([[1; 20], SKEY, [9; 20]]))
}

/// Gives `pipe` to a side in lots of at most `lot` bytes, until it wants no more or has an answer; what it has not
/// taken stays.
fn give<T>(
    pipe: &mut Vec<u8>,
    lot: usize,
    mut side: impl FnMut(&[u8]) -> Result<(usize, Option<T>), EncryptionFault>,
) -> Result<Option<T>, EncryptionFault> {
    let (mut wants, _) = side(&[])?;
    while wants > 0 && !pipe.is_empty() {
        let now: Vec<u8> = pipe.drain(..wants.min(lot).min(pipe.len())).collect();
        let (next, answer) = side(&now)?;
        if answer.is_some() {
            return Ok(answer);
        }
        wants = next;
    }
    Ok(None)
}

/// Lets both sides meet; bytes arrive in lots of at most `lot`, and each side has said more by then.
fn meet(
    dials: Encryption,
    answers: Encryption,
    skey: [u8; 20],
    payload: &[u8],
    seed: u64,
    lot: usize,
) -> Result<Met, EncryptionFault> {
    let (mut initiator, hello) = Initiator::new(dials, skey, payload.to_vec(), rng(seed));
    let theirs = PublicKey::decode(hello[..KEY_LENGTH].try_into().unwrap())?;
    let mut to_responder = hello[KEY_LENGTH..].to_vec();
    let (mut responder, mut to_initiator) = Responder::new(answers, &theirs, skeys(), rng(seed + 1));
    let mut accepted = None;
    loop {
        let progress = give(&mut to_initiator, lot, |bytes| {
            if bytes.is_empty() {
                return Ok((initiator.wants(), None));
            }
            let progress = match initiator.received(bytes)? {
                Progress::Waiting => None,
                progress => Some(progress),
            };
            Ok((initiator.wants(), progress))
        })?;
        match progress {
            Some(Progress::Done(ciphers)) => {
                assert_eq!(to_initiator, AFTER, "nothing that follows is swallowed");
                let Accepted { payload, ciphers: responder, .. } = accepted.expect("it has answered");
                return Ok(Met { payload, responder, initiator: ciphers });
            }
            Some(Progress::Send(mut bytes)) => {
                to_responder.append(&mut bytes);
                to_responder.extend_from_slice(AFTER);
            }
            _ => {}
        }
        let answer = give(&mut to_responder, lot, |bytes| {
            if bytes.is_empty() {
                return Ok((responder.wants(), None));
            }
            let accepted = responder.received(bytes)?;
            Ok((responder.wants(), accepted))
        })?;
        if let Some(answer) = answer {
            assert_eq!(to_responder, AFTER, "nothing that follows is swallowed");
            to_initiator.extend_from_slice(&answer.answer);
            to_initiator.extend_from_slice(AFTER);
            accepted = Some(answer);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn both_sides_meet_however_their_bytes_arrive(
        seed in any::<u32>(),
        lot in prop_oneof![1..10_usize, 1..2000_usize],
        payload in prop::collection::vec(any::<u8>(), 0..200),
        (dials, answers) in prop_oneof![
            Just((Encryption::Prefer, Encryption::Prefer)),
            Just((Encryption::Require, Encryption::Prefer)),
            Just((Encryption::Prefer, Encryption::Require)),
            Just((Encryption::Require, Encryption::Require)),
        ],
    ) {
        let met = meet(dials, answers, SKEY, &payload, seed.into(), lot).unwrap();
        prop_assert_eq!(&met.payload, &payload);
        let plain = dials == Encryption::Prefer && answers == Encryption::Prefer;
        prop_assert_eq!((met.initiator.is_none(), met.responder.is_none()), (plain, plain));
        if let (Some(mut ours), Some(mut theirs)) = (met.initiator, met.responder) {
            let mut bytes = AFTER.to_vec();
            ours.outgoing.apply(&mut bytes);
            prop_assert_ne!(&bytes, AFTER);
            theirs.incoming.apply(&mut bytes);
            prop_assert_eq!(&bytes, AFTER);
            theirs.outgoing.apply(&mut bytes);
            ours.incoming.apply(&mut bytes);
            prop_assert_eq!(&bytes, AFTER);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000), lot in 1..100_usize) {
        let (mut initiator, hello) = Initiator::new(Encryption::Prefer, SKEY, Vec::new(), rng(1));
        let _ = give::<()>(&mut bytes.clone(), lot, |bytes| {
            if !bytes.is_empty() {
                initiator.received(bytes)?;
            }
            Ok((initiator.wants(), None))
        });
        let theirs = PublicKey::decode(hello[..KEY_LENGTH].try_into().unwrap()).unwrap();
        let (mut responder, _) = Responder::new(Encryption::Prefer, &theirs, skeys(), rng(2));
        let _ = give::<()>(&mut bytes.clone(), lot, |bytes| {
            if !bytes.is_empty() {
                responder.received(bytes)?;
            }
            Ok((responder.wants(), None))
        });
    }
}

#[test]
fn a_torrent_that_is_not_here_is_refused() {
    let refused = meet(Encryption::Prefer, Encryption::Prefer, [8; 20], b"", 1, 100).map(drop);
    assert_eq!(refused, Err(EncryptionFault::UnknownTorrent));
}

#[test]
fn nobody_is_led_to_a_method_that_he_does_not_want() {
    for (theirs, want) in [(1, Method::Plain), (2, Method::Rc4), (3, Method::Plain), (0xff, Method::Plain)] {
        assert_eq!(Encryption::Prefer.choose(theirs), Ok(want));
    }
    assert_eq!(Encryption::Require.choose(3), Ok(Method::Rc4));
    for (encryption, theirs) in [(Encryption::Require, 1), (Encryption::Prefer, 0), (Encryption::Prefer, 4)] {
        assert_eq!(encryption.choose(theirs), Err(EncryptionFault::Methods(theirs)));
    }
    assert_eq!(Encryption::Prefer.chosen(1), Ok(Method::Plain));
    // A choice is one, and one that was offered.
    for (encryption, theirs) in [(Encryption::Prefer, 3), (Encryption::Prefer, 0), (Encryption::Require, 1)] {
        assert_eq!(encryption.chosen(theirs), Err(EncryptionFault::Methods(theirs)));
    }
}

/// What a responder says to an initiator that is right up to what it encrypts, which is `hidden`.
fn responder_hears(hidden: &[u8]) -> Result<Option<Accepted>, EncryptionFault> {
    let mut rng = rng(5);
    let key = keys::PrivateKey::generate(&mut rng);
    let (mut responder, hello) = Responder::new(Encryption::Prefer, &key.public(), skeys(), rng.fork(1));
    let secret = key.secret(&PublicKey::decode(hello[..KEY_LENGTH].try_into().unwrap())?);
    let mut hidden = hidden.to_vec();
    secret.initiator_cipher(&SKEY).apply(&mut hidden);
    let mut bytes = [&secret.marker()[..], &secret.obscure(keys::named(&SKEY)), &hidden].concat();
    give(&mut bytes, usize::MAX, |bytes| {
        if bytes.is_empty() {
            return Ok((responder.wants(), None));
        }
        let accepted = responder.received(bytes)?;
        Ok((responder.wants(), accepted))
    })
}

#[test]
fn lengths_and_constants_that_are_wrong_are_refused() {
    let right = [[0; 8].as_slice(), &[0, 0, 0, 1], &[0, 0], &[0, 3], b"abc"].concat();
    assert_eq!(responder_hears(&right).unwrap().map(|accepted| accepted.payload), Some(b"abc".to_vec()));
    let with = |at: usize, bytes: &[u8]| {
        let mut wrong = right.clone();
        wrong[at..at + bytes.len()].copy_from_slice(bytes);
        responder_hears(&wrong).map(drop)
    };
    assert_eq!(with(7, &[1]), Err(EncryptionFault::Verification));
    assert_eq!(with(8, &[0, 0, 0, 0]), Err(EncryptionFault::Methods(0)));
    assert_eq!(with(12, &[2, 1]), Err(EncryptionFault::Padding(513)));
    assert_eq!(with(14, &[0x40, 1]), Err(EncryptionFault::Payload(16385)));
}
