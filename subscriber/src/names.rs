//! Names the folders and files of the library for people: `Show/2026-11-20 Title.mp3`.
//!
//! Titles come from feeds and may hold anything. What comes out is one path component that every common file system
//! takes, that shows on a terminal as it is, and that stays inside its folder.
//!
//! Knows nothing of the disk: what is taken already is an argument.
//!
//! Law: a name is never empty, has at most [`MAX_NAME`] bytes, does not begin or end with a dot or a blank, and holds
//! no separator, control character or character that turns the direction of writing.
//!
//! Source: the reserved names and characters of Windows, the strictest of the systems.

/// Bytes a name may have. File systems allow 255; the rest is for `.NAME.part` while it is being fetched.
pub const MAX_NAME: usize = 240;

/// Bytes left free for ` (999)` behind a name.
const NUMBER_ROOM: usize = 6;

/// The folder of a show.
pub fn folder(show_title: &str) -> String {
    component(show_title, MAX_NAME - NUMBER_ROOM)
}

/// A part of a name, such as a title, without what no file may be called by. Room is left for a date beside it.
pub fn part(text: &str) -> String {
    component(text, MAX_NAME - 32)
}

/// The name of a file without its extension, or of a folder, made of parts.
pub fn stem(text: &str) -> String {
    component(text, MAX_NAME - NUMBER_ROOM)
}

/// The name of a thing that is fetched by itself, as the sender calls it, extension and all.
pub fn plain(name: &str) -> String {
    match name.rsplit_once('.') {
        Some((stem, extension)) if is_extension(extension) && !stem.trim_matches(['.', ' ']).is_empty() => {
            with_extension(&component(stem, MAX_NAME - NUMBER_ROOM - extension.len() - 1), Some(extension))
        }
        _ => component(name, MAX_NAME - NUMBER_ROOM),
    }
}

/// `stem` and `extension` as a name that is not taken: itself, else with ` (2)`, ` (3)` and so on.
///
/// `is_taken` is asked with [`fold`]ed names, since many file systems do not tell `A` from `a`.
pub fn free(stem: &str, extension: Option<&str>, is_taken: impl Fn(&str) -> bool) -> String {
    let room = MAX_NAME - NUMBER_ROOM - extension.map_or(0, |e| e.len() + 1);
    let stem = cut(stem, room);
    let numbered = (2_u32..).map(|n| format!("{stem} ({n})"));
    std::iter::once(stem.to_owned())
        .chain(numbered)
        .map(|stem| with_extension(&stem, extension))
        .find(|name| !is_taken(&fold(name)))
        .expect("fewer than four billion names are taken")
}

/// A name in the form in which two names are compared.
pub fn fold(name: &str) -> String {
    name.to_lowercase()
}

/// The extension that a file of this name has, without its dot.
///
/// At most eight ASCII letters and digits count, at least one of them a letter, so that neither a version number nor a
/// sentence with a dot in it is taken for one.
pub fn extension(file_name: &str) -> Option<&str> {
    let (stem, extension) = file_name.rsplit_once('.')?;
    (!stem.is_empty() && is_extension(extension)).then_some(extension)
}

/// The usual extension of a media type; `None` for one that says nothing.
pub fn extension_of_mime(mime: &str) -> Option<&'static str> {
    let essence = mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    Some(match essence.as_str() {
        "audio/mpeg" | "audio/mp3" | "audio/x-mp3" | "audio/mpeg3" => "mp3",
        "audio/mp4" | "audio/x-m4a" | "audio/m4a" | "audio/aac" | "audio/x-aac" => "m4a",
        "audio/ogg" | "audio/vorbis" | "application/ogg" => "ogg",
        "audio/opus" => "opus",
        "audio/flac" | "audio/x-flac" => "flac",
        "audio/wav" | "audio/x-wav" | "audio/wave" => "wav",
        "audio/webm" | "video/webm" => "webm",
        "video/mp4" | "video/x-m4v" | "video/m4v" => "mp4",
        "video/quicktime" => "mov",
        "video/x-matroska" => "mkv",
        "application/pdf" => "pdf",
        "application/epub+zip" => "epub",
        _ => return None,
    })
}

/// The media type of files with this extension.
pub fn mime_of_extension(extension: &str) -> &'static str {
    match extension.to_ascii_lowercase().as_str() {
        "mp3" => "audio/mpeg",
        "m4a" | "m4b" => "audio/mp4",
        "aac" => "audio/aac",
        "ogg" | "oga" => "audio/ogg",
        "opus" => "audio/ogg; codecs=opus",
        "flac" => "audio/flac",
        "wav" => "audio/wav",
        "mp4" | "m4v" => "video/mp4",
        "webm" => "video/webm",
        "mkv" => "video/x-matroska",
        "mov" => "video/quicktime",
        "pdf" => "application/pdf",
        "epub" => "application/epub+zip",
        "jpg" => "image/jpeg",
        "png" => "image/png",
        _ => "application/octet-stream",
    }
}

fn is_extension(text: &str) -> bool {
    (1..=8).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric())
        && text.bytes().any(|b| b.is_ascii_alphabetic())
}

fn with_extension(stem: &str, extension: Option<&str>) -> String {
    extension.map_or_else(|| stem.to_owned(), |extension| format!("{stem}.{extension}"))
}

/// `text` as one safe path component of at most `room` bytes.
fn component(text: &str, room: usize) -> String {
    let mut out = String::with_capacity(text.len().min(room));
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            // `Part 2: The Sea` reads best as `Part 2 - The Sea`, and `10:30` as `10-30`.
            ':' if chars.peek().is_some_and(|next| next.is_whitespace()) => out.push_str(" -"),
            ':' | '/' | '\\' => out.push('-'),
            '"' => out.push('\''),
            '<' | '>' | '|' | '*' | '?' => {}
            c if c.is_whitespace() => {
                if !out.ends_with(' ') {
                    out.push(' ');
                }
            }
            c if c.is_control() || is_invisible(c) => {}
            c => out.push(c),
        }
        // Enough for any cut that follows, however long the title is.
        if out.len() > room + 64 {
            break;
        }
    }
    let name = cut(out.trim_matches(['.', ' ']), room);
    match name {
        "" => "Untitled".to_owned(),
        name if is_reserved(name) => format!("{name}_"),
        name => name.to_owned(),
    }
}

/// The longest beginning of `text` that has at most `room` bytes and ends with neither a dot nor a blank.
fn cut(text: &str, room: usize) -> &str {
    text[..text.floor_char_boundary(room)].trim_end_matches(['.', ' '])
}

/// Characters that are not seen or that turn the direction of writing, so that `gpj.exe` could read `exe.jpg`.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffd}' | '\u{e0000}'..='\u{e007f}')
}

/// Names of devices on Windows, whatever extension follows.
fn is_reserved(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let is_port =
        |prefix| stem.strip_prefix(prefix).is_some_and(|n| n.len() == 1 && n != "0" && n.parse::<u8>().is_ok());
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL") || is_port("COM") || is_port("LPT")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dated(title: &str) -> String {
        stem(&format!("2026-11-20 {}", part(title)))
    }

    #[test]
    fn an_episode_is_named_for_people() {
        for (title, name) in [
            ("The Sea", "2026-11-20 The Sea"),
            ("Part 2: The Sea", "2026-11-20 Part 2 - The Sea"),
            ("AC/DC at 10:30?", "2026-11-20 AC-DC at 10-30"),
            ("  a\t\nb  ", "2026-11-20 a b"),
            ("He said \"no\".", "2026-11-20 He said 'no'"),
            ("Größe — 日本語", "2026-11-20 Größe — 日本語"),
            ("", "2026-11-20 Untitled"),
            ("...", "2026-11-20 Untitled"),
        ] {
            assert_eq!(dated(title), name);
        }
    }

    #[test]
    fn no_title_leaves_its_folder() {
        for (title, name) in [
            ("../../etc/passwd", "-..-etc-passwd"),
            ("..", "Untitled"),
            ("/", "-"),
            ("C:\\Windows", "C--Windows"),
            (".hidden", "hidden"),
            ("a\0b\u{1b}[31mc", "ab[31mc"),
            ("\u{202e}3pm.exe", "3pm.exe"),
            ("NUL", "NUL_"),
            ("com1.txt", "com1.txt_"),
            ("COM0", "COM0"),
            ("Console", "Console"),
        ] {
            assert_eq!(folder(title), name, "{title:?}");
        }
    }

    #[test]
    fn a_long_title_is_cut_on_a_character_and_keeps_its_extension() {
        for title in ["ä".repeat(5000), "日".repeat(5000), format!("{}. x", "a".repeat(5000)), "🎧".repeat(300)] {
            let name = free(&dated(&title), Some("mp3"), |_| false);
            assert!(name.len() <= MAX_NAME && name.len() > MAX_NAME - 64, "{} bytes", name.len());
            assert_eq!(extension(&name), Some("mp3"));
            assert!(folder(&title).len() <= MAX_NAME);
            assert!(plain(&format!("{title}.torrent")).ends_with(".torrent"));
        }
    }

    #[test]
    fn a_second_file_of_the_same_name_is_numbered() {
        let taken = ["2026-11-20 a.mp3", "2026-11-20 a (2).mp3"];
        let is_taken = |name: &str| taken.contains(&name);
        assert_eq!(free("2026-11-20 A", Some("mp3"), is_taken), "2026-11-20 A (3).mp3");
        assert_eq!(free("2026-11-20 A", Some("m4a"), is_taken), "2026-11-20 A.m4a");
        assert_eq!(free("2026-11-20 A", None, is_taken), "2026-11-20 A");
    }

    #[test]
    fn an_extension_is_short_and_has_a_letter() {
        for (name, want) in [
            ("a.mp3", Some("mp3")),
            ("a.b.OGG", Some("OGG")),
            ("a", None),
            (".mp3", None),
            ("v1.2", None),
            ("Mr. Smith goes", None),
            ("a.verylongend", None),
            ("a.m/3", None),
        ] {
            assert_eq!(extension(name), want, "{name}");
        }
        assert_eq!(extension_of_mime("audio/mpeg; charset=x"), Some("mp3"));
        assert_eq!(extension_of_mime("text/html"), None);
    }

    #[test]
    fn a_thing_fetched_by_itself_keeps_its_name() {
        for (name, want) in [
            ("Show 1.mp3", "Show 1.mp3"),
            ("..%2f", "%2f"),
            ("a/b.mp3", "a-b.mp3"),
            (".mp3", "mp3"),
            ("..mp3", "mp3"),
            ("", "Untitled"),
        ] {
            assert_eq!(plain(name), want, "{name}");
        }
    }
}
