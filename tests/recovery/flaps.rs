//! A jail that passes each trial and fails in life each time: tried ever more rarely, then left to a person.

use std::fs;
use std::process::Command;
use std::time::{Duration, SystemTime};

use jailwarden::status::Status;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::geteuid;
use serde_json::Value;

use crate::support::daemon::{Fail2ban, JailSpec, Version, Warden};
use crate::support::{GUARD, skip, wait_until};
use crate::{LONG, settings};

const BAD: &str = "fail [from";
const SOUND: &str = "fail from";

/// Gives the test's processes a package database of their own, with the time of its last change.
fn own_packages(f2b: &Fail2ban) {
    let own = f2b.path("packages");
    fs::write(&own, "").unwrap();
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    let status = "/var/lib/dpkg/status";
    mount(Some(&own), status, none, MsFlags::MS_BIND, none).unwrap();
}

/// As after an upgrade, by which what failed may pass: no clock has to be waited for.
fn change_packages(f2b: &Fail2ban) {
    let own = fs::File::options()
        .write(true)
        .open(f2b.path("packages"))
        .unwrap();
    own.set_modified(SystemTime::now()).unwrap();
}

fn status(f2b: &Fail2ban) -> Status {
    let done = Command::new(env!("CARGO_BIN_EXE_jailwarden"))
        .args(["status", "--json", "--config"])
        .arg(Warden::settings_file(f2b))
        .output()
        .unwrap();
    serde_json::from_slice(&done.stdout).unwrap_or_else(|error| panic!("{error}: {done:?}"))
}

/// How long web has to wait for its next try; `None` if it waits for a person.
fn wait_of_web(f2b: &Fail2ban) -> Option<Duration> {
    let shown = wait_until(GUARD, || {
        let status = status(f2b);
        let web = status.jails.into_iter().find(|jail| jail.name == "web");
        let rollback = web?.rollback?;
        Some(rollback.next_try.map(|next| status.at.age(next)))
    });
    shown.expect("its rollback is shown")
}

/// Waits until web has failed so often.
fn wait_flaps(f2b: &Fail2ban, count: u64) {
    let flaps = || {
        let state = fs::read_to_string(f2b.path("state/state.json")).ok()?;
        let state: Value = serde_json::from_str(&state).ok()?;
        state["memory"]["mends"]["web"]["flaps"].as_u64()
    };
    let flapped = wait_until(GUARD, || (flaps() == Some(count)).then_some(()));
    assert!(flapped.is_some(), "{count}: {:?}", flaps());
}

/// Whether the daemon takes the action is known once it makes it: a trial does not run code of others.
#[test]
fn a_jail_that_fails_in_life_three_times_waits_for_a_person() {
    if !geteuid().is_root() {
        return skip("a mount takes root");
    }
    let Some(f2b) = Fail2ban::new(Version::V102) else {
        return;
    };
    own_packages(&f2b);
    f2b.jail("mail", &JailSpec::default());
    f2b.jail("web", &JailSpec::default());
    let refuses = f2b.path("refuses");
    let action = "import os\n\
        from fail2ban.server.action import ActionBase\n\
        class Action(ActionBase):\n\
        \x20   def __init__(self, jail, name, refuses):\n\
        \x20       super(Action, self).__init__(jail, name)\n\
        \x20       if os.path.exists(refuses):\n\
        \x20           raise ValueError('not today')\n";
    f2b.write("action.d/moody.py", action);
    let both = format!("action = moody.py[refuses={}]\n ", refuses.display());
    f2b.edit("jail.d/web.conf", "action = ", &both);
    f2b.start();
    let warden = Warden::start(&f2b, &settings(LONG));
    warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
    f2b.wait_bans(&["mail", "web"]);
    f2b.edit("filter.d/web.conf", SOUND, BAD);
    warden.wait_for("is not applied");
    f2b.kill();
    warden.wait_for("fail2ban protects again");
    let mail = f2b.threads("mail");

    // Its filter is mended, and it fails for something that no trial finds.
    fs::write(&refuses, "").unwrap();
    f2b.edit("filter.d/web.conf", BAD, SOUND);
    let said = warden.wait_for("web disabled so that the others can run");
    assert!(
        said.contains("not today; it had passed its trial"),
        "{said}"
    );
    let mut last = Duration::ZERO;
    for flaps in 1..3 {
        wait_flaps(&f2b, flaps);
        warden.wait_told("STATUS=degraded: 1 of 1 jails protect; disabled by a rollback: web");
        f2b.wait_ban("mail");
        assert!(f2b.threads("web").is_empty());
        let wait = wait_of_web(&f2b).expect("it is tried again");
        assert!(wait > last, "{wait:?} after {last:?}");
        last = wait;
        change_packages(&f2b);
    }
    wait_flaps(&f2b, 3);
    warden.wait_told("of these for a person to mend: web");
    assert_eq!(wait_of_web(&f2b), None);

    // Another upgrade is none.
    let passed = || {
        warden
            .lines()
            .iter()
            .filter(|line| line.contains("web passed"))
            .count()
    };
    let before = passed();
    warden.wait_calm();
    change_packages(&f2b);
    warden.wait_told("STATUS=mending");
    warden.wait_calm();
    assert_eq!(passed(), before);
    assert!(f2b.rollback("web").exists());
    f2b.wait_ban("mail");
    assert_eq!(f2b.threads("mail"), mail, "no other jail pays for it");

    fs::remove_file(&refuses).unwrap();
    f2b.edit("jail.d/web.conf", "maxretry = 3", "maxretry = 2");
    warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
    f2b.wait_bans(&["mail", "web"]);
    assert!(!f2b.rollback("web").exists());
}
