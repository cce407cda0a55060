//! Equal situations get equal keys: times count from now, ids and processes by their order.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hasher};

use super::super::world::{Then, World};
use super::super::*;

/// The first process of a walk has this number: no other number in a picture is as large, except
/// fingerprints, which are far larger.
pub(super) const FIRST_PID: u32 = 7_000_000;
const PIDS: std::ops::Range<u128> = 7_000_000..8_000_000;
/// What lies further away than this, or is longer ago, differs no more.
const HORIZON: i128 = 35_000;
/// What is tried ever more slowly differs no more after so many tries.
const TRIES: u32 = 1;

/// The key of a world's state.
pub(super) fn key(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(picture(world).as_bytes());
    hasher.finish()
}

/// All that can matter from here on, as text. The machine is shown by its `Debug`, so that a new
/// field is part of it by itself; what only words and accounts depend on is blanked.
pub(super) fn picture(world: &World) -> String {
    let mut raw = String::with_capacity(8192);
    let process = world.process.as_ref();
    let shown = process.is_some_and(|p| world.shown.contains(&p.pid));
    let mut later: Vec<_> = world.later.iter().collect();
    later.sort_by_key(|(at, _)| *at);
    let _ = write!(
        raw,
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} ",
        (world.has_unit, world.blames, &world.burning, shown),
        (&world.files, &world.rollbacks, &world.good),
        (
            (&world.replaced, world.unreadable, world.disk_full),
            (world.save_lost, world.unheard)
        ),
        (
            (world.doomed, world.lingers, world.frail),
            world.check_fails,
            (
                (world.surroundings, world.damaged),
                (world.locked, world.in_memory)
            ),
            world.stopped_by_admin
        ),
        (
            (process, &world.unit, &world.stopped_jails),
            (world.masked, world.packages, world.barred)
        ),
        (&world.held, world.how_it_was_started()),
        (&world.paused, &world.changed_ever),
        blank_memory(&world.memory),
    );
    for (at, then) in later {
        let _ = match then {
            Then::Answer(id, effect, peer) => match &**effect {
                Effect::Save(memory) => write!(raw, "{at:?} {id:?} {:?} ", blank_memory(memory)),
                effect => write!(raw, "{at:?} {id:?} {effect:?} {peer:?} "),
            },
            other => write!(raw, "{at:?} {other:?} "),
        };
    }
    let memory = &world.memory;
    for left in [
        Some(memory.in_memory.left).filter(|left| !left.is_zero()),
        memory.gave_up.left,
        memory.relieved,
    ] {
        let _ = write!(raw, "{:?} ", left.map(|left| world.kept_at + left));
    }
    let _ = write!(raw, "{:?}", blank_machine(&world.machine, world.now));
    canonical(&raw, world.now)
}

fn blank_memory(memory: &Memory) -> Memory {
    let mut memory = memory.clone().without_waits();
    memory.unprotected.clear();
    memory.in_memory.times = memory.in_memory.times.min(TRIES);
    memory.gave_up.times = memory.gave_up.times.min(TRIES);
    blank_mends(&mut memory.mends);
    memory
}

fn blank_mends(mends: &mut BTreeMap<String, Mend>) {
    for mend in mends.values_mut() {
        mend.tries = mend.tries.min(TRIES);
    }
}

fn blank_machine(machine: &Machine, now: MonoTime) -> Machine {
    let mut machine = machine.clone();
    machine.names = Names::default();
    (machine.seed, machine.last_id, machine.incidents) = (0, 0, 0);
    // A look takes a moment here.
    (machine.now, machine.look_began) = (MonoTime::START, MonoTime::START);
    machine.last_fine = None;
    machine.in_memory.times = machine.in_memory.times.min(TRIES);
    machine.gave_up_before = machine.gave_up_before.min(TRIES);
    machine.protection = Protection::default();
    machine.unprotected.clear();
    machine.saved = blank_memory(&machine.saved);
    blank_mends(&mut machine.mends);
    let counts = |at: &MonoTime| now.since(*at) < Policy::BUDGET_WINDOW;
    machine.starts.retain(counts);
    for at in &mut machine.starts {
        *at = MonoTime::START;
    }
    if let Some(incident) = &mut machine.incident {
        incident.id.clear();
        incident.since = MonoTime::START;
        incident.given_up = incident.given_up.min(TRIES);
    }
    if let State::GaveUp { attempt, .. } = &mut machine.state {
        *attempt = (*attempt).min(TRIES);
    }
    machine
}

/// Rewrites the times, ids and processes of a text made by `Debug`.
fn canonical(raw: &str, now: MonoTime) -> String {
    let now = millis(now.since(MonoTime::START));
    let mut out = String::with_capacity(raw.len());
    let mut ids: Vec<&str> = Vec::new();
    let mut pids: Vec<&str> = Vec::new();
    let mut rest = raw;
    while let Some(at) = rest.bytes().position(|b| b.is_ascii_digit()) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let digits = from.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = from.split_at(digits);
        rest = after;
        if before.ends_with("MonoTime(") {
            let end = after.find(')').unwrap_or(after.len());
            let at = parse(number, &after[..end]) - now;
            rest = &after[end..];
            let _ = match at {
                at if at < -HORIZON => write!(out, "past"),
                at if at > HORIZON => write!(out, "far"),
                at => write!(out, "{at}"),
            };
        } else if before.ends_with("ActionId(") {
            let _ = write!(out, "{}", order(&mut ids, number));
        } else if number.parse().is_ok_and(|n| PIDS.contains(&n)) {
            let _ = write!(out, "P{}", order(&mut pids, number));
        } else {
            out.push_str(number);
        }
    }
    out.push_str(rest);
    out
}

fn order<'a>(seen: &mut Vec<&'a str>, one: &'a str) -> usize {
    seen.iter().position(|s| *s == one).unwrap_or_else(|| {
        seen.push(one);
        seen.len() - 1
    })
}

/// The milliseconds of a duration as `Debug` writes it, such as `12.34s`.
fn parse(whole: &str, rest: &str) -> i128 {
    let unit = rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let number: f64 = format!("{whole}{}", &rest[..rest.len() - unit.len()])
        .parse()
        .unwrap();
    let factor = match unit {
        "s" => 1e3,
        "ms" => 1.0,
        "µs" => 1e-3,
        "ns" => 1e-6,
        other => panic!("{other} is no unit"),
    };
    #[expect(clippy::cast_possible_truncation, reason = "these are days at most")]
    let millis = (number * factor).round() as i128;
    millis
}

fn millis(duration: Duration) -> i128 {
    i128::try_from(duration.as_millis()).unwrap()
}
