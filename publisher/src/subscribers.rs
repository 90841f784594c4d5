//! The subscribers of private shows.
//!
//! A private show is nowhere to be found but below an address of its own for each subscriber, which has his token in
//! it: feeds, pages, torrents, files, tracker and stream of events all stand there. So each can be let in by himself
//! and shut out by himself, with the podcast app or torrent client that he has. Like other tokens his is shown once,
//! and its SHA-256 is what is kept.
//!
//! What a subscriber has he can pass on: the files, and his address. The swarm is kept among subscribers by the
//! torrents' `private` flag (BEP 27) and by the tracker, which tells nobody else of it.

use chrono::{DateTime, Utc};
use podswarm_core::store::Record;
use serde::{Deserialize, Serialize};

use crate::library::{Library, LibraryError};
use crate::slug::Slug;
use crate::tokens::{NameError, checked_name, hash};

/// Somebody who is let in to a private show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct SubscriberRecord {
    /// The show.
    pub(crate) show: Slug,
    /// Who it is, in the owner's words.
    pub(crate) name: String,
    /// The SHA-256 of the token, in hex.
    pub(crate) sha256: String,
    /// Since when.
    pub(crate) created: DateTime<Utc>,
}

impl Record for SubscriberRecord {
    const KIND: &'static str = "subscriber";
    const VERSION: u8 = 1;

    fn key(&self) -> Vec<u8> {
        self.sha256.as_str().into()
    }
}

/// What can be wrong with a subscriber.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SubscriberError {
    /// The show is everybody's.
    #[error("the show `{0}` is not private: everybody may subscribe to it")]
    Public(Slug),
    /// The name cannot be shown.
    #[error("a subscriber's name {0}")]
    Name(#[from] NameError),
    /// Another has it.
    #[error("`{show}` has a subscriber `{name}` already")]
    Exists {
        /// The show.
        show: Slug,
        /// The name.
        name: String,
    },
    /// None has it.
    #[error("`{show}` has no subscriber `{name}`")]
    None {
        /// The show.
        show: Slug,
        /// The name.
        name: String,
    },
}

impl SubscriberError {
    /// The way out.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Public(_) => Some("make a private show with `podpub init --private --title TITLE`".to_owned()),
            Self::Name(_) => None,
            Self::Exists { show, name } => {
                Some(format!("take another name, or first `podpub subscriber revoke --show {show} {name}`"))
            }
            Self::None { show, .. } => Some(format!("see `podpub subscriber list --show {show}`")),
        }
    }
}

impl Library {
    /// The subscribers of a private show, by name.
    pub(crate) fn subscribers(&self, show: &Slug) -> Result<Vec<SubscriberRecord>, LibraryError> {
        let mut subscribers: Vec<SubscriberRecord> = self.store().scan("")?;
        subscribers.retain(|subscriber| subscriber.show == *show);
        subscribers.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(subscribers)
    }

    /// The subscriber whose token is `text`, if there is one.
    pub(crate) fn subscriber(&self, text: &str) -> Result<Option<SubscriberRecord>, LibraryError> {
        Ok(self.store().get(hash(text))?)
    }

    /// Lets somebody in to the private show that `wanted` names by `text`, which was drawn at random.
    pub(crate) fn add_subscriber(
        &self,
        wanted: Option<&str>,
        name: &str,
        text: &str,
        now: DateTime<Utc>,
    ) -> Result<SubscriberRecord, LibraryError> {
        let show = self.private_show(wanted)?;
        let name = checked_name(name).map_err(SubscriberError::Name)?;
        if self.subscribers(&show)?.iter().any(|known| known.name == name) {
            return Err(SubscriberError::Exists { show, name: name.to_owned() }.into());
        }
        let subscriber = SubscriberRecord { show, name: name.to_owned(), sha256: hash(text), created: now };
        self.store().put(&subscriber)?;
        Ok(subscriber)
    }

    /// Lets a subscriber in no more.
    pub(crate) fn revoke_subscriber(&self, wanted: Option<&str>, name: &str) -> Result<SubscriberRecord, LibraryError> {
        let show = self.private_show(wanted)?;
        let found = self.subscribers(&show)?.into_iter().find(|subscriber| subscriber.name == name);
        let found = found.ok_or_else(|| SubscriberError::None { show, name: name.to_owned() })?;
        self.store().delete::<SubscriberRecord>(found.key())?;
        Ok(found)
    }

    /// The private show that is meant.
    pub(crate) fn private_show(&self, wanted: Option<&str>) -> Result<Slug, LibraryError> {
        let show = self.show(wanted)?;
        if show.is_private { Ok(show.slug) } else { Err(SubscriberError::Public(show.slug).into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::tests::library;
    use crate::record::tests::show;

    #[test]
    fn a_subscriber_is_let_in_to_his_show_until_he_is_shut_out() {
        let (_dir, library) = library();
        let now = DateTime::UNIX_EPOCH;
        for slug in ["a", "b"] {
            library.store().put(&crate::record::ShowRecord { is_private: true, ..show(slug) }).unwrap();
        }
        library.store().put(&show("c")).unwrap();
        library.add_subscriber(Some("a"), " ann ", "sesame", now).unwrap();
        library.add_subscriber(Some("b"), "ann", "open", now).unwrap();
        let found = library.subscriber("sesame").unwrap().unwrap();
        assert_eq!((found.show.as_str(), found.name.as_str()), ("a", "ann"));
        assert!(!found.sha256.contains("sesame"));
        assert_eq!(library.subscriber("other").unwrap(), None);
        let refused = |wanted, name| library.add_subscriber(Some(wanted), name, "x", now).unwrap_err().to_string();
        assert_eq!(refused("a", "ann"), "`a` has a subscriber `ann` already");
        assert_eq!(refused("c", "ann"), "the show `c` is not private: everybody may subscribe to it");
        for name in ["\n", " ", "..", &"x".repeat(65)] {
            let why = "a subscriber's name has to have 1 to 64 visible characters, not points alone";
            assert_eq!(refused("a", name), why, "{name}");
        }
        library.revoke_subscriber(Some("a"), "ann").unwrap();
        assert_eq!(library.subscriber("sesame").unwrap(), None);
        assert!(library.subscriber("open").unwrap().is_some(), "the other show's");
        assert!(library.revoke_subscriber(Some("a"), "ann").is_err());
    }
}
