//! Cuts a document into tags and text, and takes offence at nothing.
//!
//! An XML parser has to refuse what is not well-formed; a reader of podcasts must not. A `<` or `&` that begins nothing
//! is text, attributes may lack their quotes, end tags may match no start. A document that ends in the middle gives a
//! last token, and [`Lexer::is_whole`] is false from then on.
//!
//! Laws: each byte is looked at a bounded number of times. Document types, processing instructions and comments are
//! skipped whole, and nothing that they define is used.

use std::borrow::Cow;
use std::ops::Range;

use encoding_rs::WINDOWS_1252;
use quick_xml::escape::resolve_html5_entity;

/// A tag's end is looked for with regard to quotes in so many bytes. A quote that stays open for longer is litter.
const MAX_QUOTED_TAG_BYTES: usize = 64 * 1024;

/// An entity's name is not longer.
const MAX_ENTITY_BYTES: usize = 32;

/// A piece of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token<'t> {
    /// `<name attributes>` or `<name attributes/>`.
    Start { name: &'t str, attributes: Attributes<'t>, is_empty: bool },
    /// `</name>`.
    End { name: &'t str },
    /// Text with its references unresolved; see [`unescape`].
    Text(&'t str),
    /// Text that is meant as it stands.
    Verbatim(&'t str),
}

/// The tokens of a document.
pub(crate) struct Lexer<'t> {
    text: &'t str,
    /// Where the token that was given last stands.
    span: Range<usize>,
    is_whole: bool,
    /// Whether document types and instructions may still be looked for their proper ends. One that has none would
    /// make every later one cost the whole rest of the document.
    seeks_doctype_end: bool,
    seeks_instruction_end: bool,
}

impl<'t> Lexer<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self { text, span: 0..0, is_whole: true, seeks_doctype_end: true, seeks_instruction_end: true }
    }

    /// Where the token that was given last stands in the document.
    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Whether no token so far was cut off by the document's end.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// What stands between `from` and `end`, or all the rest if `end` never comes. The token ends there.
    fn take_until(&mut self, from: usize, end: &str) -> &'t str {
        let rest = &self.text[from..];
        let length = rest.find(end);
        self.is_whole &= length.is_some();
        self.span.end = length.map_or(self.text.len(), |length| from + length + end.len());
        &rest[..length.unwrap_or(rest.len())]
    }

    /// The start tag whose name begins at `from`.
    fn start_tag(&mut self, from: usize) -> Token<'t> {
        let end = self.tag_end(from);
        let inner = &self.text[from..end.unwrap_or(self.text.len())];
        self.is_whole &= end.is_some();
        self.span.end = end.map_or(self.text.len(), |end| end + 1);
        let (inner, is_empty) = inner.strip_suffix('/').map_or((inner, false), |inner| (inner, true));
        let (name, attributes) = inner.split_at(name_end(inner));
        Token::Start { name, attributes: Attributes(attributes), is_empty }
    }

    /// Where the `>` is that ends a tag, with regard to quotes as far as they close.
    fn tag_end(&self, from: usize) -> Option<usize> {
        let bytes = &self.text.as_bytes()[from..];
        let mut quote = None;
        let mut after_equals = false;
        for (i, &byte) in bytes.iter().enumerate().take(MAX_QUOTED_TAG_BYTES) {
            match byte {
                b'"' | b'\'' if quote == Some(byte) => quote = None,
                b'"' | b'\'' if quote.is_none() && after_equals => quote = Some(byte),
                b'>' if quote.is_none() => return Some(from + i),
                _ => {}
            }
            after_equals = byte == b'=' || (after_equals && byte.is_ascii_whitespace());
        }
        bytes.iter().position(|&byte| byte == b'>').map(|i| from + i)
    }

    fn skip_doctype(&mut self, from: usize) {
        let end = if self.seeks_doctype_end { doctype_end(&self.text[from..]) } else { None };
        if let Some(end) = end {
            self.span.end = from + end;
        } else {
            self.seeks_doctype_end = false;
            self.take_until(from, ">");
        }
    }

    fn skip_instruction(&mut self, from: usize) {
        self.seeks_instruction_end &= self.text[from..].contains("?>");
        self.take_until(from, if self.seeks_instruction_end { "?>" } else { ">" });
    }
}

impl<'t> Iterator for Lexer<'t> {
    type Item = Token<'t>;

    fn next(&mut self) -> Option<Token<'t>> {
        loop {
            let start = self.span.end;
            self.span.start = start;
            let rest = &self.text[start..];
            if rest.is_empty() {
                return None;
            }
            let Some(tag) = rest.strip_prefix('<') else {
                let length = rest.find('<').unwrap_or(rest.len());
                self.span.end = start + length;
                return Some(Token::Text(&rest[..length]));
            };
            if tag.starts_with(is_name_start) {
                return Some(self.start_tag(start + 1));
            } else if tag.starts_with('/') && tag[1..].starts_with(is_name_start) {
                let inner = self.take_until(start + "</".len(), ">");
                return Some(Token::End { name: &inner[..name_end(inner)] });
            } else if tag.starts_with("![CDATA[") {
                return Some(Token::Verbatim(self.take_until(start + "<![CDATA[".len(), "]]>")));
            } else if tag.starts_with("!--") {
                self.take_until(start + "<!--".len(), "-->");
            } else if starts_with_ignore_case(tag, "!doctype") {
                self.skip_doctype(start + "<!doctype".len());
            } else if tag.starts_with('!') {
                self.take_until(start, ">");
            } else if tag.starts_with('?') {
                self.skip_instruction(start);
            } else {
                let length = tag.find('<').map_or(rest.len(), |next| next + 1);
                self.span.end = start + length;
                return Some(Token::Text(&rest[..length]));
            }
        }
    }
}

/// Where a document type ends, its internal subset and whatever that holds included.
fn doctype_end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut quote = None;
    let mut depth = 0_u32;
    let mut i = 0;
    while let Some(&byte) = bytes.get(i) {
        match byte {
            b'"' | b'\'' if quote == Some(byte) => quote = None,
            _ if quote.is_some() => {}
            b'"' | b'\'' => quote = Some(byte),
            b'<' if bytes[i..].starts_with(b"<!--") => i += text[i..].find("-->")?,
            b'[' => depth += 1,
            b']' => depth = depth.saturating_sub(1),
            b'>' if depth == 0 => return Some(i + 1),
            _ => {}
        }
        i += 1;
    }
    None
}

/// What stands between a tag's name and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attributes<'t>(&'t str);

impl<'t> Attributes<'t> {
    /// Names and raw values, in the document's order.
    pub(crate) fn iter(self) -> impl Iterator<Item = (&'t str, &'t str)> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (attribute, after) = next_attribute(rest)?;
            rest = after;
            Some(attribute)
        })
    }
}

/// The first attribute of `text`, and what follows it.
fn next_attribute(text: &str) -> Option<((&str, &str), &str)> {
    let litter = |c: char| c.is_ascii_whitespace() || matches!(c, '/' | '=' | '"' | '\'');
    let text = text.trim_start_matches(litter);
    if text.is_empty() {
        return None;
    }
    let (name, rest) = text.split_at(text.find(litter).unwrap_or(text.len()));
    let Some(value) = rest.trim_ascii_start().strip_prefix('=') else {
        return Some(((name, ""), rest));
    };
    let value = value.trim_ascii_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
    let (value, rest) = match quote {
        Some(quote) => value[1..].split_once(quote).unwrap_or((&value[1..], "")),
        None => value.split_at(value.find(|c: char| c.is_ascii_whitespace()).unwrap_or(value.len())),
    };
    Some(((name, value), rest))
}

fn is_name_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || c == ':' || !c.is_ascii()
}

fn name_end(inner: &str) -> usize {
    let ends = |c: char| c.is_ascii_whitespace() || matches!(c, '/' | '<' | '"' | '\'' | '=');
    inner.find(ends).unwrap_or(inner.len())
}

fn starts_with_ignore_case(text: &str, prefix: &str) -> bool {
    text.as_bytes().get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}

/// Appends `raw` to `out` with its references resolved, as far as `out` stays within `limit` bytes.
///
/// Knows XML's and HTML's entities and character references. Any other `&` stands for itself; so does every entity
/// that a document type may have defined.
pub(crate) fn unescape(raw: &str, out: &mut String, limit: usize) {
    let mut rest = raw;
    while let Some((before, after)) = rest.split_once('&') {
        let (meaning, after) = reference(after).unwrap_or((Cow::Borrowed("&"), after));
        if !append(before, out, limit) || !append(&meaning, out, limit) {
            return;
        }
        rest = after;
    }
    append(rest, out, limit);
}

/// Appends `text` without the characters that XML forbids; false if `out` would grow beyond `limit` bytes.
pub(crate) fn append(text: &str, out: &mut String, limit: usize) -> bool {
    for c in text.chars().filter(|&c| is_xml(c)) {
        if out.len() + c.len_utf8() > limit {
            return false;
        }
        out.push(c);
    }
    true
}

/// Source: XML 1.0 §2.2.
fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// The meaning of the reference that follows an ampersand, and what comes after it.
fn reference(after: &str) -> Option<(Cow<'static, str>, &str)> {
    let end = after.bytes().take(MAX_ENTITY_BYTES).position(|b| b == b';')?;
    let (name, rest) = (&after[..end], &after[end + 1..]);
    let meaning = match name.strip_prefix('#') {
        Some(number) => Cow::Owned(numbered(number)?),
        None => Cow::Borrowed(resolve_html5_entity(name)?),
    };
    Some((meaning, rest))
}

/// The character with this number, decimal or after an `x` hexadecimal; nothing if XML forbids it.
fn numbered(number: &str) -> Option<String> {
    let code = match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => number.parse().ok()?,
    };
    if let Ok(byte @ 0x80..=0x9f) = u8::try_from(code) {
        // Whoever writes a C1 control means the quotation mark that Windows has in its place.
        return Some(WINDOWS_1252.decode_without_bom_handling(&[byte]).0.into_owned());
    }
    Some(char::from_u32(code).into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tokens as one line of text each.
    fn lex(text: &str) -> (Vec<String>, bool) {
        let mut lexer = Lexer::new(text);
        let tokens = lexer.by_ref().map(|token| match token {
            Token::Start { name, attributes, is_empty } => {
                let attributes: Vec<String> =
                    attributes.iter().map(|(name, value)| format!(" {name}={value}")).collect();
                format!("<{name}{}{}", attributes.concat(), if is_empty { "/>" } else { ">" })
            }
            Token::End { name } => format!("</{name}>"),
            Token::Text(text) => format!("T {text}"),
            Token::Verbatim(text) => format!("V {text}"),
        });
        (tokens.collect(), lexer.is_whole())
    }

    #[track_caller]
    fn check(text: &str, want: &[&str]) {
        assert_eq!(lex(text), (want.iter().map(|&token| token.to_owned()).collect(), true), "{text}");
    }

    #[track_caller]
    fn check_cut(text: &str, want: &[&str]) {
        assert_eq!(lex(text), (want.iter().map(|&token| token.to_owned()).collect(), false), "{text}");
    }

    #[track_caller]
    fn check_text(raw: &str, want: &str) {
        let mut got = String::new();
        unescape(raw, &mut got, usize::MAX);
        assert_eq!(got, want, "{raw}");
    }

    #[test]
    fn a_tidy_document_is_cut_as_xml_means_it() {
        check(
            "<?xml version='1.0'?><a b=\"1\" c='>'>x &amp; y<d/><![CDATA[<e>]]></a><!-- <f> -->",
            &["<a b=1 c=>>", "T x &amp; y", "<d/>", "V <e>", "</a>"],
        );
    }

    #[test]
    fn attributes_need_neither_quotes_nor_values() {
        check("<a b=1 c  =  'x y' d/>", &["<a b=1 c=x y d=/>"]);
        check("<a href=http://h/x/y.mp3 />", &["<a href=http://h/x/y.mp3/>"]);
        check("<a =\"x\" b='1'c='2'>", &["<a x= b=1 c=2>"]);
    }

    #[test]
    fn what_begins_nothing_is_text() {
        check("1 < 2 & 3 <> </> <3", &["T 1 ", "T < 2 & 3 ", "T <> ", "T </> ", "T <3"]);
    }

    #[test]
    fn an_apostrophe_in_a_tag_is_litter() {
        check("<a it's b='1'>x</a>", &["<a it= s= b=1>", "T x", "</a>"]);
    }

    #[test]
    fn a_document_type_is_skipped_with_all_that_it_holds() {
        check("<!DOCTYPE a SYSTEM \"x>y\" [<!ENTITY e \"]>\"> <!-- it's ]> --> %p;]><a>", &["<a>"]);
        check("<!doctype html><a>", &["<a>"]);
        check("<!DOCTYPE a [<!ENTITY e 'open><a>&e;</a>", &["<a>", "T &e;", "</a>"]);
    }

    #[test]
    fn what_is_cut_off_shows() {
        check_cut("<a><b c=\"1", &["<a>", "<b c=1>"]);
        check_cut("<a></a", &["<a>", "</a>"]);
        check_cut("<![CDATA[x]]", &["V x]]"]);
        check_cut("<a><!-- x", &["<a>"]);
    }

    #[test]
    fn references_of_xml_and_html_are_resolved_once() {
        check_text("&lt;&#65;&#x42;&eacute;&nbsp;&amp;lt;&gt;", "<ABé\u{a0}&lt;>");
        check_text("&#147;quoted&#148;", "\u{201c}quoted\u{201d}");
    }

    #[test]
    fn any_other_ampersand_stands_for_itself() {
        check_text("magnet:?xt=a&dn=b;c&tr=d", "magnet:?xt=a&dn=b;c&tr=d");
        check_text(
            "AT&T; &undefined; &lol9; & &; &#; &#x; &#99999999999;",
            "AT&T; &undefined; &lol9; & &; &#; &#x; &#99999999999;",
        );
    }

    #[test]
    fn forbidden_characters_are_dropped() {
        check_text("a\0b\u{1b}c&#0;&#27;&#xfffe;&#xd800;d\u{ffff}\te", "abcd\te");
    }

    #[test]
    fn text_ends_at_its_limit_between_two_characters() {
        let mut got = String::new();
        unescape("aé&eacute;&amp;", &mut got, 4);
        assert_eq!(got, "aé");
    }
}
