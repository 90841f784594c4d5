//! What a listener without any program of ours sees: the pages, in a real browser.

use podswarm_tests::audio::{Format, SHOW, long_episode, sample};
use podswarm_tests::browser::Browser;
use podswarm_tests::files::scratch;
use podswarm_tests::net::Net;
use podswarm_tests::programs::Publisher;

/// Plays until time passes, then from the middle, as a listener who skips does.
const PLAY: &str = "
    const audio = document.querySelector('audio');
    const event = name => new Promise((heard, failed) => {
        audio.addEventListener(name, heard, { once: true });
        audio.addEventListener('error', () => failed(audio.error.message), { once: true });
    });
    const plays = event('timeupdate');
    await audio.play();
    await plays;
    const sought = event('seeked');
    audio.currentTime = audio.duration / 2;
    await sought;
    return { duration: audio.duration, at: audio.currentTime, ready: audio.readyState };
";

/// Every link of a page.
const LINKS: &str = "return [...document.querySelectorAll('a')].map(link => link.href);";

#[test]
fn the_page_of_an_episode_plays_it_and_offers_its_torrent() {
    let (folder, mut net) = (scratch(), Net::new());
    let home = net.host("publisher");
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
    let audio = long_episode(Format::Mp3);
    let release = publisher.publish(&audio.path);

    let browser = Browser::start(&home, folder.path());
    browser.open(&release.page);
    let text = browser.run("return document.body.innerText;");
    let text = text.as_str().expect("a page has text");
    assert!(text.contains(&audio.title) && text.contains(SHOW), "{text}");
    let links = browser.run(LINKS).to_string();
    assert!(links.contains(&release.torrent) && links.contains("magnet:?xt=urn:btih:"), "{links}");
    let played = browser.run(PLAY);
    let duration = played["duration"].as_f64().unwrap_or_else(|| panic!("{played}"));
    let seconds = f64::from(u32::try_from(audio.seconds).expect("an episode is short"));
    assert!((duration - seconds).abs() < 2.0, "{played}, want {seconds} s");
    assert!(played["at"].as_f64() >= Some(duration / 2.0 - 1.0), "{played}");
    assert!(played["ready"].as_u64() >= Some(2), "{played}");
}

#[test]
fn the_shows_lead_to_the_sample_and_it_plays() {
    let (folder, mut net) = (scratch(), Net::new());
    let home = net.host("publisher");
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
    let release = publisher.publish(&sample());

    let browser = Browser::start(&home, folder.path());
    browser.open(&format!("http://{}:{}/", home.v4(), publisher.http_port));
    let shows = browser.run(LINKS);
    let show = shows
        .as_array()
        .and_then(|links| links.iter().find_map(|link| link.as_str()?.contains("/shows/").then(|| link.clone())));
    browser.open(show.as_ref().and_then(|link| link.as_str()).unwrap_or_else(|| panic!("no show in {shows}")));
    let episodes = browser.run(LINKS).to_string();
    assert!(episodes.contains(&release.page), "{} is not in {episodes}", release.page);
    browser.open(&release.page);
    assert!(browser.run(PLAY)["duration"].as_f64() > Some(20.0));
}

/// Clicks on the second chapter, and tells where the player is when it is there, and which chapter is marked.
const SKIP: &str = "
    const audio = document.querySelector('audio');
    const marked = () => document.querySelector('.chapters [aria-current]')?.dataset.at;
    const there = new Promise(heard => {
        audio.addEventListener('timeupdate', () => { if (marked() === '8') heard(); });
    });
    document.querySelectorAll('.chapters [data-at]')[1].click();
    await there;
    const speed = document.querySelector('.speed select');
    speed.value = '1.5';
    speed.dispatchEvent(new Event('change'));
    return { at: audio.currentTime, rate: audio.playbackRate, stayed: location.hash === '' };
";

#[test]
fn the_player_goes_to_a_chapter_and_marks_it() {
    let (folder, mut net) = (scratch(), Net::new());
    let home = net.host("publisher");
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
    let chapters = folder.path().join("chapters.txt");
    std::fs::write(&chapters, "0:00 Hello\n0:08 The swarm\n").expect("the disk has room");
    let flags = ["--chapters", chapters.to_str().expect("a path of ours")];
    let release = publisher.publish_with(&flags, &[sample()]);

    let browser = Browser::start(&home, folder.path());
    browser.open(&release.page);
    let skipped = browser.run(SKIP);
    assert!(skipped["at"].as_f64() >= Some(8.0) && skipped["rate"] == 1.5 && skipped["stayed"] == true, "{skipped}");
}
