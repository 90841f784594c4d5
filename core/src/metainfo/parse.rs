//! Reading and writing the bytes of a `.torrent` file.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_bytes::ByteBuf;
use url::Url;

use super::{
    FileEntry, HASH_LENGTH, Info, InfoHash, Metainfo, MetainfoError, PieceHashes, PieceLayers, TorrentPath, printable,
    tree,
};
use crate::bencode::{self, Limits, Raw, reader};
use crate::layout::BLOCK_LENGTH;

impl Metainfo {
    /// Reads a `.torrent` file of at most 10 MB.
    ///
    /// Outside `info` it is lenient: a tracker that is no URL or a comment that is no text is left out. Inside it is
    /// strict, because there a second reading would be another torrent under the same name.
    pub fn parse(bytes: &[u8]) -> Result<Self, MetainfoError> {
        let root = reader::read(bytes, Limits::METAINFO)?;
        let entries = root.dict().ok_or(MetainfoError::NotDictionary { got: root.kind() })?;
        let info = root.get(b"info").ok_or(MetainfoError::Missing { key: "info" })?;
        let mut metainfo = Self::from_info_bytes(info.as_bytes())?;
        let (mut announce, mut tiers) = (None, Vec::new());
        for (key, value) in entries {
            match key {
                b"info" => {}
                b"announce" => announce = url(value),
                b"announce-list" => tiers = tracker_tiers(value),
                b"url-list" => metainfo.web_seeds = urls(value),
                b"comment" => metainfo.comment = text(value),
                b"created by" => metainfo.created_by = text(value).map(|name| name.replace(['\n', '\t'], " ")),
                b"creation date" => metainfo.creation_date = value.integer(),
                b"piece layers" if metainfo.info.is_v2() => {
                    metainfo.layers = PieceLayers::parse(&metainfo.info, value)?;
                }
                _ => metainfo.other.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value.as_bytes()))),
            }
        }
        if metainfo.lacks_layers() {
            return Err(MetainfoError::NoLayers);
        }
        // BEP 12: the list replaces the single tracker.
        metainfo.trackers = if tiers.is_empty() { announce.map(|url| vec![url]).into_iter().collect() } else { tiers };
        Ok(metainfo)
    }

    /// Reads the bare `info`, as peers hand it out for a magnet link (BEP 9). It names no trackers, and a v2 one may
    /// lack the hashes of its pieces.
    ///
    /// Whether it is the `info` that was asked for is for the caller to see, by [`Metainfo::info_hash`].
    pub fn from_info_bytes(info: &[u8]) -> Result<Self, MetainfoError> {
        let info_bytes = Bytes::copy_from_slice(info);
        let info = parse_info(&info_bytes)?;
        let info_hash = match (&info.pieces, info.is_v2()) {
            (Some(_), false) => InfoHash::of_v1_info(&info_bytes),
            (Some(_), true) => InfoHash::of_hybrid_info(&info_bytes),
            (None, _) => InfoHash::of_v2_info(&info_bytes),
        };
        let layers = if info.is_v2() { PieceLayers::gather(&info, |_| None)? } else { None };
        Ok(Self {
            info,
            layers,
            info_hash,
            trackers: Vec::new(),
            web_seeds: Vec::new(),
            comment: None,
            created_by: None,
            creation_date: None,
            info_bytes,
            other: Vec::new(),
        })
    }

    /// The bytes of the `.torrent` file, keys in order; those of `info` are the ones that were read.
    pub fn encode(&self) -> Vec<u8> {
        let mut entries: Vec<(&[u8], Vec<u8>)> =
            self.other.iter().map(|(key, value)| (&**key, value.to_vec())).collect();
        let mut put = |key: &'static str, value: Vec<u8>| entries.push((key.as_bytes(), value));
        put("info", self.info_bytes.to_vec());
        if let Some(first) = self.trackers.iter().flatten().next() {
            put("announce", bencode::encode(first));
            if self.trackers.iter().flatten().count() > 1 {
                put("announce-list", bencode::encode(&self.trackers));
            }
        }
        if !self.web_seeds.is_empty() {
            put("url-list", bencode::encode(&self.web_seeds));
        }
        for (key, text) in [("comment", &self.comment), ("created by", &self.created_by)] {
            if let Some(text) = text {
                put(key, bencode::encode(text));
            }
        }
        if let Some(date) = self.creation_date {
            put("creation date", bencode::encode(&date));
        }
        if let Some(layers) = &self.layers {
            entries.push((b"piece layers", layers.encode(&self.info)));
        }
        entries.sort_unstable_by_key(|(key, _)| *key);

        let mut out = vec![b'd'];
        for (key, value) in entries {
            bencode::write_string(&mut out, key);
            out.extend_from_slice(&value);
        }
        out.push(b'e');
        out
    }
}

/// The keys of `info` that matter, as they stand.
#[derive(Default)]
struct RawInfo<'a> {
    name: Option<Raw<'a>>,
    name_utf8: Option<Raw<'a>>,
    piece_length: Option<Raw<'a>>,
    pieces: Option<Raw<'a>>,
    length: Option<Raw<'a>>,
    files: Option<Raw<'a>>,
    private: Option<Raw<'a>>,
    version: Option<Raw<'a>>,
    attributes: Option<Raw<'a>>,
    symlink: Option<Raw<'a>>,
    tree: Option<Raw<'a>>,
}

impl<'a> RawInfo<'a> {
    fn of(info: Raw<'a>) -> Result<Self, MetainfoError> {
        let mut found = Self::default();
        for (key, value) in info.dict().ok_or_else(|| wrong_type("info", info, "dictionary"))? {
            let field = match key {
                b"name" => &mut found.name,
                b"name.utf-8" => &mut found.name_utf8,
                b"piece length" => &mut found.piece_length,
                b"pieces" => &mut found.pieces,
                b"length" => &mut found.length,
                b"files" => &mut found.files,
                b"private" => &mut found.private,
                b"meta version" => &mut found.version,
                b"file tree" => &mut found.tree,
                b"attr" => &mut found.attributes,
                b"symlink path" => &mut found.symlink,
                _ => continue,
            };
            *field = Some(value);
        }
        Ok(found)
    }
}

/// One entry of `files`.
#[derive(Deserialize)]
struct RawFile {
    length: i64,
    path: Vec<ByteBuf>,
    /// Written by old programs whose `path` is in another encoding.
    #[serde(rename = "path.utf-8")]
    path_utf8: Option<Vec<ByteBuf>>,
    #[serde(rename = "attr")]
    attributes: Option<ByteBuf>,
    #[serde(rename = "symlink path")]
    symlink: Option<IgnoredAny>,
}

/// The info. The hashes stay where they are in `bytes`.
fn parse_info(bytes: &Bytes) -> Result<Info, MetainfoError> {
    let raw = RawInfo::of(reader::read(bytes, Limits::METAINFO)?)?;
    let version = raw.version.map_or(Ok(1), |version| integer("meta version", version))?;
    let tree = match version {
        1 => None,
        2 => Some(tree::parse(required("file tree", raw.tree)?)?),
        got => return Err(MetainfoError::Version { got }),
    };
    let name = TorrentPath::new([string("name", required("name", raw.name_utf8.or(raw.name))?)?])?;
    let piece_length = parse_piece_length(required("piece length", raw.piece_length)?)?;
    if tree.is_some() && !(piece_length.is_power_of_two() && piece_length >= BLOCK_LENGTH) {
        return Err(MetainfoError::PieceLengthV2 { got: piece_length });
    }
    let private = raw.private.and_then(Raw::integer) == Some(1);
    let is_v2_alone = tree.is_some() && raw.pieces.is_none();
    let (files, is_single_file) = match tree {
        Some(tree) if is_v2_alone => {
            check_apart(&tree)?;
            let is_single_file = matches!(&tree[..], [file] if file.path == name);
            (tree::align(tree, piece_length, tree::Tail::Padded)?, is_single_file)
        }
        tree => {
            let (mut files, is_single_file) = parse_v1_files(&raw, &name)?;
            if let Some(tree) = tree {
                tree::unite(&mut files, tree, piece_length)?;
            }
            (files, is_single_file)
        }
    };
    let want = count_pieces(piece_length, &files)?;
    let pieces = if is_v2_alone {
        // There is no list of hashes that would have to be as long.
        if want > MAX_PIECES {
            return Err(MetainfoError::TooManyPieces { got: want });
        }
        None
    } else {
        let hashes = string("pieces", required("pieces", raw.pieces)?)?;
        check_hashes(hashes, want)?;
        Some(PieceHashes(bytes.slice_ref(hashes)))
    };
    Ok(Info { name, piece_length, pieces, files, is_single_file, private })
}

/// The files of a v1 or hybrid torrent, and whether they are one without a folder.
fn parse_v1_files(raw: &RawInfo<'_>, name: &TorrentPath) -> Result<(Vec<FileEntry>, bool), MetainfoError> {
    match (raw.length, raw.files) {
        (Some(_), Some(_)) => Err(MetainfoError::LengthAndFiles),
        (None, None) => Err(MetainfoError::Missing { key: "length" }),
        (Some(length), None) => {
            let attributes = raw.attributes.and_then(Raw::string).unwrap_or_default();
            if raw.symlink.is_some() || attributes.contains(&b'l') {
                return Err(MetainfoError::Symlink { path: name.clone() });
            }
            let length = file_length(name, integer("length", length)?)?;
            Ok((vec![FileEntry::new(name.clone(), length)], true))
        }
        (None, Some(files)) => Ok((parse_files(files)?, false)),
    }
}

fn parse_piece_length(raw: Raw<'_>) -> Result<u32, MetainfoError> {
    let got = integer("piece length", raw)?;
    u32::try_from(got)
        .ok()
        .filter(|length| (Info::MIN_PIECE_LENGTH..=Info::MAX_PIECE_LENGTH).contains(length))
        .ok_or(MetainfoError::PieceLength { got })
}

fn parse_files(raw: Raw<'_>) -> Result<Vec<FileEntry>, MetainfoError> {
    let entries = raw.list().ok_or_else(|| wrong_type("files", raw, "list"))?;
    let mut files = Vec::new();
    for (index, entry) in entries.enumerate() {
        if index == Info::MAX_FILES {
            return Err(MetainfoError::TooManyFiles);
        }
        let entry: RawFile = entry.decode().map_err(|source| MetainfoError::File { index, source })?;
        let path = TorrentPath::new(entry.path_utf8.unwrap_or(entry.path))?;
        let attributes = entry.attributes.unwrap_or_default();
        if entry.symlink.is_some() || attributes.contains(&b'l') {
            return Err(MetainfoError::Symlink { path });
        }
        let length = file_length(&path, entry.length)?;
        files.push(FileEntry { is_pad: attributes.contains(&b'p'), ..FileEntry::new(path, length) });
    }
    check_apart(&files)?;
    Ok(files)
}

/// Sees that every file has a place of its own, on every system. O(n log n).
fn check_apart(files: &[FileEntry]) -> Result<(), MetainfoError> {
    let on_disk = files.iter().filter(|file| !file.is_pad);
    let mut keys: Vec<(String, &TorrentPath)> = on_disk.map(|file| (file.path.collision_key(), &file.path)).collect();
    keys.sort_unstable();
    for pair in keys.windows(2) {
        let [(first_key, first), (second_key, second)] = pair else { unreachable!("windows of two") };
        if first == second {
            return Err(MetainfoError::Twice { path: (*first).clone() });
        }
        if first_key == second_key {
            return Err(MetainfoError::Collision { first: (*first).clone(), second: (*second).clone() });
        }
        if second_key.starts_with(first_key) {
            return Err(MetainfoError::FileAndFolder { file: (*first).clone(), inside: (*second).clone() });
        }
    }
    Ok(())
}

/// The number of pieces that the files make, if they are not empty.
fn count_pieces(piece_length: u32, files: &[FileEntry]) -> Result<u64, MetainfoError> {
    let total = files
        .iter()
        .try_fold(0_u64, |sum, file| sum.checked_add(file.length))
        .filter(|total| *total <= i64::MAX.unsigned_abs())
        .ok_or(MetainfoError::TooLong)?;
    if files.iter().all(|file| file.is_pad || file.length == 0) {
        return Err(MetainfoError::Empty);
    }
    Ok(total.div_ceil(u64::from(piece_length)))
}

/// Sees that there is one hash for each piece.
fn check_hashes(hashes: &[u8], want: u64) -> Result<(), MetainfoError> {
    if !hashes.len().is_multiple_of(HASH_LENGTH) {
        return Err(MetainfoError::Hashes { got: hashes.len() });
    }
    let got = (hashes.len() / HASH_LENGTH) as u64;
    if got == want { Ok(()) } else { Err(MetainfoError::PieceCount { got, want }) }
}

fn file_length(path: &TorrentPath, got: i64) -> Result<u64, MetainfoError> {
    u64::try_from(got).map_err(|_| MetainfoError::FileLength { path: path.clone(), got })
}

fn required<'a>(key: &'static str, raw: Option<Raw<'a>>) -> Result<Raw<'a>, MetainfoError> {
    raw.ok_or(MetainfoError::Missing { key })
}

fn integer(key: &'static str, raw: Raw<'_>) -> Result<i64, MetainfoError> {
    raw.integer().ok_or_else(|| wrong_type(key, raw, "integer"))
}

fn string<'a>(key: &'static str, raw: Raw<'a>) -> Result<&'a [u8], MetainfoError> {
    raw.string().ok_or_else(|| wrong_type(key, raw, "string"))
}

fn wrong_type(key: &'static str, raw: Raw<'_>, want: &'static str) -> MetainfoError {
    MetainfoError::WrongType { key, got: raw.kind(), want }
}

/// The trackers of `announce-list`, each once. A string where a tier should be is a tier of its own.
fn tracker_tiers(raw: Raw<'_>) -> Vec<Vec<String>> {
    let mut tiers: Vec<Vec<String>> = Vec::new();
    let mut left = MAX_URLS;
    for entry in raw.list().into_iter().flatten().take(MAX_URLS) {
        let mut tier = urls(entry);
        tier.retain(|url| !tiers.iter().flatten().any(|known| known == url));
        tier.truncate(left);
        left -= tier.len();
        if !tier.is_empty() {
            tiers.push(tier);
        }
    }
    tiers
}

/// The URLs of a list, or of a single string; each once.
fn urls(raw: Raw<'_>) -> Vec<String> {
    let entries = raw.list().map_or_else(|| vec![raw], |entries| entries.take(MAX_URLS).collect());
    let mut urls = Vec::new();
    for found in entries.into_iter().filter_map(url) {
        if !urls.contains(&found) {
            urls.push(found);
        }
    }
    urls
}

fn url(raw: Raw<'_>) -> Option<String> {
    let text = str::from_utf8(raw.string()?).ok()?.trim();
    is_url(text).then(|| text.to_owned())
}

/// Whether the text is an absolute URL with a host, and nothing but that.
pub(super) fn is_url(text: &str) -> bool {
    text.len() <= MAX_URL_BYTES
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
        && Url::parse(text).is_ok_and(|url| url.has_host())
}

fn text(raw: Raw<'_>) -> Option<String> {
    raw.string().and_then(|bytes| str::from_utf8(bytes).ok()).map(printable)
}

/// The most pieces that are read.
pub(super) const MAX_PIECES: u64 = Limits::METAINFO.bytes as u64 / HASH_LENGTH as u64;

/// The most trackers, and the most web seeds, that are taken from one torrent.
pub(super) const MAX_URLS: usize = 100;

/// The longest URL that is taken, in bytes.
const MAX_URL_BYTES: usize = 2048;
