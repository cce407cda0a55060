//! Random sequences of faults, edits and admins' doings, in simulated time.

use proptest::prelude::*;

use super::world::{Fault, Hang, World};
use super::*;

pub(super) const JAILS: [&str; 3] = ["a", "m", "z"];

/// One thing that befalls the host.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Wait(u64),
    Crash,
    Hang(Hang),
    Unhang,
    KillJail(usize),
    StopJail(usize),
    RemoveSocket,
    Edit(usize, Fault),
    Remove(usize),
    BreakFiles(bool),
    DiskFull(bool),
    CheckFails(bool),
    Mend,
    StartTakes(u64),
    StopTakes(u64),
    AdminStops(bool),
    AdminStarts,
    JailwardenRestarts,
    SettingsChange(u64),
    Touch,
    Pause(Option<u64>),
    Resume,
    PackagesChange,
    StaleAnswer(u64),
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let jail = 0..JAILS.len();
    let fault = prop_oneof![
        3 => Just(Fault::None),
        1 => Just(Fault::Fatal),
        1 => Just(Fault::Skipped),
        1 => Just(Fault::Hidden),
        1 => Just(Fault::Phantom),
        1 => Just(Fault::ColdOnly),
    ];
    let hang = prop_oneof![Just(Hang::Stopped), Just(Hang::Frozen), Just(Hang::Busy)];
    prop_oneof![
        12 => (0..20_000_u64).prop_map(Step::Wait),
        4 => Just(Step::Crash),
        3 => hang.prop_map(Step::Hang),
        1 => Just(Step::Unhang),
        2 => jail.clone().prop_map(Step::KillJail),
        1 => jail.clone().prop_map(Step::StopJail),
        1 => Just(Step::RemoveSocket),
        6 => (jail.clone(), fault).prop_map(|(j, f)| Step::Edit(j, f)),
        1 => jail.prop_map(Step::Remove),
        1 => any::<bool>().prop_map(Step::BreakFiles),
        1 => any::<bool>().prop_map(Step::DiskFull),
        1 => any::<bool>().prop_map(Step::CheckFails),
        2 => Just(Step::Mend),
        1 => (1..15_000_u64).prop_map(Step::StartTakes),
        1 => (1..60_000_u64).prop_map(Step::StopTakes),
        2 => any::<bool>().prop_map(Step::AdminStops),
        2 => Just(Step::AdminStarts),
        1 => Just(Step::JailwardenRestarts),
        1 => (1..60_u64).prop_map(Step::SettingsChange),
        1 => Just(Step::Touch),
        1 => proptest::option::of(1..600_u64).prop_map(Step::Pause),
        1 => Just(Step::Resume),
        1 => Just(Step::PackagesChange),
        1 => (1..200_u64).prop_map(Step::StaleAnswer),
    ]
}

pub(super) fn befall(world: &mut World, step: Step) {
    match step {
        Step::Wait(millis) => world.pass(ms(millis)),
        Step::Crash => world.crash(),
        Step::Hang(hang) => world.hang(hang),
        Step::Unhang => world.unhang(),
        Step::KillJail(jail) => world.kill_jail(JAILS[jail]),
        Step::StopJail(jail) => world.stop_jail(JAILS[jail]),
        Step::RemoveSocket => world.remove_socket(),
        Step::Edit(jail, fault) => world.edit(JAILS[jail], fault),
        Step::Remove(jail) => world.remove(JAILS[jail]),
        Step::BreakFiles(broken) => {
            world.unreadable = broken;
            world.touch();
        }
        Step::DiskFull(full) => world.disk_full = full,
        Step::CheckFails(fails) => world.check_fails = fails,
        Step::Mend => world.mend(),
        Step::StartTakes(millis) => world.start_takes = ms(millis),
        Step::StopTakes(millis) => world.stop_takes = ms(millis),
        Step::AdminStops(systemctl) => world.admin_stops(systemctl),
        Step::AdminStarts => world.admin_starts(),
        Step::JailwardenRestarts => world.jailwarden_restarts(),
        Step::SettingsChange(interval) => {
            let policy = Policy {
                interval: secs(interval),
                ..Policy::default()
            };
            world.tell(Event::SettingsChanged(policy));
        }
        Step::Touch => world.touch(),
        Step::Pause(left) => world.pauses(left.map(secs)),
        Step::Resume => world.resumes(),
        Step::PackagesChange => world.packages_change(),
        Step::StaleAnswer(id) => {
            let known = world.machine.last_id;
            world.tell(done(ActionId(known + id), Outcome::Lost));
        }
    }
}

/// Everything is mended; what jailwarden left alone on purpose is started again.
pub(super) fn heal(world: &mut World) {
    world.start_takes = ms(300);
    world.stop_takes = ms(500);
    world.mend();
    for jail in JAILS {
        world.edit(jail, Fault::None);
    }
    world.pass(secs(1));
    world.resumes();
    world.admin_starts();
}

fn run(steps: &[Step], has_unit: bool, lingers: bool) {
    let mut world = World::new(&JAILS, has_unit);
    world.lingers = lingers;
    for step in steps {
        befall(&mut world, *step);
    }
    heal(&mut world);
    world.pass(secs(1800));
    assert_eq!(world.protecting(), set(&JAILS), "{:?}", world.machine);
    assert_eq!(world.machine.snapshot().state, "healthy");
    for jail in JAILS {
        let on_disk = world.files.get(jail).copied();
        assert_eq!(
            world.digest_of(jail),
            on_disk,
            "{jail} runs what is on disk"
        );
    }
    assert!(world.machine.incident.is_none());
    assert!(world.is_idle());
    // A quiet host is a quiet journal.
    let told = world.reports.len();
    world.pass(secs(3600));
    assert_eq!(world.reports.len(), told, "{:?}", &world.reports[told..]);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").map_or(150, |n| n.parse().unwrap()),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_host_is_protected_in_the_end(
        steps in prop::collection::vec(step(), 1..40),
        has_unit in any::<bool>(),
        lingers in any::<bool>(),
    ) {
        run(&steps, has_unit, lingers);
    }

    /// What lasts is told once, and then at the pace of the waits between tries.
    #[test]
    fn a_host_that_is_never_mended_is_never_stormed(
        steps in prop::collection::vec(step(), 1..20),
        has_unit in any::<bool>(),
    ) {
        let mut world = World::new(&JAILS, has_unit);
        for step in &steps {
            befall(&mut world, *step);
        }
        world.pass(secs(3600));
        let told = world.reports.len();
        world.pass(secs(3600));
        let more = world.reports.len() - told;
        prop_assert!(more <= 60, "{more} reports in an hour: {:#?}", &world.reports[told..]);
    }
}

/// Each time that the config is read anew, and cannot be.
#[test]
fn that_a_daemon_cannot_be_asked_is_told_once() {
    let mut world = World::new(&JAILS, false);
    for step in [
        Step::CheckFails(true),
        Step::RemoveSocket,
        Step::Edit(0, Fault::None),
    ] {
        befall(&mut world, step);
    }
    world.pass(secs(3600));
    let told = world.reports.iter().map(|report| report.kind);
    let told = told.filter(|kind| *kind == Kind::DaemonHung).count();
    assert_eq!(told, 1, "{:#?}", world.reports);
}

/// systemd starts it with the one config, while the start with the next is on its way.
#[test]
fn what_somebody_else_started_is_not_taken_to_run_what_is_on_disk() {
    let steps = [
        Step::Hang(Hang::Frozen),
        Step::StartTakes(3168),
        Step::JailwardenRestarts,
        Step::Wait(12203),
    ];
    run(&steps, true, false);
}

#[test]
fn a_change_that_was_given_up_does_not_come_after_the_next() {
    let steps = [
        Step::Edit(0, Fault::Hidden),
        Step::Wait(10333),
        Step::Hang(Hang::Stopped),
        Step::Edit(0, Fault::None),
        Step::Wait(580),
    ];
    run(&steps, false, false);
}

#[test]
fn a_process_that_ends_while_it_is_examined_is_not_waited_for() {
    let steps = [
        Step::Crash,
        Step::StartTakes(1716),
        Step::Wait(301),
        Step::Hang(Hang::Stopped),
        Step::Wait(10201),
        Step::Crash,
    ];
    run(&steps, false, false);
}
