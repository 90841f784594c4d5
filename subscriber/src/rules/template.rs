//! How files are called: a text with places in it, such as `{date} {title}`.
//!
//! ```text
//! {date} {title}                                  the default: 2026-11-20 The Sea
//! Season {season:02}/{show} S{season:02}E{number:02} {title}   folders, and numbers of two digits
//! [{number:03} - ]{title}                         what stands in brackets is left out if a place in it is empty
//! ```
//!
//! Places are `date`, `year`, `month`, `day`, `show`, `title`, `season`, `number` and `id`. What comes out lies in the
//! show's folder, one component for each part between slashes, each fit for every file system.
//!
//! Law: no name leads out of the show's folder, and none is empty.

use std::fmt;
use std::str::FromStr;

use chrono::{Datelike, NaiveDate};
use serde_with::{DeserializeFromStr, SerializeDisplay};

use crate::names;

/// Folders that a name may have.
const MAX_FOLDERS: usize = 4;

/// How files are called.
#[derive(Clone, Debug, PartialEq, Eq, SerializeDisplay, DeserializeFromStr)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

/// Why a text is no way to name files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// A place that is none.
    #[error("`{{{got}}}` is no place in a name; want one of {}", PLACES.join(", "))]
    Place {
        /// What stands there.
        got: String,
    },
    /// A bracket or brace without its other.
    #[error("`{0}` has a bracket or brace that lacks its other half")]
    Open(String),
    /// Every episode would be called the same.
    #[error("`{0}` calls all episodes the same; want `title`, `date`, `number` or `id` behind the last slash")]
    Same(String),
    /// A path that is none below a show's folder.
    #[error("`{0}` begins or ends with a slash, or has more than {MAX_FOLDERS} folders")]
    Path(String),
}

/// What a name is made from.
#[derive(Clone, Copy, Debug)]
pub struct Naming<'a> {
    /// The day of its release.
    pub day: NaiveDate,
    /// The show's name.
    pub show: &'a str,
    /// Its title.
    pub title: &'a str,
    /// Its season.
    pub season: Option<u32>,
    /// Its number.
    pub number: Option<u32>,
    /// The number that the agent knows it by within its feed.
    pub id: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Place(Place, usize),
    /// Left out if a place in it is empty.
    Group(Vec<Part>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Date,
    Year,
    Month,
    Day,
    Show,
    Title,
    Season,
    Number,
    Id,
}

const PLACES: [&str; 9] = ["date", "year", "month", "day", "show", "title", "season", "number", "id"];

impl Place {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "date" => Self::Date,
            "year" => Self::Year,
            "month" => Self::Month,
            "day" => Self::Day,
            "show" => Self::Show,
            "title" => Self::Title,
            "season" => Self::Season,
            "number" => Self::Number,
            "id" => Self::Id,
            _ => return None,
        })
    }

    fn value(self, from: &Naming<'_>, digits: usize) -> Option<String> {
        let number = |number: u32| format!("{number:0digits$}");
        match self {
            Self::Date => Some(from.day.format("%Y-%m-%d").to_string()),
            Self::Year => Some(from.day.format("%Y").to_string()),
            Self::Month => Some(format!("{:02}", from.day.month())),
            Self::Day => Some(format!("{:02}", from.day.day())),
            // What is a path in a template is none in a title.
            Self::Show => Some(names::part(from.show)),
            Self::Title => Some(names::part(from.title)),
            Self::Season => from.season.map(number),
            Self::Number => from.number.map(number),
            Self::Id => Some(number(from.id)),
        }
    }
}

impl Default for Template {
    fn default() -> Self {
        let parts = vec![Part::Place(Place::Date, 0), Part::Text(" ".to_owned()), Part::Place(Place::Title, 0)];
        Self { text: "{date} {title}".to_owned(), parts }
    }
}

impl Template {
    /// The folders below the show's and the file's name without its extension, for an episode.
    pub fn name(&self, from: &Naming<'_>) -> (Vec<String>, String) {
        let mut text = String::new();
        for part in &self.parts {
            // At the top an empty place is empty, whatever stands around it.
            let _ = part.write(from, &mut text);
        }
        let mut names: Vec<String> = text.split('/').map(names::stem).collect();
        let last = names.pop().unwrap_or_default();
        (names, last)
    }
}

impl Part {
    /// Writes its text; `None` if a place is empty.
    fn write(&self, from: &Naming<'_>, out: &mut String) -> Option<()> {
        match self {
            Self::Text(text) => out.push_str(text),
            Self::Place(place, digits) => out.push_str(&place.value(from, *digits)?),
            Self::Group(parts) => {
                let mut inner = String::new();
                // A group that is left out leaves nothing empty behind.
                if parts.iter().all(|part| part.write(from, &mut inner).is_some()) {
                    out.push_str(&inner);
                }
            }
        }
        Some(())
    }

    fn tells_apart(&self) -> bool {
        match self {
            Self::Place(place, _) => matches!(place, Place::Title | Place::Date | Place::Number | Place::Id),
            Self::Text(_) | Self::Group(_) => false,
        }
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut group: Option<Vec<Part>> = None;
        let mut rest = text;
        while !rest.is_empty() {
            let open = || TemplateError::Open(text.to_owned());
            let end = rest.find(['{', '}', '[', ']']).unwrap_or(rest.len());
            let (plain, after) = rest.split_at(end);
            let into = group.as_mut().unwrap_or(&mut parts);
            if !plain.is_empty() {
                into.push(Part::Text(plain.to_owned()));
            }
            rest = match after.chars().next() {
                None => break,
                Some('{') => {
                    let (inner, after) = after[1..].split_once('}').ok_or_else(open)?;
                    let (name, digits) = inner.split_once(':').unwrap_or((inner, "0"));
                    let digits = digits.parse().ok().filter(|digits| *digits <= 9);
                    let place = Place::of(name.trim()).zip(digits);
                    let (place, digits) = place.ok_or_else(|| TemplateError::Place { got: inner.to_owned() })?;
                    into.push(Part::Place(place, digits));
                    after
                }
                Some('[') if group.is_none() => {
                    group = Some(Vec::new());
                    &after[1..]
                }
                Some(']') if group.is_some() => {
                    parts.push(Part::Group(group.take().ok_or_else(open)?));
                    &after[1..]
                }
                Some(_) => return Err(open()),
            };
        }
        if group.is_some() {
            return Err(TemplateError::Open(text.to_owned()));
        }
        let slash = |part: &Part| matches!(part, Part::Text(text) if text.contains('/'));
        let last = parts.iter().rposition(slash).unwrap_or(0);
        if !parts[last..].iter().any(Part::tells_apart) {
            return Err(TemplateError::Same(text.to_owned()));
        }
        if text.starts_with('/') || text.ends_with('/') || text.matches('/').count() > MAX_FOLDERS {
            return Err(TemplateError::Path(text.to_owned()));
        }
        Ok(Self { text: text.to_owned(), parts })
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
