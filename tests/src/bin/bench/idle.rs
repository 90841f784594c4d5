//! 200 torrents that are seeded and that nobody asks for.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use podswarm_core::rate::ByteCount;
use podswarm_tests::crowd::{make_torrent, opentracker};
use podswarm_tests::files::{random_file, scratch};
use podswarm_tests::net::Net;
use podswarm_tests::process::Program;
use podswarm_tests::programs::Publisher;

use crate::Who;
use crate::report::{Section, short};

const TORRENTS: u64 = 200;
/// How long each is left alone before it is looked at.
const SETTLE: Duration = Duration::from_secs(20);
/// How long each is looked at.
const WATCH: Duration = Duration::from_mins(1);

pub(crate) fn measure(who: &[Who]) -> Section {
    let mut section = Section {
        name: "idle",
        title: "200 idle torrents".to_owned(),
        text: "200 torrents of 256 KiB are seeded to nobody; memory and processor after 20 s, over one minute. `podpub` also keeps their \
               feeds, pages and tracker."
            .to_owned(),
        columns: vec!["", "resident", "processor in a minute"],
        rows: Vec::new(),
        bars: Vec::new(),
        bars_say: "MB resident".to_owned(),
        limit: None,
    };
    for who in who {
        let (memory, processor) = run(*who);
        section.rows.push(vec![
            who.name().to_owned(),
            memory.to_string(),
            format!("{} s", short(processor.as_secs_f64())),
        ]);
        let kib = f64::from(u32::try_from(memory.0 / 1024).expect("less than 4 TiB"));
        section.bars.push((who.name().to_owned(), kib * 1024.0 / 1e6));
    }
    section
}

fn run(who: Who) -> (ByteCount, Duration) {
    let (folder, mut net) = (scratch(), Net::new());
    let home = net.host("publisher");
    let media = folder.path().join("media");
    std::fs::create_dir(&media).expect("the run's folder is ours");
    let name = |number: u64| media.join(format!("Episode {number:03}.mp3"));
    let files: Vec<PathBuf> = (0..TORRENTS).map(|number| random_file(&name(number), 256 * 1024, number)).collect();
    match who.client() {
        None => {
            let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
            publisher.publish_with(&[], &files);
            watch(publisher.program)
        }
        Some(client) => {
            let url = format!("http://{}/announce", SocketAddr::new(home.v4(), 6969));
            let torrents: Vec<PathBuf> = files.iter().map(|file| make_torrent(file, &url)).collect();
            let _tracker = opentracker(&home, folder.path(), &torrents);
            watch(client.seed_many(&home, &torrents, &media))
        }
    }
}

fn watch(mut program: Program) -> (ByteCount, Duration) {
    program.go_on(SETTLE);
    let before = program.cpu_time();
    program.go_on(WATCH);
    (program.memory(), program.cpu_time().saturating_sub(before))
}
