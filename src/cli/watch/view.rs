//! What is on the screen, and what a key does to it.

use std::collections::VecDeque;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::cli::paint::Tone;
use crate::cli::status::ordered;
use crate::status::{Condition, Happening, Jail, Status};
use crate::text::safe;

/// How much of what happened is remembered.
const NEWS: usize = 50;

/// What is on the screen.
#[derive(Debug)]
pub(super) struct View {
    /// What was true last.
    pub(super) status: Status,
    /// Why that is not so fresh.
    pub(super) lost: Option<String>,
    /// Whether this user may do more than look.
    pub(super) may_change: bool,
    /// What was asked for, and waits for a yes.
    pub(super) question: Option<Deed>,
    /// What is being done.
    pub(super) at_work: Option<Deed>,
    /// How the last deed went.
    pub(super) said: Option<(Tone, String)>,
    /// The jail that is pointed at, in the order of the table.
    pub(super) selected: usize,
    /// What happened, the last first.
    pub(super) news: VecDeque<Happening>,
}

/// What a key has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Deed {
    Reload,
    Restart,
    Pause,
    Resume,
    Undo(String),
}

/// What is wanted of the loop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wish {
    Quit,
    Do(Deed),
}

impl Deed {
    /// The question before it.
    pub(super) fn question(&self) -> String {
        match self {
            Self::Reload => "Check the config, and apply what changed?".to_owned(),
            Self::Restart => "Stop fail2ban and start it? No jail protects meanwhile.".to_owned(),
            Self::Pause => "Pause jailwarden? It does nothing then, whatever happens.".to_owned(),
            Self::Resume => "End the pause?".to_owned(),
            Self::Undo(jail) => format!("Undo the rollback of {}?", safe(jail)),
        }
    }

    /// What is said while it goes on.
    pub(super) fn at_work(&self) -> String {
        match self {
            Self::Reload => "the config is being checked".to_owned(),
            Self::Restart => "fail2ban is being restarted".to_owned(),
            Self::Pause => "a pause is being asked for".to_owned(),
            Self::Resume => "the pause is being ended".to_owned(),
            Self::Undo(jail) => format!("the rollback of {} is being undone", safe(jail)),
        }
    }
}

impl View {
    pub(super) fn new(status: Status, may_change: bool) -> Self {
        Self {
            status,
            lost: None,
            may_change,
            question: None,
            at_work: None,
            said: None,
            selected: 0,
            news: VecDeque::new(),
        }
    }

    pub(super) fn update(&mut self, status: Status) {
        self.status = status;
        self.lost = None;
        self.selected = self.selected.min(self.status.jails.len().saturating_sub(1));
    }

    pub(super) fn happened(&mut self, happening: Happening) {
        self.news.push_front(happening);
        self.news.truncate(NEWS);
    }

    /// A key was pressed.
    pub(super) fn key(&mut self, key: KeyEvent) -> Option<Wish> {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return (key.code == KeyCode::Char('c')).then_some(Wish::Quit);
        }
        if let Some(deed) = self.question.take() {
            return (key.code == KeyCode::Char('y')).then_some(Wish::Do(deed));
        }
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Some(Wish::Quit),
            KeyCode::Up | KeyCode::Char('k') => self.selected = self.selected.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => {
                let last = self.status.jails.len().saturating_sub(1);
                self.selected = (self.selected + 1).min(last);
            }
            KeyCode::Char('r') => self.ask(Deed::Reload),
            KeyCode::Char('R') => self.ask(Deed::Restart),
            KeyCode::Char('p') if self.status.pause.is_some() => self.ask(Deed::Resume),
            KeyCode::Char('p') => self.ask(Deed::Pause),
            KeyCode::Char('u') => self.undo(),
            _ => {}
        }
        None
    }

    fn ask(&mut self, deed: Deed) {
        self.said = None;
        if !self.may_change {
            let words =
                "you may look, not act: that is for root, and for the users of control.admins";
            self.said = Some((Tone::Warn, words.to_owned()));
        } else if self.at_work.is_none() {
            self.question = Some(deed);
        }
    }

    /// The rollback of the jail that is pointed at, or of the only one that has any.
    fn undo(&mut self) {
        let jails = ordered(&self.status);
        let is_disabled =
            |jail: &&&Jail| jail.rollback.is_some() || jail.condition == Condition::RolledBack;
        let mut disabled = jails.iter().filter(is_disabled);
        let pointed = jails.get(self.selected).filter(is_disabled);
        let jail = match (pointed, disabled.next(), disabled.next()) {
            (Some(jail), ..) | (None, Some(jail), None) => Ok(jail.name.clone()),
            (None, None, _) => Err("no jail is rolled back"),
            (None, Some(_), Some(_)) => {
                Err("point at a jail that is rolled back, with the arrow keys")
            }
        };
        match jail {
            Ok(jail) => self.ask(Deed::Undo(jail)),
            Err(words) => self.said = Some((Tone::Warn, words.to_owned())),
        }
    }
}
