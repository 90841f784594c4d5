//! What a link to a file says of itself: whether it is a torrent, a magnet link or media, and how long.
//!
//! A type is believed before a name; what says nothing, `application/octet-stream`, is judged by its name.

use rss::extension::Extension;

/// No content is longer; what says so does not mean it. 1 PiB.
const MAX_LENGTH: u64 = 1 << 50;

/// A link to a file, as an enclosure and its kin write it.
#[derive(Clone, Copy)]
pub(super) struct FileLink<'m> {
    pub(super) url: &'m str,
    /// Its type as it stands; empty if it has none.
    pub(super) mime: &'m str,
    pub(super) length: Option<u64>,
    /// Its playing time, in seconds.
    pub(super) duration: Option<&'m str>,
    pub(super) is_default: bool,
}

impl<'m> FileLink<'m> {
    /// `enclosure`, `media:content` and `media:peerLink` by their attributes.
    pub(super) fn of(element: &'m Extension) -> Self {
        let attr = |name: &str| element.attrs.get(name).map(String::as_str);
        Self {
            url: attr("url").or_else(|| attr("href")).unwrap_or_default(),
            mime: attr("type").unwrap_or_default(),
            length: attr("length").or_else(|| attr("filesize")).and_then(length),
            duration: attr("duration"),
            is_default: attr("isdefault") == Some("true"),
        }
    }

    /// What an alternate enclosure says of each of its sources.
    pub(super) fn of_alternate(alternate: &'m Extension) -> Self {
        let attr = |name: &str| alternate.attrs.get(name).map(String::as_str);
        Self {
            url: "",
            mime: attr("type").unwrap_or_default(),
            length: attr("length").and_then(length),
            duration: None,
            is_default: true,
        }
    }

    /// A torrent by its type, or by its name unless the type says that it is media.
    pub(super) fn is_torrent(&self) -> bool {
        is_torrent_type(self.mime) || (!is_media_type(self.mime) && path_is_torrent(self.url))
    }

    /// Audio or video by its type, or by its name where the type says nothing.
    pub(super) fn is_media(&self) -> bool {
        let says_nothing =
            matches!(essence(self.mime).as_str(), "" | "application/octet-stream" | "binary/octet-stream");
        is_media_type(self.mime) || (says_nothing && has_media_name(self.url))
    }

    /// Sound or moving pictures, by its type or by its name where the type says nothing.
    pub(super) fn is_played(&self) -> bool {
        let essence = essence(self.mime);
        let is_text = ["application/pdf", "application/epub+zip"].contains(&essence.as_str());
        self.is_media() && !is_text
    }
}

/// A length that can be meant. Feeds write 0 and 1 where they do not know.
pub(super) fn length(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|length| (2..=MAX_LENGTH).contains(length))
}

/// A type in lower case and without parameters.
pub(super) fn essence(mime: &str) -> String {
    mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Parameters and other types may follow: some sites write `application/x-bittorrent;x-scheme-handler/magnet`.
pub(super) fn is_torrent_type(mime: &str) -> bool {
    essence(mime).starts_with("application/x-bittorrent")
}

/// Audio, video, and the documents that Apple lets podcasts carry. A playlist is no file.
fn is_media_type(mime: &str) -> bool {
    let essence = essence(mime);
    let other = ["application/ogg", "application/mp4", "application/pdf", "application/epub+zip"];
    let is_playlist = essence.ends_with("mpegurl") || essence.ends_with("scpls");
    let is_media = essence.starts_with("audio/") || essence.starts_with("video/") || other.contains(&essence.as_str());
    is_media && !is_playlist
}

pub(super) fn is_magnet(link: &str) -> bool {
    link.trim_start().as_bytes().get(..7).is_some_and(|start| start.eq_ignore_ascii_case(b"magnet:"))
}

/// A link without its query and fragment.
fn path(link: &str) -> &str {
    link.split(['?', '#']).next().unwrap_or_default().trim()
}

pub(super) fn path_is_torrent(link: &str) -> bool {
    !is_magnet(link) && ends_with_ignore_case(path(link), ".torrent")
}

/// A script whose last argument is the name of a torrent.
pub(super) fn query_is_torrent(link: &str) -> bool {
    link.contains('?') && ends_with_ignore_case(link.trim(), ".torrent")
}

fn has_media_name(link: &str) -> bool {
    const EXTENSIONS: [&str; 14] = [
        ".mp3", ".m4a", ".m4b", ".mp4", ".m4v", ".mov", ".ogg", ".oga", ".ogv", ".opus", ".flac", ".aac", ".webm",
        ".wav",
    ];
    EXTENSIONS.iter().any(|extension| ends_with_ignore_case(path(link), extension))
}

fn ends_with_ignore_case(text: &str, end: &str) -> bool {
    let start = text.len().checked_sub(end.len());
    start.is_some_and(|start| text.as_bytes()[start..].eq_ignore_ascii_case(end.as_bytes()))
}
