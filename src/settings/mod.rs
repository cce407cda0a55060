//! settings stub
#![allow(missing_docs)]
use crate::fail2ban::Instance;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub config_dir: PathBuf,
    pub state_dir: PathBuf,
    pub settle: Duration,
    pub daemon: DaemonS,
    pub probe: Probe,
    pub restart: RestartS,
}
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaemonS {
    pub unit: Option<String>,
    pub socket: PathBuf,
    pub pid_file: PathBuf,
    pub client: Vec<String>,
    pub start_command: Option<Vec<String>>,
}
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    pub interval: Duration,
    pub timeout: Duration,
    pub busy_limit: Duration,
}
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestartS {
    pub comeback: Duration,
    pub stop_timeout: Duration,
}
impl Settings {
    pub fn load(_p: Option<&Path>) -> Result<Self, String> {
        let base = std::env::var("F2B").unwrap_or_default();
        let b = |s: &str, d: &str| {
            if base.is_empty() {
                PathBuf::from(d)
            } else {
                PathBuf::from(format!("{base}/{s}"))
            }
        };
        Ok(Self {
            config_dir: b("cfg", "/etc/fail2ban"),
            state_dir: b("state", "/var/lib/jailwarden"),
            settle: Duration::from_millis(500),
            daemon: DaemonS {
                unit: base.is_empty().then(|| "fail2ban.service".into()),
                socket: b("s", "/run/fail2ban/fail2ban.sock"),
                pid_file: b("p", "/run/fail2ban/fail2ban.pid"),
                client: vec!["fail2ban-client".into()],
                start_command: None,
            },
            probe: Probe {
                interval: Duration::from_secs(10),
                timeout: Duration::from_secs(5),
                busy_limit: Duration::from_secs(30),
            },
            restart: RestartS {
                comeback: Duration::from_secs(10),
                stop_timeout: Duration::from_secs(90),
            },
        })
    }
    pub fn instance(&self) -> Instance {
        Instance {
            client: self.daemon.client.clone(),
            config_dir: self.config_dir.clone(),
            socket: self.daemon.socket.clone(),
            pid_file: self.daemon.pid_file.clone(),
        }
    }
    pub fn start_command(&self) -> Vec<OsString> {
        match &self.daemon.start_command {
            Some(w) => w.iter().map(Into::into).collect(),
            None => self.instance().client_command(["-x", "start"]),
        }
    }
}
