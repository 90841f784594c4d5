//! A line that the system calls metered: a real bus, on which the test is the network manager.

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use zbus::Connection;

use super::rests::{fetched, status};
use super::{Agent, bytes, done, folder, output, podsub};

const PATH: &str = "/org/freedesktop/NetworkManager";
const METERED: &str = "the system calls the line metered (--on-metered)";

/// What it is for the network manager: 1 is yes, 2 is no, 3 is likely, 4 is unlikely.
struct Manager(u32);

#[zbus::interface(name = "org.freedesktop.NetworkManager")]
impl Manager {
    #[zbus(property)]
    fn metered(&self) -> u32 {
        self.0
    }
}

/// A bus and its address; `None` where there is no program for it.
async fn bus() -> Option<(Child, String)> {
    let mut command = Command::new("dbus-daemon");
    command.args(["--session", "--nofork", "--print-address"]).stdout(Stdio::piped()).kill_on_drop(true);
    let mut daemon = command.spawn().ok()?;
    let mut address = String::new();
    BufReader::new(daemon.stdout.take()?).read_line(&mut address).await.ok()?;
    Some((daemon, address.trim().to_owned()))
}

async fn manager(address: &str, said: u32) -> Connection {
    let builder = zbus::connection::Builder::address(address).serve_at(PATH, Manager(said));
    builder.name("org.freedesktop.NetworkManager").build().await.expect("the bus lets it in")
}

/// It is something else for the manager now.
async fn say(manager: &Connection, said: u32) {
    let served = manager.object_server().interface::<_, Manager>(PATH).await.expect("it is served");
    served.get_mut().await.0 = said;
    served.get().await.metered_changed(served.signal_emitter()).await.expect("the bus passes it on");
}

fn agent(dir: &Path, address: &str, on_metered: &str) -> Agent {
    let args = ["--json", "run", "--peer-port", "0", "--bind", "127.0.0.1", "--on-metered", on_metered];
    let mut command = podsub(dir, &args);
    command.env("DBUS_SYSTEM_BUS_ADDRESS", address);
    Agent::of(command)
}

#[tokio::test]
async fn on_a_metered_line_nothing_is_seeded_and_everything_goes_on_after_it() {
    let Some((_daemon, address)) = bus().await else { return eprintln!("skipped: no dbus-daemon is installed") };
    let (there, here) = (folder(), folder());
    let host = fetched(there.path(), here.path()).await;
    host.put("two.mp3", bytes(50_000, 2));
    let said = manager(&address, 1).await;
    let mut agent = agent(here.path(), &address, "seed-nothing");
    assert_eq!(agent.wait_for("seeding").await["rests"], METERED);
    assert_eq!(status(here.path()).await["rests"], METERED);
    let told = done(&output(here.path(), &["status"]).await);
    assert!(told.contains(&format!("nothing now: {METERED}")), "{told}");
    host.release("g2", "Two", "/media/two.mp3");
    done(&output(here.path(), &["update"]).await);
    agent.wait_for("complete").await;

    // No, likely, and then the manager is gone and back, and knows no better.
    say(&said, 2).await;
    assert!(agent.wait_for("seeding").await["rests"].is_null());
    say(&said, 3).await;
    assert_eq!(agent.wait_for("seeding").await["rests"], METERED);
    said.close().await.expect("it is open");
    assert!(agent.wait_for("seeding").await["rests"].is_null());
    let _said = manager(&address, 1).await;
    assert_eq!(agent.wait_for("seeding").await["rests"], METERED);
    assert_eq!(agent.stop().await, 0);
}

#[tokio::test]
async fn on_a_metered_line_downloads_wait_where_their_owner_wants_that_but_for_those_that_he_asks_for() {
    let Some((_daemon, address)) = bus().await else { return eprintln!("skipped: no dbus-daemon is installed") };
    let (there, here) = (folder(), folder());
    let host = fetched(there.path(), here.path()).await;
    let said = manager(&address, 1).await;
    let mut agent = agent(here.path(), &address, "nothing");
    agent.wait_for("seeding").await;
    for (number, name) in [(2, "two"), (3, "three")] {
        host.put(&format!("{name}.mp3"), bytes(50_000, number));
        host.release(name, name, &format!("/media/{name}.mp3"));
    }
    done(&output(here.path(), &["update"]).await);
    let waiting = status(here.path()).await;
    let troubles = waiting["downloads"].as_array().expect("a list").iter().map(|view| view["trouble"].as_str());
    assert_eq!(troubles.collect::<Vec<_>>(), [Some(METERED); 2]);
    assert!(host.answers("/media/two.mp3").is_empty());
    done(&output(here.path(), &["download", "three"]).await);
    assert_eq!(agent.wait_for("complete").await["guid"], "three");
    say(&said, 4).await;
    assert_eq!(agent.wait_for("complete").await["guid"], "two");
    assert_eq!(agent.stop().await, 0);
}
