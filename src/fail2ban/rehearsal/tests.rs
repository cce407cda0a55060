use std::ffi::OsString;
use std::fs;

use super::interpreter::{NoInterpreter, of_client};
use super::*;

fn words(line: &str) -> Vec<OsString> {
    line.split(' ').map(OsString::from).collect()
}

fn script(first_line: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("client");
    fs::write(&path, format!("{first_line}\npass\n")).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

#[test]
fn a_client_run_by_python_names_its_python() {
    for (client, python) in [
        ("python3 /x/c", "python3"),
        (
            "/opt/v/bin/python3.12 -s -E ./c -v",
            "/opt/v/bin/python3.12 -s -E",
        ),
        (
            "env A=1 B=2 /usr/bin/python3 c",
            "env A=1 B=2 /usr/bin/python3",
        ),
        ("fail2ban-python c", "fail2ban-python"),
    ] {
        let (found, script, _) = of_client(&words(client)).unwrap();
        assert_eq!(found, words(python), "{client}");
        assert!(script.to_str().unwrap().ends_with('c'), "{client}");
    }
}

#[test]
fn a_script_names_its_python_in_its_first_line() {
    for (line, python) in [
        ("#!/usr/bin/python3", "/usr/bin/python3"),
        ("#! /usr/bin/python3 -sP ", "/usr/bin/python3 -sP"),
        ("#!/usr/bin/env python3", "/usr/bin/env python3"),
    ] {
        let (_folder, path) = script(line);
        let (found, named, _) = of_client(&words(&path)).unwrap();
        assert_eq!(found, words(python), "{line}");
        assert_eq!(named, OsString::from(path), "{line}");
    }
    let (_folder, path) = script("#!/usr/bin/env -S python3 -sP");
    let (found, ..) = of_client(&words(&format!("env A=1 {path}"))).unwrap();
    let split = ["env", "A=1", "/usr/bin/env", "-S python3 -sP"].map(OsString::from);
    assert_eq!(found, split);
}

#[test]
fn a_wrapper_names_no_python() {
    for line in ["#!/bin/sh", "#!/usr/bin/env bash", "#!", "\x7fELF"] {
        let (_folder, path) = script(line);
        let refused = of_client(&words(&path));
        assert!(matches!(refused, Err(NoInterpreter::NoPython(_))), "{line}");
    }
    let cases = [
        "python3",
        "python3 -m fail2ban",
        "python3 -X dev c",
        "env A=1",
    ];
    for client in cases {
        of_client(&words(client)).unwrap_err();
    }
    let missing = of_client(&words("jailwarden-test-no-such-client"));
    assert!(matches!(missing, Err(NoInterpreter::NotFound(_))));
    assert!(matches!(of_client(&[]), Err(NoInterpreter::NoClient)));
}

#[test]
fn commands_become_one_line_of_json() {
    let text =
        "['set', 'a', 'bantime', None]\n['multi-set', 'a', 'x', [['k', 'é\\n'], [1, 2.5, True]]]\n";
    let stream = super::super::stream::Stream::parse(text).unwrap();
    let line = json::line(&stream.jails[0]);
    let expected =
        r#"[["set","a","bantime",null],["multi-set","a","x",[["k","é\n"],[1,2.5,true]]]]"#;
    assert_eq!(line, format!("{expected}\n"));
}
