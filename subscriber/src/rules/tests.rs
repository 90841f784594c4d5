//! What rules say of episodes, and how files are called.

use std::time::Duration;

use super::*;

fn subject() -> Subject<'static> {
    Subject {
        title: "Rerun: The Interview, Part 2",
        number: Some(12),
        season: None,
        seconds: Some(45 * 60),
        age: Some(Duration::from_hours(72)),
        size: Some(60_000_000),
        mime: Some("audio/mpeg"),
        language: Some("de-AT"),
    }
}

#[track_caller]
fn holds(clause: &str, want: Option<bool>) {
    let clause: Clause = clause.parse().unwrap_or_else(|error| panic!("{clause}: {error}"));
    assert_eq!(clause.holds(&subject()), want, "{clause}");
}

#[test]
fn a_clause_is_a_text_a_pattern_or_tests() {
    for (clause, want) in [
        ("interview", true),
        ("INTERVIEW, part", true),
        ("\"the interview\"", true),
        ("trailer", false),
        ("/^rerun:/", true),
        ("/part \\d+$/", true),
        ("/^part/", false),
        ("title=interview", true),
        ("title!=/rerun/", false),
        ("length>20m", true),
        ("length >= 45m", true),
        ("length<45m", false),
        ("age<7d", true),
        ("age > 2d", true),
        ("size<=60MB", true),
        ("size<50MiB", false),
        ("number=12", true),
        ("number!=12", false),
        ("type=audio", true),
        ("type=video,audio/mpeg", true),
        ("type!=audio", false),
        ("language=en,de", true),
        ("language=de-at", true),
        ("language=d", false),
        ("interview and length>20m and type=audio", true),
        ("interview and length>1h", false),
        ("\"this and that\"", false),
        ("/interview and|rerun/ and number=12", true),
    ] {
        holds(clause, Some(want));
    }
}

#[test]
fn what_is_not_known_decides_nothing() {
    holds("season=1", None);
    holds("season=1 and interview", None);
    holds("season=1 and trailer", Some(false));
    let nothing = Subject { title: "x", ..Subject::default() };
    for clause in ["length>20m", "size<1MB", "age<7d", "type=video", "language=en", "number>3"] {
        assert_eq!(clause.parse::<Clause>().unwrap().holds(&nothing), None, "{clause}");
    }
}

#[test]
fn a_clause_that_means_nothing_is_refused_by_name() {
    for (text, part) in [
        ("", "empty"),
        ("  ", "empty"),
        ("lenght>20m", "`lenght` is nothing that a rule can ask for"),
        ("title>x", "cannot be more or less"),
        ("length>20", "`20` is no time"),
        ("length=", "nothing to compare with"),
        ("size>big", "no size"),
        ("number=x", "no number"),
        ("/(/", "no regular expression"),
        ("/open", "does not end with"),
    ] {
        let error = text.parse::<Clause>().unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
    let hungry = "/(((a{1000}){1000}){1000})/".parse::<Clause>().unwrap_err().to_string();
    assert!(hungry.contains("no regular expression"), "{hungry}");
}

#[test]
fn rules_are_stored_as_they_are_written() {
    let rules = Rules {
        take: Some(Take::Any(vec!["length>20m and /x/".parse().unwrap()])),
        skip: Some(vec!["trailer".parse().unwrap()]),
        keep: Some(Keep::Newest(5)),
        keep_for: Some("2w".parse().unwrap()),
        keep_played: Some("0s".parse().unwrap()),
        name: Some("{number:03} {title}".parse().unwrap()),
        episode_up: Some("1MiB/s".parse().unwrap()),
        episode_down: Some("none".parse().unwrap()),
        find_peers: Some("trackers,pex".parse().unwrap()),
        on_complete: Some(vec![
            r#"{ run = ["tell", "it"] }"#.parse().unwrap(),
            r#"{ url = "http://home.example/s3cret" }"#.parse().unwrap(),
        ]),
        quality: Some("audio,smallest".parse().unwrap()),
        tags: Some(Choice::Yes),
        cover: Some(Choice::No),
        http_only: Some(Choice::Yes),
    };
    let json = serde_json::to_string(&rules).unwrap();
    assert_eq!(serde_json::from_str::<Rules>(&json).unwrap(), rules, "{json}");
    assert_eq!(
        rules.words(),
        [
            "take length>20m and /x/",
            "skip trailer",
            "keep 5",
            "keep for 14d",
            "keep played 0s",
            "name {number:03} {title}",
            "episode up 1MiB/s",
            "episode down none",
            "find peers trackers,pex",
            "on complete `tell`",
            "on complete http://home.example",
            "quality audio,smallest",
            "tags yes",
            "cover no",
            "http only yes",
        ]
    );
    let kept = |json: &str| serde_json::from_str::<Keep>(json).map_err(|error| error.to_string());
    assert_eq!((kept("\"5\""), kept("\"all\"")), (Ok(Keep::Newest(5)), Ok(Keep::All)), "as people write it, too");
    assert!(kept("\"some\"").unwrap_err().starts_with("`some` is no number of episodes to keep"));
    // That nothing ends it is said, too, where a rule of all feeds has it end.
    let ever = Rules { keep_for: Some(KeepFor(None)), ..Rules::default() };
    assert_eq!(serde_json::from_str::<Rules>(&serde_json::to_string(&ever).unwrap()).unwrap(), ever);
    assert_eq!(serde_json::to_string(&Rules::default()).unwrap(), "{}");
}

#[test]
fn a_feeds_own_rules_beat_those_of_all() {
    let rule = |text: &str| text.parse::<Clause>().unwrap();
    let all = Rules { skip: Some(vec![rule("trailer")]), keep: Some(Keep::Newest(3)), ..Rules::default() };
    let mut own =
        Rules { keep: Some(Keep::All), take: Some(Take::Any(vec![rule("a"), rule("b")])), ..Rules::default() };
    let terms = all.with(&own);
    assert_eq!((terms.keep, terms.skip.len()), (Keep::All, 1));
    let verdict = |terms: &Terms, title: &'static str| terms.refusal(&Subject { title, ..Subject::default() });
    assert_eq!(verdict(&terms, "b"), None);
    assert_eq!(verdict(&terms, "c").as_deref(), Some("take a or b"));
    assert_eq!(verdict(&terms, "a trailer").as_deref(), Some("skip trailer"), "what is left out beats what is taken");
    own.forget(&[RuleName::Take, RuleName::Keep]);
    assert!(own.is_empty());
    own.change(Rules { take: Some(Take::Nothing), ..Rules::default() });
    assert_eq!(verdict(&all.with(&own), "b").as_deref(), Some("take none"));
    // What the feed does not tell speaks for the episode.
    let own = Rules { take: Some(Take::Any(vec![rule("length>20m")])), skip: Some(vec![rule("size>1GB")]), ..own };
    assert_eq!(verdict(&all.with(&own), "x"), None);
}

#[test]
fn who_takes_part_in_no_swarm_at_all_makes_no_exception_for_a_feed() {
    let says = |choice| Rules { http_only: choice, ..Rules::default() };
    for (all, own, want) in [
        (None, None, false),
        (None, Some(Choice::Yes), true),
        (Some(Choice::No), Some(Choice::Yes), true),
        (Some(Choice::Yes), Some(Choice::No), true),
        (Some(Choice::No), None, false),
    ] {
        assert_eq!(says(all).are_http_only(&says(own)), want, "{all:?} {own:?}");
    }
    let mut own = says(None);
    own.change(says(Some(Choice::Yes)));
    assert_eq!(own.words(), ["http only yes"]);
    own.forget(&[RuleName::HttpOnly]);
    assert!(own.is_empty());
}

fn naming() -> Naming<'static> {
    let day = chrono::NaiveDate::from_ymd_opt(2026, 11, 20).unwrap();
    Naming { day, show: "AC/DC: Live", title: "Part 2: The Sea", season: Some(1), number: None, id: 7 }
}

#[test]
fn files_are_called_as_the_template_says() {
    for (template, want) in [
        ("{date} {title}", "2026-11-20 Part 2 - The Sea"),
        ("Season {season:02}/{title}", "Season 01/Part 2 - The Sea"),
        ("[{number:03} - ]{title}", "Part 2 - The Sea"),
        ("[S{season:02}][E{number:02}] {title}", "S01 Part 2 - The Sea"),
        ("{year}/{month}/{day} {id:04}", "2026/11/20 0007"),
        ("{show}/{title}", "AC-DC - Live/Part 2 - The Sea"),
        ("../{title}", "Untitled/Part 2 - The Sea"),
        ("{number}/{title}", "Untitled/Part 2 - The Sea"),
    ] {
        let (folders, name) = template.parse::<Template>().unwrap().name(&naming());
        let path = folders.into_iter().chain([name]).collect::<Vec<_>>().join("/");
        assert_eq!(path, want, "{template}");
    }
    let hostile = Naming { title: "../../etc/passwd", ..naming() };
    let (folders, name) = Template::default().name(&hostile);
    assert!(folders.is_empty() && !name.contains('/'), "{name}");
    let empty = Naming { title: " . ", ..naming() };
    assert_eq!(Template::default().name(&empty).1, "2026-11-20 Untitled");
}

#[test]
fn a_template_that_would_not_do_is_refused() {
    for (text, part) in [
        ("{titel}", "no place"),
        ("{title:x}", "no place"),
        ("{title", "lacks its other half"),
        ("title}", "lacks its other half"),
        ("[{title}", "lacks its other half"),
        ("[[{title}]]", "lacks its other half"),
        ("{show}", "all episodes the same"),
        ("{title}/x", "all episodes the same"),
        ("", "all episodes the same"),
        ("/{title}", "begins or ends with a slash"),
        ("a/b/c/d/e/{title}", "more than 4 folders"),
    ] {
        let error = text.parse::<Template>().unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn times_and_sizes_are_read_as_they_are_written() {
    for (text, shown) in [("90s", "90s"), ("2h", "2h"), ("14d", "14d"), ("2w", "14d"), ("0m", "0s")] {
        assert_eq!(text.parse::<Span>().unwrap().to_string(), shown);
    }
    for (text, bytes) in
        [("500MB", 500_000_000), ("2.5GB", 2_500_000_000), ("50GiB", 50 << 30), ("10 mb", 10_000_000), ("0", 0)]
    {
        assert_eq!(text.parse::<Size>().unwrap().0, bytes, "{text}");
    }
    assert_eq!("2048MiB".parse::<Size>().unwrap().to_string(), "2GiB");
    for text in ["", "5", "d", "-5m", "5y", "1.5h", "99999999999999999999d"] {
        assert!(text.parse::<Span>().is_err(), "{text}");
    }
    for text in ["", "5", "GB", "-5GB", "1.2345GB", "1.GB", "99999999999TiB", "5xB"] {
        assert!(text.parse::<Size>().is_err(), "{text}");
    }
    assert_eq!(("all".parse(), "3".parse()), (Ok(Keep::All), Ok(Keep::Newest(3))));
    assert!("0".parse::<Keep>().is_err() && "some".parse::<Keep>().is_err());
    assert_eq!("ever".parse(), Ok(KeepFor(None)));
}

proptest::proptest! {
    #[test]
    fn any_text_is_taken_or_refused(text in ".{0,80}") {
        let _ = text.parse::<Clause>().map(|clause| clause.holds(&subject()));
        if let Ok(template) = text.parse::<Template>() {
            let (folders, name) = template.name(&naming());
            for part in folders.iter().chain([&name]) {
                assert!(!part.is_empty() && !part.contains('/') && part != ".." && part.len() <= 240, "{part}");
            }
        }
    }
}
