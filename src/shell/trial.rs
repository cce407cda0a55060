//! Trying jails as if their rollbacks were not there: on a copy of the config, which goes at once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::fail2ban::Instance;
use crate::fail2ban::dump::{Dump, DumpError};
use crate::fail2ban::finding::{self, FindingKind};
use crate::fail2ban::rehearsal::{self, Fault, Urgency};
use crate::fail2ban::scratch::{Scratch, StandIn};
use crate::fail2ban::stream::{self, JailStream};
use crate::machine::{Finding, Trial};
use crate::rollback::{self, JailName};

use super::daemon::Handle;
use super::reading::{self, DUMP_LIMIT, REHEARSAL_LIMIT};

/// How each of these jails would fare.
///
/// # Errors
/// Why nothing could be tried.
pub(super) async fn of(
    handle: &Handle,
    jails: BTreeSet<String>,
) -> Result<BTreeMap<String, Trial>, String> {
    let config_dir = handle.instance().config_dir.clone();
    let without = jails.clone();
    let copied = tokio::task::spawn_blocking(move || copy_without(&config_dir, &without)).await;
    let scratch = copied.map_err(|error| error.to_string())??;
    let instance = Instance {
        config_dir: scratch.path().to_owned(),
        ..handle.instance().clone()
    };
    let (dumped, stage) = rehearsal::read(&instance, DUMP_LIMIT, Urgency::Low).await;
    let Dump {
        stream,
        mut findings,
        missing_logs,
    } = match dumped {
        Ok(dump) => dump,
        Err(DumpError::Unreadable { findings }) => {
            let findings = reading::place(instance.config_dir, findings, Vec::new()).await;
            return Ok(all_refused(&jails, findings.first(), &scratch));
        }
        Err(error) => return Err(error.to_string()),
    };
    handle.kept().awaited_by_rollbacks = missing_logs;
    findings.retain(|finding| finding.kind != FindingKind::LogAwaited);
    let tried: Vec<_> = stream
        .jails
        .iter()
        .filter(|jail| jail.starts && jails.contains(&jail.name))
        .collect();
    let faults = match stage {
        Ok(stage) if !tried.is_empty() => stage.rehearse(&tried, REHEARSAL_LIMIT).await,
        Ok(_) => Ok(Vec::new()),
        Err(unproven) => Err(unproven),
    };
    let faults: Vec<Fault> = faults.map_err(|unproven| unproven.to_string())?;
    let findings = reading::place(instance.config_dir, findings, faults).await;
    if let Some(general) = findings.iter().find(|f| f.jail.is_none()) {
        return Ok(all_refused(&jails, Some(general), &scratch));
    }
    let verdict = |jail: &String| {
        let found = findings.iter().find(|f| f.jail.as_ref() == Some(jail));
        let on_disk = tried.iter().find(|t| t.name == *jail);
        (jail.clone(), judge(found, on_disk.copied(), &scratch))
    };
    Ok(jails.iter().map(verdict).collect())
}

fn copy_without(config_dir: &Path, jails: &BTreeSet<String>) -> Result<Scratch, String> {
    let gone = jails.iter().map(|jail| {
        let name = JailName::new(jail).map_err(|error| error.to_string())?;
        Ok(StandIn {
            place: Path::new("jail.d").join(rollback::file_name(&name)),
            content: None,
        })
    });
    let gone = gone.collect::<Result<Vec<_>, String>>()?;
    Scratch::of(config_dir, &gone).map_err(|error| error.to_string())
}

fn judge(
    found: Option<&finding::Finding>,
    on_disk: Option<&JailStream>,
    scratch: &Scratch,
) -> Trial {
    match (found, on_disk) {
        (Some(found), _) => Trial::Faulty(told(found, scratch)),
        (None, Some(jail)) => Trial::Sound {
            digest: stream::digest(&scratch.told(&jail.text)),
        },
        (None, None) => Trial::Gone,
    }
}

fn all_refused(
    jails: &BTreeSet<String>,
    finding: Option<&finding::Finding>,
    scratch: &Scratch,
) -> BTreeMap<String, Trial> {
    let trial = match finding {
        Some(finding) => Trial::Faulty(told(finding, scratch)),
        None => Trial::Unknown("fail2ban cannot read its config".to_owned()),
    };
    jails
        .iter()
        .map(|jail| (jail.clone(), trial.clone()))
        .collect()
}

/// The finding as if it were of the config itself.
fn told(found: &finding::Finding, scratch: &Scratch) -> Finding {
    let mut found = found.clone();
    found.words = scratch.told(&found.words);
    found.file = found.file.map(|file| scratch.place(&file));
    reading::in_machine_words(found)
}
