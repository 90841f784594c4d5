//! Subscriptions come from another app's file, and go to one.

use std::io::Write as _;
use std::process::Stdio;

use super::{Host, done, folder, json_lines, output, podsub};

#[tokio::test]
async fn the_feeds_of_another_app_are_followed_and_what_is_none_is_told() {
    let (host, dir) = (Host::start().await, folder());
    host.put("page", b"<html>".to_vec());
    host.release("g1", "One", "/media/one.mp3");
    host.put("nameless", b"<rss version='2.0'><channel><item><guid>1</guid></item></channel></rss>".to_vec());
    let (feed, page, nameless) = (host.url("/feed.xml"), host.url("/media/page"), host.url("/media/nameless"));
    let list = format!(
        "<opml version='1.0'><body><outline text='Walks'><outline type='rss' text='Night' xmlUrl='{feed}'/></outline>\
         <outline xmlUrl='{feed}/'/><outline text='Down' xmlUrl='http://127.0.0.1:1/feed'/>\
         <outline text='Page' xmlUrl='{page}'/><outline xmlUrl='ftp://old.example/'/>\
         <outline text='Untold' xmlUrl='{nameless}'/></body></opml>"
    );
    std::fs::write(dir.path().join("theirs.opml"), list).expect("the folder is ours");
    let imported = output(dir.path(), &["--json", "import", "theirs.opml", "--backlog", "0"]).await;
    let (stdout, stderr) = (String::from_utf8_lossy(&imported.stdout), String::from_utf8_lossy(&imported.stderr));
    assert_eq!(imported.status.code(), Some(1), "{stderr}");
    let events = json_lines(&stdout);
    let end = events.last().expect("it says what it did");
    assert_eq!((&end["feeds"], &end["new"], &end["failed"]), (&5.into(), &3.into(), &2.into()), "{end}");
    assert!(stderr.contains("2 of 5 feeds could not be followed") && stderr.contains("ftp://old.example"), "{stderr}");
    // What is down now is followed; what is no feed is not; nothing is taken that was not asked for.
    let feeds = json_lines(&done(&output(dir.path(), &["--json", "feeds"]).await));
    let mut followed: Vec<_> = feeds.iter().map(|feed| (feed["url"].as_str(), feed["title"].as_str())).collect();
    followed.sort_unstable_by_key(|(_, title)| *title);
    let down = "http://127.0.0.1:1/feed";
    // What has not been read, or has no name, is called what the list called it.
    let wanted = [(down, "Down"), (&feed, "Night Walks"), (&nameless, "Untold")];
    assert_eq!(followed, wanted.map(|(url, title)| (Some(url), Some(title))));
    assert!(feeds.iter().all(|feed| feed["wanted"] == 0), "{feeds:?}");
    assert!(done(&output(dir.path(), &["export", "-"]).await).contains("title=\"Down\""));
    // Once more changes nothing, whatever the scheme.
    let again = format!("<opml><body><outline xmlUrl='{}'/></body></opml>", feed.replace("http:", "https:"));
    std::fs::write(dir.path().join("again.opml"), again).expect("the folder is ours");
    let events = json_lines(&done(&output(dir.path(), &["--json", "import", "again.opml"]).await));
    assert_eq!(events.last().expect("it says what it did")["known"], 1);
}

#[tokio::test]
async fn what_is_followed_goes_out_and_comes_in_elsewhere_through_pipes() {
    let (host, here, there) = (Host::start().await, folder(), folder());
    host.release("g1", "One & only", "/media/one.mp3");
    done(&output(here.path(), &["add", &host.url("/feed.xml")]).await);
    let list = done(&output(here.path(), &["export", "-"]).await);
    assert!(list.contains("<opml version=\"2.0\">") && list.contains("title=\"Night Walks\""), "{list}");
    let mut command = podsub(there.path(), &["import", "-"]).into_std();
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    child.stdin.take().expect("it is piped").write_all(list.as_bytes()).expect("it reads");
    let ended =
        tokio::task::spawn_blocking(move || child.wait_with_output().expect("it ends")).await.expect("no panic");
    assert!(done(&ended).contains("following: 1 Night Walks"));
    done(&output(there.path(), &["export", "ours.opml"]).await);
    let written = std::fs::read_to_string(there.path().join("ours.opml")).expect("it is written");
    assert!(written.contains(&format!("xmlUrl=\"{}\"", host.url("/feed.xml"))), "{written}");

    let wrong = output(here.path(), &["--json", "export", "-"]).await;
    assert_eq!(wrong.status.code(), Some(2));
    std::fs::write(there.path().join("feed.xml"), "<rss/>").expect("the folder is ours");
    let wrong = output(there.path(), &["import", "feed.xml"]).await;
    let stderr = String::from_utf8_lossy(&wrong.stderr);
    assert!(wrong.status.code() == Some(1) && stderr.contains("no OPML") && stderr.contains("podsub add"), "{stderr}");
}
