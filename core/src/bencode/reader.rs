//! Reads bencode where it lies: checks it whole, then hands out spans.
//!
//! [`read`] and [`read_prefix`] walk the bytes once, without recursion, and return a [`Raw`]: a span that is known to
//! be one valid value. Its parts are spans of the same bytes, so the raw bytes of `info`, which the info-hash covers,
//! are exactly those of the file.
//!
//! Cost: one pass, O(n); O(k log k) more for a dictionary of k keys that are out of order.

use std::fmt;
use std::iter;

use serde::de::DeserializeOwned;

use super::{BencodeError, Limits};

/// One valid bencoded value: its exact bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Raw<'a>(&'a [u8]);

/// Checks that `bytes` are one value within `limits`.
pub fn read(bytes: &[u8], limits: Limits) -> Result<Raw<'_>, BencodeError> {
    if bytes.len() > limits.bytes {
        return Err(BencodeError::TooLong { limit: limits.bytes });
    }
    let (raw, at) = read_prefix(bytes, limits)?;
    match bytes.len() - at {
        0 => Ok(raw),
        extra => Err(BencodeError::TrailingBytes { at, extra }),
    }
}

/// Checks the value that `bytes` begin with, and tells how many bytes it took.
///
/// What follows is not looked at. A metadata message is such a value with a payload behind it (BEP 9).
pub fn read_prefix(bytes: &[u8], limits: Limits) -> Result<(Raw<'_>, usize), BencodeError> {
    let window = &bytes[..bytes.len().min(limits.bytes)];
    match Checker::new(window, limits).check() {
        Ok(end) => Ok((Raw(&window[..end]), end)),
        Err(BencodeError::Truncated { .. } | BencodeError::StringTooLong { .. }) if window.len() < bytes.len() => {
            Err(BencodeError::TooLong { limit: limits.bytes })
        }
        Err(error) => Err(error),
    }
}

impl<'a> Raw<'a> {
    /// The value's bytes, as they stood.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// What the value is, in one word: `integer`, `string`, `list` or `dictionary`.
    pub fn kind(self) -> &'static str {
        match self.0.first() {
            Some(b'i') => "integer",
            Some(b'l') => "list",
            Some(b'd') => "dictionary",
            _ => "string",
        }
    }

    /// Makes a `T` of the value; see [`super::decode`].
    pub fn decode<T: DeserializeOwned>(self) -> Result<T, BencodeError> {
        serde_bencode::from_bytes(self.0).map_err(|error| BencodeError::Type { detail: error.to_string() })
    }

    /// The string's bytes, or `None` if the value is no string.
    pub fn string(self) -> Option<&'a [u8]> {
        match Cursor::new(self.0).token() {
            Ok(Token::String(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// The integer, or `None` if the value is none.
    pub fn integer(self) -> Option<i64> {
        match Cursor::new(self.0).token() {
            Ok(Token::Integer(value)) => Some(value),
            _ => None,
        }
    }

    /// The list's values in order, or `None` if the value is no list.
    pub fn list(self) -> Option<impl Iterator<Item = Raw<'a>>> {
        let mut cursor = Cursor::new(self.0);
        matches!(cursor.token(), Ok(Token::List)).then(|| iter::from_fn(move || cursor.skip_value()))
    }

    /// The dictionary's keys and values as they stand, or `None` if the value is no dictionary.
    pub fn dict(self) -> Option<impl Iterator<Item = (&'a [u8], Raw<'a>)>> {
        let mut cursor = Cursor::new(self.0);
        matches!(cursor.token(), Ok(Token::Dict)).then(|| {
            iter::from_fn(move || {
                let key = cursor.skip_value()?.string()?;
                Some((key, cursor.skip_value()?))
            })
        })
    }

    /// The value of this key, or `None` if the value is no dictionary or lacks it. O(n) in the dictionary's bytes.
    pub fn get(self, key: &[u8]) -> Option<Raw<'a>> {
        self.dict()?.find(|(found, _)| *found == key).map(|(_, value)| value)
    }
}

impl fmt::Debug for Raw<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Raw({})", shorten(self.0))
    }
}

/// The first bytes, escaped, for a message.
fn shorten(bytes: &[u8]) -> String {
    let shown = bytes[..bytes.len().min(SHOWN_BYTES)].escape_ascii();
    let dots = if bytes.len() > SHOWN_BYTES { "…" } else { "" };
    format!("{shown}{dots}")
}

/// Checks one value, with a stack of its own instead of recursion.
struct Checker<'a> {
    cursor: Cursor<'a>,
    limits: Limits,
    values: usize,
    open: Vec<Open>,
    /// The keys of all open dictionaries, each one's after those of the one around it.
    keys: Vec<&'a [u8]>,
}

/// A list or dictionary whose end has not come yet.
enum Open {
    List,
    Dict { first_key: usize, wants_value: bool, ordered: bool },
}

impl<'a> Checker<'a> {
    fn new(bytes: &'a [u8], limits: Limits) -> Self {
        Self { cursor: Cursor::new(bytes), limits, values: 0, open: Vec::new(), keys: Vec::new() }
    }

    /// The end of the value.
    fn check(mut self) -> Result<usize, BencodeError> {
        loop {
            let at = self.cursor.at;
            let token = self.cursor.token()?;
            if !matches!(token, Token::End) {
                self.values += 1;
                if self.values > self.limits.values {
                    return Err(BencodeError::TooMany { limit: self.limits.values });
                }
            }
            if self.is_key(&token, at)? {
                continue;
            }
            match token {
                Token::End => self.close(at)?,
                Token::List => self.push(Open::List, at)?,
                Token::Dict => {
                    let first_key = self.keys.len();
                    self.push(Open::Dict { first_key, wants_value: false, ordered: true }, at)?;
                }
                Token::Integer(_) | Token::String(_) => {}
            }
            if self.open.is_empty() {
                return Ok(self.cursor.at);
            }
        }
    }

    /// Takes the token as a key where a key is due; false where a value or an end is.
    fn is_key(&mut self, token: &Token<'a>, at: usize) -> Result<bool, BencodeError> {
        let Some(Open::Dict { first_key, wants_value, ordered }) = self.open.last_mut() else { return Ok(false) };
        if *wants_value {
            *wants_value = false;
            return match token {
                Token::End => Err(BencodeError::KeyWithoutValue { at }),
                _ => Ok(false),
            };
        }
        match token {
            Token::String(key) => {
                *ordered &= self.keys[*first_key..].last().is_none_or(|last| last < key);
                *wants_value = true;
                self.keys.push(key);
                Ok(true)
            }
            Token::End => Ok(false),
            _ => Err(BencodeError::KeyNotString { at }),
        }
    }

    fn push(&mut self, open: Open, at: usize) -> Result<(), BencodeError> {
        if self.open.len() == self.limits.depth {
            return Err(BencodeError::TooDeep { at, limit: self.limits.depth });
        }
        self.open.push(open);
        Ok(())
    }

    fn close(&mut self, at: usize) -> Result<(), BencodeError> {
        match self.open.pop() {
            None => Err(BencodeError::Unexpected { at, found: b'e' }),
            Some(Open::List) => Ok(()),
            Some(Open::Dict { first_key, ordered, .. }) => {
                let keys = &mut self.keys[first_key..];
                if !ordered {
                    keys.sort_unstable();
                    if let Some(twice) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
                        return Err(BencodeError::DuplicateKey { at, key: shorten(twice[0]) });
                    }
                }
                self.keys.truncate(first_key);
                Ok(())
            }
        }
    }
}

/// The smallest step of the grammar.
enum Token<'a> {
    Integer(i64),
    String(&'a [u8]),
    List,
    Dict,
    End,
}

/// A place in the bytes.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn token(&mut self) -> Result<Token<'a>, BencodeError> {
        let at = self.at;
        match self.peek()? {
            b'i' => self.integer(),
            b'0'..=b'9' => self.string(),
            found @ (b'l' | b'd' | b'e') => {
                self.at += 1;
                Ok(match found {
                    b'l' => Token::List,
                    b'd' => Token::Dict,
                    _ => Token::End,
                })
            }
            // Lengths with a sign are named as such; any other byte begins nothing.
            b'-' | b'+' => Err(BencodeError::LengthForm { at }),
            found => Err(BencodeError::Unexpected { at, found }),
        }
    }

    fn peek(&self) -> Result<u8, BencodeError> {
        self.bytes.get(self.at).copied().ok_or(BencodeError::Truncated { at: self.bytes.len() })
    }

    fn integer(&mut self) -> Result<Token<'a>, BencodeError> {
        let at = self.at;
        self.at += 1;
        let negative = self.peek()? == b'-';
        self.at += usize::from(negative);
        // Summed on the negative side, which reaches one further.
        let mut value: i64 = 0;
        let first = self.at;
        loop {
            match self.peek()? {
                digit @ b'0'..=b'9' => {
                    let leading_zero = self.at > first && value == 0;
                    if leading_zero {
                        return Err(BencodeError::IntegerForm { at });
                    }
                    value = value
                        .checked_mul(10)
                        .and_then(|tens| tens.checked_sub(i64::from(digit - b'0')))
                        .ok_or(BencodeError::IntegerRange { at })?;
                    self.at += 1;
                }
                b'e' if self.at > first && !(negative && value == 0) => break,
                _ => return Err(BencodeError::IntegerForm { at }),
            }
        }
        self.at += 1;
        let value = if negative { Some(value) } else { value.checked_neg() };
        value.map(Token::Integer).ok_or(BencodeError::IntegerRange { at })
    }

    fn string(&mut self) -> Result<Token<'a>, BencodeError> {
        let at = self.at;
        let mut length: usize = 0;
        loop {
            match self.peek()? {
                digit @ b'0'..=b'9' => {
                    let leading_zero = self.at > at && length == 0;
                    if leading_zero {
                        return Err(BencodeError::LengthForm { at });
                    }
                    // The sum cannot wrap: it stops as soon as it passes the number of bytes there are.
                    length = length.saturating_mul(10).saturating_add(usize::from(digit - b'0'));
                    self.at += 1;
                    if length > self.bytes.len() - self.at {
                        return Err(BencodeError::StringTooLong { at });
                    }
                }
                b':' => break,
                _ => return Err(BencodeError::LengthForm { at }),
            }
        }
        self.at += 1;
        let string = self.bytes[self.at..].get(..length).ok_or(BencodeError::StringTooLong { at })?;
        self.at += length;
        Ok(Token::String(string))
    }

    /// The next value of a list or dictionary that was checked; `None` at its end.
    fn skip_value(&mut self) -> Option<Raw<'a>> {
        let start = self.at;
        let mut depth = 0_usize;
        loop {
            match self.token().ok()? {
                Token::List | Token::Dict => depth += 1,
                Token::End => depth = depth.checked_sub(1)?,
                Token::Integer(_) | Token::String(_) => {}
            }
            if depth == 0 {
                return Some(Raw(&self.bytes[start..self.at]));
            }
        }
    }
}

/// How many bytes of a value a message shows.
const SHOWN_BYTES: usize = 40;

#[cfg(test)]
mod tests;
