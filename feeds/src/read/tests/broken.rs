//! Documents that are not well-formed, not in UTF-8, of an old age, or no feeds at all.

use super::*;

/// The titles of the items.
fn titles(feed: &Channel) -> Vec<&str> {
    feed.items.iter().map(|item| item.title.as_str()).collect()
}

#[track_caller]
fn check_titles(text: &str, want: &[&str]) -> Channel {
    let feed = read(text);
    assert_eq!(titles(&feed), want, "{text}");
    feed
}

#[track_caller]
fn check_refused(text: &str, want: &str) {
    let refusal = parse(text.as_bytes(), &base(), None).expect_err("it is no feed");
    assert_eq!(refusal.to_string(), want, "{text}");
}

const ONE: &str = "<item><title>One</title></item>";

#[test]
fn what_is_no_feed_is_refused_by_name() {
    check_refused("", "the document is empty");
    check_refused(" \u{feff}\n\0 ", "the document is empty");
    check_refused("<!doctype html><html><head><title>502</title>", "the document is a web page, not a feed");
    check_refused("{\"version\": \"https://jsonfeed.org/version/1.1\"}", "the document is JSON, but not JSON Feed");
    check_refused(
        "<opml><body/></opml>",
        "the document is neither RSS nor Atom nor JSON Feed; it begins with \"<opml><body/></opml>\"",
    );
    check_refused("d8:announce", "the document is neither RSS nor Atom nor JSON Feed; it begins with \"d8:announce\"");
}

#[test]
fn a_document_that_is_too_long_is_refused() {
    let bytes = vec![b' '; MAX_FEED_BYTES + 1];
    assert!(matches!(parse(&bytes, &base(), None), Err(ReadError::TooLong { got }) if got == MAX_FEED_BYTES + 1));
}

#[test]
fn blanks_marks_and_warnings_may_stand_before_the_prolog() {
    for before in
        ["\u{feff}", "\n\n  ", "\0\0", "<br />\n<b>Warning</b>: mysql_connect() in x.php on line <b>3</b><br />"]
    {
        check_titles(&format!("{before}<?xml version=\"1.0\"?><rss><channel>{ONE}</channel></rss>"), &["One"]);
    }
}

#[test]
fn undefined_entities_and_bare_ampersands_are_text() {
    check_titles(
        "<rss><channel><item><title>Tom & Jerry &undefined; &eacute;t&eacute; AT&T R&D; &#8217;&#146;</title></item></channel></rss>",
        &["Tom & Jerry &undefined; été AT&T R&D; ’’"],
    );
}

#[test]
fn nuls_and_control_characters_vanish() {
    check_titles("<rss><channel><item><title>A\0\u{1}B\u{b}</title></item></channel></rss>", &["AB"]);
}

#[test]
fn a_document_type_is_passed_over() {
    check_titles(
        &format!(
            "<!DOCTYPE rss PUBLIC \"-//Netscape//DTD RSS 0.91//EN\" \"http://my.netscape.com/rss-0.91.dtd\"><rss version=\"0.91\"><channel>{ONE}</channel></rss>"
        ),
        &["One"],
    );
    check_titles(
        "<!DOCTYPE rss [<!ENTITY a \"expanded\">]><rss><channel><item><title>&a;</title></item></channel></rss>",
        &["&a;"],
    );
}

#[test]
fn legacy_encodings_are_read_as_the_header_or_the_prolog_say() {
    let russian = b"<rss><channel><item><title>\xf0\xd2\xc9\xd7\xc5\xd4</title></item></channel></rss>";
    let feed = parse(russian, &base(), Some("application/rss+xml; charset=koi8-r")).expect("a feed");
    assert_eq!(titles(&feed), ["Привет"]);
    let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><rss><channel><item><title>\xc9t\xe9</title></item></channel></rss>";
    let feed = parse(latin, &base(), Some("text/xml")).expect("a feed");
    assert_eq!(titles(&feed), ["Été"]);
    let wide: Vec<u8> = "<rss><channel><item><title>Ünı</title></item></channel></rss>"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert_eq!(titles(&parse(&wide, &base(), None).expect("a feed")), ["Ünı"]);
}

#[test]
fn rss_of_every_age_is_read() {
    for version in ["0.91", "0.92", "0.93", "0.94", "2.0", "2.01"] {
        check_titles(&format!("<rss version='{version}'><channel><title>x</title>{ONE}</channel></rss>"), &["One"]);
    }
    let rdf = |namespace| {
        format!(
            "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' xmlns='{namespace}' \
             xmlns:dc='http://purl.org/dc/elements/1.1/' xmlns:enc='http://purl.oclc.org/net/rss_2.0/enc#'>\
             <channel rdf:about='http://h/'><title>Old</title><items><rdf:Seq><rdf:li resource='http://h/1'/></rdf:Seq></items></channel>\
             <item rdf:about='http://h/1'><title>One</title><link>http://h/1</link><dc:date>2002-10-02T10:00:00Z</dc:date></item></rdf:RDF>"
        )
    };
    for namespace in ["http://purl.org/rss/1.0/", "http://my.netscape.com/rdf/simple/0.9/"] {
        let feed = check_titles(&rdf(namespace), &["One"]);
        assert_eq!(feed.title, "Old");
        assert_eq!(feed.items[0].guid, "http://h/1");
        assert_eq!(feed.items[0].published.map(|at| at.timestamp()), Some(1_033_552_800));
    }
}

#[test]
fn items_may_stand_beside_the_channel_or_without_one() {
    check_titles(&format!("<rss><channel><title>x</title></channel>{ONE}</rss>"), &["One"]);
    check_titles(&format!("<rss>{ONE}</rss>"), &["One"]);
    check_titles(&format!("<channel>{ONE}</channel>"), &["One"]);
    check_titles(
        &format!("<rss><channel>{ONE}</channel><channel><item><title>Two</title></item></channel></rss>"),
        &["One", "Two"],
    );
}

#[test]
fn what_other_namespaces_call_a_feed_or_an_item_is_none() {
    let feed = check_titles(
        "<rss xmlns:o='urn:o'><channel><title>x</title><o:feed><title>y</title></o:feed><o:item><title>z</title></o:item>\
         <item><title>One</title><o:title>y</o:title><o:channel><guid>3</guid><item/></o:channel></item></channel></rss>",
        &["One"],
    );
    assert_eq!((feed.title.as_str(), feed.items[0].guid.as_str()), ("x", "One"));
}

#[test]
fn each_item_may_declare_its_own_namespaces() {
    let items: Vec<String> = (0..200)
        .map(|i| format!("<item xmlns:i{i}='http://www.itunes.com/dtds/podcast-1.0.dtd'><guid>{i}</guid><i{i}:episode>{}</i{i}:episode></item>", i + 1))
        .collect();
    let feed = read(&format!("<rss><channel>{}</channel></rss>", items.concat()));
    assert_eq!(feed.items.len(), 200);
    assert!((1..).zip(&feed.items).all(|(number, item)| item.number == Some(number)));
}

#[test]
fn empty_elements_within_others_of_their_name_hide_nothing() {
    check_titles(
        "<rss><channel><foo><foo/></foo><item><foo><foo/></foo><title>One</title></item></channel></rss>",
        &["One"],
    );
    check_titles(
        "<rss><channel><item><title>One</title><item/><item><title>Two</title></item></channel></rss>",
        &["One", "Two"],
    );
}

#[test]
fn case_and_quotes_of_tags_do_not_matter() {
    let feed = check_titles(
        "<RSS><Channel><Item><TITLE>One</title><PubDate>Fri, 20 Nov 2026 18:00:00 GMT</pubdate>\
         <Enclosure URL=/a.mp3 Type=audio/mpeg Length=5000 /></ITEM></channel></rss>",
        &["One"],
    );
    assert_eq!(lines(&feed.items[0]), ["http https://pod.example/a.mp3 5000 audio/mpeg"]);
    assert!(feed.items[0].published.is_some());
}

#[test]
fn unknown_default_namespaces_and_undeclared_prefixes_are_guessed() {
    let feed = check_titles(
        "<rss xmlns='urn:who:knows'><channel><item><title>One</title><itunes:duration>1:00</itunes:duration>\
         <media:content url='/a.mp3' type='audio/mpeg'/></item></channel></rss>",
        &["One"],
    );
    assert_eq!(feed.items[0].duration.map(|d| d.as_secs()), Some(60));
    assert_eq!(lines(&feed.items[0]), ["http https://pod.example/a.mp3 ? audio/mpeg"]);
}

#[test]
fn tags_that_are_not_closed_end_with_what_holds_them() {
    check_titles("<rss><channel><item><title>One<item><title>Two</item></channel></rss>", &["One", "Two"]);
    check_titles(
        "<rss><channel><item><title>One</title><foo><bar></item><item><title>Two</title></item></channel></rss>",
        &["One", "Two"],
    );
    check_titles(&format!("<rss><channel><thumbnail url='x'><image><url>y{ONE}</channel></rss>"), &["One"]);
    check_titles("<rss><channel><item><title>One</b></title></x></item></channel></rss>", &["One"]);
    check_titles("<rss><channel><item><title>A <b>bold</b> one</title></item></channel></rss>", &["A bold one"]);
}

#[test]
fn html_that_was_not_escaped_is_a_description_nevertheless() {
    let breaks = "<br>".repeat(500);
    let feed = check_titles(
        &format!(
            "<rss><channel><item><description><p>A & B{breaks}<img src=x></p></description><title>One</title></item>\
             <item><title>Two</title><description>1 &lt;b>2&lt;/b> &amp;amp;</description></item></channel></rss>"
        ),
        &["One", "Two"],
    );
    assert_eq!(feed.items[0].description, format!("<p>A & B{breaks}<img src=x></p>"));
    assert_eq!(feed.items[1].description, "1 <b>2</b> &amp;");
}

#[test]
fn the_longer_notes_are_the_description() {
    let item = read_item(
        "<guid>1</guid><description>Short</description><content:encoded><![CDATA[<p>Long</p>]]></content:encoded>",
    );
    assert_eq!(item.description, "<p>Long</p>");
    assert_eq!(read_item("<itunes:summary>Sum</itunes:summary><title>x</title>").description, "Sum");
}

#[test]
fn links_are_resolved_against_the_base() {
    let feed = read(
        "<rss xml:base='https://cdn.example/a/b'><channel><item><enclosure url='../c.mp3' type='audio/mpeg'/></item></channel></rss>",
    );
    assert_eq!(lines(&feed.items[0]), ["http https://cdn.example/c.mp3 ? audio/mpeg"]);
    check(
        "<enclosure url=' //cdn.example/a b.mp3\r\n' type='audio/mpeg'/>",
        &["http https://cdn.example/a%20b.mp3 ? audio/mpeg"],
    );
    check(
        "<enclosure url='a.mp3?x=1&y=2&amp;z=3' type='audio/mpeg'/>",
        &["http https://pod.example/shows/a.mp3?x=1&y=2&z=3 ? audio/mpeg"],
    );
}

#[test]
fn an_item_may_have_a_base_of_its_own() {
    let feed = read(
        "<feed xml:base='https://cdn.example/a/'><entry xml:base='b/'><link rel='enclosure' type='audio/mpeg' \
         href='1.mp3'/></entry><entry><link rel='enclosure' type='audio/mpeg' href='2.mp3'/></entry></feed>",
    );
    assert_eq!(lines(&feed.items[0]), ["http https://cdn.example/a/b/1.mp3 ? audio/mpeg"]);
    assert_eq!(lines(&feed.items[1]), ["http https://cdn.example/a/2.mp3 ? audio/mpeg"]);
}

#[test]
fn a_base_that_leads_nowhere_is_passed_over() {
    let feed = read(
        "<rss xml:base='http://[::'><channel><item><enclosure url='a.mp3' type='audio/mpeg'/></item></channel></rss>",
    );
    assert_eq!(lines(&feed.items[0]), ["http https://pod.example/shows/a.mp3 ? audio/mpeg"]);
}

#[test]
fn a_document_that_is_cut_off_gives_its_whole_items() {
    let text = "<rss><channel><title>Show</title><item><title>One</title></item><item><title>Two</title></item></channel></rss>";
    let first_end = text.find("</item").expect("it is there") + "</item".len();
    let second_end = text.rfind("</item").expect("it is there") + "</item".len();
    for end in 0..text.len() {
        let Ok(feed) = parse(&text.as_bytes()[..end], &base(), None) else {
            assert!(end < text.find("<channel>").expect("it is there"), "{end}");
            continue;
        };
        let want = usize::from(end >= first_end) + usize::from(end >= second_end);
        assert_eq!(feed.items.len(), want, "{}", &text[..end]);
        assert!(!feed.is_whole, "{}", &text[..end]);
    }
    assert!(read(text).is_whole);
}

#[test]
fn the_head_of_a_feed_is_read() {
    let feed = read_rss(
        "<link>/home</link><description><![CDATA[<p>All</p>]]></description><ttl>60</ttl>\
         <skipHours><hour>0</hour><hour> 23 </hour><hour>noon</hour></skipHours>\
         <skipDays><day>Sunday</day><day>Someday</day></skipDays>\
         <itunes:author>Ada</itunes:author><itunes:image href='/cover.jpg'/><image><url>/old.gif</url></image>\
         <podcast:guid>not one</podcast:guid><itunes:new-feed-url>https://new.example/feed</itunes:new-feed-url>\
         <atom:link rel='self' href='/self.xml'/><atom:link rel='next' href='?page=2'/>\
         <atom:link rel='monitor' type='application/x-other' href='/no'/>\
         <atom:link rel='monitor' type='text/event-stream' href='events'/><atom:link rel='hub' href='javascript:x'/>\
         <atom:link rel='hub' href='/hub'/><atom:link rel='hub' href='//hub.example/'/><atom:link rel='hub' href='/hub'/>",
    );
    let path = |url: &Option<Url>| url.as_ref().map(Url::to_string);
    assert_eq!(path(&feed.link).as_deref(), Some("https://pod.example/home"));
    assert_eq!((feed.description.as_str(), feed.author.as_deref()), ("<p>All</p>", Some("Ada")));
    assert_eq!(feed.ttl.map(|ttl| ttl.as_secs()), Some(3600));
    assert_eq!(feed.skip_hours, crate::poll::SkipHours::new([0, 23]).with_days(["Sunday"]));
    assert_eq!(path(&feed.image).as_deref(), Some("https://pod.example/cover.jpg"));
    assert_eq!(path(&feed.self_url).as_deref(), Some("https://pod.example/self.xml"));
    assert_eq!(path(&feed.next_page).as_deref(), Some("https://pod.example/shows/feed.xml?page=2"));
    assert_eq!(path(&feed.events_url).as_deref(), Some("https://pod.example/shows/events"));
    assert_eq!(
        feed.hubs.iter().map(Url::as_str).collect::<Vec<_>>(),
        ["https://pod.example/hub", "https://hub.example/"]
    );
    assert_eq!(path(&feed.new_feed_url).as_deref(), Some("https://new.example/feed"));
    assert_eq!(feed.podcast_guid, None);
}

#[test]
fn how_often_a_feed_changes_stands_in_for_its_ttl() {
    let minutes = |text: &str| read_rss(text).ttl.map(|ttl| ttl.as_secs() / 60);
    let of = |period: &str, times: &str| {
        minutes(&format!(
            "<sy:updatePeriod>\n{period} </sy:updatePeriod><sy:updateFrequency>{times}</sy:updateFrequency>"
        ))
    };
    assert_eq!([of("hourly", "1"), of("daily", "2"), of("weekly", "x")], [Some(60), Some(720), Some(10_080)]);
    assert_eq!([of("hourly", "0"), of("never", "1"), of("", "")], [None; 3]);
    assert_eq!(minutes("<sy:updatePeriod>daily</sy:updatePeriod><ttl>90</ttl>"), Some(90));
    // Of a show that is complete nothing is to come.
    assert_eq!(minutes("<itunes:complete>Yes</itunes:complete><ttl>90</ttl>"), Some(1440));
    let weekly = |complete: &str| {
        minutes(&format!(
            "<podcast:updateFrequency rrule='FREQ=WEEKLY' complete='{complete}'>x</podcast:updateFrequency><ttl>90</ttl>"
        ))
    };
    assert_eq!([weekly("true"), weekly("false")], [Some(1440), Some(90)]);
}

#[test]
fn the_older_image_and_editor_stand_in() {
    let feed = read_rss(
        "<managingEditor>ed@h.example (Ed)</managingEditor><image><title>no</title><url>/old.gif</url></image>",
    );
    assert_eq!(feed.author.as_deref(), Some("ed@h.example (Ed)"));
    assert_eq!(feed.image.as_ref().map(Url::path), Some("/old.gif"));
    assert_eq!(feed.title, "Show");
}
