//! Tags are written into files of every kind and read back.

use super::*;

/// A picture of one pixel.
const PIXEL: &[u8] =
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0\x90wS\xde\0\0\0\x0cIDATx\x9cc\xf8\
    \xcf\xc0\0\0\x03\x01\x01\0\xc9\xfe\x92\xef\0\0\0\0IEND\xaeB`\x82";

/// The project's sample: it has tags, chapters and a cover.
fn sample() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/hello-swarm.mp3");
    fs::read(path).unwrap()
}

/// A second of silence, mono, 8 kHz, 8 bits.
fn wav() -> Vec<u8> {
    let mut file =
        b"RIFF\x64\x1f\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x40\x1f\0\0\x01\0\x08\0data\x40\x1f\0\0".to_vec();
    file.resize(file.len() + 8000, 0x80);
    file
}

fn tags() -> Tags {
    Tags {
        title: "The Sea".to_owned(),
        show: "Night Walks".to_owned(),
        author: None,
        day: NaiveDate::from_ymd_opt(2026, 11, 20).unwrap(),
        season: Some(2),
        number: Some(7),
        notes: "Of water, and \u{e4} boat.".to_owned(),
    }
}

/// Writes `bytes` to a file, and a copy of that with [`tags`].
fn copied(bytes: &[u8]) -> (tempfile::TempDir, Result<TaggedFile, TagError>) {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("a.mp3"), dir.path().join(".a.mp3.tags"));
    fs::write(&from, bytes).unwrap();
    let cover = Cover::from_bytes(PIXEL);
    assert!(cover.is_some());
    let written = write_copy(&from, &to, &tags(), cover.as_ref());
    assert_eq!(fs::read(&from).unwrap(), bytes, "it is only read");
    (dir, written.and_then(|()| read(&to)))
}

#[track_caller]
fn check(file: &TaggedFile) {
    let tag = file.primary_tag().unwrap();
    let said = |key: ItemKey| tag.get_string(key).unwrap_or_default();
    assert_eq!([said(ItemKey::TrackTitle), said(ItemKey::AlbumTitle)], ["The Sea", "Night Walks"]);
    assert_eq!([said(ItemKey::TrackArtist), said(ItemKey::AlbumArtist)], ["Night Walks"; 2]);
    assert_eq!([said(ItemKey::DiscNumber), said(ItemKey::TrackNumber)], ["2", "7"]);
    assert_eq!([said(ItemKey::RecordingDate), said(ItemKey::Comment)], ["2026-11-20", "Of water, and \u{e4} boat."]);
}

#[test]
fn what_the_feed_tells_is_written_and_the_rest_stays() {
    let before = sample();
    let (dir, file) = copied(&before);
    let file = file.unwrap();
    check(&file);
    let after = fs::read(dir.path().join(".a.mp3.tags")).unwrap();
    for chapter in ["The middle", "Goodbye"] {
        let has = |bytes: &[u8]| bytes.windows(chapter.len()).any(|part| part == chapter.as_bytes());
        assert!(has(&before) && has(&after), "{chapter}");
    }
    // The sound is the same, byte for byte, and so is the cover that it had.
    let sound = &before[before.len() - 60_000..];
    assert!(after.ends_with(sound));
    let [picture] = file.primary_tag().unwrap().pictures() else { panic!("one cover") };
    assert_ne!(picture.data(), PIXEL);
}

#[test]
fn a_file_without_tags_gets_all_and_the_cover() {
    let (_dir, file) = copied(&wav());
    let file = file.unwrap();
    check(&file);
    let tag = file.primary_tag().unwrap();
    assert_eq!(tag.pictures()[0].data(), PIXEL);
    assert_eq!((tag.get_string(ItemKey::Genre), file.properties().duration().as_secs()), (Some(GENRE), 1));
}

#[test]
fn what_can_have_no_tags_is_refused_in_a_sentence() {
    for bytes in [
        &b""[..],
        b"hello",
        b"%PDF-1.7 and more",
        b"\x1aE\xdf\xa3webm",
        &wav()[..20],
        &[0xff; 4096],
        b"ID3\x04\0\0\x7f",
    ] {
        let (_dir, copied) = copied(bytes);
        let error = copied.map(|_| ()).unwrap_err();
        assert!(matches!(&error, TagError::Unfit(reason) if reason.len() > 10), "{bytes:?}: {error:?}");
    }
    // A film whose first bytes but a few could be sound.
    let sound = sample();
    let film = [b"\x1aE\xdf\xa3", &[0; 60][..], &sound[sound.len() - 60_000..]].concat();
    assert!(matches!(copied(&film).1, Err(TagError::Unfit(_))));
    let dir = tempfile::tempdir().unwrap();
    let absent = write_copy(&dir.path().join("a"), &dir.path().join("b"), &tags(), None);
    assert!(matches!(absent, Err(TagError::Disk(_))));
}

#[test]
fn only_pictures_are_covers() {
    for bytes in [&b""[..], b"<svg/>", b"\x89PNG\r\n\x1a\n", b"GIF89a\x01\0\x01\0\0\0\0;", &PIXEL[..20]] {
        assert_eq!(Cover::from_bytes(bytes), None, "{bytes:?}");
    }
}
