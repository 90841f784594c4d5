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
    /// Write the pages of all commands into this folder, such as `/usr/local/share/man/man1`. It is made if it is
    /// missing. [default: only the first page, to standard output]
    #[arg(value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

/// Prints what has a shell complete the words of `command`, the whole command line of a program.
pub fn completions(mut command: Command, args: CompletionsArgs, out: &Out) -> Result<(), Failure> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    generate(args.shell, &mut command, name, &mut script);
    print(out, "completions", &script)
}

/// Prints the first man page of `command`, or writes all of them.
pub fn man(command: Command, args: &ManArgs, out: &Out) -> Result<(), Failure> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let source = format!("{} {}", command.get_name(), command.get_version().unwrap_or_default());
    let Some(folder) = &args.folder else {
        let mut text = Vec::new();
        page(command, &source).render(&mut text).explain(|| "make the man page".to_owned())?;
        return print(out, "man", &text);
    };
    let saying = || format!("write man pages into `{}`", folder.display());
    std::fs::create_dir_all(folder).explain(saying)?;
    write_pages(&command, &source, folder).explain(saying)
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
