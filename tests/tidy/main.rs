//! Rules about the source itself, that no compiler checks.
//!
//! What a person would have to remember in every review is a test here: that each file says what it is, that the parts
//! know only those they may know, and that facts which stand in two places agree.
//!
//! Knows nothing of Rust's grammar: it reads lines.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use podswarm_tests::files::files_below;

/// A file of the project: its path below the project's folder, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// Lines with their numbers, from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    fn is_rust(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|extension| extension == "rs")
    }

    /// Where test code begins: the whole file below a `tests` folder, else the first test module.
    fn first_test_line(&self) -> usize {
        if self.path.starts_with("tests/") || self.path.contains("/tests/") || self.path.ends_with("/tests.rs") {
            return 1;
        }
        self.lines().find(|(_, line)| line.trim() == "#[cfg(test)]").map_or(usize::MAX, |(number, _)| number)
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace").to_owned()
}

const MEMBERS: [&str; 5] = ["core", "feeds", "publisher", "subscriber", "tests"];

/// Every text that belongs to the project.
fn sources() -> Vec<Source> {
    let root = root();
    let mut paths: Vec<_> = MEMBERS.iter().flat_map(|member| files_below(&root.join(member))).collect();
    for name in ["Cargo.toml", "README.md", "CHANGELOG.md", ".ci/run", ".config/nextest.toml"] {
        paths.push(root.join(name));
    }
    let text_of = |path: PathBuf| {
        let name = path.strip_prefix(&root).expect("the path lies below the root").to_str()?.to_owned();
        Some(Source { path: name, text: fs::read_to_string(&path).ok()? })
    };
    paths.into_iter().filter_map(text_of).collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("`{path}`: {error}"))
}

fn manifest(member: &str) -> toml::Table {
    read(&format!("{member}/Cargo.toml")).parse().expect("a manifest is TOML")
}

/// Panics with every finding, if there is one.
#[track_caller]
fn assert_none(rule: &str, findings: impl IntoIterator<Item = String>) {
    let findings: Vec<_> = findings.into_iter().collect();
    assert!(findings.is_empty(), "{rule}:\n{}", findings.join("\n"));
}

/// Every Rust line that `is_bad` refuses, as `path:number: line`.
fn rust_lines(is_bad: impl Fn(&Source, usize, &str) -> bool) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources().iter().filter(|source| source.is_rust()) {
        for (number, line) in source.lines().filter(|(number, line)| is_bad(source, *number, line)) {
            findings.push(format!("{}:{number}: {}", source.path, line.trim()));
        }
    }
    findings
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_')
}

#[test]
fn every_module_says_what_it_is() {
    let is_mute = |source: &&Source| {
        let first = source.text.lines().next().unwrap_or_default();
        let says = first.strip_prefix("//! ").is_some_and(|text| text.len() > 3);
        source.is_rust() && !says && !first.starts_with("#![doc = include_str!(")
    };
    assert_none("a module opens with `//!`", sources().iter().filter(is_mute).map(|source| source.path.clone()));
}

#[test]
fn protocol_modules_name_their_source() {
    let names_none = |module: &&str| {
        let text = read(&format!("core/src/{module}/mod.rs"));
        !text.lines().take_while(|line| line.starts_with("//!")).any(|line| line.contains("BEP "))
    };
    let modules = ["bencode", "metainfo", "peer", "utp", "piece", "choke", "tracker", "lsd", "dht"];
    assert_none("a protocol module names its BEP", modules.into_iter().filter(names_none).map(str::to_owned));
}

#[test]
fn comments_are_as_narrow_as_code() {
    let is_wide = |_: &Source, _: usize, line: &str| {
        let text = line.trim_start();
        let is_comment = ["//! ", "/// ", "// "].iter().any(|begin| text.starts_with(begin));
        is_comment && line.chars().count() > 120
    };
    assert_none("a comment's lines have at most 120 columns", rust_lines(is_wide));
}

#[test]
fn nothing_is_left_unfinished() {
    // In two halves, so that this file does not find itself.
    let unfinished = [("to", "do"), ("fix", "me"), ("x", "xx")].map(|(start, end)| format!("{start}{end}"));
    let debug = format!("{}!(", "dbg");
    let is_unfinished = |_: &Source, _, line: &str| {
        let line = line.to_lowercase();
        words(&line).any(|word| unfinished.iter().any(|unfinished| word == unfinished)) || line.contains(&debug)
    };
    assert_none("finish it, or leave it out", rust_lines(is_unfinished));
}

#[test]
fn no_test_is_switched_off_or_expects_a_panic() {
    let marks = ["ignore", "should_panic"].map(|name| format!("#[{name}"));
    let is_marked = |_: &Source, _, line: &str| marks.iter().any(|mark| line.trim_start().starts_with(mark));
    assert_none("assert what happens", rust_lines(is_marked));
}

#[test]
fn no_test_waits_for_time_to_pass() {
    let call = format!("sl{}(", "eep");
    // Under tokio's paused clock a wait takes no time.
    let is_waiting = |source: &Source, number, line: &str| {
        number >= source.first_test_line() && line.contains(&call) && !source.text.contains("start_paused = true")
    };
    assert_none("wait for the event instead", rust_lines(is_waiting));
}

#[test]
fn the_protocol_half_touches_nothing_outside_itself() {
    const RIM: [&str; 3] = ["core/src/net/", "core/src/store/", "core/src/app/"];
    const FORBIDDEN: [&str; 12] = [
        "crate::net",
        "crate::store",
        "crate::app",
        "tokio::",
        "reqwest::",
        "sled::",
        "std::fs",
        "std::time::Instant",
        "SystemTime",
        "TcpStream",
        "UdpSocket",
        "async fn",
    ];
    let reaches_out = |source: &Source, number: usize, line: &str| {
        source.path.starts_with("core/src/")
            && !RIM.iter().any(|rim| source.path.starts_with(rim))
            && number < source.first_test_line()
            && !line.trim_start().starts_with("//")
            && FORBIDDEN.iter().any(|name| line.contains(name))
    };
    assert_none("effects and time are values in the protocol half", rust_lines(reaches_out));
}

#[test]
fn the_parts_know_only_those_they_may() {
    let check = |member: &str, may: &[&str]| {
        let manifest = manifest(member);
        let mut known = BTreeSet::new();
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(table) = manifest.get(section).and_then(toml::Value::as_table) else { continue };
            known.extend(table.keys().filter_map(|name| name.strip_prefix("podswarm-")).map(str::to_owned));
        }
        known.retain(|name| !may.contains(&name.as_str()));
        assert!(known.is_empty(), "{member} may know {may:?}, and also knows {known:?}");
    };
    check("core", &[]);
    check("feeds", &["core"]);
    check("publisher", &["core", "feeds"]);
    check("subscriber", &["core", "feeds"]);
}

#[test]
fn feeds_uses_the_light_half_of_core() {
    let workspace = root_manifest();
    let shared = &workspace["workspace"]["dependencies"]["podswarm-core"];
    assert_eq!(shared.get("default-features").and_then(toml::Value::as_bool), Some(false));
    let core = &manifest("feeds")["dependencies"]["podswarm-core"];
    for switch in ["features", "default-features"] {
        assert!(core.get(switch).is_none(), "feeds sets `{switch}` of podswarm-core");
    }
}

#[test]
fn sled_is_pinned_and_only_the_store_names_it() {
    let workspace = root_manifest();
    assert_eq!(workspace["workspace"]["dependencies"]["sled"]["version"].as_str(), Some("=0.34.7"));
    let names_sled = |source: &Source, _, line: &str| {
        !source.path.starts_with("core/src/store/")
            && !source.path.starts_with("tests/tidy/")
            && line.contains("sled::")
    };
    assert_none("only the store names sled", rust_lines(names_sled));
}

#[test]
fn a_program_names_every_kind_of_record_in_the_shape_of_its_state() {
    let all = sources();
    let is_of = |source: &&Source, member: &str| source.is_rust() && source.path.starts_with(&format!("{member}/src/"));
    let mut missing = Vec::new();
    for member in ["publisher", "subscriber"] {
        let own: Vec<_> = all.iter().filter(|source| is_of(source, member)).collect();
        for source in &own {
            let lines = source.lines().filter(|(number, _)| *number < source.first_test_line());
            let kinds = lines.filter_map(|(_, line)| line.strip_prefix("impl Record for ")?.strip_suffix(" {"));
            let is_named = |kind: &&str| own.iter().any(|source| source.text.contains(&format!(".with::<{kind}>()")));
            missing.extend(kinds.filter(|kind| !is_named(kind)).map(|kind| format!("{}: {kind}", source.path)));
        }
    }
    assert_none("an older version must refuse what it does not know", missing);
}

/// The name that a line of JavaScript declares for its whole page.
fn declared(line: &str) -> Option<&str> {
    let kinds = ["const ", "let ", "class ", "function ", "async function "];
    let name = kinds.iter().find_map(|kind| line.strip_prefix(kind))?;
    name.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '$').next()
}

#[test]
fn what_pages_share_stands_in_one_place() {
    let is_shared = |source: &&Source| source.path.starts_with("core/web/");
    let is_page = |source: &&Source| ["publisher/web/", "subscriber/web/"].iter().any(|it| source.path.starts_with(it));
    let all = sources();
    let shared: Vec<_> = all.iter().filter(is_shared).collect();
    let names: BTreeSet<_> = shared.iter().flat_map(|source| source.text.lines().filter_map(declared)).collect();
    assert!(names.contains("count") && names.contains("$"), "core/web declares {names:?}");
    let is_again = |source: &Source, line: &str| {
        let is_style = Path::new(&source.path).extension().is_some_and(|extension| extension == "css");
        is_style && line.contains("light-dark(") || declared(line).is_some_and(|name| names.contains(name))
    };
    let mut again = Vec::new();
    for source in all.iter().filter(is_page) {
        let lines = source.lines().filter(|(_, line)| is_again(source, line));
        again.extend(lines.map(|(number, line)| format!("{}:{number}: {line}", source.path)));
    }
    assert_none("a colour of pages, or what core/web declares, stands here again", again);
}

#[test]
fn the_readme_and_the_code_agree() {
    let readme = read("README.md");
    let rust = root_manifest()["workspace"]["package"]["rust-version"].as_str().expect("it is text").to_owned();
    assert!(readme.contains(&format!("Rust {rust}")), "README.md does not name Rust {rust}");
    assert!(readme.contains("tests/run"), "README.md does not name tests/run");
    for member in MEMBERS {
        assert!(readme.contains(&format!("{member}/")), "the map of README.md has no {member}/");
    }
    let members = root_manifest()["workspace"]["members"].as_array().expect("it is a list").clone();
    assert_eq!(members.iter().filter_map(toml::Value::as_str).collect::<Vec<_>>(), MEMBERS);
}

#[test]
fn every_path_that_the_readme_names_exists() {
    let is_path =
        |code: &&str| code.ends_with('/') && !code.contains(['<', ' ', ':', '$', '~', '{']) && !code.starts_with('/');
    let readme = read("README.md");
    let codes = readme.split('`').skip(1).step_by(2).filter(is_path);
    let missing = codes.filter(|path| !root().join(path).is_dir());
    assert_none("the README names what is not there", missing.map(str::to_owned));
}

#[test]
fn continuous_integration_runs_what_the_readme_names() {
    assert!(read(".ci/run").contains("tests/run"));
}

#[test]
fn no_text_names_one_persons_machine() {
    let homes = [("/wo", "rk/"), ("/ro", "ot/"), ("/ho", "me/")].map(|(start, end)| format!("{start}{end}"));
    let mut findings = Vec::new();
    for source in sources() {
        for (number, line) in source.lines().filter(|(_, line)| homes.iter().any(|home| line.contains(home.as_str()))) {
            findings.push(format!("{}:{number}: {}", source.path, line.trim()));
        }
    }
    assert_none("a path of one machine", findings);
}

fn root_manifest() -> toml::Table {
    read("Cargo.toml").parse().expect("a manifest is TOML")
}
