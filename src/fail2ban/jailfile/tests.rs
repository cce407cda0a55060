use std::process::Command;

use super::*;

const SAMPLE: &str = "\u{feff}# [commented]
 ; [commented too]
[INCLUDES]
before = paths-debian.conf
[DEFAULT]
bantime = 10m
[sshd]
enabled = true
action = one
   [continued]
    two
[web] ; a comment
  logpath = /x
[a]b] junk
[sshd]
[Definition]
  [indented]
x = 1
[no end
[ spaced name ]
";

#[test]
fn headers_are_told_as_configparser_tells_them() {
    let expected = ["sshd", "web", "a]b", "indented", " spaced name "];
    assert_eq!(jails_of(SAMPLE), expected);
    assert_eq!(jails_of(""), Vec::<String>::new());
    assert_eq!(jails_of("[]\n[\n]\n"), Vec::<String>::new());
}

#[test]
fn of_too_many_jails_the_first_are_named() {
    let many: Vec<_> = (0..200_000).map(|n| format!("[{n}]")).collect();
    let jails = jails_of(&many.join("\n"));
    assert_eq!((jails.len(), jails[999].as_str()), (MOST_JAILS, "999"));
}

#[test]
fn python_reads_the_same_sections() {
    let text = SAMPLE
        .trim_start_matches('\u{feff}')
        .replace("[no end\n", "");
    let program = "import configparser, sys\n\
        c = configparser.RawConfigParser(inline_comment_prefixes=';', strict=False)\n\
        c.read_string(sys.argv[1])\n\
        print('\\n'.join(s for s in c.sections() if s not in ('INCLUDES', 'Definition')))";
    let run = Command::new("python3")
        .args(["-c", program, &text])
        .output()
        .unwrap();
    let said = String::from_utf8(run.stdout).unwrap();
    assert_eq!(
        jails_of(&text),
        said.lines().collect::<Vec<_>>(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
}

#[test]
fn a_file_that_is_not_utf_8_is_read_and_a_fifo_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jail.local");
    fs::write(&path, b"# \xff\xfe\n[web]\n").unwrap();
    assert_eq!(jails_in(&path).unwrap(), ["web"]);
    let fifo = dir.path().join("fifo.conf");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(
        jails_in(&fifo).unwrap_err().kind(),
        io::ErrorKind::InvalidInput
    );
}

#[test]
fn the_last_changed_file_comes_first() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("jail.d")).unwrap();
    let write = |name: &str, text: &str, hours_ahead: u64| {
        fs::write(at(name), text).unwrap();
        let when = SystemTime::now() + Duration::from_secs(3600 * hours_ahead);
        File::options()
            .write(true)
            .open(at(name))
            .unwrap()
            .set_modified(when)
            .unwrap();
    };
    write("jail.conf", "[a]\n[b]\n", 1);
    write("jail.local", "[DEFAULT]\n[web]\n", 3);
    write("jail.d/x.local", "[x]\n", 2);
    write("jail.d/.hidden.conf", "[h]\n", 9);
    write("jail.d/notes.txt", "[n]\n", 9);
    write("jail.d/empty.conf", "[DEFAULT]\n", 9);
    let found = last_changed_jails(dir.path());
    let names: Vec<_> = found.iter().map(|file| file.jails.join(" ")).collect();
    assert_eq!(names, ["web", "x", "a b"]);
    assert_eq!(found[0].path, at("jail.local"));
    assert!(last_changed_jails(&at("nowhere")).is_empty());
}

#[test]
fn a_file_moved_in_with_an_old_date_counts_as_changed_now() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jail.local");
    fs::write(&path, "[web]\n").unwrap();
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1000))
        .unwrap();
    let changed = last_changed_jails(dir.path())[0].changed;
    assert!(changed > SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000));
}
