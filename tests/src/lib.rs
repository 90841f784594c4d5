//! What the tests of the whole are made of.
//!
//! In reading order: [`sim`] is a world in virtual time with the real engine in it, [`month`] one with the listener's
//! agent. [`net`] makes hosts with shaped
//! links, [`process`] runs a program on one and listens to it, [`files`] and [`audio`] make what is published.
//! [`programs`] are our own two, [`clients`] the torrent clients of others, [`browser`] a browser, [`terminal`] a
//! terminal, [`web`] a web server, [`http`] asks one and [`authority`] signs for one. [`machine`] is one that a real
//! systemd runs. [`crowd`] puts them together and measures.

pub mod sim;
pub mod month;
pub mod net;
pub mod process;
pub mod files;
pub mod audio;
pub mod programs;
pub mod clients;
pub mod browser;
pub mod terminal;
pub mod web;
pub mod http;
pub mod authority;
pub mod machine;
pub mod crowd;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

/// Tells a figure that a test measured, to whoever reads the test's output and to `tests/run`.
pub fn figure(text: &str) {
    eprintln!("figure: {text}");
    if let Some(path) = std::env::var_os("PODSWARM_FIGURES") {
        let file = OpenOptions::new().append(true).create(true).open(path);
        file.and_then(|mut file| writeln!(file, "{text}")).expect("the file of figures can be written");
    }
}

/// The folder of the build's profile, where the programs under test lie.
pub(crate) fn target_dir() -> PathBuf {
    let test = std::env::current_exe().expect("Linux tells where a program lies");
    let folder = test.parent().expect("a program lies in a folder");
    let profile = if folder.ends_with("deps") { folder.parent() } else { Some(folder) };
    profile.expect("`deps` lies in the profile's folder").to_owned()
}
