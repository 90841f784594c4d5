//! What `Link` headers say of a feed: which hubs tell of its news, and by what address they know it.
//!
//! What cannot be read is passed over, link by link.
//!
//! Source: RFC 8288; W3C `WebSub`, section 4.

use url::Url;

use super::channel::Channel;
use super::convert::{hubs, web_url};

/// More links of one answer are not read.
const MOST_LINKS: usize = 64;

impl Channel {
    /// The same feed, found at `at`, whose answer had these `Link` headers: where they name hubs, they go before what
    /// the feed itself says.
    #[must_use]
    pub fn with_links<'h>(mut self, headers: impl IntoIterator<Item = &'h str>, at: &Url) -> Self {
        let links: Vec<_> = headers.into_iter().flat_map(links).take(MOST_LINKS).collect();
        let of = |rel: &'static str| links.iter().filter(move |link| link.is(rel)).map(|link| link.target);
        let named = hubs(of("hub"), at);
        if !named.is_empty() {
            self.self_url = of("self").find_map(|target| web_url(target, at)).or(self.self_url);
            self.hubs = named;
        }
        self
    }
}

/// A link, and all that is said about it.
struct Link<'h> {
    target: &'h str,
    parameters: &'h str,
}

impl Link<'_> {
    /// Whether it leads from the feed itself to what is its `rel`.
    fn is(&self, rel: &str) -> bool {
        let (mut is_meant, mut is_ours, mut rest) = (None, true, self.parameters);
        while !rest.is_empty() {
            let (parameter, after) = cut(rest, b';');
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                // Only the first one counts.
                "rel" if is_meant.is_none() => {
                    let mut words = value.trim().trim_matches('"').split_ascii_whitespace();
                    is_meant = Some(words.any(|word| word.eq_ignore_ascii_case(rel)));
                }
                "anchor" => is_ours = false,
                _ => {}
            }
            rest = after;
        }
        is_ours && is_meant == Some(true)
    }
}

/// The links of one header.
fn links(header: &str) -> impl Iterator<Item = Link<'_>> {
    let mut rest = header;
    std::iter::from_fn(move || {
        let (target, after) = rest.split_once('<')?.1.split_once('>')?;
        let (parameters, next) = cut(after, b',');
        rest = next;
        Some(Link { target, parameters })
    })
}

/// What stands before the first `separator` that is in no quotes, and what stands behind it.
fn cut(text: &str, separator: u8) -> (&str, &str) {
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            _ if byte == separator && !is_quoted => return (&text[..at], &text[at + 1..]),
            _ => {}
        }
    }
    (text, "")
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    /// The hubs and the own address of a feed that names `/own` itself, with these headers.
    fn with(headers: &[&str]) -> (Vec<String>, String) {
        let at: Url = "https://pod.example/shows/feed".parse().unwrap();
        let own = "<rss><channel><title>T</title><atom:link rel='hub' href='/own'/><atom:link rel='self' href='/me'/>";
        let feed = parse(own.as_bytes(), &at, None).unwrap().with_links(headers.iter().copied(), &at);
        (feed.hubs.iter().map(Url::to_string).collect(), feed.self_url.unwrap().to_string())
    }

    #[track_caller]
    fn check(headers: &[&str], hubs: &[&str], own: &str) {
        let hubs = hubs.iter().map(|hub| format!("https://pod.example{hub}")).collect::<Vec<_>>();
        assert_eq!(with(headers), (hubs, format!("https://pod.example{own}")), "{headers:?}");
    }

    #[test]
    fn headers_go_before_the_feed_itself() {
        check(&[], &["/own"], "/me");
        check(&[r#"</a,b>; rel="hub", <feed2>; rel=self"#], &["/a,b"], "/shows/feed2");
        check(&["</a>;rel=hub", r#"</b>; title="x, y; rel=self" ; REL="Other HUB""#], &["/a", "/b"], "/me");
        check(&[r#"</b>; title="\"; rel=x"; rel=hub"#], &["/b"], "/me");
    }

    #[test]
    fn a_header_that_names_no_hub_changes_nothing() {
        for header in [
            "</other>; rel=self",
            "</a>; rel=next; rel=hub",
            "</a>; rel=hub; anchor=\"/elsewhere\"",
            "<javascript:x>; rel=hub",
            "</a>; rel=\"hub",
            "<a; rel=hub",
            "</a; rel=hub",
            "\"<\">;rel==;=",
            "</a>",
            "",
        ] {
            let got = with(&[header]);
            let want = if header == "</a>; rel=\"hub" { "https://pod.example/a" } else { "https://pod.example/own" };
            assert_eq!(got, (vec![want.to_owned()], "https://pod.example/me".to_owned()), "{header}");
        }
    }
}
