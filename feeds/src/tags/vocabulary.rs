//! The names of the podcast namespace that tags have, where each may stand, and what it must have.

use std::fmt;

use url::Url;

/// Of what a tag is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Of a show.
    Show,
    /// Of an episode.
    Episode,
}

impl Place {
    /// The other one.
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Show => Self::Episode,
            Self::Episode => Self::Show,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Show => "a show",
            Self::Episode => "an episode",
        })
    }
}

/// Whether there is something between a tag's ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Text {
    /// Nothing; the short form has the value of this attribute there.
    Is(&'static str),
    /// There may be.
    May,
    /// There must be.
    Must,
}

/// What an attribute's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Plain,
    /// An address of the web.
    Web,
    /// Any address, which no page leads to.
    Address,
    /// A number, not negative.
    Number,
    /// A point in time, in seconds from the beginning.
    Seconds,
    /// `true` or `false`.
    Truth,
}

impl Kind {
    pub(super) fn fits(self, value: &str) -> bool {
        match self {
            Self::Plain => true,
            Self::Web => Url::parse(value).is_ok_and(|url| matches!(url.scheme(), "http" | "https")),
            Self::Address => Url::parse(value).is_ok(),
            Self::Number | Self::Seconds => value.parse().is_ok_and(|it: f64| it.is_finite() && it >= 0.0),
            Self::Truth => matches!(value, "true" | "false"),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "a text",
            Self::Web => "an address such as https://example.org/",
            Self::Address => "an address with its scheme",
            Self::Number => "a number",
            Self::Seconds => "seconds, or a time such as 1:02:03",
            Self::Truth => "true or false",
        })
    }
}

/// What the namespace says of a name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// The name with the prefix under which readers keep it.
    kept: &'static str,
    /// Where it may stand.
    pub(super) places: &'static [Place],
    /// Whether it may stand more than once.
    pub(super) is_many: bool,
    /// What stands in it.
    pub(super) text: Text,
    /// What it has beside.
    pub(super) attributes: &'static [Attribute],
}

/// An attribute of a tag.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Attribute {
    pub(super) name: &'static str,
    pub(super) is_needed: bool,
    pub(super) kind: Kind,
}

impl Word {
    /// The name.
    pub(super) const fn name(&self) -> &'static str {
        // Behind the prefix of two characters.
        self.kept.split_at(2).1
    }
}

const SHOW: &[Place] = &[Place::Show];
const EPISODE: &[Place] = &[Place::Episode];
const BOTH: &[Place] = &[Place::Show, Place::Episode];

const fn may(name: &'static str, kind: Kind) -> Attribute {
    Attribute { name, is_needed: false, kind }
}

const fn must(name: &'static str, kind: Kind) -> Attribute {
    Attribute { name, is_needed: true, kind }
}

const fn entry(
    kept: &'static str,
    places: &'static [Place],
    is_many: bool,
    text: Text,
    attributes: &'static [Attribute],
) -> Word {
    Word { kept, places, is_many, text, attributes }
}

use Kind::{Address, Number, Plain, Seconds, Truth, Web};

/// All that are known, and passed on where they are read.
pub(super) const WORDS: [Word; 20] = [
    entry("p:block", SHOW, true, Text::Must, &[may("id", Plain)]),
    entry(
        "p:chat",
        BOTH,
        false,
        Text::Is("server"),
        &[must("server", Plain), must("protocol", Plain), may("accountId", Plain), may("space", Plain)],
    ),
    entry("p:contentLink", EPISODE, true, Text::Must, &[must("href", Web)]),
    entry("p:funding", BOTH, true, Text::Must, &[must("url", Web)]),
    entry(
        "p:image",
        BOTH,
        true,
        Text::Is("href"),
        &[
            must("href", Web),
            may("alt", Plain),
            may("aspect-ratio", Plain),
            may("width", Number),
            may("height", Number),
            may("type", Plain),
            may("purpose", Plain),
        ],
    ),
    entry("p:license", BOTH, false, Text::Must, &[may("url", Web)]),
    entry(
        "p:location",
        BOTH,
        true,
        Text::Must,
        &[may("rel", Plain), may("geo", Plain), may("osm", Plain), may("country", Plain)],
    ),
    entry("p:medium", SHOW, false, Text::Must, &[]),
    entry(
        "p:person",
        BOTH,
        true,
        Text::Must,
        &[may("role", Plain), may("group", Plain), may("img", Web), may("href", Web)],
    ),
    entry("p:podping", SHOW, false, Text::Is("usesPodping"), &[must("usesPodping", Truth)]),
    entry("p:podroll", SHOW, false, Text::May, &[]),
    entry("p:publisher", SHOW, false, Text::May, &[]),
    entry(
        "p:remoteItem",
        SHOW,
        true,
        Text::Is("feedGuid"),
        &[
            must("feedGuid", Plain),
            may("feedUrl", Web),
            may("itemGuid", Plain),
            may("medium", Plain),
            may("title", Plain),
        ],
    ),
    entry(
        "p:socialInteract",
        BOTH,
        true,
        Text::Is("uri"),
        &[
            must("uri", Address),
            must("protocol", Plain),
            may("accountId", Plain),
            may("accountUrl", Web),
            may("priority", Number),
        ],
    ),
    entry("p:soundbite", EPISODE, true, Text::May, &[must("startTime", Seconds), must("duration", Seconds)]),
    entry(
        "p:trailer",
        SHOW,
        true,
        Text::Must,
        &[must("url", Web), must("pubdate", Plain), may("length", Number), may("type", Plain), may("season", Number)],
    ),
    entry("p:txt", BOTH, true, Text::Must, &[may("purpose", Plain)]),
    entry(
        "p:updateFrequency",
        SHOW,
        false,
        Text::May,
        &[may("rrule", Plain), may("dtstart", Plain), may("complete", Truth)],
    ),
    entry("p:value", BOTH, true, Text::May, &[must("type", Plain), must("method", Plain), may("suggested", Number)]),
    entry("p:valueTimeSplit", EPISODE, true, Text::May, &[must("startTime", Seconds), must("duration", Seconds)]),
];

/// What elements in others have, beside what these have.
const INNER: [&str; 7] = ["address", "customKey", "customValue", "fee", "name", "remotePercentage", "remoteStartTime"];

/// Elements in others, under the names under which readers keep them.
const CHILDREN: [&str; 3] = ["x:remoteItem", "x:valueRecipient", "x:valueTimeSplit"];

/// The entry of a name.
pub(super) fn word(name: &str) -> Option<&'static Word> {
    WORDS.iter().find(|word| word.name() == name)
}

/// The name under which readers keep an element, whatever the case of its letters.
pub(crate) fn word_of(local: &str) -> Option<&'static str> {
    WORDS.iter().find(|word| word.name().eq_ignore_ascii_case(local)).map(|word| word.kept)
}

/// The name under which readers keep an element in another, whatever the case of its letters.
pub(crate) fn child(local: &str) -> Option<&'static str> {
    CHILDREN.into_iter().find(|name| name[2..].eq_ignore_ascii_case(local))
}

/// The name of an attribute, whatever the case of its letters.
pub(crate) fn attribute(local: &str) -> Option<&'static str> {
    let known = WORDS.iter().flat_map(|word| word.attributes).map(|attribute| attribute.name);
    known.chain(INNER).chain(["split"]).find(|name| name.eq_ignore_ascii_case(local))
}
