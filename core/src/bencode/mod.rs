//! Bencode, the one encoding of metainfo, tracker answers and extension messages.
//!
//! Bytes from outside first pass the [`reader`], which checks every rule and bound without building anything; only
//! then does `serde_bencode` make values of them. So nothing is allocated from a claimed length, nothing recurses
//! deeper than [`Limits::depth`], and an error names the byte.
//!
//! What is refused: anything after the root value, integers and lengths that are not plain decimal (`i-0e`, `i03e`,
//! `01:a`), integers beyond 64 signed bits, keys that are not strings, the same key twice in one dictionary. Keys out
//! of order are read, because old torrents have them and whoever hashes, hashes the raw bytes.
//!
//! Law: no input panics. Source: BEP 3 "bencoding".

mod error;
pub mod reader;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use error::BencodeError;
pub use reader::Raw;

/// The bounds that a bencoded value must keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest value, in bytes.
    pub bytes: usize,
    /// The deepest nesting of lists and dictionaries; a dictionary of numbers has depth 1.
    pub depth: usize,
    /// The most values; keys count, and so do the lists and dictionaries themselves.
    pub values: usize,
}

impl Limits {
    /// For a `.torrent` file: 10 MB, as libtorrent has it.
    pub const METAINFO: Self = Self { bytes: 10_000_000, depth: 100, values: 1_000_000 };

    /// For what a peer or a tracker sends: 1 MiB.
    pub const MESSAGE: Self = Self { bytes: 1024 * 1024, depth: 20, values: 50_000 };
}

/// Checks that `bytes` are one bencoded value within `limits` and makes a `T` of it.
///
/// Keys that `T` does not name are passed over, but must be valid too. Take byte strings as [`serde_bytes`] types: a
/// `String` refuses bytes that are not UTF-8. A struct also refuses a dictionary with a *key* that is not UTF-8; where
/// keys are binary, take a map with [`serde_bytes::ByteBuf`] keys.
pub fn decode<T: DeserializeOwned>(bytes: &[u8], limits: Limits) -> Result<T, BencodeError> {
    reader::read(bytes, limits)?.decode()
}

/// The bencoding of `value`, keys in order.
///
/// Skip empty `Option`s with `#[serde(skip_serializing_if = "Option::is_none")]`: bencode has no null.
///
/// # Panics
/// If the type has no bencoding: floats, or maps whose keys are not strings.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    serde_bencode::to_bytes(value).expect("the type has a bencoding")
}

/// Appends `bytes` as a bencoded string, such as a key of a dictionary that is put together by hand.
pub fn write_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes.len().to_string().as_bytes());
    out.push(b':');
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sample {
        interval: i64,
        #[serde(with = "serde_bytes")]
        peers: Vec<u8>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        warning: Option<String>,
    }

    #[test]
    fn typed_values_survive_the_round_trip() {
        for warning in [None, Some("ü".to_owned())] {
            let sample = Sample { interval: -7, peers: vec![0, 255, b'e'], warning };
            assert_eq!(decode::<Sample>(&encode(&sample), Limits::MESSAGE).unwrap(), sample);
        }
    }

    #[test]
    fn keys_are_written_in_order() {
        let sample = Sample { interval: 1, peers: vec![], warning: Some("w".into()) };
        assert_eq!(encode(&sample), b"d8:intervali1e5:peers0:7:warning1:we");
    }

    #[test]
    fn a_value_of_another_type_is_refused_with_the_reason() {
        let error = decode::<Sample>(b"d8:interval1:x5:peers0:e", Limits::MESSAGE).unwrap_err();
        assert!(matches!(&error, BencodeError::Type { .. }), "{error}");
    }

    #[test]
    fn bytes_after_the_value_are_refused() {
        let error = decode::<i64>(b"i1e\n", Limits::MESSAGE).unwrap_err();
        assert_eq!(error.to_string(), "1 byte follows the value that ended at byte 3");
    }

    #[test]
    fn written_strings_are_read_back() {
        let mut out = Vec::new();
        write_string(&mut out, b"spam");
        assert_eq!(out, b"4:spam");
    }
}
