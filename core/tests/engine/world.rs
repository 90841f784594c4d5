//! Content with its torrent, and engines on loopback.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use podswarm_core::layout::{BLOCK_LENGTH, BlockInfo, Layout, PieceIndex};
use podswarm_core::metainfo::{Metainfo, TorrentVersion};
use podswarm_core::net::create::{CreateOptions, Watch, create_torrent};
use podswarm_core::net::http::Reach;
use podswarm_core::net::{
    AddTorrent, Conduct, Discovery, Engine, EngineConfig, Files, PeerPort, Torrent, TorrentStatus,
};
use podswarm_core::rng::Rng;

/// Two blocks, so that a piece can be there by half.
pub(crate) const PIECE: u32 = 2 * BLOCK_LENGTH;

/// A folder with some content in it and a torrent of that.
pub(crate) struct Content {
    folder: tempfile::TempDir,
    pub(crate) metainfo: Arc<Metainfo>,
    pub(crate) layout: Layout,
}

impl Content {
    /// One file of so many pieces, the last of them 100 bytes short.
    pub(crate) fn file(pieces: u32) -> Self {
        Self::file_of(TorrentVersion::V1, pieces)
    }

    /// The same in a torrent of this version.
    pub(crate) fn file_of(version: TorrentVersion, pieces: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("source"), random((pieces * PIECE) as usize - 100)).unwrap();
        Self::of(version, folder)
    }

    /// A folder of files of these lengths.
    pub(crate) fn files(files: &[(&str, usize)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, length) in files {
            let path = folder.path().join("source").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, random(*length)).unwrap();
        }
        Self::of(TorrentVersion::V1, folder)
    }

    /// What the torrents in `core/tests/torrents` hold, by the one that ends in `name`.
    pub(crate) fn of_libtorrent(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source");
        let write = |path: &Path, length: usize| {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect::<Vec<_>>()).unwrap();
        };
        match name.rsplit_once('-').unwrap().1 {
            "one" => write(&source, 150_000),
            "small" => write(&source, 20_000),
            _ => {
                for (name, length) in
                    [("a.bin", 100_000), ("c.bin", 0), ("d.bin", 5), ("sub/b.bin", 49_152), ("z.bin", 70_000)]
                {
                    write(&source.join(name), length);
                }
            }
        }
        let path = format!("{}/tests/torrents/libtorrent-{name}.torrent", env!("CARGO_MANIFEST_DIR"));
        let metainfo = Metainfo::parse(&std::fs::read(path).unwrap()).unwrap();
        let layout = Layout::of(&metainfo.info);
        Self { folder, metainfo: Arc::new(metainfo), layout }
    }

    fn of(version: TorrentVersion, folder: tempfile::TempDir) -> Self {
        let options = CreateOptions { version, piece_length: Some(PIECE), ..CreateOptions::default() };
        let metainfo = create_torrent(&folder.path().join("source"), &options, Watch::default()).unwrap();
        let layout = Layout::of(&metainfo.info);
        Self { folder, metainfo: Arc::new(metainfo), layout }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The content, there already.
    pub(crate) fn seed(&self) -> AddTorrent {
        self.add(Files::Have(self.path("source")), self.path("source.resume"))
    }

    /// The content, to be fetched to `name`.
    pub(crate) fn fetch(&self, name: &str, peers: &[SocketAddr]) -> AddTorrent {
        let resume = self.path(&format!("{name}.resume"));
        AddTorrent { peers: peers.to_vec(), ..self.add(Files::Fetch(self.path(name)), resume) }
    }

    fn add(&self, files: Files, resume: PathBuf) -> AddTorrent {
        AddTorrent {
            metainfo: Arc::clone(&self.metainfo),
            files,
            choice: None,
            resume,
            reach: Reach::Any,
            conduct: Conduct { discovery: Discovery { trackers: false, ..Discovery::ALL }, ..Conduct::default() },
            peers: Vec::new(),
            web_seeds: Vec::new(),
            seed_after: true,
            in_order: false,
        }
    }

    /// The content's bytes in this span; for torrents of one file.
    pub(crate) fn block(&self, span: BlockInfo) -> Vec<u8> {
        let range = self.layout.range_of(span);
        let bytes = std::fs::read(self.path("source")).unwrap();
        bytes[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()].to_vec()
    }

    /// Every block of these pieces.
    pub(crate) fn blocks(&self, pieces: impl IntoIterator<Item = u32>) -> Vec<BlockInfo> {
        let pieces = pieces.into_iter().map(PieceIndex);
        pieces.flat_map(|piece| (0..).map_while(move |number| self.layout.block(piece, number))).collect()
    }

    /// Panics unless `name` holds the content, bit for bit.
    #[track_caller]
    pub(crate) fn assert_arrived(&self, name: &str) {
        assert!(tree(&self.path("source")) == tree(&self.path(name)), "`{name}` differs from what was sent");
    }

    /// The names in the folder that begin with `prefix`, sorted.
    pub(crate) fn names(&self, prefix: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name.starts_with(prefix)).collect();
        names.sort();
        names
    }
}

/// Every file at or below `path`, with its bytes.
fn tree(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut paths = vec![path.to_owned()];
    while let Some(next) = paths.pop() {
        if next.is_dir() {
            paths.extend(std::fs::read_dir(&next).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            files.push((next.strip_prefix(path).unwrap().to_owned(), std::fs::read(&next).unwrap()));
        }
    }
    files.sort();
    files
}

pub(crate) fn random(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    Rng::from_seed_u64(length as u64).fill(&mut bytes);
    bytes
}

/// Any free port of 127.0.0.1.
pub(crate) fn config() -> EngineConfig {
    let bind = Some(IpAddr::V4(Ipv4Addr::LOCALHOST).into());
    EngineConfig { peer_port: PeerPort::Exactly(0), bind, ..EngineConfig::default() }
}

pub(crate) async fn engine() -> Engine {
    Engine::start(config()).await.unwrap()
}

/// Where peers reach the engine.
pub(crate) fn addr(engine: &Engine) -> SocketAddr {
    engine.addrs()[0]
}

/// An engine that seeds the content.
pub(crate) async fn seeder(content: &Content) -> Engine {
    let engine = engine().await;
    engine.add(content.seed()).await.unwrap().wait_complete().await.unwrap();
    engine
}

/// The first figures of the torrent of which `what` is true.
pub(crate) async fn when(torrent: &Torrent, what: impl Fn(&TorrentStatus) -> bool) -> TorrentStatus {
    torrent.watch().wait_for(|status| what(status)).await.expect("the torrent is there").clone()
}
