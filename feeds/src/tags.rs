//! What the podcast namespace lets a show and an episode say beyond what every feed says: who is heard, where it plays,
//! how to support it, under which licence it stands.
//!
//! A [`Tag`] is an element as the namespace has it: text, attributes, children. Those of a show or an episode are
//! [`Tags`], by their names. `vocabulary` knows the names, where each may stand and what it must have. They are typed
//! in a short form, `Ann Lee; role=guest`, or as XML, and go from feed to feed as they are.
//!
//! What has a place of its own (chapters, transcripts, the alternate enclosure, `podcast:guid` and `podcast:locked`,
//! season and episode) is not among them.
//!
//! Law: tags that pass [`Tags::check`] hold no address that leads elsewhere than to the web where pages link to it, and
//! are never more than [`MOST`] with [`LONGEST`] bytes in each text.
//! Source: the podcast namespace, its tags as of 2026-05.

mod short;
mod vocabulary;
mod xml;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use vocabulary::{Kind, Place};
pub(crate) use vocabulary::{attribute, child, word_of};

use crate::withdrawal::{KEY_PURPOSE, WITHDRAWN_PURPOSE};
use vocabulary::{Text, Word, word};

/// A show or an episode has no more of them, children counted.
pub const MOST: usize = 500;
/// No text and no value of an attribute is longer, in bytes.
pub const LONGEST: usize = 4000;

/// An element of the podcast namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Tag {
    /// What stands between its tags.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// Its attributes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// The elements in it.
    #[serde(skip_serializing_if = "Tags::is_empty")]
    #[cfg_attr(feature = "schema", schema(no_recursion))]
    pub children: Tags,
}

/// Elements of the podcast namespace by their names, such as `person`, in the order in which they stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct Tags(BTreeMap<String, Vec<Tag>>);

/// Why a tag is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TagError {
    /// XML that is none, or not one element.
    #[error("`{got}` is not one element of the podcast namespace, whole and closed")]
    Xml {
        /// Its beginning.
        got: String,
    },
    /// A name that no element can have.
    #[error("`{got}` is no name of a tag")]
    Name {
        /// What was given.
        got: String,
    },
    /// A tag that the feeds make themselves.
    #[error("podcast:{name} is not said in this way: feeds have it from elsewhere")]
    Ours {
        /// Its name.
        name: String,
    },
    /// A tag at the wrong place.
    #[error("podcast:{name} is said of {}, not of {place}", place.other())]
    Place {
        /// Its name.
        name: &'static str,
        /// Where it was said.
        place: Place,
    },
    /// More than one where one is meant.
    #[error("podcast:{name} is said {got} times; want it once")]
    Once {
        /// Its name.
        name: &'static str,
        /// How often.
        got: usize,
    },
    /// Nothing between its tags.
    #[error("podcast:{name} has no text")]
    Empty {
        /// Its name.
        name: &'static str,
    },
    /// An attribute is missing.
    #[error("podcast:{name} lacks `{attribute}`; it is said as in `TEXT; {attribute}=…`")]
    Lacks {
        /// Its name.
        name: &'static str,
        /// What it lacks.
        attribute: &'static str,
    },
    /// An attribute that it does not have.
    #[error("podcast:{name} has no `{got}`; it has {}", .known.join(", "))]
    Unknown {
        /// Its name.
        name: &'static str,
        /// What was given.
        got: String,
        /// What there is.
        known: Vec<&'static str>,
    },
    /// A value of the wrong kind.
    #[error("`{attribute}` of podcast:{name} is `{got}`; want {want}")]
    Value {
        /// Its name.
        name: &'static str,
        /// The attribute.
        attribute: &'static str,
        /// What was given.
        got: String,
        /// The kind.
        want: Kind,
    },
    /// Too long a text.
    #[error("a text of podcast:{name} has {got} bytes; want at most {LONGEST}")]
    TooLong {
        /// Its name.
        name: String,
        /// Its length in bytes.
        got: usize,
    },
    /// Too many.
    #[error("there are {got} tags; want at most {MOST}")]
    TooMany {
        /// How many.
        got: usize,
    },
}

impl Tag {
    /// A tag with a text.
    pub fn of_text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// The same with one attribute more.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.attributes.insert(name.to_owned(), value.into());
        self
    }

    /// The value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }

    /// Reads the short form of the tag `name`: its text, then `attribute=value`, parted by `; `.
    ///
    /// Attributes may be cut to where they are told apart. Times may be written as `1:02:03`.
    pub fn parse(name: &str, text: &str) -> Result<Self, TagError> {
        short::parse(word(name).ok_or_else(|| TagError::Name { got: name.to_owned() })?, text)
    }

    /// Whether it says nothing, by which a tag is taken back.
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn count(&self) -> usize {
        1 + self.children.0.values().flatten().map(Self::count).sum::<usize>()
    }

    fn check_lengths(&self, name: &str) -> Result<(), TagError> {
        for text in std::iter::once(&self.text).chain(self.attributes.values()) {
            if text.len() > LONGEST {
                return Err(TagError::TooLong { name: name.to_owned(), got: text.len() });
            }
        }
        if let Some(bad) = self.attributes.keys().find(|name| !is_name(name)) {
            return Err(TagError::Name { got: bad.clone() });
        }
        self.children.0.iter().try_for_each(|(name, tags)| {
            check_name(name)?;
            tags.iter().try_for_each(|tag| tag.check_lengths(name))
        })
    }

    fn check(&self, word: &'static Word) -> Result<(), TagError> {
        let name = word.name();
        // A thread that is not to be has no address.
        let is_disabled = name == "socialInteract" && self.attribute("protocol") == Some("disabled");
        if word.text == Text::Must && self.text.trim().is_empty() {
            return Err(TagError::Empty { name });
        }
        for attribute in word.attributes {
            match self.attribute(attribute.name) {
                None if attribute.is_needed && !is_disabled => {
                    return Err(TagError::Lacks { name, attribute: attribute.name });
                }
                Some(got) if !attribute.kind.fits(got) => {
                    let (attribute, want) = (attribute.name, attribute.kind);
                    return Err(TagError::Value { name, attribute, got: got.to_owned(), want });
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Tags {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of this name, in their order.
    pub fn all(&self, name: &str) -> &[Tag] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// The first of this name.
    pub fn first(&self, name: &str) -> Option<&Tag> {
        self.all(name).first()
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Tag])> {
        self.0.iter().map(|(name, tags)| (name.as_str(), tags.as_slice()))
    }

    /// Puts one after the others of its name.
    pub fn push(&mut self, name: &str, tag: Tag) {
        self.0.entry(name.to_owned()).or_default().push(tag);
    }

    /// Puts in what was typed for `name`, in the short form. An empty text takes back what was said before.
    pub fn say(&mut self, name: &str, text: &str) -> Result<(), TagError> {
        let there = self.0.entry(name.to_owned()).or_default();
        if !text.trim().is_empty() {
            there.push(Tag::parse(name, text)?);
        }
        Ok(())
    }

    /// Puts in any tag: as XML, or as `NAME: TEXT; attribute=value`. An element that is empty takes back what was said
    /// before.
    pub fn say_any(&mut self, text: &str) -> Result<(), TagError> {
        let (name, tag) = if text.trim_start().starts_with('<') { xml::read(text)? } else { short::named(text)? };
        check_name(&name)?;
        let there = self.0.entry(name).or_default();
        if !tag.is_empty() {
            there.push(tag);
        }
        Ok(())
    }

    /// Puts `said` in the place of what has the same names; names without tags go.
    pub fn replace(&mut self, said: Self) {
        self.0.extend(said.0);
        self.0.retain(|_, tags| !tags.is_empty());
    }

    /// Refuses what may not be said of a show or an episode, or lacks what it must have.
    pub fn check(&self, place: Place) -> Result<(), TagError> {
        let got = self.0.values().flatten().map(Tag::count).sum();
        if got > MOST {
            return Err(TagError::TooMany { got });
        }
        self.0.iter().try_for_each(|(name, tags)| Self::check_one(name, tags, place))
    }

    /// Leaves out what [`Tags::check`] refuses, and says why of each.
    pub fn keep_good(&mut self, place: Place) -> Vec<TagError> {
        let mut faults = Vec::new();
        for (name, tags) in &mut self.0 {
            tags.retain(|tag| match Self::check_one(name, std::slice::from_ref(tag), place) {
                Ok(()) => true,
                Err(fault) => {
                    faults.push(fault);
                    false
                }
            });
            if word(name).is_some_and(|word| !word.is_many) {
                tags.truncate(1);
            }
        }
        self.0.retain(|_, tags| !tags.is_empty());
        if let Err(fault) = self.check(place) {
            faults.push(fault);
            self.0.clear();
        }
        faults
    }

    fn check_one(name: &str, tags: &[Tag], place: Place) -> Result<(), TagError> {
        check_name(name)?;
        tags.iter().try_for_each(|tag| tag.check_lengths(name))?;
        // Those words are the key's to say.
        let is_ours = |tag: &Tag| matches!(tag.attribute("purpose"), Some(KEY_PURPOSE | WITHDRAWN_PURPOSE));
        if name == "txt" && tags.iter().any(is_ours) {
            return Err(TagError::Ours { name: "txt".to_owned() });
        }
        // What the namespace will have one day passes.
        let Some(word) = word(name) else { return Ok(()) };
        if !word.places.contains(&place) {
            return Err(TagError::Place { name: word.name(), place });
        }
        if !word.is_many && tags.len() > 1 {
            return Err(TagError::Once { name: word.name(), got: tags.len() });
        }
        tags.iter().try_for_each(|tag| tag.check(word))
    }

    /// Whether the namespace knows this name.
    pub fn is_known(name: &str) -> bool {
        word(name).is_some()
    }
}

/// Refuses what can be no element's name, or what feeds have from elsewhere.
fn check_name(name: &str) -> Result<(), TagError> {
    const OURS: [&str; 10] = [
        "alternateEnclosure",
        "chapters",
        "episode",
        "guid",
        "integrity",
        "liveItem",
        "locked",
        "season",
        "source",
        "transcript",
    ];
    if !is_name(name) {
        return Err(TagError::Name { got: name.chars().take(40).collect() });
    }
    if OURS.contains(&name) { Err(TagError::Ours { name: name.to_owned() }) } else { Ok(()) }
}

fn is_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

#[cfg(test)]
mod tests;
