//! What a show and its episodes say in the podcast namespace, as listeners read it on pages.
//!
//! Pictures of people are not shown: they lie elsewhere, and whoever reads a page is known to nobody else.
//!
//! Law: a link leads to the web. Others are refused when they are typed and read.

use maud::{Markup, html};
use podswarm_feeds::{Tag, Tags};
use url::Url;

use crate::record::{EpisodeRecord, ShowRecord};

/// Who is heard, and where it plays; nothing if that is not said.
pub(super) fn by_and_where(people: &[Tag], locations: &[Tag]) -> Markup {
    html! {
        @if !people.is_empty() {
            p.soft {
                "With "
                @for (i, person) in people.iter().enumerate() {
                    @if i > 0 { ", " }
                    (linked(&person.text, person.attribute("href")))
                    @match person.attribute("role") {
                        Some(role) if !role.is_empty() => { " (" (role.to_lowercase()) ")" }
                        _ => {}
                    }
                }
            }
        }
        @if !locations.is_empty() {
            p.soft {
                @for (i, location) in locations.iter().enumerate() {
                    @if i > 0 { " · " }
                    @if location.attribute("rel") == Some("creator") { "Made in " }
                    (linked(&location.text, map(location).as_deref()))
                }
            }
        }
    }
}

/// Who is heard in an episode: what it says stands in the place of what its show says.
pub(super) fn people<'a>(show: &'a ShowRecord, episode: &'a EpisodeRecord) -> &'a [Tag] {
    either("person", &episode.tags, &show.tags)
}

fn either<'a>(name: &str, first: &'a Tags, second: &'a Tags) -> &'a [Tag] {
    let own = first.all(name);
    if own.is_empty() { second.all(name) } else { own }
}

/// How to support it, as a box; nothing if that is not said.
pub(super) fn support(show: &ShowRecord, episode: Option<&EpisodeRecord>) -> Markup {
    let none = Tags::default();
    let ways = either("funding", episode.map_or(&none, |episode| &episode.tags), &show.tags);
    html! {
        @if !ways.is_empty() {
            section.box {
                h2 { "Support" }
                ul.links { @for way in ways { li { (linked(&way.text, way.attribute("url"))) } } }
            }
        }
    }
}

/// Where it is talked about.
pub(super) fn talk(tags: &Tags) -> Markup {
    let threads: Vec<(&Tag, &str)> =
        tags.all("socialInteract").iter().filter_map(|tag| Some((tag, tag.attribute("uri").filter(is_web)?))).collect();
    html! {
        @if !threads.is_empty() {
            section.box {
                h2 { "Talk about it" }
                ul.links {
                    @for (tag, uri) in threads {
                        li { a href=(uri) rel="noopener nofollow" { (tag.attribute("accountId").unwrap_or(uri)) } }
                    }
                }
            }
        }
    }
}

/// Under which licence it stands, and whose it is.
pub(super) fn rights(show: &ShowRecord, episode: Option<&EpisodeRecord>) -> Markup {
    let none = Tags::default();
    let license = either("license", episode.map_or(&none, |episode| &episode.tags), &show.tags).first();
    html! {
        @if license.is_some() || show.copyright.is_some() {
            p.soft {
                @if let Some(copyright) = &show.copyright { (copyright) }
                @if let Some(license) = license {
                    @if show.copyright.is_some() { " · " }
                    "Licence: " (linked(&license.text, license_url(license).as_deref()))
                }
            }
        }
    }
}

fn linked(text: &str, href: Option<&str>) -> Markup {
    html! {
        @if let Some(href) = href.filter(is_web) { a href=(href) rel="noopener" { (text) } } @else { (text) }
    }
}

fn is_web(url: &&str) -> bool {
    Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

/// Where OpenStreetMap shows a place.
fn map(location: &Tag) -> Option<String> {
    let osm = location.attribute("osm")?;
    let kind = match osm.get(..1)? {
        "N" => "node",
        "W" => "way",
        "R" => "relation",
        _ => return None,
    };
    let number = osm[1..].split('#').next()?;
    let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| format!("https://www.openstreetmap.org/{kind}/{number}"))
}

/// Where the text of a licence is: as it says, or of Creative Commons, whose names tell.
fn license_url(license: &Tag) -> Option<String> {
    if let Some(url) = license.attribute("url") {
        return Some(url.to_owned());
    }
    let name = license.text.trim().to_ascii_lowercase();
    if name == "cc0-1.0" {
        return Some("https://creativecommons.org/publicdomain/zero/1.0/".to_owned());
    }
    let (kind, version) = name.strip_prefix("cc-")?.rsplit_once('-')?;
    let is_theirs = ["by", "by-sa", "by-nc", "by-nd", "by-nc-sa", "by-nc-nd"].contains(&kind);
    let is_version = matches!(version, "1.0" | "2.0" | "2.5" | "3.0" | "4.0");
    (is_theirs && is_version).then(|| format!("https://creativecommons.org/licenses/{kind}/{version}/"))
}

/// A soundbite's beginning in milliseconds, and its title.
pub(super) fn soundbites(tags: &Tags) -> Vec<(u64, &str)> {
    let of = |bite: &'_ Tag| {
        let seconds: f64 = bite.attribute("startTime")?.parse().ok()?;
        u64::try_from(std::time::Duration::try_from_secs_f64(seconds).ok()?.as_millis()).ok()
    };
    tags.all("soundbite").iter().filter_map(|bite| Some((of(bite)?, bite.text.as_str()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::{episode, show};

    fn say(tags: &mut Tags, said: &[&str]) {
        for text in said {
            tags.say_any(text).unwrap();
        }
    }

    #[test]
    fn a_page_tells_people_places_support_and_licence() {
        let (mut show, mut episode) = (show("a"), episode("a", 1));
        show.copyright = Some("© Ann".to_owned());
        say(
            &mut show.tags,
            &[
                "person: Ann",
                "funding: Give; url=https://a.example/",
                "license: CC-BY-NC-4.0",
                "location: Rome; osm=R41485",
            ],
        );
        let page = by_and_where(people(&show, &episode), show.tags.all("location")).into_string();
        assert!(
            page.contains("With Ann") && page.contains("href=\"https://www.openstreetmap.org/relation/41485\""),
            "{page}"
        );
        let rights = rights(&show, Some(&episode)).into_string();
        assert!(
            rights.contains("© Ann · Licence: <a href=\"https://creativecommons.org/licenses/by-nc/4.0/\""),
            "{rights}"
        );
        assert!(
            support(&show, None).into_string().contains("<a href=\"https://a.example/\" rel=\"noopener\">Give</a>")
        );
        say(
            &mut episode.tags,
            &["person: Bo; role=Guest; href=https://bo.example/", "soundbite: Ha; start=1:02.5; duration=9"],
        );
        let page = by_and_where(people(&show, &episode), &[]).into_string();
        assert!(!page.contains("Ann") && page.contains(">Bo</a> (guest)"), "{page}");
        assert_eq!(soundbites(&episode.tags), [(62_500, "Ha")]);
    }

    #[test]
    fn what_leads_elsewhere_is_no_link() {
        let mut tags = Tags::default();
        tags.push("person", Tag::of_text("<b>").with("href", "javascript:alert(1)"));
        tags.push("socialInteract", Tag::default().with("uri", "javascript:alert(1)").with("protocol", "x"));
        let page = by_and_where(tags.all("person"), &[]).into_string() + &talk(&tags).into_string();
        assert!(!page.contains("javascript") && !page.contains("<b>"), "{page}");
        for (osm, want) in [("R1#2", true), ("X1", false), ("R", false), ("Ä1", false), ("R1/../x", false)] {
            assert_eq!(map(&Tag::of_text("x").with("osm", osm)).is_some(), want, "{osm}");
        }
    }
}
