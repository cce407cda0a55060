//! jailwarden is killed by SIGKILL right before and right after each step of each recovery
//! (`src/shell/failpoint.rs`), and started again: the end is the same as without the kill.
//!
//! Each scenario is run once unharmed, which tells its steps, and then once for each side of a step.
//! By default that is the first step of each kind that changes the config or the daemon, on one of its
//! sides in turn; `JAILWARDEN_ALL=1` takes every step on both sides, of the looks the first few.

#[cfg(test)]
#[expect(dead_code, reason = "each test uses its part of the shared support")]
#[path = "../support/mod.rs"]
mod support;

#[cfg(test)]
mod end;
#[cfg(test)]
mod scenarios;

#[cfg(test)]
mod kill {
    use std::collections::BTreeMap;
    use std::fs;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Instant;

    use crate::end::End;
    use crate::scenarios::{Scenario, Stage};
    use crate::support::daemon::Fail2ban;
    use crate::support::{GUARD, is_everything_tested, wait_until};

    /// Runs of one scenario at a time. They mostly wait.
    const AT_ONCE: usize = 4;
    /// Of looks, which come again and again, so many are taken.
    const LOOKS: u32 = 3;
    /// Effects that change neither the config nor the daemon: to be killed beside one of them is much
    /// the same as beside the ones around it.
    const HARMLESS: [&str; 8] = [
        "Save",
        "Look",
        "ReadConfig",
        "TryMend",
        "Sample",
        "Diagnose",
        "FindCulprit",
        "FindPutBack",
    ];

    /// Kills jailwarden at each step of a scenario.
    pub(crate) fn at_each_step_of(scenario: &Scenario) {
        let begun = Instant::now();
        let Some((wanted, steps)) = run(scenario, None) else {
            return;
        };
        let steps = chosen(&steps);
        assert!(!steps.is_empty(), "{}: nothing is done", scenario.name);
        let (next, reached) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let wrong = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..AT_ONCE.min(steps.len()) {
                scope.spawn(|| {
                    while let Some(step) = steps.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let Some((end, killed)) = run(scenario, Some((step, &wanted))) else {
                            continue;
                        };
                        reached.fetch_add(usize::from(!killed.is_empty()), Ordering::Relaxed);
                        if end != wanted {
                            wrong.lock().unwrap().push(end.differs(&wanted, step));
                        }
                    }
                });
            }
        });
        eprintln!(
            "{}: {} kills at {} steps in {:.0?}",
            scenario.name,
            reached.load(Ordering::Relaxed),
            steps.len(),
            begun.elapsed()
        );
        let wrong = wrong.into_inner().unwrap();
        assert!(wrong.is_empty(), "{}:\n{}", scenario.name, wrong.join("\n"));
        assert!(reached.into_inner() > steps.len() / 2, "hardly a kill came");
    }

    /// The steps to be killed at, of those that were reached.
    fn chosen(reached: &[String]) -> Vec<String> {
        let mut steps = Vec::new();
        let mut seen = BTreeMap::new();
        for line in reached {
            let words: Vec<_> = line.split(' ').collect();
            let [side, name, count] = words[..] else {
                panic!("no step: {line}");
            };
            let count: u32 = count.parse().unwrap();
            let takes = if is_everything_tested() {
                name != "Look" || count <= LOOKS
            } else if HARMLESS.contains(&name) {
                false
            } else {
                let turn = seen.len();
                let turn = *seen.entry(name).or_insert(turn);
                let its_side = if turn % 2 == 0 { "after" } else { "before" };
                count == 1 && side == its_side
            };
            if takes {
                steps.push(line.clone());
            }
        }
        steps
    }

    /// One run, killed at a step or not at all, and what it ends in. Without a step its steps; with one,
    /// the steps until the kill, or none if the run came to its end without it.
    fn run(scenario: &Scenario, kill: Option<(&str, &End)>) -> Option<(End, Vec<String>)> {
        let f2b = Fail2ban::new(crate::support::daemon::Version::V102)?;
        (scenario.lay_out)(&f2b);
        let mut stage = Stage::set(f2b, scenario);
        let folder = stage.f2b.failpoints();
        let order = kill.map_or("none", |(step, _)| step);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("kill"), order).unwrap();
        (scenario.happens)(&stage);
        let mut killed = false;
        let came = wait_until(stage.guard(), || {
            killed = stage.warden().has_ended();
            (killed || stage.is_told(scenario.ends)).then_some(())
        });
        assert!(came.is_some(), "{}", stage.story(scenario.ends, order));
        // A step that is still to come, comes within a moment.
        thread::sleep(scenario.calm);
        killed |= stage.warden().has_ended();
        let reached = fs::read_to_string(folder.join("reached")).unwrap_or_default();
        let reached: Vec<_> = reached.lines().map(str::to_owned).collect();
        // Away at once, for one that still writes there.
        fs::rename(&folder, folder.with_extension("over")).unwrap();
        assert!(kill.is_some() || !killed);
        if killed {
            stage.start_again();
        }
        let told = wait_until(stage.guard(), || stage.is_told(scenario.ends).then_some(()));
        assert!(told.is_some(), "{}", stage.story(scenario.ends, order));
        let mut end = End::of(&stage, scenario);
        if let Some((_, wanted)) = kill {
            // The last save may be on its way, and so may the second jailwarden's first reading.
            wait_until(GUARD / 4, || {
                // What bans is looked at last.
                end = End::of(&stage, scenario).with(wanted.truth.clone());
                (end == *wanted).then_some(())
            });
        } else {
            wait_until(GUARD, || {
                thread::sleep(scenario.calm);
                let later = End::of(&stage, scenario);
                let rests = later == end;
                end = later;
                rests.then_some(())
            });
        }
        end.truth = truth(&stage.f2b, scenario.jails);
        // What fail2ban runs for a ban is for a moment another server.
        let rests = wait_until(GUARD / 4, || {
            let now = End::of(&stage, scenario).with(end.truth.clone());
            (end == now).then_some(())
        });
        if rests.is_none() {
            end.notes.push("it changed once more".to_owned());
        }
        assert!(
            kill.is_some() || rests.is_some(),
            "{}: it does not come to rest",
            scenario.name
        );
        end.said = stage.said();
        Some((
            end,
            if kill.is_none() || killed {
                reached
            } else {
                Vec::new()
            },
        ))
    }

    /// Whether failing lines lead to a ban, jail by jail.
    fn truth(f2b: &Fail2ban, jails: &[&str]) -> BTreeMap<String, bool> {
        let ips: Vec<_> = jails.iter().map(|_| f2b.fresh_ip()).collect();
        for (jail, ip) in jails.iter().zip(&ips) {
            f2b.offend(jail, ip);
        }
        let expected = |jail: &str| f2b.threads_of_any(jail);
        jails
            .iter()
            .zip(&ips)
            .map(|(jail, ip)| {
                let limit = if expected(jail) {
                    GUARD / 3
                } else {
                    GUARD / 60
                };
                ((*jail).to_owned(), f2b.is_banned_within(limit, jail, ip))
            })
            .collect()
    }
}
