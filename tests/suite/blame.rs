//! The file and line that a fault is laid to, each held against the real fail2ban: what it finds
//! wrong is settled, and the line that is named decides what it sends.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use jailwarden::fail2ban::Instance;
use jailwarden::fail2ban::blame::{At, Blame};
use jailwarden::fail2ban::dump::{self, DumpError};
use jailwarden::fail2ban::finding::Finding;

/// A guard against a hang; no run comes near it.
const LIMIT: Duration = Duration::from_secs(120);

/// The roots of the fail2bans that are here: the installed one, and the unpacked ones.
fn roots() -> Vec<PathBuf> {
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/fail2ban");
    let others = ["1.1.0", "1.1.1"].map(|version| unpacked.join(version));
    let mut roots = vec![PathBuf::from("/")];
    roots.extend(others.into_iter().filter(|root| root.exists()));
    roots
}

/// A copy of a stock config, in which no jail is enabled.
struct Scratch {
    folder: tempfile::TempDir,
    root: PathBuf,
}

impl Scratch {
    fn new(root: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let copied = Command::new("cp")
            .arg("-r")
            .arg(root.join("etc/fail2ban"))
            .arg(folder.path().join("etc"))
            .status();
        assert!(copied.unwrap().success());
        let scratch = Self {
            folder,
            root: root.to_owned(),
        };
        scratch.write("jail.d/defaults-debian.conf", "");
        scratch
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("etc")
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.dir().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn instance(&self) -> Instance {
        let packages = self.root.join("usr/lib/python3/dist-packages");
        let client = vec![
            "env".into(),
            format!("PYTHONPATH={}", packages.display()).into(),
            "/usr/bin/python3".into(),
            self.root.join("usr/bin/fail2ban-client").into(),
        ];
        Instance {
            client,
            config_dir: self.dir(),
            socket: self.folder.path().join("sock"),
            pid_file: self.folder.path().join("pid"),
        }
    }

    /// What fail2ban sends for a jail, as text; empty if it refuses.
    async fn sent(&self, jail: &str) -> String {
        let dump = dump::dump(&self.instance(), LIMIT).await;
        let jails = dump.map(|dump| dump.stream.jails).unwrap_or_default();
        let of_jail = jails.into_iter().find(|stream| stream.name == jail);
        of_jail.map(|stream| stream.text).unwrap_or_default()
    }

    /// What is wrong, settled: jail and place below the folder.
    async fn settled(&self) -> Vec<(Option<String>, String)> {
        let findings: Vec<Finding> = match dump::dump(&self.instance(), LIMIT).await {
            Ok(dump) => dump.findings,
            Err(DumpError::Unreadable { findings }) => findings,
            Err(other) => panic!("{other}"),
        };
        let settled = Blame::open(&self.dir()).settle(findings);
        let shown = settled.into_iter().map(|finding| {
            let file = finding.file.unwrap_or_default();
            let file = file.strip_prefix(self.dir()).unwrap_or(&file).display();
            let line = finding.line.map_or_else(|| "-".into(), |l| l.to_string());
            (finding.jail, format!("{file}:{line}"))
        });
        shown.collect()
    }

    fn place(&self, jail: &str, at: &At) -> Option<String> {
        let place = Blame::open(&self.dir()).place(jail, at)?;
        let file = place.file.strip_prefix(self.dir()).unwrap().display();
        Some(format!("{file}:{}", place.line))
    }

    /// Puts other words in the place of the first `old` in one line of a file.
    fn change(&self, place: &str, old: &str, new: &str) {
        let (file, number) = place.rsplit_once(':').unwrap();
        let path = self.dir().join(file);
        let text = fs::read_to_string(&path).unwrap();
        let number: usize = number.parse().unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let line = &mut lines[number - 1];
        assert!(line.contains(old), "{place} is {line:?}, without {old:?}");
        *line = line.replacen(old, new, 1);
        fs::write(path, lines.join("\n")).unwrap();
    }
}

type Files = &'static [(&'static str, &'static str)];

/// Some files, and where a setting of the jail `web` comes from.
struct Case {
    name: &'static str,
    files: Files,
    option: &'static str,
    value: &'static str,
    /// `FILE:LINE`.
    place: &'static str,
    /// A word of that line; another in its place changes what fail2ban sends.
    word: &'static str,
}

const WEB: &str = "[web]\nenabled = true\nfilter = web\nlogpath = /dev/null\naction =\n";
const FILTER: (&str, &str) = ("filter.d/web.conf", "[Definition]\nfailregex = a <HOST>\n");

const CASES: &[Case] = &[
    Case {
        name: "in the jail",
        files: &[
            ("jail.local", WEB),
            ("jail.d/x.conf", "[web]\nbantime = 11\n"),
            FILTER,
        ],
        option: "bantime",
        value: "11",
        place: "jail.d/x.conf:2",
        word: "11",
    },
    Case {
        name: "jail.local after jail.d/*.conf",
        files: &[
            ("jail.d/z.conf", "[web]\nfindtime = 7\nbantime = 10\n"),
            (
                "jail.local",
                "[web]\nenabled = true\nfilter = web\nlogpath = /dev/null\naction =\n\n# why\nbantime = 11\n",
            ),
            FILTER,
        ],
        option: "bantime",
        value: "11",
        place: "jail.local:8",
        word: "11",
    },
    Case {
        name: "jail.d/*.local last, and of those the last by name",
        files: &[
            ("jail.local", WEB),
            ("jail.d/b.local", "[web]\nbantime = 12\n"),
            ("jail.d/a.local", "[web]\nbantime = 11\n"),
            FILTER,
        ],
        option: "bantime",
        value: "12",
        place: "jail.d/b.local:2",
        word: "12",
    },
    Case {
        name: "a section beats any default",
        files: &[
            ("jail.d/a.conf", "[web]\nbantime = 11\n"),
            ("jail.local", WEB),
            ("jail.d/z.local", "[DEFAULT]\nbantime = 12\n"),
            FILTER,
        ],
        option: "bantime",
        value: "11",
        place: "jail.d/a.conf:2",
        word: "11",
    },
    Case {
        name: "the last default",
        files: &[
            ("jail.local", WEB),
            ("jail.d/z.local", "[DEFAULT]\nbantime = 12\n"),
            FILTER,
        ],
        option: "bantime",
        value: "12",
        place: "jail.d/z.local:2",
        word: "12",
    },
    Case {
        name: "through references",
        files: &[
            ("jail.local", WEB),
            (
                "jail.d/a.conf",
                "[DEFAULT]\nlong = 13\nlonger = %(long)s\n[web]\nbantime = %(longer)s\n",
            ),
            FILTER,
        ],
        option: "bantime",
        value: "13",
        place: "jail.d/a.conf:2",
        word: "13",
    },
    Case {
        name: "what an earlier file said",
        files: &[
            ("jail.d/a.conf", "[web]\nbantime = 14\n"),
            (
                "jail.local",
                "[web]\nenabled = true\nfilter = web\nlogpath = /dev/null\naction =\nbantime = %(known/bantime)s\n",
            ),
            FILTER,
        ],
        option: "bantime",
        value: "14",
        place: "jail.d/a.conf:2",
        word: "14",
    },
    Case {
        name: "upper case, a colon, a comment at the end",
        files: &[
            ("jail.local", WEB),
            ("jail.d/x.conf", "[web]\n\tBanTime: 11 ; years\n"),
            FILTER,
        ],
        option: "bantime",
        value: "11",
        place: "jail.d/x.conf:2",
        word: "11",
    },
    Case {
        name: "carriage returns",
        files: &[
            ("jail.local", WEB),
            ("jail.d/x.conf", "[web]\r\n# c\r\n\r\nbantime = 11\r\n"),
            FILTER,
        ],
        option: "bantime",
        value: "11",
        place: "jail.d/x.conf:4",
        word: "11",
    },
    Case {
        name: "a word of a list",
        files: &[
            ("jail.local", WEB),
            (
                "jail.d/x.conf",
                "[web]\nignoreip = 10.0.0.1\n  10.0.0.11\n\n  10.0.0.111\n",
            ),
            FILTER,
        ],
        option: "addignoreip",
        value: "10.0.0.11",
        place: "jail.d/x.conf:3",
        word: "10.0.0.11",
    },
    Case {
        name: "the third line of the filter, with comments and gaps",
        files: &[
            ("jail.local", WEB),
            (
                "filter.d/web.conf",
                "[Definition]\n\nfailregex = ^a <HOST>\n            ^b <HOST>\n\n# no\n;neither\n            ^c#d <HOST> ; gone\n",
            ),
        ],
        option: "failregex",
        value: "^c#d <HOST>",
        place: "filter.d/web.conf:8",
        word: "^c#d",
    },
    Case {
        name: "the filter's .local over its .conf",
        files: &[
            ("jail.local", WEB),
            ("filter.d/web.conf", "[Definition]\nfailregex = ^a <HOST>\n"),
            (
                "filter.d/web.local",
                "[Definition]\nfailregex = ^b <HOST>\n",
            ),
        ],
        option: "failregex",
        value: "^b <HOST>",
        place: "filter.d/web.local:2",
        word: "^b",
    },
    Case {
        name: "the filter's .local beside what its .conf said",
        files: &[
            ("jail.local", WEB),
            (
                "filter.d/web.conf",
                "[Definition]\nfailregex = ^a <HOST>\n  ^b <HOST>\n",
            ),
            (
                "filter.d/web.local",
                "[Definition]\nfailregex = %(known/failregex)s\n  ^c <HOST>\n",
            ),
        ],
        option: "failregex",
        value: "^b <HOST>",
        place: "filter.d/web.conf:3",
        word: "^b",
    },
    Case {
        name: "the jail beside what the filter says",
        files: &[
            ("jail.local", WEB),
            (
                "jail.d/x.conf",
                "[web]\nfailregex = %(known/failregex)s\n  ^c <HOST>\n",
            ),
            (
                "filter.d/web.conf",
                "[Definition]\nfailregex = ^a <HOST>\n  ^b <HOST>\n",
            ),
        ],
        option: "failregex",
        value: "^b <HOST>",
        place: "filter.d/web.conf:3",
        word: "^b",
    },
    Case {
        name: "the jail in the filter's stead",
        files: &[
            ("jail.local", WEB),
            ("jail.d/x.conf", "[web]\nfailregex =\n  ^c <HOST>\n"),
            FILTER,
        ],
        option: "failregex",
        value: "^c <HOST>",
        place: "jail.d/x.conf:3",
        word: "^c",
    },
    Case {
        name: "an argument of the filter",
        files: &[
            ("jail.local", WEB),
            (
                "jail.d/x.local",
                "[web]\nfilter = web[x=y,\n  failregex=\"^c <HOST>\"]\n",
            ),
            FILTER,
        ],
        option: "failregex",
        value: "^c <HOST>",
        place: "jail.d/x.local:3",
        word: "^c",
    },
    Case {
        name: "includes before and after, and the .local of one",
        files: &[
            ("jail.local", WEB),
            (
                "filter.d/web.conf",
                "[INCLUDES]\nbefore = b1.conf\n  b2.conf\nafter = a.conf\n[Definition]\nprefregex = ^x <F-CONTENT>.+</F-CONTENT>$\nfailregex = %(start)s <HOST>\n",
            ),
            (
                "filter.d/b1.conf",
                "[Definition]\nprefregex = ^b1 <F-CONTENT>.+</F-CONTENT>$\n",
            ),
            ("filter.d/b2.conf", "[DEFAULT]\nstart = ^s\n"),
            ("filter.d/a.conf", "[Definition]\nx = y\n"),
            (
                "filter.d/a.local",
                "[Definition]\nprefregex = ^al <F-CONTENT>.+</F-CONTENT>$\n",
            ),
        ],
        option: "prefregex",
        value: "^al <F-CONTENT>.+</F-CONTENT>$",
        place: "filter.d/a.local:2",
        word: "^al",
    },
    Case {
        name: "an expression and the prefix that it uses: the expression",
        files: &[
            ("jail.local", WEB),
            (
                "filter.d/web.conf",
                "[INCLUDES]\nbefore = b.conf\n[Definition]\nfailregex = ^%(start)s-<more> <HOST>\nmore = m\n",
            ),
            ("filter.d/b.conf", "[DEFAULT]\nstart = s\n"),
        ],
        option: "failregex",
        value: "^s-m <HOST>",
        place: "filter.d/web.conf:4",
        word: "^%",
    },
    Case {
        name: "a tag chosen by a mode",
        files: &[
            ("jail.local", WEB),
            ("jail.d/x.local", "[web]\nfilter = web[mode=hard]\n"),
            (
                "filter.d/web.conf",
                "[Definition]\nre-easy = ^e <HOST>\nre-hard = ^h <HOST>\n  ^h2 <HOST>\nfailregex = ^a <HOST>\n  <re-<mode>>\nmode = easy\n",
            ),
        ],
        option: "failregex",
        value: "^h2 <HOST>",
        place: "filter.d/web.conf:4",
        word: "^h2",
    },
    Case {
        name: "a loop of includes",
        files: &[
            ("jail.local", WEB),
            (
                "filter.d/web.conf",
                "[INCLUDES]\nbefore = a.conf\n[Definition]\nfailregex = ^w <HOST>\n",
            ),
            (
                "filter.d/a.conf",
                "[INCLUDES]\nbefore = web.conf\n  a.conf\nafter = nope.conf\n[Definition]\nignoreregex = ^i\n",
            ),
        ],
        option: "ignoreregex",
        value: "^i",
        place: "filter.d/a.conf:6",
        word: "^i",
    },
    Case {
        name: "an argument of an action",
        files: &[
            ("jail.local", WEB),
            (
                "jail.d/x.local",
                "[web]\nport = 81\naction = %(action_)s\n  act[name=two, timeout='soon',\n  foo=bar]\n  act\n",
            ),
            (
                "action.d/act.conf",
                "[Definition]\nactionban = true <foo>\n[Init]\ntimeout = 1\n",
            ),
            FILTER,
        ],
        option: "action act-two.timeout",
        value: "soon",
        place: "jail.d/x.local:4",
        word: "soon",
    },
    Case {
        name: "an action's own file",
        files: &[
            ("jail.local", WEB),
            (
                "jail.d/x.local",
                "[web]\nbanaction = act\naction = %(banaction)s[a=b]\n",
            ),
            (
                "action.d/act.conf",
                "[Definition]\nactionstart = true\nactionban = one <a>\n  two\n[Init]\ntimeout = soon\n",
            ),
            FILTER,
        ],
        option: "action act.timeout",
        value: "soon",
        place: "action.d/act.conf:6",
        word: "soon",
    },
];

/// The place is the one expected, and it is the one that fail2ban heeds: other words there change
/// what it sends.
#[tokio::test]
async fn the_line_that_is_named_is_the_one_that_counts() {
    for root in roots() {
        for case in CASES {
            let scratch = Scratch::new(&root);
            for (file, text) in case.files {
                scratch.write(file, text);
            }
            let name = format!("{} with {}", case.name, root.display());
            let before = scratch.sent("web").await;
            assert!(!before.is_empty(), "{name}");
            let at = At::from_option(case.option, Some(case.value));
            let place = scratch.place("web", &at);
            assert_eq!(place.as_deref(), Some(case.place), "{name}");
            scratch.change(case.place, case.word, &format!("9{}", case.word));
            let after = scratch.sent("web").await;
            assert_ne!(before, after, "{name}");
        }
    }
}

/// Some files, and each jail and place that comes of what fail2ban finds wrong with them.
struct Fault {
    name: &'static str,
    files: Files,
    found: &'static [(&'static str, &'static str)],
}

/// Those that `tests/faults` does not have.
const FAULTS: &[Fault] = &[
    Fault {
        name: "no filter of the jail's own name",
        files: &[(
            "jail.d/web.conf",
            "# c\n[web]\nenabled = true\nlogpath = /dev/null\naction =\n",
        )],
        found: &[("web", "jail.d/web.conf:2")],
    },
    Fault {
        name: "no log file",
        files: &[(
            "jail.d/web.conf",
            "[web]\nenabled = true\nfilter = sshd\naction =\nbackend = polling\nlogpath =\n  /nope/a\n",
        )],
        found: &[("web", "jail.d/web.conf:6")],
    },
    Fault {
        name: "numbers that are none: one refers to the other",
        files: &[
            ("jail.d/web.conf", WEB_STOCK_ACTION),
            ("jail.d/x.conf", "[web]\nmaxretry = abc\n"),
        ],
        found: &[("web", "jail.d/x.conf:2"), ("web", "jail.d/x.conf:2")],
    },
    Fault {
        name: "an unknown reference",
        files: &[
            ("jail.d/web.conf", WEB_STOCK_ACTION),
            ("jail.d/x.conf", "[web]\nxx = %(nope)s\nlogpath = %(xx)s\n"),
        ],
        found: &[("web", "jail.d/x.conf:2")],
    },
    Fault {
        name: "an unknown reference in a default takes down each jail that has it",
        files: &[
            ("jail.d/web.conf", WEB_STOCK_ACTION),
            (
                "jail.d/two.conf",
                "[two]\nenabled = true\nfilter = sshd\nlogpath = /dev/null\n[off]\n[own]\nenabled = true\nfilter = sshd\nlogpath = /dev/null\nbantime = 1\n",
            ),
            ("jail.local", "[DEFAULT]\nbantime = %(nope)s\n"),
        ],
        found: &[("two", "jail.local:2"), ("web", "jail.local:2")],
    },
    Fault {
        name: "an unknown reference in a filter that two jails share",
        files: &[
            (
                "jail.d/web.conf",
                "[web]\nenabled = true\nfilter = f\nlogpath = /dev/null\n[two]\nenabled = true\nfilter = f\nlogpath = /dev/null\n[three]\nenabled = true\nfilter = sshd\nlogpath = /dev/null\n[off]\nfilter = f\n",
            ),
            (
                "filter.d/f.conf",
                "[Definition]\nfailregex = <HOST>\n  %(nope)s\n",
            ),
        ],
        found: &[("two", "filter.d/f.conf:3"), ("web", "filter.d/f.conf:3")],
    },
    Fault {
        name: "junk in what two filters include",
        files: &[
            (
                "jail.d/web.conf",
                "[web]\nenabled = true\nfilter = f\nlogpath = /dev/null\n[two]\nenabled = true\nfilter = g\nlogpath = /dev/null\n[three]\nenabled = true\nfilter = sshd\nlogpath = /dev/null\n",
            ),
            (
                "filter.d/f.conf",
                "[INCLUDES]\nbefore = h.conf\n[Definition]\nfailregex = <HOST>\n",
            ),
            (
                "filter.d/g.conf",
                "[INCLUDES]\nafter = h.conf\n[Definition]\nfailregex = <HOST>\n",
            ),
            ("filter.d/h.conf", "[Definition]\nx = y\njunk\n"),
        ],
        found: &[("two", "filter.d/h.conf:3"), ("web", "filter.d/h.conf:3")],
    },
];

const WEB_STOCK_ACTION: &str =
    "[web]\nenabled = true\nfilter = sshd\nlogpath = /dev/null\nbackend = polling\n";

#[tokio::test]
async fn each_complaint_gets_the_line_at_fault_and_each_jail_that_goes_down() {
    for root in roots() {
        for fault in FAULTS {
            let scratch = Scratch::new(&root);
            for (file, text) in fault.files {
                scratch.write(file, text);
            }
            let found = scratch.settled().await;
            let found: Vec<(&str, &str)> = found
                .iter()
                .map(|(jail, place)| (jail.as_deref().unwrap_or_default(), place.as_str()))
                .collect();
            assert_eq!(found, fault.found, "{} with {}", fault.name, root.display());
        }
    }
}

/// fail2ban 1.0.2 leaves such a file out, later ones refuse it; the line is the same.
#[tokio::test]
async fn the_line_that_is_not_utf_8_is_named() {
    for root in roots() {
        let scratch = Scratch::new(&root);
        scratch.write("jail.d/web.conf", WEB_STOCK_ACTION);
        scratch.write("jail.d/x.conf", b"[web]\n# caf\xe9\nbantime = 1\n");
        let place = (None, "jail.d/x.conf:2".to_owned());
        assert_eq!(scratch.settled().await, [place], "{}", root.display());
        let at = At::from_option("bantime", None);
        assert!(scratch.place("web", &at).unwrap().starts_with("jail.conf:"));
    }
}
