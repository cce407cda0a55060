//! The page itself. Whatever it says is there without a script; `page.js` only has it said anew.

use std::fmt::Write as _;
use std::sync::Arc;

use maud::{DOCTYPE, Markup, html};

use super::states;
use super::timeline::STRETCHES;
use crate::control::problem::Problem;
use crate::status::headline::{headline, left};
use crate::status::words::{self, Tone, seconds, span, when};
use crate::status::{End, Happening, Incident, Jail, Past, Protection, Status, Timestamp};
use crate::text::safe;

/// How many of each are shown; the command line has them all.
const INCIDENTS: usize = 10;
const FINDINGS: usize = 10;
const NEWS: usize = 8;

/// What the page is made of.
pub(super) struct View {
    pub(super) status: Arc<Status>,
    pub(super) past: Arc<Past>,
    /// What has happened, the last of it first.
    pub(super) news: Vec<Arc<Happening>>,
    pub(super) host: String,
}

impl View {
    /// The whole document.
    pub(super) fn page(&self) -> String {
        let status = &*self.status;
        let body = html! {
            (self.verdict())
            (self.trouble())
            (part("jails", "Jails", &self.jails()))
            (part("past", "Unprotected time", &self.past()))
            (part("incidents", "Incidents", &self.incidents()))
            (part("states", "What jailwarden does", &self.states()))
            (part("facts", "fail2ban and jailwarden", &self.facts()))
        };
        let host = place(&self.host, status.instance.as_deref());
        document(word(status.protection), &host, Some(status.at), &body)
    }

    /// What to type to this jailwarden.
    fn command(&self, command: &str) -> Markup {
        html! { code { (words::called(&self.status)) " " (command) } }
    }

    fn verdict(&self) -> Markup {
        let status = &*self.status;
        let headline = headline(status);
        html! {
            div id="verdict" class=(class(headline.tone)) role="status" aria-atomic="true" {
                h1 { (word(status.protection)) }
                p { (headline.rest) }
            }
        }
    }

    /// What somebody should know of now: nothing on a good day.
    fn trouble(&self) -> Markup {
        let status = &*self.status;
        html! {
            @if let Some(incident) = &status.incident {
                @let title = format!("An incident is under way, for {}", span(incident.began.age(status.at)));
                (note("under-way", "bad", &title, &html! {
                    p { (incident.what) }
                    @if !incident.unprotected.is_empty() {
                        p { "Unprotected so far: " (spans(incident)) "." }
                    }
                }))
            }
            @if let Some(pause) = &status.pause {
                (note("paused", "warn", "Paused", &html! {
                    p {
                        (pause.why) ", "
                        @match pause.until {
                            Some(until) => { "until " (time(until)) },
                            None => { "until: " (self.command("resume")) },
                        }
                    }
                }))
            }
            @if !status.findings.is_empty() {
                (note("waits", "warn", "A faulty change waits on disk", &html! {
                    p { "fail2ban would refuse it, so it is not applied. Mend it and save: it is checked again at once." }
                    ul {
                        @for finding in status.findings.iter().take(FINDINGS) { li { (words::said(finding)) } }
                        @if let Some(more @ 1..) = status.findings.len().checked_sub(FINDINGS) {
                            li { "and " (more) " more; see: " (self.command("check")) }
                        }
                    }
                }))
            }
        }
    }

    fn jails(&self) -> Markup {
        let (folded, shown) = words::folded(&self.status);
        html! {
            @if self.status.jails.is_empty() { p { "No jail is enabled." } }
            @if !shown.is_empty() {
                table {
                    thead { tr {
                        th scope="col" { "Jail" }
                        th scope="col" { "State" }
                        th.number scope="col" { "Banned" }
                        th.number scope="col" { "Unprotected" span.unit { "24 h / 30 d" } }
                    } }
                    tbody { @for jail in shown { (self.jail(jail)) } }
                }
            }
            @if !folded.is_empty() {
                p.good { (words::of_folded(&folded)) }
                ul.folded { @for jail in &folded { li { (jail.name) } } }
            }
        }
    }

    fn jail(&self, jail: &Jail) -> Markup {
        let (tone, state) = words::condition(jail.condition);
        let reasons = words::reasons(jail, &self.status);
        html! {
            tr {
                th scope="row" { (jail.name) }
                td { span.state.(class(tone)) { (state) } }
                td.number { @match jail.banned { Some(banned) => { (banned) }, None => { (none()) } } }
                td.number {
                    @if jail.unprotected.month > 0.0 {
                        span { (seconds(jail.unprotected.day)) " /" } " " span { (seconds(jail.unprotected.month)) }
                    } @else { (none()) }
                }
            }
            @if !reasons.is_empty() {
                tr.why { td colspan="4" { @for reason in reasons { p { (reason) } } } }
            }
        }
    }

    fn past(&self) -> Markup {
        html! {
            @for stretch in &STRETCHES { (stretch.draw(&self.status, &self.past)) }
            p.legend {
                span.key.known {} "every jail protected "
                span.key.lost {} "a jail did not (a quarter: under a minute, half: under 10, three \
                    quarters: under an hour) "
                span.key.incident {} "an incident "
                span.key.unknown {} "before jailwarden kept watch"
            }
        }
    }

    fn states(&self) -> Markup {
        let status = &*self.status;
        html! {
            p id="state-now" {
                strong { (status.state) } ", for " (span(status.since.age(status.at)))
                (left(status).unwrap_or_default()) ": " (states::words(&status.state)) "."
            }
            (states::draw(&status.state))
            (self.news())
        }
    }

    fn incidents(&self) -> Markup {
        let past = &self.past.incidents;
        html! {
            @if past.is_empty() {
                @if self.status.incident.is_some() {
                    p { "None before the one that is under way." }
                } @else {
                    p { "None since jailwarden keeps watch here, " (time(self.past.since)) "." }
                }
            } @else {
                ol.incidents {
                    @for incident in past.iter().take(INCIDENTS) { (ended(incident)) }
                }
                @if past.len() > INCIDENTS {
                    p { "All " (past.len()) ": " (self.command("incidents")) }
                }
            }
        }
    }

    /// The reports; without those of the states alone, which are seen anyway.
    fn news(&self) -> Markup {
        let reports = self.news.iter().filter(|it| it.kind.is_some());
        let reports: Vec<_> = reports.take(NEWS).collect();
        html! {
            @if !reports.is_empty() {
                h3 { "What it said last" }
                ol.news {
                    @for report in reports {
                        li { time datetime=(report.at) { (clock(report.at)) } " " span { (report.text) } }
                    }
                }
            }
        }
    }

    fn facts(&self) -> Markup {
        let status = &*self.status;
        let daemon = &status.daemon;
        html! {
            dl {
                dt { "fail2ban" }
                dd {
                    @match daemon.pid {
                        None => { "is not running" },
                        Some(pid) => {
                            "process " (pid)
                            @if let Some(seen) = daemon.first_seen {
                                ", seen for " (span(seen.age(status.at)))
                            }
                            @match daemon.ping {
                                Some(ping) => { ", answers in " (format!("{:.1}", ping * 1000.0)) " ms" },
                                None => { ", does not answer" },
                            }
                            @if let Some(unit) = &daemon.unit { ", " (unit) }
                        },
                    }
                }
                dt { "jailwarden" }
                dd { "version " (status.version) ", runs for " (span(status.started.age(status.at))) }
            }
        }
    }
}

/// A section below its title.
fn part(id: &str, title: &str, body: &Markup) -> Markup {
    let of_title = format!("{id}-title");
    html! {
        section id=(id) aria-labelledby=(of_title) {
            h2 id=(of_title) { (title) }
            (body)
        }
    }
}

/// The same, to be noticed.
fn note(id: &str, class: &str, title: &str, body: &Markup) -> Markup {
    let of_title = format!("{id}-title");
    html! {
        section.note.(class) id=(id) aria-labelledby=(of_title) {
            h2 id=(of_title) { (title) }
            (body)
        }
    }
}

fn ended(incident: &Incident) -> Markup {
    let took = incident.ended.map(|ended| span(incident.began.age(ended)));
    html! {
        li {
            p.when {
                (time(incident.began))
                @if let Some(took) = took { ", took " strong { (took) } }
            }
            p { (incident.what) }
            p.more {
                @if !incident.unprotected.is_empty() { "Unprotected: " (spans(incident)) ". " }
                @if !incident.rolled_back.is_empty() { "Rolled back: " (incident.rolled_back.join(", ")) ". " }
                @if incident.given_up > 0 { "Every way back had failed " (incident.given_up) " times. " }
                @if incident.end == Some(End::StoodBy) { "It ended as " (words::end(incident)) "." }
            }
        }
    }
}

/// `mail for 9s, web for 12s`, those that lacked the most first.
fn spans(incident: &Incident) -> String {
    const NAMED: usize = 5;
    let mut spans: Vec<_> = incident.unprotected.iter().collect();
    spans.sort_by(|a, b| b.1.total_cmp(a.1));
    let named = spans.iter().take(NAMED);
    let named = named.map(|(jail, lost)| format!("{jail} for {}", seconds(**lost)));
    let mut said = named.collect::<Vec<_>>().join(", ");
    if let Some(more @ 1..) = spans.len().checked_sub(NAMED) {
        let _ = write!(said, " and {more} more");
    }
    said
}

fn none() -> Markup {
    html! { span aria-hidden="true" { "–" } span.said { "none" } }
}

fn time(at: Timestamp) -> Markup {
    html! { time datetime=(at) { (when(at)) } }
}

/// The time of day in UTC.
fn clock(at: Timestamp) -> String {
    at.to_string().get(11..19).unwrap_or_default().to_owned()
}

fn word(protection: Protection) -> &'static str {
    match protection {
        Protection::Full => "Protected",
        Protection::Partial => "Partly protected",
        Protection::None | Protection::Unwanted => "Not protected",
        Protection::Unknown => "Not known yet",
    }
}

fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "good",
        Tone::Warn => "warn",
        Tone::Bad => "bad",
        Tone::Quiet => "quiet",
    }
}

/// Whose page it is: `web1`, or `web1 (second)` of a further instance.
fn place(host: &str, instance: Option<&str>) -> String {
    match instance {
        Some(instance) => format!("{host} ({instance})"),
        None => host.to_owned(),
    }
}

/// The page of a supervisor that says nothing.
pub(super) fn no_answer(host: &str, instance: Option<&str>, problem: &Problem) -> String {
    let body = html! {
        div.bad id="verdict" role="status" aria-atomic="true" {
            h1 { "Not known" }
            p { (problem.detail) }
        }
    };
    document("Not known", &place(host, instance), None, &body)
}

/// Words of others are escaped by `html!`, and what is unsafe in them though it is no markup, here.
fn document(verdict: &str, host: &str, at: Option<Timestamp>, main: &Markup) -> String {
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { (verdict) " · " (host) }
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                link rel="icon" href="/page.svg" type="image/svg+xml";
                link rel="stylesheet" href="/page.css";
                script src="/page.js" defer {}
            }
            body {
                p.note.bad id="lost" role="alert" {}
                div id="page" {
                    header {
                        p { "fail2ban on " strong { (host) } }
                        @if let Some(at) = at { p { "as of " time id="at" datetime=(at) { (clock(at)) " UTC" } } }
                    }
                    main { (main) }
                }
                footer {
                    p id="live" {
                        "This is how it was when the page was loaded. " a href="/" { "Look again" }
                    }
                }
            }
        }
    };
    safe(&markup.into_string())
}
