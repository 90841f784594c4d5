//! Feeds that come in pages (RFC 5005), as many hosts of long shows have them.

use super::{Host, done, folder, json_lines, output};

/// Page `number` of a feed has these episodes, newest first, and names the next page.
fn put_page(host: &Host, number: usize, guids: &[&str], next: Option<usize>) {
    let item = |guid: &&str| {
        let day = guid.trim_start_matches(|sign: char| !sign.is_ascii_digit());
        format!(
            "<item><guid>{guid}</guid><title>Episode {guid}</title><pubDate>{day:0>2} Nov 2026 06:00:00 GMT</pubDate>\
             <enclosure url=\"/media/{guid}.mp3\" length=\"0\" type=\"audio/mpeg\"/></item>"
        )
    };
    let next = next.map(|next| format!("<atom:link rel=\"next\" href=\"page-{next}\"/>")).unwrap_or_default();
    let feed = format!(
        "<rss version=\"2.0\" xmlns:atom=\"http://www.w3.org/2005/Atom\"><channel><title>Long Walks</title>{next}{}\
         </channel></rss>",
        guids.iter().map(item).collect::<String>()
    );
    for guid in guids {
        host.put(&format!("{guid}.mp3"), guid.as_bytes().to_vec());
    }
    host.put(&format!("page-{number}"), feed.into_bytes());
}

/// How often each of the three pages was asked for.
fn asked(host: &Host) -> [usize; 3] {
    [1, 2, 3].map(|number| host.answers(&format!("/media/page-{number}")).len())
}

#[tokio::test]
async fn all_pages_of_a_new_feed_are_read_and_later_those_with_news() {
    let (host, dir) = (Host::start().await, folder());
    let titles = async || {
        let listed = json_lines(&done(&output(dir.path(), &["--json", "episodes", "--all"]).await));
        let titles = listed.iter().map(|episode| episode["title"].as_str().expect("a title").to_owned());
        titles.map(|title| title.replace("Episode ", "")).collect::<Vec<_>>().join(" ")
    };
    let poll = async || {
        let ran = output(dir.path(), &["--json", "run", "--once", "--peer-port", "0"]).await;
        let lines = json_lines(&String::from_utf8_lossy(&ran.stdout));
        lines
            .into_iter()
            .find(|event| event["event"].as_str().is_some_and(|it| it.starts_with("poll")))
            .expect("a poll")
    };
    // The last page leads back to the first.
    put_page(&host, 1, &["e6", "e5"], Some(2));
    put_page(&host, 2, &["e4", "e3"], Some(3));
    put_page(&host, 3, &["e2", "e1"], Some(1));
    let said = done(&output(dir.path(), &["add", &host.url("/media/page-1"), "--backlog", "0"]).await);
    assert!(said.contains("Long Walks, 6 episodes"), "{said}");
    assert_eq!((titles().await.as_str(), asked(&host)), ("e1 e2 e3 e4 e5 e6", [1, 1, 1]));

    // What is known is on the first page.
    put_page(&host, 1, &["e7", "e6"], Some(2));
    assert_eq!(poll().await["new"], 1);
    assert_eq!(asked(&host), [2, 1, 1]);

    // Three came since; the third is on the second page, beside one that is known.
    put_page(&host, 1, &["e10", "e9"], Some(2));
    put_page(&host, 2, &["e8", "e7"], Some(3));
    assert_eq!(poll().await["new"], 3);
    assert_eq!((titles().await.as_str(), asked(&host)), ("e1 e2 e3 e4 e5 e6 e7 e8 e9 e10", [3, 2, 1]));

    // Whoever renames everything has not released all of it anew.
    put_page(&host, 1, &["x12", "x11"], Some(2));
    put_page(&host, 2, &["x10", "x9"], None);
    assert_eq!(poll().await["new"], 2);

    // A page that is not there ends the feed; one that is broken is told of, and nothing is forgotten.
    put_page(&host, 1, &["e14"], Some(9));
    assert_eq!(poll().await["new"], 1);
    put_page(&host, 1, &["e16"], Some(2));
    host.put("page-2", b"<html>".to_vec());
    let failed = poll().await;
    let reason = failed["reason"].as_str().expect("a reason");
    assert!(reason.contains("/media/page-2 cannot be read"), "{reason}");
    put_page(&host, 2, &["e15", "e14"], None);
    assert_eq!(poll().await["new"], 2);
}
