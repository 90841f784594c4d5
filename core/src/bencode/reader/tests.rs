//! What the reader takes and what it refuses, rule by rule.

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
    assert_eq!(read(bytes.as_ref(), Limits::METAINFO).map(|raw| raw.as_bytes().to_vec()), Ok(bytes.as_ref().into()));
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
        let bytes = crate::bencode::encode(&value);
        prop_assert_eq!(rebuild(read(&bytes, Limits::METAINFO).unwrap()), value);
    }

    #[test]
    fn every_truncation_is_refused(value in any_value(), cut in any::<prop::sample::Index>()) {
        let bytes = crate::bencode::encode(&value);
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
