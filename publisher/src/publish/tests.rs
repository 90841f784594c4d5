//! From a path to an episode, on a disk.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use podswarm_core::net::create::HashError;

use super::super::{Draft, Follow, Intake, stage};
use super::*;
use crate::fixture;
use crate::library::tests::library;

fn now() -> DateTime<Utc> {
    DateTime::parse_from_rfc3339("2026-11-20T18:00:00.7Z").unwrap().to_utc()
}

fn draft(path: PathBuf) -> Draft {
    Draft { path, name: None, intake: Intake::Copy, said: Said::default(), replaces: None, anyway: false }
}

struct World {
    dir: tempfile::TempDir,
    _library_dir: tempfile::TempDir,
    library: Library,
}

fn world() -> World {
    let (library_dir, library) = library();
    World { dir: tempfile::tempdir().unwrap(), _library_dir: library_dir, library }
}

impl World {
    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    fn settle(&self, draft: Draft) -> Result<Outcome, PublishError> {
        settle(&self.library, stage(&self.library, draft, &Follow::default())?, now())
    }

    fn publish(&self, draft: Draft) -> Recorded {
        match self.settle(draft).unwrap() {
            Outcome::New(settled) => settled.record(&self.library, now(), &Wanted::default()).unwrap(),
            Outcome::Already { .. } => panic!("published already"),
        }
    }

    fn files_below(&self, folder: &str) -> usize {
        fn count(path: &Path) -> usize {
            fs::read_dir(path).unwrap().map(|e| e.unwrap().path()).map(|p| if p.is_dir() { count(&p) } else { 1 }).sum()
        }
        count(&self.library.root().join(folder))
    }
}

#[test]
fn the_first_file_makes_its_show_and_lies_in_the_library() {
    let world = world();
    let content = fixture::wav(2, 1);
    let path = world.file("My_First Show.wav", &content);
    let Recorded { show, episode, event } = world.publish(draft(path));
    assert_eq!((show.title.as_str(), show.slug.as_str()), ("My First Show", "my-first-show"));
    assert_eq!(episode.title, "My First Show");
    assert_eq!(episode.duration_ms, Some(2000));
    assert_eq!(episode.enclosure.mime, "audio/wav");
    assert!(episode.released && event.unwrap().seq == 1);
    assert_eq!(episode.published.to_rfc3339(), "2026-11-20T18:00:00+00:00");
    assert_eq!(episode.file, format!("2026-11-20-my-first-show-{}.wav", &episode.sha256[..8]));
    assert_eq!(fs::read(world.library.content(&episode)).unwrap(), content);
    let metainfo = world.library.metainfo(&show.slug, &episode.file).unwrap();
    assert_eq!((metainfo.info_hash, metainfo.info.name.as_str()), (episode.info_hash, episode.file.as_str()));
    assert!(metainfo.trackers.is_empty() && metainfo.web_seeds.is_empty());
    assert_eq!(world.files_below("staging"), 0);
}

#[test]
fn what_was_typed_wins() {
    let world = world();
    let path = world.file("a.wav", &fixture::wav(1, 1));
    let said = Said {
        show: Some("Other Show".to_owned()),
        title: Some(" The  title ".to_owned()),
        notes: Some("n".to_owned()),
        season: Some(2),
        number: Some(3),
        at: Some("2020-01-02T03:04:05Z".parse().unwrap()),
        next: false,
        draft: false,
        chapters: None,
        transcripts: Vec::new(),
        ..Said::default()
    };
    let Recorded { show, episode, .. } = world.publish(Draft { said, ..draft(path) });
    assert_eq!((show.title.as_str(), episode.title.as_str()), ("Other Show", "The title"));
    assert_eq!((episode.season, episode.number, episode.notes.as_deref()), (Some(2), Some(3), Some("n")));
    assert!(episode.file.starts_with("2020-01-02-the-title-"));
    assert!(episode.released, "a date in the past is only a date");
}

#[test]
fn the_same_content_is_one_episode_whatever_its_name() {
    let world = world();
    let first = world.publish(draft(world.file("a.wav", &fixture::wav(1, 1))));
    let again = Draft {
        said: Said { title: Some("b".into()), ..Said::default() },
        ..draft(world.file("b.wav", &fixture::wav(1, 1)))
    };
    let Outcome::Already { episode, .. } = world.settle(again).unwrap() else { panic!("published twice") };
    assert_eq!(*episode, first.episode);
    assert_eq!(world.files_below("media"), 1);
    assert_eq!(world.files_below("staging"), 0);
}

#[test]
fn a_folder_is_one_episode_whose_largest_audio_apps_play() {
    let world = world();
    world.file("book/1.wav", &fixture::wav(1, 1));
    world.file("book/cd 2/2.wav", &fixture::wav(2, 2));
    world.file("book/scan.pdf", &vec![b'x'; 90_000]);
    let Recorded { episode, .. } = world.publish(draft(world.dir.path().join("book")));
    assert_eq!(episode.title, "book");
    assert_eq!(episode.enclosure.path.as_deref(), Some("cd 2/2.wav"));
    assert_eq!(episode.length, 8044 + 16_044 + 90_000);
    assert_eq!(fs::read(world.library.content(&episode).join("cd 2/2.wav")).unwrap(), fixture::wav(2, 2));
    assert!(!episode.file.contains('.'));
}

#[test]
fn in_place_the_original_is_served_and_not_copied() {
    let world = world();
    let path = world.file("a.wav", &fixture::wav(1, 1));
    let Recorded { episode, .. } = world.publish(Draft { intake: Intake::InPlace, ..draft(path.clone()) });
    let canonical = path.canonicalize().unwrap();
    assert!(matches!(&episode.place, Place::Original { path, mtime: Some(_) } if *path == canonical));
    assert_eq!(world.library.content(&episode), canonical);
    assert_eq!(world.files_below("media"), 0);
}

#[test]
fn an_upload_is_moved() {
    let world = world();
    let path = world.file("upload", &fixture::wav(1, 1));
    let moved = Draft { intake: Intake::Move, name: Some("a talk.wav".into()), ..draft(path.clone()) };
    let Recorded { episode, .. } = world.publish(moved);
    assert!(!path.exists());
    assert_eq!(episode.title, "a talk");
}

#[test]
fn a_later_date_is_kept_back() {
    let world = world();
    let said = Said { at: Some(now() + chrono::Duration::hours(1)), ..Said::default() };
    let Recorded { episode, event, .. } =
        world.publish(Draft { said, ..draft(world.file("a.wav", &fixture::wav(1, 1))) });
    assert!(!episode.released && event.is_none());
}

#[test]
fn an_episode_that_is_not_recorded_leaves_nothing() {
    let world = world();
    let settled = world.settle(draft(world.file("a.wav", &fixture::wav(1, 1)))).unwrap();
    assert_eq!(world.files_below("media"), 1);
    drop(settled);
    for folder in ["media", "torrents", "staging"] {
        assert_eq!(world.files_below(folder), 0, "{folder}");
    }
    assert_eq!(world.library.shows().unwrap(), []);
}

#[test]
fn with_several_shows_the_tags_or_the_owner_say_which() {
    let world = world();
    for title in ["A", "B"] {
        let fields = crate::shows::ShowFields { title: Some(title.into()), ..Default::default() };
        world.library.create_show(None, fields, None, false, now()).unwrap();
    }
    let path = world.file("a.wav", &fixture::wav(1, 1));
    let error = world.settle(draft(path.clone())).err().unwrap();
    assert!(matches!(error, PublishError::Library(LibraryError::WhichShow { .. })));
    let said = |show: &str| Said { show: Some(show.into()), ..Said::default() };
    let error = world.settle(Draft { said: said("c"), ..draft(path.clone()) }).err().unwrap();
    assert!(error.to_string().contains("there is no show `c`; there are: a, b"), "{error}");
    assert_eq!(world.publish(Draft { said: said("b"), ..draft(path) }).show.slug.as_str(), "b");
}

#[test]
fn what_is_no_episode_is_refused_in_one_sentence() {
    let world = world();
    let refused = |draft: Draft| world.settle(draft).err().unwrap().to_string();
    let path = world.file("empty.mp3", b"");
    assert_eq!(refused(draft(path.clone())), format!("`{}` has no content", path.display()));
    assert!(refused(draft(world.dir.path().join("none"))).ends_with("does not exist"));
    assert!(refused(draft("/dev/null".into())).contains("neither a file nor a folder"));
    let said = Said { number: Some(0), ..Said::default() };
    assert!(refused(Draft { said, ..draft(path) }).contains("count from 1"));
    assert_eq!(world.files_below("staging"), 0);
}

#[test]
fn what_nobody_plays_is_published_with_a_warning() {
    let world = world();
    let Outcome::New(settled) = world.settle(draft(world.file("data.iso", b"hello"))).unwrap() else { panic!("known") };
    assert_eq!(settled.episode.enclosure.mime, "application/octet-stream");
    assert_eq!(Path::new(&settled.episode.file).extension().unwrap(), "iso");
    assert!(settled.warnings[0].contains("neither audio nor video"));
}

#[test]
fn a_cover_becomes_the_shows() {
    use lofty::config::WriteOptions;
    use lofty::picture::{MimeType, Picture, PictureType};
    use lofty::tag::{Tag, TagExt as _, TagType};
    let world = world();
    let path = world.file("a.wav", &fixture::wav(1, 1));
    let mut tag = Tag::new(TagType::Id3v2);
    let picture = Picture::unchecked(fixture::png(9, 9)).pic_type(PictureType::CoverFront).mime_type(MimeType::Png);
    tag.push_picture(picture.build());
    tag.save_to_path(&path, WriteOptions::default()).unwrap();
    let Recorded { show, episode, .. } = world.publish(draft(path));
    let image = show.image.unwrap();
    assert_eq!(fs::read(world.library.media_folder(&show.slug).join(&image.file)).unwrap(), fixture::png(9, 9));
    assert_eq!(episode.image, None, "one picture is not said twice");
}

#[test]
fn a_file_that_changed_while_it_was_read_is_refused() {
    let world = world();
    let path = world.file("a.wav", &fixture::wav(60, 1));
    let original = path.clone();
    let grow = move |_done, _total| {
        use std::io::Write as _;
        fs::File::options().append(true).open(&original).unwrap().write_all(b"x").unwrap();
    };
    let follow = Follow { progress: Arc::new(grow), ..Follow::default() };
    let error = stage(&world.library, draft(path), &follow).err().unwrap();
    assert!(matches!(error, PublishError::Hash(HashError::Changed { .. } | HashError::Length { .. })), "{error}");
    assert!(error.hint().unwrap().contains("nothing was published"));
    assert_eq!(world.files_below("staging"), 0);
}

#[test]
fn a_publish_that_is_given_up_leaves_nothing() {
    let world = world();
    let follow = Follow { cancel: Arc::new(true.into()), ..Follow::default() };
    let error = stage(&world.library, draft(world.file("a.wav", &fixture::wav(1, 1))), &follow).err().unwrap();
    assert!(matches!(error, PublishError::Cancelled));
    assert_eq!(world.files_below("staging"), 0);
}

/// A show that has all that directories ask, and is for them.
fn listed(world: &World) {
    let said = |text: &str| Some(text.to_owned());
    let mut fields = crate::shows::ShowFields {
        title: said("Listed"),
        category: said("Arts"),
        description: said("Of much."),
        ..Default::default()
    };
    fields.set_image(&fixture::png(1400, 1400));
    world.library.create_show(None, fields, None, false, now()).unwrap();
}

#[test]
fn a_show_for_directories_takes_what_they_do() {
    let world = world();
    listed(&world);
    let path = world.file("a.wav", &fixture::wav(1, 1));
    let refused = |draft: Draft| match world.settle(draft).err() {
        Some(error @ PublishError::Refused(_)) => (error.to_string(), error.hint().unwrap()),
        other => panic!("{other:?}"),
    };
    let (why, way_out) = refused(draft(path.clone()));
    assert!(why.starts_with("directories would refuse it: its file is audio/wav"), "{why}");
    assert!(why.ends_with("(Apple)") && way_out.contains("MP3") && way_out.contains("--anyway"), "{why}: {way_out}");
    assert!(way_out.contains("podpub edit --show listed --listed=false"), "{way_out}");
    assert_eq!((world.files_below("media"), world.files_below("staging")), (1, 0), "the cover alone is there");

    let anyway = Draft { anyway: true, ..draft(path.clone()) };
    let Outcome::New(settled) = world.settle(anyway).unwrap() else { panic!("it is new") };
    assert!(settled.warnings[0].contains("audio/wav"), "{:?}", settled.warnings);
    let Recorded { episode, .. } = settled.record(&world.library, now(), &Wanted::default()).unwrap();
    // What is there already is told so, as ever; what takes its place is looked at like it.
    assert!(matches!(world.settle(draft(path)).unwrap(), Outcome::Already { .. }));
    let other = world.file("b.wav", &fixture::wav(2, 2));
    refused(Draft { replaces: Some(episode), ..draft(other.clone()) });
    // What came from elsewhere is out, whatever directories say.
    let known =
        Said { origin: Some(super::super::Origin { guid: "x".into(), ..Default::default() }), ..Said::default() };
    world.publish(Draft { said: known, ..draft(other.clone()) });

    let edit = |fields| world.library.edit_show(None, fields).unwrap();
    edit(crate::shows::ShowFields { listed: Some(false), ..Default::default() });
    let third = world.file("c.wav", &fixture::wav(3, 3));
    let Outcome::New(settled) = world.settle(draft(third)).unwrap() else { panic!("it is new") };
    assert!(settled.warnings.is_empty(), "its owner has said that it is for no directory");
}

#[test]
fn a_show_that_is_to_be_listed_names_all_that_it_lacks() {
    let world = world();
    let fields = crate::shows::ShowFields { title: Some("Bare".into()), listed: Some(true), ..Default::default() };
    world.library.create_show(None, fields, None, false, now()).unwrap();
    let audio = [b"ID3\x04\0\0\0\0\0\0".as_slice(), &[0; 400]].concat();
    let path = world.file("a.mp3", &audio);
    let Some(PublishError::Refused(findings)) = world.settle(draft(path.clone())).err() else { panic!("published") };
    let said: Vec<_> = findings.iter().map(|finding| finding.what.as_str()).collect();
    assert_eq!(said, ["the show has no cover", "the show has no category", "the show has no description"]);
    assert!(findings.iter().all(|finding| finding.mend.starts_with("podpub edit --show bare --")), "{findings:?}");
    // An upload that is refused late, since something of its length is there, is not lost either.
    let upload = world.file("upload", &fixture::wav(1, 1));
    world.publish(Draft { anyway: true, ..draft(upload.clone()) });
    fs::write(&upload, fixture::wav(1, 9)).unwrap();
    let moved = Draft { intake: Intake::Move, name: Some("b.wav".into()), ..draft(upload.clone()) };
    assert!(matches!(world.settle(moved).err(), Some(PublishError::Refused(_))));
    assert_eq!(fs::read(&upload).unwrap(), fixture::wav(1, 9), "it may be asked for again");

    let private = crate::shows::ShowFields { title: Some("Mine".into()), listed: Some(true), ..Default::default() };
    let error = world.library.create_show(None, private, None, true, now()).unwrap_err();
    assert!(error.to_string().contains("no directory"), "{error}");
}
