//! A real browser: headless Chromium on a host, driven over the `WebDriver` protocol.
//!
//! Source: W3C `WebDriver`, of which it uses sessions, navigation and asynchronous scripts; the Chrome `DevTools`
//! Protocol for pictures and colours.

use std::path::Path;

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::http;
use crate::net::Host;
use crate::process::{PATIENCE, Program};

/// A browser with one open page.
#[derive(Debug)]
pub struct Browser {
    host: Host,
    session: String,
    // Ends with the browser.
    _driver: Program,
}

impl Browser {
    /// Starts a browser on `host` that keeps its profile in `folder`.
    #[track_caller]
    pub fn start(host: &Host, folder: &Path) -> Self {
        // In a process namespace of its own, all of Chromium's processes end with the driver.
        let mut command = host.command("unshare");
        // The port is free on a host that runs nothing else; one it picks for IPv4 may be taken for IPv6.
        command.args(["--pid", "--fork", "--kill-child", "--mount-proc", "--", "chromedriver", "--port=9515"]);
        command.env("HOME", folder).env("TMPDIR", folder);
        let mut driver = Program::start("chromedriver", command);
        let (_, port) = driver.wait_for("port of chromedriver", PATIENCE, |line| {
            let number = line.text.strip_suffix('.')?.rsplit_once("on port ")?.1;
            number.parse::<u16>().ok()
        });
        // Chromium's own sandbox needs namespaces that root cannot give it; the rest keeps it from calling home.
        let profile = format!("--user-data-dir={}", folder.join("profile").display());
        let args = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--autoplay-policy=no-user-gesture-required",
            "--mute-audio",
            "--window-size=1000,1400",
            &profile,
        ];
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": args },
            "timeouts": { "script": 60_000, "pageLoad": 30_000 },
        }}});
        let base = format!("http://127.0.0.1:{port}/session");
        let made = value(&http::post(host, &base, &capabilities));
        let id = made["sessionId"].as_str().unwrap_or_else(|| panic!("no session: {made}"));
        Self { host: host.clone(), session: format!("{base}/{id}"), _driver: driver }
    }

    /// Opens `url` and waits until the page has loaded.
    #[track_caller]
    pub fn open(&self, url: &str) {
        value(&http::post(&self.host, &format!("{}/url", self.session), &json!({ "url": url })));
    }

    /// Makes the window as wide and high as that, in pixels.
    #[track_caller]
    pub fn resize(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height });
        value(&http::post(&self.host, &format!("{}/window/rect", self.session), &size));
    }

    /// Has pages take the person for one who wants dark colours, or light ones.
    #[track_caller]
    pub fn darken(&self, is_dark: bool) {
        let feature = json!({ "name": "prefers-color-scheme", "value": if is_dark { "dark" } else { "light" } });
        self.tell("Emulation.setEmulatedMedia", &json!({ "features": [feature] }));
    }

    /// A picture of what the window shows, as PNG.
    #[track_caller]
    pub fn picture(&self) -> Vec<u8> {
        let shown = value(&http::get(&self.host, &format!("{}/screenshot", self.session), &[]));
        decoded(&shown)
    }

    /// A picture of what a window of that width and height would show, each of its pixels drawn as `scale` squared, as
    /// `png` or, much smaller, as `webp`.
    #[track_caller]
    pub fn picture_of(&self, width: u32, height: u32, scale: f64, format: &str) -> Vec<u8> {
        let window = json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": false });
        self.tell("Emulation.setDeviceMetricsOverride", &window);
        self.tell("Emulation.setScrollbarsHidden", &json!({ "hidden": true }));
        let shown = self.tell("Page.captureScreenshot", &json!({ "format": format }));
        self.tell("Emulation.setScrollbarsHidden", &json!({ "hidden": false }));
        self.tell("Emulation.clearDeviceMetricsOverride", &json!({}));
        decoded(&shown["data"])
    }

    /// Gives the browser a command of its own protocol for developers.
    #[track_caller]
    fn tell(&self, command: &str, params: &Value) -> Value {
        let command = json!({ "cmd": command, "params": params });
        value(&http::post(&self.host, &format!("{}/goog/cdp/execute", self.session), &command))
    }

    /// Runs the body of an `async` function in the page and returns what it returns.
    #[track_caller]
    pub fn run(&self, body: &str) -> Value {
        let script = format!(
            "const done = arguments[0]; (async () => {{ {body} }})().then(done, error => done('failed: ' + error));"
        );
        let url = format!("{}/execute/async", self.session);
        value(&http::post(&self.host, &url, &json!({ "script": script, "args": [] })))
    }
}

#[track_caller]
fn decoded(picture: &Value) -> Vec<u8> {
    BASE64.decode(picture.as_str().expect("a picture is text").as_bytes()).expect("a picture is base64")
}

#[track_caller]
fn value(answer: &http::Answer) -> Value {
    let mut body: Value = serde_json::from_slice(&answer.body).expect("WebDriver speaks JSON");
    assert_eq!(answer.status, 200, "WebDriver: {body}");
    body["value"].take()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::scratch;
    use crate::net::Net;

    #[test]
    fn scripts_run_in_a_page_and_answer_later() {
        let (folder, host) = (scratch(), Net::new().host("alone"));
        let browser = Browser::start(&host, folder.path());
        browser.open("data:text/html,<title>Hello</title>");
        assert_eq!(browser.run("await new Promise(requestAnimationFrame); return document.title;"), "Hello");
    }
}
