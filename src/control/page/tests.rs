use std::collections::BTreeSet;

use serde_json::json;

use super::states::STATES;
use super::timeline::STRETCHES;
use crate::status::{Past, Status};

#[test]
fn every_state_is_drawn() {
    let drawn: BTreeSet<_> = STATES.iter().map(|it| it.name).collect();
    let mut all = BTreeSet::from(crate::machine::STATES);
    // Then there is nobody to draw it.
    assert!(all.remove("ended"));
    assert_eq!(drawn, all);
}

fn drawn(at: &str, since: &str, incidents: &serde_json::Value) -> [String; 2] {
    let status: Status = serde_json::from_value(json!({
        "schema": 1, "version": "0", "at": at, "state": "healthy", "since": at, "text": "",
        "protection": "full", "deadline": null, "jails": [], "findings": [], "pause": null,
        "daemon": { "pid": null, "first_seen": null, "ping": null, "unit": null, "socket": "/s" },
        "incident": null, "incidents": [], "started": at,
    }))
    .unwrap();
    let hour =
        |began: &str, longest: f64| json!({ "began": began, "longest": longest, "jails": 2 });
    let hours = json!([
        hour("2026-10-26T23:00:00Z", 3600.0),
        hour("2026-11-24T12:00:00Z", 3000.0),
        hour("2026-11-24T13:00:00Z", 3000.0),
        hour("2026-11-25T18:00:00Z", 59.0),
        hour("2026-11-26T02:00:00Z", 1.0),
    ]);
    let past = Past {
        since: serde_json::from_value(json!(since)).unwrap(),
        incidents: serde_json::from_value(incidents.clone()).unwrap(),
        hours: serde_json::from_value(hours).unwrap(),
    };
    STRETCHES.map(|it| it.draw(&status, &past).into_string())
}

#[test]
fn the_past_is_drawn_where_it_was() {
    let incidents = json!([{
        "id": "a", "began": "2026-11-25T18:30:00Z", "ended": "2026-11-25T19:30:00Z", "end": "protected",
        "what": "", "unprotected": {}, "rolled_back": [], "given_up": 0,
    }]);
    let (now, since) = ("2026-11-26T01:40:00Z", "2026-11-20T05:00:00Z");
    let [day, month] = drawn(now, since, &incidents);
    // What has not come yet, by a clock that was set back, is not drawn, nor what is too long ago.
    for (text, words, filled, unknown) in [
        (
            &day,
            "1 incident; a jail went unprotected in 1 hour, for 59s at most",
            1,
            0,
        ),
        (
            &month,
            "1 incident; a jail went unprotected in 3 days, for 1h 40m at most; nothing is known of 23 days",
            3,
            23,
        ),
    ] {
        assert!(text.contains(words), "{text}");
        assert_eq!(text.matches("class=\"lost\"").count(), filled, "{text}");
        assert_eq!(text.matches("class=\"unknown\"").count(), unknown, "{text}");
    }
    // 16.5 of 24 hours after the begin of the first bar, and an hour long.
    assert!(day.contains("x=\"396.0\" y=\"46\" width=\"24.0\""), "{day}");
    assert!(
        month.contains("25 00:00 UTC: unprotected for 59s, in 2 jails"),
        "{month}"
    );

    // Before there were clocks.
    let [day, _] = drawn("1970-01-01T00:00:10Z", since, &json!([]));
    assert!(
        day.contains("no incident; no jail went unprotected"),
        "{day}"
    );
}
