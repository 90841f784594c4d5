//! Why bytes are not the bencoded value that was wanted.

use std::fmt;

/// Why bytes are not the bencoded value that was wanted. Positions count bytes from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BencodeError {
    /// Longer than [`Limits::bytes`](super::Limits::bytes).
    #[error("longer than the {limit} bytes that are read")]
    TooLong {
        /// The most bytes that are read.
        limit: usize,
    },
    /// Deeper than [`Limits::depth`](super::Limits::depth).
    #[error("nested deeper than {limit} levels at byte {at}")]
    TooDeep {
        /// Where the list or dictionary begins that is too deep.
        at: usize,
        /// The deepest level that is read.
        limit: usize,
    },
    /// More values than [`Limits::values`](super::Limits::values).
    #[error("more than {limit} values")]
    TooMany {
        /// The most values that are read.
        limit: usize,
    },
    /// The bytes end before the value does.
    #[error("cut off at byte {at}, in the middle of a value")]
    Truncated {
        /// The number of bytes there are.
        at: usize,
    },
    /// A byte that begins no value.
    #[error("byte {at} is {}; want the start of a value", Shown(*.found))]
    Unexpected {
        /// Where the byte is.
        at: usize,
        /// The byte.
        found: u8,
    },
    /// An integer in another form than `i-12e`: leading zeros, a plus sign, minus zero, no digits.
    #[error("the integer at byte {at} is not in plain decimal form")]
    IntegerForm {
        /// Where the integer begins.
        at: usize,
    },
    /// An integer beyond 64 signed bits.
    #[error("the integer at byte {at} does not fit 64 bits")]
    IntegerRange {
        /// Where the integer begins.
        at: usize,
    },
    /// A string's length in another form than `12:`.
    #[error("the string length at byte {at} is not a plain decimal number and a colon")]
    LengthForm {
        /// Where the string begins.
        at: usize,
    },
    /// A string longer than all that follows it.
    #[error("the string at byte {at} claims more bytes than there are")]
    StringTooLong {
        /// Where the string begins.
        at: usize,
    },
    /// A dictionary's key that is no string.
    #[error("the dictionary key at byte {at} is not a string")]
    KeyNotString {
        /// Where the key should be.
        at: usize,
    },
    /// A dictionary that ends after a key.
    #[error("the dictionary that ends at byte {at} has a key without a value")]
    KeyWithoutValue {
        /// Where the dictionary ends.
        at: usize,
    },
    /// The same key twice in one dictionary: two readers would take two different values.
    #[error("a dictionary that ends at byte {at} has the key \"{key}\" twice")]
    DuplicateKey {
        /// Where the dictionary ends.
        at: usize,
        /// The key, escaped and shortened.
        key: String,
    },
    /// Bytes after the root value.
    #[error("{} the value that ended at byte {at}", Trailing(*.extra))]
    TrailingBytes {
        /// Where the value ended.
        at: usize,
        /// The number of bytes that follow.
        extra: usize,
    },
    /// Valid bencode, of another type than was wanted.
    #[error("{detail}")]
    Type {
        /// What was found and what was wanted.
        detail: String,
    },
}

/// A byte for people: printable ones as themselves.
struct Shown(u8);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_ascii_graphic() { write!(f, "`{}`", char::from(self.0)) } else { write!(f, "0x{:02x}", self.0) }
    }
}

struct Trailing(usize);

impl fmt::Display for Trailing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 1 { f.write_str("1 byte follows") } else { write!(f, "{} bytes follow", self.0) }
    }
}
