//! Held against fail2ban itself: the values followed here must be those that it sends.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::pickle::Value as Literal;
use super::super::stream::Stream;
use super::*;

/// The roots of the fail2bans that are here: the installed one, and the unpacked ones.
fn roots() -> Vec<PathBuf> {
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/fail2ban");
    let others = ["1.1.0", "1.1.1"].map(|version| unpacked.join(version));
    let mut roots = vec![PathBuf::from("/")];
    roots.extend(others.into_iter().filter(|root| root.exists()));
    roots
}

/// A copy of a stock config.
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
        let root = root.to_owned();
        Self { folder, root }
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("etc")
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.dir().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// What `fail2ban-client -d` makes of it.
    fn stream(&self) -> Stream {
        let packages = self.root.join("usr/lib/python3/dist-packages");
        let output = Command::new("/usr/bin/python3")
            .arg(self.root.join("usr/bin/fail2ban-client"))
            .arg("-c")
            .arg(self.dir())
            .arg("-d")
            .env("PYTHONPATH", packages)
            .env("LC_ALL", "C.UTF-8")
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}", stderr);
        Stream::parse(&String::from_utf8(output.stdout).unwrap()).unwrap()
    }
}

/// What is not sent as it stands in the files: split in words, found by a pattern, or with a value
/// that only fail2ban knows.
const CHANGED_ON_THE_WAY: [&str; 4] = [
    "addjournalmatch",
    "addlogpath",
    "ignorecommand",
    "addaction",
];

/// What the commands of a jail set: option or `action NAME.OPTION`, and the values.
fn sent(commands: &[Literal]) -> Vec<(String, Vec<String>)> {
    let texts = |values: &[Literal]| -> Vec<String> {
        values
            .iter()
            .filter_map(|v| v.as_str().map(str::to_owned))
            .collect()
    };
    let mut sent = Vec::new();
    for command in commands {
        let Literal::List(words) = command else {
            continue;
        };
        match words.as_slice() {
            [verb, _, kind, name, pairs @ ..] if kind.as_str() == Some("action") => {
                let pairs = match pairs {
                    [Literal::List(pairs)] => pairs.clone(),
                    pair => vec![Literal::List(pair.to_vec())],
                };
                for pair in pairs {
                    let Literal::List(pair) = pair else { continue };
                    if let [Literal::Str(option), Literal::Str(value)] = pair.as_slice() {
                        let name = name.as_str().unwrap();
                        let option = format!("action {name}.{option}");
                        sent.push((option, vec![value.clone()]));
                    }
                }
                assert!(verb.as_str().is_some());
            }
            [_, _, option, Literal::List(values)] => {
                sent.push((option.as_str().unwrap().to_owned(), texts(values)));
            }
            [verb, _, option, values @ ..] if verb.as_str() == Some("set") => {
                sent.push((option.as_str().unwrap().to_owned(), texts(values)));
            }
            _ => {}
        }
    }
    sent
}

/// The text that our reading gives to what was sent.
fn ours(files: &mut Files, jail: &Jail, at: &At) -> Vec<String> {
    let values: Vec<Value> = match at {
        At::Action { action, option, .. } => jail
            .actions(files)
            .iter()
            .filter(|part| part.reference.action_name(&jail.name) == *action)
            .filter_map(|part| Some(part.combined(option.as_deref()?, jail.vars())?.0))
            .collect(),
        At::Option { name, .. } => {
            let own = jail.option(name);
            own.into_iter()
                .chain(jail.of_filter(name).map(|(value, _)| value))
                .collect()
        }
        At::Jail => Vec::new(),
    };
    values
        .iter()
        .map(|value| value.text.text().to_owned())
        .collect()
}

#[test]
fn every_value_of_the_stock_jails_is_followed_as_fail2ban_does() {
    for root in roots() {
        let scratch = Scratch::new(&root);
        let mut blame = Blame::open(&scratch.dir());
        let overlay: Vec<String> = blame
            .jail_names()
            .iter()
            .map(|name| format!("[{name}]\nenabled = true\n"))
            .collect();
        assert!(overlay.len() > 80, "{}", overlay.len());
        scratch.write("jail.d/all.local", overlay.concat());
        let mut files = Files::new(&scratch.dir());
        let (mut same, mut differ) = (0, Vec::new());
        for stream in scratch.stream().jails {
            let jail = Jail::whole(&mut files, &stream.name).unwrap();
            for (option, values) in sent(&stream.commands().unwrap()) {
                if CHANGED_ON_THE_WAY.contains(&option.as_str()) {
                    continue;
                }
                let ours = ours(&mut files, &jail, &At::from_option(&option, None));
                for value in values {
                    let says_it =
                        |text: &String| *text == value || text.lines().any(|line| line == value);
                    if ours.iter().any(says_it) {
                        same += 1;
                    } else {
                        differ.push(format!("{} {option}: {value:?} {ours:#?}", jail.name));
                    }
                }
            }
        }
        assert_eq!(differ, [""; 0], "{}", differ.join("\n"));
        assert!(same > 2_000, "{same}");
    }
}

type Lines = &'static [(u32, &'static str)];
type Options = &'static [(&'static str, Lines)];
type Arguments = &'static [(&'static str, &'static str)];
type References = &'static [(&'static str, Arguments)];

/// The options of a text as `SECTION.OPTION@LINE`, and the value's lines.
fn parsed(text: &str) -> Vec<(String, Vec<(u32, String)>)> {
    let mut found = Vec::new();
    for section in ini::Ini::parse(text).sections {
        for option in section.options {
            let name = format!("{}.{}@{}", section.name, option.name, option.line);
            found.push((name, option.value.clone()));
        }
    }
    found
}

#[test]
fn files_are_read_as_configparser_reads_them() {
    let cases: &[(&str, Options)] = &[
        ("[a]\nX = 1\n", &[("a.x@2", &[(2, "1")])]),
        ("\u{feff}[a]\nx: 1=2\n", &[("a.x@2", &[(2, "1=2")])]),
        (
            "[a]\rx=1\r\n\r y\n",
            &[("a.x@2", &[(2, "1"), (3, ""), (4, "y")])],
        ),
        (
            "[a]\nx =\n  b\n # c\n\n  d;e ;f\n\n\n",
            &[("a.x@2", &[(2, ""), (3, "b"), (5, ""), (6, "d;e")])],
        ),
        (
            "[a]\n  x = 1\n  y = 2\n   z = 3\n",
            &[("a.x@2", &[(2, "1")]), ("a.y@3", &[(3, "2"), (4, "z = 3")])],
        ),
        (
            "[a]\n x = 1\n[b]\n  y = 2\n",
            &[("a.x@2", &[(2, "1")]), ("b.y@4", &[(4, "2")])],
        ),
        (
            "[a]\nx = 1\n  [b]\ny = [c]\n",
            &[("a.x@2", &[(2, "1"), (3, "[b]")]), ("a.y@4", &[(4, "[c]")])],
        ),
        (
            "[a]\nx = #1\n  #2\n  3\n;4\n",
            &[("a.x@2", &[(2, "#1"), (4, "3")])],
        ),
        (
            "x = 1\n[a]\njunk\n= 2\nx = 1\nx = 2\n",
            &[("a.x@6", &[(6, "2")])],
        ),
        (
            "[a]\nx = 1\n[a]\ny = 2\n",
            &[("a.x@2", &[(2, "1")]), ("a.y@4", &[(4, "2")])],
        ),
        ("[a] b\n[]\n[a]b]\nx=1", &[("a]b.x@4", &[(4, "1")])]),
    ];
    for (text, expected) in cases {
        let expected = expected.iter().map(|(name, lines)| {
            let lines = lines.iter().map(|(at, line)| (*at, (*line).to_owned()));
            ((*name).to_owned(), lines.collect::<Vec<_>>())
        });
        assert_eq!(parsed(text), expected.collect::<Vec<_>>(), "{text:?}");
    }
}

#[test]
fn references_are_taken_apart_as_fail2ban_does() {
    let mut files = Files::new(Path::new("/nonexistent"));
    assert!(files.open(Path::new("/nonexistent")).is_none());
    let file = files.open(Path::new("/etc/fail2ban/jail.conf")).unwrap();
    let cases: &[(&str, References)] = &[
        ("", &[]),
        ("a", &[("a", &[])]),
        (
            " a\n b[x=1]\tc ",
            &[("a", &[]), ("b", &[("x", "1")]), ("c", &[])],
        ),
        (
            "a[x=\"1, ]\", y='\"',\n z= 3 ] b",
            &[("a", &[("x", "1, ]"), ("y", "\""), ("z", "3")]), ("b", &[])],
        ),
        (
            "a[x=1][y=2] [z=3] b",
            &[("a", &[("x", "1"), ("y", "2"), ("z", "3")]), ("b", &[])],
        ),
        ("a[x=it's] b", &[("a", &[("x", "it's")]), ("b", &[])]),
        ("a[x=1, b", &[("a", &[("x", "1")]), ("b", &[])]),
    ];
    for (text, expected) in cases {
        let traced = traced::Traced::of(text, Origin { file, line: 1 });
        let list = reference::Reference::list(&traced);
        let list: Vec<(&str, Vec<(&str, &str)>)> = list
            .iter()
            .map(|reference| {
                let arguments = reference.arguments.iter();
                let arguments = arguments.map(|(name, value)| (name.as_str(), value.text()));
                (reference.name.text(), arguments.collect())
            })
            .collect();
        let expected = expected.iter().map(|(name, list)| (*name, list.to_vec()));
        assert_eq!(list, expected.collect::<Vec<_>>(), "{text:?}");
    }
}

/// Includes, references and tags that would grow without end cost little, and the option is found
/// all the same.
#[test]
fn what_grows_without_end_is_cut_short() {
    let scratch = Scratch::new(Path::new("/"));
    let mut bomb = String::from("[DEFAULT]\n");
    for level in 0..30 {
        let next = level + 1;
        let twice =
            format!("%(v{next})s%(v{next})s%(v{next})s%(v{next})s <t{next}><t{next}><t{next}>");
        writeln!(bomb, "v{level} = {twice}\nt{level} = {twice}").unwrap();
    }
    let includes = "[INCLUDES]\nbefore = b.conf\n  b.conf\n  c.conf\nafter = b.conf\n  c.conf\n";
    scratch.write("filter.d/b.conf", includes);
    scratch.write("filter.d/c.conf", includes);
    scratch.write(
        "filter.d/f.conf",
        format!("{includes}{bomb}[Definition]\nfailregex = <t0> %(v0)s\n"),
    );
    let jail = "[web]\nenabled = true\nfilter = f\n";
    scratch.write("jail.d/web.conf", format!("{bomb}{jail}bantime = %(v0)s\n"));
    let mut blame = Blame::open(&scratch.dir());
    let place = |blame: &mut Blame, option, value| {
        let place = blame.place("web", &At::from_option(option, value)).unwrap();
        (place.file, place.text)
    };
    let (file, text) = place(&mut blame, "failregex", Some("^nowhere"));
    assert!(file.ends_with("filter.d/f.conf"), "{text}");
    assert!(text.starts_with("failregex ="), "{text}");
    let (file, text) = place(&mut blame, "bantime", Some("nowhere"));
    assert!(file.ends_with("jail.d/web.conf"));
    assert_eq!(text, "bantime = %(v0)s");
}

#[test]
fn what_is_not_set_is_laid_to_what_stands_for_it() {
    let scratch = Scratch::new(Path::new("/"));
    scratch.write("jail.d/web.conf", "[web]\nfilter = sshd\naction = a\n  b\n");
    let mut blame = Blame::open(&scratch.dir());
    let mut text = |option: &str, value: Option<&str>| {
        let place = blame.place("web", &At::from_option(option, value));
        place.map(|place| (place.line, place.text))
    };
    let at = |line: u32, text: &str| Some((line, text.to_owned()));
    assert_eq!(text("logtimezone", None), at(1, "[web]"));
    assert_eq!(text("prefregex2", Some("x")), at(1, "[web]"));
    assert_eq!(text("action b.actionban", Some("x")), at(4, "b"));
    assert_eq!(text("action nope.actionban", None), at(3, "action = a"));
    assert_eq!(text("addaction", Some("b")), at(4, "b"));
    assert_eq!(blame.place("none", &At::Jail), None);
    assert_eq!(
        blame.server_place("loglevel").unwrap().text,
        "loglevel = INFO"
    );
    assert_eq!(blame.server_place("nope"), None);
}

#[test]
fn the_jails_that_share_a_line_are_told() {
    let scratch = Scratch::new(Path::new("/"));
    scratch.write("jail.d/defaults-debian.conf", "");
    scratch.write(
        "jail.d/x.conf",
        "[DEFAULT]\nbanaction = dummy\nbantime = 7\n\
         [one]\nenabled = 1\nfilter = sshd\n\
         [two]\nenabled = TRUE\nfilter = dovecot\nbantime = 8\n\
         [three]\nenabled = on\nfilter = sshd\naction =\n\
         [four]\nenabled = y\nfilter = sshd\n",
    );
    let mut blame = Blame::open(&scratch.dir());
    let enabled = blame.enabled_jails();
    assert_eq!(enabled, ["one", "three", "two"]);
    let mut using = |file: &str, line: u32| {
        let file = scratch.dir().join(file);
        let text = String::new();
        blame.jails_using(&Place { file, line, text }, &enabled)
    };
    assert_eq!(using("jail.d/x.conf", 2), ["one", "two"]);
    assert_eq!(using("jail.d/x.conf", 3), ["one", "three"]);
    assert_eq!(using("jail.d/x.conf", 8), ["two"]);
    assert_eq!(using("filter.d/sshd.conf", 1), ["one", "three"]);
    assert_eq!(using("filter.d/common.conf", 1), ["one", "three", "two"]);
    assert_eq!(using("action.d/dummy.conf", 9), ["one", "two"]);
    assert_eq!(using("action.d/nope.conf", 9), [""; 0]);
}

proptest::proptest! {
    /// Nothing panics, whatever the files hold.
    #[test]
    fn anything_can_be_read(
        jail in "([a-z%()s/\\[\\]=;#<>'\", \n\r\u{e9}-]|%\\(known/|filter = |\n\\[web\\]\n|action = ){0,80}",
        value in "[a-z%<>\u{e9} \n]{0,6}",
    ) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("jail.conf"), format!("[web]\nenabled = 1\n{jail}")).unwrap();
        let mut blame = Blame::open(folder.path());
        for option in ["failregex", "action", "logpath", "action a.b"] {
            blame.place("web", &At::from_option(option, Some(&value)));
        }
        let words = format!("bad interpolation variable reference '{value}'");
        let finding = super::super::finding::Finding::new(
            super::super::finding::FindingKind::Unreadable, None, words,
        );
        assert!(!blame.settle(vec![finding]).is_empty());
    }
}

/// What fail2ban makes of it decides: the jail runs, or it does not and the word is one for false, or it is told.
#[test]
fn a_word_that_is_neither_true_nor_false_is_told() {
    let words = [
        ("true", false),
        ("YES", false),
        ("on", false),
        ("1", false),
        ("%(yes)s", false),
        ("false", false),
        ("No", false),
        ("off", false),
        ("0", false),
        ("", false),
        ("true ; of course", false),
        ("ture", true),
        ("y", true),
        ("enabled", true),
        ("true # of course", true),
        ("true,", true),
        ("\"true\"", true),
        ("2", true),
        ("%(typo)s", true),
    ];
    for root in roots() {
        let scratch = Scratch::new(&root);
        let mut text = "[DEFAULT]\nyes = true\ntypo = tru\n".to_owned();
        for (nth, (word, _)) in words.iter().enumerate() {
            write!(
                text,
                "[j{nth}]\nfilter = sshd\nlogpath = /dev/null\naction =\nenabled = {word}\n"
            )
            .unwrap();
        }
        scratch.write("jail.d/zz.local", text);
        let running = scratch.stream().started().map(str::to_owned).collect();
        let told = Blame::open(&scratch.dir()).misread(&running);
        let told: Vec<_> = told.iter().map(|it| it.jail.as_deref().unwrap()).collect();
        let mut expected = Vec::new();
        for (nth, (word, is_told)) in words.iter().enumerate() {
            let jail = format!("j{nth}");
            assert!(!(*is_told && running.contains(&jail)), "{word:?} is true");
            expected.extend(is_told.then_some(jail));
        }
        expected.sort_unstable();
        assert_eq!(told, expected, "{}", root.display());
    }
}

#[test]
fn what_is_read_as_false_is_placed() {
    let root = Path::new("/");
    let scratch = Scratch::new(root);
    scratch.write(
        "jail.d/zz.local",
        "[DEFAULT]\nignoreself = ture\n[a]\nenabled = %(word)s\nword =\n  true\n  # no\n  false\n\
         [b]\nenabled = true\nbantime.increment = yes please\n",
    );
    let running = BTreeSet::from(["b".to_owned()]);
    let told = Blame::open(&scratch.dir()).misread(&running);
    let told: Vec<_> = told.iter().map(ToString::to_string).collect();
    let file = scratch.dir().join("jail.d/zz.local");
    let line = |line, words: &str| format!("{}:{line}: {words}", file.display());
    assert_eq!(
        told,
        [
            line(6, "jail 'a': `enabled = true false` is read as false"),
            line(
                11,
                "jail 'b': `bantime.increment = yes please` is read as false"
            ),
            line(2, "jail 'b': `ignoreself = ture` is read as false"),
        ]
    );
}
