//! A whole audience listens for a release at once.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use chrono::{SecondsFormat, SubsecRound as _, TimeDelta, Utc};
use podswarm_core::rate::ByteCount;
use podswarm_tests::audio::{Format, long_episode, short_episode};
use podswarm_tests::files::scratch;
use podswarm_tests::net::Net;
use podswarm_tests::process::PATIENCE;
use podswarm_tests::programs::Publisher;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises this process's limit of open files as far as it goes, and says how many streams it has room for.
fn room() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("the limit may be raised so far");
    // As many again, and some, are open at the publisher's end, which has the same limit.
    usize::try_from(most.saturating_sub(1000) / 4 * 3).unwrap_or(usize::MAX)
}

/// Reads until `text` has come.
#[track_caller]
fn read_until(stream: &mut TcpStream, text: &str) {
    let (mut read, mut buffer) = (Vec::new(), [0; 2048]);
    while !read.windows(text.len()).any(|window| window == text.as_bytes()) {
        let length = stream.read(&mut buffer).expect("the stream goes on");
        assert_ne!(length, 0, "the stream ended after {:?}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&buffer[..length]);
    }
}

/// Opens `count` streams of the events at `path` on the publisher's own machine, as through a reverse proxy: no limit
/// per address holds. Returns when each was greeted.
#[track_caller]
fn open_streams(publisher: &Publisher, path: &str, count: usize) -> Vec<TcpStream> {
    let at = SocketAddr::from(([127, 0, 0, 1], publisher.http_port));
    let mut open: Vec<TcpStream> = publisher.host.within(|| {
        let connect = |_| {
            let mut stream = TcpStream::connect(at).expect("the publisher listens");
            stream.set_read_timeout(Some(PATIENCE)).expect("the time is not zero");
            write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").expect("the publisher reads");
            stream
        };
        (0..count).map(connect).collect()
    });
    for stream in &mut open {
        read_until(stream, "\n\n");
    }
    open
}

/// The path of the events of the show with that feed.
fn events(feed: &str) -> String {
    feed.split_once(":6969").expect("the feed names the port").1.replace("feed.xml", "events")
}

#[test]
fn a_release_at_its_time_reaches_ten_thousand_streams_also_after_a_restart() {
    // From now: a restart and ten thousand connections fit in, on a busy machine, too.
    const AHEAD: TimeDelta = TimeDelta::seconds(25);
    // Asserted with room for a busy machine.
    const ENOUGH: TimeDelta = TimeDelta::seconds(5);
    let streams = room().min(10_000);
    let (folder, mut net) = (scratch(), Net::new());
    let (home, data) = (net.host("publisher"), folder.path().join("podpub"));
    let publisher = Publisher::serve(&home, &data, None);
    let first = publisher.publish(&short_episode("Before the Hour").path);
    // Times of releases are whole seconds.
    let hour = (Utc::now() + AHEAD).trunc_subsecs(0);
    let at = hour.to_rfc3339_opts(SecondsFormat::Secs, true);
    publisher.publish_with(&["--at", &at], &[&short_episode("On the Hour").path]);
    publisher.program.stop(PATIENCE);

    let publisher = Publisher::serve(&home, &data, None);
    let mut open = open_streams(&publisher, &events(&first.feed), streams);
    assert!(Utc::now() < hour, "this machine is too busy to measure anything");
    let arrivals = open.iter_mut().map(|stream| {
        read_until(stream, "event: episode");
        Utc::now() - hour
    });
    let arrivals: Vec<TimeDelta> = arrivals.collect();
    let [soonest, latest] =
        [arrivals.iter().min(), arrivals.iter().max()].map(|time| *time.expect("there are streams"));
    podswarm_tests::figure(&format!(
        "a release at its time, after a restart: the first of {streams} streams was told {} ms after it, the last {} ms",
        soonest.num_milliseconds(),
        latest.num_milliseconds()
    ));
    assert!(soonest >= TimeDelta::zero() && latest < ENOUGH, "{soonest} to {latest}");
}

#[test]
fn ten_thousand_streams_are_told_of_a_release_within_a_second_in_little_memory() {
    const MOST_MEMORY: ByteCount = ByteCount(200 << 20);
    // Asserted with room for a busy machine.
    const ENOUGH: Duration = Duration::from_secs(5);
    let streams = room().min(10_000);
    let (folder, mut net) = (scratch(), Net::new());
    let home = net.host("publisher");
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
    let first = publisher.publish(&short_episode("Before the Rush").path);
    let mut open = open_streams(&publisher, &events(&first.feed), streams);
    let memory = publisher.program.peak_memory();
    let second = publisher.publish(&long_episode(Format::Mp3).path);
    for stream in &mut open {
        read_until(stream, "event: episode");
    }
    let slowest = Instant::now().saturating_duration_since(second.at);
    podswarm_tests::figure(&format!(
        "{streams} open event streams took {memory}; the last was told {slowest:.2?} after a publish had returned"
    ));
    assert!(memory < MOST_MEMORY, "{memory}");
    assert!(slowest < ENOUGH, "{slowest:?}");
}
