//! What people and programs ask of the supervisor, and what it keeps for them.

use std::time::{Instant, SystemTime};

use crate::control::link::{self, Ask};
use crate::machine::{Command, CommandId, Event, Operator, Snapshot};
use crate::status::Status;

use super::{Supervisor, TEXTFILE_PACE, metrics, publish};

impl Supervisor {
    /// A question is answered at once, and a command is one for the machine.
    pub(super) fn hear(&mut self, ask: Ask) -> Option<Event> {
        match ask {
            Ask::Status(asker) => {
                let _ = asker.send(self.status().0);
                None
            }
            Ask::Metrics(asker) => {
                let (status, snapshot) = self.status();
                if let Ok(text) = self.metrics.text(&status, &snapshot) {
                    let _ = asker.send(text);
                }
                None
            }
            Ask::Past(asker) => {
                self.account();
                let _ = asker.send(self.chronicle.past());
                None
            }
            Ask::Do(command, asker) => {
                self.last_command += 1;
                let id = CommandId(self.last_command);
                self.askers.insert(id, asker);
                let command = match command {
                    link::Command::Reload => Command::Reload,
                    link::Command::Restart => Command::Restart,
                    link::Command::RollBack { jail } => Command::RollBack { jail },
                };
                Some(Event::Operator(Operator::Do(id, command)))
            }
        }
    }

    /// For `node_exporter`, where the settings want it.
    pub(super) fn write_metrics(&mut self) {
        let Some((path, written)) = &mut self.textfile else {
            return;
        };
        if written.elapsed() < TEXTFILE_PACE {
            return;
        }
        *written = Instant::now();
        let path = path.clone();
        let (status, snapshot) = self.status();
        if let Ok(text) = self.metrics.text(&status, &snapshot) {
            self.scribe.write(move || metrics::write(&path, &text));
        }
    }

    fn status(&mut self) -> (Status, Snapshot) {
        self.account();
        let snapshot = self.machine.snapshot();
        let status = publish::status(&snapshot, &self.handle, &self.chronicle, self.clocks);
        (status, snapshot)
    }

    /// Takes over what went unprotected, and has it written now and then.
    pub(super) fn account(&mut self) {
        let now = SystemTime::now();
        self.chronicle.account(now, &self.machine.unprotected());
        if let Some(unsaved) = self.chronicle.unsaved(now) {
            self.scribe.write(|| unsaved.write());
        }
    }
}
