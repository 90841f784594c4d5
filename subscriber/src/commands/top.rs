//! `top`: the terminal view. It has the terminal, asks the agent once a second and does what keys want done.
//!
//! Without an agent it waits for one. However it ends, by a key, a signal or a fault of its own, the terminal is as it
//! was before.

use std::io::{IsTerminal, stdin, stdout};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use chrono::Utc;
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste, Event as Typed, EventStream};
use crossterm::execute;
use futures_util::StreamExt;
use podswarm_core::app::{ControlClient, DataDir, Explain, Failure, GlobalArgs, Out, live_daemon, shutdown_signal};
use ratatui::DefaultTerminal;
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::play::chosen_player;
use super::player::{self, Listening};
use crate::agent::event::Event;
use crate::ask::{Ask, Playing, Reply};
use crate::cli::TopArgs;
use crate::desk::{Contact, PROGRAM};
use crate::records::EpisodeId;
use crate::top::{Deed, Model, Question, draw};

/// The agent is asked this often.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// News that may wait until the screen was drawn.
const INBOX: usize = 256;

/// What comes to the view from elsewhere.
enum News {
    /// An agent answers.
    Found(Contact),
    /// None does, for this reason.
    Absent(String),
    Happened(Event),
    Answered(Question, Result<Reply, Failure>),
    Done(Box<Ask>, Result<Reply, Failure>),
    /// The address of an episode that is to be played.
    Play(EpisodeId, String, Result<Reply, Failure>),
    /// A player has ended, or could not be started.
    PlayerEnded(EpisodeId, Result<(), Failure>),
}

pub(super) async fn top(global: &GlobalArgs, out: &Out, args: TopArgs) -> Result<(), Failure> {
    if global.json || !stdout().is_terminal() || !stdin().is_terminal() {
        return Err(Failure::usage("the view is drawn on a terminal, and there is none here")
            .with_hint("`podsub status --json` tells programs, `podsub run` prints what happens line by line"));
    }
    if std::env::var_os("TERM").is_none_or(|term| term == "dumb") {
        return Err(Failure::usage("this terminal cannot move its cursor (TERM is unset or `dumb`)")
            .with_hint("`podsub status` prints the same once"));
    }
    let dir = DataDir::resolve(global.data_dir.as_deref(), PROGRAM)?;
    let remote = global.remote()?;
    // https://no-color.org: set and not empty.
    let has_colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    // What happens is shown, not logged between the lines.
    let _ = out;
    let mut screen = Screen::open()?;
    View::new(args.player, has_colours).run(&mut screen, dir, remote).await
}

/// The terminal while the view has it.
struct Screen(DefaultTerminal);

impl Screen {
    fn open() -> Result<Self, Failure> {
        let terminal = ratatui::try_init().explain(|| "take the terminal".to_owned())?;
        // A terminal that does not know it pastes as if it were typed.
        let _ = execute!(stdout(), EnableBracketedPaste);
        Ok(Self(terminal))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = execute!(stdout(), DisableBracketedPaste);
        ratatui::restore();
    }
}

/// The view at work.
struct View {
    model: Model,
    player: Option<PathBuf>,
    contact: Option<Contact>,
    news: mpsc::Receiver<News>,
    tell: mpsc::Sender<News>,
    /// What runs beside it; ends with it.
    tasks: JoinSet<()>,
    /// Questions that are not answered yet.
    asked: usize,
    /// Ends the player.
    silence: CancellationToken,
}

impl View {
    fn new(player: Option<PathBuf>, has_colours: bool) -> Self {
        let (tell, news) = mpsc::channel(INBOX);
        let (tasks, silence) = (JoinSet::new(), CancellationToken::new());
        Self { model: Model::new(has_colours), player, contact: None, news, tell, tasks, asked: 0, silence }
    }

    async fn run(mut self, screen: &mut Screen, dir: DataDir, remote: Option<ControlClient>) -> Result<(), Failure> {
        let mut typed = EventStream::new();
        let mut stop = std::pin::pin!(shutdown_signal());
        let mut ticks = tokio::time::interval(ASK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.tasks.spawn(follow(dir, remote, self.tell.clone()));
        loop {
            screen.0.draw(|frame| draw(&self.model, frame)).explain(|| "draw on the terminal".to_owned())?;
            tokio::select! {
                () = &mut stop => return Ok(()),
                _ = ticks.tick() => self.ask(),
                Some(news) = self.news.recv() => self.heard(news),
                typed = typed.next() => match typed {
                    Some(Ok(typed)) => {
                        if self.typed(typed) {
                            return Ok(());
                        }
                    }
                    Some(Err(error)) => return Err(Failure::new("read the keyboard").because(error)),
                    // The terminal is gone.
                    None => return Ok(()),
                },
                Some(_) = self.tasks.join_next() => {}
            }
        }
    }

    /// Asks what the picture is made of, once what was asked before is answered.
    fn ask(&mut self) {
        if self.asked > 0 || self.contact.is_none() {
            return;
        }
        for question in self.model.questions(Utc::now()) {
            self.asked += 1;
            self.put(question.ask(), move |_, answer| News::Answered(question, answer));
        }
    }

    /// Asks the agent beside everything else.
    fn put(&mut self, ask: Ask, news: impl FnOnce(Ask, Result<Reply, Failure>) -> News + Send + 'static) {
        let Some(contact) = self.contact.clone() else { return };
        let tell = self.tell.clone();
        self.tasks.spawn(async move {
            let answer = contact.ask(ask.clone()).await;
            // A view that has ended needs no answer.
            let _ = tell.send(news(ask, answer)).await;
        });
    }

    fn heard(&mut self, news: News) {
        match news {
            News::Found(contact) => {
                self.contact = Some(contact);
                self.asked = 0;
                self.ask();
            }
            News::Absent(why) => {
                self.contact = None;
                self.model.absent(why);
            }
            News::Happened(event) => self.model.happened(&event, Utc::now()),
            News::Answered(question, answer) => {
                self.asked = self.asked.saturating_sub(1);
                // An answer that was on its way when the agent ended is of no use.
                if self.contact.is_some() {
                    self.model.answered(question, answer);
                }
            }
            News::Done(ask, answer) => {
                self.model.done(&ask, answer);
                self.ask();
            }
            News::Play(id, title, Ok(Reply::Playing(playing))) => self.play(id, title, *playing),
            News::Play(.., Err(failure)) | News::PlayerEnded(_, Err(failure)) => {
                self.model.plays(None);
                self.model.tell(&with_hint(&failure), true);
            }
            News::Play(.., Ok(_)) => self.model.tell(&super::misunderstood().to_string(), true),
            News::PlayerEnded(id, Ok(())) => {
                if self.model.playing() == Some(id) {
                    self.model.plays(None);
                }
            }
        }
    }

    /// Something was typed; whether that is the end.
    fn typed(&mut self, typed: Typed) -> bool {
        let deed = match typed {
            Typed::Key(key) => self.model.key(key),
            Typed::Paste(text) => {
                self.model.paste(&text);
                None
            }
            // A new size is drawn with the next picture.
            _ => None,
        };
        match deed {
            None => {}
            Some(Deed::Quit) => return true,
            Some(Deed::Ask(ask)) => self.put(*ask, |ask, answer| News::Done(Box::new(ask), answer)),
            Some(Deed::Play(id, title)) => {
                self.put(Ask::Play { episode: id.to_string() }, move |_, answer| News::Play(id, title, answer));
            }
            Some(Deed::StopPlaying) => {
                self.silence.cancel();
                self.model.plays(None);
            }
        }
        false
    }

    /// Has a player play this, from where listening stopped, instead of what it plays now.
    fn play(&mut self, id: EpisodeId, title: String, playing: Playing) {
        self.silence.cancel();
        self.silence = CancellationToken::new();
        let Some((program, own)) = chosen_player(self.player.clone()) else {
            let why = format!("no player is found: `podsub play --url {id}` prints the address for one");
            return self.model.tell(&why, true);
        };
        let heard = playing.episode.heard;
        let listening = self.contact.clone().map(|contact| Listening { contact, episode: id, heard });
        let begin = listening.as_ref().map(|listening| listening.begin(&program)).unwrap_or_default();
        let mut command = Command::new(&program);
        command.args(own).args(begin).arg(playing.url);
        // The screen is the view's.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        self.model.plays(Some((id, title)));
        let (tell, silence) = (self.tell.clone(), self.silence.clone());
        self.tasks.spawn(async move {
            let played = silence.run_until_cancelled(player::run(command, &program, listening)).await;
            let failed = |why| Failure::new(format!("the player `{}` failed", program.display())).because(why);
            let ended = match played {
                // It was stopped.
                None => return,
                Some(Ok(status)) if status.success() => Ok(()),
                Some(Ok(status)) => Err(failed(std::io::Error::other(status.to_string()))),
                Some(Err(error)) => Err(failed(error)),
            };
            let _ = tell.send(News::PlayerEnded(id, ended)).await;
        });
    }
}

fn with_hint(failure: &Failure) -> String {
    failure.hint().map_or_else(|| failure.to_string(), |hint| format!("{failure}; {hint}"))
}

/// Finds the agent, tells what happens there until it ends, and finds the next one.
async fn follow(dir: DataDir, remote: Option<ControlClient>, tell: mpsc::Sender<News>) {
    let nobody = match &remote {
        Some(client) => format!("No agent answers at {}. This view waits for it.", client.server()),
        None => {
            format!("No agent runs on {}. `podsub run` starts one, and this view waits for it.", dir.path().display())
        }
    };
    let gone = format!("The agent is gone. {nobody}");
    let mut was_there = false;
    loop {
        let client = match &remote {
            Some(client) => client.ping().await.is_ok().then(|| client.clone()),
            None => live_daemon(&dir).await,
        };
        if let Some(client) = client {
            match tell_events(Contact::There(client), &tell).await {
                Some(answered) => was_there |= answered,
                None => return,
            }
        }
        let why = if was_there { &gone } else { &nobody };
        if tell.send(News::Absent(why.clone())).await.is_err() {
            return;
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// Tells what happens until the agent ends, and whether it answered; `None` if nobody listens any more.
async fn tell_events(contact: Contact, tell: &mpsc::Sender<News>) -> Option<bool> {
    let Ok(mut following) = contact.follow().await else { return Some(false) };
    tell.send(News::Found(contact)).await.ok()?;
    while let Ok(Some(event)) = following.next().await {
        tell.send(News::Happened(event)).await.ok()?;
    }
    Some(true)
}
