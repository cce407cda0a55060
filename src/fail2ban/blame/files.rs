//! The files of a config folder, read when they are needed, and what they say together.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{CWD, OFlags};

use super::ini::{DEFAULT, Ini, Setting, lines};
use super::traced::{Origin, Traced};
use crate::durable;

/// Bytes of one file that are read; a file that is larger counts as missing.
const MOST_BYTES: u64 = 1 << 20;
/// Bytes of all files that are read; what is made of them takes a few times as much memory.
const MOST_BYTES_IN_ALL: u64 = 4 << 20;
/// Files that are merged for one name, each counted as often as it is included.
const MOST_FILES: usize = 2_000;
/// How deep includes are followed.
const MOST_INCLUDES: usize = 20;

/// A file of the folder, by the order in which they were first read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct FileId(usize);

#[derive(Debug)]
pub(super) struct Files {
    dir: PathBuf,
    read: Vec<ReadFile>,
    /// `None` for a file that cannot be read.
    by_path: HashMap<PathBuf, Option<FileId>>,
    merged: HashMap<String, Rc<Merged>>,
    bytes_left: u64,
}

#[derive(Debug)]
struct ReadFile {
    path: PathBuf,
    text: String,
    /// What it says; nothing if it is not UTF-8, as fail2ban then leaves it out.
    ini: Rc<Ini>,
    /// The first line that is not UTF-8.
    broken: Option<u32>,
}

/// What the files of one name say together: `jail`, `fail2ban`, `filter.d/F` or `action.d/A`.
#[derive(Debug, Default)]
pub(super) struct Merged {
    /// In the order of reading; a file may be there more than once.
    pub(super) files: Vec<FileId>,
    pub(super) defaults: HashMap<String, Def>,
    pub(super) sections: HashMap<String, Part>,
}

/// A section, made of all that stand under its name.
#[derive(Debug)]
pub(super) struct Part {
    /// Its header in the last file that has one.
    pub(super) header: Origin,
    pub(super) options: HashMap<String, Def>,
    /// What each option was before the last file that set it: fail2ban's `known/`.
    pub(super) known: HashMap<String, Def>,
}

/// An option and the file that set it.
#[derive(Debug, Clone)]
pub(super) struct Def {
    pub(super) file: FileId,
    pub(super) setting: Rc<Setting>,
}

impl Def {
    /// The line that names the option.
    pub(super) fn home(&self) -> Origin {
        Origin {
            file: self.file,
            line: self.setting.line,
        }
    }

    /// Its value as it stands in the file.
    pub(super) fn raw(&self) -> Traced {
        let mut raw = Traced::default();
        for (nth, (line, text)) in self.setting.value.iter().enumerate() {
            let origin = Origin {
                file: self.file,
                line: *line,
            };
            if nth > 0 {
                raw.push("\n", origin, 0);
            }
            raw.push(text, origin, 0);
        }
        raw
    }
}

impl Files {
    pub(super) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            read: Vec::new(),
            by_path: HashMap::new(),
            merged: HashMap::new(),
            bytes_left: MOST_BYTES_IN_ALL,
        }
    }

    pub(super) fn path(&self, file: FileId) -> Option<&Path> {
        self.read.get(file.0).map(|read| read.path.as_path())
    }

    /// A line without the blanks around it.
    pub(super) fn line(&self, at: Origin) -> Option<&str> {
        let index = usize::try_from(at.line).ok()?.checked_sub(1)?;
        let line = lines(&self.read.get(at.file.0)?.text).nth(index)?;
        Some(line.trim())
    }

    /// The line of the first byte in `file` that is not UTF-8.
    pub(super) fn broken_line(&mut self, path: &Path) -> Option<Origin> {
        let file = self.open(path)?;
        let line = self.read.get(file.0)?.broken?;
        Some(Origin { file, line })
    }

    /// The header of the first section in a file.
    pub(super) fn first_header(&self, file: FileId) -> Option<Origin> {
        let section = self.read.get(file.0)?.ini.sections.first()?;
        Some(Origin {
            file,
            line: section.line,
        })
    }

    /// Whether a file has a section of this name.
    pub(super) fn has_section(&self, file: FileId, name: &str) -> bool {
        let read = self.read.get(file.0);
        read.is_some_and(|read| read.ini.section(name).is_some())
    }

    /// Where an action in Python is (client/actionreader.py and jailreader.py `getOptions`).
    pub(super) fn python(&self, name: &str) -> PathBuf {
        self.dir.join("action.d").join(name)
    }

    /// What `NAME.conf`, `NAME.d/*.conf`, `NAME.local`, `NAME.d/*.local` and their includes say, the
    /// later over the earlier (client/configreader.py `ConfigReaderUnshared.read`).
    pub(super) fn merged(&mut self, name: &str) -> Rc<Merged> {
        if let Some(known) = self.merged.get(name) {
            return Rc::clone(known);
        }
        let base = self.dir.join(name);
        let mut paths = Vec::new();
        for end in ["conf", "local"] {
            paths.push(with_end(&base, end));
            paths.extend(listed(&with_end(&base, "d"), end));
        }
        paths.retain(|path| path.exists());
        let mut order = Vec::new();
        self.include(&paths, &mut Vec::new(), &mut order);
        let mut merged = Merged::default();
        for file in order {
            let ini = self.read.get(file.0).map(|read| Rc::clone(&read.ini));
            merged.take(file, &ini.unwrap_or_default());
        }
        let merged = Rc::new(merged);
        self.merged.insert(name.to_owned(), Rc::clone(&merged));
        merged
    }

    /// Adds `paths` to `order`, each between its `before` and its `after`, and each with the `.local`
    /// beside it (client/configparserinc.py `_getIncludes`); `seen` are the files that include them.
    fn include(&mut self, paths: &[PathBuf], seen: &mut Vec<PathBuf>, order: &mut Vec<FileId>) {
        for path in with_locals(paths) {
            if order.len() >= MOST_FILES || seen.len() > MOST_INCLUDES {
                return;
            }
            let Some(file) = self.open(&path) else {
                continue;
            };
            let ini = self.read.get(file.0).map(|read| Rc::clone(&read.ini));
            let ini = ini.unwrap_or_default();
            let includes = |option: &str| -> Vec<PathBuf> {
                let section = ini.section("INCLUDES");
                let setting = section.and_then(|section| section.option(option));
                let values = setting.iter().flat_map(|setting| &setting.value);
                let folder = path.parent().unwrap_or(Path::new(""));
                values.map(|(_, value)| folder.join(value)).collect()
            };
            for option in ["before", "after"] {
                for included in includes(option) {
                    if !seen.contains(&included) {
                        seen.push(path.clone());
                        self.include(&[included], seen, order);
                        seen.pop();
                    }
                }
                if option == "before" {
                    order.push(file);
                }
            }
        }
    }

    /// A file, read now if it was not yet; `None` if it cannot be.
    pub(super) fn open(&mut self, path: &Path) -> Option<FileId> {
        if let Some(known) = self.by_path.get(path) {
            return *known;
        }
        let bytes = read(path, MOST_BYTES.min(self.bytes_left));
        let file = bytes.map(|bytes| self.keep(path, bytes));
        self.by_path.insert(path.to_owned(), file);
        file
    }

    fn keep(&mut self, path: &Path, bytes: Vec<u8>) -> FileId {
        self.bytes_left = self.bytes_left.saturating_sub(bytes.len() as u64);
        let (text, broken) = match String::from_utf8(bytes) {
            Ok(text) => (text, None),
            Err(error) => {
                let sound = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                let before = text.get(..sound).unwrap_or_default();
                let line = u32::try_from(lines(before).count()).unwrap_or(u32::MAX);
                (text, Some(line))
            }
        };
        let ini = broken.map_or_else(|| Ini::parse(&text), |_| Ini::default());
        self.read.push(ReadFile {
            path: path.to_owned(),
            text,
            ini: Rc::new(ini),
            broken,
        });
        FileId(self.read.len() - 1)
    }
}

impl Merged {
    /// Puts a file over what is there (client/configparserinc.py `read`).
    fn take(&mut self, file: FileId, ini: &Ini) {
        self.files.push(file);
        for section in &ini.sections {
            let defs = section.options.iter().map(|setting| {
                let setting = Rc::clone(setting);
                (setting.name.clone(), Def { file, setting })
            });
            if section.name == DEFAULT {
                self.defaults.extend(defs);
                continue;
            }
            let header = Origin {
                file,
                line: section.line,
            };
            let (name, condition) = conditional(&section.name);
            let part = self.sections.entry(name.to_owned()).or_insert(Part {
                header,
                options: HashMap::new(),
                known: HashMap::new(),
            });
            part.header = header;
            for (option, def) in defs {
                let option = option + condition;
                if let Some(before) = part.options.insert(option.clone(), def) {
                    part.known.insert(option, before);
                }
            }
        }
    }
}

/// `Init?family=inet6` is the section `Init`, and each of its options bears the condition.
fn conditional(section: &str) -> (&str, &str) {
    match section.find('?') {
        Some(at) if at > 0 && at + 1 < section.len() => section.split_at(at),
        _ => (section, ""),
    }
}

fn with_end(base: &Path, end: &str) -> PathBuf {
    let mut path = base.as_os_str().to_owned();
    path.push(".");
    path.push(end);
    path.into()
}

/// The files that a shell's `*.END` names, by code point.
fn listed(folder: &Path, end: &str) -> Vec<PathBuf> {
    let Ok(listing) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = listing
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.as_encoded_bytes();
            let stem = name.strip_suffix(end.as_bytes());
            !name.starts_with(b".") && stem.is_some_and(|stem| stem.ends_with(b"."))
        })
        .map(|entry| entry.path())
        .take(MOST_FILES)
        .collect();
    paths.sort();
    paths
}

/// Each path with the `.local` of the same name behind it, if that is there and not among them
/// (client/configparserinc.py `_expandConfFilesWithLocal`).
fn with_locals(paths: &[PathBuf]) -> Vec<PathBuf> {
    let named: HashSet<&OsStr> = paths.iter().map(|path| path.as_os_str()).collect();
    let mut expanded = Vec::new();
    for path in paths {
        expanded.push(path.clone());
        let local = path.with_extension("local");
        if !named.contains(local.as_os_str()) && local.is_file() {
            expanded.push(local);
        }
    }
    expanded
}

/// The content of a regular file of at most `most` bytes.
fn read(path: &Path, most: u64) -> Option<Vec<u8>> {
    let file = durable::open_regular(CWD, path, OFlags::empty()).ok()??;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= most).then_some(bytes)
}
