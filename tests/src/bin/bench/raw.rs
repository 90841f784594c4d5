//! One seed and one leech on a network as fast as the machine, files in memory.

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use podswarm_core::rate::ByteCount;
use podswarm_tests::clients::Client;
use podswarm_tests::crowd::{make_torrent, opentracker};
use podswarm_tests::files::{MIB, assert_same_bytes, only_file_like, random_file};
use podswarm_tests::net::Net;
use podswarm_tests::process::Program;
use podswarm_tests::programs::{Publisher, complete, get_and_seed};

use crate::Who;
use crate::report::{Section, median, short};

const LENGTH: u64 = 2048 * MIB;
const LIMIT: Duration = Duration::from_mins(5);

struct Outcome {
    wall: Duration,
    processor: Duration,
    seed: ByteCount,
    leech: ByteCount,
}

pub(crate) fn measure(who: &[Who], runs: usize) -> Section {
    let mut section = Section {
        name: "raw",
        title: "Raw transfer".to_owned(),
        text: "2 GiB from one seed to one leech over an unshaped veth pair, files in memory. The time counts from the start of the \
               leech's process until every byte is checked and in place; the processor's is that of both sides in that time. \
               The programs take turns, and the memory for the leech's file was in use just before: a virtual machine's \
               host is slow to give what was not."
            .to_owned(),
        columns: vec!["", "time", "MiB/s", "processor, s per GiB", "memory of the seed", "memory of the leech"],
        rows: Vec::new(),
        bars: Vec::new(),
        bars_say: "MiB/s".to_owned(),
        limit: None,
    };
    let mut outcomes: Vec<Vec<Outcome>> = who.iter().map(|_| Vec::new()).collect();
    for _ in 0..runs {
        for (who, outcomes) in who.iter().zip(&mut outcomes) {
            outcomes.push(run(*who));
        }
    }
    for (who, outcomes) in who.iter().zip(&outcomes) {
        let middle = |of: &dyn Fn(&Outcome) -> f64| median(outcomes.iter().map(of).collect());
        let wall = middle(&|outcome| outcome.wall.as_secs_f64());
        let gib = 2.0;
        let most = |of: &dyn Fn(&Outcome) -> ByteCount| outcomes.iter().map(of).max().unwrap_or_default().to_string();
        section.rows.push(vec![
            who.name().to_owned(),
            format!("{wall:.2} s"),
            short(gib * 1024.0 / wall),
            short(middle(&|outcome| outcome.processor.as_secs_f64()) / gib),
            most(&|outcome| outcome.seed),
            most(&|outcome| outcome.leech),
        ]);
        section.bars.push((who.name().to_owned(), gib * 1024.0 / wall));
    }
    section
}

fn run(who: Who) -> Outcome {
    let folder = tempfile::tempdir_in("/dev/shm").expect("Linux has memory to keep files in");
    let mut net = Net::new();
    let [home, away] = ["seed", "leech"].map(|name| net.host(name));
    let file = random_file(&folder.path().join("A large file.bin"), LENGTH, 9);
    let theirs = folder.path().join("leech");
    let touch = || {
        let file = random_file(&folder.path().join("touched"), 2 * LENGTH, 10);
        fs::remove_file(file).expect("the file was just written");
    };
    let wait = |seed: &Program, leech: &mut Program, client: Option<Client>, began: Instant, before: Duration| {
        let (at, got) = match client {
            Some(_) => (Client::wait_seeding(leech, LIMIT), only_file_like(&file, &theirs)),
            None => complete(leech, LIMIT),
        };
        let processor = seed.cpu_time().saturating_sub(before) + leech.cpu_time();
        assert_same_bytes(&file, &got);
        Outcome { wall: at - began, processor, seed: seed.peak_memory(), leech: leech.peak_memory() }
    };
    match who.client() {
        None => {
            let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
            let release = publisher.publish_with(&["--in-place"], &[&file]);
            touch();
            let (before, began) = (publisher.program.cpu_time(), Instant::now());
            let mut leech = get_and_seed(&away, &release.torrent, &theirs);
            wait(&publisher.program, &mut leech, None, began, before)
        }
        Some(client) => {
            let torrent = make_torrent(&file, &format!("http://{}/announce", SocketAddr::new(home.v4(), 6969)));
            let _tracker = opentracker(&home, folder.path(), std::slice::from_ref(&torrent));
            let seed = client.seed(&home, &torrent, folder.path());
            touch();
            let (before, began) = (seed.cpu_time(), Instant::now());
            let mut leech = client.join(&away, &torrent, &theirs);
            wait(&seed, &mut leech, Some(client), began, before)
        }
    }
}
