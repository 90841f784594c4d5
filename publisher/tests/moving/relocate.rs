//! A show's feeds lead to its new host.

use crate::world::{World, feed, get, wav};

#[test]
fn a_show_that_moved_leads_to_its_new_host_and_serves_on() {
    let world = World::new();
    std::fs::write(world.path("one.wav"), wav(1, 0)).unwrap();
    let one = world.path("one.wav").to_str().unwrap().to_owned();
    let (old, at) = world.serve("old", &[]);
    let published = world.done("old", &["publish", &one, "--show", "walks"]);
    let episode = &published.the("published")["episode"];
    let (new, there) = world.serve("new", &[]);
    let (other, elsewhere) = world.serve("other", &[]);
    world.done("new", &["import", &format!("{at}/shows/walks/feed.xml"), "--show", "moved"]);
    std::fs::write(world.path("two.wav"), wav(2, 0)).unwrap();
    world.done("other", &["publish", world.path("two.wav").to_str().unwrap(), "--show", "stranger"]);

    let stranger = world.run("old", &["move", &format!("{elsewhere}/shows/stranger/feed.xml")]);
    assert!(stranger.code == Some(1) && stranger.stderr.contains("another show"), "{}", stranger.stderr);
    let nowhere = world.run("old", &["move", &format!("{there}/shows/nothing/feed.xml")]);
    assert!(nowhere.code == Some(1) && nowhere.stderr.contains("404"), "{}", nowhere.stderr);

    let target = format!("{there}/shows/moved/feed.xml");
    world.done("old", &["move", &target]);
    for form in ["feed.xml", "torrents.xml", "feed.json", "feed.atom"] {
        let (status, location, body) = get(&format!("{at}/shows/walks/{form}"));
        assert_eq!((status, location), (301, Some(format!("{there}/shows/moved/{form}"))), "{form}");
        let text = String::from_utf8(body).unwrap();
        assert_eq!(text.contains(&format!("<itunes:new-feed-url>{target}</")), form == "feed.xml", "{text}");
    }
    for part in ["media", "torrent"] {
        assert_eq!(get(episode[part].as_str().unwrap()).0, 200, "{part} goes on");
    }
    let page = String::from_utf8(get(&format!("{at}/shows/walks")).2).unwrap();
    assert!(page.contains("has moved") && page.contains(&target), "{page}");
    assert!(world.done("old", &["status"]).events[0]["episodes"][0]["swarm"].is_object(), "it is seeded on");
    drop(old);
    let (old, at) = world.serve("old", &[]);
    assert_eq!(get(&format!("{at}/shows/walks/feed.xml")).0, 301, "over a restart, too");
    world.done("old", &["move", "--back"]);
    let back = feed(&format!("{at}/shows/walks/feed.xml"));
    assert_eq!((back.items.len(), back.new_feed_url), (1, None));
    drop((old, new, other));
}
