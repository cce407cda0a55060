//! What a host must come to by itself, once nothing more befalls it.

use super::super::super::assess::{Sign, Suspect};
use super::super::world::{Fault, Process, World};
use super::super::*;

/// It is protected as far as it can be, or what keeps it from that is an admin's will, or beyond
/// jailwarden and told.
pub(in super::super) fn is_reached(world: &World) -> bool {
    protects(world) || is_honest(world)
}

fn protects(world: &World) -> bool {
    let Some(process) = &world.process else {
        return false;
    };
    let blind = world.check_fails || world.unreadable;
    let up = process.hang.is_none() && !process.stopping && process.up_at <= world.now;
    let runs = |(jail, digest): (&String, &u128)| {
        let excused = world.stopped_jails.contains(jail)
            || world.held.contains(jail)
            || world.unseen.contains(jail)
            || world.is_back(jail)
            // A restart, which alone helps, might not bring back what protects, or may not be.
            || (world.damaged
                && (world.machine.refusal.is_some()
                    || world.packages
                    || world.check_fails
                    || world.masked))
            || is_left_to_the_clock(world, jail, *digest)
            || !is_sound(world, *digest)
            // It cannot be tried without its rollback.
            || (blind && world.rollbacks.contains(jail))
            // That it should run cannot be read.
            || (blind && !world.machine.expected().contains(jail));
        let current = |runs: u128| runs == *digest || blind;
        excused
            || process
                .jails
                .get(jail)
                .is_some_and(|j| j.alive && current(j.digest))
    };
    let stays_stopped = |jail: &String| !process.jails.contains_key(jail);
    let respects = world.held.iter().all(stays_stopped);
    up && respects && process.socket && world.files.iter().all(runs) && is_at_home(world)
}

/// Its database is in memory for no longer than it has to be.
fn is_at_home(world: &World) -> bool {
    let waits = world.machine.refusal.is_some() || !world.machine.held.is_empty() || world.packages;
    !world.in_memory || world.locked || world.check_fails || world.masked || waits
}

/// It failed in life though it had passed its trial, and its config is still the one that did: it
/// is tried by the clock, ever more rarely, and in the end waits for a person.
fn is_left_to_the_clock(world: &World, jail: &str, digest: u128) -> bool {
    let mend = world.machine.mends.get(jail);
    mend.is_some_and(|mend| mend.flaps > 0 && mend.failed == Some(digest))
}

fn is_sound(world: &World, digest: u128) -> bool {
    world.faults[&digest] == Fault::None && world.burning != Some(digest)
}

fn is_honest(world: &World) -> bool {
    match &world.machine.state {
        State::Standby { .. } => world.stopped_by_admin || world.masked,
        State::Paused { .. } => world.paused.is_some(),
        State::GaveUp { .. } => !can_run(world) || is_left_as_it_is(world),
        // It protects, and a start would not be safe.
        State::Suspect(Suspect {
            sign: Sign::Unaskable,
            ..
        }) => {
            let lives = world.process.as_ref().is_some_and(|p| p.hang.is_none());
            world.machine.daemon.told_unaskable && lives
        }
        // It could not be started again.
        State::Suspect(Suspect {
            sign: Sign::Silent { told: true },
            ..
        }) => world.masked,
        _ => false,
    }
}

/// It may protect, and no other could be started in its place.
fn is_left_as_it_is(world: &World) -> bool {
    let unaskable = |it: &Process| it.hang.is_none() && !it.socket;
    world.packages && world.process.as_ref().is_some_and(unaskable)
}

/// Whether anything that jailwarden may do would let the daemon run.
fn can_run(world: &World) -> bool {
    let breaks = |(jail, digest): (&String, &u128)| {
        let starts = matches!(world.faults[digest], Fault::None | Fault::Skipped);
        let harms = !starts || world.burning == Some(*digest);
        harms && !world.rollbacks.contains(jail)
    };
    // With no jail that can protect, a daemon that runs protects nobody.
    let is_of_use = world.files.iter().any(|(jail, digest)| {
        // While packages are installed nothing is tried.
        let waits = world.packages && world.rollbacks.contains(jail);
        is_sound(world, *digest) && !waits
    });
    let broken = world.unreadable || world.files.iter().any(breaks);
    let stuck = world.unreadable && world.good.is_none();
    let database = world.locked || world.damaged;
    let broken = broken || (database && !world.in_memory);
    is_of_use
        && !world.masked
        && !world.surroundings
        && !(broken && (world.disk_full || world.check_fails))
        && !stuck
}
