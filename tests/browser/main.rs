//! What people without a command line see: the pages, in a real browser.

mod access;
mod listener;
mod phone;

use std::path::Path;

use access::check_access;

use podswarm_tests::audio::{Format, SHOW, long_episode, sample};
use podswarm_tests::browser::Browser;
use podswarm_tests::files::scratch;
use podswarm_tests::http;
use podswarm_tests::net::Net;
use podswarm_tests::process::{PATIENCE, Program};
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
    keep_pictures(&browser, "publisher-episode");
    check_access(&browser, "the page of an episode");
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
    check_access(&browser, "the page of the shows");
    let shows = browser.run(LINKS);
    let show = shows
        .as_array()
        .and_then(|links| links.iter().find_map(|link| link.as_str()?.contains("/shows/").then(|| link.clone())));
    browser.open(show.as_ref().and_then(|link| link.as_str()).unwrap_or_else(|| panic!("no show in {shows}")));
    keep_pictures(&browser, "publisher-show");
    check_access(&browser, "the page of a show");
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

/// What the dashboard's tests are written with: `until` waits for what the page comes to show, `drop` gives a form a
/// file that was made here, `article` is the one of that title, `press` presses its button.
const TOOLS: &str = "
    const until = async look => {
        // Sooner than the driver gives up, so that it is told what is there instead.
        for (const end = performance.now() + 55000; performance.now() < end;) {
            const seen = look();
            if (seen) return seen;
            await new Promise(requestAnimationFrame);
        }
        throw look + ' does not come; there is ' + document.body.innerText;
    };
    const article = title => [...document.querySelectorAll('article')].find(it => it.querySelector('h3').textContent === title);
    const press = (title, name) => [...article(title).querySelectorAll('button')].find(it => it.textContent === name).click();
    const wav = seconds => {
        const samples = seconds * 8000, head = new DataView(new ArrayBuffer(44)), sound = new Uint8Array(samples);
        const text = (at, word) => [...word].forEach((sign, n) => head.setUint8(at + n, sign.charCodeAt(0)));
        text(0, 'RIFF'); head.setUint32(4, 36 + samples, true); text(8, 'WAVEfmt '); head.setUint32(16, 16, true);
        head.setUint16(20, 1, true); head.setUint16(22, 1, true); head.setUint32(24, 8000, true);
        head.setUint32(28, 8000, true); head.setUint16(32, 1, true); head.setUint16(34, 8, true);
        text(36, 'data'); head.setUint32(40, samples, true);
        sound.forEach((_, n) => { sound[n] = 128 + 60 * Math.sin(n * 440 * 2 * Math.PI / 8000); });
        return new Blob([head, sound], { type: 'audio/wav' });
    };
    const drop = (input, name, seconds) => {
        const files = new DataTransfer();
        files.items.add(new File([wav(seconds)], name));
        input.files = files.files;
        input.dispatchEvent(new Event('change'));
    };
    const form = document.getElementById('publish');
";

/// Runs `body` in the page, with the tools, and gives what it returns, which is never a failure.
#[track_caller]
fn with_tools(browser: &Browser, body: &str) -> serde_json::Value {
    let told = browser.run(&format!("{TOOLS}{body}"));
    assert!(!told.as_str().is_some_and(|text| text.starts_with("failed:")), "{told}");
    told
}

/// Keeps pictures of the page, wide, narrow and dark, for people to look at.
#[track_caller]
fn keep_pictures(browser: &Browser, name: &str) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pictures");
    std::fs::create_dir_all(&folder).expect("the target folder is ours");
    for (kind, width) in [("wide", 1000), ("narrow", 400), ("dark", 1000)] {
        browser.resize(width, 1400);
        browser.darken(kind == "dark");
        // A phone's page does not have to be pushed aside.
        let over = "return document.documentElement.scrollWidth - document.documentElement.clientWidth;";
        assert_eq!(browser.run(over), 0, "{name} is wider than a window of {width}");
        std::fs::write(folder.join(format!("{name}-{kind}.png")), browser.picture()).expect("the disk has room");
    }
    browser.darken(false);
}

/// Makes a token of that role.
#[track_caller]
fn token(publisher: &Publisher, role: &str) -> String {
    let mut command = publisher.command("token");
    command.args(["add", role, "--role", role]);
    let made = Program::start("podpub token", command).end(PATIENCE).lines.pop().expect("a token is told").json();
    made["token"].as_str().expect("a token is text").to_owned()
}

#[test]
fn an_owner_publishes_schedules_changes_and_takes_back_on_the_dashboard() {
    let (folder, mut net) = (scratch(), Net::new());
    let home = net.host("publisher");
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
    let release = publisher.publish(&sample());
    // A listener's app, whose download is counted.
    let media = http::get(&home, &release.media, &[("user-agent", "AntennaPod/3.4.0")]);
    assert_eq!(media.status, 200);
    let token = token(&publisher, "editor");

    let browser = Browser::start(&home, folder.path());
    browser.open(&format!("http://127.0.0.1:{}/dashboard#{token}", publisher.http_port));
    let opened =
        with_tools(&browser, "await until(() => article('Hello, Swarm')); return location.hash + form.hidden;");
    assert_eq!(opened, "false", "the token is not left in the address, and an editor may publish");

    let sent = with_tools(
        &browser,
        "drop(form.elements.files, 'From the Browser.wav', 3);
         form.elements.notes.value = 'Typed on a page';
         form.requestSubmit();
         await until(() => article('From the Browser')?.querySelector('.stands').textContent.includes('copies out'));
         return document.getElementById('uploads').textContent;",
    );
    assert!(sent.as_str().is_some_and(|text| text.contains("is out: “From the Browser”")), "{sent}");

    let later = with_tools(
        &browser,
        "drop(form.elements.files, 'Next Year.wav', 4);
         form.elements.when.value = 'at';
         form.elements.when.dispatchEvent(new Event('change'));
         form.elements.at.value = '2099-01-01T06:00';
         form.requestSubmit();
         await until(() => article('Next Year'));
         return article('Next Year').querySelector('.stands').textContent;",
    );
    assert!(later.as_str().is_some_and(|text| text.starts_with("Appears on") && text.contains("2099")), "{later}");
    let drawn = with_tools(
        &browser,
        "const sum = document.getElementById('sum');
         await until(() => sum.textContent);
         document.querySelector('details').open = true;
         const tallest = [...document.querySelectorAll('#days rect.web')].at(-1).getBBox().height;
         const rows = [...document.querySelectorAll('#tables tbody tr')].map(row => row.innerText.replaceAll('\\t', ' '));
         return sum.textContent + ' | ' + (tallest > 100) + ' | ' + rows.join(' | ');",
    );
    let drawn = drawn.as_str().expect("it is text");
    assert!(drawn.starts_with("1 over HTTP and 0 in swarms in 30 days. | true | "), "{drawn}");
    assert!(drawn.contains(" 1 0"), "the table has it, too: {drawn}");
    let mut listed = publisher.command("edit");
    listed.arg("--listed");
    assert_eq!(Program::start("podpub edit", listed).end(PATIENCE).code, Some(0));
    let refused = with_tools(
        &browser,
        "drop(form.elements.files, 'Anyway.wav', 5);
         form.requestSubmit();
         const button = name => [...document.querySelectorAll('#uploads button')].find(it => it.textContent === name);
         await until(() => button('Publish anyway'));
         return document.getElementById('uploads').textContent;",
    );
    let refused = refused.as_str().expect("it is text");
    assert!(refused.contains("directories would refuse it") && refused.contains("no category (Apple)"), "{refused}");
    keep_pictures(&browser, "dashboard");
    check_access(&browser, "the dashboard");
    with_tools(
        &browser,
        "[...document.querySelectorAll('#uploads button')].find(it => it.textContent === 'Publish anyway').click();
         await until(() => article('Anyway')?.querySelector('.stands').textContent.includes('copies out'));
         press('Anyway', 'Take back');
         document.querySelector('#farewell button[value=yes]').click();
         await until(() => !article('Anyway'));",
    );
    with_tools(&browser, "press('Next Year', 'Edit'); await until(() => document.getElementById('editor').open);");
    check_access(&browser, "the dashboard's editor");
    with_tools(&browser, "document.querySelector('#editor button:not([value=save])').click();");

    let edited = with_tools(
        &browser,
        "press('Next Year', 'Edit');
         const editor = document.querySelector('#editor form');
         editor.elements.title.value = 'Sooner <b>Now</b>';
         editor.querySelector('button[value=save]').click();
         await until(() => article('Sooner <b>Now</b>'));
         press('Sooner <b>Now</b>', 'Release now');
         await until(() => article('Sooner <b>Now</b>').querySelector('.stands').textContent.includes('copies out'));
         press('From the Browser', 'Take back');
         document.querySelector('#farewell button[value=yes]').click();
         await until(() => !article('From the Browser'));
         return document.querySelectorAll('article').length;",
    );
    assert_eq!(edited, 2, "the sample and the one that is released");

    let out = with_tools(
        &browser,
        "document.getElementById('leave').click();
         const door = document.getElementById('door');
         const wasShut = !door.hidden && document.getElementById('desk').hidden;
         door.elements.token.value = 'wrong';
         door.requestSubmit();
         await until(() => !document.getElementById('trouble').hidden);
         return wasShut + ' ' + document.getElementById('trouble').textContent;",
    );
    assert_eq!(out, "true the token is missing or wrong.");
    check_access(&browser, "the dashboard's door");
}

#[test]
fn an_owner_lets_subscribers_in_and_shuts_them_out_on_the_dashboard() {
    let (folder, mut net) = (scratch(), Net::new());
    let home = net.host("publisher");
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
    let mut command = publisher.command("init");
    command.args(["--private", "--title", "Among Friends"]);
    assert_eq!(Program::start("podpub init", command).end(PATIENCE).code, Some(0));
    publisher.publish(&sample());
    let dashboard = format!("http://127.0.0.1:{}/dashboard#", publisher.http_port);
    let [editor, owner] = ["editor", "owner"].map(|role| token(&publisher, role));

    let browser = Browser::start(&home, folder.path());
    browser.open(&format!("{dashboard}{editor}"));
    let seen = with_tools(
        &browser,
        "const known = await until(() => article('Who is let in'));
         return known.innerText + known.querySelectorAll('form, button').length + !!article('Hello, Swarm').querySelector('a');",
    );
    assert!(seen.as_str().is_some_and(|text| text.contains("an owner lets in") && text.ends_with("0false")), "{seen}");

    browser.open("about:blank");
    browser.open(&format!("{dashboard}{owner}"));
    let let_in = "
        const name = await until(() => article('Who is let in')?.querySelector('input'));
        name.value = 'Ann & <b>Bo</b>/1';
        name.form.requestSubmit();
    ";
    let made = with_tools(
        &browser,
        &format!(
            "{let_in}
             await until(() => $('address').open);
             $('copy').click();
             await until(() => $('copied').textContent);
             const feed = $('address').querySelector('[name=feed]');
             return {{ feed: feed.value, page: $('private').href, drawn: $('code').querySelector('path').getBBox().width,
                 selected: feed.selectionEnd - feed.selectionStart === feed.value.length }};"
        ),
    );
    let text = |key: &str| made[key].as_str().unwrap_or_else(|| panic!("{made}")).to_owned();
    let (feed, page) = (text("feed"), text("page"));
    assert!(made["selected"] == true && made["drawn"].as_f64() >= Some(21.0), "{made}");
    assert!(page.starts_with(&format!("http://127.0.0.1:{}/private/", publisher.http_port)), "{page}");
    for url in [&feed, &page] {
        assert_eq!(http::get(&home, url, &[]).status, 200, "{url}");
    }
    keep_pictures(&browser, "dashboard-address");
    check_access(&browser, "the address of a subscriber");

    // It is gone when it was seen; nobody is let in twice under one name.
    let again = with_tools(
        &browser,
        &format!(
            "document.querySelector('#address button[value]').click();
             await until(() => article('Who is let in').querySelector('li strong')?.textContent === 'Ann & <b>Bo</b>/1');
             const left = document.documentElement.outerHTML.includes('/private/') || $('address').querySelector('input').value !== '';
             {let_in}
             await until(() => !$('trouble').hidden);
             return left + ' ' + $('trouble').textContent;"
        ),
    );
    assert!(again.as_str().is_some_and(|text| text.starts_with("false `among-friends` has a subscriber")), "{again}");
    keep_pictures(&browser, "dashboard-private");
    check_access(&browser, "the dashboard with a private show");

    let revoked = with_tools(
        &browser,
        "article('Who is let in').querySelector('li button').click();
         await until(() => $('revocation').open);
         const question = $('revoked').textContent;
         document.querySelector('#revocation button[value=yes]').click();
         await until(() => !article('Who is let in').querySelector('li'));
         return question;",
    );
    assert_eq!(revoked, "Revoke Ann & <b>Bo</b>/1?");
    assert_eq!(http::get(&home, &feed, &[]).status, 404);
}
