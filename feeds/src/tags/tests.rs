//! The short form, XML, and what is refused.

use super::*;

fn tag(name: &str, text: &str) -> Result<Tag, TagError> {
    let mut tags = Tags::default();
    tags.say(name, text)?;
    tags.check(if name == "soundbite" { Place::Episode } else { Place::Show })?;
    Ok(tags.first(name).unwrap().clone())
}

#[test]
fn the_short_form_is_text_and_attributes() {
    let ann = tag("person", "Ann Lee; role=guest; href=https://ann.example/?a=1;b").unwrap();
    assert_eq!(ann, Tag::of_text("Ann Lee").with("role", "guest").with("href", "https://ann.example/?a=1;b"));
    assert_eq!(tag("person", " AC;DC ").unwrap(), Tag::of_text("AC;DC"));
    let bite = tag("soundbite", "A line; start=1:02:03.5; dur=30").unwrap();
    assert_eq!(bite, Tag::of_text("A line").with("startTime", "3723.5").with("duration", "30"));
    let thread = tag("socialInteract", "https://social.example/@ann/1; protocol=activitypub; accountId=@ann").unwrap();
    assert_eq!(thread.attribute("uri"), Some("https://social.example/@ann/1"));
    assert!(thread.text.is_empty());
    let rule = tag("updateFrequency", "Every other Monday; rrule=FREQ=WEEKLY;INTERVAL=2;BYDAY=MO").unwrap();
    assert_eq!(rule.attribute("rrule"), Some("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO"));
    assert_eq!(tag("funding", "url=https://a.example/?x=y").unwrap_err(), TagError::Empty { name: "funding" });
}

#[test]
fn what_is_wrong_with_a_tag_is_said() {
    let check = |name: &str, text: &str, want: &str| {
        let error = tag(name, text).unwrap_err().to_string();
        assert!(error.contains(want), "{text}: {error}");
    };
    check("person", "Ann; rolle=guest", "podcast:person has no `rolle`; it has role, group, img, href");
    check("person", "Ann;role=guest", "`;role`");
    check("person", "Ann; guest", "`guest`");
    check("person", "Ann; href=javascript:alert(1)", "want an address such as https://");
    check("funding", "Give", "lacks `url`");
    check("soundbite", "x; start=soon; duration=3", "want seconds, or a time such as 1:02:03");
    check("soundbite", "x; start=-3; duration=3", "`-3`");
    check("chat", "irc.example; accountId=a", "lacks `protocol`");
    check("license", &"x".repeat(LONGEST + 1), "want at most 4000");
    check("transcript", "x", "no name of a tag");
    let mut twice = Tags::default();
    twice.say("medium", "podcast").unwrap();
    twice.say("medium", "music").unwrap();
    assert_eq!(twice.check(Place::Show), Err(TagError::Once { name: "medium", got: 2 }));
    let error = twice.check(Place::Episode).unwrap_err().to_string();
    assert_eq!(error, "podcast:medium is said of a show, not of an episode");
}

#[test]
fn any_tag_can_be_said_by_its_name_or_as_xml() {
    let mut tags = Tags::default();
    tags.say_any("medium: music").unwrap();
    tags.say_any("podping: true").unwrap();
    tags.say_any("location: Berlin; geo=geo:52.5,13.4; country=DE").unwrap();
    tags.say_any(
        "<podcast:value xmlns:podcast='https://podcastindex.org/namespace/1.0' type=\"lightning\" method='keysend'>\n \
         <podcast:valueRecipient name='Ann &amp; Bo' type='node' address='03ab' split='90'/>\
         <podcast:valueRecipient name='App' type='node' address='02cd' split='10'></podcast:valueRecipient>\
         </podcast:value>",
    )
    .unwrap();
    tags.say_any("<futureThing>said <![CDATA[& done]]></futureThing>").unwrap();
    tags.check(Place::Show).unwrap();
    assert_eq!(tags.first("podping").unwrap().attribute("usesPodping"), Some("true"));
    assert_eq!(tags.first("location").unwrap().attribute("geo"), Some("geo:52.5,13.4"));
    let names: Vec<_> = tags.first("value").unwrap().children.all("valueRecipient").iter().collect();
    assert_eq!(names[0].attribute("name"), Some("Ann & Bo"));
    assert_eq!((names.len(), tags.first("futureThing").unwrap().text.as_str()), (2, "said & done"));
    assert!(!Tags::is_known("futureThing") && Tags::is_known("value"));
    let mut back = Tags::default();
    back.say_any("<podcast:value/>").unwrap();
    back.say("medium", "").unwrap();
    tags.replace(back);
    assert_eq!(tags.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["futureThing", "location", "podping"]);
}

#[test]
fn xml_that_is_not_one_whole_element_is_refused() {
    for bad in
        ["<a>", "<a></b>", "<a/><b/>", "<a/>x", "x<a/>", "<a", "<>", "<itunes:x/>", "</a>", "<a>&lt;</a></a>", "<1/>"]
    {
        assert!(Tags::default().say_any(bad).is_err(), "{bad}");
    }
    let deep = "<a>".repeat(50) + &"</a>".repeat(50);
    assert!(Tags::default().say_any(&deep).is_err());
    for ours in ["<podcast:guid>x</podcast:guid>", "<podcast:transcript url='x'/>", "<alternateEnclosure/>"] {
        assert!(matches!(Tags::default().say_any(ours), Err(TagError::Ours { .. })), "{ours}");
    }
}

#[test]
fn nobody_says_the_keys_words_for_it() {
    for purpose in [KEY_PURPOSE, WITHDRAWN_PURPOSE] {
        let mut tags = Tags::default();
        tags.push("txt", Tag::of_text("x").with("purpose", purpose));
        assert!(matches!(tags.check(Place::Show), Err(TagError::Ours { .. })));
    }
}

#[test]
fn what_is_wrong_is_left_out_and_the_rest_kept() {
    let mut tags = Tags::default();
    tags.push("person", Tag::of_text("Ann"));
    tags.push("person", Tag::of_text("Bo").with("href", "javascript:x"));
    tags.push("medium", Tag::of_text("podcast"));
    tags.push("medium", Tag::of_text("music"));
    tags.push("soundbite", Tag::of_text("x"));
    let faults = tags.keep_good(Place::Show);
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert_eq!((tags.all("person").len(), tags.all("medium").len(), tags.all("soundbite").len()), (1, 1, 0));
    tags.check(Place::Show).unwrap();
}

#[test]
fn a_table_of_words_is_in_order_and_its_names_are_its_own() {
    let names: Vec<_> = vocabulary::WORDS.iter().map(Word::name).collect();
    assert!(names.is_sorted() && names.iter().all(|name| word(name).is_some()), "{names:?}");
    assert_eq!(word_of("SOCIALINTERACT"), Some("p:socialInteract"));
    assert_eq!((attribute("accountid"), child("VALUErecipient")), (Some("accountId"), Some("x:valueRecipient")));
}
