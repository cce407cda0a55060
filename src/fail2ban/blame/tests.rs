//! Held against fail2ban itself: the values followed here must be those that it sends.

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
            [set, _, option, values @ ..] if set.as_str() == Some("set") => {
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
