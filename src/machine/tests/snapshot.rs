//! What is shown: states, jails, deadlines, and one line for a person.

use super::*;

fn text(rig: &Rig) -> String {
    rig.machine.snapshot().text
}

fn down() -> Rig {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.exits(7).sees(absent(unit_failed(255)));
    rig.does("DaemonDown start");
    rig
}

#[test]
fn a_line_says_how_many_jails_protect_and_what_is_not_as_it_should_be() {
    let mut rig = Rig::with(Memory::default());
    assert_eq!(text(&rig), "starting: taking a first look");
    rig = Rig::healthy(&["a", "m"]);
    assert_eq!(text(&rig), "healthy: 2 of 2 jails protect");
    rig.sees(with_dead(7, &["a", "m"], &["m"]));
    assert_eq!(text(&rig), "suspect: 1 of 2 jails protect");
    rig.machine.held = set(&["m"]);
    rig.sees(answers(&["a"]));
    assert_eq!(
        text(&rig),
        "healthy: 1 of 1 jails protect; stopped by hand: m"
    );
    rig.machine.rollbacks = set(&["x", "y"]);
    assert_eq!(
        text(&rig),
        "degraded: 1 of 1 jails protect; stopped by hand: m; disabled by a rollback: x, y"
    );
    rig = Rig::healthy(&["a", "m"]);
    rig.machine.lost = set(&["m"]);
    assert_eq!(
        text(&rig),
        "degraded: 1 of 1 jails protect; without protection: m"
    );
    rig = Rig::healthy(&["a", "m"]);
    rig.edits(config(&["a", "m"]).fault("m", true));
    assert_eq!(
        text(&rig),
        "degraded: 2 of 2 jails protect; a faulty change waits for: m"
    );
    rig = Rig::healthy(&["a", "m"]);
    rig.touched();
    assert_eq!(text(&rig), "settling: 2 of 2 jails protect");
    rig.reads(config(&["a", "m"]).unreadable());
    assert_eq!(
        text(&rig),
        "degraded: 2 of 2 jails protect; a faulty change waits on disk"
    );
    rig.event(Event::Shutdown);
    assert_eq!(text(&rig), "ended");
}

#[test]
fn a_line_says_that_fail2ban_is_down_and_who_is_to_bring_it_back() {
    let mut rig = down();
    assert_eq!(text(&rig), "restarting: 0 of 2 jails protect");
    rig.fails("no such unit").is("gave-up");
    assert_eq!(
        text(&rig),
        "gave up: fail2ban is DOWN (tried 1 times); it is tried again by itself"
    );
    rig = Rig::healthy(&["a", "m"]);
    rig.sees(absent(unit_stopped())).is("standby");
    let line = text(&rig);
    assert!(
        line.starts_with("standby: fail2ban is stopped on purpose ("),
        "{line}"
    );
    rig = Rig::healthy(&["a", "m"]);
    let why = "root: works".to_owned();
    rig.event(Event::Operator(Operator::Pause { left: None, why }));
    let line = text(&rig);
    assert!(line.starts_with("paused"), "{line}");
    assert!(line.ends_with(": 2 of 2 jails protect"), "{line}");
    rig.exits(7);
    assert!(text(&rig).ends_with(": fail2ban is DOWN"));
    rig = Rig::healthy(&["a"]);
    let mut unpacked = absent(unit_failed(255));
    unpacked.packages = true;
    rig.exits(7).sees(unpacked).is("suspect");
    assert!(text(&rig).starts_with("suspect: fail2ban is DOWN; packages are being installed"));
}

#[test]
fn a_restart_shows_its_cause_and_when_the_daemon_has_to_be_back() {
    let mut rig = Rig::healthy(&["a", "m"]);
    let shown = |rig: &Rig| (rig.machine.restart_cause(), rig.machine.snapshot().deadline);
    assert_eq!(shown(&rig), (None, None));
    rig.pass(secs(3)).sees(silent(Motion::Stopped));
    rig.does("DaemonHung CONT:7");
    let resumes = rig.now + Policy::RESUME_GRACE;
    assert_eq!(shown(&rig), (Some("hung"), Some(resumes)));
    rig = down();
    assert_eq!(shown(&rig), (Some("down"), None), "it is being given");
    rig.pass(secs(2)).ok();
    let back = rig.now + Policy::default().comeback;
    assert_eq!(shown(&rig), (Some("down"), Some(back)));
    rig.sees(answers_as(8, &["a", "m"]));
    assert_eq!(shown(&rig), (None, None));
    rig = down();
    rig.pass(secs(2)).fails("no such unit");
    let retry = rig.now + Policy::BACKOFF_START;
    assert_eq!(shown(&rig), (None, Some(retry)));
}

#[test]
fn each_jail_is_shown_in_its_condition() {
    let mut rig = Rig::healthy(&["a", "m", "z"]);
    let condition = |rig: &Rig, jail: &str| rig.machine.snapshot().jails[jail].condition;
    assert_eq!(condition(&rig, "a"), Condition::Protects);
    rig.machine.lost = set(&["m"]);
    rig.machine.rollbacks = set(&["r"]);
    rig.machine.held = set(&["z"]);
    assert_eq!(condition(&rig, "m"), Condition::Lost);
    assert_eq!(condition(&rig, "r"), Condition::RolledBack);
    assert_eq!(condition(&rig, "z"), Condition::Held);
    rig = Rig::healthy(&["a"]);
    rig.sees(silent(Motion::Progressing));
    assert_eq!(condition(&rig, "a"), Condition::Unknown);
    rig.exits(7);
    assert_eq!(condition(&rig, "a"), Condition::Dead);
    rig.sees(absent(unit_stopped())).is("standby");
    assert_eq!(condition(&rig, "a"), Condition::Held);
}

#[test]
fn it_is_shown_since_when_a_state_lasts_and_a_process_is_known() {
    let mut rig = Rig::healthy(&["a"]);
    rig.pass(secs(3)).exits(7).sees(absent(unit_failed(255)));
    let began = rig.now;
    rig.pass(secs(2)).ok();
    let now = rig.machine.snapshot();
    assert_eq!((now.state, now.since), ("restarting", began));
    assert_eq!((now.pid, now.first_seen, now.ping), (None, None, None));
    rig.sees(answers_as(8, &["a"]));
    let now = rig.machine.snapshot();
    assert_eq!((now.state, now.since), ("healthy", rig.now));
    assert_eq!(
        (now.pid, now.first_seen, now.ping),
        (Some(8), Some(rig.now), Some(ms(1)))
    );
}

#[test]
fn only_what_is_meant_to_run_or_is_on_disk_may_be_applied() {
    let mut rig = Rig::healthy(&["a"]);
    assert_eq!(rig.machine.digests(), [1].into());
    rig.edits(config_of_versions(&[("a", 2)]).fault("a", true));
    assert_eq!(rig.machine.digests(), [1, 2].into());
}
