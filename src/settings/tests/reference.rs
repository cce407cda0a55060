//! docs/settings.md: the words of the shipped file, and of the code itself what each key takes, its
//! default, and when a change of it takes effect.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::*;

const HEAD: &str = "\
# The settings

`/etc/jailwarden/jailwarden.yaml`, or the file that `--config` names. Without the file, and for every key
that it does not set, the defaults hold; they fit the fail2ban package of Debian, and by its spec file that of
Fedora, where they were not tried.

```sh
jailwarden config check        # says what is wrong, with line and column
jailwarden config show         # the settings in force, and where each comes from
systemctl reload jailwarden    # reads the file again; a faulty one changes nothing
```

Durations are numbers with units: `500ms`, `10s`, `5m`, `1m 30s`. Most keys stand in a section:

```yaml
probe:
  interval: 30s
```

This page is made from the program (`JAILWARDEN_WRITE_DOCS=1 cargo test --lib settings_reference`).

| key | default | takes effect with a |
|---|---|---|
";

/// A settings file that sets one key.
fn only(key: &str, value: &Value) -> String {
    let (section, name) = key.split_once('.').unwrap_or(("", key));
    match section {
        "" => json!({ name: value }),
        _ => json!({ section: { name: value } }),
    }
    .to_string()
}

/// What the code says that it takes there.
fn takes(key: &str) -> String {
    let said = &complaints(&only(key, &json!({})))[0];
    let (_, expected) = said.split_once(": expected ").unwrap();
    let expected = expected.strip_suffix(", found a section").unwrap();
    match range(key) {
        Some([least, most]) => format!("a duration from {least} to {most}"),
        None => expected.to_owned(),
    }
}

/// The least and the greatest duration that the code takes there.
fn range(key: &str) -> Option<[String; 2]> {
    let limit = |value: &str, mark: &str| {
        let said = parse(&only(key, &json!(value))).err()?.to_string();
        Some(said.split_once(mark)?.1.to_owned())
    };
    Some([limit("1ns", ": at least ")?, limit("99y", ": at most ")?])
}

/// What makes a change of the key take effect.
fn wants(key: &str, other: &Value) -> &'static str {
    let (old, new) = (Settings::default(), parse(&only(key, other)).unwrap());
    assert_ne!(old, new, "{key}: {other} is no other value");
    if old.reloaded(&new) == new {
        "reload"
    } else {
        "restart"
    }
}

/// The comment of the shipped file above a key, or above those right before it.
fn words(key: &str) -> String {
    let (mut section, mut words) = (String::new(), Vec::new());
    for line in SHIPPED.lines() {
        let bare = line.trim_start();
        if let Some(comment) = bare.strip_prefix("# ") {
            words.push(comment);
        } else if let Some(setting) = bare.strip_prefix('#') {
            let name = setting.split(':').next().unwrap();
            if format!("{section}{name}") == key {
                return words.join(" ");
            }
        } else {
            words.clear();
            if let Some(name) = line.strip_suffix(':') {
                section = format!("{name}.");
            }
        }
    }
    panic!("{key} is not in the shipped file");
}

fn document() -> String {
    let (mut table, mut texts) = (HEAD.to_owned(), String::new());
    let defaults = Settings::default().values();
    let others = parse(OTHER).unwrap().values();
    for ((key, default), (_, other)) in defaults.iter().zip(&others) {
        let default = match default {
            Value::String(text) => text.clone(),
            Value::Array(words) => {
                let words: Vec<_> = words.iter().map(|word| word.as_str().unwrap()).collect();
                format!("[{}]", words.join(", "))
            }
            value => value.to_string(),
        };
        let (anchor, wants) = (key.replace('.', ""), wants(key, other));
        let short = if default.len() > 40 {
            "see below"
        } else {
            &format!("`{default}`")
        };
        let _ = writeln!(table, "| [`{key}`](#{anchor}) | {short} | {wants} |");
        let _ = write!(
            texts,
            "\n## {key}\n\n{}\n\n- takes: {}\n- default: `{default}`\n- takes effect with: \
             `systemctl {wants} jailwarden`\n",
            words(key),
            takes(key),
        );
    }
    table + &texts
}

#[test]
fn the_settings_reference_is_that_of_the_code() {
    let made = document();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/settings.md");
    if std::env::var_os("JAILWARDEN_WRITE_DOCS").is_some_and(|set| set == "1") {
        fs::write(&file, &made).unwrap();
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        kept == made,
        "{} is out of date; JAILWARDEN_WRITE_DOCS=1 writes it",
        file.display()
    );
}

#[test]
fn the_shipped_file_names_the_range_of_each_duration() {
    for key in KEYS {
        if let Some([least, most]) = range(key) {
            let range = format!("({least} to {most}");
            assert!(words(key).contains(&range), "{key}: {range}) is not said");
        }
    }
}
