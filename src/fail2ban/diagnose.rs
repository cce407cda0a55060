//! What a daemon that hangs was doing, kept before it is killed.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

use super::proc::{self, Task, status_field, tasks, words};
use super::process::Pid;
use super::vitals::{cpu_time, vitals};

/// The most bytes that [`diagnose`] returns.
pub const LIMIT: usize = 8 * 1024;

const THREADS: usize = 40;
const CHILDREN: usize = 20;
const LOG_LINES: usize = 10;
const LOG_LINE_CHARS: usize = 240;
const LOG_BYTES: u64 = 16 * 1024;
const NAME_CHARS: usize = 48;

/// Programs whose first word is the name of a sub-command, never a secret.
const WITH_SUBCOMMANDS: [&str; 7] = [
    "fail2ban-client",
    "firewall-cmd",
    "ip",
    "ipset",
    "nft",
    "systemctl",
    "ufw",
];

/// Tells what process `pid` is doing, in lines for a person: its state and CPU time, what each
/// thread waits for, its children, and the end of fail2ban's own `log`.
///
/// Of the children's command lines only the program and, where it is known to be harmless, the
/// sub-command is told, and of the log not the commands of actions: both may hold passwords.
/// What cannot be read is left out; the text is never longer than [`LIMIT`] bytes. It reads
/// `/proc/<pid>/cmdline` of the children, which can block on a process stuck in the kernel, so it
/// belongs on a thread that may wait.
#[must_use]
pub fn diagnose(pid: Pid, log: Option<&Path>) -> String {
    let mut text = String::new();
    process_line(&mut text, pid);
    let tasks = tasks(pid).unwrap_or_default();
    for task in tasks.iter().take(THREADS) {
        thread_line(&mut text, task);
    }
    if tasks.len() > THREADS {
        line(
            &mut text,
            format_args!("and {} more threads", tasks.len() - THREADS),
        );
    }
    for child in descendants(&tasks) {
        child_line(&mut text, child);
    }
    if let Some(log) = log {
        match last_lines(log) {
            Ok(lines) => {
                line(&mut text, format_args!("the end of {}:", log.display()));
                for last in lines {
                    line(&mut text, format_args!("  {last}"));
                }
            }
            Err(error) => line(
                &mut text,
                format_args!("{} cannot be read: {error}", log.display()),
            ),
        }
    }
    let end = (0..=LIMIT.min(text.len())).rfind(|&at| text.is_char_boundary(at));
    text.truncate(end.unwrap_or_default());
    text
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{words}");
}

fn process_line(text: &mut String, pid: Pid) {
    match vitals(pid) {
        Ok(vitals) => {
            let name = proc::name(pid)
                .map(|name| clean(&name, NAME_CHARS))
                .unwrap_or_default();
            let traced = if vitals.traced {
                ", traced by a debugger"
            } else {
                ""
            };
            let (state, cpu) = (in_words(vitals.state), vitals.cpu);
            line(
                text,
                format_args!("process {pid} {name}: {state}{traced}, {cpu:.1?} of CPU time"),
            );
        }
        Err(error) => line(
            text,
            format_args!("process {pid} cannot be looked at: {error}"),
        ),
    }
}

fn thread_line(text: &mut String, task: &Task) {
    let read = |file| task.read(file).ok().flatten().unwrap_or_default();
    let name = clean(read("comm").trim_ascii_end(), NAME_CHARS);
    let status = read("status");
    let state = status_field(&status, "State").and_then(|state| state.chars().next());
    let state = in_words(state.unwrap_or('?'));
    let cpu = cpu_time(task).unwrap_or_default();
    let _ = write!(
        text,
        "thread {} {name}: {state}, {cpu:.1?} of CPU time",
        task.id
    );
    let waits_in = clean(&read("wchan"), NAME_CHARS);
    if !matches!(waits_in.as_str(), "" | "0") {
        let _ = write!(text, ", in {waits_in}");
    }
    // Its first word is the number, or "running"; the others are addresses.
    if let Some(call) = words(&read("syscall"))
        .next()
        .filter(|call| call.parse::<i64>().is_ok())
    {
        let _ = write!(text, ", system call {call}");
    }
    text.push('\n');
}

fn child_line(text: &mut String, child: Pid) {
    let Ok(status) = proc::read(child, "status") else {
        return;
    };
    let state = status_field(&status, "State").and_then(|state| state.chars().next());
    let parent = status_field(&status, "PPid").unwrap_or("?");
    let command = match proc::command_line(child)
        .ok()
        .and_then(|words| harmless(&words))
    {
        Some(command) => command,
        None => proc::name(child)
            .map(|name| clean(&name, NAME_CHARS))
            .unwrap_or_default(),
    };
    let state = in_words(state.unwrap_or('?'));
    line(
        text,
        format_args!("child {child} of {parent}: {command}: {state}"),
    );
}

/// The children of these threads, their children, and so on, as far as is worth telling.
fn descendants(tasks_of_daemon: &[Task]) -> Vec<Pid> {
    let children_of = |tasks: &[Task]| -> Vec<Pid> {
        tasks
            .iter()
            .flat_map(|task| task.children().unwrap_or_default())
            .collect()
    };
    let mut found = children_of(tasks_of_daemon);
    let mut next = 0;
    while next < found.len() && found.len() < CHILDREN {
        found.extend(children_of(&tasks(found[next]).unwrap_or_default()));
        next += 1;
    }
    found.truncate(CHILDREN);
    found
}

/// What may be told of a command line: the program and the name of its sub-command.
fn harmless(words: &[Vec<u8>]) -> Option<String> {
    let program = words
        .first()?
        .split(|&byte| byte == b' ')
        .next()
        .filter(|word| !word.is_empty())?;
    let program = clean(program, NAME_CHARS);
    let name = program.rsplit('/').next().unwrap_or_default();
    let is_plain = |word: &&str| {
        word.bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
    };
    let subcommand = words
        .get(1)
        .and_then(|word| std::str::from_utf8(word).ok())
        .filter(|word| WITH_SUBCOMMANDS.contains(&name) && word.len() <= NAME_CHARS)
        .filter(is_plain);
    Some(match subcommand {
        Some(subcommand) => format!("{program} {subcommand}"),
        None => program,
    })
}

/// The last lines of fail2ban's log, read from its end.
fn last_lines(log: &Path) -> io::Result<Vec<String>> {
    // A log may be a FIFO, whose plain open would wait for a writer.
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(nonblocking)
        .open(log)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not a regular file",
        ));
    }
    let start = file.metadata()?.len().saturating_sub(LOG_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut end = Vec::new();
    file.take(LOG_BYTES).read_to_end(&mut end)?;
    let mut lines: Vec<String> = end
        .split(|&byte| byte == b'\n')
        // The first line was cut, if the file is longer than what was read of it.
        .skip(usize::from(start > 0))
        .filter(|line| line.first().is_some_and(u8::is_ascii_digit))
        .map(|line| clean(without_command(line), LOG_LINE_CHARS))
        .collect();
    lines.drain(..lines.len().saturating_sub(LOG_LINES));
    Ok(lines)
}

/// A log line without an action's command, which `fail2ban.utils` logs when it fails: behind
/// `<id> -- exec:`, or bare if no process could be made for it (`server/utils.py:193` and `:227`
/// of 1.0.2). A command's further lines bear no date.
fn without_command(line: &[u8]) -> &[u8] {
    let find = |words: &[u8], from: usize| {
        line[from..]
            .windows(words.len())
            .position(|found| found == words)
            .map(|at| from + at + words.len())
    };
    let Some(level) = find(b" fail2ban.utils ", 0).and_then(|at| find(b"]: ", at)) else {
        return line;
    };
    let message = find(b" ", level).unwrap_or(level);
    let id = line[message..]
        .trim_ascii_start()
        .split(|&byte| byte == b' ')
        .next()
        .unwrap_or_default();
    let has_id = !id.is_empty() && id.iter().all(u8::is_ascii_hexdigit);
    match find(b" -- exec:", message) {
        Some(command) if has_id => &line[..command],
        None if has_id => line,
        _ => &line[..message],
    }
}

/// Text from outside, made safe for a journal line: no control characters, at most so long.
fn clean(text: &[u8], chars: usize) -> String {
    let text = String::from_utf8_lossy(text);
    text.chars()
        .take(chars)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

fn in_words(state: char) -> String {
    let words = match state {
        'R' => "running",
        'S' => "sleeping",
        'D' => "waiting in the kernel",
        'T' => "stopped by a signal",
        't' => "stopped by a tracer",
        'Z' => "dead, not yet reaped",
        'I' => "idle",
        other => return format!("in state {other}"),
    };
    format!("{words} ({state})")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::super::process::Process;
    use super::*;

    fn words(line: &[&str]) -> Vec<Vec<u8>> {
        line.iter().map(|word| word.as_bytes().to_vec()).collect()
    }

    #[test]
    fn of_a_command_line_only_program_and_subcommand_are_told() {
        for (line, told) in [
            (&["/usr/sbin/nft", "add", "rule"][..], "/usr/sbin/nft add"),
            (&["curl", "-u", "me:secret"], "curl"),
            (&["sh", "-c", "PASS=secret curl"], "sh"),
            (&["notify", "secret"], "notify"),
            (&["ip", "secret=1"], "ip"),
            (&["server: secret"], "server:"),
        ] {
            assert_eq!(harmless(&words(line)).as_deref(), Some(told), "{line:?}");
        }
        assert_eq!(harmless(&words(&[""])), None);
    }

    #[test]
    fn a_secret_in_a_child_s_words_is_not_told() {
        let script = "sh -c 'sleep 60; echo hunter2' hunter3 & wait";
        let mut shell = Command::new("bash").args(["-c", script]).spawn().unwrap();
        let process = Process::open(Pid::from_child(&shell)).unwrap();
        let told = loop {
            let told = diagnose(process.pid(), None);
            let sleeps = |name: &str| told.contains(&format!(" {name}: sleeping (S)"));
            if sleeps("sleep") && sleeps("bash") {
                break told;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        };
        for child in descendants(&tasks(process.pid()).unwrap()) {
            Process::open(child)
                .unwrap()
                .signal(rustix::process::Signal::KILL)
                .unwrap();
        }
        shell.kill().unwrap();
        shell.wait().unwrap();
        assert!(!told.contains("hunter"), "{told}");
    }

    #[test]
    fn the_log_s_end_is_told_without_commands() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut content = "2026-01-01 00:00:00 old\n".repeat(2000);
        content.push_str(concat!(
            "2026-01-01 00:00:01,000 fail2ban.utils [7]: ERROR   7f -- exec: curl -u me:hunter2\n",
            "  hunter3\n",
            "2026-01-01 00:00:01,000 fail2ban.utils [7]: ERROR   curl -u me:hunter2 -- failed with 12\n",
            "2026-01-01 00:00:01,000 fail2ban.utils [7]: ERROR   7f -- returned 127\n",
            "2026-01-01 \u{1b}[1mend\n",
        ));
        std::fs::write(&log, content).unwrap();
        let told = diagnose(rustix::process::getpid(), Some(&log));
        assert!(told.contains("-- exec:\n"), "{told}");
        assert!(told.contains("7f -- returned 127\n"), "{told}");
        assert!(told.contains("?[1mend"), "{told}");
        assert!(!told.contains("hunter"), "{told}");
        assert_eq!(last_lines(&log).unwrap().len(), LOG_LINES);
    }

    #[test]
    fn a_log_that_is_no_file_is_said_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &log, rustix::fs::Mode::RUSR).unwrap();
        assert!(diagnose(rustix::process::getpid(), Some(&log)).contains("not a regular file"));
    }

    #[test]
    fn the_text_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        std::fs::write(&log, format!("2{}\n", "ö".repeat(9000)).repeat(20)).unwrap();
        let told = diagnose(rustix::process::getpid(), Some(&log));
        assert!(told.len() <= LIMIT, "{}", told.len());
    }

    #[test]
    fn a_process_that_has_ended_is_said_to_have() {
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert!(diagnose(Pid::from_child(&child), None).contains("cannot be looked at"));
    }
}
