//! `torrent create`, `show` and `verify`: plain work on `.torrent` files, without a library.

use std::path::{Path, PathBuf};
use std::time::Instant;

use data_encoding::HEXLOWER;
use podswarm_core::app::{Explain as _, Failure, Out, write_atomic};
use podswarm_core::metainfo::{InfoHash, Magnet, Metainfo};
use podswarm_core::net::create::{CreateOptions, Watch, create_torrent, find_files, verify as verify_files};
use podswarm_core::rate::ByteCount;
use serde::Serialize;

use crate::cli::{CreateArgs, TorrentCommand};
use crate::host::blocking;

/// Largest `.torrent` file that is read, in bytes.
const LARGEST: u64 = 10_000_000;

pub(super) async fn run(out: &Out, command: TorrentCommand) -> Result<(), Failure> {
    match command {
        TorrentCommand::Create(args) => create(out, args).await,
        TorrentCommand::Show { torrent } => show(out, &torrent),
        TorrentCommand::Verify { torrent, path } => verify(out, &torrent, path).await,
    }
}

/// What a torrent says, as `--json` prints it.
#[derive(Serialize)]
struct Report<'a> {
    name: String,
    /// `v1`, `v2` or `hybrid`.
    version: &'static str,
    /// The v1 hash, if there is one, else the v2 hash.
    info_hash: InfoHash,
    #[serde(skip_serializing_if = "Option::is_none")]
    info_hash_v2: Option<String>,
    magnet: Magnet,
    length: u64,
    piece_length: u32,
    pieces: u32,
    private: bool,
    files: Vec<FileReport>,
    trackers: &'a [Vec<String>],
    web_seeds: &'a [String],
    comment: Option<&'a str>,
    created_by: Option<&'a str>,
    creation_date: Option<i64>,
}

#[derive(Serialize)]
struct FileReport {
    path: String,
    length: u64,
}

impl<'a> Report<'a> {
    fn of(metainfo: &'a Metainfo) -> Self {
        let info = &metainfo.info;
        let files = info.files.iter().filter(|file| !file.is_pad);
        Self {
            name: info.name.to_string(),
            version: match (metainfo.info_hash.v1(), metainfo.info_hash.v2()) {
                (Some(_), Some(_)) => "hybrid",
                (None, _) => "v2",
                (_, None) => "v1",
            },
            info_hash: metainfo.info_hash,
            info_hash_v2: metainfo.info_hash.v2().map(|hash| HEXLOWER.encode(&hash)),
            magnet: metainfo.magnet(),
            length: info.content_length(),
            piece_length: info.piece_length,
            pieces: info.piece_count(),
            private: info.private,
            files: files.map(|file| FileReport { path: file.path.to_string(), length: file.length }).collect(),
            trackers: &metainfo.trackers,
            web_seeds: &metainfo.web_seeds,
            comment: metainfo.comment.as_deref(),
            created_by: metainfo.created_by.as_deref(),
            creation_date: metainfo.creation_date,
        }
    }
}

async fn create(out: &Out, args: CreateArgs) -> Result<(), Failure> {
    let options = CreateOptions {
        version: args.version.chosen().unwrap_or_default(),
        piece_length: args.piece_length,
        name: args.name,
        trackers: args.tracker.into_iter().map(|url| vec![url]).collect(),
        web_seeds: args.web_seed,
        private: args.private,
        comment: args.comment,
        created_by: Some(concat!("Podswarm ", env!("CARGO_PKG_VERSION")).to_owned()),
        creation_date: Some(chrono::Utc::now().timestamp()),
    };
    let progress = out.progress(args.path.display().to_string());
    let path = args.path;
    let metainfo = blocking(move || {
        let total = find_files(&path)?.length();
        let tell = |done| progress.bytes(Instant::now(), "hashing", done, total);
        create_torrent(&path, &options, Watch { progress: Some(&tell), cancel: None })
    });
    let metainfo = metainfo.await.map_err(|error| {
        let hint = error.hint();
        Failure::from(error).with_any_hint(hint)
    })?;
    let output = args.output.unwrap_or_else(|| PathBuf::from(format!("{}.torrent", metainfo.info.name)));
    if output.exists() && !args.force {
        let failure = Failure::new(format!("`{}` exists", output.display()));
        return Err(failure.with_hint("write it elsewhere with --output FILE, or over it with --force"));
    }
    write_atomic(&output, &metainfo.encode(), 0o644).explain(|| format!("write `{}`", output.display()))?;
    out.line(format!("wrote {}", output.display()))?;
    print(out, &metainfo)
}

fn show(out: &Out, torrent: &Path) -> Result<(), Failure> {
    print(out, &read(torrent)?)
}

/// Reads a `.torrent` file.
fn read(path: &Path) -> Result<Metainfo, Failure> {
    let saying = || format!("read `{}`", path.display());
    let metadata = std::fs::metadata(path).explain(saying)?;
    if !metadata.is_file() || metadata.len() > LARGEST {
        let what = if metadata.is_file() { format!("{}", ByteCount(metadata.len())) } else { "no file".to_owned() };
        return Err(Failure::new(format!("`{}` is {what}; want a `.torrent` file of at most 10 MB", path.display())));
    }
    let bytes = std::fs::read(path).explain(saying)?;
    Metainfo::parse(&bytes).explain(|| format!("`{}` is not a torrent", path.display()))
}

fn print(out: &Out, metainfo: &Metainfo) -> Result<(), Failure> {
    let report = Report::of(metainfo);
    out.json(&report)?;
    out.line(format!("name          {}", report.name))?;
    out.line(format!("version       {}", report.version))?;
    if metainfo.info_hash.v1().is_some() {
        out.line(format!("info-hash     {}", report.info_hash))?;
    }
    if let Some(hash) = &report.info_hash_v2 {
        out.line(format!("info-hash v2  {hash}"))?;
    }
    out.line(format!("size          {} ({} bytes)", ByteCount(report.length), report.length))?;
    out.line(format!("pieces        {} of {}", report.pieces, ByteCount(report.piece_length.into())))?;
    if report.private {
        out.line("private       yes")?;
    }
    for tier in report.trackers {
        out.line(format!("tracker       {}", tier.join(" ")))?;
    }
    for url in report.web_seeds {
        out.line(format!("web seed      {url}"))?;
    }
    for (label, text) in [("comment       ", report.comment), ("created by    ", report.created_by)] {
        text.map_or(Ok(()), |text| out.line(format!("{label}{text}")))?;
    }
    if let Some(at) = report.creation_date.and_then(|at| chrono::DateTime::from_timestamp(at, 0)) {
        out.line(format!("created       {}", at.to_rfc3339()))?;
    }
    out.line(format!("magnet        {}", report.magnet))?;
    if !metainfo.info.is_single_file {
        for file in &report.files {
            out.line(format!("file          {} ({})", file.path, ByteCount(file.length)))?;
        }
    }
    Ok(())
}

/// How files compare with a torrent, as `--json` prints it.
#[derive(Serialize)]
struct VerifyReport {
    complete: bool,
    pieces: u32,
    pieces_good: u32,
    problems: Vec<String>,
}

async fn verify(out: &Out, torrent: &Path, path: Option<PathBuf>) -> Result<(), Failure> {
    let metainfo = read(torrent)?;
    let beside = torrent.parent().unwrap_or(Path::new("")).join(metainfo.info.name.to_path_buf());
    let path = path.unwrap_or(beside);
    let total = metainfo.info.length();
    let progress = out.progress(path.display().to_string());
    let place = path.clone();
    let verified = blocking(move || {
        let tell = |done| progress.bytes(Instant::now(), "checking", done, total);
        verify_files(&metainfo, &place, Watch { progress: Some(&tell), cancel: None })
    });
    let verified = verified.await?;
    let report = VerifyReport {
        complete: verified.is_complete(),
        pieces: verified.good.len(),
        pieces_good: verified.good.count(),
        problems: verified.problems.iter().map(ToString::to_string).collect(),
    };
    out.json(&report)?;
    for problem in &report.problems {
        out.line(problem)?;
    }
    out.line(format!("{} of {} pieces are right", report.pieces_good, report.pieces))?;
    if report.complete {
        return Ok(());
    }
    Err(Failure::new(format!("`{}` is not what `{}` says", path.display(), torrent.display())))
}
