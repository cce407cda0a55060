//! The parser against what Python prints, and against `py_literal`.

use std::process::Command;

use proptest::prelude::*;

use super::*;

fn list(items: impl Into<Vec<Value>>) -> Value {
    Value::List(items.into())
}

#[test]
fn reads_each_kind() {
    for (text, value) in [
        ("None", Value::None),
        (" True ", Value::Bool(true)),
        ("False", Value::Bool(false)),
        ("-12", Value::Int(-12)),
        ("99999999999999999999", Value::Int(i64::MAX)),
        ("-99999999999999999999", Value::Int(i64::MIN)),
        ("1.5e-3", Value::Float(0.0015)),
        ("-inf", Value::Float(f64::NEG_INFINITY)),
        ("'a\"b'", "a\"b".into()),
        (r#""a'b""#, "a'b".into()),
        (
            r"'\\\'\n\t\x1b\xe4\u2028\U0001f600'",
            "\\'\n\t\u{1b}ä\u{2028}😀".into(),
        ),
        (r"b'a\xc3\xa4'", "aä".into()),
        ("[]", list([])),
        ("()", list([])),
        ("('a',)", list(["a".into()])),
        ("('a')", "a".into()),
        (
            "['a', ('b', 1)]",
            list(["a".into(), list(["b".into(), Value::Int(1)])]),
        ),
        ("{}", Value::Dict(vec![])),
        ("{'a': 1}", Value::Dict(vec![("a".into(), Value::Int(1))])),
        ("{1, 2}", list([Value::Int(1), Value::Int(2)])),
        ("set()", list([])),
    ] {
        assert_eq!(parse(text), Ok(value), "{text}");
    }
}

#[test]
fn says_where_it_breaks_off() {
    let at = |text| match parse(text) {
        Err(
            LiteralError::Expected { at, .. }
            | LiteralError::NoCharacter { at }
            | LiteralError::TooDeep { at },
        ) => at,
        Ok(value) => panic!("{text} is {value}"),
    };
    assert_eq!(at(""), 0);
    assert_eq!(at("['a' 'b']"), 5);
    assert_eq!(at("['a'"), 4);
    assert_eq!(at("'ab"), 3);
    assert_eq!(at("[1] x"), 4);
    assert_eq!(at(r"'\q'"), 1);
    assert_eq!(at(r"'\x4'"), 3);
    assert_eq!(at(r"'\x+1'"), 3);
    assert_eq!(at("{'a': 1, 'b'}"), 12);
    assert_eq!(at("--1"), 0);
    assert_eq!(
        parse(r"'a\udcff'"),
        Err(LiteralError::NoCharacter { at: 2 })
    );
    let deep = "[".repeat(100_000);
    assert_eq!(parse(&deep), Err(LiteralError::TooDeep { at: MAX_DEPTH }));
    let just = "[".repeat(MAX_DEPTH) + &"]".repeat(MAX_DEPTH);
    assert!(parse(&just).is_ok());
}

#[test]
fn a_leading_string_leaves_the_rest() {
    let path = leading_string(r#""/a'b" [line  3]: 'x'"#);
    assert_eq!(path.as_deref(), Ok("/a'b"));
    assert!(leading_string("no quote").is_err());
}

/// Every jail that Debian packages, enabled: over a thousand real lines.
#[test]
fn reads_the_stock_config_as_py_literal_does() {
    let home = tempfile::tempdir().expect("a folder");
    let etc = home.path().join("etc");
    let copied = Command::new("cp")
        .arg("-r")
        .arg("/etc/fail2ban")
        .arg(&etc)
        .status();
    assert!(copied.expect("cp runs").success());
    let all = "[DEFAULT]\nenabled = true\nbackend = polling\n";
    std::fs::write(etc.join("jail.local"), all).expect("written");
    let output = Command::new("fail2ban-client")
        .arg("-c")
        .arg(&etc)
        .args(["-s", "/nonexistent/sock", "-p", "/nonexistent/pid", "-d"])
        .env("PYTHONIOENCODING", "utf-8")
        .output()
        .expect("fail2ban-client runs");
    let printed = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(
        printed.lines().count() > 1000,
        "{} lines",
        printed.lines().count()
    );
    for line in printed.lines() {
        let ours = parse(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(Some(ours), oracle(line), "{line}");
    }
}

fn oracle(text: &str) -> Option<Value> {
    Some(translated(&text.parse().ok()?))
}

fn translated(value: &py_literal::Value) -> Value {
    use py_literal::Value as Theirs;
    let each = |items: &[Theirs]| Value::List(items.iter().map(translated).collect());
    match value {
        Theirs::String(text) => Value::Str(text.clone()),
        Theirs::Bytes(bytes) => Value::Str(String::from_utf8_lossy(bytes).into_owned()),
        Theirs::Integer(number) => Value::Int(number.to_string().parse().expect("64 bits")),
        Theirs::Float(number) => Value::Float(*number),
        Theirs::Tuple(items) | Theirs::List(items) | Theirs::Set(items) => each(items),
        Theirs::Dict(pairs) => {
            let pairs = pairs
                .iter()
                .map(|(key, value)| (translated(key), translated(value)));
            Value::Dict(pairs.collect())
        }
        Theirs::Boolean(yes) => Value::Bool(*yes),
        Theirs::None => Value::None,
        Theirs::Complex(_) => panic!("fail2ban prints no complex numbers"),
    }
}

fn any_literal() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::None),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<f64>()
            .prop_filter("finite", |f| f.is_finite())
            .prop_map(Value::Float),
        any::<String>().prop_map(Value::Str),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::List),
            prop::collection::vec((any::<String>().prop_map(Value::Str), inner), 0..4)
                .prop_map(Value::Dict),
        ]
    })
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let _ = parse(&text);
    }

    #[test]
    fn anything_like_a_literal_is_read_or_refused(text in r#"[\[\](){}'",:\\xu0-9a-f. bTrue-]{0,60}"#) {
        if let Ok(value) = parse(&text) {
            let _ = value.to_string();
        }
    }

    #[test]
    fn what_we_print_reads_back_as_it_was(value in any_literal()) {
        let text = value.to_string();
        prop_assert_eq!(parse(&text), Ok(value.clone()), "{}", &text);
        if let Some(theirs) = oracle(&text) {
            prop_assert_eq!(theirs, value);
        }
    }
}
