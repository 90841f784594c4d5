//! One change to the state, and its JSON form in journal and export.
//!
//! `{"op":"put","kind":"episode","version":1,"key":"6162","value":{…}}` or
//! `{"op":"delete","kind":"episode","key":"6162"}`. Keys are any bytes, so they are written in lower hex. The value's
//! text is carried as it is, never parsed and written again.

use std::borrow::Cow;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// One change to one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Op {
    /// The record's kind.
    pub(super) kind: Cow<'static, str>,
    /// The record's key within its kind.
    pub(super) key: Vec<u8>,
    /// What becomes of it.
    pub(super) change: Change,
}

/// What an [`Op`] does to its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The record is gone.
    Delete,
    /// The record has this value.
    Put {
        /// The version of the value's shape.
        version: u8,
        /// The value, one JSON text.
        json: String,
    },
}

/// An [`Op`] as JSON has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OpJson<'a> {
    op: Verb,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<u8>,
    key: String,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    value: Option<&'a RawValue>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Verb {
    Delete,
    Put,
}

impl Serialize for Op {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (op, version, value) = match &self.change {
            Change::Delete => (Verb::Delete, None, None),
            Change::Put { version, json } => {
                let value = serde_json::from_str(json).map_err(serde::ser::Error::custom)?;
                (Verb::Put, Some(*version), Some(value))
            }
        };
        let kind = Cow::Borrowed(self.kind.as_ref());
        OpJson { op, kind, version, key: HEXLOWER.encode(&self.key), value }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Op {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;

        let OpJson { op, kind, version, key, value } = OpJson::deserialize(deserializer)?;
        let key = HEXLOWER.decode(key.as_bytes()).map_err(|_| D::Error::custom("key is not lower hex"))?;
        let change = match op {
            Verb::Delete => Change::Delete,
            Verb::Put => Change::Put {
                version: version.ok_or_else(|| D::Error::missing_field("version"))?,
                // An absent value and `null` look alike here; a unit record's text is `null`.
                json: value.map_or("null", RawValue::get).to_owned(),
            },
        };
        Ok(Self { kind: Cow::Owned(kind.into_owned()), key, change })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(op: &Op, json: &str) {
        assert_eq!(serde_json::to_string(op).unwrap(), json);
        assert_eq!(&serde_json::from_str::<Op>(json).unwrap(), op);
    }

    fn op(key: &[u8], change: Change) -> Op {
        Op { kind: "seen".into(), key: key.to_vec(), change }
    }

    #[test]
    fn every_change_has_one_text() {
        check(&op(b"", Change::Delete), r#"{"op":"delete","kind":"seen","key":""}"#);
        let put = Change::Put { version: 2, json: r#"{"z":1.10,"a":[null]}"#.into() };
        let text = r#"{"op":"put","kind":"seen","version":2,"key":"00ff","value":{"z":1.10,"a":[null]}}"#;
        check(&op(b"\x00\xff", put), text);
    }

    #[test]
    fn a_null_value_is_a_value() {
        let put = op(b"a", Change::Put { version: 1, json: "null".into() });
        let text = serde_json::to_string(&put).unwrap();
        assert_eq!(serde_json::from_str::<Op>(&text).unwrap(), put);
    }

    #[test]
    fn unknown_words_are_refused() {
        assert!(serde_json::from_str::<Op>(r#"{"op":"append","kind":"a","key":""}"#).is_err());
        assert!(serde_json::from_str::<Op>(r#"{"op":"delete","kind":"a","key":"","ttl":1}"#).is_err());
        assert!(serde_json::from_str::<Op>(r#"{"op":"delete","kind":"a","key":"0G"}"#).is_err());
        assert!(serde_json::from_str::<Op>(r#"{"op":"put","kind":"a","key":"00","value":1}"#).is_err());
    }
}
