use std::fs;
use std::thread::sleep;

use super::*;

/// A header of `pages` pages of 4096 bytes.
fn header(pages: u32) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    bytes[..16].copy_from_slice(MAGIC);
    bytes[16..18].copy_from_slice(&4096_u16.to_be_bytes());
    bytes[28..32].copy_from_slice(&pages.to_be_bytes());
    bytes
}

#[test]
fn a_header_and_a_length_tell_what_is_wrong() {
    let sound = header(2);
    assert_eq!(judge(&sound, 8192), None);
    assert_eq!(judge(&sound, 12288), None);
    let cut = Damage::CutOff {
        length: 8191,
        expected: 8192,
    };
    assert_eq!(judge(&sound, 8191), Some(cut));
    assert_eq!(judge(b"", 0), None);
    assert_eq!(judge(b"SQLite", 6), Some(Damage::NoHeader { length: 6 }));
    assert_eq!(judge(&[0; HEADER], 100), Some(Damage::NoDatabase));
    // The page count of another change counter says nothing.
    let mut stale = header(9);
    stale[27] = 1;
    assert_eq!(judge(&stale, 4096), None);
    // A page size of 1 is 65536.
    let mut large = header(1);
    large[16..18].copy_from_slice(&1_u16.to_be_bytes());
    assert!(judge(&large, 65535).is_some());
    assert_eq!(judge(&large, 65536), None);
}

#[test]
fn a_folder_is_no_database_and_a_missing_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(damage(folder.path()).unwrap(), Some(Damage::NoFile));
    let none = damage(&folder.path().join("none")).unwrap_err();
    assert_eq!(none.kind(), io::ErrorKind::NotFound);
}

#[test]
fn one_that_is_set_aside_is_kept_and_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("db");
    assert_eq!(set_aside(&file, None).unwrap(), None);
    set_aside(folder.path(), None).unwrap_err();
    fs::write(&file, "garbage").unwrap();
    fs::write(folder.path().join("db.20261126-170000"), "fail2ban's").unwrap();
    let begun = SystemTime::now() - Duration::from_secs(1);
    let seen = identity(&file).ok();
    let aside = set_aside(&file, seen).unwrap().unwrap();
    assert!(!file.exists());
    assert_eq!(fs::read_to_string(&aside).unwrap(), "garbage");
    assert_eq!(aside_since(&file, begun).unwrap().as_ref(), Some(&aside));
    let later = SystemTime::now() + Duration::from_secs(1);
    assert_eq!(aside_since(&file, later).unwrap(), None);
    // What is there now is another.
    fs::write(&file, "more").unwrap();
    assert_eq!(set_aside(&file, seen).unwrap(), None);
    assert!(file.exists());
    // No other gives way to it.
    let second = loop {
        match set_aside(&file, identity(&file).ok()) {
            Ok(second) => break second.unwrap(),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::AlreadyExists),
        }
        sleep(Duration::from_millis(100));
    };
    assert_eq!(fs::read_to_string(&aside).unwrap(), "garbage");
    assert_eq!(aside_since(&file, begun).unwrap(), Some(second));
}

#[test]
fn a_file_that_nobody_locks_has_no_holder() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("db");
    fs::write(&file, header(1)).unwrap();
    assert_eq!(holder(&file).unwrap(), None);
}
