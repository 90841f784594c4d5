//! A client of others meets ours: it downloads from our seed, and seeds to our subscriber.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Instant;

use podswarm_core::metainfo::{InfoHash, Magnet, TorrentVersion};
use podswarm_tests::audio::{Format, long_episode};
use podswarm_tests::clients::{Client, Terms};
use podswarm_tests::files::{assert_same_bytes, only_file_below, only_file_like, scratch};
use podswarm_tests::net::{Host, Net};
use podswarm_tests::programs::{Publisher, Way, get_over, metainfo, over_udp_only, without_web_seeds};
use tempfile::TempDir;

use crate::LIMIT;

/// How the client and ours find each other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finding {
    /// By the tracker, over HTTP.
    Http,
    /// By the tracker, over UDP.
    Udp,
    /// By the distributed hash table: no tracker is named to anybody.
    Table,
}

/// What both have of the torrent at first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// All that describes it.
    File,
    /// A magnet link.
    Link,
}

/// A meeting. The address is one of the publisher's, and peers learn only addresses of its family.
pub(crate) struct Meeting {
    pub(crate) client: Client,
    pub(crate) address: fn(&Host) -> IpAddr,
    pub(crate) finding: Finding,
    pub(crate) source: Source,
    /// Which versions of the protocol the torrent speaks.
    pub(crate) version: TorrentVersion,
    /// Which of the torrent's hashes a link names.
    pub(crate) named: fn(InfoHash) -> InfoHash,
    /// Whether TCP leads from peer to peer.
    pub(crate) tcp: bool,
    /// Whether the client insists on encryption.
    pub(crate) encrypted: bool,
    /// Flags of both of ours.
    pub(crate) flags: &'static [&'static str],
}

impl Meeting {
    /// Over HTTP, IPv4 and TCP, by a torrent of the first version.
    pub(crate) const fn with(client: Client) -> Self {
        Self {
            client,
            address: Host::v4,
            finding: Finding::Http,
            source: Source::File,
            version: TorrentVersion::V1,
            named: |hash| hash,
            tcp: true,
            encrypted: false,
            flags: &[],
        }
    }

    /// Both halves: what the client takes from us, and what it gives us.
    #[track_caller]
    pub(crate) fn succeeds(self) {
        let stage = self.set();
        stage.client_leeches();
        stage.client_seeds();
    }

    /// Puts everybody in place, with a release of the publisher's.
    #[track_caller]
    pub(crate) fn set(self) -> Stage {
        let (folder, mut net) = (scratch(), Net::new());
        let [home, middle, away] = ["publisher", "client", "subscriber"].map(|name| net.host(name));
        let [address, ..] = [&home, &middle, &away].map(self.address);
        let node = (self.finding == Finding::Table).then(|| SocketAddr::new(address, 6881));
        let mut flags: Vec<String> = self.flags.iter().map(|&flag| flag.to_owned()).collect();
        if let Some(node) = node {
            flags.extend(["--no-pex", "--no-utp", "--dht-node"].map(str::to_owned));
            flags.push(node.to_string());
        }
        let data = folder.path().join("podpub");
        let publisher = Publisher::serve_over(&home, &data, Some(address), ways(node.is_some()), &texts(&flags));
        let wanted = nodes_wanted_by(self.client);
        let nodes = node.map_or(Vec::new(), |node| fill_table(&mut net, &publisher, node, wanted, folder.path()));
        let episode = long_episode(Format::Mp3).path;
        let release = publisher.publish_with(&[flag_of(self.version)], &[&episode]);
        let torrent = match self.finding {
            Finding::Http | Finding::Table => without_web_seeds(&middle, &release.torrent, folder.path()),
            Finding::Udp => {
                let tracker = SocketAddr::new(address, publisher.http_port);
                over_udp_only(&middle, &release.torrent, folder.path(), tracker)
            }
        };
        let metainfo = metainfo(&middle, &release.torrent);
        let source: PathBuf = match (self.source, self.finding) {
            (Source::File, _) => torrent.clone(),
            (Source::Link, finding) => {
                let bare = Magnet::new((self.named)(metainfo.info_hash));
                let trackers = if finding == Finding::Table { Vec::new() } else { metainfo.magnet().trackers };
                Magnet { trackers, ..bare }.to_string().into()
            }
        };
        if !self.tcp {
            middle.allow_tcp_only_with(publisher.http_port);
        }
        let terms = Terms { encrypted: self.encrypted, utp: !self.tcp, node };
        let theirs = folder.path().join("client");
        let name = PathBuf::from(metainfo.info.name.as_str());
        Stage {
            client: self.client,
            publisher,
            home,
            middle,
            away,
            episode,
            name,
            torrent,
            source,
            terms,
            flags,
            theirs,
            _nodes: nodes,
            folder,
        }
    }
}

/// A meeting that can begin: everybody's machine, and what they have of the episode.
pub(crate) struct Stage {
    client: Client,
    publisher: Publisher,
    home: Host,
    middle: Host,
    away: Host,
    episode: PathBuf,
    /// What the torrent calls the episode.
    name: PathBuf,
    torrent: PathBuf,
    source: PathBuf,
    terms: Terms,
    flags: Vec<String>,
    theirs: PathBuf,
    /// The rest of the distributed hash table.
    _nodes: Vec<Publisher>,
    folder: TempDir,
}

impl Stage {
    /// The client downloads from the publisher.
    #[track_caller]
    pub(crate) fn client_leeches(&self) {
        self.client.download_on(self.terms, &self.middle, &self.source, &self.theirs, LIMIT);
        assert_same_bytes(&self.episode, &only_file_like(&self.episode, &self.theirs));
    }

    /// Whether the client, which is left to itself while `meanwhile` goes on, gets nothing.
    #[track_caller]
    pub(crate) fn client_has_nothing_after(&self, meanwhile: impl FnOnce()) -> bool {
        let vain = self.folder.path().join("vain");
        self.client.has_nothing_after(self.terms, &self.middle, &self.source, &vain, meanwhile)
    }

    /// The client seeds to a subscriber what it has downloaded or, if it has not, what it was given.
    #[track_caller]
    pub(crate) fn client_seeds(&self) {
        let given = self.theirs.join(&self.name);
        if !given.exists() {
            fs::create_dir_all(&self.theirs).expect("the test's folder is ours");
            fs::copy(&self.episode, given).expect("the test's folder is ours");
        }
        // From now on the publisher is a tracker or a node, and nothing else.
        if self.terms.node.is_some() {
            self.home.close_tcp_all_but(self.publisher.http_port);
        } else {
            self.home.close_all_but(self.publisher.http_port);
        }
        let _seed = self.client.seed_on(self.terms, &self.middle, &self.torrent, &self.theirs);
        let ours = self.folder.path().join("subscriber");
        let flags = texts(&self.flags);
        let ended = get_over(&self.away, ways(self.terms.node.is_some()), &self.source, &ours, &flags).end(LIMIT);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert_same_bytes(&self.episode, &only_file_below(&ours));
    }
}

/// How many nodes a distributed hash table must have beside the publisher before `client` looks for anybody there.
const fn nodes_wanted_by(client: Client) -> usize {
    match client {
        // It asks the node with which it begins for others alone.
        Client::Rqbit => 4,
        // It asks nobody before it knows more than eight.
        Client::Transmission => 10,
        // libtorrent asks one node of a network only, and so must not be led to another than the publisher.
        _ => 0,
    }
}

/// Adds `count` nodes to the distributed hash table of the publisher, who is one at `node`, until he knows them, or a
/// bucketful.
#[track_caller]
fn fill_table(net: &mut Net, publisher: &Publisher, node: SocketAddr, count: usize, folder: &Path) -> Vec<Publisher> {
    let name = node.to_string();
    let serve = |number: usize| {
        let host = net.host(&format!("node {number}"));
        let data = folder.join(format!("node-{number}"));
        Publisher::serve_over(&host, &data, None, ways(true), &["--dht-node", &name])
    };
    let nodes: Vec<Publisher> = (0..count).map(serve).collect();
    let known = || publisher.full_status()["dht_nodes"].as_u64().unwrap_or_default();
    let end = Instant::now() + LIMIT;
    while known() < count.min(BUCKET) as u64 {
        assert!(Instant::now() < end, "the publisher knows {} nodes", known());
    }
    nodes
}

/// Nodes that find room in a table however they lie.
const BUCKET: usize = 8;

/// The ways to peers beside the tracker.
const fn ways(table: bool) -> &'static [Way] {
    if table { &[Way::Table] } else { &[] }
}

fn texts(flags: &[String]) -> Vec<&str> {
    flags.iter().map(String::as_str).collect()
}

/// The flag that makes a torrent of this version.
pub(crate) const fn flag_of(version: TorrentVersion) -> &'static str {
    match version {
        TorrentVersion::V1 => "--v1",
        TorrentVersion::Hybrid => "--hybrid",
        TorrentVersion::V2 => "--v2",
    }
}
