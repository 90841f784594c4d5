//! How a typed record becomes a key and a JSON text, and back.
//!
//! Values are JSON so that an export can be read by a person and by any later version. A type that changes its shape
//! raises [`Record::VERSION`] and teaches [`Record::migrate`] to lift old values; a value of a later version is
//! refused, never guessed at.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;
use super::op::{Change, Op};

/// A kind of thing the store keeps.
///
/// ```
/// use podswarm_core::store::{Record, Store};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Seen {
///     guid: String,
///     at: u64,
/// }
///
/// impl Record for Seen {
///     const KIND: &'static str = "seen";
///     const VERSION: u8 = 1;
///
///     fn key(&self) -> Vec<u8> {
///         self.guid.clone().into_bytes()
///     }
/// }
///
/// let store = Store::in_memory();
/// store.put(&Seen { guid: "episode-1".into(), at: 7 })?;
/// assert_eq!(store.get::<Seen>("episode-1")?.map(|seen| seen.at), Some(7));
/// # Ok::<(), podswarm_core::store::StoreError>(())
/// ```
pub trait Record: Serialize + DeserializeOwned {
    /// The kind's name, as journal, index and export spell it. It never changes, and begins with a small
    /// letter.
    const KIND: &'static str;

    /// The version of the value's shape, written beside every value.
    const VERSION: u8;

    /// The record's key within its kind: any bytes, at most [`MAX_KEY`]. Records are scanned in byte order, so numbers
    /// are written big-endian.
    fn key(&self) -> Vec<u8>;

    /// Lifts a value of an older `version` to [`Self::VERSION`]; `None` where that is not possible.
    fn migrate(version: u8, value: serde_json::Value) -> Option<serde_json::Value> {
        let _ = (version, value);
        None
    }
}

/// 64 KiB of JSON text in one value. Larger things are files; sled leaks space on large values.
pub const MAX_VALUE: usize = 64 * 1024;

/// 1 KiB in one key.
pub const MAX_KEY: usize = 1024;

/// 8 MiB in one batch, as the journal holds it.
pub const MAX_BATCH: usize = 8 * 1024 * 1024;

/// The change that stores `record`.
pub(super) fn put<R: Record>(record: &R) -> Result<Op, StoreError> {
    let json = serde_json::to_string(record)
        .map_err(|source| StoreError::Encode { kind: R::KIND, source: Arc::new(source) })?;
    if json.len() > MAX_VALUE {
        return Err(StoreError::TooLarge { kind: R::KIND, got: json.len() });
    }
    let key = checked_key::<R>(&record.key())?;
    Ok(Op { kind: R::KIND.into(), key, change: Change::Put { version: R::VERSION, json } })
}

/// The change that removes the `R` under `key`.
pub(super) fn delete<R: Record>(key: &[u8]) -> Result<Op, StoreError> {
    Ok(Op { kind: R::KIND.into(), key: checked_key::<R>(key)?, change: Change::Delete })
}

/// The record that was stored under `key` as `json` of `version`.
pub(super) fn read<R: Record>(key: &[u8], version: u8, json: &str) -> Result<R, StoreError> {
    let decode_error =
        |source| StoreError::Decode { kind: R::KIND, key: printable(key), version, source: Arc::new(source) };
    if version == R::VERSION {
        return serde_json::from_str(json).map_err(decode_error);
    }
    let (kind, key_text, found, known) = (R::KIND, printable(key), version, R::VERSION);
    if version > R::VERSION {
        return Err(StoreError::RecordNewer { kind, key: key_text, found, known });
    }
    let old = serde_json::from_str(json).map_err(decode_error)?;
    let lifted = R::migrate(version, old).ok_or(StoreError::Unmigrated { kind, key: key_text, found, known })?;
    serde_json::from_value(lifted).map_err(decode_error)
}

fn checked_key<R: Record>(key: &[u8]) -> Result<Vec<u8>, StoreError> {
    const { assert!(matches!(R::KIND.as_bytes(), [b'a'..=b'z', ..]), "a kind's name begins with a small letter") };
    if key.len() > MAX_KEY {
        return Err(StoreError::KeyTooLong { kind: R::KIND, got: key.len() });
    }
    Ok(key.to_vec())
}

/// `key` for a message: its printable ASCII, the rest escaped.
fn printable(key: &[u8]) -> String {
    key.escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Show {
        slug: String,
        language: String,
    }

    impl Record for Show {
        const KIND: &'static str = "show";
        const VERSION: u8 = 3;

        fn key(&self) -> Vec<u8> {
            self.slug.clone().into_bytes()
        }

        fn migrate(version: u8, mut value: Value) -> Option<Value> {
            if version < 2 {
                return None;
            }
            value.as_object_mut()?.insert("language".into(), json!("en"));
            Some(value)
        }
    }

    #[test]
    fn a_record_survives_the_way_out_and_back() {
        let show = Show { slug: "été\n".into(), language: "fr".into() };
        let op = put(&show).unwrap();
        let Change::Put { version, json } = op.change else { panic!("a put") };
        assert_eq!(read::<Show>(&op.key, version, &json).unwrap(), show);
    }

    #[test]
    fn an_older_value_is_lifted() {
        let show = read::<Show>(b"a", 2, r#"{"slug":"a"}"#).unwrap();
        assert_eq!(show.language, "en");
    }

    #[test]
    fn a_value_without_a_migration_is_refused() {
        let error = read::<Show>(b"a", 1, r#"{"slug":"a"}"#).unwrap_err();
        assert_eq!(error.to_string(), "show record `a` has version 1; there is no way from it to 3");
    }

    #[test]
    fn a_newer_value_is_refused_with_a_way_out() {
        let error = read::<Show>(b"a\xff", 4, "{}").unwrap_err();
        assert_eq!(error.to_string(), r"show record `a\xff` has version 4; this version reads up to 3");
        assert!(error.hint().unwrap().contains("newer"));
    }

    #[test]
    fn a_value_over_the_cap_is_refused() {
        let show = Show { slug: "a".into(), language: "x".repeat(MAX_VALUE) };
        let error = put(&show).unwrap_err();
        assert_eq!(error.to_string(), format!("show record of {} bytes; at most 65536 fit", MAX_VALUE + 26));
    }

    #[test]
    fn a_key_over_the_cap_is_refused() {
        assert!(matches!(delete::<Show>(&[0; MAX_KEY + 1]), Err(StoreError::KeyTooLong { got: 1025, .. })));
        assert!(delete::<Show>(&[0; MAX_KEY]).is_ok());
    }
}
