//! Reads lists of subscriptions, OPML, as podcast apps and feed readers write them.
//!
//! Every outline with a feed's address counts, however deep it lies; those around it are its folders, those inside it
//! its episodes, which are passed over. Broken XML is read as far as it makes sense, by the reader of feeds.
//!
//! Knows nothing of the feeds themselves: an address is what the file says, relative ones and all, but for schemes of
//! podcast apps, which are undone.
//!
//! Laws: arbitrary bytes never panic. Time and memory are in proportion to their length. A feed is given once, whether
//! its address stands there as http, as https or both; then https is meant.
//!
//! Source: OPML 1.0 and 2.0; what gPodder, `AntennaPod`, newsboat, Overcast, Pocket Casts and exporters for Apple
//! Podcasts write.

use std::collections::BTreeMap;

use super::decode;
use super::lex::{Attributes, Lexer, Token, unescape};

/// A longer document is not read. A list of 10,000 feeds has some 3 MB.
pub const MAX_OPML_BYTES: usize = 16 * 1024 * 1024;

/// Further feeds are not read.
pub const MAX_FEEDS: usize = 20_000;

/// Outlines are looked into so deep.
const MAX_DEPTH: usize = 64;

/// Bytes of a title, a folder's name or an address.
const MAX_TEXT_BYTES: usize = 8 * 1024;

/// A list of subscriptions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscriptions {
    /// The feeds in their order, each once.
    pub feeds: Vec<Subscription>,
    /// How many were named twice.
    pub twins: usize,
    /// Whether the document was read to its end.
    pub is_whole: bool,
}

/// A feed of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscription {
    /// Its address as it stands there, without blanks around it and a podcast app's scheme.
    pub url: String,
    /// What the list calls it; empty if it has no name.
    pub title: String,
    /// The folders that it lies in, the outermost first.
    pub folders: Vec<String>,
}

/// Why a document is no list of subscriptions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpmlError {
    /// Longer than [`MAX_OPML_BYTES`].
    #[error("it has {got} bytes; at most {MAX_OPML_BYTES} are read")]
    TooLong {
        /// Its length, in bytes.
        got: usize,
    },
    /// Another kind of document.
    #[error("it is no OPML, which begins with <opml>; it begins with {begin:?}")]
    NotOpml {
        /// Its first element, or its first characters.
        begin: String,
    },
    /// OPML in which no outline has the address of a feed.
    #[error("it names no feed: no outline has an `xmlUrl`")]
    NoFeeds,
}

/// Reads the list in `bytes`.
pub fn parse(bytes: &[u8]) -> Result<Subscriptions, OpmlError> {
    if bytes.len() > MAX_OPML_BYTES {
        return Err(OpmlError::TooLong { got: bytes.len() });
    }
    let text = decode::decode(bytes, None);
    let mut lexer = Lexer::new(&text);
    let mut reader = Reader::default();
    let mut is_opml = false;
    for token in lexer.by_ref() {
        match token {
            Token::Start { name, attributes, is_empty } => match local(name).as_str() {
                "outline" => reader.open(attributes, is_empty),
                // Some lists lack their head, none lacks both it and outlines.
                "opml" | "head" | "body" => is_opml = true,
                other if !is_opml && reader.is_untouched() => {
                    return Err(OpmlError::NotOpml { begin: other.to_owned() });
                }
                _ => {}
            },
            Token::End { name } if local(name) == "outline" => reader.close(),
            Token::End { .. } | Token::Text(_) | Token::Verbatim(_) => {}
        }
        if reader.found.len() >= MAX_FEEDS {
            return Ok(reader.finish(false));
        }
    }
    if !is_opml && reader.is_untouched() {
        let begin = text.trim().chars().take(40).collect();
        return Err(OpmlError::NotOpml { begin });
    }
    let is_whole = lexer.is_whole();
    let list = reader.finish(is_whole);
    if list.feeds.is_empty() { Err(OpmlError::NoFeeds) } else { Ok(list) }
}

/// Schemes that hand an address to a podcast app.
const APP_SCHEMES: [&str; 5] = ["feed:", "podcast:", "pcast:", "itpc:", "antennapod-subscribe:"];

/// The address that one with a podcast app's own scheme stands for: `feed:https://…`, `itpc://…`, `feed://https://…`.
/// It is http where nothing else is said. Any other is what it is.
pub fn web_address(url: &str) -> String {
    let url = url.trim();
    let after = |scheme: &&str| {
        let is_it = url.get(..scheme.len())?.eq_ignore_ascii_case(scheme);
        // What stands before a port is a host.
        url.get(scheme.len()..).filter(|rest| is_it && !rest.starts_with(|sign: char| sign.is_ascii_digit()))
    };
    let Some(rest) = APP_SCHEMES.iter().find_map(after) else { return url.to_owned() };
    let inner = rest.trim_start_matches('/');
    let has_own = inner
        .split_once("://")
        .is_some_and(|(scheme, _)| ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)));
    if has_own || !rest.starts_with("//") { inner.to_owned() } else { format!("http://{inner}") }
}

/// What two addresses of one feed have in common: all but the scheme, the default port, letters' case in the host, and
/// a slash or a fragment at the end.
pub fn same_feed_key(url: &str) -> String {
    let url = url.trim();
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
    let (host, path) = rest.find(['/', '?']).map_or((rest, ""), |at| rest.split_at(at));
    let host = host.to_ascii_lowercase();
    let port = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    let host = host.strip_suffix(port).unwrap_or(&host);
    format!("{host}{}", path.trim_end_matches('/'))
}

/// What has been read so far.
#[derive(Default)]
struct Reader {
    found: Vec<Subscription>,
    /// Where in `found` a feed stands.
    places: BTreeMap<String, usize>,
    twins: usize,
    /// The outlines that are open: the name of a folder, or nothing for a feed, whose children are its episodes.
    open: Vec<Option<String>>,
    /// Outlines that are open beyond the depth that is looked into.
    too_deep: usize,
    has_outlines: bool,
}

impl Reader {
    fn is_untouched(&self) -> bool {
        !self.has_outlines
    }

    fn open(&mut self, attributes: Attributes<'_>, is_empty: bool) {
        self.has_outlines = true;
        let outline = Outline::of(attributes);
        let is_inside_feed = self.open.iter().any(Option::is_none);
        let url = outline.feed_url().filter(|_| !is_inside_feed && self.too_deep == 0);
        if let Some(url) = &url {
            self.take(url.clone(), outline.name());
        }
        if is_empty {
            return;
        }
        if self.open.len() < MAX_DEPTH {
            self.open.push(if url.is_some() { None } else { Some(outline.name()) });
        } else {
            self.too_deep += 1;
        }
    }

    fn close(&mut self) {
        if self.too_deep > 0 {
            self.too_deep -= 1;
        } else {
            self.open.pop();
        }
    }

    fn take(&mut self, url: String, title: String) {
        let key = same_feed_key(&url);
        if let Some(known) = self.places.get(&key).and_then(|at| self.found.get_mut(*at)) {
            self.twins += 1;
            if is_https(&url) && !is_https(&known.url) {
                known.url = url;
            }
            if known.title.is_empty() {
                known.title = title;
            }
            return;
        }
        self.places.insert(key, self.found.len());
        let folders = self.open.iter().flatten().filter(|name| !name.is_empty()).cloned().collect();
        self.found.push(Subscription { url, title, folders });
    }

    fn finish(self, is_whole: bool) -> Subscriptions {
        Subscriptions { feeds: self.found, twins: self.twins, is_whole }
    }
}

/// What counts of an outline.
#[derive(Default)]
struct Outline {
    xml_url: String,
    url: String,
    kind: String,
    title: String,
    text: String,
}

impl Outline {
    fn of(attributes: Attributes<'_>) -> Self {
        let mut outline = Self::default();
        for (name, value) in attributes.iter() {
            let field = match local(name).as_str() {
                "xmlurl" | "feedurl" => &mut outline.xml_url,
                "url" => &mut outline.url,
                "type" => &mut outline.kind,
                "title" => &mut outline.title,
                "text" => &mut outline.text,
                _ => continue,
            };
            // The first of a name counts, as in XML that is well-formed there is one only.
            if field.is_empty() {
                unescape(value, field, MAX_TEXT_BYTES);
                *field = field.split_whitespace().collect::<Vec<_>>().join(" ");
            }
        }
        outline
    }

    /// Its feed's address. `url` is that of many things: it counts where the type says that it is a feed.
    fn feed_url(&self) -> Option<String> {
        let kind = self.kind.to_ascii_lowercase();
        let is_feed = matches!(kind.as_str(), "rss" | "atom" | "feed" | "podcast" | "pie");
        let url = if self.xml_url.is_empty() && is_feed { &self.url } else { &self.xml_url };
        // Some exporters escape twice.
        (!url.is_empty()).then(|| web_address(&url.replace("&amp;", "&")))
    }

    /// gPodder has a description in `text`, and newsboat no `text` at all.
    fn name(&self) -> String {
        if self.title.is_empty() { self.text.clone() } else { self.title.clone() }
    }
}

fn is_https(url: &str) -> bool {
    url.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("https://"))
}

/// A name without its prefix, in lower case.
fn local(name: &str) -> String {
    name.rsplit(':').next().unwrap_or(name).to_ascii_lowercase()
}
