//! What jailwarden writes into the config folder, and takes back; and the last known good config.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use crate::fail2ban::database;
use crate::history::{HistoryError, Restored, Store, Which};
use crate::machine::{Outcome, Plan, PutBack};
use crate::rollback::{self, JailName, Why};
use crate::settings::Settings;

use super::daemon::Handle;
use super::memory_file;

/// Writes the rollback files of these jails. One that cannot be written does not keep the others
/// from it.
pub(super) fn disable(handle: &Handle, jails: &[String], reason: &str) -> Result<(), String> {
    let when = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let config_dir = &handle.instance().config_dir;
    let write = |jail: &String| {
        let why = Why {
            when: when.clone(),
            reason: reason.to_owned(),
            incident: None,
        };
        let name = JailName::new(jail).map_err(|error| error.to_string())?;
        rollback::write(config_dir, &name, &why).map_err(|error| error.to_string())
    };
    let failed: Vec<_> = jails.iter().filter_map(|jail| write(jail).err()).collect();
    all_done(&failed)
}

/// Finds the jails of which a rollback file of ours stands.
pub(super) fn find_rollbacks(handle: &Handle) -> Result<BTreeSet<String>, String> {
    let standing = rollback::standing(&handle.instance().config_dir);
    let standing = standing.map_err(|error| error.to_string())?;
    let jails = standing.iter().map(|it| it.jail.as_str().to_owned());
    Ok(jails.collect())
}

/// Writes the file that keeps the database in memory.
pub(super) fn keep_in_memory(handle: &Handle, reason: &str) -> Result<(), String> {
    let why = Why {
        when: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        reason: reason.to_owned(),
        incident: None,
    };
    let config_dir = &handle.instance().config_dir;
    // Where it stands already, the config names no other.
    let known = || rollback::in_memory(config_dir).map(|it| it.database);
    let database = handle.kept().database.clone().or_else(known);
    let database = database.ok_or("the config names no file for it")?;
    let written = rollback::keep_in_memory(config_dir, &database, &why);
    written.map(drop).map_err(|error| error.to_string())
}

/// Moves the database aside.
pub(super) fn set_aside(handle: &Handle) -> Result<Option<PathBuf>, String> {
    let Some(path) = handle.kept().database.clone() else {
        return Err("the config names no file for it".to_owned());
    };
    let seen = handle.kept().damaged;
    database::set_aside(&path, seen).map_err(|error| format!("{}: {error}", path.display()))
}

/// Finds the database that was moved aside after the state file was written.
pub(super) fn find_aside(handle: &Handle) -> Result<Option<PathBuf>, String> {
    let Some(path) = handle.kept().database.clone() else {
        return Ok(None);
    };
    let state = memory_file::path(&handle.settings().state_dir);
    let found = fs::metadata(state)
        .and_then(|state| state.modified())
        .and_then(|since| database::aside_since(&path, since));
    found.map_err(|error| format!("{}: {error}", path.display()))
}

/// Removes rollback files and the one that keeps the database in memory, and brings back what a put-back
/// replaced.
pub(super) fn take_back(
    handle: &Handle,
    jails: &[String],
    replaced: &[String],
    in_memory: bool,
) -> Result<(), String> {
    let config_dir = &handle.instance().config_dir;
    let called = handle.settings().called();
    let remove = |jail: &String| {
        let name = JailName::new(jail).map_err(|error| error.to_string())?;
        rollback::remove(config_dir, &name).map_err(|error| error.to_string())
    };
    let mut failed: Vec<_> = jails.iter().filter_map(|jail| remove(jail).err()).collect();
    if in_memory && let Err(error) = rollback::end_in_memory(config_dir) {
        failed.push(error.to_string());
    }
    for id in replaced.iter().rev() {
        match store(handle).take_back(id, "putting the last good config back did not help") {
            Ok((_, changed)) => {
                for path in changed {
                    let path = config_dir.join(path);
                    tracing::warn!(
                        "{} was changed since and stays as it is; what stood there before: \
                         {called} restore {id}",
                        path.display()
                    );
                }
            }
            Err(error) => failed.push(error.to_string()),
        }
    }
    all_done(&failed)
}

fn all_done(failed: &[String]) -> Result<(), String> {
    if failed.is_empty() {
        Ok(())
    } else {
        Err(failed.join("; "))
    }
}

/// Puts the newest good content of files back: of these, or of all that differ.
pub(super) fn put_back(handle: &Handle, files: Vec<PathBuf>, reason: &str) -> Outcome {
    let which = if files.is_empty() {
        Which::All
    } else {
        Which::Files(files)
    };
    let config_dir = &handle.instance().config_dir;
    let store = store(handle);
    let put_back = || {
        let newest = store.list()?.entries.into_iter().next();
        let newest = newest.ok_or_else(|| HistoryError::NothingKept {
            folder: handle.settings().state_dir.clone(),
        })?;
        store.put_back(&newest.id, config_dir, &which, reason)
    };
    let told = |restored: Restored| PutBack {
        files: restored
            .done
            .iter()
            .map(|done| config_dir.join(&done.path))
            .collect(),
        folder: restored.replaced.as_ref().is_some_and(|it| it.folder),
        replaced: restored.replaced.map(|replaced| replaced.id),
    };
    match put_back() {
        Ok(restored) => Outcome::PutBack(Ok(told(restored))),
        Err(HistoryError::Halted { cause, done }) => {
            Outcome::HalfPutBack(told(*done), cause.to_string())
        }
        Err(error) => Outcome::PutBack(Err(error.to_string())),
    }
}

/// What a put-back with this reason replaced, if nothing was replaced since.
pub(super) fn find_put_back(handle: &Handle, reason: &str) -> Result<PutBack, String> {
    let config_dir = &handle.instance().config_dir;
    let listing = store(handle).rejected();
    let newest = listing.map_err(|error| error.to_string())?.entries;
    let newest = newest.into_iter().next();
    let ours = newest.filter(|set| set.reason == reason && set.config_dir == *config_dir);
    Ok(ours.map_or_else(PutBack::default, |set| PutBack {
        files: set.paths.iter().map(|path| config_dir.join(path)).collect(),
        folder: set.folder,
        replaced: Some(set.id),
    }))
}

/// The fingerprint of the config that was last kept as good.
pub(super) fn newest_good(settings: &Settings) -> Option<u128> {
    let kept = store_of(settings).list().ok()?;
    Some(kept.entries.first()?.fingerprint)
}

/// Keeps the config, if it is still the one with this fingerprint.
pub(super) fn keep(handle: &Handle, fingerprint: u128, plan: &Plan) -> Result<(), String> {
    let stream = {
        let kept = handle.kept();
        let digests = [plan.server]
            .into_iter()
            .chain(plan.jails.values().map(|jail| jail.digest));
        let commands = digests.filter_map(|digest| kept.commands.get(&digest));
        commands.fold(String::new(), |mut text, commands| {
            text.push_str(commands.trim_end());
            text.push('\n');
            text
        })
    };
    let config_dir = &handle.instance().config_dir;
    store(handle)
        .keep(config_dir, fingerprint, &stream, SystemTime::now())
        .map(drop)
        .map_err(|error| error.to_string())
}

/// The commands of a jail, or of the server, that were kept with a good config under this digest.
pub(super) fn commands(handle: &Handle, digest: u128) -> Option<Arc<str>> {
    let store = store(handle);
    let mut streams = store.streams().ok()?;
    streams.find_map(|stream| {
        if stream.digests().server == digest {
            return Some(stream.server.join("\n").into());
        }
        let jail = stream.jails.iter().find(|jail| jail.digest == digest)?;
        Some(jail.text.as_str().into())
    })
}

fn store(handle: &Handle) -> Store {
    store_of(handle.settings())
}

fn store_of(settings: &Settings) -> Store {
    Store::open(&settings.state_dir, &settings.called())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::fail2ban::folder::{Limits, Snapshot};
    use crate::fail2ban::stream::Stream;
    use crate::shell::reading;

    fn in_folder(dir: &Path) -> Handle {
        let settings = Settings {
            config_dir: dir.join("fail2ban"),
            state_dir: dir.join("state"),
            ..Settings::default()
        };
        Handle::new(settings, unbounded_channel().0)
    }

    #[test]
    fn another_jailwarden_finds_the_commands_of_what_was_good() {
        let text = "['set', 'loglevel', 'INFO']\n['add', 'a', 'polling']\n['add', 'b', 'polling']\n\
                    ['set', 'b', 'maxretry', 3]\n['start', 'a']\n['start', 'b']\n";
        let stream = Stream::parse(text).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let handle = in_folder(dir.path());
        let root = handle.instance().config_dir.clone();
        fs::create_dir(&root).unwrap();
        let plan = reading::keep(&handle, stream.clone());
        let fingerprint = Snapshot::take(&root, Limits::default()).fingerprint();
        keep(&handle, fingerprint, &plan).unwrap();

        let handle = in_folder(dir.path());
        let found = |digest| commands(&handle, digest).unwrap();
        assert_eq!(*found(plan.server), *stream.server.join("\n"));
        for jail in &stream.jails {
            assert_eq!(*found(plan.jails[&jail.name].digest), *jail.text);
        }
        assert_eq!(commands(&handle, 1), None);
    }

    #[test]
    fn what_was_disabled_is_found_and_not_what_others_wrote() {
        let dir = tempfile::tempdir().unwrap();
        let handle = in_folder(dir.path());
        assert_eq!(find_rollbacks(&handle), Ok(BTreeSet::new()));
        let jail_d = handle.instance().config_dir.join("jail.d");
        fs::create_dir_all(&jail_d).unwrap();
        disable(&handle, &["a".to_owned(), "b".to_owned()], "why").unwrap();
        fs::write(jail_d.join("zzz-jailwarden-c.local"), "[c]\n").unwrap();
        let found = find_rollbacks(&handle).unwrap();
        assert_eq!(found, BTreeSet::from(["a".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn what_somebody_changed_since_the_put_back_is_not_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let handle = in_folder(dir.path());
        let root = handle.instance().config_dir.clone();
        let write = |name: &str, content: &str| fs::write(root.join(name), content).unwrap();
        let read = |name: &str| fs::read_to_string(root.join(name)).unwrap_or_default();
        fs::create_dir(&root).unwrap();
        write("a.local", "good\n");
        write("b.local", "good\n");
        let fingerprint = Snapshot::take(&root, Limits::default()).fingerprint();
        keep(&handle, fingerprint, &Plan::default()).unwrap();
        for name in ["a.local", "b.local", "new.local"] {
            write(name, "bad\n");
        }
        let Outcome::PutBack(Ok(done)) = put_back(&handle, Vec::new(), "why") else {
            panic!("it can be put back");
        };
        assert_eq!(find_put_back(&handle, "why"), Ok(done.clone()));
        let other = find_put_back(&handle, "something else");
        assert_eq!(other, Ok(PutBack::default()));
        let replaced = Vec::from_iter(done.replaced);
        write("a.local", "mended\n");

        for _ in 0..2 {
            take_back(&handle, &[], &replaced, false).unwrap();
            let all = ["a.local", "b.local", "new.local"].map(read);
            assert_eq!(all, ["mended\n", "bad\n", "bad\n"]);
        }
        write("b.local", "mended\n");
        take_back(&handle, &[], &replaced, false).unwrap();
        assert_eq!(read("b.local"), "mended\n", "done twice after a crash");
    }
}
