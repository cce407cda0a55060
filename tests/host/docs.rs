//! Every command of README.md and docs/*.md is typed on a real host, in order, and what it prints is
//! compared with what the document shows. `tests/support/docs.rs` says how a document says what it needs.

use std::fmt::Write as _;
use std::process::Command;
use std::time::SystemTime;

use jailwarden::fail2ban::folder::{Limits, Snapshot};
use jailwarden::fail2ban::stream::Stream;
use jailwarden::history::Store;

use crate::guarded::Guarded;
use crate::support::docs::{self, Block, blocks, documents, root};

/// Stand-ins for programs that a host lacks or that would hide an error, and what the documents' comments
/// call to have the host as they need it.
const TOOLS: [(&str, &str); 8] = [
    ("curl", "exec /usr/bin/curl --fail-with-body \"$@\""),
    ("sudo", "exec \"$@\""),
    ("sendmail", "cat >/dev/null"),
    (
        "break-web",
        "sed -i 's/<HOST>$/<HOST> [/' /etc/fail2ban/filter.d/web.conf",
    ),
    (
        "mend-web",
        "sed -i 's/ \\[$//' /etc/fail2ban/filter.d/web.conf",
    ),
    // All jails protect, and jailwarden supervises them.
    (
        "as-before",
        "export PATH=/opt/docs:$PATH; mend-web; jailwarden resume; systemctl start fail2ban
         systemctl enable --now --quiet jailwarden; jailwarden rollback undo --all; wait-status 'all 3'",
    ),
    // Until the status, or what was said, has these words.
    (
        "wait-status",
        "for n in $(seq 300); do jailwarden status | grep -q \"$1\" && exit; sleep 0.1; done; exit 1",
    ),
    (
        "wait-said",
        "for n in $(seq 300); do journalctl -u jailwarden -o cat | grep -q \"$1\" && exit; sleep 0.1; done; exit 1",
    ),
];

const SET_UP: &str = "set -o pipefail; cd /root; export PATH=/opt/docs:$PATH\n";

/// Says what went before, and how it ended.
const MARK: &str = "@@jailwarden-docs@@";

/// A host as the README's story has it: `sshd`, `mail` and `web`, and a config that was good twice.
fn host() -> Option<Guarded> {
    let host = Guarded::install()?;
    host.make_auth_log();
    host.jail("mail");
    host.jail("web");
    host.sh("sed -i 's/maxretry = 5/maxretry = 6/' /etc/fail2ban/jail.d/web.conf");
    keep(&host);
    host.sh("sed -i 's/maxretry = 6/maxretry = 5/' /etc/fail2ban/jail.d/web.conf");
    keep(&host);
    bring_tools(&host);
    host.sh("systemctl start fail2ban");
    Some(host)
}

/// Puts the programs of [`TOOLS`] into `/opt/docs` of the host.
pub(crate) fn bring_tools(host: &Guarded) {
    for (name, script) in TOOLS {
        host.write(
            &format!("/opt/docs/{name}"),
            &format!("#!/bin/sh\n{script}\n"),
        );
    }
    host.sh("chmod +x /opt/docs/*");
}

/// Keeps the config as jailwarden does once fail2ban was healthy with it for a minute.
fn keep(host: &Guarded) {
    let folder = tempfile::tempdir().unwrap();
    let copy = |from: String, to: String| {
        let copied = Command::new("cp").args(["-a", &from, &to]).status();
        assert!(copied.unwrap().success(), "{from} to {to}");
    };
    let (root, here) = (
        host.root().display().to_string(),
        folder.path().display().to_string(),
    );
    host.sh("install -d -m 700 /var/lib/jailwarden");
    copy(format!("{root}/etc/fail2ban"), here.clone());
    copy(format!("{root}/var/lib/jailwarden"), here.clone());
    let config = folder.path().join("fail2ban");
    let fingerprint = Snapshot::take(&config, Limits::default()).fingerprint();
    let stream = Stream::parse(&host.sh("fail2ban-client -d"))
        .unwrap()
        .text();
    let store = Store::open(&folder.path().join("jailwarden"), "jailwarden");
    store
        .keep(&config, fingerprint, &stream, SystemTime::now())
        .unwrap();
    copy(
        format!("{here}/jailwarden/."),
        format!("{root}/var/lib/jailwarden"),
    );
}

#[test]
fn every_command_in_the_documents_does_what_they_say() {
    let Some(host) = host() else { return };
    let mut wrong = Vec::new();
    for (nth, document) in documents().iter().enumerate() {
        let blocks = blocks(&document.text);
        // The README begins without jailwarden.
        if nth > 0 && !blocks.is_empty() {
            host.sh("/opt/docs/as-before");
        }
        let mut words = Vec::new();
        for block in blocks {
            for (line, what) in run(&host, &block, &mut words) {
                wrong.push(format!("{}:{line}: {what}", document.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a document's words stand for.
type Words = Vec<(String, String)>;

/// Runs a block, and says what was not as it says, with the line.
fn run(host: &Guarded, block: &Block, words: &mut Words) -> Vec<(usize, String)> {
    if block.has("no-run") {
        return Vec::new();
    }
    if let Err(why) = prepare(host, block, words) {
        return vec![(block.line, why)];
    }
    let (made, typed): (Vec<_>, Vec<_>) = block
        .commands
        .iter()
        .partition(|command| is_make(&command.text));
    let of_make = made
        .into_iter()
        .filter_map(|command| Some((command.line, make(&command.text)?)));
    let mut wrong: Vec<_> = of_make.collect();
    let mut script = format!("{SET_UP}exec 2>&1\n");
    for command in &typed {
        let text = typeable(&command.text, words);
        let _ = write!(
            script,
            "{{ {text}\n}} </dev/null\nprintf '\\n{MARK}%s\\n' $?\n"
        );
    }
    let done = host.run(&["bash", "-c", &script]);
    let printed = String::from_utf8_lossy(&done.stdout);
    let mark = format!("\n{MARK}");
    let mut parts = printed.split(&mark);
    let mut text = parts.next().unwrap_or_default();
    for command in typed {
        let Some((code, rest)) = parts.next().and_then(|part| part.split_once('\n')) else {
            wrong.push((command.line, format!("it was not run: {printed}")));
            break;
        };
        let said = judge(command, code.parse().unwrap(), text, block.has("varies"));
        wrong.extend(said.err().map(|what| (command.line, what)));
        text = rest;
    }
    wrong
}

/// Has the host as the block needs it.
fn prepare(host: &Guarded, block: &Block, words: &mut Words) -> Result<(), String> {
    for (mark, value) in &block.marks {
        let is_word = mark == "let";
        let (word, script) = if is_word {
            value.split_once('=').unwrap()
        } else {
            ("", value.as_str())
        };
        if !is_word && mark != "run" {
            continue;
        }
        let done = host.run(&["bash", "-ec", &format!("{SET_UP}{script}")]);
        if !done.status.success() {
            return Err(format!("what it needs cannot be had: {script}: {done:?}"));
        }
        if is_word {
            let value = String::from_utf8_lossy(&done.stdout).trim().to_owned();
            words.push((word.to_owned(), value));
        }
    }
    Ok(())
}

/// Whether a command goes on until somebody ends it.
fn is_endless(command: &str) -> bool {
    [" -N ", " --watch"].iter().any(|it| command.contains(it))
}

/// A command with its words, and with an end.
fn typeable(command: &str, words: &Words) -> String {
    let mut text = String::new();
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    for word in command.split_inclusive(|c| !is_part(c)) {
        let bare = word.trim_end_matches(|c| !is_part(c));
        let known = words.iter().rev().find(|(word, _)| word == bare);
        text.push_str(known.map_or(bare, |(_, value)| value));
        text.push_str(&word[bare.len()..]);
    }
    if command.contains(" --watch") {
        let (text, _) = text.split_once('#').unwrap_or((&text, ""));
        return format!("timeout 1 script -qec '{}' /dev/null", text.trim());
    }
    if is_endless(command) {
        text.insert_str(0, "timeout 1 ");
    }
    text
}

/// Whether a command ended and printed as the document says.
fn judge(command: &docs::Command, code: i32, text: &str, varies: bool) -> Result<(), String> {
    let typed = &command.text;
    // 124: it was ended by timeout(1).
    if !(command.codes().contains(&code) || is_endless(typed) && code == 124) {
        return Err(format!("`{typed}` exits with {code}: {text}"));
    }
    match &command.prints {
        Some(shown) if !varies && plain(shown) != plain(text) => {
            Err(format!("`{typed}` prints\n{text}and not\n{shown}"))
        }
        _ => Ok(()),
    }
}

/// Whether a line is of `make` alone, whose tools a host lacks.
fn is_make(command: &str) -> bool {
    makes(command).all(|part| part.starts_with("make "))
}

fn makes(command: &str) -> impl Iterator<Item = &str> {
    let line = command.split('#').next().unwrap_or_default();
    line.split("&&")
        .map(|part| part.trim().trim_start_matches("sudo "))
}

/// What is wrong with such a line: there must be each target.
fn make(command: &str) -> Option<String> {
    makes(command).find_map(|part| {
        let done = Command::new("make")
            .arg("-n")
            .args(part.split_whitespace().skip(1))
            .env_remove("MAKEFLAGS")
            .current_dir(root())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        (!done.status.success()).then(|| format!("`{part}`: {said}"))
    })
}

/// Without white space, and with one word for each number, time and id, which differ from run to run.
fn plain(text: &str) -> String {
    let is_id = |word: &&str| word.len() == 8 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let words = text.split_whitespace();
    let words = words.map(|word| if is_id(&word) { "ID" } else { word });
    let whole: String = words.collect();
    let (mut out, mut rest) = (String::new(), whole.as_str());
    while let Some(next) = rest.chars().next() {
        if next.is_ascii_digit() {
            let end = rest
                .find(|c: char| !(c.is_ascii_digit() || ".smh".contains(c)))
                .unwrap_or(rest.len());
            out.push('0');
            rest = &rest[end..];
        } else {
            out.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    out
}

#[test]
fn what_the_documents_leave_out_has_a_reason() {
    let marks = ["run", "let", "varies", "no-run"];
    for document in documents() {
        for (mark, value) in blocks(&document.text)
            .into_iter()
            .flat_map(|block| block.marks)
        {
            assert!(
                marks.contains(&mark.as_str()) && !value.is_empty(),
                "{}: {mark}",
                document.name
            );
        }
    }
    let block =
        &docs::blocks("<!-- varies: x -->\n  ```sh\n  a # exits with 3\n  b |\n    c\n  ```\n")[0];
    assert!(block.has("varies"));
    let commands: Vec<_> = block
        .commands
        .iter()
        .map(|it| (it.line, it.text.as_str(), it.codes()))
        .collect();
    assert_eq!(
        commands,
        [(3, "a # exits with 3", vec![3]), (4, "b |\n  c", vec![0])]
    );
}
