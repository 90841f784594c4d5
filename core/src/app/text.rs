//! Text for people's eyes: foreign characters made harmless, durations as they are spoken.

use std::time::Duration;

/// `text` with everything removed or replaced that could move the cursor, change colours or reorder what is read.
///
/// Control characters, line ends and tabs among them, become a space or `U+FFFD`; invisible marks that set the
/// direction of writing, join or hide characters (the bidi controls, zero-width spaces, the byte order mark) are
/// dropped. Titles, file names and messages from outside pass through here before they reach a terminal or a page.
pub fn printable(text: &str) -> String {
    text.chars()
        .filter(|c| !is_invisible(*c))
        .map(|c| match c {
            '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => ' ',
            c if c.is_control() => char::REPLACEMENT_CHARACTER,
            c => c,
        })
        .collect()
}

/// Whether `c` is a mark without width that changes how its neighbours are read: Unicode's `Bidi_Control`, the
/// zero-width space, the word joiner and its kin, tags, and the byte order mark. The zero-width joiners stay: scripts
/// and emoji need them.
pub(super) const fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{061C}' | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

/// A duration in its two largest units: `0 s`, `42 s`, `3 min 20 s`, `1 h 05 min`, `2 d 3 h`. Parts of a second are
/// cut.
pub fn human_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {:02} s", seconds % 60),
        (0, _, _) => format!("{hours} h {:02} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_and_bidi_overrides_are_made_harmless() {
        for (hostile, shown) in [
            ("Café № 5 – 東京 🎙", "Café № 5 – 東京 🎙"),
            ("a\u{1b}[31mred\u{7}", "a\u{fffd}[31mred\u{fffd}"),
            ("one\ntwo\tthree\r", "one two three "),
            ("evil\u{202e}3pm.exe", "evil3pm.exe"),
            ("c1 \u{9b}2J", "c1 \u{fffd}2J"),
            ("zero\u{200b}width\u{feff}", "zerowidth"),
        ] {
            assert_eq!(printable(hostile), shown);
        }
    }

    #[test]
    fn durations_read_as_they_are_spoken() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min 00 s"),
            (200, "3 min 20 s"),
            (3_900, "1 h 05 min"),
            (86_399, "23 h 59 min"),
            (183_600, "2 d 3 h"),
        ] {
            assert_eq!(human_duration(Duration::from_secs(seconds)), text);
        }
        assert_eq!(human_duration(Duration::from_millis(999)), "0 s");
    }
}
