//! What is written, byte for byte.

use std::time::Duration;

use chrono::{DateTime, Utc};
use url::Url;

use super::*;
use crate::model::{FeedPage, Media, TorrentRef, Transcript, sri_sha256};
use crate::withdrawal::{ShowKey, Withdrawal};

fn url(path: &str) -> Url {
    Url::parse("https://pod.example/").and_then(|base| base.join(path)).expect("a URL")
}

fn urls() -> FeedUrls {
    FeedUrls {
        feed: url("/shows/walks/feed.xml"),
        torrents: url("/shows/walks/torrents.xml"),
        json: url("/shows/walks/feed.json"),
        atom: url("/shows/walks/feed.atom"),
        events: Some(url("/shows/walks/events")),
        hubs: vec![url("/hub")],
        cloud: Some(url("/rsscloud/pleaseNotify")),
        page: url("/shows/walks"),
        at: FeedPage::default(),
    }
}

fn show() -> Show {
    Show {
        slug: "walks".to_owned(),
        title: "Night Walks".to_owned(),
        author: Some("Ada".to_owned()),
        description: "Out & about".to_owned(),
        language: "en".to_owned(),
        categories: vec!["Society & Culture > Documentary".to_owned()],
        is_serial: false,
        image_url: Some(url("/media/walks/cover-1a2b3c4d.jpg")),
        link: None,
        email: Some("ada@pod.example".to_owned()),
        explicit: false,
        copyright: Some("© Ada, 2026".to_owned()),
        is_locked: false,
        is_complete: false,
        is_blocked: false,
        tags: Tags::default(),
        new_feed_url: None,
        podcast_guid: Some(crate::podcast_guid(urls().feed.as_str())),
        key: None,
        withdrawn: Vec::new(),
    }
}

fn at(text: &str) -> DateTime<Utc> {
    date::parse(text).expect("a date")
}

fn episode(name: &str, published: &str) -> Episode {
    let hash = "0123456789abcdef0123456789abcdef01234567";
    Episode {
        guid: format!("guid-{name}"),
        guid_is_link: false,
        kind: crate::EpisodeKind::Full,
        title: format!("Episode {name}"),
        notes: "<p>By the <b>river</b></p>".to_owned(),
        published: at(published),
        season: Some(1),
        number: Some(2),
        season_name: None,
        number_name: None,
        is_blocked: false,
        tags: Tags::default(),
        duration: Some(Duration::from_millis(1_800_400)),
        explicit: false,
        media: Media {
            url: url(&format!("/media/walks/{name}.mp3")),
            length: 43_200_000,
            mime: "audio/mpeg".to_owned(),
            file_name: format!("{name}.mp3"),
            sri: Some(sri_sha256(&[7; 32])),
        },
        torrent: Some(TorrentRef {
            url: url(&format!("/torrents/walks/{name}.mp3.torrent")),
            length: 12_345,
            info_hash: hash.parse().expect("an info-hash"),
            magnet: Some(format!("magnet:?xt=urn:btih:{hash}&dn={name}.mp3&ws=https%3A%2F%2Fpod.example%2Fx")),
            info_name: format!("{name}.mp3"),
            folder_length: None,
        }),
        image_url: None,
        page_url: Some(url(&format!("/shows/walks/{name}"))),
        chapters_url: None,
        transcripts: Vec::new(),
    }
}

#[test]
fn the_podcast_feed_is_written_byte_for_byte() {
    let got = podcast_feed(&show(), &[episode("a", "2026-11-20T18:00:00Z")], &urls());
    let want = r#"<?xml version="1.0" encoding="utf-8"?>
<rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom" xmlns:itunes="http://www.itunes.com/dtds/podcast-1.0.dtd" xmlns:podcast="https://podcastindex.org/namespace/1.0">
  <channel>
    <title>Night Walks</title>
    <link>https://pod.example/shows/walks</link>
    <description>Out &amp; about</description>
    <language>en</language>
    <copyright>© Ada, 2026</copyright>
    <pubDate>Fri, 20 Nov 2026 18:00:00 +0000</pubDate>
    <generator>Podswarm</generator>
    <cloud domain="pod.example" port="443" path="/rsscloud/pleaseNotify" registerProcedure="" protocol="http-post"/>
    <image>
      <url>https://pod.example/media/walks/cover-1a2b3c4d.jpg</url>
      <title>Night Walks</title>
      <link>https://pod.example/shows/walks</link>
    </image>
    <podcast:guid>4e723cb4-1228-55a1-9875-485d5525258e</podcast:guid>
    <podcast:locked owner="ada@pod.example">no</podcast:locked>
    <atom:link href="https://pod.example/shows/walks/feed.xml" rel="self" type="application/rss+xml"/>
    <atom:link href="https://pod.example/hub" rel="hub"/>
    <atom:link href="https://pod.example/shows/walks/events" rel="monitor" type="text/event-stream"/>
    <atom:link href="https://pod.example/shows/walks/torrents.xml" rel="alternate" type="application/rss+xml" title="Torrents"/>
    <itunes:author>Ada</itunes:author>
    <itunes:category text="Society &amp; Culture">
      <itunes:category text="Documentary"/>
    </itunes:category>
    <itunes:image href="https://pod.example/media/walks/cover-1a2b3c4d.jpg"/>
    <itunes:explicit>false</itunes:explicit>
    <itunes:owner>
      <itunes:name>Ada</itunes:name>
      <itunes:email>ada@pod.example</itunes:email>
    </itunes:owner>
    <itunes:type>episodic</itunes:type>
    <item>
      <title>Episode a</title>
      <link>https://pod.example/shows/walks/a</link>
      <description><![CDATA[<p>By the <b>river</b></p>]]></description>
      <enclosure url="https://pod.example/media/walks/a.mp3" length="43200000" type="audio/mpeg"/>
      <guid isPermaLink="false">guid-a</guid>
      <pubDate>Fri, 20 Nov 2026 18:00:00 +0000</pubDate>
      <podcast:alternateEnclosure bitrate="191957" default="true" length="43200000" title="Standard" type="audio/mpeg">
        <podcast:source uri="https://pod.example/media/walks/a.mp3"/>
        <podcast:source contentType="application/x-bittorrent" uri="https://pod.example/torrents/walks/a.mp3.torrent"/>
        <podcast:source uri="magnet:?xt=urn:btih:0123456789abcdef0123456789abcdef01234567&amp;dn=a.mp3&amp;ws=https%3A%2F%2Fpod.example%2Fx"/>
        <podcast:integrity type="sri" value="sha256-BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="/>
      </podcast:alternateEnclosure>
      <itunes:duration>1800</itunes:duration>
      <itunes:explicit>false</itunes:explicit>
      <itunes:episode>2</itunes:episode>
      <itunes:season>1</itunes:season>
      <itunes:episodeType>full</itunes:episodeType>
    </item>
  </channel>
</rss>
"#;
    assert_eq!(got, want);
}

#[test]
fn a_folder_is_one_file_for_apps_and_all_files_as_a_torrent() {
    let mut folder = episode("a", "2026-11-20T18:00:00Z");
    folder.torrent.as_mut().unwrap().folder_length = Some(90_000_000);
    let got = podcast_feed(&show(), &[folder], &urls());
    let want = r#"<podcast:alternateEnclosure length="90000000" title="All files" type="application/x-bittorrent">
        <podcast:source contentType="application/x-bittorrent" uri="https://pod.example/torrents/walks/a.mp3.torrent"/>
        <podcast:source uri="magnet:"#;
    assert!(got.contains(want), "{got}");
    assert_eq!(got.matches("media/walks/a.mp3").count(), 1, "{got}");

    let url = Url::parse("https://pod.example/shows/walks/feed.xml").unwrap();
    let channel = crate::read::parse(got.as_bytes(), &url, None).unwrap();
    let sources: Vec<bool> =
        channel.items[0].sources.iter().map(|source| matches!(source, crate::read::Source::Http { .. })).collect();
    assert_eq!(sources, [false, false], "{:?}", channel.items[0].sources);
}

#[test]
fn the_torrent_feed_is_written_byte_for_byte() {
    let got = torrent_feed(&show(), &[episode("a", "2026-11-20T18:00:00Z")], &urls());
    let want = r#"<?xml version="1.0" encoding="utf-8"?>
<rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom" xmlns:podcast="https://podcastindex.org/namespace/1.0">
  <channel>
    <title>Night Walks (torrents)</title>
    <link>https://pod.example/shows/walks</link>
    <description>Out &amp; about</description>
    <language>en</language>
    <copyright>© Ada, 2026</copyright>
    <pubDate>Fri, 20 Nov 2026 18:00:00 +0000</pubDate>
    <generator>Podswarm</generator>
    <cloud domain="pod.example" port="443" path="/rsscloud/pleaseNotify" registerProcedure="" protocol="http-post"/>
    <ttl>15</ttl>
    <image>
      <url>https://pod.example/media/walks/cover-1a2b3c4d.jpg</url>
      <title>Night Walks (torrents)</title>
      <link>https://pod.example/shows/walks</link>
    </image>
    <atom:link href="https://pod.example/shows/walks/torrents.xml" rel="self" type="application/rss+xml"/>
    <atom:link href="https://pod.example/hub" rel="hub"/>
    <atom:link href="https://pod.example/shows/walks/events" rel="monitor" type="text/event-stream"/>
    <atom:link href="https://pod.example/shows/walks/feed.xml" rel="alternate" type="application/rss+xml" title="Podcast"/>
    <item>
      <title>Episode a</title>
      <link>https://pod.example/shows/walks/a</link>
      <description><![CDATA[<p>By the <b>river</b></p>]]></description>
      <enclosure url="https://pod.example/torrents/walks/a.mp3.torrent" length="43200000" type="application/x-bittorrent"/>
      <guid isPermaLink="false">guid-a</guid>
      <pubDate>Fri, 20 Nov 2026 18:00:00 +0000</pubDate>
      <torrent xmlns="http://xmlns.ezrss.it/0.1/">
        <contentLength>43200000</contentLength>
        <fileName>a.mp3</fileName>
        <infoHash>0123456789abcdef0123456789abcdef01234567</infoHash>
        <magnetURI>magnet:?xt=urn:btih:0123456789abcdef0123456789abcdef01234567&amp;dn=a.mp3&amp;ws=https%3A%2F%2Fpod.example%2Fx</magnetURI>
      </torrent>
    </item>
  </channel>
</rss>
"#;
    assert_eq!(got, want);
}

#[test]
fn the_newest_come_first_and_those_of_one_second_as_they_are_given() {
    let [a, b, c] = [("a", "2026-11-20T18:00:00Z"), ("b", "2026-11-22T18:00:00Z"), ("c", "2026-11-20T18:00:00Z")]
        .map(|(name, at)| episode(name, at));
    for given in [[&a, &b, &c], [&b, &a, &c], [&a, &c, &b]] {
        let feed = podcast_feed(&show(), &given.map(Clone::clone), &urls());
        let places = ["guid-b", "guid-a", "guid-c"].map(|guid| feed.find(guid).expect("each is written"));
        assert!(places.is_sorted(), "{places:?}");
    }
    let feed = podcast_feed(&show(), &[c, b, a], &urls());
    let places = ["guid-b", "guid-c", "guid-a"].map(|guid| feed.find(guid).expect("each is written"));
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn an_episode_without_a_torrent_is_only_in_the_podcast_feed() {
    let mut plain = episode("plain", "2026-11-20T18:00:00Z");
    plain.torrent = None;
    let podcast = podcast_feed(&show(), std::slice::from_ref(&plain), &urls());
    assert!(podcast.contains("<podcast:source uri=\"https://pod.example/media/walks/plain.mp3\""));
    assert!(!podcast.contains("x-bittorrent\""));
    assert!(!torrent_feed(&show(), &[plain], &urls()).contains("<item>"));
}

#[test]
fn a_show_with_nothing_to_say_is_still_a_feed() {
    let bare = Show { title: "Bare".to_owned(), ..Show::default() };
    let xml = podcast_feed(&bare, &[], &urls());
    assert!(xml.contains("<language>en</language>") && !xml.contains("pubDate"), "{xml}");
    assert!(rss::Channel::read_from(xml.as_bytes()).is_ok());
}

#[test]
fn hostile_text_stays_text() {
    let mut odd = episode("odd", "2026-11-20T18:00:00Z");
    odd.title = "</title><script>\0\u{1b}[2J\n&amp;".to_owned();
    odd.notes = "a ]]> b ]]]]>> \u{ffff}c".to_owned();
    odd.guid = "x\"><y".to_owned();
    let xml = podcast_feed(&show(), &[odd], &urls());
    assert!(!xml.contains(['\0', '\u{1b}', '\u{ffff}']) && !xml.contains("<script>"), "{xml}");
    let read = rss::Channel::read_from(xml.as_bytes()).expect("well-formed");
    assert_eq!(read.items[0].title.as_deref(), Some("</title><script>[2J &amp;"));
    assert_eq!(read.items[0].description.as_deref(), Some("a ]]> b ]]]]>> c"));
    assert_eq!(read.items[0].guid.as_ref().map(rss::Guid::value), Some("x\"><y"));
}

#[test]
fn a_season_has_a_name_in_atom_as_the_schema_of_the_namespace_wants_it() {
    let named = Episode { season_name: Some("The river".to_owned()), ..episode("b", "2026-11-20T18:00:00Z") };
    let episodes = [episode("a", "2026-11-19T18:00:00Z"), named];
    let xml = atom_feed(&show(), &episodes, &urls(), at("2026-11-21T00:00:00Z"));
    for season in ["<podcast:season name=\"1\">1<", "<podcast:season name=\"The river\">1<"] {
        assert!(xml.contains(season), "{xml}");
    }
    let xml = podcast_feed(&show(), &episodes[..1], &urls());
    assert!(!xml.contains("podcast:season") && xml.contains("<itunes:season>1<"), "{xml}");
}

#[test]
fn hostile_attributes_stay_attributes_in_atom() {
    let mut tags = Tags::default();
    tags.push(
        "person",
        Tag {
            text: "<b>".to_owned(),
            attributes: [("href".to_owned(), "\"><x a='&".to_owned())].into(),
            ..Tag::default()
        },
    );
    let odd = Episode { tags: tags.clone(), ..episode("odd", "2026-11-20T18:00:00Z") };
    let xml = atom_feed(&show(), &[odd], &urls(), at("2026-11-21T00:00:00Z"));
    assert!(!xml.contains("<x") && !xml.contains("<b>"), "{xml}");
    let read = crate::read::parse(xml.as_bytes(), &urls().feed, None).expect("well-formed");
    assert_eq!(read.items[0].tags, tags);
    assert!(xml.parse::<atom_syndication::Feed>().is_ok(), "{xml}");
}

#[test]
fn what_was_taken_back_is_read_from_every_feed_as_the_show_signed_it() {
    let key = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
    let withdrawn: Vec<_> =
        ["one", "two & three"].map(|guid| Withdrawal::sign(&key, guid, at("2026-11-20T18:00:00Z"))).to_vec();
    let show = Show { key: Some(ShowKey::of(&key)), withdrawn: withdrawn.clone(), ..show() };
    let episodes = [episode("a", "2026-11-19T06:00:00Z")];
    let feeds = [podcast_feed, torrent_feed, json_feed].map(|write| write(&show, &episodes, &urls()));
    for feed in feeds.into_iter().chain([atom_feed(&show, &episodes, &urls(), at("2026-11-21T00:00:00Z"))]) {
        let channel = crate::read::parse(feed.as_bytes(), &urls().feed, None).unwrap();
        assert_eq!(channel.key, Some(ShowKey::of(&key)));
        assert_eq!(channel.withdrawn, withdrawn, "{feed}");
        assert_eq!(channel.items.len(), 1);
    }
}

#[test]
fn chapters_and_transcripts_are_named_with_their_types() {
    let transcript = |name: &str, mime: &str, has_times| Transcript {
        url: url(&format!("/media/walks/{name}")),
        mime: mime.to_owned(),
        language: "en".to_owned(),
        has_times,
    };
    let episode = Episode {
        chapters_url: Some(url("/shows/walks/a/chapters.json")),
        transcripts: vec![transcript("a.vtt", "text/vtt", true), transcript("a.txt", "text/plain", false)],
        ..episode("a", "2026-11-19T06:00:00Z")
    };
    let episodes = [episode];
    let feed = podcast_feed(&show(), &episodes, &urls());
    let atom = atom_feed(&show(), &episodes, &urls(), at("2026-11-21T00:00:00Z"));
    for line in [
        r#"<podcast:chapters type="application/json+chapters" url="https://pod.example/shows/walks/a/chapters.json""#,
        r#"<podcast:transcript language="en" rel="captions" type="text/vtt" url="https://pod.example/media/walks/a.vtt""#,
        r#"<podcast:transcript language="en" type="text/plain" url="https://pod.example/media/walks/a.txt""#,
    ] {
        assert!(feed.contains(&format!("{line}/>")) && atom.contains(&format!("{line}>")), "{line}: {feed}{atom}");
    }
}

#[test]
fn every_form_of_a_show_is_read_as_the_same_episodes() {
    let episodes = [episode("a", "2026-11-19T06:00:00Z"), episode("b", "2026-11-20T06:00:00Z")];
    let read = |feed: &str| crate::read::parse(feed.as_bytes(), &urls().feed, None).unwrap();
    let rss = read(&podcast_feed(&show(), &episodes, &urls()));
    let json = read(&json_feed(&show(), &episodes, &urls()));
    let atom = read(&atom_feed(&show(), &episodes, &urls(), at("2026-11-21T00:00:00Z")));
    for other in [&json, &atom] {
        assert_eq!((&other.hubs, other.hubs.len()), (&rss.hubs, urls().hubs.len()));
        assert_eq!((&other.title, &other.events_url, &other.image), (&rss.title, &rss.events_url, &rss.image));
        assert_eq!((other.podcast_guid.or(rss.podcast_guid), &other.author), (rss.podcast_guid, &rss.author));
        for (other, rss) in other.items.iter().zip(&rss.items) {
            assert_eq!((&other.guid, &other.title, other.published), (&rss.guid, &rss.title, rss.published));
            assert_eq!((&other.description, &other.link), (&rss.description, &rss.link));
        }
        assert_eq!(other.items.len(), 2);
    }
    for ((json, atom), rss) in json.items.iter().zip(&atom.items).zip(&rss.items) {
        for other in [json, atom] {
            assert_eq!((&other.sources, other.info_hash), (&rss.sources, rss.info_hash));
            assert_eq!((other.season, other.number), (rss.season, rss.number));
        }
        assert_eq!((json.duration, &atom.integrity), (rss.duration, &rss.integrity));
    }
}

#[test]
fn a_show_that_has_moved_says_where_to() {
    let there = url("/elsewhere.xml");
    let moved = Show { new_feed_url: Some(there.clone()), ..show() };
    let feed = podcast_feed(&moved, &[], &urls());
    assert!(feed.contains("<itunes:new-feed-url>https://pod.example/elsewhere.xml</itunes:new-feed-url>"), "{feed}");
    let read = crate::read::parse(feed.as_bytes(), &urls().feed, None).expect("a feed");
    assert_eq!(read.new_feed_url, Some(there));
}

#[test]
fn tags_stand_where_they_are_said_and_are_read_as_they_were() {
    let tags = |said: &[&str]| {
        let mut tags = Tags::default();
        for text in said {
            tags.say_any(text).unwrap();
        }
        tags
    };
    let of_show = tags(&[
        "person: Ada & Bo; role=host; href=https://ada.example/",
        "funding: Support us; url=https://ada.example/give?a=1&b=2",
        "license: cc-by-4.0",
        "medium: podcast",
        "location: Berlin; geo=geo:52.5,13.4; osm=R62422; country=DE",
        "updateFrequency: Mondays; rrule=FREQ=WEEKLY;BYDAY=MO",
        "txt: S6lpp; purpose=applepodcastsverify",
        "<value type='lightning' method='keysend'><valueRecipient name='Ada' type='node' address='03' split='9'/></value>",
    ]);
    let of_episode = tags(&[
        "person: Cy; role=guest",
        "person: Ada; role=host",
        "soundbite: A line; start=1:13.5; duration=30",
        "socialInteract: https://social.example/1; protocol=activitypub",
    ]);
    let show = Show {
        is_locked: true,
        is_complete: true,
        is_blocked: true,
        key: Some(ShowKey::of(&ed25519_dalek::SigningKey::from_bytes(&[9; 32]))),
        tags: of_show.clone(),
        ..show()
    };
    let episode = Episode {
        tags: of_episode.clone(),
        season_name: Some("The river".to_owned()),
        number_name: Some("Two & a half".to_owned()),
        is_blocked: true,
        ..episode("a", "2026-11-19T06:00:00Z")
    };
    let episodes = [episode];
    let feed = podcast_feed(&show, &episodes, &urls());
    let atom = atom_feed(&show, &episodes, &urls(), at("2026-11-21T00:00:00Z"));
    for line in [
        r#"<podcast:locked owner="ada@pod.example">yes</podcast:locked>"#,
        r#"<podcast:person href="https://ada.example/" role="host">Ada &amp; Bo</podcast:person>"#,
        r#"<podcast:funding url="https://ada.example/give?a=1&amp;b=2">Support us</podcast:funding>"#,
        r#"<podcast:soundbite duration="30" startTime="73.5">A line</podcast:soundbite>"#,
        r#"<podcast:season name="The river">1</podcast:season>"#,
        r#"<podcast:episode display="Two &amp; a half">2</podcast:episode>"#,
        "<itunes:complete>Yes</itunes:complete>",
        "<itunes:block>Yes</itunes:block>",
    ] {
        assert!(feed.contains(line), "{line}: {feed}");
        assert_eq!(atom.contains(line), !line.contains("itunes:"), "{line}: {atom}");
    }
    let read_atom = crate::read::parse(atom.as_bytes(), &urls().feed, None).unwrap();
    assert_eq!((&read_atom.tags, &read_atom.items[0].tags, &read_atom.key), (&of_show, &of_episode, &show.key));
    let read = crate::read::parse(feed.as_bytes(), &urls().feed, None).unwrap();
    assert_eq!((&read.tags, &read.copyright, read.is_complete), (&of_show, &show.copyright, true));
    assert!(read.is_blocked && read.key == show.key, "{read:?}");
    assert_eq!(read.locked.unwrap().owner, show.email);
    let item = &read.items[0];
    assert_eq!((&item.tags, item.is_blocked), (&of_episode, true));
    assert_eq!((item.season, item.season_name.as_deref()), (Some(1), Some("The river")));
    assert_eq!((item.number, item.number_name.as_deref()), (Some(2), Some("Two & a half")));
    let torrents = torrent_feed(&show, &[], &urls());
    assert!(!torrents.contains("podcast:person"), "{torrents}");
}
