//! What the loop wakes up for, and the events that it makes of that.

use std::collections::VecDeque;
use std::time::SystemTime;

use super::daemon::Message;
use super::watch::Hints;
use super::{Supervisor, policy};
use crate::control::link::Ask;
use crate::machine::report::Kind;
use crate::machine::{Daemon, Event, Observed, Operator, Outcome};
use crate::pause;
use crate::settings::Settings;

/// What the loop woke up for.
pub(super) enum Wake {
    Message(Message),
    Hints(Hints),
    Ask(Ask),
    Time,
    End,
    Reread,
}

impl Supervisor {
    /// Waits for whatever comes first; nothing is worked on here.
    pub(super) async fn wait(&mut self) -> Wake {
        let due = self.due();
        tokio::select! {
            _ = self.signals.terminate.recv() => Wake::End,
            _ = self.signals.interrupt.recv() => Wake::End,
            _ = self.signals.hang_up.recv() => Wake::Reread,
            Some(message) = self.inbox.recv() => Wake::Message(message),
            Some(ask) = self.asks.recv() => Wake::Ask(ask),
            hints = self.watch.next() => Wake::Hints(hints),
            _ = self.alarm.at(due) => Wake::Time,
        }
    }

    pub(super) async fn events(&mut self, wake: Wake) -> VecDeque<Event> {
        let mut events = VecDeque::new();
        match wake {
            Wake::Message(message) => match message {
                Message::Event(event) => {
                    if let Event::Done {
                        outcome: Outcome::Seen(sight),
                        ..
                    } = &*event
                    {
                        if let Daemon::Answers { ping, .. } = sight.daemon {
                            self.metrics.ping(ping);
                        }
                        self.watch.verify().await;
                    }
                    self.count_start(&event);
                    events.push_back(*event);
                }
                Message::Say(kind, what) => self.tell(kind, what),
                Message::Places(places) => {
                    self.watch.follow(&places).await;
                }
            },
            Wake::Hints(hints) => {
                if let Some(why) = hints.incomplete {
                    self.tell(Kind::WatchIncomplete, why);
                }
                if hints.config {
                    events.push_back(Event::Observed(Observed::ConfigTouched));
                }
                if hints.socket {
                    events.push_back(Event::Observed(Observed::SocketMoved));
                }
                if hints.pause {
                    let resume = Event::Operator(Operator::Resume);
                    events.push_back(self.pause().unwrap_or(resume));
                }
            }
            Wake::Ask(ask) => events.extend(self.hear(ask)),
            Wake::Time => events.push_back(Event::Timeout),
            Wake::End => events.push_back(Event::Shutdown),
            Wake::Reread => events.extend(self.reread_settings()),
        }
        events
    }

    /// A start counts once it was given: it may be forestalled, or the config be another one by then.
    fn count_start(&mut self, event: &Event) {
        if let Event::Done { id, outcome } = event
            && let Some((_, cause)) = self.giving.take_if(|(giving, _)| giving == id)
            && *outcome == Outcome::Effect(Ok(()))
        {
            self.metrics.start(cause);
        }
    }

    /// The pause in force, if one is. A file that cannot be understood asks for one all the same.
    pub(super) fn pause(&self) -> Option<Event> {
        let (state_dir, now) = (&self.handle.settings().state_dir, SystemTime::now());
        let (left, why) = match pause::in_force(state_dir, now) {
            Ok(pause) => {
                let pause = pause?;
                (pause.left(now), pause.why())
            }
            Err(error) => {
                let path = pause::path(state_dir);
                (None, format!("{}: {error}", path.display()))
            }
        };
        Some(Event::Operator(Operator::Pause { left, why }))
    }

    /// SIGHUP: what [`Settings::reloaded`] takes is in force at once, the rest is fixed for a run.
    fn reread_settings(&mut self) -> Option<Event> {
        let _ = self.notifier.reloading();
        let read = Settings::load(self.config.as_deref());
        let event = match read {
            Ok(new) => {
                let old = self.handle.settings();
                let note = if old.reloaded(&new) == new {
                    String::new()
                } else {
                    format!(
                        "; some of it takes effect only with: systemctl restart {}",
                        old.service()
                    )
                };
                self.tell(
                    Kind::SettingsReloaded,
                    format!("the settings were read again{note}"),
                );
                self.handle.set_policy(policy(&new));
                Some(Event::SettingsChanged(policy(&new)))
            }
            Err(error) => {
                self.tell(
                    Kind::SettingsRefused,
                    format!("the new settings are faulty, the old ones stay: {error}"),
                );
                None
            }
        };
        let _ = self.notifier.ready();
        event
    }
}
