//! jailwarden on private, real fail2bans, each scenario on every release that it is held against.
//!
//! The truth of a scenario is whether failing log lines lead to the jails' action, never what
//! fail2ban or jailwarden say of it.

#[cfg(test)]
#[expect(dead_code, reason = "each test uses its part of the shared support")]
#[path = "../support/mod.rs"]
mod support;

#[cfg(test)]
mod admin;
#[cfg(test)]
mod asked;
#[cfg(test)]
mod burst;
#[cfg(test)]
mod changes;
#[cfg(test)]
mod database;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod flaps;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod pairs;
#[cfg(test)]
mod rollback;
#[cfg(test)]
mod room;
#[cfg(test)]
mod secrets;

/// Makes one test of each scenario and release. 1.1.0 has never differed from both its neighbours.
#[cfg(test)]
macro_rules! on_each_release {
    ($($scenario:ident)*) => {
        $(mod $scenario {
            use crate::support::daemon::Version;

            #[test]
            fn v1_0_2() {
                super::scenario::$scenario(Version::V102);
            }

            #[test]
            #[ignore = "minutes more; JAILWARDEN_ALL=1 make test"]
            fn v1_1_0() {
                super::scenario::$scenario(Version::V110);
            }

            #[test]
            fn v1_1_1() {
                super::scenario::$scenario(Version::V111);
            }
        })*
    };
}
#[cfg(test)]
use on_each_release;

/// Settings for tests. A daemon has `comeback` to be back: long where it does come back, since a
/// loaded machine must not be taken for a fault, and short where that limit has to pass.
#[cfg(test)]
fn settings(comeback: &str) -> String {
    format!(
        "settle: 100ms\nprobe:\n  interval: 1s\n  timeout: 2s\n  busy_limit: 5s\n\
         restart:\n  comeback: {comeback}\n  stop_timeout: 20s\n"
    )
}
#[cfg(test)]
const LONG: &str = "30s";
#[cfg(test)]
const SHORT: &str = "6s";

/// As [`settings`] with [`SHORT`], where a start that comes to nothing is followed at once by one that comes back.
/// That is at work, and has the time that it takes.
#[cfg(test)]
fn patient() -> String {
    settings(SHORT).replace("busy_limit: 5s", "busy_limit: 60s")
}

/// From now on a start has the time that it takes on a loaded machine, where it had to fail in `comeback`
/// before.
#[cfg(test)]
fn give_time(f2b: &support::daemon::Fail2ban, warden: &support::daemon::Warden, comeback: &str) {
    let file = support::daemon::Warden::settings_file(f2b);
    let hasty = std::fs::read_to_string(&file).unwrap();
    let (from, to) = (
        format!("comeback: {comeback}\n"),
        format!("comeback: {LONG}\n"),
    );
    assert!(hasty.contains(&from), "{hasty}");
    std::fs::write(&file, hasty.replace(&from, &to)).unwrap();
    warden.signal(rustix::process::Signal::HUP);
    warden.wait_for("the settings were read again");
}

/// A running fail2ban with these jails, and a jailwarden that has taken its first look at it.
#[cfg(test)]
fn supervised(
    version: support::daemon::Version,
    jails: &[&str],
    comeback: &str,
) -> Option<(support::daemon::Fail2ban, support::daemon::Warden)> {
    use support::daemon::{Fail2ban, JailSpec, Warden};
    let f2b = Fail2ban::new(version)?;
    for jail in jails {
        f2b.jail(jail, &JailSpec::default());
    }
    f2b.start();
    let warden = Warden::start(&f2b, &settings(comeback));
    warden.wait_for("supervision begins");
    Some((f2b, warden))
}
