//! `docs/config-faults.md`: what was measured, row by row, with the versions side by side.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::support::daemon::Version;
use crate::support::faults::Group;
use crate::support::faults::table::TABLE;

const BEGIN: &str = include_str!("begin.md");

/// What the columns are, but for the first.
const COLUMNS: [&str; 4] = ["`-t`", "`check`", "`reload`", "start"];

type Cells = [String; 4];

/// What is known of each row, by its name.
#[derive(Debug, Default)]
pub(crate) struct Doc(BTreeMap<String, BTreeMap<Version, Cells>>);

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/config-faults.md")
}

/// Whether what is measured is to be written.
pub(crate) fn is_written() -> bool {
    super::is_set("JAILWARDEN_WRITE_DOCS")
}

pub(crate) fn read() -> String {
    fs::read_to_string(path()).unwrap_or_default()
}

/// Where what was measured differs from the file; or writes it there, if that is asked for.
pub(crate) fn compare(version: Version, measured: Vec<(&'static str, Cells)>) -> Vec<String> {
    if is_written() {
        let lock = File::create(std::env::temp_dir().join("jw-config-faults.lock")).unwrap();
        lock.lock().unwrap();
        let mut doc = parse(&read());
        for (row, cells) in measured {
            let of_row = doc.0.entry(row.to_owned()).or_default();
            of_row.insert(version, cells);
        }
        fs::write(path(), doc.text()).unwrap();
        return Vec::new();
    }
    let doc = parse(&read());
    let differs = |(row, cells): (&str, Cells)| {
        let known = doc.0.get(row).and_then(|row| row.get(&version));
        let same = known == Some(&cells);
        (!same).then(|| format!("{row}: {cells:?}, but docs/config-faults.md has {known:?}"))
    };
    measured.into_iter().filter_map(differs).collect()
}

/// Reads what [`Doc::text`] has written.
pub(crate) fn parse(text: &str) -> Doc {
    let mut doc = Doc::default();
    for line in text.lines() {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [_, name, cells @ .., _] = cells.as_slice() else {
            continue;
        };
        let Ok(cells) = <[&str; 4]>::try_from(cells) else {
            continue;
        };
        let row = doc.0.entry((*name).to_owned()).or_default();
        for version in Version::ALL {
            let cells = cells.map(|cell| of_version(cell, version));
            if cells.iter().all(|cell| !cell.is_empty()) {
                row.insert(version, cells);
            }
        }
    }
    doc
}

/// The part of a cell that is of this version.
fn of_version(cell: &str, version: Version) -> String {
    let mut parts = cell.split("<br>");
    let own = parts.find_map(|part| {
        let (versions, value) = part.strip_prefix('*')?.split_once("*: ")?;
        versions.contains(version.number()).then_some(value)
    });
    let is_for_all = !cell.starts_with('*');
    own.or(is_for_all.then_some(cell))
        .unwrap_or_default()
        .to_owned()
}

/// One cell of what the versions say.
fn joined(values: &[(Version, &str)]) -> String {
    let mut said: Vec<(&str, Vec<&str>)> = Vec::new();
    for (version, value) in values {
        match said.iter_mut().find(|(known, _)| known == value) {
            Some((_, versions)) => versions.push(version.number()),
            None => said.push((value, vec![version.number()])),
        }
    }
    if let [(value, versions)] = said.as_slice()
        && versions.len() == Version::ALL.len()
    {
        return (*value).to_owned();
    }
    let said = said
        .iter()
        .map(|(value, versions)| format!("*{}*: {value}", versions.join(", ")));
    said.collect::<Vec<_>>().join("<br>")
}

impl Doc {
    /// The rows that have not been measured with each version.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        let rows = TABLE.iter().flat_map(|group| group.rows);
        let is_whole = |row: &str| {
            self.0
                .get(row)
                .is_some_and(|known| known.len() == Version::ALL.len())
        };
        rows.map(|row| row.name)
            .filter(|name| !is_whole(name))
            .collect()
    }

    /// The file.
    pub(crate) fn text(&self) -> String {
        let mut text = BEGIN.to_owned();
        for Group { title, rows } in TABLE {
            let columns = COLUMNS.join(" | ");
            write!(
                text,
                "\n## {title}\n\n| | {columns} |\n|---|---|---|---|---|\n"
            )
            .unwrap();
            for row in *rows {
                let known = self.0.get(row.name).into_iter().flatten();
                let known: Vec<_> = known.collect();
                let cells = [0, 1, 2, 3].map(|at| {
                    let of = |(version, cells): &(&Version, &Cells)| (**version, cells[at].clone());
                    let values: Vec<_> = known.iter().map(of).collect();
                    let values: Vec<_> = values.iter().map(|(v, s)| (*v, s.as_str())).collect();
                    joined(&values)
                });
                writeln!(text, "| {} | {} |", row.name, cells.join(" | ")).unwrap();
            }
        }
        text
    }
}
