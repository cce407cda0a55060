//! Stories to read: what happens, what is asked for (`>`), what is told (`!`), in simulated time.

use super::world::{Fault, Hang, World};
use super::*;

fn told(world: World) -> String {
    world.log.unwrap_or_default().join("\n")
}

fn begin() -> World {
    let mut world = World::new(&["a", "m", "z"], true);
    world.log = Some(Vec::new());
    world
}

#[test]
fn a_crash_that_systemd_mends() {
    let mut world = begin();
    world.crash();
    world.pass(secs(8));
    insta::assert_snapshot!(told(world));
}

#[test]
fn a_hang() {
    let mut world = begin();
    world.hang(Hang::Frozen);
    world.pass(secs(40));
    insta::assert_snapshot!(told(world));
}

/// The check misses the fault, a reload takes it, and the next start breaks.
#[test]
fn a_change_that_breaks_the_next_start() {
    let mut world = begin();
    world.edit("m", Fault::ColdOnly);
    world.pass(secs(2));
    world.crash();
    world.pass(secs(15));
    world.edit("m", Fault::None);
    world.rollbacks.clear();
    world.touch();
    world.pass(secs(2));
    insta::assert_snapshot!(told(world));
}

/// The check finds the fault: nothing happens until the crash, and then one start is enough.
#[test]
fn a_faulty_change_that_waits_and_a_crash() {
    let mut world = begin();
    world.edit("m", Fault::Fatal);
    world.pass(secs(2));
    world.crash();
    world.pass(secs(15));
    insta::assert_snapshot!(told(world));
}

#[test]
fn a_host_that_cannot_start_and_is_mended_after_an_hour() {
    let mut world = begin();
    world.unreadable = true;
    world.crash();
    world.pass(secs(3600));
    world.mend();
    world.pass(secs(5));
    insta::assert_snapshot!(told(world));
}
