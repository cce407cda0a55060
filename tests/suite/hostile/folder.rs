//! Config folders that are too large, too deep, in circles, or not made of files.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::{Scales, assert_left_alone, status};
use crate::support::daemon::Warden;
use crate::support::fake::Fake;

/// Nothing is kept as good while the test lasts.
const SETTINGS: &str = "settle: 100ms\nprobe:\n  interval: 1s\n  timeout: 2s\n  busy_limit: 10m\n";

/// Something befalls the config folder of a daemon that is well: that goes on as before, and so does
/// jailwarden.
fn is_borne(befalls: impl FnOnce(&Path, &Warden)) {
    let Some(fake) = Fake::new() else { return };
    fake.start();
    let warden = Warden::start_with(fake.f2b(), &fake.start_command("start"), SETTINGS);
    warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
    let (scales, daemon) = (Scales::new(&warden), fake.f2b().pid());
    befalls(&fake.f2b().config(), &warden);
    let looks = fake.count("request status");
    fake.wait_calls(looks + 3, "request status");
    warden.wait_calm();
    let said = status(&fake);
    assert!(said.contains("2 jails"), "{said}");
    assert_left_alone(&fake, daemon);
    scales.assert_small();
}

fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn what_is_no_file_is_passed_over() {
    is_borne(|etc, _| {
        let name = |bytes: &[u8]| etc.join("jail.d").join(OsStr::from_bytes(bytes));
        // Where fail2ban does not read them.
        fifo(&etc.join("filter.d/fifo.conf"));
        fifo(&name(b"fifo"));
        symlink("/dev/zero", etc.join("action.d/zero.conf")).unwrap();
        // Where it does, and comes through.
        drop(UnixListener::bind(name(b"socket.conf")).unwrap());
        symlink("/dev/null", name(b"null.conf")).unwrap();
        fs::create_dir(name(b"folder.conf")).unwrap();
        for (link, to) in [("itself", "itself"), ("a", "b"), ("b", "a")] {
            let link = etc.join(format!("jail.d/{link}.conf"));
            symlink(format!("{to}.conf"), link).unwrap();
        }
        symlink("..", name(b"up")).unwrap();
        symlink("/proc/self/root", name(b"root")).unwrap();
        for odd in [&b"\xff\xfe.conf"[..], b"new\nline.conf", b"secret.conf"] {
            fs::write(name(odd), "").unwrap();
        }
        fs::set_permissions(name(b"secret.conf"), fs::Permissions::from_mode(0o0)).unwrap();
    });
}

/// fail2ban would never come through, so it is not even asked.
#[test]
fn a_file_that_never_ends_is_named() {
    is_borne(|etc, warden| {
        fifo(&etc.join("jail.d/fifo.local"));
        warden.wait_for("jail.d/fifo.local: it is a FIFO");
        fs::remove_file(etc.join("jail.d/fifo.local")).unwrap();
        symlink("/dev/zero", etc.join("jail.local")).unwrap();
        warden.wait_for("jail.local: it is a device");
    });
}

#[test]
fn a_tree_that_is_deep_and_in_circles_is_watched_within_limits() {
    is_borne(|etc, _| {
        let mut deep = etc.join("deep");
        for _ in 0..200 {
            fs::create_dir(&deep).unwrap();
            symlink(etc, deep.join("top")).unwrap();
            deep.push("d");
        }
        let chain = etc.join("chain");
        fs::create_dir(&chain).unwrap();
        for n in 0..3000 {
            fs::create_dir(etc.join(format!("folder-{n}"))).unwrap();
            // Each is followed to its end, or for as long as the kernel would.
            symlink((n + 1).to_string(), chain.join(n.to_string())).unwrap();
        }
    });
}

#[test]
fn a_file_of_nothing_but_headers_is_read_within_limits() {
    is_borne(|etc, _| {
        let headers: Vec<_> = (0..100_000).map(|n| format!("[{n:x}]\n")).collect();
        fs::write(etc.join("jail.d/many.conf"), headers.concat()).unwrap();
    });
}

#[test]
fn files_that_change_while_they_are_read_are_read_once_they_rest() {
    is_borne(|etc, warden| {
        let (file, rests) = (etc.join("jail.d/restless.conf"), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0_u64.. {
                    if rests.load(Ordering::Relaxed) {
                        break;
                    }
                    let mut half = File::create(&file).unwrap();
                    write!(half, "# {n}\n[DEF").unwrap();
                    thread::sleep(Duration::from_millis(5));
                    writeln!(half, "AULT]").unwrap();
                }
            });
            warden.wait_for("change faster than they can be read");
            rests.store(true, Ordering::Relaxed);
        });
    });
}

#[test]
fn a_file_as_long_as_a_disk_is_not_held() {
    is_borne(|etc, warden| {
        for name in ["long", "jail.d/long.conf"] {
            let file = File::create(etc.join(name)).unwrap();
            file.set_len(1 << 30).unwrap();
        }
        warden.wait_for("jail.d/long.conf: it is far too long");
    });
}

#[test]
#[ignore = "a minute to make and to read them; JAILWARDEN_ALL=1 make test"]
fn a_hundred_thousand_files_are_looked_at_within_limits() {
    is_borne(|etc, warden| {
        for n in 0..100_000 {
            let folder = ["jail.d", "filter.d", "action.d"][n % 3];
            fs::write(etc.join(format!("{folder}/{n}.conf")), "# nothing\n").unwrap();
        }
        fs::write(etc.join("jail.d/zz.conf"), "[web]\nmaxretry = x\n").unwrap();
        warden.wait_for("would fail and is not applied");
    });
}
