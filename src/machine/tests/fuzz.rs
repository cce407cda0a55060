//! The machine against any sequence of what can befall a host, and any memory, for the fuzzer.

use std::sync::OnceLock;

use super::explore::{Befall, Root, comes_to_good, steps};
use super::world::World;
use super::*;

/// For this long nothing befalls a host that remembers whatever it remembers.
const QUIET: Duration = secs(2 * 3600);

/// Each byte lets things happen by themselves, or one of what can befall the host then. No rule of
/// `world/rules.rs` may be broken on the way, and in the end the host protects or says honestly why not.
///
/// With `JAILWARDEN_FUZZ_SHOW` in the environment, the way is shown as a test for `explore/found.rs`.
pub fn sequence(bytes: &[u8]) {
    let (first, rest) = bytes.split_first().unwrap_or((&0, &[]));
    let root = Root {
        has_unit: first & 1 == 1,
        blames: first & 2 == 2,
        lingers: first & 4 == 4,
    };
    show(|| format!("let mut world = {root:?}.begin();"));
    let mut world = root.begin();
    for byte in rest {
        if let Some(which) = byte.checked_sub(128) {
            let mut all = Befall::all(&world);
            all.retain(|befall| is_seen(&world, *befall));
            let befall = all[usize::from(which) % all.len()];
            show(|| format!("{befall:?}.happens(&mut world);"));
            befall.happens(&mut world);
        } else {
            let some = 1 + u32::from(byte / 8);
            show(|| format!("steps(&mut world, {some});"));
            steps(&mut world, some);
        }
    }
    show(|| "comes_to_good(&mut world);".to_owned());
    comes_to_good(&mut world);
}

/// Without its socket nothing tells a daemon that hangs from one that protects.
fn is_seen(world: &World, befall: Befall) -> bool {
    let process = world.process.as_ref();
    match befall {
        Befall::Hang(_) | Befall::Burn => process.is_some_and(|it| it.socket),
        Befall::RemoveSocket => process.is_some_and(|it| it.hang.is_none()),
        _ => true,
    }
}

/// A machine with this memory, whoever wrote it, on a host on which all is well.
pub fn remembered(memory: Memory) {
    let mut world = World::begin_with(&["a", "m"], true, 7, memory);
    let end = world.now + QUIET;
    while world.due().is_some_and(|due| due <= end) {
        steps(&mut world, 1);
    }
}

fn show(line: impl FnOnce() -> String) {
    static WANTED: OnceLock<bool> = OnceLock::new();
    if *WANTED.get_or_init(|| std::env::var_os("JAILWARDEN_FUZZ_SHOW").is_some()) {
        eprintln!("    {}", line());
    }
}
