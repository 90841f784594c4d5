//! Which version of an episode is taken, where its feed has it in several qualities or formats.
//!
//! ```text
//! default               what the feed itself puts first
//! smallest, largest     by length, else by bits a second
//! 720p                  the picture with the most lines that has no more than this
//! 64kbit/s              the most bits a second that are no more than this
//! audio, video          the kind, where there is one; else the feed's own
//! audio,smallest        both
//! ```
//!
//! Without `audio` or `video` the kind stays as the feed has it: nobody who wants less to carry wants pictures. What a
//! feed does not tell cannot be chosen by; where it tells nothing, its own version is taken. Where nothing is small
//! enough, the smallest is.
//!
//! Law: what is shown and stored is read as what was written.

use std::cmp::Reverse;
use std::fmt;
use std::str::FromStr;

use podswarm_core::rate::{Limit, Rate};
use serde_with::{DeserializeFromStr, SerializeDisplay};

/// Which version is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, SerializeDisplay, DeserializeFromStr)]
pub struct Quality {
    kind: Option<Kind>,
    pick: Pick,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Audio,
    Video,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Pick {
    #[default]
    Default,
    Largest,
    /// The most lines of a picture.
    Lines(u32),
    /// The most bytes a second.
    Rate(Rate),
    Smallest,
}

/// A text that says nothing of quality.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no quality; want `default`, `smallest`, `largest`, a limit such as `720p` or `64kbit/s`, and before it, \
     if need be, `audio` or `video`, such as `audio,smallest`"
)]
pub struct QualityError(String);

/// What is known of a version.
#[derive(Clone, Copy, Debug, Default)]
pub struct Candidate<'a> {
    /// Its media type.
    pub mime: Option<&'a str>,
    /// Its bytes.
    pub length: Option<u64>,
    /// Bits a second.
    pub bitrate: Option<u64>,
    /// Lines of its picture.
    pub lines: Option<u32>,
}

impl Candidate<'_> {
    fn kind(&self) -> Option<Kind> {
        let mime = self.mime?.to_ascii_lowercase();
        match mime.split('/').next() {
            Some("audio") => Some(Kind::Audio),
            Some("video") => Some(Kind::Video),
            _ if mime == "application/ogg" => Some(Kind::Audio),
            _ if mime == "application/mp4" => Some(Kind::Video),
            _ => None,
        }
    }

    /// Bits a second, as it is said or as they come out over so many seconds.
    fn rate(&self, seconds: Option<u64>) -> Option<u64> {
        self.bitrate.or_else(|| self.length?.checked_mul(8)?.checked_div(seconds?))
    }
}

impl Quality {
    /// The place of the version to take among `all` of an episode that plays for so many seconds; the first is the
    /// feed's own.
    pub fn choose(&self, all: &[Candidate<'_>], seconds: Option<u64>) -> usize {
        let own = all.first().and_then(Candidate::kind);
        let of_kind = |kind: Option<Kind>| -> Vec<(usize, Candidate<'_>)> {
            let all = all.iter().copied().enumerate();
            all.filter(|(_, it)| kind.is_none() || it.kind() == kind).collect()
        };
        let asked = self.kind.map(|kind| of_kind(Some(kind))).filter(|some| !some.is_empty());
        let some = asked.unwrap_or_else(|| of_kind(own));
        let lengths = measured(&some, |it| it.length);
        let rates = measured(&some, |it| it.rate(seconds));
        let lines = measured(&some, |it| it.lines.map(u64::from));
        let chosen = match self.pick {
            Pick::Default => None,
            Pick::Largest => greatest(if rates.len() > lengths.len() { &rates } else { &lengths }),
            Pick::Smallest => least(if rates.len() > lengths.len() { &rates } else { &lengths }),
            Pick::Lines(most) => within(&lines, most.into()),
            Pick::Rate(most) => within(&rates, most.0.saturating_mul(8)),
        };
        chosen.or_else(|| some.first().map(|(place, _)| *place)).unwrap_or(0)
    }
}

/// Those of which it is known, each with its place.
fn measured<'a>(some: &[(usize, Candidate<'a>)], measure: impl Fn(&Candidate<'a>) -> Option<u64>) -> Vec<(u64, usize)> {
    some.iter().filter_map(|(place, it)| Some((measure(it)?, *place))).collect()
}

/// Of those that are equal the first.
fn greatest(measured: &[(u64, usize)]) -> Option<usize> {
    measured.iter().max_by_key(|(much, place)| (*much, Reverse(*place))).map(|(_, place)| *place)
}

fn least(measured: &[(u64, usize)]) -> Option<usize> {
    measured.iter().min().map(|(_, place)| *place)
}

/// The greatest that is no more than `most`, else the least.
fn within(measured: &[(u64, usize)], most: u64) -> Option<usize> {
    let fitting: Vec<_> = measured.iter().copied().filter(|(much, _)| *much <= most).collect();
    greatest(&fitting).or_else(|| least(measured))
}

impl FromStr for Quality {
    type Err = QualityError;

    fn from_str(text: &str) -> Result<Self, QualityError> {
        let fault = || QualityError(text.to_owned());
        let (kind, rest) = match text.split_once(',').map_or((text, ""), |(kind, rest)| (kind.trim(), rest.trim())) {
            ("audio", rest) => (Some(Kind::Audio), rest),
            ("video", rest) => (Some(Kind::Video), rest),
            _ => (None, text),
        };
        let pick = match rest {
            "" if kind.is_some() && !text.contains(',') => Pick::Default,
            "default" => Pick::Default,
            "largest" => Pick::Largest,
            "smallest" => Pick::Smallest,
            limit => match limit.strip_suffix('p').map(str::parse) {
                Some(Ok(lines @ 1..)) => Pick::Lines(lines),
                _ => Pick::Rate(limit.parse().map_err(|_| fault())?),
            },
        };
        if pick == Pick::Rate(Rate(0)) { Err(fault()) } else { Ok(Self { kind, pick }) }
    }
}

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            None => "",
            Some(Kind::Audio) => "audio",
            Some(Kind::Video) => "video",
        };
        let pick = match self.pick {
            Pick::Default if self.kind.is_some() => return f.write_str(kind),
            Pick::Default => "default".to_owned(),
            Pick::Largest => "largest".to_owned(),
            Pick::Lines(lines) => format!("{lines}p"),
            Pick::Rate(rate) => rate_in_bits(rate),
            Pick::Smallest => "smallest".to_owned(),
        };
        if kind.is_empty() { f.write_str(&pick) } else { write!(f, "{kind},{pick}") }
    }
}

/// As media rates are written.
fn rate_in_bits(rate: Rate) -> String {
    let bits = rate.0.saturating_mul(8);
    if bits > 0 && bits.is_multiple_of(1000) { format!("{}kbit/s", bits / 1000) } else { Limit(Some(rate)).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUDIO: Option<&str> = Some("audio/mpeg");
    const VIDEO: Option<&str> = Some("video/mp4");

    fn all() -> Vec<Candidate<'static>> {
        vec![
            Candidate { mime: AUDIO, length: Some(50_000_000), bitrate: Some(128_000), lines: None },
            Candidate { mime: Some("audio/opus"), length: Some(9_000_000), bitrate: Some(24_000), lines: None },
            Candidate { mime: Some("audio/flac"), length: Some(300_000_000), bitrate: None, lines: None },
            Candidate { mime: VIDEO, length: Some(900_000_000), bitrate: None, lines: Some(1080) },
            Candidate { mime: VIDEO, length: Some(200_000_000), bitrate: None, lines: Some(480) },
        ]
    }

    #[track_caller]
    fn check(quality: &str, all: &[Candidate<'_>], want: usize) {
        let read: Quality = quality.parse().unwrap_or_else(|error| panic!("{quality}: {error}"));
        assert_eq!(read.to_string(), quality);
        assert_eq!(read.choose(all, Some(3000)), want, "{quality}");
    }

    #[test]
    fn what_is_taken_is_what_the_rule_asks_for_of_the_feeds_own_kind() {
        for (quality, want) in [
            ("default", 0),
            ("smallest", 1),
            ("largest", 2),
            ("audio", 0),
            ("audio,smallest", 1),
            ("video", 3),
            ("video,smallest", 4),
            ("video,720p", 4),
            ("video,2160p", 3),
            ("video,240p", 4),
            // Nothing of the feed's own kind has a picture.
            ("720p", 0),
            ("64kbit/s", 1),
            ("128kbit/s", 0),
            ("8kbit/s", 1),
            ("10000kbit/s", 2),
        ] {
            check(quality, &all(), want);
        }
    }

    #[test]
    fn what_a_feed_does_not_tell_leaves_its_own_version() {
        let silent = [Candidate { mime: AUDIO, ..Candidate::default() }; 2];
        for quality in ["smallest", "largest", "480p", "64kbit/s", "video"] {
            check(quality, &silent, 0);
        }
        let half = [silent[0], Candidate { length: Some(9), ..silent[0] }, Candidate { length: Some(5), ..silent[0] }];
        check("smallest", &half, 2);
        check("largest", &half, 1);
        check("audio", &[Candidate { mime: VIDEO, ..Candidate::default() }, silent[0]], 1);
        check("smallest", &[Candidate::default()], 0);
        check("smallest", &[], 0);
    }

    #[test]
    fn a_quality_that_means_nothing_is_refused() {
        for text in ["", "best", "720", "p", "0p", "-1p", "audio,", "audio,video", "smallest,audio", "128k", "0kbit/s"]
        {
            assert!(text.parse::<Quality>().is_err(), "{text}");
        }
        assert_eq!("audio, smallest".parse::<Quality>().unwrap().to_string(), "audio,smallest");
        assert_eq!("16kB/s".parse::<Quality>().unwrap().to_string(), "128kbit/s");
    }
}
