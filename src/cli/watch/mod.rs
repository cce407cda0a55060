//! `jailwarden status --watch`: the status on a screen that stays, and keys to act.

mod draw;
#[cfg(test)]
mod tests;
mod view;

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, KeyEvent, KeyEventKind};
use tokio::signal::unix::{SignalKind, signal};

use self::draw::draw;
use self::view::{Deed, View, Wish};
use super::paint::Tone;
use super::{exit, output};
use crate::control::client::{Client, ClientError, Event};
use crate::control::problem::Kind;
use crate::control::wire::PauseRequest;
use crate::status::{Happening, Status, words};

/// How old what is shown may get while nothing happens.
const FRESH: Duration = Duration::from_secs(1);

/// Watches until it is told to quit. `status` is what is true now.
pub(super) fn run(client: &Client, status: Status, may_change: bool) -> ExitCode {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        output::complain(format_args!(
            "--watch needs a terminal; for programs: {} status --json",
            words::called(&status)
        ));
        return ExitCode::from(exit::USAGE);
    }
    let mut terminal = match ratatui::try_init() {
        Ok(terminal) => terminal,
        Err(error) => {
            output::complain(format_args!("the terminal cannot be used: {error}"));
            return ExitCode::from(exit::UNREACHABLE);
        }
    };
    let outcome = Watch::begin(client, View::new(status, may_change)).run(&mut terminal);
    ratatui::restore();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(format_args!(
                "the terminal cannot be used any more: {error}"
            ));
            ExitCode::from(exit::UNREACHABLE)
        }
    }
}

/// What the loop waits for.
enum Input {
    Key(KeyEvent),
    Resized,
    Status(Result<Box<Status>, ClientError>),
    Happened(Happening),
    Done(Result<(), ClientError>),
    /// The terminal is gone, or a signal says so.
    End,
}

struct Watch {
    client: Client,
    view: View,
    inputs: Receiver<Input>,
    sender: Sender<Input>,
    /// Has the status asked for at once.
    nudge: Sender<()>,
}

impl Watch {
    fn begin(client: &Client, view: View) -> Self {
        let (sender, inputs) = mpsc::channel();
        let (nudge, nudges) = mpsc::channel();
        let start = |work: fn(&Client, &Sender<Input>)| {
            let (client, sender) = (client.clone(), sender.clone());
            thread::spawn(move || work(&client, &sender));
        };
        start(|_, sender| keys(sender));
        start(|_, sender| signals(sender));
        start(listen);
        let (ours, to_loop) = (client.clone(), sender.clone());
        thread::spawn(move || look(&ours, &to_loop, &nudges));
        Self {
            client: client.clone(),
            view,
            inputs,
            sender,
            nudge,
        }
    }

    fn run(mut self, terminal: &mut DefaultTerminal) -> io::Result<()> {
        loop {
            terminal.draw(|frame| draw(&self.view, frame))?;
            let Ok(input) = self.inputs.recv() else {
                return Ok(());
            };
            match input {
                Input::Key(key) => match self.view.key(key) {
                    Some(Wish::Quit) => return Ok(()),
                    Some(Wish::Do(deed)) => self.obey(deed),
                    None => {}
                },
                Input::Resized => {}
                Input::Status(Ok(status)) => self.view.update(*status),
                Input::Status(Err(error)) => self.view.lost = Some(error.to_string()),
                Input::Happened(happening) => {
                    self.view.happened(happening);
                    self.look();
                }
                Input::Done(outcome) => self.done(outcome),
                Input::End => return Ok(()),
            }
        }
    }

    fn obey(&mut self, deed: Deed) {
        self.view.at_work = Some(deed.clone());
        let (client, sender) = (self.client.clone(), self.sender.clone());
        thread::spawn(move || {
            // The loop may have ended meanwhile.
            drop(sender.send(Input::Done(call(&client, &deed))));
        });
    }

    fn done(&mut self, outcome: Result<(), ClientError>) {
        self.view.at_work = None;
        self.view.said = Some(match &outcome {
            Ok(()) => (Tone::Good, "done".to_owned()),
            Err(error) => (Tone::Bad, error.to_string()),
        });
        if let Err(ClientError::Problem(problem)) = outcome {
            self.view.may_change &= problem.kind != Kind::Forbidden;
        }
        self.look();
    }

    fn look(&self) {
        // Whoever looks ends with us only.
        let _ = self.nudge.send(());
    }
}

fn call(client: &Client, deed: &Deed) -> Result<(), ClientError> {
    match deed {
        Deed::Reload => client.reload(),
        Deed::Restart => client.restart(),
        Deed::Undo(jail) => client.undo(jail).map(drop),
        Deed::Resume => client.resume().map(drop),
        Deed::Pause => {
            let request = PauseRequest {
                span: None,
                reason: Some("asked for in the live view".to_owned()),
            };
            client.pause(&request).map(drop)
        }
    }
}

fn keys(sender: &Sender<Input>) {
    loop {
        let input = match event::read() {
            Ok(event::Event::Key(key)) if key.kind == KeyEventKind::Press => Input::Key(key),
            Ok(event::Event::Resize(..)) => Input::Resized,
            Ok(_) => continue,
            Err(_) => Input::End,
        };
        let is_end = matches!(input, Input::End);
        if sender.send(input).is_err() || is_end {
            return;
        }
    }
}

/// A signal that would end us must not leave the terminal as it is.
fn signals(sender: &Sender<Input>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let Ok(runtime) = runtime else { return };
    runtime.block_on(async {
        let kinds = [SignalKind::terminate(), SignalKind::hangup()];
        let [Ok(mut term), Ok(mut hup)] = kinds.map(signal) else {
            return;
        };
        tokio::select! {
            _ = term.recv() => {}
            _ = hup.recv() => {}
        }
        let _ = sender.send(Input::End);
    });
}

/// Asks for the status when it is nudged, and else as often as what is shown gets old.
fn look(client: &Client, sender: &Sender<Input>, nudges: &Receiver<()>) {
    loop {
        let _ = nudges.recv_timeout(FRESH);
        while nudges.try_recv().is_ok() {}
        let status = client.status().map(Box::new);
        if sender.send(Input::Status(status)).is_err() {
            return;
        }
    }
}

/// Listens to what happens, again and again where that breaks off.
fn listen(client: &Client, sender: &Sender<Input>) {
    let mut last: Option<String> = None;
    loop {
        if let Ok(events) = client.events(last.as_deref()) {
            for event in events {
                let Ok(Event::Happened { id, happening }) = event else {
                    continue;
                };
                last = Some(id);
                if sender.send(Input::Happened(happening)).is_err() {
                    return;
                }
            }
        }
        thread::sleep(FRESH);
    }
}
