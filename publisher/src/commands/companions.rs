//! What goes with an episode: chapters and transcripts, named on the command line or lying beside it, and what is said
//! of it or its show in the podcast namespace.
//!
//! Files are read here, where their paths mean something, and handed on as what they say.

use std::path::{Path, PathBuf};

use podswarm_core::app::{Explain as _, Failure};
use podswarm_feeds::Tags;
use podswarm_feeds::chapters::{self, Chapter};

use crate::cli::TagArgs;
use crate::publish::Said;
use crate::transcript::Transcript;

/// What the flags say in the podcast namespace.
pub(super) fn tags(args: &TagArgs) -> Result<Tags, Failure> {
    let mut tags = Tags::default();
    let said = [
        ("--person", "person", args.person.as_slice()),
        ("--location", "location", &args.location),
        ("--funding", "funding", &args.funding),
        ("--license", "license", args.license.as_slice()),
        ("--medium", "medium", args.medium.as_slice()),
        ("--soundbite", "soundbite", &args.soundbite),
        ("--social", "socialInteract", &args.social),
    ];
    for (flag, name, texts) in said {
        for text in texts {
            tags.say(name, text).map_err(|error| Failure::usage(format!("{flag}: {error}")))?;
        }
    }
    for text in &args.tag {
        let read = |file: &str| std::fs::read_to_string(file).explain(|| format!("read the tag `{file}`"));
        let text = text.strip_prefix('@').map_or_else(|| Ok(text.clone()), read)?;
        tags.say_any(&text).map_err(|error| Failure::usage(format!("--tag: {error}")))?;
    }
    Ok(tags)
}

/// The chapters in the file at `path`; an empty path is none.
pub(super) fn chapters(path: &Path) -> Result<Vec<Chapter>, Failure> {
    if path == Path::new("") {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(path).explain(|| format!("read the chapters `{}`", path.display()))?;
    chapters::read(&text).explain(|| format!("take the chapters `{}`", path.display()))
}

/// The transcripts in the files at `paths`; one empty path is none.
pub(super) fn transcripts(paths: &[PathBuf]) -> Result<Vec<Transcript>, Failure> {
    if paths == [PathBuf::new()] {
        return Ok(Vec::new());
    }
    paths.iter().map(|path| transcript(path)).collect()
}

fn transcript(path: &Path) -> Result<Transcript, Failure> {
    let bytes = std::fs::read(path).explain(|| format!("read the transcript `{}`", path.display()))?;
    Transcript::new(path, bytes).explain(|| format!("take the transcript `{}`", path.display()))
}

/// Adds to `said` what lies beside the episode at `path` and was not named; `note` is told of it.
pub(super) fn beside(note: &dyn Fn(String), path: &Path, said: &Said) -> Result<Said, Failure> {
    let mut said = said.clone();
    let beside = |extension: &str| Some(path.with_extension(extension)).filter(|it| it != path && it.is_file());
    if path.is_dir() {
        return Ok(said);
    }
    if said.chapters.is_none()
        && let Some(file) = beside("chapters.json").or_else(|| beside("chapters.txt"))
    {
        note(format!("with the chapters in `{}`", file.display()));
        said.chapters = Some(chapters(&file)?);
    }
    if said.transcripts.is_empty() {
        for file in ["vtt", "srt"].into_iter().filter_map(beside) {
            note(format!("with the transcript in `{}`", file.display()));
            said.transcripts.push(transcript(&file)?);
        }
    }
    Ok(said)
}
