//! docs/session.svg: the README's story as a terminal shows it, recorded on a real host.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use crate::guarded::Guarded;
use crate::support::docs::{is_written, root};
use crate::support::{GUARD, wait_until};

/// What is typed, and what jailwarden's status must begin with before the next is.
const STEPS: [(&str, &str); 8] = [
    ("jailwarden status", "PROTECTED"),
    (
        "sed -i 's/<HOST>$/<HOST> [/' /etc/fail2ban/filter.d/web.conf     # a typo",
        "PROTECTED",
    ),
    ("fail2ban-client -t", "PROTECTED"),
    ("journalctl -u jailwarden -p err -n 1 -o cat", "PROTECTED"),
    ("systemctl restart fail2ban", "PARTLY"),
    ("jailwarden status", "PARTLY"),
    (
        "sed -i 's/ \\[$//' /etc/fail2ban/filter.d/web.conf              # mended",
        "PROTECTED: all 3",
    ),
    ("jailwarden status", "PROTECTED"),
];

const COLUMNS: usize = 100;
/// For the reader, before each command.
const PAUSE: Duration = Duration::from_millis(1500);

#[test]
#[ignore = "it records docs/session.svg where JAILWARDEN_WRITE_DOCS=1"]
fn the_story_is_recorded() {
    let Some(host) = Guarded::install() else {
        return;
    };
    host.make_auth_log();
    host.jail("mail");
    host.jail("web");
    host.sh("systemctl start fail2ban; systemctl enable --now --quiet jailwarden");
    wait_status(&host, "PROTECTED: all 3");
    let (mut lines, mut at) = (Vec::new(), Duration::ZERO);
    for (typed, after) in STEPS {
        at += PAUSE;
        lines.push((at, format!("\u{1b}[1m# {typed}\u{1b}[0m")));
        let asked = std::time::Instant::now();
        let shell =
            format!("export TERM=xterm-256color SYSTEMD_PAGER=cat; stty cols {COLUMNS}; {typed}");
        let done = host.run(&[
            "script",
            "--quiet",
            "--return",
            "--command",
            &shell,
            "/dev/null",
        ]);
        assert!(
            done.status.success() || typed == "jailwarden status",
            "{typed}: {done:?}"
        );
        let printed = String::from_utf8(done.stdout).unwrap();
        lines.extend(
            printed
                .lines()
                .map(|line| (at + asked.elapsed(), line.to_owned())),
        );
        if typed.starts_with("sed") && after == "PROTECTED" {
            host.wait_said("is not applied");
        }
        wait_status(&host, after);
        at += asked.elapsed();
    }
    let made = svg(&lines);
    assert!(made.len() < 100 << 10, "{} bytes", made.len());
    if is_written() {
        fs::write(root().join("docs/session.svg"), made).unwrap();
    }
}

fn wait_status(host: &Guarded, begins: &str) {
    let status = || String::from_utf8(host.run(&["jailwarden", "status"]).stdout).unwrap();
    let seen = wait_until(GUARD, || status().starts_with(begins).then_some(()));
    assert!(
        seen.is_some(),
        "it is not {begins}: {}\n{}",
        status(),
        host.said()
    );
}

const HEAD: &str = r##"<title>A typo in the regex of one jail, a restart, and what jailwarden makes of it</title>
<style>
text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #d6d6d6; white-space: pre }
.c1 { font-weight: bold } .c2 { fill: #9a9a9a } .c31 { fill: #ff7b72 } .c32 { fill: #7ee787 } .c33 { fill: #f2cc60 }
.c34 { fill: #79c0ff } .c35 { fill: #d2a8ff } .c36 { fill: #76e3ea }
@media (prefers-reduced-motion: no-preference) { text { animation: shown 0s both } @keyframes shown { from { visibility: hidden } } }
</style>
<rect width="100%" height="100%" rx="8" fill="#161b22"/>
"##;
/// In pixels: a line's height, the margin, and the width of a hundred letters.
const LINE: usize = 19;
const MARGIN: usize = 16;
const LETTER: usize = 850;

/// Lines of a terminal, each with when it was printed. They all stay.
fn svg(lines: &[(Duration, String)]) -> String {
    let (mut body, mut row) = (String::new(), 0);
    for (at, line) in lines {
        let letters = letters(line);
        // A line without a letter takes its place, too.
        row += usize::from(letters.is_empty());
        for part in letters.chunks(COLUMNS) {
            row += 1;
            let (y, delay) = (row * LINE - 5, at.as_secs_f32());
            let _ = write!(
                body,
                "<text y=\"{y}\" style=\"animation-delay: {delay:.1}s\">"
            );
            for run in part.chunk_by(|one, other| one.0 == other.0) {
                let text: String = run.iter().map(|(_, letter)| letter).collect();
                let text = text.replace('&', "&amp;").replace('<', "&lt;");
                let _ = match run[0].0.trim_end() {
                    "" => write!(body, "{text}"),
                    classes => write!(body, "<tspan class=\"{classes}\">{text}</tspan>"),
                };
            }
            body.push_str("</text>\n");
        }
    }
    let width = COLUMNS * LETTER / 100 + 2 * MARGIN;
    let height = row * LINE + 2 * MARGIN;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" role=\"img\" xml:space=\"preserve\">\n{HEAD}<g transform=\"translate({MARGIN} {MARGIN})\">\n{body}</g>\n</svg>\n"
    )
}

/// The letters of a line, each with the classes that the sequences before it make (ECMA-48, SGR).
fn letters(line: &str) -> Vec<(String, char)> {
    let (mut letters, mut classes) = (Vec::new(), String::new());
    let mut rest = line.trim_end().chars();
    while let Some(letter) = rest.next() {
        if letter != '\u{1b}' {
            letters.push((classes.clone(), letter));
            continue;
        }
        let sequence: String = rest
            .by_ref()
            .take_while(|c| !c.is_ascii_alphabetic())
            .collect();
        for code in sequence.trim_start_matches('[').split(';') {
            match code {
                "" | "0" => classes.clear(),
                code => {
                    let _ = write!(classes, "c{code} ");
                }
            }
        }
    }
    letters
}
