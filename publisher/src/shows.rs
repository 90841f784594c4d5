//! What can be said of a show, and what is accepted.
//!
//! Podcast directories refuse a feed for a language they do not know or a category that is misspelt, weeks after it was
//! made. So it is refused here, when it is typed, with what would be right.
//!
//! Source: the podcast directories' requirements for channel tags.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use podswarm_core::net::{Discovery, DiscoveryError};
use podswarm_core::rate::{Limit, LimitError};
use podswarm_feeds::schedule::ScheduleError;
use podswarm_feeds::{Place, TagError, Tags};
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use crate::cover::{Cover, CoverError};
use crate::feed_length::{FeedLength, FeedLengthError};
use crate::record::ShowRecord;

/// What is to be said of a show; `None` leaves what was said before, an empty text takes it back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ShowFields {
    /// Its name for people.
    pub(crate) title: Option<String>,
    /// Who makes it.
    pub(crate) author: Option<String>,
    /// What it is about.
    pub(crate) description: Option<String>,
    /// The language it is in.
    pub(crate) language: Option<String>,
    /// A podcast directory's category.
    pub(crate) category: Option<String>,
    /// Its own site.
    pub(crate) link: Option<String>,
    /// Where directories write to the owner.
    pub(crate) email: Option<String>,
    /// Whether it is for adults only.
    pub(crate) explicit: Option<bool>,
    /// Whose it is, and what may be done with it.
    pub(crate) copyright: Option<String>,
    /// Whether other hosts are asked not to take it over.
    pub(crate) locked: Option<bool>,
    /// Whether no episode comes any more.
    pub(crate) complete: Option<bool>,
    /// Whether directories are asked not to show it.
    pub(crate) blocked: Option<bool>,
    /// Whether what is published in it is held to the rules of directories.
    pub(crate) listed: Option<bool>,
    /// What is said beyond that in the podcast namespace: takes the place of all of the same name, none takes them
    /// back.
    pub(crate) tags: Tags,
    /// The cover's bytes in base64.
    pub(crate) image: Option<String>,
    /// When its episodes appear.
    pub(crate) rhythm: Option<String>,
    /// How many episodes a document of its feeds holds: a number, or `all`.
    pub(crate) feed_length: Option<String>,
    /// How fast peers are sent each of its episodes at most: a rate such as `2MiB/s`, or `none`.
    pub(crate) episode_up: Option<String>,
    /// How peers of its episodes are found: some of `trackers`, `dht`, `lsd` and `pex`, or `all`.
    pub(crate) find_peers: Option<String>,
}

/// Something said of a show that is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FieldError {
    /// No recurring times.
    #[error(transparent)]
    Rhythm(#[from] ScheduleError),
    /// No number of episodes.
    #[error(transparent)]
    FeedLength(#[from] FeedLengthError),
    /// No speed.
    #[error(transparent)]
    EpisodeUp(#[from] LimitError),
    /// No ways of finding peers.
    #[error(transparent)]
    FindPeers(#[from] DiscoveryError),
    /// A tag of the podcast namespace.
    #[error(transparent)]
    Tag(#[from] TagError),
    /// No title, or one that no app would show.
    #[error("the title has {got} characters; want 1 to 255")]
    Title {
        /// Its length in characters.
        got: usize,
    },
    /// A text that directories cut.
    #[error("the {field} has {got} bytes; want at most {want}")]
    TooLong {
        /// Which text.
        field: &'static str,
        /// Its length in bytes.
        got: usize,
        /// The greatest length in bytes.
        want: usize,
    },
    /// Not an ISO 639 code.
    #[error("language `{got}` is not a code like `en`, `de` or `pt-br`")]
    Language {
        /// What was given.
        got: String,
    },
    /// Not a directory's category.
    #[error("category `{got}` is none that podcast directories know; want one of {}", CATEGORIES.join(", "))]
    Category {
        /// What was given.
        got: String,
    },
    /// Not a web address.
    #[error("link `{got}` is not an http or https address")]
    Link {
        /// What was given.
        got: String,
    },
    /// Not a mail address.
    #[error("email `{got}` is not a mail address")]
    Email {
        /// What was given.
        got: String,
    },
    /// A private show that is to be for directories.
    #[error("a private show stands in no directory, so that its episodes are not held to their rules")]
    StaysPrivate,
    /// Not a picture.
    #[error("the show's image")]
    Image(#[source] CoverError),
}

/// The top categories of podcast directories; a subcategory may follow after `>`.
const CATEGORIES: [&str; 19] = [
    "Arts",
    "Business",
    "Comedy",
    "Education",
    "Fiction",
    "Government",
    "Health & Fitness",
    "History",
    "Kids & Family",
    "Leisure",
    "Music",
    "News",
    "Religion & Spirituality",
    "Science",
    "Society & Culture",
    "Sports",
    "TV & Film",
    "Technology",
    "True Crime",
];

impl ShowFields {
    /// Puts a picture's bytes in.
    pub(crate) fn set_image(&mut self, bytes: &[u8]) {
        self.image = Some(STANDARD.encode(bytes));
    }

    /// Whether nothing is said at all.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Writes what is said into `show`, and gives the new cover if there is one. Nothing is written on an error.
    pub(crate) fn apply(self, show: &mut ShowRecord) -> Result<Option<Cover>, FieldError> {
        let mut changed = show.clone();
        if let Some(title) = self.title {
            changed.title = checked_title(&title)?;
        }
        if let Some(language) = self.language {
            changed.language = checked_language(&language)?;
        }
        optional(&mut changed.author, self.author, |text| short("author", text, 255))?;
        optional(&mut changed.description, self.description, |text| short("description", text, 4000))?;
        optional(&mut changed.category, self.category, checked_category)?;
        optional(&mut changed.link, self.link, checked_link)?;
        optional(&mut changed.email, self.email, checked_email)?;
        optional(&mut changed.copyright, self.copyright, |text| short("copyright", text, 255))?;
        changed.explicit = self.explicit.unwrap_or(changed.explicit);
        changed.is_locked = self.locked.unwrap_or(changed.is_locked);
        changed.is_complete = self.complete.unwrap_or(changed.is_complete);
        changed.is_blocked = self.blocked.unwrap_or(changed.is_blocked);
        changed.listed = self.listed.or(changed.listed);
        if self.listed == Some(true) && changed.is_private {
            return Err(FieldError::StaysPrivate);
        }
        changed.tags.replace(self.tags);
        changed.tags.check(Place::Show)?;
        match self.rhythm.as_deref().map(str::trim) {
            None => {}
            Some("") => changed.rhythm = None,
            Some(text) => changed.rhythm = Some(text.parse()?),
        }
        if let Some(text) = self.feed_length.as_deref().map(str::trim) {
            changed.feed_length = if text.is_empty() { FeedLength::default() } else { text.parse()? };
        }
        if let Some(text) = self.episode_up.as_deref().map(str::trim) {
            let Limit(limit) = if text.is_empty() { Limit::default() } else { text.parse()? };
            changed.episode_up = limit;
        }
        if let Some(text) = self.find_peers.as_deref().map(str::trim) {
            changed.find_peers = if text.is_empty() { Discovery::ALL } else { text.parse()? };
        }
        let cover = match self.image.as_deref() {
            None => None,
            Some("") => {
                changed.image = None;
                None
            }
            Some(image) => Some(Cover::from_base64(image).map_err(FieldError::Image)?),
        };
        *show = changed;
        Ok(cover)
    }
}

/// Reads a title: one line of 1 to 255 characters.
pub(crate) fn checked_title(title: &str) -> Result<String, FieldError> {
    let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
    match title.chars().count() {
        1..=255 => Ok(title),
        got => Err(FieldError::Title { got }),
    }
}

/// Sets or clears what may be absent.
fn optional(
    field: &mut Option<String>,
    said: Option<String>,
    check: impl FnOnce(&str) -> Result<String, FieldError>,
) -> Result<(), FieldError> {
    if let Some(text) = said {
        let text = text.trim();
        *field = if text.is_empty() { None } else { Some(check(text)?) };
    }
    Ok(())
}

fn short(field: &'static str, text: &str, want: usize) -> Result<String, FieldError> {
    let got = text.len();
    if got > want { Err(FieldError::TooLong { field, got, want }) } else { Ok(text.to_owned()) }
}

fn checked_language(code: &str) -> Result<String, FieldError> {
    let code = code.trim().to_ascii_lowercase();
    let mut parts = code.split('-');
    let first = parts.next().unwrap_or_default();
    let fits = matches!(first.len(), 2 | 3)
        && first.bytes().all(|b| b.is_ascii_lowercase())
        && parts.all(|part| matches!(part.len(), 2..=8) && part.bytes().all(|b| b.is_ascii_alphanumeric()));
    if fits { Ok(code) } else { Err(FieldError::Language { got: code }) }
}

fn checked_category(category: &str) -> Result<String, FieldError> {
    let (top, sub) = match category.split_once('>') {
        Some((top, sub)) => (top.trim(), Some(sub.trim())),
        None => (category, None),
    };
    let fault = || FieldError::Category { got: category.to_owned() };
    // Directories compare with case; whoever types need not.
    let top = CATEGORIES.iter().find(|known| known.eq_ignore_ascii_case(top)).ok_or_else(fault)?;
    match sub {
        None => Ok((*top).to_owned()),
        Some("") => Err(fault()),
        Some(sub) => Ok(format!("{top} > {sub}")),
    }
}

fn checked_link(link: &str) -> Result<String, FieldError> {
    match Url::parse(link) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(url.into()),
        _ => Err(FieldError::Link { got: link.to_owned() }),
    }
}

fn checked_email(email: &str) -> Result<String, FieldError> {
    let fits = email.split_once('@').is_some_and(|(user, host)| {
        !user.is_empty() && host.contains('.') && !host.contains('@') && !email.contains(char::is_whitespace)
    });
    if fits { Ok(email.to_owned()) } else { Err(FieldError::Email { got: email.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::show;

    fn apply(fields: ShowFields) -> Result<ShowRecord, FieldError> {
        let mut record = show("a");
        fields.apply(&mut record).map(|_| record)
    }

    #[test]
    fn what_is_not_said_stays_and_what_is_empty_goes() {
        let mut record = show("a");
        record.author = Some("Ann".into());
        record.link = Some("http://a/".into());
        ShowFields { author: Some(" ".into()), title: Some("  New   title ".into()), ..ShowFields::default() }
            .apply(&mut record)
            .unwrap();
        assert_eq!((record.author, record.link), (None, Some("http://a/".into())));
        assert_eq!(record.title, "New title");
    }

    #[test]
    fn a_show_keeps_everything_if_one_thing_is_refused() {
        let mut record = show("a");
        let fields = ShowFields { title: Some("b".into()), email: Some("nobody".into()), ..ShowFields::default() };
        assert_eq!(fields.apply(&mut record), Err(FieldError::Email { got: "nobody".to_owned() }));
        assert_eq!(record, show("a"));
    }

    #[test]
    fn a_language_is_a_code() {
        let language =
            |code: &str| apply(ShowFields { language: Some(code.into()), ..ShowFields::default() }).map(|s| s.language);
        assert_eq!(language("pt-BR").unwrap(), "pt-br");
        assert_eq!(language("gsw").unwrap(), "gsw");
        for bad in ["", "English", "e", "en_US", "en-", "12"] {
            assert!(language(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_category_is_a_directorys_in_its_spelling() {
        let category =
            |name: &str| apply(ShowFields { category: Some(name.into()), ..ShowFields::default() }).map(|s| s.category);
        assert_eq!(category("kids & family").unwrap(), Some("Kids & Family".into()));
        assert_eq!(category("Arts>Books").unwrap(), Some("Arts > Books".into()));
        assert!(category("Cats").unwrap_err().to_string().contains("True Crime"));
        assert!(category("Arts >").is_err());
    }

    #[test]
    fn a_link_is_a_web_address() {
        let link = |link: &str| apply(ShowFields { link: Some(link.into()), ..ShowFields::default() }).map(|s| s.link);
        assert_eq!(link("https://a.example").unwrap(), Some("https://a.example/".into()));
        assert!(link("javascript:alert(1)").is_err());
        assert!(link("a.example").is_err());
    }

    #[test]
    fn a_tag_takes_the_place_of_those_of_its_name() {
        let mut record = show("a");
        let mut say = |name: &str, texts: &[&str]| {
            let mut fields = ShowFields::default();
            for text in texts {
                fields.tags.say(name, text).unwrap();
            }
            fields.apply(&mut record).map(|_| record.tags.clone())
        };
        say("person", &["Ann", "Bo; role=guest"]).unwrap();
        assert_eq!(say("medium", &["music"]).unwrap().all("person").len(), 2);
        assert_eq!(say("person", &["Cy"]).unwrap().first("person").unwrap().text, "Cy");
        assert!(matches!(say("soundbite", &["x; start=1; duration=2"]), Err(FieldError::Tag(_))));
        assert_eq!(say("person", &[""]).unwrap().iter().count(), 1);
    }

    #[test]
    fn titles_and_descriptions_have_an_end() {
        assert!(apply(ShowFields { title: Some(" \n ".into()), ..ShowFields::default() }).is_err());
        assert!(apply(ShowFields { title: Some("x".repeat(256)), ..ShowFields::default() }).is_err());
        assert!(apply(ShowFields { description: Some("x".repeat(4001)), ..ShowFields::default() }).is_err());
    }

    #[test]
    fn an_image_is_taken_as_a_cover() {
        let mut fields = ShowFields::default();
        fields.set_image(&crate::fixture::png(2, 2));
        assert_eq!(fields.apply(&mut show("a")).unwrap().unwrap().mime, "image/png");
        let mut fields = ShowFields::default();
        fields.set_image(b"<svg>");
        assert_eq!(apply(fields), Err(FieldError::Image(CoverError::Format)));
        assert_eq!(
            apply(ShowFields { image: Some("?".into()), ..ShowFields::default() }),
            Err(FieldError::Image(CoverError::Encoding))
        );
    }
}
