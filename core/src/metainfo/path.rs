//! Names of files that are safe to create.
//!
//! A torrent's author chooses its file names. They become a [`TorrentPath`] when the torrent is parsed or not at all,
//! so no later part has to doubt them: joined to a folder, such a path stays inside it, on every system.
//!
//! Refused are names that lead elsewhere (`..`, separators, NUL) and names that show people something else than they
//! are (control characters, bidirectional overrides, invisible spaces). Names longer than a file system takes are cut,
//! and keep their extension. Names that only Windows refuses (`CON`, `a:b`, `a.`) are kept, and changed where they
//! meet a Windows file system.
//!
//! Law: [`TorrentPath::to_path_buf`] is relative and has no `..`.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use data_encoding::HEXLOWER;
use icu_normalizer::ComposingNormalizer;
use sha1::{Digest, Sha1};

/// A relative path of one or more safe names.
///
/// Order is that of the text with `/` between the names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TorrentPath(Box<str>);

/// Why a name cannot be a file's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// No name at all.
    #[error("a file path is empty")]
    NoName,
    /// An empty name.
    #[error("a file path has an empty name in it")]
    EmptyName,
    /// `.` or `..`.
    #[error("file name \"{name}\" leads out of its folder")]
    Dots {
        /// The name.
        name: String,
    },
    /// `/` or `\` within a name.
    #[error("file name \"{name}\" has a path separator in it")]
    Separator {
        /// The name, escaped and shortened.
        name: String,
    },
    /// NUL, another control character, a bidirectional override or an invisible character.
    #[error("file name \"{name}\" has the forbidden character U+{:04X} in it", u32::from(*.found))]
    Character {
        /// The name, escaped and shortened.
        name: String,
        /// The character.
        found: char,
    },
    /// Not UTF-8, as BEP 3 asks.
    #[error("file name \"{name}\" is not UTF-8")]
    NotUtf8 {
        /// The name, escaped and shortened.
        name: String,
    },
    /// More names than [`TorrentPath::MAX_DEPTH`].
    #[error("a file path is more than {} folders deep", TorrentPath::MAX_DEPTH)]
    TooDeep,
}

impl TorrentPath {
    /// The most names in one path.
    pub const MAX_DEPTH: usize = 100;

    /// The most bytes in one name, as most file systems have it.
    pub const MAX_NAME_BYTES: usize = 255;

    /// The path with these names, outermost first. Names that are too long are cut; everything else is kept or refused.
    pub fn new<N: AsRef<[u8]>>(names: impl IntoIterator<Item = N>) -> Result<Self, PathError> {
        let mut path = String::new();
        for (depth, name) in names.into_iter().enumerate() {
            if depth == Self::MAX_DEPTH {
                return Err(PathError::TooDeep);
            }
            if depth > 0 {
                path.push('/');
            }
            path.push_str(&cut(checked(name.as_ref())?));
        }
        if path.is_empty() {
            return Err(PathError::NoName);
        }
        Ok(Self(path.into_boxed_str()))
    }

    /// The names, outermost first; at least one.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// The last name.
    pub fn file_name(&self) -> &str {
        self.components().next_back().expect("a path has at least one name")
    }

    /// The path as text, with `/` between the names.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path on this system's disks, to be joined to a folder.
    ///
    /// On Windows, names that it reserves are changed: `con.mp3` to `_con.mp3`, `a:b` to `a_b`, `a.` to `a_`.
    pub fn to_path_buf(&self) -> PathBuf {
        if cfg!(windows) {
            self.components().map(windows_name).map(Cow::into_owned).collect()
        } else {
            (*self.0).into()
        }
    }

    /// The path as the least careful file systems see it: without case, accents composed, Windows' changes made.
    ///
    /// Two paths with one such key would be one file on some system. Names are ended by NUL, which sorts before every
    /// character of a name, so a folder's key comes right before those of what is in it.
    pub(super) fn collision_key(&self) -> String {
        let normalizer = ComposingNormalizer::new_nfc();
        self.components().fold(String::new(), |mut key, name| {
            let name = windows_name(name);
            let lower: String = normalizer.normalize(&name).chars().flat_map(char::to_lowercase).collect();
            key.push_str(&lower);
            key.push('\0');
            key
        })
    }
}

impl fmt::Display for TorrentPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TorrentPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// The name as text, if it is safe.
fn checked(bytes: &[u8]) -> Result<&str, PathError> {
    let Ok(name) = str::from_utf8(bytes) else {
        return Err(PathError::NotUtf8 { name: shown(&String::from_utf8_lossy(bytes)) });
    };
    match name {
        "" => return Err(PathError::EmptyName),
        "." | ".." => return Err(PathError::Dots { name: name.to_owned() }),
        _ => {}
    }
    if name.contains(['/', '\\']) {
        return Err(PathError::Separator { name: shown(name) });
    }
    match name.chars().find(|c| is_deceptive(*c)) {
        Some(found) => Err(PathError::Character { name: shown(name), found }),
        None => Ok(name),
    }
}

/// Whether the character hides, moves or breaks the text around it.
///
/// Joiners and direction marks are allowed: Persian, Arabic and emoji names need them.
pub(super) fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{200b}' | '\u{2060}' | '\u{feff}'        // invisible spaces
            | '\u{2028}' | '\u{2029}'                   // line and paragraph separators
            | '\u{202a}'..='\u{202e}'                   // bidirectional embeddings and overrides
            | '\u{2066}'..='\u{2069}'                   // bidirectional isolates
        )
}

/// The name, or one of at most 255 bytes that keeps its extension and stays apart from others cut at the same place.
fn cut(name: &str) -> Cow<'_, str> {
    if name.len() <= TorrentPath::MAX_NAME_BYTES {
        return Cow::Borrowed(name);
    }
    let extension = match name.rsplit_once('.') {
        Some((_, extension)) if extension.len() <= MAX_EXTENSION_BYTES => &name[name.len() - extension.len() - 1..],
        _ => "",
    };
    let tag = HEXLOWER.encode(&Sha1::digest(name.as_bytes())[..4]);
    let room = TorrentPath::MAX_NAME_BYTES - extension.len() - tag.len() - 1;
    let stem = &name[..name.floor_char_boundary(room)];
    Cow::Owned(format!("{stem}~{tag}{extension}"))
}

/// The name as Windows can have it.
fn windows_name(name: &str) -> Cow<'_, str> {
    let is_reserved = |c| matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*');
    let ends_badly = name.ends_with(['.', ' ']);
    let stem = name.split('.').next().expect("a split text has a first part").trim_end();
    if !name.contains(is_reserved) && !ends_badly && !is_device(stem) {
        return Cow::Borrowed(name);
    }
    let mut safe = name.replace(is_reserved, "_");
    if ends_badly {
        safe.pop();
        safe.push('_');
    }
    if is_device(stem) {
        safe.insert(0, '_');
    }
    Cow::Owned(safe)
}

/// Whether Windows takes the name for a device, whatever extension follows.
fn is_device(stem: &str) -> bool {
    let upper = stem.to_ascii_uppercase();
    let numbered = || {
        let number = upper.strip_prefix("COM").or_else(|| upper.strip_prefix("LPT"))?;
        let mut digits = number.chars();
        let digit = digits.next()?;
        (digits.next().is_none() && matches!(digit, '0'..='9' | '¹' | '²' | '³')).then_some(())
    };
    matches!(upper.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$") || numbered().is_some()
}

/// The name for a message: escaped, and no longer than a line.
fn shown(name: &str) -> String {
    let mut escaped: String = name.chars().take(SHOWN_CHARS).flat_map(char::escape_debug).collect();
    if name.chars().nth(SHOWN_CHARS).is_some() {
        escaped.push('…');
    }
    escaped
}

/// The longest extension that a cut name keeps, in bytes.
const MAX_EXTENSION_BYTES: usize = 16;

/// How many characters of a name a message shows.
const SHOWN_CHARS: usize = 60;

#[cfg(test)]
mod tests {
    use std::path::Component;

    use proptest::prelude::*;

    use super::*;

    fn one(name: &str) -> Result<TorrentPath, PathError> {
        TorrentPath::new([name])
    }

    #[track_caller]
    fn refused(name: &[u8], sentence: &str) {
        assert_eq!(TorrentPath::new([name]).unwrap_err().to_string(), sentence);
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        refused(b"", "a file path has an empty name in it");
        refused(b".", "file name \".\" leads out of its folder");
        refused(b"..", "file name \"..\" leads out of its folder");
        refused(b"/etc/passwd", "file name \"/etc/passwd\" has a path separator in it");
        refused(b"a/../../x", "file name \"a/../../x\" has a path separator in it");
        refused(br"..\..\x", r#"file name "..\\..\\x" has a path separator in it"#);
        refused(b"a\0b", "file name \"a\\0b\" has the forbidden character U+0000 in it");
        refused(b"\xc0\xae\xc0\xae", "file name \"\u{fffd}\u{fffd}\u{fffd}\u{fffd}\" is not UTF-8");
        assert_eq!(TorrentPath::new([""; 0]).unwrap_err(), PathError::NoName);
    }

    #[test]
    fn names_that_deceive_are_refused_and_shown_escaped() {
        refused(
            "gpj\u{202e}.exe".as_bytes(),
            "file name \"gpj\\u{202e}.exe\" has the forbidden character U+202E in it",
        );
        refused(b"\x1b[2J", "file name \"\\u{1b}[2J\" has the forbidden character U+001B in it");
        assert!(one("a\u{200b}b").is_err());
    }

    #[test]
    fn names_in_any_script_are_kept() {
        for name in ["Folge 1: Öl & <Brot>.mp3", "می‌خواهم.ogg", "👩‍💻.m4a", "...", " a", "con.mp3", "a."]
        {
            assert_eq!(one(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn depth_is_bounded() {
        assert!(TorrentPath::new(["a"; TorrentPath::MAX_DEPTH]).is_ok());
        assert_eq!(TorrentPath::new(["a"; TorrentPath::MAX_DEPTH + 1]), Err(PathError::TooDeep));
    }

    #[test]
    fn long_names_are_cut_between_characters_keep_their_extension_and_stay_apart() {
        let (long, other) = ("é".repeat(200) + "1.mp3", "é".repeat(200) + "2.mp3");
        let (long, other) = (one(&long).unwrap(), one(&other).unwrap());
        assert!((250..=255).contains(&long.as_str().len()));
        assert_eq!(long.as_str().rsplit_once('.').unwrap().1, "mp3");
        assert_ne!(long, other);
        assert_eq!(one(&"x".repeat(100_000)).unwrap().as_str().len(), 255);
        assert_eq!(one(&"x".repeat(255)).unwrap().as_str(), "x".repeat(255));
    }

    #[test]
    fn windows_gets_names_that_it_can_have() {
        for (name, safe) in [
            ("con", "_con"),
            ("NUL.tar.gz", "_NUL.tar.gz"),
            ("com1 .txt", "_com1 .txt"),
            ("LPT².x", "_LPT².x"),
            ("computer.mp3", "computer.mp3"),
            ("a:b?.mp3", "a_b_.mp3"),
            ("a.", "a_"),
            ("b ", "b_"),
            ("episode.mp3", "episode.mp3"),
        ] {
            assert_eq!(windows_name(name), safe);
        }
    }

    #[test]
    fn paths_that_are_one_file_somewhere_have_one_key() {
        let key = |name| one(name).unwrap().collision_key();
        assert_eq!(key("README"), key("readme"));
        assert_eq!(key("caf\u{e9}"), key("cafe\u{301}"));
        assert_eq!(key("a:"), key("a_"));
        assert_ne!(key("a"), key("b"));
    }

    proptest! {
        #[test]
        fn no_name_leaves_its_folder(names in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..5), 0..5)) {
            if let Ok(path) = TorrentPath::new(&names) {
                prop_assert!(path.to_path_buf().components().all(|c| matches!(c, Component::Normal(_))));
                prop_assert_eq!(path.components().count(), names.len());
            }
        }
    }
}
