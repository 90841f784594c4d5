//! Writes the well-formed RSS 2.0 that a broken document meant.
//!
//! Tokens come from [`lex`](super::lex), names from [`names`](super::names). Only what this crate reads is kept, so the
//! result is small; elements are closed when what holds them is, an item begins where the next one does, and an item
//! that the document's end cuts off is left out.
//!
//! Laws: the result is well-formed, nests no deeper than [`MAX_TREE_DEPTH`] elements into an item, and holds at most
//! [`MAX_ITEMS`] items, [`MAX_ELEMENTS`] elements and [`MAX_TEXT_BYTES`] of text in one of them.

use std::io::{BufRead, Read};
use std::ops::Range;

use quick_xml::Writer;
use quick_xml::events::{BytesEnd, BytesStart, BytesText, Event};

use super::lex::{Attributes, Lexer, Token, append, unescape};
use super::names::{self, Kept, Space};
use super::{MAX_ITEMS, ReadError};

/// Kept elements of one feed. A real feed of 2,000 items has 25,000.
const MAX_ELEMENTS: usize = 400_000;

/// Kept elements of one item; further ones are dropped.
const MAX_ELEMENTS_IN_ITEM: usize = 500;

/// A text is cut here. Show notes of a long episode have some 20 KiB.
const MAX_TEXT_BYTES: usize = 256 * 1024;

/// An attribute with a longer value is dropped: half a URL is none.
const MAX_VALUE_BYTES: usize = 8 * 1024;

/// Kept elements nest no deeper.
const MAX_TREE_DEPTH: usize = 6;

/// Elements that may hold the feed's head, one in another.
const MAX_FEED_DEPTH: usize = 4;

/// Namespace declarations in force at one time; further ones are passed over.
const MAX_BINDINGS: usize = 64;

/// A document made well-formed: RSS 2.0 in UTF-8, its head and its items apart.
///
/// The model of a feed takes many times the memory of its text; so the items are read one by one.
pub(super) struct Tidied {
    head: Vec<u8>,
    body: Vec<u8>,
    items: Vec<Span>,
    /// The `xml:base` of its head.
    pub(super) base: Option<String>,
    /// Whether nothing was cut off, by the document's end or by a limit.
    pub(super) is_whole: bool,
}

impl Tidied {
    /// A feed without items.
    pub(super) fn head(&self) -> impl BufRead {
        feed(&self.head)
    }

    /// A feed of one item for each of the document's, and the item's `xml:base`.
    pub(super) fn items(&self) -> impl Iterator<Item = (impl BufRead, Option<&str>)> {
        self.items.iter().map(|item| (feed(&self.body[item.span.clone()]), item.base.as_deref()))
    }
}

/// Where an item stands in the body, and its `xml:base`.
struct Span {
    span: Range<usize>,
    base: Option<String>,
}

fn feed(content: &[u8]) -> impl BufRead {
    names::ROOT.as_bytes().chain(content).chain(names::ROOT_END.as_bytes())
}

/// Whether a character before a document means nothing.
pub(super) fn is_blank(c: char) -> bool {
    c.is_whitespace() || c == '\u{feff}' || c == '\0'
}

/// Makes `text` well-formed, if it holds a feed.
pub(super) fn tidy(text: &str) -> Result<Tidied, ReadError> {
    let begin = text.trim_start_matches(is_blank);
    if begin.is_empty() {
        return Err(ReadError::Empty);
    }
    if begin.starts_with('[') {
        return Err(ReadError::Json);
    }
    let mut tidier = Tidier::new(text);
    let mut lexer = Lexer::new(text);
    while let Some(token) = lexer.next() {
        tidier.take(token, lexer.span())?;
        if matches!(tidier.stage, Stage::After | Stage::Limited) {
            break;
        }
    }
    tidier.finish(lexer.is_whole(), begin)
}

/// An element that is open.
struct Open<'t> {
    /// Its name as the document has it.
    name: &'t str,
    place: Place,
    /// Namespace declarations in force outside it.
    bindings: usize,
}

/// What an open element is.
#[derive(Clone, Copy)]
enum Place {
    /// Holds the head's elements and the items.
    Feed,
    /// Holds an item's elements. It is written from here on.
    Item { from: usize },
    /// Is kept for its text.
    Text(&'static str),
    /// Is kept for its HTML, which begins here in the document.
    Html { name: &'static str, from: usize, has_tags: bool },
    /// Is kept with its children.
    Tree(&'static str),
    /// Is dropped, with so many of its own name in it.
    Dropped { again: usize },
}

struct Tidier<'t> {
    text: &'t str,
    head: Writer<Vec<u8>>,
    body: Writer<Vec<u8>>,
    items: Vec<Span>,
    /// The `xml:base` of the open item.
    item_base: Option<String>,
    is_in_item: bool,
    open: Vec<Open<'t>>,
    /// Prefixes, the empty one among them, and whose they are. The last one counts.
    bindings: Vec<(&'t str, Space)>,
    /// Text of the innermost open element that is not written yet.
    pending: String,
    /// Names that were written at the level of the head, and of the open item.
    seen_in_feed: Vec<&'static str>,
    seen_in_item: Vec<&'static str>,
    base: Option<String>,
    elements: usize,
    elements_in_item: usize,
    stage: Stage,
}

/// How far a document has been read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// No feed has begun.
    Before,
    Within,
    /// The feed has ended.
    After,
    /// There is more than a limit allows.
    Limited,
}

impl<'t> Tidier<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            text,
            head: Writer::new(Vec::new()),
            body: Writer::new(Vec::new()),
            items: Vec::new(),
            item_base: None,
            is_in_item: false,
            open: Vec::new(),
            bindings: Vec::new(),
            pending: String::new(),
            seen_in_feed: Vec::new(),
            seen_in_item: Vec::new(),
            base: None,
            elements: 0,
            elements_in_item: 0,
            stage: Stage::Before,
        }
    }

    /// Takes the token that stands at `span` in the document.
    fn take(&mut self, token: Token<'t>, span: Range<usize>) -> Result<(), ReadError> {
        match token {
            Token::Start { name, attributes, is_empty } if self.open.is_empty() => {
                self.root(name, attributes)?;
                if is_empty {
                    self.close(span.end);
                }
            }
            Token::Start { name, attributes, is_empty } => {
                if self.start(name, attributes, is_empty, &span) && is_empty {
                    self.close(span.end);
                }
            }
            Token::End { name } => self.end(name, span.start),
            Token::Text(raw) if self.keeps_text() => unescape(raw, &mut self.pending, MAX_TEXT_BYTES),
            Token::Verbatim(text) if self.keeps_text() => {
                append(text, &mut self.pending, MAX_TEXT_BYTES);
            }
            Token::Text(_) | Token::Verbatim(_) => {}
        }
        Ok(())
    }

    fn keeps_text(&self) -> bool {
        matches!(self.open.last(), Some(Open { place: Place::Text(_) | Place::Html { .. } | Place::Tree(_), .. }))
    }

    /// Begins the feed, or passes over what stands before it.
    fn root(&mut self, name: &'t str, attributes: Attributes<'t>) -> Result<(), ReadError> {
        let (_, local) = split_name(name);
        if names::is_feed(&local) {
            self.stage = Stage::Within;
            self.bind(attributes, true);
            self.base = self.base.take().or_else(|| base_of(attributes));
            self.open.push(Open { name, place: Place::Feed, bindings: 0 });
        } else if local == "html" {
            return Err(ReadError::Html);
        }
        Ok(())
    }

    /// Takes a start tag. True if its element is open now.
    fn start(&mut self, name: &'t str, attributes: Attributes<'t>, is_empty: bool, span: &Range<usize>) -> bool {
        let Some(parent) = self.open.last_mut() else { return false };
        match &mut parent.place {
            Place::Dropped { again } if !is_empty && parent.name.eq_ignore_ascii_case(name) => *again += 1,
            Place::Html { has_tags, .. } => *has_tags = true,
            _ => {}
        }
        let parent = parent.place;
        let (prefix, local) = split_name(name);
        let outside = self.bindings.len();
        self.bind(attributes, matches!(parent, Place::Feed));
        let space = self.space(prefix);
        if names::is_item(space, &local) && self.may_begin_item() {
            self.bindings.truncate(outside);
            return self.start_item(name, attributes, span.start);
        }
        let place = match parent {
            Place::Dropped { .. } | Place::Html { .. } | Place::Text(_) => {
                self.bindings.truncate(outside);
                return false;
            }
            Place::Feed if space.is_plain() && names::is_feed(&local) => {
                self.base = self.base.take().or_else(|| base_of(attributes));
                if self.open.len() < MAX_FEED_DEPTH { Place::Feed } else { Place::Dropped { again: 0 } }
            }
            Place::Feed => self.keep(names::in_channel(space, &local), attributes, span.end),
            Place::Item { .. } => self.keep(names::in_item(space, &local), attributes, span.end),
            Place::Tree(_) => {
                let child = names::child(&local).filter(|_| self.tree_depth() < MAX_TREE_DEPTH);
                self.keep(child.map(Kept::Tree), attributes, span.end)
            }
        };
        self.open.push(Open { name, place, bindings: outside });
        true
    }

    /// Whether an item's tag begins one here: everywhere but in what an item holds and nobody reads.
    ///
    /// In the head it does so even there, as an element that was never closed must not hide all items.
    fn may_begin_item(&self) -> bool {
        let is_dropped = matches!(self.open.last(), Some(Open { place: Place::Dropped { .. }, .. }));
        !is_dropped || !self.is_in_item
    }

    /// Ends what the head or another item has open, and begins an item. False if there are enough.
    fn start_item(&mut self, name: &'t str, attributes: Attributes<'t>, start: usize) -> bool {
        while self.open.last().is_some_and(|open| !matches!(open.place, Place::Feed)) {
            self.close(start);
        }
        if self.items.len() >= MAX_ITEMS || self.elements >= MAX_ELEMENTS {
            self.stage = Stage::Limited;
            return false;
        }
        let outside = self.bindings.len();
        self.bind(attributes, true);
        self.is_in_item = true;
        self.elements_in_item = 0;
        self.seen_in_item.clear();
        self.item_base = base_of(attributes);
        let from = self.body.get_ref().len();
        self.open.push(Open { name, place: Place::Item { from }, bindings: outside });
        self.write(Event::Start(BytesStart::new("item")));
        // RSS 1.0 names an item by an attribute.
        if let Some((_, about)) = attributes.iter().find(|(name, _)| *name == "rdf:about") {
            unescape(about, &mut self.pending, MAX_VALUE_BYTES);
            self.write(Event::Start(BytesStart::new("x:about")));
            self.write_pending();
            self.write(Event::End(BytesEnd::new("x:about")));
        }
        true
    }

    /// Begins what is kept of an element, whose content begins at `end` in the document.
    fn keep(&mut self, kept: Option<Kept>, attributes: Attributes<'t>, end: usize) -> Place {
        let dropped = Place::Dropped { again: 0 };
        let (Some(kept), true) = (kept, self.has_room()) else { return dropped };
        let links = |(name, _): (&str, &str)| name.eq_ignore_ascii_case("href");
        let kept = match kept {
            // Atom's links have attributes, those of RSS have text.
            Kept::Text("link") if attributes.iter().any(links) => Kept::Tree("atom:link"),
            kept => kept,
        };
        let (Kept::Text(name) | Kept::Html(name) | Kept::Tree(name)) = kept;
        let Some(name) = self.name_once(name) else { return dropped };
        self.elements += 1;
        self.elements_in_item += 1;
        self.write_pending();
        let mut element = BytesStart::new(name);
        if matches!(kept, Kept::Tree(_)) {
            push_attributes(&mut element, attributes);
        }
        self.write(Event::Start(element));
        match kept {
            Kept::Text(_) => Place::Text(name),
            Kept::Html(_) => Place::Html { name, from: end, has_tags: false },
            Kept::Tree(_) => Place::Tree(name),
        }
    }

    fn has_room(&self) -> bool {
        self.elements < MAX_ELEMENTS && self.elements_in_item < MAX_ELEMENTS_IN_ITEM
    }

    /// The name under which an element is written: its own the first time, another one or none after that.
    fn name_once(&mut self, name: &'static str) -> Option<&'static str> {
        let seen = match self.open.last()?.place {
            Place::Feed => &mut self.seen_in_feed,
            Place::Item { .. } => &mut self.seen_in_item,
            _ => return Some(name),
        };
        if seen.contains(&name) {
            return names::again(name);
        }
        seen.push(name);
        Some(name)
    }

    fn tree_depth(&self) -> usize {
        self.open.iter().filter(|open| matches!(open.place, Place::Tree(_))).count()
    }

    /// Ends the innermost open element of this name and all within it; passes over the end of what is not open.
    fn end(&mut self, name: &str, start: usize) {
        if let Some(Open { name: own, place: Place::Dropped { again: again @ 1.. }, .. }) = self.open.last_mut()
            && own.eq_ignore_ascii_case(name)
        {
            *again -= 1;
            return;
        }
        let Some(index) = self.open.iter().rposition(|open| open.name.eq_ignore_ascii_case(name)) else { return };
        while self.open.len() > index {
            self.close(start);
        }
    }

    /// Ends the innermost open element, whose content ends at `at` in the document.
    fn close(&mut self, at: usize) {
        let Some(closed) = self.open.pop() else { return };
        self.bindings.truncate(closed.bindings);
        match closed.place {
            Place::Feed if self.open.is_empty() => self.stage = Stage::After,
            Place::Item { from } => {
                self.write(Event::End(BytesEnd::new("item")));
                self.items.push(Span { span: from..self.body.get_ref().len(), base: self.item_base.take() });
                self.is_in_item = false;
            }
            Place::Text(name) | Place::Tree(name) => {
                self.write_pending();
                self.write(Event::End(BytesEnd::new(name)));
            }
            Place::Html { name, from, has_tags } => {
                if has_tags {
                    self.pending.clear();
                    append(&self.text[from..at], &mut self.pending, MAX_TEXT_BYTES);
                }
                self.write_pending();
                self.write(Event::End(BytesEnd::new(name)));
            }
            Place::Feed | Place::Dropped { .. } => {}
        }
    }

    /// Notes the namespaces that an element declares. One of the feed's own that is not known is that of RSS.
    fn bind(&mut self, attributes: Attributes<'t>, is_feed: bool) {
        for (name, uri) in attributes.iter() {
            let Some(prefix) = name.strip_prefix("xmlns") else { continue };
            let space = match (Space::of_uri(uri), prefix) {
                (Space::Other, "") if is_feed => Space::Core,
                (space, _) => space,
            };
            if self.bindings.len() < MAX_BINDINGS {
                self.bindings.push((prefix.trim_start_matches(':'), space));
            }
        }
    }

    fn space(&self, prefix: &str) -> Space {
        let bound = self.bindings.iter().rev().find(|(bound, _)| *bound == prefix).map(|(_, space)| *space);
        bound.unwrap_or_else(|| if prefix.is_empty() { Space::Core } else { Space::of_prefix(prefix) })
    }

    fn write_pending(&mut self) {
        if !self.pending.is_empty() {
            let text = std::mem::take(&mut self.pending);
            self.write(Event::Text(BytesText::new(&text)));
        }
    }

    fn write(&mut self, event: Event<'_>) {
        let out = if self.is_in_item { &mut self.body } else { &mut self.head };
        out.write_event(event).expect("writing to memory cannot fail");
    }

    fn finish(mut self, is_whole: bool, begin: &str) -> Result<Tidied, ReadError> {
        if self.stage == Stage::Before {
            let begin = begin.chars().take(40).filter(|c| !c.is_control()).collect();
            return Err(ReadError::NotAFeed { begin });
        }
        let is_whole = is_whole && self.stage == Stage::After;
        let is_in_item = self.is_in_item;
        while !self.open.is_empty() {
            self.close(self.text.len());
        }
        if is_in_item {
            self.items.pop();
        }
        Ok(Tidied {
            head: self.head.into_inner(),
            body: self.body.into_inner(),
            items: self.items,
            base: self.base,
            is_whole,
        })
    }
}

fn base_of(attributes: Attributes<'_>) -> Option<String> {
    let (_, raw) = attributes.iter().find(|(name, _)| *name == "xml:base")?;
    let mut base = String::new();
    unescape(raw, &mut base, MAX_VALUE_BYTES);
    Some(base)
}

/// A tag's prefix, empty if it has none, and its local name in lower case, empty if it is too long to be known.
fn split_name(name: &str) -> (&str, String) {
    let (prefix, local) = name.split_once(':').unwrap_or(("", name));
    (prefix, if local.len() > 64 { String::new() } else { local.to_ascii_lowercase() })
}

fn push_attributes(element: &mut BytesStart<'_>, attributes: Attributes<'_>) {
    let mut seen = Vec::new();
    for (name, raw) in attributes.iter() {
        let name = if name.len() > 16 { None } else { names::attribute(&name.to_ascii_lowercase()) };
        let Some(name) = name.filter(|name| !seen.contains(name)) else { continue };
        seen.push(name);
        let mut value = String::new();
        unescape(raw, &mut value, MAX_VALUE_BYTES + 1);
        if value.len() <= MAX_VALUE_BYTES {
            element.push_attribute((name, value.trim()));
        }
    }
}
