//! What may happen to the disk of a library while its agent runs: it turns read-only, fills up, goes away. Each is
//! told, and ends by itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use podswarm_tests::files::{MIB, assert_same_bytes, files_below, random_file, scratch};
use podswarm_tests::net::{Host, Net};
use podswarm_tests::process::{PATIENCE, Program};
use podswarm_tests::programs::{Publisher, await_status, podsub_on};

/// What the disk holds, in bytes.
const ROOM: u64 = 64 * MIB;
/// What fails for a reason of the disk is tried again after a minute and a bit.
const AGAIN: Duration = Duration::from_mins(3);

/// An agent whose library is on a small disk of its own, which is seen in its namespace and gone with it. Nothing can
/// be written there at first.
struct SmallBox {
    agent: Program,
    disk: PathBuf,
}

impl SmallBox {
    fn start(host: &Host, disk: &Path, data: &Path, feed: &str) -> Self {
        fs::create_dir(disk).expect("the test's folder is ours");
        let mut inner = podsub_on(host, &[]);
        inner.args(["run", "--json", "--leave-free", "4MiB", "--data-dir"]).arg(data);
        inner.arg("--library").arg(disk.join("library")).arg(feed);
        let mount = format!(
            "mount -t tmpfs -o size={ROOM} none \"$0\" && mkdir \"$0/library\" && mount -o remount,ro \"$0\" && exec \"$@\""
        );
        let mut command = std::process::Command::new("unshare");
        command.args(["--mount", "sh", "-c", &mount]).arg(disk).arg(inner.get_program()).args(inner.get_args());
        command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Self { agent: Program::start("podsub on a small disk", command), disk: disk.to_owned() }
    }

    /// The disk as the agent sees it.
    fn inside(&self) -> PathBuf {
        self.agent.sees(&self.disk)
    }

    /// Has it be `rw` or `ro`.
    #[track_caller]
    fn remount(&self, how: &str) {
        let mut command = self.agent.command_beside("mount");
        let status = command.args(["-o", &format!("remount,{how}")]).arg(&self.disk).status();
        assert!(status.expect("`nsenter` starts").success(), "{how}");
    }

    #[track_caller]
    fn waits_because(&mut self, wants: &[&str]) {
        self.agent.wait_for(wants[0], PATIENCE, |line| {
            let told = line.json();
            let is_wanted = |want: &&str| told["reason"].as_str().is_some_and(|reason| reason.contains(want));
            (told["event"] == "waiting" && wants.iter().any(is_wanted)).then_some(())
        });
    }
}

#[test]
fn whatever_befalls_the_disk_is_told_and_everything_goes_on_after_it() {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, house] = ["publisher", "listener"].map(|name| net.host(name));
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), Some(home.v4()));
    let episodes: Vec<_> = (0..3_u32)
        .map(|number| random_file(&folder.path().join(format!("{number}.mp3")), 3 * MIB, number.into()))
        .collect();
    let feed = publisher.publish(&episodes[0]).feed;
    let data = folder.path().join("podsub");
    let mut small = SmallBox::start(&house, &folder.path().join("disk"), &data, &feed);
    small.waits_because(&["Read-only file system"]);
    small.remount("rw");
    small.agent.event("complete", AGAIN);

    let ballast = random_file(&small.inside().join("ballast"), ROOM - 4 * MIB, 9);
    publisher.publish(&episodes[1]);
    // By what was measured before, or by what was written.
    small.waits_because(&["the disk has", "No space left"]);
    fs::remove_file(ballast).expect("the disk can be written to");
    small.agent.event("complete", AGAIN);

    let (library, away) = (small.inside().join("library"), small.inside().join("away"));
    fs::rename(&library, &away).expect("both are on one disk");
    publisher.publish(&episodes[2]);
    small.waits_because(&["is not there"]);
    assert!(!library.exists(), "no other library is begun");
    fs::rename(&away, &library).expect("both are on one disk");
    small.agent.event("complete", AGAIN);

    let mut kept = files_below(&library);
    kept.retain(|path| path.extension().is_some_and(|extension| extension == "mp3"));
    assert_eq!(kept.len(), episodes.len(), "{kept:?}");
    for (want, got) in episodes.iter().zip(&kept) {
        assert_same_bytes(want, got);
    }
    await_status(&house, &data, |status| status["seeding"]["torrents"] == 3);
    // Seeding holds nothing open for writing.
    small.remount("ro");
}
