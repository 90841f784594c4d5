//! What a show and an episode say in the podcast namespace, from the command line to feeds, pages and other hosts.

use podswarm_feeds::Tag;

use crate::world::{World, feed, get, wav};

/// The value block as its makers give it.
const VALUE: &str = "<podcast:value type=\"lightning\" method=\"keysend\">\n  <podcast:valueRecipient name=\"Ann\" \
                     type=\"node\" address=\"03ab\" split=\"95\"/>\n</podcast:value>\n";

/// A show that says all that it can, with an episode.
fn fill(world: &World) {
    std::fs::write(world.path("value.xml"), VALUE).unwrap();
    std::fs::write(world.path("one.wav"), wav(1, 0)).unwrap();
    world.done(
        "old",
        &[
            &["init", "--title", "Night Walks", "--email", "ann@x.example", "--copyright", "© Ann Lee", "--locked"][..],
            &["--person", "Ann Lee; role=host; href=https://ann.example/", "--person", "Bo"],
            &["--funding", "Support us; url=https://ann.example/give", "--license", "cc-by-4.0", "--medium", "podcast"],
            &["--location", "Berlin; geo=geo:52.52,13.40; osm=R62422; country=DE", "--rhythm", "0 6 * * mon"],
            &["--tag", "@value.xml", "--tag", "txt: 12ab; purpose=verify"],
        ]
        .concat(),
    );
    world.done(
        "old",
        &[
            &["publish", "one.wav", "--season", "2", "--season-name", "The river", "--number", "7"][..],
            &["--number-name", "Part two", "--person", "Cy; role=guest", "--block"],
            &["--soundbite", "A good line; start=0:00.02; duration=20"],
            &["--social", "https://social.example/@ann/1; protocol=activitypub; accountId=@ann"],
        ]
        .concat(),
    );
}

#[test]
fn what_is_said_is_in_feed_and_pages_and_comes_along_to_another_host() {
    let world = World::new();
    fill(&world);
    let (daemon, base) = world.serve("old", &[]);
    let url = format!("{base}/shows/night-walks/feed.xml");
    let channel = feed(&url);
    let names = |tags: &podswarm_feeds::Tags| tags.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
    assert_eq!(
        names(&channel.tags),
        ["funding", "license", "location", "medium", "person", "txt", "updateFrequency", "value"]
    );
    assert_eq!(channel.tags.all("person")[1], Tag::of_text("Bo"));
    let frequency = Tag::of_text("Every Monday").with("rrule", "FREQ=WEEKLY;BYDAY=MO");
    assert_eq!(channel.tags.first("updateFrequency"), Some(&frequency));
    let recipient = &channel.tags.first("value").unwrap().children.all("valueRecipient")[0];
    assert_eq!((recipient.attribute("address"), recipient.attribute("split")), (Some("03ab"), Some("95")));
    assert_eq!((channel.copyright.as_deref(), channel.locked.is_some()), (Some("© Ann Lee"), true));
    let item = &channel.items[0];
    assert_eq!(names(&item.tags), ["person", "socialInteract", "soundbite"]);
    assert_eq!(item.tags.first("soundbite").unwrap().attribute("startTime"), Some("0.02"));
    assert_eq!((item.season_name.as_deref(), item.number_name.as_deref()), (Some("The river"), Some("Part two")));
    assert!(item.is_blocked && !channel.is_blocked);

    let text = |url: &str| String::from_utf8(get(url).2).unwrap();
    let show = text(&format!("{base}/shows/night-walks"));
    for part in
        ["Ann Lee</a> (host), Bo", "relation/62422", "https://ann.example/give", "licenses/by/4.0/", "© Ann Lee"]
    {
        assert!(show.contains(part), "{part}: {show}");
    }
    let page = text(item.link.as_ref().unwrap().as_str());
    for part in ["Cy (guest)", "A good line", "@ann</a>", "The river, Part two", "licenses/by/4.0/"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("Ann Lee</a> (host)"), "an episode's people stand in the place of the show's: {page}");

    let refused = world.run("new", &["import", &url]);
    assert!(refused.code == Some(1) && refused.stderr.contains("locked"), "{}", refused.stderr);
    world.done("new", &["import", &url, "--i-am", "ann@x.example"]);
    drop(daemon);
    let (_daemon, base) = world.serve("new", &[]);
    let there = feed(&format!("{base}/shows/night-walks/feed.xml"));
    assert_eq!((&there.tags, &there.copyright, &there.locked), (&channel.tags, &channel.copyright, &channel.locked));
    let own = |channel: &podswarm_feeds::read::Channel| {
        let item = &channel.items[0];
        (item.tags.clone(), item.season_name.clone(), item.number_name.clone(), item.is_blocked)
    };
    assert_eq!(own(&there), own(&channel));
}

#[test]
fn what_is_said_is_taken_back_and_what_cannot_be_said_is_refused() {
    let world = World::new();
    fill(&world);
    let (_daemon, base) = world.serve("old", &[]);
    world.done(
        "old",
        &["edit", "--person", "", "--tag", "<podcast:value/>", "--funding", "Give; url=https://b.example/"],
    );
    world.done("old", &["edit", "one", "--soundbite", "", "--block=false", "--number-name", ""]);
    let channel = feed(&format!("{base}/shows/night-walks/feed.xml"));
    assert!(channel.tags.first("person").is_none() && channel.tags.first("value").is_none(), "{:?}", channel.tags);
    assert_eq!(channel.tags.all("funding").len(), 1);
    let item = &channel.items[0];
    assert!(item.tags.first("soundbite").is_none() && !item.is_blocked && item.number_name.is_none(), "{item:?}");
    assert_eq!(item.tags.all("person").len(), 1, "what is not said stays");
    for (args, want) in [
        (&["edit", "--person", "Ann; rolle=host"][..], "it has role, group, img, href"),
        (&["edit", "--soundbite", "x; start=1; duration=2"], "said of an episode"),
        (&["edit", "one", "--medium", "music"], "said of a show"),
        (&["edit", "one", "--locked"], "--locked is said of a show"),
        (&["edit", "--tag", "<podcast:value>"], "not one element"),
        (&["edit", "--tag", "guid: x"], "no name of a tag"),
        (&["edit", "--funding", "Give"], "lacks `url`"),
    ] {
        let refused = world.run("old", args);
        assert!(refused.code != Some(0) && refused.stderr.contains(want), "{args:?}: {}", refused.stderr);
    }
    let ended = world.done("old", &["edit", "--person", "Ann; role=boss"]);
    assert_eq!(ended.events[0]["tags"]["person"][0]["text"], "Ann");
    let checked = world.run("old", &["check"]);
    let found = checked.all("finding").into_iter().find(|it| it["rule"] == "podcast namespace").expect("a finding");
    assert!(found["what"].as_str().unwrap().contains("`boss`"), "{found}");
}
