//! Show notes: plain text or anybody's HTML in, safe HTML out.
//!
//! Feeds and pages carry notes as HTML. What a publisher types is text, so nothing in it is ever taken for markup:
//! blank lines part paragraphs, single line breaks stay, and web addresses become links. What comes from another host
//! is HTML already, and only what is harmless stays of it.

use std::fmt::Write as _;

/// `text` as HTML that is safe on any page.
pub(crate) fn to_html(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let mut html = String::new();
    for paragraph in text.split("\n\n").map(str::trim).filter(|p| !p.is_empty()) {
        html.push_str("<p>");
        for (i, line) in paragraph.lines().enumerate() {
            if i > 0 {
                html.push_str("<br>");
            }
            push_line(&mut html, line.trim());
        }
        html.push_str("</p>");
    }
    html
}

/// What is harmless of `html`: no scripts, styles, forms or frames, and links to web and mail addresses only.
///
/// Many feeds mean their line breaks where they use no tags; they become breaks.
pub(crate) fn clean(html: &str) -> String {
    let broken;
    let html = if html.contains('<') {
        html
    } else {
        let paragraphs = html.replace("\r\n", "\n");
        let paragraphs = paragraphs.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty());
        let paragraphs: Vec<String> = paragraphs.map(|paragraph| paragraph.replace('\n', "<br>")).collect();
        broken = if paragraphs.is_empty() { String::new() } else { format!("<p>{}</p>", paragraphs.join("</p><p>")) };
        &broken
    };
    let mut cleaner = ammonia::Builder::default();
    cleaner.url_schemes(["http", "https", "mailto"].into()).link_rel(Some("nofollow noopener"));
    cleaner.clean(html).to_string()
}

/// The words of `html`, with a blank line between its paragraphs.
pub(crate) fn to_text(html: &str) -> String {
    let mut breaks = html.to_owned();
    if html.contains('<') {
        breaks = html.split_whitespace().collect::<Vec<_>>().join(" ");
        for (tag, text) in [("<br", "\n<br"), ("</p", "\n\n</p"), ("</li", "\n</li"), ("</h", "\n\n</h")] {
            breaks = breaks.replace(tag, text).replace(&tag.to_uppercase(), text);
        }
    }
    // What is left has no tags, and its characters are escaped.
    let escaped = ammonia::Builder::empty().clean(&breaks).to_string();
    let text = [("&nbsp;", " "), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&amp;", "&")]
        .iter()
        .fold(escaped, |text, (escaped, character)| text.replace(escaped, character));
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.join("\n").split("\n\n").map(str::trim).filter(|it| !it.is_empty()).collect::<Vec<_>>().join("\n\n")
}

/// One line, its web addresses made into links.
fn push_line(html: &mut String, line: &str) {
    let mut rest = line;
    while let Some(start) = ["http://", "https://"].iter().filter_map(|scheme| rest.find(scheme)).min() {
        escape(html, &rest[..start]);
        let length =
            rest[start..].find(|c: char| c.is_whitespace() || "<>\"".contains(c)).unwrap_or(rest.len() - start);
        // Punctuation that ends a sentence is rarely part of an address.
        let address = rest[start..start + length].trim_end_matches(|c: char| ".,;:!?)'".contains(c));
        let mut escaped = String::new();
        escape(&mut escaped, address);
        let _ = write!(html, "<a href=\"{escaped}\" rel=\"nofollow noopener\">{escaped}</a>");
        rest = &rest[start + address.len()..];
    }
    escape(html, rest);
}

/// Appends `text` with the characters escaped that mean something in HTML; control characters are dropped.
fn escape(html: &mut String, text: &str) {
    for c in text.chars().filter(|c| !c.is_control()) {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            c => html.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: &str) {
        assert_eq!(to_html(text), want);
    }

    #[test]
    fn blank_lines_part_paragraphs() {
        check("a\r\nb\r\n\r\n\r\nc", "<p>a<br>b</p><p>c</p>");
        check(" \n\n ", "");
        check("", "");
    }

    #[test]
    fn markup_is_text() {
        check(
            "<script>alert('1')</script> & \"x\"",
            "<p>&lt;script&gt;alert('1')&lt;/script&gt; &amp; &quot;x&quot;</p>",
        );
        check("a\u{1b}[31mb\0", "<p>a[31mb</p>");
    }

    #[test]
    fn addresses_become_links() {
        let link =
            "<a href=\"https://a.example/?x=1&amp;y=2\" rel=\"nofollow noopener\">https://a.example/?x=1&amp;y=2</a>";
        check("See https://a.example/?x=1&y=2.", &format!("<p>See {link}.</p>"));
        check("javascript:alert(1)", "<p>javascript:alert(1)</p>");
    }

    #[test]
    fn of_foreign_html_the_harmless_stays() {
        let html = "<p onclick=x>By <b>Ann</b> <a href=\"https://a.example/?x=1&amp;y\">a</a></p><script>x</script>\
                    <iframe src=x></iframe><a href=\"javascript:x\">b</a><style>p{}</style>";
        let want = "<p>By <b>Ann</b> <a href=\"https://a.example/?x=1&amp;y\" rel=\"nofollow noopener\">a</a></p>\
                    <a rel=\"nofollow noopener\">b</a>";
        assert_eq!(clean(html), want);
        assert_eq!(clean("Ann &amp; Bob\ntalk\r\n\r\nabout"), "<p>Ann &amp; Bob<br>talk</p><p>about</p>");
    }

    #[test]
    fn html_has_a_text() {
        let text = to_text(
            "<p>Ann &amp; Bob&nbsp;say\n  &lt;hi&gt;<br/>you</p>\n<ul><li>one</li><li>two</li></ul><script>x</script>",
        );
        assert_eq!(text, "Ann & Bob say <hi>\nyou\n\none\ntwo");
        assert_eq!(to_text("one\ntwo &quot;three&quot;"), "one\ntwo \"three\"");
    }

    #[test]
    fn an_address_cannot_leave_its_quotes() {
        let html = to_html("http://a/\"onmouseover=\"x http://");
        assert!(!html.contains("\"onmouseover"), "{html}");
        assert!(html.ends_with("</p>"));
    }
}
