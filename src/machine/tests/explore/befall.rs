//! What may befall a host in a walk: a small closed set, each a line of a test.

use std::fmt;

use super::super::world::{Fault, Hang, Then, World};
use super::super::*;

/// One fault, or one doing of an admin's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Befall {
    Crash,
    Hang(Hang),
    /// The filter of `a` runs for ever on a line of its log.
    Burn,
    KillJail,
    /// `fail2ban-client stop a`
    StopJail,
    RemoveSocket,
    Edit(&'static str, Fault),
    /// Another sound version of `a`.
    Renew,
    BreakFiles,
    DiskFull,
    CheckFails,
    Surroundings,
    Lock,
    Damage,
    /// Somebody removes the file that has the database in memory.
    UndoInMemory,
    /// Somebody removes a rollback.
    UndoRollback,
    /// All is as it was before, but for what jailwarden did.
    Mend,
    AdminStops(bool),
    /// An admin has systemd stop it, or restart it, and it hangs before its end.
    StopHangs(bool),
    AdminStarts,
    /// `systemctl mask`, without `--now`
    Mask,
    /// Packages are being installed from now on.
    Packages,
    Pause(Option<u64>),
    Resume,
    PackagesChange,
    /// jailwarden is killed and started again; of what was under way, this was done.
    Killed(u8),
    /// The action at this place of what is under way is lost; whether it was done all the same.
    Lost(usize, bool),
    /// It takes long.
    Slow(usize),
}

/// As it is written in a test.
impl fmt::Debug for Befall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Befall::")?;
        match self {
            Self::Crash => f.write_str("Crash"),
            Self::Hang(hang) => write!(f, "Hang(Hang::{hang:?})"),
            Self::Burn => f.write_str("Burn"),
            Self::KillJail => f.write_str("KillJail"),
            Self::StopJail => f.write_str("StopJail"),
            Self::RemoveSocket => f.write_str("RemoveSocket"),
            Self::Edit(jail, fault) => write!(f, "Edit({jail:?}, Fault::{fault:?})"),
            Self::Renew => f.write_str("Renew"),
            Self::BreakFiles => f.write_str("BreakFiles"),
            Self::DiskFull => f.write_str("DiskFull"),
            Self::CheckFails => f.write_str("CheckFails"),
            Self::Surroundings => f.write_str("Surroundings"),
            Self::Lock => f.write_str("Lock"),
            Self::Damage => f.write_str("Damage"),
            Self::UndoInMemory => f.write_str("UndoInMemory"),
            Self::UndoRollback => f.write_str("UndoRollback"),
            Self::Mend => f.write_str("Mend"),
            Self::AdminStops(systemctl) => write!(f, "AdminStops({systemctl})"),
            Self::StopHangs(restarts) => write!(f, "StopHangs({restarts})"),
            Self::AdminStarts => f.write_str("AdminStarts"),
            Self::Mask => f.write_str("Mask"),
            Self::Packages => f.write_str("Packages"),
            Self::Pause(left) => write!(f, "Pause({left:?})"),
            Self::Resume => f.write_str("Resume"),
            Self::PackagesChange => f.write_str("PackagesChange"),
            Self::Killed(done) => write!(f, "Killed({done:#b})"),
            Self::Lost(at, done) => write!(f, "Lost({at}, {done})"),
            Self::Slow(at) => write!(f, "Slow({at})"),
        }
    }
}

const EDITS: [(&str, Fault); 7] = [
    ("a", Fault::Fatal),
    ("a", Fault::Skipped),
    ("a", Fault::Hidden),
    ("a", Fault::Phantom),
    ("a", Fault::ColdOnly),
    ("m", Fault::Fatal),
    ("m", Fault::ColdOnly),
];

/// Each jail has one version of each kind, so that equal situations look equal.
fn version(jail: &str, kind: u128) -> u128 {
    100 * (1 + u128::from(jail != "a")) + kind
}

fn sound(jail: &str) -> u128 {
    1 + u128::from(jail != "a")
}

impl Befall {
    /// All that can befall this host now and changes something.
    pub(in super::super) fn all(world: &World) -> Vec<Self> {
        let mut all = Vec::new();
        daemon(world, &mut all);
        disk(world, &mut all);
        people(world, &mut all);
        shell(world, &mut all);
        all
    }

    pub(in super::super) fn happens(self, world: &mut World) {
        world.at_this_instant.1 = 0;
        match self {
            Self::Crash => world.crash(),
            Self::Hang(hang) => world.hang(hang),
            Self::Burn => world.burn("a"),
            Self::KillJail => world.kill_jail("a"),
            Self::StopJail => world.stop_jail("a"),
            Self::RemoveSocket => world.remove_socket(),
            Self::Edit(jail, fault) => world.write(jail, version(jail, fault as u128), fault),
            Self::Renew => world.write("a", version("a", 99), Fault::None),
            Self::BreakFiles => {
                world.unreadable = true;
                world.touch();
            }
            Self::DiskFull => world.disk_full = true,
            Self::CheckFails => world.check_fails = true,
            Self::Surroundings => world.surroundings = true,
            Self::Lock => world.locked = true,
            Self::Damage => world.damaged = true,
            Self::UndoInMemory => {
                world.in_memory = false;
                world.touch();
            }
            Self::UndoRollback => {
                world.rollbacks.pop_first();
                world.touch();
            }
            Self::Mend => {
                world.unreadable = false;
                world.disk_full = false;
                world.check_fails = false;
                world.surroundings = false;
                world.locked = false;
                world.damaged = false;
                world.burning = None;
                world.write("a", sound("a"), Fault::None);
                world.write("m", sound("m"), Fault::None);
            }
            Self::AdminStops(systemctl) => world.admin_stops(systemctl),
            Self::StopHangs(restarts) => world.hangs_in_stop(restarts),
            Self::AdminStarts => world.admin_starts(),
            Self::Mask => world.masked = true,
            Self::Packages => world.packages = true,
            Self::Pause(left) => world.pauses(left.map(secs)),
            Self::Resume => world.resumes(),
            Self::PackagesChange => world.packages_change(),
            Self::Killed(done) => {
                let done: Vec<_> = (0..8).filter(|at| done >> at & 1 == 1).collect();
                world.jailwarden_is_killed(&done);
            }
            Self::Lost(at, done) => world.lose(at, done),
            Self::Slow(at) => world.later[at].0 = world.now + secs(5),
        }
    }
}

fn daemon(world: &World, all: &mut Vec<Befall>) {
    let Some(process) = &world.process else {
        return;
    };
    all.push(Befall::Crash);
    if process.hang.is_some() {
        return;
    }
    all.push(Befall::Hang(Hang::Frozen));
    all.push(Befall::Hang(Hang::Stopped));
    if process.jails.get("a").is_some_and(|jail| jail.alive) {
        all.extend([Befall::Burn, Befall::KillJail]);
        if process.up_at <= world.now && process.socket && !process.stopping {
            all.push(Befall::StopJail);
        }
    }
    if process.socket && process.up_at <= world.now {
        all.push(Befall::RemoveSocket);
    }
    if world.can_be_stopped() {
        all.extend([Befall::AdminStops(false), Befall::AdminStops(true)]);
        if world.has_unit && !process.stopping {
            all.extend([Befall::StopHangs(false), Befall::StopHangs(true)]);
        }
    }
}

fn disk(world: &World, all: &mut Vec<Befall>) {
    for (jail, fault) in EDITS {
        if world.files.get(jail) != Some(&version(jail, fault as u128)) {
            all.push(Befall::Edit(jail, fault));
        }
    }
    if world.files.get("a") != Some(&version("a", 99)) {
        all.push(Befall::Renew);
    }
    let flags = [
        (world.unreadable, Befall::BreakFiles),
        (world.disk_full, Befall::DiskFull),
        (world.check_fails, Befall::CheckFails),
        (world.surroundings, Befall::Surroundings),
        (world.locked, Befall::Lock),
        (world.damaged, Befall::Damage),
    ];
    let edited = ["a", "m"]
        .iter()
        .any(|jail| world.files.get(*jail) != Some(&sound(jail)));
    if edited || world.burning.is_some() || flags.iter().any(|(is, _)| *is) {
        all.push(Befall::Mend);
    }
    all.extend(flags.into_iter().filter(|(is, _)| !is).map(|(_, it)| it));
}

fn people(world: &World, all: &mut Vec<Befall>) {
    let busy = matches!(world.machine.state, State::Restarting(_));
    if world.process.is_none() && !busy {
        all.push(Befall::AdminStarts);
    }
    if world.has_unit && !world.masked {
        all.push(Befall::Mask);
    }
    if !world.packages {
        all.push(Befall::Packages);
    }
    if world.paused.is_some() {
        all.push(Befall::Resume);
    } else {
        all.extend([Befall::Pause(None), Befall::Pause(Some(60))]);
    }
    if world.in_memory {
        all.push(Befall::UndoInMemory);
    }
    if !world.rollbacks.is_empty() {
        all.extend([Befall::PackagesChange, Befall::UndoRollback]);
    }
}

fn shell(world: &World, all: &mut Vec<Befall>) {
    for (at, (_, then)) in world.later.iter().enumerate() {
        let Then::Answer(_, effect, _) = then else {
            continue;
        };
        all.extend([Befall::Slow(at), Befall::Lost(at, false)]);
        if !is_reading(effect) {
            all.push(Befall::Lost(at, true));
        }
    }
    all.extend(kills(world));
}

/// jailwarden may be killed at any time, with what was under way done or not.
pub(super) fn kills(world: &World) -> Vec<Befall> {
    let under_way = world.later.iter().enumerate();
    let writes = under_way.filter_map(|(at, (_, then))| match then {
        Then::Answer(_, effect, _) if !is_reading(effect) => Some((at, &**effect)),
        _ => None,
    });
    let writes: Vec<_> = writes.filter(|(at, _)| *at < 8).take(3).collect();
    let subsets = 0..1_u8 << writes.len();
    let kill = |subset: u8| {
        let done = writes.iter().enumerate();
        let done = done.filter(|(n, _)| subset >> n & 1 == 1);
        Befall::Killed(done.map(|(_, (at, _))| 1 << at).sum())
    };
    let may_be = |subset: &u8| may_be(*subset, &writes);
    subsets.filter(may_be).map(kill).collect()
}

/// Whether these of the writes may be done without the others: a start waits until what was saved
/// before it is on disk.
fn may_be(subset: u8, writes: &[(usize, &Effect)]) -> bool {
    let is_done = |n: &usize| subset >> n & 1 == 1;
    let is_save = |n: &usize| matches!(writes[*n].1, Effect::Save(_));
    let is_start = |n: &usize| matches!(writes[*n].1, Effect::Start { .. });
    let mut starts = (0..writes.len()).filter(|n| is_start(n) && is_done(n));
    starts.all(|start| (0..start).filter(is_save).all(|save| is_done(&save)))
}

/// Whether it makes no difference that it was done.
fn is_reading(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::Look { .. }
            | Effect::ReadConfig { .. }
            | Effect::TryMend { .. }
            | Effect::Sample { .. }
            | Effect::Diagnose { .. }
            | Effect::FindCulprit
            | Effect::FindRollbacks
    )
}
