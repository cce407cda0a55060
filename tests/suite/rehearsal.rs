//! The dry run against real fail2bans: it finds what they refuse, and nothing else comes of it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use jailwarden::fail2ban::Instance;
use jailwarden::fail2ban::dump::{Dump, DumpError, dump};
use jailwarden::fail2ban::rehearsal::{Fault, Unproven, Urgency, Why, read};
use rustix::process::Signal;

use crate::support::daemon::{Fail2ban, JailSpec, Version, Warden};
use crate::support::{GUARD, wait_until};

/// A fault in one jail, and how it is told: the option at fault, and a part of fail2ban's words.
struct Row {
    jail: &'static str,
    failregex: &'static str,
    extra: &'static str,
    option: &'static str,
    words: &'static str,
}

const fn row(
    jail: &'static str,
    extra: &'static str,
    option: &'static str,
    words: &'static str,
) -> Row {
    Row {
        jail,
        failregex: "fail from <HOST>",
        extra,
        option,
        words,
    }
}

const fn regex(jail: &'static str, failregex: &'static str, words: &'static str) -> Row {
    Row {
        failregex,
        ..row(jail, "", "failregex", words)
    }
}

/// What `fail2ban-client -d` prints without a word, and `-t` calls sound; `tests/faults` has more.
const FAULTS: [Row; 10] = [
    regex(
        "open-set",
        "fail from <HOST> [",
        "failregex: Unable to compile regular expression 'fail from <HOST> [': unterminated \
         character set at position 17",
    ),
    regex(
        "no-host",
        "fail from somewhere",
        "failregex: No failure-id group in 'fail from somewhere'",
    ),
    regex(
        "second",
        "good from <HOST>\n    bad( from <HOST>\n    fine from <HOST>",
        "'bad( from <HOST>': missing ), unterminated subpattern at position 3",
    ),
    row(
        "pre",
        "filter = pre-filter",
        "prefregex",
        "'^(<F-CONTENT>.+'",
    ),
    row(
        "number",
        "maxretry = abc\nmaxmatches = 5",
        "maxretry",
        "int()",
    ),
    row(
        "ban",
        "bantime = 10 parsecs",
        "bantime",
        "bantime = 10 parsecs: invalid syntax",
    ),
    row(
        "twice",
        "action = mark[name=x]\n         mark[name=x]",
        "action",
        "already exists",
    ),
    row("broken", "action = broken.py", "action", "invalid syntax"),
    row(
        "timeout",
        "action = mark[name=x, timeout=soon]",
        "action mark-x timeout",
        "name 'soon'",
    ),
    row(
        "tail",
        "logpath = LOG sideways",
        "logpath",
        "'head' or 'tail'",
    ),
];

fn instance(f2b: &Fail2ban) -> Instance {
    let mut client: Vec<OsString> = f2b.client_words().into_iter().map(Into::into).collect();
    // Without `-c` and the folder.
    client.truncate(client.len() - 2);
    Instance {
        client,
        config_dir: f2b.config(),
        socket: f2b.socket(),
        pid_file: f2b.pid_file(),
    }
}

async fn rehearsed(f2b: &Fail2ban, limit: Duration) -> Result<Vec<Fault>, Unproven> {
    let (dump, stage) = read(&instance(f2b), GUARD, Urgency::Low).await;
    let stream = dump.unwrap().stream;
    let jails: Vec<_> = stream.jails.iter().collect();
    stage.unwrap().rehearse(&jails, limit).await
}

async fn faults(f2b: &Fail2ban) -> Vec<Fault> {
    rehearsed(f2b, GUARD).await.unwrap()
}

fn jail_with(f2b: &Fail2ban, name: &str, extra: &str) {
    let spec = JailSpec {
        extra,
        ..JailSpec::default()
    };
    f2b.jail(name, &spec);
}

/// Replaces lines of a jail that the standard ones already set.
fn lay_out(f2b: &Fail2ban, row: &Row) {
    let extra = row
        .extra
        .replace("LOG", &f2b.jail_log(row.jail).display().to_string());
    let spec = JailSpec {
        failregex: row.failregex,
        ..JailSpec::default()
    };
    f2b.jail(row.jail, &spec);
    // A later file beats an earlier one, where one file may not set an option twice.
    f2b.write(
        &format!("jail.d/{}.local", row.jail),
        &format!("[{}]\n{extra}\n", row.jail),
    );
}

/// What a folder holds, with times and sizes, so that each change shows.
fn contents(folder: &Path) -> BTreeMap<PathBuf, (i64, i64, u64)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let about = path.symlink_metadata().unwrap();
        found.insert(
            path.clone(),
            (about.mtime(), about.mtime_nsec(), about.len()),
        );
        if about.is_dir() {
            found.extend(contents(&path));
        }
    }
    found
}

async fn each_fault_is_found_in_one_run(version: Version) {
    let Some(f2b) = Fail2ban::new(version) else {
        return;
    };
    let prefregex = "[Definition]\nprefregex = ^(<F-CONTENT>.+\nfailregex = ^fail\n";
    f2b.write("filter.d/pre-filter.conf", prefregex);
    f2b.write("action.d/broken.py", "class Action(:\n");
    for row in &FAULTS {
        lay_out(&f2b, row);
    }
    f2b.jail("sound", &JailSpec::default());
    let before = contents(&f2b.path(""));
    let found = faults(&f2b).await;
    assert_eq!(before, contents(&f2b.path("")), "something was written");
    for row in &FAULTS {
        let of_jail: Vec<_> = found.iter().filter(|f| f.jail == row.jail).collect();
        let [fault] = of_jail.as_slice() else {
            panic!("{}: {of_jail:#?}", row.jail);
        };
        assert_eq!(fault.option.as_deref(), Some(row.option), "{fault:?}");
        assert!(fault.words.contains(row.words), "{fault:?}");
        assert!(!fault.words.contains('\n'), "{fault:?}");
    }
    assert_eq!(found.len(), FAULTS.len(), "{found:#?}");
}

async fn all_faults_of_one_jail_are_found(version: Version) {
    let Some(f2b) = Fail2ban::new(version) else {
        return;
    };
    let spec = JailSpec {
        failregex: "one( <HOST>\n two <HOST>\n three[ <HOST>",
        extra: "findtime = soon\nignoreregex = four)",
        ..JailSpec::default()
    };
    f2b.jail("many", &spec);
    f2b.write("jail.d/many.local", "[many]\nbackend = nosuch\n");
    let found = faults(&f2b).await;
    let mut options: Vec<_> = found.iter().filter_map(|f| f.option.as_deref()).collect();
    options.sort_unstable();
    let expected = [
        "backend",
        "failregex",
        "failregex",
        "findtime",
        "ignoreregex",
    ];
    assert_eq!(options, expected, "{found:#?}");
}

async fn a_log_that_is_no_file_is_a_fault_and_never_opened(version: Version) {
    let Some(f2b) = Fail2ban::new(version) else {
        return;
    };
    let without = JailSpec {
        with_log: false,
        ..JailSpec::default()
    };
    f2b.jail("fifo", &without);
    let made = std::process::Command::new("mkfifo")
        .arg(f2b.jail_log("fifo"))
        .status()
        .unwrap();
    assert!(made.success());
    f2b.jail("folder", &without);
    fs::create_dir(f2b.jail_log("folder")).unwrap();
    f2b.jail("null", &without);
    f2b.write("jail.d/null.local", "[null]\nlogpath = /dev/null\n");
    let found = faults(&f2b).await;
    let named: Vec<_> = found
        .iter()
        .map(|f| (&*f.jail, f.option.as_deref()))
        .collect();
    let expected = [("fifo", Some("logpath")), ("folder", Some("logpath"))];
    assert_eq!(named, expected, "{found:#?}");
}

async fn a_reserved_name_is_a_fault_and_never_sent(version: Version) {
    let Some(f2b) = Fail2ban::new(version) else {
        return;
    };
    f2b.jail("logtarget", &JailSpec::default());
    f2b.jail("sound", &JailSpec::default());
    let found = faults(&f2b).await;
    assert!(
        matches!(found.as_slice(), [fault] if fault.jail == "logtarget"),
        "{found:#?}"
    );
}

/// Every jail that fail2ban comes with, on logs that are there.
async fn the_stock_jails_are_sound(version: Version) {
    let Some(f2b) = Fail2ban::new(version) else {
        return;
    };
    let stock = fs::read_to_string(f2b.config().join("jail.conf")).unwrap();
    let names = stock
        .lines()
        .filter_map(|line| line.strip_prefix('[')?.strip_suffix(']'))
        .filter(|name| !["DEFAULT", "INCLUDES"].contains(name));
    let log = f2b.path("stock.log");
    fs::write(&log, "").unwrap();
    let mut local = String::new();
    for name in names {
        let log = log.display();
        let backend = if name == "sshd" { "systemd" } else { "polling" };
        writeln!(
            local,
            "[{name}]\nenabled = true\nbackend = {backend}\nlogpath = {log}"
        )
        .unwrap();
    }
    f2b.write("jail.local", &local);
    let (dump, stage) = read(&instance(&f2b), GUARD, Urgency::Low).await;
    let stream = dump.unwrap().stream;
    assert!(stream.jails.len() > 50, "{}", stream.jails.len());
    let jails: Vec<_> = stream.jails.iter().collect();
    assert_eq!(stage.unwrap().rehearse(&jails, GUARD).await.unwrap(), []);
}

/// fail2ban evaluates times as code, which must not act in a rehearsal.
async fn what_a_config_would_do_is_not_done(version: Version) {
    let Some(f2b) = Fail2ban::new(version) else {
        return;
    };
    let trace = f2b.path("trace");
    let cases = [
        ("system", "__import__('os').system(b'touch ' + TRACE) or 10"),
        ("open", "open(TRACE, 'w').write('x')"),
        ("socket", "__import__('socket').socket() and 10"),
        ("delete", "__import__('os').remove(TRACE + b'.kept') or 10"),
    ];
    let kept = f2b.path("trace.kept");
    fs::write(&kept, "").unwrap();
    for (name, time) in cases {
        let time = time.replace("TRACE", &in_python(&trace));
        f2b.jail(name, &JailSpec::default());
        f2b.write(
            &format!("jail.d/{name}.local"),
            &format!("[{name}]\nbantime = {time}\n"),
        );
    }
    let called = format!(
        "action = mark[name=x, actionstart=\"touch {0}\", start=\"{{}}\"]",
        trace.display()
    );
    jail_with(&f2b, "call", "");
    f2b.write("jail.d/call.local", &format!("[call]\n{called}\n"));
    assert_eq!(faults(&f2b).await, []);
    assert!(!trace.exists());
    assert!(kept.exists());
}

/// A path as a time may have it: fail2ban puts a blank between a letter and a digit (`server/mytime.py`).
fn in_python(path: &Path) -> String {
    format!("bytes({:?})", path.as_os_str().as_bytes())
}

/// What the hook does not see, the kernel does: making a FIFO has no audit event in Python.
async fn a_rehearsal_has_no_rights_but_to_read(version: Version) {
    let Some(f2b) = Fail2ban::new(version) else {
        return;
    };
    let rights = "[line for line in __import__('io').open('/proc/self/status') \
                  if line.startswith(('CapEff', 'CapPrm', 'NoNewPrivs', 'Seccomp:'))]";
    f2b.jail("rights", &JailSpec::default());
    let time = format!("{{}}[' '.join(''.join({rights}).split())]");
    f2b.write(
        "jail.d/rights.local",
        &format!("[rights]\nbantime = {time}\n"),
    );
    let found = faults(&f2b).await;
    let [fault] = found.as_slice() else {
        panic!("{found:?}")
    };
    let root = rustix::process::geteuid().is_root();
    let most = if root { 4 } else { 0 };
    let capabilities = format!("CapPrm: {most:016x} CapEff: {most:016x}");
    assert!(fault.words.contains(&capabilities), "{fault:?}");
    let seccomp = if cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        2
    } else {
        0
    };
    let rest = format!("NoNewPrivs: 1 Seccomp: {seccomp}");
    assert!(fault.words.contains(&rest), "{fault:?}");

    // What Landlock's version is; none where this kernel has none.
    let version = "import ctypes, sys; sys.exit(ctypes.CDLL(None).syscall(444, None, 0, 1) < 1)";
    let landlock = Command::new("python3").args(["-c", version]).status();
    if !landlock.unwrap().success() {
        return;
    }
    let fifo = f2b.path("fifo");
    let time = format!("__import__('os').mkfifo({}) or 10", in_python(&fifo));
    f2b.write(
        "jail.d/rights.local",
        &format!("[rights]\nbantime = {time}\n"),
    );
    let found = faults(&f2b).await;
    assert!(found[0].words.contains("Permission denied"), "{found:?}");
    assert!(!fifo.exists());
}

async fn what_cannot_be_proven_is_said_with_what_was_found(version: Version) {
    let Some(f2b) = Fail2ban::new(version) else {
        return;
    };
    let spec = JailSpec {
        failregex: "fail from <HOST> [",
        ..JailSpec::default()
    };
    f2b.jail("bad", &spec);
    f2b.jail("greedy", &JailSpec::default());
    let greedy = |time: &str| {
        f2b.write(
            "jail.d/greedy.local",
            &format!("[greedy]\nbantime = {time}\n"),
        );
    };
    greedy("len('x' * (1 << 32))");
    let unproven = rehearsed(&f2b, GUARD).await.unwrap_err();
    assert!(
        matches!(&unproven.why, Why::GaveUp { jail, .. } if jail == "greedy"),
        "{unproven:?}"
    );
    assert_eq!(unproven.faults.len(), 1, "{unproven:?}");
    // It waits, which an overloaded machine makes no other; what it computes would take as long as it likes there.
    greedy("__import__('time').sleep(300)");
    let mut limit = Duration::from_secs(3);
    let unproven = loop {
        let unproven = rehearsed(&f2b, limit).await.unwrap_err();
        let timed_out = matches!(unproven.why, Why::TimedOut { .. });
        assert!(timed_out, "{unproven:?}");
        limit *= 3;
        if unproven.faults.len() == 2 || limit > 2 * GUARD {
            break unproven;
        }
    };
    let is_named = matches!(&unproven.why, Why::TimedOut { jail, .. } if jail == "greedy");
    assert!(is_named, "{unproven:?}");
    let jails: Vec<_> = unproven.faults.iter().map(|f| f.jail.as_str()).collect();
    assert_eq!(jails, ["bad", "greedy"], "{unproven:?}");
    assert!(unproven.faults[1].words.contains("without an end"));
}

async fn a_client_behind_a_wrapper_is_unproven(version: Version) {
    let Some(f2b) = Fail2ban::new(version) else {
        return;
    };
    f2b.jail("sound", &JailSpec::default());
    let mut instance = instance(&f2b);
    instance.client.insert(0, "nice".into());
    let (dump, stage) = read(&instance, GUARD, Urgency::Low).await;
    assert_eq!(dump.unwrap(), dump_alone(&f2b).await.unwrap());
    let unproven = stage.unwrap_err();
    assert!(
        matches!(unproven.why, Why::NoInterpreter(_)),
        "{unproven:?}"
    );
}

async fn dump_alone(f2b: &Fail2ban) -> Result<Dump, DumpError> {
    dump(&instance(f2b), GUARD).await
}

/// The client is run within our process, and must make of the config what it makes of it alone.
async fn the_config_is_read_as_by_the_client_alone(version: Version) {
    let Some(f2b) = Fail2ban::new(version) else {
        return;
    };
    f2b.jail("sound", &JailSpec::default());
    f2b.jail("number", &JailSpec::default());
    f2b.write("jail.d/number.local", "[number]\nmaxretry = many\n");
    f2b.write(
        "jail.d/none.conf",
        "[none]\nenabled = true\nfilter = none\n",
    );
    let (read_here, stage) = read(&instance(&f2b), GUARD, Urgency::Low).await;
    let read_here = read_here.unwrap();
    assert_eq!(read_here, dump_alone(&f2b).await.unwrap());
    // In jail.conf, maxmatches follows maxretry.
    assert_eq!(read_here.findings.len(), 3, "{:?}", read_here.findings);
    assert_eq!(stage.unwrap().rehearse(&[], GUARD).await.unwrap(), []);

    f2b.write("jail.d/junk.conf", "junk\n");
    let words = |dump: Result<Dump, DumpError>| dump.unwrap_err().to_string();
    let (read_here, _) = read(&instance(&f2b), GUARD, Urgency::Low).await;
    assert_eq!(words(read_here), words(dump_alone(&f2b).await));
}

/// A client that kills any process of ours that runs it.
#[tokio::test]
async fn a_reading_that_breaks_off_is_made_by_the_client_alone() {
    let Some(f2b) = Fail2ban::new(Version::V102) else {
        return;
    };
    f2b.jail("sound", &JailSpec::default());
    let script = f2b.path("client");
    let program = "import os, signal, sys\n\
        if '-B' in sys.orig_argv:\n    os.kill(os.getpid(), signal.SIGKILL)\n\
        from fail2ban.client.fail2banclient import exec_command_line\n\
        exec_command_line(sys.argv)\n";
    fs::write(&script, program).unwrap();
    let mut instance = instance(&f2b);
    instance.client = vec!["/usr/bin/python3".into(), script.into()];
    let (dump, stage) = read(&instance, GUARD, Urgency::Low).await;
    assert_eq!(dump.unwrap(), dump_alone(&f2b).await.unwrap());
    let unproven = stage.unwrap_err();
    assert!(matches!(unproven.why, Why::NotRead { .. }), "{unproven:?}");
}

/// The daemon's threads by number and name.
fn threads(f2b: &Fail2ban) -> BTreeMap<String, String> {
    let tasks = format!("/proc/{}/task", f2b.pid());
    let tasks = fs::read_dir(tasks).unwrap().map(|task| task.unwrap());
    tasks
        .map(|task| {
            let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
            (task.file_name().into_string().unwrap(), name)
        })
        .collect()
}

/// The mission: a regex that fail2ban itself calls sound is saved, and no jail notices.
fn a_bad_change_leaves_every_jail_running(version: Version) {
    let Some(f2b) = Fail2ban::new(version) else {
        return;
    };
    for jail in ["good", "edited"] {
        f2b.jail(jail, &JailSpec::default());
    }
    f2b.start();
    for jail in ["good", "edited"] {
        f2b.wait_ban(jail);
    }
    let mut warden = Warden::start(&f2b, "");
    warden.wait_for("2 of 2 jails protect");
    let before = threads(&f2b);
    let spec = JailSpec {
        failregex: "fail from <HOST> [",
        ..JailSpec::default()
    };
    f2b.jail("edited", &spec);
    let said = warden.wait_for("would fail and is not applied");
    assert!(said.contains("jail edited: failregex: "), "{said}");
    assert!(said.contains("unterminated character set"), "{said}");
    for jail in ["edited", "good"] {
        f2b.wait_ban(jail);
    }
    assert_eq!(before, threads(&f2b), "a jail was touched");
    assert_eq!(warden.end(), 0);
}

fn rehearsals_of(parent: u32) -> Vec<PathBuf> {
    let parent = format!("PPid:\t{parent}\n");
    let processes = fs::read_dir("/proc")
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let read = |path: &Path, file: &str| fs::read_to_string(path.join(file)).unwrap_or_default();
    processes
        .filter(|path| read(path, "comm") == "jail-rehearsal\n")
        .filter(|path| read(path, "status").contains(&parent))
        .collect()
}

fn the_rehearsal_dies_with_jailwarden(version: Version) {
    let Some(f2b) = Fail2ban::new(version) else {
        return;
    };
    f2b.jail("endless", &JailSpec::default());
    f2b.write("jail.d/endless.local", "[endless]\nbantime = 9**9**9\n");
    let warden = Warden::start(&f2b, "");
    let busy = wait_until(GUARD, || {
        let found = rehearsals_of(warden.pid());
        // Its limits come first.
        let limits = fs::read_to_string(found.first()?.join("limits")).ok()?;
        limits
            .contains("Max file size             0")
            .then_some(found)
    });
    let busy = busy.expect("a rehearsal under way");
    let process = fs::metadata(&busy[0]).unwrap().ino();
    warden.signal(Signal::KILL);
    let is_gone = || fs::metadata(&busy[0]).is_ok_and(|now| now.ino() == process);
    let gone = wait_until(GUARD, || (!is_gone()).then_some(()));
    assert!(gone.is_some(), "{busy:?} outlives jailwarden");
}

macro_rules! in_each_version {
    ($($version:ident $module:ident),*) => { $(
        mod $module {
            use super::Version;

            #[tokio::test]
            async fn each_fault_is_found_in_one_run() {
                super::each_fault_is_found_in_one_run(Version::$version).await;
            }

            #[tokio::test]
            async fn all_faults_of_one_jail_are_found() {
                super::all_faults_of_one_jail_are_found(Version::$version).await;
            }

            #[tokio::test]
            async fn a_log_that_is_no_file_is_a_fault_and_never_opened() {
                super::a_log_that_is_no_file_is_a_fault_and_never_opened(Version::$version).await;
            }

            #[tokio::test]
            async fn a_reserved_name_is_a_fault_and_never_sent() {
                super::a_reserved_name_is_a_fault_and_never_sent(Version::$version).await;
            }

            #[tokio::test]
            async fn the_stock_jails_are_sound() {
                super::the_stock_jails_are_sound(Version::$version).await;
            }

            #[tokio::test]
            async fn what_a_config_would_do_is_not_done() {
                super::what_a_config_would_do_is_not_done(Version::$version).await;
            }

            #[tokio::test]
            async fn a_rehearsal_has_no_rights_but_to_read() {
                super::a_rehearsal_has_no_rights_but_to_read(Version::$version).await;
            }

            #[tokio::test]
            async fn what_cannot_be_proven_is_said_with_what_was_found() {
                super::what_cannot_be_proven_is_said_with_what_was_found(Version::$version).await;
            }

            #[tokio::test]
            async fn the_config_is_read_as_by_the_client_alone() {
                super::the_config_is_read_as_by_the_client_alone(Version::$version).await;
            }

            #[tokio::test]
            async fn a_client_behind_a_wrapper_is_unproven() {
                super::a_client_behind_a_wrapper_is_unproven(Version::$version).await;
            }

            #[test]
            fn a_bad_change_leaves_every_jail_running() {
                super::a_bad_change_leaves_every_jail_running(Version::$version);
            }

            #[test]
            fn the_rehearsal_dies_with_jailwarden() {
                super::the_rehearsal_dies_with_jailwarden(Version::$version);
            }
        }
    )* };
}

in_each_version!(V102 v1_0_2, V110 v1_1_0, V111 v1_1_1);
