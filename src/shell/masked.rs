//! Words of others without the secrets of the config, before the machine hears them: all that is said, served or
//! kept comes from there.

use crate::history::mask::{MASK, Secrets};
use crate::machine::{ConfigRead, Outcome, StopAnswer, Trial};

use super::daemon::Handle;

/// The outcome without the secrets that the config had at any failure until now.
pub(super) async fn masked(handle: &Handle, mut outcome: Outcome) -> Outcome {
    if words(&mut outcome).is_empty() {
        return outcome;
    }
    let masked = with_secrets(handle, move |secrets| {
        for words in words(&mut outcome) {
            *words = secrets.mask_words(words);
        }
        outcome
    });
    masked.await.unwrap_or(Outcome::Lost)
}

/// The same of words that are said at once.
pub(super) async fn said(handle: &Handle, words: String) -> String {
    let masked = with_secrets(handle, move |secrets| secrets.mask_words(&words));
    masked.await.unwrap_or_else(|| MASK.to_owned())
}

async fn with_secrets<T: Send + 'static>(
    handle: &Handle,
    mask: impl FnOnce(&Secrets) -> T + Send + 'static,
) -> Option<T> {
    let mut secrets = handle.kept().secrets.clone();
    let config_dir = handle.instance().config_dir.clone();
    let masked = tokio::task::spawn_blocking(move || {
        secrets.learn_config(&config_dir);
        (mask(&secrets), secrets)
    });
    let (masked, secrets) = masked.await.ok()?;
    handle.kept().secrets = secrets;
    Some(masked)
}

/// All that fail2ban, its config or the system has a say in.
fn words(outcome: &mut Outcome) -> Vec<&mut String> {
    match outcome {
        Outcome::Config(ConfigRead::Read(reading)) => {
            let findings = reading.findings.iter_mut().chain(&mut reading.misread);
            let findings = findings.map(|it| &mut it.words);
            findings.chain(&mut reading.unproven).collect()
        }
        Outcome::Applied(applied) => {
            let refused = applied.refused.iter_mut().map(|(_, words)| words);
            let others = [
                &mut applied.server,
                &mut applied.unreachable,
                &mut applied.hindered,
            ];
            refused.chain(others.into_iter().flatten()).collect()
        }
        Outcome::Tried(Ok(trials)) => {
            let said = trials.values_mut().filter_map(|trial| match trial {
                Trial::Faulty(finding) => Some(&mut finding.words),
                Trial::Unknown(why) => Some(why),
                Trial::Sound { .. } | Trial::Gone => None,
            });
            said.collect()
        }
        Outcome::Verdict(verdict) => vec![&mut verdict.evidence],
        Outcome::StopAsked(StopAnswer::Refused(words) | StopAnswer::Unreachable(words))
        | Outcome::Config(ConfigRead::Failed(words))
        | Outcome::Tried(Err(words))
        | Outcome::Effect(Err(words))
        | Outcome::PutBack(Err(words))
        | Outcome::Aside(Err(words))
        | Outcome::Rollbacks(Err(words))
        | Outcome::HalfPutBack(_, words)
        | Outcome::Forestalled(words) => vec![words],
        Outcome::Seen(_)
        | Outcome::Config(ConfigRead::Unchanged)
        | Outcome::StopAsked(StopAnswer::Agreed)
        // Masked where it is written down.
        | Outcome::Diagnosis(_)
        | Outcome::PutBack(Ok(_))
        | Outcome::Aside(Ok(_))
        | Outcome::Rollbacks(Ok(_))
        | Outcome::Effect(Ok(()))
        | Outcome::ConfigMoved
        | Outcome::Overtaken
        | Outcome::Motion(_)
        | Outcome::Lost => Vec::new(),
    }
}
