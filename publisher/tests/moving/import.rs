//! A show is brought here from another host.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use podswarm_feeds::EpisodeKind;
use podswarm_feeds::read::{Channel, Item};

use crate::host::{Host, Page};
use crate::world::{World, feed, get, wav};

/// A feed whose items are `items`, with `head` before them.
fn rss(head: &str, items: &str) -> Page {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><rss version=\"2.0\" \
         xmlns:itunes=\"http://www.itunes.com/dtds/podcast-1.0.dtd\" xmlns:atom=\"http://www.w3.org/2005/Atom\" \
         xmlns:content=\"http://purl.org/rss/1.0/modules/content/\" \
         xmlns:podcast=\"https://podcastindex.org/namespace/1.0\"><channel><title>Night Walks</title>{head}{items}\
         </channel></rss>"
    );
    Page::File("application/rss+xml", text.into_bytes())
}

/// An item with the file `/NAME.wav`, which the host gets, too.
fn item(host: &Host, n: u32, date: &str) -> String {
    host.put(&format!("/{n}.wav"), Page::File("audio/wav", wav(n, 0)));
    format!(
        "<item><guid isPermaLink=\"false\">ep-{n}</guid><title>Walk {n}</title><pubDate>{date}</pubDate>\
         <enclosure url=\"/{n}.wav\" length=\"844\" type=\"audio/wav\"/></item>"
    )
}

/// Title, date, whether the guid is a link, kind, season and number.
type Kept = (String, Option<i64>, bool, EpisodeKind, Option<u32>, Option<u32>);

/// What must not change of an item when its show moves, by its guid.
fn kept(channel: &Channel) -> BTreeMap<String, Kept> {
    let item = |item: &Item| {
        let date = item.published.map(|date| date.timestamp());
        (item.guid.clone(), (item.title.clone(), date, item.guid_is_link, item.kind, item.season, item.number))
    };
    channel.items.iter().map(item).collect()
}

const DAY: &str = "Sun, 01 Mar 2020 10:00:00 +0100";

#[test]
fn a_show_comes_as_it_was_and_is_no_news() {
    let (world, host) = (World::new(), Host::start());
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x05\x78\0\0\x05\x78\x08\x02\0\0\0".to_vec();
    png.extend([0; 16]);
    host.put("/cover.png", Page::File("image/png", png));
    host.put(
        "/c.json",
        Page::File("application/json", br#"{"version":"1.2.0","chapters":[{"startTime":0,"title":"River"}]}"#.to_vec()),
    );
    host.put("/t.vtt", Page::File("text/vtt", b"WEBVTT\n\n00:00.000 --> 00:01.000\nHello\n".to_vec()));
    host.put("/2.wav", Page::File("audio/wav", wav(2, 0)));
    host.put("/3.wav", Page::Busy(Box::new(Page::File("audio/wav", wav(3, 0)))));
    host.put("/moving.wav", Page::Changing(|n| wav(9, u32::try_from(n).unwrap())));
    host.put("/page.wav", Page::File("text/html", b"<html>sorry".to_vec()));
    let full = "<item><guid>https://old.example/?p=2</guid><title><![CDATA[Bridges & <b>boats</b>]]></title>\
        <content:encoded><![CDATA[<p onclick=\"x\">By <a href=\"https://x.example\">Ann</a></p><script>x</script>]]></content:encoded>\
        <pubDate>Mon, 2 Mar 2020 07:30 GMT</pubDate><itunes:season>2</itunes:season><itunes:episode>5</itunes:episode>\
        <itunes:episodeType>bonus</itunes:episodeType><itunes:explicit>yes</itunes:explicit><itunes:duration>99:59</itunes:duration>\
        <podcast:chapters url=\"/c.json\" type=\"application/json+chapters\"/><podcast:transcript url=\"/t.vtt\" type=\"text/vtt\"/>\
        <enclosure url=\"2.wav\" length=\"844\" type=\"audio/mpeg\"/></item>";
    // The same file once more, under a guid of its own.
    let again = "<item><guid>tag:old.example,2020:3</guid><title>Again</title><pubDate>2020-03-03T09:00:00-08:00</pubDate>\
        <enclosure url=\"/3.wav\" length=\"844\" type=\"audio/wav\"/></item>";
    let bad = "<item><guid>m</guid><title>Ads</title><pubDate>Thu, 05 Mar 2020 09:00:00 GMT</pubDate><enclosure url=\"/moving.wav\" type=\"audio/wav\"/></item>\
        <item><guid>n</guid><title>News only</title></item><item><guid>g</guid><title>Lost</title><enclosure url=\"/gone.wav\" type=\"audio/wav\"/></item>\
        <item><guid>h</guid><title>Excuse</title><enclosure url=\"/page.wav\" type=\"audio/wav\"/></item>";
    let head = "<link>https://old.example</link><description>&lt;p&gt;Walks &amp;amp; talks&lt;/p&gt;</description><language>en-gb</language>\
        <itunes:author>Ann</itunes:author><itunes:owner><itunes:email>ann@old.example</itunes:email></itunes:owner>\
        <itunes:image href=\"/cover.png\"/><itunes:category text=\"Arts\"><itunes:category text=\"Books\"/></itunes:category>\
        <itunes:category text=\"News\"/><itunes:type>serial</itunes:type><itunes:explicit>false</itunes:explicit>\
        <podcast:guid>917393e3-1b1e-5cef-ace4-edaa54e1f810</podcast:guid>";
    host.put(
        "/feed",
        rss(&format!("{head}<atom:link rel=\"next\" href=\"?page=2\"/>"), &format!("{bad}{again}{full}")),
    );
    host.put("/feed?page=2", rss(head, &item(&host, 1, DAY)));
    let (url, (daemon, base)) = (host.url("/feed"), world.serve("new", &["--public-url", "http://pods.example"]));

    let ended = world.run("new", &["import", &url]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let imported: Vec<_> = ended.all("imported").iter().map(|it| it["title"].as_str().unwrap().to_owned()).collect();
    assert_eq!(imported, ["Walk 1", "Bridges & <b>boats</b>", "Again"], "oldest first: {}", ended.stderr);
    let left_out: BTreeMap<_, _> =
        ended.all("left_out").iter().map(|it| (it["guid"].as_str().unwrap(), it["why"].as_str().unwrap())).collect();
    for (guid, why) in
        [("m", "another each time"), ("n", "links to no file"), ("g", "404"), ("h", "neither audio nor video")]
    {
        assert!(left_out[guid].contains(why), "{guid}: {}", left_out[guid]);
    }
    assert!(left_out["m"].contains("--allow-changing"));
    let summary = ended.the("import");
    assert_eq!(
        (&summary["imported"], &summary["left_out"], &summary["without_file"]),
        (&3.into(), &3.into(), &1.into())
    );

    let (old, new) = (feed(&url), feed(&format!("{base}/shows/night-walks/feed.xml")));
    let was = kept(&old);
    let is = kept(&new);
    assert_eq!(is.len(), 2 + 1, "{is:?}");
    for (guid, item) in &is {
        assert_eq!(was.get(guid).or(kept(&feed(&host.url("/feed?page=2"))).get(guid)), Some(item));
    }
    assert_eq!((&new.podcast_guid, &new.title, &new.author), (&old.podcast_guid, &old.title, &old.author));
    assert_eq!(
        (&new.categories, &new.email, new.is_serial, &new.language),
        (&old.categories, &old.email, true, &old.language)
    );
    assert_eq!((new.explicit, new.description.as_str()), (Some(false), "Walks & talks"));
    assert!(new.image.unwrap().path().contains("/cover-"));
    let full = new.items.iter().find(|item| item.guid == "https://old.example/?p=2").unwrap();
    assert_eq!((full.explicit, full.duration), (Some(true), None), "the file knows how short it is");
    assert!(
        full.description.starts_with("<p>By <a href=\"https://x.example\"") && !full.description.contains("script")
    );
    assert!(full.chapters.is_some() && full.transcripts.len() == 1);
    let local = |url: &url::Url| format!("{base}{}", url.path());
    assert!(String::from_utf8(get(&local(full.chapters.as_ref().unwrap())).2).unwrap().contains("River"));
    assert_eq!(get(&local(&full.transcripts[0].url)).2, b"WEBVTT\n\n00:00.000 --> 00:01.000\nHello\n");
    let status = world.done("new", &["status"]);
    assert!(status.events[0]["episodes"].as_array().unwrap().iter().all(|episode| episode["error"].is_null()));
    assert!(status.events[0]["episodes"][0]["swarm"].is_object(), "it is seeded");

    // A second run brings what is new and nothing else, and what was taken back stays away.
    world.done("new", &["unpublish", "Again"]);
    host.put(
        "/feed",
        rss(head, &format!("{}{again}{full}", item(&host, 4, "Fri, 06 Mar 2020 10:00:00 GMT"), full = "")),
    );
    let before = host.asked(|path| path.contains(".wav")).len();
    let ended = world.done("new", &["import", &url]);
    assert_eq!(ended.the("imported")["guid"], "ep-4");
    assert_eq!(ended.the("import")["present"], 1);
    let after = host.asked(|path| path.contains(".wav"));
    assert!(after[before..].iter().all(|(path, ..)| path == "/4.wav"), "{after:?}");
    drop(daemon);
    assert_eq!(
        std::fs::read_dir(world.path("new"))
            .unwrap()
            .filter(|it| it.as_ref().unwrap().file_name() == "imports")
            .count(),
        0
    );
}

#[test]
fn a_locked_feed_is_taken_by_its_owner_alone() {
    let (world, host) = (World::new(), Host::start());
    host.put("/feed", rss("<podcast:locked owner=\"ann@old.example\">yes</podcast:locked>", &item(&host, 1, DAY)));
    let url = host.url("/feed");
    let refused = world.run("new", &["import", &url]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("podcast:locked") && refused.stderr.contains("--i-am"), "{}", refused.stderr);
    assert_eq!(world.run("new", &["import", &url, "--i-am", "bob@x.example"]).code, Some(1));
    assert!(world.done("new", &["shows"]).events.is_empty(), "nothing was made");
    assert_eq!(world.done("new", &["import", &url, "--i-am", "ann@old.example"]).the("import")["imported"], 1);
}

#[test]
fn a_saved_feed_is_read_and_looked_through_before_it_is_taken() {
    let (world, host) = (World::new(), Host::start());
    let (one, two) = (item(&host, 1, DAY), item(&host, 2, "Mon, 02 Mar 2020 10:00:00 GMT"));
    let this = format!("<atom:link rel=\"self\" href=\"{}\"/>", host.url("/feed"));
    let Page::File(_, bytes) = rss(&this, &format!("{two}{one}")) else { panic!("it is a file") };
    std::fs::write(world.path("saved.xml"), bytes).unwrap();
    let output = world.command("new", &["import", "saved.xml", "--dry-run"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, "2020-03-01  Walk 1\n2020-03-02  Walk 2\n");
    assert!(world.done("new", &["shows"]).events.is_empty() && host.asked(|_| true).is_empty());
    let ended = world.done("new", &["import", "saved.xml", "--newest", "1", "--show", "walks"]);
    assert_eq!(
        (&ended.the("imported")["guid"], &ended.the("import")["show"]["slug"]),
        (&"ep-2".into(), &"walks".into())
    );
}

#[test]
fn an_import_that_is_killed_goes_on_where_it_was() {
    let (world, host) = (World::new(), Host::start());
    let (one, three) = (item(&host, 1, DAY), item(&host, 3, "Tue, 03 Mar 2020 10:00:00 GMT"));
    let large = wav(7, 4 << 20);
    host.put("/large.wav", Page::Slow(large.clone()));
    let slow = format!(
        "<item><guid>large</guid><title>Large</title><pubDate>Mon, 02 Mar 2020 10:00:00 GMT</pubDate>\
         <enclosure url=\"/large.wav\" length=\"{}\" type=\"audio/wav\"/></item>",
        large.len()
    );
    host.put("/feed", rss("", &format!("{three}{slow}{one}")));
    let url = host.url("/feed");
    let mut first = world.start("new", &["import", &url]);
    first.wait(|event| event["event"] == "imported");
    first.wait(|event| event["event"] == "progress" && event["done"].as_u64() > Some(1 << 20));
    first.kill();
    host.go_on();

    let ended = world.done("new", &["import", &url]);
    let imported: Vec<_> = ended.all("imported").iter().map(|it| it["guid"].as_str().unwrap().to_owned()).collect();
    assert_eq!(imported, ["large", "ep-3"]);
    assert_eq!(ended.the("import")["present"], 1);
    let fetches = |path: &str| -> Vec<_> {
        // Where the whole is asked for, or all that is missing of it.
        let is_fetch = |range: &Option<String>| range.as_ref().is_none_or(|range| range.ends_with('-'));
        host.asked(|asked| asked == path).into_iter().filter(|(_, range, _)| is_fetch(range)).collect()
    };
    assert_eq!(fetches("/1.wav").len(), 1);
    assert_eq!(fetches("/3.wav").len(), 1, "it was whole before the power went");
    let [_, (_, Some(range), Some(if_range))] = &fetches("/large.wav")[..] else {
        panic!("{:?}", fetches("/large.wav"))
    };
    let from: u64 = range["bytes=".len()..].trim_end_matches('-').parse().unwrap();
    assert!(from >= 1 << 20 && if_range == "\"v1\"", "{range} {if_range}");
    let (daemon, base) = world.serve("new", &[]);
    let new = feed(&format!("{base}/shows/night-walks/feed.xml"));
    assert_eq!(new.items.iter().map(|item| item.guid.as_str()).collect::<Vec<_>>(), ["ep-3", "large", "ep-1"]);
    let podswarm_feeds::read::Source::Http { url, .. } = new.items[1].sources.last().unwrap() else { panic!("a file") };
    assert!(get(url.as_str()).2 == large);
    drop(daemon);
}

/// The odd ways in which hosts write dates.
fn odd_date(n: u32) -> String {
    let (year, month, day) = (2004 + n / 50, 1 + n % 12, 1 + n % 28);
    let name = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][n as usize % 12];
    match n % 5 {
        0 => format!("{day:02} {name} {year} 10:00:00 +0000"),
        1 => format!("Sun, {day} {name} {year} 7:05 EST"),
        2 => format!("{year}-{month:02}-{day:02}T10:00:00+02:00"),
        3 => format!("  {day} {name} {year} 23:59:59 PDT "),
        _ => format!("{year}-{month:02}-{day:02} 10:00:00"),
    }
}

#[test]
fn a_thousand_episodes_come_with_their_guids_cut_off_and_taken_up_again() {
    const COUNT: u32 = 1000;
    const PAGE: u32 = 250;
    let (world, host) = (World::new(), Host::start());
    let mut pages = vec![String::new(); (COUNT / PAGE) as usize];
    for n in (0..COUNT).rev() {
        let page = &mut pages[((COUNT - 1 - n) / PAGE) as usize];
        host.put(&format!("/m/{n}.wav"), Page::File("audio/wav", wav(n, 0)));
        let guid = match n % 4 {
            0 => format!("<guid>https://old.example/?p={n}&amp;x</guid>"),
            1 => format!("<guid isPermaLink=\"false\">Old-Host-{n}</guid>"),
            2 => format!("<guid><![CDATA[tag:old.example,2004:{n}]]></guid>"),
            _ => format!("<guid isPermaLink=\"false\">https://old.example/{n} é</guid>"),
        };
        let notes = match n % 3 {
            0 => format!("<description><![CDATA[<p>Notes &amp; {n}</p><script>x</script>]]></description>"),
            1 => format!("<description>&lt;b&gt;Notes {n}&lt;/b&gt;</description>"),
            _ => format!("<itunes:summary>One\n\ntwo {n}</itunes:summary>"),
        };
        let media = if n % 2 == 0 { format!("m/{n}.wav") } else { host.url(&format!("/m/{n}.wav")) };
        write!(
            page,
            "<item><title><![CDATA[ Walk {n} & more ]]></title>{guid}{notes}<pubDate>{}</pubDate>\
             <itunes:duration>0:0{}</itunes:duration><enclosure url=\"{media}\" length=\"0\" type=\"audio/mpeg\"/></item>",
            odd_date(n),
            n % 10
        )
        .unwrap();
    }
    for (i, items) in pages.iter().enumerate() {
        let next = format!("<atom:link rel=\"next\" href=\"/feed?{}\"/>", i + 1);
        let head = if i + 1 < pages.len() { next.as_str() } else { "" };
        host.put(&format!("/feed?{i}"), rss(head, items));
    }
    let url = host.url("/feed?0");
    let mut first = world.start("new", &["import", &url]);
    for _ in 0..300 {
        first.wait(|event| event["event"] == "imported");
    }
    first.kill();
    let ended = world.done("new", &["import", &url]);
    let (again, present) = (ended.all("imported").len(), ended.the("import")["present"].as_u64().unwrap());
    assert_eq!(again as u64 + present, u64::from(COUNT));
    assert!((300..400).contains(&present), "{present}");

    let mut fetches: BTreeMap<String, usize> = BTreeMap::new();
    for (path, range, _) in host.asked(|path| path.starts_with("/m/")) {
        *fetches.entry(path).or_default() += usize::from(range.is_none());
    }
    let twice = fetches.values().filter(|fetches| **fetches > 1).count();
    assert!(fetches.len() == COUNT as usize && twice <= 6, "only what was under way is begun anew: {twice}");
    let was: BTreeMap<_, _> = (0..pages.len()).flat_map(|i| kept(&feed(&host.url(&format!("/feed?{i}"))))).collect();
    let (daemon, base) = world.serve("new", &[]);
    let is = kept(&feed(&format!("{base}/shows/night-walks/feed.xml")));
    assert_eq!(was.len(), COUNT as usize);
    assert_eq!(is, was);
    drop(daemon);
}

#[test]
fn a_show_comes_to_be_private() {
    let (world, host) = (World::new(), Host::start());
    host.put("/feed", rss("<language>en</language>", &item(&host, 1, DAY)));
    let (url, (_daemon, base)) = (host.url("/feed"), world.serve("new", &["--public-url", "http://pods.example"]));
    world.done("new", &["import", "--private", &url, "--dry-run"]);
    let ended = world.done("new", &["import", "--private", &url]);
    assert_eq!(
        (&ended.the("import")["show"]["is_private"], &ended.the("import")["imported"]),
        (&true.into(), &1.into())
    );
    assert!(ended.stderr.contains("podpub subscriber add --show night-walks"), "{}", ended.stderr);
    assert_eq!(get(&format!("{base}/shows/night-walks/feed.xml")).0, 404, "nobody else finds it");
    let made = world.done("new", &["subscriber", "add", "ann"]);
    let way = made.events[0]["feed"].as_str().unwrap().replace("http://pods.example", &base);
    let channel = feed(&way);
    assert_eq!((channel.items.len(), channel.items[0].guid.as_str(), channel.is_blocked), (1, "ep-1", true));
    // What is new comes into it, whether that is said again or not.
    host.put("/feed", rss("<language>en</language>", &item(&host, 2, DAY)));
    assert_eq!(world.done("new", &["import", &url]).the("import")["show"]["is_private"], true);
    assert_eq!(feed(&way).items.len(), 2);

    // A show never changes its kind.
    world.done("other", &["import", &url]);
    let refused = world.run("other", &["import", "--private", &url]);
    assert!(refused.code == Some(1) && refused.stderr.contains("public for ever"), "{}", refused.stderr);
    world.done("new", &["export", "backup"]);
    let refused = world.run("third", &["import", "--private", "backup"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("stay as they are"), "{}", refused.stderr);
}
