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
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_bytes::ByteBuf;

    use super::*;

    #[track_caller]
    fn refused(bytes: impl AsRef<[u8]>, sentence: &str) {
        assert_eq!(read(bytes.as_ref(), Limits::METAINFO).unwrap_err().to_string(), sentence);
    }

    #[track_caller]
    fn valid(bytes: impl AsRef<[u8]>) {
        assert_eq!(
            read(bytes.as_ref(), Limits::METAINFO).map(|raw| raw.as_bytes().to_vec()),
            Ok(bytes.as_ref().into())
        );
    }

    #[test]
    fn every_kind_of_value_is_read() {
        for bytes in ["i0e", "i-1e", "i9223372036854775807e", "i-9223372036854775808e", "0:", "4:spam", "le", "de"] {
            valid(bytes);
        }
        valid("d4:listli1e1:al0:ee4:pathdee");
    }

    #[test]
    fn claimed_lengths_are_refused_before_anything_is_allocated() {
        refused("99999999999:", "the string at byte 0 claims more bytes than there are");
        refused("123456789123:1", "the string at byte 0 claims more bytes than there are");
        refused("d2222222222:l", "the string at byte 1 claims more bytes than there are");
        refused("18446744073709551617:a", "the string at byte 0 claims more bytes than there are");
        refused("5:spam", "the string at byte 0 claims more bytes than there are");
    }

    #[test]
    fn lengths_have_one_form() {
        for bytes in ["-1:a", "+1:a", "01:a", "1a", "1;a"] {
            refused(bytes, "the string length at byte 0 is not a plain decimal number and a colon");
        }
    }

    #[test]
    fn integers_have_one_form() {
        for bytes in ["ie", "i-e", "i1-2e", "i-0e", "i03e", "i-03e", "i00e", "i+1e", "i 1e", "i1.5e"] {
            refused(bytes, "the integer at byte 0 is not in plain decimal form");
        }
        refused("i12", "cut off at byte 3, in the middle of a value");
    }

    #[test]
    fn integers_beyond_64_bits_are_refused_however_long() {
        let long = format!("i{}e", "9".repeat(100_000));
        for bytes in ["i9223372036854775808e", "i-9223372036854775809e", long.as_str()] {
            refused(bytes, "the integer at byte 0 does not fit 64 bits");
        }
    }

    #[test]
    fn keys_are_strings_with_values() {
        refused("di1ei2ee", "the dictionary key at byte 1 is not a string");
        refused("dle1:ae", "the dictionary key at byte 1 is not a string");
        refused("d1:ae", "the dictionary that ends at byte 4 has a key without a value");
    }

    #[test]
    fn a_key_twice_is_refused_and_keys_out_of_order_are_read() {
        refused("d1:ai1e1:ai2ee", "a dictionary that ends at byte 13 has the key \"a\" twice");
        refused("d1:bi1e1:ade1:bi2ee", "a dictionary that ends at byte 18 has the key \"b\" twice");
        valid("d1:bi1e1:ai2ee");
        // The same key in two dictionaries is no repetition.
        valid("d1:ad1:ai1ee1:bd1:ai1eee");
    }

    #[test]
    fn nesting_is_bounded_without_recursion() {
        valid("l".repeat(100) + &"e".repeat(100));
        refused("l".repeat(101) + &"e".repeat(101), "nested deeper than 100 levels at byte 100");
        refused("d1:a".repeat(2_000_000), "nested deeper than 100 levels at byte 400");
    }

    #[test]
    fn the_number_of_values_is_bounded() {
        refused(format!("l{}e", "0:".repeat(1_000_000)), "more than 1000000 values");
        valid(format!("l{}e", "0:".repeat(999_999)));
    }

    #[test]
    fn the_length_is_bounded_but_not_that_of_what_follows() {
        refused(vec![b'1'; 10_000_001], "longer than the 10000000 bytes that are read");
        let limits = Limits { bytes: 5, ..Limits::MESSAGE };
        assert_eq!(read_prefix(b"i123efollows", limits).map(|(_, length)| length), Ok(5));
        assert_eq!(read_prefix(b"i1234efollows", limits).unwrap_err(), BencodeError::TooLong { limit: 5 });
        assert_eq!(read_prefix(b"9:123456789", limits).unwrap_err(), BencodeError::TooLong { limit: 5 });
    }

    #[test]
    fn what_is_no_value_is_named() {
        refused("", "cut off at byte 0, in the middle of a value");
        refused("<html>", "byte 0 is `<`; want the start of a value");
        refused("\u{1f}\u{8b}", "byte 0 is 0x1f; want the start of a value");
        refused("e", "byte 0 is `e`; want the start of a value");
        refused("i1ei2e", "3 bytes follow the value that ended at byte 3");
    }

    #[test]
    fn parts_are_spans_of_the_bytes() {
        let raw = read(b"d4:infod6:lengthi7ee4:listl1:ai2eee", Limits::METAINFO).unwrap();
        let info = raw.get(b"info").unwrap();
        assert_eq!(info.as_bytes(), b"d6:lengthi7ee");
        assert_eq!(info.get(b"length").and_then(Raw::integer), Some(7));
        let list: Vec<_> = raw.get(b"list").unwrap().list().unwrap().map(Raw::as_bytes).collect();
        assert_eq!(list, [&b"1:a"[..], b"i2e"]);
        assert!(raw.get(b"nothing").is_none());
        assert!(raw.list().is_none() && raw.integer().is_none() && raw.string().is_none());
        assert_eq!(raw.dict().unwrap().map(|(key, value)| (key, value.kind())).last(), Some((&b"list"[..], "list")));
    }

    #[derive(Clone, Debug, PartialEq, serde::Serialize)]
    #[serde(untagged)]
    enum Any {
        Integer(i64),
        String(ByteBuf),
        List(Vec<Any>),
        Dict(BTreeMap<ByteBuf, Any>),
    }

    fn any_value() -> impl Strategy<Value = Any> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..9).prop_map(ByteBuf::from);
        let leaf = prop_oneof![any::<i64>().prop_map(Any::Integer), bytes().prop_map(Any::String)];
        leaf.prop_recursive(5, 60, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Any::List),
                prop::collection::btree_map(bytes(), inner, 0..6).prop_map(Any::Dict),
            ]
        })
    }

    fn rebuild(raw: Raw<'_>) -> Any {
        let string = || raw.string().map(|bytes| Any::String(ByteBuf::from(bytes)));
        let list = || raw.list().map(|items| Any::List(items.map(rebuild).collect()));
        let dict = || {
            let entry = |(key, value)| (ByteBuf::from(key), rebuild(value));
            raw.dict().map(|entries| Any::Dict(entries.map(entry).collect()))
        };
        raw.integer().map(Any::Integer).or_else(string).or_else(list).or_else(dict).unwrap()
    }

    proptest! {
        #[test]
        fn what_serde_bencode_writes_is_read_back(value in any_value()) {
            let bytes = super::super::encode(&value);
            prop_assert_eq!(rebuild(read(&bytes, Limits::METAINFO).unwrap()), value);
        }

        #[test]
        fn every_truncation_is_refused(value in any_value(), cut in any::<prop::sample::Index>()) {
            let bytes = super::super::encode(&value);
            prop_assert!(read(&bytes[..cut.index(bytes.len())], Limits::METAINFO).is_err());
        }

        #[test]
        fn no_bytes_panic_and_what_is_valid_can_be_decoded(bytes in prop::collection::vec(prop::sample::select(
            b"0123456789:-ilde\x00\xffa".to_vec()), 0..40))
        {
            if let Ok(raw) = read(&bytes, Limits::METAINFO) {
                prop_assert!(raw.decode::<serde::de::IgnoredAny>().is_ok());
                rebuild(raw);
            }
        }
    }
}
