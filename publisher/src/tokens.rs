//! Tokens, by which people and programs drive the publisher from elsewhere.
//!
//! The owner makes one for each and says what it may do. A token is shown once, when it is made; what is kept is its
//! SHA-256, from which 256 random bits cannot be had again. One that is revoked opens nothing from then on.
//!
//! Source: RFC 6750.

use std::fmt;

use chrono::{DateTime, Utc};
use clap::ValueEnum;
use data_encoding::HEXLOWER;
use podswarm_core::store::Record;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use crate::library::{Library, LibraryError};

/// Longest name, in characters.
const LONGEST_NAME: usize = 64;

/// What who has a token may do; each role includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Role {
    /// See all: figures, drafts, findings.
    ReadOnly,
    /// Publish, change, release, replace and take back episodes.
    Editor,
    /// Make and change shows, make and revoke tokens.
    Owner,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadOnly => "read-only",
            Self::Editor => "editor",
            Self::Owner => "owner",
        })
    }
}

/// A token that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TokenRecord {
    /// Who has it, in the owner's words.
    pub(crate) name: String,
    /// What it opens.
    pub(crate) role: Role,
    /// Its SHA-256, in hex.
    pub(crate) sha256: String,
    /// When it was made.
    pub(crate) created: DateTime<Utc>,
}

impl Record for TokenRecord {
    const KIND: &'static str = "token";
    const VERSION: u8 = 1;

    fn key(&self) -> Vec<u8> {
        self.name.as_str().into()
    }
}

/// A name that cannot be shown, or not be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("has to have 1 to {LONGEST_NAME} visible characters, not points alone")]
pub(crate) struct NameError;

/// What can be wrong with a token's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// It cannot be shown.
    #[error("a token's name {0}")]
    Name(#[from] NameError),
    /// Another token has it.
    #[error("there is a token `{0}` already")]
    Exists(String),
    /// None has it.
    #[error("there is no token `{0}`")]
    None(String),
}

impl TokenError {
    /// The way out.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Name(_) => None,
            Self::Exists(name) => Some(format!("take another name, or first `podpub token revoke {name}`")),
            Self::None(_) => Some("see `podpub token list`".to_owned()),
        }
    }
}

impl Library {
    /// All tokens, by name.
    pub(crate) fn tokens(&self) -> Result<Vec<TokenRecord>, LibraryError> {
        Ok(self.store().scan("")?)
    }

    /// The token that `text` is, if it is one.
    pub(crate) fn token(&self, text: &str) -> Result<Option<TokenRecord>, LibraryError> {
        let sha256 = hash(text);
        Ok(self.tokens()?.into_iter().find(|token| token.sha256 == sha256))
    }

    /// Remembers `text`, which was drawn at random, as the token of that name.
    pub(crate) fn add_token(
        &self,
        name: &str,
        role: Role,
        text: &str,
        now: DateTime<Utc>,
    ) -> Result<TokenRecord, LibraryError> {
        let name = checked_name(name).map_err(TokenError::Name)?;
        if self.tokens()?.iter().any(|known| known.name == name) {
            return Err(TokenError::Exists(name.to_owned()).into());
        }
        let token = TokenRecord { name: name.to_owned(), role, sha256: hash(text), created: now };
        self.store().put(&token)?;
        Ok(token)
    }

    /// Has a token open nothing any more.
    pub(crate) fn revoke_token(&self, name: &str) -> Result<TokenRecord, LibraryError> {
        let token = self.tokens()?.into_iter().find(|token| token.name == name);
        let token = token.ok_or_else(|| TokenError::None(name.to_owned()))?;
        self.store().delete::<TokenRecord>(token.key())?;
        Ok(token)
    }
}

/// The name of somebody who has a token, in the owner's words.
pub(crate) fn checked_name(name: &str) -> Result<&str, NameError> {
    let name = name.trim();
    let is_shown = (1..=LONGEST_NAME).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    // As a part of an address `.` and `..` walk up, so nobody could be revoked who is called so.
    let is_found = name.chars().any(|sign| sign != '.');
    if is_shown && is_found { Ok(name) } else { Err(NameError) }
}

/// What is kept of a token.
pub(crate) fn hash(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::tests::library;

    #[test]
    fn a_token_opens_what_it_may_until_it_is_revoked() {
        let (_dir, library) = library();
        let now = DateTime::UNIX_EPOCH;
        library.add_token(" anna ", Role::Editor, "sesame", now).unwrap();
        library.add_token("cron", Role::ReadOnly, "open", now).unwrap();
        let found = library.token("sesame").unwrap().unwrap();
        assert_eq!((found.name.as_str(), found.role), ("anna", Role::Editor));
        assert!(!found.sha256.contains("sesame"));
        for wrong in ["", "sesam", "Sesame", &found.sha256] {
            assert_eq!(library.token(wrong).unwrap(), None, "{wrong}");
        }
        assert!(library.add_token("anna", Role::Owner, "other", now).unwrap_err().to_string().contains("already"));
        library.revoke_token("anna").unwrap();
        assert_eq!(library.token("sesame").unwrap(), None);
        assert_eq!(library.tokens().unwrap().len(), 1);
        assert!(library.revoke_token("anna").unwrap_err().hint().is_some());
    }

    #[test]
    fn a_name_can_be_shown() {
        let (_dir, library) = library();
        for bad in ["", "  ", "a\nb", &"x".repeat(65)] {
            assert!(library.add_token(bad, Role::Owner, "t", DateTime::UNIX_EPOCH).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn each_role_includes_those_before() {
        assert!(Role::ReadOnly < Role::Editor && Role::Editor < Role::Owner);
        assert_eq!(serde_json::to_string(&Role::ReadOnly).unwrap(), format!("\"{}\"", Role::ReadOnly));
    }
}
