//! Counters and gauges in `OpenMetrics` text, made when somebody asks for them.

use std::fmt;
use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::machine::report::{Kind, Report};
use crate::machine::{STATES, Snapshot};
use crate::status::{Condition, End, Incident, Protection, Status};

/// Seconds that a ping takes: a millisecond as a rule, five seconds where it is given up.
const PINGS: [f64; 8] = [0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 2.5, 5.0];
/// Seconds from the first sign to the proof of protection.
const RECOVERIES: [f64; 10] = [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 300.0, 3600.0];

type Labels = [(&'static str, String); 1];
type Gauges = Family<Labels, Gauge>;

/// What is counted from the start of this jailwarden on.
#[derive(Debug)]
pub(super) struct Metrics {
    reports: Family<Labels, Counter>,
    starts: Family<Labels, Counter>,
    incidents: Counter,
    pings: Histogram,
    recoveries: Histogram,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let reports: Family<Labels, Counter> = Family::default();
        // A rate of what never happened is zero, not unknown.
        for kind in Kind::ALL {
            drop(reports.get_or_create(&[("kind", kind.name().to_owned())]));
        }
        Self {
            reports,
            starts: Family::default(),
            incidents: Counter::default(),
            pings: Histogram::new(PINGS),
            recoveries: Histogram::new(RECOVERIES),
        }
    }

    pub(super) fn report(&self, report: &Report) {
        let kind = report.kind.name().to_owned();
        self.reports.get_or_create(&[("kind", kind)]).inc();
    }

    /// The start of the daemon was given, for this reason.
    pub(super) fn start(&self, cause: &'static str) {
        self.starts
            .get_or_create(&[("cause", cause.to_owned())])
            .inc();
    }

    pub(super) fn ping(&self, ping: Duration) {
        self.pings.observe(ping.as_secs_f64());
    }

    pub(super) fn incident(&self, incident: &Incident) {
        self.incidents.inc();
        let (Some(ended), Some(End::Protected)) = (incident.ended, incident.end) else {
            return;
        };
        self.recoveries
            .observe(incident.began.age(ended).as_secs_f64());
    }

    /// All of it, with what is true now.
    ///
    /// # Errors
    /// None that memory would not give.
    pub(super) fn text(&self, status: &Status, snapshot: &Snapshot) -> Result<String, fmt::Error> {
        // node_exporter takes the files of several instances only if no series is in two of them.
        let label = |name: &String| ("jailwarden_instance".into(), name.clone().into());
        let labels = status.instance.iter().map(label);
        let mut registry = Registry::with_prefix_and_labels("jailwarden", labels);
        self.register_counted(&mut registry);
        register_host(&mut registry, status, snapshot);
        register_jails(&mut registry, status, snapshot);
        let mut text = String::new();
        encode(&mut text, &registry)?;
        Ok(text)
    }

    fn register_counted(&self, registry: &mut Registry) {
        registry.register(
            "reports",
            "Reports to the journal by kind",
            self.reports.clone(),
        );
        registry.register(
            "starts",
            "Starts of fail2ban by jailwarden, by cause",
            self.starts.clone(),
        );
        registry.register("incidents", "Incidents that ended", self.incidents.clone());
        registry.register_with_unit(
            "probe_duration",
            "How long fail2ban took to answer the ping of a probe",
            Unit::Seconds,
            self.pings.clone(),
        );
        registry.register_with_unit(
            "recovery_duration",
            "From the first sign of an incident to the proof that all jails protect",
            Unit::Seconds,
            self.recoveries.clone(),
        );
    }
}

/// Writes the text whole, for every reader. Blocking.
///
/// # Errors
/// What the system says, with the path.
pub(super) fn write(path: &Path, text: &str) -> Result<(), String> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let write = || {
        let mut file = tempfile::Builder::new()
            .prefix(".jailwarden-")
            .tempfile_in(folder)?;
        // The umask would take bits from the mode that it is made with.
        file.as_file()
            .set_permissions(Permissions::from_mode(0o644))?;
        file.write_all(text.as_bytes())?;
        file.persist(path)?;
        io::Result::Ok(())
    };
    write().map_err(|error| format!("{}: {error}", path.display()))
}

/// Nobody writes it any more: what is left would be served as what is true. Blocking.
pub(super) fn remove(path: &Path) {
    // It may not be there yet; that its figures are old is seen by the time in it.
    let _ = std::fs::remove_file(path);
}

fn flag(is: bool) -> i64 {
    i64::from(is)
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: i64) {
    let gauge: Gauge = Gauge::default();
    gauge.set(value);
    registry.register(name, help, gauge);
}

/// One of several: 1 for the one that holds, 0 for the others.
fn one_of(
    registry: &mut Registry,
    (name, help): (&str, &str),
    label: &'static str,
    all: impl IntoIterator<Item = (String, bool)>,
) {
    let family = Gauges::default();
    for (value, holds) in all {
        family.get_or_create(&[(label, value)]).set(flag(holds));
    }
    registry.register(name, help, family);
}

fn register_host(registry: &mut Registry, status: &Status, snapshot: &Snapshot) {
    let build = Gauges::default();
    build
        .get_or_create(&[("version", status.version.clone())])
        .set(1);
    registry.register("build_info", "The version that runs", build);
    let at = status.at.time().duration_since(SystemTime::UNIX_EPOCH);
    let at = i64::try_from(at.unwrap_or_default().as_secs()).unwrap_or(i64::MAX);
    let written = "When these were written, in Unix time";
    gauge(registry, "written_timestamp_seconds", written, at);

    let named = STATES.map(|state| (state.to_owned(), state == status.state));
    one_of(
        registry,
        ("state", "What jailwarden is doing"),
        "state",
        named,
    );
    let levels = [
        ("full", Protection::Full),
        ("partial", Protection::Partial),
        ("none", Protection::None),
        ("unwanted", Protection::Unwanted),
        ("unknown", Protection::Unknown),
    ];
    let levels = levels.map(|(name, level)| (name.to_owned(), level == status.protection));
    let protection = ("protection", "Whether the host is protected");
    one_of(registry, protection, "level", levels);

    let up = flag(status.daemon.ping.is_some());
    gauge(
        registry,
        "daemon_up",
        "fail2ban answered the last probe",
        up,
    );
    let expected = count(snapshot.expected);
    gauge(
        registry,
        "jails_expected",
        "Jails that should run",
        expected,
    );
    let listed = count(snapshot.listed);
    gauge(
        registry,
        "jails_listed",
        "Jails that fail2ban lists, alive or not, wanted or not",
        listed,
    );
    let alive = count(snapshot.alive);
    gauge(
        registry,
        "jails_alive",
        "Of those that should run, the ones seen alive",
        alive,
    );
    let standing = status
        .jails
        .iter()
        .filter(|jail| jail.condition == Condition::RolledBack);
    let standing = count(standing.count());
    gauge(
        registry,
        "rollbacks",
        "Jails that a rollback disables",
        standing,
    );
    let findings = count(status.findings.len());
    gauge(
        registry,
        "findings",
        "What fail2ban would refuse of what is on disk",
        findings,
    );
    let open = flag(status.incident.is_some());
    gauge(registry, "incident_open", "An incident is under way", open);
    let paused = flag(status.pause.is_some());
    gauge(registry, "paused", "A person paused jailwarden", paused);
}

fn register_jails(registry: &mut Registry, status: &Status, snapshot: &Snapshot) {
    let (protects, banned) = (Gauges::default(), Gauges::default());
    let unprotected = Family::<Labels, Counter<f64, AtomicU64>>::default();
    for jail in &status.jails {
        let labels = [("jail", jail.name.clone())];
        let alive = jail.condition == Condition::Protects;
        protects.get_or_create(&labels).set(flag(alive));
        if let Some(count) = jail.banned {
            banned
                .get_or_create(&labels)
                .set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        unprotected
            .get_or_create(&labels)
            .inc_by(jail.unprotected.total);
    }
    registry.register("jail_protects", "The jail was seen alive", protects);
    registry.register("jail_banned", "Addresses that the jail bans now", banned);
    registry.register_with_unit(
        "jail_unprotected",
        "For how long the jail did not protect though it should",
        Unit::Seconds,
        unprotected,
    );
    // Jails that are no more count on: a counter that fell would look like one that began anew.
    let all = snapshot.unprotected.values().map(Duration::as_secs_f64);
    let total: Counter<f64, AtomicU64> = Counter::default();
    total.inc_by(all.sum());
    registry.register_with_unit(
        "unprotected",
        "For how long jails did not protect though they should, summed over all, also those that are no more",
        Unit::Seconds,
        total,
    );
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::*;
    use crate::machine::{Machine, Memory, Names, Policy};
    use crate::status::{Daemon, Jail, SCHEMA, Timestamp, Unprotected};

    fn jail(name: &str, condition: Condition, banned: Option<u64>) -> Jail {
        Jail {
            name: name.to_owned(),
            condition,
            listed: Some(condition == Condition::Protects),
            why: None,
            banned,
            last_read: None,
            rollback: None,
            unprotected: Unprotected {
                total: 2.5,
                ..Unprotected::default()
            },
        }
    }

    fn status() -> Status {
        let now = Timestamp::now();
        Status {
            schema: SCHEMA,
            version: "9.9.9".to_owned(),
            instance: None,
            at: now,
            state: "degraded".to_owned(),
            since: now,
            text: String::new(),
            protection: Protection::Partial,
            deadline: None,
            daemon: Daemon {
                pid: Some(7),
                first_seen: Some(now),
                started: Some(now),
                version: Some("1.0.2".to_owned()),
                in_memory: false,
                ping: Some(0.001),
                unit: None,
                socket: PathBuf::from("/s"),
            },
            jails: vec![
                jail("sshd", Condition::Protects, Some(3)),
                jail("odd \"name\"\n", Condition::RolledBack, None),
            ],
            findings: Vec::new(),
            pause: None,
            incident: None,
            incidents: Vec::new(),
            started: now,
        }
    }

    fn incident(seconds: u64, end: End) -> Incident {
        let began = SystemTime::now();
        Incident {
            id: "1".to_owned(),
            began: Timestamp::from(began),
            ended: Some(Timestamp::from(began + Duration::from_secs(seconds))),
            end: Some(end),
            what: String::new(),
            unprotected: BTreeMap::new(),
            rolled_back: Vec::new(),
            given_up: 0,
        }
    }

    #[test]
    fn the_file_is_whole_and_for_all_to_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("jailwarden.prom");
        for text in ["long before\n", "a\n"] {
            write(&path, text).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(
            write(Path::new("/nowhere/x"), "")
                .unwrap_err()
                .starts_with("/nowhere/x: ")
        );
    }

    #[test]
    fn what_is_counted_and_what_is_true_are_told() {
        let metrics = Metrics::new();
        metrics.start("down");
        metrics.ping(Duration::from_millis(2));
        metrics.incident(&incident(3, End::Protected));
        metrics.incident(&incident(9, End::StoodBy));
        let (machine, _) = Machine::new(Policy::default(), Names::default(), Memory::default(), 0);
        let mut first = status();
        first.at = Timestamp::from(SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000));
        let mut snapshot = machine.snapshot();
        (snapshot.expected, snapshot.listed, snapshot.alive) = (3, 4, 2);
        let lost = |(jail, seconds): (&str, u64)| (jail.to_owned(), Duration::from_secs(seconds));
        snapshot.unprotected = [("sshd", 2), ("no more", 40)].map(lost).into();
        let text = metrics.text(&first, &snapshot).unwrap();
        for line in [
            "jailwarden_build_info{version=\"9.9.9\"} 1",
            "jailwarden_written_timestamp_seconds 1790000000",
            "jailwarden_state{state=\"degraded\"} 1",
            "jailwarden_state{state=\"healthy\"} 0",
            "jailwarden_protection{level=\"partial\"} 1",
            "jailwarden_daemon_up 1",
            "jailwarden_jails_expected 3",
            "jailwarden_jails_listed 4",
            "jailwarden_jails_alive 2",
            "jailwarden_unprotected_seconds_total 42.0",
            "jailwarden_rollbacks 1",
            "jailwarden_jail_protects{jail=\"sshd\"} 1",
            "jailwarden_jail_banned{jail=\"sshd\"} 3",
            "jailwarden_jail_protects{jail=\"odd \\\"name\\\"\\n\"} 0",
            "jailwarden_jail_unprotected_seconds_total{jail=\"sshd\"} 2.5",
            "jailwarden_reports_total{kind=\"gave-up\"} 0",
            "jailwarden_starts_total{cause=\"down\"} 1",
            "jailwarden_incidents_total 2",
            "jailwarden_recovery_duration_seconds_count 1",
            "jailwarden_recovery_duration_seconds_sum 3.0",
            "jailwarden_probe_duration_seconds_bucket{le=\"0.005\"} 1",
        ] {
            assert!(
                text.lines().any(|it| it == line),
                "{line} is not in:\n{text}"
            );
        }
        assert!(text.ends_with("# EOF\n"));

        let mut second = status();
        second.instance = Some("second".to_owned());
        let text = metrics.text(&second, &machine.snapshot()).unwrap();
        let mut series = text.lines().filter(|line| !line.starts_with('#'));
        assert!(
            series.all(|line| line.contains("{jailwarden_instance=\"second\"")),
            "{text}"
        );
    }
}
