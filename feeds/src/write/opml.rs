//! Writes lists of subscriptions as OPML that podcast apps and feed readers take in.
//!
//! Source: OPML 2.0. Every outline has `text`, which it demands, and `title`, which gPodder and newsboat show.

use chrono::{DateTime, Utc};
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::text::clean_line;
use crate::date;
use crate::read::opml::Subscription;

/// `feeds` as OPML 2.0 in UTF-8, called `title` and dated `made`. Folders are not written.
pub fn opml(title: &str, made: DateTime<Utc>, feeds: &[Subscription]) -> String {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    let written = write(&mut writer, title, made, feeds);
    written.expect("writing to memory cannot fail");
    let mut text = String::from_utf8(writer.into_inner()).expect("every part was a string");
    text.push('\n');
    text
}

fn write(
    writer: &mut Writer<Vec<u8>>,
    title: &str,
    made: DateTime<Utc>,
    feeds: &[Subscription],
) -> std::io::Result<()> {
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let opml = writer.create_element("opml").with_attribute(("version", "2.0"));
    opml.write_inner_content(|writer| {
        writer.create_element("head").write_inner_content(|writer| {
            writer.create_element("title").write_text_content(BytesText::new(&clean_line(title)))?;
            writer.create_element("dateCreated").write_text_content(BytesText::new(&date::rfc2822(made)))?;
            Ok(())
        })?;
        writer.create_element("body").write_inner_content(|writer| {
            for feed in feeds {
                let (name, url) = (clean_line(&feed.title), clean_line(&feed.url));
                let name = if name.is_empty() { &url } else { &name };
                let attributes = [("type", "rss"), ("text", name), ("title", name), ("xmlUrl", &url)];
                writer.create_element("outline").with_attributes(attributes).write_empty()?;
            }
            Ok(())
        })?;
        Ok(())
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::opml::parse;

    #[test]
    fn what_is_written_is_read_again() {
        let made = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        let one = |title: &str, url: &str| Subscription { url: url.into(), title: title.into(), folders: Vec::new() };
        let feeds = [
            one("Größe & \"Quotes\" <b>", "https://a.example/feed?a=1&b=2"),
            one("日本語 'n' more\u{1}", "http://user:p%40ss@b.example/x.xml"),
            one("", "https://c.example/"),
        ];
        let text = opml("podsub", made, &feeds);
        let read = parse(text.as_bytes()).unwrap();
        assert!(read.is_whole && read.twins == 0);
        let urls: Vec<_> = read.feeds.iter().map(|feed| feed.url.as_str()).collect();
        assert_eq!(urls, feeds.iter().map(|feed| feed.url.as_str()).collect::<Vec<_>>());
        let titles: Vec<_> = read.feeds.iter().map(|feed| feed.title.as_str()).collect();
        assert_eq!(titles, [&feeds[0].title, "日本語 'n' more", &feeds[2].url]);
        assert!(text.contains("<dateCreated>Wed, 18 Nov 2026") && text.starts_with("<?xml version=\"1.0\""), "{text}");
    }
}
