//! A condition on an episode, as its owner writes it.
//!
//! ```text
//! interview                          the title has this in it, whatever its letters' case
//! "a whole phrase"                   the same, also of words that mean something here
//! /^(re)?run/                        the title matches a regular expression, whatever its letters' case
//! length>20m                         playing time; also age, size, number, season
//! type=video                         video, audio, or a whole type such as audio/mpeg
//! language=de,en                     the language that the feed says
//! title!=/trailer/ and size<200MB    both
//! ```
//!
//! Operators are `=`, `!=`, `<`, `<=`, `>`, `>=`; of texts the first two. A condition on what the feed does not tell is
//! undecided, and so is a whole one that turns on it.
//!
//! Law: what is written is what is shown and stored.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use regex::{Regex, RegexBuilder};
use serde_with::{DeserializeFromStr, SerializeDisplay};

use super::units::{Size, Span};

/// What is known of an episode that is to be judged.
#[derive(Clone, Copy, Debug, Default)]
pub struct Subject<'a> {
    /// Its title.
    pub title: &'a str,
    /// Its number within the season.
    pub number: Option<u32>,
    /// Its season.
    pub season: Option<u32>,
    /// Its playing time, in seconds.
    pub seconds: Option<u64>,
    /// How long ago it was released.
    pub age: Option<Duration>,
    /// Its bytes.
    pub size: Option<u64>,
    /// Its media type.
    pub mime: Option<&'a str>,
    /// The language it is in.
    pub language: Option<&'a str>,
}

/// A condition: one test or several that must all hold.
#[derive(Clone, Debug, SerializeDisplay, DeserializeFromStr)]
pub struct Clause {
    text: String,
    tests: Vec<Test>,
}

impl PartialEq for Clause {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Clause {}

/// Why a text is no condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClauseError {
    /// There is nothing.
    #[error("a rule is empty; want a text, `/a regular expression/`, or a test such as `length>20m`")]
    Empty,
    /// Something is compared that is not known.
    #[error("`{got}` is nothing that a rule can ask for; want one of {}, or a text in quotes", FIELDS.join(", "))]
    Field {
        /// What stands there.
        got: String,
    },
    /// Texts are neither more nor less.
    #[error("`{field}` cannot be more or less than something; want `{field}={value}` or `{field}!={value}`")]
    Operator {
        /// What is compared.
        field: &'static str,
        /// With what.
        value: String,
    },
    /// What is compared with cannot be read.
    #[error("`{field}`: {fault}")]
    Value {
        /// What is compared.
        field: &'static str,
        /// What is wrong.
        fault: String,
    },
}

const FIELDS: [&str; 8] = ["title", "number", "season", "length", "age", "size", "type", "language"];

/// One test of an episode.
#[derive(Clone, Debug)]
struct Test {
    what: What,
    operator: Operator,
}

#[derive(Clone, Debug)]
enum What {
    Title(Words),
    Type(Vec<String>),
    Language(Vec<String>),
    Number(u64),
    Season(u64),
    /// In seconds.
    Length(u64),
    /// In seconds.
    Age(u64),
    /// In bytes.
    Size(u64),
}

/// What a text is compared with.
#[derive(Clone, Debug)]
enum Words {
    /// In lower case.
    Part(String),
    Pattern(Regex),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Is,
    IsNot,
    Less,
    AtMost,
    More,
    AtLeast,
}

/// The longer ones first.
const OPERATORS: [(&str, Operator); 6] = [
    ("!=", Operator::IsNot),
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("=", Operator::Is),
    ("<", Operator::Less),
    (">", Operator::More),
];

/// A regular expression may take so many bytes.
const PATTERN_BYTES: usize = 1 << 20;

impl Clause {
    /// Whether it holds for `subject`; `None` if that turns on what is not known.
    pub fn holds(&self, subject: &Subject<'_>) -> Option<bool> {
        let mut all = Some(true);
        for test in &self.tests {
            match test.holds(subject) {
                Some(true) => {}
                Some(false) => return Some(false),
                None => all = None,
            }
        }
        all
    }
}

impl Test {
    fn holds(&self, subject: &Subject<'_>) -> Option<bool> {
        let compare = |known: Option<u64>, value: u64| known.map(|known| self.operator.fits(known.cmp(&value)));
        match &self.what {
            What::Title(words) => Some(words.are_in(subject.title) == (self.operator == Operator::Is)),
            What::Type(types) => {
                let known = subject.mime?.to_ascii_lowercase();
                let is_of = |kind: &String| known == *kind || known.split('/').next() == Some(kind);
                Some(types.iter().any(is_of) == (self.operator == Operator::Is))
            }
            What::Language(languages) => {
                let known = subject.language?.to_ascii_lowercase().replace('_', "-");
                // `de` is also `de-at`.
                let is_of =
                    |it: &String| known == *it || known.strip_prefix(it).is_some_and(|rest| rest.starts_with('-'));
                Some(languages.iter().any(is_of) == (self.operator == Operator::Is))
            }
            What::Number(value) => compare(subject.number.map(u64::from), *value),
            What::Season(value) => compare(subject.season.map(u64::from), *value),
            What::Length(value) => compare(subject.seconds, *value),
            What::Age(value) => compare(subject.age.map(|age| age.as_secs()), *value),
            What::Size(value) => compare(subject.size, *value),
        }
    }

    fn read(text: &str) -> Result<Self, ClauseError> {
        let (name, operator, value) = match parts(text) {
            Some(parts) => parts,
            None => ("title", Operator::Is, text),
        };
        let Some(field) = FIELDS.into_iter().find(|field| field.eq_ignore_ascii_case(name)) else {
            return Err(ClauseError::Field { got: name.to_owned() });
        };
        let fault = |fault: String| ClauseError::Value { field, fault };
        let span = || value.parse::<Span>().map(|span| span.0.as_secs()).map_err(|error| fault(error.to_string()));
        let number = || value.parse::<u64>().map_err(|_| fault(format!("`{value}` is no number")));
        let list = || -> Vec<String> {
            value.split(',').map(|part| part.trim().to_ascii_lowercase()).filter(|part| !part.is_empty()).collect()
        };
        if value.is_empty() {
            return Err(fault("there is nothing to compare with".to_owned()));
        }
        let what = match field {
            "title" => What::Title(Words::read(value).map_err(fault)?),
            "type" => What::Type(list()),
            "language" => What::Language(list().iter().map(|it| it.replace('_', "-")).collect()),
            "number" => What::Number(number()?),
            "season" => What::Season(number()?),
            "length" => What::Length(span()?),
            "age" => What::Age(span()?),
            _ => What::Size(value.parse::<Size>().map(|size| size.0).map_err(|error| fault(error.to_string()))?),
        };
        let is_text = matches!(what, What::Title(_) | What::Type(_) | What::Language(_));
        if is_text && !matches!(operator, Operator::Is | Operator::IsNot) {
            return Err(ClauseError::Operator { field, value: value.to_owned() });
        }
        Ok(Self { what, operator })
    }
}

impl Words {
    fn read(text: &str) -> Result<Self, String> {
        if let Some(pattern) = text.strip_prefix('/') {
            let pattern = pattern.strip_suffix('/').ok_or_else(|| format!("`{text}` does not end with `/`"))?;
            let built = RegexBuilder::new(pattern).case_insensitive(true).size_limit(PATTERN_BYTES).build();
            return built.map(Self::Pattern).map_err(|error| {
                // The last line says what is wrong, those before draw it.
                let error = error.to_string();
                let line = error.lines().last().unwrap_or_default();
                format!("`{pattern}` is no regular expression: {}", line.trim_start_matches("error: "))
            });
        }
        let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        Ok(Self::Part(bare.to_lowercase()))
    }

    fn are_in(&self, text: &str) -> bool {
        match self {
            Self::Part(part) => text.to_lowercase().contains(part),
            Self::Pattern(pattern) => pattern.is_match(text),
        }
    }
}

impl Operator {
    fn fits(self, ordering: Ordering) -> bool {
        match self {
            Self::Is => ordering.is_eq(),
            Self::IsNot => ordering.is_ne(),
            Self::Less => ordering.is_lt(),
            Self::AtMost => ordering.is_le(),
            Self::More => ordering.is_gt(),
            Self::AtLeast => ordering.is_ge(),
        }
    }
}

/// Name, operator and value of a test; `None` if the text is no comparison.
fn parts(text: &str) -> Option<(&str, Operator, &str)> {
    let end = text.find(|sign: char| !sign.is_ascii_alphabetic())?;
    let (name, rest) = text.split_at(end);
    let rest = rest.trim_start();
    let (sign, operator) = OPERATORS.into_iter().find(|(sign, _)| rest.starts_with(sign))?;
    (!name.is_empty()).then(|| (name, operator, rest[sign.len()..].trim()))
}

/// The tests of a text, parted by `and` outside of quotes and patterns.
fn split(text: &str) -> Vec<&str> {
    let mut tests = Vec::new();
    let (mut start, mut inside) = (0, None);
    let mut before = ' ';
    for (at, sign) in text.char_indices() {
        match (inside, sign) {
            (Some('/'), '/') if before != '\\' => inside = None,
            (Some('"'), '"') => inside = None,
            // They begin where a value does.
            (None, '/' | '"') if matches!(before, ' ' | '=') => inside = Some(sign),
            (None, ' ') if at >= start && text[at..].starts_with(" and ") => {
                tests.push(&text[start..at]);
                start = at + " and ".len();
            }
            _ => {}
        }
        before = sign;
    }
    tests.push(text.get(start..).unwrap_or_default());
    tests
}

impl FromStr for Clause {
    type Err = ClauseError;

    fn from_str(text: &str) -> Result<Self, ClauseError> {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let tests = split(&text).into_iter().map(str::trim);
        let tests = tests.map(|test| if test.is_empty() { Err(ClauseError::Empty) } else { Test::read(test) });
        let tests = tests.collect::<Result<_, _>>()?;
        Ok(Self { text, tests })
    }
}

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
