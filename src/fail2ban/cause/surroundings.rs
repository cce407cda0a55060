//! What the system shows of the places that a start needs.

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, OFlags, StatVfsMountFlags, accessat, statvfs};
use rustix::process::Pid;

use super::super::database::{Damage, damage, holder};
use super::{Evidence, Log, Start, Trouble};

/// Less free room than this is none: the first write of a database takes more (12 pages of 4 KiB).
const LEAST_ROOM: u64 = 64 * 1024;

/// What a place is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Database,
    Log,
    Socket,
    /// What fail2ban starts without: its pid file, and our own state.
    Other,
}

/// The files as a process sees them: what is read-only for jailwarden need not be so for the daemon, whose
/// mounts are its own.
struct View(Option<PathBuf>);

/// Something that the system shows.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) part: Part,
    pub(super) evidence: Evidence,
    /// Whether it can be why a start fails.
    pub(super) stops: bool,
}

/// What systemd and an exit status tell (`man 5 systemd.exec`, `Process Exit Codes`).
pub(super) fn told(start: &Start<'_>) -> Option<Evidence> {
    let of = |trouble, words: String| Some(Evidence::of(Some(trouble), None, words));
    match start.result {
        Some("oom-kill") => {
            let words = "systemd says that the kernel killed it for lack of memory";
            return of(Trouble::OutOfMemory, words.into());
        }
        Some("resources") => {
            let words = "systemd says that it lacked resources to start it";
            return of(Trouble::Unit, words.into());
        }
        _ => {}
    }
    match start.status? {
        status @ (126 | 127 | 203) => of(
            Trouble::MissingProgram,
            format!("its program could not be run: exit status {status}"),
        ),
        // From CHDIR to NUMA_POLICY; 216 and 217 are the group and the user.
        status @ (200..=202 | 204..=243) => of(
            Trouble::Unit,
            format!("systemd could not set up the unit: exit status {status}"),
        ),
        _ => None,
    }
}

/// Looks at every place that a start needs.
pub(super) fn survey(start: &Start<'_>) -> Vec<Shown> {
    let mut shown = Vec::new();
    let view = View::of(start.mounts_of);
    if let Some(database) = start.database {
        place(&mut shown, &view, Part::Database, database, true);
        look_into(&mut shown, database);
    }
    let socket = &start.instance.socket;
    place(&mut shown, &view, Part::Socket, socket, true);
    if let Log::File { path, .. } = start.log {
        place(&mut shown, &view, Part::Log, path, false);
    }
    let pid_file = &start.instance.pid_file;
    place(&mut shown, &view, Part::Other, pid_file, true);
    let temporary = std::env::temp_dir().join("x");
    place(&mut shown, &view, Part::Other, &temporary, false);
    let state = start.state_dir.join("state");
    place(&mut shown, &View(None), Part::Other, &state, false);
    shown
}

/// Looks at the folder of a file, and at the file; `is_made` says that fail2ban makes the folder, but
/// none above it (`_make_file_path`, `server/server.py`).
fn place(shown: &mut Vec<Shown>, view: &View, part: Part, file: &Path, is_made: bool) {
    let Some(folder) = file.parent() else { return };
    let mut add = |trouble, path: &Path, stops, words: &str| {
        let evidence = Evidence::of(Some(trouble), Some(path), words);
        if !shown.iter().any(|known| known.evidence == evidence) {
            shown.push(Shown {
                part,
                evidence,
                stops: stops && part != Part::Other,
            });
        }
    };
    let is_folder = |path: &Path| view.seen(path).is_dir();
    let folder: PathBuf = match fs::metadata(view.seen(folder)) {
        Ok(found) if found.is_dir() => folder.to_owned(),
        Ok(_) => return add(Trouble::Missing, folder, true, "it is not a folder"),
        Err(_) => match folder.parent().filter(|above| is_made && is_folder(above)) {
            Some(above) => above.to_owned(),
            None => return add(Trouble::Missing, folder, true, "the folder is not there"),
        },
    };
    if part != Part::Socket && is_folder(file) {
        let trouble = match part {
            Part::Database => Trouble::DatabaseUnusable,
            _ => Trouble::LogUnusable,
        };
        return add(trouble, file, true, "it is a folder, not a file");
    }
    // A file may be a mount of its own.
    for path in [folder.as_path(), file] {
        let Ok(system) = statvfs(view.seen(path)) else {
            continue;
        };
        if system.f_flag.contains(StatVfsMountFlags::RDONLY) {
            return add(
                Trouble::ReadOnly,
                path,
                true,
                "it is on a read-only file system",
            );
        }
        if system.f_bfree.saturating_mul(system.f_frsize) < LEAST_ROOM {
            let stops = part == Part::Database;
            add(
                Trouble::NoRoom,
                path,
                stops,
                "its file system has no free room",
            );
        }
        // Some file systems count no inodes.
        if system.f_files > 0 && system.f_ffree == 0 {
            add(
                Trouble::NoRoom,
                path,
                !view.seen(file).exists(),
                "its file system has no free inode",
            );
        }
    }
    let may_write = accessat(
        CWD,
        view.seen(&folder),
        Access::WRITE_OK | Access::EXEC_OK,
        AtFlags::EACCESS,
    );
    if may_write.is_err() {
        add(Trouble::Denied, &folder, true, "it may not be written to");
    }
}

/// What keeps a daemon from writing to its database; it itself never does.
pub(super) fn of_database(database: &Path, daemon: Option<Pid>) -> Option<Evidence> {
    let held = holder(database).ok().flatten();
    if let Some(holder) = held.filter(|holder| daemon.is_none() || holder.pid != daemon) {
        let words = format!("{holder} holds it");
        return Some(Evidence::of(
            Some(Trouble::DatabaseLocked),
            Some(database),
            words,
        ));
    }
    let mut shown = Vec::new();
    place(
        &mut shown,
        &View::of(daemon),
        Part::Database,
        database,
        true,
    );
    let is_read_only = |it: &Shown| it.evidence.trouble == Some(Trouble::ReadOnly);
    let read_only = shown.into_iter().find(is_read_only);
    let (trouble, words) = match read_only {
        Some(shown) => (Trouble::ReadOnly, shown.evidence.words),
        None => match damage(database).ok()?? {
            Damage::NoFile => return None,
            damage => (Trouble::DatabaseDamaged, damage.to_string()),
        },
    };
    Some(Evidence::of(Some(trouble), Some(database), words))
}

impl View {
    /// Ours, if that of the process is not to be had.
    fn of(process: Option<Pid>) -> Self {
        let root = process.map(|pid| format!("/proc/{}/root", pid.as_raw_nonzero()));
        Self(root.map(PathBuf::from).filter(|root| root.is_dir()))
    }

    /// What leads there from here. A link to an absolute path leads on in our own view.
    fn seen(&self, path: &Path) -> PathBuf {
        let below = |root: &PathBuf| root.join(path.strip_prefix("/").unwrap_or(path));
        self.0.as_ref().map_or_else(|| path.to_owned(), below)
    }
}

pub(super) fn is_writable(database: &Path, daemon: Option<Pid>) -> bool {
    let view = View::of(daemon);
    let mut shown = Vec::new();
    place(&mut shown, &view, Part::Database, database, true);
    let database = view.seen(database);
    let can_be_opened = || {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true);
        let options = options.custom_flags(OFlags::NONBLOCK.bits().cast_signed());
        match options.open(&database) {
            Ok(_) => damage(&database).is_ok_and(|damage| damage != Some(Damage::NoFile)),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    };
    let is_free = || holder(&database).is_ok_and(|holder| holder.is_none());
    let is_there = database.exists();
    shown.iter().all(|shown| !shown.stops) && can_be_opened() && (!is_there || is_free())
}

fn look_into(shown: &mut Vec<Shown>, database: &Path) {
    let mut add = |trouble, stops, words: String| {
        shown.push(Shown {
            part: Part::Database,
            evidence: Evidence::of(Some(trouble), Some(database), words),
            stops,
        });
    };
    if let Ok(Some(damage)) = damage(database) {
        // fail2ban replaces one that it sees to be damaged.
        add(Trouble::DatabaseDamaged, false, damage.to_string());
    }
    if let Ok(Some(holder)) = holder(database) {
        add(Trouble::DatabaseLocked, true, format!("{holder} holds it"));
    }
}
