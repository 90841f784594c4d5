//! What a file is, told by its first bytes.
//!
//! A podcast app believes the type and the extension of an enclosure, so both follow the content and agree with each
//! other; the name the file came with decides only where one container holds several kinds, and for what is neither
//! audio nor video.
//!
//! Source: the containers' own magic numbers; the types that podcast directories take (`audio/mpeg`, `audio/x-m4a`,
//! `video/mp4`, `video/x-m4v`, `video/quicktime`, `application/pdf`), else IANA's names.

use std::io::{self, Read};
use std::path::Path;

/// The type of what is neither audio nor video nor a document that apps take.
pub(crate) const BYTES: &str = "application/octet-stream";

/// How many bytes of a file [`of`] wants to see.
const HEAD: u64 = 512;

/// What is served under, and named as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// The media type of the enclosure.
    pub(crate) mime: &'static str,
    /// The file extension that agrees with it, lower-case ASCII without the point; empty if there is none.
    pub(crate) extension: String,
}

impl Kind {
    /// Whether podcast apps play it.
    pub(crate) fn is_media(&self) -> bool {
        is_media(self.mime)
    }
}

/// Whether podcast apps play what is of this media type.
pub(crate) fn is_media(mime: &str) -> bool {
    mime.starts_with("audio/") || mime.starts_with("video/")
}

/// Reads the head of the file at `path` and tells what it is; `name` is what it was called when it came.
pub(crate) fn of_file(path: &Path, name: &Path) -> io::Result<Kind> {
    let mut head = Vec::new();
    std::fs::File::open(path)?.take(HEAD).read_to_end(&mut head)?;
    let extension = name.extension().and_then(|e| e.to_str()).unwrap_or_default();
    Ok(of(&head, extension))
}

/// What content that begins with `head` is, if its file name ended in `extension`.
pub(crate) fn of(head: &[u8], extension: &str) -> Kind {
    let extension = extension.to_ascii_lowercase();
    let named = extension.as_str();
    let (mime, extension) = match sniff(head, named) {
        Some(found) => found,
        None => match named {
            "pdf" if head.starts_with(b"%PDF-") => ("application/pdf", "pdf"),
            ext if ext.len() <= 8 && ext.bytes().all(|b| b.is_ascii_alphanumeric()) => (BYTES, ext),
            _ => (BYTES, ""),
        },
    };
    Kind { mime, extension: extension.to_owned() }
}

/// The type and extension of audio and video.
fn sniff<'a>(head: &[u8], named: &'a str) -> Option<(&'static str, &'a str)> {
    let at = |offset: usize, magic: &[u8]| head.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    let has = |magic: &[u8]| head.windows(magic.len()).any(|window| window == magic);
    Some(match head {
        _ if at(4, b"ftyp") => mp4(head.get(8..12)?, named),
        _ if at(0, b"ID3") && named == "aac" => ("audio/aac", "aac"),
        _ if at(0, b"ID3") => ("audio/mpeg", "mp3"),
        _ if at(0, b"OggS") && has(b"theora") => ("video/ogg", "ogv"),
        _ if at(0, b"OggS") && has(b"OpusHead") => ("audio/ogg", "opus"),
        _ if at(0, b"OggS") => ("audio/ogg", "ogg"),
        _ if at(0, b"fLaC") => ("audio/flac", "flac"),
        _ if at(0, b"RIFF") && at(8, b"WAVE") => ("audio/wav", "wav"),
        _ if at(0, b"RIFF") && at(8, b"AVI ") => ("video/x-msvideo", "avi"),
        _ if at(0, b"FORM") && (at(8, b"AIFF") || at(8, b"AIFC")) => ("audio/aiff", "aiff"),
        _ if at(0, b"caff") => ("audio/x-caf", "caf"),
        _ if at(0, b"wvpk") => ("audio/x-wavpack", "wv"),
        _ if at(0, b"MAC ") => ("audio/x-ape", "ape"),
        _ if at(0, b"MPCK") || at(0, b"MP+") => ("audio/x-musepack", "mpc"),
        _ if at(0, b"#!AMR") => ("audio/amr", "amr"),
        _ if at(0, &[0x1a, 0x45, 0xdf, 0xa3]) => matroska(has(b"webm"), named),
        _ if at(0, &[0x30, 0x26, 0xb2, 0x75]) && named == "wma" => ("audio/x-ms-wma", "wma"),
        _ if at(0, &[0x30, 0x26, 0xb2, 0x75]) => ("video/x-ms-wmv", "wmv"),
        _ if at(0, &[0, 0, 1, 0xba]) => ("video/mpeg", "mpg"),
        _ if at(0, &[0x47]) && at(188, &[0x47]) && at(376, &[0x47]) => ("video/mp2t", "ts"),
        [0xff, second, third, ..] => mpeg_audio(*second, *third)?,
        _ => return None,
    })
}

/// MPEG-4 files, Apple's among them, differ by their major brand; the general brands go by the file's name.
fn mp4(brand: &[u8], named: &str) -> (&'static str, &'static str) {
    match (brand, named) {
        (_, "m4b") => ("audio/x-m4a", "m4b"),
        (b"M4A " | b"M4B " | b"M4P ", _) | (_, "m4a") => ("audio/x-m4a", "m4a"),
        (b"qt  ", _) => ("video/quicktime", "mov"),
        (b"M4V " | b"M4VH" | b"M4VP", _) | (_, "m4v") => ("video/x-m4v", "m4v"),
        _ => ("video/mp4", "mp4"),
    }
}

fn matroska(is_webm: bool, named: &str) -> (&'static str, &'static str) {
    match (is_webm, named) {
        (true, "weba") => ("audio/webm", "weba"),
        (true, _) => ("video/webm", "webm"),
        (false, "mka") => ("audio/x-matroska", "mka"),
        (false, _) => ("video/x-matroska", "mkv"),
    }
}

/// Tells MPEG audio frames from AAC ones by the layer bits after the eleven bits of sync.
///
/// Layer I is left out: nobody publishes it, and a UTF-16 text begins with the same two bytes.
fn mpeg_audio(second: u8, third: u8) -> Option<(&'static str, &'static str)> {
    let synced = second & 0xe0 == 0xe0;
    match (second >> 1) & 0b11 {
        0 if second & 0xf0 == 0xf0 => Some(("audio/aac", "aac")),
        1 | 2 if synced && third >> 4 != 0xf && (third >> 2) & 0b11 != 0b11 => Some(("audio/mpeg", "mp3")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(head: &[u8], named: &str, mime: &str, extension: &str) {
        let kind = of(head, named);
        assert_eq!((kind.mime, kind.extension.as_str()), (mime, extension));
    }

    #[test]
    fn the_content_decides_and_not_the_name() {
        check(b"ID3\x04rest", "txt", "audio/mpeg", "mp3");
        check(&[0xff, 0xfb, 0x90, 0x64], "", "audio/mpeg", "mp3");
        check(&[0xff, 0xf1, 0x50, 0x80], "mp3", "audio/aac", "aac");
        check(b"RIFF\0\0\0\0WAVEfmt ", "mp3", "audio/wav", "wav");
        check(b"fLaC", "x", "audio/flac", "flac");
        check(b"OggS\0\x02........................OpusHead", "ogg", "audio/ogg", "opus");
    }

    #[test]
    fn one_container_of_several_kinds_goes_by_brand_then_by_name() {
        check(b"\0\0\0\x20ftypM4A \0\0", "mp4", "audio/x-m4a", "m4a");
        check(b"\0\0\0\x20ftypisom\0\0", "M4A", "audio/x-m4a", "m4a");
        check(b"\0\0\0\x20ftypisom\0\0", "mp4", "video/mp4", "mp4");
        check(b"\0\0\0\x20ftypqt  \0\0", "mp4", "video/quicktime", "mov");
        check(b"\x1a\x45\xdf\xa3....webm", "mkv", "video/webm", "webm");
    }

    #[test]
    fn what_is_neither_audio_nor_video_is_plain_bytes() {
        check(b"<html><script>", "html", "application/octet-stream", "html");
        check(b"hello", "mp3", "application/octet-stream", "mp3");
        check(b"%PDF-1.7", "pdf", "application/pdf", "pdf");
        check(b"x", "../../e", "application/octet-stream", "");
        check(b"", "", "application/octet-stream", "");
        assert!(!of(b"hello", "mp3").is_media());
    }

    #[test]
    fn a_utf_16_text_is_no_mp3() {
        check(&[0xff, 0xfe, 0x68, 0x00, 0x69, 0x00], "txt", "application/octet-stream", "txt");
    }
}
