//! Which Python runs a fail2ban client.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

/// What the kernel reads of a script's first line (`BINPRM_BUF_SIZE`, Linux 5.1).
const SHEBANG: u64 = 256;

/// Why it is not known which Python runs a fail2ban client.
#[derive(Debug, thiserror::Error)]
pub enum NoInterpreter {
    /// No client is configured.
    #[error("no fail2ban client is configured")]
    NoClient,
    /// The client is on no folder of the PATH.
    #[error("there is no `{0}` on the PATH")]
    NotFound(String),
    /// The client cannot be read.
    #[error("{path} cannot be read: {error}", path = path.display())]
    Unreadable {
        /// The client.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The client is a program or a script of another language, such as a wrapper.
    #[error("{} is no Python script, so the Python that runs fail2ban is not known", .0.display())]
    NoPython(PathBuf),
    /// Python is given something else than a script.
    #[error("`{0}` gives Python no script")]
    NoScript(String),
}

/// The words that run Python, a script, and the words for the script.
pub(super) type Call = (Vec<OsString>, OsString, Vec<OsString>);

/// The words that run the client's Python, the client's script, and the words that follow it.
///
/// `client` is a script with Python in its first line, or `[env NAME=VALUE…] python [-option…] script`.
///
/// # Errors
/// [`NoInterpreter`] for anything else, as what a wrapper runs cannot be known.
pub(super) fn of_client(client: &[OsString]) -> Result<Call, NoInterpreter> {
    let Some(program) = client.first() else {
        return Err(NoInterpreter::NoClient);
    };
    let mut at = 0;
    if file_name(program) == "env" {
        let is_setting = |word: &&OsString| word.as_bytes().contains(&b'=');
        at = 1 + client.iter().skip(1).take_while(is_setting).count();
    }
    match client.get(at) {
        Some(word) if is_python(word) => {
            let options = client.iter().skip(at + 1);
            let is_option = |word: &&OsString| word.as_bytes().starts_with(b"-");
            at += 1 + options.take_while(is_option).count();
            let (python, rest) = client.split_at(at.min(client.len()));
            let takes_value =
                |word: &OsString| matches!(word.to_str(), Some("-c" | "-m" | "-W" | "-X"));
            match rest {
                [script, words @ ..] if !python.iter().any(takes_value) => {
                    Ok((python.to_vec(), script.clone(), words.to_vec()))
                }
                _ => Err(NoInterpreter::NoScript(
                    client.join(OsStr::new(" ")).to_string_lossy().into_owned(),
                )),
            }
        }
        Some(word) => {
            let script = find(word)?;
            let mut python = client.get(..at).unwrap_or_default().to_vec();
            python.extend(shebang(&script)?);
            let words = client.get(at + 1..).unwrap_or_default();
            Ok((python, script.into(), words.to_vec()))
        }
        None => Err(NoInterpreter::NoClient),
    }
}

fn file_name(word: &OsStr) -> &str {
    let name = Path::new(word).file_name().and_then(OsStr::to_str);
    name.unwrap_or_default()
}

/// `python3`, `python3.11`, `pypy3`, and Debian's `fail2ban-python`.
fn is_python(word: &OsStr) -> bool {
    let name = file_name(word).trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    matches!(name, "python" | "pypy" | "fail2ban-python")
}

fn find(program: &OsStr) -> Result<PathBuf, NoInterpreter> {
    if program.as_bytes().contains(&b'/') {
        return Ok(program.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .ok_or_else(|| NoInterpreter::NotFound(program.to_string_lossy().into_owned()))
}

/// The interpreter of a script and its one argument, if the interpreter is Python.
fn shebang(script: &Path) -> Result<Vec<OsString>, NoInterpreter> {
    let mut head = Vec::new();
    File::open(script)
        .and_then(|file| file.take(SHEBANG).read_to_end(&mut head))
        .map_err(|error| NoInterpreter::Unreadable {
            path: script.into(),
            error,
        })?;
    let no_python = || NoInterpreter::NoPython(script.into());
    let line = head.strip_prefix(b"#!").ok_or_else(no_python)?;
    let line = line.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let line = line.trim_ascii();
    let end = line.iter().position(u8::is_ascii_whitespace);
    let (program, argument) = line.split_at(end.unwrap_or(line.len()));
    let argument = argument.trim_ascii();
    let named = if file_name(OsStr::from_bytes(program)) == "env" {
        let words = argument.split(u8::is_ascii_whitespace);
        words
            .filter(|word| !word.starts_with(b"-"))
            .find(|word| !word.contains(&b'='))
    } else {
        Some(program)
    };
    if !named.is_some_and(|name| is_python(OsStr::from_bytes(name))) {
        return Err(no_python());
    }
    let words = [program, argument]
        .into_iter()
        .filter(|word| !word.is_empty());
    Ok(words
        .map(|word| OsString::from_vec(word.to_vec()))
        .collect())
}
