//! A person asks and commands a jailwarden that runs, over its control socket.

use std::fs;
use std::process::{Command, Output};

use crate::on_each_release;
use crate::support::daemon::{Fail2ban, Warden};
use crate::support::{GUARD, wait_until};

on_each_release! {
    commands_are_obeyed_and_answered
    what_cannot_be_done_is_told_by_its_exit_code
}

/// `jailwarden` with these words: its exit code, and what it says.
fn asked(f2b: &Fail2ban, words: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jailwarden"));
    command
        .args(words)
        .arg("--config")
        .arg(Warden::settings_file(f2b));
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = String::from_utf8([stdout, stderr].concat()).unwrap();
    (status.code().unwrap(), text)
}

#[track_caller]
fn says(f2b: &Fail2ban, words: &[&str], code: i32, parts: &[&str]) -> String {
    let (got, text) = asked(f2b, words);
    assert_eq!(got, code, "{words:?}: {text}");
    for part in parts {
        assert!(text.contains(part), "{words:?}: no {part:?} in {text}");
    }
    text
}

/// Until `status` says that, since jailwarden looks at its own pace.
#[track_caller]
fn wait_status(f2b: &Fail2ban, code: i32, headline: &str) {
    let said = wait_until(GUARD, || {
        let (got, text) = asked(f2b, &["status"]);
        (got == code && text.starts_with(headline)).then_some(())
    });
    assert!(said.is_some(), "{headline}: {:?}", asked(f2b, &["status"]));
}

mod scenario {
    use super::{asked, fs, says, wait_status};
    use crate::support::daemon::Version;
    use crate::{LONG, supervised};

    pub(super) fn commands_are_obeyed_and_answered(version: Version) {
        let Some((f2b, _warden)) = supervised(version, &["mail", "web"], LONG) else {
            return;
        };
        wait_status(&f2b, 0, "PROTECTED: all 2 jails");
        let json = says(
            &f2b,
            &["status", "--json"],
            0,
            &["\"protection\": \"full\""],
        );
        let status: jailwarden::status::Status = serde_json::from_str(&json).unwrap();
        assert_eq!(
            status.daemon.pid,
            Some(f2b.pid().as_raw_nonzero().get().cast_unsigned())
        );

        let before = f2b.pid();
        says(&f2b, &["restart"], 0, &["PROTECTED: all 2 jails"]);
        assert_ne!(f2b.pid(), before, "it was not restarted");
        f2b.wait_bans(&["mail", "web"]);

        says(&f2b, &["rollback", "add", "web"], 0, &["web is disabled"]);
        assert!(f2b.rollback("web").exists());
        wait_status(&f2b, 1, "PARTLY: 1 of 2 jails protect; web is rolled back");
        says(&f2b, &["rollback", "undo", "web"], 0, &["web: removed"]);
        wait_status(&f2b, 0, "PROTECTED: all 2 jails");
        f2b.wait_bans(&["mail", "web"]);

        says(&f2b, &["incidents", "--json"], 0, &["\"incidents\":"]);
    }

    pub(super) fn what_cannot_be_done_is_told_by_its_exit_code(version: Version) {
        let Some((f2b, mut warden)) = supervised(version, &["mail", "web"], LONG) else {
            return;
        };
        wait_status(&f2b, 0, "PROTECTED: all 2 jails");
        let filter = f2b.config().join("filter.d/web.conf");
        let sound = fs::read_to_string(&filter).unwrap();
        fs::write(&filter, sound.replace("<HOST>", "<HOST> [")).unwrap();
        says(
            &f2b,
            &["reload"],
            5,
            &["could not reload", "filter.d/web.conf:"],
        );
        says(
            &f2b,
            &["reload", "--json"],
            5,
            &["urn:jailwarden:problem:refused"],
        );
        f2b.wait_bans(&["mail", "web"]);
        fs::write(&filter, sound).unwrap();
        says(&f2b, &["reload"], 0, &["PROTECTED: all 2 jails"]);

        says(
            &f2b,
            &["rollback", "add", "nobody"],
            1,
            &["could not disable it"],
        );
        says(
            &f2b,
            &["rollback", "add", "../web"],
            2,
            &["could not disable it"],
        );

        says(
            &f2b,
            &["pause", "--reason", "a test"],
            0,
            &["a pause stands"],
        );
        wait_status(&f2b, 0, "PROTECTED: all 2 jails; jailwarden is paused");
        says(
            &f2b,
            &["restart"],
            5,
            &["jailwarden is paused", "jailwarden resume"],
        );
        says(&f2b, &["resume"], 0, &["the pause is over"]);

        warden.end();
        let (code, text) = asked(&f2b, &["status"]);
        assert_eq!(
            (code, text.starts_with("NOT SUPERVISED")),
            (3, true),
            "{text}"
        );
        for words in [&["reload"][..], &["restart"], &["rollback", "add", "web"]] {
            says(&f2b, words, 3, &["systemctl start jailwarden"]);
        }
    }
}
