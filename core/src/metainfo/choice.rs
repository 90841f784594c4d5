//! Which files of a torrent are wanted, where not all are.
//!
//! What is fetched are pieces: a piece that has bytes of a wanted file and of others comes whole, or it could not be
//! checked.
//!
//! Law: a choice names at least one file that is there, and leaves out at least one.
//! Source: BEP 53 (`so` of magnet links).

use std::ops::RangeInclusive;

use super::Info;
use crate::bitfield::Bitfield;
use crate::layout::Layout;

/// Some files of a torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileChoice {
    /// For each file of the metainfo's list whether it is wanted; padding never is.
    wanted: Vec<bool>,
}

/// None of the files was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("none of the torrent's files is chosen")]
pub struct NothingChosen;

impl FileChoice {
    /// The files of these places in the metainfo's list, from 0; `None` if those are all. Places of padding and beyond
    /// the last are passed over.
    pub fn new(info: &Info, is_chosen: impl Fn(usize) -> bool) -> Result<Option<Self>, NothingChosen> {
        let wanted: Vec<bool> =
            info.files.iter().enumerate().map(|(number, file)| !file.is_pad && is_chosen(number)).collect();
        if !wanted.contains(&true) {
            return Err(NothingChosen);
        }
        let is_whole = info.files.iter().zip(&wanted).all(|(file, wanted)| file.is_pad || *wanted);
        Ok((!is_whole).then_some(Self { wanted }))
    }

    /// The files that a magnet link selects; `None` if it selects all, or says nothing of it.
    pub fn selected(info: &Info, ranges: &[RangeInclusive<u32>]) -> Result<Option<Self>, NothingChosen> {
        let is_chosen =
            |number: usize| ranges.iter().any(|range| u32::try_from(number).is_ok_and(|n| range.contains(&n)));
        if ranges.is_empty() { Ok(None) } else { Self::new(info, is_chosen) }
    }

    /// Whether the file of this place in the metainfo's list is wanted.
    pub fn contains(&self, number: usize) -> bool {
        self.wanted.get(number).is_some_and(|wanted| *wanted)
    }

    /// How many files are wanted.
    pub fn count(&self) -> usize {
        self.wanted.iter().filter(|wanted| **wanted).count()
    }

    /// The length of the wanted files together, in bytes.
    pub fn length(&self, info: &Info) -> u64 {
        info.files.iter().zip(&self.wanted).filter(|(_, wanted)| **wanted).map(|(file, _)| file.length).sum()
    }

    /// The pieces that have bytes of wanted files.
    pub fn pieces(&self, layout: &Layout) -> Bitfield {
        let mut pieces = Bitfield::none(layout.piece_count());
        for number in (0..self.wanted.len()).filter(|number| self.wanted[*number]) {
            for piece in layout.pieces_of(number) {
                pieces.insert(piece);
            }
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metainfo::{FileEntry, TorrentPath};

    fn info(files: &[(u64, bool)]) -> Info {
        let entry = |(number, (length, is_pad)): (usize, &(u64, bool))| FileEntry {
            path: TorrentPath::new([format!("{number}")]).unwrap(),
            length: *length,
            is_pad: *is_pad,
            root: None,
        };
        Info {
            name: TorrentPath::new(["folder"]).unwrap(),
            piece_length: 1024,
            pieces: None,
            files: files.iter().enumerate().map(entry).collect(),
            is_single_file: false,
            private: false,
        }
    }

    #[test]
    fn a_choice_names_the_pieces_that_touch_its_files() {
        // Pieces end at 1024, 2048, 3072, 4096.
        let info = info(&[(1000, false), (1500, false), (0, false), (572, true), (500, false)]);
        let layout = Layout::of(&info);
        let pieces = |chosen: &[usize]| {
            let choice = FileChoice::new(&info, |number| chosen.contains(&number)).unwrap().unwrap();
            (choice.length(&info), choice.pieces(&layout).iter().map(|piece| piece.0).collect::<Vec<_>>())
        };
        assert_eq!(pieces(&[0]), (1000, vec![0]));
        assert_eq!(pieces(&[1]), (1500, vec![0, 1, 2]));
        assert_eq!(pieces(&[2]), (0, vec![]));
        assert_eq!(pieces(&[0, 4]), (1500, vec![0, 3]));
    }

    #[test]
    fn a_choice_of_all_is_none_and_one_of_nothing_is_refused() {
        let info = info(&[(10, false), (14, true), (5, false)]);
        assert_eq!(FileChoice::new(&info, |number| number != 1), Ok(None));
        assert_eq!(FileChoice::new(&info, |number| number == 1 || number > 2), Err(NothingChosen));
        assert_eq!(FileChoice::selected(&info, &[]), Ok(None));
        assert_eq!(FileChoice::selected(&info, &[7..=9]), Err(NothingChosen));
        let second = FileChoice::selected(&info, &[1..=u32::MAX]).unwrap().unwrap();
        assert!(second.contains(2) && !second.contains(0) && !second.contains(1) && second.count() == 1);
    }
}
