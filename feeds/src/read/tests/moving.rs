//! What a feed says that only who moves its show elsewhere wants to know.

use super::*;
use crate::chapters::Chapter;
use crate::model::EpisodeKind;

#[test]
fn the_head_tells_whose_the_show_is_and_what() {
    let head = read_rss(
        r#"<language>en-US</language><itunes:category text="Arts"><itunes:category text="Books &amp; more"/></itunes:category>
        <itunes:category text=" News "/><itunes:category/><itunes:explicit>yes</itunes:explicit><itunes:type>Serial</itunes:type>
        <itunes:owner><itunes:name>Ann</itunes:name><itunes:email> ann@x.example </itunes:email></itunes:owner>
        <podcast:locked owner="ann@x.example">Yes</podcast:locked>"#,
    );
    assert_eq!(head.language.as_deref(), Some("en-US"));
    assert_eq!(head.categories, ["Arts > Books & more", "News"]);
    assert_eq!((head.explicit, head.is_serial, head.email.as_deref()), (Some(true), true, Some("ann@x.example")));
    assert_eq!(head.locked.unwrap().owner.as_deref(), Some("ann@x.example"));
    let open = read_rss("<podcast:locked>no</podcast:locked>");
    assert_eq!((open.locked, open.explicit, open.is_serial, open.categories), (None, None, false, Vec::new()));
}

#[test]
fn an_item_tells_kind_chapters_and_transcripts() {
    let item = read_item(
        r#"<guid>g</guid><itunes:episodeType>Bonus</itunes:episodeType><itunes:explicit>clean</itunes:explicit>
        <podcast:chapters url="/c.json" type="application/json+chapters"/>
        <podcast:transcript url="t.vtt" type="text/vtt; charset=utf-8" language="en"/>
        <podcast:transcript url="https://y.example/t.srt" type="application/x-subrip"/>
        <podcast:transcript url="javascript:x" type="text/vtt"/>"#,
    );
    assert_eq!((item.kind, item.explicit), (EpisodeKind::Bonus, Some(false)));
    assert_eq!(item.chapters.unwrap().as_str(), "https://pod.example/c.json");
    let transcripts: Vec<_> = item.transcripts.iter().map(|it| (it.url.as_str(), it.mime.as_str())).collect();
    let srt = ("https://y.example/t.srt", "application/x-subrip");
    assert_eq!(transcripts, [("https://pod.example/shows/t.vtt", "text/vtt"), srt]);
}

#[test]
fn an_item_may_have_its_chapters_in_itself() {
    let parts = |text: &str| read_item(&format!("<guid>g</guid>{text}")).parts;
    let got = parts(
        r#"<psc:chapters xmlns:psc="http://podlove.org/simple-chapters" version="1.2">
        <psc:chapter start="00:01:02.500" title="The &lt;b&gt;river&lt;/b&gt;" href="https://x.example/r"/>
        <psc:chapter start="00:00:00" title="Opening" href="javascript:x"/>
        <psc:chapter start="soon" title="Later"/><psc:chapter title="Nowhere"/></psc:chapters>"#,
    );
    let chapter = |start_ms, title: &str, url: Option<&str>| Chapter {
        start_ms,
        title: title.to_owned(),
        url: url.map(str::to_owned),
    };
    let river = chapter(62_500, "The <b>river</b>", Some("https://x.example/r"));
    assert_eq!(got, [chapter(0, "Opening", None), river]);
    // Who forgot to declare the prefix is understood; the podcast namespace's tag is another.
    let undeclared = parts(r#"<psc:chapters><psc:chapter start="10" title="Ten"/></psc:chapters>"#);
    assert_eq!(undeclared, [chapter(10_000, "Ten", None)]);
    assert!(parts(r#"<podcast:chapters url="/c.json"/><psc:chapters/>"#).is_empty());
    let many = "<psc:chapter start='1'/>".repeat(5000);
    assert!(parts(&format!("<psc:chapters>{many}</psc:chapters>")).len() == 1, "one begins at each time");
}

#[test]
fn a_guid_is_a_link_where_it_is_one_and_nothing_says_otherwise() {
    let check = |guid: &str, want: (&str, bool)| {
        let item = read_item(guid);
        assert_eq!((item.guid.as_str(), item.guid_is_link), want, "{guid}");
    };
    check("<guid> https://x.example/?p=1&amp;q=2 </guid>", ("https://x.example/?p=1&q=2", true));
    check(r#"<guid isPermaLink="false">https://x.example/1</guid>"#, ("https://x.example/1", false));
    check(r#"<guid ispermalink="false"><![CDATA[https://x.example/1]]></guid>"#, ("https://x.example/1", false));
    check("<guid>Buzzsprout-123</guid>", ("Buzzsprout-123", false));
    check(r#"<guid isPermaLink="true">tag:x,2010:9</guid>"#, ("tag:x,2010:9", false));
}

#[test]
fn older_pages_are_found_by_both_names() {
    let page = |rel: &str| read_rss(&format!(r#"<atom:link rel="{rel}" href="?page=2"/>"#)).next_page;
    let want = Some(base().join("?page=2").unwrap());
    assert_eq!((page("next"), page("prev-archive"), page("last")), (want.clone(), want, None));
}
