//! `.torrent` files from elsewhere, bounded and refused in one sentence.

use std::error::Error;
use std::time::Duration;

use podswarm_core::app::Failure;
use podswarm_core::metainfo::Metainfo;
use podswarm_core::net::http::HttpClient;

/// A longer `.torrent` is not read. libtorrent's limit.
pub const MAX_TORRENT_BYTES: u64 = 10_000_000;

/// The `.torrent` has to come within this time.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Fetches and reads the `.torrent` at `url`.
pub async fn download(http: &HttpClient, url: &str) -> Result<(Vec<u8>, Metainfo), String> {
    let accept = [("accept", "application/x-bittorrent, */*;q=0.5")];
    let fetched = http.get_limited(url, &accept, MAX_TORRENT_BYTES, TIMEOUT).await.map_err(sentence)?;
    if fetched.status != 200 {
        return Err(format!("the torrent's host answers with status {}", fetched.status));
    }
    let bytes = fetched.body.to_vec();
    let metainfo = read(&bytes).map_err(|reason| format!("the torrent is refused: {reason}"))?;
    Ok((bytes, metainfo))
}

/// Reads the bytes of a `.torrent`; an error is one sentence.
pub fn read(bytes: &[u8]) -> Result<Metainfo, String> {
    Metainfo::parse(bytes).map_err(sentence)
}

/// An error and its causes in one line.
pub fn sentence(error: impl Error + Send + Sync + 'static) -> String {
    Failure::from(error).to_string()
}
