//! What keys do.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use podswarm_core::rate::Limit;
use podswarm_core::timetable::RateLimits;

use super::model::{Mode, Model, Pane, Prompt};
use crate::ask::Ask;
use crate::records::EpisodeId;
use crate::rules::Rules;

/// Keys and what they do, as the help tells it.
pub(super) const HELP: [(&str, &str); 14] = [
    ("Tab  ← →  1-4", "another pane"),
    ("↑ ↓  PgUp PgDn", "another line; Home and End, too"),
    ("Enter  Esc", "into it; back, and without a filter"),
    ("Space", "pause it, or let it go on"),
    ("P", "pause everything, or let it go on"),
    ("p", "play it while it comes; p again stops"),
    ("f", "fetch it before all others"),
    ("r", "poll the feed now"),
    ("a", "follow a feed"),
    ("d  u", "limit downloads; uploads"),
    ("/", "show only what has these letters"),
    ("?", "these keys; any key ends them"),
    ("q", "leave; the agent goes on"),
    ("flags", "D d sends, would · U u is sent, waits"),
];

/// What a key wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// To ask the agent, and tell [`Model::done`] what it answers.
    Ask(Box<Ask>),
    /// To play an episode of this title.
    Play(EpisodeId, String),
    /// To play it no longer.
    StopPlaying,
    /// To end.
    Quit,
}

impl Deed {
    fn ask(ask: Ask) -> Self {
        Self::Ask(Box::new(ask))
    }
}

impl Model {
    /// A key was pressed.
    pub fn key(&mut self, key: KeyEvent) -> Option<Deed> {
        if key.kind == KeyEventKind::Release {
            return None;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return matches!(key.code, KeyCode::Char('c')).then_some(Deed::Quit);
        }
        match std::mem::take(&mut self.mode) {
            Mode::Help => None,
            Mode::Typing(prompt, text) => {
                self.notice = None;
                self.typed(prompt, text, key.code)
            }
            Mode::Normal => {
                self.notice = None;
                self.pressed(key.code)
            }
        }
    }

    /// Text was pasted.
    pub fn paste(&mut self, pasted: &str) {
        if let Mode::Typing(prompt, text) = &mut self.mode {
            text.extend(pasted.chars().filter(|sign| !sign.is_control()));
            if *prompt == Prompt::Filter {
                self.filter.clone_from(text);
                self.choose_again();
            }
        }
    }

    fn pressed(&mut self, code: KeyCode) -> Option<Deed> {
        match code {
            KeyCode::Char('q') => return Some(Deed::Quit),
            KeyCode::Char('?') | KeyCode::F(1) => self.mode = Mode::Help,
            // Without an agent there is nothing to do.
            _ if self.absent.is_some() => {}
            KeyCode::Tab | KeyCode::Right | KeyCode::Char('l') => self.turn_to(self.pane.step(1)),
            KeyCode::BackTab | KeyCode::Left | KeyCode::Char('h') => self.turn_to(self.pane.step(Pane::ALL.len() - 1)),
            KeyCode::Char(digit @ '1'..='4') => {
                self.turn_to(Pane::ALL[usize::from(u8::try_from(digit).expect("a digit") - b'1')]);
            }
            KeyCode::Up | KeyCode::Char('k') => self.step(-1),
            KeyCode::Down | KeyCode::Char('j') => self.step(1),
            KeyCode::PageUp => self.step(-10),
            KeyCode::PageDown => self.step(10),
            KeyCode::Home | KeyCode::Char('g') => self.step(isize::MIN),
            KeyCode::End | KeyCode::Char('G') => self.step(isize::MAX),
            KeyCode::Enter => match self.pane {
                Pane::Feeds => self.turn_to(Pane::Episodes),
                Pane::Episodes => self.turn_to(Pane::Peers),
                Pane::Peers | Pane::Events => {}
            },
            KeyCode::Esc if !self.filter.is_empty() => {
                self.filter.clear();
                self.choose_again();
            }
            KeyCode::Esc => match self.pane {
                Pane::Peers | Pane::Events => self.turn_to(Pane::Episodes),
                Pane::Episodes | Pane::Feeds => self.choose_feed(None),
            },
            KeyCode::Char(' ') => return self.pause_or_resume(),
            KeyCode::Char('P') => return self.pause_or_resume_all(),
            KeyCode::Char('p') => return self.play(),
            KeyCode::Char('f') => {
                let episode = self.episode.filter(|_| self.pane != Pane::Feeds)?.to_string();
                return Some(Deed::ask(Ask::First { episode }));
            }
            KeyCode::Char('r') => {
                let feed = self.feed.or_else(|| Some(self.episode.filter(|_| self.pane != Pane::Feeds)?.feed));
                self.tell(if feed.is_some() { "polling the feed" } else { "polling all feeds" }, false);
                let feeds = feed.map(|feed| feed.to_string()).into_iter().collect();
                return Some(Deed::ask(Ask::Update { feeds }));
            }
            KeyCode::Char('a') => self.mode = Mode::Typing(Prompt::Feed, String::new()),
            KeyCode::Char('d') => self.mode = Mode::Typing(Prompt::DownLimit, String::new()),
            KeyCode::Char('u') => self.mode = Mode::Typing(Prompt::UpLimit, String::new()),
            KeyCode::Char('/') => self.mode = Mode::Typing(Prompt::Filter, self.filter.clone()),
            _ => {}
        }
        None
    }

    fn turn_to(&mut self, pane: Pane) {
        if pane != self.pane {
            (self.pane, self.scrolled) = (pane, 0);
            self.choose_again();
        }
    }

    fn typed(&mut self, prompt: Prompt, mut text: String, code: KeyCode) -> Option<Deed> {
        match code {
            KeyCode::Enter if prompt != Prompt::Filter && self.absent.is_some() => {
                self.tell("no agent answers; Enter when it is back, or Esc", true);
            }
            KeyCode::Enter => return self.entered(prompt, text.trim()),
            KeyCode::Esc => {
                if prompt == Prompt::Filter {
                    self.filter.clear();
                    self.choose_again();
                }
                return None;
            }
            KeyCode::Backspace => {
                text.pop();
            }
            KeyCode::Char(sign) => text.push(sign),
            _ => {}
        }
        // What is shown follows what is typed.
        if prompt == Prompt::Filter {
            self.filter.clone_from(&text);
            self.choose_again();
        }
        self.mode = Mode::Typing(prompt, text);
        None
    }

    fn entered(&mut self, prompt: Prompt, text: &str) -> Option<Deed> {
        let is_down = match prompt {
            Prompt::Filter => return None,
            Prompt::Feed if text.is_empty() => return None,
            Prompt::Feed => {
                self.tell("reading the feed", false);
                let url = text.to_owned();
                let rules = Rules::default();
                return Some(Deed::ask(Ask::Add {
                    url,
                    title: None,
                    backlog: None,
                    schedule: None,
                    unreachable: false,
                    rules,
                }));
            }
            Prompt::DownLimit => true,
            Prompt::UpLimit => false,
        };
        if text.is_empty() {
            return None;
        }
        let Ok(Limit(rate)) = text.parse() else {
            // It is in one line of a small window, and what was typed is there to be mended.
            let typed: String = text.chars().take(20).collect();
            self.tell(&format!("`{typed}` is no limit; want one such as 2MiB/s, 10Mbit/s or none"), true);
            self.mode = Mode::Typing(prompt, text.to_owned());
            return None;
        };
        let held = self.status.as_ref().and_then(|status| status.limits).unwrap_or_default().always;
        let limits = if is_down { RateLimits { down: rate, ..held } } else { RateLimits { up: rate, ..held } };
        Some(Deed::ask(Ask::Limit { limits }))
    }

    /// Turns what is chosen around: a feed in the pane of feeds, else an episode.
    fn pause_or_resume(&self) -> Option<Deed> {
        let (what, is_paused) = if self.pane == Pane::Feeds {
            let Some(id) = self.feed else { return self.pause_or_resume_all() };
            let feed = self.feeds().into_iter().find(|feed| feed.id == id)?;
            (id.to_string(), feed.is_paused)
        } else {
            let episode = self.chosen()?;
            (episode.id.to_string(), episode.is_paused)
        };
        Some(turn(what, is_paused))
    }

    fn pause_or_resume_all(&self) -> Option<Deed> {
        let status = self.status.as_ref()?;
        Some(turn("all".to_owned(), status.feeds.iter().all(|feed| feed.is_paused)))
    }

    fn play(&self) -> Option<Deed> {
        match (self.playing(), self.chosen().filter(|_| self.pane != Pane::Feeds)) {
            (Some(playing), chosen) if chosen.is_none_or(|chosen| chosen.id == playing) => Some(Deed::StopPlaying),
            (_, chosen) => chosen.map(|chosen| Deed::Play(chosen.id, chosen.title.clone())),
        }
    }
}

fn turn(what: String, is_paused: bool) -> Deed {
    let what = vec![what];
    Deed::ask(if is_paused { Ask::Resume { what } } else { Ask::Pause { what } })
}
