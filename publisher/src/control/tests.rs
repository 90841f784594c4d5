//! The control port, asked without a socket.

use axum::extract::Request;
use axum::http::Method;
use podswarm_core::app::{DataDir, DataDirLock};
use podswarm_core::net::{EngineConfig, PeerPort};
use tower::ServiceExt as _;

use super::*;
use crate::fixture;
use crate::host::HostConfig;
use crate::http::{Peers, Way};
use crate::library::Library;
use crate::publish::Said;
use crate::shows::ShowFields;

struct Port {
    dir: tempfile::TempDir,
    app: Router,
    token: String,
    host: Arc<Host>,
    _lock: DataDirLock,
}

async fn port() -> Port {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::resolve(Some(&dir.path().join("data")), "podpub").unwrap();
    let lock = DataDirLock::try_acquire(&data).unwrap().unwrap();
    let (library, _) = Library::open(data.path()).unwrap();
    let bind = Some(std::net::Ipv4Addr::LOCALHOST.into());
    let engine = EngineConfig { peer_port: PeerPort::Exactly(0), bind, ..EngineConfig::default() };
    let listen = "127.0.0.1:0".parse().unwrap();
    let config = HostConfig { listen, engine, udp_tracker: true, ..HostConfig::default() };
    let (host, _) = Host::start(library, config).await.unwrap();
    let control = ControlFile::write(&lock, "127.0.0.1:1".parse().unwrap()).unwrap();
    let token = control.token().to_owned();
    Port { dir, app: local(Arc::clone(&host), control), token, host, _lock: lock }
}

impl Port {
    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Body) -> (u16, Vec<u8>) {
        let mut request = Request::builder().method(method).uri(format!("/api/v1/{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.app.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        (status, axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec())
    }

    /// What a request by the public port gets, from `remote` with that token.
    async fn ask_public(&self, remote: &str, token: &str, method: Method, path: &str, body: &str) -> (u16, String) {
        Self::ask_at(public(Arc::clone(&self.host)), remote, token, method, path, body).await
    }

    async fn ask_at(door: Router, remote: &str, token: &str, method: Method, path: &str, body: &str) -> (u16, String) {
        let peers = Peers { remote: remote.parse().unwrap(), local: "192.0.2.1:6969".parse().unwrap() };
        let request = Request::builder().method(method).uri(format!("/{path}")).extension(peers);
        let request = request.header("authorization", format!("Bearer {token}")).header("host", "anything.example");
        let request = request.header("content-type", "application/json").body(Body::from(body.to_owned())).unwrap();
        let response = door.oneshot(request).await.unwrap();
        assert!(!response.headers().contains_key("access-control-allow-origin"));
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec();
        (status, String::from_utf8(body).unwrap())
    }

    /// A call of uploading, with the status and the offset that answer it.
    async fn tus(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, Option<u64>) {
        let mut request = Request::builder().method(method).uri(format!("/api/v1/{path}"));
        let bearer = format!("Bearer {}", self.token);
        for (name, value) in [("host", "localhost"), ("authorization", &*bearer)].iter().chain(headers) {
            request = request.header(*name, *value);
        }
        let response = self.app.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
        let offset = response.headers().get("upload-offset").map(|it| it.to_str().unwrap().parse().unwrap());
        (response.status().as_u16(), offset)
    }

    async fn create_upload(&self, length: usize) -> Upload {
        let bearer = format!("Bearer {}", self.token);
        let length = length.to_string();
        let headers = [("host", "localhost"), ("authorization", &*bearer), ("upload-length", &*length)];
        let (status, body) = self.ask(Method::POST, "uploads", &headers, Body::empty()).await;
        assert_eq!(status, 201);
        serde_json::from_slice(&body).unwrap()
    }

    async fn append(&self, upload: Upload, offset: &str, body: &[u8]) -> (u16, Option<u64>) {
        let headers = [("upload-offset", offset), ("content-type", "application/offset+octet-stream")];
        self.tus(Method::PATCH, &format!("uploads/{}", upload.upload), &headers, body).await
    }

    /// A request that is let in.
    async fn call(&self, method: Method, path: &str, body: impl Into<Body>) -> (u16, Vec<u8>) {
        let bearer = format!("Bearer {}", self.token);
        let headers = [("host", "127.0.0.1:1"), ("authorization", &*bearer), ("content-type", "application/json")];
        self.ask(method, path, &headers, body.into()).await
    }

    async fn publish_status(&self, source: RequestSource) -> u16 {
        let request = PublishRequest {
            source,
            name: None,
            in_place: false,
            said: Said::default(),
            replaces: None,
            anyway: false,
        };
        self.call(Method::POST, "publish", serde_json::to_vec(&request).unwrap()).await.0
    }

    async fn publish(&self, source: RequestSource, name: Option<&str>) -> PublishLine {
        let name = name.map(str::to_owned);
        let request =
            PublishRequest { source, name, in_place: false, said: Said::default(), replaces: None, anyway: false };
        let (status, body) = self.call(Method::POST, "publish", serde_json::to_vec(&request).unwrap()).await;
        assert_eq!(status, 200);
        let last = body.split(|&byte| byte == b'\n').rfind(|line| !line.is_empty()).unwrap();
        serde_json::from_slice(last).unwrap()
    }
}

#[tokio::test]
async fn only_the_token_on_a_loopback_name_lets_in() {
    let port = port().await;
    let bearer = format!("Bearer {}", port.token);
    for (host, authorization, want) in [
        ("127.0.0.1:1", &*bearer, 200),
        ("localhost", &bearer, 200),
        ("127.0.0.1:1", "Bearer wrong", 401),
        ("127.0.0.1:1", "", 401),
        ("attacker.example", &bearer, 403),
        ("", &bearer, 403),
    ] {
        for path in ["ping", "status", "nothing"] {
            let headers = [("host", host), ("authorization", authorization)];
            let (status, body) = port.ask(Method::GET, path, &headers, Body::empty()).await;
            let want = if want == 200 && path == "nothing" { 404 } else { want };
            assert_eq!(status, want, "{host} {authorization} {path}");
            assert!(want == 200 || serde_json::from_slice::<ApiError>(&body).is_ok(), "a refusal is a sentence");
        }
    }
    port.host.shutdown().await;
}

#[tokio::test]
async fn a_path_that_the_daemon_reads_is_published() {
    let port = port().await;
    let path = port.dir.path().join("a.wav");
    std::fs::write(&path, fixture::wav(1, 1)).unwrap();
    let line = port.publish(RequestSource::Path(path.to_str().unwrap().to_owned()), None).await;
    assert!(matches!(line, PublishLine::Published(published) if published.live && published.episode.title == "a"));
    let (_, body) = port.call(Method::GET, "episodes?show=a", Body::empty()).await;
    assert_eq!(serde_json::from_slice::<Vec<EpisodeInfo>>(&body).unwrap().len(), 1);
    port.host.shutdown().await;
}

#[tokio::test]
async fn a_path_that_it_cannot_read_is_told_apart_from_a_refusal() {
    let port = port().await;
    let line = port.publish(RequestSource::Path("/nowhere/a.wav".to_owned()), None).await;
    assert!(matches!(line, PublishLine::Unreadable(error) if error.error.contains("does not exist")));
    port.host.shutdown().await;
}

#[tokio::test]
async fn an_upload_is_published_under_its_own_name_and_leaves_nothing() {
    let port = port().await;
    let audio = fixture::wav(1, 1);
    let upload = port.create_upload(audio.len()).await;
    let there = format!("uploads/{}", upload.upload);
    assert_eq!(port.append(upload, "0", &audio[..100]).await, (204, Some(100)));
    assert_eq!(port.append(upload, "99", &audio[99..]).await.0, 409, "it is somewhere else");
    assert_eq!(port.tus(Method::HEAD, &there, &[], &[]).await, (200, Some(100)));
    let line = port.publish_status(RequestSource::Upload(upload.upload)).await;
    assert_eq!(line, 409, "it is not whole");
    let long = [&audio[100..], b"more"].concat();
    assert_eq!(port.append(upload, "100", &long).await.0, 413);
    assert_eq!(port.append(upload, "100", &audio[100..]).await, (204, Some(audio.len() as u64)));
    let line = port.publish(RequestSource::Upload(upload.upload), Some("My talk.wav")).await;
    assert!(matches!(line, PublishLine::Published(published) if published.episode.title == "My talk"));
    assert_eq!(std::fs::read_dir(port.host.library().staging()).unwrap().count(), 0);
    port.host.shutdown().await;
}

#[tokio::test]
async fn an_upload_that_directories_would_refuse_stays_until_its_owner_decides() {
    let port = port().await;
    let fields = ShowFields { title: Some("A".to_owned()), listed: Some(true), ..ShowFields::default() };
    let new = NewShow { slug: None, fields, history: None, private: false };
    assert_eq!(port.call(Method::POST, "shows", serde_json::to_vec(&new).unwrap()).await.0, 200);
    let audio = fixture::wav(1, 1);
    let upload = port.create_upload(audio.len()).await;
    assert_eq!(port.append(upload, "0", &audio).await.0, 204);
    let source = RequestSource::Upload(upload.upload);
    let line = port.publish(source.clone(), Some("a.wav")).await;
    let PublishLine::Refused { findings } = line else { panic!("{line:?}") };
    let has = |what: &str| findings.iter().any(|it| it.what.contains(what) && it.rule == "Apple");
    assert!(has("no cover") && has("no category") && has("audio/wav"), "{findings:?}");
    let there = format!("uploads/{}", upload.upload);
    assert_eq!(port.tus(Method::HEAD, &there, &[], &[]).await, (200, Some(audio.len() as u64)));

    let said = Said::default();
    let request = PublishRequest { source, name: None, in_place: false, said, replaces: None, anyway: true };
    let (_, body) = port.call(Method::POST, "publish", serde_json::to_vec(&request).unwrap()).await;
    let said = String::from_utf8(body).unwrap();
    assert!(said.contains("\"live\":true") && said.contains("no category"), "it is out, and warned of: {said}");
    assert_eq!(port.tus(Method::HEAD, &there, &[], &[]).await.0, 404);
    assert_eq!(std::fs::read_dir(port.host.library().staging()).unwrap().count(), 0);
    port.host.shutdown().await;
}

#[tokio::test]
async fn shows_are_made_changed_and_refused_with_a_way_out() {
    let port = port().await;
    let fields = ShowFields { title: Some("A".to_owned()), ..ShowFields::default() };
    let new =
        serde_json::to_vec(&NewShow { slug: None, fields: fields.clone(), history: None, private: false }).unwrap();
    assert_eq!(port.call(Method::POST, "shows", new.clone()).await.0, 200);
    let (status, body) = port.call(Method::POST, "shows", new).await;
    let error: ApiError = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, error.error.as_str()), (422, "there is a show `a` already: A"));
    assert!(error.hint.is_some());
    let edit = EditShow { show: None, fields: ShowFields { title: Some("B".to_owned()), ..fields } };
    assert_eq!(port.call(Method::PATCH, "shows", serde_json::to_vec(&edit).unwrap()).await.0, 200);
    let (_, body) = port.call(Method::GET, "shows", Body::empty()).await;
    assert_eq!(serde_json::from_slice::<Vec<ShowInfo>>(&body).unwrap()[0].title, "B");
    port.host.shutdown().await;
}

#[tokio::test]
async fn an_upload_that_is_given_up_leaves_nothing() {
    let port = port().await;
    let upload = port.create_upload(10).await;
    let there = format!("uploads/{}", upload.upload);
    assert_eq!(port.append(upload, "0", b"12345").await, (204, Some(5)));
    assert_eq!(port.tus(Method::DELETE, &there, &[], &[]).await.0, 204);
    assert_eq!(port.tus(Method::HEAD, &there, &[], &[]).await.0, 404);
    assert_eq!(port.append(upload, "5", b"67890").await.0, 404);
    assert_eq!(std::fs::read_dir(port.host.library().staging()).unwrap().count(), 0);
    let headers = [("upload-length", "99999999999999999")];
    assert_eq!(port.tus(Method::POST, "uploads", &headers, &[]).await.0, 413, "no disk holds it");
    for bad in [&[] as &[_], &[("upload-length", "-1")], &[("upload-length", "x")]] {
        assert_eq!(port.tus(Method::POST, "uploads", bad, &[]).await.0, 400, "{bad:?}");
    }
    port.host.shutdown().await;
}

#[tokio::test]
async fn a_token_opens_the_public_door_as_far_as_its_role_goes() {
    let port = port().await;
    let mut tokens = Vec::new();
    for role in [Role::ReadOnly, Role::Editor, Role::Owner] {
        let new = NewToken { name: role.to_string(), role };
        let (status, body) = port.call(Method::POST, "tokens", serde_json::to_vec(&new).unwrap()).await;
        assert_eq!(status, 200);
        let made: MadeToken = serde_json::from_slice(&body).unwrap();
        assert_eq!(made.dashboard.fragment(), Some(&*made.token));
        tokens.push(made.token);
    }
    let near = "127.0.0.1:9";
    for (method, path, body, want) in [
        (Method::GET, "status", "", [200, 200, 200]),
        (Method::GET, "shows", "", [200, 200, 200]),
        (Method::POST, "episodes/release", r#"{"episode":"x"}"#, [403, 404, 404]),
        (Method::PATCH, "episodes", r#"{"episode":"x","fields":{"title":"y"}}"#, [403, 404, 404]),
        (Method::POST, "episodes/unpublish", r#"{"episode":"x","delete_file":false}"#, [403, 404, 404]),
        (Method::GET, "episodes?show=x", "", [404, 404, 404]),
        (Method::GET, "stats?episode=x", "", [404, 404, 404]),
        (Method::GET, "check?show=x", "", [404, 404, 404]),
        (Method::PATCH, "shows", r#"{"fields":{}}"#, [403, 403, 404]),
        (Method::POST, "shows", r#"{"fields":{"title":""}}"#, [403, 403, 422]),
        (Method::DELETE, "tokens/nobody", "", [403, 403, 404]),
        (Method::GET, "tokens", "", [403, 403, 200]),
        (Method::GET, "subscribers?show=a", "", [403, 403, 404]),
        (Method::GET, "nothing", "", [404, 404, 404]),
    ] {
        for (token, want) in tokens.iter().zip(want) {
            let (status, body) = port.ask_public(near, token, method.clone(), path, body).await;
            assert_eq!(status, want, "{method} {path}: {body}");
        }
    }
    for wrong in ["", "x", &port.token] {
        assert_eq!(port.ask_public(near, wrong, Method::GET, "status", "").await.0, 401, "{wrong}");
    }
    let (status, body) = port.ask_public("203.0.113.9:9", &tokens[2], Method::GET, "status", "").await;
    assert!(status == 403 && body.contains("https"), "{status} {body}");
    let source = RequestSource::Path("/etc/hostname".to_owned());
    let request =
        PublishRequest { source, name: None, in_place: true, said: Said::default(), replaces: None, anyway: false };
    let request = serde_json::to_string(&request).unwrap();
    let (status, body) = port.ask_public(near, &tokens[2], Method::POST, "publish", &request).await;
    assert!(status == 403 && body.contains("upload"), "{status} {body}");
    assert_eq!(port.ask_public(near, &tokens[2], Method::DELETE, "tokens/editor", "").await.0, 200);
    assert_eq!(port.ask_public(near, &tokens[1], Method::GET, "status", "").await.0, 401, "it is revoked");
    port.host.shutdown().await;
}

#[tokio::test]
async fn a_network_that_shows_many_wrong_tokens_has_to_wait() {
    let port = port().await;
    let new = NewToken { name: "anna".to_owned(), role: Role::Owner };
    let (_, body) = port.call(Method::POST, "tokens", serde_json::to_vec(&new).unwrap()).await;
    let token = serde_json::from_slice::<MadeToken>(&body).unwrap().token;
    let door = public(Arc::clone(&port.host)).layer(Extension(Way::Secret));
    let ask =
        async |remote: &str, token: &str| Port::ask_at(door.clone(), remote, token, Method::GET, "status", "").await;
    for _ in 0..1000 {
        assert_eq!(ask("203.0.113.7:1", "of a page left open").await.0, 401);
    }
    let mut guesses = 0;
    let refused = loop {
        guesses += 1;
        let (status, body) = ask("203.0.113.7:1", &format!("guess {guesses}")).await;
        if status != 401 {
            break (status, body);
        }
        assert!(guesses < 1000, "it may guess on");
    };
    assert!(
        refused.0 == 429 && refused.1.contains("wrong tokens") && refused.1.contains("ask again in"),
        "{refused:?}"
    );
    assert_eq!(ask("203.0.113.7:1", &token).await.0, 429, "nobody looks at it meanwhile");
    assert_eq!(ask("203.0.113.8:1", &token).await.0, 200, "another network is let in");
    assert_eq!(ask("127.0.0.1:1", "wrong").await.0, 401);
    assert_eq!(ask("127.0.0.1:1", &token).await.0, 200);
    port.host.shutdown().await;
}

#[tokio::test]
async fn the_description_names_every_call_and_needs_no_token() {
    let port = port().await;
    let request = Request::get("/api/v1/openapi.json").header("host", "localhost").body(Body::empty()).unwrap();
    let response = port.app.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let text = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let text: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let paths = text["paths"].as_object().unwrap();
    for (path, methods) in [("/episodes", vec!["get", "patch"]), ("/uploads/{upload}", vec!["get", "head", "patch"])] {
        for method in methods {
            assert!(paths[path][method].is_object(), "{method} {path}");
        }
    }
    // Every schema that is pointed to is there.
    let schemas = text["components"]["schemas"].as_object().unwrap();
    let said = text.to_string();
    for named in said.split("#/components/schemas/").skip(1) {
        let name = named.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name}");
    }
    port.host.shutdown().await;
}
