//! Podcast apps are kept in step: what `AntennaPod` asks, as it asks it, and who is not let in.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Agent, Host, bytes, done, folder, json_lines, output};

/// A phone with an app that is kept in step.
struct Phone {
    addr: String,
    /// The lines of its requests that let it in.
    shown: String,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    #[track_caller]
    fn json(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        serde_json::from_str(&self.body).expect("it is JSON")
    }
}

impl Phone {
    /// Opens the listener for apps; gives a phone that has logged in.
    async fn log_in(dir: &std::path::Path) -> (Self, String) {
        let said = done(&output(dir, &["--json", "phone", "--listen", "127.0.0.1:0", "--sync"]).await);
        let view = json_lines(&said).remove(0);
        let text = |name: &str| view["sync"][name].as_str().expect("it tells how").to_owned();
        let addr = text("server").strip_prefix("http://").expect("it is over HTTP").to_owned();
        let password = text("password");
        let mut phone = Self { addr, shown: basic(&text("user"), &password) };
        let entered = phone.ask("POST", "/api/2/auth/podsub/login.json", "").await;
        assert_eq!(entered.status, 200, "{}", entered.body);
        let cookie = entered.head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).expect("a session");
        phone.shown = format!("Cookie: {}\r\n", cookie.split(';').next().expect("a pair"));
        (phone, password)
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.addr).await.expect("it listens");
        let (addr, shown, length) = (&self.addr, &self.shown, body.len());
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {addr}\r\n{shown}Content-Length: {length}\r\n");
        stream.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers with text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    async fn get(&self, path: &str) -> Value {
        self.ask("GET", path, "").await.json()
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        self.ask("POST", path, &body.to_string()).await.json()
    }
}

/// The line of a request that shows a password; the name's and the password's bytes are of ASCII.
fn basic(user: &str, password: &str) -> String {
    let text = format!("{user}:{password}");
    format!("Authorization: Basic {}\r\n", data_encoding::BASE64.encode(text.as_bytes()))
}

async fn info(dir: &std::path::Path, episode: &str) -> Value {
    json_lines(&done(&output(dir, &["--json", "info", episode]).await)).remove(0)
}

const LIST: &str = "/api/2/subscriptions/podsub/phone.json";
const PLAYED: &str = "/api/2/episodes/podsub.json";

#[tokio::test]
async fn an_app_is_told_what_is_followed_and_tells_how_far_it_was_heard() {
    let (host, dir) = (Host::start().await, folder());
    host.put("one.mp3", bytes(50_000, 1));
    host.release("g1", "One", "/media/one.mp3");
    let (feed, media) = (host.url("/feed.xml"), host.url("/media/one.mp3"));
    let mut agent = Agent::start(dir.path(), &[&feed, "--web", "0"]);
    agent.wait_for("complete").await;
    let (phone, password) = Phone::log_in(dir.path()).await;

    phone.ask("POST", "/api/2/devices/podsub/phone.json", r#"{"caption":"In my pocket","type":"mobile"}"#).await;
    let devices = phone.get("/api/2/devices/podsub.json").await;
    let known = (&devices[0]["id"], &devices[0]["caption"], &devices[0]["type"], &devices[0]["subscriptions"]);
    assert_eq!(known, (&"phone".into(), &"In my pocket".into(), &"mobile".into(), &1.into()), "{devices}");
    let list = phone.get(&format!("{LIST}?since=0")).await;
    assert_eq!((&list["add"], &list["remove"]), (&json!([feed]), &json!([])), "{list}");
    let nothing = phone.get(&format!("{LIST}?since={}", list["timestamp"])).await;
    assert_eq!((&nothing["add"], &nothing["remove"]), (&json!([]), &json!([])), "{nothing}");
    for (format, part) in [("json", feed.as_str()), ("txt", &feed), ("opml", "title=\"Night Walks\"")] {
        let list = phone.ask("GET", &format!("/subscriptions/podsub/phone.{format}"), "").await;
        assert!(list.status == 200 && list.body.contains(part), "{}", list.body);
    }

    // What the app plays is known here, by the address of the file or by that in our own feed.
    let said = json!([{ "podcast": feed, "episode": media, "action": "play", "device": "phone",
        "timestamp": "2020-11-20T06:10:00", "started": 0, "position": 125, "total": 600 }]);
    let told = phone.post(PLAYED, &said).await;
    assert_eq!(told["update_urls"], json!([]));
    let episode = info(dir.path(), "1/1").await;
    let heard = &episode["heard"];
    assert_eq!((&heard["position"], &heard["device"], &heard["ended"]), (&125.into(), &"phone".into(), &Value::Null));
    let shown = done(&output(dir.path(), &["info", "1/1"]).await);
    assert!(shown.contains("to 2 min 05 s of 10 min 00 s") && shown.contains("on phone"), "{shown}");
    let since = format!("{PLAYED}?since={}", told["timestamp"]);
    assert_eq!(phone.get(&since).await["actions"], json!([]), "that was told already");
    let all = phone.get(&format!("{PLAYED}?since=0&aggregated=true")).await;
    let ours = all["actions"][0]["episode"].as_str().expect("an address").to_owned();
    assert!(ours.contains("/media/1/1/") && all["actions"][1]["guid"] == "g1", "{all}");
    let end = json!([{ "podcast": "x", "episode": ours, "action": "PLAY", "timestamp": "2020-11-20T06:20:00Z",
        "position": 598, "total": 600 }, { "podcast": feed, "episode": media, "action": "download" }]);
    phone.post(PLAYED, &end).await;
    assert_eq!(info(dir.path(), "1/1").await["heard"]["ended"], "2020-11-20T06:20:00Z");

    // And the other way: what the page or a player here tells is in the next answer; the password outlives the agent.
    let token = std::fs::read_to_string(dir.path().join("data/page-token")).expect("the agent has one");
    let now = phone.get(&since).await["timestamp"].clone();
    assert_eq!(agent.stop().await, 0);
    let mut agent = Agent::start(dir.path(), &["--web", "0"]);
    let mut ports = std::collections::BTreeMap::new();
    while !["web", "phone"].iter().all(|kind| ports.contains_key(*kind)) {
        let listening = agent.wait_for("listening").await;
        let text = |name: &str| listening[name].as_str().expect("it is text").to_owned();
        ports.insert(text("kind"), text("addr"));
    }
    let page = Phone {
        addr: ports["web"].clone(),
        shown: format!("Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"),
    };
    page.post("/api/v1/ask", &json!({ "ask": "heard", "episode": "1/1", "position": 42, "total": 600 })).await;
    assert_eq!(phone.ask("GET", PLAYED, "").await.status, 401, "sessions end with the agent");
    let again = Phone { addr: phone.addr.clone(), shown: basic("podsub", &password) };
    let told = again.get(&format!("{PLAYED}?since={now}")).await;
    let newest = &told["actions"][1];
    assert_eq!((&newest["position"], &newest["device"], &newest["total"]), (&42.into(), &"podsub".into(), &600.into()));
    assert_eq!(agent.stop().await, 0);
}

#[tokio::test]
async fn what_an_app_follows_and_leaves_is_followed_and_left_and_files_stay() {
    let (host, dir) = (Host::start().await, folder());
    host.put("one.mp3", bytes(50_000, 1));
    host.release("g1", "One", "/media/one.mp3");
    let feed = host.url("/feed.xml");
    let mut agent = Agent::start(dir.path(), &[&feed, "--web", "0"]);
    let complete = agent.wait_for("complete").await;
    let (phone, _) = Phone::log_in(dir.path()).await;
    let own = done(&output(dir.path(), &["--json", "phone"]).await);
    let own = json_lines(&own).remove(0)["url"].as_str().expect("it is open").to_owned();

    // What is followed is named as it stands here; our own feed, private networks and nonsense are not followed.
    let other = feed.replace("http:", "HTTP:") + "#top";
    let refused =
        ["http://127.0.0.1:1/x", "http://192.168.1.1/admin", "http://router/", "file:///etc/passwd", "x y", &own];
    let add: Vec<&str> = refused.iter().copied().chain([other.as_str()]).collect();
    let changed = phone.post(LIST, &json!({ "add": add, "remove": [] })).await;
    let rewritten = changed["update_urls"].as_array().expect("a list");
    assert!(rewritten.contains(&json!([other, feed])), "{changed}");
    assert_eq!(rewritten.iter().filter(|pair| pair[1] == "").count(), refused.len(), "{changed}");
    let feeds = json_lines(&done(&output(dir.path(), &["--json", "feeds"]).await));
    assert_eq!(feeds.len(), 1, "{feeds:?}");

    // A new device that hands in its empty list takes nothing away; one that knew of the feed does.
    assert_eq!(phone.ask("PUT", "/subscriptions/podsub/tablet.json", "[]").await.status, 200);
    let list = phone.get(&format!("{LIST}?since=0")).await;
    assert_eq!(list["add"], json!([feed]));
    let since = format!("{LIST}?since={}", list["timestamp"]);
    assert_eq!(phone.ask("PUT", "/subscriptions/podsub/phone.txt", "").await.status, 200);
    let gone = phone.get(&since).await;
    assert_eq!((&gone["add"], &gone["remove"]), (&json!([]), &json!([feed])), "{gone}");
    let feeds = done(&output(dir.path(), &["feeds"]).await);
    assert!(feeds.contains("no feeds are followed"), "{feeds}");
    let path = complete["path"].as_str().expect("it is text");
    assert_eq!(std::fs::read(path).expect("it is kept"), bytes(50_000, 1));
    done(&output(dir.path(), &["add", &feed]).await);
    let back = phone.get(&since).await;
    assert_eq!((&back["add"], &back["remove"]), (&json!([feed]), &json!([])), "{back}");
    let left = phone.post(LIST, &json!({ "remove": [feed] })).await;
    assert!(left["timestamp"].as_u64() > back["timestamp"].as_u64(), "{left}");
    assert_eq!(agent.stop().await, 0);
}

#[tokio::test]
async fn nobody_is_kept_in_step_without_the_password_nor_with_what_is_no_answer() {
    let dir = folder();
    let mut agent = Agent::start(dir.path(), &["--web", "0"]);
    agent.wait_for("listening").await;
    let view = done(&output(dir.path(), &["--json", "phone", "--listen", "127.0.0.1:0"]).await);
    let view = json_lines(&view).remove(0);
    let addr = view["addr"].as_str().expect("it is open").to_owned();
    let nobody = Phone { addr, shown: String::new() };
    assert_eq!(nobody.ask("GET", LIST, "").await.status, 403, "it is off until it is wanted");
    let (phone, password) = Phone::log_in(dir.path()).await;
    let kept = std::fs::read_to_string(dir.path().join("data/phone-sync")).expect("it is kept");
    assert!(!kept.contains(&password), "only a hash is kept");

    let nobody = Phone { addr: phone.addr.clone(), shown: String::new() };
    let asked = nobody.ask("GET", LIST, "").await;
    assert!(asked.status == 401 && asked.head.contains("www-authenticate: Basic"), "{}", asked.head);
    let led = Phone { addr: phone.addr.clone(), shown: format!("Origin: http://{}\r\n{}", phone.addr, phone.shown) };
    assert_eq!(led.ask("GET", LIST, "").await.status, 403, "no page asks");
    for (method, path, body, status) in [
        ("GET", "/api/2/subscriptions/another/phone.json", "", 401),
        ("GET", "/api/2/subscriptions/podsub/a%20b.json", "", 400),
        ("GET", "/api/2/subscriptions/podsub/phone.json?since=x", "", 400),
        ("GET", "/subscriptions/podsub/phone.exe", "", 400),
        ("POST", LIST, "[", 400),
        ("POST", LIST, r#"{"add":[1]}"#, 400),
        ("POST", LIST, r#"{"add":["http://a.example/"],"remove":["http://a.example/"]}"#, 400),
        ("POST", PLAYED, r#"{"a":1}"#, 400),
        ("POST", PLAYED, r#"[{"podcast":1}]"#, 400),
        ("POST", PLAYED, &"[".repeat(100_000), 400),
        ("POST", PLAYED, &" ".repeat((2 << 20) + 1), 413),
        ("POST", "/api/2/devices/podsub/phone.json", r#"{"type":"toaster"}"#, 400),
        ("PUT", "/subscriptions/podsub/phone.opml", "<x", 400),
        ("DELETE", LIST, "", 405),
        ("GET", "/api/2/settings/podsub/account.json", "", 404),
    ] {
        let answer = phone.ask(method, path, body).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
    }
    // What is of no feed that is followed is taken, and means nothing.
    let stray = json!([{ "podcast": "http://a.example/f", "episode": "http://a.example/1.mp3", "action": "play", "position": -1 }]);
    phone.post(PLAYED, &stray).await;
    assert_eq!(phone.get(PLAYED).await["actions"], json!([]));

    // Who guesses waits; the session that is there goes on, and a new password shuts the old one out.
    let mut statuses = Vec::new();
    for guess in 0..6 {
        let guess = Phone { addr: phone.addr.clone(), shown: basic("podsub", &guess.to_string()) };
        statuses.push(guess.ask("GET", LIST, "").await.status);
    }
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429]);
    assert_eq!(phone.ask("GET", LIST, "").await.status, 200);
    assert_eq!(phone.ask("POST", "/api/2/auth/podsub/logout.json", "").await.status, 200);
    assert_eq!(phone.ask("GET", LIST, "").await.status, 401);
    let (renewed, _) = Phone::log_in(dir.path()).await;
    let old = Phone { addr: renewed.addr.clone(), shown: basic("podsub", &password) };
    assert_eq!(old.ask("GET", LIST, "").await.status, 401);
    let off = done(&output(dir.path(), &["--json", "phone", "--no-sync"]).await);
    assert!(json_lines(&off).remove(0)["sync"].is_null(), "{off}");
    let addr = json_lines(&off).remove(0)["addr"].as_str().expect("the feed stays open").to_owned();
    assert_eq!(Phone { addr, shown: String::new() }.ask("GET", LIST, "").await.status, 403);
    assert_eq!(agent.stop().await, 0);
}
