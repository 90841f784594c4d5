//! Lists of subscriptions, each in the form in which its app writes it.

use crate::read::opml::{OpmlError, Subscriptions, parse, same_feed_key, web_address};

#[track_caller]
fn read(text: &str) -> Subscriptions {
    parse(text.as_bytes()).unwrap()
}

#[track_caller]
fn check(text: &str, want: &[(&str, &str)]) {
    let read = read(text);
    let got: Vec<_> = read.feeds.iter().map(|feed| (feed.url.as_str(), feed.title.as_str())).collect();
    assert_eq!(got, want);
}

#[test]
fn gpodders() {
    let text = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<opml version=\"2.0\">\n    <head>\n        \
        <title>gPodder subscriptions</title>\n        <dateCreated>Sat, 21 Nov 2026 23:51:03 +0000</dateCreated>\n    \
        </head>\n    <body>\n        <outline title=\"Night Walks\" text=\"Walks at night, and what is heard on them.\" \
        xmlUrl=\"https://walks.example/feed.xml\" type=\"rss\"/>\n    </body>\n</opml>\n";
    check(text, &[("https://walks.example/feed.xml", "Night Walks")]);
}

#[test]
fn antennapods() {
    let text = "<?xml version='1.0' encoding='UTF-8' standalone='no' ?>\n<opml version=\"2.0\">\n  <head>\n    \
        <title>AntennaPod Subscriptions</title>\n    <dateCreated>21 Nov 26 23:51:03 +0000</dateCreated>\n  </head>\n  \
        <body>\n    <outline text=\"Tide &amp; Time\" title=\"Tide &amp; Time\" type=\"rss\" \
        xmlUrl=\"https://tide.example/feed?format=mp3&amp;key=1\" htmlUrl=\"https://tide.example\" />\n  </body>\n</opml>";
    check(text, &[("https://tide.example/feed?format=mp3&key=1", "Tide & Time")]);
}

#[test]
fn newsboats() {
    let text = "<?xml version=\"1.0\"?>\n<opml version=\"1.0\">\n  <head>\n    <title>newsboat - Exported Feeds</title>\n  \
        </head>\n  <body>\n    <outline type=\"rss\" xmlUrl=\"https://a.example/feed.xml\" htmlUrl=\"\" \
        title=\"Gr&#xF6;&#xDF;e &amp; &lt;Test&gt;\"/>\n    <outline type=\"rss\" xmlUrl=\"http://b.example/feed\" \
        htmlUrl=\"\" title=\"\"/>\n  </body>\n</opml>\n";
    check(text, &[("https://a.example/feed.xml", "Größe & <Test>"), ("http://b.example/feed", "")]);
}

#[test]
fn apple_podcasts_and_overcasts_with_folders_and_episodes() {
    let apple = "<?xml version=\"1.0\" encoding=\"utf-8\" standalone=\"no\"?>\n<opml version=\"1.0\">\n  <head>\n    \
        <title>Podcast Subscriptions</title>\n  </head>\n  <body>\n    <outline text=\"feeds\">\n      <outline \
        type=\"rss\" text=\"Girl In Space\" xmlUrl=\"https://girlinspace.example/rss\" />\n    </outline>\n  </body>\n\
        </opml>";
    check(apple, &[("https://girlinspace.example/rss", "Girl In Space")]);
    let overcast = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<opml version=\"1.0\">\n<head><title>Overcast Podcast \
        Subscriptions</title></head>\n<body>\n<outline text=\"playlists\"><outline type=\"podcast-playlist\" \
        title=\"All\" smart=\"1\"/></outline>\n<outline text=\"feeds\">\n<outline type=\"rss\" overcastId=\"1\" \
        text=\"One\" title=\"One\" xmlUrl=\"https://one.example/rss\" htmlUrl=\"https://one.example/\"><outline \
        type=\"podcast-episode\" title=\"E\" url=\"https://one.example/e\" enclosureUrl=\"https://one.example/e.mp3\" \
        xmlUrl=\"https://one.example/not-a-feed\"/></outline>\n<outline type=\"rss\" text=\"Two\" \
        xmlUrl=\"https://two.example/rss\"/></outline></body></opml>";
    check(overcast, &[("https://one.example/rss", "One"), ("https://two.example/rss", "Two")]);
    assert_eq!(read(overcast).feeds[1].folders, ["feeds"]);
}

#[test]
fn pocket_casts_with_the_address_first_and_no_title() {
    let text = "<?xml version='1.0' encoding='UTF-8' standalone='yes' ?>\r\n<opml version=\"1.0\">\r\n  <head>\r\n    \
        <title>Pocket Casts Feeds</title>\r\n  </head>\r\n  <body>\r\n    <outline text=\"feeds\">\r\n      <outline\r\n\
        xmlUrl=\"https://river.example/rss?show=1&amp;key=a%26b\"\r\n        type=\"rss\"\r\n        text=\"Mud &amp; \
        Water: &quot;A River&quot;\"\r\n      />\r\n      <outline text=\"Hill\" xmlUrl=\"http://hill.example/rss\" />\
        \r\n    </outline>\r\n  </body>\r\n</opml>\r\n";
    let river = ("https://river.example/rss?show=1&key=a%26b", "Mud & Water: \"A River\"");
    check(text, &[river, ("http://hill.example/rss", "Hill")]);
}

#[test]
fn what_exporters_for_apple_podcasts_write() {
    // By categories, of which a show may have two, with what Apple's own links begin with, and with single quotes.
    let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<opml version='1.0'>\n<head><title>Apple Podcasts \
        Subscriptions</title></head>\n<body>\n<outline text='Science'>\n<outline type='rss' text='Sea' \
        xmlUrl='https://sea.example/feed/'/>\n<outline text='Ice' xmlUrl='ITPC://ice.example/feed'></outline>\n\
        </outline>\n<outline text='Nature'><outline type='rss' text='Sea' xmlUrl='feed://sea.example/feed'/>\n\
        <outline text='Wind' title='' xmlUrl='feed://https://wind.example/rss?a=1&amp;amp;b=2' htmlUrl=''/>\
        <outline text='None' xmlUrl=''/></outline></body></opml>";
    let want = [
        ("https://sea.example/feed/", "Sea"),
        ("http://ice.example/feed", "Ice"),
        ("https://wind.example/rss?a=1&b=2", "Wind"),
    ];
    check(text, &want);
    let list = read(text);
    assert_eq!((list.twins, list.feeds[2].folders.join("/")), (1, "Nature".to_owned()));
    for bytes in [u16::to_le_bytes as fn(u16) -> [u8; 2], u16::to_be_bytes] {
        let text = text.replace("UTF-8", "UTF-16");
        let wide: Vec<u8> = [0xfeff_u16].into_iter().chain(text.encode_utf16()).flat_map(bytes).collect();
        assert_eq!(parse(&wide).unwrap(), list);
    }
}

#[test]
fn schemes_of_podcast_apps_are_undone() {
    for (url, want) in [
        ("feed://h.example/a", "http://h.example/a"),
        ("feed:https://h.example/a", "https://h.example/a"),
        ("Feed://HTTPS://h.example/a", "HTTPS://h.example/a"),
        ("podcast://h.example/a", "http://h.example/a"),
        ("pcast:h.example/a", "h.example/a"),
        ("itpc://h.example/a ", "http://h.example/a"),
        ("antennapod-subscribe://https://h.example/a", "https://h.example/a"),
        ("https://h.example/?next=feed://x", "https://h.example/?next=feed://x"),
        ("podcast:8080/feed", "podcast:8080/feed"),
        ("feeding:x", "feeding:x"),
        ("fe\u{e9}d://x", "fe\u{e9}d://x"),
        ("feed:", ""),
    ] {
        assert_eq!(web_address(url), want, "{url}");
    }
}

#[test]
fn nested_folders_are_named_and_links_are_no_feeds() {
    let text = "<opml><body><outline text=News><outline title=\"At home\"><outline xmlurl='http://a.example/'/>\
        </outline></outline><outline type=link url=\"http://b.example/page\"/><outline type=RSS \
        url=\"http://c.example/feed\" text=C /><outline text='x' type='include' url='http://d.example/x.opml'/>\
        </body></opml>";
    let list = read(text);
    assert_eq!(
        list.feeds.iter().map(|feed| feed.url.as_str()).collect::<Vec<_>>(),
        ["http://a.example/", "http://c.example/feed"]
    );
    assert_eq!(list.feeds[0].folders, ["News", "At home"]);
    assert!(list.feeds[1].folders.is_empty());
}

#[test]
fn a_feed_that_is_named_twice_is_one_and_https_is_meant() {
    let text = "<opml><body><outline xmlUrl='http://A.example:80/feed/'/><outline text='A' \
        xmlUrl='https://a.example/feed'/><outline xmlUrl='https://a.example/feed#top'/>\
        <outline xmlUrl='https://a.example/feed?x=1'/></body></opml>";
    let list = read(text);
    assert_eq!((list.feeds.len(), list.twins), (2, 2));
    assert_eq!((list.feeds[0].url.as_str(), list.feeds[0].title.as_str()), ("https://a.example/feed", "A"));
    assert_eq!(same_feed_key("https://h.example:443/"), same_feed_key("http://H.example"));
    assert_ne!(same_feed_key("https://h.example:8443/"), same_feed_key("http://h.example/"));
    assert_ne!(same_feed_key("https://h.example/A"), same_feed_key("https://h.example/a"));
}

#[test]
fn odd_encodings_and_broken_xml_are_read() {
    let latin = b"<?xml version=\"1.0\" encoding=\"iso-8859-1\"?><opml><body><outline text=\"caf\xe9\" xmlUrl=\"http://a.example/\"/></body></opml>";
    assert_eq!(parse(latin).unwrap().feeds[0].title, "café");
    let text = "<opml><body><outline text=\"A\" xmlUrl=\"http://a.example/\"/></body></opml>";
    let wide: Vec<u8> = [0xfeff_u16].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    assert_eq!(parse(&wide).unwrap().feeds.len(), 1);
    let marked = [b"\xef\xbb\xbf \n", text.as_bytes()].concat();
    assert_eq!(parse(&marked).unwrap().feeds.len(), 1);
    // Raw ampersands and angles, no quotes, no ends, and cut off in the middle.
    let broken = "<opml version=\"1.1\"><body>\n<outline text=\"R&B > Soul\" xmlUrl=\"http://a.example/?a=1&b=2\">\n\
        </outline><outline text=\"B\" xmlUrl=http://b.example/ ><outline text=\"C\" xmlUrl=\"http://c.exa";
    let list = read(broken);
    assert_eq!(list.feeds[0].url, "http://a.example/?a=1&b=2");
    assert_eq!(list.feeds[0].title, "R&B > Soul");
    assert!(!list.is_whole);
}

#[test]
fn what_is_no_list_is_refused_with_what_it_is() {
    for (text, begin) in
        [("<html><body/></html>", "html"), ("<rss><channel/></rss>", "rss"), ("", ""), ("hello", "hello")]
    {
        let OpmlError::NotOpml { begin: got } = parse(text.as_bytes()).unwrap_err() else { panic!("{text}") };
        assert_eq!(got, begin);
    }
    assert_eq!(parse(b"<opml><body><outline text='x'/></body></opml>"), Err(OpmlError::NoFeeds));
    assert!(matches!(parse(&vec![b' '; 17 << 20]), Err(OpmlError::TooLong { .. })));
}

#[test]
fn hostile_lists_cost_no_more_than_their_length() {
    let deep = format!("<opml>{}", "<outline text='x'>".repeat(200_000)) + "<outline xmlUrl='http://a.example/'/>";
    assert_eq!(parse(deep.as_bytes()), Err(OpmlError::NoFeeds));
    let many: Vec<String> = (0..30_000).map(|n| format!("<outline xmlUrl='http://h.example/{n}'/>")).collect();
    let list = read(&format!("<opml>{}</opml>", many.concat()));
    assert_eq!((list.feeds.len(), list.is_whole), (super::super::opml::MAX_FEEDS, false));
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_taken_or_refused(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
        let _ = parse(&bytes);
        let _ = parse(&[b"<opml><outline ", &bytes[..]].concat());
    }
}
