//! The machine and its host, explored: each fault, and pairs of them, in every order and at every
//! step. What breaks is shown as a test that can be pasted into `found.rs`.

mod befall;
mod found;
mod kills;
mod scenario;

mod goal;
mod key;
mod walk;

use super::world::{Fault, Hang, World};
use super::*;
pub(super) use befall::Befall;
pub(super) use goal::is_reached as is_good;
pub(super) use walk::Root;
use walk::Walk;

/// Lets so many things happen by themselves.
pub(super) fn steps(world: &mut World, steps: u32) {
    for _ in 0..steps {
        walk::step(world);
    }
}

/// Nothing more befalls the host.
#[track_caller]
pub(super) fn comes_to_good(world: &mut World) {
    let end = world.now + secs(8 * 3600);
    while !goal::is_reached(world) {
        assert!(world.now < end, "it never does: {:?}", world.machine);
        walk::step(world);
    }
}

/// Those that are tried in pairs each time: the quick ways to lose protection, and jailwarden.
fn is_common(befall: Befall) -> bool {
    matches!(
        befall,
        Befall::Crash
            | Befall::Hang(Hang::Frozen)
            | Befall::Edit("a", Fault::Hidden | Fault::ColdOnly)
            | Befall::Mend
            | Befall::UndoRollback
            | Befall::AdminStops(true)
            | Befall::Killed(_)
    )
}

pub(super) fn everything() -> bool {
    std::env::var_os("JAILWARDEN_ALL").is_some_and(|set| set == "1")
}

/// Shows the size of what was explored, or each property that does not hold.
fn explore(roots: &[Root], faults: usize, may: impl Fn(Befall) -> bool) {
    // What breaks is shown in the end; each in its own place would bury that.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let walk = Walk::of(roots, faults, may);
    std::panic::set_hook(hook);
    let broken = walk.counterexamples();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    let size = walk.size();
    println!(
        "{faults} faults at every step: {} states and {} transitions, all of them; protected, or \
         honestly not, after at most {} steps",
        size.states, size.transitions, size.steps_to_goal,
    );
}

fn roots(has_unit: bool) -> [Root; 3] {
    let root = Root {
        has_unit,
        blames: false,
        lingers: false,
    };
    let (blames, lingers) = (true, true);
    [root, Root { blames, ..root }, Root { lingers, ..root }]
}

#[test]
fn no_single_fault_leaves_a_host_unprotected() {
    explore(&roots(true), 1, |_| true);
}

#[test]
fn no_single_fault_leaves_a_host_without_a_unit_unprotected() {
    explore(&roots(false), 1, |_| true);
}

#[test]
fn no_pair_of_faults_leaves_a_host_unprotected() {
    let all = everything();
    let roots = &roots(true)[..if all { 3 } else { 1 }];
    explore(roots, 2, |befall| all || is_common(befall));
}

#[test]
fn no_pair_of_faults_leaves_a_host_without_a_unit_unprotected() {
    let all = everything();
    let roots = &roots(false)[..if all { 3 } else { 1 }];
    explore(roots, 2, |befall| all || is_common(befall));
}

/// What keeps fail2ban from being started again, and what it is restarted for though it protects.
#[test]
fn no_daemon_is_stopped_that_may_not_be_started_again() {
    let may = |befall| {
        matches!(
            befall,
            Befall::Mask | Befall::Packages | Befall::RemoveSocket
        )
    };
    explore(&roots(true)[..1], 2, may);
}

#[test]
fn no_three_common_faults_leave_a_host_unprotected() {
    if everything() {
        explore(&roots(true)[..1], 3, is_common);
    }
}
