//! The config folder, and what is kept of it.

use super::super::*;
use super::*;

impl World {
    pub(in super::super) fn edit(&mut self, jail: &str, fault: Fault) {
        self.fresh += 1;
        self.write(jail, self.fresh, fault);
    }

    /// An admin writes this version of a jail's config.
    pub(in super::super) fn write(&mut self, jail: &str, digest: u128, fault: Fault) {
        self.files.insert(jail.to_owned(), digest);
        if self.held.remove(jail) {
            self.released.insert(jail.to_owned());
        }
        self.faults.insert(digest, fault);
        self.changed_ever.insert(jail.to_owned());
        self.touch();
    }

    pub(in super::super) fn remove(&mut self, jail: &str) {
        self.files.remove(jail);
        self.touch();
    }

    /// All files are what they should be; what jailwarden disabled is for it to bring back.
    pub(in super::super) fn mend(&mut self) {
        self.unreadable = false;
        self.disk_full = false;
        self.check_fails = false;
        self.surroundings = false;
        self.locked = false;
        self.damaged = false;
        for jail in self.files.clone().into_keys() {
            self.edit(&jail, Fault::None);
        }
        self.touch();
    }

    pub(in super::super) fn packages_change(&mut self) {
        self.gave_up_at = None;
        self.untried = true;
        self.tell(Event::Observed(Observed::PackagesChanged));
    }

    pub(in super::super) fn touch(&mut self) {
        self.gave_up_at = None;
        self.untried = true;
        self.touched_since_guess = true;
        self.stir();
    }

    /// jailwarden's own writing is noticed as any other.
    pub(super) fn stir(&mut self) {
        self.tell(Event::Observed(Observed::ConfigTouched));
    }

    pub(super) fn enabled(&self) -> BTreeMap<String, u128> {
        let mut enabled = self.files.clone();
        enabled.retain(|n, _| !self.rollbacks.contains(n));
        enabled
    }

    pub(super) fn read(&self) -> Reading {
        let enabled = self.enabled();
        let versions: Vec<_> = enabled
            .iter()
            .filter(|(_, d)| self.faults[*d] != Fault::Skipped)
            .map(|(n, d)| (n.as_str(), *d))
            .collect();
        let mut reading = config_of_versions(&versions);
        for (jail, digest) in &enabled {
            match self.faults[digest] {
                Fault::Fatal => reading = reading.fault(jail, true),
                Fault::Skipped => reading = reading.fault(jail, false),
                _ => {}
            }
        }
        reading.rollbacks.clone_from(&self.rollbacks);
        reading.in_memory = self.in_memory;
        if let Some(plan) = reading.plan.as_mut().filter(|_| self.in_memory) {
            plan.server += 1;
        }
        if self.unreadable {
            reading = reading.unreadable();
        }
        // It is of all files, those of disabled jails too.
        let mut hasher = DefaultHasher::new();
        let own = (&self.rollbacks, self.in_memory);
        (&self.files, own, self.unreadable).hash(&mut hasher);
        reading.fingerprint = hasher.finish().into();
        reading
    }

    pub(super) fn put_back(&mut self, reason: &str) -> Result<PutBack, String> {
        let good = self.good.clone().ok_or("nothing is kept")?;
        if self.disk_full {
            return Err("no space left on device".into());
        }
        if good == self.files && !self.unreadable {
            return Ok(PutBack::default());
        }
        self.fresh += 1;
        let name = format!("then-{}", self.fresh);
        self.replaced.push(Replaced {
            name: name.clone(),
            reason: reason.to_owned(),
            before: std::mem::replace(&mut self.files, good.clone()),
            unreadable: std::mem::take(&mut self.unreadable),
            after: good,
        });
        self.stir();
        Ok(PutBack {
            files: vec!["/etc/fail2ban/jail.local".into()],
            replaced: Some(name),
            folder: false,
        })
    }

    /// The files that were replaced last, if it was for this reason.
    pub(super) fn find_put_back(&self, reason: &str) -> PutBack {
        let newest = self.replaced.last().filter(|set| set.reason == reason);
        newest.map_or_else(PutBack::default, |set| PutBack {
            files: vec!["/etc/fail2ban/jail.local".into()],
            replaced: Some(set.name.clone()),
            folder: false,
        })
    }

    /// Brings back what a put-back replaced, but for what was changed since.
    pub(super) fn take_back(&mut self, name: &str) {
        let Some(at) = self.replaced.iter().position(|set| set.name == name) else {
            return;
        };
        let set = self.replaced.remove(at);
        self.unreadable |= set.unreadable;
        for (jail, digest) in set.before {
            let now = self.files.get(&jail).copied();
            if now == set.after.get(&jail).copied() {
                self.files.insert(jail, digest);
            }
        }
    }

    pub(super) fn try_mend(
        &self,
        jails: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, Trial>, String> {
        if self.check_fails {
            return Err("no Python".into());
        }
        let trial = |jail: &String| {
            let Some(digest) = self.files.get(jail) else {
                return Trial::Gone;
            };
            match self.faults[digest] {
                _ if self.unreadable => Trial::Faulty(finding(None, true)),
                Fault::Fatal | Fault::Skipped => Trial::Faulty(finding(Some(jail), true)),
                _ => Trial::Sound { digest: *digest },
            }
        };
        Ok(jails.iter().map(|j| (j.clone(), trial(j))).collect())
    }

    pub(super) fn read_config(&mut self, known: Option<u128>) -> Outcome {
        if self.check_fails {
            return Outcome::Config(ConfigRead::Failed("no Python".into()));
        }
        let reading = self.read();
        Outcome::Config(if known == Some(reading.fingerprint) {
            ConfigRead::Unchanged
        } else {
            ConfigRead::Read(reading.into())
        })
    }
}
