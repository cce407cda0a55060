//! A snapshot's own file: what it holds, and when it was taken.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{CWD, OFlags};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::tree::{Meta, Tree};
use super::{Digest, HistoryError, Listing, Warning};
use crate::durable;

/// The only version of our files there is.
pub(super) const VERSION: u64 = 1;
/// Far above what [`crate::fail2ban::folder::Limits`] let in.
const MOST_BYTES: u64 = 64 << 20;
const SUFFIX: &str = ".json";

/// A snapshot without its contents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) version: u64,
    /// Counts up, since clocks may be set back.
    pub(super) number: u64,
    #[serde(with = "time")]
    pub(super) when: SystemTime,
    /// Of the folder as a whole (`crate::fail2ban::folder`), rollback files included.
    pub(super) fingerprint: u128,
    /// What `fail2ban-client -d` printed; none where it was too long.
    pub(super) stream: Option<Digest>,
    /// The names of our own rollback files that stood then.
    pub(super) rollbacks: Vec<String>,
    /// Whether there was more than was looked at.
    pub(super) truncated: bool,
    /// The folder's own owner and mode, where they are known.
    #[serde(default)]
    pub(super) root: Option<Meta>,
    pub(super) tree: Tree,
}

impl Manifest {
    pub(super) fn id(&self) -> Result<Digest, serde_json::Error> {
        self.tree.digest(self.stream)
    }
}

/// Times as RFC 3339, for people who look into the files.
pub(super) mod time {
    use std::time::SystemTime;

    use serde::{Deserialize, Deserializer, Serializer, de::Error as _, ser::Error as _};

    pub(in super::super) fn serialize<S: Serializer>(
        when: &SystemTime,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        // Past the year 9999 humantime has no words.
        let last = 253_402_300_800;
        match when.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) if since.as_secs() < last => {
                to.collect_str(&humantime::format_rfc3339_seconds(*when))
            }
            _ => Err(S::Error::custom("the clock is wrong")),
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<SystemTime, D::Error> {
        let text = String::deserialize(from)?;
        humantime::parse_rfc3339(&text).map_err(D::Error::custom)
    }
}

/// A snapshot that was found, and how long its own file is.
pub(super) struct Kept {
    pub(super) id: Digest,
    pub(super) manifest: Manifest,
    pub(super) bytes: u64,
}

/// The file of a snapshot.
pub(super) fn path(folder: &Path, id: &Digest) -> PathBuf {
    folder.join(format!("{id}{SUFFIX}"))
}

/// All that can be read, in no order, and what was passed over.
pub(super) fn all(folder: &Path) -> Result<Listing<Kept>, HistoryError> {
    let mut all = Listing::default();
    let listing = match fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(all),
        Err(error) => return Err(HistoryError::io("list", folder, error)),
    };
    for entry in listing {
        let path = entry
            .map_err(|error| HistoryError::io("list", folder, error))?
            .path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name == super::blobs::BEING_WRITTEN {
            continue;
        }
        let id = name.strip_suffix(SUFFIX).and_then(Digest::from_hex);
        let Some(id) = id else {
            all.warnings.push(Warning::Foreign { path });
            continue;
        };
        match read::<Manifest>(&path) {
            Ok((manifest, bytes)) if manifest.id().is_ok_and(|is| is == id) => {
                let kept = Kept {
                    id,
                    manifest,
                    bytes,
                };
                all.entries.push(kept);
            }
            Ok(_) => all.warnings.push(Warning::Damaged {
                path,
                why: "it is not what its name says".to_owned(),
            }),
            Err(None) => {}
            Err(Some(warning)) => all.warnings.push(warning),
        }
    }
    Ok(all)
}

/// Reads one of our JSON files and says how long it is; no error for one that is gone.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<(T, u64), Option<Warning>> {
    let damaged = |why: String| {
        Some(Warning::Damaged {
            path: path.to_owned(),
            why,
        })
    };
    let file = match durable::open_regular(CWD, path, OFlags::NOFOLLOW) {
        Ok(Some(file)) => file,
        Ok(None) => return Err(damaged("it is no regular file".to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(None),
        Err(error) => return Err(damaged(error.to_string())),
    };
    let mut bytes = Vec::new();
    file.take(MOST_BYTES)
        .read_to_end(&mut bytes)
        .map_err(|error| damaged(error.to_string()))?;
    let version: Version =
        serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    if version.version != VERSION {
        return Err(Some(Warning::Version {
            path: path.to_owned(),
            version: version.version,
        }));
    }
    let it = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    Ok((it, bytes.len() as u64))
}

#[derive(Deserialize)]
struct Version {
    version: u64,
}
