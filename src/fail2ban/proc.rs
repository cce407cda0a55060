//! Reading `/proc` of a process that may end at any moment.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::process::Pid;

/// More than any file that is read here holds, but for a long command line, which is cut.
const LIMIT: u64 = 64 * 1024;

/// One thread of a process.
pub(super) struct Task {
    pub(super) id: u32,
    dir: PathBuf,
}

/// The threads of process `pid`; the error is `NotFound` if there is no such process.
pub(super) fn tasks(pid: Pid) -> io::Result<Vec<Task>> {
    let mut tasks = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        let entry = entry?;
        if let Some(id) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        {
            tasks.push(Task {
                id,
                dir: entry.path(),
            });
        }
    }
    Ok(tasks)
}

impl Task {
    /// One of the thread's files; `None` if the thread has ended since.
    pub(super) fn read(&self, file: &str) -> io::Result<Option<Vec<u8>>> {
        match read_bounded(&self.dir.join(file)) {
            Err(error) if is_gone(&error) => Ok(None),
            read => read.map(Some),
        }
    }

    /// The processes that this thread started and that have not been reaped.
    pub(super) fn children(&self) -> io::Result<Vec<Pid>> {
        let children = self.read("children")?.unwrap_or_default();
        Ok(words(&children).filter_map(pid).collect())
    }
}

/// One of a process's files, the first 64 KiB of it.
pub(super) fn read(pid: Pid, file: &str) -> io::Result<Vec<u8>> {
    read_bounded(format!("/proc/{pid}/{file}").as_ref())
}

/// The words of a process's command line; none for a zombie or a kernel thread.
pub(super) fn command_line(pid: Pid) -> io::Result<Vec<Vec<u8>>> {
    let mut line = read(pid, "cmdline")?;
    if line.last() == Some(&0) {
        line.pop();
    }
    Ok(line.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect())
}

/// The name that the process gave itself, without the newline.
pub(super) fn name(pid: Pid) -> io::Result<Vec<u8>> {
    let mut name = read(pid, "comm")?;
    if name.last() == Some(&b'\n') {
        name.pop();
    }
    Ok(name)
}

/// The words of a text that is parted by white space; what is not UTF-8 has none.
pub(super) fn words(text: &[u8]) -> impl Iterator<Item = &str> {
    std::str::from_utf8(text)
        .unwrap_or_default()
        .split_ascii_whitespace()
}

/// The value of one `Name:\tvalue` line of a `status` file.
pub(super) fn status_field<'a>(status: &'a [u8], field: &str) -> Option<&'a str> {
    status
        .split(|&byte| byte == b'\n')
        .filter_map(|line| std::str::from_utf8(line).ok()?.split_once(':'))
        .find_map(|(name, value)| (name == field).then(|| value.trim()))
}

/// A process's number in a text.
pub(super) fn pid(word: &str) -> Option<Pid> {
    // Parsed as unsigned, as `from_raw` panics on a number below 0.
    Pid::from_raw(word.parse::<u32>().ok()?.try_into().ok()?)
}

/// Whether the process or thread ended before or while its file was read.
pub(super) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || Errno::from_io_error(error) == Some(Errno::SRCH)
}

/// The first 64 KiB of a file.
pub(super) fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(LIMIT).read_to_end(&mut content)?;
    Ok(content)
}
