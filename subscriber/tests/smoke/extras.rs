//! Covers and chapters are kept, and whoever listens in the house has them when nobody outside answers.

use serde_json::{Value, json};

use super::phone::{ask, get, parts, phone};
use super::tags::{PIXEL, names, show};
use super::{Agent, Host, bytes, done, folder, output};

const CHAPTERS: &str =
    r#"{"version":"1.2.0","chapters":[{"startTime":0,"title":"<b>Opening</b>"},{"startTime":12.5}]}"#;

/// Releases an episode that says this, too.
fn release(host: &Host, day: u32, guid: &str, said: &str) {
    let url = host.url(&format!("/media/{guid}.mp3"));
    host.put(&format!("{guid}.mp3"), bytes(5000, 1));
    let item = format!(
        "<item><guid>{guid}</guid><title>{guid}</title><pubDate>{day} Nov 2026 06:00:00 GMT</pubDate>\
         <enclosure url=\"{url}\" length=\"0\" type=\"audio/mpeg\"/>{said}</item>"
    );
    host.state.inner().items.push_str(&item);
}

/// What the agent answers to a question of a page's.
pub(super) async fn question(dir: &std::path::Path, body: &Value) -> Value {
    let control = std::fs::read_to_string(dir.join("data/control.json")).expect("an agent runs");
    let control: Value = serde_json::from_str(&control).expect("it is JSON");
    let [addr, token] = ["addr", "token"].map(|name| control[name].as_str().expect("it is text"));
    let body = body.to_string();
    let lines = format!(
        "POST /api/v1/ask HTTP/1.1\r\nHost: {addr}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}",
        body.len()
    );
    let answer = ask(addr, &lines, &body).await;
    let (_, json) = answer.split_once("\r\n\r\n").expect("a head and a body");
    serde_json::from_str(json).unwrap_or_else(|_| panic!("{answer}"))
}

/// What the feed at `url` says behind each of `name="`.
async fn said(url: &str, name: &str) -> Vec<String> {
    let (feed, before) = (get(url, "").await, format!("{name}=\""));
    let after = feed.split(&before).skip(1);
    after.map(|rest| rest.split('"').next().expect("it ends").to_owned()).collect()
}

#[tokio::test]
async fn covers_and_chapters_are_had_from_the_box() {
    let (host, dir) = (Host::start().await, folder());
    host.state.inner().head = format!("<itunes:image href=\"{}\"/>", host.url("/media/cover.svg"));
    host.put("cover.svg", PIXEL.to_vec());
    host.put("c.json", CHAPTERS.as_bytes().to_vec());
    host.put("page.json", b"<html>no chapters</html>".to_vec());
    let linked =
        |name: &str| format!("<podcast:chapters url=\"{}\" type=\"x/y\"/>", host.url(&format!("/media/{name}")));
    release(&host, 20, "linked", &linked("c.json"));
    release(&host, 19, "inside", "<psc:chapters><psc:chapter start=\"00:01:00\" title=\"One\"/></psc:chapters>");
    release(&host, 18, "wrong", &linked("page.json"));
    done(&output(dir.path(), &["add", &host.url("/feed.xml"), "--backlog", "all"]).await);
    for _ in 0..2 {
        done(&output(dir.path(), &["run", "--once", "--peer-port", "0"]).await);
    }
    for name in ["cover.svg", "c.json", "page.json"] {
        assert_eq!(host.answers(&format!("/media/{name}")).len(), 1, "{name} is asked for once");
    }

    let mut agent = Agent::start(dir.path(), &["--web", "0"]);
    agent.wait_for("polled").await;
    let url = phone(&done(&output(dir.path(), &["--json", "phone", "--listen", "127.0.0.1:0"]).await));
    let (box_at, _) = parts(&url);
    let covers = said(&url, "<itunes:image href").await;
    let [cover, ..] = &covers[..] else { panic!("no cover") };
    assert_eq!(covers.len(), 3);
    assert!(cover.starts_with(&format!("http://{box_at}/cover/1/")) && cover.contains(".png?token="), "{cover}");
    let picture = get(cover, "").await;
    assert!(picture.starts_with("HTTP/1.1 200") && picture.contains("content-type: image/png"), "{picture}");
    assert!(picture.contains("nosniff") && picture.contains("IHDR"), "{picture}");
    let (bare, _) = cover.split_once('?').expect("the token stands in it");
    assert!(get(bare, "").await.starts_with("HTTP/1.1 403"));
    assert!(get(&cover.replace("/cover/1/", "/cover/7/"), "").await.starts_with("HTTP/1.1 404"));

    let chapters = said(&url, "<podcast:chapters type=\"application/json+chapters\" url").await;
    let [linked, inside, wrong] = &chapters[..] else { panic!("{chapters:?}") };
    assert_eq!(wrong, &host.url("/media/page.json"), "what could not be had is where it was");
    assert!([inside, linked].iter().all(|it| it.starts_with(&format!("http://{box_at}/chapters/1/"))), "{chapters:?}");
    let answer = get(linked, "").await;
    assert!(answer.contains("content-type: application/json+chapters\r\n") && answer.ends_with(CHAPTERS), "{answer}");
    let tag = answer.lines().find_map(|line| line.strip_prefix("etag: ")).expect("it has a tag");
    assert!(get(linked, &format!("\r\nIf-None-Match: {tag}")).await.starts_with("HTTP/1.1 304"));
    let answer = get(inside, "").await;
    assert!(answer.contains("\"startTime\": 60.0") && answer.contains("\"title\": \"One\""), "{answer}");
    let (bare, _) = linked.split_once('?').expect("the token stands in it");
    assert!(get(bare, "").await.starts_with("HTTP/1.1 403"));
    for strange in ["/chapters/1/9.json", "/chapters/1/1.xml", "/chapters/9/1.json", "/cover/x/y.png"] {
        let (_, token) = url.split_once('?').expect("the token stands in it");
        let answer = get(&format!("http://{box_at}{strange}?{token}"), "").await;
        assert!(answer.starts_with("HTTP/1.1 40"), "{strange}: {answer}");
    }

    // The page has them from the machine's own listener.
    let told = question(dir.path(), &json!({ "ask": "chapters", "episode": "linked" })).await;
    let want = json!([{ "start_ms": 0, "title": "<b>Opening</b>", "url": null },
        { "start_ms": 12_500, "title": "Chapter 2", "url": null }]);
    assert_eq!(told["chapters"], want);
    let none = question(dir.path(), &json!({ "ask": "chapters", "episode": "wrong" })).await;
    assert_eq!(none["chapters"], json!([]));
    let covers = question(dir.path(), &json!({ "ask": "covers" })).await;
    let own = covers["covers"]["1"].as_str().expect("it has an address");
    assert!(get(own, "").await.starts_with("HTTP/1.1 200") && !own.contains(box_at), "{own}");
    let feeds = question(dir.path(), &json!({ "ask": "feeds" })).await;
    let name = feeds["feeds"][0]["cover"].as_str().expect("it has a name");
    assert!(own.contains(&format!("/cover/1/{name}?")), "{own} {name}");
    assert_eq!(agent.stop().await, 0);

    // What is no picture is not shown, and what came before is nobody's any more.
    host.state.inner().head = format!("<itunes:image href=\"{}\"/>", host.url("/media/page.json"));
    done(&output(dir.path(), &["run", "--once", "--peer-port", "0"]).await);
    let mut agent = Agent::start(dir.path(), &["--web", "0"]);
    while agent.wait_for("listening").await["kind"] != "phone" {}
    assert!(said(&url, "<itunes:image href").await.is_empty());
    let kept = std::fs::read_dir(dir.path().join("data/extras")).expect("it is there");
    let pictures =
        kept.filter(|file| file.as_ref().is_ok_and(|file| file.path().extension().is_some_and(|it| it == "png")));
    assert_eq!(pictures.count(), 0);
    assert_eq!(agent.stop().await, 0);
}

#[tokio::test]
async fn the_cover_lies_in_the_folder_of_its_show_and_the_owners_stands_for_it() {
    let (host, dir) = (Host::start().await, folder());
    let other: Vec<u8> = PIXEL.iter().map(|byte| if *byte == 0xcf { 0xc0 } else { *byte }).collect();
    host.put("one.png", PIXEL.to_vec());
    host.put("two.png", other.clone());
    release(&host, 20, "a", "");
    let run = async |cover: &str| {
        host.state.inner().head = format!("<itunes:image href=\"{}\"/>", host.url(&format!("/media/{cover}")));
        done(&output(dir.path(), &["run", "--once", "--peer-port", "0"]).await);
        std::fs::read(show(dir.path()).join("folder.png")).ok()
    };
    done(&output(dir.path(), &["add", &host.url("/feed.xml")]).await);
    assert_eq!(run("one.png").await, None, "nobody wants it");
    done(&output(dir.path(), &["edit", "night", "--cover", "yes"]).await);
    assert_eq!(run("one.png").await.as_deref(), Some(PIXEL));
    assert_eq!(names(dir.path()), ["2026-11-20 a.mp3", "folder.png"]);
    assert_eq!(run("two.png").await, Some(other));
    // One that the owner puts there stays, whatever the show's is, and goes only by his hand.
    std::fs::write(show(dir.path()).join("folder.png"), "mine").expect("it can be written");
    assert_eq!(run("one.png").await.as_deref(), Some(&b"mine"[..]));
    std::fs::rename(show(dir.path()).join("folder.png"), show(dir.path()).join("cover.jpg")).expect("it is there");
    assert_eq!(run("two.png").await, None);
    std::fs::remove_file(show(dir.path()).join("cover.jpg")).expect("it is there");
    assert_eq!(run("one.png").await.as_deref(), Some(PIXEL));
    done(&output(dir.path(), &["remove", "night", "--delete-files"]).await);
    assert!(!show(dir.path()).exists());
}
