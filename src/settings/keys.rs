//! Every key of the settings, with its default and its bounds.

use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use super::fields::Fields;
use super::{
    Alerts, Control, Daemon, HOST, Probe, Restart, Settings, Severity, instance_of, values,
};

const MS: Duration = Duration::from_millis(1);
const SEC: Duration = Duration::from_secs(1);
const MIN: Duration = Duration::from_secs(60);

/// What a further instance must be told, since the defaults are those of the host's own fail2ban.
const OF_ONE_DAEMON: [&str; 4] = [
    "config_dir",
    "daemon.unit",
    "daemon.socket",
    "daemon.pid_file",
];

impl Settings {
    /// Every key with its default and its bounds.
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        let instance = instance_of(fields.file());
        if instance.is_some() {
            fields.require(&OF_ONE_DAEMON);
        }
        let own = match &instance {
            Some(name) => format!("{HOST}-{name}"),
            None => HOST.to_owned(),
        };
        let config_dir = fields.read("config_dir", "/etc/fail2ban".into(), values::path);
        let state_dir = format!("/var/lib/{own}").into();
        let state_dir = fields.read("state_dir", state_dir, values::path);
        if state_dir.starts_with(&config_dir) {
            let what = format!(
                "state_dir ({}) must not lie in config_dir ({}): what jailwarden writes there \
                 would look like a change of the config",
                state_dir.display(),
                config_dir.display(),
            );
            fields.conflict(["state_dir", "config_dir"], what);
        }
        Self {
            settle: span(fields, "settle", 500 * MS, 50 * MS..=5 * SEC),
            daemon: Daemon::read(fields, &config_dir),
            probe: Probe::read(fields),
            restart: Restart {
                comeback: span(fields, "restart.comeback", 10 * SEC, SEC..=10 * MIN),
                stop_timeout: span(fields, "restart.stop_timeout", 90 * SEC, SEC..=30 * MIN),
                replace_files: fields.read("restart.replace_files", true, values::boolean),
            },
            alerts: Alerts {
                command: fields.read("alerts.command", None, values::command_or_none),
                severity: fields.read("alerts.severity", Severity::Notice, values::severity),
            },
            metrics_textfile: fields.read("metrics.textfile", None, values::path_or_none),
            control: Control::read(fields, &own),
            page_listen: fields.read("page.listen", None, values::loopback_or_none),
            instance,
            config_dir,
            state_dir,
        }
    }
}

impl Control {
    /// `own` is the name of this instance's folders.
    fn read(fields: &mut Fields<'_>, own: &str) -> Self {
        let socket = Some(format!("/run/{own}/control.sock").into());
        Self {
            socket: fields.read("control.socket", socket, values::socket_or_none),
            admins: fields.read("control.admins", Vec::new(), values::users),
        }
    }
}

impl Daemon {
    fn read(fields: &mut Fields<'_>, config_dir: &Path) -> Self {
        let unit = Some("fail2ban.service".to_owned());
        let unit = fields.read("daemon.unit", unit, values::unit);
        let socket = "/run/fail2ban/fail2ban.sock".into();
        let socket = fields.read("daemon.socket", socket, values::socket);
        let pid_file = "/run/fail2ban/fail2ban.pid".into();
        let pid_file = fields.read("daemon.pid_file", pid_file, values::path);
        if socket == pid_file {
            let what = "the socket and the pid file cannot be the same file".to_owned();
            fields.conflict(["daemon.pid_file", "daemon.socket"], what);
        }
        let client = vec!["fail2ban-client".into()];
        let client = fields.read("daemon.client", client, values::command);
        let start_command = start_command(&client, config_dir, &socket, &pid_file);
        Self {
            start_command: fields.read("daemon.start_command", start_command, values::command),
            unit,
            socket,
            pid_file,
            client,
        }
    }
}

impl Probe {
    fn read(fields: &mut Fields<'_>) -> Self {
        let interval = span(fields, "probe.interval", 10 * SEC, SEC..=60 * MIN);
        let timeout = span(fields, "probe.timeout", 5 * SEC, 100 * MS..=MIN);
        // fail2ban's own client waits 30 s for an answer.
        let busy_limit = span(fields, "probe.busy_limit", 30 * SEC, SEC..=10 * MIN);
        if busy_limit < timeout {
            let what = format!(
                "busy_limit ({}) must not be shorter than timeout ({}): a busy daemon is given \
                 more time than a frozen one",
                humantime::format_duration(busy_limit),
                humantime::format_duration(timeout),
            );
            fields.conflict(["probe.busy_limit", "probe.timeout"], what);
        }
        Self {
            interval,
            timeout,
            busy_limit,
            firewall: fields.read("probe.firewall", true, values::boolean),
        }
    }
}

fn span(
    fields: &mut Fields<'_>,
    key: &'static str,
    default: Duration,
    range: RangeInclusive<Duration>,
) -> Duration {
    fields.read(key, default, |node| values::duration(node, &range))
}

/// `-x`, because without it a crashed daemon's socket makes fail2ban 1.0.2 refuse to start.
fn start_command(
    client: &[OsString],
    config_dir: &Path,
    socket: &Path,
    pid_file: &Path,
) -> Vec<OsString> {
    let mut words = client.to_vec();
    words.push("-x".into());
    for (option, path) in [("-c", config_dir), ("-s", socket), ("-p", pid_file)] {
        words.extend([option.into(), path.into()]);
    }
    words.push("start".into());
    words
}
