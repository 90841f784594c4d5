//! Who may keep an app in step: one user name with its password, which is kept as a hash.
//!
//! The password is drawn here, 80 bits of chance, so that a plain hash of it with a salt is no easier to find than the
//! password itself; one that people choose would need a slow hash. Who has shown it gets a session for the address he
//! asked from, as a cookie: some apps show the password once and not again. Sessions end with the agent.
//!
//! Law: an address that has shown several wrong passwords waits, and what it shows meanwhile is not looked at. The same
//! wrong one again is no guess: an app whose password was renewed goes on showing the old one.
//!
//! Source: RFC 7617; gpodder.net API 2, authentication.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, header};
use data_encoding::{BASE64, HEXLOWER};
use podswarm_core::app::{DataDir, Explain, Failure, new_token, secret_matches, write_atomic};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The file in the data directory that keeps user and hash; apps are kept in step while it is there.
const FILE: &str = "phone-sync";
/// The user's name.
const USER: &str = "podsub";
/// The cookie of a session, as gpodder.net calls it.
const COOKIE: &str = "sessionid";
/// A session is good for so long.
const SESSION: Duration = Duration::from_hours(24);
/// Wrong passwords that an address may show at once.
const AT_ONCE: u32 = 5;
/// It may show one more each so long.
const EACH: Duration = Duration::from_secs(10);
/// So many addresses are remembered.
const MOST: usize = 256;

/// What is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    user: String,
    salt: String,
    /// Of the salt and the password.
    sha256: String,
}

/// Who may keep an app in step.
pub(super) struct Gate {
    kept: Kept,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The session of each address, and until when it is good.
    sessions: BTreeMap<IpAddr, (String, Instant)>,
    wrong: BTreeMap<IpAddr, Wrong>,
}

/// The wrong passwords of an address.
struct Wrong {
    /// The last one's hash.
    last: String,
    /// When it may show all of them again.
    until: Instant,
}

/// What came of asking to be let in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// Come in; with a session, if it is a new one.
    Open(Option<String>),
    /// No password was shown, or no good one.
    Shut,
    /// It has shown too many wrong ones.
    Wait(Duration),
}

impl Gate {
    /// The gate of this data directory; `None` if no app is kept in step.
    pub(super) fn of(dir: &DataDir) -> Result<Option<Self>, Failure> {
        let path = dir.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::new(format!("read `{}`", path.display())).because(error)),
        };
        let kept = serde_json::from_str(&text).map_err(|error| {
            Failure::new(format!("`{}` holds no user of apps", path.display()))
                .with_hint("`podsub phone --sync` makes a new one")
                .because(error)
        })?;
        Ok(Some(Self { kept, state: Mutex::default() }))
    }

    /// Whose gate it is.
    pub(super) fn user(&self) -> &str {
        &self.kept.user
    }

    /// Looks at what a request from `asker` shows. `user` is whose things it asks for.
    pub(super) fn entry(&self, asker: IpAddr, user: &str, headers: &HeaderMap, now: Instant) -> Entry {
        let is_user = user == self.kept.user;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let session = state.sessions.get(&asker).filter(|(_, until)| now < *until).map(|(session, _)| session.clone());
        if let (Some(given), Some(session)) = (cookie(headers), &session)
            && secret_matches(given, session)
        {
            return if is_user { Entry::Open(None) } else { Entry::Shut };
        }
        let Some((name, password)) = basic(headers) else { return Entry::Shut };
        if let Some(wait) = state.wrong.get(&asker).and_then(|wrong| wrong.wait(now)) {
            return Entry::Wait(wait);
        }
        let hash = hash(&self.kept.salt, &password);
        if !secret_matches(&hash, &self.kept.sha256) || name != self.kept.user || !is_user {
            state.note(asker, hash, now);
            return Entry::Shut;
        }
        state.wrong.remove(&asker);
        let Ok(session) = session.map_or_else(new_token, Ok) else { return Entry::Open(None) };
        make_room(&mut state.sessions, |(_, until)| now < *until);
        state.sessions.insert(asker, (session.clone(), now + SESSION));
        Entry::Open(Some(format!("{COOKIE}={session}; Path=/; HttpOnly; SameSite=Strict")))
    }

    /// Ends the session of `asker`.
    pub(super) fn leave(&self, asker: IpAddr) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).sessions.remove(&asker);
    }
}

impl State {
    fn note(&mut self, asker: IpAddr, hash: String, now: Instant) {
        make_room(&mut self.wrong, |wrong| now < wrong.until);
        let wrong = self.wrong.entry(asker).or_insert_with(|| Wrong { last: String::new(), until: now });
        if wrong.last != hash {
            wrong.last = hash;
            wrong.until = wrong.until.max(now) + EACH;
            tracing::warn!(%asker, "a wrong password was shown for apps that are kept in step");
        }
    }
}

impl Wrong {
    fn wait(&self, now: Instant) -> Option<Duration> {
        let ahead = self.until.saturating_duration_since(now) + EACH;
        ahead.checked_sub(EACH * AT_ONCE).filter(|wait| !wait.is_zero())
    }
}

/// Keeps a table of addresses small: what is stale goes first, then everything.
fn make_room<T>(table: &mut BTreeMap<IpAddr, T>, is_fresh: impl Fn(&T) -> bool) {
    if table.len() >= MOST {
        table.retain(|_, entry| is_fresh(entry));
    }
    if table.len() >= MOST {
        table.clear();
    }
}

/// Draws a password and keeps its hash, mode 0600. Gives the user's name and the password.
pub(crate) fn draw_password(dir: &DataDir) -> Result<(String, String), Failure> {
    let (drawn, salt) = (new_token()?, new_token()?);
    // 80 bits, in groups that can be typed on a phone.
    let groups: Vec<&str> = (0..5).map(|group| &drawn[4 * group..4 * group + 4]).collect();
    let password = groups.join("-");
    let kept = Kept { user: USER.to_owned(), sha256: hash(&salt, &password), salt };
    let text = serde_json::to_vec(&kept).explain(|| "write down the user of apps".to_owned())?;
    dir.create()?;
    let path = dir.join(FILE);
    write_atomic(&path, &text, 0o600).explain(|| format!("write `{}`", path.display()))?;
    Ok((kept.user, password))
}

/// Forgets user and password, so that no app is kept in step.
pub(crate) fn forget_password(dir: &DataDir) -> Result<(), Failure> {
    match std::fs::remove_file(dir.join(FILE)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::new("delete the password of apps").because(error))
        }
        _ => Ok(()),
    }
}

fn hash(salt: &str, password: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(format!("{salt}{password}")))
}

/// Name and password of an `Authorization: Basic` header.
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let (scheme, given) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let decoded = scheme.eq_ignore_ascii_case("basic").then(|| BASE64.decode(given.trim().as_bytes()).ok())??;
    let text = String::from_utf8(decoded).ok()?;
    text.split_once(':').map(|(name, password)| (name.to_owned(), password.trim().to_owned()))
}

/// The session that a request shows.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = pairs.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, session)| session)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate() -> Gate {
        let kept = Kept { user: "podsub".to_owned(), salt: "s".to_owned(), sha256: hash("s", "right") };
        Gate { kept, state: Mutex::default() }
    }

    fn shown(password: &str) -> HeaderMap {
        let value = format!("Basic {}", BASE64.encode(format!("podsub:{password}").as_bytes()));
        HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())])
    }

    #[test]
    fn the_password_opens_and_then_its_session_does_from_the_same_address() {
        let (gate, now) = (gate(), Instant::now());
        let (phone, other) = ("192.168.1.7".parse().unwrap(), "192.168.1.8".parse().unwrap());
        assert_eq!(gate.entry(phone, "podsub", &HeaderMap::new(), now), Entry::Shut);
        let Entry::Open(Some(cookie)) = gate.entry(phone, "podsub", &shown("right"), now) else {
            panic!("it is right")
        };
        let (pair, _) = cookie.split_once(';').unwrap();
        let with = HeaderMap::from_iter([(header::COOKIE, format!("a=b; {pair}").parse().unwrap())]);
        assert_eq!(gate.entry(phone, "podsub", &with, now), Entry::Open(None));
        assert_eq!(gate.entry(phone, "another", &with, now), Entry::Shut, "there is one user");
        assert_eq!(gate.entry(other, "podsub", &with, now), Entry::Shut);
        assert_eq!(gate.entry(phone, "podsub", &with, now + SESSION), Entry::Shut);
        gate.leave(phone);
        assert_eq!(gate.entry(phone, "podsub", &with, now), Entry::Shut);
    }

    #[test]
    fn who_guesses_waits_and_nobody_else_does() {
        let (gate, now) = (gate(), Instant::now());
        let (guesser, phone) = ("192.168.1.9".parse().unwrap(), "192.168.1.7".parse().unwrap());
        for guess in 0..AT_ONCE {
            assert_eq!(gate.entry(guesser, "podsub", &shown(&guess.to_string()), now), Entry::Shut);
        }
        assert_eq!(gate.entry(guesser, "podsub", &shown("right"), now), Entry::Wait(EACH), "it is not looked at");
        assert!(matches!(gate.entry(phone, "podsub", &shown("right"), now), Entry::Open(_)));
        assert!(matches!(gate.entry(guesser, "podsub", &shown("right"), now + EACH), Entry::Open(_)));
        for _ in 0..100 {
            assert_eq!(gate.entry(phone, "podsub", &shown("old"), now), Entry::Shut, "the same one is no guess");
        }
    }

    #[test]
    fn what_is_no_authorization_opens_nothing() {
        let (gate, now) = (gate(), Instant::now());
        for value in ["", "Basic", "Basic !", "Basic cG9kc3Vi", "Bearer x", "basic /////w=="] {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
            assert_eq!(gate.entry("192.168.1.7".parse().unwrap(), "podsub", &headers, now), Entry::Shut, "{value}");
        }
    }
}
