//! Which files of a torrent its owner means: by number, name, folder or pattern.
//!
//! A number is the file's place in the list that `--list` shows, from 1; padding is not counted. A pattern is matched
//! with the whole path and with the name alone; `*` stands for any text and `?` for any sign.

use podswarm_core::metainfo::{FileChoice, FileEntry, Info};
use wildmatch::WildMatch;

/// The files that people see, each with its number and its place in the metainfo's list.
pub(super) fn listed(info: &Info) -> impl Iterator<Item = (usize, usize, &FileEntry)> {
    let files = info.files.iter().enumerate().filter(|(_, file)| !file.is_pad);
    (1..).zip(files).map(|(number, (place, file))| (number, place, file))
}

/// The files that `words` name; `None` if that is all. The error is the word that names none.
///
/// A word is a file's name or path, or several numbers, ranges, names, folders or patterns with commas between them.
pub(super) fn choose(info: &Info, words: &[String]) -> Result<Option<FileChoice>, String> {
    let mut chosen = vec![false; info.files.len()];
    for word in words {
        let is_name = listed(info).any(|(_, _, file)| is_called(file, word));
        let parts: Vec<&str> = if is_name { vec![word] } else { word.split(',').map(str::trim).collect() };
        for part in parts {
            let meant = meant(info, part);
            if meant.is_empty() {
                return Err(part.to_owned());
            }
            for place in meant {
                chosen[place] = true;
            }
        }
    }
    FileChoice::new(info, |place| chosen[place]).map_err(|_| words.join(" "))
}

/// The places of the files that are called so; else of those that are meant in another way.
fn meant(info: &Info, part: &str) -> Vec<usize> {
    let called: Vec<usize> =
        listed(info).filter(|(_, _, file)| is_called(file, part)).map(|(_, place, _)| place).collect();
    if !called.is_empty() {
        return called;
    }
    listed(info).filter(|(number, _, file)| is_meant(part, *number, file)).map(|(_, place, _)| place).collect()
}

fn is_meant(part: &str, number: usize, file: &FileEntry) -> bool {
    let path = file.path.as_str();
    let folder = part.trim_end_matches('/');
    let is_below = !folder.is_empty() && path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    range(part).is_some_and(|(first, last)| (first..=last).contains(&number))
        || is_below
        || WildMatch::new(part).matches(path)
        || WildMatch::new(part).matches(file.path.file_name())
}

fn is_called(file: &FileEntry, name: &str) -> bool {
    file.path.as_str() == name || file.path.file_name() == name
}

/// `3`, `3-5` or `3-`.
fn range(part: &str) -> Option<(usize, usize)> {
    let number = |text: &str| text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    match part.split_once('-') {
        None => number(part).map(|only| (only, only)),
        Some((first, "")) => number(first).map(|first| (first, usize::MAX)),
        Some((first, last)) => number(first).zip(number(last)),
    }
}

#[cfg(test)]
mod tests {
    use podswarm_core::metainfo::TorrentPath;

    use super::*;

    fn info(paths: &[&[&str]]) -> Info {
        let file = |path: &&[&str]| FileEntry {
            path: TorrentPath::new(*path).unwrap(),
            length: 10,
            is_pad: path[0] == ".pad",
            root: None,
        };
        Info {
            name: TorrentPath::new(["show"]).unwrap(),
            piece_length: 1024,
            pieces: None,
            files: paths.iter().map(file).collect(),
            is_single_file: false,
            private: false,
        }
    }

    /// The numbers of the files that the words mean.
    #[track_caller]
    fn check(words: &[&str], want: Result<&[usize], &str>) {
        let info = info(&[
            &["1.mp3"],
            &[".pad", "6"],
            &["two, or 3.mp3"],
            &["art", "cover.jpg"],
            &["art", "back.png"],
            &["2"],
        ]);
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let got = choose(&info, &words).map(|choice| {
            let is_in = |place| choice.as_ref().is_none_or(|choice| choice.contains(place));
            listed(&info).filter(|(_, place, _)| is_in(*place)).map(|(number, ..)| number).collect::<Vec<_>>()
        });
        assert_eq!(got, want.map(<[usize]>::to_vec).map_err(str::to_owned), "{words:?}");
    }

    #[test]
    fn files_are_meant_by_number_name_folder_or_pattern() {
        check(&["1,3-4"], Ok(&[1, 3, 4]));
        check(&["4-"], Ok(&[4, 5]));
        check(&["1", "art"], Ok(&[1, 3, 4]));
        check(&["art/"], Ok(&[3, 4]));
        check(&["*.mp3"], Ok(&[1, 2]));
        check(&["cover.jpg, art/back.png"], Ok(&[3, 4]));
        check(&["two, or 3.mp3"], Ok(&[2]));
        check(&["art/*.?pg"], Ok(&[3]));
        check(&["*"], Ok(&[1, 2, 3, 4, 5]));
        // A file that is called as a number is meant by its name.
        check(&["2"], Ok(&[5]));
    }

    #[test]
    fn a_word_that_names_nothing_is_refused() {
        for word in ["6", "0", "5-3", "cover", "*.ogg", "", "art/co", "../x", "-1", "1-x"] {
            check(&[word], Err(word));
        }
        check(&["1,nothing"], Err("nothing"));
    }
}
