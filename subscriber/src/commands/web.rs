//! `web`: the agent's own page in a browser.

use podswarm_core::app::{Access, Failure, GlobalArgs, Out};
use serde_json::json;

use super::misunderstood;
use crate::ask::{Ask, Reply, WebPage};
use crate::desk::find;

pub(super) async fn web(global: &GlobalArgs, out: &Out, only_url: bool) -> Result<(), Failure> {
    let (_, Access::Daemon(client)) = find(global).await? else {
        return Err(Failure::new("no agent runs, whose page could be seen").with_hint("`podsub run` starts one"));
    };
    let Reply::Web(WebPage { url }) = client.post("ask", &Ask::Web).await? else { return Err(misunderstood()) };
    out.json(&json!({ "event": "web", "url": url }))?;
    // Where there is no desktop, what would be opened is a browser within this terminal, if there is one at all.
    let has_desktop = cfg!(not(target_os = "linux"))
        || ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    if only_url || !has_desktop || open::that_detached(&url).is_err() {
        return out.line(url);
    }
    out.note("opened in your browser; `podsub web --url` prints the address instead");
    Ok(())
}
