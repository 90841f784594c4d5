//! Every client that people have, every way to meet it: each downloads from our seed, and each seeds to our subscriber.
//!
//! A cell is a test of both. Where the client cannot, [`LACKS`] says why, and the test looks whether that is so: the
//! client has nothing in the time in which it takes the same over TCP. One of another version that has something has to
//! go the whole way. The table in `tests/README.md` is made of the same data.

use podswarm_core::metainfo::TorrentVersion;
use podswarm_tests::clients::Client;
use podswarm_tests::figure;
use podswarm_tests::net::Host;

use crate::meeting::{Finding, Meeting, Source};

/// A way to meet, all else being as in the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    TcpV4,
    TcpV6,
    UtpV4,
    UtpV6,
    TheyInsist,
    WeInsist,
    UdpTrackerV4,
    UdpTrackerV6,
    Link,
    LinkAlone,
    Hybrid,
    HybridLink,
    V2,
    V2Link,
}

impl Way {
    const fn meeting(self, client: Client) -> Meeting {
        let plain = Meeting::with(client);
        match self {
            Self::TcpV4 => plain,
            Self::TcpV6 => Meeting { address: Host::v6, ..plain },
            Self::UtpV4 => Meeting { tcp: false, ..plain },
            // transmission opens UDP for IPv6 only where it has a public address.
            Self::UtpV6 => Meeting { tcp: false, address: Host::public_v6, ..plain },
            Self::TheyInsist => Meeting { encrypted: true, ..plain },
            Self::WeInsist => Meeting { flags: &["--encryption", "require"], ..plain },
            Self::UdpTrackerV4 => Meeting { finding: Finding::Udp, ..plain },
            Self::UdpTrackerV6 => Meeting { finding: Finding::Udp, address: Host::v6, ..plain },
            Self::Link => Meeting { source: Source::Link, ..plain },
            Self::LinkAlone => Meeting { source: Source::Link, finding: Finding::Table, ..plain },
            Self::Hybrid => Meeting { version: TorrentVersion::Hybrid, ..plain },
            Self::HybridLink => Meeting { version: TorrentVersion::Hybrid, source: Source::Link, ..plain },
            Self::V2 => Meeting { version: TorrentVersion::V2, ..plain },
            Self::V2Link => Meeting { version: TorrentVersion::V2, source: Source::Link, ..plain },
        }
    }

    /// What the table calls it.
    const fn name(self) -> &'static str {
        match self {
            Self::TcpV4 => "TCP over IPv4",
            Self::TcpV6 => "TCP over IPv6",
            Self::UtpV4 => "uTP over IPv4, where no TCP leads",
            Self::UtpV6 => "uTP over IPv6, where no TCP leads",
            Self::TheyInsist => "encrypted: it accepts nothing else",
            Self::WeInsist => "encrypted: we accept nothing else",
            Self::UdpTrackerV4 => "found by a UDP tracker over IPv4",
            Self::UdpTrackerV6 => "found by a UDP tracker over IPv6",
            Self::Link => "from a magnet link",
            Self::LinkAlone => "from a magnet link without a tracker, found in the distributed hash table",
            Self::Hybrid => "hybrid torrent",
            Self::HybridLink => "hybrid torrent, from a magnet link",
            Self::V2 => "v2 torrent",
            Self::V2Link => "v2 torrent, from a magnet link",
        }
    }
}

/// A test of every client by every way.
macro_rules! cells {
    ([$($row:ident $client:ident)*] [$($cell:ident $way:ident)*]) => {
        const CLIENTS: &[Client] = &[$(Client::$client),*];
        const WAYS: &[Way] = &[$(Way::$way),*];
        cells!(@rows [$($row $client)*] [$($cell $way)*]);
    };
    (@rows [$($row:ident $client:ident)*] $cells:tt) => { $(cells!(@row $row $client $cells);)* };
    (@row $row:ident $client:ident [$($cell:ident $way:ident)*]) => {
        mod $row {
            use super::{Client, Way, meet};

            $(#[test]
            fn $cell() {
                meet(Client::$client, Way::$way);
            })*
        }
    };
}

cells! {
    [
        aria2 Aria2
        libtorrent Libtorrent
        rqbit Rqbit
        rtorrent Rtorrent
        transmission Transmission
    ]
    [
        tcp_v4 TcpV4
        tcp_v6 TcpV6
        utp_v4 UtpV4
        utp_v6 UtpV6
        they_insist_on_encryption TheyInsist
        we_insist_on_encryption WeInsist
        udp_tracker_v4 UdpTrackerV4
        udp_tracker_v6 UdpTrackerV6
        link Link
        link_alone LinkAlone
        hybrid Hybrid
        hybrid_link HybridLink
        v2 V2
        v2_link V2Link
    ]
}

/// Something that a client cannot do.
struct Lack {
    client: Client,
    ways: &'static [Way],
    /// Whether it downloads all the same.
    leeches: bool,
    /// A sentence with the client as its subject.
    why: &'static str,
}

impl Lack {
    const fn new(client: Client, ways: &'static [Way], why: &'static str) -> Self {
        Self { client, ways, leeches: false, why }
    }
}

const LACKS: &[Lack] = &[
    Lack::new(Client::Aria2, &[Way::UtpV4, Way::UtpV6], "speaks TCP alone."),
    Lack::new(Client::Aria2, &[Way::UdpTrackerV6], "asks trackers over UDP by IPv4 only."),
    Lack::new(
        Client::Aria2,
        &[Way::Hybrid, Way::HybridLink],
        "drops the empty key that every hybrid has in its file tree, and so takes part in a swarm of another name, where nobody else \
         is. It takes our media as a web seed. 1.37 is said to be mended.",
    ),
    Lack::new(Client::Aria2, &[Way::V2, Way::V2Link], "knows v1 alone."),
    Lack::new(Client::Rqbit, &[Way::TheyInsist, Way::WeInsist], "has no encryption."),
    Lack {
        leeches: true,
        ..Lack::new(
            Client::Rqbit,
            &[Way::LinkAlone],
            "announces itself only to nodes whose ids begin like the info-hash, and a small hash table like that of this test has \
             none. It finds others there.",
        )
    },
    Lack::new(Client::Rqbit, &[Way::V2, Way::V2Link], "knows v1 alone."),
    Lack::new(Client::Rtorrent, &[Way::UtpV4, Way::UtpV6], "speaks TCP alone."),
    Lack::new(Client::Rtorrent, &[Way::UdpTrackerV6], "asks trackers over UDP by IPv4 only."),
    Lack::new(
        Client::Rtorrent,
        &[Way::HybridLink],
        "refuses a link that names a v2 hash beside the other. It takes one that names the v1 hash alone.",
    ),
    Lack::new(Client::Rtorrent, &[Way::V2, Way::V2Link], "knows v1 alone."),
    Lack::new(Client::Transmission, &[Way::UdpTrackerV6], "asks trackers over UDP by IPv4 only."),
    Lack::new(
        Client::Transmission,
        &[Way::Hybrid, Way::HybridLink],
        "refuses a file with the empty key that every hybrid has in its file tree, and never makes anything of what peers give it for \
         a link. 4.0 is said to be mended.",
    ),
    Lack::new(Client::Transmission, &[Way::V2, Way::V2Link], "knows v1 alone."),
];

/// What keeps `client` from going `way`, and its number.
fn lack(client: Client, way: Way) -> Option<(usize, &'static Lack)> {
    (1..).zip(LACKS).find(|(_, lack)| lack.client == client && lack.ways.contains(&way))
}

#[track_caller]
fn meet(client: Client, way: Way) {
    let stage = way.meeting(client).set();
    match lack(client, way) {
        None => {}
        Some((_, Lack { leeches: true, .. })) => return stage.client_leeches(),
        Some(_) => {
            let plain = Way::TcpV4.meeting(client).set();
            if stage.client_has_nothing_after(|| plain.client_leeches()) {
                return;
            }
            figure(&format!("{client:?} of this machine can do more than its column says: {}", way.name()));
        }
    }
    stage.client_leeches();
    stage.client_seeds();
}

/// What the table calls a client: its name and the version that the table is true of.
const fn name(client: Client) -> &'static str {
    match client {
        Client::Aria2 => "aria2 1.36",
        Client::Libtorrent | Client::LibtorrentTuned | Client::LibtorrentSlow => "libtorrent 2.0.8",
        Client::Rqbit => "rqbit 9.1",
        Client::Rtorrent => "rtorrent 0.9.8",
        Client::Transmission => "transmission 3.00",
    }
}

/// The table, and below it what its numbers stand for.
fn table() -> String {
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = row(["way".to_owned()].into_iter().chain(CLIENTS.iter().map(|it| name(*it).to_owned())).collect());
    text.push_str(&row(vec!["---".to_owned(); CLIENTS.len() + 1]));
    for &way in WAYS {
        let cell = |&client: &Client| match lack(client, way) {
            None => "both".to_owned(),
            Some((number, lack)) => format!("{} ({number})", if lack.leeches { "leech" } else { "no" }),
        };
        text.push_str(&row([way.name().to_owned()].into_iter().chain(CLIENTS.iter().map(cell)).collect()));
    }
    let notes = (1..).zip(LACKS).map(|(number, lack)| format!("\n{number}. {} {}", name(lack.client), lack.why));
    text.extend(notes);
    text.push('\n');
    text
}

#[test]
fn the_page_shows_the_table() {
    let page = include_str!("../README.md");
    let table = table();
    assert!(page.contains(&table), "put this into `tests/README.md`:\n{table}");
    figure(&table);
}
