//! What a feed says that only who moves its show elsewhere wants to know.

use super::*;
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
