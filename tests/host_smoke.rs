//! A throwaway host works, and what systemd 252 says of Debian's fail2ban.service in the situations
//! that jailwarden must tell apart. These are facts that it is built upon.

#[cfg(test)]
#[expect(dead_code, reason = "each test uses its part of the shared support")]
mod support;

#[cfg(test)]
mod host {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::support::host::Host;
    use super::support::{GUARD, wait_until};

    const PROPERTIES: &str = "ActiveState,SubState,Result,ExecMainCode,ExecMainStatus,MainPID,Job,\
                              NRestarts,UnitFileState,LoadState";

    /// `ExecMainCode`: the process has not ended, it exited, it was killed (`si_code` of
    /// `man 2 sigaction`).
    const RUNS: &str = "0";
    const EXITED: &str = "1";
    const KILLED: &str = "2";

    struct Unit(BTreeMap<String, String>);

    impl Unit {
        fn of(host: &Host) -> Self {
            let shown = host.sh(&format!("systemctl show -p {PROPERTIES} fail2ban"));
            let pairs = shown.lines().filter_map(|line| line.split_once('='));
            Self(
                pairs
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .collect(),
            )
        }

        fn is(&self, state: &str, result: &str) -> bool {
            format!("{}/{}", self.0["ActiveState"], self.0["SubState"]) == state
                && self.0["Result"] == result
        }

        /// How the main process ended.
        fn ended(&self) -> (&str, &str) {
            (&self.0["ExecMainCode"], &self.0["ExecMainStatus"])
        }

        fn print(&self, situation: &str) {
            println!("--- {situation}");
            for (key, value) in &self.0 {
                println!("{key}={value}");
            }
        }
    }

    /// Waits until the unit is in this state with this result, and prints it.
    fn wait_unit(host: &Host, situation: &str, state: &str, result: &str) -> Unit {
        let seen = wait_until(GUARD, || {
            Some(Unit::of(host)).filter(|unit| unit.is(state, result))
        });
        let unit = seen.unwrap_or_else(|| {
            Unit::of(host).print(situation);
            panic!("{situation}: the unit is not {state} with {result}");
        });
        unit.print(situation);
        unit
    }

    /// Starts fail2ban and waits until it bans.
    fn up(host: &Host) {
        host.sh("systemctl reset-failed fail2ban 2>/dev/null || true; systemctl start fail2ban");
        host.wait_protects("sshd");
    }

    fn kill(host: &Host, signal: &str) {
        host.sh(&format!(
            "kill -{signal} $(systemctl show -P MainPID fail2ban)"
        ));
    }

    const RUNNING: &str = "active/running";
    const STOPPED: &str = "inactive/dead";
    const FAILED: &str = "failed/failed";

    #[test]
    fn a_host_boots_and_its_fail2ban_protects_and_systemd_restarts_it() {
        let Some(host) = Host::boot() else { return };
        host.make_auth_log();
        up(&host);
        let before = wait_unit(&host, "running", RUNNING, "success");
        assert_eq!(before.ended(), (RUNS, "0"));
        assert_eq!(before.0["NRestarts"], "0");

        kill(&host, "KILL");
        let between = wait_until(GUARD, || {
            Some(Unit::of(&host))
                .filter(|unit| !unit.is(RUNNING, "success") || unit.0["NRestarts"] == "1")
        });
        between.unwrap().print("just after SIGKILL");
        let after = wait_unit(
            &host,
            "SIGKILL, then systemd's own restart",
            RUNNING,
            "success",
        );
        assert_eq!(after.0["NRestarts"], "1");
        assert_eq!(after.ended(), (RUNS, "0"));
        assert_ne!(after.0["MainPID"], before.0["MainPID"]);
        host.wait_protects("sshd");

        host.jail("web");
        assert!(
            !host.protects_within(Duration::from_secs(3), "web"),
            "not loaded yet"
        );
        host.sh("fail2ban-client reload");
        host.wait_protects("web");
    }

    #[test]
    fn an_admins_stop_is_told_from_a_stop_behind_systemds_back() {
        let Some(host) = Host::boot() else { return };
        host.make_auth_log();

        up(&host);
        host.sh("systemctl stop fail2ban");
        let unit = wait_unit(&host, "systemctl stop", STOPPED, "success");
        // systemd sends SIGTERM when ExecStop is through; the daemon may be quicker or not.
        assert!(
            [(EXITED, "0"), (KILLED, "15")].contains(&unit.ended()),
            "{:?}",
            unit.ended()
        );
        assert_eq!(unit.0["MainPID"], "0");

        up(&host);
        host.sh("fail2ban-client stop");
        let unit = wait_unit(&host, "fail2ban-client stop", FAILED, "exit-code");
        assert_eq!(unit.ended(), (EXITED, "0"));

        up(&host);
        kill(&host, "TERM");
        let unit = wait_unit(&host, "SIGTERM by hand", FAILED, "exit-code");
        assert_eq!(unit.ended(), (EXITED, "0"));
        assert_eq!(unit.0["NRestarts"], "0");
    }

    #[test]
    fn failures_that_systemd_does_not_mend() {
        const DROP_IN: &str = "/run/systemd/system/fail2ban.service.d/restart.conf";
        let Some(host) = Host::boot() else { return };

        // A stock Debian without rsyslog: no auth.log.
        host.sh("systemctl start fail2ban");
        let unit = wait_unit(&host, "start fails with 255", FAILED, "exit-code");
        assert_eq!(unit.ended(), (EXITED, "255"));

        host.make_auth_log();
        up(&host);
        host.write(DROP_IN, "[Service]\nRestart=no\n");
        host.sh("systemctl daemon-reload");
        kill(&host, "KILL");
        let unit = wait_unit(&host, "SIGKILL with Restart=no", FAILED, "signal");
        assert_eq!(unit.ended(), (KILLED, "9"));
        host.sh(&format!("rm {DROP_IN}; systemctl daemon-reload"));

        // With a limit of one start, so that the test does not depend on how fast starts are.
        host.sh("systemctl stop fail2ban");
        host.write(
            DROP_IN,
            "[Unit]\nStartLimitBurst=1\nStartLimitIntervalSec=1h\n",
        );
        host.sh("systemctl daemon-reload");
        up(&host);
        host.sh("systemctl stop fail2ban");
        assert!(
            !host
                .run(&["systemctl", "start", "fail2ban"])
                .status
                .success()
        );
        let unit = wait_unit(&host, "start-limit-hit", FAILED, "start-limit-hit");
        assert_eq!(unit.0["MainPID"], "0");
        up(&host);

        // The limit is not told where the unit had failed before: the older failure stays.
        host.sh("systemctl stop fail2ban; systemctl reset-failed fail2ban; rm /var/log/auth.log");
        host.sh("systemctl start fail2ban");
        wait_unit(&host, "start fails with 255", FAILED, "exit-code");
        host.sh("touch /var/log/auth.log");
        let refused = host.run(&["systemctl", "start", "fail2ban"]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(
            host.journal("fail2ban")
                .contains("Start request repeated too quickly")
        );
        let unit = wait_unit(&host, "start-limit-hit behind a 255", FAILED, "exit-code");
        assert_eq!(unit.ended(), (EXITED, "255"));
        up(&host);
    }

    #[test]
    fn a_mask_and_a_job_under_way_are_seen() {
        let Some(host) = Host::boot() else { return };
        host.make_auth_log();

        up(&host);
        host.sh("systemctl mask --now fail2ban");
        let unit = wait_unit(&host, "masked", STOPPED, "success");
        assert_eq!(
            (
                unit.0["LoadState"].as_str(),
                unit.0["UnitFileState"].as_str()
            ),
            ("masked", "masked")
        );
        let refused = host.run(&["systemctl", "start", "fail2ban"]);
        assert_eq!(refused.status.code(), Some(1));
        host.sh("systemctl unmask fail2ban");

        // A stopped daemon holds the stop phase up for as long as is looked at.
        up(&host);
        let before = Unit::of(&host);
        kill(&host, "STOP");
        host.sh("systemctl --no-block restart fail2ban");
        let unit = wait_unit(
            &host,
            "systemctl restart under way",
            "deactivating/stop",
            "success",
        );
        assert_ne!(unit.0["Job"], "");
        assert_eq!(unit.0["MainPID"], before.0["MainPID"]);
        assert!(
            host.sh("systemctl list-jobs --no-legend")
                .contains("restart")
        );
        kill(&host, "CONT");
        let unit = wait_unit(&host, "systemctl restart done", RUNNING, "success");
        assert_eq!(
            (unit.0["Job"].as_str(), unit.0["NRestarts"].as_str()),
            ("", "0")
        );
        host.wait_protects("sshd");
    }
}
