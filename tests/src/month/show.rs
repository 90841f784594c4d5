//! A show and its feed, as its host serves it: what it has, in which form, and what is wrong with it at times.
//!
//! A document is a function of the show's version; so it is written once and read once, whoever asks for it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use ed25519_dalek::SigningKey;
use podswarm_core::metainfo::InfoHash;
use podswarm_feeds::read::{self, Channel};
use podswarm_feeds::{ShowKey, Withdrawal, date};
use url::Url;

/// Tells one recording from all others.
pub(super) type Content = usize;

/// What a feed is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Atom,
    Json,
    Rss,
}

/// How often a show comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rhythm {
    Bursts,
    Daily,
    Hourly,
    Weekly,
}

/// What a host gives to recognise a body by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marks {
    Both,
    Etag,
    Modified,
    None,
}

/// What is wrong with a feed, for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plight {
    /// It has lost all but its newest item.
    Amnesia,
    /// It ends in the middle.
    CutOff,
    /// There is nothing in it.
    Empty,
    /// A web page stands in its place.
    Html,
    /// 404.
    Missing,
}

/// When an item says that it was released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dated {
    At(DateTime<Utc>),
    /// In the year 9999.
    Never,
    /// It does not.
    Not,
}

/// An item of a feed.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) content: Content,
    pub(super) guid: String,
    pub(super) title: String,
    pub(super) dated: Dated,
    /// Where its file is.
    pub(super) media: String,
    /// How long the feed says that it is.
    pub(super) said: Option<u64>,
    /// Where its torrent is, and what.
    pub(super) torrent: Option<(String, InfoHash)>,
    /// It stands there a second time: with the same guid, or with another one.
    pub(super) twin: Option<String>,
}

/// A show.
pub(super) struct Show {
    pub(super) host: usize,
    /// Where its feed was and is, the newest last.
    pub(super) addresses: Vec<Url>,
    pub(super) form: Form,
    pub(super) rhythm: Rhythm,
    /// Items in a document.
    pub(super) window: usize,
    /// Older items stand in further pages.
    pub(super) is_paged: bool,
    pub(super) has_torrents: bool,
    pub(super) marks: Marks,
    /// In seconds.
    pub(super) max_age: Option<u64>,
    /// In minutes.
    pub(super) ttl: Option<u64>,
    /// Hours of the day, in UTC, in which nobody is to ask.
    pub(super) skip_hours: Vec<u32>,
    pub(super) key: SigningKey,
    pub(super) withdrawn: Vec<Withdrawal>,
    /// The newest last.
    pub(super) items: Vec<Item>,
    pub(super) plight: Option<Plight>,
    /// Where it says that it moves to.
    pub(super) new_feed_url: Option<Url>,
    version: u64,
    documents: BTreeMap<(Url, usize), (String, Option<Channel>)>,
}

impl Show {
    pub(super) fn new(host: usize, address: Url, form: Form, rhythm: Rhythm, key: [u8; 32]) -> Self {
        Self {
            host,
            addresses: vec![address],
            form,
            rhythm,
            window: 12,
            is_paged: false,
            has_torrents: false,
            marks: Marks::Both,
            max_age: None,
            ttl: None,
            skip_hours: Vec::new(),
            key: SigningKey::from_bytes(&key),
            withdrawn: Vec::new(),
            items: Vec::new(),
            plight: None,
            new_feed_url: None,
            version: 0,
            documents: BTreeMap::new(),
        }
    }

    /// Something of it is another.
    pub(super) fn changed(&mut self) {
        self.version += 1;
        self.documents.clear();
    }

    /// Where it is.
    pub(super) fn address(&self) -> &Url {
        self.addresses.last().expect("it had one from the beginning")
    }

    pub(super) fn etag(&self) -> Option<String> {
        matches!(self.marks, Marks::Both | Marks::Etag).then(|| format!("W/\"{}-{}\"", self.version, self.items.len()))
    }

    pub(super) fn last_modified(&self) -> Option<String> {
        matches!(self.marks, Marks::Both | Marks::Modified)
            .then(|| format!("Sat, 01 Jan {} 00:00:00 GMT", self.version))
    }

    /// Its document as it stands now: bytes, and the feed that is read from them; `page` is 0 for the first.
    pub(super) fn document(&mut self, at: &Url, page: usize) -> (u64, Result<Channel, String>) {
        let key = (at.clone(), page);
        if !self.documents.contains_key(&key) {
            let text = self.write(page);
            let channel = read::parse(text.as_bytes(), at, None).ok();
            self.documents.insert(key.clone(), (text, channel));
        }
        let (text, channel) = &self.documents[&key];
        (text.len() as u64, channel.clone().ok_or_else(|| "it is no feed".to_owned()))
    }

    /// The items of a page, the newest first.
    fn page(&self, page: usize) -> Vec<&Item> {
        let newest_first = self.items.iter().rev();
        match self.plight {
            Some(Plight::Amnesia) => newest_first.take(1).collect(),
            _ => newest_first.skip(page * self.window).take(self.window).collect(),
        }
    }

    fn next_page(&self, page: usize) -> Option<Url> {
        let has_more = self.is_paged && self.items.len() > (page + 1) * self.window;
        (has_more && self.plight != Some(Plight::Amnesia)).then(|| {
            let mut next = self.address().clone();
            next.set_query(Some(&format!("page={}", page + 1)));
            next
        })
    }

    fn write(&self, page: usize) -> String {
        match self.plight {
            Some(Plight::Empty) => return String::new(),
            Some(Plight::Html) => return "<!doctype html><html><body><p>We are back soon.</body></html>".to_owned(),
            _ => {}
        }
        let mut text = match self.form {
            Form::Atom => self.atom(page),
            Form::Json => self.json(page),
            Form::Rss => self.rss(page),
        };
        if self.plight == Some(Plight::CutOff) {
            text.truncate(text.len() * 2 / 3);
        }
        text
    }

    fn rss(&self, page: usize) -> String {
        let mut text = concat!(
            r#"<?xml version="1.0"?><rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom" "#,
            r#"xmlns:itunes="http://www.itunes.com/dtds/podcast-1.0.dtd" "#,
            r#"xmlns:podcast="https://podcastindex.org/namespace/1.0"><channel>"#
        )
        .to_owned();
        let mut add = |part: String| text.push_str(&part);
        add(format!("<title>{}</title><language>en</language>", self.title()));
        add(self.ttl.map(|ttl| format!("<ttl>{ttl}</ttl>")).unwrap_or_default());
        add(self
            .new_feed_url
            .as_ref()
            .map(|to| format!("<itunes:new-feed-url>{to}</itunes:new-feed-url>"))
            .unwrap_or_default());
        add(self.next_page(page).map(|next| format!(r#"<atom:link rel="next" href="{next}"/>"#)).unwrap_or_default());
        if !self.skip_hours.is_empty() {
            add("<skipHours>".to_owned());
            for hour in &self.skip_hours {
                add(format!("<hour>{hour}</hour>"));
            }
            add("</skipHours>".to_owned());
        }
        add(format!(r#"<podcast:txt purpose="podswarm-key">{}</podcast:txt>"#, ShowKey::of(&self.key)));
        for withdrawal in &self.withdrawn {
            add(format!(r#"<podcast:txt purpose="podswarm-withdrawn">{withdrawal}</podcast:txt>"#));
        }
        for item in self.page(page) {
            for guid in std::iter::once(&item.guid).chain(&item.twin) {
                add(format!("<item><title>{}</title><guid isPermaLink=\"false\">{guid}</guid>", item.title));
                add(item.date().map(|date| format!("<pubDate>{}</pubDate>", date::rfc2822(date))).unwrap_or_default());
                let length = item.said.unwrap_or(0);
                add(format!(r#"<enclosure url="{}" length="{length}" type="audio/mpeg"/>"#, item.media));
                if let Some((url, hash)) = &item.torrent {
                    add(format!(
                        concat!(
                            r#"<podcast:alternateEnclosure type="audio/mpeg" length="{}" default="true">"#,
                            r#"<podcast:source uri="{}"/><podcast:source uri="{}" contentType="application/x-bittorrent"/>"#,
                            r#"<podcast:source uri="magnet:?xt=urn:btih:{}"/></podcast:alternateEnclosure>"#
                        ),
                        length, item.media, url, hash
                    ));
                }
                add("<description>What is said of it.</description></item>".to_owned());
            }
        }
        add("</channel></rss>\n".to_owned());
        text
    }

    fn atom(&self, page: usize) -> String {
        let mut text = format!(r#"<feed xmlns="http://www.w3.org/2005/Atom"><title>{}</title>"#, self.title());
        if let Some(next) = self.next_page(page) {
            let _ = write!(text, r#"<link rel="next" href="{next}"/>"#);
        }
        for item in self.page(page) {
            for guid in std::iter::once(&item.guid).chain(&item.twin) {
                let date = item.date().map(|date| format!("<published>{}</published>", date.to_rfc3339()));
                let _ = write!(
                    text,
                    concat!(
                        r#"<entry><id>{}</id><title>{}</title>{}"#,
                        r#"<link rel="enclosure" type="audio/mpeg" length="{}" href="{}"/></entry>"#
                    ),
                    guid,
                    item.title,
                    date.unwrap_or_default(),
                    item.said.unwrap_or(0),
                    item.media
                );
            }
        }
        text + "</feed>\n"
    }

    fn json(&self, page: usize) -> String {
        let of = |item: &Item, guid: &String| {
            serde_json::json!({
                "id": guid,
                "title": item.title,
                "content_text": "What is said of it.",
                "date_published": item.date().map(|date| date.to_rfc3339()),
                "attachments": [{ "url": item.media, "mime_type": "audio/mpeg", "size_in_bytes": item.said }],
            })
        };
        let items: Vec<_> = self
            .page(page)
            .into_iter()
            .flat_map(|item| std::iter::once(&item.guid).chain(&item.twin).map(move |guid| of(item, guid)))
            .collect();
        serde_json::json!({
            "version": "https://jsonfeed.org/version/1.1",
            "title": self.title(),
            "next_url": self.next_page(page).map(String::from),
            "items": items,
        })
        .to_string()
    }

    /// It is called after its first address.
    fn title(&self) -> String {
        self.addresses[0].path().trim_matches('/').replace('/', " ")
    }
}

impl Item {
    fn date(&self) -> Option<DateTime<Utc>> {
        match self.dated {
            Dated::At(at) => Some(at),
            Dated::Never => "9999-12-31T23:59:59Z".parse().ok(),
            Dated::Not => None,
        }
    }
}
