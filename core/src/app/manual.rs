//! What a shell and a reader of manuals are told of the command line: completions and man pages, made of the flags
//! themselves so that they never say anything else.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_complete::{Shell, generate};
use clap_mangen::Man;

use super::failure::{Explain, Failure};
use super::out::Out;

/// The commands that print what the command line itself is. They work where the configuration file is wrong.
pub(super) const ABOUT_ITSELF: [&str; 3] = ["completions", "config", "man"];

/// The arguments of `completions`.
#[derive(Args, Clone, Copy, Debug)]
#[command(about = None, long_about = None)]
pub struct CompletionsArgs {
    /// The shell that is to complete.
    shell: Shell,
}

/// The arguments of `man`.
#[derive(Args, Clone, Debug)]
#[command(about = None, long_about = None)]
pub struct ManArgs {
    /// The command whose page is printed; or the folder into which the pages of all commands are written, such as
    /// `/usr/local/share/man/man1`, which is made if it is missing. [default: the first page is printed]
    #[arg(value_name = "COMMAND|FOLDER")]
    what: Option<PathBuf>,
}

/// Prints what has a shell complete the words of `command`, the whole command line of a program.
pub fn completions(mut command: Command, args: CompletionsArgs, out: &Out) -> Result<(), Failure> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    generate(args.shell, &mut command, name, &mut script);
    print(out, "completions", &script)
}

/// Prints the first man page of `command` or that of one command below it, or writes all of them.
pub fn man(command: Command, args: &ManArgs, out: &Out) -> Result<(), Failure> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let source = format!("{} {}", command.get_name(), command.get_version().unwrap_or_default());
    let Some(what) = &args.what else { return print_page(command, &source, out) };
    if let Some(one) = what.to_str().and_then(|name| command.find_subcommand(name)) {
        return print_page(one.clone(), &source, out);
    }
    let folder = what;
    // A word alone is more likely a command that was meant than a folder to be made here.
    let is_word = folder.is_relative() && folder.as_os_str() == folder.file_name().unwrap_or_default();
    if is_word && !folder.exists() {
        let (word, program) = (folder.display(), command.get_name());
        let failure = Failure::usage(format!("`{word}` is no command of {program}, and no folder that is there"));
        return Err(failure.with_hint(format!(
            "`{program} --help` names the commands; `./{word}` has the pages written into a new folder"
        )));
    }
    let saying = || format!("write man pages into `{}`", folder.display());
    std::fs::create_dir_all(folder).explain(saying)?;
    write_pages(&command, &source, folder).explain(saying)
}

/// Prints the page of one command.
fn print_page(command: Command, source: &str, out: &Out) -> Result<(), Failure> {
    let mut text = Vec::new();
    page(command, source).render(&mut text).explain(|| "make the man page".to_owned())?;
    print(out, "man", &text)
}

/// The page of one command. It bears no date, so that one version has the same pages wherever it is built.
fn page(command: Command, source: &str) -> Man {
    Man::new(command).date(" ").source(source).manual("Podswarm")
}

/// Writes the pages of `command` and of all below it.
fn write_pages(command: &Command, source: &str, folder: &Path) -> io::Result<()> {
    page(command.clone(), source).generate_to(folder)?;
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
    shown.into_iter().try_for_each(|command| write_pages(command, source, folder))
}

/// Prints a text that programs read.
fn print(out: &Out, command: &str, text: &[u8]) -> Result<(), Failure> {
    if out.is_json() {
        return Err(Failure::usage(format!("`{command}` prints a text of its own; it has no JSON form")));
    }
    out.line(String::from_utf8_lossy(text).trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::out::Format;

    fn said(what: Option<PathBuf>) -> Result<String, Failure> {
        let program = Command::new("podtest").version("1").subcommand(Command::new("run").about("Runs the agent."));
        let (out, heard) = Out::captured(Format::Text, false);
        man(program, &ManArgs { what }, &out).map(|()| heard.stdout())
    }

    #[test]
    fn the_page_of_one_command_is_printed_and_all_are_written_into_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        assert!(said(None).unwrap().contains(".TH podtest 1"));
        let one = said(Some("run".into())).unwrap();
        assert!(one.contains(".TH podtest-run 1") && one.contains("Runs the agent."), "{one}");
        for place in [folder.path().to_owned(), folder.path().join("a/b")] {
            assert_eq!(said(Some(place.clone())).unwrap(), "");
            assert!(place.join("podtest.1").exists() && place.join("podtest-run.1").exists());
        }
    }

    #[test]
    fn a_word_that_is_neither_a_command_nor_a_folder_is_refused_and_nothing_is_written() {
        let failure = said(Some("nope".into())).unwrap_err();
        assert_eq!(failure.code(), 2);
        assert!(failure.to_string().contains("`nope` is no command of podtest, and no folder"), "{failure}");
        assert!(!Path::new("nope").exists());
    }
}
