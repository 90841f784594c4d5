//! What the head of a feed says of its show, in the words of this library.
//!
//! A directory would refuse some of it, and so do we; it is left out then, and told.

use chrono::{DateTime, Utc};
use podswarm_feeds::read::Channel;
use podswarm_feeds::{Place, podcast_guid};
use url::Url;

use crate::library::new_show;
use crate::notes;
use crate::shows::{FieldError, ShowFields};
use crate::slug::Slug;
use crate::wire::History;

/// The most that directories read of a description, in bytes.
const LONGEST_DESCRIPTION: usize = 4000;
/// The longest title, in characters.
const LONGEST_TITLE: usize = 255;

/// A show as its feed tells of it.
#[derive(Debug)]
pub(crate) struct Told {
    /// What is said of it; its cover is still to be fetched.
    pub(crate) fields: ShowFields,
    /// What only a show has that was published before.
    pub(crate) history: History,
    /// What was left out, one sentence each.
    pub(crate) warnings: Vec<String>,
}

/// What `channel`, which is at `url`, says of its show.
pub(crate) fn of(channel: &Channel, url: Option<&Url>, now: DateTime<Utc>) -> Told {
    let mut warnings = Vec::new();
    let mut keep = |fields: ShowFields| {
        let refused = fields.clone().apply(&mut new_show(Slug::from_title("x"), String::new(), now)).err();
        warnings.extend(refused.as_ref().map(|error: &FieldError| format!("left out: {error}")));
        if refused.is_none() { fields } else { ShowFields::default() }
    };
    let host = || url.and_then(Url::host_str).unwrap_or("Untitled").to_owned();
    let title = Some(cut_title(&channel.title)).filter(|title| !title.is_empty()).unwrap_or_else(host);
    let description = cut(&notes::to_text(&channel.description), LONGEST_DESCRIPTION).to_owned();
    let one = |it: Option<&String>| it.cloned().filter(|text| !text.trim().is_empty());
    let author = keep(ShowFields { author: one(channel.author.as_ref()), ..ShowFields::default() }).author;
    let language = keep(ShowFields { language: one(channel.language.as_ref()), ..ShowFields::default() }).language;
    let email = keep(ShowFields { email: one(channel.email.as_ref()), ..ShowFields::default() }).email;
    let categories: Vec<String> = channel
        .categories
        .iter()
        .filter_map(|category| keep(ShowFields { category: Some(category.clone()), ..ShowFields::default() }).category)
        .collect();
    let copyright = keep(ShowFields { copyright: one(channel.copyright.as_ref()), ..ShowFields::default() }).copyright;
    let mut tags = channel.tags.clone();
    let faults = tags.keep_good(Place::Show);
    warnings.extend(faults.iter().map(|fault| format!("left out: {fault}")));
    let mut categories = categories.into_iter();
    let fields = ShowFields {
        title: Some(title),
        author,
        description: Some(description),
        language,
        category: categories.next(),
        link: channel.link.as_ref().map(Url::to_string),
        email,
        explicit: channel.explicit,
        copyright,
        locked: Some(channel.locked.is_some()),
        complete: Some(channel.is_complete),
        blocked: Some(channel.is_blocked),
        tags,
        image: None,
        ..ShowFields::default()
    };
    let own_url = url.or(channel.self_url.as_ref());
    // What it has none of is made by the namespace's rule, of the address that it had first.
    let named = || own_url.or(channel.link.as_ref()).map_or_else(|| channel.title.clone(), Url::to_string);
    let history = History {
        podcast_guid: channel.podcast_guid.unwrap_or_else(|| podcast_guid(&named())),
        more_categories: categories.collect(),
        is_serial: channel.is_serial,
    };
    Told { fields, history, warnings }
}

/// A title that is not longer than feeds take.
pub(super) fn cut_title(title: &str) -> String {
    match title.char_indices().nth(LONGEST_TITLE) {
        None => title.to_owned(),
        Some(_) => title.chars().take(LONGEST_TITLE - 1).chain(['…']).collect(),
    }
}

/// The beginning of `text`, at most `bytes` long.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(inner: &str) -> Told {
        let url = Url::parse("https://a.example/feed/").unwrap();
        let feed = format!(
            "<rss xmlns:podcast='https://podcastindex.org/namespace/1.0' \
             xmlns:itunes='http://www.itunes.com/dtds/podcast-1.0.dtd'><channel>{inner}</channel></rss>"
        );
        of(&podswarm_feeds::read::parse(feed.as_bytes(), &url, None).unwrap(), Some(&url), Utc::now())
    }

    #[test]
    fn what_directories_take_is_taken_and_the_rest_told() {
        let Told { fields, history, warnings } = told(
            "<title>T</title><description>&lt;p&gt;One&lt;/p&gt;two</description><language>EN-us</language>\
             <itunes:category text='arts'><itunes:category text='Books'/></itunes:category>\
             <itunes:category text='Podcasting'/><itunes:category text='News'/><itunes:type>serial</itunes:type>\
             <itunes:owner><itunes:email>nobody</itunes:email></itunes:owner><itunes:explicit>no</itunes:explicit>",
        );
        assert_eq!((fields.title.as_deref(), fields.description.as_deref()), (Some("T"), Some("One\n\ntwo")));
        assert_eq!(
            (fields.category.as_deref(), fields.email, fields.explicit),
            (Some("arts > Books"), None, Some(false))
        );
        assert_eq!((history.more_categories, history.is_serial), (vec!["News".to_owned()], true));
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].contains("nobody") && warnings[1].contains("Podcasting"), "{warnings:?}");
    }

    #[test]
    fn a_show_keeps_its_guid_or_gets_the_one_of_its_first_address() {
        let guid = "917393e3-1b1e-5cef-ace4-edaa54e1f810";
        let kept = told(&format!("<podcast:guid>{guid}</podcast:guid>")).history.podcast_guid;
        assert_eq!(kept.to_string(), guid);
        assert_eq!(told("").history.podcast_guid, podcast_guid("a.example/feed"));
        assert_eq!(told("").fields.title.as_deref(), Some("a.example"));
    }
}
