//! The feed of what an agent keeps, in a browser on another machine of the house.

use podswarm_tests::audio::{Format, SHOW, long_episode};
use podswarm_tests::browser::Browser;
use podswarm_tests::files::scratch;
use podswarm_tests::net::Net;
use podswarm_tests::process::{PATIENCE, Program};
use podswarm_tests::programs::{Publisher, podsub_on};
use serde_json::json;

use super::with_tools;

#[test]
fn a_browser_in_the_house_reads_the_feed_and_plays_from_the_box() {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, house, phone] = ["publisher", "listener", "phone"].map(|name| net.host(name));
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
    let episode = long_episode(Format::Mp3);
    let feed = publisher.publish(&episode.path).feed;
    let podsub = |arguments: &[&str]| {
        let mut command = podsub_on(&house, &[]);
        command.args(["--json", "--data-dir"]).arg(folder.path().join("podsub")).args(arguments);
        Program::start(&format!("podsub {}", arguments.join(" ")), command)
    };
    let mut agent = podsub(&["run", "--web", "0", &feed]);
    agent.event("complete", PATIENCE);
    let said = podsub(&["phone"]).end(PATIENCE);
    let url = said.lines.first().expect("it says where").json()["url"].as_str().expect("a URL").to_owned();

    let browser = Browser::start(&phone, folder.path());
    browser.open(&url);
    let item = browser.run(
        // It shows feeds as the text that they are.
        "const shown = new DOMParser().parseFromString(document.body.innerText, 'text/xml');
         const item = shown.querySelector('item');
         return [shown.querySelectorAll('item').length, item.querySelector('title').textContent,
                 item.querySelector('enclosure').getAttribute('url')];",
    );
    assert_eq!((&item[0], &item[1]), (&json!(1), &json!(format!("{SHOW}: {}", episode.title))), "{item}");
    let media = item[2].as_str().expect("a URL");
    assert!(media.starts_with(&format!("http://{}:", house.v4())), "{media}");
    browser.open(media);
    let heard = with_tools(
        &browser,
        "const player = await until(() => document.querySelector('video, audio'));
         await until(() => player.duration > 0);
         player.muted = true;
         await player.play();
         await until(() => player.currentTime > 1);
         player.currentTime = player.duration * 0.8;
         await until(() => player.currentTime > player.duration * 0.8 + 1);
         return Math.floor(player.duration);",
    );
    assert!(heard.as_u64().is_some_and(|seconds| seconds.abs_diff(episode.seconds) < 2), "{heard}");
}
