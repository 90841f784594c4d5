//! A tag that is typed as XML, as the documents of the namespace show it.

use super::{MOST, Tag, TagError, is_name};
use crate::read::lex::{Lexer, Token, append, unescape};

/// Elements stand no deeper in one another.
const DEEPEST: usize = 8;
/// So much of a text or value is read, in bytes; more is refused behind here.
const MUCH: usize = 2 * super::LONGEST;

/// Reads one element, with the prefix `podcast:` or without, and gives its name without it.
pub(super) fn read(text: &str) -> Result<(String, Tag), TagError> {
    let fault = || TagError::Xml { got: text.trim().chars().take(60).collect() };
    let mut open: Vec<(String, Tag)> = Vec::new();
    let mut whole: Option<(String, Tag)> = None;
    let mut lexer = Lexer::new(text);
    let mut elements = 0;
    for token in lexer.by_ref() {
        let closed = match token {
            Token::Start { name, attributes, is_empty } => {
                elements += 1;
                if whole.is_some() || open.len() == DEEPEST || elements > MOST {
                    return Err(fault());
                }
                let mut tag = Tag::default();
                for (name, raw) in attributes.iter().filter(|(name, _)| !name.starts_with("xmlns")) {
                    let mut value = String::new();
                    unescape(raw, &mut value, MUCH);
                    value.trim().clone_into(tag.attributes.entry(name.to_owned()).or_default());
                }
                open.push((local(name).ok_or_else(fault)?, tag));
                is_empty
            }
            Token::End { name } => {
                if open.last().is_none_or(|(last, _)| local(name).as_ref() != Some(last)) {
                    return Err(fault());
                }
                true
            }
            Token::Text(raw) => {
                match open.last_mut() {
                    Some((_, tag)) => unescape(raw, &mut tag.text, MUCH),
                    None if raw.trim().is_empty() => {}
                    None => return Err(fault()),
                }
                false
            }
            Token::Verbatim(raw) => {
                let (_, tag) = open.last_mut().ok_or_else(fault)?;
                append(raw, &mut tag.text, MUCH);
                false
            }
        };
        if closed && let Some((name, mut tag)) = open.pop() {
            tag.text = tag.text.split_whitespace().collect::<Vec<_>>().join(" ");
            match open.last_mut() {
                Some((_, parent)) => parent.children.push(&name, tag),
                None => whole = Some((name, tag)),
            }
        }
    }
    whole.filter(|_| open.is_empty() && lexer.is_whole()).ok_or_else(fault)
}

fn local(name: &str) -> Option<String> {
    let local = name.strip_prefix("podcast:").unwrap_or(name);
    is_name(local).then(|| local.to_owned())
}
