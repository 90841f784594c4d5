//! Making a torrent of a file in the page cache.

use std::process::Command;
use std::time::Instant;

use podswarm_tests::files::{MIB, random_file};
use podswarm_tests::programs::podpub;

use crate::report::{Section, median, short};

const LENGTH: u64 = 4096 * MIB;
const BYTES: f64 = 4096.0 * 1024.0 * 1024.0;

pub(crate) fn measure(runs: usize) -> Section {
    let folder = tempfile::tempdir_in("/dev/shm").expect("Linux has memory to keep files in");
    let file = random_file(&folder.path().join("A large file.bin"), LENGTH, 5);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let torrent = folder.path().join("out.torrent");
    let timed = |make: &dyn Fn() -> Command| {
        let rates = (0..runs).map(|_| {
            // mktorrent writes over nothing.
            let _ = std::fs::remove_file(&torrent);
            let began = Instant::now();
            let output = make().output().unwrap_or_else(|error| panic!("{:?}: {error}", make()));
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            BYTES / began.elapsed().as_secs_f64()
        });
        median(rates.collect())
    };
    let limit = median((0..runs).map(|_| openssl_sha1(cores)).collect());
    let ours = timed(&|| {
        let mut command = Command::new(podpub());
        command
            .args(["torrent", "create", "--quiet", "--piece-length", "1048576", "--output"])
            .arg(&torrent)
            .arg(&file);
        command
    });
    let mktorrent = timed(&|| {
        let mut command = Command::new("mktorrent");
        command.args(["-l", "20", "-t", &cores.to_string(), "-a", "http://tracker.example/announce", "-o"]);
        command.arg(&torrent).arg(&file);
        command
    });
    let rows = [("openssl speed sha1", limit), ("Podswarm", ours), ("mktorrent", mktorrent)];
    Section {
        name: "hash",
        title: "Hashing".to_owned(),
        text: format!(
            "A torrent is made of 4 GiB in the page cache, pieces of 1 MiB, {cores} cores. The limit is `openssl speed -evp sha1` \
                       on all cores, which reads nothing."
        ),
        columns: vec!["", "MB/s", "of the limit"],
        rows: rows
            .map(|(name, rate)| vec![name.to_owned(), short(rate / 1e6), format!("{:.0} %", rate / limit * 100.0)])
            .to_vec(),
        bars: rows.map(|(name, rate)| (name.to_owned(), rate / 1e6)).to_vec(),
        bars_say: "MB/s hashed".to_owned(),
        limit: Some(limit / 1e6),
    }
}

/// Bytes a second that OpenSSL hashes on all cores.
fn openssl_sha1(cores: usize) -> f64 {
    let output = Command::new("openssl")
        .args(["speed", "-mr", "-evp", "sha1", "-bytes", "1048576", "-seconds", "2", "-multi", &cores.to_string()])
        .output()
        .expect("openssl is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    // The closing line of -mr: `+F:22:sha1:RATE`.
    let rate = text.lines().rev().find_map(|line| line.strip_prefix("+F:")?.rsplit(':').next()?.parse().ok());
    rate.unwrap_or_else(|| panic!("openssl speed says no rate: {text}"))
}
