//! Makes text fit to be written: what XML forbids is dropped, and notes are kept below what directories read.

/// Directories read no more of a `<description>`. Apple's requirements, PSP-1.
const DESCRIPTION_BYTES: usize = 4000;

/// `text` without the characters that XML 1.0 forbids and the C1 controls it advises against; lines end in `\n`.
///
/// Source: XML 1.0 §2.2. Carriage returns would be lost when read, so they are dropped here.
pub(super) fn clean(text: &str) -> String {
    let unix = text.replace("\r\n", "\n").replace('\r', "\n");
    unix.chars().filter(|&c| is_writable(c)).collect::<String>().trim().to_owned()
}

/// As [`clean`], on one line: every run of white space is one space.
pub(super) fn clean_line(text: &str) -> String {
    clean(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_writable(c: char) -> bool {
    match c {
        '\n' | '\t' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        _ => !c.is_control(),
    }
}

/// Notes as `<description>` and, where they are too long for it, whole as `<content:encoded>`.
///
/// A description that has to be cut is plain text, so that no tag is left open.
pub(super) fn fit_notes(notes: String) -> (Option<String>, Option<String>) {
    if notes.is_empty() {
        return (None, None);
    }
    if notes.len() <= DESCRIPTION_BYTES {
        return (Some(notes), None);
    }
    (Some(summary(&notes)), Some(notes))
}

/// The words of `html` that fit, with an ellipsis. Character references stay as they are: it is still HTML.
fn summary(html: &str) -> String {
    let mut short = String::new();
    for word in without_tags(html).split_whitespace() {
        if short.len() + word.len() + " …".len() > DESCRIPTION_BYTES {
            break;
        }
        if !short.is_empty() {
            short.push(' ');
        }
        short.push_str(word);
    }
    short + "…"
}

fn without_tags(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(before);
        // A paragraph's end is a word's end.
        text.push(' ');
        rest = tag.split_once('>').map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_forbids_is_dropped() {
        assert_eq!(clean("a\0b\u{1b}[31m\u{fffe}c\u{85}d"), "ab[31mcd");
        assert_eq!(clean("one\r\ntwo\rthree\tfour"), "one\ntwo\nthree\tfour");
    }

    #[test]
    fn a_line_has_no_breaks() {
        assert_eq!(clean_line("  a \r\n\t b\u{a0}c "), "a b c");
    }

    #[test]
    fn short_notes_are_the_description() {
        assert_eq!(fit_notes(String::new()), (None, None));
        assert_eq!(fit_notes("<p>Hi</p>".to_owned()), (Some("<p>Hi</p>".to_owned()), None));
    }

    #[test]
    fn long_notes_are_cut_to_whole_words_without_tags() {
        let notes = "<p>Über &amp; mehr</p>".repeat(400);
        let (description, content) = fit_notes(notes.clone());
        let description = description.expect("notes were given");
        assert!(description.len() <= DESCRIPTION_BYTES, "{}", description.len());
        assert!(description.starts_with("Über &amp; mehr Über"), "{description}");
        assert!(description.ends_with('…') && !description.contains('<'), "{description}");
        assert_eq!(content, Some(notes));
    }
}
