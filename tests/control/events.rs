//! What happens, as it is told to those who listen.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use jailwarden::control::client::{Client, ClientError, Event, Events};
use jailwarden::control::problem::Kind;
use jailwarden::control::wire::{CheckRequest, PauseRequest};
use jailwarden::status::{Happening, Protection};

use super::caller::supervised;
use crate::support::daemon::Warden;

/// The next event of that kind, with its id.
fn wait_for(events: &mut Events, kind: &str) -> (String, Happening) {
    for event in events {
        if let Event::Happened { id, happening } = event.unwrap()
            && happening.kind.as_deref() == Some(kind)
        {
            return (id, happening);
        }
    }
    panic!("no {kind}, and no more events")
}

#[test]
fn a_listener_hears_everything_and_goes_on_where_it_was() {
    let Some((f2b, mut warden, caller)) = supervised() else {
        return;
    };
    let client = Client::new(&Warden::control(&f2b), "jailwarden".to_owned());
    let mut events = client.events(None).unwrap();
    f2b.kill();
    let (down, happening) = wait_for(&mut events, "daemon-down");
    let incident = happening.incident.clone();
    assert!(incident.is_some());
    let (clear, happening) = wait_for(&mut events, "all-clear");
    assert_eq!(happening.incident, incident);

    // From the one in the middle on, nothing is left out and nothing is told twice.
    let resumed = client.events(Some(&down)).unwrap();
    let mut seq = down.rsplit_once('-').unwrap().1.parse::<u64>().unwrap();
    for event in resumed {
        let Event::Happened { id, happening } = event.unwrap() else {
            panic!("a gap after {seq}");
        };
        seq += 1;
        assert_eq!(happening.seq, seq);
        if id == clear {
            break;
        }
    }
    let mut from_elsewhere = client.events(Some("1234-5")).unwrap();
    assert_eq!(from_elsewhere.next().unwrap().unwrap(), Event::Missed);
    wait_for(&mut from_elsewhere, "supervising");
    wait_for(&mut from_elsewhere, "all-clear");

    // As a browser or curl sees it.
    let mut curl = caller.curl("/api/events");
    let curl = curl.args(["-N", "-H", &format!("Last-Event-ID: {down}")]);
    let mut curl = curl
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(curl.stdout.take().unwrap()).lines();
    let mut lines = lines.map_while(Result::ok);
    let id = format!("id: {clear}");
    assert!(lines.any(|line| line == id));
    assert_eq!(lines.next().as_deref(), Some("event: happening"));
    assert!(lines.next().is_some_and(|line| line.starts_with("data: {")));
    assert_eq!(warden.end(), 0);
    assert_eq!(lines.last().as_deref(), Some(""));
    curl.wait().unwrap();
    // They end with the supervisor.
    for event in events {
        if event.is_err() {
            break;
        }
    }
    assert!(matches!(
        client.status(),
        Err(ClientError::NotRunning { .. })
    ));
}

#[test]
fn the_command_lines_client_makes_all_calls() {
    let Some((f2b, _warden, _)) = supervised() else {
        return;
    };
    let client = Client::new(&Warden::control(&f2b), "jailwarden".to_owned());
    assert_eq!(client.status().unwrap().jails.len(), 2);
    assert_eq!(client.jails().unwrap().jails[0].name, "mail");
    assert!(client.incidents().unwrap().incidents.is_empty());
    client.restart().unwrap();
    client.reload().unwrap();
    let answer = client.roll_back("web").unwrap();
    assert!(answer.disabled && answer.fail2ban_running, "{answer:?}");
    let kind = |result| match result {
        Err(ClientError::Problem(problem)) => problem.kind,
        other => panic!("{other:?}"),
    };
    assert_eq!(kind(client.ready().map(drop)), Kind::NotProtected);
    assert_eq!(kind(client.roll_back("a/b").map(drop)), Kind::IllegalName);
    assert_eq!(kind(client.roll_back("wob").map(drop)), Kind::UnknownJail);
    assert!(!client.undo("web").unwrap().disabled);
    assert_eq!(client.ready().unwrap().protection, Protection::Full);
    assert_eq!(
        client.check(&CheckRequest::default()).unwrap()["verdict"],
        "sound"
    );
    let request = PauseRequest {
        span: Some("1h".to_owned()),
        reason: None,
    };
    assert!(client.pause(&request).unwrap().until.is_some());
    assert!(client.resume().unwrap().was_paused);
}
