//! The screen, drawn from what is known: nothing but the view goes in.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line as Row, Span};
use ratatui::widgets::Paragraph;

use super::view::View;
use crate::cli::paint::{self, Line, Piece, Tone, piece};
use crate::cli::status;
use crate::status::{Incident, Timestamp};
use crate::text::safe;

/// What the timeline shows.
const HOUR: Duration = Duration::from_secs(3600);
/// More of why a jail does not protect is in `jailwarden status`.
const REASON_LINES: usize = 2;

/// Draws all of it.
pub(super) fn draw(view: &View, frame: &mut Frame<'_>) {
    let area = frame.area();
    let width = usize::from(area.width);
    let headline = status::wrapped(&status::headline(&view.status), width);
    let headline: Vec<_> = headline.into_iter().take(2).collect();
    let head = u16::try_from(headline.len()).unwrap_or(1);
    let [top, facts, states, jails, timeline, news, bottom] = Layout::vertical([
        Constraint::Length(head),
        Constraint::Length(2),
        Constraint::Length(3),
        Constraint::Min(4),
        Constraint::Length(4),
        Constraint::Length(5),
        Constraint::Length(2),
    ])
    .areas(area);
    put(frame, top, &headline);
    put(frame, facts, &status::facts(&view.status, width.max(1)));
    frame.render_widget(Paragraph::new(state_rows(&view.status.state)), states);
    table(view, frame, jails);
    put(frame, timeline, &hour(view, width));
    put(frame, news, &happened(view, width));
    put(frame, bottom, &[answer(view, width), keys(view)]);
}

fn put(frame: &mut Frame<'_>, area: Rect, lines: &[Line]) {
    let rows: Vec<Row<'_>> = lines.iter().map(|line| row(line)).collect();
    frame.render_widget(Paragraph::new(rows), area);
}

fn row(line: &[Piece]) -> Row<'_> {
    let spans = line
        .iter()
        .map(|it| Span::styled(it.text.as_str(), style(it.tone)));
    Row::from(spans.collect::<Vec<_>>())
}

fn style(tone: Tone) -> Style {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    match tone {
        Tone::Plain => Style::new(),
        Tone::Strong => bold,
        Tone::Good => bold.fg(Color::Green),
        Tone::Warn => bold.fg(Color::Yellow),
        Tone::Bad => bold.fg(Color::Red),
        Tone::Dim => Style::new().add_modifier(Modifier::DIM),
    }
}

/// The states and the ways between them, the current one lit.
fn state_rows(state: &str) -> Vec<Row<'static>> {
    let watching = match state {
        "degraded" | "settling" => state,
        _ => "healthy",
    };
    let rows: [(&str, &[&str], &str); 2] = [
        (
            "",
            &["starting", watching, "checking", "reloading", "mending"],
            "standby",
        ),
        (
            "            ",
            &["suspect", "restarting", "rolling-back", "gave-up"],
            "paused",
        ),
    ];
    let lit = |name: &str| {
        let is_current = name == state;
        let style = if is_current {
            Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD)
        } else {
            Style::new().add_modifier(Modifier::DIM)
        };
        let text = if is_current {
            format!("[{name}]")
        } else {
            format!(" {name} ")
        };
        Span::styled(text, style)
    };
    let drawn = rows.map(|(indent, names, aside)| {
        let mut spans = vec![Span::raw(format!(" {indent}"))];
        for (at, name) in names.iter().enumerate() {
            if at > 0 {
                spans.push(Span::raw("─▶"));
            }
            spans.push(lit(name));
        }
        let used: usize = spans.iter().map(|span| paint::width(&span.content)).sum();
        spans.push(Span::raw(" ".repeat(64_usize.saturating_sub(used))));
        spans.push(lit(aside));
        Row::from(spans)
    });
    [Row::default()].into_iter().chain(drawn).collect()
}

/// The jails, so that the one that is pointed at is seen.
fn table(view: &View, frame: &mut Frame<'_>, area: Rect) {
    let jails = status::ordered(&view.status);
    let width = usize::from(area.width);
    let names = status::name_width(&jails);
    let mut rows: Vec<(bool, Line)> = Vec::new();
    let (mut begin, mut end) = (0, 0);
    for (at, jail) in jails.iter().enumerate() {
        let is_selected = at == view.selected;
        if is_selected {
            begin = rows.len();
        }
        let of_jail = status::row(jail, &view.status, names, width);
        rows.extend(of_jail.into_iter().map(|line| (is_selected, line)));
        for text in reason_lines(jail, view, width) {
            rows.push((false, vec![piece(Tone::Plain, format!("      {text}"))]));
        }
        if is_selected {
            end = rows.len();
        }
    }
    let [blank, header, body] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Fill(1),
    ])
    .areas(area);
    put(frame, blank, &[]);
    put(frame, header, &[status::header(&jails)]);
    let height = usize::from(body.height);
    let first = end.saturating_sub(height).min(begin);
    let shown = rows.iter().skip(first).take(height);
    let shown: Vec<Row<'_>> = shown
        .map(|(is_selected, line)| {
            let row = row(line);
            if *is_selected {
                row.patch_style(Modifier::REVERSED)
            } else {
                row
            }
        })
        .collect();
    frame.render_widget(Paragraph::new(shown), body);
}

fn reason_lines(jail: &crate::status::Jail, view: &View, width: usize) -> Vec<String> {
    let reasons = status::reasons(jail, &view.status).join("; ");
    if reasons.is_empty() {
        return Vec::new();
    }
    let room = width.saturating_sub(6);
    let mut lines = paint::wrap(&safe(&reasons), room);
    if lines.len() > REASON_LINES {
        let rest = lines.split_off(REASON_LINES - 1).join(" ");
        lines.push(paint::cut(&rest, room));
    }
    lines
}

/// The last hour, a cell for each minute or so: where protection was lost.
fn hour(view: &View, width: usize) -> Vec<Line> {
    let status = &view.status;
    let all: Vec<&Incident> = status.incident.iter().chain(&status.incidents).collect();
    let cells = width.saturating_sub(2).max(1);
    let now = status.at;
    let step = HOUR.as_secs_f64() / as_f64(cells);
    let mut line = vec![piece(Tone::Plain, " ")];
    let age = |at: Timestamp| at.age(now).as_secs_f64();
    for cell in 0..cells {
        let begin = HOUR.as_secs_f64() - step * as_f64(cell);
        let end = begin - step;
        let is_in = |it: &&&Incident| age(it.began) > end && it.ended.map_or(0.0, age) <= begin;
        let (tone, sign) = if all.iter().any(|it| is_in(&it)) {
            (Tone::Bad, "█")
        } else if age(status.started) <= end {
            (Tone::Dim, "·")
        } else {
            (Tone::Good, "─")
        };
        match line.last_mut().filter(|last| last.tone == tone) {
            Some(last) => last.text.push_str(sign),
            None => line.push(piece(tone, sign)),
        }
    }
    let recent = all
        .iter()
        .filter(|it| it.ended.map_or(0.0, age) <= HOUR.as_secs_f64());
    let title = match recent.count() {
        0 => "  LAST HOUR: no incident".to_owned(),
        1 => "  LAST HOUR: 1 incident".to_owned(),
        many => format!("  LAST HOUR: {many} incidents"),
    };
    let middle = cells / 2;
    let scale = format!(" {}{}", paint::pad("60m ago", middle), "30m ago");
    let scale = format!("{}now", paint::pad(&scale, width.saturating_sub(4)));
    vec![
        Line::new(),
        vec![piece(Tone::Dim, title)],
        line,
        vec![piece(Tone::Dim, scale)],
    ]
}

fn as_f64(cells: usize) -> f64 {
    u32::try_from(cells).map_or(f64::MAX, f64::from)
}

/// What happened last; the incidents, where nothing has since the screen is open.
fn happened(view: &View, width: usize) -> Vec<Line> {
    let mut lines = vec![Line::new(), vec![piece(Tone::Dim, "  WHAT HAPPENED")]];
    let news = view.news.iter().map(|it| (it.at, it.text.clone()));
    let past = view
        .status
        .incidents
        .iter()
        .map(|it| (it.began, it.what.clone()));
    let lines_of = news.chain(past).take(3).map(|(at, text)| {
        let age = paint::span(at.age(view.status.at));
        let head = format!("  {age:>8} ago  ");
        let text = paint::cut(&safe(&text), width.saturating_sub(paint::width(&head)));
        vec![piece(Tone::Dim, head), piece(Tone::Plain, text)]
    });
    lines.extend(lines_of);
    lines
}

/// A question, what is being done, or how it went.
fn answer(view: &View, width: usize) -> Line {
    let line = |tone, text: &str| {
        vec![piece(
            tone,
            format!(" {}", paint::cut(text, width.saturating_sub(2))),
        )]
    };
    if let Some(deed) = &view.question {
        return line(
            Tone::Warn,
            &format!("{} y yes, any other key no", deed.question()),
        );
    }
    if let Some(deed) = &view.at_work {
        let left = status::left(&view.status).unwrap_or_default();
        return line(
            Tone::Warn,
            &format!("{} ({}{left})", deed.at_work(), view.status.state),
        );
    }
    if let Some(lost) = &view.lost {
        return line(Tone::Bad, &safe(lost));
    }
    if let Some((tone, said)) = &view.said {
        return line(*tone, &safe(said));
    }
    Line::new()
}

fn keys(view: &View) -> Line {
    let pause = if view.status.pause.is_some() {
        "resume"
    } else {
        "pause"
    };
    let acts = [
        ("r", "reload"),
        ("R", "restart"),
        ("p", pause),
        ("u", "undo"),
    ];
    let mut line = vec![piece(Tone::Plain, " ")];
    for (key, words) in acts {
        let (of_key, of_words) = if view.may_change {
            (Tone::Strong, Tone::Plain)
        } else {
            (Tone::Dim, Tone::Dim)
        };
        line.push(piece(of_key, key));
        line.push(piece(of_words, format!(" {words}  ")));
    }
    if !view.may_change {
        line.push(piece(Tone::Warn, "unavailable: read-only  "));
    }
    line.push(piece(Tone::Strong, "q"));
    line.push(piece(Tone::Plain, " quit"));
    line
}
