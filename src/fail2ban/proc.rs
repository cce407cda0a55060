//! Reading `/proc` of a process that may end at any moment.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;

use rustix::fs::{CWD, Dir, Mode, OFlags, openat};
use rustix::io::{Errno, read as read_once, retry_on_intr};
use rustix::process::Pid;

/// More than any file that is read here holds, but for a long command line, which is cut.
const MOST: usize = 64 * 1024;

/// One thread of a process.
pub(super) struct Task {
    pub(super) id: u32,
    /// The process's `task` folder: all that is below it is found sooner from there.
    tasks: Rc<OwnedFd>,
}

/// The threads of process `pid`; the error is `NotFound` if there is no such process.
pub(super) fn tasks(pid: Pid) -> io::Result<Vec<Task>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = openat(CWD, format!("/proc/{pid}/task"), flags, Mode::empty())?;
    let folder = Rc::new(folder);
    let mut tasks = Vec::new();
    for entry in Dir::read_from(&folder)? {
        if let Some(id) = entry?
            .file_name()
            .to_str()
            .ok()
            .and_then(|name| name.parse().ok())
        {
            tasks.push(Task {
                id,
                tasks: Rc::clone(&folder),
            });
        }
    }
    Ok(tasks)
}

impl Task {
    /// One of the thread's files, its first 64 KiB at least; `None` if the thread has ended since.
    pub(super) fn read(&self, file: &str) -> io::Result<Option<Vec<u8>>> {
        let path = format!("{}/{file}", self.id);
        let opened = openat(
            &*self.tasks,
            path,
            OFlags::RDONLY | OFlags::CLOEXEC,
            Mode::empty(),
        );
        let read = opened
            .map_err(io::Error::from)
            .and_then(|file| read_records(&file));
        match read {
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

/// A file that the kernel makes of records, its first 64 KiB at least: it gives less than half a page only where no more
/// is left (`seq_read_iter` in `fs/seq_file.c`, Linux 6.1), so that most files take one read.
fn read_records(file: &OwnedFd) -> io::Result<Vec<u8>> {
    let (mut content, mut page) = (Vec::new(), [0; 4096]);
    loop {
        let length = retry_on_intr(|| read_once(file, &mut page))?;
        content.extend_from_slice(&page[..length]);
        if length < page.len() / 2 || content.len() >= MOST {
            return Ok(content);
        }
    }
}

/// The name in a thread's `status` file: as in `comm`, but for one that would be escaped here (`proc_task_name` in
/// `fs/proc/array.c`, Linux 6.1).
pub(super) fn name_in(status: &[u8]) -> Option<&[u8]> {
    let after = status.strip_prefix(b"Name:\t")?;
    let name = after.split(|&byte| byte == b'\n').next()?;
    (!name.contains(&b'\\')).then_some(name)
}

/// The first 64 KiB of a file.
pub(super) fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?
        .take(MOST as u64)
        .read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threads_name_stands_in_its_status_too() {
        let named = |name: &str| {
            let thread = std::thread::Builder::new().name(name.to_owned());
            let read = thread.spawn(|| {
                let id = nix::unistd::gettid().as_raw();
                let tasks = tasks(rustix::process::getpid()).unwrap();
                let mut own = tasks.iter().filter(|task| i32::try_from(task.id) == Ok(id));
                let task = own.next().unwrap();
                ["comm", "status"].map(|file| task.read(file).unwrap().unwrap())
            });
            read.unwrap().join().unwrap()
        };
        for name in ["f2b/f.sshd", "f2b/a.prüfungö", "f2b/f.a b", "a:\tb"] {
            let [comm, status] = named(name);
            assert_eq!(name_in(&status), comm.strip_suffix(b"\n"), "{name}");
        }
        for escaped in ["f2b/f.a\\b", "f2b/f.a\nb"] {
            assert_eq!(name_in(&named(escaped)[1]), None, "{escaped}");
        }
    }

    #[test]
    fn a_long_file_is_read_to_its_limit() {
        let file: OwnedFd = File::open("/proc/kallsyms").unwrap().into();
        let read = read_records(&file).unwrap();
        assert!(read.len() >= MOST, "{}", read.len());
        let whole = std::fs::read("/proc/kallsyms").unwrap();
        assert!(whole.starts_with(&read));
        let none: OwnedFd = File::open("/dev/null").unwrap().into();
        assert!(read_records(&none).unwrap().is_empty());
    }
}
