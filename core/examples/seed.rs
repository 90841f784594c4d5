//! Seeds a file: makes its torrent, writes it beside the file as `FILE.torrent`, and serves peers until Ctrl-C.
//!
//! ```text
//! cargo run -p podswarm-core --example seed -- FILE [TRACKER_URL]
//! ```

#![expect(clippy::disallowed_methods, reason = "a program opens files; the protocol half does not")]

use std::path::PathBuf;
use std::sync::Arc;

use podswarm_core::net::create::{CreateOptions, Watch, create_torrent};
use podswarm_core::net::http::Reach;
use podswarm_core::net::{AddTorrent, Conduct, Engine, EngineConfig, Files};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "a program for people")]
async fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let file = PathBuf::from(args.next().ok_or("usage: seed FILE [TRACKER_URL]")?);
    let trackers = args.map(|url| vec![url]).collect();

    // Every byte is read once, by all cores.
    let options = CreateOptions { trackers, ..CreateOptions::default() };
    let metainfo = Arc::new(create_torrent(&file, &options, Watch::default())?);
    let torrent_file = file.with_added_extension("torrent");
    std::fs::write(&torrent_file, metainfo.encode())?;

    let engine = Engine::start(EngineConfig::default()).await?;
    let torrent = engine
        .add(AddTorrent {
            metainfo: Arc::clone(&metainfo),
            files: Files::Have(file.clone()),
            choice: None,
            resume: file.with_added_extension("resume"),
            reach: Reach::Any,
            conduct: Conduct::default(),
            peers: Vec::new(),
            web_seeds: Vec::new(),
            seed_after: true,
            in_order: false,
        })
        .await?;
    torrent.wait_complete().await?;
    let port = engine.port().unwrap_or_default();
    println!("{} on port {port}: {}", torrent_file.display(), metainfo.magnet());

    let mut status = torrent.watch();
    loop {
        tokio::select! {
            stop = tokio::signal::ctrl_c() => {
                stop?;
                engine.shutdown().await;
                return Ok(());
            }
            changed = status.changed() => {
                changed?;
                let now = status.borrow_and_update();
                println!("{} peers, {} up, {} bytes sent", now.peers, now.up_rate, now.uploaded);
            }
        }
    }
}
