use std::fs;

use super::*;

fn said_of(log: &str) -> Said {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log");
    fs::write(&file, log).unwrap();
    said(&file, &Position::default()).unwrap()
}

fn kinds(said: &Said) -> Vec<String> {
    let told = said.complaints.iter();
    told.map(|(complaint, times)| format!("{}x {complaint} {:?}", times.count, times.ended))
        .collect()
}

#[test]
fn complaints_are_counted_with_jail_action_and_how_the_command_ended() {
    let log = "\
x fail2ban.utils          [7]: ERROR   7f -- exec: secret\n\
x fail2ban.utils          [7]: ERROR   7f -- stderr: '/bin/sh: 1: fw: not found'\n\
x fail2ban.utils          [7]: ERROR   7f -- returned 127\n\
x fail2ban.utils          [7]: INFO    HINT on 127: ...\n\
x fail2ban.actions        [7]: ERROR   Failed to execute ban jail 'it's' action 'fw' info 'x: y': Error\n\
x fail2ban.utils          [7]: ERROR   80 -- timed out after 60 seconds.\n\
x fail2ban.actions        [7]: ERROR   Failed to execute ban jail 'm' action 'fw' info 'a': Error\n\
x fail2ban.actions        [7]: ERROR   Failed to execute ban jail 'm' action 'fw' info 'b': Error\n\
x fail2ban.actions        [7]: ERROR   Failed to start jail 'm' action 'fw': Error\n";
    let found = said_of(log);
    assert_eq!(
        kinds(&found),
        [
            "1x jail 'it's': action 'fw' fails to ban Some(\"returned 127\")",
            "1x jail 'm': action 'fw' fails to ban None",
            "1x jail 'm': action 'fw' blocked until it was killed; no jail acted meanwhile \
             Some(\"timed out after 60 seconds\")",
            "1x jail 'm': action 'fw' fails to start, stop or flush None",
        ]
    );
}

#[test]
fn what_a_line_of_a_jail_s_log_says_is_no_complaint() {
    let quoted = "fail2ban.actions [7]: ERROR Failed to execute ban jail 'm' action 'fw' info";
    let log = format!(
        "x fail2ban.filter [7]: WARNING Error decoding line from '/m.log': b'{quoted}'\n\
         x fail2ban.filter [7]: ERROR Failed to process line: '{quoted}', caught exception: x\n\
         x fail2ban.actions [7]: NOTICE [m] Ban 1.2.3.4\n\
         {}\n",
        "x fail2ban.filter [7]: INFO [m] Found"
    );
    assert_eq!(
        kinds(&said_of(&log)),
        ["1x lines of a log cannot be processed None"]
    );
}

#[test]
fn a_damaged_database_is_named_and_where_fail2ban_keeps_it() {
    let log = "\
x fail2ban.observer       [7]: ERROR   database disk image is malformed\n\
x fail2ban.observer       [7]: ERROR   file is not a database\n\
x fail2ban.observer       [7]: ERROR   database is locked\n\
x fail2ban.database       [8]: ERROR   Error opening fail2ban persistent database '/a/it's': file is not a database\n\
x fail2ban.database       [8]: INFO    Trying to repair database /a/it's\n\
x fail2ban.database       [8]: INFO      Database backup created: /a/it's.20261126-170000\n\
x fail2ban.database       [8]: WARNING New database created. Version '4'\n\
x fail2ban.database       [9]: ERROR   Error opening fail2ban persistent database '/b': file is not a database\n";
    let found = said_of(log);
    let told = Complaint::Database;
    assert_eq!(kinds(&found), [format!("2x {told} None")]);
    let replaced = |database: &str, aside: Option<&str>| Replaced {
        database: database.into(),
        aside: aside.map(PathBuf::from),
    };
    assert_eq!(
        found.replaced,
        [
            replaced("/a/it's", Some("/a/it's.20261126-170000")),
            replaced("/b", None),
        ]
    );
}

#[test]
fn logs_that_are_read_no_more_are_named() {
    let log = "\
x fail2ban.filterpoll [7]: WARNING Too many errors. Remove file '/a b' from monitoring process\n\
x fail2ban.filter [7]: ERROR Unable to open /var/log/m.log\n\
x fail2ban.filter [7]: ERROR Too many errors at once (100), going idle\n\
x fail2ban.action [7]: ERROR Invariant check failed. Trying to restore a sane environment\n\
x fail2ban.action [7]: CRITICAL Unable to restore environment\n";
    assert_eq!(
        kinds(&said_of(log)),
        [
            "1x what an action had set up had gone and could not be made again None",
            "1x what an action had set up had gone None",
            "1x /var/log/m.log cannot be opened None",
            "1x /a b was absent too long, and is read no more None",
            "1x a filter went idle after too many errors None",
        ]
    );
}

#[test]
fn a_flood_of_different_complaints_is_bounded() {
    let line = |n: usize| {
        format!("x fail2ban.actions [7]: ERROR Failed to start jail 'j{n}' action 'a': x\n")
    };
    let log: String = (0..1000).map(line).collect();
    assert_eq!(said_of(&log).complaints.len(), COMPLAINTS);
}
