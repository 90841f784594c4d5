//! Feeds that say that they have moved (`itunes:new-feed-url`), as hosts that let a show go have them.

use super::{Host, done, folder, json_lines, output};

/// A host has a feed of one episode at `/media/feed` that says that it is at `moved_to`.
fn put_feed(host: &Host, guid: &str, moved_to: Option<&str>) {
    let said = moved_to.map(|to| format!("<itunes:new-feed-url>{to}</itunes:new-feed-url>")).unwrap_or_default();
    let feed = format!(
        "<rss version=\"2.0\" xmlns:itunes=\"http://www.itunes.com/dtds/podcast-1.0.dtd\"><channel>\
         <title>Night Walks</title>{said}<item><guid>{guid}</guid><title>One</title>\
         <enclosure url=\"/media/{guid}.mp3\" length=\"0\" type=\"audio/mpeg\"/></item></channel></rss>"
    );
    host.put("feed", feed.into_bytes());
    host.put(&format!("{guid}.mp3"), guid.as_bytes().to_vec());
}

#[tokio::test]
async fn a_feed_that_says_twice_where_it_is_and_is_there_is_followed_there_and_nothing_comes_twice() {
    let (old, new, dir) = (Host::start().await, Host::start().await, folder());
    let (here, there) = (old.url("/media/feed"), new.url("/media/feed"));
    // Each command is an agent of its own.
    let poll = async || {
        done(&output(dir.path(), &["update"]).await);
        let feeds = json_lines(&done(&output(dir.path(), &["--json", "feeds"]).await));
        (feeds[0]["url"].as_str().expect("a feed has an address").to_owned(), feeds.len())
    };
    put_feed(&old, "g1", None);
    done(&output(dir.path(), &["add", &here]).await);
    done(&output(dir.path(), &["run", "--once", "--peer-port", "0"]).await);

    // Nothing is there; another show is; one that leads back is.
    put_feed(&old, "g1", Some(&there));
    for there_is in [None, Some(("g9", None)), Some(("g1", Some(here.as_str())))] {
        if let Some((guid, moved_to)) = there_is {
            put_feed(&new, guid, moved_to);
        }
        for _ in 0..2 {
            assert_eq!(poll().await, (here.clone(), 1), "{there_is:?}");
        }
    }
    assert_eq!(new.answers("/media/feed").len(), 6);

    put_feed(&new, "g1", Some(&there));
    assert_eq!(poll().await, (here.clone(), 1));
    assert_eq!(poll().await, (there.clone(), 1));
    let asked = old.answers("/media/feed").len();
    let ran = done(&output(dir.path(), &["--json", "run", "--once", "--peer-port", "0"]).await);
    let polled = json_lines(&ran).into_iter().find(|event| event["event"] == "polled").expect("it polls");
    assert_eq!((&polled["feed"], &polled["status"], &polled["new"]), (&there.into(), &200.into(), &0.into()));
    assert_eq!(old.answers("/media/feed").len(), asked, "nobody asks at the old place any more");
    assert_eq!((old.answers("/media/g1.mp3").len(), new.answers("/media/g1.mp3").len()), (1, 0));
}

#[tokio::test]
async fn of_two_feeds_that_are_followed_none_becomes_the_other() {
    let (old, new, dir) = (Host::start().await, Host::start().await, folder());
    put_feed(&new, "g1", None);
    put_feed(&old, "g1", Some(&new.url("/media/feed")));
    done(&output(dir.path(), &["add", "--backlog", "0", &new.url("/media/feed"), &old.url("/media/feed")]).await);
    for _ in 0..3 {
        done(&output(dir.path(), &["update"]).await);
    }
    let feeds = json_lines(&done(&output(dir.path(), &["--json", "feeds"]).await));
    assert_eq!(
        feeds.iter().map(|feed| feed["url"].as_str()).collect::<Vec<_>>(),
        [Some(new.url("/media/feed").as_str()), Some(old.url("/media/feed").as_str())]
    );
}

#[tokio::test]
async fn a_feed_is_said_to_be_elsewhere_and_all_of_it_stays() {
    let (old, new, dir) = (Host::start().await, Host::start().await, folder());
    let (here, there) = (old.url("/media/feed"), new.url("/media/feed"));
    put_feed(&old, "g1", None);
    put_feed(&new, "g1", None);
    done(&output(dir.path(), &["add", &here, "--keep", "5"]).await);
    done(&output(dir.path(), &["run", "--once", "--peer-port", "0"]).await);
    done(&output(dir.path(), &["add", "--backlog", "0", &new.url("/feed.xml")]).await);

    let refused = async |args: &[&str], says: &str| {
        let ended = output(dir.path(), &[&["edit"], args].concat()).await;
        let stderr = String::from_utf8_lossy(&ended.stderr);
        assert!(!ended.status.success() && stderr.contains(says), "{stderr}");
    };
    refused(&["1", "--url", &new.url("/feed.xml")], "is followed already, as 2 Night Walks").await;
    refused(&["1", "2", "--url", &there], "is the address of one feed, and 2 were named").await;
    refused(&["1", "--url", "elsewhere"], "`elsewhere` is no address of a feed").await;

    // By its old address, which it then has no more.
    let said = done(&output(dir.path(), &["edit", &here, "--url", &there]).await);
    assert_eq!(said, format!("1 is polled at {there}; Night Walks: 0 new, 0 to be fetched\n1 Night Walks: keep 5\n"));
    let feed = json_lines(&done(&output(dir.path(), &["--json", "info", "1"]).await)).remove(0);
    assert_eq!((&feed["url"], &feed["complete"], &feed["episodes"]), (&there.clone().into(), &1.into(), &1.into()));
    done(&output(dir.path(), &["run", "--once", "--peer-port", "0"]).await);
    assert_eq!((old.answers("/media/g1.mp3").len(), new.answers("/media/g1.mp3").len()), (1, 0), "nothing comes twice");

    let ended = output(dir.path(), &["edit", "1", "--url", "http://127.0.0.1:1/feed"]).await;
    done(&ended);
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert!(stderr.contains("which fails") && stderr.contains("`podsub edit 1 --url URL`"), "{stderr}");
}
