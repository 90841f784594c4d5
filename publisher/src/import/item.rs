//! What the items of a feed say, as what is said of episodes, oldest first.

use chrono::{DateTime, Utc};
use podswarm_feeds::Place;
use podswarm_feeds::read::{Item, Source, TranscriptLink};
use url::Url;

use super::show::cut_title;
use crate::publish::{LONGEST_NUMBER_NAME, LONGEST_SEASON_NAME, Origin, Said};

/// An item of a feed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Listed {
    /// One that can be an episode.
    Episode(Box<Wanted>),
    /// One that has nothing which could be published.
    Without {
        /// What it is known by.
        guid: String,
        /// Its title.
        title: String,
        /// Why it cannot be an episode.
        why: String,
    },
}

/// An episode that is to be fetched.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wanted {
    /// What is said of it, without what has to be fetched first.
    pub(crate) said: Said,
    /// Its guid and all that it brings.
    pub(crate) origin: Origin,
    /// Where its file is, best first.
    pub(crate) media: Vec<Url>,
    /// How long the feed says that its file is, in bytes.
    pub(crate) length: Option<u64>,
    /// What its file is called.
    pub(crate) file_name: String,
    /// Its cover.
    pub(crate) image: Option<Url>,
    /// Its chapters.
    pub(crate) chapters: Option<Url>,
    /// What it says that is left out, one reason each.
    pub(crate) faults: Vec<String>,
    /// What is said in it, written down.
    pub(crate) transcripts: Vec<TranscriptLink>,
}

impl Wanted {
    /// What to call it when people are told of it.
    pub(crate) fn title(&self) -> &str {
        self.said.title.as_deref().unwrap_or(&self.file_name)
    }
}

/// The items of a feed, which has them newest first, in the order in which they came out.
///
/// One whose date cannot be read gets that of the one which is next to it in the feed.
pub(crate) fn oldest_first(items: &[Item], now: DateTime<Utc>) -> Vec<Listed> {
    let mut dates: Vec<Option<DateTime<Utc>>> = items.iter().map(|item| item.published).collect();
    for i in (0..dates.len()).rev() {
        dates[i] = dates[i].or_else(|| *dates.get(i + 1)?);
    }
    for i in 0..dates.len() {
        dates[i] = dates[i].or_else(|| *dates.get(i.checked_sub(1)?)?);
    }
    let mut in_order: Vec<(&Item, DateTime<Utc>)> =
        items.iter().zip(dates).map(|(item, date)| (item, date.unwrap_or(now))).rev().collect();
    in_order.sort_by_key(|(_, date)| *date);
    in_order.into_iter().map(|(item, date)| listed(item, date)).collect()
}

fn listed(item: &Item, date: DateTime<Utc>) -> Listed {
    let media: Vec<(&Url, Option<u64>, Option<&str>)> = item
        .sources
        .iter()
        .filter_map(|source| match source {
            Source::Http { url, length, mime } => Some((url, *length, mime.as_deref())),
            Source::Torrent { .. } | Source::Magnet(_) | Source::Mutable(_) => None,
        })
        .collect();
    let title = Some(cut_title(&item.title)).filter(|title| !title.is_empty());
    let Some((url, length, mime)) = media.first() else {
        let why = match &item.why_none {
            Some(why) => why.to_string(),
            None => "its file is offered as a torrent only; fetch it with `podsub get`, then publish it".to_owned(),
        };
        let title = title.unwrap_or_else(|| item.guid.clone());
        return Listed::Without { guid: item.guid.clone(), title, why };
    };
    let origin = Origin {
        guid: item.guid.clone(),
        guid_is_link: item.guid_is_link,
        notes_html: Some(item.description.clone()).filter(|notes| !notes.trim().is_empty()),
        kind: item.kind,
        explicit: item.explicit,
        duration_ms: item.duration.and_then(|duration| u64::try_from(duration.as_millis()).ok()),
        image: None,
    };
    let mut tags = item.tags.clone();
    let faults = tags.keep_good(Place::Episode).iter().map(ToString::to_string).collect();
    let cut = |name: &Option<String>, most| Some(name.as_ref()?.chars().take(most).collect::<String>());
    let said = Said {
        title,
        season: item.season,
        number: item.number,
        season_name: cut(&item.season_name, LONGEST_SEASON_NAME),
        number_name: cut(&item.number_name, LONGEST_NUMBER_NAME),
        blocked: Some(item.is_blocked),
        tags,
        at: Some(date),
        ..Said::default()
    };
    Listed::Episode(Box::new(Wanted {
        said,
        origin,
        length: item.length.or(*length),
        file_name: file_name(url, *mime),
        media: media.iter().map(|(url, ..)| (*url).clone()).collect(),
        image: item.image.clone(),
        chapters: item.chapters.clone(),
        faults,
        transcripts: item.transcripts.clone(),
    }))
}

/// What a file is called: the end of its address, with an extension that its type gives where there is none.
fn file_name(url: &Url, mime: Option<&str>) -> String {
    let last = url.path_segments().and_then(|mut segments| segments.next_back()).unwrap_or_default();
    let last: String = last.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect();
    let has_extension =
        last.rsplit_once('.').is_some_and(|(name, extension)| !name.is_empty() && (2..=4).contains(&extension.len()));
    let last = if last.is_empty() { "episode" } else { &last };
    let extension = match mime {
        _ if has_extension => return last.to_owned(),
        Some("audio/mp4" | "audio/x-m4a" | "audio/m4a") => "m4a",
        Some("audio/aac") => "aac",
        Some("audio/ogg") => "ogg",
        Some("video/mp4" | "video/x-m4v") => "mp4",
        _ => "mp3",
    };
    format!("{last}.{extension}")
}

#[cfg(test)]
mod tests {
    use podswarm_feeds::EpisodeKind;

    use super::*;

    fn items(inner: &str) -> Vec<Item> {
        let url = Url::parse("https://a.example/feed").unwrap();
        let feed =
            format!("<rss xmlns:itunes='http://www.itunes.com/dtds/podcast-1.0.dtd'><channel>{inner}</channel></rss>");
        podswarm_feeds::read::parse(feed.as_bytes(), &url, None).unwrap().items
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000, 0).unwrap()
    }

    fn guids(listed: &[Listed]) -> Vec<&str> {
        let mut guids = Vec::new();
        for listed in listed {
            guids.push(match listed {
                Listed::Episode(wanted) => wanted.origin.guid.as_str(),
                Listed::Without { guid, .. } => guid.as_str(),
            });
        }
        guids
    }

    #[test]
    fn episodes_come_in_the_order_of_their_dates_and_those_without_beside_their_neighbours() {
        let item = |guid: &str, date: &str| {
            let date = if date.is_empty() { String::new() } else { format!("<pubDate>{date}</pubDate>") };
            format!("<item><guid>{guid}</guid>{date}<enclosure url='/{guid}.mp3' type='audio/mpeg'/></item>")
        };
        let feed = [
            item("e", ""),
            item("d", "Mon, 02 Mar 2020 10:00:00 +0100"),
            item("c", "some day"),
            item("b", "Sun, 01 Mar 2020 10:00:00 GMT"),
            item("x", "Wed, 01 Jan 2042 10:00:00 GMT"),
            item("a", ""),
        ];
        let listed = oldest_first(&items(&feed.concat()), now());
        assert_eq!(guids(&listed), ["b", "c", "d", "e", "a", "x"]);
        let Listed::Episode(c) = &listed[1] else { panic!("it has a file") };
        assert_eq!(c.said.at.unwrap().to_rfc3339(), "2020-03-01T10:00:00+00:00");
        let Listed::Episode(x) = &listed[5] else { panic!("it has a file") };
        assert_eq!(x.said.at.unwrap().to_rfc3339(), "2042-01-01T10:00:00+00:00", "a date is what it was");
        let [Listed::Episode(alone)] = &oldest_first(&items(&item("a", "")), now())[..] else { panic!("one") };
        assert_eq!(alone.said.at, Some(now()));
    }

    #[test]
    fn an_item_says_all_of_its_episode() {
        let listed = oldest_first(
            &items(
                "<item><guid isPermaLink='false'>http://a/?1</guid><title>T</title><description><![CDATA[<b>n</b>]]></description>\
                 <itunes:season>2</itunes:season><itunes:episode>3</itunes:episode><itunes:episodeType>trailer</itunes:episodeType>\
                 <itunes:explicit>true</itunes:explicit><itunes:duration>1:01</itunes:duration><itunes:image href='i.png'/>\
                 <enclosure url='../play/7?x=1' length='99' type='audio/x-m4a'/></item>",
            ),
            now(),
        );
        let [Listed::Episode(wanted)] = &listed[..] else { panic!("one episode: {listed:?}") };
        let Origin { guid, guid_is_link, notes_html, kind, explicit, duration_ms, .. } = &wanted.origin;
        assert_eq!((guid.as_str(), *guid_is_link, notes_html.as_deref()), ("http://a/?1", false, Some("<b>n</b>")));
        assert_eq!((*kind, *explicit, *duration_ms), (EpisodeKind::Trailer, Some(true), Some(61_000)));
        assert_eq!((wanted.said.season, wanted.said.number, wanted.length), (Some(2), Some(3), Some(99)));
        assert_eq!((wanted.media[0].as_str(), wanted.file_name.as_str()), ("https://a.example/play/7?x=1", "7.m4a"));
        assert_eq!(wanted.image.as_ref().unwrap().as_str(), "https://a.example/i.png");
    }

    #[test]
    fn what_has_no_file_says_why() {
        let listed = oldest_first(
            &items(
                "<item><guid>a</guid><title>News</title></item><item><guid>b</guid>\
                 <enclosure url='x.torrent' type='application/x-bittorrent'/></item>",
            ),
            now(),
        );
        let why = |listed: &Listed| match listed {
            Listed::Without { title, why, .. } => format!("{title}: {why}"),
            Listed::Episode(_) => panic!("it has no file"),
        };
        assert!(why(&listed[0]).starts_with("b: its file is offered as a torrent only"));
        assert_eq!(why(&listed[1]), "News: it links to no file");
    }
}
