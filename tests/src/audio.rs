//! Real episodes: speech made by espeak-ng, encoded by ffmpeg, with the tags, the cover and the chapters of a podcast.
//!
//! Both programs are Debian packages. Episodes are made once and kept in the build folder.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the tags of every episode call its show.
pub const SHOW: &str = "The Swarm Hour";

/// How an episode is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// MPEG audio layer 3 with an `ID3v2` tag.
    Mp3,
    /// AAC in an MPEG-4 container.
    M4a,
}

/// An episode that was made.
#[derive(Clone, Debug)]
pub struct Audio {
    /// The file.
    pub path: PathBuf,
    /// The title that its tags carry.
    pub title: String,
    /// How long it plays, in seconds.
    pub seconds: u64,
}

impl Format {
    fn extension(self) -> &'static str {
        match self {
            Self::M4a => "m4a",
            Self::Mp3 => "mp3",
        }
    }

    fn encoder(self) -> [&'static str; 2] {
        match self {
            Self::M4a => ["-c:a", "aac"],
            Self::Mp3 => ["-c:a", "libmp3lame"],
        }
    }
}

/// What is spoken and how it is encoded.
#[derive(Debug)]
struct Script<'a> {
    show: &'a str,
    title: &'a str,
    text: String,
    format: Format,
    bit_rate: &'a str,
    channels: &'a str,
}

/// An episode of more than 20 MB, with three chapters.
pub fn long_episode(format: Format) -> Audio {
    // AAC needs fewer bits than it may take for a voice, MP3 takes them all.
    let talks = match format {
        Format::M4a => 18,
        Format::Mp3 => 12,
    };
    let audio = talk(format, "How a Swarm Shares", talks, "320k");
    let length = fs::metadata(&audio.path).expect("the episode was made").len();
    assert!(length >= 20_000_000, "`{}` has {length} bytes", audio.path.display());
    audio
}

/// An episode of less than a minute, for tests of many.
pub fn short_episode(title: &str) -> Audio {
    talk(Format::Mp3, title, 1, "64k")
}

/// Half a minute of a moving picture of 8 Mbit/s, which is noisy enough to need all of it.
pub fn video() -> Audio {
    let folder = crate::target_dir().join("audio");
    fs::create_dir_all(&folder).expect("the build folder is ours");
    let path = folder.join("A-Noisy-Picture.mp4");
    if !path.exists() {
        let work = tempfile::tempdir_in(&folder).expect("the build folder is ours");
        let made = work.path().join("video.mp4");
        let mut command = ffmpeg();
        command.args(["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25,noise=alls=40:allf=t", "-t", "30"]);
        command.args(["-c:v", "mpeg4", "-b:v", "8M", "-minrate", "8M", "-maxrate", "8M", "-bufsize", "1M"]);
        run(command.args(["-movflags", "+faststart"]).arg(&made));
        fs::rename(made, &path).expect("both are in one folder");
    }
    Audio { seconds: seconds_of(&path), path, title: "A Noisy Picture".to_owned() }
}

/// Makes anew the episode that lies in the project for a first try, and returns where it lies.
pub fn make_sample() -> PathBuf {
    let work = crate::files::scratch();
    let script = Script {
        show: "Welcome to Podswarm",
        title: "Hello, Swarm",
        text: WELCOME.to_owned(),
        format: Format::Mp3,
        bit_rate: "40k",
        channels: "1",
    };
    fs::copy(script.encode(work.path()), sample()).expect("the project's folder is ours");
    sample()
}

/// Where the episode for a first try lies.
pub fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/hello-swarm.mp3")
}

fn talk(format: Format, title: &str, talks: usize, bit_rate: &str) -> Audio {
    let folder = crate::target_dir().join("audio");
    fs::create_dir_all(&folder).expect("the build folder is ours");
    let name = format!("{title} {talks} {bit_rate}.{}", format.extension()).replace(' ', "-");
    let path = folder.join(name);
    if !path.exists() {
        let work = tempfile::tempdir_in(&folder).expect("the build folder is ours");
        let parts: Vec<_> = (1..=talks).map(|number| format!("{title}. Part {number}. {TALK}")).collect();
        let script = Script { show: SHOW, title, text: parts.join("\n"), format, bit_rate, channels: "2" };
        fs::rename(script.encode(work.path()), &path).expect("both are in one folder");
    }
    Audio { seconds: seconds_of(&path), path, title: title.to_owned() }
}

impl Script<'_> {
    /// Makes the episode, and whatever it needs, in the folder `work`.
    fn encode(&self, work: &Path) -> PathBuf {
        let [text, speech, cover, tags] =
            ["text.txt", "speech.wav", "cover.jpg", "tags.txt"].map(|name| work.join(name));
        fs::write(&text, &self.text).expect("the folder is ours");
        run(Command::new("espeak-ng").arg("-f").arg(&text).arg("-w").arg(&speech));
        run(ffmpeg().args(["-f", "lavfi", "-i", COVER, "-frames:v", "1", "-pix_fmt", "yuvj420p"]).arg(&cover));
        fs::write(&tags, self.tags(seconds_of(&speech))).expect("the folder is ours");

        let episode = work.join("episode").with_extension(self.format.extension());
        let mut command = ffmpeg();
        for input in [&speech, &cover, &tags] {
            command.arg("-i").arg(input);
        }
        command.args(["-map", "0:a", "-map", "1:v", "-map_metadata", "2", "-map_chapters", "2"]);
        command.args(self.format.encoder()).args(["-b:a", self.bit_rate, "-ar", "44100", "-ac", self.channels]);
        command.args(["-c:v", "copy", "-disposition:v", "attached_pic"]).arg(&episode);
        run(&mut command);
        episode
    }

    /// Tags and three chapters of one length, as ffmpeg reads them.
    fn tags(&self, seconds: u64) -> String {
        let (show, title, third) = (self.show, self.title, seconds * 1000 / 3);
        let mut tags = format!(";FFMETADATA1\ntitle={title}\nalbum={show}\nartist=Ada Podder\ntrack=1\ndate=2026\n");
        for (begin, name) in [(0, "Hello"), (third, "The middle"), (2 * third, "Goodbye")] {
            let _ = writeln!(tags, "[CHAPTER]\nTIMEBASE=1/1000\nSTART={begin}\nEND={}\ntitle={name}", begin + third);
        }
        tags
    }
}

fn seconds_of(path: &Path) -> u64 {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0"]).arg(path);
    let output = command.output().expect("`ffprobe` of ffmpeg starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let whole = text.split('.').next().unwrap_or_default();
    whole.parse().unwrap_or_else(|_| panic!("`{}`: duration {text:?}", path.display()))
}

fn ffmpeg() -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-y"]);
    command
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A square as large as podcast directories ask for.
const COVER: &str = "gradients=size=1400x1400:x0=0:y0=0:x1=1400:y1=1400:c0=0x14213d:c1=0xfca311:nb_colors=2";

/// About fifty seconds of speech.
const TALK: &str = "Good evening, and welcome to the show. Tonight we ask an old question: how can one small machine \
    speak to ten thousand listeners at once? A single line out of a single house carries only so much. If every \
    listener has to be served by that one line, the last of them waits until tomorrow. But listeners have lines of \
    their own. Cut the recording into pieces, and hand each listener a different piece first. Now every one of them \
    holds something that the others want. They trade, and with each trade there are more copies of every piece in the \
    crowd. The line out of the house is soon the smallest part of the whole. That is the happy surprise of a swarm: \
    the larger the crowd, the faster each of them is served. Nobody has to be generous for it. It is enough that each \
    gives while it takes, and stays for a short while after it has everything. Thank you for listening.";

/// What the sample says.
const WELCOME: &str = "Hello, swarm! This is a short episode that comes with Podswarm, so that you can publish something \
    right away. You are listening to it from your own machine, on the page that your publisher serves. Now start a \
    subscriber, here or on another machine, and give it the address of the feed. It will find this episode, fetch it \
    piece by piece, and share what it has with every other subscriber while it does. The more of them there are, the \
    faster it goes for each. When you have a recording of your own, publish it the same way, with one command. Have \
    fun, and stay in the swarm for a while.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_episode_plays_and_carries_its_title() {
        let audio = short_episode("A Test of Speech");
        assert!(audio.seconds > 20, "{} s", audio.seconds);
        let bytes = fs::read(&audio.path).unwrap();
        assert_eq!(&bytes[..3], b"ID3");
        assert!(bytes.windows(4).any(|window| window == b"CHAP"));
        assert!(bytes.windows(4).any(|window| window == b"APIC"));
    }

    #[test]
    fn the_sample_is_small_and_has_everything_that_a_page_shows() {
        let bytes = fs::read(sample()).unwrap();
        assert!(bytes.len() <= 300_000, "{} bytes", bytes.len());
        for frame in [b"TIT2", b"TALB", b"APIC", b"CHAP"] {
            assert!(bytes.windows(4).any(|window| window == frame), "{}", String::from_utf8_lossy(frame));
        }
    }

    #[test]
    fn long_episodes_come_in_both_formats() {
        for format in [Format::Mp3, Format::M4a] {
            assert!(long_episode(format).seconds > 300);
        }
    }
}
