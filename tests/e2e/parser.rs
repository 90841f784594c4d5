//! Feeds of every age as we read them, beside what Python's feedparser reads, which half the podcast apps are built on.

use std::process::Command;

use chrono::{DateTime, Utc};
use podswarm_feeds::read::{self, Item, Source};
use podswarm_tests::files::scratch;
use podswarm_tests::process::{PATIENCE, Program};
use serde_json::{Value, json};
use url::Url;

/// Where each document is said to come from.
const BASE: &str = "http://site.example/show/feed.xml";

/// Prints for each file, given as a path and a content type, its entries: title, first enclosure, guid, time.
const PARSE: &str = r#"
import calendar, feedparser, json, sys
for path, kind in zip(sys.argv[2::2], sys.argv[3::2]):
    headers = {"content-location": sys.argv[1], "content-type": kind}
    feed = feedparser.parse(open(path, "rb").read(), response_headers=headers)
    times = [entry.get("published_parsed") or entry.get("updated_parsed") for entry in feed.entries]
    print(json.dumps([[
        " ".join(entry.get("title", "").split()),
        next((link.href for link in entry.get("links", []) if link.rel == "enclosure"), None),
        entry.get("id"),
        time and calendar.timegm(time),
    ] for entry, time in zip(feed.entries, times)]))
"#;

const RSS: &str = "application/rss+xml";
const ATOM: &str = "application/atom+xml";

/// A name, the content type that its server says, and the document.
type Document = (&'static str, &'static str, Vec<u8>);

fn documents() -> Vec<Document> {
    let utf16 = |text: &str| {
        let units = std::iter::once(0xfeff).chain(text.encode_utf16());
        units.flat_map(u16::to_le_bytes).collect::<Vec<u8>>()
    };
    vec![
        ("RSS 0.91 as Netscape had it", RSS, RSS_091.into()),
        ("RSS 0.92", "text/xml", RSS_092.into()),
        ("RSS 1.0", "application/rdf+xml", RDF.into()),
        ("a podcast for Apple", RSS, PODCAST.into()),
        ("Latin-1 by its prolog", RSS, LATIN_1.to_vec()),
        ("Cyrillic by its header", "text/xml; charset=windows-1251", CYRILLIC.to_vec()),
        ("UTF-16 by its mark", RSS, utf16(UTF_16)),
        ("a prolog that comes late", RSS, format!("\n\n  {PODCAST}").into_bytes()),
        ("entities of HTML and bare ampersands", RSS, ENTITIES.into()),
        ("dates as people write them", RSS, DATES.into()),
        ("links that are relative", RSS, RELATIVE.into()),
        ("items in two languages of guid", RSS, GUIDS.into()),
        ("Atom 1.0", ATOM, ATOM_10.into()),
        ("Atom 0.3", "application/x.atom+xml", ATOM_03.into()),
        ("text/html that is RSS", "text/html", RSS_092.into()),
    ]
}

const RSS_091: &str = r#"<?xml version="1.0"?>
<!DOCTYPE rss PUBLIC "-//Netscape Communications//DTD RSS 0.91//EN" "http://my.netscape.com/publish/formats/rss-0.91.dtd">
<rss version="0.91"><channel><title>News</title><link>http://site.example/</link><description>d</description>
<language>en-us</language>
<item><title>Stocks fell</title><link>http://site.example/1</link></item>
<item><title>Stocks rose</title><link>http://site.example/2</link><description>They did.</description></item>
</channel></rss>"#;

const RSS_092: &str = r#"<rss version="0.92"><channel><title>Dead air</title><link>http://site.example/</link>
<description>d</description>
<item><title>China Cat</title><description>A jam.</description>
<enclosure url="http://media.example/china.mp3" length="6666097" type="audio/mpeg"/></item>
<item><title>Untitled</title><enclosure url="http://media.example/two.mp3" length="1" type="audio/mpeg"/></item>
</channel></rss>"#;

const RDF: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
 xmlns:dc="http://purl.org/dc/elements/1.1/">
<channel rdf:about="http://site.example/feed"><title>Meerkat</title><link>http://site.example/</link>
<description>d</description><items><rdf:Seq><rdf:li resource="http://site.example/1"/></rdf:Seq></items></channel>
<item rdf:about="http://site.example/1"><title>XML: A Disruptive Technology</title><link>http://site.example/1</link>
<dc:date>2001-01-15T10:00:00+01:00</dc:date></item>
</rdf:RDF>"#;

const PODCAST: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0" xmlns:itunes="http://www.itunes.com/dtds/podcast-1.0.dtd"
 xmlns:content="http://purl.org/rss/1.0/modules/content/" xmlns:atom="http://www.w3.org/2005/Atom">
<channel><title>Hiking &amp; Treks</title><link>https://site.example/</link><description>d</description>
<atom:link href="https://site.example/show/feed.xml" rel="self" type="application/rss+xml"/>
<itunes:author>Ann</itunes:author><itunes:category text="Sports"><itunes:category text="Wilderness"/></itunes:category>
<item><title><![CDATA[Grand  Canyon – "the" hike]]></title><itunes:title>Grand Canyon</itunes:title>
<guid isPermaLink="false">aae20190418</guid><pubDate>Tue, 08 Jan 2019 01:15:00 GMT</pubDate>
<content:encoded><![CDATA[<p>With <b>Ann</b></p>]]></content:encoded>
<enclosure length="498537" type="audio/mpeg" url="http://media.example/canyon.mp3?a=1&amp;b=2"/>
<itunes:duration>1079</itunes:duration><itunes:explicit>false</itunes:explicit></item>
<item><title>AT&amp;T, Q&amp;A</title><guid>https://site.example/2</guid><pubDate>Tue, 01 Jan 2019 12:00:00 +0100</pubDate>
<enclosure length="5" type="audio/x-m4a" url="http://media.example/two.m4a"/></item>
</channel></rss>"#;

const LATIN_1: &[u8] =
    b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><rss version=\"2.0\"><channel><title>\xc9t\xe9</title>\
    <item><title>L'\xe9t\xe9 \xe0 la for\xeat</title><guid>e1</guid>\
    <enclosure url=\"http://media.example/e1.mp3\" length=\"1\" type=\"audio/mpeg\"/></item></channel></rss>";

const CYRILLIC: &[u8] = b"<?xml version=\"1.0\"?><rss version=\"2.0\"><channel><title>x</title>\
    <item><title>\xcf\xf0\xe8\xe2\xe5\xf2</title><guid>e1</guid></item></channel></rss>";

const UTF_16: &str = "<?xml version=\"1.0\" encoding=\"utf-16\"?><rss version=\"2.0\"><channel><title>x</title>\
    <item><title>日本語の話</title><guid>e1</guid></item></channel></rss>";

const ENTITIES: &str = "<?xml version=\"1.0\"?><rss version=\"2.0\"><channel><title>x</title>\
    <item><title>Caf&eacute; &amp; bar &ndash; Tom & Jerry</title><guid>e1</guid>\
    <enclosure url=\"http://media.example/e1.mp3?a=1&b=2\" length=\"1\" type=\"audio/mpeg\"/></item></channel></rss>";

const DATES: &str = r#"<rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/"><channel><title>x</title>
<item><title>1</title><guid>1</guid><pubDate>Thu, 01 Jan 04 19:48:21 GMT</pubDate></item>
<item><title>2</title><guid>2</guid><pubDate>01 Jan 2004 19:48 EST</pubDate></item>
<item><title>3</title><guid>3</guid><pubDate>2004-01-01T19:48:21Z</pubDate></item>
<item><title>4</title><guid>4</guid><pubDate>2004-01-01</pubDate></item>
<item><title>5</title><guid>5</guid><dc:date>2003-12-31T10:14:55-08:00</dc:date></item>
<item><title>6</title><guid>6</guid><pubDate>Thu, 1 Jan 2004 19:48:21 +0530</pubDate></item>
<item><title>7</title><guid>7</guid></item>
</channel></rss>"#;

const RELATIVE: &str = r#"<rss version="2.0"><channel><title>x</title>
<item><title>1</title><guid isPermaLink="false">1</guid>
<enclosure url="one.mp3" length="1" type="audio/mpeg"/></item>
<item><title>2</title><guid isPermaLink="false">2</guid>
<enclosure url="/media/two.mp3" length="1" type="audio/mpeg"/></item>
<item><title>3</title><guid isPermaLink="false">3</guid>
<enclosure url="//cdn.example/three.mp3" length="1" type="audio/mpeg"/></item>
</channel></rss>"#;

const GUIDS: &str = r#"<rss version="2.0"><channel><title>x</title>
<item><title>Same</title><guid isPermaLink="true">http://site.example/1</guid></item>
<item><title>Same</title><guid isPermaLink="false">  tag:site.example,2020:2  </guid></item>
<item><title></title><guid>3</guid><description>Without a title.</description></item>
</channel></rss>"#;

const ATOM_10: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom" xml:base="http://site.example/base/"><title>x</title><id>urn:x</id>
<updated>2003-12-13T18:30:02Z</updated>
<entry><title type="text">Plain</title><id>urn:1</id><published>2003-12-13T08:29:29-04:00</published>
<updated>2005-07-31T12:29:29Z</updated>
<link rel="alternate" href="/1"/><link rel="enclosure" type="audio/mpeg" length="1337" href="audio/one.mp3"/></entry>
<entry xml:base="two/"><title type="html">Less &lt;b&gt;plain&lt;/b&gt;</title><id>urn:2</id>
<updated>2003-12-13T18:30:02.25+01:00</updated><link rel="enclosure" href="two.mp3" type="audio/mpeg"/></entry>
</feed>"#;

const ATOM_03: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<feed version="0.3" xmlns="http://purl.org/atom/ns#"><title>x</title>
<entry><title>Old</title><id>tag:site.example,2003:1</id><issued>2003-12-13T08:29:29-04:00</issued>
<modified>2003-12-13T18:30:02Z</modified><link rel="alternate" type="text/html" href="http://site.example/1"/></entry>
</feed>"#;

/// An item as the other parser tells it; `theirs` for what only one of us makes up or makes absolute.
fn told(item: &Item, theirs: &Value, base: &Url) -> Value {
    let media = item.sources.iter().find_map(|source| match source {
        Source::Http { url, .. } => Some(url.as_str()),
        _ => None,
    });
    let absolute = |text: &Value| Some(base.join(text.as_str()?).ok()?.to_string());
    // They leave enclosures relative, and take a guid for a link where it is not denied to be one.
    let media = if absolute(&theirs[1]).as_deref() == media { theirs[1].clone() } else { json!(media) };
    let is_same_guid = theirs[2].is_null() || absolute(&theirs[2]) == absolute(&json!(item.guid));
    let guid = if is_same_guid { theirs[2].clone() } else { json!(item.guid) };
    json!([item.title, media, guid, item.published.map(|time: DateTime<Utc>| time.timestamp())])
}

#[test]
fn feeds_of_every_age_are_read_as_a_known_parser_reads_them() {
    let folder = scratch();
    let documents = documents();
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-c", PARSE, BASE]);
    for (number, (_, content_type, document)) in documents.iter().enumerate() {
        let path = folder.path().join(number.to_string());
        std::fs::write(&path, document).expect("the test's folder is ours");
        command.arg(path).arg(content_type);
    }
    let ended = Program::start("feedparser", command).end(PATIENCE);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.lines.len(), documents.len());
    let base: Url = BASE.parse().expect("it is one");
    for ((name, content_type, document), line) in documents.iter().zip(&ended.lines) {
        let channel =
            read::parse(document, &base, Some(content_type)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let theirs = line.json();
        let ours: Vec<Value> =
            channel.items.iter().enumerate().map(|(place, item)| told(item, &theirs[place], &base)).collect();
        assert_eq!(json!(ours), theirs, "{name}");
    }
}
