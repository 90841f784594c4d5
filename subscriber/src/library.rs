//! The folder where episodes land, as it is on the disk.
//!
//! Beside a finished file may stand what is not finished: the engine works in `.NAME.part`, a plain download in
//! `.NAME.download`, with `.NAME.download.http` beside it; tags are written into a copy, `.NAME.tags`.
//!
//! A library has a mark, the file `.podsub`. The folder on which a disk is mounted stays there, and empty, when the
//! disk is away: an empty folder without the mark is no library in which something is kept.
//!
//! Knows nothing of episodes: which file belongs to which is recorded by their agent. Blocking throughout.
//!
//! Law: nothing outside the library is read, written or deleted.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use podswarm_core::app::{Space, free_space, sync_folder_of, write_atomic};
use podswarm_core::metainfo::InfoHash;
use podswarm_core::net::durable::beside;
use podswarm_core::net::http::length_begun;
use sha1::{Digest, Sha1};

use crate::agent::{Deletion, TagOutcome};
use crate::extras::name_of;
use crate::names;
use crate::tags::LARGEST_COVER;

/// The mark of a library, and what stands in it.
const MARK: &str = ".podsub";
const MARK_TEXT: &str =
    "podsub keeps episodes here. An empty folder without this file it takes for a disk that is away.\n";

/// What a picture of a show's folder is called without its extension: a name that Jellyfin, Plex and Kodi take for
/// albums and series alike.
const PICTURE: &str = "folder";
/// Names that any of them takes for it.
const PICTURE_STEMS: [&str; 5] = [PICTURE, "cover", "poster", "show", "default"];
/// With these extensions.
const PICTURE_EXTENSIONS: [&str; 7] = ["jpg", "jpeg", "png", "webp", "gif", "bmp", "tbn"];

/// A library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    root: PathBuf,
}

impl Library {
    /// The library in the folder `root`, which need not be there yet.
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The path of `file`, relative to the library; an error if it would lead out of it.
    pub fn path(&self, file: &str) -> io::Result<PathBuf> {
        let is_inside = Path::new(file).components().all(|part| matches!(part, Component::Normal(_)));
        if file.is_empty() || !is_inside {
            return Err(io::Error::new(ErrorKind::InvalidInput, format!("`{file}` is no file of the library")));
        }
        Ok(self.root.join(file))
    }

    /// What is free on its disk, or why that cannot be told. Its folder is made, and marked, where nothing is kept
    /// yet; where something is, a folder that is not there may be on a disk that is away, and another disk would be
    /// measured.
    pub fn space(&self, has_kept: bool) -> Result<Space, String> {
        let name = self.root.display();
        if has_kept && let Some(why) = self.away() {
            return Err(format!("the library `{name}` {why}"));
        }
        fs::create_dir_all(&self.root).map_err(|error| format!("the library `{name}` cannot be made: {error}"))?;
        let mark = self.root.join(MARK);
        // Where nothing can be written, that is told of the episodes.
        if !mark.exists()
            && let Err(error) = fs::write(mark, MARK_TEXT)
        {
            tracing::debug!(%error, "the library is not marked");
        }
        free_space(&self.root).map_err(|error| format!("the disk of the library `{name}` cannot be measured: {error}"))
    }

    /// What makes a library that is not here of one in which something is kept; none if it is here.
    pub fn away(&self) -> Option<&'static str> {
        if !self.root.is_dir() {
            return Some("is not there: its folder was moved, or its disk is away");
        }
        let is_empty = fs::read_dir(&self.root).is_ok_and(|mut entries| entries.next().is_none());
        is_empty
            .then_some("is empty, as if its disk were away; if it was you who emptied it, make a file `.podsub` in it")
    }

    /// Makes the folder that `file` stands in, but never the library's own: [`ErrorKind::NotFound`] if that is not
    /// there.
    pub fn make_folder_of(&self, file: &str) -> io::Result<()> {
        let path = self.path(file)?;
        let folder = path.parent().and_then(|folder| folder.strip_prefix(&self.root).ok()).unwrap_or(Path::new(""));
        let mut made = self.root.clone();
        for part in folder.components() {
            made.push(part);
            match fs::create_dir(&made) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// What is in the folder of a show: names, [`names::fold`]ed, with the lengths of files; folders have none.
    pub fn listing(&self, folder: &str) -> io::Result<BTreeMap<String, Option<u64>>> {
        let entries = match fs::read_dir(self.path(folder)?) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(error),
        };
        let mut listing = BTreeMap::new();
        for entry in entries {
            let entry = entry?;
            let length = entry.metadata().ok().filter(fs::Metadata::is_file).map(|metadata| metadata.len());
            listing.insert(names::fold(&entry.file_name().to_string_lossy()), length);
        }
        Ok(listing)
    }

    /// Bytes of `file` that are on the disk, finished or not.
    pub fn present(&self, file: &str) -> u64 {
        let Ok(path) = self.path(file) else { return 0 };
        [path.clone(), engine_part(&path), download_part(&path)].iter().map(|path| occupied(path)).max().unwrap_or(0)
    }

    /// Puts a picture called `name` by its content into the folder of a show, in the place of what is of `ours` there,
    /// and gives what of ours is there then. Any other picture that media servers would take stands for it.
    pub fn put_picture(&self, folder: &str, name: &str, bytes: &[u8], ours: &[String]) -> io::Result<Vec<String>> {
        let place = self.path(folder)?.join(PICTURE).with_extension(names::extension(name).unwrap_or_default());
        let pictures = self.pictures(folder)?;
        let (own, others): (Vec<_>, Vec<_>) = pictures.into_iter().partition(|path| is_of(path, ours));
        if !others.is_empty() {
            // Two of them would be one too many.
            own.iter().try_for_each(fs::remove_file)?;
            return Ok(Vec::new());
        }
        if !is_of(&place, std::slice::from_ref(&name.to_owned())) {
            write_atomic(&place, bytes, 0o644)?;
        }
        own.iter().filter(|path| **path != place).try_for_each(fs::remove_file)?;
        Ok(vec![name.to_owned()])
    }

    /// Deletes what is of `ours` of the pictures in the folder of a show, and then the folder if nothing else is in it.
    pub fn take_picture(&self, folder: &str, ours: &[String]) -> io::Result<()> {
        let own = self.pictures(folder)?.into_iter().filter(|path| is_of(path, ours));
        for path in own.collect::<Vec<_>>() {
            fs::remove_file(path)?;
        }
        self.tidy(&format!("{folder}/{PICTURE}"))
    }

    /// What media servers would take for the picture of a show's folder.
    fn pictures(&self, folder: &str) -> io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(self.path(folder)?) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound && self.root.is_dir() => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        let is_picture = |path: &PathBuf| {
            let name = names::fold(&path.file_name().unwrap_or_default().to_string_lossy());
            let (stem, extension) = name.rsplit_once('.').unwrap_or_default();
            PICTURE_STEMS.contains(&stem) && PICTURE_EXTENSIONS.contains(&extension)
        };
        Ok(paths.into_iter().filter(is_picture).collect())
    }

    /// Whether the folder that `file` stands in is there; if it is not, the library may be on a disk that is away.
    pub fn has_folder_of(&self, file: &str) -> bool {
        self.path(file).is_ok_and(|path| path.parent().is_some_and(Path::is_dir)) && self.away().is_none()
    }

    /// Deletes a finished file or folder, and then the show's folder if nothing else is in it.
    pub fn delete(&self, file: &str) -> io::Result<()> {
        let path = self.path(file)?;
        delete_any(&path)?;
        delete_any(&tagged_copy(&path))?;
        self.tidy(file)
    }

    /// Deletes the copy of a file that has tags, if there is one. It is of no use, and overwritten by the next.
    pub fn delete_copy(&self, file: &str) {
        if let Err(error) = self.path(file).and_then(|path| delete_any(&tagged_copy(&path))) {
            tracing::warn!(file, %error, "a copy cannot be deleted");
        }
    }

    /// Lets the copy with the tags take the place of `file`, if both look as they did; it may have done so already.
    pub fn put_copy(&self, file: &str, print: u64, copy: u64) -> io::Result<TagOutcome> {
        let path = self.path(file)?;
        let is_as_it_was = self.print(file)? == print;
        if is_as_it_was && self.print_of_copy(file).is_ok_and(|now| now == copy) {
            fs::rename(tagged_copy(&path), &path)?;
            sync_folder_of(&path)?;
        } else if is_as_it_was {
            return Ok(TagOutcome::Lost);
        }
        if self.print(file)? != copy {
            return Ok(TagOutcome::Changed);
        }
        Ok(TagOutcome::Written { length: fs::symlink_metadata(&path)?.len() })
    }

    /// What the copy of a file looks like that has tags, as [`Library::print`] does.
    pub fn print_of_copy(&self, file: &str) -> io::Result<u64> {
        print(&tagged_copy(&self.path(file)?))
    }

    /// What a finished file or folder looks like: lengths and dates of all that is in it. Any change shows.
    pub fn print(&self, file: &str) -> io::Result<u64> {
        print(&self.path(file)?)
    }

    /// Deletes a finished file or folder if it looks as `print` says.
    pub fn delete_unchanged(&self, file: &str, print: u64) -> io::Result<Deletion> {
        match self.print(file) {
            Ok(now) if now == print => self.delete(file).map(|()| Deletion::Done),
            Ok(_) => Ok(Deletion::Changed),
            // The library may be on a disk that is away.
            Err(error) if error.kind() == ErrorKind::NotFound && self.has_folder_of(file) => Ok(Deletion::Missing),
            Err(error) => Err(error),
        }
    }

    /// Deletes what is not finished of `file`.
    pub fn delete_parts(&self, file: &str) -> io::Result<()> {
        let path = self.path(file)?;
        let download = download_part(&path);
        // Beside it stands what its host said of it.
        let sidecar = download.with_added_extension("http");
        [engine_part(&path), download, sidecar].iter().try_for_each(|path| delete_any(path))?;
        self.tidy(file)
    }

    /// Lets the engine go on with what a plain download has brought of `file`, which has `length` bytes, unless that is
    /// a file of another length, or one whose server does not tell, or the engine has brought as much by itself. It
    /// looks at each piece before it takes it for right.
    pub fn hand_over(&self, file: &str, length: u64) -> io::Result<()> {
        let path = self.path(file)?;
        let (part, download) = (engine_part(&path), download_part(&path));
        let is_file = fs::symlink_metadata(&download).is_ok_and(|it| it.is_file() && it.len() <= length);
        if !is_file || length_begun(&download) != Some(length) || occupied(&download) <= occupied(&part) {
            return Ok(());
        }
        // Without it no plain download goes on with the part.
        delete_any(&download.with_added_extension("http"))?;
        fs::rename(download, part)
    }

    fn tidy(&self, file: &str) -> io::Result<()> {
        let folder = self.path(file)?.parent().filter(|folder| *folder != self.root).map(Path::to_owned);
        match folder.map(fs::remove_dir) {
            None | Some(Ok(())) => Ok(()),
            Some(Err(error)) if matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::NotFound) => Ok(()),
            Some(Err(error)) => Err(error),
        }
    }
}

/// Where the engine works on `path`.
pub fn engine_part(path: &Path) -> PathBuf {
    beside(path, "part")
}

/// Where a plain download to `path` works.
pub fn download_part(path: &Path) -> PathBuf {
    beside(path, "download")
}

/// Where what peers told of a magnet link's torrent is kept in `folder` while no agent keeps it.
pub fn torrent_beside(folder: &Path, info_hash: InfoHash) -> PathBuf {
    beside(&folder.join(info_hash.to_string()), "torrent")
}

/// Where a download to `path` that no agent keeps remembers how far it is.
pub fn resume_beside(path: &Path) -> PathBuf {
    beside(path, "resume")
}

/// Where the copy of `path` is made that has tags.
pub fn tagged_copy(path: &Path) -> PathBuf {
    beside(path, "tags")
}

/// What is at `path` looks like this.
fn print(path: &Path) -> io::Result<u64> {
    let mut digest = Sha1::new();
    print_of(path, &mut digest)?;
    let digest: [u8; 20] = digest.finalize().into();
    Ok(u64::from_be_bytes(*digest.first_chunk().expect("20 bytes have a first 8")))
}

/// Takes in what `path` looks like, with all that is below it, in the order of names.
fn print_of(path: &Path, digest: &mut Sha1) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_dir() {
        let mut entries = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        entries.sort();
        for entry in entries {
            let name = entry.file_name().unwrap_or_default().as_encoded_bytes();
            digest.update((name.len() as u64).to_be_bytes());
            digest.update(name);
            print_of(&entry, digest)?;
        }
        return Ok(());
    }
    let changed = metadata.modified()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    digest.update(metadata.len().to_be_bytes());
    digest.update(changed.as_nanos().to_be_bytes());
    digest.update([u8::from(metadata.is_symlink())]);
    Ok(())
}

/// Whether the file at `path` is one of `ours`, which are called by their content.
fn is_of(path: &Path, ours: &[String]) -> bool {
    let Some((stem, extension)) = path.file_name().and_then(|name| name.to_str()?.rsplit_once('.')) else {
        return false;
    };
    let is_likely = stem == PICTURE && ours.iter().any(|name| names::extension(name) == Some(extension));
    let is_short = |path: &Path| fs::symlink_metadata(path).is_ok_and(|it| it.is_file() && it.len() <= LARGEST_COVER);
    is_likely && is_short(path) && fs::read(path).is_ok_and(|bytes| ours.contains(&name_of(extension, &bytes)))
}

fn delete_any(path: &Path) -> io::Result<()> {
    let deleted = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match deleted {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Bytes that a file or a folder takes on the disk; holes take none.
pub fn occupied(path: &Path) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else { return 0 };
    if metadata.is_dir() {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        return entries.map(|entry| occupied(&entry.path())).sum();
    }
    #[cfg(unix)]
    let blocks = std::os::unix::fs::MetadataExt::blocks(&metadata).saturating_mul(512);
    #[cfg(not(unix))]
    let blocks = metadata.len();
    blocks.min(metadata.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library() -> (tempfile::TempDir, Library) {
        let root = tempfile::tempdir().unwrap();
        let library = Library::new(root.path().join("library"));
        library.space(false).unwrap();
        (root, library)
    }

    #[test]
    fn nothing_leads_out_of_the_library() {
        let (_root, library) = library();
        for file in ["", "..", "../x", "a/../../x", "/etc/passwd", "./x"] {
            assert!(library.path(file).is_err(), "{file}");
        }
        assert!(library.path("Show/2026-11-20 Title.mp3").is_ok());
    }

    #[test]
    fn a_folder_is_listed_with_the_lengths_of_its_files() {
        let (_root, library) = library();
        assert!(library.listing("Show").unwrap().is_empty());
        library.make_folder_of("Show/Folder/x").unwrap();
        fs::write(library.path("Show/A.MP3").unwrap(), "12345").unwrap();
        let want = BTreeMap::from([("a.mp3".to_owned(), Some(5)), ("folder".to_owned(), None)]);
        assert_eq!(library.listing("Show").unwrap(), want);
    }

    #[test]
    fn a_library_that_is_away_is_never_made_anew_where_something_is_kept() {
        let root = tempfile::tempdir().unwrap();
        let library = Library::new(root.path().join("disk/library"));
        assert!(library.space(true).unwrap_err().contains("is not there"));
        assert_eq!(library.make_folder_of("Show/a.mp3").unwrap_err().kind(), ErrorKind::NotFound);
        assert!(!root.path().join("disk").exists());
        library.space(false).unwrap();
        library.make_folder_of("a.mp3").unwrap();
        library.make_folder_of("Show/Season 1/a.mp3").unwrap();
        library.make_folder_of("Show/Season 1/b.mp3").unwrap();
        assert!(library.root().join("Show/Season 1").is_dir());
        // It was a disk's, which is away now: the folder on which it was mounted is empty.
        let [mounted, elsewhere] = ["library", "elsewhere"].map(|name| root.path().join("disk").join(name));
        fs::rename(&mounted, &elsewhere).unwrap();
        fs::create_dir(&mounted).unwrap();
        assert!(library.space(true).unwrap_err().contains("is empty, as if its disk were away"));
        assert!(!library.has_folder_of("a.mp3") && fs::read_dir(&mounted).unwrap().next().is_none());
        // One that was emptied keeps its mark.
        fs::remove_dir(&mounted).unwrap();
        fs::rename(&elsewhere, &mounted).unwrap();
        fs::remove_dir_all(mounted.join("Show")).unwrap();
        library.space(true).unwrap();
        assert!(library.has_folder_of("a.mp3"));
        fs::write(root.path().join("file"), "").unwrap();
        assert!(Library::new(root.path().join("file/library")).space(false).unwrap_err().contains("cannot be made"));
    }

    #[test]
    fn what_was_deleted_takes_its_empty_folder_along_and_nothing_else() {
        let (_root, library) = library();
        library.make_folder_of("Show/x").unwrap();
        let (a, b) = (library.path("Show/a.mp3").unwrap(), library.path("Show/b.mp3").unwrap());
        fs::write(&a, "a").unwrap();
        fs::write(&b, "b").unwrap();
        fs::write(engine_part(&b), "b").unwrap();
        library.delete("Show/a.mp3").unwrap();
        assert!(!a.exists() && b.exists());
        library.delete("Show/b.mp3").unwrap();
        library.delete_parts("Show/b.mp3").unwrap();
        assert!(library.root().is_dir() && !library.root().join("Show").exists());
        library.delete("Show/b.mp3").unwrap();
    }

    #[test]
    fn the_engine_goes_on_with_what_a_plain_download_has_brought_if_that_is_more() {
        let (_root, library) = library();
        let file = "Show/a.mp3";
        library.make_folder_of(file).unwrap();
        let path = library.path(file).unwrap();
        let (part, download) = (engine_part(&path), download_part(&path));
        library.hand_over(file, 9000).unwrap();
        assert!(!part.exists(), "there is nothing yet");
        fs::write(&download, [1; 9000]).unwrap();
        let sidecar = download.with_added_extension("http");
        fs::write(&sidecar, "d3:url8:http://a9:validator1:ve").unwrap();
        library.hand_over(file, 9000).unwrap();
        assert!(download.exists() && !part.exists(), "nobody has said how long it is");
        fs::write(&sidecar, "d6:lengthi9000e3:url8:http://a9:validator1:ve").unwrap();
        for other in [8999, 9001] {
            library.hand_over(file, other).unwrap();
            assert!(download.exists() && !part.exists(), "it is another file");
        }
        library.hand_over(file, 9000).unwrap();
        let left: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!((&left[..], fs::read(&part).unwrap()), (&[part.clone()][..], vec![1; 9000]));
        fs::write(&download, [2; 10]).unwrap();
        library.hand_over(file, 9000).unwrap();
        assert_eq!(fs::read(&part).unwrap(), vec![1; 9000], "the engine has more");
    }

    #[test]
    fn only_what_looks_as_it_did_is_deleted() {
        let (_root, library) = library();
        library.make_folder_of("Show/Folder/x").unwrap();
        let (one, inner) = (library.path("Show/a.mp3").unwrap(), library.path("Show/Folder/b.mp3").unwrap());
        fs::write(&one, "abc").unwrap();
        fs::write(&inner, "abc").unwrap();
        let (file, folder) = (library.print("Show/a.mp3").unwrap(), library.print("Show/Folder").unwrap());
        // Another date, another length, another file beside it: each is a change.
        let touched = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1);
        fs::File::options().write(true).open(&one).unwrap().set_modified(touched).unwrap();
        assert_eq!(library.delete_unchanged("Show/a.mp3", file).unwrap(), Deletion::Changed);
        fs::write(inner.with_file_name("mine.txt"), "mine").unwrap();
        assert_eq!(library.delete_unchanged("Show/Folder", folder).unwrap(), Deletion::Changed);
        assert!(one.exists() && inner.exists());
        let now = library.print("Show/a.mp3").unwrap();
        assert_eq!(library.delete_unchanged("Show/a.mp3", now).unwrap(), Deletion::Done);
        assert_eq!(library.delete_unchanged("Show/a.mp3", now).unwrap(), Deletion::Missing);
        fs::remove_dir_all(library.root()).unwrap();
        assert!(library.delete_unchanged("Show/a.mp3", now).is_err(), "the disk may be away");
    }

    #[test]
    fn a_copy_takes_the_place_of_what_it_was_made_of_and_of_nothing_else() {
        let (_root, library) = library();
        library.make_folder_of("Show/x").unwrap();
        let file = "Show/a.mp3";
        let path = library.path(file).unwrap();
        fs::write(&path, "abc").unwrap();
        fs::write(tagged_copy(&path), "tags abc").unwrap();
        let (print, copy) = (library.print(file).unwrap(), library.print_of_copy(file).unwrap());
        assert_eq!(library.put_copy(file, print + 1, copy).unwrap(), TagOutcome::Changed);
        assert_eq!(library.put_copy(file, print, copy + 1).unwrap(), TagOutcome::Lost);
        assert_eq!(fs::read(&path).unwrap(), b"abc");
        let written = TagOutcome::Written { length: 8 };
        assert_eq!(library.put_copy(file, print, copy).unwrap(), written);
        // So it is where an agent ended before it knew.
        assert_eq!(library.put_copy(file, print, copy).unwrap(), written);
        assert_eq!((fs::read(&path).unwrap(), tagged_copy(&path).exists()), (b"tags abc".to_vec(), false));
        assert_eq!(library.delete_unchanged(file, copy).unwrap(), Deletion::Done);
        assert!(library.put_copy(file, print, copy).is_err());
    }

    #[test]
    fn a_picture_of_ours_makes_way_and_one_of_the_owners_does_not() {
        let (_root, library) = library();
        library.make_folder_of("Show/x").unwrap();
        let at = |name: &str| library.path("Show").unwrap().join(name);
        let [one, two] = [name_of("png", b"one"), name_of("jpg", b"two")];
        assert_eq!(library.put_picture("Show", &one, b"one", &[]).unwrap(), [&*one]);
        let ours = [one, two.clone()];
        assert_eq!(library.put_picture("Show", &two, b"two", &ours).unwrap(), [&*two]);
        assert!(!at("folder.png").exists() && fs::read(at("folder.jpg")).unwrap() == b"two");
        // One that was changed is the owner's.
        fs::write(at("folder.jpg"), "mine").unwrap();
        assert!(library.put_picture("Show", &two, b"two", &ours).unwrap().is_empty());
        library.take_picture("Show", &ours).unwrap();
        assert_eq!(fs::read(at("folder.jpg")).unwrap(), b"mine");
        // So is one of another name that is taken, and ours makes way for it.
        fs::write(at("folder.jpg"), "two").unwrap();
        fs::write(at("Poster.PNG"), "mine").unwrap();
        assert!(library.put_picture("Show", &two, b"two", &ours).unwrap().is_empty());
        assert!(!at("folder.jpg").exists() && at("Poster.PNG").exists());
        fs::remove_file(at("Poster.PNG")).unwrap();
        library.put_picture("Show", &two, b"two", &ours).unwrap();
        library.take_picture("Show", &ours).unwrap();
        assert!(!at("").exists(), "nothing is left");
        library.take_picture("Show", &ours).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn holes_take_no_room() {
        let (_root, library) = library();
        library.make_folder_of("Show/x").unwrap();
        let path = library.path("Show/a.mp3").unwrap();
        fs::File::create(engine_part(&path)).unwrap().set_len(1 << 30).unwrap();
        assert_eq!(library.present("Show/a.mp3"), 0);
        fs::write(download_part(&path), vec![1; 5000]).unwrap();
        assert_eq!(library.present("Show/a.mp3"), 5000);
    }
}
