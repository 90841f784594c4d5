//! Announces: as many as one asker can make, over UDP and over HTTP.

use std::fmt::Write as _;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use podswarm_core::metainfo::Metainfo;
use podswarm_core::tracker::udp::ConnectionId;
use podswarm_core::tracker::udp::wire::{self, Reply, TransactionId};
use podswarm_core::tracker::{AnnounceRequest, AnnounceResponse};
use podswarm_tests::crowd::{make_torrent, opentracker};
use podswarm_tests::files::{random_file, scratch};
use podswarm_tests::net::{Host, Net};
use podswarm_tests::process::{PATIENCE, Program};
use podswarm_tests::programs::{Publisher, metainfo};

use crate::on_path;
use crate::report::{Section, median, short};

/// Peers in the swarm. Ours takes no more than 256 of one network.
const PEERS: u16 = 200;
const NUMWANT: i64 = 50;
/// Announces under way at once.
const WINDOW: u32 = 64;
/// How long each is asked.
const TIME: Duration = Duration::from_secs(5);

/// How announces are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    Udp,
    HttpKept,
    HttpClosing,
}

impl Over {
    const ALL: [Self; 3] = [Self::Udp, Self::HttpKept, Self::HttpClosing];

    fn name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::HttpKept => "HTTP, kept connections",
            Self::HttpClosing => "HTTP, a connection each",
        }
    }
}

/// Which tracker is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tracker {
    Podswarm,
    Opentracker,
    /// Speaks UDP. Debian does not have it; it is measured where `aquatic_udp` is on the path.
    Aquatic,
}

impl Tracker {
    fn name(self) -> &'static str {
        match self {
            Self::Podswarm => "Podswarm",
            Self::Opentracker => "opentracker",
            Self::Aquatic => "aquatic",
        }
    }

    /// Those that can be asked in this way on this machine.
    fn all(over: Over) -> impl Iterator<Item = Self> {
        let aquatic = (over == Over::Udp && on_path("aquatic_udp")).then_some(Self::Aquatic);
        [Self::Podswarm, Self::Opentracker].into_iter().chain(aquatic)
    }
}

pub(crate) fn measure(runs: usize) -> Section {
    let mut section = Section {
        name: "tracker",
        title: "Announces".to_owned(),
        text: format!(
            "A swarm of {PEERS} peers announces without pause and wants {NUMWANT} others each time. One asker keeps {WINDOW} announces \
             under way over UDP, and `wrk` 64 connections over HTTP, on the same two cores. Answers per second, and per second of the \
             tracker's processor time, which does not depend on how fast the asker is."
        ),
        columns: vec!["", "over", "answers a second", "answers a second of processor"],
        rows: Vec::new(),
        bars: Vec::new(),
        bars_say: "thousand answers a second of processor".to_owned(),
        limit: None,
    };
    for over in Over::ALL {
        for tracker in Tracker::all(over) {
            let (rates, per_core): (Vec<f64>, Vec<f64>) = (0..runs).map(|_| run(over, tracker)).unzip();
            let (rate, per_core) = (median(rates), median(per_core));
            let who = tracker.name();
            section.rows.push(vec![
                who.to_owned(),
                over.name().to_owned(),
                format!("{} k", short(rate / 1e3)),
                format!("{} k", short(per_core / 1e3)),
            ]);
            section.bars.push((format!("{who}, {}", over.name()), per_core / 1e3));
        }
    }
    section
}

/// Answers a second, and a second of the tracker's processor.
fn run(over: Over, tracker: Tracker) -> (f64, f64) {
    let (folder, mut net) = (scratch(), Net::new());
    let home = net.host("tracker");
    let at = SocketAddr::new(home.v4(), 6969);
    let episode = random_file(&folder.path().join("Episode.mp3"), 1 << 20, 1);
    let made = || {
        let torrent = make_torrent(&episode, &format!("http://{at}/announce"));
        let metainfo = Metainfo::parse(&std::fs::read(&torrent).expect("it was just made")).expect("it is ours");
        (torrent, metainfo.info_hash)
    };
    let (program, info_hash) = match tracker {
        Tracker::Podswarm => {
            let publisher = Publisher::serve(&home, &folder.path().join("podpub"), Some(home.v4()));
            let info_hash = metainfo(&home, &publisher.publish(&episode).torrent).info_hash;
            (publisher.program, info_hash)
        }
        Tracker::Opentracker => {
            let (torrent, info_hash) = made();
            (opentracker(&home, folder.path(), &[torrent]), info_hash)
        }
        Tracker::Aquatic => (aquatic(&home, folder.path(), at), made().1),
    };
    let info_hash = info_hash.wire();
    let answers = |time| match over {
        Over::Udp => f64::from(home.within(|| over_udp(at, info_hash, time))),
        Over::HttpKept => over_http(&home, at, info_hash, folder.path(), time, ""),
        Over::HttpClosing => over_http(&home, at, info_hash, folder.path(), time, "Connection: close"),
    };
    // So that the swarm is full.
    answers(Duration::from_secs(1));
    let (before, began) = (program.cpu_time(), Instant::now());
    let answers = answers(TIME);
    let (took, used) = (began.elapsed(), program.cpu_time().saturating_sub(before));
    (answers / took.as_secs_f64(), answers / used.as_secs_f64())
}

/// aquatic with one worker, as it comes, but that it gives as many peers as are wanted.
fn aquatic(host: &Host, folder: &Path, at: SocketAddr) -> Program {
    let config = folder.join("aquatic.toml");
    let text = format!(
        "socket_workers = 1\n[network]\naddress = \"{at}\"\n[protocol]\nmax_response_peers = {NUMWANT}\n\
         [privileges]\ndrop_privileges = false\n"
    );
    std::fs::write(&config, text).expect("the run's folder is ours");
    let mut command = host.command("aquatic_udp");
    command.arg("-c").arg(config);
    Program::start("aquatic_udp", command)
}

fn over_udp(at: SocketAddr, info_hash: [u8; 20], time: Duration) -> u32 {
    let socket = UdpSocket::bind((at.ip(), 0)).expect("a host has ports");
    socket.connect(at).expect("the address is the host's own");
    socket.set_read_timeout(Some(Duration::from_millis(200))).expect("the time is not zero");
    let mut reply = [0; 2048];
    let id = connect(&socket, at, &mut reply);
    let datagrams: Vec<Vec<u8>> = (1..=PEERS).map(|peer| announce(id, info_hash, peer)).collect();
    let end = Instant::now() + time;
    let (mut answers, mut asked) = (0, 0);
    while Instant::now() < end {
        // As many as were answered are asked anew; what was lost is asked again after the time-out.
        let mut missing = WINDOW;
        for _ in 0..WINDOW {
            let datagram = &datagrams[asked % datagrams.len()];
            asked += 1;
            let _ = socket.send(datagram);
        }
        while missing > 0 && socket.recv(&mut reply).is_ok() {
            missing -= 1;
        }
        answers += WINDOW - missing;
    }
    let peers = match Reply::read(&reply, TransactionId(1), at.ip()) {
        Some(Reply::Announced(AnnounceResponse { peers, .. })) => peers.len(),
        other => panic!("no answer: {other:?}"),
    };
    assert!(peers >= 1, "an answer without peers");
    answers
}

/// Asks for a connection id until there is one.
fn connect(socket: &UdpSocket, at: SocketAddr, reply: &mut [u8]) -> ConnectionId {
    let (end, mut datagram) = (Instant::now() + PATIENCE, Vec::new());
    wire::write_connect(TransactionId(1), &mut datagram);
    while Instant::now() < end {
        // Refused as long as nobody listens.
        let _ = socket.send(&datagram);
        let Ok(length) = socket.recv(reply) else { continue };
        if let Some(Reply::Connected(id)) = Reply::read(&reply[..length], TransactionId(1), at.ip()) {
            return id;
        }
    }
    panic!("no connection id in {PATIENCE:?}")
}

fn announce(id: ConnectionId, info_hash: [u8; 20], peer: u16) -> Vec<u8> {
    let request = AnnounceRequest {
        left: 1,
        numwant: Some(NUMWANT),
        key: Some(peer.into()),
        ..AnnounceRequest::new(info_hash, peer_id(peer), 10_000 + peer)
    };
    let mut datagram = Vec::new();
    wire::write_announce(id, TransactionId(1), &request, "", &mut datagram);
    datagram
}

fn peer_id(peer: u16) -> [u8; 20] {
    let mut id = *b"-XX0000-000000000000";
    id[18..].copy_from_slice(&peer.to_be_bytes());
    id
}

/// Answers that `wrk` got in `time`.
fn over_http(host: &Host, at: SocketAddr, info_hash: [u8; 20], folder: &Path, time: Duration, header: &str) -> f64 {
    let mut hash = String::new();
    for byte in info_hash {
        // Doubled, as the script formats it once more.
        let _ = write!(hash, "%%{byte:02x}");
    }
    let script = format!(
        "local peer = 0\n\
         request = function()\n\
           peer = peer % {PEERS} + 1\n\
           return wrk.format('GET', string.format('/announce?info_hash={hash}&peer_id=-XX0000-%012d&port=%d&uploaded=0\
         &downloaded=0&left=1&compact=1&numwant={NUMWANT}', peer, 10000 + peer))\n\
         end\n"
    );
    let path = folder.join("announce.lua");
    std::fs::write(&path, script).expect("the run's folder is ours");
    let url = format!("http://{at}/announce");
    wrk(host, &url, time, &[("-s", &path.to_string_lossy()), ("-H", header)])
}

/// Answers that `wrk` got in `time` over 64 connections.
pub(crate) fn wrk(host: &Host, url: &str, time: Duration, options: &[(&str, &str)]) -> f64 {
    let mut command = host.command("wrk");
    command.args(["-t1", "-c64", "-d", &format!("{}s", time.as_secs())]);
    for (name, value) in options.iter().filter(|(_, value)| !value.is_empty()) {
        command.args([name, value]);
    }
    command.arg(url);
    let ended = Program::start("wrk", command).end(time + PATIENCE);
    let requests = |line: &str| line.trim().split_once(" requests in ")?.0.parse().ok();
    ended.lines.iter().find_map(|line| requests(&line.text)).unwrap_or_else(|| panic!("wrk says {:?}", ended.lines))
}
