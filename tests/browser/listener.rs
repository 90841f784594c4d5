//! The listener's view of the agent: what people without a command line see and do.

use std::path::Path;
use std::time::Instant;

use podswarm_tests::audio::{Format, long_episode, sample};
use podswarm_tests::browser::Browser;
use podswarm_tests::files::scratch;
use podswarm_tests::http;
use podswarm_tests::net::{Host, Net};
use podswarm_tests::process::{PATIENCE, Program};
use podswarm_tests::programs::{Publisher, await_status, podsub_on};
use serde_json::json;

use super::access::check_access;
use super::{keep_pictures, with_tools};

/// `podsub` on the listener's machine, with its data directory.
fn podsub(listener: &Host, data: &Path, arguments: &[&str]) -> Program {
    let mut command = podsub_on(listener, &[]);
    command.args(["--json", "--data-dir"]).arg(data).args(arguments);
    Program::start(&format!("podsub {}", arguments.join(" ")), command)
}

/// The address that lets the agent's owner in.
#[track_caller]
fn address(host: &Host, data: &Path) -> String {
    let said = podsub(host, data, &["web", "--url"]).end(PATIENCE);
    said.lines.first().expect("it tells the address").json()["url"].as_str().expect("a URL").to_owned()
}

#[test]
fn a_listener_follows_listens_and_watches_in_a_browser() {
    let (folder, mut net) = (scratch(), Net::new());
    let (home, listener) = (net.host("publisher"), net.host("listener"));
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
    let long = long_episode(Format::Mp3);
    publisher.publish(&sample());
    let feed = publisher.publish(&long.path).feed;
    let data = folder.path().join("podsub");
    let mut agent = podsub(&listener, &data, &["run", "--down", "200KiB/s"]);
    let (_, at) = agent.wait_for("the web listener", PATIENCE, |line| {
        let event = line.json();
        (event["kind"] == "web").then(|| event["addr"].as_str().expect("an address").to_owned())
    });
    let url = address(&listener, &data);
    assert!(url.starts_with(&format!("http://{at}/#ticket=")), "{url}");

    let browser = Browser::start(&listener, folder.path());
    browser.open(&format!("http://{at}/"));
    let shut =
        with_tools(&browser, "return await until(() => !$('door').hidden) && $('view').hidden + $('door').innerText;");
    assert!(shut.as_str().is_some_and(|text| text.starts_with("true") && text.contains("podsub web")), "{shut}");
    keep_pictures(&browser, "listener-door");
    check_access(&browser, "the door");

    // The ticket lets this browser in, and nobody else after it.
    browser.open("about:blank");
    browser.open(&url);
    let entered = with_tools(&browser, "await until(() => !$('view').hidden); return location.href;");
    assert_eq!(entered, format!("http://{at}/"));
    let ticket = url.rsplit('=').next().expect("it ends with the ticket");
    let again = http::post(&listener, &format!("http://{at}/api/v1/enter"), &json!({ "ticket": ticket }));
    assert_eq!(again.status, 403, "{}", again.text());
    let stranger = http::post(&listener, &format!("http://{at}/api/v1/ask"), &json!({ "ask": "status" }));
    assert_eq!(stranger.status, 401);
    let rebound = http::get(&listener, &format!("http://{at}/"), &[("host", "attacker.example:6970")]);
    assert_eq!(rebound.status, 403);
    let page = http::get(&listener, &format!("http://{at}/"), &[]);
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    assert_eq!(page.header("access-control-allow-origin"), "");

    let cover = folder.path().join("cover.png");
    std::fs::write(&cover, browser.picture_of(1400, 1400, 1.0, "png")).expect("the disk has room");
    let mut edit = publisher.command("edit");
    edit.arg("--show").arg(feed.rsplit('/').nth(1).expect("the show's name")).arg("--image").arg(&cover);
    let edited = Program::start("podpub edit", edit).end(PATIENCE);
    assert_eq!(edited.code, Some(0), "{}", edited.stderr);

    // A feed is followed by its address; what is none is said to be none.
    let followed = with_tools(
        &browser,
        &format!(
            "location.hash = '#podcasts';
             const follow = await until(() => document.querySelector('form.box'));
             follow.elements.url.value = '{feed}x';
             follow.requestSubmit();
             const trouble = await until(() => $('trouble').textContent);
             follow.elements.url.value = '{feed}';
             follow.requestSubmit();
             await until(() => document.querySelector('[data-feed]'));
             await until(() => $('word').textContent.startsWith('Following'));
             await until(() => document.querySelector('[data-feed] img')?.naturalWidth === 1400);
             return trouble + ' | ' + $('word').textContent;"
        ),
    );
    let followed = followed.as_str().expect("text");
    assert!(followed.contains("cannot be followed") && followed.contains("| Following"), "{followed}");
    keep_pictures(&browser, "listener-podcasts");
    check_access(&browser, "the podcasts");

    // The older episode is fetched by a press, and listened to while the other one comes in.
    let fetched = with_tools(
        &browser,
        "document.querySelector('[data-feed] a').click();
         const old = await until(() => document.querySelectorAll('article[data-id]')[1]);
         [...old.querySelectorAll('button')].find(it => it.textContent === 'Fetch').click();
         await until(() => document.querySelectorAll('article[data-id]')[1].querySelector('.stands').textContent.startsWith('kept'));
         return document.querySelectorAll('article[data-id]')[1].querySelector('h3').textContent;",
    );
    assert_eq!(fetched, "Hello, Swarm");
    keep_pictures(&browser, "listener-feed");
    check_access(&browser, "a podcast");
    let heard = with_tools(
        &browser,
        &format!(
            "location.hash = '#listen';
             const coming = await until(() => article('{}'));
             [...coming.querySelectorAll('button')].find(it => it.textContent === 'Play').click();
             const audio = await until(() => document.querySelector('audio'));
             await until(() => audio.currentTime > 7);
             audio.pause();
             const place = await until(() => article('{}').innerText.includes('heard to 0:0'));
             return {{ token: audio.src.includes('token='), place, title: $('played').textContent }};",
            long.title, long.title
        ),
    );
    assert!(heard["token"] == true && heard["place"] == true && heard["title"] == long.title.as_str(), "{heard}");
    // Another browser goes on where this one stopped: the agent knows.
    let known = podsub(&listener, &data, &["info", "1/2"]).end(PATIENCE);
    let known = known.lines.first().expect("an answer").json();
    assert!(known["heard"]["position"].as_u64().is_some_and(|seconds| seconds > 5), "{known}");
    let again = with_tools(
        &browser,
        &format!(
            "$('shut').click();
             (await until(() => [...article('{}').querySelectorAll('button')].find(it => it.textContent === 'Play'))).click();
             const audio = await until(() => document.querySelector('audio'));
             await until(() => audio.currentTime > 5);
             return audio.currentTime;",
            long.title
        ),
    );
    assert!(again.as_f64().is_some_and(|seconds| seconds > 5.0), "{again}");
    // Its chapters are told by what the agent keeps, and lead to their places.
    let chapters = with_tools(
        &browser,
        "$('shut').click();
         (await until(() => [...article('Hello, Swarm').querySelectorAll('button')].find(it => it.textContent === 'Play'))).click();
         const parts = await until(() => (all => all.length && all)([...document.querySelectorAll('#chapters button')]));
         document.querySelector('#chapters summary').click();
         parts[2].click();
         await until(() => parts[2].hasAttribute('aria-current') && document.querySelector('audio').currentTime > 1);
         document.querySelector('audio').pause();
         const cover = await until(() => $('cover').querySelector('img'));
         return [...parts.map(it => it.textContent.replace(/^[0-9:]+ /, '')), $('chapter').textContent, cover.alt].join(', ');",
    );
    assert!(
        chapters.as_str().is_some_and(|it| it.starts_with("Hello, The middle, Goodbye, Goodbye, Cover of ")),
        "{chapters}"
    );
    keep_pictures(&browser, "listener-listen");
    check_access(&browser, "the episodes and the player");

    // The swarm of a download, live; other limits.
    let swarm = with_tools(
        &browser,
        "location.hash = '#transfers';
         const details = await until(() => document.querySelector('#view details'));
         details.querySelector('summary').click();
         const row = await until(() => [...details.querySelectorAll('tbody tr')].find(it => it.innerText.includes('Podswarm')));
         const limits = document.querySelector('form[class=row]');
         limits.elements.up.value = '1.5 MiB/s';
         limits.requestSubmit();
         await until(() => $('word').textContent === 'The limits hold.');
         return details.innerText;",
    );
    assert!(swarm.as_str().is_some_and(|text| text.contains("of the pieces are here")), "{swarm}");
    let status = await_status(&listener, &data, |it| it["limits"]["now"]["up"] == 1_572_864);
    assert_eq!(status["limits"]["now"]["down"], 204_800, "the other limit is left");
    keep_pictures(&browser, "listener-transfers");
    check_access(&browser, "the transfers");

    // The agent ends: the page says so, and goes on with the next one.
    assert_eq!(agent.stop(PATIENCE).code, Some(0));
    let told = with_tools(&browser, "return await until(() => !$('trouble').hidden && $('trouble').textContent);");
    assert!(told.as_str().is_some_and(|text| text.contains("The agent does not answer.")), "{told}");
    keep_pictures(&browser, "listener-silence");
    let _agent = podsub(&listener, &data, &["run", "--web", &at]);
    assert_eq!(with_tools(&browser, "return await until(() => $('trouble').hidden && !$('speeds').hidden);"), true);
}

#[test]
fn the_rules_of_a_feed_are_said_by_a_form() {
    let (folder, mut net) = (scratch(), Net::new());
    let (home, listener) = (net.host("publisher"), net.host("listener"));
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
    let feed = publisher.publish(&sample()).feed;
    let data = folder.path().join("podsub");
    let mut agent = podsub(&listener, &data, &["run", &feed, "--keep-for", "60d"]);
    agent.wait_for("the episode", PATIENCE, |line| (line.json()["event"] == "complete").then_some(()));
    let url = address(&listener, &data);
    let rules = || {
        let info = podsub(&listener, &data, &["info", "1"]).end(PATIENCE).lines.pop().expect("an answer").json();
        (info["rules"].clone(), info["schedule"].clone())
    };

    let browser = Browser::start(&listener, folder.path());
    browser.open(&url);
    let shown = with_tools(
        &browser,
        "await until(() => !$('view').hidden);
         location.hash = '#feed/1';
         await until(() => $('hub')?.textContent.endsWith(': its events tell of them.'));
         const rules = await until(() => document.querySelector('details.rules'));
         await until(() => rules.querySelector('summary').textContent.includes('as for all feeds'));
         rules.querySelector('summary').click();
         const { keep_for, http_only } = rules.querySelector('form').elements;
         return [keep_for.value, keep_for.placeholder, http_only.value, http_only.options[0].textContent].join('|');",
    );
    assert_eq!(shown, "|60d||default: no", "what holds for all feeds is shown, and not taken for the feed's own");

    // What cannot be is refused in the agent's words, and what was typed stays.
    let refused = with_tools(
        &browser,
        "const rules = document.querySelector('.rules form');
         rules.elements.keep.value = 'some';
         rules.requestSubmit();
         const fault = await until(() => (it => !it.hidden && it.textContent)(rules.querySelector('[role=alert]')));
         rules.scrollIntoView({ block: 'end' });
         return `${fault} ${rules.elements.keep.value}`;",
    );
    let want = "`some` is no number of episodes to keep; want one from 1 on, such as `5`, or `all`. some";
    assert_eq!(refused, want);
    assert_eq!(rules().0, json!({}));
    keep_pictures(&browser, "listener-rules");
    check_access(&browser, "the rules of a podcast");

    let saved = with_tools(
        &browser,
        "const { elements } = document.querySelector('.rules form');
         elements.take.value = 'interview\\nlength>20m and size<500MB\\n';
         elements.skip.value = '/trailer/';
         elements.keep.value = '5';
         elements.keep_for.value = '2w';
         elements.quality.value = 'audio,smallest';
         elements.http_only.value = 'yes';
         elements.schedule.value = '*/15 * * * *';
         document.querySelector('.rules form').requestSubmit();
         await until(() => $('word').textContent === 'The rules hold.');
         await until(() => elements.keep_for.value === '14d');
         return document.querySelector('.rules summary').textContent;",
    );
    assert_eq!(saved, "Rules 7 of its own");
    let own = json!({
        "take": { "any": ["interview", "length>20m and size<500MB"] }, "skip": ["/trailer/"], "keep": { "newest": 5 },
        "keep_for": "14d", "quality": "audio,smallest", "http_only": "yes",
    });
    assert_eq!(rules(), (own, json!("*/15 * * * *")));
    await_status(&listener, &data, |it| it["seeding"]["torrents"] == 0);

    // By the keyboard, too: each field has what brings its default back.
    let reset = with_tools(
        &browser,
        "const rules = document.querySelector('.rules form');
         $('word').textContent = '';
         for (const name of ['take', 'skip', 'keep', 'keep_for', 'quality', 'schedule']) {
             const button = rules.elements[name].nextElementSibling;
             button.focus();
             button.click();
         }
         const isAtField = document.activeElement === rules.elements.schedule;
         rules.requestSubmit();
         await until(() => $('word').textContent === 'The rules hold.');
         await until(() => document.querySelector('.rules summary').textContent === 'Rules 1 of its own');
         return isAtField;",
    );
    assert_eq!(reset, true, "the field is where one goes on");
    assert_eq!(rules(), (json!({ "http_only": "yes" }), json!(null)));
    keep_pictures(&browser, "listener-rules-own");
}

#[test]
fn a_listener_is_asked_once_whether_he_takes_part_in_swarms() {
    let (folder, mut net) = (scratch(), Net::new());
    let (home, listener) = (net.host("publisher"), net.host("listener"));
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
    let feed = publisher.publish(&sample()).feed;
    let data = folder.path().join("podsub");
    let mut agent = podsub(&listener, &data, &["run", &feed]);
    let (_, peers) = agent.wait_for("the port for peers", PATIENCE, |line| {
        let event = line.json();
        let port = || event["addr"].as_str().expect("an address").rsplit(':').next().expect("a port").to_owned();
        (event["kind"] == "peer").then(port)
    });
    agent.wait_for("the episode", PATIENCE, |line| (line.json()["event"] == "complete").then_some(()));
    await_status(&listener, &data, |it| it["seeding"]["torrents"] == 1 && it["swarms"]["decided_by"] == "nobody");
    let enter = |browser: &Browser| {
        browser.open("about:blank");
        browser.open(&address(&listener, &data));
    };
    let is_open = || {
        let mut dial = listener.command("bash");
        dial.args(["-c", &format!("exec 3<>/dev/tcp/127.0.0.1/{peers}")]);
        Program::start("a dial of the port for peers", dial).end(PATIENCE).code == Some(0)
    };
    assert!(is_open());

    let browser = Browser::start(&listener, folder.path());
    enter(&browser);
    let asked = with_tools(
        &browser,
        "await until(() => !$('view').hidden && !$('consent').hidden && article('Hello, Swarm'));
         return $('question').textContent;",
    );
    let sentence = "Others in a swarm see this machine's address, what it fetches and what it seeds.";
    assert!(asked.as_str().is_some_and(|text| text.contains(sentence)), "{asked}");
    keep_pictures(&browser, "listener-consent");
    check_access(&browser, "the question whether swarms are taken part in");
    let answered = with_tools(
        &browser,
        "$('plain').click();
         await until(() => $('word').textContent.startsWith('Everything comes from web servers alone'));
         await until(() => $('consent').hidden);
         location.hash = '#transfers';
         return await until(() => (it => it.includes('Swarms:') && it)($('view').innerText));",
    );
    assert!(
        answered.as_str().is_some_and(|text| text.contains("none is taken part in, as you answered")),
        "{answered}"
    );
    // It holds at once: what was seeded is in no swarm, and nobody gets in.
    let status = await_status(&listener, &data, |it| it["seeding"]["torrents"] == 0 && it["reached"].is_null());
    assert_eq!((&status["swarms"]["takes_part"], &status["swarms"]["decided_by"]), (&json!(false), &json!("answer")));
    let end = Instant::now() + PATIENCE;
    while is_open() {
        assert!(Instant::now() < end, "the port for peers is open yet");
    }
    let info = podsub(&listener, &data, &["info", "1"]).end(PATIENCE).lines.pop().expect("an answer").json();
    assert_eq!(info["swarms"]["takes_part"], false);

    // It is kept, and he is not asked again.
    assert_eq!(agent.stop(PATIENCE).code, Some(0));
    let mut agent = podsub(&listener, &data, &["run"]);
    agent.wait_for("the web listener", PATIENCE, |line| (line.json()["kind"] == "web").then_some(()));
    enter(&browser);
    let shown = with_tools(&browser, "await until(() => !$('view').hidden); return $('consent').hidden;");
    assert_eq!(shown, true);
    assert!(!is_open());
    assert_eq!(agent.stop(PATIENCE).code, Some(0));
}
