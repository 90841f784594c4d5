//! What the owner wants of episodes: which to take, how to call them, how long to keep them, and what to do when one is
//! there.
//!
//! Rules are said once for all feeds and, where a feed is to differ, for that feed; what a feed says beats what is said
//! for all. A rule may ask for what a feed does not tell, such as a length that it leaves out: then it is decided in
//! favour of the episode, which is taken.
//!
//! Pure: time and what is known of an episode are arguments.
//!
//! Reading order: [`Clause`] is one condition, [`Template`] a way to name files, [`Hook`] something to be done,
//! [`Quality`] a choice between versions, [`Rules`] what is said in one place, and [`Terms`] what holds for a feed.

mod clause;
mod hook;
mod quality;
mod template;
mod units;

use std::fmt;
use std::str::FromStr;

use podswarm_core::net::{Conduct, Discovery};
use podswarm_core::rate::Limit;
use podswarm_core::timetable::RateLimits;
use serde::{Deserialize, Serialize};
use serde_with::{DeserializeFromStr, SerializeDisplay};

pub use clause::{Clause, ClauseError, Subject};
pub use hook::Hook;
pub use quality::{Candidate, Quality, QualityError};
pub use template::{Naming, Template, TemplateError};
pub use units::{Size, SizeError, Span, SpanError};

/// What is said in one place; what is not said there is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// Which episodes are taken by themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub take: Option<Take>,
    /// Which are not, whatever `take` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip: Option<Vec<Clause>>,
    /// How many of a feed are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<Keep>,
    /// How long one is kept once it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_for: Option<KeepFor>,
    /// How long one is kept once it was heard to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_played: Option<KeepFor>,
    /// How files are called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Template>,
    /// How fast each is sent to peers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub episode_up: Option<Limit>,
    /// How fast each is received from them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub episode_down: Option<Limit>,
    /// How peers are found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub find_peers: Option<Discovery>,
    /// What is done when one is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_complete: Option<Vec<Hook>>,
    /// Which version of one is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
    /// Whether what is known of one is written into its file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Choice>,
    /// Whether the show's cover is put into its folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cover: Option<Choice>,
    /// Whether no swarm is taken part in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_only: Option<Choice>,
}

/// One of the rules, by its flag's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum RuleName {
    /// Which episodes are taken.
    Take,
    /// Which are not.
    Skip,
    /// How many are kept.
    Keep,
    /// For how long.
    KeepFor,
    /// For how long once it was heard.
    KeepPlayed,
    /// How files are called.
    Name,
    /// How fast each is sent.
    EpisodeUp,
    /// How fast each is received.
    EpisodeDown,
    /// How peers are found.
    FindPeers,
    /// What is done when one is there.
    OnComplete,
    /// Which version of one is taken.
    Quality,
    /// Whether what is known of one is written into its file.
    Tags,
    /// Whether the show's cover is put into its folder.
    Cover,
    /// Whether no swarm is taken part in.
    HttpOnly,
}

/// What holds for one feed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Which episodes are taken by themselves.
    pub take: Take,
    /// Which are not.
    pub skip: Vec<Clause>,
    /// How many are kept.
    pub keep: Keep,
    /// For how long.
    pub keep_for: KeepFor,
    /// For how long once they were heard.
    pub keep_played: KeepFor,
    /// How files are called.
    pub name: Template,
    /// How each is treated in its swarm.
    pub conduct: Conduct,
    /// What is done when one is there.
    pub on_complete: Vec<Hook>,
    /// Which version of each is taken.
    pub quality: Quality,
    /// Whether what is known of each is written into its file.
    pub tags: Choice,
    /// Whether the show's cover is put into its folder.
    pub cover: Choice,
}

impl Rules {
    /// Whether no swarm is taken part in where `self` is said for all feeds, and `own` for this one. Who takes part in
    /// none at all makes no exception.
    pub fn are_http_only(&self, own: &Self) -> bool {
        self.http_only == Some(Choice::Yes) || own.http_only == Some(Choice::Yes)
    }

    /// What holds where `self` is said for all feeds, and `own` for this one.
    pub fn with(&self, own: &Self) -> Terms {
        let all = self;
        Terms {
            take: own.take.clone().or_else(|| all.take.clone()).unwrap_or_default(),
            skip: own.skip.clone().or_else(|| all.skip.clone()).unwrap_or_default(),
            keep: own.keep.or(all.keep).unwrap_or_default(),
            keep_for: own.keep_for.or(all.keep_for).unwrap_or_default(),
            keep_played: own.keep_played.or(all.keep_played).unwrap_or_default(),
            name: own.name.clone().or_else(|| all.name.clone()).unwrap_or_default(),
            conduct: Conduct {
                limits: RateLimits {
                    up: own.episode_up.or(all.episode_up).unwrap_or_default().0,
                    down: own.episode_down.or(all.episode_down).unwrap_or_default().0,
                },
                discovery: own.find_peers.or(all.find_peers).unwrap_or_default(),
            },
            on_complete: own.on_complete.clone().or_else(|| all.on_complete.clone()).unwrap_or_default(),
            quality: own.quality.or(all.quality).unwrap_or_default(),
            tags: own.tags.or(all.tags).unwrap_or_default(),
            cover: own.cover.or(all.cover).unwrap_or_default(),
        }
    }

    /// Nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Takes over what `other` says.
    pub fn change(&mut self, other: Self) {
        let Self {
            take,
            skip,
            keep,
            keep_for,
            keep_played,
            name,
            episode_up,
            episode_down,
            find_peers,
            on_complete,
            quality,
            tags,
            cover,
            http_only,
        } = other;
        self.take = take.or(self.take.take());
        self.skip = skip.or(self.skip.take());
        self.keep = keep.or(self.keep);
        self.keep_for = keep_for.or(self.keep_for);
        self.keep_played = keep_played.or(self.keep_played);
        self.name = name.or(self.name.take());
        self.episode_up = episode_up.or(self.episode_up);
        self.episode_down = episode_down.or(self.episode_down);
        self.find_peers = find_peers.or(self.find_peers);
        self.on_complete = on_complete.or(self.on_complete.take());
        self.quality = quality.or(self.quality);
        self.tags = tags.or(self.tags);
        self.cover = cover.or(self.cover);
        self.http_only = http_only.or(self.http_only);
    }

    /// Says nothing any more of these.
    pub fn forget(&mut self, names: &[RuleName]) {
        for name in names {
            match name {
                RuleName::Take => self.take = None,
                RuleName::Skip => self.skip = None,
                RuleName::Keep => self.keep = None,
                RuleName::KeepFor => self.keep_for = None,
                RuleName::KeepPlayed => self.keep_played = None,
                RuleName::Name => self.name = None,
                RuleName::EpisodeUp => self.episode_up = None,
                RuleName::EpisodeDown => self.episode_down = None,
                RuleName::FindPeers => self.find_peers = None,
                RuleName::OnComplete => self.on_complete = None,
                RuleName::Quality => self.quality = None,
                RuleName::Tags => self.tags = None,
                RuleName::Cover => self.cover = None,
                RuleName::HttpOnly => self.http_only = None,
            }
        }
    }

    /// The rules in words, one for each, as their flags would say them.
    pub fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        if let Some(take) = &self.take {
            words.push(format!("take {take}"));
        }
        words.extend(self.skip.iter().flatten().map(|clause| format!("skip {clause}")));
        words.extend(self.keep.map(|keep| format!("keep {keep}")));
        words.extend(self.keep_for.map(|time| format!("keep for {time}")));
        words.extend(self.keep_played.map(|time| format!("keep played {time}")));
        words.extend(self.name.as_ref().map(|name| format!("name {name}")));
        words.extend(self.episode_up.map(|limit| format!("episode up {limit}")));
        words.extend(self.episode_down.map(|limit| format!("episode down {limit}")));
        words.extend(self.find_peers.map(|ways| format!("find peers {ways}")));
        words.extend(self.on_complete.iter().filter(|hooks| hooks.is_empty()).map(|_| "on complete none".to_owned()));
        words.extend(self.on_complete.iter().flatten().map(|hook| format!("on complete {hook}")));
        words.extend(self.quality.map(|quality| format!("quality {quality}")));
        words.extend(self.tags.map(|tags| format!("tags {tags}")));
        words.extend(self.cover.map(|cover| format!("cover {cover}")));
        words.extend(self.http_only.map(|choice| format!("http only {choice}")));
        words
    }

    /// The same for everybody to see, without the secrets of hooks.
    #[must_use]
    pub fn without_secrets(&self) -> Self {
        let hooks = |hooks: &Vec<Hook>| hooks.iter().map(Hook::without_secrets).collect();
        Self { on_complete: self.on_complete.as_ref().map(hooks), ..self.clone() }
    }
}

impl Terms {
    /// Why an episode is not taken by itself, as the rule says it; `None` if it is.
    pub fn refusal(&self, subject: &Subject<'_>) -> Option<String> {
        if let Some(clause) = self.skip.iter().find(|clause| clause.holds(subject) == Some(true)) {
            return Some(format!("skip {clause}"));
        }
        match &self.take {
            Take::All => None,
            Take::Any(clauses) if clauses.iter().any(|clause| clause.holds(subject) != Some(false)) => None,
            take => Some(format!("take {take}")),
        }
    }

    /// Whether a rule that [`Terms::refusal`] has given is one of these.
    pub fn hold(&self, rule: &str) -> bool {
        let is_skip = |clause: &Clause| rule == format!("skip {clause}");
        self.skip.iter().any(is_skip) || (self.take != Take::All && rule == format!("take {}", self.take))
    }
}

/// Which episodes are taken by themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Take {
    /// Every one.
    #[default]
    All,
    /// Those for which one of these holds.
    Any(Vec<Clause>),
    /// None.
    Nothing,
}

impl fmt::Display for Take {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Nothing => f.write_str("none"),
            Self::Any(clauses) => {
                let words: Vec<_> = clauses.iter().map(ToString::to_string).collect();
                f.write_str(&words.join(" or "))
            }
        }
    }
}

/// How many episodes of a feed are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", try_from = "KeepWritten")]
pub enum Keep {
    /// Every one.
    #[default]
    All,
    /// The newest so many.
    Newest(u32),
}

/// As it is stored, or as a person writes it.
#[derive(Deserialize)]
#[serde(untagged)]
enum KeepWritten {
    Stored { newest: u32 },
    Word(String),
}

impl TryFrom<KeepWritten> for Keep {
    type Error = KeepError;

    fn try_from(written: KeepWritten) -> Result<Self, KeepError> {
        match written {
            KeepWritten::Stored { newest } => Ok(Self::Newest(newest)),
            KeepWritten::Word(word) => word.parse(),
        }
    }
}

impl Keep {
    /// At most so many.
    pub fn count(self) -> usize {
        match self {
            Self::All => usize::MAX,
            Self::Newest(count) => usize::try_from(count).unwrap_or(usize::MAX),
        }
    }
}

/// A text that says nothing of how many are kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no number of episodes to keep; want one from 1 on, such as `5`, or `all`")]
pub struct KeepError(String);

impl FromStr for Keep {
    type Err = KeepError;

    fn from_str(text: &str) -> Result<Self, KeepError> {
        match text.parse() {
            _ if text == "all" => Ok(Self::All),
            Ok(count @ 1..) => Ok(Self::Newest(count)),
            _ => Err(KeepError(text.to_owned())),
        }
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Newest(count) => write!(f, "{count}"),
        }
    }
}

/// How long an episode is kept; for ever if `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, SerializeDisplay, DeserializeFromStr)]
pub struct KeepFor(pub Option<Span>);

impl FromStr for KeepFor {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        if text == "ever" { Ok(Self(None)) } else { text.parse().map(|span| Self(Some(span))) }
    }
}

impl fmt::Display for KeepFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("ever"),
            Some(span) => span.fmt(f),
        }
    }
}

/// Whether something is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// It is not.
    #[default]
    #[value(aliases = ["false", "off", "0"])]
    No,
    /// It is.
    #[value(aliases = ["true", "on", "1"])]
    Yes,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::No => "no",
            Self::Yes => "yes",
        })
    }
}

#[cfg(test)]
mod tests;
