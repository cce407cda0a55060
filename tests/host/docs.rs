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
const TOOLS: [(&str, &str); 7] = [
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
    for (name, script) in TOOLS {
        host.write(
            &format!("/opt/docs/{name}"),
            &format!("#!/bin/sh\n{script}\n"),
        );
    }
    host.sh("chmod +x /opt/docs/*");
    host.sh("systemctl start fail2ban");
    for jail in ["sshd", "mail", "web"] {
        host.wait_protects(jail);
    }
    Some(host)
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
    let store = Store::open(&folder.path().join("jailwarden"));
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
    for document in documents() {
        let mut words = Vec::new();
        for block in blocks(&document.text) {
            for (line, what) in run(&host, &block, &mut words) {
                wrong.push(format!("{}:{line}: {what}", document.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Runs a block, and says what was not as it says.
fn run(host: &Guarded, block: &Block, words: &mut Vec<(String, String)>) -> Vec<(usize, String)> {
    let (mut script, mut wrong) = (format!("{SET_UP}exec 2>&1\n"), Vec::new());
    for (mark, value) in &block.marks {
        match mark.as_str() {
            "run" => {
                let done = host.run(&["bash", "-ec", &format!("{SET_UP}{value}")]);
                if !done.status.success() {
                    wrong.push((
                        block.line,
                        format!("what it needs cannot be had: {value}: {done:?}"),
                    ));
                }
            }
            "let" => {
                let (word, command) = value.split_once('=').unwrap();
                words.push((word.to_owned(), host.sh(command).trim().to_owned()));
            }
            "no-run" => return wrong,
            _ => {}
        }
    }
    for command in &block.commands {
        let said = words
            .iter()
            .fold(command.text.clone(), |text, (word, value)| {
                text.replace(word, value)
            });
        let said = if let Some(made) = made(&said) {
            wrong.extend(made.err().map(|what| (command.line, what)));
            continue;
        } else if said.contains(" -N ") {
            format!("timeout 2 {said}")
        } else if said.contains(" --watch") {
            let (said, _) = said.split_once('#').unwrap_or((&said, ""));
            format!("timeout 2 script -qec '{}' /dev/null", said.trim())
        } else {
            said
        };
        let _ = write!(
            script,
            "{{ {said}\n}} </dev/null\nprintf '\\n{MARK}%s\\n' $?\n"
        );
    }
    let done = host.run(&["bash", "-c", &script]);
    let printed = String::from_utf8_lossy(&done.stdout);
    let mark = format!("\n{MARK}");
    let mut parts = printed.split(&mark);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for command in block.commands.iter().filter(|it| made(&it.text).is_none()) {
        let Some((code, rest)) = parts.next().and_then(|part| part.split_once('\n')) else {
            wrong.push((command.line, format!("it was not run: {printed}")));
            break;
        };
        // What never ends by itself is ended.
        let ended = [" -N ", " --watch"]
            .iter()
            .any(|it| command.text.contains(it));
        let code: i32 = code.parse().unwrap();
        if !(command.codes().contains(&code) || ended && code == 124) {
            wrong.push((
                command.line,
                format!("`{}` exits with {code}: {text}", command.text),
            ));
        }
        let shown = command.prints.as_deref().unwrap_or_default();
        if command.prints.is_some() && !block.has("varies") && plain(shown) != plain(&text) {
            wrong.push((
                command.line,
                format!("`{}` prints\n{text}and not\n{shown}", command.text),
            ));
        }
        rest.clone_into(&mut text);
    }
    wrong
}

/// What is made of a `make` command, whose tools a host lacks: whether there is such a target.
fn made(command: &str) -> Option<Result<(), String>> {
    let line = command.split('#').next().unwrap();
    let parts: Vec<_> = line
        .split("&&")
        .map(|part| part.trim().trim_start_matches("sudo "))
        .collect();
    if !parts.iter().all(|part| part.starts_with("make ")) {
        return None;
    }
    for part in parts {
        let done = Command::new("make")
            .arg("-n")
            .args(part.split_whitespace().skip(1))
            .env_remove("MAKEFLAGS")
            .current_dir(root())
            .output()
            .unwrap();
        if !done.status.success() {
            return Some(Err(format!(
                "`{part}`: {}",
                String::from_utf8_lossy(&done.stderr)
            )));
        }
    }
    Some(Ok(()))
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
