//! The queue, the counter and the store together.

use uuid::Uuid;

use super::*;
use crate::library::tests::library;
use crate::record::tests::{episode, show};
use crate::urls::Urls;

struct World {
    _dir: tempfile::TempDir,
    library: Library,
    site: watch::Sender<Arc<Site>>,
}

const PLAYER: &str = "AntennaPod/3.2.0";

impl World {
    /// A library with one show and its episode 1 of 1000 bytes.
    fn new() -> Self {
        let (dir, library) = library();
        library.store().put(&show("a")).unwrap();
        library.store().put(&episode("a", 1)).unwrap();
        let urls = Urls::parse("http://pods.example/").unwrap();
        let site = Site::build(&library, &urls, DateTime::UNIX_EPOCH).unwrap();
        Self { _dir: dir, library, site: watch::Sender::new(Arc::new(site)) }
    }

    fn start(&self, config: NumbersConfig) -> (Numbers, Counting) {
        let (numbers, queue) = Numbers::queue();
        let counting = Counting::start(&numbers, queue, &self.library, self.site.subscribe(), config);
        (numbers, counting)
    }

    /// Downloads over HTTP and in swarms, as they are stored.
    fn stored(&self) -> (u64, u64) {
        let found = report(&self.library, &Which::default()).unwrap();
        (found[0].http, found[0].swarm)
    }
}

fn download(numbers: &Numbers, ip: &str, bytes: u64) {
    let mut tally = numbers.tally(EpisodeKey::of(&episode("a", 1)), ip.parse().unwrap(), PLAYER, false, 1000);
    tally.add(0, bytes);
}

#[tokio::test]
async fn what_was_settled_is_there_after_a_kill() {
    let world = World::new();
    let (numbers, counting) = world.start(NumbersConfig::default());
    download(&numbers, "203.0.113.1", 1000);
    download(&numbers, "203.0.113.2", 999);
    numbers.completed("203.0.113.3".parse().unwrap(), [7; 20], [1; 20]);
    numbers.completed("203.0.113.3".parse().unwrap(), [7; 20], [1; 20]);
    numbers.completed("203.0.113.3".parse().unwrap(), [8; 20], [9; 20]);
    numbers.settle().await;
    assert_eq!(world.stored(), (1, 1));
    // It is never ended, and another begins: as after a kill.
    let (again, counting_again) = world.start(NumbersConfig::default());
    download(&again, "203.0.113.1", 1000);
    download(&again, "203.0.113.9", 1000);
    again.completed("203.0.113.3".parse().unwrap(), [7; 20], [1; 20]);
    counting_again.end().await;
    assert_eq!(world.stored(), (2, 1));
    counting.end().await;
}

#[tokio::test]
async fn no_address_is_written_anywhere() {
    let world = World::new();
    let (numbers, counting) = world.start(NumbersConfig::default());
    download(&numbers, "203.0.113.77", 1000);
    counting.end().await;
    let mut files = 0;
    for folder in ["journal", "listeners"] {
        for entry in std::fs::read_dir(world.library.root().join(folder)).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
            assert!(!has(b"203.0.113.77") && !has(&[203, 0, 113, 77]) && !has(PLAYER.as_bytes()));
            files += 1;
        }
    }
    assert!(files >= 2);
}

#[tokio::test]
async fn countries_are_counted_by_the_owners_database() {
    let world = World::new();
    let path = world.library.root().join("countries.mmdb");
    std::fs::write(&path, geo::tests::database("NZ")).unwrap();
    let countries = Some(Countries::open(path.to_str().unwrap()).unwrap());
    let (numbers, counting) = world.start(NumbersConfig { countries, ..NumbersConfig::default() });
    download(&numbers, "1.0.0.1", 1000);
    download(&numbers, "203.0.113.1", 1000);
    counting.end().await;
    let found = report(&world.library, &Which::default()).unwrap();
    assert_eq!(found[0].countries, [("NZ".to_owned(), 1)].into());
    assert_eq!(found[0].players, [("AntennaPod".to_owned(), 2)].into());
}

#[test]
fn a_minute_is_a_share_of_the_sound_after_its_tag() {
    let (_dir, library) = library();
    library.prepare_show(&show("a").slug).unwrap();
    let mut record = episode("a", 1);
    (record.length, record.enclosure.length, record.duration_ms) = (100_000, 100_000, Some(600_000));
    std::fs::write(library.content(&record), b"ID3\x04\0\0\0\0\x27\x06rest").unwrap();
    // 39 * 128 + 6 bytes of tag and its head of 10.
    let tag = 39 * 128 + 6 + 10;
    assert_eq!(enough(&library, &record), tag + (100_000 - tag) / 10);
    std::fs::write(library.content(&record), b"\xff\xfb").unwrap();
    assert_eq!(enough(&library, &record), 10_000);
    for plays in [None, Some(59_999)] {
        record.duration_ms = plays;
        assert_eq!(enough(&library, &record), 100_000);
    }
}

#[test]
fn a_name_that_is_too_long_is_cut() {
    let (numbers, mut queue) = Numbers::queue();
    let key = EpisodeKey { show: "a".parse().unwrap(), guid: Uuid::from_u128(1) };
    numbers.tally(key, "203.0.113.1".parse().unwrap(), &"ä".repeat(4000), false, 5).add(0, 5);
    let Ok(Note::Fetched(fetch)) = queue.try_recv() else { panic!("nothing was noted") };
    assert_eq!(fetch.agent.len(), LONGEST_AGENT);
}
