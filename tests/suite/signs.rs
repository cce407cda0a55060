//! What a real fail2ban shows of jails that are blind or powerless, and what cures them, version by
//! version. They take minutes, most of it waiting, and the releases agree: 1.0.2 is always tried, the others
//! are ignored but with `JAILWARDEN_ALL=1 make test`.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use jailwarden::fail2ban::burning::{burning, sample};
use jailwarden::fail2ban::client::Connection;
use jailwarden::fail2ban::firewall::{self, Walls};
use jailwarden::fail2ban::ownlog;
use jailwarden::fail2ban::process::Pid;
use jailwarden::fail2ban::signs::{
    self, Blindness, Complaint, Expected, Said, Signs, expected, gather, judge,
};
use jailwarden::fail2ban::stream::Stream;
use jailwarden::fail2ban::threads::{Owners, Part};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use rustix::process::geteuid;

use crate::support::daemon::{Fail2ban, JailSpec, Version};
use crate::support::host::Host;
use crate::support::{GUARD, skip, wait_until};

/// How far apart looks are, as long as nothing is awaited.
const PAUSE: Duration = Duration::from_secs(5);

fn laid_out(version: Version, backend: &str, jails: &[&str]) -> Option<Fail2ban> {
    let f2b = Fail2ban::new(version)?;
    for jail in jails {
        f2b.jail(jail, &JailSpec::default());
        let file = format!("jail.d/{jail}.conf");
        f2b.edit(&file, "backend = polling", &format!("backend = {backend}"));
    }
    Some(f2b)
}

fn started(version: Version, backend: &str, jails: &[&str]) -> Option<Fail2ban> {
    let f2b = laid_out(version, backend, jails)?;
    f2b.start();
    f2b.wait_bans(jails);
    assert_eq!(
        f2b.logged(&format!("Initiated '{backend}' backend")),
        jails.len(),
        "{}",
        f2b.log_text()
    );
    Some(f2b)
}

fn stream(f2b: &Fail2ban) -> Stream {
    let dump = f2b.client(&["-d"]);
    Stream::parse(&String::from_utf8(dump.stdout).unwrap()).unwrap()
}

/// Looks at a daemon again and again.
struct Watch<'a> {
    f2b: &'a Fail2ban,
    expected: BTreeMap<String, Expected>,
    looks: Vec<Signs>,
}

impl<'a> Watch<'a> {
    fn on(f2b: &'a Fail2ban) -> Self {
        Self {
            f2b,
            expected: expected(&stream(f2b)),
            looks: Vec::new(),
        }
    }

    /// Takes a look, and judges it against each that came before.
    async fn look(&mut self) -> Vec<BTreeMap<String, Blindness>> {
        let mut connection = Connection::open(&self.f2b.socket(), GUARD).await.unwrap();
        let pid = Pid::from_raw(connection.peer_pid().unwrap()).unwrap();
        let signs = gather(
            &mut connection,
            pid,
            &self.expected,
            self.looks.last(),
            GUARD,
        )
        .await
        .unwrap();
        connection.close();
        let judged = self.looks.iter().map(|before| judge(before, &signs));
        let judged = judged.collect();
        self.looks.push(signs);
        judged
    }

    /// Waits until a look judged against the one before says something, and returns it.
    async fn wait_verdict(&mut self) -> BTreeMap<String, Blindness> {
        let start = Instant::now();
        while start.elapsed() < 2 * GUARD {
            if let Some(last) = self.look().await.pop().filter(|last| !last.is_empty()) {
                return last;
            }
            thread::sleep(signs::IDLE_AFTER);
        }
        panic!(
            "no verdict: {:#?}\n{}",
            self.looks.last(),
            self.f2b.log_text()
        );
    }

    /// As [`Self::wait_verdict`], while the log of a jail grows.
    async fn wait_unread(&mut self, jail: &str) -> BTreeMap<String, Blindness> {
        let start = Instant::now();
        while start.elapsed() < 2 * GUARD {
            self.f2b.offend(jail, &self.f2b.fresh_ip());
            if let Some(last) = self.look().await.pop().filter(|last| !last.is_empty()) {
                return last;
            }
            thread::sleep(PAUSE);
        }
        panic!(
            "no verdict: {:#?}\n{}",
            self.looks.last(),
            self.f2b.log_text()
        );
    }

    /// Forgets what came before, and asserts that nothing is said over `looks` looks.
    async fn assert_calm(&mut self, looks: usize) {
        self.looks.clear();
        for _ in 0..looks {
            for verdict in self.look().await {
                assert!(verdict.is_empty(), "{verdict:?} {:#?}", self.looks);
            }
            thread::sleep(PAUSE);
        }
    }
}

fn append(log: &Path, text: &str) {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn only(jail: &str, blind: Blindness) -> BTreeMap<String, Blindness> {
    BTreeMap::from([(jail.to_owned(), blind)])
}

/// Jails in every lawful state, over more than [`signs::UNREAD_AFTER`].
async fn healthy_jails_are_never_blind(version: Version, backend: &str) {
    const JAILS: [&str; 7] = [
        "busy", "quiet", "created", "copied", "cut", "touched", "gone",
    ];
    let Some(f2b) = started(version, backend, &JAILS) else {
        return;
    };
    let mut watch = Watch::on(&f2b);
    let start = Instant::now();
    let mut round = 0_u32;
    while start.elapsed() < signs::UNREAD_AFTER + Duration::from_secs(15) {
        round += 1;
        for jail in ["busy", "created", "copied", "cut"] {
            f2b.log_lines(jail, "nothing of note", 20);
        }
        f2b.log_lines("busy", &format!("fail from 192.0.2.{}", round % 250), 1);
        let (created, copied) = (f2b.jail_log("created"), f2b.jail_log("copied"));
        if round.is_multiple_of(7) {
            fs::rename(&created, f2b.path("created.log.1")).unwrap();
            fs::write(&created, "").unwrap();
            fs::copy(&copied, f2b.path("copied.log.1")).unwrap();
            fs::write(&copied, "").unwrap();
            fs::write(f2b.jail_log("cut"), "0 one line\n").unwrap();
        }
        if round == 2 {
            fs::remove_file(f2b.jail_log("gone")).unwrap();
        }
        if round == 20 {
            fs::write(f2b.jail_log("gone"), "").unwrap();
        }
        let touched = OpenOptions::new()
            .append(true)
            .open(f2b.jail_log("touched"))
            .unwrap();
        touched.set_modified(std::time::SystemTime::now()).unwrap();
        if round.is_multiple_of(5) {
            for verdict in watch.look().await {
                assert!(verdict.is_empty(), "{verdict:?} {:#?}", watch.looks);
            }
        }
        thread::sleep(Duration::from_secs(1));
    }
    let last = watch.looks.last().unwrap();
    assert!(
        last.logs[&f2b.jail_log("busy")].honest,
        "reads are not seen: {last:#?}"
    );
    let read = last.last_read(&last.jails["busy"]).unwrap();
    assert!(read.elapsed().unwrap() < start.elapsed(), "{read:?}");
    assert!(last.jails["busy"].filter.is_some() && last.jails["busy"].actions.is_some());
    assert!(last.jails["busy"].failed > 0 && last.jails["busy"].banned > 0);
    f2b.wait_bans(&JAILS);
}

async fn an_idle_jail_is_seen_and_woken(version: Version, backend: &str) {
    let Some(f2b) = started(version, backend, &["a", "m"]) else {
        return;
    };
    let mut watch = Watch::on(&f2b);
    f2b.client(&["set", "m", "idle", "on"]);
    let verdict = watch.wait_verdict().await;
    assert_eq!(verdict, only("m", Blindness::Idle { by_hand: true }));
    assert!(!f2b.bans_within(Duration::from_secs(3), "m"));
    // The least cure.
    f2b.client(&["set", "m", "idle", "off"]);
    f2b.wait_bans(&["a", "m"]);
    watch.assert_calm(4).await;
}

async fn a_jail_without_files_is_seen_and_given_them_back(version: Version, backend: &str) {
    let Some(f2b) = started(version, backend, &["a", "m"]) else {
        return;
    };
    let mut watch = Watch::on(&f2b);
    let log = f2b.jail_log("m");
    f2b.client(&["set", "m", "dellogpath", log.to_str().unwrap()]);
    // Nothing is there to be read.
    fs::rename(&log, f2b.path("aside")).unwrap();
    watch.assert_calm(3).await;
    fs::rename(f2b.path("aside"), &log).unwrap();
    watch.looks.clear();
    assert_blind_until_given(&f2b, &mut watch).await;
    watch.assert_calm(4).await;
}

async fn assert_blind_until_given(f2b: &Fail2ban, watch: &mut Watch<'_>) {
    let log = f2b.jail_log("m");
    let verdict = watch.wait_verdict().await;
    assert_eq!(verdict, only("m", Blindness::NoFiles { log: log.clone() }));
    let ip = f2b.fresh_ip();
    f2b.offend("m", &ip);
    assert!(!f2b.is_banned_within(Duration::from_secs(3), "m", &ip));
    // The least cure, by which the lines that were missed are read too.
    f2b.client(&["set", "m", "addlogpath", log.to_str().unwrap()]);
    assert!(f2b.is_banned_within(GUARD, "m", &ip), "{}", f2b.log_text());
    f2b.wait_bans(&["a", "m"]);
}

#[tokio::test]
#[ignore = "the polling backend takes about 110 s to drop a file; JAILWARDEN_ALL=1 make test"]
async fn a_log_that_is_absent_too_long_is_dropped_for_good() {
    let Some(f2b) = started(Version::V110, "polling", &["a", "m"]) else {
        return;
    };
    let log = f2b.jail_log("m");
    let since = ownlog::end(&f2b.log());
    fs::remove_file(&log).unwrap();
    let dropped = Complaint::Dropped { log: log.clone() };
    let said = wait_said(&f2b, &since, &dropped, 4 * GUARD);
    assert_eq!(said.complaints[&dropped].count, 1, "{said:?}");
    fs::write(&log, "").unwrap();
    assert_blind_until_given(&f2b, &mut Watch::on(&f2b)).await;
}

fn wait_said(
    f2b: &Fail2ban,
    since: &ownlog::Position,
    complaint: &Complaint,
    limit: Duration,
) -> Said {
    let heard = wait_until(limit, || {
        let said = signs::said(&f2b.log(), since).unwrap();
        said.complaints.contains_key(complaint).then_some(said)
    });
    heard.unwrap_or_else(|| {
        let said = signs::said(&f2b.log(), since).unwrap();
        panic!("no {complaint:?}: {said:?}\n{}", f2b.log_text())
    })
}

/// A folder mounted over that of a log, which leads pyinotify to watch a file that nobody writes to.
async fn a_log_that_grows_unread_is_seen_and_watched_anew(version: Version, _backend: &str) {
    if !own_mounts() {
        return;
    }
    let Some(f2b) = laid_out(version, "pyinotify", &["a", "m"]) else {
        return;
    };
    for folder in ["logs", "other"] {
        fs::create_dir(f2b.path(folder)).unwrap();
    }
    let log = f2b.path("logs/m.log");
    fs::rename(f2b.jail_log("m"), &log).unwrap();
    std::os::unix::fs::symlink(&log, f2b.jail_log("m")).unwrap();
    let (from, to) = (f2b.jail_log("m"), log.clone());
    f2b.edit(
        "jail.d/m.conf",
        from.to_str().unwrap(),
        to.to_str().unwrap(),
    );
    f2b.start();
    f2b.wait_bans(&["a", "m"]);
    let mut watch = Watch::on(&f2b);
    // Here reads are seen to move access times.
    for _ in 0..3 {
        f2b.wait_ban("m");
        watch.look().await;
    }
    assert!(watch.looks.last().unwrap().logs[&log].honest);

    fs::write(f2b.path("other/m.log"), "").unwrap();
    let (none, bind) = (None::<&str>, MsFlags::MS_BIND);
    mount(
        Some(&f2b.path("other")),
        &f2b.path("logs"),
        none,
        bind,
        none,
    )
    .unwrap();
    watch.looks.drain(..watch.looks.len() - 1);
    let verdict = watch.wait_unread("m").await;
    let Some(Blindness::Unread { log: unread, since }) = verdict.get("m") else {
        panic!("{verdict:?}");
    };
    assert_eq!((unread, verdict.len()), (&log, 1));
    assert!(*since >= signs::UNREAD_AFTER);
    assert!(!f2b.bans_within(Duration::from_secs(3), "m"));
    // The least cure.
    f2b.client(&["set", "m", "dellogpath", log.to_str().unwrap()]);
    f2b.client(&["set", "m", "addlogpath", log.to_str().unwrap()]);
    f2b.wait_bans(&["a", "m"]);
    watch.assert_calm(4).await;
}

/// A log that was rotated with a mode by which a fail2ban without root may not read it.
async fn a_log_that_may_not_be_read_is_named(version: Version, backend: &str) {
    if !geteuid().is_root() {
        skip("another user takes root");
        return;
    }
    let Some(f2b) = laid_out(version, backend, &["a", "m"]) else {
        return;
    };
    let folder = f2b.path("");
    run(&format!(
        "chmod 755 {0} && chown -R 65534 {0}",
        folder.display()
    ))
    .unwrap();
    let mut words = f2b.client_words();
    words.extend(["-x", "start"].map(String::from));
    let user = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let started = Command::new("setpriv").args(user).args(&words).output();
    assert!(started.unwrap().status.success(), "{}", f2b.log_text());
    f2b.wait_bans(&["a", "m"]);
    let mut watch = Watch::on(&f2b);
    for _ in 0..3 {
        f2b.wait_ban("m");
        watch.look().await;
    }
    let log = f2b.jail_log("m");
    let since = ownlog::end(&f2b.log());
    let mode = |file: &Path, mode| {
        fs::set_permissions(file, PermissionsExt::from_mode(mode)).unwrap();
    };
    // It is in place with its mode, so that no watch comes between the two.
    let new = f2b.path("m.log.new");
    fs::write(&new, "").unwrap();
    mode(&new, 0o600);
    fs::rename(&log, f2b.path("m.log.1")).unwrap();
    fs::rename(&new, &log).unwrap();
    f2b.log_lines("m", "nothing of note", 1);
    let complaint = Complaint::Unreadable { log: log.clone() };
    wait_said(&f2b, &since, &complaint, GUARD);

    watch.looks.drain(..watch.looks.len() - 1);
    let verdict = watch.wait_unread("m").await;
    let Some(Blindness::Unread { log: unread, .. }) = verdict.get("m") else {
        panic!("{verdict:?}");
    };
    assert_eq!((unread, verdict.len()), (&log, 1));
    // The polling backend needs no more; pyinotify could not watch the file, and never tries again.
    mode(&log, 0o644);
    if backend == "pyinotify" {
        assert!(!f2b.bans_within(Duration::from_secs(3), "m"));
        f2b.client(&["set", "m", "dellogpath", log.to_str().unwrap()]);
        f2b.client(&["set", "m", "addlogpath", log.to_str().unwrap()]);
    }
    f2b.wait_bans(&["a", "m"]);
    watch.assert_calm(3).await;
}

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

/// A date pattern that does not compile is only found at the first line of the log.
async fn a_filter_that_fails_at_each_line_is_named(version: Version, backend: &str) {
    let Some(f2b) = laid_out(version, backend, &["a", "m"]) else {
        return;
    };
    f2b.edit("filter.d/m.conf", "{^LN-BEG}EPOCH", "^[%%Y");
    f2b.start();
    f2b.wait_ban("a");
    let mut watch = Watch::on(&f2b);
    let since = ownlog::end(&f2b.log());
    f2b.log_lines("m", "fail from 192.0.2.1", 60);
    wait_said(&f2b, &since, &Complaint::Lines, GUARD);
    watch.look().await;
    let verdict = watch.wait_verdict().await;
    let log = f2b.jail_log("m");
    assert_eq!(verdict, only("m", Blindness::Failing { log }));
    f2b.wait_ban("a");
}

async fn an_action_that_fails_is_named(version: Version, _backend: &str) {
    let Some(f2b) = laid_out(version, "polling", &["a", "m", "z"]) else {
        return;
    };
    for (file, command) in [("gone", "fw-gone add <ip>"), ("slow", "sleep 40")] {
        let action = format!("[Definition]\nactionban = {command}\nactionunban =\ntimeout = 2\n");
        f2b.write(&format!("action.d/{file}.conf"), &action);
    }
    f2b.edit(
        "jail.d/m.conf",
        "action = mark[name=\"m\"]",
        "action = gone",
    );
    f2b.edit(
        "jail.d/z.conf",
        "action = mark[name=\"z\"]",
        "action = slow",
    );
    f2b.start();
    f2b.wait_ban("a");
    let since = ownlog::end(&f2b.log());
    let (jail, action) = ("m".to_owned(), "gone".to_owned());
    f2b.offend("m", &f2b.fresh_ip());
    let failed = Complaint::Ban { jail, action };
    let said = wait_said(&f2b, &since, &failed, GUARD);
    let times = &said.complaints[&failed];
    assert_eq!(times.ended.as_deref(), Some("returned 127"), "{said:?}");

    // A command that does not end is seen while it runs, and said once it was killed.
    f2b.client(&["set", "z", "action", "slow", "timeout", "25"]);
    let mut watch = Watch::on(&f2b);
    watch.look().await;
    f2b.offend("z", &f2b.fresh_ip());
    f2b.wait_logged("[z] Ban", 1);
    let verdict = watch.wait_verdict().await;
    let Some(Blindness::Blocked {
        by_filter: false, ..
    }) = verdict.get("z")
    else {
        panic!("{verdict:?}");
    };
    assert_eq!(verdict.len(), 1, "{verdict:?}");
    assert!(
        !f2b.bans_within(Duration::from_secs(1), "a"),
        "all jails wait"
    );
    let (jail, action) = ("z".to_owned(), "slow".to_owned());
    let blocked = Complaint::Blocked { jail, action };
    let later = wait_said(&f2b, &said.end, &blocked, GUARD);
    assert_eq!(later.complaints.len(), 1, "{later:?}");
    f2b.wait_ban("a");
}

async fn a_busy_daemon_has_nothing_to_complain_of(version: Version, _backend: &str) {
    let Some(f2b) = started(version, "polling", &["a", "m"]) else {
        return;
    };
    let since = ownlog::Position::default();
    f2b.log_lines("a", "fail from 192.0.2.1 and \u{fffd} no date", 2000);
    append(
        &f2b.jail_log("a"),
        "fail2ban.actions [1]: ERROR Failed to execute ban jail 'a' action 'b'\n",
    );
    f2b.client(&["reload"]);
    f2b.client(&["reload", "--restart", "m"]);
    f2b.client(&["unban", "--all"]);
    f2b.wait_bans(&["a", "m"]);
    let said = signs::said(&f2b.log(), &since).unwrap();
    assert!(said.complaints.is_empty(), "{said:?}");
}

async fn a_thread_that_burns_the_cpu_is_named(version: Version, _backend: &str) {
    let Some(f2b) = laid_out(version, "polling", &["a", "m"]) else {
        return;
    };
    f2b.edit(
        "filter.d/m.conf",
        "fail from <HOST>",
        "^\\s*(?:a+)+ from <HOST>",
    );
    f2b.start();
    f2b.wait_ban("a");
    let pid = f2b.pid();
    let calm = sample(pid).unwrap();
    thread::sleep(PAUSE);
    assert_eq!(burning(pid, &calm).unwrap(), None);
    f2b.log_lines("m", &"a".repeat(60), 1);
    let found = wait_until(GUARD, || {
        let before = sample(pid).unwrap();
        thread::sleep(Duration::from_secs(1));
        burning(pid, &before).unwrap()
    });
    let found = found.expect("a thread burns");
    let jails = ["a", "m"].map(String::from);
    let owners = Owners::new(&jails);
    let whose = owners.of(&found.name);
    assert_eq!(whose, Some((Part::Filter, &["m"][..])), "{found:?}");
}

async fn a_flushed_firewall_is_seen_and_its_bans_restored(version: Version, action: &str) {
    if !geteuid().is_root() {
        skip("a firewall takes root");
        return;
    }
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    if run("iptables -w -S && nft list tables").is_err() {
        skip("iptables and nft are not both here");
        return;
    }
    let Some(f2b) = laid_out(version, "polling", &["a", "m"]) else {
        return;
    };
    let with = format!("{action}[name=m, port=\"22,80\"]\n mark[name=m]");
    f2b.edit("jail.d/m.conf", "mark[name=\"m\"]", &with);
    f2b.start();
    f2b.wait_ban("a");
    let walls = firewall::walls(&stream(&f2b));
    assert_eq!(walls.keys().collect::<Vec<_>>(), ["m"]);

    let mut looks = vec![Walls::new()];
    let look = async |looks: &mut Vec<Walls>| {
        let mut watch = Watch::on(&f2b);
        watch.look().await;
        let jails = &watch.looks[0].jails;
        let count = |jail: &str| jails[jail].banned;
        let before = looks.last().unwrap();
        let seen = firewall::look(&walls, GUARD).await;
        let doubtful = firewall::doubtful(before, &seen);
        let banned = doubtful.into_iter().map(|jail| {
            let banned = f2b.client(&["get", &jail, "banip"]).stdout;
            let banned = String::from_utf8(banned).unwrap();
            let banned = banned.split_whitespace().map(|ip| ip.parse().unwrap());
            (jail, banned.collect())
        });
        let seen = firewall::take(&seen, before, count, &banned.collect());
        let lost = firewall::lost(before, &seen);
        looks.push(seen);
        lost
    };
    // No bans, no chain yet: nothing is lost.
    assert!(look(&mut looks).await.is_empty());
    assert!(look(&mut looks).await.is_empty());
    f2b.wait_ban("m");
    assert!(look(&mut looks).await.is_empty());
    let signs = looks.last().unwrap().values().next().unwrap().clone();
    assert_eq!(signs.stops, Some(1), "{}", listing());
    assert!(look(&mut looks).await.is_empty());

    let flush = "iptables -F; iptables -X; nft flush ruleset";
    let is_back = || listing().matches(" 198.51.100.").count() >= 4 || nft_holds() >= 4;
    for _ in 0..3 {
        f2b.wait_ban("m");
    }
    assert!(look(&mut looks).await.is_empty());
    run(flush).unwrap();
    assert!(look(&mut looks).await.is_empty(), "one look is not enough");
    assert!(look(&mut looks).await.contains("m"));
    // The least cure.
    f2b.client(&["reload", "--restart", "m"]);
    let restored = wait_until(GUARD, || is_back().then_some(()));
    assert!(restored.is_some(), "{}\n{}", listing(), f2b.log_text());
    assert!(look(&mut looks).await.is_empty(), "{:?}", looks.last());
    // The next ban brings back the chain and itself, and none of those before.
    run(flush).unwrap();
    f2b.wait_ban("m");
    look(&mut looks).await;
    assert!(look(&mut looks).await.contains("m"), "{:?}", looks.last());
    // Nor do many new ones stand in for them.
    for _ in 0..8 {
        f2b.wait_ban("m");
    }
    assert!(look(&mut looks).await.contains("m"), "{:?}", looks.last());
    // Those that end lawfully are not missed.
    f2b.client(&["unban", "--all"]);
    for _ in 0..3 {
        assert!(look(&mut looks).await.is_empty());
    }
}

fn run(script: &str) -> Result<String, String> {
    let done = Command::new("sh")
        .args(["-c", script])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    if done.status.success() {
        Ok(text)
    } else {
        Err(format!("{done:?}"))
    }
}

/// How many addresses are in sets of nftables.
fn nft_holds() -> usize {
    let sets = run("nft list ruleset | grep 198.51.100 || true").unwrap();
    sets.matches("198.51.100.").count()
}

fn listing() -> String {
    run("iptables -w -S; ip6tables -w -S; nft list ruleset; true").unwrap()
}

/// The systemd backend shows nothing of how far it has read, but its threads wake like any other's.
#[tokio::test]
async fn jails_that_read_the_journal_are_judged_by_their_threads_alone() {
    let Some(host) = Host::boot() else { return };
    host.jail("mark");
    for jail in ["busy", "quiet"] {
        let section = format!(
            "[{jail}]\nenabled = true\nfilter = mark\nbackend = systemd\nmaxretry = 3\n\
             journalmatch = SYSLOG_IDENTIFIER={jail}\nusedns = no\naction = mark[name={jail}]\n"
        );
        host.write(&format!("/etc/fail2ban/jail.d/{jail}.conf"), &section);
    }
    host.write(
        "/etc/fail2ban/filter.d/mark.conf",
        "[Definition]\nfailregex = fail from <HOST>\n",
    );
    host.write(
        "/etc/fail2ban/jail.d/sshd.local",
        "[sshd]\nenabled = false\n",
    );
    host.sh("systemctl start fail2ban");
    let mut number = 0;
    let mut bans = |jail: &str, limit| {
        number += 1;
        let ip = format!("198.51.100.{number}");
        host.sh(&format!(
            "for n in 1 2 3; do logger -t {jail} 'fail from {ip}'; done"
        ));
        let seen = format!("grep -qx '{jail} {ip}' /var/log/bans");
        wait_until(limit, || {
            let seen = host.run(&["sh", "-c", &seen]);
            seen.status.success().then_some(())
        })
        .is_some()
    };
    assert!(bans("busy", GUARD) && bans("quiet", GUARD));

    let dump = host.sh("fail2ban-client -d");
    let expected = expected(&Stream::parse(&dump).unwrap());
    assert!(expected["busy"].logs.is_empty());
    let socket = host.root().join("run/fail2ban/fail2ban.sock");
    let look = async |before: Option<&Signs>| {
        let mut connection = Connection::open(&socket, GUARD).await.unwrap();
        let pid = Pid::from_raw(connection.peer_pid().unwrap()).unwrap();
        let signs = gather(&mut connection, pid, &expected, before, GUARD).await;
        connection.close();
        let state = "systemctl --full --no-pager status fail2ban; tail -n 40 /var/log/fail2ban.log";
        signs.unwrap_or_else(|error| panic!("{error}: {:?}", host.run(&["sh", "-c", state])))
    };
    let mut before = look(None).await;
    assert_eq!(before.jails["busy"].files, None);
    for _ in 0..4 {
        for _ in 0..10 {
            host.sh("logger -t busy nothing of note; sleep 1");
        }
        host.sh("journalctl --rotate --vacuum-time=1s");
        let after = look(Some(&before)).await;
        assert_eq!(judge(&before, &after), BTreeMap::new(), "{after:#?}");
        before = after;
    }
    host.sh("fail2ban-client set busy idle on");
    assert!(!bans("busy", PAUSE));
    before = look(None).await;
    thread::sleep(signs::IDLE_AFTER);
    let after = look(Some(&before)).await;
    let idle = only("busy", Blindness::Idle { by_hand: true });
    assert_eq!(judge(&before, &after), idle, "{before:#?} {after:#?}");
    host.sh("fail2ban-client set busy idle off");
    assert!(bans("busy", GUARD) && bans("quiet", GUARD));
}

macro_rules! per_version {
    ($($name:ident as $case:ident ($with:literal)),+ $(,)?) => {$(
        mod $case {
            use super::Version;
            #[tokio::test]
            async fn v1_0_2() { super::$name(Version::V102, $with).await; }
            #[tokio::test]
            #[ignore = "minutes more; JAILWARDEN_ALL=1 make test"]
            async fn v1_1_0() { super::$name(Version::V110, $with).await; }
            #[tokio::test]
            #[ignore = "minutes more; JAILWARDEN_ALL=1 make test"]
            async fn v1_1_1() { super::$name(Version::V111, $with).await; }
        }
    )+};
}

per_version!(
    healthy_jails_are_never_blind as healthy_polling ("polling"),
    healthy_jails_are_never_blind as healthy_pyinotify ("pyinotify"),
    an_idle_jail_is_seen_and_woken as idle_polling ("polling"),
    an_idle_jail_is_seen_and_woken as idle_pyinotify ("pyinotify"),
    a_jail_without_files_is_seen_and_given_them_back as no_files_polling ("polling"),
    a_jail_without_files_is_seen_and_given_them_back as no_files_pyinotify ("pyinotify"),
    a_log_that_grows_unread_is_seen_and_watched_anew as unread_log ("pyinotify"),
    a_log_that_may_not_be_read_is_named as unreadable_polling ("polling"),
    a_log_that_may_not_be_read_is_named as unreadable_pyinotify ("pyinotify"),
    a_filter_that_fails_at_each_line_is_named as failing_polling ("polling"),
    a_filter_that_fails_at_each_line_is_named as failing_pyinotify ("pyinotify"),
    an_action_that_fails_is_named as failing_actions (""),
    a_busy_daemon_has_nothing_to_complain_of as no_complaints (""),
    a_thread_that_burns_the_cpu_is_named as burning_thread (""),
    a_flushed_firewall_is_seen_and_its_bans_restored as iptables_multiport ("iptables-multiport"),
    a_flushed_firewall_is_seen_and_its_bans_restored as iptables_allports ("iptables-allports"),
    a_flushed_firewall_is_seen_and_its_bans_restored as nftables ("nftables"),
    a_flushed_firewall_is_seen_and_its_bans_restored as nftables_allports ("nftables-allports"),
);
