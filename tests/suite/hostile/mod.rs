//! jailwarden beside a daemon and above a config folder that mean it harm: it lives, says what is true, stays
//! small, and does nothing that it should not.

mod daemon;
mod folder;

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::support::daemon::Warden;
use crate::support::fake::Fake;

/// What jailwarden may take of memory, its program aside, in KiB.
const MOST_OWN: u64 = 32 << 10;
/// The processes that it may have at a time: a reading of the config, and what that may start.
const MOST_CHILDREN: usize = 3;
/// The memory of one of them, in KiB: what a reading of the config is given, and the program.
const MOST_OF_CHILD: u64 = (1 << 20) + (32 << 10);

/// Looks at jailwarden's memory and its children for as long as it lasts.
struct Scales {
    warden: u32,
    stop: Arc<AtomicBool>,
    watch: JoinHandle<(usize, u64)>,
}

impl Scales {
    fn new(warden: &Warden) -> Self {
        let warden = warden.pid();
        let stop = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&stop);
        let watch = thread::spawn(move || {
            let (mut most, mut largest) = (0, 0);
            while !is_over.load(Ordering::Relaxed) {
                let children = children(warden);
                most = children.len().max(most);
                let sizes = children.into_iter().filter_map(|pid| kib(pid, "VmHWM:"));
                largest = sizes.max().unwrap_or(0).max(largest);
                thread::sleep(Duration::from_millis(50));
            }
            (most, largest)
        });
        Self {
            warden,
            stop,
            watch,
        }
    }

    /// Nothing was too much.
    fn assert_small(self) {
        self.stop.store(true, Ordering::Relaxed);
        let (children, largest) = self.watch.join().unwrap();
        assert!(children <= MOST_CHILDREN, "{children} children at a time");
        assert!(largest <= MOST_OF_CHILD, "a child took {largest} KiB");
        let peak = kib(self.warden, "VmHWM:").expect("it lives");
        // Of the program itself, which is large without optimisation, what was used is in memory.
        let program = kib(self.warden, "RssFile:").unwrap();
        let own = peak.saturating_sub(program);
        eprintln!("its own {own} KiB of {peak}; {children} children, the largest {largest} KiB");
        assert!(own <= MOST_OWN, "it took {own} KiB beside its program");
    }
}

fn kib(pid: u32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    let of_task = |task: fs::DirEntry| fs::read_to_string(task.path().join("children")).ok();
    let named = tasks.into_iter().flatten().flatten().filter_map(of_task);
    let numbers: Vec<_> = named
        .flat_map(|line| {
            let pids = line.split_whitespace().map(str::parse);
            pids.filter_map(Result::ok).collect::<Vec<u32>>()
        })
        .collect();
    numbers
}

/// What `jailwarden status` prints, which it must.
fn status(fake: &Fake) -> String {
    let out = Command::new(env!("CARGO_BIN_EXE_jailwarden"))
        .args(["status", "--config"])
        .arg(Warden::settings_file(fake.f2b()))
        .output()
        .unwrap();
    let said = String::from_utf8(out.stdout).expect("a text");
    assert!(said.contains("pid") || said.contains("fail2ban"), "{said}");
    said
}

/// The daemon was started once, by hand, and nothing was done to it or to the config since.
fn assert_left_alone(fake: &Fake, daemon: rustix::process::Pid) {
    assert_eq!(fake.f2b().pid(), daemon, "{:#?}", fake.calls());
    let is_wrong = |call: &&String| {
        let acts = [
            "request stop",
            "request set",
            "request reload",
            "request multi-set",
        ];
        call.starts_with("disabled") || acts.iter().any(|act| call.contains(act))
    };
    let calls = fake.calls();
    let wrong: Vec<_> = calls.iter().filter(is_wrong).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(fake.count(" start beside "), 1);
    assert_eq!(fake.count(" up"), 1);
    for jail in ["mail", "web"] {
        assert!(!fake.f2b().rollback(jail).exists(), "{jail} is disabled");
    }
}
