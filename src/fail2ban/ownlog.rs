//! fail2ban's own log: what it says since a moment, and what of it is whose words.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// The most that [`since`] reads of the log at once, in bytes.
pub const LIMIT: u64 = 256 * 1024;
/// A longer file's lines are not counted.
const COUNTED: u64 = 16 * 1024 * 1024;
/// The most characters of one message that are kept.
const MESSAGE_CHARS: usize = 600;
/// The most further lines of one message that are kept.
const FURTHER_LINES: usize = 4;

/// A place in a log file: what came before it has been read, or is of no interest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    /// Device and inode; none while no file is there.
    file: Option<(u64, u64)>,
    offset: u64,
}

/// What a log says since a [`Position`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct News {
    /// The whole lines, in order.
    pub lines: Vec<Line>,
    /// Whether there was more than [`LIMIT`], of which the first part was left out.
    pub skipped: bool,
    /// Where to go on.
    pub end: Position,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its text; what is not UTF-8 is U+FFFD.
    pub text: String,
    /// Whether its beginning was cut off, as the line is longer than what is read at once.
    pub cut: bool,
    /// The file it stands in, and where, in bytes.
    place: Option<(PathBuf, u64)>,
}

/// How grave a message is; the levels of `helpers.py`, `str2LogLevel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// `DEBUG`, and what fail2ban has below it.
    Debug,
    /// `INFO`.
    Info,
    /// `NOTICE`.
    Notice,
    /// `WARNING`.
    Warning,
    /// `ERROR`.
    Error,
    /// `CRITICAL`.
    Critical,
}

/// One message of fail2ban: a line, and those without a head that follow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who says it: `fail2ban.utils`, or plain `fail2ban` for the client.
    pub logger: String,
    /// How grave it is.
    pub level: Level,
    /// Its words on one line, as many as are worth keeping.
    pub words: String,
    /// Which of the lines it begins with.
    pub line: usize,
}

/// The end of `log` now; it need not be there.
#[must_use]
pub fn end(log: &Path) -> Position {
    std::fs::metadata(log).map_or_else(|_| Position::default(), |file| end_of(&file))
}

/// Reads what `log` holds since `from`: the last [`LIMIT`] bytes of it at most, whole lines only.
///
/// If the file was replaced, the rest of the old one is read where `logrotate` leaves it (`LOG.1`),
/// then the new one; if it was truncated, it is read from its beginning. A file that is not there has
/// nothing to say.
///
/// # Errors
/// Whatever opening or reading the file gives, and `InvalidInput` if it is not a regular one.
pub fn since(log: &Path, from: &Position) -> io::Result<News> {
    let mut file = match open(log) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(News::default()),
        opened => opened?,
    };
    let now = end_of(&file.metadata()?);
    let mut news = News::default();
    let mut start = from.offset;
    if now.file != from.file {
        start = 0;
        if from.file.is_some() {
            let mut old = log.as_os_str().to_owned();
            old.push(".1");
            // It is a guess that it is there, and no loss if it is not.
            let _ = read_rotated(Path::new(&old), from, &mut news);
        }
    } else if now.offset < start {
        start = 0;
    }
    let offset = read_from(&mut file, log, start, now.offset, &mut news)?;
    news.end = Position {
        file: now.file,
        offset,
    };
    Ok(news)
}

impl Line {
    /// A line that stands in no file.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            cut: false,
            place: None,
        }
    }

    /// The file it stands in and, unless that is very long, its number there, from 1.
    #[must_use]
    pub fn place(&self) -> Option<(&Path, Option<u32>)> {
        let (file, at) = self.place.as_ref()?;
        Some((file, number(file, *at)))
    }
}

/// The messages in some lines, those of a traceback left out.
#[must_use]
pub fn messages(lines: &[Line]) -> Vec<Message> {
    let mut messages: Vec<(Message, usize)> = Vec::new();
    let mut in_traceback = false;
    for (at, line) in lines.iter().enumerate() {
        in_traceback |= line.text.starts_with("Traceback (most recent call last):");
        if let Some((logger, level, words)) = head(&line.text) {
            in_traceback = false;
            let message = Message {
                logger: logger.to_owned(),
                level,
                words: shortened(words),
                line: at,
            };
            messages.push((message, 0));
        } else if let Some((last, further)) = messages.last_mut()
            && !in_traceback
            && *further < FURTHER_LINES
        {
            *further += 1;
            last.words.push(' ');
            last.words
                .extend(line.text.trim().chars().take(MESSAGE_CHARS));
        }
    }
    messages.into_iter().map(|(message, _)| message).collect()
}

/// Finds `fail2ban.NAME [PID]: LEVEL words` in a line, whatever stands before it: a date, or what
/// syslog and journald put there (`helpers.py`, `getVerbosityFormat`). A log line of a jail that a
/// message quotes comes after its head, so the first that fits is fail2ban's own.
#[must_use]
pub fn head(line: &str) -> Option<(&str, Level, &str)> {
    let starts = line.match_indices("fail2ban").map(|(at, _)| at);
    starts.take(8).find_map(|at| head_at(&line[at..]))
}

fn head_at(text: &str) -> Option<(&str, Level, &str)> {
    let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_');
    let name = text.find(|c| !in_name(c))?;
    let (name, rest) = text.split_at(name);
    let rest = rest.trim_start_matches(' ');
    let rest = match rest.strip_prefix('[') {
        Some(rest) => {
            let (pid, rest) = rest.split_once("]:")?;
            pid.parse::<u32>().ok()?;
            rest
        }
        None => rest,
    };
    let rest = rest.trim_start_matches(' ');
    let (level, words) = rest.split_once(' ').unwrap_or((rest, ""));
    // With a high verbosity the levels are cut to five letters.
    let level = match level {
        "CRITICAL" | "CRITI" => Level::Critical,
        "ERROR" => Level::Error,
        "WARNING" | "WARNI" => Level::Warning,
        "NOTICE" | "NOTIC" => Level::Notice,
        "INFO" => Level::Info,
        "DEBUG" | "TRACEDEBUG" | "TRACE" | "HEAVYDEBUG" | "HEAVY" => Level::Debug,
        _ => return None,
    };
    Some((name, level, words.trim_start_matches(' ')))
}

/// A message of the whole config names what is wrong with it at its end.
fn shortened(words: &str) -> String {
    let count = words.chars().count();
    if count <= MESSAGE_CHARS {
        return words.to_owned();
    }
    let half = MESSAGE_CHARS / 2;
    let begin = words.chars().take(half);
    let end = words.chars().skip(count - half);
    begin.chain(" … ".chars()).chain(end).collect()
}

fn end_of(file: &Metadata) -> Position {
    Position {
        file: Some((file.dev(), file.ino())),
        offset: file.len(),
    }
}

fn open(log: &Path) -> io::Result<File> {
    // A log may be a FIFO, whose plain open would wait for a writer.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(log)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    let why = format!("{} is not a regular file", log.display());
    Err(io::Error::new(io::ErrorKind::InvalidInput, why))
}

fn read_rotated(old: &Path, from: &Position, news: &mut News) -> io::Result<()> {
    let mut file = open(old)?;
    let end = end_of(&file.metadata()?);
    if end.file == from.file && end.offset > from.offset {
        read_from(&mut file, old, from.offset, end.offset, news)?;
    }
    Ok(())
}

/// Adds the lines between two offsets, and gives the offset behind the last whole line.
fn read_from(
    file: &mut File,
    path: &Path,
    start: u64,
    end: u64,
    news: &mut News,
) -> io::Result<u64> {
    let from = start.max(end.saturating_sub(LIMIT));
    news.skipped |= from > start;
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(end.saturating_sub(from))
        .read_to_end(&mut bytes)?;
    let Some(last) = bytes.iter().rposition(|&byte| byte == b'\n') else {
        // A line without an end is awaited, unless it fills all that is read.
        return Ok(from);
    };
    let mut at = from;
    let mut cut = from > start;
    for line in bytes[..last].split(|&byte| byte == b'\n') {
        news.lines.push(Line {
            text: String::from_utf8_lossy(line).into_owned(),
            cut,
            place: Some((path.to_owned(), at)),
        });
        cut = false;
        at += line.len() as u64 + 1;
    }
    Ok(at)
}

/// The number of the line that begins at, or holds, the byte `at`.
fn number(path: &Path, at: u64) -> Option<u32> {
    if at > COUNTED {
        return None;
    }
    let mut before = open(path).ok()?.take(at);
    let mut newlines = 0_u32;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = before.read(&mut buffer).ok()?;
        if read == 0 {
            return Some(newlines.saturating_add(1));
        }
        for byte in &buffer[..read] {
            newlines = newlines.saturating_add(u32::from(*byte == b'\n'));
        }
    }
}

#[cfg(test)]
mod tests;
