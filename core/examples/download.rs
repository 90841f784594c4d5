//! Downloads a torrent into a folder, shows how far it is, and ends when every byte is verified and in place.
//!
//! ```text
//! cargo run -p podswarm-core --example download -- FILE.torrent FOLDER [PEER_IP:PORT…]
//! ```

#![expect(clippy::disallowed_methods, reason = "a program opens files; the protocol half does not")]

use std::path::PathBuf;
use std::sync::Arc;

use podswarm_core::metainfo::Metainfo;
use podswarm_core::net::http::Reach;
use podswarm_core::net::{AddTorrent, Conduct, Engine, EngineConfig, Files};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "a program for people")]
async fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let usage = "usage: download FILE.torrent FOLDER [PEER_IP:PORT…]";
    let torrent_file = args.next().ok_or(usage)?;
    let folder = PathBuf::from(args.next().ok_or(usage)?);
    let peers = args.map(|peer| peer.parse()).collect::<Result<_, _>>()?;

    // Names are made safe when they are read: the path stays within the folder, whatever the torrent says.
    let metainfo = Arc::new(Metainfo::parse(&std::fs::read(torrent_file)?)?);
    let path = folder.join(metainfo.info.name.to_path_buf());

    let engine = Engine::start(EngineConfig::default()).await?;
    let torrent = engine
        .add(AddTorrent {
            resume: folder.join(format!(".{}.resume", metainfo.info_hash)),
            files: Files::Fetch(path.clone()),
            choice: None,
            reach: Reach::Any,
            conduct: Conduct::default(),
            peers,
            web_seeds: Vec::new(),
            seed_after: false,
            in_order: false,
            metainfo,
        })
        .await?;

    let mut status = torrent.watch();
    let complete = torrent.wait_complete();
    tokio::pin!(complete);
    loop {
        tokio::select! {
            done = &mut complete => {
                done?;
                engine.shutdown().await;
                println!("{} is complete", path.display());
                return Ok(());
            }
            changed = status.changed() => {
                changed?;
                let now = status.borrow_and_update();
                println!("{} of {} pieces, {} down, {} peers", now.pieces_have, now.pieces, now.down_rate, now.peers);
            }
        }
    }
}
