//! Names in addresses: a show's slug, an episode's file name.
//!
//! Both are ASCII, since podcast directories refuse anything else in a URL. A slug is checked when it is made, so one
//! that exists is safe as a folder name and in an address. A file name holds the day, the title and the first digits
//! of the content's hash, so that other content never takes an old file's address.
//!
//! Knows nothing of shows or disks; whether a name is taken is for the caller to say.

use std::fmt;
use std::str::FromStr;

use chrono::NaiveDate;
use serde_with::{DeserializeFromStr, SerializeDisplay};
use utoipa::ToSchema;

/// Longest slug of a show, in bytes.
const SLUG_LENGTH: usize = 64;
/// Longest part of an episode's file name that its title makes, in bytes.
const TITLE_LENGTH: usize = 64;

/// A show's name in addresses and folders: `a-z`, `0-9` and single hyphens between them, at most 64 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, SerializeDisplay, DeserializeFromStr, ToSchema)]
#[schema(value_type = String, pattern = "^[a-z0-9]+(-[a-z0-9]+)*$", max_length = 64)]
pub(crate) struct Slug(String);

/// A slug with a character that addresses do not take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{got}` is not a show's short name; want letters a-z, digits and single hyphens, at most 64")]
pub(crate) struct SlugError {
    got: String,
}

impl Slug {
    /// The slug that a title makes: `Café au lait!` gives `cafe-au-lait`; a title without a letter or digit gives
    /// `show`.
    pub(crate) fn from_title(title: &str) -> Self {
        let slug = slugify(title, SLUG_LENGTH);
        if slug.is_empty() { Self("show".to_owned()) } else { Self(slug) }
    }

    /// The slug as it stands in an address.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Slug {
    type Err = SlugError;

    fn from_str(text: &str) -> Result<Self, SlugError> {
        if !text.is_empty() && text.len() <= SLUG_LENGTH && slugify(text, SLUG_LENGTH) == text {
            Ok(Self(text.to_owned()))
        } else {
            Err(SlugError { got: text.to_owned() })
        }
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The file name of an episode: `2026-11-20-the-title-1a2b3c4d.mp3`.
///
/// `digits` is how many hex digits of the content's SHA-256 go in; 8 unless that name is taken. A folder has no
/// `extension`.
pub(crate) fn file_name(day: NaiveDate, title: &str, sha256: &str, digits: usize, extension: &str) -> String {
    let title = match slugify(title, TITLE_LENGTH) {
        slug if slug.is_empty() => "episode".to_owned(),
        slug => slug,
    };
    let digits = sha256.get(..digits).unwrap_or(sha256);
    let stem = format!("{}-{title}-{digits}", day.format("%Y-%m-%d"));
    if extension.is_empty() { stem } else { format!("{stem}.{extension}") }
}

/// The name of an episode's page: its file name without the extension.
pub(crate) fn page_name(file: &str) -> &str {
    // A stem holds no point, so the first one begins the extension.
    file.split_once('.').map_or(file, |(stem, _)| stem)
}

/// `text` in ASCII, lower case, every run of other characters one hyphen, cut between words to at most `longest`
/// bytes.
fn slugify(text: &str, longest: usize) -> String {
    let mut slug = String::new();
    for c in deunicode::deunicode_with_tofu(text, " ").chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if c != '\'' && !slug.ends_with('-') && !slug.is_empty() {
            slug.push('-');
        }
    }
    if slug.len() > longest {
        let cut =
            if slug.as_bytes()[longest] == b'-' { longest } else { slug[..longest].rfind('-').unwrap_or(longest) };
        slug.truncate(cut);
    }
    slug.truncate(slug.trim_end_matches('-').len());
    slug
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(title: &str, want: &str) {
        assert_eq!(Slug::from_title(title).as_str(), want);
    }

    #[test]
    fn a_title_becomes_plain_ascii() {
        check("Café au lait!", "cafe-au-lait");
        check("  Don't -- panic  ", "dont-panic");
        check("日本語", "ri-ben-yu");
        check("../../etc/passwd", "etc-passwd");
        check("<script>", "script");
        check("…", "show");
        check("", "show");
    }

    #[test]
    fn a_long_title_is_cut_between_words() {
        let slug = Slug::from_title(&"abcdefg ".repeat(30));
        assert_eq!(slug.as_str(), "abcdefg-".repeat(8).trim_end_matches('-'));
        assert_eq!(Slug::from_title(&"x".repeat(100)).as_str().len(), 64);
    }

    #[test]
    fn a_typed_slug_is_taken_only_as_it_stands() {
        for bad in ["", "A", "a--b", "-a", "a-", "a/b", "..", "é", "a b", &"x".repeat(65)] {
            assert!(bad.parse::<Slug>().is_err(), "{bad}");
        }
        for good in ["a", "0", "a-b-9", &"x".repeat(64)] {
            assert_eq!(good.parse::<Slug>().unwrap().as_str(), good);
        }
    }

    #[test]
    fn every_slug_from_a_title_can_be_typed_again() {
        for title in ["A  b", "x'y", "Ünï", &"word ".repeat(40)] {
            let slug = Slug::from_title(title);
            assert_eq!(slug.as_str().parse::<Slug>().unwrap(), slug);
        }
    }

    #[test]
    fn a_file_name_has_day_title_and_hash() {
        let day = NaiveDate::from_ymd_opt(2026, 11, 20).unwrap();
        let name = file_name(day, "The Größte!", "1a2b3c4d5e6f", 8, "mp3");
        assert_eq!(name, "2026-11-20-the-grosste-1a2b3c4d.mp3");
        assert_eq!(page_name(&name), "2026-11-20-the-grosste-1a2b3c4d");
        assert_eq!(file_name(day, "///", "1a2b3c4d5e6f", 10, ""), "2026-11-20-episode-1a2b3c4d5e");
    }
}
