//! For people: each fault with its line, as compilers show theirs.

use std::fmt::Write as _;
use std::path::Path;

use annotate_snippets::{
    AnnotationKind, Group, Level as Label, Message, Origin, Renderer, Snippet,
};

use super::diagnostic::{Diagnostic, Level, at_fault};
use super::{Report, Unjudged};
use crate::text::{counted, near, safe};

/// How many jails of one fault are named; the other formats name them all.
const MOST_JAILS: usize = 20;

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Whether to use the terminal's colours.
    pub colour: bool,
    /// The columns there are; longer config lines are cut around the fault.
    pub width: usize,
}

/// The report as text; paths below `cwd` are shown from there. Nothing in it steers a terminal but
/// the colours that were asked for. `called` is how a person calls jailwarden.
#[must_use]
pub fn render(report: &Report, cwd: &Path, style: Style, called: &str) -> String {
    let renderer = if style.colour {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let renderer = renderer.term_width(style.width);
    let mut out = String::new();
    for diagnostic in &report.diagnostics {
        out.push_str(&renderer.render(&[group(diagnostic, cwd)]));
        out.push_str("\n\n");
    }
    if let Some(Unjudged { why, .. }) = &report.unproven {
        let title = Label::WARNING.primary_title(safe(why));
        let note = Label::NOTE.message(
            "fail2ban-client -d alone was asked, which does not see what the daemon would refuse",
        );
        out.push_str(&renderer.render(&[title.element(note)]));
        out.push_str("\n\n");
    }
    out.push_str(&summary(report, called));
    out
}

/// The result in one line: `2 findings in 2 of 14 jails`; and one more where rollbacks stand.
#[must_use]
pub fn summary(report: &Report, called: &str) -> String {
    let config = safe(&report.config_dir.display().to_string());
    let all = report.jails.len();
    let jails = counted(all, "jail");
    let mut line = match (report.faulty().count(), report.faulty_jails().len()) {
        (0, _) if report.unproven.is_some() => {
            format!("no findings in {jails} of {config}, but not proven: see above")
        }
        (0, _) => format!("{config} is sound: {jails} checked"),
        (count, 0) => format!("{} in {config}", counted(count, "finding")),
        (count, faulty) => format!(
            "{} in {faulty} of {jails} of {config}",
            counted(count, "finding")
        ),
    };
    line.push('\n');
    if !report.rolled_back.is_empty() {
        let names: Vec<_> = report.rolled_back.iter().map(|jail| safe(jail)).collect();
        let _ = writeln!(
            line,
            "disabled by jailwarden, and checked as if not: {} (see {called} rollback list)",
            names.join(", ")
        );
    }
    line
}

fn group<'a>(diagnostic: &Diagnostic, cwd: &Path) -> Group<'a> {
    let label = match diagnostic.level() {
        Level::Error => Label::ERROR,
        Level::Warning => Label::WARNING,
        Level::Note => Label::NOTE,
    };
    let group = Group::with_title(label.primary_title(safe(&diagnostic.headline())));
    let group = match shown(diagnostic, cwd) {
        Shown::Line(snippet) => group.element(snippet),
        Shown::File(origin) => group.element(origin),
        Shown::Nothing => group,
    };
    group.elements(notes(diagnostic))
}

enum Shown<'a> {
    Line(Snippet<'a, annotate_snippets::Annotation<'a>>),
    File(Origin<'a>),
    Nothing,
}

fn shown<'a>(diagnostic: &Diagnostic, cwd: &Path) -> Shown<'a> {
    let Some(file) = &diagnostic.file else {
        return Shown::Nothing;
    };
    let path = safe(&near(file, cwd).display().to_string());
    let line = diagnostic.line.and_then(|line| usize::try_from(line).ok());
    match (&diagnostic.source, line) {
        (Some(source), Some(line)) => {
            let source = safe(source);
            let value = diagnostic.value.as_deref().map(safe);
            let span = at_fault(&source, diagnostic.option.as_deref(), value.as_deref());
            let snippet = Snippet::source(source).line_start(line).path(path);
            Shown::Line(snippet.annotation(AnnotationKind::Primary.span(span)))
        }
        (None, Some(line)) => Shown::File(Origin::path(path).line(line)),
        (_, None) => Shown::File(Origin::path(path)),
    }
}

fn notes<'a>(diagnostic: &Diagnostic) -> Vec<Message<'a>> {
    let mut notes = Vec::new();
    if diagnostic.jails.len() > 2 {
        let shown = diagnostic.jails.iter().take(MOST_JAILS);
        let names: Vec<_> = shown.map(|jail| safe(jail)).collect();
        let more = match diagnostic.jails.len().saturating_sub(MOST_JAILS) {
            0 => String::new(),
            rest => format!(" and {rest} more"),
        };
        let all = format!("it is in the jails {}{more}", names.join(", "));
        notes.push(Label::NOTE.message(all));
    }
    notes.push(Label::NOTE.message(diagnostic.meaning()));
    notes.push(Label::HELP.message(diagnostic.help()));
    notes
}
