//! The short form in which a tag is typed: `Ann Lee; role=guest; href=https://ann.example`.

use super::vocabulary::{Attribute, Kind, Text, Word, word};
use super::{Tag, TagError};

/// Reads `NAME: TEXT; attribute=value`.
pub(super) fn named(text: &str) -> Result<(String, Tag), TagError> {
    let end = text.find([':', ';']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let name = name.trim();
    let known = word(name).ok_or_else(|| TagError::Name { got: name.chars().take(40).collect() })?;
    Ok((known.name().to_owned(), parse(known, rest.strip_prefix(':').unwrap_or(rest))?))
}

/// Reads `TEXT; attribute=value` of a word.
pub(super) fn parse(word: &'static Word, text: &str) -> Result<Tag, TagError> {
    let mut tag = Tag::default();
    for (i, part) in parts(text).enumerate() {
        let assigned = part.split_once('=').map(|(name, value)| (name.trim(), value.trim()));
        let known = assigned.map(|(name, value)| (attribute(word, name), name, value));
        match known {
            Some((Some(attribute), _, value)) => put(&mut tag, attribute, value),
            // A text may hold an equals sign, such as that of an address.
            _ if i == 0 => match word.text {
                Text::Is(main) => {
                    let main = word.attributes.iter().find(|it| it.name == main).expect("it is one of them");
                    if !part.is_empty() {
                        put(&mut tag, main, part);
                    }
                }
                Text::May | Text::Must => {
                    refuse_glued(word, part)?;
                    part.clone_into(&mut tag.text);
                }
            },
            Some((None, name, _)) => return Err(unknown(word, name)),
            None => return Err(unknown(word, part)),
        }
    }
    Ok(tag)
}

/// What `; ` parts. A semicolon without a blank behind it is one of the text.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text.trim());
    std::iter::from_fn(move || {
        let now = rest?;
        let end = now
            .match_indices(';')
            .map(|(at, _)| at)
            .find(|at| now[at + 1..].is_empty() || now[at + 1..].starts_with(char::is_whitespace));
        let (part, after) = end.map_or((now, None), |at| (&now[..at], Some(now[at + 1..].trim())));
        rest = after.filter(|after| !after.is_empty());
        Some(part.trim())
    })
}

/// Who forgets the blank is told, and has no name with `;role=guest` in it.
fn refuse_glued(word: &'static Word, text: &str) -> Result<(), TagError> {
    let glued = text.split(';').skip(1).filter_map(|part| part.split_once('='));
    match glued.map(|(name, _)| name.trim()).find(|name| attribute(word, name).is_some()) {
        Some(name) => Err(unknown(word, &format!(";{name}"))),
        None => Ok(()),
    }
}

/// The attribute that is meant: of this name, or the only one that begins so.
fn attribute(word: &'static Word, name: &str) -> Option<&'static Attribute> {
    let all = || word.attributes.iter();
    let begins = |attribute: &&Attribute| {
        let head = attribute.name.get(..name.len());
        !name.is_empty() && head.is_some_and(|head| head.eq_ignore_ascii_case(name))
    };
    let exact = all().find(|attribute| attribute.name.eq_ignore_ascii_case(name));
    exact.or_else(|| all().find(begins).filter(|_| all().filter(begins).count() == 1))
}

fn put(tag: &mut Tag, attribute: &Attribute, value: &str) {
    let seconds = (attribute.kind == Kind::Seconds).then(|| seconds(value)).flatten();
    tag.attributes.insert(attribute.name.to_owned(), seconds.unwrap_or_else(|| value.to_owned()));
}

fn unknown(word: &'static Word, got: &str) -> TagError {
    let known = word.attributes.iter().map(|attribute| attribute.name).collect();
    TagError::Unknown { name: word.name(), got: got.chars().take(40).collect(), known }
}

/// A time such as `1:02:03.5` in seconds; `None` if there is no colon in it.
fn seconds(clock: &str) -> Option<String> {
    let (head, last) = clock.rsplit_once(':')?;
    let (whole, fraction) = last.split_once('.').map_or((last, None), |(whole, fraction)| (whole, Some(fraction)));
    let mut sum: u64 = 0;
    for part in head.split(':').chain([whole]) {
        sum = sum.checked_mul(60)?.checked_add(part.trim().parse().ok()?)?;
    }
    Some(fraction.map_or_else(|| sum.to_string(), |fraction| format!("{sum}.{fraction}")))
}
