//! The states of the supervisor and the ways between them, the current one lit.

use maud::{Markup, html};

/// A state: its name, where it is drawn, how wide, and what is being done in it.
#[derive(Debug)]
pub(super) struct Drawn {
    pub(super) name: &'static str,
    x: u32,
    y: u32,
    width: u32,
    words: &'static str,
}

const HEIGHT: u32 = 30;

const fn at(name: &'static str, (x, y): (u32, u32), words: &'static str) -> Drawn {
    Drawn {
        name,
        x,
        y,
        width: 104,
        words,
    }
}

/// Every state but `ended`, in which there is nobody to draw it.
pub(super) const STATES: [Drawn; 13] = [
    at(
        "starting",
        (6, 10),
        "takes a first look at fail2ban and its config",
    ),
    at(
        "healthy",
        (134, 10),
        "watches; every jail that can protect does",
    ),
    at(
        "degraded",
        (134, 54),
        "watches; a jail is disabled or lost, or a faulty change waits on disk",
    ),
    at(
        "settling",
        (134, 98),
        "waits until the config is no longer being written",
    ),
    at(
        "checking",
        (262, 10),
        "reads and tries the changed config; fail2ban is not touched",
    ),
    at("reloading", (262, 54), "applies what changed, jail by jail"),
    at("mending", (262, 98), "tries a disabled jail again"),
    at(
        "standby",
        (6, 54),
        "fail2ban was stopped on purpose, and is left so",
    ),
    at(
        "paused",
        (6, 98),
        "watches and does nothing, as somebody asked for",
    ),
    Drawn {
        name: "suspect",
        x: 152,
        y: 160,
        width: 68,
        words: "looks sooner and more closely: something is wrong, and may last",
    },
    at("restarting", (134, 212), "brings fail2ban back"),
    at(
        "rolling-back",
        (262, 212),
        "disables the jail that is to blame, so that the others protect",
    ),
    at(
        "gave-up",
        (6, 212),
        "every way back has failed; tries again, ever more rarely",
    ),
];

/// The states in which nothing is wrong with the daemon and nothing is being done have a frame.
const FRAME: [&str; 3] = ["healthy", "degraded", "settling"];

/// Ways, as paths; those that lead both ways have a head at either end.
const ONE_WAY: [&str; 5] = [
    "M110 25H124",
    "M248 25H260",
    "M314 40V52",
    "M262 69H250",
    "M186 190V210",
];
const BOTH_WAYS: [&str; 6] = [
    "M112 69H124",
    "M112 113H124",
    "M250 113H260",
    "M186 138V158",
    "M240 227H260",
    "M132 227H112",
];
/// From a restart back to watching, past the suspicion.
const BACK: &str = "M143 212V138";

/// What is being done in a state, in words.
pub(super) fn words(state: &str) -> &'static str {
    let known = STATES.iter().find(|it| it.name == state);
    known.map_or("", |it| it.words)
}

pub(super) fn draw(state: &str) -> Markup {
    let framed = FRAME.contains(&state);
    html! {
        svg.states role="img" aria-labelledby="states-drawn" aria-describedby="state-now"
            viewBox="0 0 372 250" {
            title id="states-drawn" { "The states of jailwarden, and the main ways between them" }
            defs {
                marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6"
                    orient="auto-start-reverse" {
                    path d="M0 0L8 4L0 8Z" {}
                }
            }
            rect.frame.lit[framed] x="126" y="2" width="120" height="134" rx="8" {}
            @for way in ONE_WAY.iter().chain([&BACK]) {
                path.way d=(way) marker-end="url(#head)" {}
            }
            @for way in BOTH_WAYS {
                path.way d=(way) marker-start="url(#head)" marker-end="url(#head)" {}
            }
            @for it in &STATES {
                g.state.lit[it.name == state] aria-hidden="true" {
                    rect x=(it.x) y=(it.y) width=(it.width) height=(HEIGHT) rx="6" {}
                    text x=(it.x + it.width / 2) y=(it.y + 20) text-anchor="middle" { (it.name) }
                }
            }
        }
    }
}
