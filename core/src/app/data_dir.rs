//! The folder in which a program keeps its state.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::failure::{Explain, Failure};
use super::out::Out;

/// The folder that holds a program's journal, index, media and keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataDir {
    path: PathBuf,
    name: String,
    given: bool,
}

impl DataDir {
    /// The folder the owner asked for, else the platform's data folder of the program `name`: on Linux
    /// `~/.local/share/podpub`. Makes nothing on the disk yet.
    pub fn resolve(flag: Option<&Path>, name: &str) -> Result<Self, Failure> {
        let path = match flag {
            Some(path) => std::path::absolute(path).explain(|| format!("data directory `{}`", path.display()))?,
            None => directories::ProjectDirs::from("", "", name)
                .ok_or_else(|| {
                    Failure::usage("this user has no home folder to keep data in").with_hint("give --data-dir DIR")
                })?
                .data_dir()
                .to_owned(),
        };
        Ok(Self { path, name: name.to_owned(), given: flag.is_some() })
    }

    /// The folder, as an absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of `part` in the folder.
    pub fn join(&self, part: impl AsRef<Path>) -> PathBuf {
        self.path.join(part)
    }

    /// Whether the owner named the folder, by flag, environment or file, so that it is not the platform's.
    pub const fn is_given(&self) -> bool {
        self.given
    }

    /// The program and its version, such as `podpub 0.1.0`.
    pub fn version(&self) -> String {
        format!("{} {}", self.name, env!("CARGO_PKG_VERSION"))
    }

    /// Makes the folder and its parents where they are missing, readable by their owner only.
    pub fn create(&self) -> Result<(), Failure> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.path).map_err(|error| {
            Failure::new(format!("make the data directory `{}`", self.path.display()))
                .because(error)
                .with_hint("give another one with --data-dir DIR")
        })
    }
}

/// Prints `text` as a note the first time that the program runs on this data directory.
///
/// A file `notice-shown` in the directory remembers it. With `--quiet` nothing is printed and nothing remembered.
pub fn first_run_notice(dir: &DataDir, out: &Out, text: &str) -> Result<(), Failure> {
    if out.is_quiet() {
        return Ok(());
    }
    let marker = dir.join("notice-shown");
    match fs::OpenOptions::new().write(true).create_new(true).open(&marker) {
        Ok(_) => out.note(text),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(Failure::new(format!("make `{}`", marker.display())).because(error)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::out::Format;

    #[test]
    fn the_default_folder_is_the_platforms_and_bears_the_programs_name() {
        let dir = DataDir::resolve(None, "podpub").unwrap();
        assert!(dir.path().is_absolute() && dir.path().components().any(|part| part.as_os_str() == "podpub"));
        assert!(!dir.is_given());
    }

    #[test]
    fn a_folder_that_was_asked_for_is_made_absolute() {
        let dir = DataDir::resolve(Some(Path::new("some/where")), "podpub").unwrap();
        assert!(dir.path().is_absolute() && dir.path().ends_with("some/where"));
        assert!(dir.is_given());
    }

    #[cfg(unix)]
    #[test]
    fn a_new_folder_is_for_its_owner_only_and_an_old_one_is_left_as_it_is() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let new = DataDir::resolve(Some(&root.path().join("a/b")), "podpub").unwrap();
        new.create().unwrap();
        assert_eq!(mode(new.path()), 0o700);
        fs::set_permissions(new.path(), fs::Permissions::from_mode(0o750)).unwrap();
        new.create().unwrap();
        assert_eq!(mode(new.path()), 0o750);
    }

    #[test]
    fn a_file_in_the_folders_place_is_refused_by_name() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("file");
        fs::write(&path, "x").unwrap();
        let failure = DataDir::resolve(Some(&path), "podpub").unwrap().create().unwrap_err();
        assert!(failure.to_string().contains(path.to_str().unwrap()), "{failure}");
    }

    #[test]
    fn the_first_run_is_told_once_and_not_in_silence() {
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::resolve(Some(root.path()), "podpub").unwrap();
        let (quiet, heard) = Out::captured(Format::Text, true);
        first_run_notice(&dir, &quiet, "others see your address").unwrap();
        assert_eq!(heard.stderr(), "");
        let (out, heard) = Out::captured(Format::Text, false);
        first_run_notice(&dir, &out, "others see your address").unwrap();
        first_run_notice(&dir, &out, "others see your address").unwrap();
        assert_eq!(heard.stderr(), "others see your address\n");
    }
}
