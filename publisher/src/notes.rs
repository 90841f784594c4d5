//! Show notes: plain text in, HTML out.
//!
//! Feeds and pages carry notes as HTML. What a publisher types is text, so nothing in it is ever taken for markup:
//! blank lines part paragraphs, single line breaks stay, and web addresses become links.

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
    fn an_address_cannot_leave_its_quotes() {
        let html = to_html("http://a/\"onmouseover=\"x http://");
        assert!(!html.contains("\"onmouseover"), "{html}");
        assert!(html.ends_with("</p>"));
    }
}
