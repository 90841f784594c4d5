//! Shows in a folder or in a tar file: all that it takes to have the same elsewhere.
//!
//! ```text
//! podpub-export.json         what this is
//! records.jsonl              the records (core's store, as lines of JSON)
//! media/SLUG/FILE            files and folders of episodes, covers, transcripts
//! torrents/SLUG/FILE.torrent
//! keys/SLUG.ed25519          the shows' keys, mode 0600: who has them speaks for the shows
//! ```
//!
//! Nothing in it depends on where or when it was written, so that equal shows have equal exports. Originals that are
//! served in place come with it as files, and are the library's own where they are brought in.
//!
//! Law: what is there already is never written over, and a show is there only once all of it is.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader, Write};
use std::path::{Component, Path, PathBuf};

use podswarm_core::app::write_atomic;
use podswarm_core::store::{Record, Store};
use podswarm_feeds::Withdrawal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::keys;
use crate::library::{Library, LibraryError};
use crate::record::{
    DayRecord, EpisodeRecord, EventRecord, Place, PublicUrlRecord, RenderedRecord, ShowRecord, withdrawals,
};
use crate::slug::Slug;
use crate::subscribers::SubscriberRecord;

/// The name of the note that says what a folder is.
const MANIFEST: &str = "podpub-export.json";
/// The name of the file with the records.
const RECORDS: &str = "records.jsonl";
/// The version of the form.
const FORMAT: u32 = 1;
/// Records that are stored at once; far fewer bytes than a batch may have.
const AT_ONCE: usize = 200;

/// The records of some shows.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct Parcel {
    shows: Vec<ShowRecord>,
    episodes: Vec<EpisodeRecord>,
    events: Vec<EventRecord>,
    rendered: Vec<RenderedRecord>,
    days: Vec<DayRecord>,
    #[serde(default)]
    subscribers: Vec<SubscriberRecord>,
    public_url: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Manifest {
    podpub_export: u32,
    shows: Vec<Slug>,
}

/// Why shows are not written out or brought in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    /// A folder that holds something else.
    #[error("`{}` is there and is no export", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// A folder that holds something else.
    #[error("`{}` is there and was not written by `podpub export --site`", path.display())]
    NoSite {
        /// The folder.
        path: PathBuf,
    },
    /// A folder that is none.
    #[error("`{}` is no export, or one that was not finished: {why}", path.display())]
    NoExport {
        /// The folder.
        path: PathBuf,
        /// What is missing.
        why: String,
    },
    /// Written by a later version.
    #[error("the export has form {got}; this version reads {FORMAT}")]
    Format {
        /// Its form.
        got: u32,
    },
    /// A file that is not what the records say.
    #[error("`{}` is missing or has another length than its record says", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A name that leads elsewhere.
    #[error("the records name a file `{name}`")]
    Name {
        /// The name.
        name: String,
    },
    /// Another key of a show of that name.
    #[error("the library has another key of the show `{show}` already")]
    OtherKey {
        /// The show.
        show: Slug,
    },
    /// The library.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// A file or folder.
    #[error("{action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

impl ArchiveError {
    /// The way out, if one is known.
    pub(crate) fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotEmpty { .. } => "name a new folder, or that of an earlier export".to_owned(),
            Self::NoSite { .. } => "name a new folder, or that of an earlier site".to_owned(),
            Self::NoExport { .. } => "write it again with `podpub export`".to_owned(),
            Self::Missing { .. } => {
                "see `podpub status`; an original that is served in place may have been moved".to_owned()
            }
            Self::Library(LibraryError::ShowExists { .. }) => {
                "it is here already; bring it into another --data-dir, or name one show with `podpub export --show`"
                    .to_owned()
            }
            Self::Library(error) => return error.hint(),
            Self::OtherKey { show } => format!("set keys/{show}.ed25519 aside if no show here needs it"),
            _ => return None,
        })
    }

    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

/// A file that belongs to an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Its path in the export, with `/` between the names.
    pub(crate) place: String,
    /// Where it lies.
    pub(crate) source: PathBuf,
    /// Its length in bytes.
    pub(crate) length: u64,
}

impl Part {
    fn mode(&self) -> u32 {
        if self.place.starts_with("keys/") { 0o600 } else { 0o644 }
    }
}

impl Parcel {
    /// The records of the show that `wanted` names, or of all.
    pub(crate) fn of(library: &Library, wanted: Option<&str>) -> Result<Self, LibraryError> {
        let shows = match wanted {
            Some(wanted) => vec![library.show(Some(wanted))?],
            None => library.shows()?,
        };
        let mut parcel = Self { public_url: library.public_url()?, ..Self::default() };
        for show in shows {
            library.key(&show.slug)?;
            parcel.episodes.extend(library.all_episodes(&show.slug)?);
            parcel.events.extend(library.events(&show.slug)?);
            let rendered = library.store().scan::<RenderedRecord>(format!("/shows/{}/", show.slug));
            parcel.rendered.extend(rendered.map_err(LibraryError::from)?);
            let days = library.store().scan(DayRecord::prefix(&show.slug, None));
            parcel.days.extend(days.map_err(LibraryError::from)?);
            parcel.subscribers.extend(library.subscribers(&show.slug)?);
            parcel.shows.push(show);
        }
        Ok(parcel)
    }

    /// The same without private shows.
    pub(crate) fn public(mut self) -> Self {
        self.shows.retain(|show| !show.is_private);
        let shows: BTreeSet<Slug> = self.shows.iter().map(|show| show.slug.clone()).collect();
        self.episodes.retain(|episode| shows.contains(&episode.show));
        self
    }

    /// How many shows and episodes there are.
    pub(crate) fn count(&self) -> (usize, usize) {
        (self.shows.len(), self.episodes.iter().filter(|episode| episode.ended.is_none()).count())
    }

    /// The shows.
    pub(crate) fn shows(&self) -> &[ShowRecord] {
        &self.shows
    }

    /// The episodes of a show that are out and not taken back, newest first.
    pub(crate) fn offered(&self, show: &Slug) -> Vec<&EpisodeRecord> {
        let is_offered = |it: &&EpisodeRecord| it.show == *show && it.released && it.ended.is_none();
        self.episodes.iter().filter(is_offered).collect()
    }

    /// What a show has taken back, the latest first.
    pub(crate) fn withdrawn(&self, show: &Slug) -> Vec<Withdrawal> {
        withdrawals(self.episodes.iter().filter(|episode| episode.show == *show && episode.released))
    }

    /// Its files as they lie in the data directory `root`.
    ///
    /// Of an episode that is offered no more the file may be gone.
    pub(crate) fn parts(&self, root: &Path) -> Result<Vec<Part>, ArchiveError> {
        let (mut parts, mut places) = (Vec::new(), BTreeSet::new());
        let mut add = |place: String, source: PathBuf, may_be_gone: bool| {
            for name in place.split('/') {
                plain(name)?;
            }
            if !places.insert(place.clone()) {
                return Ok(());
            }
            match fs::metadata(&source) {
                Ok(metadata) if metadata.is_dir() => parts_below(&place, &source, &mut parts),
                Ok(metadata) => {
                    parts.push(Part { place, source, length: metadata.len() });
                    Ok(())
                }
                Err(_) if may_be_gone => Ok(()),
                Err(_) => Err(ArchiveError::Missing { path: source }),
            }
        };
        for show in &self.shows {
            let key = format!("keys/{}.ed25519", show.slug);
            add(key.clone(), root.join(key), false)?;
            if let Some(image) = &show.image {
                let place = format!("media/{}/{}", show.slug, image.file);
                add(place.clone(), root.join(place), false)?;
            }
        }
        for episode in &self.episodes {
            let (show, file, has_ended) = (&episode.show, &episode.file, episode.ended.is_some());
            let place = format!("media/{show}/{file}");
            let source = match &episode.place {
                Place::Library => root.join(&place),
                Place::Original { path, .. } => path.clone(),
            };
            add(place, source, has_ended)?;
            let beside =
                episode.image.iter().map(|image| &image.file).chain(episode.transcripts.iter().map(|it| &it.file));
            let places = beside.map(|file| format!("media/{show}/{file}"));
            for place in places.chain([format!("torrents/{show}/{file}.torrent")]) {
                add(place.clone(), root.join(place), has_ended)?;
            }
        }
        Ok(parts)
    }

    /// The records as lines of JSON.
    fn lines(&self) -> Result<Vec<u8>, LibraryError> {
        let store = Store::in_memory();
        let episodes = self.episodes.iter().map(|it| EpisodeRecord { place: Place::Library, ..it.clone() });
        put_all(&store, &episodes.collect::<Vec<_>>())?;
        put_all(&store, &self.events)?;
        put_all(&store, &self.rendered)?;
        put_all(&store, &self.days)?;
        put_all(&store, &self.subscribers)?;
        put_all(&store, &self.shows)?;
        if let Some(url) = &self.public_url {
            store.put(&PublicUrlRecord { url: url.clone() }).map_err(LibraryError::from)?;
        }
        let mut lines = Vec::new();
        store.export(&mut lines).map_err(LibraryError::from)?;
        Ok(lines)
    }

    /// Reads the records in the folder of an export; `scratch` is a folder that is not there yet.
    fn read(folder: &Path, scratch: &Path) -> Result<Self, ArchiveError> {
        let path = folder.join(RECORDS);
        let file = File::open(&path).map_err(ArchiveError::io("read", &path))?;
        fs::create_dir_all(scratch).map_err(ArchiveError::io("make", scratch))?;
        let store = Store::import(scratch, &mut BufReader::new(file)).and_then(|_| Store::open(scratch));
        let (store, _) = store.map_err(LibraryError::from)?;
        let public_url = store.get::<PublicUrlRecord>(PublicUrlRecord::KEY).map_err(LibraryError::from)?;
        Ok(Self {
            shows: all(&store)?,
            episodes: all(&store)?,
            events: all(&store)?,
            rendered: all(&store)?,
            days: all(&store)?,
            subscribers: all(&store)?,
            public_url: public_url.map(|record| record.url),
        })
    }
}

fn all<R: Record>(store: &Store) -> Result<Vec<R>, LibraryError> {
    Ok(store.scan("")?)
}

fn put_all<R: Record>(store: &Store, records: &[R]) -> Result<(), LibraryError> {
    for some in records.chunks(AT_ONCE) {
        store.batch(|batch| some.iter().for_each(|record| batch.put(record)))?;
    }
    Ok(())
}

/// Refuses a name that is none of ours.
fn plain(name: &str) -> Result<(), ArchiveError> {
    let mut components = Path::new(name).components();
    let is_plain =
        matches!((components.next(), components.next()), (Some(Component::Normal(only)), None) if only == name);
    if is_plain { Ok(()) } else { Err(ArchiveError::Name { name: name.to_owned() }) }
}

/// The files of an episode that is a folder.
fn parts_below(place: &str, folder: &Path, parts: &mut Vec<Part>) -> Result<(), ArchiveError> {
    let fault = || ArchiveError::io("read", folder);
    let mut entries: Vec<_> = fs::read_dir(folder).map_err(fault())?.collect::<Result<_, _>>().map_err(fault())?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
        let (place, source) = (format!("{place}/{name}"), entry.path());
        let metadata = fs::metadata(&source).map_err(fault())?;
        if metadata.is_dir() {
            parts_below(&place, &source, parts)?;
        } else {
            parts.push(Part { place, source, length: metadata.len() });
        }
    }
    Ok(())
}

/// Is told how many bytes of the files are done.
pub(crate) type Told<'a> = &'a dyn Fn(u64);

/// Writes `parcel` with its files `parts` into a new folder, or over an earlier export of the same shows.
///
/// What says that it is an export is written last.
pub(crate) fn write_folder(parcel: &Parcel, parts: &[Part], folder: &Path, told: Told<'_>) -> Result<(), ArchiveError> {
    let is_empty = fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none());
    if !is_empty && !folder.join(MANIFEST).exists() && !folder.join(RECORDS).exists() {
        return Err(ArchiveError::NotEmpty { path: folder.to_owned() });
    }
    make_private(folder)?;
    // From here on it can be told from a folder of something else.
    save(&folder.join(RECORDS), &parcel.lines()?, 0o600)?;
    let mut done = 0;
    for part in parts {
        let target = folder.join(&part.place);
        if fs::metadata(&target).map_or(true, |there| there.len() != part.length) {
            place(&part.source, &target, part.mode(), false)?;
        }
        done += part.length;
        told(done);
    }
    save(&folder.join(MANIFEST), &manifest(parcel), 0o644)
}

/// Writes `parcel` with its files `parts` into a tar file; it is there once it is whole.
pub(crate) fn write_tar(parcel: &Parcel, parts: &[Part], path: &Path, told: Told<'_>) -> Result<(), ArchiveError> {
    let fault = || ArchiveError::io("write", path);
    let partial = path.with_added_extension("part");
    let mut tar = tar::Builder::new(private_file(&partial).map_err(fault())?);
    append(&mut tar, MANIFEST, &manifest(parcel)[..], manifest(parcel).len() as u64, 0o644).map_err(fault())?;
    let lines = parcel.lines()?;
    append(&mut tar, RECORDS, &lines[..], lines.len() as u64, 0o600).map_err(fault())?;
    let mut done = 0;
    for part in parts {
        let file = File::open(&part.source).map_err(ArchiveError::io("read", &part.source))?;
        append(&mut tar, &part.place, file, part.length, part.mode()).map_err(fault())?;
        done += part.length;
        told(done);
    }
    let file = tar.into_inner().map_err(fault())?;
    file.sync_all().and_then(|()| fs::rename(&partial, path)).map_err(fault())
}

fn append(tar: &mut tar::Builder<File>, place: &str, data: impl io::Read, length: u64, mode: u32) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(length);
    header.set_mode(mode);
    tar.append_data(&mut header, place, data)
}

/// Unpacks a tar file into `folder`, which is made.
pub(crate) fn unpack(path: &Path, folder: &Path) -> Result<(), ArchiveError> {
    let file = File::open(path).map_err(ArchiveError::io("read", path))?;
    make_private(folder)?;
    let mut tar = tar::Archive::new(BufReader::new(file));
    tar.set_preserve_mtime(false);
    // What would lie outside is left out.
    tar.unpack(folder).map_err(ArchiveError::io("unpack", path))
}

/// Whether the file at `path` is a tar file (POSIX.1, `ustar`).
pub(crate) fn is_tar(path: &Path) -> bool {
    let mut head = [0; 262];
    let read = File::open(path).and_then(|mut file| io::Read::read_exact(&mut file, &mut head));
    read.is_ok() && &head[257..262] == b"ustar"
}

/// Brings the shows of the export in `folder` into the library; with `is_ours` its files are moved, else copied. Gives
/// the shows.
///
/// Cut off, it can be done again.
pub(crate) fn take_in(
    library: &Library,
    folder: &Path,
    is_ours: bool,
    told: Told<'_>,
) -> Result<Vec<ShowRecord>, ArchiveError> {
    let no_export = |why: &str| ArchiveError::NoExport { path: folder.to_owned(), why: why.to_owned() };
    let manifest = fs::read(folder.join(MANIFEST)).map_err(|_| no_export("it has no podpub-export.json"))?;
    let manifest: Manifest = serde_json::from_slice(&manifest).map_err(|error| no_export(&error.to_string()))?;
    if manifest.podpub_export != FORMAT {
        return Err(ArchiveError::Format { got: manifest.podpub_export });
    }
    let scratch = library.staging().join(Uuid::new_v4().to_string());
    let read = Parcel::read(folder, &scratch);
    // Swept at the next start if it cannot be removed now.
    let _ = fs::remove_dir_all(&scratch);
    let parcel = read?;
    for show in &parcel.shows {
        if let Some(there) = library.store().get::<ShowRecord>(show.slug.as_str()).map_err(LibraryError::from)? {
            return Err(LibraryError::ShowExists { slug: there.slug, title: there.title }.into());
        }
    }
    let parts = parcel.parts(folder)?;
    for episode in parcel.episodes.iter().filter(|episode| episode.ended.is_none()) {
        let place = format!("media/{}/{}", episode.show, episode.file);
        let length: u64 = parts.iter().filter(|part| is_of(part, &place)).map(|part| part.length).sum();
        if length != episode.length {
            return Err(ArchiveError::Missing { path: folder.join(place) });
        }
    }
    for show in &parcel.shows {
        take_key(library, folder, &show.slug)?;
        library.prepare_show(&show.slug)?;
    }
    let mut done = 0;
    for part in parts.iter().filter(|part| !part.place.starts_with("keys/")) {
        let target = library.root().join(&part.place);
        if fs::metadata(&target).map_or(true, |there| there.len() != part.length) {
            place(&part.source, &target, part.mode(), is_ours)?;
        }
        done += part.length;
        told(done);
    }
    let is_new = library.shows()?.is_empty() && library.public_url()?.is_none();
    put_all(library.store(), &parcel.episodes)?;
    put_all(library.store(), &parcel.events)?;
    put_all(library.store(), &parcel.rendered)?;
    put_all(library.store(), &parcel.days)?;
    put_all(library.store(), &parcel.subscribers)?;
    put_all(library.store(), &parcel.shows)?;
    if let Some(url) = parcel.public_url.filter(|_| is_new) {
        library.set_public_url(&url)?;
    }
    Ok(parcel.shows)
}

/// Whether `part` is the file at `place`, or one in the folder there.
fn is_of(part: &Part, place: &str) -> bool {
    part.place.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Takes a show's key from the export, unless the library has it already.
fn take_key(library: &Library, folder: &Path, show: &Slug) -> Result<(), ArchiveError> {
    let name = format!("keys/{show}.ed25519");
    let (from, to) = (folder.join(&name), library.root().join(&name));
    let key = fs::read(&from).map_err(ArchiveError::io("read", &from))?;
    match fs::read(&to) {
        Ok(there) if there == key => Ok(()),
        Ok(_) => Err(ArchiveError::OtherKey { show: show.clone() }),
        Err(_) => {
            save(&to, &key, 0o600)?;
            keys::ensure(&library.root().join("keys"), show).map_err(LibraryError::from)?;
            Ok(())
        }
    }
}

fn manifest(parcel: &Parcel) -> Vec<u8> {
    let shows = parcel.shows.iter().map(|show| show.slug.clone()).collect();
    let mut json = serde_json::to_vec(&Manifest { podpub_export: FORMAT, shows }).expect("a manifest has a JSON form");
    json.push(b'\n');
    json
}

/// Writes a file by way of a name beside it.
pub(crate) fn save(path: &Path, bytes: &[u8], mode: u32) -> Result<(), ArchiveError> {
    write_atomic(path, bytes, mode).map_err(ArchiveError::io("write", path))
}

/// Copies or moves a file to `target` by way of a name beside it.
pub(crate) fn place(source: &Path, target: &Path, mode: u32, is_ours: bool) -> Result<(), ArchiveError> {
    let fault = || ArchiveError::io("write", target);
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder).map_err(fault())?;
        if mode == 0o600 {
            make_private(folder)?;
        }
    }
    if is_ours && fs::rename(source, target).is_ok() {
        return Ok(());
    }
    let partial = target.with_added_extension("part");
    let copy = || {
        let mut to = if mode == 0o600 { private_file(&partial)? } else { File::create(&partial)? };
        io::copy(&mut File::open(source)?, &mut to)?;
        to.flush()?;
        to.sync_all()?;
        fs::rename(&partial, target)
    };
    copy().map_err(fault())
}

/// Makes a folder that only its owner looks into.
fn make_private(folder: &Path) -> Result<(), ArchiveError> {
    let fault = || ArchiveError::io("make", folder);
    fs::create_dir_all(folder).map_err(fault())?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(fault())?;
    }
    Ok(())
}

/// Makes a file that only its owner reads.
fn private_file(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_where_it_is() {
        for good in ["a", "a b.mp3", "…"] {
            plain(good).unwrap();
        }
        for bad in ["", ".", "..", "/", "a/b", "../a", "/a", "a/"] {
            assert!(plain(bad).is_err(), "{bad}");
        }
    }
}
