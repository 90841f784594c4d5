//! What people see of an item, and what it is known by.

use std::time::Duration;

use chrono::DateTime;

use super::*;

#[track_caller]
fn check_guid(inner: &str, want: &str) {
    assert_eq!(read_item(inner).guid, want, "{inner}");
}

#[test]
fn a_guid_is_kept_to_the_letter() {
    check_guid("<guid isPermaLink='false'> Ab&amp;C </guid><link>/x</link>", "Ab&C");
    check_guid("<guid>https://h.example/?p=1</guid>", "https://h.example/?p=1");
}

#[test]
fn an_item_without_guid_is_known_by_what_changes_least() {
    let magnet = format!("<link>magnet:?xt=urn:btih:{HASH}&amp;dn=x</link>");
    check_guid(
        "<title>t</title><link>/x</link><guid/><enclosure url='/a.mp3' type='audio/mpeg'/>",
        "https://pod.example/a.mp3",
    );
    check_guid("<title>t</title><link>/x</link><enclosure url='/a.torrent'/>", "https://pod.example/a.torrent");
    check_guid(&magnet, HASH);
    let key = "00112233445566778899aabbccddeeff".repeat(2);
    let by_key = format!("magnet:?dn=x&amp;s=6e&amp;xs=urn:btpk:{key}");
    check_guid(&format!("<title>t</title><link>{by_key}</link>"), &format!("urn:btpk:{key}&s=6e"));
    let file = "<enclosure url='/a.mp3' type='audio/mpeg'/>";
    check_guid(&format!("<title>t</title><link>{by_key}</link>{file}"), "https://pod.example/a.mp3");
    check_guid("<title>t</title><link>/x</link>", "https://pod.example/x");
    check_guid("<title>t</title><pubDate>Fri, 20 Nov 2026 18:00:00 GMT</pubDate>", "t 2026-11-20T18:00:00+00:00");
    check_guid("<title>t</title>", "t");
    assert_eq!(read_rss("<item><description>nothing to know it by</description></item>").items, []);
}

#[test]
fn a_guid_of_a_megabyte_is_kept_as_its_hash() {
    let long = "x".repeat(100_000);
    let guid = read_item(&format!("<guid>{long}</guid>")).guid;
    assert_eq!(guid.len(), 36);
    assert_eq!(read_item(&format!("<guid>{long}</guid>")).guid, guid);
    assert_ne!(read_item(&format!("<guid>{long}y</guid>")).guid, guid);
}

#[test]
fn a_guid_that_comes_twice_is_one_item() {
    let feed = read_rss(
        "<item><guid>1</guid><title>new</title></item><item><guid>1</guid><title>old</title></item>\
         <item><guid>2</guid><title>other</title></item>",
    );
    let titles: Vec<_> = feed.items.iter().map(|item| item.title.as_str()).collect();
    assert_eq!(titles, ["new", "other"]);
}

#[test]
fn titles_are_one_plain_line() {
    let title = |inner: &str| read_item(&format!("<guid>1</guid><title>{inner}</title>")).title;
    assert_eq!(title("\n  A\t\u{202e}evil\u{202c}\r\n title\u{7}  "), "A evil title");
    assert_eq!(title("&lt;script&gt;alert(1)&lt;/script&gt;"), "<script>alert(1)</script>");
    assert_eq!(title("<![CDATA[A & B]]> and C"), "A & B and C");
    assert!(title(&"long ".repeat(1000)).chars().count() <= 301);
    assert_eq!(read_item("<guid>1</guid><itunes:title>Own</itunes:title>").title, "Own");
}

#[test]
fn numbers_and_durations_are_read() {
    let item = read_item(
        "<guid>1</guid><itunes:season>2</itunes:season><itunes:episode> 07 </itunes:episode><itunes:duration>1:02:03</itunes:duration>\
         <itunes:image href='/e.jpg'/>",
    );
    assert_eq!((item.season, item.number, item.duration), (Some(2), Some(7), Some(Duration::from_secs(3723))));
    assert_eq!(item.image.as_ref().map(Url::path), Some("/e.jpg"));
    let item =
        read_item("<guid>1</guid><podcast:season name='x'>3</podcast:season><podcast:episode>4</podcast:episode>");
    assert_eq!((item.season, item.number), (Some(3), Some(4)));
    let item = read_item("<guid>1</guid><itunes:season>0</itunes:season><itunes:episode>-1</itunes:episode>");
    assert_eq!((item.season, item.number), (None, None));
}

#[test]
fn a_date_of_the_year_9999_is_kept_and_pins_nothing() {
    let now = DateTime::from_timestamp(1_790_000_000, 0).expect("in range");
    let item = read_item("<guid>1</guid><pubDate>Fri, 31 Dec 9999 23:59:59 GMT</pubDate>");
    assert_eq!(item.published.map(|at| at.timestamp()), Some(253_402_300_799));
    assert_eq!(item.released(now), Some(now));
    let past = read_item("<guid>1</guid><pubDate>Fri, 31 Dec 1999 23:59:59 GMT</pubDate>");
    assert_eq!(past.released(now), past.published);
    assert_eq!(read_item("<guid>1</guid><pubDate>yesterday</pubDate>").published, None);
}

#[test]
fn lengths_that_cannot_be_meant_are_unknown() {
    for length in ["0", "1", "-1", "garbage", "", "10000000000000000000000000000000000000000", "9223372036854775807"] {
        let item = read_item(&format!("<enclosure url='/a.mp3' type='audio/mpeg' length='{length}'/>"));
        assert_eq!(item.length, None, "{length}");
    }
}
