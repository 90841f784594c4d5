//! A show's records as the feeds that are served.

use podswarm_core::metainfo::{Magnet, Metainfo};
use podswarm_feeds::model::{self, FeedUrls, Media, TorrentRef, sri_sha256};
use podswarm_feeds::{FeedPage, ShowKey, Tag, Tags, Withdrawal, write};

use crate::feed_length::FeedLength;
use crate::record::{EpisodeRecord, ShowRecord};
use crate::rhythm::Rhythm;
use crate::transcript::TranscriptFile;
use crate::urls::Urls;

/// A form in which a show's feed is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// For podcast apps.
    Podcast,
    /// For torrent clients.
    Torrents,
    /// JSON Feed.
    Json,
    /// Atom.
    Atom,
}

impl Form {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Podcast, Self::Torrents, Self::Json, Self::Atom];

    /// The name of the feed's document, of the one with the newest episodes if there are several.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Podcast => "feed.xml",
            Self::Torrents => "torrents.xml",
            Self::Json => "feed.json",
            Self::Atom => "feed.atom",
        }
    }

    /// Its type.
    pub(crate) const fn mime(self) -> &'static str {
        match self {
            Self::Podcast | Self::Torrents => "application/rss+xml; charset=utf-8",
            Self::Json => "application/feed+json; charset=utf-8",
            Self::Atom => "application/atom+xml; charset=utf-8",
        }
    }
}

/// A document of a show's feeds.
pub(crate) struct Document {
    /// Its name beside the others, such as `feed.xml` or `feed-3.xml`.
    pub(crate) name: String,
    /// The feed that it is of.
    pub(crate) form: Form,
    /// What it says.
    pub(crate) text: String,
}

/// The documents of a show's feeds, that with the newest episodes first in each form; `episodes` are those that are
/// out, `withdrawn` what it signed of others.
pub(crate) fn feeds(
    show: &ShowRecord,
    episodes: &[&EpisodeRecord],
    key: ShowKey,
    withdrawn: Vec<Withdrawal>,
    urls: &Urls,
) -> Vec<Document> {
    // A feed that has moved names itself where it is now.
    let document = |form: Form| match &show.moved {
        Some(moved) => moved.of(form.name()).clone(),
        None => urls.document(&show.slug, form.name()),
    };
    let addresses = FeedUrls {
        feed: document(Form::Podcast),
        torrents: document(Form::Torrents),
        json: document(Form::Json),
        atom: document(Form::Atom),
        events: urls.events(&show.slug),
        hubs: urls.hubs(),
        cloud: urls.cloud(),
        page: urls.show(&show.slug),
        at: FeedPage::default(),
    };
    let mut model = model::Show { key: Some(key), withdrawn, ..show_model(show, urls) };
    let mut models: Vec<model::Episode> = episodes.iter().map(|episode| episode_model(show, episode, urls)).collect();
    models.sort_by(model::Episode::newest_first);
    // What has moved is whole where it is now.
    let length = if show.moved.is_some() { FeedLength::ALL } else { show.feed_length };
    let mut documents = Vec::new();
    for (at, range) in length.pages(models.len()) {
        let addresses = FeedUrls { at, ..addresses.clone() };
        let part = &models[range];
        for form in Form::ALL {
            let text = match form {
                Form::Podcast => write::podcast_feed(&model, part, &addresses),
                Form::Torrents => write::torrent_feed(&model, part, &addresses),
                Form::Json => write::json_feed(&model, part, &addresses),
                Form::Atom => write::atom_feed(&model, part, &addresses, show.created),
            };
            documents.push(Document { name: at.name(form.name()), form, text });
        }
        // What was taken back is told once, so that the pages behind stay as they are.
        model.withdrawn.clear();
    }
    documents
}

fn show_model(show: &ShowRecord, urls: &Urls) -> model::Show {
    model::Show {
        slug: show.slug.to_string(),
        title: show.title.clone(),
        author: show.author.clone(),
        description: show.description.clone().unwrap_or_else(|| show.title.clone()),
        language: show.language.clone(),
        categories: show.category.iter().chain(&show.more_categories).cloned().collect(),
        is_serial: show.is_serial,
        image_url: show.image.as_ref().map(|image| urls.media(&show.slug, &image.file)),
        link: show.link.as_deref().and_then(|link| link.parse().ok()),
        email: show.email.clone(),
        explicit: show.explicit,
        copyright: show.copyright.clone(),
        is_locked: show.is_locked,
        is_complete: show.is_complete,
        is_blocked: show.is_blocked || show.is_private,
        tags: tags(show),
        podcast_guid: show.podcast_guid,
        new_feed_url: show.moved.as_ref().map(|moved| moved.feed.clone()),
        key: None,
        withdrawn: Vec::new(),
    }
}

/// What a show says in the podcast namespace; how often episodes come is told by its rhythm, where nothing else is
/// said.
fn tags(show: &ShowRecord) -> Tags {
    const FREQUENCY: &str = "updateFrequency";
    let mut tags = show.tags.clone();
    if tags.first(FREQUENCY).is_none()
        && let Some((rule, words)) = show.rhythm.as_ref().and_then(Rhythm::rule)
    {
        let words = if show.language.starts_with("en") { words } else { String::new() };
        let frequency = Tag::of_text(words).with("rrule", rule);
        let frequency = if show.is_complete { frequency.with("complete", "true") } else { frequency };
        tags.push(FREQUENCY, frequency);
    }
    tags
}

fn episode_model(show: &ShowRecord, episode: &EpisodeRecord, urls: &Urls) -> model::Episode {
    let url = media_url(episode, urls);
    let file_name = url.path_segments().and_then(|mut segments| segments.next_back()).unwrap_or_default().to_owned();
    model::Episode {
        guid: episode.guid.clone(),
        guid_is_link: episode.guid_is_link,
        title: episode.title.clone(),
        notes: episode.notes_html(),
        published: episode.published,
        season: episode.season,
        number: episode.number,
        season_name: episode.season_name.clone(),
        number_name: episode.number_name.clone(),
        is_blocked: episode.is_blocked,
        tags: episode.tags.clone(),
        kind: episode.kind,
        duration: episode.duration(),
        explicit: episode.explicit.unwrap_or(show.explicit),
        media: Media {
            url,
            length: episode.enclosure.length,
            mime: episode.enclosure.mime.clone(),
            file_name,
            // A folder's hash is not that of the one file which podcast apps are given.
            sri: if episode.is_folder() { None } else { sri(&episode.sha256) },
        },
        torrent: Some(TorrentRef {
            url: urls.torrent(&show.slug, &episode.file),
            length: episode.metainfo_length + outer_length(episode, urls),
            info_hash: episode.info_hash,
            magnet: magnet(episode, urls).map(|magnet| magnet.to_string()),
            info_name: episode.file.clone(),
            folder_length: episode.is_folder().then_some(episode.length),
        }),
        image_url: episode.image.as_ref().map(|image| urls.media(&show.slug, &image.file)),
        page_url: Some(urls.episode(&show.slug, &episode.file)),
        chapters_url: (!episode.chapters.is_empty()).then(|| urls.chapters(&show.slug, &episode.file)),
        transcripts: episode.transcripts.iter().map(|it| transcript(show, it, urls)).collect(),
    }
}

fn transcript(show: &ShowRecord, transcript: &TranscriptFile, urls: &Urls) -> model::Transcript {
    model::Transcript {
        url: urls.media(&show.slug, &transcript.file),
        mime: transcript.kind.mime().to_owned(),
        language: show.language.clone(),
        has_times: transcript.kind.has_times(),
    }
}

fn sri(sha256: &str) -> Option<String> {
    let digest = data_encoding::HEXLOWER.decode(sha256.as_bytes()).ok()?;
    Some(sri_sha256(&digest.try_into().ok()?))
}

/// The file that ordinary apps are given.
pub(crate) fn media_url(episode: &EpisodeRecord, urls: &Urls) -> url::Url {
    match &episode.enclosure.path {
        None => urls.media(&episode.show, &episode.file),
        Some(path) => urls.media_in(&episode.show, &episode.file, path),
    }
}

/// Where HTTP serves the whole of an episode, as torrents name it (BEP 19): the file, or the folder's parent.
fn web_seed(episode: &EpisodeRecord, urls: &Urls) -> url::Url {
    if episode.is_folder() { urls.media_folder(&episode.show) } else { urls.media(&episode.show, &episode.file) }
}

/// The magnet link of an episode; a private one has none: who has but the link asks strangers for the rest (BEP 27).
pub(crate) fn magnet(episode: &EpisodeRecord, urls: &Urls) -> Option<Magnet> {
    let link = || Magnet {
        name: Some(episode.file.clone()),
        trackers: urls.trackers(),
        web_seeds: vec![web_seed(episode, urls).into()],
        ..Magnet::new(episode.info_hash)
    };
    (!episode.is_private).then(link)
}

/// An episode's `.torrent` as it is served: `bare` with our tracker and web seed.
pub(crate) fn torrent(episode: &EpisodeRecord, bare: Metainfo, urls: &Urls) -> Vec<u8> {
    let mut served = bare;
    served.trackers = vec![urls.trackers()];
    served.trackers.retain(|tier| !tier.is_empty());
    served.web_seeds = vec![web_seed(episode, urls).into()];
    served.encode()
}

/// The bytes that tracker and web seed add to a metainfo.
fn outer_length(episode: &EpisodeRecord, urls: &Urls) -> u64 {
    let text = |url: &str| url.len().to_string().len() + 1 + url.len();
    let trackers = urls.trackers();
    let mut added = "8:url-listle".len();
    if let Some(first) = trackers.first() {
        added += "8:announce".len() + text(first);
    }
    if trackers.len() > 1 {
        added += "13:announce-listllee".len() + trackers.iter().map(|url| text(url)).sum::<usize>();
    }
    (added + text(web_seed(episode, urls).as_str())) as u64
}

#[cfg(test)]
mod tests {
    use podswarm_core::metainfo::{MetainfoBuilder, TorrentPath};

    use super::*;
    use crate::record::tests::{episode, show};

    fn urls() -> Urls {
        Urls::parse("https://pods.example/x").unwrap()
    }

    fn key() -> ShowKey {
        ShowKey::of(&ed25519_dalek::SigningKey::from_bytes(&[1; 32]))
    }

    /// What the feeds say, in the order of the forms.
    fn texts(show: &ShowRecord, episodes: &[&EpisodeRecord]) -> Vec<String> {
        feeds(show, episodes, key(), Vec::new(), &urls()).into_iter().map(|document| document.text).collect()
    }

    #[test]
    fn older_episodes_are_in_pages_behind_that_lead_to_each_other() {
        let show = ShowRecord { feed_length: "2".parse().unwrap(), ..show("a") };
        let records: Vec<EpisodeRecord> = (1..=7).map(|n| episode("a", n)).collect();
        let documents = feeds(&show, &records.iter().collect::<Vec<_>>(), key(), Vec::new(), &urls());
        let names: Vec<&str> = documents.iter().map(|document| document.name.as_str()).collect();
        assert_eq!(names[..5], ["feed.xml", "torrents.xml", "feed.json", "feed.atom", "feed-2.xml"]);
        assert_eq!(
            names[5..],
            [
                "torrents-2.xml",
                "feed-2.json",
                "feed-2.atom",
                "feed-1.xml",
                "torrents-1.xml",
                "feed-1.json",
                "feed-1.atom"
            ]
        );
        for form in Form::ALL {
            // Whoever goes from page to page finds every episode once.
            let (mut name, mut found) = (Some(form.name().to_owned()), Vec::new());
            while let Some(current) = name {
                let document = documents.iter().find(|document| document.name == current).unwrap();
                let url = urls().document(&show.slug, &current);
                let read = podswarm_feeds::read::parse(document.text.as_bytes(), &url, Some(form.mime())).unwrap();
                // Atom writes the same as a URN.
                found.extend(read.items.iter().map(|item| item.guid.trim_start_matches("urn:uuid:").to_owned()));
                name = read.next_page.map(|next| next.path_segments().unwrap().next_back().unwrap().to_owned());
            }
            let want: Vec<_> = records.iter().rev().map(|record| record.guid.clone()).collect();
            assert_eq!(found, want, "{form:?}");
        }
        let later: Vec<EpisodeRecord> = (1..=8).map(|n| episode("a", n)).collect();
        let later = feeds(&show, &later.iter().collect::<Vec<_>>(), key(), Vec::new(), &urls());
        let full = |documents: &[Document]| documents.iter().find(|it| it.name == "feed-1.xml").unwrap().text.clone();
        assert_eq!(full(&documents), full(&later), "a full page stays as it is");
    }

    #[test]
    fn the_podcast_feed_has_the_file_and_the_torrent_feed_the_torrent() {
        let record = episode("a", 1);
        let [podcast, torrents, ..] = &texts(&show("a"), &[&record])[..] else { panic!("there are four") };
        assert!(podcast.contains("url=\"https://pods.example/x/media/a/2026-01-01-episode-1-00000001.mp3\""));
        assert!(podcast.contains("length=\"1000\""), "{podcast}");
        assert!(podcast.contains("sha256-"), "{podcast}");
        assert!(torrents.contains("https://pods.example/x/torrents/a/2026-01-01-episode-1-00000001.mp3.torrent"));
        for feed in [podcast, torrents] {
            assert!(feed.contains(&record.guid));
        }
    }

    #[test]
    fn of_a_folder_apps_get_one_file_and_clients_all() {
        let mut record = episode("a", 1);
        record.file = "2026-01-01-book-00000001".to_owned();
        record.length = 5000;
        record.enclosure.path = Some("1.mp3".to_owned());
        let [podcast, torrents, ..] = &texts(&show("a"), &[&record])[..] else { panic!("there are four") };
        assert!(podcast.contains("/media/a/2026-01-01-book-00000001/1.mp3\"") && podcast.contains("length=\"1000\""));
        assert!(!podcast.contains("sha256-"), "{podcast}");
        assert!(torrents.contains("length=\"5000\""));
        assert_eq!(magnet(&record, &urls()).unwrap().web_seeds, ["https://pods.example/x/media/a/"]);
    }

    #[test]
    fn the_torrent_gets_our_tracker_and_web_seed_and_keeps_its_name() {
        let record = episode("a", 1);
        let name = TorrentPath::new([&record.file]).unwrap();
        let bare = MetainfoBuilder::file(name, 1000, 16384, [[7; 20]].into_iter().collect()).build().unwrap();
        let (http, udp) = ("https://pods.example/x/announce", "udp://pods.example:6969/announce");
        for (urls, trackers) in [
            (urls(), &[http][..]),
            (urls().with_udp_tracker(Some(6969)), &[http, udp]),
            (urls().for_files(Vec::new()), &[]),
            (urls().for_files(vec![udp.to_owned()]), &[udp]),
        ] {
            let length = bare.encode().len() as u64 + outer_length(&record, &urls);
            let bytes = torrent(&record, bare.clone(), &urls);
            assert_eq!(bytes.len() as u64, length);
            let served = Metainfo::parse(&bytes).unwrap();
            assert_eq!(served.info_hash, bare.info_hash);
            let tiers: Vec<&[&str]> = [trackers].into_iter().filter(|tier| !tier.is_empty()).collect();
            assert_eq!(served.trackers, tiers, "all are one tier");
            assert_eq!(served.web_seeds, ["https://pods.example/x/media/a/2026-01-01-episode-1-00000001.mp3"]);
            assert_eq!(magnet(&record, &urls).unwrap().trackers, trackers);
        }
    }
}
