//! What looks and readings say, in short.

use super::*;

pub(super) fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

// ---- sights

pub(super) fn answers(jails: &[&str]) -> Sight {
    answers_as(7, jails)
}

pub(super) fn answers_as(pid: u32, jails: &[&str]) -> Sight {
    with_dead(pid, jails, &[])
}

pub(super) fn with_dead(pid: u32, jails: &[&str], dead: &[&str]) -> Sight {
    Sight {
        daemon: Daemon::Answers {
            pid,
            ping: ms(1),
            listed: set(jails),
            dead: set(dead),
        },
        unit: None,
        revived: false,
        packages: false,
        idle: false,
        health: Health::default(),
    }
}

pub(super) fn silent(motion: Motion) -> Sight {
    silent_as(7, motion)
}

pub(super) fn silent_as(pid: u32, motion: Motion) -> Sight {
    Sight {
        daemon: Daemon::Silent {
            pid: Some(pid),
            motion,
        },
        unit: None,
        revived: false,
        packages: false,
        idle: false,
        health: Health::default(),
    }
}

pub(super) fn unaskable() -> Sight {
    Sight {
        daemon: Daemon::Absent {
            process: Some(7),
            traces: true,
            why: "no such file".into(),
        },
        unit: None,
        revived: false,
        packages: false,
        idle: false,
        health: Health::default(),
    }
}

pub(super) fn absent(unit: Unit) -> Sight {
    gone(Some(unit), false)
}

pub(super) fn gone(unit: Option<Unit>, traces: bool) -> Sight {
    Sight {
        daemon: Daemon::Absent {
            process: None,
            traces,
            why: "connection refused".into(),
        },
        unit,
        revived: false,
        packages: false,
        idle: false,
        health: Health::default(),
    }
}

// ---- units, as systemd 252 shows Debian's

pub(super) fn unit(
    active: ActiveState,
    result: &str,
    main_code: ExitKind,
    main_status: i32,
) -> Unit {
    Unit {
        load: "loaded".into(),
        active,
        sub: String::new(),
        result: result.into(),
        main_code,
        main_status,
        job: false,
        restarts: false,
        timed_out: false,
        stop_left: None,
        disabled: false,
    }
}

pub(super) fn unit_stopped() -> Unit {
    unit(ActiveState::Inactive, "success", ExitKind::Exited, 0)
}

pub(super) fn unit_failed(status: i32) -> Unit {
    unit(ActiveState::Failed, "exit-code", ExitKind::Exited, status)
}

pub(super) fn unit_killed() -> Unit {
    unit(ActiveState::Failed, "signal", ExitKind::Killed, 9)
}

pub(super) fn unit_restarting() -> Unit {
    unit(ActiveState::Activating, "signal", ExitKind::Killed, 9)
}

pub(super) fn with_job(mut unit: Unit) -> Unit {
    unit.job = true;
    unit
}

// ---- readings

/// Version 1 of each jail.
pub(super) fn config(jails: &[&str]) -> Reading {
    let versions: Vec<_> = jails.iter().map(|j| (*j, 1)).collect();
    config_of_versions(&versions)
}

pub(super) fn config_of_versions(jails: &[(&str, u128)]) -> Reading {
    let plan = Plan {
        server: 1,
        jails: jails
            .iter()
            .map(|(name, digest)| {
                let jail = JailPlan {
                    digest: *digest,
                    actions: 1,
                };
                ((*name).to_owned(), jail)
            })
            .collect(),
    };
    Reading {
        plan: Some(plan),
        ..Reading::default()
    }
    .sealed()
}

pub(super) fn finding(jail: Option<&str>, fatal: bool) -> Finding {
    Finding {
        jail: jail.map(str::to_owned),
        file: Some("/etc/fail2ban/jail.d/x.conf".into()),
        // Each jail has a line of its own.
        line: Some(jail.map_or(3, |jail| 3 + u32::from(jail.as_bytes()[0].abs_diff(b'm')))),
        words: format!("{} is faulty", jail.unwrap_or("the file")),
        fatal,
    }
}

impl Reading {
    pub(super) fn sealed(mut self) -> Self {
        let mut hasher = DefaultHasher::new();
        let jails: Vec<_> = self
            .plan
            .iter()
            .flat_map(|p| p.jails.iter().map(|(n, j)| (n, j.digest, j.actions)))
            .collect();
        (jails, &self.findings, &self.rollbacks).hash(&mut hasher);
        self.fingerprint = hasher.finish().into();
        self
    }

    pub(super) fn fault(mut self, jail: &str, fatal: bool) -> Self {
        self.findings.push(finding(Some(jail), fatal));
        self.sealed()
    }

    pub(super) fn unreadable(mut self) -> Self {
        self.plan = None;
        self.findings.push(finding(None, true));
        self.sealed()
    }

    /// These jails are disabled by rollback files of ours.
    pub(super) fn rolled_back(mut self, jails: &[&str]) -> Self {
        self.rollbacks = set(jails);
        if let Some(plan) = &mut self.plan {
            plan.jails.retain(|n, _| !jails.contains(&n.as_str()));
        }
        self.sealed()
    }
}
