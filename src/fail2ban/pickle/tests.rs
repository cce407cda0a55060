//! The decoder against what `CPython` writes, and against what nobody should.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

use super::*;

fn list(items: impl Into<Vec<Value>>) -> Value {
    Value::List(items.into())
}

fn object(class: &str, args: impl Into<Vec<Value>>) -> Value {
    Value::Object {
        class: class.to_owned(),
        args: args.into(),
    }
}

/// Runs a little Python with `input` on its stdin.
fn python(script: &str, input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("/usr/bin/python3")
        .args(["-I", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 runs");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    stdin.write_all(input).expect("python reads");
    drop(stdin);
    let output = child.wait_with_output().expect("python ends");
    assert!(output.status.success(), "python failed at {script}");
    output.stdout
}

/// What Python pickles, with each protocol from 2 to 5, and its `repr` in our terms.
#[test]
fn reads_what_python_writes() {
    let cases = [
        "None",
        "True",
        "False",
        "0",
        "255",
        "256",
        "65536",
        "-1",
        "-2147483648",
        "4294967296",
        "-9223372036854775808",
        "1.5",
        "-0.25",
        "''",
        "'häß\\n'",
        "'x' * 300",
        "[]",
        "()",
        "{}",
        "(1,)",
        "(1, 2)",
        "(1, 2, 3)",
        "(1, 2, 3, 4)",
        "[1]",
        "[[[]]]",
        "{1: 2}",
        "{'a': [1], 'b': {}}",
        "{7}",
        "frozenset([7])",
        "list(range(2000))",
    ];
    let script = format!(
        "import pickle, sys\n\
         def plain(v):\n  \
           if isinstance(v, (list, tuple, set, frozenset)): return [plain(x) for x in v]\n  \
           if isinstance(v, dict): return {{plain(k): plain(x) for k, x in v.items()}}\n  \
           return v\n\
         for v in [{}]:\n  \
           for p in range(2, 6): print(pickle.dumps(v, p).hex(), repr(plain(v)))\n",
        cases.join(", ")
    );
    let printed = String::from_utf8(python(&script, b"")).expect("UTF-8");
    assert_eq!(printed.lines().count(), cases.len() * 4);
    for line in printed.lines() {
        let (hex, repr) = line.split_once(' ').expect("two columns");
        let value = decode(&unhex(hex)).unwrap_or_else(|error| panic!("{repr}: {error}"));
        assert_eq!(value.to_string(), repr);
    }
}

fn unhex(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    let digits = digits.map(|pair| std::str::from_utf8(pair).expect("ASCII"));
    digits
        .map(|pair| u8::from_str_radix(pair, 16).expect("hex"))
        .collect()
}

fn decode_python(expression: &str, protocol: u8) -> Value {
    let script = format!(
        "import pickle, sys, collections\n\
         class Odd(Exception): pass\n\
         class Stateful(Exception):\n  \
           def __init__(self, a): super().__init__(a); self.extra = [a]\n\
         class Plain: pass\n\
         shared = ['s']; loop = []; loop.append(loop)\n\
         sys.stdout.buffer.write(pickle.dumps({expression}, {protocol}))"
    );
    decode(&python(&script, b"")).unwrap_or_else(|error| panic!("{expression}: {error}"))
}

#[test]
fn reads_objects_without_building_them() {
    for protocol in 2..=5 {
        for (expression, class, args, message) in [
            ("Odd('why')", "__main__.Odd", vec!["why".into()], "why"),
            (
                "Stateful('why')",
                "__main__.Stateful",
                vec!["why".into()],
                "why",
            ),
            ("Plain()", "__main__.Plain", vec![], "Plain"),
            ("Odd()", "__main__.Odd", vec![], "Odd"),
            (
                "Odd('a', 1)",
                "__main__.Odd",
                vec!["a".into(), Value::Int(1)],
                "('a', 1)",
            ),
        ] {
            let value = decode_python(expression, protocol);
            assert_eq!(value, object(class, args), "{expression} in {protocol}");
            assert_eq!(value.message(), message);
        }
        let set = decode_python("{1}", protocol);
        assert_eq!(set, list([Value::Int(1)]));
        let ordered = decode_python("collections.OrderedDict(a=1)", protocol);
        assert_eq!(ordered, Value::Dict(vec![("a".into(), Value::Int(1))]));
    }
}

#[test]
fn says_an_exception_as_python_does() {
    for (expression, message) in [
        ("ValueError('bad')", "bad"),
        ("KeyError('bad')", "'bad'"),
        ("ValueError(3)", "3"),
        ("OSError(2, 'No such file')", "[Errno 2] No such file"),
        (
            "OSError(2, 'No such file', '/x')",
            "[Errno 2] No such file: '/x'",
        ),
    ] {
        assert_eq!(decode_python(expression, 5).message(), message);
        let said = python(&format!("print({expression}, end='')"), b"");
        assert_eq!(String::from_utf8(said).expect("UTF-8"), message);
    }
}

#[test]
fn a_time_that_does_not_parse_is_named() {
    let place = list([
        "<string>".into(),
        Value::Int(1),
        Value::Int(4),
        "10 parsecs".into(),
    ]);
    let error = object("builtins.SyntaxError", ["invalid syntax".into(), place]);
    assert_eq!(error.message(), "invalid syntax: '10 parsecs'");
}

#[test]
fn integers_beyond_64_bits_saturate() {
    for (expression, number) in [
        ("2 ** 63 - 1", i64::MAX),
        ("2 ** 63", i64::MAX),
        ("2 ** 64 + 5", i64::MAX),
        ("-2 ** 63", i64::MIN),
        ("-2 ** 63 - 1", i64::MIN),
        ("-2 ** 2100", i64::MIN),
    ] {
        assert_eq!(
            decode_python(expression, 5),
            Value::Int(number),
            "{expression}"
        );
    }
}

#[test]
fn a_shared_list_is_read_whole_each_time_and_a_loop_is_refused() {
    let shared = decode_python("[shared, shared]", 5);
    assert_eq!(shared, list([list(["s".into()]), list(["s".into()])]));
    let looped = python(
        "import pickle,sys\nl=[]; l.append(l); sys.stdout.buffer.write(pickle.dumps(l))",
        b"",
    );
    assert_eq!(limit(&looped), MAX_DEPTH);
}

fn limit(bytes: &[u8]) -> usize {
    match decode(bytes) {
        Err(PickleError::TooBig { limit, .. }) => limit,
        other => panic!("expected a bound to be passed, got {other:?}"),
    }
}

#[test]
fn reads_the_replies_of_every_version() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/replies");
    let mut seen = 0;
    for version in fs::read_dir(folder).expect("fixtures") {
        for file in fs::read_dir(version.expect("entry").path()).expect("fixtures") {
            let path = file.expect("entry").path();
            let value = decode(&fs::read(&path).expect("fixture"))
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let name = path
                .file_name()
                .expect("name")
                .to_string_lossy()
                .into_owned();
            match value {
                Value::List(pair) => {
                    assert_eq!(
                        pair[0],
                        Value::Int(i64::from(name.starts_with("error-"))),
                        "{name}"
                    );
                }
                bare => assert!(bare.message().starts_with("ERROR: "), "{name}"),
            }
            seen += 1;
        }
    }
    assert!(seen >= 60, "only {seen} fixtures");
}

#[test]
fn bounds_hold() {
    let deep = |levels: usize| {
        [
            &[0x80, 4][..],
            &vec![b']'; levels],
            &vec![b'a'; levels - 1],
            b".",
        ]
        .concat()
    };
    assert!(decode(&deep(MAX_DEPTH)).is_ok());
    assert_eq!(limit(&deep(MAX_DEPTH + 1)), MAX_DEPTH);
    assert_eq!(limit(&deep(40_000)), MAX_DEPTH);

    // A value, a list, and a mark of each byte, and what is duplicated, memoised, and thrown away.
    for endless in [
        &b"N"[..],
        b"]",
        b")",
        b"(",
        b"N2",
        b"N\x94",
        b"]N\x85aN0",
        b"cm\nn\n",
    ] {
        let many = endless.repeat((MAX_INPUT - 3) / endless.len());
        let many = [&[0x80, 4][..], &many, b"."].concat();
        assert_eq!(limit(&many), MAX_WORK, "{endless:?}");
    }
    assert_eq!(limit(&vec![0x80; MAX_INPUT + 1]), MAX_INPUT);
}

/// As fail2ban pickles them (`IPAddr.__reduce__`, ipdns.py of 1.0.2 to 1.1.1), the longest and the shortest.
#[test]
fn a_hundred_thousand_bans_are_read() {
    for text in [
        "'198.151.%d.%d' % (100 + n // 900, 100 + n % 900)",
        "'%x' % n",
    ] {
        let script = format!(
            "import pickle, sys\n\
             class IPAddr:\n  \
               def __init__(self, text): self.text = text\n  \
               def __reduce__(self): return (str, (self.text,))\n\
             bans = [IPAddr({text}) for n in range(100_000)]\n\
             sys.stdout.buffer.write(pickle.dumps((0, bans), pickle.HIGHEST_PROTOCOL))"
        );
        let reply = decode(&python(&script, b"")).unwrap_or_else(|error| panic!("{text}: {error}"));
        let bans = reply.as_list().and_then(|pair| pair[1].as_list());
        let bans = bans.expect("a list of them");
        assert_eq!(bans.len(), 100_000);
        assert!(bans.iter().all(|ban| ban.as_str().is_some()));
    }
}

#[test]
fn bombs_of_memo_references_are_refused() {
    // Each level is a pair of the level before: 2^60 leaves in some 300 bytes.
    let mut doubling = vec![0x80, 4, b'N'];
    for level in 0..60 {
        doubling.extend([b'q', level, b'h', level, 0x86]);
    }
    doubling.push(b'.');
    assert_eq!(limit(&doubling), MAX_OUTPUT);

    // One long string, many times.
    let mut long = vec![0x80, 4, b'X'];
    long.extend(1_000_000_u32.to_le_bytes());
    long.extend(vec![b'x'; 1_000_000]);
    long.extend(b"q\0](");
    long.extend(b"h\0".repeat(1000));
    long.extend(b"e.");
    assert_eq!(limit(&long), MAX_OUTPUT);

    // One long name of a module, made a class of many times.
    let mut class = vec![0x80, 4, b'X'];
    class.extend(1000_u32.to_le_bytes());
    class.extend(vec![b'x'; 1000]);
    class.extend(b"q\0");
    class.extend(b"h\0h\0\x93".repeat(1000));
    class.push(b'.');
    assert_eq!(limit(&class), MAX_CLASS_NAME);

    // One long tuple of arguments, called with many times, and never looked at.
    let mut calls = vec![0x80, 4];
    calls.extend(b"cm\nc\nq\0(");
    calls.extend(vec![b'N'; 300_000]);
    calls.extend(b"tq\x01");
    calls.extend(b"h\0h\x01R".repeat(200_000));
    calls.push(b'.');
    assert!(matches!(
        decode(&calls),
        Ok(_) | Err(PickleError::TooBig { .. })
    ));
}

#[test]
fn what_is_no_pickle_is_told_apart() {
    assert_eq!(decode(b""), Err(PickleError::NoPickle));
    assert_eq!(decode(b"(lp0\n."), Err(PickleError::NoPickle));
    assert_eq!(decode(b"HTTP/1.1 400"), Err(PickleError::NoPickle));
    assert_eq!(decode(&[0x80, 6, b'N', b'.']), Err(PickleError::NoPickle));
    assert_eq!(decode(&[0x80, 4, b'N']), Err(PickleError::Truncated(3)));
    assert_eq!(
        decode(&[0x80, 4, b'X', 9, 0, 0, 0, b'x']),
        Err(PickleError::Truncated(8))
    );
    assert_eq!(
        decode(&[0x80, 4, b'N', b'.', b'N']),
        Err(PickleError::Trailing(4))
    );
    let stack = |opcode, at| Err(PickleError::Stack { opcode, at });
    assert_eq!(decode(&[0x80, 4, b'.']), stack(b'.', 2));
    assert_eq!(decode(&[0x80, 4, b'N', b'(', 0x85, b'.']), stack(0x85, 4));
    assert_eq!(decode(&[0x80, 4, b'h', 0, b'.']), stack(b'h', 2));
    assert_eq!(decode(&[0x80, 4, b'N', b'N', b'R', b'.']), stack(b'R', 4));
    // INST, of protocol 0.
    assert_eq!(
        decode(&[0x80, 4, b'i']),
        Err(PickleError::Opcode {
            opcode: b'i',
            at: 2
        })
    );
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::None),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-1000_i64..1000).prop_map(Value::Int),
        any::<f64>()
            .prop_filter("NaN is not itself", |f| !f.is_nan())
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

/// Bytes that look like pickles more often than chance has it.
fn pickle_like() -> impl Strategy<Value = Vec<u8>> {
    let opcodes = b"()]}.0125NabcehjqrstuBCGJKMRX\x80\x81\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x90\x91\x92\x93\x94\x95\x96\n";
    let byte =
        prop_oneof![3 => prop::sample::select(opcodes.to_vec()), 1 => 0_u8..6, 1 => any::<u8>()];
    prop::collection::vec(byte, 0..200).prop_map(|tail| [&[0x80, 4], &tail[..]].concat())
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn any_operations_are_read_or_refused(bytes in pickle_like()) {
        if let Ok(value) = decode(&bytes) {
            let _ = (value.message(), value.to_string());
        }
    }

    #[test]
    fn a_request_reads_back_as_it_was(items in prop::collection::vec(any_value(), 0..6)) {
        prop_assert_eq!(decode(&encode(&items)), Ok(Value::List(items)));
    }

    #[test]
    fn a_cut_pickle_is_refused(items in prop::collection::vec(any_value(), 0..6), cut in any::<prop::sample::Index>()) {
        let whole = encode(&items);
        let cut = cut.index(whole.len());
        prop_assert!(decode(&whole[..cut]).is_err());
    }
}

/// Python reads our requests as what was meant, and writes them back in its own highest protocol.
#[test]
fn python_reads_what_we_write() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = prop::collection::vec(any_value(), 0..6);
    let values: Vec<_> = (0..50)
        .map(|_| strategy.new_tree(&mut runner).expect("a value").current())
        .map(Value::List)
        .collect();
    let echoed = python(
        "import pickle, sys\n\
         sys.stdout.buffer.write(pickle.dumps(pickle.loads(sys.stdin.buffer.read()), 5))",
        &encode(&values),
    );
    // A dict keeps the last of two equal keys, so only whole equality without such is asked for.
    let distinct = |value: &Value| !repeats_a_key(value);
    let echoed = decode(&echoed).expect("Python's pickle");
    let echoed = echoed.as_list().expect("a list");
    assert_eq!(echoed.len(), values.len());
    for (echo, value) in echoed
        .iter()
        .zip(&values)
        .filter(|(_, value)| distinct(value))
    {
        assert_eq!(echo, value);
    }
}

fn repeats_a_key(value: &Value) -> bool {
    match value {
        Value::List(items) => items.iter().any(repeats_a_key),
        Value::Dict(pairs) => {
            let repeated = |at: usize| pairs[..at].iter().any(|(key, _)| *key == pairs[at].0);
            (0..pairs.len()).any(repeated) || pairs.iter().any(|(_, value)| repeats_a_key(value))
        }
        _ => false,
    }
}
