//! `phone`: what is kept, opened to the podcast app of a phone in the house.

use std::io::IsTerminal as _;

use podswarm_core::app::{Failure, GlobalArgs, Out};
use podswarm_core::net::Route;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

use super::misunderstood;
use crate::ask::{Ask, PhoneWish, Reply, SyncView, SyncWish};
use crate::cli::PhoneArgs;
use crate::desk::Desk;

/// What works, and what cannot.
const APPS: &str = "note: add this address as a feed in an app that fetches feeds on the phone itself, such as AntennaPod. \
    Pocket Casts, Overcast, Castro, Spotify and YouTube Music fetch feeds from servers of their own, which cannot reach this network.";

/// Where to type it.
const SYNC: &str = "note: the password is told this once, and one from before is good for nothing. In AntennaPod: Settings, Synchronization, \
    gpodder.net, with this server, `http://` included. What is followed there is followed here, and the other way round.";

pub(super) async fn phone(global: &GlobalArgs, out: &Out, args: PhoneArgs) -> Result<(), Failure> {
    let desk = Desk::open(global, out, &Route::default()).await?;
    // Without an agent nothing is open; that none opens it again is remembered.
    if !desk.has_agent() && !args.off {
        desk.close().await?;
        let failure = Failure::new("no agent runs that a phone could play from");
        return Err(failure.with_hint("start `podsub run`, then give this command again"));
    }
    let wish = if args.off {
        PhoneWish::Off
    } else {
        let sync = match (args.sync, args.no_sync) {
            (true, _) => SyncWish::On,
            (_, true) => SyncWish::Off,
            _ => SyncWish::Leave,
        };
        PhoneWish::On { addr: args.listen.map(|addr| addr.to_string()), renew: args.new_token, sync }
    };
    let answer = desk.ask(Ask::Phone { wish }).await;
    desk.close().await?;
    let Reply::Phone(view) = answer? else { return Err(misunderstood()) };
    out.json(&view)?;
    let Some(url) = &view.url else { return out.line("closed: no phone can ask any more") };
    out.line(url)?;
    if args.qr || (std::io::stdout().is_terminal() && !out.is_json()) {
        out.line(drawn(url)?)?;
    }
    if let Some(sync) = &view.sync {
        tell_sync(out, sync)?;
    }
    out.note(APPS);
    out.note("note: it is open to this network until `podsub phone --off`, also after a restart; the address is the key to it");
    Ok(())
}

/// What is typed into an app that is to be kept in step.
fn tell_sync(out: &Out, sync: &SyncView) -> Result<(), Failure> {
    out.line(format!("server    {}", sync.server))?;
    out.line(format!("user      {}", sync.user))?;
    match &sync.password {
        Some(password) => {
            out.line(format!("password  {password}"))?;
            out.note(SYNC);
            Ok(())
        }
        None => out.line("password  as it was told once; --sync makes a new one"),
    }
}

/// The address as a QR code of half blocks, for a dark terminal and a light one: the frame around it is light.
fn drawn(url: &str) -> Result<String, Failure> {
    let code = QrCode::new(url).map_err(|error| Failure::new("draw the address as a QR code").because(error))?;
    Ok(code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_drawn_as_a_square_that_fits_a_terminal() {
        let url = format!("http://192.168.178.123:6971/feed.xml?token={}", "f".repeat(64));
        let code = drawn(&url).unwrap();
        let (lines, columns) = (code.lines().count(), code.lines().map(|line| line.chars().count()).max().unwrap());
        assert!(columns <= 80 && lines <= 40, "{columns} x {lines}");
        assert!(code.chars().all(|sign| matches!(sign, ' ' | '█' | '▀' | '▄' | '\n')), "{code}");
    }
}
