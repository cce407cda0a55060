//! Config faults as data: what to save into a working config, and what is to be said of it.
//!
//! The working config has three jails, of which [`FAULTY`] is the one in the middle: a fault of it must
//! leave those alone that sort before and after it.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::daemon::Version;

pub(crate) mod table;

/// The jail that gets the faults, by the name of its log and of its mark.
pub(crate) const FAULTY: &str = "web";
/// The jails of the working config in fail2ban's order; the mark of each bears this name too.
pub(crate) const JAILS: [&str; 3] = ["aa", FAULTY, "zz"];

/// Stands for the folder of the logs.
const LOGS: &str = "LOGS";

/// Rows of one kind.
pub(crate) struct Group {
    /// The heading.
    pub(crate) title: &'static str,
    pub(crate) rows: &'static [Row],
}

/// One change of the working config.
#[derive(Debug)]
pub(crate) struct Row {
    /// What it is, in words; no two rows have the same.
    pub(crate) name: &'static str,
    /// The files that it changes.
    pub(crate) puts: &'static [Put],
    /// What is true of it.
    verdict: Verdict,
    /// The versions of which something else is true.
    but: &'static [(Version, Verdict)],
    /// What the middle jail is called then.
    pub(crate) jail: &'static str,
    /// A Python module that is not there then.
    pub(crate) without: Option<&'static str>,
}

/// What is true of a row.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Verdict {
    /// Every jail protects, and nothing is found.
    Works,
    /// This is found, in this order.
    Found(&'static [Told]),
    /// The user may not read this file, so that there is no telling.
    Denied(&'static str),
    /// Nothing can be found before it is run, and yet something does not protect.
    Beyond,
}

/// A finding: its kind, its jails, and its `FILE:LINE` below the config folder.
pub(crate) type Told = (&'static str, &'static str, &'static str);

/// What is put where; paths are below the config folder, or `LOGS/…`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Put {
    /// These lines for the middle jail, from line 2 on of `jail.d/web.local`.
    Jail(&'static str),
    /// These lines in the middle jail's filter, from line 3 on of `filter.d/web.conf`.
    Filter(&'static str),
    Text(&'static str, &'static str),
    Bytes(&'static str, &'static [u8]),
    Folder(&'static str),
    Fifo(&'static str),
    Link(&'static str, &'static str),
    Gone(&'static str),
    /// Nobody but root may read it.
    Secret(&'static str),
}

pub(crate) const fn works(name: &'static str, puts: &'static [Put]) -> Row {
    Row {
        name,
        puts,
        verdict: Verdict::Works,
        but: &[],
        jail: FAULTY,
        without: None,
    }
}

pub(crate) const fn fault(name: &'static str, puts: &'static [Put], told: &'static [Told]) -> Row {
    Row {
        verdict: Verdict::Found(told),
        ..works(name, puts)
    }
}

pub(crate) const fn beyond(name: &'static str, puts: &'static [Put]) -> Row {
    Row {
        verdict: Verdict::Beyond,
        ..works(name, puts)
    }
}

impl Row {
    pub(crate) const fn denied(
        name: &'static str,
        file: &'static str,
        puts: &'static [Put],
    ) -> Self {
        Self {
            verdict: Verdict::Denied(file),
            ..works(name, puts)
        }
    }

    /// Whether it takes a plain user.
    pub(crate) fn is_of_plain_user(&self) -> bool {
        matches!(self.verdict, Verdict::Denied(_))
    }

    pub(crate) const fn but(self, but: &'static [(Version, Verdict)]) -> Self {
        Self { but, ..self }
    }

    pub(crate) const fn jail(self, jail: &'static str) -> Self {
        Self { jail, ..self }
    }

    pub(crate) const fn without(self, module: &'static str) -> Self {
        Self {
            without: Some(module),
            ..self
        }
    }

    /// Whether it changes the config, and not what the config speaks of.
    pub(crate) fn is_of_config(&self) -> bool {
        let (config, logs) = (Path::new("config"), Path::new("logs"));
        let mut places = self.puts.iter().map(|put| put.place(config, logs));
        places.any(|place| place.starts_with(config))
    }

    /// Whether the versions are known to differ.
    pub(crate) fn differs(&self) -> bool {
        !self.but.is_empty()
    }

    pub(crate) fn verdict(&self, version: Version) -> Verdict {
        let other = self.but.iter().find(|(of, _)| *of == version);
        other.map_or(self.verdict, |(_, verdict)| *verdict)
    }

    /// Saves it into a config folder; `logs` is the folder of the logs as the config names it, which
    /// is to be found at `logs_here`.
    pub(crate) fn save(&self, config: &Path, logs: &str, logs_here: &Path) {
        for put in self.puts {
            let place = put.place(config, logs_here);
            let said = |text: &str| text.replace(LOGS, logs);
            match put {
                Put::Jail(lines) => write(&place, said(&format!("[web]\n{lines}\n"))),
                Put::Filter(lines) => write(
                    &place,
                    format!("[Definition]\ndatepattern = {{^LN-BEG}}EPOCH\n{lines}\n"),
                ),
                Put::Text(_, text) => write(&place, said(text)),
                Put::Bytes(_, bytes) => write(&place, bytes),
                Put::Folder(_) => {
                    remove(&place);
                    fs::create_dir(place).unwrap();
                }
                Put::Fifo(_) => {
                    remove(&place);
                    let mode = Mode::from_raw_mode(0o644);
                    mknodat(CWD, place, FileType::Fifo, mode, 0).unwrap();
                }
                Put::Link(_, target) => {
                    remove(&place);
                    symlink(said(target), place).unwrap();
                }
                Put::Gone(_) => remove(&place),
                Put::Secret(_) => {
                    fs::set_permissions(place, Permissions::from_mode(0o000)).unwrap();
                }
            }
        }
    }

    /// Whether [`Self::mend`] can put all of it back: not what is the stock config's.
    pub(crate) fn can_be_mended(&self) -> bool {
        let sound = sound("");
        let is_ours =
            |path: &str| path.starts_with(LOGS) || sound.iter().any(|(file, _)| file == path);
        let mut puts = self.puts.iter();
        puts.all(|put| !matches!(put, Put::Gone(path) if !is_ours(path)))
    }

    /// Puts back what was there before [`Self::save`].
    pub(crate) fn mend(&self, config: &Path, logs: &str, logs_here: &Path) {
        let sound = sound(logs);
        for put in self.puts.iter().rev() {
            let place = put.place(config, logs_here);
            let before = sound.iter().find(|(path, _)| config.join(path) == place);
            match before {
                Some((_, text)) => {
                    if place.is_dir() {
                        remove(&place);
                    }
                    write(&place, text);
                }
                None if JAILS.iter().any(|jail| place == log(logs_here, jail)) => {
                    remove(&place);
                    write(&place, "");
                }
                None => remove(&place),
            }
        }
    }
}

impl Put {
    fn place(&self, config: &Path, logs: &Path) -> PathBuf {
        let path = match self {
            Self::Jail(_) => "jail.d/web.local",
            Self::Filter(_) => "filter.d/web.conf",
            Self::Text(path, _)
            | Self::Bytes(path, _)
            | Self::Link(path, _)
            | Self::Folder(path)
            | Self::Fifo(path)
            | Self::Gone(path)
            | Self::Secret(path) => path,
        };
        match path.strip_prefix("LOGS/") {
            Some(log) => logs.join(log),
            None => config.join(path),
        }
    }
}

/// The log of a jail.
pub(crate) fn log(logs: &Path, jail: &str) -> PathBuf {
    logs.join(format!("{jail}.log"))
}

/// The files of the working config, below its folder.
fn sound(logs: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for jail in JAILS {
        let filter =
            "[Definition]\ndatepattern = {^LN-BEG}EPOCH\nfailregex = ^ fail from <HOST>$\n";
        files.push((format!("filter.d/{jail}.conf"), filter.to_owned()));
        let section = format!(
            "[{jail}]\nenabled = true\nfilter = {jail}\nbackend = polling\n\
             logpath = {logs}/{jail}.log\nmaxretry = 3\nbantime = 600\nusedns = no\n\
             action = mark[name=\"{jail}\"]\n"
        );
        files.push((format!("jail.d/{jail}.conf"), section));
    }
    files
}

/// Writes the working config and its logs; `action.d/mark.conf` is the caller's.
pub(crate) fn lay_out(config: &Path, logs: &str, logs_here: &Path) {
    for (file, text) in sound(logs) {
        write(&config.join(file), text);
    }
    for jail in JAILS {
        write(&log(logs_here, jail), "");
    }
}

fn write(place: &Path, content: impl AsRef<[u8]>) {
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(place, content).unwrap();
}

fn remove(place: &Path) {
    if place.is_dir() && !place.is_symlink() {
        fs::remove_dir_all(place).unwrap();
    } else if place.symlink_metadata().is_ok() {
        fs::remove_file(place).unwrap();
    }
}
