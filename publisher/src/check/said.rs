//! What apps would not understand of what a show or an episode says in the podcast namespace.
//!
//! What is required is required when it is typed; these are the forms and words that the namespace's documents list.
//!
//! Source: the podcast namespace as of 2026-05 and its taxonomy of roles; RFC 5870 for `geo:`, RFC 5545 for `rrule`.

use std::time::Duration;

use podswarm_feeds::{Tag, Tags};

/// Whose rules these are.
pub(super) const RULE: &str = "podcast namespace";

/// Apps may cut a text behind so many characters.
const SHOWN: usize = 128;

/// A soundbite should be as long as this, in seconds.
const BITE: std::ops::RangeInclusive<f64> = 15.0..=120.0;

/// Roles that people have.
const ROLES: [&str; 62] = [
    "announcer",
    "assistant camera",
    "assistant director",
    "assistant editor",
    "associate producer",
    "audio editor",
    "audio engineer",
    "author",
    "booking coordinator",
    "camera grip",
    "camera operator",
    "co-host",
    "co-writer",
    "composer",
    "consultant",
    "content manager",
    "cover art designer",
    "creative director",
    "development producer",
    "director",
    "editor",
    "editorial director",
    "executive producer",
    "fact checker",
    "foley artist",
    "graphic designer",
    "guest",
    "guest host",
    "guest writer",
    "host",
    "intern",
    "lighting designer",
    "logger",
    "managing editor",
    "marketing manager",
    "music contributor",
    "music production",
    "narrator",
    "post production engineer",
    "producer",
    "production assistant",
    "production coordinator",
    "remote recording engineer",
    "reporter",
    "researcher",
    "sales manager",
    "sales representative",
    "script coordinator",
    "script editor",
    "senior producer",
    "social media manager",
    "songwriter",
    "sound designer",
    "story editor",
    "studio coordinator",
    "technical director",
    "technical manager",
    "theme music",
    "transcriber",
    "translator",
    "voice actor",
    "writer",
];

/// What a show can be, beside lists of these (`podcastL`) and `mixed`.
const MEDIA: [&str; 9] =
    ["podcast", "music", "video", "film", "audiobook", "newsletter", "blog", "publisher", "course"];

/// How often a rule may come round.
const FREQUENCIES: [&str; 7] = ["SECONDLY", "MINUTELY", "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY"];

/// What is wrong with `tags`, each with the flag that mends it; `plays` is how long an episode does.
pub(super) fn faults(tags: &Tags, plays: Option<Duration>) -> Vec<(&'static str, String)> {
    let mut faults = Vec::new();
    for (name, said) in tags.iter() {
        let flag = flag(name);
        let mut find = |what: String| faults.push((flag, what));
        if !Tags::is_known(name) {
            find(format!("podcast:{name} is not in the namespace"));
        }
        for tag in said {
            if name != "txt" && tag.text.chars().count() > SHOWN {
                find(format!("podcast:{name} has a text of more than {SHOWN} characters, which apps may cut"));
            }
            let found = match name {
                "license" => license(tag),
                "location" => location(tag),
                "medium" => medium(tag),
                "person" => person(tag),
                "soundbite" => soundbite(tag, plays),
                "updateFrequency" => tag.attribute("rrule").and_then(rule),
                "value" => value(tag),
                _ => None,
            };
            found.into_iter().for_each(&mut find);
        }
    }
    faults
}

/// What of the command line says a tag of that name.
fn flag(name: &str) -> &'static str {
    match name {
        "funding" => "--funding TEXT",
        "license" => "--license TEXT",
        "location" => "--location TEXT",
        "medium" => "--medium TEXT",
        "person" => "--person TEXT",
        "socialInteract" => "--social TEXT",
        "soundbite" => "--soundbite TEXT",
        _ => "--tag TEXT",
    }
}

fn person(person: &Tag) -> Option<String> {
    let role = person.attribute("role")?.to_lowercase();
    let what = || format!("the role `{role}` of {} is none that apps know, such as host, guest or editor", person.text);
    (!ROLES.contains(&role.as_str())).then(what)
}

fn medium(medium: &Tag) -> Option<String> {
    let name = medium.text.strip_suffix('L').unwrap_or(&medium.text);
    let is_known = MEDIA.contains(&name) || medium.text == "mixed";
    (!is_known).then(|| format!("the medium `{}` is none of {}", medium.text, MEDIA.join(", ")))
}

fn license(license: &Tag) -> Option<String> {
    let name = license.text.to_lowercase();
    // Slugs of SPDX's list have no blank; most are not for sound and pictures.
    let is_known = name.starts_with("cc") || ["arr", "pod-v4v-1.0"].contains(&name.as_str());
    let lacks = !is_known && license.attribute("url").is_none();
    lacks.then(|| format!("the licence `{}` is none of the known ones; say where its text is: `; url=…`", license.text))
}

fn location(location: &Tag) -> Option<String> {
    let text = &location.text;
    if location.attribute("geo").is_some_and(|geo| !is_geo(geo)) {
        return Some(format!("`geo` of {text} is not of the form geo:52.52,13.40"));
    }
    if location.attribute("osm").is_some_and(|osm| !is_osm(osm)) {
        return Some(format!("`osm` of {text} is not of the form R62422: N, W or R and a number"));
    }
    let is_country = |country: &str| country.len() == 2 && country.bytes().all(|b| b.is_ascii_uppercase());
    if location.attribute("country").is_some_and(|country| !is_country(country)) {
        return Some(format!("`country` of {text} is not a code of two capital letters"));
    }
    if !matches!(location.attribute("rel"), None | Some("subject" | "creator")) {
        return Some(format!("`rel` of {text} is neither subject nor creator"));
    }
    let is_told = location.attribute("geo").or(location.attribute("osm")).is_some();
    (!is_told).then(|| format!("{text} has neither `geo` nor `osm`, so that apps cannot find it"))
}

fn is_geo(geo: &str) -> bool {
    let Some(place) = geo.strip_prefix("geo:") else { return false };
    let numbers: Vec<Option<f64>> =
        place.split(';').next().unwrap_or_default().split(',').map(|n| n.parse().ok()).collect();
    match numbers[..] {
        [Some(latitude), Some(longitude)] | [Some(latitude), Some(longitude), Some(_)] => {
            latitude.abs() <= 90.0 && longitude.abs() <= 180.0
        }
        _ => false,
    }
}

fn is_osm(osm: &str) -> bool {
    let Some(number) = osm.strip_prefix(['N', 'W', 'R']) else { return false };
    let (number, revision) = number.split_once('#').unwrap_or((number, "0"));
    [number, revision].iter().all(|it| !it.is_empty() && it.bytes().all(|b| b.is_ascii_digit()))
}

fn soundbite(bite: &Tag, plays: Option<Duration>) -> Option<String> {
    let seconds = |name: &str| bite.attribute(name)?.parse::<f64>().ok();
    let (start, length) = (seconds("startTime")?, seconds("duration")?);
    if let Some(plays) = plays.filter(|plays| start + length > plays.as_secs_f64() + 1.0) {
        return Some(format!(
            "a soundbite ends {} s after the beginning; it plays {} s",
            start + length,
            plays.as_secs()
        ));
    }
    (!BITE.contains(&length)).then(|| format!("a soundbite plays {length} s; want 15 to 120"))
}

fn rule(rule: &str) -> Option<String> {
    let frequency = rule.split(';').find_map(|part| part.strip_prefix("FREQ="));
    let is_good = frequency.is_some_and(|frequency| FREQUENCIES.contains(&frequency))
        && rule.split(';').all(|part| part.split_once('=').is_some_and(|(_, value)| !value.is_empty()));
    (!is_good).then(|| format!("the rule `{rule}` is not of the form FREQ=WEEKLY;BYDAY=MO"))
}

fn value(value: &Tag) -> Option<String> {
    let recipients = value.children.all("valueRecipient");
    let lacks = |tag: &Tag| ["type", "address", "split"].into_iter().find(|name| tag.attribute(name).is_none());
    match recipients.iter().find_map(lacks) {
        Some(name) => Some(format!("a recipient of podcast:value lacks `{name}`")),
        None if recipients.is_empty() => Some("podcast:value names no recipient".to_owned()),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(said: &str, want: &str) {
        let mut tags = Tags::default();
        tags.say_any(said).unwrap();
        let faults = faults(&tags, Some(Duration::from_mins(10)));
        match faults.as_slice() {
            [] => assert_eq!(want, "", "{said}"),
            [(_, what)] => assert!(!want.is_empty() && what.contains(want), "{said}: {what}"),
            more => panic!("{said}: {more:?}"),
        }
    }

    #[test]
    fn what_apps_know_is_no_fault_and_the_rest_is() {
        check("person: Ann; role=Guest Host", "");
        check("person: Ann", "");
        check("person: Ann; role=boss", "`boss` of Ann");
        check("medium: musicL", "");
        check("medium: radio", "`radio`");
        check("license: CC-BY-4.0", "");
        check("license: ours; url=https://a.example/", "");
        check("license: ours", "say where its text is");
        check("location: Rome; geo=geo:41.9,12.5; osm=R41485; country=IT; rel=creator", "");
        check("location: Rome; geo=41.9,12.5", "geo:52.52");
        check("location: Rome; geo=geo:91,0", "geo:52.52");
        check("location: Rome; osm=41485", "R62422");
        check("location: Rome; osm=R1; country=it", "capital");
        check("location: Rome; osm=R1; rel=about", "neither subject nor creator");
        check("location: Rome", "neither `geo` nor `osm`");
        check("soundbite: x; start=1:00; duration=30", "");
        check("soundbite: x; start=9:50; duration=30", "ends 620 s");
        check("soundbite: x; start=1; duration=5", "want 15 to 120");
        check("updateFrequency: x; rrule=FREQ=WEEKLY;BYDAY=MO", "");
        check("updateFrequency: x; rrule=WEEKLY", "FREQ=WEEKLY;BYDAY=MO");
        check("<value type='lightning' method='keysend'/>", "names no recipient");
        check("<value type='a' method='b'><valueRecipient address='c' type='d'/></value>", "lacks `split`");
        check("<futureThing>x</futureThing>", "not in the namespace");
        check(&format!("funding: {}; url=https://a.example/", "x".repeat(200)), "more than 128");
    }
}
