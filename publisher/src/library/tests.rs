//! A library on a disk of its own.

use chrono::Duration;

use super::*;

/// An empty library in a folder that goes with the test.
pub(crate) fn library() -> (tempfile::TempDir, Library) {
    let dir = tempfile::tempdir().unwrap();
    let (library, _) = Library::open(dir.path()).unwrap();
    (dir, library)
}

fn titled(title: &str) -> ShowFields {
    ShowFields { title: Some(title.to_owned()), ..ShowFields::default() }
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap()
}

#[test]
fn a_show_is_made_with_its_key_and_found_by_slug_or_title() {
    let (dir, library) = library();
    let show = library.create_show(None, titled("My Café"), None, false, now()).unwrap();
    assert_eq!(show.slug.as_str(), "my-cafe");
    assert!(dir.path().join("keys/my-cafe.ed25519").exists());
    for wanted in [None, Some("my-cafe"), Some(" my CAFÉ ")] {
        assert_eq!(library.show(wanted).unwrap(), show);
    }
}

#[test]
fn a_second_show_under_one_slug_is_refused() {
    let (_dir, library) = library();
    library.create_show(None, titled("A"), None, false, now()).unwrap();
    let error = library.create_show(None, titled("a!"), None, false, now()).unwrap_err();
    assert_eq!(error.to_string(), "there is a show `a` already: A");
    assert!(error.hint().unwrap().contains("podpub edit --show a"));
}

#[test]
fn which_show_is_asked_only_where_there_are_several() {
    let (_dir, library) = library();
    assert!(matches!(library.show(None), Err(LibraryError::NoShow { .. })));
    library.create_show(None, titled("A"), None, false, now()).unwrap();
    assert!(library.show(None).is_ok());
    library.create_show(None, titled("B"), None, false, now()).unwrap();
    assert_eq!(library.show(None).unwrap_err().to_string(), "there are several shows: a, b");
    let error = library.show(Some("c")).unwrap_err().to_string();
    assert_eq!(error, "there is no show `c`; there are: a, b");
}

#[test]
fn an_edit_changes_what_it_says_and_lasts() {
    let (dir, library) = library();
    library.create_show(None, titled("A"), None, false, now()).unwrap();
    let mut fields = ShowFields { author: Some("Ann".to_owned()), ..ShowFields::default() };
    fields.set_image(&crate::fixture::png(4, 4));
    let show = library.edit_show(None, fields).unwrap();
    assert!(library.media_folder(&show.slug).join(&show.image.clone().unwrap().file).exists());
    drop(library);
    let (library, _) = Library::open(dir.path()).unwrap();
    assert_eq!(library.show(None).unwrap(), show);
    assert_eq!(show.author.as_deref(), Some("Ann"));
}

#[test]
fn a_show_without_a_title_is_refused() {
    let (_dir, library) = library();
    let made = library.create_show(None, ShowFields::default(), None, false, now());
    assert!(matches!(made, Err(LibraryError::Field(FieldError::Title { got: 0 }))));
    assert_eq!(library.shows().unwrap(), []);
}

#[test]
fn a_release_counts_events_up_from_one() {
    use crate::record::tests::{episode, show};
    let (_dir, library) = library();
    for n in 1..=2 {
        let mut record = episode("a", n);
        record.released = false;
        let (record, event) = library.release(&show("a"), &record, record.published, &Wanted::default()).unwrap();
        assert!(record.released);
        assert_eq!(event.seq, u64::from(n));
    }
    assert_eq!(library.episodes(&show("a").slug).unwrap()[0].title, "Episode 2");
    assert_eq!(library.events(&show("a").slug).unwrap().len(), 2);
}

#[test]
fn of_two_episodes_of_one_second_the_one_that_came_last_is_the_newest() {
    use crate::record::tests::{episode, show};
    let (_dir, library) = library();
    let (last, mut first) = (episode("a", 1), episode("a", 2));
    (first.published, first.added) = (last.published, last.added - Duration::milliseconds(300));
    for record in [&first, &last] {
        library.release(&show("a"), record, record.published, &Wanted::default()).unwrap();
    }
    let titles: Vec<String> =
        library.episodes(&show("a").slug).unwrap().into_iter().map(|episode| episode.title).collect();
    assert_eq!(titles, ["Episode 1", "Episode 2"]);
}

#[test]
fn the_public_url_is_remembered() {
    let (_dir, library) = library();
    assert_eq!(library.public_url().unwrap(), None);
    library.set_public_url("http://a/").unwrap();
    library.set_public_url("http://b/").unwrap();
    assert_eq!(library.public_url().unwrap().as_deref(), Some("http://b/"));
}
