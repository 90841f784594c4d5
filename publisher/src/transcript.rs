//! Transcripts: what is said in an episode, as the owner has it written down.
//!
//! They are published as they are, beside the media, and named in the feed by the types that podcast apps know. One
//! that the page can show is shown there.
//!
//! Source: the podcast namespace's `transcript` tag; WebVTT and SubRip as far as [`lines`] reads them.

use std::path::Path;

use podswarm_feeds::chapters::clock;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

/// The longest transcript, in bytes.
const LONGEST: usize = 8 << 20;

/// A transcript on its way into the library.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Transcript {
    /// What it is.
    pub(crate) kind: TranscriptKind,
    /// What it says.
    pub(crate) text: String,
}

/// A transcript that the library has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct TranscriptFile {
    /// What it is.
    pub(crate) kind: TranscriptKind,
    /// Its file beside the show's media; the name holds a part of its hash.
    pub(crate) file: String,
}

/// The form of a transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TranscriptKind {
    /// WebVTT.
    Vtt,
    /// SubRip.
    Srt,
    /// The podcast namespace's JSON.
    Json,
    /// Plain text.
    Text,
}

/// A file that is no transcript.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TranscriptError {
    /// A name whose extension says nothing.
    #[error("a transcript is a .vtt, .srt, .json or .txt file")]
    Kind,
    /// Content that is not what the name says.
    #[error("it is not {want}")]
    Content {
        /// What the name says.
        want: &'static str,
    },
    /// Too long for any app.
    #[error("it has {got} bytes; want at most {LONGEST}")]
    Length {
        /// Its length in bytes.
        got: usize,
    },
}

impl TranscriptKind {
    /// All, in the order in which feeds name them.
    pub(crate) const ALL: [Self; 4] = [Self::Vtt, Self::Srt, Self::Json, Self::Text];

    /// The extension of its files.
    pub(crate) const fn extension(self) -> &'static str {
        match self {
            Self::Vtt => "vtt",
            Self::Srt => "srt",
            Self::Json => "json",
            Self::Text => "txt",
        }
    }

    /// The type by which feeds name it.
    pub(crate) const fn mime(self) -> &'static str {
        match self {
            Self::Vtt => "text/vtt",
            Self::Srt => "application/x-subrip",
            Self::Json => "application/json",
            Self::Text => "text/plain",
        }
    }

    /// The type by which it is served.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Vtt => "text/vtt; charset=utf-8",
            Self::Srt => "application/x-subrip; charset=utf-8",
            Self::Json => "application/json",
            Self::Text => "text/plain; charset=utf-8",
        }
    }

    /// Whether it says when what is said.
    pub(crate) const fn has_times(self) -> bool {
        matches!(self, Self::Vtt | Self::Srt | Self::Json)
    }
}

impl Transcript {
    /// Takes what the file `name` holds.
    pub(crate) fn new(name: &Path, bytes: Vec<u8>) -> Result<Self, TranscriptError> {
        let extension = name.extension().and_then(|it| it.to_str()).unwrap_or_default().to_ascii_lowercase();
        let kind = TranscriptKind::ALL.into_iter().find(|kind| kind.extension() == extension);
        let kind = kind.ok_or(TranscriptError::Kind)?;
        let text = String::from_utf8(bytes).map_err(|_| TranscriptError::Content { want: "UTF-8" })?;
        let transcript = Self { kind, text: text.trim_start_matches('\u{feff}').to_owned() };
        transcript.check()?;
        Ok(transcript)
    }

    /// Refuses what apps could not read.
    pub(crate) fn check(&self) -> Result<(), TranscriptError> {
        let fits = match self.kind {
            TranscriptKind::Vtt => self.text.starts_with("WEBVTT"),
            TranscriptKind::Srt => self.text.contains("-->"),
            TranscriptKind::Json => {
                serde_json::from_str::<serde_json::Value>(&self.text).is_ok_and(|it| it.is_object())
            }
            TranscriptKind::Text => !self.text.trim().is_empty(),
        };
        let want = match self.kind {
            TranscriptKind::Vtt => "WebVTT, which begins with WEBVTT",
            TranscriptKind::Srt => "SubRip, which has times such as 00:00:01,000 --> 00:00:04,000",
            TranscriptKind::Json => "a JSON object",
            TranscriptKind::Text => "a text",
        };
        match self.text.len() {
            got if got > LONGEST => Err(TranscriptError::Length { got }),
            _ if fits => Ok(()),
            _ => Err(TranscriptError::Content { want }),
        }
    }

    /// The name of its file beside the episode's page of that name.
    pub(crate) fn file_name(&self, page: &str) -> String {
        let digest = Sha256::digest(self.text.as_bytes());
        let digits = data_encoding::HEXLOWER.encode(&digest[..4]);
        format!("{page}-{digits}.{}", self.kind.extension())
    }
}

/// What the first of `transcripts` says whose text is had and says anything; nothing if none does.
pub(crate) fn said(
    transcripts: &[TranscriptFile],
    text: impl Fn(&TranscriptFile) -> Option<String>,
) -> Vec<(Option<u64>, String)> {
    let lines = |it: &TranscriptFile| Some(lines(it.kind, &text(it)?)).filter(|lines| !lines.is_empty());
    transcripts.iter().find_map(lines).unwrap_or_default()
}

/// What is said, a line or a cue each, with the time in milliseconds where it is known.
///
/// Of the form that apps read by themselves nothing is shown.
fn lines(kind: TranscriptKind, text: &str) -> Vec<(Option<u64>, String)> {
    match kind {
        TranscriptKind::Json => Vec::new(),
        TranscriptKind::Text => {
            text.lines().map(str::trim).filter(|line| !line.is_empty()).map(|line| (None, line.to_owned())).collect()
        }
        TranscriptKind::Vtt | TranscriptKind::Srt => cues(text),
    }
}

/// The cues of WebVTT and SubRip, which have blank lines between them.
fn cues(text: &str) -> Vec<(Option<u64>, String)> {
    let text = text.replace("\r\n", "\n");
    let cue = |block: &str| {
        let (at, rest) = block.lines().enumerate().find_map(|(at, line)| Some((at, line.split_once("-->")?.0)))?;
        let said = block.lines().skip(at + 1).map(bare).collect::<Vec<_>>().join(" ");
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        (!said.is_empty()).then(|| (clock(&rest.trim().replace(',', ".")), said))
    };
    text.split("\n\n").filter_map(cue).collect()
}

/// A line without tags such as `<v Ada>` and `<i>`; a voice stays as a name.
fn bare(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, tag)) = rest.split_once('<') {
        let Some((tag, after)) = tag.split_once('>') else { break };
        out.push_str(before);
        if let Some(voice) = tag.strip_prefix("v ") {
            out.push_str(voice.trim());
            out.push_str(": ");
        }
        rest = after;
    }
    out.push_str(rest);
    out.replace("&lt;", "<").replace("&gt;", ">").replace("&nbsp;", " ").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(name: &str, text: &str) -> Result<Transcript, TranscriptError> {
        Transcript::new(Path::new(name), text.as_bytes().to_vec())
    }

    #[test]
    fn a_transcript_is_what_its_name_says() {
        assert_eq!(take("a.VTT", "\u{feff}WEBVTT\n").unwrap().kind, TranscriptKind::Vtt);
        assert!(take("a.srt", "1\n00:00:01,000 --> 00:00:04,000\nHi\n").is_ok());
        assert!(take("a.json", "{\"segments\": []}").is_ok());
        for (name, text) in
            [("a.vtt", "hello"), ("a.srt", "hello"), ("a.json", "[1]"), ("a.txt", " \n"), ("a.html", "x")]
        {
            assert!(take(name, text).is_err(), "{name}");
        }
        assert_eq!(Transcript::new(Path::new("a.txt"), vec![0xff]), Err(TranscriptError::Content { want: "UTF-8" }));
    }

    #[test]
    fn other_words_are_another_file() {
        let (one, two) = (take("a.txt", "one").unwrap(), take("a.txt", "two").unwrap());
        let name = one.file_name("page");
        assert!(name.starts_with("page-") && Path::new(&name).extension().is_some_and(|it| it == "txt"), "{name}");
        assert_ne!(one.file_name("page"), two.file_name("page"));
    }

    #[test]
    fn cues_are_lines_with_their_times() {
        let vtt = "WEBVTT\r\n\r\nNOTE a remark\r\n\r\n1\r\n00:01.500 --> 00:04.000 align:start\r\n<v Ada>Good &amp; <i>new</i>\r\nevening\r\n\r\n\
            01:00:00.000 --> 01:00:01.000\r\nBye\r\n";
        let said = [(Some(1500), "Ada: Good & new evening".to_owned()), (Some(3_600_000), "Bye".to_owned())];
        assert_eq!(lines(TranscriptKind::Vtt, vtt), said);
        let srt = "1\n00:00:01,500 --> 00:00:04,000\nGood evening\n";
        assert_eq!(lines(TranscriptKind::Srt, srt), [(Some(1500), "Good evening".to_owned())]);
        assert_eq!(lines(TranscriptKind::Text, "a\n\n b "), [(None, "a".to_owned()), (None, "b".to_owned())]);
    }
}
