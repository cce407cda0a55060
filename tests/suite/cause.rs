//! Why a real fail2ban does not come back, and what is said of it, version by version.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use jailwarden::fail2ban::cause::{self, Cause, Kind, Log, Start, Trouble, cause};
use jailwarden::fail2ban::database::{Damage, damage, holder};
use jailwarden::fail2ban::ownlog::{self, Position};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use rustix::process::geteuid;

use crate::support::daemon::{Fail2ban, JailSpec, Version};
use crate::support::{GUARD, skip, wait_until};

/// A fail2ban with two jails, whose database, socket and log have folders of their own.
fn laid_out(version: Version) -> Option<Fail2ban> {
    let f2b = Fail2ban::new(version)?;
    for folder in ["db", "run", "log"] {
        fs::create_dir(f2b.path(folder)).unwrap();
    }
    for (from, to) in [
        (f2b.path("fail2ban.sqlite3"), database(&f2b)),
        (f2b.socket(), socket(&f2b)),
        (f2b.log(), log(&f2b)),
    ] {
        let (from, to) = (from.display().to_string(), to.display().to_string());
        f2b.edit("fail2ban.local", &from, &to);
    }
    f2b.jail("a", &JailSpec::default());
    f2b.jail("m", &JailSpec::default());
    Some(f2b)
}

fn database(f2b: &Fail2ban) -> PathBuf {
    f2b.path("db/f.sqlite3")
}

fn socket(f2b: &Fail2ban) -> PathBuf {
    f2b.path("run/f2b.sock")
}

fn log(f2b: &Fail2ban) -> PathBuf {
    f2b.path("log/f2b.log")
}

/// How a start is given.
#[derive(Clone, Copy)]
enum How {
    /// As an admin does it by hand.
    Background,
    /// As systemd does it.
    Foreground,
}

/// What became of a start.
struct Outcome {
    log: Position,
    output: String,
    status: Option<i32>,
}

/// Gives a start, which must fail, through `wrap`, words that run the words behind them.
fn fails(f2b: &Fail2ban, how: How, wrap: &[&str]) -> Outcome {
    let log = ownlog::end(&log(f2b));
    let mut words: Vec<String> = wrap.iter().map(ToString::to_string).collect();
    let own = f2b.client_words().into_iter();
    match how {
        How::Background => words.extend(own),
        How::Foreground => {
            words.extend(own.map(|word| word.replace("fail2ban-client", "fail2ban-server")));
            words.push("-f".into());
        }
    }
    // It waits so long for a server that has ended already, and on a loaded machine for one that is yet to come.
    words.extend(["--timeout", "12", "-x", "start"].map(String::from));
    let done = Command::new(&words[0])
        .args(&words[1..])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let output = [done.stdout, done.stderr].concat();
    let output = String::from_utf8_lossy(&output).into_owned();
    assert!(!done.status.success(), "it started: {output}");
    Outcome {
        log,
        output,
        status: done.status.code(),
    }
}

fn found(f2b: &Fail2ban, outcome: &Outcome) -> Cause {
    let mut instance = f2b.instance();
    instance.socket = socket(f2b);
    cause(&Start {
        instance: &instance,
        log: Log::File {
            path: &log(f2b),
            since: &outcome.log,
        },
        output: &outcome.output,
        status: outcome.status,
        result: None,
        database: Some(&database(f2b)),
        state_dir: &f2b.path(""),
        mounts_of: None,
    })
}

/// Whether a piece of evidence holds `words`, and stands in `file` at a line, if one is given.
fn shows(found: &Cause, words: &str, file: Option<&Path>) -> bool {
    found.evidence.iter().any(|evidence| {
        let in_place = || evidence.file.as_deref() == file && evidence.line.is_some();
        evidence.words.contains(words) && (file.is_none() || in_place())
    })
}

fn assert_trouble(f2b: &Fail2ban, outcome: &Outcome, trouble: Trouble, words: &str) {
    let found = found(f2b, outcome);
    let text = f2b_log(f2b);
    assert_eq!(
        found.kind,
        Kind::Environment(trouble),
        "{found:#?}\n{}\n{text}",
        outcome.output
    );
    assert!(shows(&found, words, None), "{words}: {found:#?}\n{text}");
}

fn f2b_log(f2b: &Fail2ban) -> String {
    fs::read_to_string(log(f2b)).unwrap_or_default()
}

/// Gives this thread, and what it starts, mounts of their own; `false` where that takes root.
fn own_mounts() -> bool {
    if !geteuid().is_root() {
        skip("a mount takes root");
        return false;
    }
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>).unwrap();
    true
}

fn mount_tmpfs(folder: &Path, options: &str) {
    let none = MsFlags::empty();
    mount(Some("tmpfs"), folder, Some("tmpfs"), none, Some(options)).unwrap();
}

fn fill(folder: &Path) {
    mount_tmpfs(folder, "size=16k");
    // It is written as far as there is room.
    let _ = fs::write(folder.join("fill"), vec![0; 64 * 1024]);
}

fn make_read_only(path: &Path) {
    let none = None::<&str>;
    mount(Some(path), path, none, MsFlags::MS_BIND, none).unwrap();
    let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount(none, path, none, flags, none).unwrap();
}

/// As jailwarden's own unit has it, whose `ProtectHome=` and `ProtectSystem=` are nobody else's.
#[test]
fn what_only_we_may_not_write_to_is_no_cause() {
    let Some(f2b) = laid_out(Version::V102) else {
        return;
    };
    let mut systemd = Command::new("sleep").arg("600").spawn().unwrap();
    if own_mounts() {
        make_read_only(&f2b.path("db"));
        let mounts_of = rustix::process::Pid::from_child(&systemd);
        let kind = |mounts_of| {
            let start = Start {
                instance: &f2b.instance(),
                log: Log::Unknown,
                output: "",
                status: Some(1),
                result: None,
                database: Some(&database(&f2b)),
                state_dir: &f2b.path(""),
                mounts_of,
            };
            cause(&start).kind
        };
        assert_eq!(kind(None), Kind::Environment(Trouble::ReadOnly));
        assert_eq!(kind(Some(mounts_of)), Kind::Unknown);
    }
    systemd.kill().unwrap();
    systemd.wait().unwrap();
}

/// A process that holds the database, until it is dropped.
struct Holding(Child);

impl Holding {
    fn of(database: &Path) -> Self {
        let script = "import sqlite3, sys, time\n\
                      held = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
                      held.execute('create table if not exists t(a)')\n\
                      held.execute('begin exclusive')\n\
                      time.sleep(600)\n";
        let child = Command::new("/usr/bin/python3")
            .args(["-c", script])
            .arg(database)
            .spawn()
            .unwrap();
        let held = wait_until(GUARD, || holder(database).ok().flatten());
        let held = held.expect("the database is held");
        assert_eq!(
            held.pid.unwrap().as_raw_pid(),
            i32::try_from(child.id()).unwrap()
        );
        Self(child)
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn a_jail_that_is_refused_is_named(version: Version) {
    for (how, extra, regex, words) in [
        (How::Background, "", "fail [", "unterminated character set"),
        (How::Foreground, "", "fail [", "unterminated character set"),
        (
            How::Foreground,
            "findtime = 10 parsecs",
            "fail from <HOST>",
            "parsecs",
        ),
        (
            How::Background,
            "ignoreregex = (",
            "fail from <HOST>",
            "unterminated subpattern",
        ),
    ] {
        let Some(f2b) = laid_out(version) else { return };
        let spec = JailSpec {
            failregex: regex,
            extra,
            ..JailSpec::default()
        };
        f2b.jail("m", &spec);
        let outcome = fails(&f2b, how, &[]);
        // In the background the server may go on after its client.
        let known = || Some(found(&f2b, &outcome)).filter(|it| it.kind != Kind::Unknown);
        let found = wait_until(GUARD, known).unwrap_or_else(|| found(&f2b, &outcome));
        let jail = Some("m".to_owned());
        assert_eq!(
            found.kind,
            Kind::Config { jail },
            "{found:#?}\n{}",
            f2b_log(&f2b)
        );
        assert!(
            shows(&found, words, Some(&log(&f2b))),
            "{words}: {found:#?}"
        );
    }
}

fn a_jail_without_its_log_is_named(version: Version) {
    for how in [How::Background, How::Foreground] {
        let Some(f2b) = laid_out(version) else { return };
        fs::remove_file(f2b.jail_log("m")).unwrap();
        let found = found(&f2b, &fails(&f2b, how, &[]));
        let jail = Some("m".to_owned());
        assert_eq!(found.kind, Kind::Config { jail }, "{found:#?}");
    }
}

fn a_config_that_does_not_parse_is_the_config(version: Version) {
    let Some(f2b) = laid_out(version) else { return };
    f2b.write("jail.local", "junk\n");
    let found = found(&f2b, &fails(&f2b, How::Background, &[]));
    assert_eq!(found.kind, Kind::Config { jail: None }, "{found:#?}");
    assert!(shows(&found, "jail.local", None), "{found:#?}");
}

/// With no room for the log, the refusal is on stderr alone.
fn a_full_disk_does_not_hide_a_fault_of_the_config(version: Version) {
    if !own_mounts() {
        return;
    }
    for how in [How::Background, How::Foreground] {
        let Some(f2b) = laid_out(version) else { return };
        f2b.edit("filter.d/m.conf", "fail from <HOST>", "fail [");
        fill(&f2b.path("log"));
        let found = found(&f2b, &fails(&f2b, how, &[]));
        assert!(matches!(found.kind, Kind::Config { .. }), "{found:#?}");
        assert!(
            shows(&found, "unterminated character set", None),
            "{found:#?}"
        );
        umount2(&f2b.path("log"), MntFlags::MNT_DETACH).unwrap();
    }
}

fn no_room_for_the_database_is_said(version: Version) {
    if !own_mounts() {
        return;
    }
    for how in [How::Background, How::Foreground] {
        let Some(f2b) = laid_out(version) else { return };
        fill(&f2b.path("db"));
        let outcome = fails(&f2b, how, &[]);
        assert_trouble(&f2b, &outcome, Trouble::NoRoom, "disk is full");
        assert_trouble(&f2b, &outcome, Trouble::NoRoom, "has no free room");
        assert!(found(&f2b, &outcome).database);
        assert!(!cause::is_writable(&database(&f2b), None));
    }
}

fn no_inode_for_the_socket_is_said(version: Version) {
    if !own_mounts() {
        return;
    }
    let Some(f2b) = laid_out(version) else { return };
    mount_tmpfs(&f2b.path("run"), "nr_inodes=1");
    let outcome = fails(&f2b, How::Foreground, &[]);
    assert_trouble(&f2b, &outcome, Trouble::NoRoom, "Unable to bind socket");
    assert_trouble(&f2b, &outcome, Trouble::NoRoom, "has no free inode");
}

fn a_read_only_folder_is_said(version: Version) {
    if !own_mounts() {
        return;
    }
    for (folder, words) in [
        ("db", "unable to open database file"),
        ("run", "Unable to bind socket"),
        ("log", "Failed to change log target"),
    ] {
        let Some(f2b) = laid_out(version) else { return };
        make_read_only(&f2b.path(folder));
        let outcome = fails(&f2b, How::Foreground, &[]);
        assert_trouble(&f2b, &outcome, Trouble::ReadOnly, words);
        assert_trouble(&f2b, &outcome, Trouble::ReadOnly, "read-only file system");
        let is_of_database = folder == "db";
        assert_eq!(found(&f2b, &outcome).database, is_of_database);
        assert_eq!(cause::is_writable(&database(&f2b), None), !is_of_database);
    }
    let Some(f2b) = laid_out(version) else { return };
    f2b.start();
    f2b.kill();
    make_read_only(&database(&f2b));
    let outcome = fails(&f2b, How::Background, &[]);
    assert_trouble(
        &f2b,
        &outcome,
        Trouble::ReadOnly,
        "write a readonly database",
    );
    assert!(found(&f2b, &outcome).database);
    assert!(!cause::is_writable(&database(&f2b), None));
    umount2(&database(&f2b), MntFlags::MNT_DETACH).unwrap();
}

fn a_missing_folder_is_said(version: Version) {
    let Some(f2b) = laid_out(version) else { return };
    fs::remove_dir(f2b.path("log")).unwrap();
    let outcome = fails(&f2b, How::Foreground, &[]);
    assert_trouble(&f2b, &outcome, Trouble::Missing, "the folder is not there");

    // fail2ban makes the folder of its database, but not the one above.
    let Some(f2b) = laid_out(version) else { return };
    f2b.edit("fail2ban.local", "/db/f.sqlite3", "/none/db/f.sqlite3");
    let log_end = fails(&f2b, How::Background, &[]);
    let found = cause(&Start {
        instance: &f2b.instance(),
        log: Log::File {
            path: &log(&f2b),
            since: &log_end.log,
        },
        output: &log_end.output,
        status: log_end.status,
        result: None,
        database: Some(&f2b.path("none/db/f.sqlite3")),
        state_dir: &f2b.path(""),
        mounts_of: None,
    });
    assert_eq!(
        found.kind,
        Kind::Environment(Trouble::Missing),
        "{found:#?}"
    );
    assert!(found.database, "{found:#?}");

    let Some(f2b) = laid_out(version) else { return };
    fs::remove_dir(f2b.path("db")).unwrap();
    fs::remove_dir(f2b.path("run")).unwrap();
    f2b.start();
}

fn a_held_database_is_said_with_its_holder(version: Version) {
    let Some(f2b) = laid_out(version) else { return };
    let holding = Holding::of(&database(&f2b));
    let outcome = fails(&f2b, How::Background, &[]);
    assert_trouble(
        &f2b,
        &outcome,
        Trouble::DatabaseLocked,
        "database is locked",
    );
    let holder = format!("process {} (python3) holds it", holding.0.id());
    assert_trouble(&f2b, &outcome, Trouble::DatabaseLocked, &holder);
    assert!(found(&f2b, &outcome).database);
    assert!(!cause::is_writable(&database(&f2b), None));
    drop(holding);
    assert!(cause::is_writable(&database(&f2b), None));
}

fn a_damaged_database_is_said(version: Version) {
    let Some(f2b) = laid_out(version) else { return };
    f2b.start();
    f2b.wait_ban("m");
    f2b.stop();
    let stopped = wait_until(GUARD, || (!f2b.pid_file().exists()).then_some(()));
    stopped.expect("fail2ban has stopped");
    let file = database(&f2b);
    assert_eq!(damage(&file).unwrap(), None);
    let mut bytes = fs::read(&file).unwrap();
    bytes[8192..].fill(0xde);
    fs::write(&file, bytes).unwrap();
    let outcome = fails(&f2b, How::Background, &[]);
    assert_trouble(&f2b, &outcome, Trouble::DatabaseDamaged, "malformed");
    assert!(found(&f2b, &outcome).database);
}

/// fail2ban moves it aside itself: a start is not ended by it, and so it is never the cause.
fn a_file_that_is_no_database_is_seen_and_started_over(version: Version) {
    let Some(f2b) = laid_out(version) else { return };
    f2b.start();
    f2b.wait_ban("m");
    let file = database(&f2b);
    assert_eq!(damage(&file).unwrap(), None);
    fs::write(&file, [0xad; 9000]).unwrap();
    assert_eq!(damage(&file).unwrap(), Some(Damage::NoDatabase));
    f2b.wait_ban("m");
    f2b.kill();
    f2b.start();
    f2b.wait_ban("m");
    assert_eq!(damage(&file).unwrap(), None);
    let aside = fs::read_dir(f2b.path("db")).unwrap().count();
    assert_eq!(aside, 2, "the damaged file is kept beside the new one");
}

/// The words that run this version on a copy of fail2ban's modules, which `break_it` has broken.
fn with_modules(f2b: &Fail2ban, break_it: impl Fn(&Path)) -> String {
    let mut words = f2b.client_words().into_iter();
    let from = words
        .find_map(|word| word.strip_prefix("PYTHONPATH=").map(PathBuf::from))
        .unwrap_or_else(|| "/usr/lib/python3/dist-packages".into());
    let copy = f2b.path("modules");
    fs::create_dir(&copy).unwrap();
    let copied = Command::new("cp")
        .arg("-r")
        .arg(from.join("fail2ban"))
        .arg(&copy)
        .status()
        .unwrap();
    assert!(copied.success());
    break_it(&copy.join("fail2ban"));
    copy.display().to_string()
}

/// Runs its arguments with PYTHONPATH as its first one, whatever they set it to.
const ON_MODULES: &str = r#"
        modules=$1; shift
        if [ "$1" = env ]; then shift 2; fi
        case $1 in */python3) ;; *) set -- /usr/bin/python3 "$@";; esac
        PYTHONPATH=$modules exec "$@"
    "#;

fn a_broken_python_is_said(version: Version) {
    let broken = |modules: &Path| {
        let server = modules.join("server/server.py");
        let text = fs::read_to_string(&server).unwrap();
        fs::write(server, text + "\ndef broken(:\n").unwrap();
    };
    let gone = |modules: &Path| fs::remove_file(modules.join("client/configurator.py")).unwrap();
    for (break_it, words) in [
        (&broken as &dyn Fn(&Path), "server.py"),
        (&gone, "configurator"),
    ] {
        let Some(f2b) = laid_out(version) else { return };
        let modules = with_modules(&f2b, break_it);
        let wrap = ["sh", "-c", ON_MODULES, "sh", &modules];
        let outcome = fails(&f2b, How::Foreground, &wrap);
        assert_trouble(&f2b, &outcome, Trouble::Python, words);
    }
}

fn a_program_that_is_not_there_is_said(version: Version) {
    let Some(f2b) = laid_out(version) else { return };
    let outcome = fails(
        &f2b,
        How::Background,
        &["sh", "-c", "fail2ban-gone \"$@\"", "sh"],
    );
    assert_trouble(&f2b, &outcome, Trouble::MissingProgram, "status 127");
    assert_trouble(
        &f2b,
        &outcome,
        Trouble::MissingProgram,
        "fail2ban-gone: not found",
    );
}

fn too_few_descriptors_are_said(version: Version) {
    let Some(f2b) = laid_out(version) else { return };
    let wrap = ["sh", "-c", "ulimit -n 8; exec \"$@\"", "sh"];
    let outcome = fails(&f2b, How::Foreground, &wrap);
    assert_trouble(&f2b, &outcome, Trouble::TooManyFiles, "Too many open files");
}

fn a_denied_folder_is_said(version: Version) {
    if !geteuid().is_root() {
        skip("another user takes root");
        return;
    }
    let Some(f2b) = laid_out(version) else { return };
    fs::set_permissions(
        f2b.path(""),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let wrap = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];
    let outcome = fails(&f2b, How::Foreground, &wrap);
    // What root may do says nothing of another user, so that only fail2ban's words are left.
    let found = found(&f2b, &outcome);
    assert!(matches!(found.kind, Kind::Environment(_)), "{found:#?}");
    assert!(shows(&found, "Permission denied", None), "{found:#?}");
}

fn an_old_socket_is_said(version: Version) {
    let Some(f2b) = laid_out(version) else { return };
    drop(UnixListener::bind(socket(&f2b)).unwrap());
    let since = ownlog::end(&log(&f2b));
    let done = f2b.client(&["start"]);
    assert!(!done.status.success());
    let outcome = Outcome {
        log: since,
        output: String::from_utf8_lossy(&done.stderr).into_owned(),
        status: done.status.code(),
    };
    assert_trouble(&f2b, &outcome, Trouble::SocketInTheWay, "the socket exists");
}

fn only_what_was_said_since_the_start_counts(version: Version) {
    let Some(f2b) = laid_out(version) else { return };
    f2b.edit("filter.d/m.conf", "fail from <HOST>", "fail [");
    let failed = fails(&f2b, How::Foreground, &[]);
    assert!(matches!(found(&f2b, &failed).kind, Kind::Config { .. }));
    let now = Outcome {
        log: ownlog::end(&log(&f2b)),
        output: String::new(),
        status: None,
    };
    let nothing = cause::Cause {
        database: false,
        kind: Kind::Unknown,
        evidence: Vec::new(),
    };
    assert_eq!(found(&f2b, &now), nothing);

    f2b.edit("filter.d/m.conf", "fail [", "fail from <HOST>");
    f2b.start();
    f2b.wait_ban("m");
    assert_eq!(found(&f2b, &now), nothing, "{}", f2b_log(&f2b));
}

macro_rules! per_version {
    ($($name:ident),+ $(,)?) => {
        $(per_version!(@ $name);)+
    };
    (@ $name:ident) => {
        mod $name {
            #[test]
            fn v1_0_2() { super::$name(super::Version::V102); }
            #[test]
            #[ignore = "as 1.1.1 says it; JAILWARDEN_ALL=1 make test"]
            fn v1_1_0() { super::$name(super::Version::V110); }
            #[test]
            fn v1_1_1() { super::$name(super::Version::V111); }
        }
    };
}

per_version!(
    a_jail_that_is_refused_is_named,
    a_jail_without_its_log_is_named,
    a_config_that_does_not_parse_is_the_config,
    a_full_disk_does_not_hide_a_fault_of_the_config,
    no_room_for_the_database_is_said,
    no_inode_for_the_socket_is_said,
    a_read_only_folder_is_said,
    a_missing_folder_is_said,
    a_held_database_is_said_with_its_holder,
    a_damaged_database_is_said,
    a_file_that_is_no_database_is_seen_and_started_over,
    a_broken_python_is_said,
    a_program_that_is_not_there_is_said,
    too_few_descriptors_are_said,
    a_denied_folder_is_said,
    an_old_socket_is_said,
    only_what_was_said_since_the_start_counts,
);
