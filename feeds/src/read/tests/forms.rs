//! Every form in which feeds write a torrent, and the order between them.

use std::time::Duration;

use chrono::DateTime;
use proptest::prelude::*;

use super::*;
use crate::model::{Episode, FeedPage, FeedUrls, Media, Show, TorrentRef, sri_sha256};
use crate::write::{podcast_feed, torrent_feed};

const UPPER_HASH: &str = "0123456789ABCDEF0123456789ABCDEF01234567";
/// The same info-hash in base 32.
const BASE32_HASH: &str = "AERUKZ4JVPG66AJDIVTYTK6N54ASGRLH";

fn magnet() -> String {
    format!("magnet:?xt=urn:btih:{HASH}")
}

fn torrent(path: &str) -> String {
    format!("torrent https://pod.example{path}")
}

#[test]
fn an_enclosure_of_the_torrents_type_is_a_torrent() {
    check(
        r#"<enclosure type="application/x-bittorrent" length="12216" url="http://host.example/x.torrent"/>"#,
        &["torrent http://host.example/x.torrent"],
    );
    // Whatever its name is, and whatever the length may be that of.
    let item = read_item(r#"<enclosure url="/get/1911" type="application/x-bittorrent" length="1160773632"/>"#);
    assert_eq!(lines(&item), [torrent("/get/1911")]);
    assert_eq!(item.length, None);
}

#[test]
fn parameters_after_the_torrents_type_do_not_hide_it() {
    for mime in
        ["application/x-bittorrent;x-scheme-handler/magnet", "Application/X-BitTorrent; enclosed=\"audio/mpeg\""]
    {
        check(&format!("<enclosure url='/a' type='{mime}'/>"), &[&torrent("/a")]);
    }
}

#[test]
fn an_atom_link_in_rss_is_an_enclosure_too() {
    check(
        r#"<atom:link rel="enclosure" type="application/x-bittorrent" href="/a.mp3.torrent" length="9000000"/>"#,
        &[&torrent("/a.mp3.torrent")],
    );
    check(
        r#"<atom:link rel="enclosure" type="audio/mpeg" href="/a.mp3" length="9000000"/>"#,
        &["http https://pod.example/a.mp3 9000000 audio/mpeg"],
    );
}

#[test]
fn an_atom_feed_is_read_by_its_links() {
    let feed = read(&format!(
        r#"<feed xmlns="http://www.w3.org/2005/Atom" xmlns:t="http://xmlns.transmission.cc/FileFormat">
        <title>Films</title><subtitle>Free ones</subtitle><link href="/films"/><author><name>Vee</name></author>
        <link rel="self" href="/films.atom"/><logo>/logo.png</logo>
        <entry><id>tag:films,1</id><title type="html">Pioneer</title><updated>2010-06-16T12:00:00Z</updated>
          <link rel="alternate" href="/films/1"/><t:hash>{HASH}</t:hash>
          <link rel="enclosure" type="application/x-bittorrent" href="/Pioneer.torrent"/>
          <content type="xhtml"><div><p>A &amp; B</p></div></content></entry>
        <entry><id>tag:films,2</id><published>16 Jun 2010</published><summary>Text only</summary></entry></feed>"#
    ));
    assert_eq!((feed.title.as_str(), feed.description.as_str()), ("Films", "Free ones"));
    assert_eq!(feed.link.as_ref().map(Url::path), Some("/films"));
    assert_eq!(feed.self_url.as_ref().map(Url::path), Some("/films.atom"));
    assert_eq!(feed.image.as_ref().map(Url::path), Some("/logo.png"));
    assert_eq!(feed.author.as_deref(), Some("Vee"));
    let [film, text] = <[Item; 2]>::try_from(feed.items).expect("two entries");
    assert_eq!((film.guid.as_str(), film.title.as_str()), ("tag:films,1", "Pioneer"));
    assert_eq!(film.published, DateTime::from_timestamp(1_276_689_600, 0));
    assert_eq!(film.description, "<div><p>A &amp; B</p></div>");
    assert_eq!(film.link.as_ref().map(Url::path), Some("/films/1"));
    assert_eq!(lines(&film), [format!("{} {HASH}", torrent("/Pioneer.torrent"))]);
    assert_eq!((text.description.as_str(), text.why_none), ("Text only", Some(WhyNone::NoFile)));
}

#[test]
fn a_magnet_may_stand_in_the_link_with_bare_ampersands() {
    check(
        &format!("<link>magnet:?xt=urn:btih:{UPPER_HASH}&dn=Name&tr=http%3A%2F%2Ft.example%2Fa</link>"),
        &[&format!("{}&dn=Name&tr=http%3A%2F%2Ft.example%2Fa", magnet())],
    );
}

#[test]
fn a_magnet_may_stand_in_the_enclosure_whatever_its_type() {
    for mime in ["application/x-bittorrent", "audio/mpeg", ""] {
        check(
            &format!(
                "<enclosure url=\"magnet:?xt=urn:btih:{BASE32_HASH}&amp;dn=x\" length=\"100000\" type=\"{mime}\"/>"
            ),
            &[&format!("{}&dn=x", magnet())],
        );
    }
}

#[test]
fn a_torrent_block_is_known_by_its_local_name() {
    let inner = format!(
        "<contentLength>183442338</contentLength><infoHash>{UPPER_HASH}</infoHash>\
         <magnetURI><![CDATA[{}&dn=A B]]></magnetURI>",
        magnet()
    );
    for block in [
        format!("<torrent xmlns=\"http://xmlns.ezrss.it/0.1/\">{inner}</torrent>"),
        format!("<t:torrent xmlns:t=\"urn:other\">{inner}</t:torrent>"),
        format!("<torrent>{}</torrent>", inner.replace("infoHash", "infohash").replace("magnetURI", "magneturi")),
    ] {
        let item = read_item(&block);
        assert_eq!(lines(&item), [format!("{}&dn=A%20B", magnet())], "{block}");
        assert_eq!(item.length, Some(183_442_338), "{block}");
        assert_eq!(item.info_hash.map(|hash| hash.to_string()).as_deref(), Some(HASH), "{block}");
    }
}

#[test]
fn a_torrent_block_may_be_spread_over_prefixed_elements() {
    let feed = read(&format!(
        "<rss version='2.0' xmlns:torrent='http://xmlns.ezrss.it/0.1/'><channel><item><title>a</title>\
         <torrent:infoHash>{UPPER_HASH}</torrent:infoHash>\
         <torrent:magnetURI>{}&amp;dn=x</torrent:magnetURI></item></channel></rss>",
        magnet()
    ));
    assert_eq!(lines(&feed.items[0]), [format!("{}&dn=x", magnet())]);
}

#[test]
fn a_bare_info_hash_is_a_magnet_with_the_trackers_beside_it() {
    check(
        &format!(
            "<torrent><infoHash>{HASH}</infoHash><trackers><group order='ordered'>\
             <tracker seeds='1'>http://a.example/announce</tracker><tracker>http://b.example/announce</tracker>\
             </group></trackers></torrent>"
        ),
        &[&format!("{}&tr=http%3A%2F%2Fa.example%2Fannounce&tr=http%3A%2F%2Fb.example%2Fannounce", magnet())],
    );
    check(&format!("<link>/page</link><nyaa:infoHash>{HASH}</nyaa:infoHash>"), &[&magnet()]);
}

#[test]
fn a_block_without_hash_adds_its_length_to_the_enclosure() {
    let item = read_item(
        "<torrent xmlns='https://anime.example/0.1/'><link>/e/1</link><contentLength>382373728</contentLength>\
         <pubDate>2025-03-23T10:02:52.301</pubDate></torrent>\
         <enclosure type='application/x-bittorrent' length='382373728' url='/Download/x.torrent'/>",
    );
    assert_eq!(lines(&item), [torrent("/Download/x.torrent")]);
    assert_eq!(item.length, Some(382_373_728));
}

#[test]
fn a_link_that_names_a_torrent_is_one_and_an_info_hash_beside_it_is_its() {
    check(
        &format!(
            "<guid isPermaLink='true'>/view/5</guid><link>/download/5.torrent?x=1</link><nyaa:infoHash>{HASH}</nyaa:infoHash>\
                  <nyaa:size>609.6 MiB</nyaa:size><nyaa:seeders>4</nyaa:seeders>"
        ),
        &[&format!("{} {HASH}", torrent("/download/5.torrent?x=1"))],
    );
    check("<guid>https://pod.example/planet.torrent</guid>", &[&torrent("/planet.torrent")]);
}

#[test]
fn bare_tags_of_torrent_sites_are_read() {
    check(
        &format!("<torrentLink>/t/1.torrent</torrentLink><hash>{UPPER_HASH}</hash><size>5</size><seeds>1</seeds>"),
        &[&format!("{} {HASH}", torrent("/t/1.torrent"))],
    );
}

#[test]
fn torznab_says_it_in_attributes() {
    check(
        &format!(
            "<enclosure url='/dl?id=4' length='0' type='application/x-bittorrent'/>\
             <torznab:attr name='infohash' value='{UPPER_HASH}'/><torznab:attr name='seeders' value='3'/>\
             <torznab:attr name='MagnetUrl' value='{}&amp;dn=x'/>",
            magnet()
        ),
        &[&format!("{} {HASH}", torrent("/dl?id=4")), &format!("{}&dn=x", magnet())],
    );
}

#[test]
fn media_rss_says_it_in_four_ways() {
    check(
        "<media:content url='/a.torrent' type='application/x-bittorrent;enclosed=\"audio/mpeg\"'/>",
        &[&torrent("/a.torrent")],
    );
    check(
        "<media:group><media:peerLink type='application/x-bittorrent' href='/480.torrent' isDefault='false'/>\
         <media:peerLink type='application/x-bittorrent' href='/1080.torrent' isDefault='true'/>\
         <media:content url='/1080.mp4' type='video/mp4' fileSize='5000' isDefault='true' duration='90'/></media:group>",
        &[&torrent("/1080.torrent")],
    );
    check(
        &format!(
            "<media:content url='/a' type='application/x-bittorrent'><media:hash algo='sha1'>{HASH}</media:hash></media:content>"
        ),
        &[&format!("{} {HASH}", torrent("/a"))],
    );
    let item = read_item("<media:content url='/a.mp4' type='video/mp4' fileSize='5000' duration='90'/>");
    assert_eq!(lines(&item), ["http https://pod.example/a.mp4 5000 video/mp4"]);
    assert_eq!(item.duration, Some(Duration::from_secs(90)));
}

#[test]
fn a_hash_of_plain_media_is_no_info_hash() {
    check(
        &format!(
            "<media:content url='/a.mp4' type='video/mp4'><media:hash algo='sha1'>{HASH}</media:hash></media:content>"
        ),
        &["http https://pod.example/a.mp4 ? video/mp4"],
    );
}

#[test]
fn the_default_alternate_gives_all_its_sources() {
    let item = read_item(&format!(
        "<enclosure url='https://track.example/file-0.mp3' length='2490970' type='audio/mpeg'/>\
         <podcast:alternateEnclosure type='video/mp4' length='99' title='Video'>\
           <podcast:source uri='/video.mp4'/><podcast:source uri='/video.mp4.torrent'/></podcast:alternateEnclosure>\
         <podcast:alternateEnclosure type='audio/mpeg' length='2490970' bitrate='160707.74' default='true'>\
           <podcast:source uri='/file-0.mp3'/>\
           <podcast:source uri='/lazy/9' contentType='application/x-bittorrent'/>\
           <podcast:source uri='{}&amp;dn=x'/>\
           <podcast:source uri='ipfs://Qm'/>\
           <podcast:source uri='/page' contentType='text/html'/>\
           <podcast:source uri='/live.m3u8' contentType='application/x-mpegURL'/>\
           <podcast:integrity type='pgp-signature' value='no'/>\
           <podcast:integrity type='sri' value='sha384-abc'/></podcast:alternateEnclosure>",
        magnet()
    ));
    assert_eq!(
        lines(&item),
        [
            format!("{} {HASH}", torrent("/lazy/9")),
            format!("{}&dn=x", magnet()),
            "http https://pod.example/file-0.mp3 2490970 audio/mpeg".to_owned(),
            "http https://track.example/file-0.mp3 2490970 audio/mpeg".to_owned(),
        ]
    );
    assert_eq!(item.integrity.as_deref(), Some("sha384-abc"));
    assert_eq!(item.length, Some(2_490_970));
}

#[test]
fn an_alternate_that_names_the_enclosure_is_the_same_file() {
    let alternate = |uri| {
        format!(
            "<enclosure url='/a.mp3' length='5000' type='audio/mpeg'/><podcast:alternateEnclosure type='audio/opus' length='900'>\
             <podcast:source uri='{uri}'/><podcast:source uri='/a.torrent'/></podcast:alternateEnclosure>"
        )
    };
    let media = "http https://pod.example/a.mp3 900 audio/opus";
    check(&alternate("/a.mp3"), &[&torrent("/a.torrent"), media]);
    check(&alternate("/b.opus"), &["http https://pod.example/a.mp3 5000 audio/mpeg"]);
}

#[test]
fn an_alternate_is_better_than_nothing() {
    check(
        "<podcast:alternateEnclosure type='audio/opus' length='900'><podcast:source uri='/a.opus'/>\
         </podcast:alternateEnclosure><podcast:alternateEnclosure type='video/mp4'><podcast:source uri='/a.mp4'/>\
         </podcast:alternateEnclosure>",
        &["http https://pod.example/a.opus 900 audio/opus"],
    );
}

#[test]
fn the_old_namespace_of_podcasts_is_known() {
    let feed = read(
        "<rss xmlns:p='https://github.com/Podcastindex-org/podcast-namespace/blob/main/docs/1.0.md'><channel>\
         <p:guid>9b024349-ccf0-5f69-a609-6b82873eab3c</p:guid><item><title>a</title><p:alternateEnclosure default='true' \
         type='audio/mpeg'><p:source uri='/a.mp3'/></p:alternateEnclosure></item></channel></rss>",
    );
    assert_eq!(feed.podcast_guid.map(|guid| guid.to_string()).as_deref(), Some("9b024349-ccf0-5f69-a609-6b82873eab3c"));
    assert_eq!(lines(&feed.items[0]), ["http https://pod.example/a.mp3 ? audio/mpeg"]);
}

#[test]
fn a_release_feed_is_read() {
    let item = read_item(
        "<title>2026.11.01</title><guid isPermaLink='false'>tag:linux.example,2026-11-01:/releng/2026.11.01</guid>\
         <enclosure url='/releng/2026.11.01/torrent/' length='1160773632' type='application/x-bittorrent'/>",
    );
    assert_eq!(lines(&item), [torrent("/releng/2026.11.01/torrent/")]);
    assert_eq!(item.guid, "tag:linux.example,2026-11-01:/releng/2026.11.01");
}

#[test]
fn foreign_namespaces_beside_an_enclosure_do_no_harm() {
    let feed = read(
        "<rss version='2.0' xmlns:torrentItem='http://tracker.example/ns/torrentItem#'><channel><item><title>BSD</title>\
         <description>Info hash: 0123</description><torrentItem:size>7</torrentItem:size>\
         <enclosure url='/bsd.torrent' length='700' type='application/x-bittorrent'/></item></channel></rss>",
    );
    assert_eq!(lines(&feed.items[0]), [torrent("/bsd.torrent")]);
}

#[test]
fn a_script_whose_query_ends_in_torrent_is_the_last_resort() {
    check(
        "<title>x</title><link>https://site.example/download.php?id=5&amp;f=x.torrent</link>",
        &["torrent https://site.example/download.php?id=5&f=x.torrent"],
    );
    check(
        "<link>/download.php?f=x.torrent</link><enclosure url='/a.mp3' type='audio/mpeg'/>",
        &["http https://pod.example/a.mp3 ? audio/mpeg"],
    );
}

#[test]
fn a_download_script_is_a_torrent_by_its_type() {
    check(
        "<guid isPermaLink='false'>0123456789abcdef0123456789abcdef01234567</guid>\
         <enclosure url='/download.php?c=1&amp;i=x' type='application/x-bittorrent' length='1'/>",
        &[&torrent("/download.php?c=1&i=x")],
    );
}

#[test]
fn a_plain_podcast_is_read() {
    check(
        "<enclosure url='https://cdn.example/a.mp3?token=1' length='43200000' type='audio/mpeg'/>",
        &["http https://cdn.example/a.mp3?token=1 43200000 audio/mpeg"],
    );
    check("<enclosure url='/a.mp3' length='0' type='audio/mp3'/>", &["http https://pod.example/a.mp3 ? audio/mp3"]);
    check("<enclosure url='/a.M4A'/>", &["http https://pod.example/a.M4A ? ?"]);
    check(
        "<enclosure url='/a.ogg' type='application/octet-stream'/>",
        &["http https://pod.example/a.ogg ? application/octet-stream"],
    );
}

#[test]
fn an_untyped_enclosure_that_names_a_torrent_is_one() {
    check("<enclosure url='/a.mp3.TORRENT'/>", &[&torrent("/a.mp3.TORRENT")]);
    check("<enclosure url='/a.torrent' type='audio/mpeg'/>", &["http https://pod.example/a.torrent ? audio/mpeg"]);
}

#[test]
fn torrent_and_media_of_one_item_are_used_together() {
    check(
        &format!(
            "<enclosure url='/a.mp3' length='5000' type='audio/mpeg'/><enclosure url='/a.torrent' \
             type='application/x-bittorrent'/><link>{}</link>",
            magnet()
        ),
        &[&format!("{} {HASH}", torrent("/a.torrent")), &magnet(), "http https://pod.example/a.mp3 5000 audio/mpeg"],
    );
}

#[test]
fn a_second_enclosure_is_another_format_and_left_out() {
    check(
        "<enclosure url='file:///a.mp3' type='audio/mpeg'/><enclosure url='/a.mp3' type='audio/mpeg' length='5000'/>\
         <enclosure url='/a.ogg' type='audio/ogg' length='4000'/>",
        &["http https://pod.example/a.mp3 5000 audio/mpeg"],
    );
    check(
        "<enclosure url='/mp3.torrent' type='application/x-bittorrent'/>\
         <enclosure url='/ogg.torrent' type='application/x-bittorrent'/>",
        &[&torrent("/mp3.torrent")],
    );
}

#[test]
fn an_alternate_that_cannot_be_used_lends_nothing() {
    let item = read_item(
        "<podcast:alternateEnclosure type='application/x-mpegURL' length='9'><podcast:source uri='/a.m3u8'/>\
         <podcast:integrity type='sri' value='sha256-no'/></podcast:alternateEnclosure>\
         <podcast:alternateEnclosure type='audio/mpeg'><podcast:source uri='/a.mp3'/></podcast:alternateEnclosure>",
    );
    assert_eq!(lines(&item), ["http https://pod.example/a.mp3 ? audio/mpeg"]);
    assert_eq!((item.integrity, item.length), (None, None));
}

#[test]
fn one_source_that_is_named_twice_is_one() {
    check(
        &format!(
            "<guid>/a.torrent</guid><link>/a.torrent</link><enclosure url='/a.torrent'/>\
                  <torrent><infoHash>{HASH}</infoHash><magnetURI>{}</magnetURI></torrent><magnet>{}&amp;dn=y</magnet>",
            magnet(),
            magnet()
        ),
        &[&format!("{} {HASH}", torrent("/a.torrent")), &magnet()],
    );
}

#[test]
fn a_version_2_magnet_is_read() {
    let v2 = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    check(&format!("<link>magnet:?xt=urn:btmh:1220{v2}</link>"), &[&format!("magnet:?xt=urn:btmh:1220{v2}")]);
}

#[test]
fn a_link_that_names_a_key_is_read_once() {
    let key = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    let link = format!("magnet:?xs=urn:btpk:{key}&s=6e");
    let written = link.replace('&', "&amp;");
    let enclosure = format!("<enclosure url='{written}&amp;dn=x' type='application/x-bittorrent'/>");
    check(&format!("<link>{written}</link>"), &[&link]);
    check(&format!("{enclosure}<link>{written}</link>"), &[&format!("{link}&dn=x")]);
}

#[test]
fn each_item_without_a_source_says_why() {
    let scheme = |scheme: &str| WhyNone::Scheme { scheme: scheme.to_owned() };
    let not_media = |mime: &str| WhyNone::NotMedia { mime: mime.to_owned() };
    check_none("<title>News</title><link>/news/1</link>", &WhyNone::NoFile);
    check_none("<title>x</title><enclosure url='/a.jpg' type='image/jpeg' length='5'/>", &not_media("image/jpeg"));
    check_none("<title>x</title><enclosure url='/a.html' type='text/html'/>", &not_media("text/html"));
    check_none("<title>x</title><enclosure url='/a' type='audio/x-mpegURL'/>", &not_media("audio/x-mpegurl"));
    check_none("<title>x</title><enclosure url='/a.zip'/>", &not_media("a.zip"));
    check_none("<title>x</title><enclosure url='file:///etc/passwd' type='audio/mpeg'/>", &scheme("file"));
    check_none(
        "<title>x</title><enclosure url='javascript:alert(1)' type='application/x-bittorrent'/>",
        &scheme("javascript"),
    );
    check_none("<title>x</title><enclosure url='data:audio/mpeg,x' type='audio/mpeg'/>", &scheme("data"));
    check_none("<title>x</title><enclosure url='gopher://h/1' type='audio/mpeg'/>", &scheme("gopher"));
    check_none("<title>x</title><enclosure url='http://[::1' type='audio/mpeg'/>", &WhyNone::BadUrl);
    check_none("<title>x</title><enclosure url='magnet:?dn=x' type='audio/mpeg'/>", &WhyNone::BadMagnet);
    for why in [WhyNone::NoFile, scheme("file"), not_media("image/jpeg"), WhyNone::BadUrl, WhyNone::BadMagnet] {
        assert!(why.to_string().starts_with("it"), "{why}");
    }
}

fn url(path: &str) -> Url {
    base().join(path).expect("a URL")
}

fn episode(name: &str) -> Episode {
    Episode {
        guid: format!("guid <{name}>"),
        guid_is_link: false,
        kind: crate::EpisodeKind::Full,
        title: format!("{name} & \"friends\" <live>"),
        notes: "<p>By the <b>river</b> &amp; ]]> back</p>".to_owned(),
        published: DateTime::from_timestamp(1_790_000_000, 0).expect("in range"),
        season: Some(3),
        number: Some(14),
        season_name: None,
        number_name: None,
        is_blocked: false,
        tags: crate::Tags::default(),
        duration: Some(Duration::from_secs(1801)),
        explicit: true,
        media: Media {
            url: url(&format!("/media/{name}.mp3")),
            length: 43_200_000,
            mime: "audio/mpeg".to_owned(),
            file_name: format!("{name}.mp3"),
            sri: Some(sri_sha256(&[9; 32])),
        },
        torrent: Some(TorrentRef {
            url: url(&format!("/torrents/{name}.torrent")),
            length: 12_345,
            info_hash: HASH.parse().expect("an info-hash"),
            magnet: Some(format!("{}&dn={name}.mp3&tr=http%3A%2F%2Ft.example%2Fannounce", magnet())),
            info_name: format!("{name}.mp3"),
            folder_length: None,
        }),
        image_url: Some(url("/cover.jpg")),
        page_url: Some(url(&format!("/shows/{name}"))),
        chapters_url: None,
        transcripts: Vec::new(),
    }
}

fn show() -> (Show, FeedUrls) {
    let urls = FeedUrls {
        feed: url("/shows/feed.xml"),
        torrents: url("/shows/torrents.xml"),
        json: url("/shows/feed.json"),
        atom: url("/shows/feed.atom"),
        events: Some(url("/shows/events")),
        hubs: Vec::new(),
        cloud: None,
        page: url("/shows"),
        at: FeedPage::default(),
    };
    let show = Show {
        slug: "show".to_owned(),
        title: "Show & tell".to_owned(),
        author: Some("Ada".to_owned()),
        description: "All of <b>it</b>".to_owned(),
        image_url: Some(url("/show.jpg")),
        podcast_guid: Some(crate::podcast_guid(urls.feed.as_str())),
        ..Show::default()
    };
    (show, urls)
}

#[test]
fn what_is_written_is_read_back() {
    let (show, urls) = show();
    let episodes = [episode("one"), episode("two")];
    let feed = read(&podcast_feed(&show, &episodes, &urls));
    assert!(feed.is_whole);
    assert_eq!((&feed.title, &feed.description), (&show.title, &show.description));
    assert_eq!((feed.author, feed.image, feed.podcast_guid), (show.author, show.image_url, show.podcast_guid));
    assert_eq!((feed.self_url, feed.events_url, feed.link), (Some(urls.feed), urls.events, Some(urls.page)));
    assert_eq!(feed.items.len(), 2);
    for (item, episode) in feed.items.iter().zip(&episodes) {
        let torrent = episode.torrent.as_ref().expect("it has one");
        assert_eq!((&item.guid, &item.title, &item.description), (&episode.guid, &episode.title, &episode.notes));
        assert_eq!((item.published, item.duration), (Some(episode.published), episode.duration));
        assert_eq!((item.season, item.number), (episode.season, episode.number));
        assert_eq!((&item.link, &item.image), (&episode.page_url, &episode.image_url));
        assert_eq!((item.info_hash, item.length), (Some(torrent.info_hash), Some(episode.media.length)));
        assert_eq!((&item.integrity, &item.why_none), (&episode.media.sri, &None));
        assert_eq!(
            item.sources,
            [
                Source::Torrent { url: torrent.url.clone(), info_hash: Some(torrent.info_hash) },
                Source::Magnet(torrent.magnet.as_deref().expect("a magnet link").parse().expect("a magnet link")),
                Source::Http {
                    url: episode.media.url.clone(),
                    length: Some(episode.media.length),
                    mime: Some(episode.media.mime.clone()),
                },
            ]
        );
    }
}

#[test]
fn both_feeds_name_the_same_swarm_by_the_same_guid() {
    let (show, urls) = show();
    let episodes = [episode("one")];
    let podcast = read(&podcast_feed(&show, &episodes, &urls));
    let torrents = read(&torrent_feed(&show, &episodes, &urls));
    assert_eq!(torrents.ttl, Some(Duration::from_mins(15)));
    let (podcast, torrents) = (&podcast.items[0], &torrents.items[0]);
    assert_eq!((&podcast.guid, podcast.info_hash), (&torrents.guid, torrents.info_hash));
    assert_eq!(podcast.sources[..2], torrents.sources[..]);
    assert_eq!(podcast.length, torrents.length);
}

#[test]
fn an_item_survives_being_stored() {
    let (show, urls) = show();
    let feed = read(&podcast_feed(&show, &[episode("one")], &urls));
    let json = serde_json::to_string(&feed.items).expect("plain data");
    assert_eq!(serde_json::from_str::<Vec<Item>>(&json).expect("its own output"), feed.items);
}

proptest! {
    #[test]
    fn whatever_an_episode_is_called_its_sources_are_read_back(guid: String, title: String, notes: String) {
        let (show, urls) = show();
        let odd = Episode { guid: format!("g{guid}"), title, notes, ..episode("one") };
        let [plain, odd] = [episode("one"), odd].map(|episode| {
            let feeds = [podcast_feed(&show, std::slice::from_ref(&episode), &urls), torrent_feed(&show, &[episode], &urls)];
            feeds.map(|xml| read(&xml).items.remove(0))
        });
        for (plain, odd) in plain.into_iter().zip(&odd) {
            prop_assert_eq!(plain.sources, &odd.sources[..]);
        }
        prop_assert_eq!(&odd[0].guid, &odd[1].guid);
        prop_assert!(odd[0].guid.starts_with('g'));
    }
}

/// The versions of an item as one line each: type, length, bitrate, height, language and its first source.
fn versions(item: &Item) -> Vec<String> {
    let said = |it: Option<u64>| it.map_or("?".to_owned(), |it| it.to_string());
    let version = |version: &Version| {
        let Quality { bitrate, height, language } = &version.quality;
        let address = match &version.sources[0] {
            Source::Torrent { url, .. } | Source::Http { url, .. } => url.path().to_owned(),
            Source::Magnet(magnet) => magnet.to_string(),
            Source::Mutable(link) => link.to_string(),
        };
        let mime = version.mime.as_deref().unwrap_or("?");
        let facts = [said(version.length), said(*bitrate), said(height.map(u64::from))].join(" ");
        format!("{mime} {facts} {} {address}", language.as_deref().unwrap_or("?"))
    };
    item.versions.iter().map(version).collect()
}

#[test]
fn alternates_beside_the_preferred_one_are_other_versions() {
    let item = read_item(&format!(
        "<enclosure url='/a.mp3' length='5000' type='audio/mpeg'/>\
         <podcast:alternateEnclosure type='audio/mpeg' length='5000' bitrate='160707.74' default='true' lang='en'>\
           <podcast:source uri='/a.mp3'/></podcast:alternateEnclosure>\
         <podcast:alternateEnclosure type='audio/opus' length='900' bitrate='32000' title='Low'>\
           <podcast:source uri='/a.opus'/><podcast:source uri='{}'/></podcast:alternateEnclosure>\
         <podcast:alternateEnclosure type='video/mp4' length='99000' height='720' lang='de' rel='default'>\
           <podcast:source uri='/a.mp4'/></podcast:alternateEnclosure>\
         <podcast:alternateEnclosure type='video/mp4' length='7' rel='Off Stage'><podcast:source uri='/off.mp4'/>\
           </podcast:alternateEnclosure>\
         <podcast:alternateEnclosure type='application/x-mpegURL'><podcast:source uri='/a.m3u8'/>\
           </podcast:alternateEnclosure>\
         <podcast:alternateEnclosure type='audio/mpeg'><podcast:source uri='file:///etc/passwd'/>\
           </podcast:alternateEnclosure>",
        magnet()
    ));
    assert_eq!(lines(&item), ["http https://pod.example/a.mp3 5000 audio/mpeg"]);
    assert_eq!((item.quality.bitrate, item.quality.language.as_deref()), (Some(160_707), Some("en")));
    let low = format!("audio/opus 900 32000 ? ? {}", magnet());
    assert_eq!(versions(&item), [low.as_str(), "video/mp4 99000 ? 720 de /a.mp4"]);
    assert_eq!(item.versions[0].info_hash.map(|hash| hash.to_string()).as_deref(), Some(HASH));
}

#[test]
fn files_of_one_media_group_and_further_enclosures_are_other_versions() {
    let item = read_item(
        "<enclosure url='/360.mp4' length='300' type='video/mp4'/><media:group>\
         <media:content url='/360.mp4' type='video/mp4' fileSize='300' bitrate='800' height='360'/>\
         <media:content url='/1080.mp4' type='video/mp4' fileSize='5000' bitrate='6000' height='1080'/>\
         <media:content url='/trailer.mp4' type='video/mp4' fileSize='5' expression='sample'/>\
         <media:content url='/cover.jpg' type='image/jpeg'/></media:group>",
    );
    assert_eq!((item.quality.bitrate, item.quality.height), (Some(800_000), Some(360)));
    assert_eq!(versions(&item), ["video/mp4 5000 6000000 1080 ? /1080.mp4"]);
    let item = read_item(
        "<enclosure url='/a.mp3' length='5000' type='audio/mpeg'/><enclosure url='/a.opus' length='900' type='audio/opus'/>\
         <enclosure url='/a.pdf' length='99' type='application/pdf'/><enclosure url='/a.mp3' length='5000' type='audio/mpeg'/>",
    );
    assert_eq!(versions(&item), ["audio/opus 900 ? ? ? /a.opus"]);
    let item =
        read_item("<media:content url='/one.mp4' type='video/mp4'/><media:content url='/two.mp4' type='video/mp4'/>");
    assert_eq!(versions(&item), [""; 0], "what is in no group is something else");
}
