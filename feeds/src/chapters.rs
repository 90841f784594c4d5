//! Chapters: where the parts of an episode begin, and what they are called.
//!
//! They come from the file itself, from a feed's item, or from a file that somebody wrote: the JSON of the podcast
//! namespace, or lines such as `00:12:30 The river`. They are served as that JSON.
//!
//! Law: chapters are in order of their beginnings, and no two begin at the same time.
//! Source: the podcast namespace's JSON chapters, 1.2.

use serde::{Deserialize, Serialize};
use url::Url;

/// So many chapters an episode may have.
pub const MOST: usize = 1000;
/// Longest title, in characters.
const LONGEST_TITLE: usize = 255;
/// The version of the JSON that is written.
const VERSION: &str = "1.2.0";

/// A chapter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Chapter {
    /// Where it begins, in milliseconds.
    pub start_ms: u64,
    /// What it is called.
    pub title: String,
    /// A web address that belongs to it.
    #[serde(default)]
    pub url: Option<String>,
}

/// A file that holds no chapters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChaptersError {
    /// A line that is none.
    #[error("line {number} is `{text}`; want a time and a title, such as `00:12:30 The river`")]
    Line {
        /// From 1.
        number: usize,
        /// What it says.
        text: String,
    },
    /// JSON that holds no chapters.
    #[error("the JSON holds no chapters: {0}")]
    Json(String),
    /// Nothing, or too much.
    #[error("it holds {got} chapters; want 1 to {MOST}")]
    Count {
        /// How many there are.
        got: usize,
    },
}

/// The JSON of the podcast namespace, as far as it is read and written here.
#[derive(Serialize, Deserialize)]
struct Document<T> {
    version: String,
    chapters: Vec<T>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    start_time: f64,
    #[serde(default)]
    title: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// Whether it is in the table of contents; one that is not only changes the picture.
    #[serde(default = "yes", skip_serializing)]
    toc: bool,
}

const fn yes() -> bool {
    true
}

/// Reads chapters as their owner wrote them.
pub fn read(text: &str) -> Result<Vec<Chapter>, ChaptersError> {
    let text = bare(text);
    counted(if text.starts_with('{') { of_json(text)? } else { of_lines(text)? })
}

/// Reads chapters as the podcast namespace's JSON has them.
pub fn read_json(text: &str) -> Result<Vec<Chapter>, ChaptersError> {
    counted(of_json(bare(text))?)
}

fn bare(text: &str) -> &str {
    text.trim_start_matches('\u{feff}').trim()
}

fn counted(chapters: Vec<Chapter>) -> Result<Vec<Chapter>, ChaptersError> {
    let chapters = in_order(chapters);
    match chapters.len() {
        1..=MOST => Ok(chapters),
        got => Err(ChaptersError::Count { got }),
    }
}

fn of_json(text: &str) -> Result<Vec<Chapter>, ChaptersError> {
    let document: Document<Entry> =
        serde_json::from_str(text).map_err(|error| ChaptersError::Json(error.to_string()))?;
    let entries = document.chapters.into_iter().filter(|entry| entry.toc);
    Ok(entries
        .map(|entry| Chapter { start_ms: millis(entry.start_time), title: entry.title, url: entry.url })
        .collect())
}

/// Milliseconds of seconds; nothing that is no time.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, which is what is meant"
)]
fn millis(seconds: f64) -> u64 {
    (seconds * 1000.0).round() as u64
}

fn of_lines(text: &str) -> Result<Vec<Chapter>, ChaptersError> {
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim())).filter(|(_, line)| !line.is_empty());
    let chapter = |(number, line): (usize, &str)| {
        let fault = || ChaptersError::Line { number, text: line.chars().take(80).collect() };
        let (time, title) = line.split_once(char::is_whitespace).ok_or_else(fault)?;
        Ok(Chapter { start_ms: clock(time).ok_or_else(fault)?, title: title.trim().to_owned(), url: None })
    };
    lines.map(chapter).collect()
}

/// Milliseconds of `1:02:03`, `02:03.5` or `123`.
pub fn clock(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |part: &str| !part.is_empty() && part.len() <= 9 && part.bytes().all(|b| b.is_ascii_digit());
    let parts: Vec<&str> = whole.split(':').collect();
    if parts.len() > 3 || !parts.iter().all(|part| is_number(part)) || !is_number(fraction) {
        return None;
    }
    let seconds = parts.iter().fold(0, |sum, part| sum * 60 + part.parse::<u64>().unwrap_or(0));
    let millis = format!("{fraction:0<3}")[..3].parse::<u64>().ok()?;
    Some(seconds * 1000 + millis)
}

/// Chapters made fit to be shown: in order, each with a title of one line, and only web addresses.
pub fn in_order(mut chapters: Vec<Chapter>) -> Vec<Chapter> {
    chapters.sort_by_key(|chapter| chapter.start_ms);
    chapters.dedup_by_key(|chapter| chapter.start_ms);
    for (at, chapter) in chapters.iter_mut().enumerate() {
        let visible: String = chapter.title.chars().filter(|c| !c.is_control() || c.is_whitespace()).collect();
        let title = visible.split_whitespace().collect::<Vec<_>>().join(" ");
        chapter.title = title.chars().take(LONGEST_TITLE).collect();
        if chapter.title.is_empty() {
            chapter.title = format!("Chapter {}", at + 1);
        }
        let is_web = |url: &String| Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        chapter.url = chapter.url.take().filter(is_web);
    }
    chapters
}

/// The JSON that apps read.
pub fn to_json(chapters: &[Chapter]) -> String {
    #[expect(clippy::cast_precision_loss, reason = "no episode is so long that a millisecond is lost")]
    let entry = |chapter: &Chapter| Entry {
        start_time: chapter.start_ms as f64 / 1000.0,
        title: chapter.title.clone(),
        url: chapter.url.clone(),
        toc: true,
    };
    let document = Document { version: VERSION.to_owned(), chapters: chapters.iter().map(entry).collect() };
    serde_json::to_string_pretty(&document).expect("chapters have a JSON form")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chapter(start_ms: u64, title: &str) -> Chapter {
        Chapter { start_ms, title: title.to_owned(), url: None }
    }

    #[test]
    fn lines_are_times_and_titles() {
        let read = read("\u{feff}0:20 The  river\n\n00:00 Opening\n1:02:03.25 Ending\n").unwrap();
        assert_eq!(read, [chapter(0, "Opening"), chapter(20_000, "The river"), chapter(3_723_250, "Ending")]);
    }

    #[test]
    fn what_is_no_chapter_is_refused_with_its_line() {
        assert_eq!(read(""), Err(ChaptersError::Count { got: 0 }));
        let error = read("0:00 a\nlater b").unwrap_err();
        assert!(error.to_string().starts_with("line 2 is `later b`"), "{error}");
        for bad in ["1:2:3:4 x", "-1 x", "1:-2 x", "5", "1. x", "99999999999999999999 x", "{}", "{\"chapters\": 1}"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn json_is_read_as_it_is_written_and_as_others_write_it() {
        let link = Some("https://river.example/".to_owned());
        let chapters = vec![chapter(0, "Opening"), Chapter { url: link, ..chapter(20_250, "The river") }];
        assert_eq!(read(&to_json(&chapters)).unwrap(), chapters);
        let others = r#"{"version":"1.2.0","author":"x","chapters":[{"startTime":5.5,"img":"https://x/y.jpg"},
            {"startTime":9,"toc":false,"title":"hidden"},{"startTime":-3,"title":"a\nb","url":"javascript:x"}]}"#;
        let want = [chapter(0, "a b"), chapter(5500, "Chapter 2")];
        assert_eq!((read(others).unwrap(), read_json(others).unwrap()), (want.to_vec(), want.to_vec()));
        for bad in ["0:00 Opening", "", "[]", "{\"version\":\"1.2.0\",\"chapters\":[]}"] {
            assert!(read_json(bad).is_err(), "{bad}");
        }
    }
}
