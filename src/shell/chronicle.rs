//! What is remembered for people: the incidents that ended, and the hours in which jails went
//! unprotected.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::status::{Hour, Incident, Past, Timestamp, Unprotected};
use serde::{Deserialize, Serialize};

use super::memory_file;

/// How many incidents are kept.
const INCIDENTS: usize = 200;
/// In how many jails' spans, over all of these: a few hundred KiB.
const JAILS: usize = 10_000;
const HOUR: u64 = 3600;
const DAY: u64 = 24;
const MONTH: u64 = 30 * DAY;
/// The year 10,000, at which RFC 3339 ends.
const LAST_HOUR: u64 = 253_402_300_800 / HOUR;
/// How often the hours are written while they change.
const SAVE_PACE: Duration = Duration::from_secs(60);

/// The whole of it.
#[derive(Debug)]
pub(super) struct Chronicle {
    path: PathBuf,
    kept: Kept,
    /// For how long each jail had gone unprotected when that was last taken over.
    seen: Option<BTreeMap<String, Duration>>,
    saved: SystemTime,
    changed: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    /// When it began.
    since: Option<Timestamp>,
    /// The last one first.
    incidents: VecDeque<Incident>,
    /// Seconds without protection by hour since 1970, and by jail.
    hours: BTreeMap<u64, BTreeMap<String, f64>>,
}

/// What has to be written.
#[derive(Debug)]
pub(super) struct Unsaved {
    path: PathBuf,
    kept: Kept,
}

/// The past as a jailwarden kept it that need not run. The file is only read. Blocking.
///
/// # Errors
/// What the system says, `NotFound` where none was kept yet; or that the file cannot be understood.
pub fn kept_past(state_dir: &Path) -> io::Result<Past> {
    let kept: Kept = memory_file::read(&path(state_dir))?;
    Ok(kept.sound().past())
}

impl Kept {
    /// Without hours that never were, as in a file that was damaged.
    fn sound(mut self) -> Self {
        self.hours.retain(|hour, _| *hour < LAST_HOUR);
        self
    }

    fn past(&self) -> Past {
        let hours = self.hours.iter().map(|(hour, jails)| Hour {
            began: Timestamp::from(UNIX_EPOCH + Duration::from_secs(hour * HOUR)),
            longest: jails.values().copied().fold(0.0, f64::max),
            jails: jails.len(),
        });
        Past {
            since: self.since.unwrap_or_else(Timestamp::now),
            incidents: self.incidents.iter().cloned().collect(),
            hours: hours.collect(),
        }
    }
}

fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("chronicle.json")
}

impl Unsaved {
    /// Blocking.
    ///
    /// # Errors
    /// What the system says, with the path.
    pub(super) fn write(self) -> Result<(), String> {
        memory_file::save(&self.path, &self.kept)
    }
}

impl Chronicle {
    /// What is remembered in the state folder, and what is wrong with it, if anything is.
    pub(super) fn load(state_dir: &Path) -> (Self, Option<String>) {
        let path = path(state_dir);
        let (kept, said): (Kept, _) = memory_file::load(&path);
        let mut kept = kept.sound();
        let is_new = kept.since.is_none();
        kept.since.get_or_insert_with(Timestamp::now);
        let chronicle = Self {
            path,
            kept,
            seen: None,
            saved: UNIX_EPOCH,
            changed: is_new,
        };
        (chronicle, said)
    }

    /// What is remembered of the last 30 days.
    pub(super) fn past(&self) -> Past {
        self.kept.past()
    }

    /// An incident has ended.
    pub(super) fn add(&mut self, incident: Incident) {
        self.kept.incidents.push_front(incident);
        self.kept.incidents.truncate(INCIDENTS);
        let mut jails = 0;
        self.kept.incidents.retain(|incident| {
            jails += incident.unprotected.len();
            jails <= JAILS
        });
        self.changed = true;
        self.saved = UNIX_EPOCH;
    }

    /// The incidents that ended, the last one first.
    pub(super) fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.kept.incidents.iter()
    }

    /// Takes over for how long each jail has gone unprotected in all. The first call only sets the
    /// base from which is counted.
    pub(super) fn account(&mut self, now: SystemTime, totals: &BTreeMap<String, Duration>) {
        if self.seen.as_ref() == Some(totals) {
            return;
        }
        let Some(seen) = self.seen.replace(totals.clone()) else {
            return;
        };
        let hour = hour_of(now);
        for (jail, total) in totals {
            let lost = total.saturating_sub(seen.get(jail).copied().unwrap_or_default());
            if !lost.is_zero() {
                let jails = self.kept.hours.entry(hour).or_default();
                *jails.entry(jail.clone()).or_default() += lost.as_secs_f64();
                self.changed = true;
            }
        }
        self.kept.hours.retain(|it, _| it + MONTH > hour);
    }

    /// For how long a jail went unprotected.
    pub(super) fn unprotected(&self, jail: &str, total: Duration, now: SystemTime) -> Unprotected {
        let hour = hour_of(now);
        let since = |hours: u64| {
            let last = self.kept.hours.iter().filter(|(it, _)| **it + hours > hour);
            // Not `sum`, which makes -0.0 of nothing.
            last.filter_map(|(_, jails)| jails.get(jail))
                .fold(0.0, |sum, lost| sum + lost)
        };
        Unprotected {
            day: since(DAY),
            month: since(MONTH),
            total: total.as_secs_f64(),
        }
    }

    /// What has to be written now, if anything has.
    pub(super) fn unsaved(&mut self, now: SystemTime) -> Option<Unsaved> {
        let age = now.duration_since(self.saved).unwrap_or(SAVE_PACE);
        if age < SAVE_PACE {
            return None;
        }
        self.saved = now;
        self.rest()
    }

    /// What has not been written yet, if anything has not.
    pub(super) fn rest(&mut self) -> Option<Unsaved> {
        std::mem::take(&mut self.changed).then(|| Unsaved {
            path: self.path.clone(),
            kept: self.kept.clone(),
        })
    }
}

fn hour_of(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
        / HOUR
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Timestamp;

    #[test]
    fn an_hour_that_never_was_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let kept =
            |hour: u64| format!(r#"{{"version":1,"memory":{{"hours":{{"{hour}":{{"a":1}}}}}}}}"#);
        for (hour, count) in [
            (500_000, 1),
            (LAST_HOUR, 0),
            (u64::MAX / HOUR, 0),
            (u64::MAX, 0),
        ] {
            std::fs::write(path(dir.path()), kept(hour)).unwrap();
            assert_eq!(kept_past(dir.path()).unwrap().hours.len(), count);
            let (mut chronicle, said) = Chronicle::load(dir.path());
            assert_eq!((chronicle.past().hours.len(), said), (count, None));
            for seconds in 1..3 {
                let totals = [("a".to_owned(), Duration::from_secs(seconds))].into();
                chronicle.account(at(0), &totals);
            }
            assert!(chronicle.unprotected("a", Duration::ZERO, at(0)).month >= 1.0);
        }
    }

    fn at(hours: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs((500_000 + hours) * HOUR)
    }

    fn totals(seconds: u64) -> BTreeMap<String, Duration> {
        [("sshd".to_owned(), Duration::from_secs(seconds))].into()
    }

    #[test]
    fn hours_are_counted_from_the_first_account_on_and_forgotten_after_a_month() {
        let dir = tempfile::tempdir().unwrap();
        let (mut chronicle, _) = Chronicle::load(dir.path());
        chronicle.account(at(0), &totals(100));
        chronicle.account(at(0), &totals(107));
        chronicle.account(at(30), &totals(110));
        let lost = |chronicle: &Chronicle, hours| {
            let it = chronicle.unprotected("sshd", Duration::from_secs(110), at(hours));
            (it.day, it.month, it.total)
        };
        assert_eq!(lost(&chronicle, 30), (3.0, 10.0, 110.0));
        assert_eq!(lost(&chronicle, 53), (3.0, 10.0, 110.0));
        assert_eq!(lost(&chronicle, 54), (0.0, 10.0, 110.0));
        assert_eq!(lost(&chronicle, 720), (0.0, 3.0, 110.0));
        chronicle.unsaved(at(30)).unwrap().write().unwrap();
        let (mut again, said) = Chronicle::load(dir.path());
        assert_eq!(said, None);
        assert_eq!(lost(&again, 30), (3.0, 10.0, 110.0));
        let past = again.past();
        assert_eq!(past.since.to_string(), chronicle.past().since.to_string());
        let hours: Vec<_> = past
            .hours
            .iter()
            .map(|it| (it.began.time(), it.longest, it.jails))
            .collect();
        assert_eq!(hours, [(at(0), 7.0, 1), (at(30), 3.0, 1)]);
        again.account(at(30), &totals(110));
        assert_eq!(lost(&again, 30), (3.0, 10.0, 110.0));
    }

    #[test]
    fn incidents_are_kept_at_once_and_in_a_bounded_number() {
        let dir = tempfile::tempdir().unwrap();
        let (mut chronicle, _) = Chronicle::load(dir.path());
        // Since when there is one, it knows from now on.
        chronicle.unsaved(at(0)).unwrap().write().unwrap();
        assert!(chronicle.unsaved(at(0)).is_none());
        for number in 0..=INCIDENTS {
            chronicle.add(Incident {
                id: number.to_string(),
                began: Timestamp::from(at(0)),
                ended: Some(Timestamp::from(at(1))),
                end: None,
                what: "fail2ban is down".to_owned(),
                unprotected: [("sshd".to_owned(), 1.5)].into(),
                rolled_back: Vec::new(),
                given_up: 0,
            });
            chronicle.unsaved(at(1)).unwrap().write().unwrap();
        }
        let kept = kept_past(dir.path()).unwrap().incidents;
        let (again, _) = Chronicle::load(dir.path());
        assert!(again.incidents().eq(&kept));
        let ids: Vec<_> = again.incidents().map(|it| it.id.as_str()).collect();
        assert_eq!((ids.len(), ids[0]), (INCIDENTS, "200"));
        assert!(again.incidents().eq(chronicle.incidents()));
    }
}
