//! What is sent to cost time or memory, to read files, or to crash.
//!
//! No clock is looked at: each document is so large that a cost above the linear would not end.

use proptest::prelude::*;

use super::*;

/// Large enough that a quadratic cost would be 10^12 steps.
const LARGE: usize = 1024 * 1024;

/// `unit` again and again, up to a megabyte.
fn many(unit: &str) -> String {
    unit.repeat(LARGE / unit.len())
}

/// One unit for each number below `count`.
fn numbered(count: usize, unit: impl Fn(usize) -> String) -> String {
    (0..count).map(unit).collect::<Vec<_>>().concat()
}

/// Reads the document, and checks that what comes out is not larger than what went in.
#[track_caller]
fn survive(text: &str) -> Option<Channel> {
    let feed = parse(text.as_bytes(), &base(), None).ok()?;
    let texts = feed.items.iter().map(|item| item.title.len() + item.description.len() + item.guid.len());
    // A guid may be made of a title or a relative link.
    assert!(texts.sum::<usize>() <= 3 * text.len() + 100 * feed.items.len(), "more came out than went in");
    assert!(feed.items.len() <= MAX_ITEMS);
    Some(feed)
}

fn in_title(text: &str) -> String {
    format!("<rss><channel><item><guid>1</guid><title>{text}</title></item></channel></rss>")
}

#[test]
fn entities_of_a_document_type_are_never_expanded() {
    let laughs = numbered(29, |i| format!("<!ENTITY lol{} \"{}\">", i + 1, format!("&lol{i};").repeat(10)));
    let document_type = format!("<!DOCTYPE lolz [<!ENTITY lol0 \"lol\">{laughs}]>");
    let feed = survive(&format!("{document_type}{}", in_title("&lol29;"))).expect("a feed");
    assert_eq!(feed.items[0].title, "&lol29;");

    let quadratic = format!("<!DOCTYPE x [<!ENTITY a \"{}\">]>{}", "a".repeat(50_000), in_title(&"&a;".repeat(50_000)));
    assert!(survive(&quadratic).expect("a feed").items[0].title.starts_with("&a;&a;"));
}

#[test]
fn no_file_and_no_address_is_read_for_an_entity() {
    for entity in ["<!ENTITY x SYSTEM \"file:///etc/passwd\">", "<!ENTITY % p SYSTEM \"http://127.0.0.1/p.dtd\"> %p;"] {
        let feed = survive(&format!("<!DOCTYPE rss [{entity}]>{}", in_title("&x;"))).expect("a feed");
        assert_eq!(feed.items[0].title, "&x;");
    }
}

#[test]
fn tags_with_masses_of_attributes_are_passed_through() {
    let attributes = numbered(80_000, |i| format!(" a{i}='x'"));
    let namespaces = numbered(50_000, |i| format!(" xmlns:n{i}='urn:{i}'"));
    let same = " url='/a.mp3'".repeat(80_000);
    for junk in [attributes, namespaces, same] {
        for text in [
            format!("<rss{junk}><channel><item><title>x</title></item></channel></rss>"),
            format!("<rss><channel><item><enclosure url='/a.mp3'{junk}/><title{junk}>x</title></item></channel></rss>"),
        ] {
            assert_eq!(survive(&text).expect("a feed").items[0].title, "x");
        }
    }
}

#[test]
fn elements_nested_without_end_are_flattened() {
    for tag in [
        "<a>",
        "<torrent>",
        "<description>",
        "<title>",
        "<channel>",
        "<rss>",
        "<enclosure>",
        "<group>",
        "<media:content>",
    ] {
        survive(&format!("<rss><channel>{}", many(tag)));
        survive(&format!("<rss><channel><item>{}</item></channel></rss>", many(tag)));
    }
    let deep = format!("{}{}", "<torrent>".repeat(100_000), "</torrent>".repeat(100_000));
    let feed = survive(&format!("<rss><channel><item><title>x</title>{deep}</item></channel></rss>")).expect("a feed");
    assert_eq!(feed.items[0].title, "x");
}

#[test]
fn ends_without_starts_cost_nothing() {
    survive(&format!("<rss><channel><item><title>x</title><torrent><trackers>{}", many("</a>")));
    survive(&format!("<rss><channel>{}", many("<a></b>")));
}

#[test]
fn what_is_never_closed_is_looked_for_once() {
    for unit in [
        "<!DOCTYPE [",
        "<!DOCTYPE a \"",
        "<!-- ",
        "<![CDATA[",
        "<?x ",
        "<!x ",
        "</a",
        "<a ",
        "<a b=\"",
        "<a b='\">",
        "<",
        "&",
        "&#",
        "&aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "<a b=c\"'>",
        "<item>",
        "<item",
        "</item>",
        "<item/>",
        "=\"",
        "<a b=\"<c d='>",
    ] {
        let mass = many(unit);
        survive(&mass);
        survive(&format!("<rss><channel>{mass}"));
        survive(&format!("<rss><channel><item><title>{mass}"));
        survive(&format!(
            "<rss><channel><item><title>x</title><description>{mass}</description></item></channel></rss>"
        ));
    }
}

#[test]
fn a_title_of_megabytes_is_cut() {
    let feed = survive(&in_title(&"long ".repeat(2_000_000))).expect("a feed");
    assert!(feed.items[0].title.len() < 1000);
    let notes =
        format!("<rss><channel><item><guid>1</guid><description>{}</description></item></channel></rss>", many("é"));
    assert!(survive(&notes).expect("a feed").items[0].description.len() <= 256 * 1024);
}

#[test]
fn items_beyond_the_limit_are_not_read() {
    let items = numbered(50_000, |i| format!("<item><guid>{i}</guid></item>"));
    let feed = survive(&format!("<rss><channel>{items}</channel></rss>")).expect("a feed");
    assert_eq!(feed.items.len(), MAX_ITEMS);
    assert_eq!(feed.items[0].guid, "0");
    assert!(!feed.is_whole);
}

#[test]
fn an_item_of_masses_of_elements_keeps_the_first_ones() {
    for unit in [
        "<torrent/>",
        "<hash>x</hash>",
        "<link>/a.torrent</link>",
        "<enclosure url='/a.torrent'/>",
        "<attr name='magneturl' value='magnet:'/>",
    ] {
        let text = format!(
            "<rss><channel><item><guid>1</guid>{}</item><item><guid>2</guid></item></channel></rss>",
            many(unit)
        );
        let feed = survive(&text).expect("a feed");
        assert_eq!(feed.items.len(), 2, "{unit}");
        assert!(feed.items[0].sources.len() <= 16, "{unit}");
    }
}

#[test]
fn an_item_of_masses_of_sources_keeps_a_few() {
    let sources = numbered(20_000, |i| format!("<podcast:source uri='/{i}.torrent'/>"));
    let alternate = format!("<podcast:alternateEnclosure default='true'>{sources}</podcast:alternateEnclosure>");
    let feed =
        survive(&format!("<rss><channel><item><guid>1</guid>{alternate}</item></channel></rss>")).expect("a feed");
    assert_eq!(feed.items[0].sources.len(), 16);
}

#[test]
fn an_address_of_a_megabyte_is_none() {
    let item = read_item(&format!("<guid>1</guid><enclosure type='audio/mpeg' url='/{}'/>", many("a")));
    assert_eq!(item.sources, []);
}

#[test]
fn a_line_break_in_an_address_does_not_reach_a_header() {
    let item = read_item("<enclosure type='audio/mpeg' url='/a.mp3&#13;&#10;X-Evil: 1'/>");
    assert_eq!(lines(&item), ["http https://pod.example/a.mp3%20X-Evil:%201 ? audio/mpeg"]);
}

#[test]
fn a_date_of_nested_comments_is_read_or_refused() {
    let item = read_item(&format!("<guid>1</guid><pubDate>{}{}</pubDate>", "(".repeat(20_000), ")".repeat(20_000)));
    assert_eq!(item.published, None);
}

#[test]
fn addresses_of_the_machine_itself_are_only_links_here() {
    // They are judged when they are connected to; what counts is that no spelling of them is anything but an address.
    for host in ["127.0.0.1:9091", "[::1]", "0", "2130706433", "0177.0.0.1", "[::ffff:127.0.0.1]", "169.254.169.254"] {
        let item = read_item(&format!("<enclosure type='audio/mpeg' url='http://{host}/a.mp3'/>"));
        let [Source::Http { url, .. }] = &item.sources[..] else { panic!("{host}") };
        assert!(matches!(url.host(), Some(url::Host::Ipv4(_) | url::Host::Ipv6(_))), "{host}");
    }
}

/// Pieces from which documents are made that are almost feeds.
fn almost_feed() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "<rss>",
        "<channel>",
        "<item>",
        "</item>",
        "</channel>",
        "</rss>",
        "<feed xmlns='http://www.w3.org/2005/Atom'>",
        "<entry>",
        "</entry>",
        "<title>",
        "</title>",
        "<link href='/a.torrent' rel='enclosure'/>",
        "<link>",
        "</link>",
        "<guid>",
        "</guid>",
        "<enclosure url='/a.mp3' type='audio/mpeg'",
        "/>",
        ">",
        "<torrent xmlns='urn:x'>",
        "</torrent>",
        "<infoHash>",
        "<description>",
        "</description>",
        "<![CDATA[",
        "]]>",
        "<!--",
        "-->",
        "<!DOCTYPE x [",
        "]",
        "<?xml",
        "?>",
        "&amp;",
        "&#x26;",
        "&",
        "<",
        "é",
        "\0",
        "\u{202e}",
        "magnet:?xt=urn:btih:",
        HASH,
        "'",
        "\"",
        "=",
        " ",
        "<media:group>",
        "<podcast:alternateEnclosure default='true'>",
        "<podcast:source uri='/x'/>",
        "<pubDate>",
        "Fri, 20 Nov 2026 18:00:00 GMT",
        "<itunes:duration>",
        "1:00:00",
    ]);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

/// Whatever is read of it, the result keeps its promises.
fn keeps_its_promises(bytes: &[u8], content_type: Option<&str>) {
    let Ok(feed) = parse(bytes, &base(), content_type) else { return };
    let mut guids = BTreeSet::new();
    for item in &feed.items {
        assert!(!item.guid.is_empty() && guids.insert(&item.guid), "{item:?}");
        assert_eq!(item.sources.is_empty(), item.why_none.is_some(), "{item:?}");
        assert!(!item.title.contains(['\n', '\0', '\u{202e}']), "{item:?}");
        for source in &item.sources {
            if let Source::Torrent { url, .. } | Source::Http { url, .. } = source {
                assert!(matches!(url.scheme(), "http" | "https"), "{item:?}");
            }
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>, content_type: Option<String>) {
        keeps_its_promises(&bytes, content_type.as_deref());
    }

    #[test]
    fn arbitrary_text_in_a_feed_never_panics(text: String) {
        keeps_its_promises(format!("<rss><channel><item>{text}</item></channel></rss>").as_bytes(), None);
        keeps_its_promises(in_title(&text).as_bytes(), None);
    }

    #[test]
    fn almost_feeds_are_always_the_rss_that_was_meant(text in almost_feed()) {
        if let Ok(tidied) = tidy::tidy(&text) {
            rss::Channel::read_from(tidied.head()).expect("tidied heads are well-formed");
            for (item, _) in tidied.items() {
                let feed = rss::Channel::read_from(item).expect("tidied items are well-formed");
                prop_assert_eq!(feed.items.len(), 1);
            }
        }
        keeps_its_promises(text.as_bytes(), None);
        keeps_its_promises(format!("<rss><channel>{text}").as_bytes(), None);
    }
}
