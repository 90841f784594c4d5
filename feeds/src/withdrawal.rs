//! Episodes that their show has taken back, and how it is known that the show did.
//!
//! A show has an Ed25519 key. Its feeds carry the public half, and the show's agents remember the one that they saw
//! first. An episode that is withdrawn is not in the feeds any more; what is there instead is a [`Withdrawal`], signed
//! with that key. An agent that finds one stops fetching and seeding the episode. So a host that has got hold of a
//! feed's address, or a feed that merely forgets old items, takes nothing back.
//!
//! Both stand in the feed's head as `podcast:txt`, which is free for everybody's use:
//!
//! ```xml
//! <podcast:txt purpose="podswarm-key">BASE64</podcast:txt>
//! <podcast:txt purpose="podswarm-withdrawn">BASE64 2026-11-20T18:00:00Z GUID</podcast:txt>
//! ```
//!
//! Signed are the lines `podswarm withdrawal`, the time and the guid.
//!
//! Source: RFC 8032; the podcast namespace's `txt` tag.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, Utc};
use data_encoding::BASE64;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde_with::{DeserializeFromStr, SerializeDisplay};

use crate::date::to_the_second;

/// The `purpose` of the key's element.
pub const KEY_PURPOSE: &str = "podswarm-key";

/// The `purpose` of a withdrawal's element.
pub const WITHDRAWN_PURPOSE: &str = "podswarm-withdrawn";

/// The public half of a show's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SerializeDisplay, DeserializeFromStr)]
pub struct ShowKey([u8; 32]);

/// A text that is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the base64 of a public Ed25519 key")]
pub struct ShowKeyError;

impl ShowKey {
    /// The public half of `key`.
    pub fn of(key: &SigningKey) -> Self {
        Self(key.verifying_key().to_bytes())
    }
}

impl FromStr for ShowKey {
    type Err = ShowKeyError;

    fn from_str(text: &str) -> Result<Self, ShowKeyError> {
        let bytes = BASE64.decode(text.trim().as_bytes()).map_err(|_| ShowKeyError)?;
        let bytes = bytes.try_into().map_err(|_| ShowKeyError)?;
        VerifyingKey::from_bytes(&bytes).map(|_| Self(bytes)).map_err(|_| ShowKeyError)
    }
}

impl fmt::Display for ShowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        BASE64.encode_display(&self.0).fmt(f)
    }
}

/// A show's word that it has taken an episode back.
#[derive(Clone, Debug, PartialEq, Eq, SerializeDisplay, DeserializeFromStr)]
pub struct Withdrawal {
    /// The episode's.
    pub guid: String,
    /// When, to the second.
    pub at: DateTime<Utc>,
    signature: Signature,
}

#[cfg(feature = "schema")]
impl utoipa::PartialSchema for Withdrawal {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        String::schema()
    }
}

#[cfg(feature = "schema")]
impl utoipa::ToSchema for Withdrawal {}

/// A text that is no withdrawal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a signature, a time and a guid")]
pub struct WithdrawalError;

impl Withdrawal {
    /// Takes back the episode `guid` of the show whose key this is.
    pub fn sign(key: &SigningKey, guid: &str, at: DateTime<Utc>) -> Self {
        let at = to_the_second(at);
        Self { guid: guid.to_owned(), at, signature: key.sign(&signed(guid, at)) }
    }

    /// Whether the show that has this key said so.
    pub fn is_by(&self, key: &ShowKey) -> bool {
        VerifyingKey::from_bytes(&key.0)
            .is_ok_and(|key| key.verify_strict(&signed(&self.guid, self.at), &self.signature).is_ok())
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn signed(guid: &str, at: DateTime<Utc>) -> Vec<u8> {
    format!("podswarm withdrawal\n{}\n{guid}", time(at)).into_bytes()
}

impl fmt::Display for Withdrawal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", BASE64.encode_display(&self.signature.to_bytes()), time(self.at), self.guid)
    }
}

impl FromStr for Withdrawal {
    type Err = WithdrawalError;

    fn from_str(text: &str) -> Result<Self, WithdrawalError> {
        let mut words = text.trim().splitn(3, ' ');
        let (Some(signature), Some(at), Some(guid)) = (words.next(), words.next(), words.next()) else {
            return Err(WithdrawalError);
        };
        let signature = BASE64.decode(signature.as_bytes()).map_err(|_| WithdrawalError)?;
        let signature = Signature::from_slice(&signature).map_err(|_| WithdrawalError)?;
        let at = DateTime::parse_from_rfc3339(at).map_err(|_| WithdrawalError)?.to_utc();
        Ok(Self { guid: guid.to_owned(), at, signature })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + seconds, 500).unwrap()
    }

    #[test]
    fn a_withdrawal_is_its_shows_as_it_was_written_and_no_other() {
        let withdrawal = Withdrawal::sign(&key(1), "a guid", at(0));
        let read: Withdrawal = withdrawal.to_string().parse().unwrap();
        assert_eq!(read, withdrawal);
        assert!(read.is_by(&ShowKey::of(&key(1))));
        assert!(!read.is_by(&ShowKey::of(&key(2))), "another show's");
        assert!(!Withdrawal { guid: "another".to_owned(), ..read.clone() }.is_by(&ShowKey::of(&key(1))));
        assert!(!Withdrawal { at: at(1), ..read }.is_by(&ShowKey::of(&key(1))));
    }

    #[test]
    fn a_key_is_read_as_it_is_written() {
        let public = ShowKey::of(&key(1));
        assert_eq!(public.to_string().parse(), Ok(public));
        for bad in ["", "AAAA", "not base64", &"A".repeat(43)] {
            assert_eq!(bad.parse::<ShowKey>(), Err(ShowKeyError), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,200}", tail in ".{0,20}") {
            let _ = text.parse::<Withdrawal>();
            let _ = text.parse::<ShowKey>();
            let forged = format!("{} {tail}", BASE64.encode(&[7; 64]));
            if let Ok(withdrawal) = forged.parse::<Withdrawal>() {
                prop_assert!(!withdrawal.is_by(&ShowKey::of(&key(1))));
            }
        }
    }
}
