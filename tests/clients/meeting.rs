//! A client of others meets ours: it downloads from our seed, and seeds to our subscriber.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use podswarm_core::metainfo::{InfoHash, Magnet, TorrentVersion};
use podswarm_tests::audio::{Format, long_episode};
use podswarm_tests::clients::Client;
use podswarm_tests::files::{assert_same_bytes, only_file_below, scratch};
use podswarm_tests::net::{Host, Net};
use podswarm_tests::programs::{Publisher, Way, get_over, metainfo, over_udp_only, without_web_seeds};

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
            flags: &[],
        }
    }

    #[track_caller]
    pub(crate) fn succeeds(self) {
        let (folder, mut net) = (scratch(), Net::new());
        let [home, middle, away] = ["publisher", "client", "subscriber"].map(|name| net.host(name));
        let address = (self.address)(&home);
        let node = (self.finding == Finding::Table).then(|| SocketAddr::new(address, 6881));
        let ways: &[Way] = if node.is_some() { &[Way::Table] } else { &[] };
        let begin = node.map(|node| node.to_string());
        let mut flags = self.flags.to_vec();
        flags.extend(begin.iter().flat_map(|begin| ["--no-pex", "--no-utp", "--dht-node", begin]));

        let publisher = Publisher::serve_over(&home, &folder.path().join("podpub"), Some(address), ways, &flags);
        let episode = long_episode(Format::Mp3).path;
        let release = publisher.publish_with(&[flag_of(self.version)], &[&episode]);
        let torrent = match self.finding {
            Finding::Http | Finding::Table => without_web_seeds(&middle, &release.torrent, folder.path()),
            Finding::Udp => {
                let tracker = SocketAddr::new(address, publisher.http_port);
                over_udp_only(&middle, &release.torrent, folder.path(), tracker)
            }
        };
        let source: PathBuf = match (self.source, self.finding) {
            (Source::File, _) => torrent.clone(),
            (Source::Link, finding) => {
                let metainfo = metainfo(&middle, &release.torrent);
                let bare = Magnet::new((self.named)(metainfo.info_hash));
                let trackers = if finding == Finding::Table { Vec::new() } else { metainfo.magnet().trackers };
                Magnet { trackers, ..bare }.to_string().into()
            }
        };
        if !self.tcp {
            middle.allow_tcp_only_with(publisher.http_port);
        }

        let theirs = folder.path().join("client");
        self.client.download_from(&middle, node, &source, &theirs, LIMIT);
        assert_same_bytes(&episode, &only_file_below(&theirs));

        // From now on the publisher is a tracker or a node, and nothing else.
        if node.is_some() {
            home.close_tcp_all_but(publisher.http_port);
        } else {
            home.close_all_but(publisher.http_port);
        }
        let _seed = self.client.seed_from(&middle, node, &torrent, &theirs);
        let ours = folder.path().join("subscriber");
        let ended = get_over(&away, ways, &source, &ours, &flags).end(LIMIT);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert_same_bytes(&episode, &only_file_below(&ours));
    }
}

/// The flag that makes a torrent of this version.
pub(crate) const fn flag_of(version: TorrentVersion) -> &'static str {
    match version {
        TorrentVersion::V1 => "--v1",
        TorrentVersion::Hybrid => "--hybrid",
        TorrentVersion::V2 => "--v2",
    }
}
