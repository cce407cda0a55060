//! docs/soak.md: for two hours one thing after the other befalls a real host that jailwarden supervises. `make
//! soak` does it; `make soak MINUTES=10 SEED=7` for a shorter time, and in another order; `ONLY='flushed'` only
//! what has that in its name; `ONLY=page` shows again what was measured last. It fails where a jail that can
//! protect does not, and where jailwarden takes ever more of the host. What was measured, and what was said where
//! it falls short, is in `target/soak`.
//!
//! The truth counts: every two seconds an offender fails five times in the log of each jail, and has to be banned
//! within 5 s.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "it is a test, but for its harness"
)]

mod doings;
mod ground;
#[path = "../faults/offender.rs"]
mod offender;
mod page;
mod sample;
#[expect(dead_code, reason = "each program uses its part of the shared support")]
#[path = "../support/mod.rs"]
mod support;
#[expect(dead_code, reason = "what is measured there is not measured here")]
#[path = "../faults/table.rs"]
mod table;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use doings::Doing;
use ground::{Ground, Wish};
use offender::now;
use page::{Done, Run};
use sample::Sample;
use support::docs::{is_written, root};

/// How long a jail that can protect may take to do so, and how long all of them may once the fault is mended.
const LIMIT: f64 = 180.0;
/// Until what came of the last offender is known.
const JUDGED: Duration = Duration::from_secs(6);
/// How often is looked.
const PACE: Duration = Duration::from_secs(1);
/// So many restarts within ten minutes are waited for to be past: jailwarden itself gives more than five only
/// ever more slowly, and a fault may take two.
const RESTARTS: u64 = 2;
/// The record of a restart (`Kind::Restarting`, src/machine/report.rs).
const RESTARTING: &str = "b7614b9eb2074de8a2db1ed2061cb722";
/// What befell the host does not come again for so long: some cures are given only once an hour.
const AGAIN: f64 = 3900.0;
/// Shorter runs are looked at more often, and are not written down.
const FULL: u64 = 120;

/// What is to be run, by the words of the command line.
struct Wanted {
    minutes: u64,
    seed: u64,
    /// Only show what the last run measured.
    is_shown: bool,
    /// Parts of names; none: all.
    only: Vec<String>,
}

impl Wanted {
    fn read(words: impl Iterator<Item = String>) -> Self {
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let mut wanted = Self {
            minutes: FULL,
            seed: time.unwrap().as_secs(),
            is_shown: false,
            only: Vec::new(),
        };
        for word in words.filter(|word| !word.starts_with('-')) {
            match word.split_once('=') {
                Some(("minutes", minutes)) => wanted.minutes = minutes.parse().expect("minutes"),
                Some(("seed", seed)) => wanted.seed = seed.parse().expect("a seed"),
                _ if word == "page" => wanted.is_shown = true,
                _ => wanted.only.push(word),
            }
        }
        wanted
    }

    fn doings(&self) -> Vec<Doing> {
        let mut doings = Doing::all();
        let has = |doing: &Doing| {
            self.only
                .iter()
                .any(|part| doing.fault.name.contains(part.as_str()))
        };
        doings.retain(|doing| self.only.is_empty() || has(doing));
        doings
    }
}

/// Numbers that only the seed decides (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % end as u64).unwrap()
    }

    fn shuffle<T>(&mut self, of: &mut [T]) {
        for last in (1..of.len()).rev() {
            of.swap(last, self.below(last + 1));
        }
    }
}

fn main() -> ExitCode {
    let wanted = Wanted::read(std::env::args().skip(1));
    let folder = root().join("target/soak");
    fs::create_dir_all(&folder).unwrap();
    let kept = folder.join("run.json");
    let run = if wanted.is_shown {
        serde_json::from_slice(&fs::read(&kept).expect("a run before")).unwrap()
    } else {
        soak(&wanted, &folder, &kept)
    };
    let page = page::page(&run);
    println!("{page}");
    if is_written() && run.minutes >= FULL && run.is_complete {
        fs::write(root().join("docs/soak.md"), page).unwrap();
    }
    let short = page::short(&run);
    for short in &short {
        eprintln!("falls short: {short}");
    }
    if short.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn soak(wanted: &Wanted, folder: &Path, kept: &Path) -> Run {
    println!("seed {}, {} minutes", wanted.seed, wanted.minutes);
    let program = std::env::var_os("JAILWARDEN_BINARY")
        .map_or_else(|| env!("CARGO_BIN_EXE_jailwarden").into(), PathBuf::from);
    let ground = Ground::new(&program);
    let began = Instant::now();
    let soak = Soak {
        ground: &ground,
        folder,
        kept,
        began,
        ends: began + Duration::from_secs(60 * wanted.minutes),
        run: Mutex::new(Run::new(wanted.minutes, wanted.seed, &ground)),
    };
    let samples = folder.join("samples.csv");
    sample::begin(&samples);
    thread::scope(|scope| {
        scope.spawn(|| ground.attack());
        scope.spawn(|| soak.sample(&samples));
        let lived = catch_unwind(AssertUnwindSafe(|| {
            ground.wait_begun();
            soak.go(wanted);
        }));
        soak.change(|run| run.is_complete = lived.is_ok());
        ground.end();
    });
    soak.run.into_inner().unwrap()
}

struct Soak<'a> {
    ground: &'a Ground,
    folder: &'a Path,
    kept: &'a Path,
    began: Instant,
    ends: Instant,
    run: Mutex<Run>,
}

impl Soak<'_> {
    fn change(&self, change: impl FnOnce(&mut Run)) {
        let mut run = self.run.lock().unwrap();
        change(&mut run);
        (run.offenders, run.stalls) = self.ground.counts();
        fs::write(self.kept, serde_json::to_string_pretty(&*run).unwrap()).unwrap();
    }

    fn sample(&self, csv: &Path) {
        let length = (self.ends - self.began).as_secs();
        let pace = Duration::from_secs(if length < 60 * FULL { 10 } else { 60 });
        let mut next = self.began;
        while !self.ground.ends() {
            if next <= Instant::now() {
                next += pace;
                if let Some(sample) = Sample::take(self.ground, self.began.elapsed().as_secs()) {
                    sample.append(csv);
                    self.change(|run| run.samples.push(sample));
                }
            }
            thread::sleep(PACE);
        }
    }

    /// One after the other, in an order that the seed decides; all of them come before any comes again.
    fn go(&self, wanted: &Wanted) {
        let mut dice = Dice(wanted.seed);
        let doings = wanted.doings();
        let mut deck: Vec<usize> = Vec::new();
        let mut last = vec![f64::NEG_INFINITY; doings.len()];
        let mut whole_since = now();
        while Instant::now() < self.ends {
            if deck.is_empty() {
                if !wanted.only.is_empty() && last.iter().all(|at| at.is_finite()) {
                    return;
                }
                deck = (0..doings.len()).collect();
                dice.shuffle(&mut deck);
            }
            let is_due = |nth: &usize| now() - last[*nth] > AGAIN || !wanted.only.is_empty();
            let Some(at) = deck.iter().position(is_due) else {
                thread::sleep(PACE);
                continue;
            };
            let nth = deck.remove(at);
            let calm = Duration::from_secs(3 + dice.below(12) as u64);
            thread::sleep(calm);
            if !self.wait_for(&doings[nth], whole_since) {
                return;
            }
            let doing = &doings[nth];
            let lived = AssertUnwindSafe(|| self.live_through(doing, whole_since));
            let done = catch_unwind(lived).unwrap_or_else(|_| Done::failed(doing));
            eprintln!("{:6.0} s {done:?}", self.began.elapsed().as_secs_f64());
            self.change(|run| run.done.push(done));
            (last[nth], whole_since) = (now(), now());
        }
    }

    /// Waits for the time at which it may come; whether that is before the end.
    fn wait_for(&self, doing: &Doing, whole_since: f64) -> bool {
        let count = format!("journalctl -q -o cat --since -10min MESSAGE_ID={RESTARTING} | wc -l");
        loop {
            if Instant::now() >= self.ends {
                return false;
            }
            // What a fault wants to be proven is kept after a minute.
            let healthy = Duration::from_secs(doing.fault.healthy);
            let is_proven = now() - whole_since > healthy.as_secs_f64();
            let restarts: u64 = self.ground.ask(&count).parse().unwrap_or(u64::MAX);
            if is_proven && restarts <= RESTARTS {
                return true;
            }
            thread::sleep(5 * PACE);
        }
    }

    fn live_through(&self, doing: &Doing, calm_since: f64) -> Done {
        let ground = self.ground;
        let calm = ground.unprotected(&Wish::whole(), calm_since, now() - JUDGED.as_secs_f64());
        ground.script(doing.fault.before);
        let began = now();
        let mut short = Vec::new();
        let wish = Wish::of(doing);
        ground.script(doing.fault.script);
        let since = now();
        if let Err(why) = self.comes(&wish, since) {
            short.push(why);
        }
        let stood = now();
        thread::sleep(JUDGED);
        let lasted = ground.unprotected(&wish, began, stood);
        let mend = now();
        ground.mend(doing);
        let mended = now();
        if let Err(why) = self.comes(&Wish::whole(), mended) {
            short.push(format!("once it is mended: {why}"));
        }
        let whole = now();
        thread::sleep(JUDGED);
        let done = Done {
            class: doing.class.to_owned(),
            name: doing.fault.name.to_owned(),
            able: wish.jails(),
            calm,
            lasted,
            after: ground.unprotected(&Wish::whole(), mend, whole),
            took: stood - since,
            mending: whole - mended,
            short,
        };
        if !done.short.is_empty() {
            let protocol = self.folder.join(format!("short-{began:.0}.txt"));
            fs::write(protocol, format!("{done:#?}\n{}", ground.said(began - 5.0))).unwrap();
            self.save(doing);
        }
        done
    }

    /// Waits until it is as it has to be.
    fn comes(&self, wish: &Wish, since: f64) -> Result<(), String> {
        loop {
            if self.ground.is_overruled(wish, since) {
                return Err("what an admin wanted was overruled".to_owned());
            }
            if self.ground.is_so(wish, since) {
                return Ok(());
            }
            if now() - since > LIMIT {
                return Err(self.ground.why_not(wish, since));
            }
            thread::sleep(PACE);
        }
    }

    /// What went wrong is not to spoil what comes after it.
    fn save(&self, doing: &Doing) {
        self.ground.mend(doing);
        self.ground.script("systemctl --quiet unmask fail2ban; systemctl reset-failed fail2ban; systemctl restart fail2ban; jailwarden resume");
        let _ = self.comes(&Wish::whole(), now());
    }
}
