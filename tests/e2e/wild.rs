//! Every way in which feeds have been seen to write a torrent, fetched: one feed for each, as its site writes it.
//!
//! The links of BEP 46, which name a key, need a node that keeps what they lead to: the tests of clients have them.

use std::collections::BTreeMap;

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use podswarm_tests::files::{assert_same_bytes, random_file, scratch};
use podswarm_tests::http;
use podswarm_tests::net::Net;
use podswarm_tests::process::{PATIENCE, Program};
use podswarm_tests::programs::{Publisher, metainfo, podsub_on};
use podswarm_tests::web::Site;

/// An episode's length, in bytes.
const LENGTH: u64 = 70_000;

/// What a site knows of its torrent.
struct Given {
    /// The URL of the `.torrent`.
    torrent: String,
    /// The same behind a script, as trackers have it.
    script: String,
    /// The URL of another, which says where it may be renewed.
    renewed: String,
    magnet: String,
    /// The info-hash in hexadecimal and in base32.
    hex: String,
    base32: String,
}

impl Given {
    /// The magnet link as XML has it.
    fn escaped(&self) -> String {
        self.magnet.replace('&', "&amp;")
    }
}

/// The name of a form, what the site declares in `<rss>`, and the item's elements beside its title.
type Form = (&'static str, &'static str, fn(&Given) -> String);

const EZRSS: &str =
    "<!DOCTYPE torrent PUBLIC \"-//bitTorrent//DTD torrent 0.1//EN\" \"http://xmlns.ezrss.it/0.1/dtd/\">";
const ATOM: &str = "xmlns:atom=\"http://www.w3.org/2005/Atom\"";
const MEDIA: &str = "xmlns:media=\"http://search.yahoo.com/mrss/\"";

const RSS_FORMS: [Form; 20] = [
    ("BEP 36", "", |given| {
        format!("<guid>{}</guid>{}", given.hex, enclosure(&given.torrent, "application/x-bittorrent", 612))
    }),
    ("BEP 39", "", |given| enclosure(&given.renewed, "application/x-bittorrent", 612)),
    ("ClearBits", "", |given| enclosure(&given.torrent, "application/x-bittorrent", LENGTH)),
    ("Bitlove", ATOM, |given| {
        let link = format!(
            "<atom:link rel=\"enclosure\" type=\"application/x-bittorrent\" size=\"{LENGTH}\" href=\"{}\"/>",
            given.torrent
        );
        link + &enclosure(&given.torrent, "application/x-bittorrent", LENGTH)
    }),
    // As it was: no XML parser takes bare ampersands.
    ("The Pirate Bay", "", |given| format!("<link>{}</link>", given.magnet)),
    ("EZTV", "", |given| {
        let magnet = given.escaped().replace(&given.hex, &given.base32);
        enclosure(&magnet, "application/x-bittorrent", 100_000)
    }),
    ("ezRSS", "", |given| {
        format!(
            "<torrent xmlns=\"http://xmlns.ezrss.it/0.1/\"><fileName><![CDATA[a.mp3]]></fileName>\
             <contentLength>{LENGTH}</contentLength><infoHash>{}</infoHash><magnetURI><![CDATA[{}]]></magnetURI></torrent>",
            given.hex.to_uppercase(),
            given.magnet
        )
    }),
    ("ezRSS with a prefix", "xmlns:torrent=\"http://xmlns.ezrss.it/0.1/\"", |given| {
        format!(
            "<torrent:infohash>{}</torrent:infohash><torrent:magneturi>{}</torrent:magneturi>",
            given.hex,
            given.escaped()
        )
    }),
    ("Mikan", "", |given| {
        let block = format!(
            "<torrent xmlns=\"https://mikanani.me/0.1/\"><link>http://mikan.example/1</link>\
             <contentLength>{LENGTH}</contentLength><pubDate>2026-03-23T10:02:52.301</pubDate></torrent>"
        );
        block + &enclosure(&given.torrent, "application/x-bittorrent", LENGTH)
    }),
    ("Nyaa", "xmlns:nyaa=\"https://nyaa.si/xmlns/nyaa\"", |given| {
        format!(
            "<link>{}</link><nyaa:infoHash>{}</nyaa:infoHash><nyaa:size>68.4 KiB</nyaa:size><nyaa:seeders>1</nyaa:seeders>",
            given.torrent, given.hex
        )
    }),
    ("KAT", "", |given| {
        format!("<torrentLink>{}</torrentLink><hash>{}</hash><size>{LENGTH}</size>", given.torrent, given.hex)
    }),
    ("Torznab", "xmlns:torznab=\"http://torznab.com/schemas/2015/feed\"", |given| {
        let attr = |name: &str, value: &str| format!("<torznab:attr name=\"{name}\" value=\"{value}\"/>");
        let attrs = attr("infohash", &given.hex) + &attr("magneturl", &given.escaped());
        attrs + &enclosure(&given.escaped(), "application/x-bittorrent;x-scheme-handler/magnet", 0)
    }),
    ("Media RSS", MEDIA, |given| {
        format!("<media:content url=\"{}\" type='application/x-bittorrent;enclosed=\"audio/mpeg\"'/>", given.torrent)
    }),
    ("PeerTube", MEDIA, |given| {
        format!(
            "<media:group><media:peerLink type=\"application/x-bittorrent\" href=\"{}\" isDefault=\"false\"/></media:group>",
            given.torrent
        )
    }),
    ("Podcasting 2.0", "xmlns:podcast=\"https://podcastindex.org/namespace/1.0\"", |given| {
        format!(
            "<podcast:alternateEnclosure type=\"audio/mpeg\" length=\"{LENGTH}\" default=\"true\"><podcast:source uri=\"{}\" \
             contentType=\"application/x-bittorrent\"/><podcast:source uri=\"{}\"/></podcast:alternateEnclosure>",
            given.torrent,
            given.escaped()
        )
    }),
    ("Arch Linux", "", |given| {
        let guid = "<guid isPermaLink=\"false\">tag:archlinux.org,2026-11-01:/releng/releases/2026.11.01/</guid>";
        guid.to_owned() + &enclosure(&given.torrent, "application/x-bittorrent", LENGTH)
    }),
    ("OpenStreetMap", "", |given| {
        let url = &given.torrent;
        format!("<guid>{url}</guid><link>{url}</link>{}", enclosure(url, "application/x-bittorrent", 612))
    }),
    ("XBNBT", "xmlns:torrentItem=\"http://xbnbt.sourceforge.net/ns/torrentItem#\"", |given| {
        let told =
            format!("<description>Info hash: {}</description><torrentItem:seeders>1</torrentItem:seeders>", given.hex);
        told + &enclosure(&given.torrent, "application/x-bittorrent", LENGTH)
    }),
    ("Gazelle", "", |given| format!("<link>{}</link>", given.script.replace('&', "&amp;"))),
    ("Broadcast Machine", "xmlns:dtv=\"http://participatoryculture.org/RSSModules/dtv/1.0\"", |given| {
        let guid = format!("<guid isPermaLink=\"false\">{}</guid>", given.hex);
        guid + &enclosure(&given.script.replace('&', "&amp;"), "application/x-bittorrent", 1)
    }),
];

fn enclosure(url: &str, mime: &str, length: u64) -> String {
    format!("<enclosure url=\"{url}\" type=\"{mime}\" length=\"{length}\"/>")
}

fn rss(name: &str, declared: &str, item: &str) -> String {
    let doctype = if name.starts_with("ezRSS") { EZRSS } else { "" };
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>{doctype}<rss version=\"2.0\" {declared}><channel><title>{name}</title>\
         <link>http://site.example/</link><description/><item><title>{name}</title>{item}</item></channel></rss>"
    )
}

fn atom(name: &str, given: &Given) -> String {
    format!(
        "<?xml version=\"1.0\"?><feed xmlns=\"http://www.w3.org/2005/Atom\"><title>{name}</title><id>urn:vodo</id>\
         <entry><title>{name}</title><id>urn:vodo:1</id><published>2010-06-20 12:00:00</published>\
         <link rel=\"enclosure\" type=\"application/x-bittorrent\" href=\"{}\"/></entry></feed>",
        given.torrent
    )
}

fn json(name: &str, given: &Given) -> String {
    let attachment = serde_json::json!({ "mime_type": "application/x-bittorrent", "url": given.torrent });
    let item = serde_json::json!({ "id": "1", "title": name, "attachments": [attachment] });
    serde_json::json!({ "version": "https://jsonfeed.org/version/1.1", "title": name, "items": [item] }).to_string()
}

/// The torrent with an `update-url` in its info, which makes it another: its web seed alone has it.
fn with_update_url(torrent: &[u8], url: &str) -> Vec<u8> {
    const PIECES: &[u8] = b"6:pieces";
    let begin =
        torrent.windows(PIECES.len()).position(|window| window == PIECES).expect("it has pieces") + PIECES.len();
    let colon = begin + torrent[begin..].iter().position(|byte| *byte == b':').expect("they have a length");
    let length: usize = std::str::from_utf8(&torrent[begin..colon]).expect("digits").parse().expect("a number");
    let (before, after) = torrent.split_at(colon + 1 + length);
    [before, format!("10:update-url{}:{url}", url.len()).as_bytes(), after].concat()
}

#[test]
fn a_torrent_is_fetched_however_its_feed_writes_it() {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, house] = ["publisher", "listener"].map(|name| net.host(name));
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), Some(home.v4()));
    let site = Site::start(&home);
    let (mut want, mut feeds) = (BTreeMap::new(), Vec::new());
    let mut release = |number: usize, name: &str| {
        let path = random_file(&folder.path().join(format!("{number}.mp3")), LENGTH, number as u64);
        let release = publisher.publish(&path);
        want.insert(name.to_owned(), path);
        let metainfo = metainfo(&home, &release.torrent);
        let (magnet, hex) = (metainfo.magnet().to_string(), metainfo.info_hash.to_string());
        let base32 = BASE32_NOPAD.encode(&HEXLOWER.decode(hex.as_bytes()).expect("it is hexadecimal"));
        let script = format!("/download.php?id={number}&name=a.torrent");
        let bytes = http::get(&home, &release.torrent, &[]).body;
        let renewed = format!("/{number}.torrent");
        site.put(&renewed, "application/x-bittorrent", with_update_url(&bytes, &release.torrent));
        site.put(&script, "application/x-bittorrent", bytes);
        let [script, renewed] = [script, renewed].map(|path| site.url(&path));
        Given { torrent: release.torrent, script, renewed, magnet, hex, base32 }
    };
    let mut serve = |number: usize, content_type: &'static str, document: String| {
        let path = format!("/{number}");
        site.put(&path, content_type, document);
        feeds.push(site.url(&path));
    };
    for (number, (name, declared, write)) in RSS_FORMS.into_iter().enumerate() {
        serve(number, "application/rss+xml", rss(name, declared, &write(&release(number, name))));
    }
    let count = RSS_FORMS.len();
    serve(count, "application/atom+xml", atom("VODO", &release(count, "VODO")));
    serve(count + 1, "application/feed+json", json("JSON Feed", &release(count + 1, "JSON Feed")));

    let mut command = podsub_on(&house, &[]);
    command.args(["run", "--json", "--data-dir"]).arg(folder.path().join("podsub")).args(&feeds);
    let mut agent = Program::start("podsub", command);
    while !want.is_empty() {
        let (_, complete) = agent.event("complete", PATIENCE);
        let title = complete["title"].as_str().expect("an episode has a title");
        let episode = want.remove(title).expect("each comes once");
        assert!(complete["info_hash"].is_string(), "it came through its swarm: {complete}");
        assert_same_bytes(&episode, complete["path"].as_str().expect("it is somewhere").as_ref());
    }
}
