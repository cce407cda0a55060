//! `jailwarden restore`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::json as object;

use super::check::{self, Format};
use super::history;
use super::{Place, exit, output};
use crate::check::{self as dry_run, CheckError, Report, Request, StandIn};
use crate::history::{
    Done, HistoryError, Id, Left, Preview, Replaced, Store, What, Which, human, json,
};
use crate::settings::Settings;
use crate::text::{safe, safe_json};

const AFTER_HELP: &str = "\
Each file that is replaced or removed is kept first, whole, and the last line says how it comes back. \
The result is checked beforehand as by `jailwarden check`, and is not put in place where that finds \
something. A link is never written through: one that leads to a file elsewhere with another content by \
now gives way to a file. jailwarden that runs notices the change by itself, and applies it.

Exit codes: 0 put back, 1 the result has findings and nothing was done, 2 wrong usage or no such ID, \
3 nothing is kept yet, 4 not permitted, 6 fail2ban cannot be run or a file cannot be written, 7 not \
done in time, 78 faulty settings.

Examples:
  jailwarden restore 3f2a91bc --dry-run
  jailwarden restore 3f2a91bc --jail web
  jailwarden restore 20261125T181510Z-0       (the undo of a restore; it is not checked)";

/// The arguments of `jailwarden restore`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct RestoreArgs {
    /// A snapshot, by its first digits, or replaced files, as `jailwarden history` lists them
    id: String,
    /// Only the files that this jail is read from, then or now
    #[arg(long, value_name = "NAME")]
    jail: Option<String>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Put it back whatever the check finds, or without it where it cannot be made
    #[arg(long)]
    force: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// fail2ban's config folder [default: that of the settings, usually /etc/fail2ban]
    #[arg(long, value_name = "DIR")]
    config_dir: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

/// Puts files back.
pub(super) fn restore(args: RestoreArgs) -> ExitCode {
    let settings = match args.place.settings() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let store = Store::open(&settings.state_dir, &settings.called());
    let restoring = Restoring {
        config_dir: args
            .config_dir
            .clone()
            .unwrap_or_else(|| settings.config_dir.clone()),
        settings,
        store,
        args,
    };
    match restoring.run() {
        Ok(code) => ExitCode::from(code),
        Err(Failed::History(error)) => {
            output::complain(format_args!("could not restore: {error}"));
            ExitCode::from(history::code_of(&error))
        }
        Err(Failed::Check(error)) => {
            output::complain(format_args!(
                "could not check, so nothing was done (--force does it unchecked): {error}"
            ));
            ExitCode::from(check::code_of(&error))
        }
        Err(Failed::Usage(words)) => {
            output::complain(words);
            ExitCode::from(exit::USAGE)
        }
    }
}

enum Failed {
    History(HistoryError),
    Check(CheckError),
    Usage(String),
}

impl From<HistoryError> for Failed {
    fn from(error: HistoryError) -> Self {
        Self::History(error)
    }
}

struct Restoring {
    args: RestoreArgs,
    settings: Settings,
    config_dir: PathBuf,
    store: Store,
}

impl Restoring {
    fn run(&self) -> Result<u8, Failed> {
        // No snapshot's id has such a letter.
        if self.args.id.contains('T') {
            return self.replaced_files();
        }
        let id = self.store.find(&self.args.id)?;
        let (which, files) = self.which(&id)?;
        let preview = self.store.preview(&id, &self.config_dir, &which)?;
        let from = format!("{} of {}", id.short(), human::time(self.store.when(&id)?));
        let findings = match self.check(&preview) {
            Ok(report) => report,
            Err(_) if self.args.force => None,
            Err(error) => return Err(Failed::Check(error)),
        };
        let is_refused = findings.as_ref().is_some_and(|report| !report.is_sound());
        let is_refused = is_refused && !self.args.force;
        if is_refused || self.args.dry_run {
            let done: Vec<Done> = preview.would.into_iter().map(|(done, _)| done).collect();
            self.say(&Answer {
                verb: "would be done",
                from: &from,
                config_dir: &self.config_dir,
                files: files.as_deref(),
                done: &done,
                left: &preview.left,
                replaced: None,
                report: findings.as_ref(),
                is_refused,
            });
            return Ok(u8::from(is_refused));
        }
        let called = self.settings.called();
        let reason = match &self.args.jail {
            None => format!("`{called} restore {}`", id.short()),
            Some(jail) => format!("`{called} restore {} --jail {}`", id.short(), safe(jail)),
        };
        let restored = self
            .store
            .put_back(&id, &self.config_dir, &which, &reason)?;
        self.say(&Answer {
            verb: "done",
            from: &from,
            config_dir: &self.config_dir,
            files: files.as_deref(),
            done: &restored.done,
            left: &restored.left,
            replaced: restored.replaced.as_ref(),
            report: findings.as_ref(),
            is_refused,
        });
        Ok(0)
    }

    /// Undoes a restore; unchecked, as it is the way back.
    fn replaced_files(&self) -> Result<u8, Failed> {
        let id = &self.args.id;
        if self.args.jail.is_some() || self.args.config_dir.is_some() {
            let words = "--jail and --config-dir are for snapshots: replaced files go back together, to where they were";
            return Err(Failed::Usage(words.to_owned()));
        }
        let from = format!("the replaced files {}", safe(id));
        let (preview, config_dir) = self.store.preview_rejected(id)?;
        let mut answer = Answer {
            verb: "would be done",
            from: &from,
            config_dir: &config_dir,
            files: None,
            done: &[],
            left: &preview.left,
            replaced: None,
            report: None,
            is_refused: false,
        };
        if self.args.dry_run {
            let done: Vec<Done> = preview.would.into_iter().map(|(done, _)| done).collect();
            answer.done = &done;
            self.say(&answer);
            return Ok(0);
        }
        let reason = format!("`{} restore {id}`", self.settings.called());
        let restored = self.store.restore_rejected(id, &reason)?;
        answer.verb = "done";
        answer.done = &restored.done;
        answer.left = &restored.left;
        answer.replaced = restored.replaced.as_ref();
        self.say(&answer);
        Ok(0)
    }

    /// All files, or those of one jail, which are named then.
    fn which(&self, id: &Id) -> Result<(Which, Option<Vec<PathBuf>>), Failed> {
        let Some(jail) = &self.args.jail else {
            return Ok((Which::All, None));
        };
        let files = self.store.files_of(id, &self.config_dir, jail)?;
        if files.is_empty() {
            let words = format!(
                "no jail \"{}\", neither in that snapshot nor now",
                safe(jail)
            );
            return Err(Failed::Usage(words));
        }
        Ok((Which::Files(files.clone()), Some(files)))
    }

    /// What `jailwarden check` says of the result; nothing where nothing would be done.
    fn check(&self, preview: &Preview) -> Result<Option<Report>, CheckError> {
        if preview.would.is_empty() {
            return Ok(None);
        }
        let request = Request {
            client: self.settings.daemon.client.clone(),
            config_dir: self.config_dir.clone(),
            jails: BTreeSet::from_iter(self.args.jail.clone()),
            allow_missing_logs: false,
            stand_ins: stand_ins(preview, &self.config_dir),
        };
        check::run(dry_run::gather(&request)).map(Some)
    }

    fn say(&self, answer: &Answer<'_>) {
        if self.args.json {
            output::print(&answer.json(self.args.dry_run));
            return;
        }
        let refused = answer.report.filter(|report| !report.is_sound());
        if let Some(report) = refused {
            let called = self.settings.called();
            output::print(&check::rendered(report, Format::Human, &called));
            output::print("\n");
        }
        output::print(&answer.human());
        if let Some(unproven) = answer.report.and_then(|report| report.unproven.as_ref()) {
            output::complain(format_args!(
                "not proven by a trial: {}",
                safe(&unproven.why)
            ));
        }
    }
}

/// What is told of a restore.
struct Answer<'a> {
    verb: &'a str,
    from: &'a str,
    config_dir: &'a Path,
    files: Option<&'a [PathBuf]>,
    done: &'a [Done],
    left: &'a [Left],
    replaced: Option<&'a Replaced>,
    report: Option<&'a Report>,
    is_refused: bool,
}

impl Answer<'_> {
    fn human(&self) -> String {
        let mut out = String::new();
        if let Some(files) = self.files {
            let names: Vec<_> = files
                .iter()
                .map(|file| safe(&file.display().to_string()))
                .collect();
            let _ = writeln!(out, "the jail is read from {}", names.join(", "));
        }
        let dir = safe(&self.config_dir.display().to_string());
        let _ = match (self.done, self.left) {
            ([], []) => writeln!(out, "nothing to do: {dir} is as in {}", self.from),
            _ => writeln!(out, "{} in {dir}, from {}:", self.verb, self.from),
        };
        out.push_str(&human::deeds(self.done, self.left));
        if self.is_refused {
            out.push_str(
                "nothing was done, because of the findings above; --force does it all the same\n",
            );
        }
        if let Some(replaced) = self.replaced {
            out.push_str(&human::undo(replaced));
        }
        out
    }

    /// `version`, `dry_run`, `refused`, `config_dir`, `files_of_jail` (or null), what
    /// [`json::deeds`] says, and `check` (as of `jailwarden check --json`, or null).
    fn json(&self, dry_run: bool) -> String {
        let files = self.files.map(|files| {
            let files = files.iter().map(|file| file.to_string_lossy());
            files.collect::<Vec<_>>()
        });
        let mut document = object!({
            "version": json::VERSION,
            "dry_run": dry_run,
            "refused": self.is_refused,
            "config_dir": self.config_dir.to_string_lossy(),
            "files_of_jail": files,
            "check": self.report.map(dry_run::json::document),
        });
        if let Some(document) = document.as_object_mut() {
            for (name, value) in json::deeds(self.done, self.left, self.replaced) {
                document.insert(name.to_owned(), value);
            }
        }
        safe_json(&document)
    }
}

/// The result of a restore as files that stand in for those of the folder.
fn stand_ins(preview: &Preview, config_dir: &Path) -> Vec<StandIn> {
    let contents: BTreeMap<&Path, &PathBuf> = preview
        .would
        .iter()
        .filter_map(|(done, content)| Some((done.path.as_path(), content.as_ref()?)))
        .collect();
    let mut stand_ins = Vec::new();
    for (done, content) in &preview.would {
        let content = match &done.what {
            What::File | What::FileForLink(_) => content.clone(),
            What::Removed => None,
            What::Link(target) => {
                let folder = done.path.parent().unwrap_or(Path::new(""));
                let end = config_dir.join(folder).join(target);
                let inner = end.strip_prefix(config_dir).unwrap_or(&end);
                let new = contents.get(inner).map(|content| (*content).clone());
                new.or_else(|| end.is_file().then_some(end))
            }
            What::Folder | What::Mode => continue,
        };
        stand_ins.push(StandIn {
            place: done.path.clone(),
            content,
        });
    }
    stand_ins
}
