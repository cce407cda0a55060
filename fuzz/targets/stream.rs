//! Anything that `fail2ban-client -d` may print: it is grouped by jail, or the line is named that is no
//! command.

#![no_main]

use jailwarden::fail2ban::stream::{Stream, jail_changes, server_changes};
use jailwarden::fail2ban::{firewall, literal, signs};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let stream = match Stream::parse(text) {
        Ok(stream) => stream,
        Err(error) => {
            assert!(error.line <= text.split('\n').count());
            return;
        }
    };
    let again = Stream::parse(&stream.text()).expect("its own text");
    assert_eq!(
        (&again.server, &again.jails),
        (&stream.server, &stream.jails)
    );
    let since = again.digests().since(&stream.digests());
    assert!(!since.server && since.added.is_empty() && since.removed.is_empty());
    assert!(since.changed.is_empty());
    for jail in &stream.jails {
        let commands = jail.commands().expect("each line is a command");
        for command in commands {
            // What is sent is what was printed.
            let shown = command.to_string();
            assert_eq!(literal::parse(&shown).map(|it| it.to_string()), Ok(shown));
        }
        assert!(jail_changes(jail, jail).is_empty());
    }
    assert!(server_changes(&stream.server, &stream.server).is_empty());
    let _ = (
        signs::expected(&stream),
        firewall::walls(&stream),
        stream.database(),
    );
});
