//! A home whose uplink a seed shares with somebody else.
//!
//! The router's uplink carries 10 Mbit/s, and packets wait in it as long as a row says. Behind it are the seed and a
//! laptop that sends to somebody outside, over TCP, as much as the line takes. A small datagram that is sent back tells
//! fifty times a second how long a round trip is.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use podswarm_tests::clients::Client;
use podswarm_tests::files::{MIB, random_file, scratch};
use podswarm_tests::net::{Host, Net, Offer, Router};
use podswarm_tests::process::{PATIENCE, Program};
use podswarm_tests::programs::{Publisher, Way, get_over, get_with, without_web_seeds};

use crate::report::{Section, median, short};

const LINE_MBIT: u32 = 10;
/// How long packets wait in the uplink at most, in milliseconds: as a good router has it, and as many have it.
const QUEUES: [u64; 2] = [50, 300];
/// What podsub is told.
const MODES: [&str; 2] = ["off", "seeding"];
/// More than the seed sends while anything is measured.
const EPISODE: u64 = 192 * MIB;
/// How long things are measured.
const SPAN: Duration = Duration::from_secs(15);
/// How long things take to settle.
const SETTLE: Duration = Duration::from_secs(10);
/// How often a datagram is sent.
const EVERY: Duration = Duration::from_millis(20);

/// What a span of time has shown.
#[derive(Clone, Copy, Debug)]
struct Shown {
    /// Of the line, with all headers, in percent.
    line: f64,
    /// What the laptop's stream brought, in Mbit/s.
    stream: f64,
    /// The mean round trip, in milliseconds.
    trip: f64,
}

/// What one home has shown.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    /// What is left to the stream beside the seed, in percent of what it has alone.
    kept: f64,
    /// How much longer a round trip is beside the seed than beside the stream alone, in milliseconds.
    longer: f64,
    /// What the seed alone uses of the line, in percent.
    used: f64,
    /// The round trip beside the seed alone, in milliseconds.
    trip: f64,
}

pub(crate) fn measure(runs: usize) -> Section {
    let mut section = Section {
        name: "background",
        title: "An uplink shared with a seed".to_owned(),
        text: format!(
            "`podsub get --seed` and a laptop behind one uplink of {LINE_MBIT} Mbit/s, in which packets wait as long as the row says. Two \
             other `podsub`s and an aria2 outside fetch from the seed; the laptop sends one TCP stream (cubic) of its own. What is left \
             to that stream, and how much longer a round trip takes, is compared with the stream alone; what the seed uses, is \
             measured without it."
        ),
        columns: vec![
            "`--background`",
            "queue",
            "stream keeps",
            "round trip longer by",
            "seed alone uses",
            "round trip then",
        ],
        rows: Vec::new(),
        bars: Vec::new(),
        bars_say: "percent of its rate that the stream keeps".to_owned(),
        limit: None,
    };
    for queue in QUEUES {
        for mode in MODES {
            let outcomes: Vec<Outcome> = (0..runs).map(|_| run(mode, Duration::from_millis(queue))).collect();
            let median = |pick: fn(&Outcome) -> f64| median(outcomes.iter().map(pick).collect());
            let kept = median(|it| it.kept);
            section.rows.push(vec![
                mode.to_owned(),
                format!("{queue} ms"),
                format!("{} %", short(kept)),
                format!("{} ms", short(median(|it| it.longer))),
                format!("{} %", short(median(|it| it.used))),
                format!("{} ms", short(median(|it| it.trip))),
            ]);
            section.bars.push((format!("{mode}, {queue} ms"), kept));
        }
    }
    section
}

/// Measures the stream alone, the seed alone, and both.
fn run(mode: &str, queue: Duration) -> Outcome {
    let (folder, mut net) = (scratch(), Net::new());
    let [outside, far] = ["publisher", "far"].map(|name| net.host(name));
    let mut router = net.router("router");
    let (home, laptop) = (router.plain_host("seed"), router.plain_host("laptop"));
    let publisher = Publisher::serve(&outside, &folder.path().join("podpub"), Some(outside.v4()));
    let episode = random_file(&folder.path().join("episode.mp3"), EPISODE, 4);
    let release = publisher.publish(&episode);
    let torrent = without_web_seeds(&home, &release.torrent, folder.path());
    let _daemon = router.offer(&[Offer::Upnp], folder.path());
    let flags = ["--seed", "--background", mode];
    let mut seed = get_over(&home, &[Way::Mapping], &torrent, &folder.path().join("seed"), &flags);
    seed.event("complete", PATIENCE);
    // From now on the publisher is a tracker and nothing else.
    outside.close_all_but(publisher.http_port);
    router.await_mapped(&["tcp 6881", "udp 6881"], PATIENCE);
    router.limit_uplink(LINE_MBIT, queue);
    let line = Line { far: Far::new(&far), router, laptop };
    let stream = line.stream();
    line.watch(SETTLE);
    let alone = line.watch(SPAN);
    drop(stream);
    // A host is gone when it is dropped, and with it who runs there.
    let hosts: Vec<Host> = (0..3).map(|n| net.host(&format!("peer {n}"))).collect();
    let join = |(n, host): (usize, &Host)| {
        let folder = folder.path().join(host.name());
        match n {
            0 => Client::Aria2.join(host, &torrent, &folder),
            _ => get_with(host, &torrent, &folder, &["--seed"]),
        }
    };
    let peers: Vec<Program> = hosts.iter().enumerate().map(join).collect();
    line.watch(2 * SETTLE);
    let quiet = line.watch(SPAN);
    let stream = line.stream();
    line.watch(SETTLE);
    let both = line.watch(SPAN);
    drop((stream, peers));
    seed.stop(PATIENCE);
    Outcome {
        kept: both.stream / alone.stream * 100.0,
        longer: both.trip - alone.trip,
        used: quiet.line,
        trip: quiet.trip,
    }
}

/// Somebody outside to whom the laptop sends, and who sends datagrams back.
struct Far {
    echo: SocketAddr,
    sink: SocketAddr,
    received: Arc<AtomicU64>,
}

impl Far {
    fn new(host: &Host) -> Self {
        let (listener, socket) = host.within(|| {
            let listener = TcpListener::bind((host.v4(), 0)).expect("a port is free");
            (listener, UdpSocket::bind((host.v4(), 0)).expect("a port is free"))
        });
        let far = Self {
            echo: socket.local_addr().expect("it is bound"),
            sink: listener.local_addr().expect("it is bound"),
            received: Arc::default(),
        };
        thread::spawn(move || {
            let mut datagram = [0; 64];
            while let Ok((length, from)) = socket.recv_from(&mut datagram) {
                let _ = socket.send_to(&datagram[..length], from);
            }
        });
        let received = Arc::clone(&far.received);
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut room = vec![0; 1 << 16];
                while let Ok(read @ 1..) = stream.read(&mut room) {
                    received.fetch_add(read as u64, Ordering::Relaxed);
                }
            }
        });
        far
    }
}

/// Fills the line until it is dropped.
struct Stream(Arc<AtomicBool>);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The uplink, and those at its ends who measure it.
struct Line {
    router: Router,
    laptop: Host,
    far: Far,
}

impl Line {
    fn stream(&self) -> Stream {
        let stop = Arc::new(AtomicBool::new(false));
        let sink = self.far.sink;
        let mut stream = self.laptop.within(move || TcpStream::connect(sink).expect("somebody listens"));
        let stopped = Arc::clone(&stop);
        thread::spawn(move || {
            let bytes = vec![0; 1 << 14];
            while !stopped.load(Ordering::Relaxed) && stream.write_all(&bytes).is_ok() {}
        });
        Stream(stop)
    }

    /// Sends datagrams for a while and measures all there is.
    fn watch(&self, span: Duration) -> Shown {
        let laptop = &self.laptop;
        let socket = laptop.within(|| UdpSocket::bind((laptop.v4(), 0)).expect("a port is free"));
        socket.connect(self.far.echo).expect("a route is there");
        let received = || self.far.received.load(Ordering::Relaxed);
        let (began, line, stream) = (Instant::now(), self.router.sent_bytes(), received());
        let (mut trips, mut next, mut datagram) = (Vec::new(), began, [0; 8]);
        while began.elapsed() < span {
            let wait = next.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                let micros = u64::try_from(began.elapsed().as_micros()).expect("it is short");
                // What the full line drops is not counted.
                let _ = socket.send(&micros.to_be_bytes());
                next += EVERY;
                continue;
            }
            socket.set_read_timeout(Some(wait)).expect("the time is not zero");
            if socket.recv(&mut datagram).is_ok() {
                let sent = Duration::from_micros(u64::from_be_bytes(datagram));
                trips.push(began.elapsed().saturating_sub(sent).as_secs_f64() * 1e3);
            }
        }
        let seconds = began.elapsed().as_secs_f64();
        let mbit = |bytes: u64| f64::from(u32::try_from(bytes / 1000).expect("it is short")) * 8.0 / 1e3 / seconds;
        let count = f64::from(u32::try_from(trips.len()).expect("they are few"));
        Shown {
            line: mbit(self.router.sent_bytes() - line) / f64::from(LINE_MBIT) * 100.0,
            stream: mbit(received() - stream),
            trip: trips.iter().sum::<f64>() / count.max(1.0),
        }
    }
}
