//! fail2ban as seen from outside: its socket, its command line, its config.

use std::ffi::OsString;
use std::path::PathBuf;

pub mod blame;
pub mod burning;
pub mod cause;
pub mod client;
pub mod client_restart;
pub mod commands;
pub mod database;
pub mod descriptors;
pub mod diagnose;
pub mod dump;
mod endless;
pub mod finding;
pub mod firewall;
pub mod folder;
pub mod jailfile;
pub mod literal;
pub mod ownlog;
pub mod pickle;
mod proc;
pub mod process;
pub mod rehearsal;
pub mod scratch;
pub mod signs;
pub mod stream;
pub mod threads;
pub mod vitals;

/// Where one fail2ban lives and how its client is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// The program and its first arguments, usually just `fail2ban-client`.
    pub client: Vec<OsString>,
    /// The config folder, usually `/etc/fail2ban`.
    pub config_dir: PathBuf,
    /// The daemon's socket; absolute, as the daemon changes to `/`.
    pub socket: PathBuf,
    /// The daemon's pid file; absolute, as the daemon changes to `/`.
    pub pid_file: PathBuf,
}

impl Instance {
    /// The words that run fail2ban's client for this instance with `args`.
    pub fn client_command<A: Into<OsString>>(
        &self,
        args: impl IntoIterator<Item = A>,
    ) -> Vec<OsString> {
        let mut words = self.client.clone();
        words.extend(self.options(args));
        words
    }

    /// The options that name this instance, and `args`: what follows the client's own words.
    fn options<A: Into<OsString>>(&self, args: impl IntoIterator<Item = A>) -> Vec<OsString> {
        let mut words: Vec<OsString> = Vec::new();
        for (flag, path) in [
            ("-c", &self.config_dir),
            ("-s", &self.socket),
            ("-p", &self.pid_file),
        ] {
            words.push(flag.into());
            words.push(path.into());
        }
        words.extend(args.into_iter().map(Into::into));
        words
    }
}
