//! Shows as plain files, which any web server or object storage serves as they are.
//!
//! ```text
//! index.html  shows/SLUG.html  shows/SLUG/PAGE.html           the pages
//! shows/SLUG/feed.xml  torrents.xml  feed.json  feed.atom     the feeds
//! shows/SLUG/PAGE/chapters.json
//! media/SLUG/…  torrents/SLUG/FILE.torrent  assets/…
//! nginx-include.conf                                          what nginx is to know of them
//! ```
//!
//! The paths are those that the publisher serves, with `.html` where pages are. Torrents name the files as their web
//! seeds (BEP 19), so a swarm goes on where nobody seeds. Links between pages are relative; feeds and torrents name the
//! address where it will all stand.
//!
//! Law: what a feed names is written before it; what has not changed is not touched; nothing that we did not write is
//! removed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use podswarm_core::metainfo::Metainfo;
use podswarm_feeds::write::TORRENT_MIME;
use podswarm_feeds::{ShowKey, chapters, podcast_guid};

use crate::archive::{ArchiveError, Parcel, Part, Told, place, save};
use crate::library::LibraryError;
use crate::record::{EpisodeRecord, Image, ShowRecord};
use crate::render::feed::Form;
use crate::render::{assets, feed, page};
use crate::site::HTML;
use crate::slug::page_name;
use crate::urls::Urls;
use crate::{keys, kind, transcript};

/// Says that a folder is ours.
const MARK: &str = ".podpub-site";
/// What nginx includes.
const NGINX: &str = "nginx-include.conf";
/// What we write into.
const FOLDERS: [&str; 4] = ["assets", "media", "shows", "torrents"];

/// What became of the files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Files that are new or other than before.
    pub(crate) written: usize,
    /// Files that were not touched.
    pub(crate) unchanged: usize,
    /// Files that the shows do not have any more, and that were removed.
    pub(crate) removed: usize,
    /// Those that stayed.
    pub(crate) stale: usize,
}

/// A folder that is being written.
struct Folder<'a> {
    path: &'a Path,
    outcome: Outcome,
    kept: BTreeSet<PathBuf>,
}

/// Writes the shows of `parcel`, whose files lie in the data directory `root`, into `folder`, to stand at the address
/// of `urls`.
///
/// With `delete` what they do not have any more is removed from it.
pub(crate) fn write(
    parcel: &Parcel,
    root: &Path,
    urls: &Urls,
    folder: &Path,
    delete: bool,
    told: Told<'_>,
) -> Result<Outcome, ArchiveError> {
    let is_empty = fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none());
    if !is_empty && !folder.join(MARK).exists() {
        return Err(ArchiveError::NoSite { path: folder.to_owned() });
    }
    fs::create_dir_all(folder).map_err(ArchiveError::io("make", folder))?;
    let mark = folder.join(MARK);
    if !mark.exists() {
        save(&mark, b"written by podpub export --site\n", 0o644)?;
    }
    let mut site = Folder { path: folder, outcome: Outcome::default(), kept: BTreeSet::new() };
    let mut done = 0;
    let mut types = Types::of_documents();
    for part in offered_parts(parcel, root)? {
        site.file(&part)?;
        types.add_file(&part)?;
        done += part.length;
        told(done);
    }
    site.bytes("assets/style.css", assets::style().as_bytes())?;
    site.bytes("assets/live.js", assets::live().as_bytes())?;
    let mut listed = Vec::new();
    for show in parcel.shows() {
        let mut show = show.clone();
        // The address of its feed is its first, if it had none before.
        if urls.is_worldwide() {
            let feed = urls.document(&show.slug, "feed.xml");
            show.podcast_guid = show.podcast_guid.or_else(|| Some(podcast_guid(feed.as_str())));
        }
        let episodes = parcel.offered(&show.slug);
        types.add_images(&show.image);
        for episode in &episodes {
            types.add_images(&episode.image);
            for transcript in &episode.transcripts {
                types.add(transcript.kind.extension(), transcript.kind.content_type());
            }
            site.episode(root, &show, episode, urls)?;
        }
        site.show(parcel, root, &show, &episodes, urls)?;
        listed.push((show, episodes.len()));
    }
    let home = page::home(listed.iter().map(|(show, episodes)| (show, *episodes)), urls);
    site.bytes("index.html", home.as_bytes())?;
    site.bytes(NGINX, types.for_nginx().as_bytes())?;
    for name in FOLDERS {
        site.sweep(&folder.join(name), delete)?;
    }
    Ok(site.outcome)
}

/// The files of what is offered: no keys, and nothing of what is not out or was taken back.
fn offered_parts(parcel: &Parcel, root: &Path) -> Result<Vec<Part>, ArchiveError> {
    let mut wanted = BTreeSet::new();
    for show in parcel.shows() {
        let image = |file: &str| format!("media/{}/{file}", show.slug);
        wanted.extend(show.image.iter().map(|it| image(&it.file)));
        for episode in parcel.offered(&show.slug) {
            wanted.insert(image(&episode.file));
            wanted.extend(episode.image.iter().map(|it| image(&it.file)));
            wanted.extend(episode.transcripts.iter().map(|it| image(&it.file)));
        }
    }
    let mut parts = parcel.parts(root)?;
    // A folder's files go with it.
    parts.retain(|part| {
        let mut names = part.place.splitn(4, '/');
        let own: Vec<&str> = names.by_ref().take(3).collect();
        wanted.contains(&own.join("/"))
    });
    Ok(parts)
}

/// The types of the files, by their extensions: web servers do not know all of them.
struct Types(BTreeMap<String, String>);

impl Types {
    /// Those of what we write ourselves.
    fn of_documents() -> Self {
        let mut types = Self(BTreeMap::new());
        for (extension, mime) in [
            ("atom", Form::Atom.mime()),
            ("css", assets::CSS),
            ("html", HTML),
            ("js", assets::JAVASCRIPT),
            ("json", "application/json"),
            ("torrent", TORRENT_MIME),
            ("xml", Form::Podcast.mime()),
        ] {
            types.add(extension, mime);
        }
        types
    }

    /// The first that is said of an extension holds. What might be more than a word to a server is left out.
    fn add(&mut self, extension: &str, mime: &str) {
        let is_word = !extension.is_empty() && extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let is_type = mime.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/+-.;= ".contains(&byte));
        if is_word && is_type {
            self.0.entry(extension.to_ascii_lowercase()).or_insert_with(|| mime.to_owned());
        }
    }

    fn add_images<'a>(&mut self, images: impl IntoIterator<Item = &'a Image>) {
        for Image { file, mime } in images {
            self.add(extension(file), mime);
        }
    }

    /// Adds that of audio, video and the like.
    fn add_file(&mut self, part: &Part) -> Result<(), ArchiveError> {
        let extension = extension(&part.place).to_ascii_lowercase();
        if !self.0.contains_key(&extension) {
            let kind = kind::of_file(&part.source, Path::new(&part.place));
            let kind = kind.map_err(ArchiveError::io("read", &part.source))?;
            if kind.mime != kind::BYTES {
                self.add(&extension, kind.mime);
            }
        }
        Ok(())
    }

    /// What a `server` of nginx includes: it then serves the files under these types and no others, to pages of every
    /// origin.
    fn for_nginx(&self) -> String {
        let types = self
            .0
            .iter()
            .fold(String::new(), |types, (extension, mime)| format!("{types}    \"{mime}\" {extension};\n"));
        format!(
            "# Written by `podpub export --site`; include it in the `server` that serves this folder.\n\
             types {{\n{types}}}\n\
             default_type {};\n\
             add_header Access-Control-Allow-Origin *;\n\
             add_header X-Content-Type-Options nosniff;\n",
            kind::BYTES
        )
    }
}

fn extension(path: &str) -> &str {
    Path::new(path).extension().and_then(|extension| extension.to_str()).unwrap_or_default()
}

impl Folder<'_> {
    fn episode(
        &mut self,
        root: &Path,
        show: &ShowRecord,
        episode: &EpisodeRecord,
        urls: &Urls,
    ) -> Result<(), ArchiveError> {
        let (slug, name) = (&show.slug, page_name(&episode.file));
        let path = format!("torrents/{slug}/{}.torrent", episode.file);
        let bare = root.join(&path);
        let bytes = fs::read(&bare).map_err(ArchiveError::io("read", &bare))?;
        let bare = Metainfo::parse(&bytes).map_err(|source| LibraryError::Torrent { path: bare, source })?;
        self.bytes(&path, &feed::torrent(episode, bare, urls))?;
        if !episode.chapters.is_empty() {
            self.bytes(&format!("shows/{slug}/{name}/chapters.json"), chapters::to_json(&episode.chapters).as_bytes())?;
        }
        let said = transcript::said(&episode.transcripts, |it| {
            fs::read_to_string(root.join(format!("media/{slug}/{}", it.file))).ok()
        });
        let page = page::episode(show, episode, feed::magnet(episode, urls).as_ref(), &said, urls);
        self.bytes(&format!("shows/{slug}/{name}.html"), page.as_bytes())
    }

    fn show(
        &mut self,
        parcel: &Parcel,
        root: &Path,
        show: &ShowRecord,
        episodes: &[&EpisodeRecord],
        urls: &Urls,
    ) -> Result<(), ArchiveError> {
        let slug = &show.slug;
        let key = keys::ensure(&root.join("keys"), slug).map_err(LibraryError::from)?;
        self.bytes(&format!("shows/{slug}.html"), page::show(show, episodes, urls).as_bytes())?;
        // The pages behind are there before a document names them.
        for document in feed::feeds(show, episodes, ShowKey::of(&key), parcel.withdrawn(slug), urls).iter().rev() {
            self.bytes(&format!("shows/{slug}/{}", document.name), document.text.as_bytes())?;
        }
        Ok(())
    }

    /// Has these bytes at `name`.
    fn bytes(&mut self, name: &str, bytes: &[u8]) -> Result<(), ArchiveError> {
        let path = self.path.join(name);
        let is_there = fs::read(&path).is_ok_and(|there| there == bytes);
        if !is_there {
            let folder = path.parent().unwrap_or(self.path);
            fs::create_dir_all(folder).map_err(ArchiveError::io("make", folder))?;
            save(&path, bytes, 0o644)?;
        }
        self.keep(path, is_there);
        Ok(())
    }

    /// Has that file. Its name holds a part of its hash, so one of its name and length is the same.
    fn file(&mut self, part: &Part) -> Result<(), ArchiveError> {
        let path = self.path.join(&part.place);
        let is_there = fs::metadata(&path).is_ok_and(|there| there.len() == part.length);
        if !is_there {
            place(&part.source, &path, 0o644, false)?;
        }
        self.keep(path, is_there);
        Ok(())
    }

    fn keep(&mut self, path: PathBuf, is_there: bool) {
        self.kept.insert(path);
        if is_there {
            self.outcome.unchanged += 1;
        } else {
            self.outcome.written += 1;
        }
    }

    /// Removes what is below `folder` and was not kept, or counts it.
    fn sweep(&mut self, folder: &Path, delete: bool) -> Result<(), ArchiveError> {
        let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
        for entry in entries {
            let path = entry.map_err(ArchiveError::io("read", folder))?.path();
            if path.is_dir() {
                self.sweep(&path, delete)?;
            } else if !self.kept.contains(&path) && delete {
                fs::remove_file(&path).map_err(ArchiveError::io("remove", &path))?;
                self.outcome.removed += 1;
            } else if !self.kept.contains(&path) {
                self.outcome.stale += 1;
            }
        }
        if delete {
            // One that is not empty stays.
            let _ = fs::remove_dir(folder);
        }
        Ok(())
    }
}
