//! A disk without room ends nothing: the owner is told, and once there is room the download goes on.

use std::net::IpAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use podswarm_core::metainfo::Metainfo;
use podswarm_core::net::create::{CreateOptions, Watch, create_torrent};
use podswarm_core::net::http::Reach;
use podswarm_core::net::{
    AddTorrent, Conduct, Discovery, Engine, EngineConfig, Files, PeerPort, Torrent, TorrentState,
};
use podswarm_tests::files::{MIB, assert_same_bytes, random_file, scratch};

/// Names the small disk to the program that is started on it, which is this one.
const DISK: &str = "PODSWARM_SMALL_DISK";
/// What it holds, in bytes.
const ROOM: u64 = 4 * MIB;

#[test]
fn a_full_disk_is_told_of_and_the_download_goes_on_once_there_is_room() {
    if let Some(disk) = std::env::var_os(DISK) {
        return download_to(Path::new(&disk));
    }
    // The disk is seen in a namespace of its own and gone with it.
    let folder = scratch();
    let mount = format!("mount -t tmpfs -o size={ROOM} none \"$0\" && exec \"$@\"");
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &mount]).arg(folder.path());
    command.arg(std::env::current_exe().expect("Linux tells where a program lies"));
    command.args(["--exact", "full::a_full_disk_is_told_of_and_the_download_goes_on_once_there_is_room"]);
    let output = command.env(DISK, folder.path()).output().expect("`unshare` of util-linux starts");
    let told = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("1 passed"), "{told}{complaint}");
}

#[tokio::main]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
async fn download_to(disk: &Path) {
    let folder = scratch();
    let episode = random_file(&folder.path().join("episode"), 3 * MIB, 17);
    let metainfo = Arc::new(create_torrent(&episode, &CreateOptions::default(), Watch::default()).unwrap());
    let ballast = random_file(&disk.join("ballast"), 2 * MIB, 18);

    let (seeder, leecher) = (engine().await, engine().await);
    let resume = folder.path().join("resume");
    let seed = seeder.add(torrent(&metainfo, Files::Have(episode.clone()), &resume)).await.unwrap();
    seed.wait_complete().await.unwrap();
    let mut fetch = torrent(&metainfo, Files::Fetch(disk.join("arrived")), &disk.join("resume"));
    fetch.peers = vec![seeder.addrs()[0]];

    let first = leecher.add(fetch.clone()).await.unwrap();
    check_full(&first, disk).await;
    // To leave and to come back changes nothing.
    first.remove().await;
    let second = leecher.add(fetch).await.unwrap();
    check_full(&second, disk).await;

    std::fs::remove_file(ballast).unwrap();
    second.pause().await;
    second.unpause().await;
    second.wait_complete().await.unwrap();
    assert_eq!(second.status().error, None);
    assert_same_bytes(&episode, &disk.join("arrived"));
}

/// Waits until the owner is told that there is no room.
async fn check_full(torrent: &Torrent, disk: &Path) {
    let mut watch = torrent.watch();
    let status = watch.wait_for(|status| status.error.is_some()).await.expect("the torrent is there").clone();
    assert_eq!((status.state, status.is_final, status.complete), (TorrentState::Failed, false, false));
    let error = status.error.expect("it was waited for");
    let path = disk.join(".arrived.part");
    let want = format!("write `{}`: No space left on device", path.display());
    assert!(error.starts_with(&want), "{error}");
}

async fn engine() -> Engine {
    let bind = Some(IpAddr::from([127, 0, 0, 1]).into());
    let config = EngineConfig { peer_port: PeerPort::Exactly(0), bind, ..EngineConfig::default() };
    Engine::start(config).await.expect("a port is free")
}

fn torrent(metainfo: &Arc<Metainfo>, files: Files, resume: &Path) -> AddTorrent {
    AddTorrent {
        metainfo: Arc::clone(metainfo),
        files,
        choice: None,
        resume: resume.to_owned(),
        reach: Reach::Any,
        conduct: Conduct { discovery: Discovery::NONE, ..Conduct::default() },
        peers: Vec::new(),
        web_seeds: Vec::new(),
        seed_after: true,
        in_order: false,
    }
}
