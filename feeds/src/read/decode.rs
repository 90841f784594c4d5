//! Makes text of a document's bytes, whatever they claim to be.
//!
//! Headers and prologs lie, bytes do not: a byte order mark is believed first, then what is valid UTF-8, and only then
//! a declaration. Source: RFC 7303 §3; the WHATWG Encoding Standard, which `encoding_rs` implements.

use std::borrow::Cow;

use encoding_rs::{Encoding, ISO_2022_JP, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// The prolog is looked for in so many bytes.
const PROLOG_BYTES: usize = 512;

/// `bytes` as text. What cannot be decoded becomes U+FFFD.
pub(super) fn decode<'b>(bytes: &'b [u8], content_type: Option<&str>) -> Cow<'b, str> {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        return encoding.decode_without_bom_handling(&bytes[mark..]).0;
    }
    if let Some(encoding) = wide(bytes) {
        return encoding.decode_without_bom_handling(bytes).0;
    }
    let declared = || content_type.and_then(charset).or_else(|| prolog_encoding(bytes));
    match std::str::from_utf8(bytes) {
        // Seven-bit Japanese is the one declared encoding whose bytes are valid UTF-8 without meaning it.
        Ok(text) if !text.contains('\u{1b}') || declared() != Some(ISO_2022_JP) => Cow::Borrowed(text),
        _ => declared().unwrap_or(WINDOWS_1252).decode_without_bom_handling(bytes).0,
    }
}

/// UTF-16 without its mark shows by the first `<`.
fn wide(bytes: &[u8]) -> Option<&'static Encoding> {
    match bytes {
        [b'<', 0, ..] => Some(UTF_16LE),
        [0, b'<', ..] => Some(UTF_16BE),
        _ => None,
    }
}

/// The `charset` of a `Content-Type` header.
fn charset(content_type: &str) -> Option<&'static Encoding> {
    let mut parameters = content_type.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let (_, value) = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))?;
    narrow(value.trim().trim_matches(['"', '\'']))
}

/// The `encoding` of an XML declaration, wherever in the first bytes it stands.
fn prolog_encoding(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(PROLOG_BYTES)]);
    let declaration = head.split_once("<?xml")?.1.split_once("?>")?.0;
    let value = declaration.split_once("encoding")?.1.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    narrow(value[1..].split_once(quote)?.0.trim())
}

/// An encoding by its label. A document in which a label could be read is not in UTF-16, whatever it says.
fn narrow(label: &str) -> Option<&'static Encoding> {
    let encoding = Encoding::for_label(label.as_bytes())?;
    Some(if encoding == UTF_16LE || encoding == UTF_16BE { UTF_8 } else { encoding })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], content_type: Option<&str>, want: &str) {
        assert_eq!(decode(bytes, content_type), want);
    }

    #[test]
    fn a_mark_is_believed_and_removed() {
        check(b"\xef\xbb\xbf<r/>", Some("text/xml; charset=koi8-r"), "<r/>");
        check(b"\xff\xfe<\0r\0/\0>\0", None, "<r/>");
        check(b"\xfe\xff\0<\0r\0/\0>", None, "<r/>");
    }

    #[test]
    fn wide_text_without_a_mark_is_known_by_its_shape() {
        check(b"<\0r\0/\0>\0", None, "<r/>");
        check(b"\0<\0r\0/\0>", Some("text/xml; charset=utf-8"), "<r/>");
    }

    #[test]
    fn valid_utf8_is_utf8_whatever_is_declared() {
        let latin = "<?xml version='1.0' encoding='iso-8859-1'?>ü";
        check(latin.as_bytes(), Some("text/xml; charset=big5"), latin);
        let wide = "<?xml version='1.0' encoding='utf-16'?>ü";
        check(wide.as_bytes(), None, wide);
    }

    #[test]
    fn declared_legacy_encodings_are_decoded() {
        let prolog = "<?xml version=\"1.0\" encoding=\"windows-1251\"?>";
        check(&[prolog.as_bytes(), b"\xcf\xf0\xe8"].concat(), None, &format!("{prolog}При"));
        check(b"\xf0\xd2\xc9", Some("text/xml;charset=\"KOI8-R\""), "При");
        check(b"\xa4\xa4\xa4\xe5", Some("text/xml; Charset = big5"), "中文");
        check(b"\x1b$B$3\x1b(B", Some("text/xml; charset=iso-2022-jp"), "こ");
        check(b"caf\xe9", None, "café");
    }

    #[test]
    fn broken_utf8_that_was_declared_keeps_its_good_characters() {
        check(b"\xc3\xbc \xff", Some("text/xml; charset=utf-8"), "ü \u{fffd}");
        check(b"<?xml encoding='utf-16'?>\xc3\xbc \xff", None, "<?xml encoding='utf-16'?>ü \u{fffd}");
    }

    #[test]
    fn utf7_is_not_decoded() {
        check(b"+ADw-script+AD4-", Some("text/xml; charset=utf-7"), "+ADw-script+AD4-");
    }
}
