//! The control port, asked without a socket.

use axum::http::Method;
use podswarm_core::app::{DataDir, DataDirLock};
use podswarm_core::net::{EngineConfig, PeerPort};
use tower::ServiceExt as _;

use super::*;
use crate::fixture;
use crate::host::HostConfig;
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
    let config = HostConfig { listen, public_url: None, udp_tracker: true, peer_addresses: Vec::new(), engine };
    let (host, _) = Host::start(library, config).await.unwrap();
    let control = ControlFile::write(&lock, "127.0.0.1:1".parse().unwrap()).unwrap();
    let token = control.token().to_owned();
    Port { dir, app: app(Arc::clone(&host), control), token, host, _lock: lock }
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

    /// A request that is let in.
    async fn call(&self, method: Method, path: &str, body: impl Into<Body>) -> (u16, Vec<u8>) {
        let bearer = format!("Bearer {}", self.token);
        let headers = [("host", "127.0.0.1:1"), ("authorization", &*bearer), ("content-type", "application/json")];
        self.ask(method, path, &headers, body.into()).await
    }

    async fn publish(&self, source: RequestSource, name: Option<&str>) -> PublishLine {
        let name = name.map(str::to_owned);
        let request = PublishRequest { source, name, in_place: false, said: Said::default(), replaces: None };
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
    let (status, body) = port.call(Method::POST, "uploads", fixture::wav(1, 1)).await;
    assert_eq!(status, 200);
    let upload: Upload = serde_json::from_slice(&body).unwrap();
    let line = port.publish(RequestSource::Upload(upload.upload), Some("My talk.wav")).await;
    assert!(matches!(line, PublishLine::Published(published) if published.episode.title == "My talk"));
    assert_eq!(std::fs::read_dir(port.host.library().staging()).unwrap().count(), 0);
    port.host.shutdown().await;
}

#[tokio::test]
async fn shows_are_made_changed_and_refused_with_a_way_out() {
    let port = port().await;
    let fields = ShowFields { title: Some("A".to_owned()), ..ShowFields::default() };
    let new = serde_json::to_vec(&NewShow { slug: None, fields: fields.clone() }).unwrap();
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
