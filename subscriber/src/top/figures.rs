//! Small pictures in a line: bars, histories, pieces, and figures of a fixed width.

use podswarm_core::app::printable;
use podswarm_core::rate::{ByteCount, Rate};
use podswarm_core::swarm::{PeerStatus, PieceCells};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Eighths of a cell, from the left.
const EIGHTHS: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];
/// Heights of a cell in eighths.
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A bar of `width` cells, so many thousandths of it full.
pub(super) fn bar(permille: u64, width: usize) -> String {
    let eighths = usize::try_from(permille.min(1000)).unwrap_or(1000) * width * 8 / 1000;
    let mut text: String = std::iter::repeat_n('█', eighths / 8).collect();
    if !eighths.is_multiple_of(8) {
        text.push(EIGHTHS[eighths % 8 - 1]);
    }
    let filled = text.chars().count();
    text.extend(std::iter::repeat_n(' ', width - filled));
    text
}

/// The last `width` values as heights, the newest at the right; `most` is a full one.
pub(super) fn history(values: impl DoubleEndedIterator<Item = u64>, most: u64, width: usize) -> String {
    let sign = |value: u64| match value {
        0 => ' ',
        value => HEIGHTS[usize::try_from(value.saturating_mul(8).div_ceil(most.max(1))).unwrap_or(8).clamp(1, 8) - 1],
    };
    let newest: Vec<char> = values.rev().take(width).map(sign).collect();
    let mut text: String = std::iter::repeat_n(' ', width - newest.len()).collect();
    text.extend(newest.into_iter().rev());
    text
}

/// The pieces in `width` cells: `█` is all there, `▓▒░` parts of it, a space is to be had from a connected peer, and
/// `·` from none.
pub(super) fn pieces(cells: &PieceCells, width: usize) -> String {
    let count = cells.have.len();
    if count == 0 || width == 0 {
        return String::new();
    }
    let sign = |column: usize| {
        let first = column * count / width;
        let last = ((column + 1) * count / width).max(first + 1);
        let have = &cells.have[first..last];
        let sum: usize = have.iter().map(|percent| usize::from(*percent)).sum();
        match (sum, sum / have.len()) {
            (0, _) if cells.copies[first..last].iter().any(|copies| *copies > 0) => ' ',
            (0, _) => '·',
            (_, 100..) => '█',
            (_, 67..) => '▓',
            (_, 34..) => '▒',
            _ => '░',
        }
    };
    (0..width).map(sign).collect()
}

/// A speed in nine columns at most; a dash for none.
pub(super) fn rate(rate: Rate) -> String {
    if rate.0 == 0 { "-".to_owned() } else { format!("{}/s", bytes(rate.0)) }
}

/// An amount in seven columns at most: `1023 B`, `9.9 KiB`, `120 MiB`.
pub(super) fn bytes(count: u64) -> String {
    let text = ByteCount(count).to_string();
    match text.split_once('.') {
        // Three digits say enough.
        Some((whole, rest)) if whole.len() > 1 => format!("{whole} {}", rest.split_once(' ').map_or("", |it| it.1)),
        _ => text,
    }
}

/// `3:20`, `1:05:00`, `2 d`.
pub(super) fn time_left(seconds: u64) -> String {
    match seconds {
        0..3600 => format!("{}:{:02}", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// What stands between a peer and us: `D` it sends (`d` we want it to), `U` it is sent (`u` it wants to be), `I` it
/// dialled us, `P` over uTP, `S` it has everything.
pub(super) fn flags(peer: &PeerStatus) -> String {
    let mut text = String::new();
    text.extend(peer.am_interested.then_some(if peer.peer_choking { 'd' } else { 'D' }));
    text.extend(peer.peer_interested.then_some(if peer.am_choking { 'u' } else { 'U' }));
    text.extend(peer.is_incoming.then_some('I'));
    text.extend(peer.is_utp.then_some('P'));
    text.extend((peer.have_permille == 1000).then_some('S'));
    text
}

/// `text` in exactly `width` columns: filled up with spaces, or cut with an ellipsis. Nothing of it moves the cursor.
pub(super) fn fit(text: &str, width: usize) -> String {
    let text = printable(text);
    let wide = text.width();
    if wide <= width {
        return text + &" ".repeat(width - wide);
    }
    let mut cut = String::new();
    let mut used = 0;
    for sign in text.chars() {
        let more = sign.width().unwrap_or(0);
        if used + more + 1 > width {
            break;
        }
        used += more;
        cut.push(sign);
    }
    cut.extend((width > used).then_some('…'));
    cut.push_str(&" ".repeat(width.saturating_sub(used + 1)));
    cut
}

/// `text` in `width` columns, at the right.
pub(super) fn right(text: &str, width: usize) -> String {
    let wide = text.width();
    if wide > width { fit(text, width) } else { " ".repeat(width - wide) + text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_grows_by_eighths_and_never_beyond_its_width() {
        assert_eq!(bar(0, 4), "    ");
        assert_eq!(bar(500, 4), "██  ");
        assert_eq!(bar(540, 4), "██▏ ");
        assert_eq!(bar(1000, 4), "████");
        assert_eq!(bar(5000, 4), "████");
    }

    #[test]
    fn a_history_ends_at_the_right_and_shows_the_least_that_moves() {
        assert_eq!(history([1, 0, 50, 100].into_iter(), 100, 6), "  ▁ ▄█");
        assert_eq!(history([7, 8, 9].into_iter(), 0, 2), "██");
    }

    #[test]
    fn pieces_are_stretched_and_squeezed() {
        let cells = PieceCells { have: vec![100, 50, 0, 0], copies: vec![1, 0, 2, 0] };
        assert_eq!(pieces(&cells, 4), "█▒ ·");
        assert_eq!(pieces(&cells, 8), "██▒▒  ··");
        assert_eq!(pieces(&cells, 2), "▓ ");
        assert_eq!(pieces(&PieceCells::default(), 8), "");
    }

    #[test]
    fn figures_are_short() {
        for (count, text) in [(1023, "1023 B"), (10_000, "9.7 KiB"), (126_000_000, "120 MiB"), (0, "0 B")] {
            assert_eq!(bytes(count), text);
        }
        assert_eq!((rate(Rate(0)), rate(Rate(2048))), ("-".to_owned(), "2.0 KiB/s".to_owned()));
        for (seconds, text) in [(59, "0:59"), (200, "3:20"), (3_900, "1:05:00"), (200_000, "2 d")] {
            assert_eq!(time_left(seconds), text);
        }
    }

    #[test]
    fn text_fits_its_columns_whatever_is_in_it() {
        assert_eq!(fit("short", 8), "short   ");
        assert_eq!(fit("rather long", 6), "rathe…");
        assert_eq!(fit("東京東京", 6), "東京… ");
        assert_eq!(fit("\u{1b}[2J", 8), "\u{fffd}[2J    ");
        assert_eq!(fit("any", 0), "");
        assert_eq!(right("7", 3), "  7");
    }
}
