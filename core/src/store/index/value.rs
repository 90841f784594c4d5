//! How a value looks inside the index.
//!
//! ```text
//! byte  0      format of the framing, 1
//!       1      version of the record
//!       2..n-4 the value, one JSON text
//!       n-4..n CRC-32 (IEEE, little-endian) over tree, key and all bytes before it
//! ```
//! The checksum covers the tree's name and the key too, so that a value that turned up in the wrong place is found as
//! well as one that was altered.

use super::IndexFault;

/// The format this program writes and reads.
const FORMAT: u8 = 1;
const HEAD: usize = 2;
const SUM: usize = 4;

/// Frames `json` of `version` for `key` in `tree`.
pub(crate) fn encode(tree: &str, key: &[u8], version: u8, json: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD + json.len() + SUM);
    bytes.extend_from_slice(&[FORMAT, version]);
    bytes.extend_from_slice(json.as_bytes());
    let sum = checksum(tree, key, &bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes
}

/// The version and JSON text in `bytes`, found under `key` in `tree`.
///
/// Fails where the bytes are not what [`encode`] made for this very place.
pub(crate) fn decode<'a>(tree: &str, key: &[u8], bytes: &'a [u8]) -> Result<(u8, &'a str), IndexFault> {
    let fault = |what: &str| IndexFault::new(format!("value of `{}` in `{tree}` {what}", key.escape_ascii()));
    let (body, sum) = bytes.split_last_chunk::<SUM>().ok_or_else(|| fault("is cut short"))?;
    if u32::from_le_bytes(*sum) != checksum(tree, key, body) {
        return Err(fault("does not match its checksum"));
    }
    let [FORMAT, version, json @ ..] = body else { return Err(fault("has an unknown format")) };
    let json = str::from_utf8(json).map_err(|_| fault("is not text"))?;
    Ok((*version, json))
}

fn checksum(tree: &str, key: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for part in [tree.as_bytes(), key] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.update(body);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back_from_its_own_place_only() {
        let bytes = encode("show", b"a", 3, r#"{"n":1}"#);
        assert_eq!(decode("show", b"a", &bytes).unwrap(), (3, r#"{"n":1}"#));
        assert!(decode("show", b"b", &bytes).is_err());
        assert!(decode("shop", b"a", &bytes).is_err());
        assert!(decode("sho", b"wa", &bytes).is_err());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let bytes = encode("show", b"a", 3, "[1,2,3]");
        for i in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[i] ^= 1 << bit;
                assert!(decode("show", b"a", &damaged).is_err(), "byte {i} bit {bit}");
            }
            assert!(decode("show", b"a", &bytes[..i]).is_err(), "cut to {i}");
        }
    }
}
